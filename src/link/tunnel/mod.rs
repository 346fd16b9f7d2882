//! One SSH connection that carries one byte stream through a backend's sshd: `direct-tcpip`
//! (RFC 4254, section 7.2) or `direct-streamlocal@openssh.com` (OpenSSH PROTOCOL, section 2.4).
//!
//! User bytes travel here and never on the control link, so one slow reader slows nobody else.
//! The window follows consumption: what the reader has not taken is not asked for again.

mod message;
#[cfg(test)]
mod silence;
#[cfg(test)]
mod tests;

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, Waker, ready},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Sleep, sleep_until},
};

use self::message::{Incoming, open, parse};
use super::{
    channel_message::about,
    connection::{Connection, ConnectionError},
};
use crate::{
    clock::now,
    wire::{
        buffer::Buffer,
        codec::Write,
        error::Error as WireError,
        message::{CHANNEL_CLOSE, CHANNEL_DATA, CHANNEL_EOF, CHANNEL_WINDOW_ADJUST},
    },
};

/// Receive window in bytes, as OpenSSH's (channels.h, `CHAN_TCP_WINDOW_DEFAULT`).
const WINDOW: u32 = 2 * 1024 * 1024;

/// Largest data packet in bytes (channels.h, `CHAN_TCP_PACKET_DEFAULT`).
const MAX_DATA: u32 = 32 * 1024;

/// Where a tunnel ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    /// A TCP port, as the backend sees it.
    Tcp {
        /// Address or name.
        host: String,
        /// Port.
        port: u16,
    },
    /// A unix socket on the backend.
    Unix {
        /// Its path.
        path: String,
    },
}

/// Why a tunnel could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum TunnelError {
    /// The backend's sshd refused or failed to connect; its text, made printable.
    #[error("backend could not open the tunnel: {0}")]
    Refused(String),
    /// The connection to the backend ended.
    #[error(transparent)]
    Connection(#[from] ConnectionError),
}

impl From<WireError> for TunnelError {
    fn from(error: WireError) -> Self {
        Self::Connection(error.into())
    }
}

/// A byte stream through a backend.
pub struct Tunnel {
    connection: Connection,
    /// The backend's number of the channel.
    peer: u32,
    /// Bytes that we may still send, and the largest piece.
    send_window: u32,
    send_max: u32,
    /// Bytes that the peer may still send, and those consumed but not yet given back.
    receive_window: u32,
    consumed: u32,
    /// Bytes taken of the data packet that waits in the transport. `None`: what waits there is no
    /// data that was accepted.
    taken: Option<usize>,
    /// Data moved aside so that what follows it could be read; at most [`WINDOW`] bytes.
    backlog: Buffer,
    peer_eof: bool,
    closed: bool,
    sent_eof: bool,
    /// Reader and writer may be different tasks; whoever reads the socket wakes the other.
    reader: Option<Waker>,
    writer: Option<Waker>,
    /// Ends a key exchange in which the backend is silent: nothing else would wake anybody.
    timer: Option<Pin<Box<Sleep>>>,
}

impl Tunnel {
    /// Opens a tunnel on an authenticated connection. The caller bounds the time.
    ///
    /// # Errors
    /// See [`TunnelError`].
    pub async fn open(
        mut connection: Connection,
        destination: &Destination,
    ) -> Result<Self, TunnelError> {
        connection.transport.send(&[&open(destination)])?;
        loop {
            connection.next_packet().await?;
            let transport = &mut connection.transport;
            match parse(transport.packet().unwrap_or_default(), 0)? {
                Incoming::Opened { peer, window, max } => {
                    transport.consume();
                    return Ok(Self::new(connection, peer, (window, max)));
                }
                Incoming::Refused(text) => return Err(TunnelError::Refused(text)),
                Incoming::Unknown => {
                    transport.refuse()?;
                    continue;
                }
                Incoming::Request(Some(answer)) => transport.answer(&answer)?,
                Incoming::Request(None) | Incoming::Reply => {}
                Incoming::Data(_)
                | Incoming::Extended(_)
                | Incoming::Adjust(_)
                | Incoming::Eof
                | Incoming::Close => {
                    return Err(WireError::Protocol("channel is not open yet").into());
                }
            }
            transport.consume();
        }
    }

    fn new(connection: Connection, peer: u32, (window, max): (u32, u32)) -> Self {
        Self {
            connection,
            peer,
            send_window: window,
            send_max: max.min(MAX_DATA),
            receive_window: WINDOW,
            consumed: 0,
            taken: None,
            backlog: Buffer::default(),
            peer_eof: false,
            closed: false,
            sent_eof: false,
            reader: None,
            writer: None,
            timer: None,
        }
    }

