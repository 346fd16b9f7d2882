//! `sentinel.toml` as typed values. Loaded once at start and again at each reload; what does not
//! parse is reported with file, line and key, and nothing of a bad file is used.

mod address;
mod guard;
mod keys;
mod load;
mod path;
mod problem;
mod read;
mod record;
mod recovery;
mod reload;
mod section;
mod source;
mod stacks;
mod tree;
mod value;

#[cfg(test)]
mod tests;

pub use self::{
    guard::Guard,
    load::{check, load, load_with, parse, place_of_backend},
    problem::{Problem, Problems},
    record::{Record, Recorded},
    recovery::{Gce, Recovery, RecoveryCommand, RecoveryKind, Topic, Webhook, WebhookForm},
    reload::{changes, needs_restart},
    stacks::{NoStack, Stacks},
};

use std::{
    collections::BTreeMap,
    fmt,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use crate::model::{
    authorized_keys::AuthorizedKey,
    check::{Check, Rules},
    cpu::CpuLimit,
    fingerprint::Fingerprint,
    firewall::{Firewall, PublicPort},
    image::ImageName,
    key::PublicKey,
    name::{Account, BackendName, ContainerName, PoolName, RouteName},
    size::Size,
    text::printable,
};

/// Everything that the administrator can set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Where state lives that outlives a restart.
    pub state_dir: PathBuf,
    /// The unix socket of the local executable.
    pub control_socket: PathBuf,
    /// The folder of the administrator's own stacks.
    pub stacks: PathBuf,
    /// `[ssh]`
    pub ssh: Ssh,
    /// `[admin]`
    pub admin: Admin,
    /// `[guard]`
    pub guard: Guard,
    /// `[log]`
    pub log: Log,
    /// `[audit]`
    pub audit: Audit,
    /// `[record]`
    pub record: Record,
    /// `[create]`
    pub create: Create,
    /// `[gateway]`; none: public ports lead nowhere.
    pub gateway: Option<Gateway>,
    /// `[[backend]]`, in file order.
    pub backends: Vec<Arc<Backend>>,
    /// `[[route]]`, in file order.
    pub routes: Vec<Arc<Route>>,
    /// `[[webhook]]`, in file order.
    pub webhooks: Vec<Arc<Webhook>>,
    /// `[maintenance]`; `None`: no page is served.
    pub maintenance: Option<Maintenance>,
}

/// The SSH door.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ssh {
    /// Addresses to listen on.
    pub listen: Vec<SocketAddr>,
    /// Where people reach the door, as commands tell them; `None`: where the one who asks did.
    pub advertise: Option<Advertise>,
    /// Directory of host keys, CA key and link key.
    pub host_keys: PathBuf,
    /// From accept to success, wall to wall.
    pub login_grace: Duration,
    /// How long a login waits for a host that is away.
    pub wait: Duration,
    /// How long sessions may run on after SIGTERM.
    pub drain: Duration,
    /// CAs whose user certificates open containers (the principal is the login name).
    pub user_ca_keys: Vec<PublicKey>,
    /// Unauthenticated connections that one source address may hold.
    pub max_startups_per_source: usize,
    /// Unauthenticated connections in all.
    pub max_startups: usize,
    /// Sessions that one person may have at once.
    pub max_sessions_per_person: usize,
}

/// Where people reach the door.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Advertise {
    /// A name or an address, without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
}

/// Who administers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admin {
    /// The login name that means the console.
    pub login: Account,
    /// Keys of administrators, from `authorized_keys` and `authorized_keys_file`.
    pub keys: Vec<AuthorizedKey>,
    /// CAs whose user certificates, with [`Self::login`] as principal, administer.
    pub user_ca_keys: Vec<PublicKey>,
}

/// Logging.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    /// Text or JSON lines on standard error.
    pub format: LogFormat,
    /// A `tracing` filter, for instance `info` or `containarium::door=debug`.
    pub level: String,
    /// Logins and failures are told in OpenSSH's words, too.
    pub openssh: bool,
}

/// How a log line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// The ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Audit {
    /// Its file.
    pub path: PathBuf,
    /// How long a record is kept.
    pub retention: Duration,
    /// No session without a record of it.
    pub strict: bool,
    /// The command lines of sessions are recorded.
    pub commands: bool,
    /// What sessions do with files over `sftp` and `scp` is recorded; by name where command lines are.
    pub files: bool,
}

/// How new containers are made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Create {
    /// The image when none is asked for.
    pub image: ImageName,
    /// Processors when nothing else is asked for; `None`: all of the host.
    pub cpu: Option<CpuLimit>,
    /// Memory when nothing else is asked for; `None`: all of the host.
    pub memory: Option<Size>,
    /// Size of the disk when nothing else is asked for.
    pub disk: Size,
    /// Image servers (simplestreams) by the names they have in front of images; their URLs.
    pub remotes: BTreeMap<String, String>,
    /// The images of `--os-type`.
    pub os_types: BTreeMap<String, ImageName>,
}

/// Where public ports lead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gateway {
    /// The packet filter that does it.
    pub firewall: Firewall,
    /// The pools that have public ports; no two have one in common.
    pub pools: Vec<GatewayPool>,
}

