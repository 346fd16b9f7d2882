//! Copies decrypted packets between two transports until either ends.
//!
//! One task owns both sides. A side is read only while its packets have somewhere to go, so a slow
//! reader costs one buffer and stops its sender by TCP and by SSH windows, end to end.
//!
//! The rule that does not deadlock: read side x unless x holds a packet, or x is not in key
//! exchange and the other side cannot take more. A side in key exchange is always read, because
//! its NEWKEYS must come through whatever the other side does. We start a key exchange ourselves
//! only while neither side is in one and nothing waits, and only with a side that was just heard:
//! a client that is suspended could not answer in time, and nothing needs new keys meanwhile.

#[cfg(test)]
mod tests;

use std::{
    future::poll_fn,
    pin::Pin,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use tokio::time::{Sleep, sleep_until};

use super::{
    intercept::{Intercept, Verdict},
    observe::Observed,
    unknown::Unknown,
};
use crate::{
    clock::now,
    link::connection::{Connection, ConnectionError},
    recording::Tap,
    wire::{
        error::Error as WireError,
        transport::{OUTPUT_MARK, Transport},
    },
};

/// How often a side that is not read is looked at for its death.
const WATCH: Duration = Duration::from_secs(5);

/// When the timer fires while there is nothing to watch: never, in the life of a session.
const NEVER: Duration = Duration::from_secs(365 * 86_400);

/// Which side of a pipe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The person.
    Client,
    /// The container.
    Upstream,
}

/// Which side ended a pipe, and how.
#[derive(Debug)]
pub struct Ended {
    /// The side.
    pub by: End,
    /// How.
    pub how: ConnectionError,
}

/// Two transports and what is between them.
pub struct Pipe {
    /// The person's side.
    pub client: Connection,
    /// The container's side.
    pub upstream: Connection,
    /// What does not pass as it is.
    pub intercept: Intercept,
    /// What passed.
    pub observed: Observed,
    /// What is recorded and watched of it.
    pub tap: Tap,
}

impl Pipe {
    /// Copies until a side ends. Cancelling loses nothing; it can be called again.
    pub async fn run(&mut self) -> Ended {
        let mut timer = Box::pin(sleep_until((now() + WATCH).into()));
        poll_fn(|cx| self.poll(cx, &mut timer)).await
    }

    fn poll(&mut self, cx: &mut Context<'_>, timer: &mut Pin<Box<Sleep>>) -> Poll<Ended> {
        match self.poll_copy(cx).and_then(|()| self.poll_timer(cx, timer)) {
            Ok(()) => Poll::Pending,
            Err(ended) => Poll::Ready(ended),
        }
    }

    /// Moves what can be moved. `Ok`: both sides wait for something.
    fn poll_copy(&mut self, cx: &mut Context<'_>) -> Result<(), Ended> {
        loop {
            self.pump(End::Client)?;
            self.pump(End::Upstream)?;
            self.speak()?;
            self.rekey()?;
            let mut progress = self.drain(End::Client, cx)?;
            progress |= self.drain(End::Upstream, cx)?;
            progress |= self.fill(End::Client, cx)?;
            progress |= self.fill(End::Upstream, cx)?;
            if !progress {
                return Ok(());
            }
        }
    }

    /// Passes packets on from one side while the other takes them.
    fn pump(&mut self, from: End) -> Result<(), Ended> {
        let Self { client, upstream, intercept, observed, tap } = self;
        let (source, sink, other) = match from {
            End::Client => (client, upstream, End::Upstream),
            End::Upstream => (upstream, client, End::Client),
        };
        loop {
            let arrived = source.transport.next(now()).map(drop);
            arrived
                .and_then(|()| pass_refusals(source, sink, intercept.unknown(other)))
                .map_err(|e| Ended { by: from, how: e.into() })?;
            let packet = match source.transport.packet() {
                Some(packet) if sink.can_take() => packet,
                Some(_) | None => return Ok(()),
            };
            let verdict = match from {
                End::Client => {
                    observed.from_client(packet);
                    tap.from_client(packet);
                    intercept.from_client(packet)
                }
                End::Upstream => {
                    observed.from_upstream(packet);
                    tap.from_upstream(packet);
                    intercept.from_upstream(packet)
                }
            };
            let message = packet.first().copied().unwrap_or_default();
            let (sent, passed) = match verdict {
                Ok(Verdict::Forward) => (sink.transport.send(&[packet]), true),
                Ok(Verdict::Replace(other)) => (sink.transport.send(&[&other]), false),
                Ok(Verdict::Drop) => (Ok(()), false),
                Err(e) => return Err(Ended { by: from, how: e.into() }),
            };
            // Whoever sent what does not fit the other connection ends its own.
            sent.map_err(|e| Ended { by: from, how: e.into() })?;
            if let (true, Some(number)) = (passed, source.transport.packet_number()) {
                intercept.unknown(from).pass(message, number, sink.transport.sent_number());
            }
            source.transport.consume();
        }
    }