    /// Reads until data waits, the stream ended, or nothing more is there.
    fn poll_incoming(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            if self.next_data()? || self.peer_eof {
                return Poll::Ready(Ok(()));
            }
            self.watch_exchange(cx)?;
            // What was read in a key exchange could not be given back there.
            self.adjust_window()?;
            if self.connection.poll_unchoke(cx).map_err(io::Error::other)? {
                continue;
            }
            if ready!(self.connection.poll_fill(cx)).map_err(io::Error::other)? == 0 {
                self.peer_eof = true;
                self.closed = true;
            }
        }
    }

    fn poll_data(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_incoming(cx))?;
        if self.has_data() {
            // An answer in a key exchange could not be heard while this data lay in front of it.
            self.connection.transport.defer_timeout(now());
            // All that is here: a caller's wake-up costs more than a packet.
            while buf.remaining() > 0 && self.next_data()? {
                self.take(buf);
            }
            self.adjust_window()?;
            // Only here: with nothing of ours waiting behind it, a key exchange cannot get stuck.
            self.connection.transport.rekey_if_due(now()).map_err(to_io)?;
            if self.connection.transport.in_exchange() {
                self.set_aside();
                // The writer has to see to it that the exchange goes on.
                wake(&mut self.writer);
            }
        }
        self.drain(cx)?;
        Poll::Ready(Ok(()))
    }

    /// Notices when a key exchange takes too long, and sees to it that somebody is woken then.
    fn watch_exchange(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        let transport = &mut self.connection.transport;
        if !transport.in_exchange() {
            self.timer = None;
            return Ok(());
        }
        let deadline = transport.next_deadline().into();
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        if timer.deadline() != deadline {
            timer.as_mut().reset(deadline);
        }
        if timer.as_mut().poll(cx).is_ready() {
            wake(&mut self.reader);
            wake(&mut self.writer);
        }
        transport.handle_timeout(now()).map_err(to_io)
    }

    /// Works off packets that are here already, up to the next data; whether there is some.
    fn next_data(&mut self) -> io::Result<bool> {
        while !self.has_data() && !self.peer_eof {
            if self.connection.transport.next(now()).map_err(to_io)?.is_none() {
                return Ok(false);
            }
            self.on_packet()?;
        }
        Ok(self.has_data())
    }

    fn has_data(&self) -> bool {
        !self.backlog.is_empty() || self.held_data().is_some()
    }

    /// The rest of the data packet that waits.
    fn held_data(&self) -> Option<&[u8]> {
        // Number, channel, length: checked when the packet came.
        self.connection.transport.packet()?.get(9 + self.taken?..)
    }

    fn on_packet(&mut self) -> io::Result<()> {
        let transport = &mut self.connection.transport;
        match parse(transport.packet().unwrap_or_default(), self.peer).map_err(to_io)? {
            Incoming::Data(len) => {
                self.take_window(len)?;
                // What is not empty waits to be read.
                if len > 0 {
                    self.taken = Some(0);
                    return Ok(());
                }
            }
            Incoming::Extended(len) => {
                self.take_window(len)?;
                self.consumed = self.consumed.saturating_add(len);
                self.adjust_window()?;
            }
            Incoming::Adjust(more) => {
                // RFC 4254, section 5.2: the window may not exceed 2^32 - 1.
                let sum = self.send_window.checked_add(more);
                self.send_window = sum.ok_or_else(|| to_io(WireError::Malformed))?;
                wake(&mut self.writer);
            }
            Incoming::Eof => {
                self.peer_eof = true;
                wake(&mut self.reader);
            }
            Incoming::Close => {
                if !self.closed {
                    transport.answer(&about(CHANNEL_CLOSE, self.peer, None)).map_err(to_io)?;
                }
                self.peer_eof = true;
                self.closed = true;
                wake(&mut self.reader);
                wake(&mut self.writer);
            }
            Incoming::Request(Some(answer)) => transport.answer(&answer).map_err(to_io)?,
            Incoming::Request(None) | Incoming::Reply => {}
            Incoming::Unknown => return transport.refuse().map_err(to_io),
            Incoming::Opened { .. } | Incoming::Refused(_) => {
                return Err(to_io(WireError::Protocol("channel is open already")));
            }
        }
        self.connection.transport.consume();
        Ok(())
    }

    /// Counts `len` bytes that came.
    fn take_window(&mut self, len: u32) -> io::Result<()> {
        let rest = self.receive_window.checked_sub(len);
        self.receive_window = rest.ok_or_else(|| to_io(WireError::Protocol("window exceeded")))?;
        Ok(())
    }

    /// Moves waiting data aside, so that what follows it (a window adjustment, a key exchange) can
    /// be read. The window bounds how much that can be.
    fn set_aside(&mut self) {
        if let Some(data) = self.held_data() {
            let data = data.to_vec();
            self.backlog.extend(&data);
            self.connection.transport.consume();
            self.taken = None;
            wake(&mut self.reader);
        }
    }

    fn take(&mut self, buf: &mut ReadBuf<'_>) {
        let room = buf.remaining();
        let n = if self.backlog.is_empty() {
            let data = self.held_data().unwrap_or_default();
            let n = data.len().min(room);
            buf.put_slice(&data[..n]);
            self.taken = self.taken.map(|taken| taken + n);
            if self.held_data().is_none_or(<[u8]>::is_empty) {
                self.connection.transport.consume();
                self.taken = None;
            }
            n
        } else {
            let n = self.backlog.len().min(room);
            buf.put_slice(&self.backlog.filled()[..n]);
            self.backlog.consume(n);
            self.backlog.release();
            n
        };
        self.consumed = self.consumed.saturating_add(u32::try_from(n).unwrap_or(u32::MAX));
    }

    /// Gives back what was consumed, in pieces large enough to be worth a packet.
    fn adjust_window(&mut self) -> io::Result<()> {
        if self.consumed >= WINDOW / 8 && self.connection.transport.can_send() {
            let out = about(CHANNEL_WINDOW_ADJUST, self.peer, Some(self.consumed));
            self.connection.transport.send(&[&out]).map_err(to_io)?;
            self.receive_window += self.consumed;
            self.consumed = 0;
        }
        Ok(())
    }

    fn drain(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        match self.connection.poll_drain(cx) {
            Poll::Ready(Err(e)) => Err(e),
            Poll::Ready(Ok(())) | Poll::Pending => Ok(()),
        }
    }

    /// Reads past waiting data where something behind it is needed to go on.
    fn poll_unblock(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        // Each round takes one packet of at most the window from the input: bounded by it.
        for _ in 0..=WINDOW {
            self.set_aside();
            // After the end of the data, a window adjustment or NEWKEYS may still come.
            if self.closed || self.can_write() {
                break;
            }
            match self.poll_next(cx) {
                Poll::Ready(result) => result?,
                Poll::Pending => break,
            }
        }
        // What was read may have been answered: a key exchange waits for that.
        self.drain(cx)?;
        self.watch_exchange(cx)
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.connection.transport.next(now()).map_err(to_io)?.is_some() {
            return Poll::Ready(self.on_packet());
        }
        if ready!(self.connection.poll_fill(cx)).map_err(io::Error::other)? == 0 {
            self.peer_eof = true;
            self.closed = true;
        }
        Poll::Ready(Ok(()))
    }

    fn can_write(&self) -> bool {
        self.send_window > 0 && self.connection.can_take()
    }
}

