//! What a command may look at: who asks, the time, and the sentinel around it.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    ops::Deref,
    path::PathBuf,
    sync::Arc,
};

use jiff::Timestamp;
use tokio::sync::watch;

use super::{
    failure::{Failure, Kind},
    render::Format,
    session::LiveSession,
};
use crate::{
    audit::Ledger,
    config::{Advertise, Config, Stacks},
    fleet::Fleet,
    gateway::{self, certificate::Keystore},
    guard::Guard,
    health::Health,
    incus::Client,
    model::{
        container::Container,
        inventory::{Inventory, Presence},
        key::PublicKey,
        name::{BackendName, ContainerName},
        principal::{Principal, Role, Whose},
    },
    process,
    recording::{Recorder, watch::Watch},
    recovery::Recoveries,
    store::backends::BackendFiles,
};

/// What the sentinel does and uses at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Open sessions at the door.
    pub sessions: usize,
    /// Connections at the door, before and after login.
    pub connections: usize,
    /// Live tasks.
    pub tasks: usize,
    /// Open file descriptors.
    pub descriptors: usize,
    /// Resident memory in bytes.
    pub resident_bytes: u64,
    /// Panics since start: each ended one task, and is a bug.
    pub panics: u64,
}

/// Tells what the sentinel does and uses now.
pub type Meter = Arc<dyn Fn() -> Usage + Send + Sync>;

/// Reads the configuration again: the changed keys that need a restart, or the first mistake.
pub type Reload = Arc<dyn Fn() -> Result<Vec<&'static str>, String> + Send + Sync>;

/// The sentinel's own public keys.
#[derive(Debug, Default)]
pub struct PublicKeys {
    /// Those that the door proves, Ed25519 first.
    pub host: Vec<PublicKey>,
    /// Those whose certificates containers are to trust.
    pub ca: Vec<PublicKey>,
}

/// Ends sessions on a container with a sentence for their people: how many there were.
pub type EndSessions = Arc<dyn Fn(&ContainerName, &Whose, &str) -> usize + Send + Sync>;

/// Tells which sessions have not ended.
pub type LiveSessions = Arc<dyn Fn() -> Vec<LiveSession> + Send + Sync>;

/// Ends a session by its number with a sentence for its person: whether there was one.
pub type EndSession = Arc<dyn Fn(u64, &str) -> bool + Send + Sync>;

/// Lets somebody (printable) watch a session by its number: one of its terminals, or whichever there is.
pub type WatchSession = Arc<dyn Fn(u64, Option<u32>, String) -> Option<Watch> + Send + Sync>;

/// The sessions at the door.
#[derive(Clone)]
pub struct Sessions {
    /// Those that have not ended, the oldest first.
    pub live: LiveSessions,
    /// Ends one with a sentence for its person; `false`: none has this number.
    pub end: EndSession,
    /// Lets somebody watch one; `None`: none has this number.
    pub watch: WatchSession,
}

impl Sessions {
    /// No sessions.
    fn none() -> Self {
        Self {
            live: Arc::new(Vec::new),
            end: Arc::new(|_, _| false),
            watch: Arc::new(|_, _, _| None),
        }
    }
}

/// Tells when a key last opened a container.
pub type LastUse = Arc<dyn Fn(&ContainerName, &PublicKey) -> Option<Timestamp> + Send + Sync>;
/// A backend's Incus for commands that people are attached to: their bytes stay off the control
/// connection. `None`: the backend is gone.
pub type IncusForPeople = Arc<dyn Fn(&BackendName) -> Option<Client> + Send + Sync>;

/// What commands need from the rest of the sentinel.
#[derive(Clone)]
pub struct Environment {
    /// What runs where.
    pub inventory: watch::Receiver<Arc<Inventory>>,
    /// The backends, and the work on containers.
    pub fleet: Fleet,
    /// The configuration, now and later.
    pub config: watch::Receiver<Arc<Config>>,
    /// The sentinel's own public keys.
    pub keys: Arc<PublicKeys>,
    /// Which hosts are alive.
    pub health: watch::Receiver<Arc<Health>>,
    /// Where public ports lead.
    pub gateway: watch::Receiver<Arc<gateway::State>>,
    /// What is done about those that are not.
    pub recoveries: watch::Receiver<Arc<Recoveries>>,
    /// The certificates of the maintenance page.
    pub certificates: watch::Receiver<Arc<Keystore>>,
    /// Who is let in at all.
    pub guard: Guard,
    /// What the sentinel does and uses now.
    pub usage: Meter,
    /// Reads the configuration again.
    pub reload: Reload,
    /// The files that say which backends there are.
    pub backend_files: Arc<BackendFiles>,
    /// Where commands are recorded, and what is read of it.
    pub ledger: Ledger,
    /// Ends sessions at the door.
    pub end_sessions: EndSessions,
    /// Who is connected.
    pub sessions: Sessions,
    /// Whether recordings are written.
    pub recorder: Recorder,
    /// The folder of recordings.
    pub recordings: PathBuf,
    /// When a key last opened a container.
    pub last_use: LastUse,
    /// Where people are attached to commands inside containers.
    pub incus_for_people: IncusForPeople,
    /// When the sentinel started.
    pub started: Timestamp,
    /// The sentinel's version.
    pub version: &'static str,
}

