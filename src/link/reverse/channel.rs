//! One channel of a host's own connection: what waits in either direction, and what is to be sent
//! next about it. Pure.

use std::task::Waker;

use bytes::{Buf, BytesMut};

use crate::wire::error::Error;

/// Largest data packet in bytes, either way (channels.h, `CHAN_TCP_PACKET_DEFAULT`).
pub(super) const MAX_DATA: u32 = 32 * 1024;

/// The window of a new channel, in bytes: a login needs a tenth of it.
pub(super) const FIRST_WINDOW: u32 = 128 * 1024;

/// The window of a channel whose reader keeps up, in bytes, as OpenSSH's (channels.h,
/// `CHAN_TCP_WINDOW_DEFAULT`).
pub(super) const LARGEST_WINDOW: u32 = 2 * 1024 * 1024;

/// Bytes that may wait to be sent, of one channel: two packets, so that one can follow the other.
const OUTBOX: usize = 2 * MAX_DATA as usize;

/// What the host has said about a channel that was asked for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// It has not been asked.
    Wanted,
    /// It has not answered.
    Asked,
    /// It is open.
    Open,
    /// It was not opened, for this reason.
    Refused(String),
}

/// What is to be sent next about a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Due {
    Open,
    /// Give back so many bytes of the window.
    Adjust(u32),
    /// So many bytes from the front of the outbox.
    Data(usize),
    Eof,
    Close,
}

/// One channel.
#[expect(
    clippy::struct_excessive_bools,
    reason = "either side may end in any order (RFC 4254, 5.3)"
)]
pub(super) struct Channel {
    pub(super) phase: Phase,
    /// The host's number of it.
    pub(super) peer: u32,
    /// Bytes on their way to the host, and how many it takes: in all, and in one piece.
    pub(super) outbox: BytesMut,
    send_window: u32,
    send_max: u32,
    /// The owner sends no more; that was told; our last word was said.
    wants_eof: bool,
    sent_eof: bool,
    sent_close: bool,
    /// Bytes from the host. Together with what it may still send they are no more than `window`.
    inbox: BytesMut,
    receive_window: u32,
    window: u32,
    /// Bytes taken by the owner and not yet given back.
    consumed: u32,
    peer_eof: bool,
    peer_closed: bool,
    /// The owner is gone.
    is_left: bool,
    /// It has a place in the queue of those with something to send.
    pub(super) is_queued: bool,
    pub(super) reader: Option<Waker>,
    pub(super) writer: Option<Waker>,
}

impl Channel {
    pub(super) fn new() -> Self {
        Self {
            phase: Phase::Wanted,
            peer: 0,
            outbox: BytesMut::new(),
            send_window: 0,
            send_max: 0,
            wants_eof: false,
            sent_eof: false,
            sent_close: false,
            inbox: BytesMut::new(),
            receive_window: FIRST_WINDOW,
            window: FIRST_WINDOW,
            consumed: 0,
            peer_eof: false,
            peer_closed: false,
            is_left: false,
            is_queued: false,
            reader: None,
            writer: None,
        }
    }

    /// Bytes that it may hold of what the host sends.
    pub(super) fn window(&self) -> u32 {
        self.window
    }

    /// What is to be sent next.
    pub(super) fn due(&self) -> Option<Due> {
        match self.phase {
            Phase::Wanted => return Some(Due::Open),
            Phase::Asked | Phase::Refused(_) => return None,
            Phase::Open => {}
        }
        let data = self.outbox.len().min(self.send_window.min(self.send_max) as usize);
        if self.sent_close {
            None
        } else if self.peer_closed || self.is_left && data == 0 {
            // Whoever left does not wait until the host takes more.
            Some(Due::Close)
        } else if self.consumed >= self.window / 4 && !self.is_left && !self.peer_eof {
            Some(Due::Adjust(self.consumed))
        } else if data > 0 {
            Some(Due::Data(data))
        } else {
            let all_sent = self.outbox.is_empty() && self.wants_eof && !self.sent_eof;
            all_sent.then_some(Due::Eof)
        }
    }

    /// Notes that what was [due](Self::due) is sent.
    pub(super) fn sent(&mut self, due: Due) {
        match due {
            Due::Open => self.phase = Phase::Asked,
            Due::Adjust(n) => {
                self.receive_window += n;
                self.consumed = 0;
            }
            Due::Data(n) => {
                self.outbox.advance(n);
                self.send_window -= u32::try_from(n).unwrap_or(self.send_window);
                release(&mut self.outbox);
            }
            Due::Eof => self.sent_eof = true,
            Due::Close => {
                self.sent_close = true;
                self.outbox = BytesMut::new();
            }
        }
    }

