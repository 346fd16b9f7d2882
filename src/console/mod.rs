//! The console: an SSH server on any byte stream, and the unix socket of the local executable.
//!
//! `door` pipes administrators, people whose key opens several containers, and people whose
//! container cannot be reached to [`Console::serve`], as it pipes everybody else to a container's
//! sshd. The door has authenticated them before, so this server accepts method `none`; it never
//! listens on a network, never runs a program and opens nothing but ports of containers, through
//! [`OpenPort`], and sessions in one that its visitor chose, through [`Enter`].

mod choice;
pub mod control;
mod forward;
mod handler;
pub mod inside;
mod intake;
pub mod jump;
mod leave;
mod picker;
#[cfg(test)]
mod rules;
mod session;
#[cfg(test)]
mod tests;

use std::{borrow::Cow, fmt, sync::Arc, time::Duration};

use aws_lc_rs::rand;
use futures_util::future::BoxFuture;
use russh::{Disconnect, Limits, Preferred, SshId, cipher, compression, kex, mac, server};
use ssh_key::{Algorithm, private::Ed25519Keypair};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::watch,
    time::{sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use self::handler::Visitor;
pub use self::{
    choice::{Enter, Lines, Turned},
    leave::Leave,
};
use crate::{
    command::context::{Came, Environment},
    link::{Stream, leash::Leash},
    model::{container::Container, key::PublicKey, name::ContainerName, principal::Principal},
};

/// Opens a port of a container; the error is a fragment for people.
pub type OpenPort =
    Arc<dyn Fn(Arc<Container>, u16) -> BoxFuture<'static, Result<Stream, String>> + Send + Sync>;

/// What the console needs from the rest of the sentinel.
#[derive(Clone)]
pub struct Services {
    /// What commands need.
    pub environment: Arc<Environment>,
    /// The way to a container's ports, for jumps.
    pub open_port: OpenPort,
}

/// Why somebody is here. Decided by the door; it cannot change during a connection.
#[derive(Debug, Clone)]
pub enum Visit {
    /// Commands, and jumps to the containers that the person may use; with the addresses over which
    /// she came, if that was over a network.
    Console(Principal, Option<Came>),
    /// The key opens several containers and the login named none: on a terminal she chooses, else sessions list
    /// them; jumps work.
    Choice {
        /// Who.
        principal: Principal,
        /// The containers that access granted, by name.
        containers: Vec<ContainerName>,
        /// The way into one of them.
        enter: Enter,
    },
    /// The container cannot be reached: every session ends with a sentence and a status.
    Apology {
        /// One printable line, without `error:`.
        sentence: String,
        /// Exit status of every session: 69 or 75.
        status: u32,
    },
}

/// Why a connection did not end well.
#[derive(Debug, thiserror::Error)]
pub enum ConsoleError {
    /// No key pair could be made.
    #[error("cannot make the console's host key")]
    HostKey,
    /// The peer was not through key exchange and authentication in time.
    #[error("console visitor did not enter within {HANDSHAKE:?}")]
    Handshake,
    /// The SSH connection broke.
    #[error("console connection failed")]
    Ssh(#[source] russh::Error),
}

/// From first byte to authenticated. The peer is this process, or the local executable.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// How long a connection without a session may hear an apology before it is closed.
const APOLOGY: Duration = Duration::from_secs(10);

/// From our DISCONNECT to the end of the stream, should the peer not close it.
const FAREWELL: Duration = Duration::from_secs(2);

/// Window and packet of a channel, in bytes. The stream is memory, so there is no latency to hide;
/// small windows keep what a stalled peer can make us hold small.
const WINDOW: u32 = 128 * 1024;
const PACKET: u32 = 32 * 1024;

/// Messages between a connection and one of its channels.
const CHANNEL_BUFFER: usize = 16;

/// The console server. One a process; cheap to share.
pub struct Console {
    services: Arc<Services>,
    config: Arc<server::Config>,
    host_key: PublicKey,
}

impl Console {
    /// A console with a host key of its own, made now and kept nowhere.
    ///
    /// # Errors
    /// There is no randomness to make a key of.
    pub fn new(services: Services) -> Result<Self, ConsoleError> {
        let mut seed = [0; 32];
        rand::fill(&mut seed).map_err(|_| ConsoleError::HostKey)?;
        let pair = Ed25519Keypair::from_seed(&seed);
        let key = russh::keys::PrivateKey::from(pair);
        let blob = key.public_key().to_bytes().map_err(|_| ConsoleError::HostKey)?;
        let host_key = PublicKey::from_blob(&blob).map_err(|_| ConsoleError::HostKey)?;
        Ok(Self { services: Arc::new(services), config: Arc::new(config(key)), host_key })
    }

    /// The host key that this console proves, for its clients to pin.
    #[must_use]
    pub fn host_key(&self) -> &PublicKey {
        &self.host_key
    }

    /// Serves one connection to its end. Dropping the future ends the connection at once, `leave` once
    /// terminals were given back.
    ///
    /// # Errors
    /// The connection ended in any other way than by its client closing it, by an apology or by `leave`.
    pub async fn serve<S>(&self, stream: S, visit: Visit, leave: Leave) -> Result<(), ConsoleError>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let stop = CancellationToken::new();
        let _stop_when_dropped = stop.clone().drop_guard();
        let tracker = TaskTracker::new();
        let tasks = (tracker.clone(), stop.clone(), leave.clone());
        let (visitor, mut presence) =
            Visitor::new(Arc::clone(&self.services), visit.clone(), tasks);
        let stream = Leash::new(stream, stop.clone());
        let opening = server::run_stream(Arc::clone(&self.config), stream, visitor);
        let opened = timeout(HANDSHAKE, opening).await.map_err(|_| ConsoleError::Handshake)?;
        let mut session = opened.map_err(ConsoleError::Ssh)?;
        let handle = session.handle();
        let entered = async { timeout(HANDSHAKE, presence.wait_for(|p| p.entered)).await.is_ok() };
        let ended = tokio::select! {
            ended = &mut session => Some(ended),
            entered = entered => if entered { None } else { return Err(ConsoleError::Handshake) },
        };
        let ended = match (ended, &visit) {
            (Some(ended), _) => ended,
            (None, Visit::Console(..) | Visit::Choice { .. }) => tokio::select! {
                ended = &mut session => ended,
                () = leave.run(&handle) => Ok(()),
            },
            (None, Visit::Apology { sentence, .. }) => tokio::select! {
                ended = &mut session => ended,
                () = dismiss(&handle, sentence, presence) => Ok(()),
            },
        };
        stop.cancel();
        tracker.close();
        tracker.wait().await;
        match ended {
            Ok(()) | Err(russh::Error::Disconnect | russh::Error::HUP | russh::Error::IO(_)) => {
                Ok(())
            }
            Err(error) => Err(ConsoleError::Ssh(error)),
        }
    }
}

impl fmt::Debug for Console {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Console").field("host_key", &self.host_key).finish_non_exhaustive()
    }
}

