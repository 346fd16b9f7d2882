//! What a run needs in the lab, and takes away again: a container, two doors, a jump host, routes.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

pub use crate::harness::usage::process_seconds;
use crate::{
    delay::Proxy,
    harness::{Sentinel, World, backend_section, lab, make_key},
};

/// Port of the jump host, and of the door that goes to containers directly and by link.
const JUMP_PORT: u16 = 2200;
const DOOR_PORT: u16 = 2201;
const LINK_PORT: u16 = 2202;

/// The container subnet of a lab backend, to which nobody has a route.
const CONTAINERS: &str = "10.0.3.0/24";

/// A way from the client to the container's sshd.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Way {
    /// One TCP connection, forwarded by the sentinel's kernel.
    Direct,
    /// `ssh -J`: OpenSSH's sshd on the sentinel's host connects to the container.
    Jump,
    /// The door connects to the container.
    Door,
    /// `ssh -J` twice: the sentinel's host and the backend.
    JumpTwice,
    /// The door connects through the backend's sshd.
    Link,
}

impl Way {
    /// All ways, in the order in which they take turns: peers follow each other.
    pub const ALL: [Self; 5] = [Self::Direct, Self::Jump, Self::Door, Self::JumpTwice, Self::Link];

    /// Its host in the ssh configuration.
    pub fn host(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Jump => "jump",
            Self::Door => "door",
            Self::JumpTwice => "jump-twice",
            Self::Link => "link",
        }
    }

    /// How tables call it.
    pub fn title(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Jump => "-J",
            Self::Door => "door",
            Self::JumpTwice => "-J twice",
            Self::Link => "door by link",
        }
    }
}

/// The hosts, ready. Dropping it leaves the lab as it was, but for the container.
pub struct Scene {
    pub dir: PathBuf,
    door: Sentinel,
    link: Sentinel,
    jump: Jump,
    address: String,
    _routes: Routes,
    _keys: BackendKeys,
}

impl Scene {
    /// Brings up the lab and everything in it.
    pub fn set() -> Self {
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("bench");
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir_all(&dir).unwrap();
        raise_file_limit();
        for person in ["admin", "alice", "jump"] {
            make_key(&dir, person);
        }
        let door = start_door(&dir, "door", DOOR_PORT);
        let link = start_door(&dir, "link", LINK_PORT);
        let keys = BackendKeys::add(&[&dir.join("keys/link.pub"), &dir.join("alice.pub")]);
        let routes = Routes::add();
        let world = World { dir: dir.clone(), sentinel: door };
        let address = world.container("b1", "bench", "alice", &[]);
        let World { sentinel: door, .. } = world;
        admit_bursts();
        for sentinel in [&door, &link] {
            sentinel.wait_until_listed(&["bench"]);
        }
        let jump = Jump::start(&dir);
        let scene = Self { dir, door, link, jump, address, _routes: routes, _keys: keys };
        scene.check();
        scene
    }

    /// A sentinel of its own, just started, for figures that a past would spoil.
    pub fn fresh_door(&self, way: Way, port: u16) -> Sentinel {
        let name = format!("fresh-{}", way.host());
        let sentinel = Sentinel::start(&self.dir, &name, &door_config(&self.dir, way.host(), port));
        sentinel.wait_until_listed(&["bench"]);
        sentinel
    }

    /// An ssh configuration with a host for each way; `options` hold on every hop.
    pub fn ssh_config(&self, name: &str, options: &str) -> PathBuf {
        self.ssh_config_over(name, options, &|address, port| (address.to_owned(), port))
    }

