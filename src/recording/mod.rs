//! Recordings of terminals, as asciicast v2 files, and those who watch them live. `door` holds a [`Tap`]
//! for each session on a container and shows it the packets; one thread writes. A session never waits for the disk: what
//! finds the queue full is left out, and the recording says how much. Neither recorded nor watched is what has no
//! terminal: commands, `sftp`, `scp`, forwards.

pub mod cast;
pub mod folder;
mod tap;
mod terminals;
#[cfg(test)]
mod tests;
pub mod watch;
mod writer;

use std::{
    io,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
        mpsc,
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use tokio::{
    sync::{oneshot, watch::Sender},
    time::timeout,
};

pub use self::tap::{Facts, Tap};
use self::{cast::Code, folder::Name, terminals::Shape};
use crate::config::Record;

/// Bytes that may wait for the thread that writes, of all sessions: some seconds of a terminal that
/// is flooded, for a disk that stalls.
const MAX_WAITING: usize = 16 << 20;

/// What a message takes beside its bytes, in bytes.
const OVERHEAD: usize = 128;

/// How long a login waits for a word about the disk, where it has to be recorded.
const PATIENCE: Duration = Duration::from_secs(10);

/// Whether recordings are written, and what was not.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Health {
    /// Since when none can be written, and what was wrong the last time.
    pub problem: Option<(Timestamp, String)>,
    /// Recordings that were not begun, or have a part missing, since the sentinel's start.
    pub broken: u64,
}

/// Begins recordings. Clones are the same.
#[derive(Clone)]
pub struct Recorder(Option<Arc<Shared>>);

struct Shared {
    queue: mpsc::Sender<Message>,
    waiting: AtomicUsize,
    next: AtomicU64,
    health: Sender<Health>,
}

/// The head of a recording.
#[derive(Debug)]
struct Opening {
    name: Name,
    facts: Arc<Facts>,
    shape: Shape,
}

#[derive(Debug)]
enum Message {
    Begin(u64, Box<Opening>),
    Add(u64, Duration, Code, Box<[u8]>),
    /// So many bytes found no room.
    Gap(u64, Duration, u64),
    End(u64, Duration),
    /// Can a recording be written?
    Probe(oneshot::Sender<Result<(), String>>),
    Close,
}

/// One terminal that is recorded, until this goes.
#[derive(Debug)]
struct Recording {
    shared: Arc<Shared>,
    key: u64,
    began: Instant,
    last: Duration,
    /// Bytes that found no room since the last that did.
    lost: u64,
}

/// Owns the thread that writes.
pub struct Writer {
    shared: Arc<Shared>,
    thread: JoinHandle<()>,
}

impl Recorder {
    /// One that records nothing.
    #[must_use]
    pub fn none() -> Self {
        Self(None)
    }

    /// Starts the thread that writes into `folder`, which is made when the first recording is. The
    /// configuration is asked for again and again.
    ///
    /// # Errors
    /// No thread can be started.
    pub fn start(
        folder: PathBuf,
        config: impl Fn() -> Record + Send + 'static,
    ) -> io::Result<(Self, Writer)> {
        let (recorder, messages) = Self::pair();
        let shared = Arc::clone(&recorder);
        let writer = writer::Files::new(folder, Box::new(config), Arc::clone(&recorder));
        let thread = std::thread::Builder::new().name("recordings".to_owned());
        let thread = thread.spawn(move || writer.run(&messages))?;
        Ok((Self(Some(recorder)), Writer { shared, thread }))
    }

    /// Whether recordings are written, and what was not.
    #[must_use]
    pub fn health(&self) -> Health {
        self.0.as_ref().map(|shared| shared.health.borrow().clone()).unwrap_or_default()
    }

    fn pair() -> (Arc<Shared>, mpsc::Receiver<Message>) {
        let (queue, messages) = mpsc::channel();
        let (waiting, next) = (AtomicUsize::new(0), AtomicU64::new(0));
        let health = Sender::default();
        (Arc::new(Shared { queue, waiting, next, health }), messages)
    }

