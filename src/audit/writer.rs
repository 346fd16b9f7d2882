//! The one thread that writes. What it cannot write it keeps as long as there is room, and then
//! counts; once it can write again, a record says what is missing.

use std::{
    sync::{
        Arc,
        atomic::Ordering,
        mpsc::{Receiver, RecvTimeoutError},
    },
    time::{Duration, Instant},
};

use jiff::{SignedDuration, Timestamp};
use tokio::sync::oneshot;

use super::{Event, Gap, Kind, Message, Notice, Shared, damper::Damper, log::log};
use crate::{
    clock::{now, timestamp},
    config::Topic,
    model::text::printable,
    store::ledger::{Head, LedgerError, Line, Reader, Store, hexadecimal, put_aside},
};

/// Records in one transaction, at most, beyond those that were kept.
const BATCH: usize = 1000;

/// What is kept while nothing can be written, in bytes.
const MAX_KEPT: usize = 4 << 20;

/// What a line takes beyond its detail, in bytes, roughly.
const LINE: usize = 200;

/// How often it is tried to write, while that fails.
const RETRY: Duration = Duration::from_secs(1);

/// How often it is looked what may go, and the end of the chain is logged.
const PRUNE: Duration = Duration::from_secs(3600);

/// How many records go at once: what comes meanwhile waits for no more than these.
const STEP: i64 = 1000;

/// How often what was only counted is looked at.
const TURN: Duration = Duration::from_secs(30);

/// Longest reason shown, in characters.
const MAX_REASON: usize = 300;

type Retention = Box<dyn Fn() -> Duration + Send>;

pub(super) struct Writer {
    shared: Arc<Shared>,
    retention: Retention,
    store: Option<Store>,
    /// Not written yet, and their size.
    kept: Vec<Line>,
    kept_bytes: usize,
    /// Who waits for them.
    awaited: Vec<oneshot::Sender<Result<(), String>>>,
    /// Records for which there was no room.
    lost: u64,
    /// Since when nothing could be written, and why.
    failing: Option<(Timestamp, String)>,
    tried: Option<Instant>,
    prune_at: Instant,
    /// What anybody can make happen without end, each within limits of its own.
    refusals: Damper,
    bans: Damper,
}

impl Writer {
    pub(super) fn new(shared: Arc<Shared>, retention: Retention) -> Self {
        Self {
            shared,
            retention,
            store: None,
            kept: Vec::new(),
            kept_bytes: 0,
            awaited: Vec::new(),
            lost: 0,
            failing: None,
            tried: None,
            prune_at: now(),
            refusals: Damper::new(timestamp()),
            bans: Damper::new(timestamp()),
        }
    }

    /// Writes until it is told to close.
    pub(super) fn run(mut self, events: &Receiver<Message>) {
        self.flush();
        loop {
            let mut open = match events.recv_timeout(self.pause()) {
                Ok(message) => self.take(message),
                Err(RecvTimeoutError::Timeout) => true,
                Err(RecvTimeoutError::Disconnected) => false,
            };
            for message in events.try_iter().take(BATCH) {
                open &= self.take(message);
            }
            self.take_counted(!open);
            if self.is_due() || !open {
                self.flush();
            }
            if !open {
                return;
            }
            self.prune();
        }
    }

    fn pause(&self) -> Duration {
        if self.failing.is_some() {
            return RETRY;
        }
        self.prune_at.saturating_duration_since(now()).min(TURN)
    }

    /// Whether to try now: while nothing can be written, now and then, and for whoever waits.
    fn is_due(&self) -> bool {
        let is_time = self.tried.is_none_or(|at| now().saturating_duration_since(at) >= RETRY);
        self.failing.is_none() || is_time || !self.awaited.is_empty()
    }

    /// `false`: it is to end.
    fn take(&mut self, message: Message) -> bool {
        match message {
            Message::Event(event, at) => self.keep(&event, at),
            Message::Awaited(event, at, done) => {
                self.keep(&event, at);
                self.awaited.push(done);
            }
            Message::Close => return false,
        }
        true
    }

    fn keep(&mut self, event: &Event, at: Timestamp) {
        let is_written = if let Event::Refused(refusal) = event {
            refusal.login.is_some() && self.refusals.admit(at)
        } else if let Event::Notice(Notice { topic: Topic::Ban, .. }) = event {
            self.bans.admit(at)
        } else {
            true
        };
        if is_written {
            self.keep_line(event.line(at));
        }
    }

    fn keep_line(&mut self, line: Line) {
        let size = LINE + line.detail.len();
        if self.kept_bytes + size > MAX_KEPT {
            self.lost += 1;
            return;
        }
        self.kept_bytes += size;
        self.kept.push(line);
    }

