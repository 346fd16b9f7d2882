//! What runs where. One driver a backend reads its Incus and follows its events; one writer makes
//! their reports the [`Inventory`] that everybody else watches, and keeps a copy on disk. It
//! never changes anything on a backend and never decides who may do what.

mod drained;
mod driver;
pub mod guest;
mod home;
pub mod job;
mod listing;
mod merge;
mod pending;
pub mod placement;
pub mod provision;
mod reserve;
pub mod stack;
pub mod usage;
mod view;
mod way;
mod writer;

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{Notify, mpsc, oneshot, watch},
    time::timeout,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub use self::reserve::Reserved;
pub use self::way::Identity;
use self::{
    drained::Drained,
    driver::{Driver, Request},
    home::HomeKeys,
    job::Jobs,
    merge::{Driven, Merge},
    placement::{PlacementError, Wish},
    reserve::Reservations,
    usage::{Meter, Usage},
    way::way_to,
    writer::{Orders, Report},
};
use crate::{
    config,
    incus::Client,
    link::{control::Link, reverse::Tunnels},
    model::{
        authorized_keys::AuthorizedKey,
        container::Container,
        inventory::{Inventory, Presence},
        name::{Account, BackendName, ContainerName},
    },
    store::{StoreError, inventory::Cached, joblog::JobLog},
};

/// Reports that wait for the writer.
const REPORTS: usize = 64;
/// Requests that wait for one driver.
const REQUESTS: usize = 64;
/// For a container to be read again.
const REFRESH_DEADLINE: Duration = Duration::from_secs(3);

/// Handle to everything that is known about backends and containers.
#[derive(Clone)]
pub struct Fleet {
    shared: Arc<Shared>,
}

struct Shared {
    inventory: watch::Receiver<Arc<Inventory>>,
    reports: mpsc::Sender<Report>,
    backends: Mutex<Backends>,
    drained: Drained,
    home: HomeKeys,
    places: Reservations,
    jobs: Jobs,
    meter: Meter,
    identity: Identity,
    tunnels: Tunnels,
    tasks: TaskTracker,
    stop: CancellationToken,
}

struct Backends {
    driven: watch::Sender<Vec<Driven>>,
    running: BTreeMap<BackendName, Running>,
    generations: u64,
}

struct Running {
    driven: Driven,
    client: Client,
    link: Option<Link>,
    requests: mpsc::Sender<Request>,
    lost: Arc<Notify>,
    stop: CancellationToken,
}

impl Fleet {
    /// Starts a driver for each of `backends`, which log in with `identity`, on `tasks` and until
    /// `stop`. What `state_dir` remembers is known at once. Call it inside a runtime.
    #[must_use]
    pub fn start(
        backends: &[Arc<config::Backend>],
        identity: Identity,
        state_dir: &Path,
        tasks: &TaskTracker,
        stop: CancellationToken,
    ) -> Self {
        let cache = state_dir.join("inventory.json");
        let cached = Cached::load(&cache);
        let numbered = (1..).zip(backends);
        let driven: Vec<_> = numbered
            .map(|(generation, config)| Driven { config: Arc::clone(config), generation })
            .collect();
        let (drained, watched) = Drained::load(state_dir);
        let merge = Merge::new(&driven, &cached, watched.borrow().clone());
        let (publisher, inventory) = watch::channel(Arc::new(merge.inventory()));
        let (reports, reported) = mpsc::channel(REPORTS);
        let generations = driven.len() as u64;
        let (order, ordered) = watch::channel(driven.clone());
        tasks.spawn(writer::keep(cache, inventory.clone(), cached, stop.clone()));
        let orders = Orders { driven: ordered, drained: watched };
        tasks.spawn(writer::publish(merge, orders, reported, publisher, stop.clone()));
        let running = BTreeMap::new();
        let backends = Mutex::new(Backends { driven: order, running, generations });
        let tasks = tasks.clone();
        let home = HomeKeys::default();
        let log = JobLog::new(state_dir.join("logs"));
        let jobs = Jobs::new(log, tasks.clone(), stop.clone());
        let places = Reservations::default();
        let shared = Shared {
            inventory,
            reports,
            backends,
            drained,
            home,
            places,
            jobs,
            meter: Meter::default(),
            identity,
            tunnels: Tunnels::default(),
            tasks,
            stop,
        };
        for driven in driven {
            let running = shared.spawn(driven.clone());
            shared.backends().running.insert(driven.config.name.clone(), running);
        }
        let shared = Arc::new(shared);
        usage::start(&shared);
        Self { shared }
    }

