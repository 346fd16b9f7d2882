//! Work on a container that takes a while: it goes on when whoever asked for it is gone, there is
//! one at a time for each container, and what it did can be read afterwards.

use std::{
    collections::{BTreeMap, VecDeque},
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use jiff::Timestamp;
use tokio::sync::{oneshot, watch};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    clock::timestamp,
    model::{name::ContainerName, text::printable},
    store::joblog::JobLog,
};

/// Entries of a job that are kept in memory; the file has more.
const MAX_ENTRIES: usize = 2000;

/// Longest line of output, in characters.
const MAX_LINE: usize = 500;

/// What a job did at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// When.
    pub at: Timestamp,
    /// What.
    pub event: Event,
}

/// What a job does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// It began a step.
    Step {
        /// Its number, from 1.
        number: usize,
        /// How many there will be.
        of: usize,
        /// What is done.
        title: String,
    },
    /// A command inside the container wrote a line; made printable.
    Output(String),
    /// A remark for people.
    Note(String),
    /// It is over; the error is one fragment for people.
    Ended(Result<(), String>),
}

/// Work that is under way.
pub struct Job {
    /// On which container.
    pub container: ContainerName,
    /// What it does: `create`, `resize`.
    pub what: &'static str,
    steps: Mutex<(usize, usize)>,
    entries: Mutex<Entries>,
    written: watch::Sender<u64>,
    cancelled: CancellationToken,
}

/// Where a reader of a job's entries is.
#[derive(Debug, Clone, Copy, Default)]
pub struct Cursor(u64);

#[derive(Default)]
struct Entries {
    kept: VecDeque<Entry>,
    /// How many were dropped before the first kept one.
    dropped: u64,
    ended: bool,
}

/// There is work on this container already.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{container} is busy: a {what} is under way")]
pub struct Busy {
    /// The container.
    pub container: ContainerName,
    /// What the work is.
    pub what: &'static str,
}

/// A job that was started: its entries, and what comes of it.
pub struct Started<T, E> {
    /// The job.
    pub job: Arc<Job>,
    /// What comes of it. An error of the channel means that it panicked.
    pub outcome: oneshot::Receiver<Result<T, E>>,
}

/// All work that is under way. Clones are the same.
#[derive(Clone)]
pub struct Jobs {
    shared: Arc<Shared>,
}

struct Shared {
    running: Mutex<BTreeMap<ContainerName, Arc<Job>>>,
    log: JobLog,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Jobs {
    /// No work yet. It will run on `tasks`, is cancelled at `stop`, and is written down in `log`.
    #[must_use]
    pub fn new(log: JobLog, tasks: TaskTracker, stop: CancellationToken) -> Self {
        Self { shared: Arc::new(Shared { running: Mutex::default(), log, tasks, stop }) }
    }

    /// Starts work on a container. It is told to stop through [`Job::cancelled`] and never dropped
    /// before its end.
    ///
    /// # Errors
    /// There is work on it already.
    pub fn start<T, E, F>(
        &self,
        container: &ContainerName,
        what: &'static str,
        work: impl FnOnce(Arc<Job>) -> F,
    ) -> Result<Started<T, E>, Busy>
    where
        F: Future<Output = Result<T, E>> + Send + 'static,
        T: Send + 'static,
        E: fmt::Display + Send + 'static,
    {
        let job = {
            let mut running = lock(&self.shared.running);
            if let Some(job) = running.get(container) {
                return Err(Busy { container: container.clone(), what: job.what });
            }
            let job = Arc::new(Job::new(container.clone(), what, self.shared.stop.child_token()));
            running.insert(container.clone(), Arc::clone(&job));
            job
        };
        let (reply, outcome) = oneshot::channel();
        let work = work(Arc::clone(&job));
        let ending = Ending { shared: Arc::clone(&self.shared), job: Arc::clone(&job) };
        self.shared.tasks.spawn(async move {
            let result = work.await;
            let ended = result.as_ref().map(drop).map_err(|e| printable(&e.to_string(), MAX_LINE));
            ending.job.add(Event::Ended(ended));
            ending.finish().await;
            // Nobody waits for it any more: the log has it.
            let _ = reply.send(result);
        });
        Ok(Started { job, outcome })
    }

    /// The work that is under way on a container.
    #[must_use]
    pub fn of(&self, container: &ContainerName) -> Option<Arc<Job>> {
        lock(&self.shared.running).get(container).cloned()
    }

    /// All of it, by container.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<Job>> {
        lock(&self.shared.running).values().cloned().collect()
    }

    /// What was written down of earlier work.
    #[must_use]
    pub fn log(&self) -> &JobLog {
        &self.shared.log
    }
}

/// Takes a job off the list, also when its task panics.
struct Ending {
    shared: Arc<Shared>,
    job: Arc<Job>,
}

impl Ending {
    async fn finish(self) {
        let (log, job) = (self.shared.log.clone(), Arc::clone(&self.job));
        let entries = self.job.kept();
        let written = tokio::task::spawn_blocking(move || {
            let lines = entries.iter().map(ToString::to_string);
            log.append(&job.container, job.what, lines)
        });
        match written.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "work on a container is not written down"),
            Err(error) => tracing::warn!(%error, "work on a container is not written down"),
        }
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        lock(&self.shared.running).remove(&self.job.container);
        self.job.end();
    }
}

impl Job {
    fn new(container: ContainerName, what: &'static str, cancelled: CancellationToken) -> Self {
        Self {
            container,
            what,
            steps: Mutex::default(),
            entries: Mutex::default(),
            written: watch::channel(0).0,
            cancelled,
        }
    }

