//! A host's own connection, from its login to its end: one task reads, sends and asks whether the
//! host is still there.

use std::{
    future::poll_fn,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use tokio::time::{Sleep, sleep_until};

use super::{PORT, Reverse, mux::Mux, stream::Shared};
use crate::{
    clock::now,
    link::{
        channel_message::{Global, Incoming, keepalive, parse},
        connection::{Connection, ConnectionError},
    },
    model::name::BackendName,
    wire::{
        error::Error as WireError,
        message::{REQUEST_FAILURE, REQUEST_SUCCESS, Reason},
    },
};

/// How often a silent host is asked whether it is there. Its health is probed through the tunnel
/// more often than that; this lets go of a connection that nobody will end.
const KEEPALIVE: Duration = Duration::from_secs(5);

/// Questions without an answer, or anything else, after which the connection is given up.
const MAX_SILENCE: u32 = 3;

/// Why a host's connection ended.
#[derive(Debug, thiserror::Error)]
pub enum ReverseError {
    /// It ended, or the host broke the protocol.
    #[error(transparent)]
    Connection(#[from] ConnectionError),
    /// Nothing was heard of the host for a while.
    #[error("host is silent")]
    Silent,
    /// It wants to forward something else than its sshd.
    #[error("this key forwards with `-R {0}:{PORT}:HOST:PORT` and not otherwise")]
    OtherForward(BackendName),
    /// It forwards no more.
    #[error("host took its forward back")]
    Cancelled,
}

impl From<WireError> for ReverseError {
    fn from(error: WireError) -> Self {
        Self::Connection(error.into())
    }
}

/// The connection of a host that has logged in with its node key.
pub struct Node {
    connection: Connection,
    name: BackendName,
    streams: Streams,
    /// The host was told that its forward is taken.
    has_forward: bool,
    /// When the host is asked next, and how often it has not answered.
    next_question: Instant,
    silence: u32,
    timer: Pin<Box<Sleep>>,
}

impl Node {
    /// Takes over an authenticated connection of the host of backend `name`.
    #[must_use]
    pub fn new(connection: Connection, name: BackendName) -> Self {
        let mux = Mux::new((name.to_string(), PORT));
        let next_question = now() + KEEPALIVE;
        Self {
            connection,
            name,
            streams: Streams(Arc::new(Shared::new(mux))),
            has_forward: false,
            next_question,
            silence: 0,
            timer: Box::pin(sleep_until(next_question.into())),
        }
    }

    /// Waits until the host asks to forward its sshd, and takes that. The caller bounds the time.
    ///
    /// # Errors
    /// As [`ReverseError`] tells.
    pub async fn forwarded(&mut self) -> Result<Reverse, ReverseError> {
        poll_fn(|cx| match self.poll(cx) {
            Err(error) => Poll::Ready(Err(error)),
            Ok(()) if self.has_forward => Poll::Ready(Ok(())),
            Ok(()) => Poll::Pending,
        })
        .await?;
        Ok(Reverse { shared: Arc::clone(&self.streams.0) })
    }

    /// Carries streams until the connection ends, and tells why. Cancelling loses nothing.
    pub async fn run(&mut self) -> ReverseError {
        poll_fn(|cx| match self.poll(cx) {
            Err(error) => Poll::Ready(error),
            Ok(()) => Poll::Pending,
        })
        .await
    }

    /// Ends all streams, says goodbye and closes.
    pub async fn close(self, sentence: &str) {
        drop(self.streams);
        self.connection.close(Reason::ByApplication, sentence).await;
    }

    /// Moves what can be moved. `Ok`: everything waits for something.
    fn poll(&mut self, cx: &mut Context<'_>) -> Result<(), ReverseError> {
        self.streams.0.driver.register(cx.waker());
        loop {
            let mut progress = self.receive()?;
            progress |= self.send()?;
            if let Poll::Ready(Err(error)) = self.connection.poll_drain(cx) {
                return Err(ConnectionError::Io(error).into());
            }
            match self.connection.poll_fill(cx)? {
                Poll::Pending => {}
                Poll::Ready(0) => return Err(ConnectionError::Closed.into()),
                Poll::Ready(_) => progress = true,
            }
            let can_go_on = self.connection.can_take() && self.streams.0.mux().has_ready();
            if !progress && !can_go_on {
                return self.poll_timer(cx);
            }
        }
    }

    /// Works off the packets that are here; true if there were some.
    fn receive(&mut self) -> Result<bool, ReverseError> {
        let mut received = false;
        while self.connection.transport.next(now())?.is_some() {
            received = true;
            self.on_packet()?;
        }
        Ok(received)
    }

    fn on_packet(&mut self) -> Result<(), ReverseError> {
        let transport = &mut self.connection.transport;
        let incoming = parse(transport.packet().unwrap_or_default())?;
        let answer = if incoming == Incoming::Unknown {
            return Ok(transport.refuse()?);
        } else if let Incoming::Global { wants_reply, request } = incoming {
            let is_taken = match request {
                Global::Forward { address, port } => {
                    if address != self.name.as_str().as_bytes() || port != PORT {
                        return Err(ReverseError::OtherForward(self.name.clone()));
                    }
                    self.has_forward = true;
                    true
                }
                Global::Cancel => return Err(ReverseError::Cancelled),
                Global::Other => false,
            };
            let answer = if is_taken { REQUEST_SUCCESS } else { REQUEST_FAILURE };
            wants_reply.then(|| vec![answer])
        } else {
            self.streams.0.with(|mux| mux.on_packet(incoming))?
        };
        transport.consume();
        if let Some(answer) = answer {
            transport.answer(&answer)?;
        }
        Ok(())
    }

    /// Sends while the connection takes something; true if something was sent.
    fn send(&mut self) -> Result<bool, ReverseError> {
        let mut sent = false;
        while self.connection.can_take() {
            let transport = &mut self.connection.transport;
            if !self.streams.0.with(|mux| mux.send_next(transport))? {
                break;
            }
            sent = true;
        }
        // What comes meanwhile finds its place, so a key exchange cannot get stuck; one that nobody
        // answers would be the end.
        if self.silence == 0 {
            self.connection.transport.rekey_if_due(now())?;
        }
        Ok(sent)
    }

    /// Asks a host that is silent, and notices when a key exchange takes too long.
    fn poll_timer(&mut self, cx: &mut Context<'_>) -> Result<(), ReverseError> {
        loop {
            let transport = &self.connection.transport;
            let exchange = transport.in_exchange().then(|| transport.next_deadline());
            let deadline = exchange.map_or(self.next_question, |at| at.min(self.next_question));
            if self.timer.deadline().into_std() != deadline {
                self.timer.as_mut().reset(deadline.into());
            }
            if self.timer.as_mut().poll(cx).is_pending() {
                return Ok(());
            }
            let time = now();
            self.connection.transport.handle_timeout(time)?;
            if time >= self.next_question {
                self.ask(time)?;
                if let Poll::Ready(Err(error)) = self.connection.poll_drain(cx) {
                    return Err(ConnectionError::Io(error).into());
                }
            }
        }
    }

    fn ask(&mut self, time: Instant) -> Result<(), ReverseError> {
        self.next_question = time + KEEPALIVE;
        if std::mem::take(&mut self.connection.heard) {
            self.silence = 0;
            return Ok(());
        }
        self.silence += 1;
        if self.silence > MAX_SILENCE {
            return Err(ReverseError::Silent);
        }
        if self.connection.can_take() {
            self.connection.transport.send(&[&keepalive()])?;
        }
        Ok(())
    }
}

/// What all streams share; they end when this is dropped.
struct Streams(Arc<Shared>);

impl Drop for Streams {
    fn drop(&mut self) {
        self.0.with(Mux::end);
    }
}
