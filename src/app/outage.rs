//! What follows when a host goes down, and when it comes back: the one place where health meets the
//! fleet and the door.

use std::{collections::BTreeSet, sync::Arc};

use tokio::sync::watch;

use crate::{
    clock::timestamp,
    config::Topic,
    door::registry::Registry,
    fleet::Fleet,
    health::Health,
    model::name::{BackendName, ContainerName},
    webhook::{self, Event, Severity},
};

/// Follows the health of all hosts. When one goes down, its control connection is not trusted any
/// more and its sessions end with a sentence instead of waiting for TCP; when it is back, it is
/// reached at once.
pub(super) async fn follow(
    mut health: watch::Receiver<Arc<Health>>,
    fleet: Fleet,
    registry: Registry,
    webhooks: webhook::Sender,
) {
    let mut down = BTreeSet::new();
    while health.changed().await.is_ok() {
        let now = down_hosts(&health.borrow_and_update());
        for backend in now.difference(&down) {
            fleet.lost(backend);
            webhooks.tell(event(backend, true));
            let ended = registry.end_open(&containers(&fleet, backend), |container| {
                format!("the host of {container} went away; log in again to wait for it")
            });
            if ended > 0 {
                tracing::info!(%backend, sessions = ended, "sessions ended with their host");
            }
        }
        for backend in down.difference(&now) {
            fleet.retry(backend);
            webhooks.tell(event(backend, false));
        }
        down = now;
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

fn down_hosts(health: &Health) -> BTreeSet<BackendName> {
    health.hosts.keys().filter(|backend| health.is_down(backend)).cloned().collect()
}

/// The containers that were last seen on a backend.
fn containers(fleet: &Fleet, backend: &BackendName) -> BTreeSet<ContainerName> {
    let inventory = Arc::clone(&fleet.inventory().borrow());
    let on_it = inventory.containers().filter(|c| c.backend == *backend);
    on_it.map(|c| c.name.clone()).collect()
}