impl Environment {
    /// That of `fleet`, without anything that leads beyond it: nothing is used, a reload does
    /// nothing.
    #[must_use]
    pub fn new(fleet: Fleet, config: watch::Receiver<Arc<Config>>, started: Timestamp) -> Self {
        let recordings = config.borrow().record.path.clone();
        let (control, guard) = (fleet.clone(), Guard::new(config.clone(), None));
        Self {
            inventory: fleet.inventory(),
            fleet,
            config,
            keys: Arc::default(),
            incus_for_people: Arc::new(move |backend| control.incus(backend)),
            health: watch::channel(Arc::default()).1,
            gateway: watch::channel(Arc::default()).1,
            recoveries: watch::channel(Arc::default()).1,
            certificates: watch::channel(Arc::default()).1,
            guard,
            usage: Arc::new(Usage::default),
            reload: Arc::new(|| Ok(Vec::new())),
            backend_files: Arc::new(BackendFiles::new("/nonexistent/sentinel.toml".into())),
            ledger: Ledger::unkept(),
            end_sessions: Arc::new(|_, _, _| 0),
            sessions: Sessions::none(),
            recorder: Recorder::none(),
            recordings,
            last_use: Arc::new(|_, _| None),
            started,
            version: env!("CARGO_PKG_VERSION"),
        }
    }
}

/// Over which addresses a person came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Came {
    /// Hers.
    pub from: IpAddr,
    /// The one at which she reached the sentinel, as far as it is known.
    pub to: Option<SocketAddr>,
}

/// What a command may look at.
#[derive(Clone)]
pub struct Context {
    /// Who asks.
    pub principal: Principal,
    /// How the result will be shown.
    pub format: Format,
    /// The time of the question.
    pub now: Timestamp,
    /// At which address the person reached the sentinel, if she came over a network.
    pub reached: Option<SocketAddr>,
    /// From which address the person came, if she came over a network.
    pub from: Option<IpAddr>,
    /// The rest of the sentinel.
    pub environment: Arc<Environment>,
}

impl Deref for Context {
    type Target = Environment;

    fn deref(&self) -> &Environment {
        &self.environment
    }
}

impl Context {
    /// The inventory at this moment.
    #[must_use]
    pub fn snapshot(&self) -> Arc<Inventory> {
        Arc::clone(&self.inventory.borrow())
    }

    /// The containers that this person may see, by name: all for an administrator, else those that
    /// her key opens.
    #[must_use]
    pub fn visible(&self, inventory: &Inventory) -> Vec<Arc<Container>> {
        match (self.principal.role, &self.principal.key) {
            (Role::Admin, _) => inventory.containers().cloned().collect(),
            (Role::Member, Some(key)) => inventory.opened_by(key).cloned().collect(),
            (Role::Member, None) | (Role::Node, _) => Vec::new(),
        }
    }

    /// The container called `name`.
    ///
    /// # Errors
    /// There is none, or none that this person may see: both give the same answer.
    pub fn find(&self, inventory: &Inventory, name: &str) -> Result<Arc<Container>, Failure> {
        let found = self.visible(inventory).into_iter().find(|c| c.name.as_str() == name);
        found.ok_or_else(|| {
            Failure::new(Kind::NotFound, format!("no container named \"{name}\""))
                .hint("type `list` to see the containers")
        })
    }

    /// The stacks that can be installed: the administrator's files are read now.
    #[must_use]
    pub fn stacks(&self) -> Stacks {
        let folder = self.config.borrow().stacks.clone();
        Stacks::load(&folder)
    }

    /// Where people reach the door: as configured, else where the person who asks did, else by
    /// the machine's host name.
    #[must_use]
    pub fn door(&self) -> Advertise {
        let config = self.config.borrow();
        let reached = self
            .reached
            .map(|at| Advertise { host: at.ip().to_canonical().to_string(), port: at.port() });
        config.ssh.advertise.clone().or(reached).unwrap_or_else(|| Advertise {
            host: process::host_name(),
            port: config.ssh.listen.first().map_or(22, SocketAddr::port),
        })
    }

    /// The Incus that a container is on, for an action on it: its backend is there.
    ///
    /// # Errors
    /// The backend is away, or not heard of yet.
    pub fn incus(&self, container: &Container) -> Result<Client, Failure> {
        self.incus_of(&container.backend)
    }

    /// The Incus of a backend that is there.
    ///
    /// # Errors
    /// The backend is away, or not heard of yet.
    pub fn incus_of(&self, name: &BackendName) -> Result<Client, Failure> {
        let unavailable = |message| {
            Failure::new(Kind::Unavailable, message).hint("type `status` to see the backends")
        };
        match self.snapshot().backend(name).map(|b| &b.presence) {
            Some(Presence::Up { .. }) => {}
            Some(Presence::Away { reason, .. }) => {
                return Err(unavailable(format!("backend {name} is away: {reason}")));
            }
            Some(Presence::Unknown) | None => {
                return Err(unavailable(format!("backend {name} has not been heard of yet")));
            }
        }
        self.fleet.incus(name).ok_or_else(|| unavailable(format!("backend {name} is gone")))
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context").field("principal", &self.principal).finish_non_exhaustive()
    }
}