impl AsyncRead for Tunnel {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let could_write = this.can_write();
        let read = this.poll_data(cx, buf);
        if !could_write && this.can_write() {
            // New keys are in use, which no packet tells.
            wake(&mut this.writer);
        }
        if read.is_pending() {
            this.reader = Some(cx.waker().clone());
        }
        read
    }
}

impl AsyncWrite for Tunnel {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if !this.can_write() {
            this.drain(cx)?;
        }
        if !this.can_write() && !this.closed {
            this.poll_unblock(cx)?;
        }
        if this.closed || this.sent_eof {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        if !this.can_write() {
            this.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let n = buf.len().min(this.send_window.min(this.send_max) as usize);
        let mut head = vec![CHANNEL_DATA];
        head.put_uint32(this.peer);
        let len = u32::try_from(n).unwrap_or(u32::MAX);
        head.put_uint32(len);
        this.connection.transport.send(&[&head, &buf[..n]]).map_err(to_io)?;
        this.send_window -= len;
        // A caller with more to write comes again: packets that leave together cost one system
        // call, and not one for each.
        if n == buf.len() {
            this.drain(cx)?;
        }
        Poll::Ready(Ok(n))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().connection.poll_drain(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.sent_eof && !this.closed {
            if !this.connection.transport.can_send() {
                this.poll_unblock(cx)?;
            }
            if !this.connection.transport.can_send() && !this.closed {
                this.writer = Some(cx.waker().clone());
                return Poll::Pending;
            }
        }
        if !this.sent_eof && !this.closed {
            let out = about(CHANNEL_EOF, this.peer, None);
            this.connection.transport.send(&[&out]).map_err(to_io)?;
            this.sent_eof = true;
        }
        this.connection.poll_drain(cx)
    }
}

fn wake(waker: &mut Option<Waker>) {
    if let Some(waker) = waker.take() {
        waker.wake();
    }
}

fn to_io(error: WireError) -> io::Error {
    io::Error::other(error)
}