/// What the connection's owner must know of its visitor.
#[derive(Debug, Clone, Copy, Default)]
struct Presence {
    entered: bool,
    /// Sessions opened so far.
    sessions: usize,
}

/// Ends a connection that came for a container it cannot have, [`APOLOGY`] after its last session
/// was opened: `ssh -N` and a `ControlMaster` would otherwise stay for ever.
async fn dismiss(handle: &server::Handle, sentence: &str, mut presence: watch::Receiver<Presence>) {
    // Ends by timeout: a visitor who keeps opening sessions is told each time and bounded in number.
    while let Ok(Ok(())) = timeout(APOLOGY, presence.changed()).await {}
    let reason = Disconnect::ServiceNotAvailable;
    let farewell = handle.disconnect(reason, sentence.to_owned(), String::from("en"));
    // Failing means that nobody is left to hear it.
    let _ = timeout(FAREWELL, farewell).await;
    sleep(FAREWELL).await;
}

/// In-memory streams need no keepalive, no compression and no rekeying by us; what is offered is
/// what `wire` speaks best.
fn config(key: russh::keys::PrivateKey) -> server::Config {
    server::Config {
        server_id: SshId::Standard(Cow::Borrowed("SSH-2.0-containarium")),
        methods: russh::MethodSet::from(&[russh::MethodKind::None][..]),
        auth_rejection_time: Duration::ZERO,
        auth_rejection_time_initial: Some(Duration::ZERO),
        keys: vec![key],
        window_size: WINDOW,
        maximum_packet_size: PACKET,
        channel_buffer_size: CHANNEL_BUFFER,
        limits: never_rekey(),
        preferred: preferred(),
        inactivity_timeout: None,
        keepalive_interval: None,
        ..server::Config::default()
    }
}

/// A rekey protects against an eavesdropper with much ciphertext: a stream inside this process has
/// none. With russh a rekey of ours would cost a connection that has bulk data in flight its life.
fn never_rekey() -> Limits {
    const YEAR: Duration = Duration::from_secs(365 * 86_400);
    Limits { rekey_write_limit: usize::MAX, rekey_read_limit: usize::MAX, rekey_time_limit: YEAR }
}

fn preferred() -> Preferred {
    Preferred {
        kex: Cow::Borrowed(&[
            kex::CURVE25519,
            kex::CURVE25519_PRE_RFC_8731,
            kex::EXTENSION_SUPPORT_AS_CLIENT,
            kex::EXTENSION_SUPPORT_AS_SERVER,
            kex::EXTENSION_OPENSSH_STRICT_KEX_AS_CLIENT,
            kex::EXTENSION_OPENSSH_STRICT_KEX_AS_SERVER,
        ]),
        key: Cow::Borrowed(&[Algorithm::Ed25519]),
        cipher: Cow::Borrowed(&[cipher::AES_128_GCM, cipher::AES_256_GCM]),
        mac: Cow::Borrowed(&[mac::HMAC_SHA256_ETM, mac::HMAC_SHA512_ETM]),
        compression: Cow::Borrowed(&[compression::NONE]),
        ..Preferred::default()
    }
}
