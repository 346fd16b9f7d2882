//! All channels of a host's own connection, and whose turn it is. Its driver feeds it packets and
//! asks what to send; owners of streams read and write. Nobody waits in here.
//!
//! Each channel has a window of its own that is given back as its owner reads, so one that is not
//! read stops itself and nobody else. What is sent goes round: one packet of each that has some.

use std::{
    collections::{BTreeMap, VecDeque},
    io,
    task::{Context, Poll, Waker},
};

use tokio::io::ReadBuf;

use super::channel::{Channel, Due, FIRST_WINDOW, MAX_DATA, Phase};
use crate::{
    link::channel_message::{Incoming, Kind, about, open, prohibited},
    wire::{
        error::Error,
        message::{
            CHANNEL_CLOSE, CHANNEL_DATA, CHANNEL_EOF, CHANNEL_FAILURE, CHANNEL_WINDOW_ADJUST,
        },
        transport::Transport,
    },
};

/// Channels at a time: each session, jump and question is one.
pub(super) const MAX_CHANNELS: usize = 512;

/// What all channels together may hold of what the host sends beyond their first windows, in
/// bytes: 64 MiB for all first windows, and as much for those that are busy.
const BUDGET: u32 = 64 * 1024 * 1024;

/// What a host is told that wants to open something here.
const ONLY_FORWARD: &str = "the key of a node carries its tunnel and nothing else: use ssh -N -T";

/// All channels.
pub(super) struct Mux {
    /// What the host forwards: the address and the port that it named.
    forward: (String, u32),
    channels: BTreeMap<u32, Channel>,
    /// Those that may have something to send, each once.
    ready: VecDeque<u32>,
    next: u32,
    /// Bytes of windows beyond the first ones.
    widened: u32,
    /// The connection is over.
    is_over: bool,
    /// To be woken once the lock is released.
    woken: Vec<Waker>,
}

impl Mux {
    pub(super) fn new(forward: (String, u32)) -> Self {
        Self {
            forward,
            channels: BTreeMap::new(),
            ready: VecDeque::new(),
            next: 0,
            widened: 0,
            is_over: false,
            woken: Vec::new(),
        }
    }

    /// How many channels there are.
    pub(super) fn len(&self) -> usize {
        self.channels.len()
    }

    /// Those who have something new to look at: to be woken outside of any lock.
    pub(super) fn take_woken(&mut self) -> Vec<Waker> {
        std::mem::take(&mut self.woken)
    }

    /// Whether there may be something to send.
    pub(super) fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// Everything ends.
    pub(super) fn end(&mut self) {
        self.is_over = true;
        let all = self.channels.values_mut();
        self.woken.extend(all.flat_map(|c| [c.reader.take(), c.writer.take()]).flatten());
    }

    /// Wants one more channel; its number.
    pub(super) fn open(&mut self) -> io::Result<u32> {
        if self.is_over {
            return Err(lost());
        }
        if self.channels.len() >= MAX_CHANNELS {
            return Err(io::Error::other("its tunnel carries as many streams as it may"));
        }
        let mut id = self.next;
        while self.channels.contains_key(&id) {
            id = id.wrapping_add(1);
        }
        self.next = id.wrapping_add(1);
        self.channels.insert(id, Channel::new());
        self.touch(id);
        Ok(id)
    }

