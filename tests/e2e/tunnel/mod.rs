//! Backends whose hosts connect by themselves, as nobody can dial them.

mod away;
mod key;
mod same;
mod unrecorded;
mod whole;

use std::{
    fs,
    os::unix::process::CommandExt,
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    thread::{self, JoinHandle},
};

use crate::harness::{Run, Sentinel, backend_section, config, lab, lab_command, set, world};

/// The unit of the host, whose command line is run as it stands there.
const UNIT: &str = include_str!("../../../contrib/systemd/containarium-tunnel.service");

/// A host that nobody can dial: new connections to it are dropped until this is.
struct Nat;

impl Nat {
    /// Puts `b3` behind it; whoever does holds [`crate::harness::b3`].
    fn new() -> Self {
        assert!(on_b3("iptables -A INPUT -i eth0 -m conntrack --ctstate NEW -j DROP"), "iptables");
        Self
    }
}

impl Drop for Nat {
    fn drop(&mut self) {
        on_b3("iptables -F INPUT");
    }
}

fn on_b3(script: &str) -> bool {
    let out = lab_command(&["in", "b3", "sh", "-c", script]).output().expect("lab");
    out.status.success()
}

/// The ssh client of a host, by the unit's command line. Dropping it ends it.
struct Tunnel {
    child: Child,
    errors: PathBuf,
}

impl Tunnel {
    /// Connects `host` with the key of `name` as backend `name` to the sentinel on `port`.
    fn start(host: &str, name: &str, port: u16) -> Self {
        let dir = world().dir.join(format!("node-{name}"));
        fs::create_dir_all(&dir).unwrap();
        for (from, to) in [(name.to_owned(), "key"), ("known_hosts".to_owned(), "known_hosts")] {
            fs::copy(world().dir.join(from), dir.join(to)).unwrap();
        }
        let command = UNIT.replace("\\\n", " ");
        let command = command.lines().find_map(|line| line.strip_prefix("ExecStart=")).unwrap();
        let command = command.replace("/etc/containarium-node", &dir.display().to_string());
        let errors = dir.join(format!("errors-{}", number()));
        let child = Command::new("nsenter")
            .arg(format!("--net={}", lab().netns(host)))
            .args(["sh", "-c", &format!("exec {command}")])
            .env("NAME", name)
            .env("SENTINEL", lab().get("LAB_SENTINEL_ADDRESS"))
            .env("PORT", port.to_string())
            .env("SSHD", format!("{}:22", lab().of(host, "ADDRESS")))
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(fs::File::create(&errors).unwrap())
            .spawn()
            .expect("ssh");
        Self { child, errors }
    }

    fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// What it said, once it has ended by itself.
    fn end(&mut self, sentinel: &Sentinel) -> String {
        let pid = self.child.id();
        sentinel.wait("the ssh client ends", || {
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            stat.rsplit(')').next().is_none_or(|rest| rest.trim_start().starts_with('Z'))
        });
        let _ = self.child.wait();
        fs::read_to_string(&self.errors).unwrap()
    }
}

impl Drop for Tunnel {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A number that no other call gets.
fn number() -> u32 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// The section of `host` as a backend `name` that connects by itself under the key of `name`.
fn section(host: &str, name: &str) -> String {
    let key = fs::read_to_string(world().dir.join(format!("{name}.pub"))).unwrap();
    let key = format!("address = \"tunnel\"\nnode_key = \"{}\"", key.trim());
    let text =
        backend_section(host).replace(&format!("name = \"{host}\""), &format!("name = \"{name}\""));
    let lines = text
        .lines()
        .map(|line| if line.starts_with("address = ") { key.clone() } else { line.to_owned() });
    lines.map(|line| line + "\n").collect()
}

/// A sentinel on `port` with `b1`, `b2`, and `b3` behind a tunnel as backend `name`.
fn sentinel(name: &str, port: u16) -> Sentinel {
    sentinel_with(name, port, "")
}

/// The same with more lines about that backend.
fn sentinel_with(name: &str, port: u16, more: &str) -> Sentinel {
    let dir = &world().dir;
    let text = config(dir, port, &(section("b3", name) + more));
    let text = set(&text, "ssh", "wait", "\"100s\"");
    Sentinel::start(dir, name, &text)
}

/// What `backend list` knows of a backend.
fn known(sentinel: &Sentinel, name: &str) -> serde_json::Value {
    let list = sentinel.console(&["backend", "list", "--json"]).stdout;
    let list: serde_json::Value = serde_json::from_str(&list).unwrap_or_default();
    let all = list.as_array().cloned().unwrap_or_default();
    all.into_iter().find(|b| b["name"] == name).unwrap_or_default()
}

/// Waits until a backend is up by all accounts.
fn wait_up(sentinel: &Sentinel, name: &str) {
    sentinel.wait(&format!("{name} is up"), || {
        let known = known(sentinel, name);
        known["presence"] == "up" && known["health"]["state"] == "up"
    });
}

/// Waits until a backend is down by all accounts.
fn wait_down(sentinel: &Sentinel, name: &str) {
    sentinel.wait(&format!("{name} is down"), || {
        let known = known(sentinel, name);
        known["presence"] == "away" && known["health"]["state"] == "down"
    });
}

/// A session of `person` as `login` that is open now and ends only with its host.
fn open_session(sentinel: &Sentinel, port: u16, person: &str, login: &str) -> JoinHandle<Run> {
    let here = world().dir.join(format!("{login}.here"));
    let _ = fs::remove_file(&here);
    let script = format!(
        "ssh -F $CFG -p {port} -i $DIR/{person} -o LogLevel=INFO -l {login} $DOOR \
         'echo here; exec sleep 1000' >$DIR/{login}.here"
    );
    let session = thread::spawn(move || world().client(&script));
    sentinel.wait("the session is open", || {
        assert!(!session.is_finished(), "the session of {login} ended");
        fs::read_to_string(&here).unwrap_or_default() == "here\n"
    });
    session
}

/// Runs a command as `login` with the key of `person`.
fn log_in(port: u16, person: &str, login: &str, command: &str) -> Run {
    world().client(&format!(
        "ssh -F $CFG -p {port} -i $DIR/{person} -o LogLevel=INFO -l {login} $DOOR '{command}'"
    ))
}
