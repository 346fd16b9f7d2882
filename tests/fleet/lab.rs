//! The lab's hosts, and containers on them.

use std::{
    fs::File,
    os::fd::AsFd,
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use containarium::{
    config::{Backend, BackendAddress, Health, SshAddress},
    fleet::{Fleet, Identity},
    incus::{Client, trust::Token},
    link::{control::Link, https::fingerprint, local::Local, reverse::Tunnels},
    model::{fingerprint::Fingerprint, inventory::Inventory, key::PublicKey},
    process,
    store::keys::ClientCertificate,
};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use serde_json::Value;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::last::inspect_after_last;

/// Where backends listen for HTTPS: the port of Incus.
const HTTPS_PORT: u16 = 8443;

pub(crate) struct Lab(Value);

/// A container that is gone when the test is over.
pub(crate) struct Guest {
    incus_dir: String,
    pub(crate) instance: String,
}

/// A fleet that stops with the test.
pub(crate) struct Running {
    pub(crate) fleet: Fleet,
    pub(crate) folder: Arc<tempfile::TempDir>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

/// Tasks of a test end within this after it.
const PATIENCE: Duration = Duration::from_secs(10);

/// The threads that run tasks: what panics there fails no test by itself.
const WORKER: &str = "fleet-worker";

static PANICS: AtomicUsize = AtomicUsize::new(0);

/// Descriptors of this process before the first test.
static DESCRIPTORS: OnceLock<usize> = OnceLock::new();

/// Runs a test on the lab's sentinel: the lab is brought up if it is not, and every thread of the
/// test's runtime lives in the sentinel's network namespace. No task may panic or outlive the test.
pub(crate) fn in_lab(test: impl AsyncFnOnce(Lab)) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/lab/lab");
    let up = Command::new(&script).arg("up").status().unwrap();
    assert!(up.success(), "the lab does not come up");
    let name = std::env::var("LAB_NAME").unwrap_or_else(|_| "lab".to_owned());
    let json = std::fs::read(format!("/run/containarium-{name}/lab.json")).unwrap();
    let lab = Lab(serde_json::from_slice(&json).unwrap());
    let netns = File::open(format!("/run/netns/{name}-sentinel")).unwrap();
    let kind = LinkNameSpaceType::Network;
    move_into_link_name_space(netns.as_fd(), Some(kind)).unwrap();
    watch();
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let runtime = builder.worker_threads(2).thread_name(WORKER).enable_all().build().unwrap();
    runtime.block_on(test(lab));
    let ended = || runtime.metrics().num_alive_tasks() == 0;
    let start = Instant::now();
    while !ended() && start.elapsed() < PATIENCE {
        std::thread::sleep(Duration::from_millis(10));
    }
    assert!(ended(), "{} tasks outlive the test", runtime.metrics().num_alive_tasks());
    assert_eq!(PANICS.load(Ordering::SeqCst), 0, "a task panicked, of this or another test");
}

/// Counts panics in tasks (others are those of tests, which libtest sees), and looks after the
/// last test whether every descriptor was closed.
fn watch() {
    inspect_after_last(inspect);
    DESCRIPTORS.get_or_init(|| {
        let next = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if std::thread::current().name() == Some(WORKER) {
                PANICS.fetch_add(1, Ordering::SeqCst);
            }
            next(info);
        }));
        // The first runtime opens what tokio keeps for the life of the process.
        drop(tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap());
        process::descriptors()
    });
}

/// Whether every descriptor was closed.
fn inspect(busy: &dyn Fn() -> bool) {
    let before = DESCRIPTORS.get().copied().unwrap_or(0);
    let start = Instant::now();
    while process::descriptors() > before && !busy() {
        let after = process::descriptors();
        assert!(
            start.elapsed() < PATIENCE,
            "{after} descriptors are open after the last test, {before} were before the first"
        );
        std::thread::sleep(Duration::from_millis(10));
    }
}

impl Lab {
    pub(crate) fn text(&self, backend: usize, key: &str) -> String {
        self.0["backends"][backend][key].as_str().unwrap().to_owned()
    }

    pub(crate) fn sshd(&self, backend: usize) -> String {
        format!("{}:{}", self.text(backend, "address"), self.0["backends"][backend]["port"])
    }

    pub(crate) fn key(&self) -> Arc<ssh_key::PrivateKey> {
        let path = self.0["link_key"].as_str().unwrap();
        Arc::new(ssh_key::PrivateKey::read_openssh_file(path).unwrap())
    }

    pub(crate) fn local(&self, backend: usize) -> Backend {
        Backend {
            name: format!("local{backend}").parse().unwrap(),
            pool: "default".parse().unwrap(),
            address: BackendAddress::Local,
            incus_socket: PathBuf::from(self.text(backend, "incus_socket")),
            routed: true,
            health: Health::default(),
            recovery: None,
        }
    }

    pub(crate) fn remote(&self, backend: usize, address: &str) -> Backend {
        let address = BackendAddress::Ssh {
            address: SshAddress::Network(address.to_owned()),
            user: self.0["user"].as_str().unwrap().to_owned(),
            host_key: PublicKey::from_line(&self.text(backend, "host_key")).unwrap(),
            identity: None,
        };
        let name = format!("remote{backend}").parse().unwrap();
        Backend { name, address, ..self.local(backend) }
    }

