//! What a session shows on its terminals, led to the recordings of it and to those who watch. The pipe
//! of the session holds it; it never waits. While nobody watches and nothing is recorded, data passes
//! it unread.

use std::{net::IpAddr, sync::Arc};

use serde::Serialize;

use super::{
    Opening, Recorder, Recording,
    cast::Code,
    folder::Name,
    terminals::{Seen, Terminals},
    watch::{Audience, Watcher},
};
use crate::{clock, wire::message};

/// What a recording is of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Facts {
    /// Number of the session.
    pub session: u64,
    /// Who: printable.
    pub person: String,
    /// From where.
    pub source: IpAddr,
    /// Where to: printable.
    pub target: String,
}

/// The terminals of one session; of one that nobody may watch, nothing.
#[derive(Default)]
pub struct Tap(Option<Box<Inner>>);

#[derive(Default)]
struct Inner {
    terminals: Terminals,
    recorded: Option<Sinks>,
    audience: Audience,
}

struct Sinks {
    facts: Arc<Facts>,
    recorder: Recorder,
    /// What is typed is recorded, too.
    input: bool,
    recordings: Vec<(u32, Recording)>,
}

impl Tap {
    /// For a session that is not recorded, and may be watched.
    #[must_use]
    pub fn unrecorded() -> Self {
        Self(Some(Box::default()))
    }

    /// Records the terminals of this session.
    #[must_use]
    pub fn new(facts: Facts, recorder: Recorder, input: bool) -> Self {
        let sinks = Sinks { facts: Arc::new(facts), recorder, input, recordings: Vec::new() };
        Self(Some(Box::new(Inner { recorded: Some(sinks), ..Inner::default() })))
    }

    /// Whether the session may be watched.
    #[must_use]
    pub fn is_there(&self) -> bool {
        self.0.is_some()
    }

    /// Lines for terminals of the session, each with the client's number of its channel: who watches.
    pub fn lines(&mut self) -> Vec<(u32, String)> {
        self.0.as_deref_mut().map(|inner| inner.audience.lines()).unwrap_or_default()
    }

    /// A packet from the client passes.
    pub fn from_client(&mut self, packet: &[u8]) {
        if let Some(inner) = self.0.as_deref_mut().filter(|inner| inner.wants(packet)) {
            let Inner { terminals, recorded, audience } = inner;
            terminals.client_sent(packet, |n, seen| tell(recorded, audience, n, seen));
            inner.settle(packet);
        }
    }

    /// A packet from the container passes.
    pub fn from_upstream(&mut self, packet: &[u8]) {
        if let Some(inner) = self.0.as_deref_mut().filter(|inner| inner.wants(packet)) {
            let Inner { terminals, recorded, audience } = inner;
            terminals.upstream_sent(packet, |n, seen| tell(recorded, audience, n, seen));
            inner.settle(packet);
        }
    }

    /// Lets these watch, and those go who do not any more.
    pub fn join(&mut self, new: Vec<Watcher>) {
        if let Some(Inner { terminals, audience, .. }) = self.0.as_deref_mut() {
            audience.join(new);
            audience.settle(clock::now(), terminals);
        }
    }
}

impl Inner {
    /// Whether somebody looks at this packet.
    fn wants(&self, packet: &[u8]) -> bool {
        self.recorded.is_some() || !self.audience.is_empty() || !is_data(packet)
    }

    /// After a packet: terminals may have begun or ended, and watchers gone.
    fn settle(&mut self, packet: &[u8]) {
        let Self { terminals, audience, .. } = self;
        if audience.has_left() || !audience.is_empty() && !is_data(packet) {
            audience.settle(clock::now(), terminals);
        }
    }
}

fn is_data(packet: &[u8]) -> bool {
    matches!(packet.first(), Some(&(message::CHANNEL_DATA | message::CHANNEL_EXTENDED_DATA)))
}

fn tell(recorded: &mut Option<Sinks>, audience: &mut Audience, number: u32, seen: Seen<'_>) {
    if !audience.is_empty() {
        audience.on(clock::now(), number, &seen);
    }
    if let Some(sinks) = recorded {
        sinks.on(number, seen);
    }
}

impl Sinks {
    fn on(&mut self, number: u32, seen: Seen<'_>) {
        let now = clock::now();
        let mut add = |code, bytes: &[u8]| {
            let of_it = self.recordings.iter_mut().find(|(n, _)| *n == number);
            if let Some((_, recording)) = of_it {
                recording.add(now, code, bytes);
            }
        };
        match seen {
            Seen::Output(bytes) => add(Code::Output, bytes),
            Seen::Input(bytes) if self.input => add(Code::Input, bytes),
            Seen::Input(_) => {}
            Seen::Resized((columns, rows)) => {
                add(Code::Resized, format!("{columns}x{rows}").as_bytes());
            }
            Seen::Ended => self.recordings.retain(|(n, _)| *n != number),
            Seen::Began(shape) => {
                let session = self.facts.session;
                let name = Name::new(clock::timestamp(), session, number);
                let opening = Opening { name, facts: Arc::clone(&self.facts), shape };
                match self.recorder.begin(opening, now) {
                    Some(recording) => self.recordings.push((number, recording)),
                    None => {
                        tracing::warn!(session, terminal = number, "not recorded: too much waits");
                    }
                }
            }
        }
    }
}