    /// The same from far away: what the client itself connects to is behind the proxy.
    pub fn ssh_config_far(&self, name: &str, options: &str) -> (PathBuf, Proxy) {
        let sentinel = lab().get("LAB_SENTINEL_ADDRESS");
        let near = [(sentinel, JUMP_PORT), (sentinel, DOOR_PORT), (sentinel, LINK_PORT)];
        let mut routes: Vec<_> =
            near.map(|(address, port)| (far_port(port), format!("{address}:{port}"))).into();
        routes.push((far_port(22), format!("{}:22", self.address)));
        let proxy = Proxy::start(&routes);
        let over = |_: &str, port| ("127.0.0.1".to_owned(), far_port(port));
        (self.ssh_config_over(name, options, &over), proxy)
    }

    /// `first` says where the client finds what it connects to by itself.
    fn ssh_config_over(
        &self,
        name: &str,
        options: &str,
        first: &dyn Fn(&str, u16) -> (String, u16),
    ) -> PathBuf {
        let (dir, lab) = (self.dir.display(), lab());
        let sentinel = lab.get("LAB_SENTINEL_ADDRESS");
        let host = |name: &str, address: &str, port: u16, user: &str, more: &str| {
            format!("Host {name}\n  HostName {address}\n  Port {port}\n  User {user}\n{more}")
        };
        let near = |name: &str, address: &str, port: u16, user: &str| {
            let (address, port) = first(address, port);
            host(name, &address, port, user, "")
        };
        let by = |jumps: &str| format!("  ProxyJump {jumps}\n");
        let user = lab.get("LAB_USER");
        let text = [
            near("direct", &self.address, 22, "alice"),
            host("jump", &self.address, 22, "alice", &by("first")),
            host("jump-twice", &self.address, 22, "alice", &by("first,second")),
            near("door", sentinel, DOOR_PORT, "bench"),
            near("link", sentinel, LINK_PORT, "bench"),
            near("first", sentinel, JUMP_PORT, user),
            host("second", lab.get("LAB_B1_ADDRESS"), 22, user, ""),
        ]
        .concat();
        // Keys of hosts are the business of tests; here their lookup is the same on every way.
        let common = format!(
            "Host *\n  UserKnownHostsFile {dir}/known_hosts\n  StrictHostKeyChecking accept-new\n  \
             IdentityFile {dir}/alice\n  IdentitiesOnly yes\n  LogLevel ERROR\n  BatchMode yes\n  \
             ConnectTimeout 20\n{options}\n"
        );
        let file = self.dir.join(format!("ssh-{name}"));
        fs::write(&file, text + &common).unwrap();
        file
    }

    /// Address and user of a way that needs no jump.
    pub fn login(&self, way: Way) -> (String, &'static str) {
        let sentinel = lab().get("LAB_SENTINEL_ADDRESS");
        match way {
            Way::Direct => (format!("{}:22", self.address), "alice"),
            Way::Door => (format!("{sentinel}:{DOOR_PORT}"), "bench"),
            Way::Link => (format!("{sentinel}:{LINK_PORT}"), "bench"),
            Way::Jump | Way::JumpTwice => unreachable!("a jump is two logins"),
        }
    }

    /// The process of the sentinel on a way.
    pub fn pid(&self, way: Way) -> u32 {
        match way {
            Way::Door => self.door.pid(),
            Way::Link => self.link.pid(),
            Way::Direct | Way::Jump | Way::JumpTwice => unreachable!("no sentinel on this way"),
        }
    }

    /// CPU seconds so far of what stands on the sentinel's host between client and container.
    pub fn cpu_seconds(&self, way: Way) -> f64 {
        match way {
            Way::Direct => 0.0,
            Way::Door | Way::Link => process_seconds(self.pid(way)),
            Way::Jump | Way::JumpTwice => self.jump.cpu_seconds(),
        }
    }

    /// Every way leads to the container, and each door goes the way that it is meant to.
    fn check(&self) {
        let config = self.ssh_config("check", "");
        // The container's sshd starts anew when it is to read its configuration again.
        wait_until("the container's sshd is back", || {
            let mut tried = ssh(&config, Way::Direct, "true");
            tried.stderr(Stdio::null()).status().unwrap().success()
        });
        for way in Way::ALL {
            let out = ssh(&config, way, "hostname").output().unwrap();
            let shown = String::from_utf8_lossy(&out.stdout);
            let error = String::from_utf8_lossy(&out.stderr);
            assert_eq!(shown, "bench-container\n", "{}: {error}", way.title());
        }
        self.door.wait_log("way=\"direct\"");
        self.link.wait_log("way=\"link\"");
    }
}

