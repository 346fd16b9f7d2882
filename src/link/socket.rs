//! The byte stream under an SSH transport.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use socket2::{SockRef, TcpKeepalive};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

use super::Stream;

/// A read of at most this many bytes is answered with an immediate ACK. OpenSSH leaves Nagle's
/// algorithm on, so its next small packet (a window adjustment, a login step) waits for our ACK;
/// delayed, that costs 40 ms each time.
const SMALL_READ: usize = 4096;

/// Bytes sent since the last small read that make an immediate ACK needless: in a bulk flow the
/// data carries it. More than any step of a login sends.
const BULK: usize = 32 * 1024;

/// Idle time before the kernel asks whether a peer still lives, and between such questions. With
/// three unanswered ones a vanished host is noticed within a minute.
const KEEPALIVE: Duration = Duration::from_secs(15);

/// A byte stream: TCP with the options that SSH wants, or anything else.
pub enum Socket {
    /// A TCP connection.
    Tcp {
        /// The connection.
        stream: TcpStream,
        /// Bytes sent since the last small read.
        sent: usize,
    },
    /// A tunnel, a pipe in memory, a unix socket.
    Other(Stream),
}

impl Socket {
    /// Takes a TCP connection and sets its options.
    #[must_use]
    pub fn tcp(stream: TcpStream) -> Self {
        // An option that cannot be set costs speed, not correctness.
        let _ = stream.set_nodelay(true);
        let keepalive =
            TcpKeepalive::new().with_time(KEEPALIVE).with_interval(KEEPALIVE).with_retries(3);
        let _ = SockRef::from(&stream).set_tcp_keepalive(&keepalive);
        Self::Tcp { stream, sent: 0 }
    }

    /// Connects to `address` within `limit`.
    ///
    /// # Errors
    /// Nobody answers, or not in time.
    pub async fn connect(address: &str, limit: Duration) -> io::Result<Self> {
        let connecting = tokio::time::timeout(limit, TcpStream::connect(address));
        let stream = connecting.await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
        Ok(Self::tcp(stream))
    }

    /// The peer's address, for TCP.
    #[must_use]
    pub fn peer_addr(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp { stream, .. } => stream.peer_addr().ok(),
            Self::Other(_) => None,
        }
    }

    /// Our own address, as the peer sees it, for TCP.
    #[must_use]
    pub fn local_addr(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp { stream, .. } => stream.local_addr().ok(),
            Self::Other(_) => None,
        }
    }

    /// Whether the peer has closed or reset the connection, even if unread bytes wait before the
    /// end. Only known for TCP.
    #[must_use]
    pub fn is_dead(&self) -> bool {
        use rustix::event::{PollFd, PollFlags, Timespec, poll};
        let Self::Tcp { stream, .. } = self else { return false };
        let dead = PollFlags::RDHUP | PollFlags::HUP | PollFlags::ERR;
        let mut fds = [PollFd::new(stream, PollFlags::RDHUP)];
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        matches!(poll(&mut fds, Some(&now)), Ok(n) if n > 0) && fds[0].revents().intersects(dead)
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp { stream, sent } => {
                let before = buf.filled().len();
                ready!(Pin::new(&mut *stream).poll_read(cx, buf))?;
                if buf.filled().len() - before <= SMALL_READ {
                    if *sent < BULK {
                        let _ = SockRef::from(&*stream).set_tcp_quickack(true);
                    }
                    *sent = 0;
                }
                Poll::Ready(Ok(()))
            }
            Self::Other(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp { stream, sent } => {
                let n = ready!(Pin::new(stream).poll_write(cx, buf))?;
                *sent = sent.saturating_add(n);
                Poll::Ready(Ok(n))
            }
            Self::Other(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp { stream, .. } => Pin::new(stream).poll_flush(cx),
            Self::Other(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp { stream, .. } => Pin::new(stream).poll_shutdown(cx),
            Self::Other(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
