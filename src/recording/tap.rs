//! What a session shows on its terminals, led to the recordings of it. The pipe of the session holds
//! it; it never waits.

use std::{net::IpAddr, sync::Arc};

use serde::Serialize;

use super::{
    Opening, Recorder, Recording,
    cast::Code,
    folder::Name,
    terminals::{Seen, Terminals},
};
use crate::clock;

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

/// The terminals of one session; of one that is not recorded, nothing.
#[derive(Default)]
pub struct Tap(Option<Box<Inner>>);

struct Inner {
    terminals: Terminals,
    sinks: Sinks,
}

struct Sinks {
    facts: Arc<Facts>,
    recorder: Recorder,
    /// What is typed is recorded, too.
    input: bool,
    recordings: Vec<(u32, Recording)>,
}

impl Tap {
    /// Records the terminals of this session.
    #[must_use]
    pub fn new(facts: Facts, recorder: Recorder, input: bool) -> Self {
        let sinks = Sinks { facts: Arc::new(facts), recorder, input, recordings: Vec::new() };
        Self(Some(Box::new(Inner { terminals: Terminals::default(), sinks })))
    }

    /// A packet from the client passes.
    pub fn from_client(&mut self, packet: &[u8]) {
        if let Some(Inner { terminals, sinks }) = self.0.as_deref_mut() {
            terminals.client_sent(packet, |number, seen| sinks.on(number, seen));
        }
    }

    /// A packet from the container passes.
    pub fn from_upstream(&mut self, packet: &[u8]) {
        if let Some(Inner { terminals, sinks }) = self.0.as_deref_mut() {
            terminals.upstream_sent(packet, |number, seen| sinks.on(number, seen));
        }
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
