//! The one task that publishes the inventory, and the one that keeps its copy on disk.

use std::{path::PathBuf, sync::Arc, time::Duration};

use tokio::{
    select,
    sync::{mpsc, oneshot, watch},
    time::sleep,
};
use tokio_util::sync::CancellationToken;

use super::merge::{Driven, Merge, News, to_cache};
use crate::{
    model::{inventory::Inventory, name::BackendName},
    store::inventory::Cached,
};

/// Shortest time between two writes of the cache.
const CACHE_PAUSE: Duration = Duration::from_secs(2);

/// What a driver sends.
#[derive(Debug)]
pub(super) struct Report {
    pub(super) name: BackendName,
    pub(super) generation: u64,
    pub(super) news: News,
    /// Told when it is published.
    pub(super) published: Option<oneshot::Sender<()>>,
}

/// Merges reports until `stop`.
pub(super) async fn publish(
    mut merge: Merge,
    mut driven: watch::Receiver<Vec<Driven>>,
    mut reports: mpsc::Receiver<Report>,
    inventory: watch::Sender<Arc<Inventory>>,
    stop: CancellationToken,
) {
    loop {
        let mut published = None;
        select! {
            biased;
            () = stop.cancelled() => return,
            changed = driven.changed() => {
                if changed.is_err() {
                    return;
                }
                merge.configure(&driven.borrow_and_update());
            }
            report = reports.recv() => {
                let Some(report) = report else { return };
                merge.apply(&report.name, report.generation, report.news);
                published = report.published;
            }
        }
        let merged = merge.inventory();
        warn_of_duplicates(&inventory.borrow(), &merged);
        inventory.send_replace(Arc::new(merged));
        if let Some(published) = published {
            // Nobody waits for it any more: no matter.
            let _ = published.send(());
        }
    }
}

/// Writes the cache after changes, at most every 2 s, and once more at `stop`.
pub(super) async fn keep(
    path: PathBuf,
    mut inventory: watch::Receiver<Arc<Inventory>>,
    mut written: Cached,
    stop: CancellationToken,
) {
    while !stop.is_cancelled() {
        select! {
            () = stop.cancelled() => {}
            changed = inventory.changed() => if changed.is_err() { return },
        }
        let now = to_cache(&inventory.borrow_and_update());
        let wanted =
            if stop.is_cancelled() { now != written } else { !now.same_containers(&written) };
        if !wanted {
            continue;
        }
        let target = path.clone();
        let save = tokio::task::spawn_blocking(move || now.save(&target).map(|()| now));
        match save.await {
            Ok(Ok(saved)) => written = saved,
            Ok(Err(error)) => tracing::warn!(%error, "inventory is not cached"),
            Err(error) => tracing::warn!(%error, "inventory is not cached"),
        }
        select! {
            () = stop.cancelled() => {}
            () = sleep(CACHE_PAUSE) => {}
        }
    }
}

fn warn_of_duplicates(before: &Inventory, now: &Inventory) {
    for hidden in now.duplicates() {
        let same = |c: &&Arc<_>| is_same(c, hidden);
        if before.duplicates().iter().find(same).is_none() {
            let (name, backend) = (&hidden.name, &hidden.backend);
            tracing::warn!(%name, %backend, "container is hidden by one of the same name");
        }
    }
}

fn is_same(
    one: &crate::model::container::Container,
    other: &crate::model::container::Container,
) -> bool {
    one.name == other.name && one.backend == other.backend
}
