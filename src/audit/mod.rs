//! The ledger: what happened, one record for each decision and each session. Whoever decides something
//! builds an [`Event`] and calls [`Ledger::record`], which never waits; one thread writes. `app`
//! starts it, `door`, `command` and `webhook` tell it, the command `audit` reads it.

mod damper;
mod event;
mod files;
mod line;
mod log;
pub mod openssh;
#[cfg(test)]
mod tests;
mod writer;

use std::{
    io,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc::{SyncSender, TrySendError, sync_channel},
    },
    thread::JoinHandle,
    time::Duration,
};

use jiff::Timestamp;
use tokio::{
    sync::{Semaphore, oneshot, watch},
    time::timeout,
};

pub use self::{
    event::{
        Actor, Channel, Chosen, Command, Ended, EndedBy, Event, Gap, Kind, Notice, Refusal, Reload,
        Visit,
    },
    files::{Action, File, Files, Outcome},
};
use crate::{
    clock::timestamp,
    store::ledger::{LedgerError, Reader},
};

/// Events that wait for the thread that writes: what comes while a slow disk takes a batch.
const QUEUE: usize = 8192;

/// How long a login waits for its record to be written, where it has to be.
const PATIENCE: Duration = Duration::from_secs(10);

/// Whether records are written, and what was not.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Health {
    /// Since when nothing can be written, and why.
    pub problem: Option<(Timestamp, String)>,
    /// Records that were lost since the sentinel's start.
    pub lost: u64,
    /// The file of an earlier ledger that was damaged, and set aside since the sentinel's start.
    pub aside: Option<PathBuf>,
}

/// Takes events to be recorded. Clones are the same.
#[derive(Clone)]
pub struct Ledger(Option<Arc<Shared>>);

struct Shared {
    queue: SyncSender<Message>,
    /// Events that found the queue full, and are not accounted for in the ledger yet.
    dropped: AtomicU64,
    health: watch::Sender<Health>,
    /// The number of the last record that is written.
    head: watch::Sender<i64>,
    path: PathBuf,
    /// Held by whoever reads: `SQLite` keeps the descriptor of each that reads beside another.
    reading: Arc<Semaphore>,
}

/// Why nothing was read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The ledger is kept nowhere.
    #[error("no ledger is kept here")]
    None,
    /// The file cannot be read.
    #[error("{0}")]
    Ledger(#[from] LedgerError),
    /// The query panicked, or the sentinel ends.
    #[error("read the ledger: the query did not end")]
    Ended,
}

enum Message {
    Event(Box<Event>, Timestamp),
    /// The same, for somebody who waits until it is written.
    Awaited(Box<Event>, Timestamp, oneshot::Sender<Result<(), String>>),
    Close,
}

/// Owns the thread that writes.
pub struct Writer {
    ledger: Arc<Shared>,
    thread: JoinHandle<()>,
}

impl Ledger {
    /// A ledger that is kept nowhere: events are logged.
    #[must_use]
    pub fn unkept() -> Self {
        Self(None)
    }

    /// Opens the ledger at `path`, or begins one there. Records are kept for `retention`, which is
    /// asked for again and again.
    ///
    /// # Errors
    /// No thread can be started. What is wrong with the file is told by [`Self::health`].
    pub fn start(
        path: PathBuf,
        retention: impl Fn() -> Duration + Send + 'static,
    ) -> io::Result<(Self, Writer)> {
        let (queue, events) = sync_channel(QUEUE);
        let shared = Arc::new(Shared {
            queue,
            dropped: AtomicU64::new(0),
            health: watch::channel(Health::default()).0,
            head: watch::channel(0).0,
            path,
            reading: Arc::new(Semaphore::new(1)),
        });
        let writer = writer::Writer::new(Arc::clone(&shared), Box::new(retention));
        let thread = std::thread::Builder::new().name("ledger".to_owned());
        let thread = thread.spawn(move || writer.run(&events))?;
        Ok((Self(Some(Arc::clone(&shared))), Writer { ledger: shared, thread }))
    }

    /// Logs an event and has it written. Never waits: one that finds too many others before it is
    /// counted, and the ledger says so.
    pub fn record(&self, event: Event) {
        log::log(&event);
        let Some(shared) = &self.0 else { return };
        shared.put(Message::Event(Box::new(event), timestamp()));
    }

    /// Logs an event and waits until it is written.
    ///
    /// # Errors
    /// It cannot be written now, and why.
    pub async fn insist(&self, event: Event) -> Result<(), String> {
        log::log(&event);
        let Some(shared) = &self.0 else { return Ok(()) };
        let (done, written) = oneshot::channel();
        shared.put(Message::Awaited(Box::new(event), timestamp(), done));
        match timeout(PATIENCE, written).await {
            Ok(Ok(written)) => written,
            Ok(Err(_)) => Err("the ledger takes no more records".to_owned()),
            Err(_) => Err("the ledger takes too long".to_owned()),
        }
    }

    /// Whether records are written, and what was not.
    #[must_use]
    pub fn health(&self) -> Health {
        self.0.as_ref().map(|shared| shared.health.borrow().clone()).unwrap_or_default()
    }

    /// The number of the last record that is written, now and later.
    #[must_use]
    pub fn head(&self) -> watch::Receiver<i64> {
        match &self.0 {
            Some(shared) => shared.head.subscribe(),
            None => watch::channel(0).1,
        }
    }

    /// Reads the file, off the threads that everybody shares: one query after another. Holds up no
    /// writing.
    ///
    /// # Errors
    /// There is none, or it cannot be read.
    pub async fn read<T: Send + 'static>(
        &self,
        query: impl FnOnce(&Reader) -> Result<T, LedgerError> + Send + 'static,
    ) -> Result<T, ReadError> {
        let shared = Arc::clone(self.0.as_ref().ok_or(ReadError::None)?);
        let turn = Arc::clone(&shared.reading).acquire_owned().await;
        let turn = turn.map_err(|_| ReadError::Ended)?;
        let read = tokio::task::spawn_blocking(move || {
            let read = Reader::open(&shared.path).and_then(|reader| query(&reader));
            drop(turn);
            read
        });
        Ok(read.await.map_err(|_| ReadError::Ended)??)
    }
}

impl Shared {
    fn put(&self, message: Message) {
        match self.queue.try_send(message) {
            Ok(()) => {}
            Err(TrySendError::Full(_)) => {
                self.dropped.fetch_add(1, Ordering::Relaxed);
            }
            Err(TrySendError::Disconnected(_)) => {
                self.health.send_if_modified(|health| {
                    health.lost += 1;
                    let gone = || (timestamp(), "the thread that writes it is gone".to_owned());
                    health.problem.get_or_insert_with(gone);
                    true
                });
            }
        }
    }
}

impl Writer {
    /// Writes what waits, and ends. Blocks.
    pub fn close(self) {
        // It cannot fail but when the thread is gone.
        let _ = self.ledger.queue.send(Message::Close);
        if self.thread.join().is_err() {
            tracing::error!("the ledger's thread panicked");
        }
    }
}