    /// The same host by HTTPS, known by `fingerprint`.
    pub(crate) fn https(&self, backend: usize, fingerprint: Fingerprint) -> Backend {
        let address = format!("{}:{HTTPS_PORT}", self.text(backend, "address"));
        let name = format!("https{backend}").parse().unwrap();
        let address = BackendAddress::Https { address, fingerprint };
        Backend { name, address, routed: false, ..self.local(backend) }
    }

    /// Has a backend listen for HTTPS, and makes a token for a client.
    pub(crate) fn token(&self, backend: usize, client: &str) -> Token {
        let incus_dir = self.text(backend, "incus_dir");
        let listen = format!("core.https_address={}:{HTTPS_PORT}", self.text(backend, "address"));
        incus(&incus_dir, &["config", "set", &listen]);
        let token = incus(&incus_dir, &["config", "trust", "add", "-q", client]);
        Token::parse(&token).unwrap()
    }

    /// Has a backend trust a client no more.
    pub(crate) fn distrust(&self, backend: usize, client: &ClientCertificate) {
        let fingerprint = fingerprint(client.certificate()).to_string();
        let incus_dir = self.text(backend, "incus_dir");
        incus(&incus_dir, &["config", "trust", "remove", &fingerprint]);
    }

    /// Clients over a local socket, over SSH, and over SSH with bulk on a connection apart.
    pub(crate) fn clients(&self, backend: usize) -> [(&'static str, Client); 3] {
        let socket = PathBuf::from(self.text(backend, "incus_socket"));
        let remote = self.remote(backend, &self.sshd(backend));
        let link = || Arc::new(Link::new(&remote, &self.key(), &Tunnels::default()).unwrap());
        [
            ("local", Client::new(Arc::new(Local::new(socket)))),
            ("ssh", Client::new(link())),
            ("apart", Client::new(link()).with_bulk(link())),
        ]
    }

    /// Launches a container of `alice`.
    pub(crate) fn launch(&self, backend: usize, name: &str) -> Guest {
        let incus_dir = self.text(backend, "incus_dir");
        let guest = Guest { incus_dir, instance: format!("{name}-container") };
        // Left by a run that was killed.
        guest.incus(&["delete", "-f", &guest.instance]);
        let owner = "user.containarium.owner=alice";
        let launched = guest.incus(&["launch", "-q", "debian", &guest.instance, "-c", owner]);
        assert!(launched, "launch {name}");
        guest
    }
}

/// What the Incus client prints; panics if it fails.
fn incus(incus_dir: &str, arguments: &[&str]) -> String {
    let home = tempfile::tempdir().unwrap();
    let mut command = Command::new("incus");
    command.env("INCUS_DIR", incus_dir).env("INCUS_CONF", home.path()).args(arguments);
    let output = command.stdin(std::process::Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

impl Guest {
    pub(crate) fn incus(&self, arguments: &[&str]) -> bool {
        let mut command = Command::new("incus");
        let home = tempfile::tempdir().unwrap();
        command.env("INCUS_DIR", &self.incus_dir).env("INCUS_CONF", home.path()).args(arguments);
        let output = command.stdin(std::process::Stdio::null()).output().unwrap();
        if !output.status.success() && arguments.first() != Some(&"delete") {
            eprintln!("{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        }
        output.status.success()
    }

    pub(crate) fn sh(&self, script: &str) {
        assert!(self.incus(&["exec", &self.instance, "-T", "--", "sh", "-c", script]), "{script}");
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.incus(&["delete", "-f", &self.instance]);
    }
}

impl Running {
    pub(crate) fn start(lab: &Lab, backends: &[Backend]) -> Self {
        Self::start_in(lab, backends, Arc::new(tempfile::tempdir().unwrap()))
    }

    pub(crate) fn start_in(
        lab: &Lab,
        backends: &[Backend],
        folder: Arc<tempfile::TempDir>,
    ) -> Self {
        let tls = Arc::new(ClientCertificate::generate().unwrap());
        Self::start_as(Identity { ssh: lab.key(), tls }, backends, folder)
    }

    pub(crate) fn start_as(
        identity: Identity,
        backends: &[Backend],
        folder: Arc<tempfile::TempDir>,
    ) -> Self {
        let backends: Vec<_> = backends.iter().cloned().map(Arc::new).collect();
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        let fleet = Fleet::start(&backends, identity, folder.path(), &tasks, stop.clone());
        Self { fleet, folder, tasks, stop }
    }

    /// Waits for an inventory of which `is_so` holds.
    pub(crate) async fn until(
        &self,
        what: &str,
        seconds: u64,
        is_so: impl Fn(&Inventory) -> bool,
    ) -> Arc<Inventory> {
        let mut inventory = self.fleet.inventory();
        let found = inventory.wait_for(|i| is_so(i));
        let found = tokio::time::timeout(Duration::from_secs(seconds), found).await;
        let found = found.ok().map(|i| Arc::clone(&i.unwrap()));
        found.unwrap_or_else(|| panic!("{what}: {:?}", self.fleet.inventory().borrow()))
    }

    pub(crate) async fn stop(self) -> Arc<tempfile::TempDir> {
        self.stop.cancel();
        self.tasks.close();
        tokio::time::timeout(Duration::from_secs(5), self.tasks.wait()).await.unwrap();
        Arc::clone(&self.folder)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}