    /// Follows a new configuration: drivers of backends that are gone or reached in another way end,
    /// those of backends that are new or reached so start, the others go on.
    pub fn reconfigure(&self, backends: &[Arc<config::Backend>]) {
        let mut state = self.shared.backends();
        let mut before = std::mem::take(&mut state.running);
        let mut order = Vec::with_capacity(backends.len());
        for config in backends {
            let same = before.remove(&config.name).and_then(|mut running| {
                let same = running.driven.config.is_reached_as(config);
                if !same {
                    running.stop.cancel();
                }
                running.driven.config = Arc::clone(config);
                same.then_some(running)
            });
            let running = same.unwrap_or_else(|| {
                state.generations += 1;
                let (config, generation) = (Arc::clone(config), state.generations);
                self.shared.spawn(Driven { config, generation })
            });
            order.push(running.driven.clone());
            state.running.insert(config.name.clone(), running);
        }
        for gone in before.values() {
            gone.stop.cancel();
        }
        state.driven.send_replace(order);
    }

    /// What is known, now and later.
    #[must_use]
    pub fn inventory(&self) -> watch::Receiver<Arc<Inventory>> {
        self.shared.inventory.clone()
    }

    /// The work on containers that is under way.
    #[must_use]
    pub fn jobs(&self) -> &Jobs {
        &self.shared.jobs
    }

    /// What containers use, now and later. Hosts are asked for it only while somebody holds what is
    /// returned.
    #[must_use]
    pub fn usage(&self) -> watch::Receiver<Arc<Usage>> {
        self.shared.meter.watch()
    }

    /// A fleet that nobody drives, for tests of what reads it.
    #[cfg(test)]
    pub(crate) fn fixed(inventory: watch::Receiver<Arc<Inventory>>) -> Self {
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        let log = JobLog::new(std::env::temp_dir().join("containarium-no-such-logs"));
        let driven = watch::channel(Vec::new()).0;
        let shared = Shared {
            inventory,
            reports: mpsc::channel(REPORTS).0,
            backends: Mutex::new(Backends { driven, running: BTreeMap::new(), generations: 0 }),
            drained: Drained::load(Path::new("/nonexistent")).0,
            home: HomeKeys::default(),
            places: Reservations::default(),
            jobs: Jobs::new(log, tasks.clone(), stop.clone()),
            meter: Meter::default(),
            identity: Identity::fixed(),
            tunnels: Tunnels::default(),
            tasks,
            stop,
        };
        Self { shared: Arc::new(shared) }
    }

    /// Says whether something new may be placed on a backend, also after a restart. What is there
    /// goes on.
    ///
    /// # Errors
    /// It cannot be written down; nothing has changed.
    pub async fn drain(&self, backend: &BackendName, drain: bool) -> Result<(), StoreError> {
        self.shared.drained.set(backend, drain).await?;
        let mut inventory = self.inventory();
        let shown = inventory.wait_for(|i| i.backend(backend).is_none_or(|b| b.drained == drain));
        // Fails when the writer is gone: at the end.
        let _ = timeout(REFRESH_DEADLINE, shown).await;
        Ok(())
    }

    /// A client of a backend's Incus, over its control connection: for calls, not for users'
    /// bytes.
    #[must_use]
    pub fn incus(&self, backend: &BackendName) -> Option<Client> {
        self.shared.backends().running.get(backend).map(|b| b.client.clone())
    }

    /// A backend's control connection; `None` for one that is not behind an sshd. Not for users' bytes either.
    #[must_use]
    pub fn link(&self, backend: &BackendName) -> Option<Link> {
        self.shared.backends().running.get(backend).and_then(|b| b.link.clone())
    }

    /// How a backend is reached.
    #[must_use]
    pub fn config(&self, backend: &BackendName) -> Option<Arc<config::Backend>> {
        self.shared.backends().running.get(backend).map(|b| Arc::clone(&b.driven.config))
    }

    /// A client of the Incus of a backend that nobody drives, for somebody who wants to try it.
    #[must_use]
    pub fn try_out(&self, backend: &config::Backend) -> Client {
        way_to(backend, &self.shared.identity, &self.shared.tunnels).0
    }

    /// The hosts that connect to us because nobody can dial them.
    #[must_use]
    pub fn tunnels(&self) -> &Tunnels {
        &self.shared.tunnels
    }

    /// Reads a container again and publishes what was found, within 3 s. `None`: it is gone, or
    /// its backend is away or too slow.
    pub async fn refresh(&self, container: &Container) -> Option<Arc<Container>> {
        self.reread(&container.backend, container.name.instance()).await
    }

