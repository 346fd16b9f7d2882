//! The lab, the shared sentinel and its people, and shells that run in the lab's hosts.

mod certificate;
mod guest;
mod halt;
mod last;
pub mod outage;
mod power;
mod proxy;
mod sentinel;
mod shell;
mod spare;
mod twins;
pub mod usage;
mod web;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
    thread,
    time::Duration,
};

pub use self::{
    certificate::{certify, files, fingerprint, fresh, section, shown},
    guest::{Guest, claim, label, labelled, quiet_delete},
    halt::Halted,
    outage::Outage,
    power::{file, lab_script, lines, network, power, program},
    proxy::Proxy,
    sentinel::{Sentinel, reap_later},
    shell::{Run, shell, shell_within, with_newest_clients},
    spare::{Spare, b3, b3_itself, lab_name},
    twins::{TWINS, twins},
    web::{TICK, Web, in_network},
};

/// The lab's hosts, by the names that `tests/lab/lab` gives them.
pub struct Lab {
    variables: BTreeMap<String, String>,
}

/// The lab; brought up by the first test that asks.
pub fn lab() -> &'static Lab {
    static LAB: OnceLock<Lab> = OnceLock::new();
    LAB.get_or_init(|| {
        assert!(
            lab_command(&["up"]).status().expect("lab up").success(),
            "the lab does not come up"
        );
        let out = lab_command(&["env"]).output().expect("lab env");
        // `lab env` quotes for a shell, so a shell reads it.
        let script = format!("{}\nset", String::from_utf8_lossy(&out.stdout));
        let out =
            Command::new("bash").args(["-c", &format!("{script} | cat")]).output().expect("bash");
        let text = String::from_utf8_lossy(&out.stdout).into_owned();
        let variables = text
            .lines()
            .filter_map(|line| line.split_once('='))
            .filter(|(name, _)| name.starts_with("LAB"))
            .map(|(name, value)| (name.to_owned(), unquote(value)))
            .collect();
        Lab { variables }
    })
}

fn unquote(value: &str) -> String {
    value.strip_prefix('\'').and_then(|v| v.strip_suffix('\'')).unwrap_or(value).to_owned()
}

/// A call of the lab script.
pub fn lab_command(args: &[&str]) -> Command {
    let mut command = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/lab/lab"));
    command.args(args.iter().map(|arg| lab_name(arg)));
    command
}

impl Lab {
    /// A variable of `lab env`.
    pub fn get(&self, name: &str) -> &str {
        self.variables.get(name).unwrap_or_else(|| panic!("lab env has no {name}"))
    }

    /// What `lab env` says of a host: `NETNS`, `ADDRESS`.
    pub fn of(&self, host: &str, what: &str) -> &str {
        self.get(&format!("LAB_{}_{what}", lab_name(host).to_uppercase()))
    }

    /// The network namespace of a host: `client`, `sentinel`, `b1`, `b2`.
    pub fn netns(&self, host: &str) -> String {
        self.of(host, "NETNS").to_owned()
    }

    /// Runs the Incus client of a backend; panics if it fails.
    pub fn incus(&self, backend: &str, args: &[&str]) -> String {
        let all = [&["incus", backend], args].concat();
        let out = lab_command(&all).output().expect("incus");
        assert!(out.status.success(), "incus {args:?}: {}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8_lossy(&out.stdout).into_owned()
    }
}

/// The shared sentinel, its people and their containers.
pub struct World {
    /// Where keys, configurations and results of this run lie.
    pub dir: PathBuf,
    /// The shared sentinel.
    pub sentinel: Sentinel,
}

/// People who have a key pair each.
pub const PEOPLE: [&str; 5] = ["admin", "alice", "bob", "carol", "mallory"];

/// Shared containers: name, which is also the owner, and backend.
pub const CONTAINERS: [(&str, &str); 2] = [("alice", "b1"), ("bob", "b2")];

/// The port of the shared sentinel; tests that start their own take others.
const PORT: u16 = 22;

static WORLD: OnceLock<World> = OnceLock::new();

/// The shared sentinel with its containers; made by the first test that asks.
pub fn world() -> &'static World {
    last::inspect_after_last(|busy| {
        if let Some(world) = WORLD.get() {
            world.sentinel.inspect(busy);
            world.sentinel.assert_at_rest(busy);
            let log = world.sentinel.log_text();
            assert!(!log.contains("dropped by the guard"), "the guard met a test:\n{log}");
        }
    });
    WORLD.get_or_init(|| {
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("e2e");
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir_all(&dir).unwrap();
        for person in PEOPLE {
            make_key(&dir, person);
        }
        // The sentinel of a run that ended a moment ago may still be there.
        let probe = format!("! exec 3<>/dev/tcp/$DOOR/{PORT}");
        while shell("sentinel", &probe, &dir, &dir).status != 0 {
            thread::sleep(Duration::from_millis(50));
        }
        let sentinel = Sentinel::start(&dir, "shared", &patient(&config(&dir, PORT, "")));
        trust_link_key(&dir);
        let world = World { dir, sentinel };
        thread::scope(|scope| {
            for (name, backend) in CONTAINERS {
                let world = &world;
                scope.spawn(move || world.container(backend, name, name, &[]));
            }
        });
        world.write_client_config();
        world.sentinel.wait_until_listed(&CONTAINERS.map(|(name, _)| name));
        // At its start it was not trusted by any backend yet.
        world.sentinel.settle();
        world
    })
}

