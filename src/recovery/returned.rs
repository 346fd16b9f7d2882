//! A host is back: Incus starts by itself what has `boot.autostart` and what ran before, and gives
//! up after three attempts, for instance where its storage came too late. What is stopped then and
//! should not be is started here, once for each return.

use std::{sync::Arc, time::Duration};

use futures_util::{StreamExt, stream};
use tokio::{sync::watch, time::sleep};

use crate::{
    clock::timestamp,
    config::Topic,
    fleet::Fleet,
    health::Health,
    incus::{Client, change::Action},
    model::{
        container::{Container, Status},
        inventory::Presence,
        name::BackendName,
    },
    webhook::{Event, Sender, Severity},
};

/// For Incus to do its own part: three attempts, some seconds apart.
const SETTLE: Duration = Duration::from_secs(15);

/// Longest time from the host's first answer to that of its Incus; later, it is left to people.
const PATIENCE: Duration = Duration::from_secs(600);

/// Containers that are started at the same time.
const AT_ONCE: usize = 4;

/// For one to start, and how often that is tried.
const START: Duration = Duration::from_secs(60);
const ATTEMPTS: usize = 3;

/// What Incus is told when a container is to start with its host.
const AUTOSTART: &str = "boot.autostart";

/// Waits for the Incus of a host that is back, and starts what did not start. Ends early when the
/// host goes down again.
pub(super) async fn see_to(
    backend: BackendName,
    fleet: Fleet,
    mut health: watch::Receiver<Arc<Health>>,
    webhooks: Sender,
) {
    let away = health.wait_for(|health| health.is_down(&backend));
    let started = tokio::select! {
        _ = away => return,
        started = start_all(&backend, &fleet) => started,
    };
    let Some((good, bad)) = started else { return };
    tracing::info!(%backend, started = good, failed = bad, "containers after the return of their host");
    let text = format!("backend {backend} is back; containers started: {good}, failed: {bad}");
    let severity = if bad > 0 { Severity::Warning } else { Severity::Info };
    let texts = (backend.as_str(), text.as_str());
    webhooks.tell(Event::new(Topic::Recovery, "recovery.returned", severity, texts, timestamp()));
}

/// How many were started, and how many could not be. `None`: its Incus did not come.
async fn start_all(backend: &BackendName, fleet: &Fleet) -> Option<(usize, usize)> {
    let mut inventory = fleet.inventory();
    let is_up = |i: &Arc<crate::model::inventory::Inventory>| {
        i.backend(backend).is_some_and(|b| matches!(b.presence, Presence::Up { .. }))
    };
    let came =
        tokio::time::timeout(PATIENCE, inventory.wait_for(is_up)).await.is_ok_and(|up| up.is_ok());
    if !came {
        tracing::warn!(%backend, "its host is back, its Incus is not");
        return None;
    }
    sleep(SETTLE).await;
    let found = Arc::clone(&inventory.borrow_and_update());
    let on_it = found.backend(backend)?.containers.clone();
    let stopped = on_it.into_iter().filter(|c| c.status == Status::Stopped && !c.hold);
    let client = fleet.incus(backend)?;
    let starts = stream::iter(stopped).map(|container| start(container, &client, fleet));
    let ended: Vec<Option<bool>> = starts.buffer_unordered(AT_ONCE).collect().await;
    let good = ended.iter().flatten().filter(|good| **good).count();
    Some((good, ended.iter().flatten().count() - good))
}

/// Starts one container that should start with its host, as a job like any other. `None`: it is
/// stopped for good, or somebody else works on it.
async fn start(container: Arc<Container>, client: &Client, fleet: &Fleet) -> Option<bool> {
    let configured = client.configured(&container.name.instance()).await.ok()?;
    if configured.expanded_config.get(AUTOSTART).map(String::as_str) != Some("true") {
        return None;
    }
    let (client, owner) = (client.clone(), fleet.clone());
    let name = container.name.clone();
    let job = fleet.jobs().start(&name, "start", move |job| async move {
        job.plan(1);
        job.step("start it, as its host is back");
        let mut last = Ok(());
        for attempt in 0..ATTEMPTS {
            if attempt > 0 {
                sleep(SETTLE).await;
            }
            let instance = container.name.instance();
            last = client.change_state(&instance, Action::Start, START).await;
            if last.is_ok() || job.cancelled().is_cancelled() {
                break;
            }
        }
        owner.refresh(&container).await;
        last
    });
    let outcome = job.ok()?.outcome.await;
    Some(matches!(outcome, Ok(Ok(()))))
}
