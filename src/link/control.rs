//! The one SSH control connection to a backend: made when first needed, made again after it was
//! lost, shared by everybody who asks that backend something.
//!
//! Every stream opened here must be read until its end: `russh` parks the whole connection while
//! one stream's queue is full. For that reason bytes of users never come this way.

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use futures_util::future::BoxFuture;
use ssh_key::PrivateKey;
use tokio::{
    sync::Mutex,
    time::{Instant, timeout},
};

use super::{Dial, Stream, backoff::Backoff, reverse::Tunnels, session::Session};
use crate::{
    config::{Backend, BackendAddress, SshAddress},
    model::{key::PublicKey, name::BackendName, text::printable},
};

/// From the first packet to a session that is logged in.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// For a unix socket to be opened, which takes the backend no time, unless it is so busy that
/// everything does: then nothing is won by another connection. Shorter than what the calls over it
/// may take, so that a connection that died in silence is given up where health is not looking.
const UNIX_TIMEOUT: Duration = Duration::from_secs(8);
/// For a TCP port to be opened.
const TCP_TIMEOUT: Duration = Duration::from_secs(10);
/// Channels that `russh` may keep, about 1 KiB each, before another connection takes over: a few
/// remain where the backend says much that nobody wants to hear any more.
const MAX_KEPT: usize = 1000;
/// Longest piece of a peer's text in an error, in characters.
const MAX_TEXT: usize = 200;

/// Why a backend's sshd is of no use now.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// No TCP connection, or no SSH handshake on it.
    #[error("connect to {address}: {reason}")]
    Connect {
        /// The backend's sshd.
        address: String,
        /// Why.
        reason: String,
    },
    /// Somebody else answered, or the backend was reinstalled.
    #[error("{address} proved host key {found}, but {pinned} is pinned: refusing to talk to it")]
    HostKey {
        /// The backend's sshd.
        address: String,
        /// Fingerprint of the key it proved.
        found: String,
        /// Fingerprint of the key in the configuration.
        pinned: String,
    },
    /// The key is not accepted for that account.
    #[error("log in to {address} as {user}: key refused")]
    Refused {
        /// The backend's sshd.
        address: String,
        /// The account there.
        user: String,
    },
    /// The private key file cannot be used.
    #[error("read identity {path}: {reason}")]
    Identity {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The backend does not open that socket or port.
    #[error("open {target} on {address}: {reason}")]
    Open {
        /// The backend's sshd.
        address: String,
        /// What was to be opened.
        target: String,
        /// Why.
        reason: String,
    },
}

/// Where a connection's private key comes from.
#[derive(Debug, Clone)]
pub enum Identity {
    /// The sentinel's link key.
    Key(Arc<PrivateKey>),
    /// A file, read at each connect so that a new key needs no restart.
    File(PathBuf),
}

/// Handle to a backend's control connection. Clones share the connection; it ends when the last
/// of them is dropped.
#[derive(Clone)]
pub struct Link {
    peer: Arc<Peer>,
    incus_socket: Arc<Path>,
    state: Arc<Mutex<State>>,
}

/// Whom a connection is to be made to.
pub(super) struct Peer {
    pub(super) backend: BackendName,
    pub(super) address: SshAddress,
    pub(super) tunnels: Tunnels,
    pub(super) user: String,
    pub(super) host_key: PublicKey,
    pub(super) identity: Identity,
}

/// What a stream leads to.
#[derive(Clone)]
pub(super) enum Target {
    /// A unix socket on the backend.
    Unix(String),
    /// A TCP port that the backend can reach.
    Tcp(String, u16),
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => f.write_str(path),
            Self::Tcp(host, port) => write!(f, "{host}:{port}"),
        }
    }
}

#[derive(Default)]
struct State {
    session: Option<Arc<Session>>,
    backoff: Backoff,
    failed: Option<(Instant, LinkError)>,
}

impl Link {
    /// A handle for `backend`, which logs in with `identity` unless the backend has a key file of
    /// its own, and finds in `tunnels` the hosts that connect by themselves. `None` for a backend
    /// that is not behind an sshd. Connects when first used.
    #[must_use]
    pub fn new(backend: &Backend, identity: &Arc<PrivateKey>, tunnels: &Tunnels) -> Option<Self> {
        let BackendAddress::Ssh { address, user, host_key, identity: file } = &backend.address
        else {
            return None;
        };
        let identity = file
            .as_ref()
            .map_or_else(|| Identity::Key(Arc::clone(identity)), |f| Identity::File(f.clone()));
        let peer = Peer {
            backend: backend.name.clone(),
            address: address.clone(),
            tunnels: tunnels.clone(),
            user: user.clone(),
            host_key: host_key.clone(),
            identity,
        };
        Some(Self {
            peer: Arc::new(peer),
            incus_socket: backend.incus_socket.as_path().into(),
            state: Arc::default(),
        })
    }

    /// Opens a stream to a unix socket on the backend.
    ///
    /// # Errors
    /// The backend is away (at once while a pause between attempts lasts), or refuses to open it.
    pub async fn open_unix(&self, path: &Path) -> Result<Stream, LinkError> {
        self.open(&Target::Unix(path.to_string_lossy().into_owned())).await
    }

