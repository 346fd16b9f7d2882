//! A login to a container's sshd, by whichever way answers first: directly, through the backend's
//! sshd, or as `sshd -i` through Incus. Every way ends in the same pinned host key, so a wrong
//! address can only fail.

mod ahead;
mod error;
mod lifeline;
mod route;

use std::{
    collections::{BTreeMap, HashMap},
    future::Future,
    io,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures_util::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use tokio::{
    sync::watch,
    time::{sleep, timeout},
};

pub use self::ahead::Ahead;
use self::ahead::Places;
pub use self::error::ReachError;
pub use self::route::Way;
use self::{lifeline::Lifelines, route::plan};
use crate::{
    config::{self, BackendAddress, Config},
    fleet::Fleet,
    incus::Client,
    link::{
        Dial, Stream,
        connection::Connection,
        login::{IDENT, Login, LoginError, authenticate, log_in},
        reverse,
        socket::Socket,
        tunnel::{Destination, Tunnel},
    },
    model::{
        container::{Container, Status},
        inventory::Presence,
        name::{BackendName, ContainerName},
    },
    store::keys::load_identity,
    wire::{identity::Identity, userauth::Credential},
};

/// How long one connection may take to be there, network and sshd.
const CONNECT: Duration = Duration::from_secs(4);

/// How long one way may take from nothing to a login.
const ATTEMPT: Duration = Duration::from_secs(8);

/// How long a way may take before the next one is tried beside it: many times what a login through
/// a link takes.
const HEAD_START: Duration = Duration::from_secs(2);

/// The same where only Incus led to the container last time: then it is hardly waited for.
const SHORT_START: Duration = Duration::from_millis(200);

/// Where sshd listens in a container.
pub const SSH_PORT: u16 = 22;

/// Containers whose way is remembered.
const REMEMBERED: usize = 10_000;

/// What runs in the container for [`Way::Exec`]: sshd refuses to start without its run directory.
const SSHD: [&str; 3] = [
    "/bin/sh",
    "-c",
    "mkdir -p /run/sshd && PATH=$PATH:/usr/sbin:/sbin exec \"$(command -v sshd || echo /usr/sbin/sshd)\" -i",
];

/// A login to a container.
pub struct Reached {
    /// The connection.
    pub connection: Connection,
    /// The container, as it was known when it was entered.
    pub container: Arc<Container>,
    /// How it leads there.
    pub way: Way,
    /// Whether it was begun before the person had proven her key.
    pub ahead: bool,
}

/// Opens logins to containers.
#[derive(Clone)]
pub struct Reach {
    fleet: Fleet,
    config: watch::Receiver<Arc<Config>>,
    link_key: Arc<Identity>,
    ways: Arc<Mutex<HashMap<(BackendName, ContainerName), Way>>>,
    places: Places,
    lifelines: Lifelines,
}

impl Reach {
    /// Reaches what `fleet` knows, with `link_key` for backends that have no key of their own.
    #[must_use]
    pub fn new(
        fleet: Fleet,
        config: watch::Receiver<Arc<Config>>,
        link_key: Arc<Identity>,
    ) -> Self {
        let (ways, places, lifelines) = Default::default();
        Self { fleet, config, link_key, ways, places, lifelines }
    }

    /// Logs in to `container`; `ahead` is taken up if it fits.
    ///
    /// # Errors
    /// No way leads there now; the error is a sentence for the person who waits.
    pub async fn log_in(
        &self,
        container: &Arc<Container>,
        login: &Login<'_>,
        mut ahead: Option<Ahead>,
    ) -> Result<Reached, ReachError> {
        if container.host_keys.is_empty() {
            return Err(ReachError::NoHostKey(container.name.clone()));
        }
        let (container, backend) = self.running(container).await?;
        let key = (container.backend.clone(), container.name.clone());
        let last = self.remembered(&key);
        let head_start = if last == Some(Way::Exec) { SHORT_START } else { HEAD_START };
        let mut ways = plan(&backend, &container, last).into_iter().peekable();
        let (mut attempts, mut failures) = (FuturesUnordered::new(), Vec::new());
        loop {
            // Each round starts one more way: the first at once, the next when one has failed or
            // takes long.
            if let Some(way) = ways.next() {
                let met = ahead.take_if(|ahead| ahead.fits(&container, way));
                let attempt = self.attempt(way, &backend, &container, login, met);
                attempts.push(timeout(ATTEMPT, attempt).map(move |outcome| (way, outcome)));
            }
            let finished = tokio::select! {
                Some(finished) = attempts.next() => Some(finished),
                () = sleep(head_start), if ways.peek().is_some() => None,
                else => return Err(self.explain(&container, failures)),
            };
            match finished {
                Some((way, Ok(Ok((connection, ahead))))) => {
                    self.remember(key, way);
                    return Ok(Reached {
                        connection,
                        container: Arc::clone(&container),
                        way,
                        ahead,
                    });
                }
                Some((way, Ok(Err(failure)))) => failures.push((way, failure)),
                Some((way, Err(_))) => failures.push((way, timed_out())),
                None => {}
            }
        }
    }

    /// Opens a TCP port of `container`, for people who jump through the console.
    ///
    /// # Errors
    /// Nothing listens there, or no way leads there now.
    pub async fn open_port(
        &self,
        container: &Arc<Container>,
        port: u16,
    ) -> Result<Stream, ReachError> {
        let (container, backend) = self.running(container).await?;
        let mut last = None;
        for way in plan(&backend, &container, None) {
            // Incus leads to sshd only.
            if way == Way::Exec && port != SSH_PORT {
                continue;
            }
            match timeout(ATTEMPT, self.open(way, &backend, &container, port)).await {
                Ok(Ok(socket)) => {
                    return Ok(Box::new(self.lifelines.hang(&backend.name, socket)));
                }
                Ok(Err(failure)) => last = Some((way, failure)),
                Err(_) => last = Some((way, timed_out())),
            }
        }
        Err(self.explain(&container, last.into_iter().collect()))
    }

    /// A backend's Incus for commands that people are attached to: what they send and receive
    /// stays off the control connection. `None`: the backend is gone.
    #[must_use]
    pub fn incus_for_people(&self, backend: &BackendName) -> Option<Client> {
        self.incus(&self.backend(backend).ok()?)
    }

    /// Ends every stream that leads to a backend's containers for people, as its host is down:
    /// those of jumps and of commands that people are attached to. Logins are their owners' to end.
    pub fn cut(&self, backend: &BackendName) {
        self.lifelines.cut(backend);
    }

    async fn attempt(
        &self,
        way: Way,
        backend: &Arc<config::Backend>,
        container: &Container,
        login: &Login<'_>,
        ahead: Option<Ahead>,
    ) -> Result<(Connection, bool), Failure> {
        if let Some(ahead) = ahead
            && let Some(met) = ahead.met().await
            && let Ok(done) = authenticate(met, login.user, login.credential.clone()).await
        {
            return Ok((done, true));
        }
        let socket = self.open(way, backend, container, SSH_PORT).await?;
        let login = Login { pinned: &container.host_keys, ..login.clone() };
        let done = log_in(socket, login).await.map_err(Failure::Login)?;
        Ok((done, false))
    }

    /// A byte stream to `port`; [`Way::Exec`] always leads to sshd.
    async fn open(
        &self,
        way: Way,
        backend: &Arc<config::Backend>,
        container: &Container,
        port: u16,
    ) -> Result<Socket, Failure> {
        match way {
            Way::Direct => direct(container, port).await,
            Way::Link => self.through_link(backend, container, port).await,
            Way::Exec => self.through_incus(backend, container).await,
        }
    }

    async fn through_link(
        &self,
        backend: &Arc<config::Backend>,
        container: &Container,
        port: u16,
    ) -> Result<Socket, Failure> {
        let host = address(container)?;
        let tunnel = self.tunnels(backend).open(&Destination::Tcp { host, port }).await?;
        Ok(Socket::Other(Box::new(tunnel)))
    }

    async fn through_incus(
        &self,
        backend: &Arc<config::Backend>,
        container: &Container,
    ) -> Result<Socket, Failure> {
        let gone = || Failure::Io(io::ErrorKind::NotConnected.into());
        let client = self.incus(backend).ok_or_else(gone)?;
        let stream = client.exec(&container.name.instance(), &SSHD, &BTreeMap::new()).await;
        Ok(Socket::Other(stream.map_err(|e| Failure::Io(io::Error::other(e)))?))
    }

    fn incus(&self, backend: &Arc<config::Backend>) -> Option<Client> {
        let client = self.fleet.incus(&backend.name)?;
        if let BackendAddress::Ssh { .. } = &backend.address {
            return Some(client.with_bulk(Arc::new(self.tunnels(backend))));
        }
        Some(client)
    }

    fn tunnels(&self, backend: &Arc<config::Backend>) -> Tunnels {
        let (backend, link_key) = (Arc::clone(backend), Arc::clone(&self.link_key));
        let dialled = self.fleet.tunnels().clone();
        Tunnels { backend, link_key, dialled, lifelines: self.lifelines.clone() }
    }

    /// The container as it is known now, with its backend, unless it is known not to run.
    async fn running(
        &self,
        container: &Arc<Container>,
    ) -> Result<(Arc<Container>, Arc<config::Backend>), ReachError> {
        let container = self.current(container).await;
        let backend = self.backend(&container.backend)?;
        if matches!(container.status, Status::Stopped | Status::Frozen) && self.is_up(&backend) {
            let name = container.name.clone();
            if container.hold && container.status == Status::Stopped {
                return Err(ReachError::Held(name));
            }
            return Err(ReachError::NotRunning(name, container.status));
        }
        Ok((container, backend))
    }

    /// The container as Incus describes it now, where the snapshot says that it cannot be reached:
    /// a container that has just started has no address in it.
    async fn current(&self, container: &Arc<Container>) -> Arc<Container> {
        if container.status == Status::Running && !container.addresses.is_empty() {
            return Arc::clone(container);
        }
        self.fleet.refresh(container).await.unwrap_or_else(|| Arc::clone(container))
    }

    fn backend(&self, name: &BackendName) -> Result<Arc<config::Backend>, ReachError> {
        let config = self.config.borrow();
        let found = config.backends.iter().find(|b| b.name == *name).cloned();
        found.ok_or_else(|| ReachError::NoBackend(name.clone()))
    }

    fn presence(&self, backend: &BackendName) -> Option<Presence> {
        self.fleet.inventory().borrow().backend(backend).map(|b| b.presence.clone())
    }

    fn is_up(&self, backend: &config::Backend) -> bool {
        matches!(self.presence(&backend.name), Some(Presence::Up { .. }))
    }

    fn explain(&self, container: &Container, failures: Vec<(Way, Failure)>) -> ReachError {
        let name = container.name.clone();
        let mut details = Vec::new();
        for (way, failure) in failures {
            match failure {
                Failure::Login(LoginError::HostKey(shown)) => {
                    return ReachError::HostKey { name, shown: shown.fingerprint() };
                }
                Failure::Login(LoginError::Refused) => return ReachError::Refused(name),
                Failure::Login(LoginError::Connection(_)) | Failure::Io(_) | Failure::NoAddress => {
                    details.push(format!("{way}: {failure}"));
                }
            }
        }
        let backend = container.backend.clone();
        match self.presence(&backend) {
            Some(Presence::Away { since, reason }) => {
                ReachError::Away { name, backend, since, reason }
            }
            Some(Presence::Up { .. } | Presence::Unknown) | None => {
                ReachError::Unreachable { name, backend, details: details.join("; ") }
            }
        }
    }

    fn remembered(&self, key: &(BackendName, ContainerName)) -> Option<Way> {
        self.ways.lock().unwrap_or_else(PoisonError::into_inner).get(key).copied()
    }

    fn remember(&self, key: (BackendName, ContainerName), way: Way) {
        let mut ways = self.ways.lock().unwrap_or_else(PoisonError::into_inner);
        if ways.len() >= REMEMBERED {
            ways.clear();
        }
        ways.insert(key, way);
    }
}

/// Why one way failed.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("no address is known")]
    NoAddress,
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("{0}")]
    Login(LoginError),
}