fn start_door(dir: &Path, name: &str, port: u16) -> Sentinel {
    Sentinel::start(dir, name, &door_config(dir, name, port))
}

/// As few differences from the defaults as a benchmark allows; `link` has no route to containers.
pub fn door_config(dir: &Path, way: &str, port: u16) -> String {
    let shown = dir.display();
    let admin = fs::read_to_string(dir.join("admin.pub")).unwrap();
    format!(
        "state_dir = \"{shown}/state-{port}\"\ncontrol_socket = \"{shown}/control-{port}.sock\"\n\
         [ssh]\nlisten = [\"{}:{port}\"]\nhost_keys = \"{shown}/keys\"\ndrain = \"0s\"\n\
         max_startups_per_source = 1000\nmax_startups = 1000\n\
         [guard]\nallow = [\"192.0.2.0/24\"]\n\
         [admin]\nauthorized_keys = [\"{}\"]\n{}routed = {}\n",
        lab().get("LAB_SENTINEL_ADDRESS"),
        admin.trim(),
        backend_section("b1"),
        way != Way::Link.host(),
    )
}

/// Where the client finds `port` of the other side behind the proxy.
fn far_port(port: u16) -> u16 {
    20_000 + port
}

/// Lets the container's sshd take many logins at once: by default it turns some away at the tenth
/// (`MaxStartups`), and that would be measured.
fn admit_bursts() {
    let script = "echo 'MaxStartups 1000' >/etc/ssh/sshd_config.d/bench.conf\n\
                  kill -HUP \"$(cat /run/sshd.pid)\"";
    lab().incus("b1", &["exec", "bench-container", "-T", "--", "sh", "-ec", script]);
}

/// A program on a host of the lab.
pub fn on_host(host: &str, program: &str) -> Command {
    let mut command = Command::new("nsenter");
    command.arg(format!("--net={}", lab().netns(host))).arg(program).env_remove("SSH_AUTH_SOCK");
    command
}

/// An ssh on the client's host.
pub fn ssh(config: &Path, way: Way, script: &str) -> Command {
    let mut command = on_host("client", "ssh");
    command.arg("-F").arg(config).args([way.host(), script]).stdin(Stdio::null());
    command
}

/// Two descriptors for each session, and what is started inherits the limit.
fn raise_file_limit() {
    let me = std::process::id().to_string();
    let status = Command::new("prlimit").args(["--pid", &me, "--nofile=20000:"]).status();
    assert!(status.unwrap().success(), "prlimit");
}

/// OpenSSH's sshd as a jump host on the sentinel's host, in a cgroup of its own: a session's
/// processes do not wait for each other, so that their parent does not learn what they cost.
struct Jump {
    child: Child,
    cgroup: PathBuf,
}

impl Jump {
    fn start(dir: &Path) -> Self {
        let cgroup = cgroups().join(format!("{}-bench-jump", lab().get("LAB_NAME")));
        fs::create_dir_all(&cgroup).unwrap();
        let address = format!("{}:{JUMP_PORT}", lab().get("LAB_SENTINEL_ADDRESS"));
        let shown = dir.display();
        let file = dir.join("jump.conf");
        let config = format!(
            "ListenAddress {address}\nHostKey {shown}/jump\nPidFile none\n\
             AuthorizedKeysFile {shown}/alice.pub\nStrictModes no\nPasswordAuthentication no\n\
             KbdInteractiveAuthentication no\nUsePAM no\nUseDNS no\nMaxStartups 1000\n"
        );
        fs::write(&file, config).unwrap();
        fs::create_dir_all("/run/sshd").unwrap();
        // Without --pdeathsig it would outlive a run that is interrupted.
        let start = "echo $$ >\"$1/cgroup.procs\" && \
                     exec setpriv --pdeathsig TERM /usr/sbin/sshd -D -e -f \"$2\"";
        let child = on_host("sentinel", "bash")
            .args(["-c", start, "jump"])
            .args([&cgroup, &file])
            .stdin(Stdio::null())
            .stderr(File::create(dir.join("jump.log")).unwrap())
            .spawn()
            .expect("sshd");
        let jump = Self { child, cgroup };
        let script = format!("exec 3<>/dev/tcp/{}", address.replace(':', "/"));
        wait_until("the jump host listens", || {
            let mut tried = on_host("sentinel", "bash");
            tried.args(["-c", &script]).stderr(Stdio::null()).status().unwrap().success()
        });
        jump
    }