    fn take_counted(&mut self, at_the_end: bool) {
        let now = timestamp();
        let refusals = (Kind::Refused, self.refusals.take(now, at_the_end));
        for (kind, held) in [refusals, (Kind::Ban, self.bans.take(now, at_the_end))] {
            let Some((count, since)) = held else { continue };
            let event = Event::More(kind, count, since);
            log(&event);
            self.keep_line(event.line(now));
        }
    }

    /// Writes what is kept, and what is missing.
    fn flush(&mut self) {
        self.lost += self.shared.dropped.swap(0, Ordering::Relaxed);
        self.tried = Some(now());
        let mut written = self.write();
        if let Err(LedgerError::Damaged(reason)) = &written {
            let reason = reason.clone();
            written = self.begin_anew(&reason).and_then(|()| self.write());
        }
        match written {
            Ok(()) => {
                for done in self.awaited.drain(..) {
                    // Nobody waits any more.
                    let _ = done.send(Ok(()));
                }
            }
            Err(error) => self.fail(&error),
        }
    }

    fn write(&mut self) -> Result<(), LedgerError> {
        if self.store.is_none() {
            self.store = Some(Store::open(&self.shared.path)?);
            // The descriptor of a reader stays open for the next one as long as this process writes:
            // it is taken now, and not with the first question.
            drop(Reader::open(&self.shared.path)?);
            self.log_head();
        }
        let Some(store) = &mut self.store else { return Ok(()) };
        let gap = match (&self.failing, self.lost) {
            (None, 0) => None,
            (failing, lost) => {
                let overrun = || (timestamp(), "too many events at once".to_owned());
                let (since, reason) = failing.clone().unwrap_or_else(overrun);
                Some(Event::Gap(Gap { since, lost, reason }))
            }
        };
        let gap_line = gap.as_ref().map(|gap| gap.line(timestamp()));
        let lines = self.kept.len();
        self.kept.extend(gap_line);
        if !self.kept.is_empty()
            && let Err(error) = store.append(&self.kept)
        {
            self.kept.truncate(lines);
            return Err(error);
        }
        let head = store.head();
        self.kept.clear();
        self.kept_bytes = 0;
        self.shared.head.send_replace(head.id);
        if let Some(gap) = gap {
            log(&gap);
            let lost = self.lost;
            self.shared.health.send_modify(|health| {
                health.lost += lost;
                health.problem = None;
            });
        }
        (self.lost, self.failing) = (0, None);
        Ok(())
    }

    /// Sets a damaged ledger aside, and begins another one that says so.
    fn begin_anew(&mut self, reason: &str) -> Result<(), LedgerError> {
        self.store = None;
        let aside = put_aside(&self.shared.path, timestamp())?;
        let event = Event::SetAside(aside.display().to_string(), reason.to_owned());
        log(&event);
        self.shared.health.send_modify(|health| health.aside = Some(aside));
        self.kept.insert(0, event.line(timestamp()));
        Ok(())
    }

    fn fail(&mut self, error: &LedgerError) {
        let reason = printable(&error.to_string(), MAX_REASON);
        if self.failing.is_none() {
            tracing::error!(%reason, "the ledger cannot be written");
            let since = timestamp();
            self.failing = Some((since, reason.clone()));
            let problem = (since, reason.clone());
            self.shared.health.send_modify(|health| health.problem = Some(problem));
        }
        for done in self.awaited.drain(..) {
            let _ = done.send(Err(reason.clone()));
        }
    }

    /// Lets go of some of the records that are too old, if it is time for that.
    fn prune(&mut self) {
        if now() < self.prune_at {
            return;
        }
        let Some(store) = self.store.as_mut().filter(|_| self.failing.is_none()) else { return };
        let retention = SignedDuration::try_from((self.retention)()).unwrap_or(SignedDuration::MAX);
        let at = timestamp();
        let before = at.checked_sub(retention).unwrap_or(Timestamp::MIN).as_microsecond();
        let pruned = store.prune(before, STEP, |anchor| {
            let event = Event::Pruned(anchor);
            log(&event);
            event.line(at)
        });
        match pruned {
            // There may be more: after what came meanwhile.
            Ok(STEP) => {
                self.shared.head.send_replace(store.head().id);
            }
            Ok(_) => {
                self.shared.head.send_replace(store.head().id);
                self.prune_at = now() + PRUNE;
                self.log_head();
            }
            Err(error) => {
                self.prune_at = now() + PRUNE;
                tracing::warn!(%error, "the ledger was not pruned");
            }
        }
    }

    /// A witness elsewhere: whoever replaces the ledger would have to change the log, too.
    fn log_head(&self) {
        if let Some(Head { id, hash }) = self.store.as_ref().map(Store::head) {
            tracing::info!(record = id, hash = hexadecimal(&hash), "ledger");
        }
    }
}
