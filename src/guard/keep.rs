//! Bans over a restart: written down after each change, and read at the start.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use jiff::Timestamp;
use tokio::{
    select,
    sync::watch,
    time::{MissedTickBehavior, interval, sleep},
};
use tokio_util::sync::CancellationToken;

use super::{
    book::{Cause, Entry},
    driver::Guard,
};
use crate::{
    clock,
    config::Config,
    model::source::Network,
    store::bans::{Bans, Kept},
    webhook::Sender,
};

/// Shortest time between two writes: a crash loses no more.
const PAUSE: Duration = Duration::from_secs(1);

/// The same for each thousand bans: a file of 65,536 has ten megabytes.
const PAUSE_PER_THOUSAND: Duration = Duration::from_millis(500);

/// How often what is long over is forgotten.
const SWEEP: Duration = Duration::from_secs(300);

impl Guard {
    /// One that knows the bans of the file at `path`.
    #[must_use]
    pub fn load(
        path: &Path,
        config: watch::Receiver<Arc<Config>>,
        webhooks: Option<Sender>,
    ) -> Self {
        let guard = Self::new(config, webhooks);
        let (now, wall) = (clock::now(), clock::timestamp());
        let kept = Bans::load(path);
        let mut book = guard.book();
        for kept in &kept.0 {
            if let Some(entry) = entry_of(kept, wall) {
                book.restore(&entry, now);
            }
        }
        let count = book.count(now);
        drop(book);
        if count > 0 {
            tracing::info!(count, "bans go on");
        }
        guard
    }

    /// Writes the file after changes from now on, and once more at `stop`.
    pub fn keep(self, path: PathBuf, stop: CancellationToken) -> impl Future<Output = ()> {
        let changes = self.changes();
        async move { self.write_changes(changes, &path, &stop).await }
    }

    async fn write_changes(
        self,
        mut changes: watch::Receiver<u64>,
        path: &Path,
        stop: &CancellationToken,
    ) {
        let mut sweeps = interval(SWEEP);
        sweeps.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let last = select! {
                () = stop.cancelled() => true,
                heard = changes.changed() => heard.is_err(),
                _ = sweeps.tick() => {
                    self.book().sweep(clock::now());
                    continue;
                }
            };
            let is_news = !last || changes.has_changed().unwrap_or(false);
            changes.mark_unchanged();
            let count = if is_news { self.write(path).await } else { 0 };
            if last {
                return;
            }
            let thousands = u32::try_from(count / 1000).unwrap_or(u32::MAX);
            select! {
                () = stop.cancelled() => {}
                () = sleep(PAUSE + PAUSE_PER_THOUSAND * thousands) => {}
            }
        }
    }

    /// Writes all bans: how many there are.
    async fn write(&self, path: &Path) -> usize {
        let wall = clock::timestamp();
        let entries = self.book().all(clock::now());
        let bans = Bans(entries.iter().map(|entry| kept_of(entry, wall)).collect());
        if let Err(error) = save(path.to_owned(), bans).await {
            tracing::warn!(%error, "bans are not kept");
        }
        entries.len()
    }
}

async fn save(path: PathBuf, bans: Bans) -> io::Result<()> {
    tokio::task::spawn_blocking(move || bans.save(&path)).await?.map_err(io::Error::other)
}

fn kept_of(entry: &Entry, wall: Timestamp) -> Kept {
    let after = |by: Duration| wall.checked_add(by).unwrap_or(Timestamp::MAX);
    let before = |by: Duration| wall.checked_sub(by).unwrap_or(Timestamp::MIN);
    let until =
        entry.left.map(|left| if left > Duration::ZERO { after(left) } else { before(entry.over) });
    let (by, failures, strikes, told) = match &entry.cause {
        Cause::Administrator(by) => (Some(by.clone()), 0, 0, false),
        Cause::Failures { failures, strikes, told } => (None, *failures, *strikes, *told),
    };
    Kept {
        network: entry.network.to_string(),
        id: entry.id.to_string(),
        since: before(entry.age),
        until,
        by,
        failures,
        strikes,
        told,
    }
}

/// `None`: nobody of ours wrote it.
fn entry_of(kept: &Kept, wall: Timestamp) -> Option<Entry> {
    // A clock that was set back makes no ban longer than it was.
    let length = kept.until.map(|until| until.duration_since(kept.since).unsigned_abs());
    let left = kept.until.map(|until| span(wall, until).min(length.unwrap_or_default()));
    let Kept { failures, strikes, told, .. } = *kept;
    let by_failures = Cause::Failures { failures, strikes, told };
    let cause = kept.by.clone().map_or(by_failures, Cause::Administrator);
    Some(Entry {
        network: Network::parse(&kept.network).ok()?,
        id: kept.id.parse().ok()?,
        age: span(kept.since, wall),
        left,
        over: kept.until.map_or(Duration::ZERO, |until| span(until, wall)),
        cause,
    })
}

/// From one to the other; 0 if that is the wrong way round.
fn span(from: Timestamp, to: Timestamp) -> Duration {
    Duration::try_from(to.duration_since(from)).unwrap_or_default()
}