    /// Waits for the host's answer about a channel.
    pub(super) fn poll_open(&mut self, id: u32, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let is_over = self.is_over;
        let Some(channel) = self.channels.get_mut(&id) else { return Poll::Ready(Err(lost())) };
        match &channel.phase {
            Phase::Open => Poll::Ready(Ok(())),
            Phase::Refused(text) => {
                let text = format!("its host does not open the stream: {text}");
                Poll::Ready(Err(io::Error::new(io::ErrorKind::ConnectionRefused, text)))
            }
            Phase::Wanted | Phase::Asked if is_over => Poll::Ready(Err(lost())),
            Phase::Wanted | Phase::Asked => {
                channel.reader = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }

    /// Reads what came on a channel.
    pub(super) fn poll_read(
        &mut self,
        id: u32,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Some(channel) = self.channels.get_mut(&id) else { return Poll::Ready(Err(lost())) };
        let room = buf.remaining();
        if channel.read(room, |data| buf.put_slice(data)).is_some() {
            self.touch(id);
            return Poll::Ready(Ok(()));
        }
        if self.is_over {
            return Poll::Ready(Err(lost()));
        }
        channel.reader = Some(cx.waker().clone());
        Poll::Pending
    }

    /// Keeps bytes to be sent on a channel.
    pub(super) fn poll_write(
        &mut self,
        id: u32,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        let Some(channel) = self.channels.get_mut(&id) else { return Poll::Ready(Err(lost())) };
        if self.is_over || channel.is_write_closed() {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let Some(n) = channel.write(data) else {
            channel.writer = Some(cx.waker().clone());
            return Poll::Pending;
        };
        self.touch(id);
        Poll::Ready(Ok(n))
    }

    /// The owner of a channel sends no more.
    pub(super) fn end_writing(&mut self, id: u32) {
        if let Some(channel) = self.channels.get_mut(&id) {
            channel.end();
        }
        self.touch(id);
    }

    /// The owner of a channel is gone.
    pub(super) fn leave(&mut self, id: u32) {
        if let Some(channel) = self.channels.get_mut(&id) {
            channel.leave();
        }
        self.touch(id);
    }

    /// Takes a packet about channels; the answer that it wants, if it wants one.
    ///
    /// # Errors
    /// It breaks the protocol.
    pub(super) fn on_packet(&mut self, incoming: Incoming<'_>) -> Result<Option<Vec<u8>>, Error> {
        let id = match incoming {
            Incoming::Open(sender) => return Ok(Some(prohibited(sender, ONLY_FORWARD))),
            Incoming::Opened { channel, peer, window, max } => {
                self.channel(channel)?.on_opened(peer, window, max)?;
                channel
            }
            Incoming::Refused { channel, text } => {
                self.channel(channel)?.on_refused(text)?;
                channel
            }
            Incoming::Data { channel, data } => {
                self.channel(channel)?.on_data(data)?;
                channel
            }
            Incoming::Extended { channel, len } => {
                self.channel(channel)?.on_extended(len)?;
                channel
            }
            Incoming::Adjust { channel, more } => {
                self.channel(channel)?.on_adjust(more)?;
                self.touch(channel);
                return Ok(None);
            }
            Incoming::Eof(channel) => {
                self.channel(channel)?.on_eof();
                channel
            }
            Incoming::Close(channel) => {
                self.channel(channel)?.on_close()?;
                let writer = self.channel(channel)?.writer.take();
                self.woken.extend(writer);
                channel
            }
            Incoming::Request { channel, wants_reply } => {
                let peer = self.channel(channel)?.peer;
                return Ok(wants_reply.then(|| about(CHANNEL_FAILURE, peer, None)));
            }
            Incoming::Answer(_) | Incoming::Global { .. } | Incoming::Reply | Incoming::Unknown => {
                return Ok(None);
            }
        };
        let reader = self.channel(id)?.reader.take();
        self.woken.extend(reader);
        self.touch(id);
        Ok(None)
    }

    /// Sends one packet of the next channel that has some. `false`: none has.
    ///
    /// # Errors
    /// The transport does not take it, which its caller has to see to.
    pub(super) fn send_next(&mut self, transport: &mut Transport) -> Result<bool, Error> {
        while let Some(id) = self.ready.pop_front() {
            let Some(channel) = self.channels.get_mut(&id) else { continue };
            channel.is_queued = false;
            if matches!(channel.due(), Some(Due::Adjust(_))) {
                self.widened += channel.widen(BUDGET - self.widened);
            }
            let Some(due) = channel.due() else { continue };
            let peer = channel.peer;
            match due {
                Due::Open => {
                    let (name, port) = &self.forward;
                    let kind = Kind::Forwarded(name, *port);
                    transport.send(&[&open(id, (FIRST_WINDOW, MAX_DATA), kind)])?;
                }
                Due::Adjust(n) => {
                    transport.send(&[&about(CHANNEL_WINDOW_ADJUST, peer, Some(n))])?;
                }
                Due::Data(n) => {
                    let len = u32::try_from(n).unwrap_or(MAX_DATA);
                    let head = about(CHANNEL_DATA, peer, Some(len));
                    transport.send(&[&head, &channel.outbox[..n]])?;
                    self.woken.extend(channel.writer.take());
                }
                Due::Eof => transport.send(&[&about(CHANNEL_EOF, peer, None)])?,
                Due::Close => transport.send(&[&about(CHANNEL_CLOSE, peer, None)])?,
            }
            channel.sent(due);
            self.touch(id);
            return Ok(true);
        }
        Ok(false)
    }

    fn channel(&mut self, id: u32) -> Result<&mut Channel, Error> {
        self.channels.get_mut(&id).ok_or(Error::Protocol("message for an unknown channel"))
    }

    /// Queues a channel that has something to send, and forgets one that is over.
    fn touch(&mut self, id: u32) {
        let Some(channel) = self.channels.get_mut(&id) else { return };
        if channel.is_finished() {
            self.widened -= channel.window() - FIRST_WINDOW;
            self.channels.remove(&id);
        } else if channel.due().is_some() && !channel.is_queued {
            channel.is_queued = true;
            self.ready.push_back(id);
        }
    }
}

fn lost() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionAborted, "its tunnel was lost")
}