fn timed_out() -> Failure {
    Failure::Io(io::ErrorKind::TimedOut.into())
}

fn address(container: &Container) -> Result<String, Failure> {
    container.addresses.first().map(ToString::to_string).ok_or(Failure::NoAddress)
}

async fn direct(container: &Container, port: u16) -> Result<Socket, Failure> {
    let address = container.addresses.first().ok_or(Failure::NoAddress)?;
    let target = std::net::SocketAddr::new(*address, port).to_string();
    Ok(Socket::connect(&target, CONNECT).await?)
}

/// Opens tunnels through one backend's sshd, each on an SSH connection of its own.
struct Tunnels {
    backend: Arc<config::Backend>,
    link_key: Arc<Identity>,
    dialled: reverse::Tunnels,
    lifelines: Lifelines,
}

impl Tunnels {
    async fn open(&self, destination: &Destination) -> Result<Tunnel, io::Error> {
        let BackendAddress::Ssh { address, user, host_key, identity } = &self.backend.address
        else {
            return Err(io::Error::other("the backend is not reached by SSH"));
        };
        let identity = self.identity(identity.clone()).await?;
        let socket = self.dialled.connect(&self.backend.name, address, CONNECT).await?;
        let login = Login {
            ident: IDENT,
            pinned: std::slice::from_ref(host_key),
            user,
            credential: Credential::Key { identity, certificate: None },
        };
        let connection =
            log_in(socket, login).await.map_err(|e| io::Error::other(backend_says(&e)))?;
        Tunnel::open(connection, destination).await.map_err(io::Error::other)
    }