/// A configuration by which a host that has not answered for long is taken for busy, not for dead:
/// with the defaults, a machine on which much else is compiled ended sessions of other tests.
fn patient(config: &str) -> String {
    ["b1", "b2"].map(backend_section).into_iter().fold(config.to_owned(), |text, section| {
        let patient = format!("{section}health = {{ timeout = \"20s\", fall = 6 }}\n");
        text.replace(&section, &patient)
    })
}

/// Makes the key pair of `person` in `dir`, in files `PERSON` and `PERSON.pub`.
pub fn make_key(dir: &Path, person: &str) {
    let file = dir.join(person);
    assert!(!file.exists(), "{person} has a key: two tests use the same name");
    let status = Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-C", &format!("{person}@laptop"), "-f"])
        .arg(&file)
        .status()
        .expect("ssh-keygen");
    assert!(status.success());
}

/// The client's first addresses and the hosts: many tests at once log in from them, also in vain. What
/// the guard does is tested with the client's others.
const FRIENDS: &str = r#""192.0.2.0/28", "198.51.100.0/24", "203.0.113.0/24""#;

/// A configuration for a sentinel of the lab, listening on `port`, with more sections behind it.
/// Every sentinel of a run shares the keys in `dir`, so that all containers trust all of them.
pub fn config(dir: &Path, port: u16, more: &str) -> String {
    let lab = lab();
    let shown = dir.display();
    let admin = fs::read_to_string(dir.join("admin.pub")).unwrap();
    let mut text = format!(
        "state_dir = \"{shown}/state-{port}\"\ncontrol_socket = \"{shown}/control-{port}.sock\"\n\
         [ssh]\nlisten = [\"{}:{port}\"]\nhost_keys = \"{shown}/keys\"\ndrain = \"2s\"\nwait = \"1s\"\n\
         max_startups_per_source = 100\n\
         [guard]\nallow = [{FRIENDS}]\n\
         [log]\nlevel = \"info,containarium=debug\"\n\
         [admin]\nauthorized_keys = [\"{}\"]\n",
        lab.get("LAB_SENTINEL_ADDRESS"),
        admin.trim(),
    );
    for backend in ["b1", "b2"] {
        text += &backend_section(backend);
    }
    text + more
}

/// A configuration with one key set in one section (`""`: before all sections) that it has.
pub fn set(config: &str, section: &str, key: &str, value: &str) -> String {
    let header = format!("[{section}]");
    let mut here = section.is_empty();
    let mut out = if here { format!("{key} = {value}\n") } else { String::new() };
    for line in config.lines() {
        if line.starts_with('[') {
            here = line == header;
        }
        if !(here && line.starts_with(&format!("{key} = "))) {
            out += &format!("{line}\n");
        }
        if line == header {
            out += &format!("{key} = {value}\n");
        }
    }
    out
}

/// The `[[backend]]` section of a lab backend.
pub fn backend_section(backend: &str) -> String {
    let get = |what: &str| lab().of(backend, what);
    format!(
        "[[backend]]\nname = \"{backend}\"\naddress = \"{}:22\"\nuser = \"containarium\"\n\
         host_key = \"{}\"\nincus_socket = \"{}\"\n",
        get("ADDRESS"),
        get("HOST_KEY"),
        get("INCUS_SOCKET"),
    )
}

/// Lets the sentinel's link key in to the backends.
pub fn trust_link_key(dir: &Path) {
    let key = fs::read_to_string(dir.join("keys/link.pub")).unwrap();
    let file = lab().get("LAB_AUTHORIZED_KEYS");
    let known = fs::read_to_string(file).unwrap_or_default();
    if !known.contains(key.trim()) {
        fs::write(file, format!("{known}\n{key}")).unwrap();
    }
}