/// The public ports of a pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GatewayPool {
    /// The pool.
    pub pool: PoolName,
    /// The ports.
    pub ports: Vec<PublicPort>,
    /// On these addresses of the sentinel; none: on all.
    pub addresses: Vec<IpAddr>,
    /// Backends see the sentinel's address instead of the client's.
    pub masquerade: bool,
    /// Another backend takes over while the first one is down.
    pub failover: bool,
    /// Least time from one turn to the next.
    pub hold: Duration,
}

/// A host that runs Incus.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backend {
    /// Its name.
    pub name: BackendName,
    /// Its pool.
    pub pool: PoolName,
    /// How to reach it.
    pub address: BackendAddress,
    /// Path of the Incus socket on it.
    pub incus_socket: PathBuf,
    /// The container network is routed: dial container addresses directly.
    pub routed: bool,
    /// `health`
    pub health: Health,
    /// `recovery`; `None`: nobody starts its host again.
    pub recovery: Option<Recovery>,
}

impl Backend {
    /// Whether `other` is the same backend, reached in the same way: how it is watched and started
    /// again may differ.
    #[must_use]
    pub fn is_reached_as(&self, other: &Self) -> bool {
        let Self { name, pool, address, incus_socket, routed, health: _, recovery: _ } = self;
        (name, pool, address, incus_socket, routed)
            == (&other.name, &other.pool, &other.address, &other.incus_socket, &other.routed)
    }
}

/// How it is checked whether a backend's host is alive. By default it is not.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Health {
    /// What is asked; each once.
    pub checks: Vec<Check>,
    /// When, and how many results make a fact.
    pub rules: Rules,
}

/// How to reach a backend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BackendAddress {
    /// Incus runs on this machine.
    Local,
    /// By HTTPS, with our client certificate.
    Https {
        /// `HOST:PORT`, as written; the host may be a name.
        address: String,
        /// Of the certificate that Incus shows there.
        fingerprint: Fingerprint,
    },
    /// Through its sshd.
    Ssh {
        /// Where that is.
        address: SshAddress,
        /// An account there that may use the Incus socket.
        user: String,
        /// The sshd's pinned host key.
        host_key: PublicKey,
        /// A private key file instead of the sentinel's link key.
        identity: Option<PathBuf>,
    },
}

impl BackendAddress {
    /// Whether public ports can be led to its host: not to this machine, whose ports they are, and
    /// not to one that nobody can dial.
    #[must_use]
    pub fn takes_ports(&self) -> bool {
        match self {
            Self::Local | Self::Ssh { address: SshAddress::Tunnel(_), .. } => false,
            Self::Ssh { address: SshAddress::Network(_), .. } | Self::Https { .. } => true,
        }
    }
}

/// Where the sshd of a backend is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SshAddress {
    /// `HOST:PORT`, as written; the host may be a name.
    Network(String),
    /// Behind a connection that its host makes to us, under this key.
    Tunnel(AuthorizedKey),
}

impl fmt::Display for SshAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Network(address) => f.write_str(address),
            Self::Tunnel(_) => f.write_str("its tunnel"),
        }
    }
}

/// A fixed way to any sshd.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// The login name that means it.
    pub login: RouteName,
    /// Account on the other side.
    pub user: String,
    /// `HOST:PORT` of the other side.
    pub address: String,
    /// Pinned host key of the other side.
    pub host_key: PublicKey,
    /// Who may use it.
    pub keys: Vec<AuthorizedKey>,
    /// A private key file to log in with instead of a certificate of the sentinel's CA.
    pub identity: Option<PathBuf>,
}

/// The page that is served while no backend can.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Maintenance {
    /// Where to listen for HTTP.
    pub http: Option<SocketAddr>,
    /// Where to listen for HTTPS.
    pub https: Option<SocketAddr>,
    /// Where certificates come from; each once.
    pub certificates: Vec<CertificateSource>,
}

/// Where certificates come from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct CertificateSource {
    /// Who has the files.
    pub place: CertificatePlace,
    /// Which files.
    pub files: CertificateFiles,
}

/// Who has the files of certificates.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum CertificatePlace {
    /// This machine.
    Sentinel,
    /// The host of a backend behind SSH.
    Backend(BackendName),
    /// An Incus instance there, by its name in Incus.
    Instance(BackendName, String),
    /// A container, wherever it is.
    Container(ContainerName),
}

/// Files of certificates: whole paths, where they are on another machine.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum CertificateFiles {
    /// Caddy's store: the folder that has `certificates` in it.
    Caddy(PathBuf),
    /// A certificate with its chain, and its key, in PEM.
    Pair {
        /// The certificate, and those that lead to its CA.
        certificate: PathBuf,
        /// The private key.
        key: PathBuf,
    },
}

impl fmt::Display for CertificateSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = match &self.files {
            CertificateFiles::Caddy(path) => path,
            CertificateFiles::Pair { certificate, .. } => certificate,
        };
        f.write_str(&printable(&path.display().to_string(), 300))?;
        match &self.place {
            CertificatePlace::Sentinel => Ok(()),
            CertificatePlace::Backend(backend) => write!(f, " on {backend}"),
            CertificatePlace::Instance(backend, name) => write!(f, " in {name} on {backend}"),
            CertificatePlace::Container(name) => write!(f, " in container {name}"),
        }
    }
}
