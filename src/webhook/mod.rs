//! People are told of what happens by webhooks, and it is recorded. Whoever has something to tell
//! calls [`Sender::tell`] and goes on; one task sends, tries again for an hour, and then gives up. What
//! is left when the sentinel stops is tried once more, and told by the log where that is in vain.

mod driver;
mod form;
mod outbox;

use std::sync::Arc;

use jiff::Timestamp;
use tokio::sync::{mpsc, watch};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use self::driver::Driver;
use crate::{
    audit::{self, Ledger, Notice},
    config::{Config, Topic},
    model::text::printable,
    web::Web,
};

/// Events that wait for the task to read them.
const QUEUE: usize = 256;

/// Longest subject and text, in characters.
const MAX_SUBJECT: usize = 100;
const MAX_TEXT: usize = 500;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// Somebody has to do something.
    Alarm,
    /// Something is wrong, and the sentinel sees to it.
    Warning,
    /// All is well.
    Info,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// What it is about.
    pub topic: Topic,
    /// What happened, for programs: `host.down`. Names stay as they are.
    pub name: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// To what it happened: a backend, a name in a certificate.
    pub subject: String,
    /// What happened, for people: one sentence.
    pub text: String,
    /// When.
    pub at: Timestamp,
}

impl Event {
    /// An event; what is not printable in its texts is escaped.
    #[must_use]
    pub fn new(
        topic: Topic,
        name: &'static str,
        severity: Severity,
        (subject, text): (&str, &str),
        at: Timestamp,
    ) -> Self {
        let (subject, text) = (printable(subject, MAX_SUBJECT), printable(text, MAX_TEXT));
        Self { topic, name, severity, subject, text, at }
    }
}

/// Takes events to be sent. Clones are the same.
#[derive(Clone)]
pub struct Sender {
    queue: mpsc::Sender<Event>,
    ledger: Ledger,
}

impl Sender {
    /// Records in `ledger` and sends to the webhooks of `config`, on `tasks` and until `stop`, and for
    /// 5 s more if something is left. Call it inside a runtime.
    #[must_use]
    pub fn start(
        config: watch::Receiver<Arc<Config>>,
        web: Web,
        ledger: Ledger,
        tasks: &TaskTracker,
        stop: CancellationToken,
    ) -> Self {
        let (queue, told) = mpsc::channel(QUEUE);
        let driver = Driver::new(config, web, told);
        tasks.spawn(driver.run(stop));
        Self { queue, ledger }
    }

    /// Records an event of which nobody is told.
    pub fn record(&self, event: Event) {
        let Event { topic, name, severity: _, subject, text, at: _ } = event;
        self.ledger.record(audit::Event::Notice(Notice { topic, name, subject, text }));
    }

    /// Records an event and has it sent. Never waits: with too many of them, this one is not sent.
    pub fn tell(&self, event: Event) {
        let name = event.name;
        self.record(event.clone());
        if self.queue.try_send(event).is_err() {
            tracing::warn!(event = name, "not told by webhook: too many events");
        }
    }
}

#[cfg(test)]
mod tests;