impl World {
    /// Makes and adopts container `name` of `owner`; harmless if it is there. `adopt` are further
    /// options of `contrib/adopt`. Returns its address.
    #[track_caller]
    pub fn container(&self, backend: &str, name: &str, owner: &str, adopt: &[&str]) -> String {
        claim(name);
        let key = self.dir.join(format!("{owner}.pub"));
        let key = if key.exists() { key } else { self.dir.join("alice.pub") };
        let out = lab_command(&["container", backend, name, owner])
            .arg(key)
            .env("LAB_CA", self.dir.join("keys/ca.pub"))
            .env("LAB_ADOPT", adopt.join(" "))
            .output()
            .expect("lab container");
        assert!(out.status.success(), "container {name}: {}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8_lossy(&out.stdout).trim().to_owned()
    }

    /// The address of a container.
    pub fn address(&self, backend: &str, name: &str) -> String {
        let format = ["list", &format!("^{name}-container$"), "-c4", "-fcsv"];
        let text = lab().incus(backend, &format);
        text.split_whitespace().next().unwrap_or_default().trim_matches('"').to_owned()
    }

    /// Runs a bash script on the client's host. `$CFG` is an ssh configuration with a host for
    /// each person's container, `$DIR` the run's directory, `$TMP` a fresh one.
    pub fn client(&self, script: &str) -> Run {
        shell("client", script, &self.dir, &self.dir.join("ssh_config"))
    }

    /// The same for scripts that may take longer.
    pub fn client_within(&self, limit: Duration, script: &str) -> Run {
        shell_within(limit, "client", script, &self.dir, &self.dir.join("ssh_config"))
    }

    /// Runs the same script through the door and directly: from the container's backend to its
    /// sshd. In it, the host is called `box`, and is alice's container both times.
    pub fn both(&self, script: &str) -> [Run; 2] {
        let through = shell("client", script, &self.dir, &self.dir.join("ssh_config_door"));
        let direct = shell("b1", script, &self.dir, &self.dir.join("ssh_config_direct"));
        [through, direct]
    }

    /// Asserts that a script does the same through the door as directly, and that it is this.
    pub fn same(&self, script: &str, stdout: &str, status: i32) {
        let run = self.alike(script);
        assert_eq!((run.stdout.as_str(), run.status), (stdout, status), "{script}: {run:?}");
    }

    /// Asserts that a script does the same through the door as directly, and returns what.
    pub fn alike(&self, script: &str) -> Run {
        let [through, direct] = self.both(script);
        assert_eq!(through, direct, "through the door (left) it differs: {script}");
        direct
    }

    fn write_client_config(&self) {
        let dir = self.dir.display();
        let lab = lab();
        let sentinel = lab.get("LAB_SENTINEL_ADDRESS");
        let common = format!(
            "Host *\n  UserKnownHostsFile {dir}/known_hosts\n  StrictHostKeyChecking yes\n  \
             IdentitiesOnly yes\n  LogLevel ERROR\n  BatchMode yes\n  ConnectTimeout 20\n"
        );
        let host = |name: &str, address: &str, user: &str, key: &str| {
            format!(
                "Host {name}\n  HostName {address}\n  User {user}\n  IdentityFile {dir}/{key}\n"
            )
        };
        let mut people = host("sentinel", sentinel, "admin", "admin");
        for person in &PEOPLE[1..] {
            people += &host(person, sentinel, person, person);
        }
        let address = self.address("b1", "alice");
        fs::write(self.dir.join("ssh_config"), people + &common).unwrap();
        let door = host("box", sentinel, "alice", "alice");
        fs::write(self.dir.join("ssh_config_door"), door + &common).unwrap();
        let direct = host("box", &address, "alice", "alice");
        fs::write(self.dir.join("ssh_config_direct"), direct + &common).unwrap();
        let door_key = fs::read_to_string(self.dir.join("keys/ssh_host_ed25519_key.pub")).unwrap();
        let label = ["config", "get", "alice-container", "user.containarium.host-keys"];
        let container_key = lab.incus("b1", &label);
        let mut known = format!("{sentinel} {door_key}[{sentinel}]:* {door_key}");
        for line in container_key.lines().filter(|l| !l.is_empty()) {
            known += &format!("{address} {line}\n");
        }
        fs::write(self.dir.join("known_hosts"), known).unwrap();
    }
}
