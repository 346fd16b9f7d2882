//! One channel of a host's own connection as a byte stream. Dropping it closes it.

use std::{
    future::poll_fn,
    io,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
};

use futures_util::task::AtomicWaker;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::mux::Mux;

/// What the driver of a connection and the owners of its streams share.
pub(super) struct Shared {
    mux: Mutex<Mux>,
    pub(super) driver: AtomicWaker,
}

impl Shared {
    pub(super) fn new(mux: Mux) -> Self {
        Self { mux: Mutex::new(mux), driver: AtomicWaker::new() }
    }

    pub(super) fn mux(&self) -> MutexGuard<'_, Mux> {
        self.mux.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does something with all channels, and wakes whom it concerns once the lock is released.
    pub(super) fn with<T>(&self, act: impl FnOnce(&mut Mux) -> T) -> T {
        let mut mux = self.mux();
        let done = act(&mut mux);
        let (woken, has_ready) = (mux.take_woken(), mux.has_ready());
        drop(mux);
        woken.into_iter().for_each(std::task::Waker::wake);
        if has_ready {
            self.driver.wake();
        }
        done
    }
}

/// One channel.
pub(super) struct MuxStream {
    shared: Arc<Shared>,
    id: u32,
}

impl MuxStream {
    /// Opens one. The caller bounds the time.
    ///
    /// # Errors
    /// The host refuses it, there are too many, or the connection ends.
    pub(super) async fn open(shared: &Arc<Shared>) -> io::Result<Self> {
        let id = shared.with(Mux::open)?;
        let stream = Self { shared: Arc::clone(shared), id };
        poll_fn(|cx| stream.shared.with(|mux| mux.poll_open(id, cx))).await?;
        Ok(stream)
    }
}

impl Drop for MuxStream {
    fn drop(&mut self) {
        self.shared.with(|mux| mux.leave(self.id));
    }
}

impl AsyncRead for MuxStream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.shared.with(|mux| mux.poll_read(self.id, cx, buf))
    }
}

impl AsyncWrite for MuxStream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.shared.with(|mux| mux.poll_write(self.id, cx, buf))
    }

    /// What was written is on its way, as with a socket of the kernel.
    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.shared.with(|mux| mux.end_writing(self.id));
        Poll::Ready(Ok(()))
    }
}