    /// Sends what is ours: lines for terminals, and what is kept back of windows for them.
    fn speak(&mut self) -> Result<(), Ended> {
        let Self { client, upstream, intercept, tap, .. } = self;
        let Some(reserve) = intercept.reserve() else { return Ok(()) };
        for (near, line) in tap.lines() {
            reserve.say(near, &line);
        }
        if !reserve.is_due() {
            return Ok(());
        }
        for (side, by) in [(&mut *client, End::Client), (&mut *upstream, End::Upstream)] {
            while side.can_take() {
                let packet = match by {
                    End::Client => reserve.next_for_client(),
                    End::Upstream => reserve.next_for_upstream(),
                };
                let Some(packet) = packet else { break };
                side.transport.send(&[&packet]).map_err(|e| Ended { by, how: e.into() })?;
            }
        }
        if client.can_take() && upstream.can_take() {
            reserve.settled();
        }
        Ok(())
    }

    fn rekey(&mut self) -> Result<(), Ended> {
        let quiet = |c: &Connection| c.transport.is_open() && c.transport.packet().is_none();
        for end in [End::Client, End::Upstream] {
            if quiet(&self.client)
                && quiet(&self.upstream)
                && self.other(end).can_take()
                && std::mem::take(&mut self.side(end).heard)
            {
                let started = self.side(end).transport.rekey_if_due(now());
                started.map_err(|e| Ended { by: end, how: e.into() })?;
            }
        }
        Ok(())
    }

    /// Writes a side's output; true if that made room for a packet that waits.
    fn drain(&mut self, end: End, cx: &mut Context<'_>) -> Result<bool, Ended> {
        let side = self.side(end);
        let was_full = side.transport.output.len() >= OUTPUT_MARK;
        match side.poll_drain(cx) {
            Poll::Ready(Err(e)) => Err(Ended { by: end, how: ConnectionError::Io(e) }),
            Poll::Ready(Ok(())) | Poll::Pending => {
                Ok(was_full && side.transport.output.len() < OUTPUT_MARK)
            }
        }
    }

    /// Reads a side if the rule allows; true if something came.
    fn fill(&mut self, end: End, cx: &mut Context<'_>) -> Result<bool, Ended> {
        if !self.may_read(end) {
            return Ok(false);
        }
        match self.side(end).poll_fill(cx) {
            Poll::Pending => Ok(false),
            Poll::Ready(Ok(0)) => self.on_closed(end),
            Poll::Ready(Ok(_)) => Ok(true),
            Poll::Ready(Err(how)) => Err(Ended { by: end, how }),
        }
    }

    /// A side's last byte was read, and all its packets were passed on.
    fn on_closed(&mut self, end: End) -> Result<bool, Ended> {
        // The container's last words first go out to a client that may be slow to take them.
        if self.other(end).transport.output.is_empty() || end == End::Client {
            return Err(Ended { by: end, how: ConnectionError::Closed });
        }
        Ok(false)
    }

    fn may_read(&mut self, end: End) -> bool {
        let takes = self.other(end).can_take();
        let transport = &self.side(end).transport;
        transport.packet().is_none() && (transport.in_exchange() || takes)
    }

    /// Watches deadlines, and sides that are not read.
    fn poll_timer(
        &mut self,
        cx: &mut Context<'_>,
        timer: &mut Pin<Box<Sleep>>,
    ) -> Result<(), Ended> {
        let deadline = self.deadline();
        let set = timer.deadline().into_std();
        // A timer that fires early does no harm; one that would fire late must move.
        if deadline < set || timer.is_elapsed() {
            timer.as_mut().reset(deadline.into());
        }
        while timer.as_mut().poll(cx).is_ready() {
            self.on_time(now())?;
            // Key exchanges may have started: their packets must go out.
            self.rekey()?;
            self.drain(End::Client, cx)?;
            self.drain(End::Upstream, cx)?;
            let next = self.deadline().max(now() + Duration::from_millis(100));
            timer.as_mut().reset(next.into());
        }
        Ok(())
    }

    fn deadline(&mut self) -> Instant {
        let unread = !self.may_read(End::Client) || !self.may_read(End::Upstream);
        let latest = now() + if unread { WATCH } else { NEVER };
        let sides = [&self.client.transport, &self.upstream.transport];
        // Only a key exchange has a deadline: that keys are old is noticed when they are used.
        let exchanges = sides.into_iter().filter(|t| t.in_exchange()).map(Transport::next_deadline);
        exchanges.fold(latest, Instant::min)
    }

    fn on_time(&mut self, time: Instant) -> Result<(), Ended> {
        for end in [End::Client, End::Upstream] {
            let read = self.may_read(end);
            let side = self.side(end);
            if !read {
                if side.socket.is_dead() {
                    return Err(Ended { by: end, how: ConnectionError::Closed });
                }
                // Its answer may wait behind packets that the other side does not take.
                side.transport.defer_timeout(time);
            }
            side.transport
                .handle_timeout(time)
                .map_err(|e: WireError| Ended { by: end, how: e.into() })?;
        }
        Ok(())
    }

    fn side(&mut self, end: End) -> &mut Connection {
        match end {
            End::Client => &mut self.client,
            End::Upstream => &mut self.upstream,
        }
    }

    fn other(&mut self, end: End) -> &mut Connection {
        match end {
            End::Client => &mut self.upstream,
            End::Upstream => &mut self.client,
        }
    }
}

/// Tells `sender` what `refuser` refused of what came from it, before anything that follows.
fn pass_refusals(
    refuser: &mut Connection,
    sender: &mut Connection,
    passed: &mut Unknown,
) -> Result<(), WireError> {
    while let Some(number) = refuser.transport.next_refusal() {
        if let Some(refusal) = passed.refuse(number) {
            sender.transport.answer(&refusal)?;
        }
    }
    Ok(())
}