    async fn identity(&self, file: Option<PathBuf>) -> io::Result<Arc<Identity>> {
        let Some(file) = file else { return Ok(Arc::clone(&self.link_key)) };
        let loaded = tokio::task::spawn_blocking(move || load_identity(&file)).await;
        let identity = loaded.map_err(io::Error::other)?.map_err(io::Error::other)?;
        Ok(Arc::new(identity))
    }
}

fn backend_says(error: &LoginError) -> String {
    match error {
        LoginError::HostKey(key) => {
            format!(
                "the backend shows another host key than the pinned one ({})",
                key.fingerprint()
            )
        }
        LoginError::Refused => "the backend does not accept the sentinel's link key".to_owned(),
        LoginError::Connection(e) => format!("login on the backend failed: {e}"),
    }
}

impl Dial for Tunnels {
    fn dial(&self) -> BoxFuture<'_, io::Result<Stream>> {
        let path = self.backend.incus_socket.to_string_lossy().into_owned();
        async move {
            let tunnel = within(CONNECT, self.open(&Destination::Unix { path })).await?;
            Ok(Box::new(self.lifelines.hang(&self.backend.name, tunnel)) as Stream)
        }
        .boxed()
    }
}

async fn within<T>(limit: Duration, work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    let done = timeout(limit, work).await;
    done.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
}

/// Logs in to the far side of a fixed route.
///
/// # Errors
/// It does not answer, shows another host key, or does not let us in.
pub async fn log_in_to_route(
    route: &config::Route,
    ident: &str,
    credential: Credential,
) -> Result<Connection, ReachError> {
    let pinned = std::slice::from_ref(&route.host_key);
    let login = Login { ident, pinned, user: &route.user, credential };
    let attempt = async {
        let socket = Socket::connect(&route.address, CONNECT).await?;
        log_in(socket, login).await.map_err(Failure::Login)
    };
    let outcome = timeout(ATTEMPT, attempt).await;
    let failed = match outcome {
        Ok(Ok(connection)) => return Ok(connection),
        Ok(Err(failure)) => failure,
        Err(_) => timed_out(),
    };
    let name = route.login.to_string();
    Err(match failed {
        Failure::Login(LoginError::HostKey(shown)) => {
            ReachError::RouteHostKey { name, shown: shown.fingerprint() }
        }
        Failure::Login(LoginError::Refused) => ReachError::RouteRefused(name),
        Failure::Login(LoginError::Connection(_)) | Failure::Io(_) | Failure::NoAddress => {
            ReachError::RouteUnreachable { name, detail: failed.to_string() }
        }
    })
}