    /// Lets the host send more at a time, if its reader keeps up. How much more.
    pub(super) fn widen(&mut self, budget: u32) -> u32 {
        let more = self.window.min(LARGEST_WINDOW - self.window);
        if more > budget {
            return 0;
        }
        self.window += more;
        self.consumed += more;
        more
    }

    /// The host opened it.
    pub(super) fn on_opened(&mut self, peer: u32, window: u32, max: u32) -> Result<(), Error> {
        if self.phase != Phase::Asked || max == 0 {
            return Err(Error::Protocol("channel was not to be opened so"));
        }
        self.phase = Phase::Open;
        (self.peer, self.send_window, self.send_max) = (peer, window, max.min(MAX_DATA));
        Ok(())
    }

    /// The host refused it.
    pub(super) fn on_refused(&mut self, text: String) -> Result<(), Error> {
        if self.phase != Phase::Asked {
            return Err(Error::Protocol("channel was not asked for"));
        }
        self.phase = Phase::Refused(text);
        Ok(())
    }

    /// Bytes came.
    pub(super) fn on_data(&mut self, data: &[u8]) -> Result<(), Error> {
        self.take_window(data.len())?;
        if !self.is_left {
            self.inbox.extend_from_slice(data);
        }
        Ok(())
    }

    /// So many bytes came that nobody wants.
    pub(super) fn on_extended(&mut self, len: u32) -> Result<(), Error> {
        self.take_window(len as usize)?;
        self.consumed = self.consumed.saturating_add(len);
        Ok(())
    }

    fn take_window(&mut self, len: usize) -> Result<(), Error> {
        let rest = u32::try_from(len).ok().and_then(|len| self.receive_window.checked_sub(len));
        self.receive_window = rest.ok_or(Error::Protocol("window exceeded"))?;
        if self.phase != Phase::Open || self.peer_eof {
            return Err(Error::Protocol("data outside of a channel's life"));
        }
        Ok(())
    }

    /// The host takes so many bytes more.
    pub(super) fn on_adjust(&mut self, more: u32) -> Result<(), Error> {
        // RFC 4254, section 5.2: the window may not exceed 2^32 - 1.
        self.send_window = self.send_window.checked_add(more).ok_or(Error::Malformed)?;
        Ok(())
    }

    pub(super) fn on_eof(&mut self) {
        self.peer_eof = true;
    }

    pub(super) fn on_close(&mut self) -> Result<(), Error> {
        if self.phase != Phase::Open {
            return Err(Error::Protocol("channel is not open"));
        }
        (self.peer_eof, self.peer_closed) = (true, true);
        Ok(())
    }

    /// Takes what came, at most `room` bytes. `None`: nothing is there, and more may come.
    pub(super) fn read(&mut self, room: usize, take: impl FnOnce(&[u8])) -> Option<()> {
        if self.inbox.is_empty() {
            return self.peer_eof.then(|| take(&[]));
        }
        let n = room.min(self.inbox.len());
        take(&self.inbox[..n]);
        self.inbox.advance(n);
        release(&mut self.inbox);
        self.consumed = self.consumed.saturating_add(u32::try_from(n).unwrap_or(u32::MAX));
        Some(())
    }

    /// Keeps bytes to be sent; how many. `None`: there is no room.
    pub(super) fn write(&mut self, data: &[u8]) -> Option<usize> {
        let n = data.len().min(OUTBOX - self.outbox.len().min(OUTBOX));
        if n == 0 && !data.is_empty() {
            return None;
        }
        self.outbox.extend_from_slice(&data[..n]);
        Some(n)
    }

    /// Whether nothing more can be written.
    pub(super) fn is_write_closed(&self) -> bool {
        self.peer_closed || self.wants_eof
    }

    /// The owner sends no more.
    pub(super) fn end(&mut self) {
        self.wants_eof = true;
    }

    /// The owner is gone.
    pub(super) fn leave(&mut self) {
        self.is_left = true;
        self.inbox = BytesMut::new();
        (self.reader, self.writer) = (None, None);
    }

    /// Whether nothing more can happen to it, and nobody wants to know.
    pub(super) fn is_finished(&self) -> bool {
        self.is_left
            && match self.phase {
                Phase::Wanted | Phase::Refused(_) => true,
                Phase::Asked => false,
                Phase::Open => self.sent_close && self.peer_closed,
            }
    }
}

/// Gives the storage of an empty buffer back.
fn release(buffer: &mut BytesMut) {
    if buffer.is_empty() {
        *buffer = BytesMut::new();
    }
}
