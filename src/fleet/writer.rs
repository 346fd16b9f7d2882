//! The one task that publishes the inventory, and the one that keeps its copy on disk.

use std::{collections::BTreeSet, io, path::PathBuf, sync::Arc, time::Duration};

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

/// What an administrator wants, now and later.
pub(super) struct Orders {
    /// Which backends there are.
    pub(super) driven: watch::Receiver<Vec<Driven>>,
    /// Which of them are drained.
    pub(super) drained: watch::Receiver<BTreeSet<BackendName>>,
}

/// Merges reports until `stop`.
pub(super) async fn publish(
    mut merge: Merge,
    Orders { mut driven, mut drained }: Orders,
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
            changed = drained.changed() => {
                if changed.is_err() {
                    return;
                }
                merge.drain(drained.borrow_and_update().clone());
            }
            report = reports.recv() => {
                let Some(report) = report else { return };
                merge.apply(&report.name, report.generation, report.news);
                published = report.published;
            }
        }
        let merged = merge.inventory();
        inventory.send_if_modified(|current| {
            if **current == merged {
                return false;
            }
            warn_of_duplicates(current, &merged);
            *current = Arc::new(merged);
            true
        });
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
    loop {
        let last = select! {
            () = stop.cancelled() => true,
            changed = inventory.changed() => changed.is_err(),
        };
        let now = to_cache(&inventory.borrow_and_update());
        let is_current = if last { now == written } else { now.same_containers(&written) };
        if !is_current {
            match save(path.clone(), now).await {
                Ok(saved) => written = saved,
                Err(error) => tracing::warn!(%error, "inventory is not cached"),
            }
        }
        if last {
            return;
        }
        if !is_current {
            select! {
                () = stop.cancelled() => {}
                () = sleep(CACHE_PAUSE) => {}
            }
        }
    }
}

async fn save(path: PathBuf, cached: Cached) -> io::Result<Cached> {
    let save = tokio::task::spawn_blocking(move || cached.save(&path).map(|()| cached));
    save.await?.map_err(io::Error::other)
}

fn warn_of_duplicates(before: &Inventory, now: &Inventory) {
    for hidden in now.duplicates() {
        let is_known = before
            .duplicates()
            .iter()
            .any(|c| c.name == hidden.name && c.backend == hidden.backend);
        if !is_known {
            let (name, backend) = (&hidden.name, &hidden.backend);
            tracing::warn!(%name, %backend, "container is hidden by one of the same name");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::tests::{backend, container};
    use crate::model::inventory::{Backend, Presence};

    fn listed(names: &[&str]) -> News {
        let config = backend("b1");
        News::Seen(Arc::new(Backend {
            name: config.name,
            pool: config.pool,
            presence: Presence::Unknown,
            refreshed: None,
            version: None,
            cpus: None,
            memory: None,
            disk: None,
            drained: false,
            unfinished: Vec::new(),
            containers: names.iter().map(|n| Arc::new(container(n, "b1"))).collect(),
        }))
    }

    #[tokio::test(start_paused = true)]
    async fn changes_reach_the_disk_at_the_end_at_the_latest() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("inventory.json");
        let driven = vec![Driven { config: Arc::new(backend("b1")), generation: 1 }];
        let merge = Merge::new(&driven, &Cached::default(), BTreeSet::new());
        let (sender, watched) = watch::channel(Arc::new(merge.inventory()));
        let (_order, driven) = watch::channel(driven);
        let (_drain, drained) = watch::channel(BTreeSet::new());
        let orders = Orders { driven, drained };
        let (reports, reported) = mpsc::channel(1);
        let stop = CancellationToken::new();
        let mut tasks = tokio::task::JoinSet::new();
        tasks.spawn(publish(merge, orders, reported, sender, stop.clone()));
        tasks.spawn(keep(path.clone(), watched, Cached::default(), stop.clone()));
        for names in [&["a"][..], &["a", "b"], &["a", "b", "c"]] {
            let (published, done) = oneshot::channel();
            let (name, news) = ("b1".parse().unwrap(), listed(names));
            let report = Report { name, generation: 1, news, published: Some(published) };
            reports.send(report).await.unwrap();
            done.await.unwrap();
        }
        stop.cancel();
        tasks.join_all().await;
        let kept = Cached::load(&path);
        assert_eq!(kept.backends.values().next().unwrap().containers.len(), 3);
    }
}
