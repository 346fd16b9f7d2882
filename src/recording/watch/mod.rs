//! Those who watch the terminals of a session while it goes on. The session's tap holds a [`Watcher`]
//! for each and never waits for it: what finds no room is left out and counted, and one who takes
//! nothing at all is dropped. A [`Watch`] is the other end.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;

use super::terminals::{Seen, Terminals};

/// Watchers of one session: each takes a copy of what is shown.
pub const MAX_WATCHERS: usize = 8;

/// How long a watcher may take nothing while more is shown than there is room for.
pub const PATIENCE: Duration = Duration::from_secs(5);

/// Bytes that may wait for one watcher: a second of 8 Mbit/s.
const MAX_WAITING: usize = 1 << 20;

/// What a piece takes beside its bytes, in bytes.
const OVERHEAD: usize = 128;

/// Room beyond [`MAX_WAITING`] for what is no output, in bytes: a thousand changes of size.
const CHANGES: usize = 128 << 10;

/// Pieces that may wait: what these bytes are at most, and a remark.
const PIECES: usize = (MAX_WAITING + CHANGES) / OVERHEAD + 1;

/// Something for a watcher.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shown {
    /// From here on it is this terminal, which has so many columns and rows.
    Terminal(u32, (u32, u32)),
    /// The terminal that was shown ended, and nothing runs on another.
    Nothing,
    /// What it shows, as it is.
    Output(Bytes),
    /// It has so many columns and rows now.
    Resized((u32, u32)),
    /// So many bytes are missing here.
    Gap(u64),
}

/// Why nothing more is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// The session ended.
    Session,
    /// The terminal that was asked for ended.
    Terminal,
    /// The watcher took nothing for [`PATIENCE`].
    Stopped,
    /// [`MAX_WATCHERS`] watch already.
    Crowded,
}

/// What both ends know.
#[derive(Debug, Default)]
struct Flow {
    waiting: AtomicUsize,
    /// Pieces that were taken.
    taken: AtomicU64,
    ending: OnceLock<Ending>,
    /// What waits is not wanted any more.
    stopped: CancellationToken,
}

/// The session's end.
#[derive(Debug)]
pub struct Watcher {
    /// Who watches: printable.
    who: String,
    /// The terminal that was asked for; `None`: whichever there is.
    wanted: Option<u32>,
    /// The terminal that is shown.
    shown: Option<u32>,
    queue: mpsc::Sender<Shown>,
    flow: Arc<Flow>,
    /// Bytes that found no room since the last that did.
    lost: u64,
    /// How many pieces had been taken when there was no room, and since when it is no more.
    stalled: Option<(u64, Instant)>,
}

/// The watcher's end.
#[derive(Debug)]
pub struct Watch {
    queue: mpsc::Receiver<Shown>,
    flow: Arc<Flow>,
    left: Arc<Notify>,
}

/// Both ends, for `who` (printable), who wants to see this terminal or any; `left` is told when she
/// leaves.
#[must_use]
pub fn pair(who: String, wanted: Option<u32>, left: Arc<Notify>) -> (Watcher, Watch) {
    let (to_watcher, queue) = mpsc::channel(PIECES);
    let flow = Arc::<Flow>::default();
    let watch = Watch { queue, flow: Arc::clone(&flow), left };
    let (shown, lost, stalled) = (None, 0, None);
    (Watcher { who, wanted, shown, queue: to_watcher, flow, lost, stalled }, watch)
}

impl Watch {
    /// What is shown next; `None`: nothing any more.
    pub async fn next(&mut self) -> Option<Shown> {
        let shown = self.queue.recv().await?;
        self.flow.waiting.fetch_sub(shown.size(), Ordering::Relaxed);
        self.flow.taken.fetch_add(1, Ordering::Relaxed);
        Some(shown)
    }

    /// Cancelled when the watcher was dropped for having stopped: what waits is lost.
    #[must_use]
    pub fn stopped(&self) -> CancellationToken {
        self.flow.stopped.clone()
    }

    /// Why nothing more is shown.
    #[must_use]
    pub fn ending(&self) -> Ending {
        self.flow.ending.get().copied().unwrap_or(Ending::Session)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.queue.close();
        self.left.notify_one();
    }
}

impl Shown {
    fn size(&self) -> usize {
        match self {
            Self::Output(bytes) => OVERHEAD + bytes.len(),
            Self::Terminal(..) | Self::Nothing | Self::Resized(_) | Self::Gap(_) => OVERHEAD,
        }
    }
}

impl Watcher {
    /// Shows her something, or counts it as lost. `false`: she is not there any more.
    fn show(&mut self, now: Instant, shown: Shown) -> bool {
        let bytes = match &shown {
            Shown::Output(bytes) => bytes.len(),
            Shown::Terminal(..) | Shown::Nothing | Shown::Resized(_) | Shown::Gap(_) => 0,
        };
        if !self.has_room(bytes) {
            return self.lose(now, bytes);
        }
        self.stalled = None;
        let gap = if bytes > 0 { std::mem::take(&mut self.lost) } else { 0 };
        (gap == 0 || self.send(Shown::Gap(gap))) && self.send(shown)
    }

