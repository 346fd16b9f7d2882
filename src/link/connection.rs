//! An SSH transport with its socket.

use std::{
    future::poll_fn,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::socket::Socket;
use crate::{
    clock::now,
    wire::{
        error::Error as WireError,
        message::Reason,
        transport::{OUTPUT_MARK, Params, Transport},
    },
};

/// Room for a read, at least, in bytes: less would cost a system call for every small packet.
const MIN_READ: usize = 16 * 1024;

/// How long a goodbye may take to get into the kernel.
const GOODBYE: Duration = Duration::from_secs(2);

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
pub enum ConnectionError {
    /// The socket failed.
    #[error("connection failed")]
    Io(#[source] io::Error),
    /// The peer closed it.
    #[error("connection closed by peer")]
    Closed,
    /// The protocol was broken.
    #[error(transparent)]
    Wire(#[from] WireError),
}

/// An SSH transport with its socket.
pub struct Connection {
    /// The bytes.
    pub socket: Socket,
    /// The packets.
    pub transport: Transport,
    /// The peer sent its last byte.
    pub read_closed: bool,
    /// Something came from the peer; whoever wants to know again sets it back.
    pub heard: bool,
}

impl Connection {
    /// Puts a new transport on `socket`.
    ///
    /// # Errors
    /// No random bytes are to be had.
    pub fn new(socket: Socket, params: Params) -> Result<Self, ConnectionError> {
        let transport = Transport::new(params, now())?;
        Ok(Self { socket, transport, read_closed: false, heard: false })
    }

    /// Waits until a packet waits in the transport. What is in the output goes out meanwhile.
    /// Cancelling loses nothing.
    ///
    /// # Errors
    /// The connection is over.
    pub async fn next_packet(&mut self) -> Result<(), ConnectionError> {
        poll_fn(|cx| self.poll_packet(cx)).await
    }

    /// Waits until the first key exchange is done.
    ///
    /// # Errors
    /// The connection is over.
    pub async fn establish(&mut self) -> Result<(), ConnectionError> {
        poll_fn(|cx| {
            loop {
                if self.transport.next(now())?.is_some() || self.transport.is_open() {
                    return Poll::Ready(Ok(()));
                }
                if self.poll_unchoke(cx)? {
                    continue;
                }
                if ready!(self.poll_fill(cx))? == 0 {
                    return Poll::Ready(Err(ConnectionError::Closed));
                }
            }
        })
        .await
    }

    /// Waits until packets may be sent: no key exchange is before our NEWKEYS.
    ///
    /// # Errors
    /// The connection is over.
    pub async fn sendable(&mut self) -> Result<(), ConnectionError> {
        poll_fn(|cx| {
            while !self.transport.can_send() {
                self.transport.next(now())?;
                let unchoked = self.poll_unchoke(cx)?;
                if self.transport.can_send() || unchoked {
                    continue;
                }
                if ready!(self.poll_fill(cx))? == 0 {
                    return Poll::Ready(Err(ConnectionError::Closed));
                }
            }
            Poll::Ready(Ok(()))
        })
        .await
    }

    /// Waits until all output is in the kernel.
    ///
    /// # Errors
    /// The socket failed.
    pub async fn drain(&mut self) -> Result<(), ConnectionError> {
        poll_fn(|cx| self.poll_drain(cx)).await.map_err(ConnectionError::Io)
    }

    /// Says goodbye, bounded in time, and closes.
    pub async fn close(mut self, reason: Reason, text: &str) {
        self.transport.disconnect(reason, text);
        let _ = tokio::time::timeout(GOODBYE, async {
            let _ = self.drain().await;
            let _ = poll_fn(|cx| Pin::new(&mut self.socket).poll_shutdown(cx)).await;
        })
        .await;
    }

    /// As [`Self::next_packet`], for callers that poll.
    ///
    /// # Errors
    /// The connection is over.
    pub fn poll_packet(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ConnectionError>> {
        loop {
            let found = self.transport.next(now())?.is_some();
            let unchoked = self.poll_unchoke(cx)?;
            if found {
                return Poll::Ready(Ok(()));
            }
            if unchoked {
                continue;
            }
            if ready!(self.poll_fill(cx))? == 0 {
                return Poll::Ready(Err(ConnectionError::Closed));
            }
        }
    }

    /// Reads once into the input. `Ready(Ok(0))`: the peer closed. Nothing is read from a peer that
    /// takes no answers: [`Self::poll_drain`] wakes the task once it does.
    ///
    /// # Errors
    /// The socket failed.
    pub fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<Result<usize, ConnectionError>> {
        if self.read_closed {
            return Poll::Ready(Ok(0));
        }
        if self.transport.is_choked() {
            return Poll::Pending;
        }
        let wanted = self.transport.wanted().max(MIN_READ);
        let mut buf = ReadBuf::new(self.transport.input_space(wanted));
        let polled = Pin::new(&mut self.socket).poll_read(cx, &mut buf);
        let n = buf.filled().len();
        let input = &mut self.transport.input;
        input.advance(n);
        input.release();
        match polled {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Err(e)) => Poll::Ready(Err(ConnectionError::Io(e))),
            Poll::Ready(Ok(())) => {
                self.read_closed = n == 0;
                self.heard |= n > 0;
                Poll::Ready(Ok(n))
            }
        }
    }

    /// Writes the output. `Ready(Ok)`: all of it is in the kernel.
    ///
    /// # Errors
    /// The socket failed.
    pub fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let output = &mut self.transport.output;
        while !output.is_empty() {
            let n = ready!(Pin::new(&mut self.socket).poll_write(cx, output.filled()))?;
            if n == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            output.consume(n);
        }
        output.release();
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    /// Whether application packets may be sent now.
    #[must_use]
    pub fn can_take(&self) -> bool {
        self.transport.can_send() && self.transport.output.len() < OUTPUT_MARK
    }

    /// Writes what the socket takes; true if that made the transport hear the peer again, which
    /// may have input left.
    ///
    /// # Errors
    /// The socket failed.
    pub fn poll_unchoke(&mut self, cx: &mut Context<'_>) -> Result<bool, ConnectionError> {
        let choked = self.transport.is_choked();
        match self.poll_drain(cx) {
            Poll::Ready(Err(e)) => Err(ConnectionError::Io(e)),
            Poll::Ready(Ok(())) | Poll::Pending => Ok(choked && !self.transport.is_choked()),
        }
    }
}