    /// Whether a recording could be begun now.
    ///
    /// # Errors
    /// It could not, and why.
    pub async fn ready(&self) -> Result<(), String> {
        let Some(shared) = &self.0 else { return Ok(()) };
        let (asked, answer) = oneshot::channel();
        if shared.queue.send(Message::Probe(asked)).is_err() {
            return Err("the thread that writes recordings is gone".to_owned());
        }
        match timeout(PATIENCE, answer).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err("no recordings are written any more".to_owned()),
            Err(_) => Err("the disk of the recordings takes too long".to_owned()),
        }
    }

    fn begin(&self, opening: Opening, now: Instant) -> Option<Recording> {
        let shared = self.0.as_ref()?;
        let key = shared.next.fetch_add(1, Ordering::Relaxed);
        if !shared.reserve(OVERHEAD) {
            shared.broke();
            return None;
        }
        shared.send(Message::Begin(key, Box::new(opening)));
        let shared = Arc::clone(shared);
        Some(Recording { shared, key, began: now, last: Duration::ZERO, lost: 0 })
    }
}

impl Shared {
    /// Takes room in the queue for this many bytes, if there is as much.
    fn reserve(&self, bytes: usize) -> bool {
        let before = self.waiting.fetch_add(bytes, Ordering::Relaxed);
        let has_room = before.saturating_add(bytes) <= MAX_WAITING;
        if !has_room {
            self.taken(bytes);
        }
        has_room
    }

    /// Puts a message into the queue, for which there is room.
    fn send(&self, message: Message) {
        let bytes = message.bytes();
        if self.queue.send(message).is_err() {
            // Nobody writes any more.
            self.taken(bytes);
        }
    }

    /// A recording was not begun, or a part of it is missing.
    fn broke(&self) {
        self.health.send_modify(|health| health.broken += 1);
    }

    /// So many bytes wait no more.
    fn taken(&self, bytes: usize) {
        self.waiting.fetch_sub(bytes, Ordering::Relaxed);
    }
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("waiting", &self.waiting).finish_non_exhaustive()
    }
}

impl Message {
    /// What it took of the queue's room, in bytes.
    fn bytes(&self) -> usize {
        match self {
            Self::Begin(..) | Self::Gap(..) => OVERHEAD,
            Self::Add(_, _, _, bytes) => OVERHEAD + bytes.len(),
            // One for each recording, whatever waits.
            Self::End(..) | Self::Probe(_) | Self::Close => 0,
        }
    }
}

impl Recording {
    /// Adds what was shown or typed at `now`; never waits.
    fn add(&mut self, now: Instant, code: Code, bytes: &[u8]) {
        let (key, at, lost) = (self.key, now.saturating_duration_since(self.began), self.lost);
        self.last = at;
        let gap = if lost > 0 { OVERHEAD } else { 0 };
        if !self.shared.reserve(gap + OVERHEAD + bytes.len()) {
            self.lost += bytes.len() as u64;
            return;
        }
        if lost > 0 {
            self.shared.send(Message::Gap(key, at, lost));
            self.lost = 0;
        }
        self.shared.send(Message::Add(key, at, code, bytes.into()));
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        if self.lost > 0 {
            // One for each recording, whatever waits.
            self.shared.waiting.fetch_add(OVERHEAD, Ordering::Relaxed);
            self.shared.send(Message::Gap(self.key, self.last, self.lost));
        }
        self.shared.send(Message::End(self.key, self.last));
    }
}

impl Writer {
    /// Writes what waits, and ends. Blocks.
    pub fn close(self) {
        let _ = self.shared.queue.send(Message::Close);
        if self.thread.join().is_err() {
            tracing::error!("the recordings' thread panicked");
        }
    }
}