    async fn reread(&self, backend: &BackendName, instance: String) -> Option<Arc<Container>> {
        let requests = self.requests(backend)?;
        let (reply, answer) = oneshot::channel();
        let refresh = async {
            requests.send(Request::Refresh { instance, reply }).await.ok()?;
            answer.await.ok().flatten()
        };
        timeout(REFRESH_DEADLINE, refresh).await.ok().flatten()
    }

    /// Reads a container of that name on that backend again, and publishes what was found.
    pub async fn look(
        &self,
        backend: &BackendName,
        name: &ContainerName,
    ) -> Option<Arc<Container>> {
        self.reread(backend, name.instance()).await
    }

    /// Keeps a place for a container that is about to be made: until the answer is dropped it
    /// counts when others look for theirs.
    ///
    /// # Errors
    /// There is none.
    pub fn reserve(&self, name: &ContainerName, wish: &Wish) -> Result<Reserved, PlacementError> {
        let inventory = Arc::clone(&self.shared.inventory.borrow());
        self.shared.places.reserve(&inventory, name, wish)
    }

    /// Ends a backend's pause between attempts to reach it: for instance when health says that
    /// its host is back.
    pub fn retry(&self, backend: &BackendName) {
        if let Some(requests) = self.requests(backend) {
            // A full queue will end the pause as well: it is read at once while away.
            let _ = requests.try_send(Request::Retry);
        }
    }

    /// Gives a backend's connection up, as its host does not answer: also one that still looks
    /// sound.
    pub fn lost(&self, backend: &BackendName) {
        if let Some(running) = self.shared.backends().running.get(backend) {
            // Nobody listens while it is away anyway.
            running.lost.notify_waiters();
        }
    }

    /// The keys in `~/.ssh/authorized_keys` of an account inside a container, at most 500 ms old,
    /// within 2 s; what was read last while the backend is away. The caller has made sure that
    /// the account may be used.
    pub async fn authorized_keys(
        &self,
        container: &Container,
        account: &Account,
    ) -> Vec<AuthorizedKey> {
        let inventory = Arc::clone(&self.shared.inventory.borrow());
        let presence = inventory.backend(&container.backend).map(|b| &b.presence);
        let client = match presence {
            Some(Presence::Up { .. }) => self.incus(&container.backend),
            Some(Presence::Unknown | Presence::Away { .. }) | None => None,
        };
        self.shared.home.of(client.as_ref(), container, account).await
    }

    /// Forgets what was read of the keys inside a container: the next login reads them anew.
    pub fn forget_keys(&self, container: &Container, account: &Account) {
        self.shared.home.forget(container, account);
    }

    fn requests(&self, backend: &BackendName) -> Option<mpsc::Sender<Request>> {
        self.shared.backends().running.get(backend).map(|b| b.requests.clone())
    }
}

impl Shared {
    fn backends(&self) -> MutexGuard<'_, Backends> {
        self.backends.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn spawn(&self, driven: Driven) -> Running {
        let (client, link) = way_to(&driven.config, &self.identity, &self.tunnels);
        let (requests, asked) = mpsc::channel(REQUESTS);
        let (lost, stop) = (Arc::new(Notify::new()), self.stop.child_token());
        let task = Driver {
            driven: driven.clone(),
            client: client.clone(),
            link: link.clone(),
            requests: asked,
            lost: Arc::clone(&lost),
            reports: self.reports.clone(),
        };
        self.tasks.spawn(task.run(stop.clone()));
        Running { driven, client, link, requests, lost, stop }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::sync::LazyLock;

    use tokio::time::Instant;

    use super::*;
    use crate::{config::BackendAddress, model::container::Status};

    pub(crate) fn backend(name: &str) -> config::Backend {
        config::Backend {
            name: name.parse().unwrap(),
            pool: "default".parse().unwrap(),
            address: BackendAddress::Local,
            incus_socket: "/nonexistent/unix.socket".into(),
            routed: false,
            health: config::Health::default(),
            recovery: None,
        }
    }

    pub(crate) fn container(name: &str, on: &str) -> Container {
        let backend = backend(on);
        let owner = ("user.containarium.owner".to_owned(), "alice".to_owned());
        Container::from_config(
            name.parse().unwrap(),
            (backend.name, backend.pool),
            (Status::Running, Vec::new()),
            &BTreeMap::from([owner]),
        )
        .unwrap()
    }

    /// A point in time, in milliseconds from the same start.
    pub(crate) fn at(millis: u64) -> Instant {
        #[expect(clippy::disallowed_methods, reason = "a start for tests")]
        static START: LazyLock<Instant> = LazyLock::new(Instant::now);
        *START + Duration::from_millis(millis)
    }
}