    /// Says how many steps there will be.
    pub fn plan(&self, steps: usize) {
        *lock(&self.steps) = (0, steps);
    }

    /// Begins the next step. What it says is ours, or made printable here.
    pub fn step(&self, title: &str) {
        let (number, of) = {
            let mut steps = lock(&self.steps);
            steps.0 += 1;
            steps.1 = steps.1.max(steps.0);
            *steps
        };
        self.add(Event::Step { number, of, title: printable(title, MAX_LINE) });
    }

    /// Notes a line that a command inside the container wrote.
    pub fn output(&self, line: &str) {
        self.add(Event::Output(printable(line, MAX_LINE)));
    }

    /// Tells people something.
    pub fn note(&self, text: &str) {
        self.add(Event::Note(printable(text, MAX_LINE)));
    }

    /// Tells the work to stop and to undo what it did.
    pub fn cancel(&self) {
        self.cancelled.cancel();
    }

    /// Cancelled when the work is to stop.
    #[must_use]
    pub fn cancelled(&self) -> &CancellationToken {
        &self.cancelled
    }

    /// The next entry behind `cursor`; `None` when there will be no more.
    pub async fn next(&self, cursor: &mut Cursor) -> Option<Entry> {
        let mut written = self.written.subscribe();
        loop {
            written.borrow_and_update();
            {
                let entries = lock(&self.entries);
                let at = cursor.0.max(entries.dropped);
                let index = usize::try_from(at - entries.dropped).unwrap_or(usize::MAX);
                if let Some(entry) = entries.kept.get(index) {
                    *cursor = Cursor(at + 1);
                    return Some(entry.clone());
                }
                if entries.ended {
                    return None;
                }
            }
            written.changed().await.ok()?;
        }
    }

    /// The last line of output with one of these texts in it.
    #[must_use]
    pub fn output_with(&self, texts: &[&str]) -> Option<String> {
        let entries = lock(&self.entries);
        entries.kept.iter().rev().find_map(|entry| match &entry.event {
            Event::Output(line) => {
                texts.iter().any(|text| line.contains(text)).then(|| line.clone())
            }
            Event::Step { .. } | Event::Note(_) | Event::Ended(_) => None,
        })
    }

    fn add(&self, event: Event) {
        {
            let mut entries = lock(&self.entries);
            if entries.kept.len() == MAX_ENTRIES {
                entries.kept.pop_front();
                entries.dropped += 1;
            }
            entries.kept.push_back(Entry { at: timestamp(), event });
        }
        self.written.send_modify(|n| *n += 1);
    }

    fn end(&self) {
        lock(&self.entries).ended = true;
        self.written.send_modify(|n| *n += 1);
    }

    fn kept(&self) -> Vec<Entry> {
        lock(&self.entries).kept.iter().cloned().collect()
    }
}

/// One line, for the log.
impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.0}  ", self.at)?;
        match &self.event {
            Event::Step { number, of, title } => write!(f, "[{number}/{of}] {title}"),
            Event::Output(line) => write!(f, "| {line}"),
            Event::Note(text) => write!(f, "note: {text}"),
            Event::Ended(Ok(())) => write!(f, "done"),
            Event::Ended(Err(error)) => write!(f, "error: {error}"),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jobs(folder: &tempfile::TempDir) -> Jobs {
        Jobs::new(JobLog::new(folder.path().into()), TaskTracker::new(), CancellationToken::new())
    }

    #[tokio::test]
    async fn one_at_a_time_and_it_ends_although_nobody_looks() {
        let folder = tempfile::tempdir().unwrap();
        let jobs = jobs(&folder);
        let name: ContainerName = "alice".parse().unwrap();
        let work = |job: Arc<Job>| async move {
            job.plan(2);
            job.step("one");
            job.output("a\x1b[2Jb");
            job.cancelled().cancelled().await;
            job.step("two");
            Err::<(), _>("stopped")
        };
        let Started { job, outcome } = jobs.start(&name, "create", work).unwrap();
        let busy = jobs.start(&name, "resize", |_| async { Ok::<(), Busy>(()) });
        assert_eq!(busy.err().unwrap().what, "create");
        let mut cursor = Cursor::default();
        let first = job.next(&mut cursor).await.unwrap().event;
        assert_eq!(first, Event::Step { number: 1, of: 2, title: "one".to_owned() });
        drop(outcome);
        job.cancel();
        let mut last = first;
        while let Some(entry) = job.next(&mut cursor).await {
            last = entry.event;
        }
        assert_eq!(last, Event::Ended(Err("stopped".to_owned())));
        assert!(jobs.of(&name).is_none());
        let written = jobs.log().read(&name).unwrap();
        assert!(
            written.contains("[1/2] one") && written.ends_with("error: stopped\n"),
            "{written}"
        );
        assert!(!written.contains('\x1b'), "{written}");
    }

    #[tokio::test]
    async fn a_panic_leaves_nothing_busy_and_memory_is_bounded() {
        let folder = tempfile::tempdir().unwrap();
        let jobs = jobs(&folder);
        let name: ContainerName = "alice".parse().unwrap();
        let started = jobs.start(&name, "create", |job| async move {
            for i in 0..2 * MAX_ENTRIES {
                job.output(&i.to_string());
            }
            assert_ne!(job.what, "create", "bug");
            Ok::<(), Busy>(())
        });
        let Started { job, outcome } = started.unwrap();
        assert!(outcome.await.is_err());
        assert!(jobs.of(&name).is_none());
        let mut cursor = Cursor::default();
        let mut seen = 0;
        while job.next(&mut cursor).await.is_some() {
            seen += 1;
        }
        assert_eq!(seen, MAX_ENTRIES);
    }
}