    /// Opens a stream to a TCP port that the backend can reach.
    ///
    /// # Errors
    /// The backend is away (at once while a pause between attempts lasts), or refuses to open it.
    pub async fn open_tcp(&self, host: &str, port: u16) -> Result<Stream, LinkError> {
        self.open(&Target::Tcp(host.to_owned(), port)).await
    }

    /// Connects now, within 10 s, unless that is done.
    ///
    /// # Errors
    /// The backend is away (at once while a pause between attempts lasts).
    pub async fn connect(&self) -> Result<(), LinkError> {
        self.session().await.map(drop)
    }

    /// Lets go of the connection, for instance because nothing comes over it any more: the next
    /// call makes another. Streams that are open stay so.
    pub async fn reset(&self) {
        self.state.lock().await.session = None;
    }

    /// The same because its host is gone: who waits for a stream need not wait any longer.
    pub async fn lose(&self) {
        if let Some(session) = self.state.lock().await.session.take() {
            session.given_up.cancel();
        }
    }

    /// How long until the next connect is attempted; zero while connected.
    pub async fn pause(&self) -> Duration {
        let state = self.state.lock().await;
        let until = state.failed.as_ref().map(|(at, _)| *at);
        until.map_or(Duration::ZERO, |at| at.saturating_duration_since(now()))
    }

    /// Forgets a pause between attempts: for instance when health says that the host is back.
    pub async fn retry_now(&self) {
        let mut state = self.state.lock().await;
        state.backoff.reset();
        state.failed = None;
    }

    /// Channels that ended and still cost memory, until the connection ends.
    pub async fn kept(&self) -> usize {
        self.state.lock().await.session.as_ref().map_or(0, |session| session.kept())
    }

    async fn open(&self, target: &Target) -> Result<Stream, LinkError> {
        let target_name = target.to_string();
        let refused = |reason: String| self.refused(&target_name, &reason);
        let (patience, local) = match target {
            Target::Unix(_) => (UNIX_TIMEOUT, true),
            Target::Tcp(..) => (TCP_TIMEOUT, false),
        };
        // A connection may have died unnoticed since it was last used: then a new one is tried.
        for _ in 0..2 {
            let (session, fresh) = self.session().await?;
            match timeout(patience, session.open(target.clone())).await {
                Ok(Ok(stream)) => return Ok(stream),
                Ok(Err(russh::Error::ChannelOpenFailure(reason))) => {
                    return Err(refused(printable(&format!("{reason:?}"), MAX_TEXT)));
                }
                Ok(Err(error)) => {
                    self.discard(&session).await;
                    if fresh || session.given_up.is_cancelled() {
                        return Err(refused(printable(&error.to_string(), MAX_TEXT)));
                    }
                }
                Err(_) => {
                    // A host behind the backend that is silent says nothing about the connection.
                    if local {
                        self.discard(&session).await;
                    }
                    return Err(refused("no answer".to_owned()));
                }
            }
        }
        Err(refused("connection was lost".to_owned()))
    }

    /// The backend is there, and does not open what was asked for.
    pub(super) fn refused(&self, target: &str, reason: &str) -> LinkError {
        LinkError::Open {
            address: self.peer.address.to_string(),
            target: target.to_owned(),
            reason: reason.to_owned(),
        }
    }

    /// The connection, and whether it was made just now. Concurrent callers wait for one attempt.
    pub(super) async fn session(&self) -> Result<(Arc<Session>, bool), LinkError> {
        let mut state = self.state.lock().await;
        let good = |s: &&Arc<Session>| !s.handle.is_closed() && s.kept() < MAX_KEPT;
        if let Some(session) = state.session.as_ref().filter(good) {
            return Ok((Arc::clone(session), false));
        }
        state.session = None;
        if let Some((until, error)) = &state.failed
            && now() < *until
        {
            return Err(error.clone());
        }
        let connected = timeout(CONNECT_TIMEOUT, Session::connect(&self.peer)).await;
        let connected = connected.unwrap_or_else(|_| {
            let (address, reason) = (self.peer.address.to_string(), "no answer".to_owned());
            Err(LinkError::Connect { address, reason })
        });
        match connected {
            Ok(session) => {
                let session = Arc::new(session);
                *state = State { session: Some(Arc::clone(&session)), ..State::default() };
                Ok((session, true))
            }
            Err(error) => {
                let until = now() + state.backoff.next_pause();
                state.failed = Some((until, error.clone()));
                Err(error)
            }
        }
    }

    async fn discard(&self, session: &Arc<Session>) {
        let mut state = self.state.lock().await;
        if state.session.as_ref().is_some_and(|s| Arc::ptr_eq(s, session)) {
            state.session = None;
        }
    }
}

impl Dial for Link {
    fn dial(&self) -> BoxFuture<'_, std::io::Result<Stream>> {
        Box::pin(async { self.open_unix(&self.incus_socket).await.map_err(std::io::Error::other) })
    }
}

#[expect(clippy::disallowed_methods, reason = "driver of the pauses between attempts")]
fn now() -> Instant {
    Instant::now()
}
