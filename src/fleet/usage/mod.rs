//! What containers use at this moment: asked of their hosts only while somebody looks on. What is
//! read from the answers is decided in `book`, which is pure.

mod book;

use std::{collections::BTreeMap, convert::Infallible, sync::Arc, time::Duration};

use tokio::{
    select,
    sync::{Notify, watch},
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval},
};

use self::book::Book;
pub use self::book::{POINTS, Point, Use};
use super::Shared;
use crate::{
    incus::{Client, IncusError, api::Instance},
    model::{container::Container, inventory::Presence, name::BackendName},
};

/// Between two questions to one host, and before the second, without which nobody knows how busy
/// processors are.
const EVERY: Duration = Duration::from_secs(3);
const SECOND: Duration = Duration::from_secs(1);

/// A host that takes long over an answer is left alone for so many times as long: it has other work.
const REST: u32 = 4;

/// How often is looked whom to ask.
const TICK: Duration = Duration::from_millis(250);

/// What is known of what containers use.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Usage {
    hosts: BTreeMap<BackendName, Arc<Host>>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Host {
    /// By name in Incus.
    containers: BTreeMap<String, Arc<Use>>,
    /// It was asked since, and did not answer.
    is_old: bool,
}

impl Usage {
    /// What a container used when its host was last asked, and whether that has been too long ago.
    #[must_use]
    pub fn of(&self, container: &Container) -> Option<(&Arc<Use>, bool)> {
        let host = self.hosts.get(&container.backend)?;
        host.containers.get(&container.name.instance()).map(|used| (used, host.is_old))
    }

    /// The same with what one container uses on a host.
    #[cfg(test)]
    pub(crate) fn with(
        mut self,
        backend: &BackendName,
        name: &crate::model::name::ContainerName,
        used: Use,
    ) -> Self {
        let host = Arc::make_mut(self.hosts.entry(backend.clone()).or_default());
        host.containers.insert(name.instance(), Arc::new(used));
        self
    }
}

/// Where it is published, and who wants to know.
#[derive(Default)]
pub(super) struct Meter {
    published: watch::Sender<Arc<Usage>>,
    wanted: Notify,
}

impl Meter {
    /// Measures for as long as somebody holds what is returned.
    pub(super) fn watch(&self) -> watch::Receiver<Arc<Usage>> {
        let watching = self.published.subscribe();
        self.wanted.notify_one();
        watching
    }
}

/// Measures on the tasks of the fleet, until it stops.
pub(super) fn start(shared: &Arc<Shared>) {
    let (measured, stop) = (Arc::clone(shared), shared.stop.clone());
    shared.tasks.spawn(async move {
        let measuring = async {
            loop {
                measured.meter.wanted.notified().await;
                select! {
                    biased;
                    () = measured.meter.published.closed() => {}
                    never = measure(&measured) => match never {},
                }
                // What was seen is not that of the next time that somebody looks.
                measured.meter.published.send_replace(Arc::default());
            }
        };
        stop.run_until_cancelled::<_>(measuring).await
    });
}

/// One host, while somebody looks on.
#[derive(Default)]
struct Measured {
    book: Book,
    is_old: bool,
    /// A question is under way.
    is_asked: bool,
    /// When it is asked again; at once if never.
    due: Option<Instant>,
}

/// What came of a question, and when it was asked.
type Answer = (BackendName, Instant, Result<Vec<Instance>, IncusError>);

async fn measure(shared: &Shared) -> Infallible {
    let mut hosts: BTreeMap<BackendName, Measured> = BTreeMap::new();
    let mut answers: JoinSet<Answer> = JoinSet::new();
    let mut tick = interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        select! {
            Some(answer) = answers.join_next() => {
                // A question that panicked is reported elsewhere.
                let Ok(answer) = answer else { continue };
                let name = answer.0.clone();
                if let Some(host) = hosts.get_mut(&name) {
                    host.note(answer, now());
                    let seen = Host { containers: host.book.containers(), is_old: host.is_old };
                    shared.meter.published.send_modify(|usage| {
                        Arc::make_mut(usage).hosts.insert(name, Arc::new(seen));
                    });
                }
            }
            _ = tick.tick() => {
                let clients = clients(shared);
                hosts.retain(|name, _| clients.contains_key(name));
                for (name, client) in clients {
                    let host = hosts.entry(name.clone()).or_default();
                    let Some(client) = client.filter(|_| host.is_due(now())) else { continue };
                    host.is_asked = true;
                    answers.spawn(async move { (name, now(), client.instances().await) });
                }
            }
        }
    }
}

impl Measured {
    fn is_due(&self, now: Instant) -> bool {
        !self.is_asked && self.due.is_none_or(|due| due <= now)
    }

    fn note(&mut self, (name, asked, answer): Answer, now: Instant) {
        let pause = if self.book.is_empty() { SECOND } else { EVERY };
        let took = now.duration_since(asked);
        self.is_asked = false;
        self.due = Some(now + pause.max(took * REST));
        self.is_old = match answer {
            Ok(instances) => {
                self.book.note(&instances, now);
                false
            }
            Err(error) => {
                tracing::debug!(backend = %name, %error, "use of containers cannot be read");
                true
            }
        };
    }
}

/// Every backend, with a client of those that answer.
fn clients(shared: &Shared) -> BTreeMap<BackendName, Option<Client>> {
    let inventory = Arc::clone(&shared.inventory.borrow());
    let running = shared.backends();
    let client = |name: &BackendName| match inventory.backend(name).map(|b| &b.presence) {
        Some(Presence::Up { .. }) => running.running.get(name).map(|b| b.client.clone()),
        Some(Presence::Unknown | Presence::Away { .. }) | None => None,
    };
    running.running.keys().map(|name| (name.clone(), client(name))).collect()
}

#[expect(clippy::disallowed_methods, reason = "driver of the meter")]
fn now() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests {
    use super::{super::tests::at, *};

    #[test]
    fn a_host_is_asked_one_question_at_a_time_and_given_rest() {
        let name: BackendName = "b1".parse().unwrap();
        let mut host = Measured::default();
        assert!(host.is_due(at(0)));
        host.is_asked = true;
        assert!(!host.is_due(at(60_000)), "one is under way");
        for (asked, answered, early, due) in [
            // The second soon, the others now and then.
            (0, 100, 1099, 1100),
            (1100, 1200, 4199, 4200),
            // It took two seconds, so that it has eight.
            (4200, 6200, 14_199, 14_200),
        ] {
            let instance = serde_json::from_value(serde_json::json!({"name": "a"})).unwrap();
            host.note((name.clone(), at(asked), Ok(vec![instance])), at(answered));
            assert_eq!((host.is_due(at(early)), host.is_due(at(due))), (false, true), "{asked}");
        }
        assert!(!host.is_old);
        let lost = IncusError::Timeout("list".to_owned());
        host.note((name, at(20_000), Err(lost)), at(20_001));
        assert!(host.is_old && !host.book.is_empty());
    }
}