    /// CPU seconds of all processes so far, once those of ended sessions are gone.
    fn cpu_seconds(&self) -> f64 {
        let read = |file: &str| fs::read_to_string(self.cgroup.join(file)).unwrap();
        wait_until("sessions of the jump host end", || read("cgroup.procs").lines().count() == 1);
        let stat = read("cpu.stat");
        let used = stat.lines().find_map(|line| line.strip_prefix("usage_usec "));
        used.unwrap().parse::<f64>().unwrap() / 1e6
    }
}

impl Drop for Jump {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir(&self.cgroup);
    }
}

/// Where the kernel's cgroups v2 are; beside those of v1 on some machines.
fn cgroups() -> PathBuf {
    let mounts = fs::read_to_string("/proc/mounts").unwrap();
    let mut fields = mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    let mount = fields.find(|f| f.get(2) == Some(&"cgroup2"));
    PathBuf::from(mount.expect("cgroups v2")[1])
}

/// Resident KiB of a process.
pub fn resident_kib(pid: u32) -> f64 {
    status_kib(pid, "VmRSS:")
}

/// Those of them that are no file's: what it has for itself. The rest are pages of its executable, which
/// it shares, and which the kernel reads again when it needs them.
pub fn anonymous_kib(pid: u32) -> f64 {
    status_kib(pid, "RssAnon:")
}

/// A line of `status` in proc(5).
fn status_kib(pid: u32, name: &str) -> f64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// Routes to the containers, from the sentinel's host and, for direct, from the client's.
struct Routes;

impl Routes {
    fn all() -> [(&'static str, &'static str); 2] {
        [("sentinel", lab().get("LAB_B1_ADDRESS")), ("client", lab().get("LAB_CLIENT_GATEWAY"))]
    }

    fn add() -> Self {
        for (host, via) in Self::all() {
            let route = ["route", "replace", CONTAINERS, "via", via];
            assert!(on_host(host, "ip").args(route).status().unwrap().success(), "route");
        }
        Self
    }
}

impl Drop for Routes {
    fn drop(&mut self) {
        for (host, _) in Self::all() {
            let _ = on_host(host, "ip").args(["route", "del", CONTAINERS]).status();
        }
    }
}

/// Keys that may log in to the backends meanwhile.
struct BackendKeys {
    file: PathBuf,
    before: String,
}

impl BackendKeys {
    fn add(keys: &[&Path]) -> Self {
        let file = PathBuf::from(lab().get("LAB_AUTHORIZED_KEYS"));
        let before = fs::read_to_string(&file).unwrap();
        let keys: Vec<_> = keys.iter().map(|key| fs::read_to_string(key).unwrap()).collect();
        fs::write(&file, format!("{before}\n{}", keys.concat())).unwrap();
        Self { file, before }
    }
}

impl Drop for BackendKeys {
    fn drop(&mut self) {
        let _ = fs::write(&self.file, &self.before);
    }
}

/// Waits until `condition` holds.
pub fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < Duration::from_secs(20), "{what}: not so");
        thread::sleep(Duration::from_millis(5));
    }
}