    /// Whether there is room for so many bytes of output; for none: for something else.
    fn has_room(&self, bytes: usize) -> bool {
        let limit = match (bytes, self.lost) {
            (0, _) => MAX_WAITING + CHANGES,
            (_, 0) => MAX_WAITING,
            // Few long gaps are better than many short ones.
            (_, 1..) => MAX_WAITING / 2,
        };
        self.flow.waiting.load(Ordering::Relaxed) + OVERHEAD + bytes <= limit
    }

    fn send(&self, shown: Shown) -> bool {
        self.flow.waiting.fetch_add(shown.size(), Ordering::Relaxed);
        self.queue.try_send(shown).is_ok()
    }

    /// Counts what found no room. `false`: she has stopped, and is told so.
    fn lose(&mut self, now: Instant, bytes: usize) -> bool {
        self.lost += bytes as u64;
        let taken = self.flow.taken.load(Ordering::Relaxed);
        match self.stalled {
            Some((then, since)) if then == taken => {
                let has_stopped = now.saturating_duration_since(since) >= PATIENCE;
                if has_stopped {
                    self.end(Ending::Stopped);
                    self.flow.stopped.cancel();
                }
                !has_stopped
            }
            Some(_) | None => {
                self.stalled = Some((taken, now));
                true
            }
        }
    }

    fn end(&self, ending: Ending) {
        let _ = self.flow.ending.set(ending);
    }

    /// Goes to a terminal that runs, if the one that is shown does not. `false`: she is gone, or
    /// there is none for her any more.
    fn settle(&mut self, now: Instant, terminals: &Terminals) -> bool {
        if self.queue.is_closed() || self.flow.stopped.is_cancelled() {
            return false;
        }
        let runs = |number| terminals.running().find(|t| t.number == number);
        if self.shown.is_some_and(|number| runs(number).is_some()) {
            return true;
        }
        let next = match self.wanted {
            Some(number) if terminals.began() >= number && runs(number).is_none() => {
                self.end(Ending::Terminal);
                return false;
            }
            Some(number) => runs(number),
            None => terminals.running().max_by_key(|t| t.number),
        };
        let was_shown = self.shown.take().is_some();
        self.shown = next.as_ref().map(|t| t.number);
        match next {
            Some(terminal) => self.show(now, Shown::Terminal(terminal.number, terminal.size)),
            None => !was_shown || self.show(now, Shown::Nothing),
        }
    }
}

/// Those who watch one session.
#[derive(Debug, Default)]
pub(super) struct Audience {
    watchers: Vec<Watcher>,
    /// Somebody was found to have gone.
    has_left: bool,
    /// What is to be told on terminals, by the client's numbers of their channels.
    lines: Vec<(u32, String)>,
}

impl Audience {
    pub(super) fn is_empty(&self) -> bool {
        self.watchers.is_empty()
    }

    /// Takes in those who come.
    pub(super) fn join(&mut self, new: Vec<Watcher>) {
        for watcher in new {
            if self.watchers.len() < MAX_WATCHERS {
                self.watchers.push(watcher);
            } else {
                watcher.end(Ending::Crowded);
            }
        }
    }

    /// Something happened on a terminal.
    pub(super) fn on(&mut self, now: Instant, number: u32, seen: &Seen<'_>) {
        let mut copy = None;
        for watcher in self.watchers.iter_mut().filter(|w| w.shown == Some(number)) {
            let stays = match seen {
                // What is lost need not be copied.
                Seen::Output(bytes) if !watcher.has_room(bytes.len()) => {
                    watcher.lose(now, bytes.len())
                }
                Seen::Output(bytes) => {
                    let copy = copy.get_or_insert_with(|| Bytes::copy_from_slice(bytes));
                    watcher.show(now, Shown::Output(copy.clone()))
                }
                Seen::Resized(size) => watcher.show(now, Shown::Resized(*size)),
                // What is typed is not shown; what runs is asked for.
                Seen::Began(_) | Seen::Input(_) | Seen::Ended => true,
            };
            self.has_left |= !stays;
        }
    }

    /// Whether [`Self::settle`] has something to do after output.
    pub(super) fn has_left(&self) -> bool {
        self.has_left
    }

    /// Leads each to a terminal that runs, and lets those go who are not there any more.
    pub(super) fn settle(&mut self, now: Instant, terminals: &Terminals) {
        self.has_left = false;
        let lines = &mut self.lines;
        self.watchers.retain_mut(|watcher| {
            let before = watcher.shown;
            let stays = watcher.settle(now, terminals);
            let after = watcher.shown.filter(|_| stays);
            if before != after {
                let runs = |number| terminals.running().find(|t| Some(t.number) == number);
                let turns = [(before, "no longer watches"), (after, "watches")];
                for (terminal, what) in turns.map(|(number, what)| (runs(number), what)) {
                    let line = format!("\r\n[{} {what} this terminal]\r\n", watcher.who);
                    lines.extend(terminal.map(|t| (t.near, line)));
                }
            }
            stays
        });
    }

    /// What is to be told; once.
    pub(super) fn lines(&mut self) -> Vec<(u32, String)> {
        std::mem::take(&mut self.lines)
    }
}

#[cfg(test)]
mod tests;
