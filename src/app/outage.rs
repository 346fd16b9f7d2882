//! What follows when a host goes down, and when it comes back: the one place where health meets the
//! fleet and the door.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use jiff::Timestamp;
use tokio::sync::watch;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    clock::timestamp,
    config::Topic,
    door::registry::Registry,
    fleet::Fleet,
    health::{Health, HostHealth, Monitor, machine::State},
    model::{
        inventory::Presence,
        name::{BackendName, ContainerName},
    },
    reach::Reach,
    store::outages::Outages,
    webhook::{self, Event, Severity},
};

/// What is known of earlier outages, and the file that keeps it.
pub(super) struct Record {
    file: PathBuf,
    known: watch::Sender<Arc<Outages>>,
}

impl Record {
    pub(super) fn load(file: PathBuf) -> Self {
        let known = watch::channel(Arc::new(Outages::load(&file))).0;
        Self { file, known }
    }

    /// What is known, now and later.
    pub(super) fn known(&self) -> watch::Receiver<Arc<Outages>> {
        self.known.subscribe()
    }

    /// Notes that a host came back after `outage`.
    async fn note(&self, backend: &BackendName, outage: Duration, health: &Health) {
        let mut outages = Outages::clone(&self.known.borrow());
        outages.note(backend, outage, |name| health.hosts.contains_key(name));
        self.known.send_replace(Arc::new(outages.clone()));
        let file = self.file.clone();
        let saved = tokio::task::spawn_blocking(move || outages.save(&file)).await;
        if let Ok(Err(error)) = saved {
            tracing::warn!(%error, "how long a host was away is not kept");
        }
    }
}

/// What an outage concerns.
pub(super) struct Affected {
    pub(super) monitor: Monitor,
    pub(super) fleet: Fleet,
    pub(super) reach: Reach,
    pub(super) registry: Registry,
    pub(super) webhooks: webhook::Sender,
}

/// Follows outages, on `tasks` and until `stop`.
pub(super) fn start(
    affected: Affected,
    record: Record,
    tasks: &TaskTracker,
    stop: CancellationToken,
) {
    let outages = follow(affected, record);
    tasks.spawn(async move { stop.run_until_cancelled(outages).await });
}

/// Follows the health of all hosts. When one goes down, also on its way back, its control connection
/// is not trusted any more and what people have open there ends, sessions with a sentence, instead of
/// waiting for TCP; when it is back, it is reached at once.
async fn follow(affected: Affected, record: Record) {
    let (mut health, mut inventory) = (affected.monitor.health(), affected.fleet.inventory());
    let mut down: BTreeMap<BackendName, Timestamp> = BTreeMap::new();
    let (mut fallen, mut contradicted) = (BTreeSet::new(), BTreeSet::new());
    loop {
        let news = tokio::select! {
            news = health.changed() => news,
            news = inventory.changed() => news,
        };
        if news.is_err() {
            return;
        }
        let (seen, listed) =
            (health.borrow_and_update().clone(), inventory.borrow_and_update().clone());
        let now = down_hosts(&seen);
        // One on its way back may be in use again.
        let silent = |backend: &&BackendName| seen.hosts.get(*backend).is_some_and(is_silent);
        let falls: BTreeSet<_> = now.keys().filter(silent).cloned().collect();
        for backend in falls.difference(&fallen) {
            affected.fell(backend);
        }
        let answers = |backend: &&BackendName| {
            let presence = listed.backend(backend).map(|b| &b.presence);
            matches!(presence, Some(Presence::Up { .. })) && fallen.contains(*backend)
        };
        let contradictions: BTreeSet<_> = falls.iter().filter(answers).cloned().collect();
        for backend in contradictions.difference(&contradicted) {
            affected.monitor.nudge(backend);
        }
        for backend in now.keys().filter(|backend| !down.contains_key(*backend)) {
            affected.webhooks.tell(event(backend, true));
        }
        for (backend, since) in down.iter().filter(|(backend, _)| !now.contains_key(*backend)) {
            affected.fleet.retry(backend);
            affected.webhooks.tell(event(backend, false));
            if seen.hosts.contains_key(backend) {
                let outage = timestamp().duration_since(*since).unsigned_abs();
                record.note(backend, outage, &seen).await;
            }
        }
        (down, fallen, contradicted) = (now, falls, contradictions);
    }
}

impl Affected {
    /// A host does not answer any more.
    fn fell(&self, backend: &BackendName) {
        self.fleet.lost(backend);
        let ended = self.registry.end_open(&containers(&self.fleet, backend), |container| {
            format!("the host of {container} went away; log in again to wait for it")
        });
        self.reach.cut(backend);
        if ended > 0 {
            tracing::info!(%backend, sessions = ended, "sessions ended with their host");
        }
    }
}

fn event(backend: &BackendName, is_down: bool) -> Event {
    let (name, severity, what) = if is_down {
        ("host.down", Severity::Alarm, "does not answer any more")
    } else {
        ("host.up", Severity::Info, "answers again")
    };
    let text = format!("the host of backend {backend} {what}");
    Event::new(Topic::Host, name, severity, (backend.as_str(), &text), timestamp())
}

fn is_silent(host: &HostHealth) -> bool {
    host.state == State::Down
}

/// The hosts that are down, and since when.
fn down_hosts(health: &Health) -> BTreeMap<BackendName, Timestamp> {
    let down = health.hosts.iter().filter(|(backend, _)| health.is_down(backend));
    down.map(|(backend, host)| (backend.clone(), host.since)).collect()
}

/// The containers that were last seen on a backend.
fn containers(fleet: &Fleet, backend: &BackendName) -> BTreeSet<ContainerName> {
    let inventory = Arc::clone(&fleet.inventory().borrow());
    let on_it = inventory.containers().filter(|c| c.backend == *backend);
    on_it.map(|c| c.name.clone()).collect()
}
