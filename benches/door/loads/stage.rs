//! What a load is played on: a sentinel of its own, crowds and people on the client's host, addresses
//! for them, and a limit of memory.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Stdio},
    thread,
    time::Duration,
};

use crate::{
    harness::{Sentinel, lab, set},
    report::{
        Bound::{self, AtLeast, AtMost},
        percentile,
    },
    scene::{Scene, door_config, on_host, resident_kib},
    strangers,
};

/// Ports of the sentinels, one for each load.
const PORT: u16 = 2221;

/// Addresses that only the client's host has.
const NETWORK: &str = "10.200.0.0/15";

/// A sentinel under load.
pub struct Target {
    pub sentinel: Sentinel,
    pub door: String,
    key: PathBuf,
    resident: f64,
}

impl Target {
    pub fn start(stage: &Stage, number: u16, changes: &[(&str, &str, &str)]) -> Self {
        let (scene, port) = (stage.scene, PORT + number);
        let text = door_config(&scene.dir, "link", port);
        let defaults = [
            ("guard", "allow", "[]"),
            ("ssh", "max_startups", "128"),
            ("ssh", "max_startups_per_source", "32"),
        ];
        let changes = defaults.iter().chain(changes);
        let text =
            changes.fold(text, |text, (section, key, value)| set(&text, section, key, value));
        let script = stage.memory.as_ref().map_or_else(String::new, |cgroup| {
            format!("echo $$ >{}/cgroup.procs; ", cgroup.display())
        });
        let script = format!("{script}exec \"$@\"");
        let words = ["sh", "-c", &script, "sh"];
        let name = format!("load-{number}");
        let sentinel = Sentinel::spawn_by("sentinel", &scene.dir, &name, &text, &words);
        sentinel.wait_log("listening");
        sentinel.wait_until_listed(&["bench"]);
        let door = format!("{}:{port}", lab().get("LAB_SENTINEL_ADDRESS"));
        let resident = resident_kib(sentinel.pid());
        Self { sentinel, door, key: scene.dir.join("alice"), resident }
    }

    pub fn crowd(&self, sources: &str, count: u32, rate: u32) -> Crowd {
        let (count, rate) = (count.to_string(), rate.to_string());
        let program = Program::start(strangers::CROWD, &[&self.door, sources, &count, &rate]);
        Crowd { program, has_come: false }
    }

    pub fn logins(&self, source: &str, count: u32, tries: u32) -> Logins {
        let (number, tries, key) =
            (count.to_string(), tries.to_string(), self.key.display().to_string());
        let arguments = [&self.door, source, "bench", &key, &number, &tries, "300"];
        let mut logins = Logins { count: f64::from(count), times: Vec::new(), tries: Vec::new() };
        for line in Program::start(strangers::LOG_IN, &arguments).rest().lines() {
            let (time, tries) = line.split_once(' ').unwrap();
            if let Ok(time) = time.parse() {
                logins.times.push(time);
                logins.tries.push(tries.parse().unwrap());
            }
        }
        logins
    }

    /// MiB from the start to the peak.
    pub fn growth(&self) -> f64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.sentinel.pid())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        let peak: f64 = line.trim().trim_end_matches(" kB").parse().unwrap();
        (peak - self.resident) / 1024.0
    }

    pub fn descriptors(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.sentinel.pid())).unwrap().count()
    }

    /// Descriptors that are not given back within some seconds.
    pub fn left(&self, before: usize) -> f64 {
        for _ in 0..100 {
            if self.descriptors() <= before {
                break;
            }
            thread::sleep(Duration::from_millis(100));
        }
        self.descriptors().saturating_sub(before) as f64
    }
}

/// How logins went.
pub struct Logins {
    pub count: f64,
    /// Milliseconds of each that succeeded, and at which try it did.
    pub times: Vec<f64>,
    pub tries: Vec<u32>,
}

impl Logins {
    pub fn share(&self) -> f64 {
        self.times.len() as f64 / self.count * 1e2
    }

    pub fn found(&self, who: &str, share: f64, most: f64) -> Vec<(String, f64, Bound)> {
        let p99 = if self.times.is_empty() { f64::INFINITY } else { percentile(&self.times, 99) };
        vec![
            (format!("logins {who}, %: at least {share}"), self.share(), AtLeast(share)),
            (format!("p99 of logins {who}, ms: under {most}"), p99, AtMost(most)),
        ]
    }
}

/// Clients that came in a crowd.
pub struct Crowd {
    program: Program,
    has_come: bool,
}

/// How they fared.
pub struct Fared {
    pub dropped: f64,
    pub greeted: f64,
    pub none: f64,
    pub most: f64,
    pub p99_dropped: f64,
    pub p99_greeted: f64,
}

impl Fared {
    pub fn all(&self) -> f64 {
        self.dropped + self.greeted + self.none
    }
}

impl Crowd {
    /// Waits until all have come.
    pub fn wait(&mut self) {
        if !std::mem::replace(&mut self.has_come, true) {
            assert_eq!(self.program.line(), "come");
        }
    }

    /// Lets them go when all have come.
    pub fn leave(mut self) -> Fared {
        self.wait();
        let rest = self.program.rest();
        let figures: Vec<f64> = rest.split_whitespace().map(|word| word.parse().unwrap()).collect();
        let [dropped, greeted, most, none, p99_dropped, p99_greeted] = figures[..] else {
            panic!("{rest}")
        };
        Fared { dropped, greeted, none, most, p99_dropped, p99_greeted }
    }
}

/// This program on the client's host.
pub struct Program {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Program {
    pub fn start(what: &str, arguments: &[&str]) -> Self {
        let program = std::env::current_exe().unwrap();
        let mut child = on_host("client", program.to_str().unwrap())
            .arg(what)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        Self { input: child.stdin.take(), child, output }
    }

    /// Says a line to it.
    pub fn say(&mut self, line: &str) {
        writeln!(self.input.as_mut().unwrap(), "{line}").unwrap();
    }

    pub fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        line.trim().to_owned()
    }

    /// What it says until it ends, after its input has.
    pub fn rest(&mut self) -> String {
        self.input = None;
        let mut rest = String::new();
        self.output.read_to_string(&mut rest).unwrap();
        assert!(self.child.wait().unwrap().success(), "{rest}");
        rest
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What all loads need.
pub struct Stage<'a> {
    pub scene: &'a Scene,
    /// A cgroup with 1 GiB of memory, where this machine lets us have one.
    pub memory: Option<PathBuf>,
}

impl<'a> Stage<'a> {
    pub fn set(scene: &'a Scene) -> Self {
        let mounts = fs::read_to_string("/proc/mounts").unwrap();
        let fields = mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>());
        let limits = fields.filter_map(|fields| match fields.get(2) {
            Some(&"cgroup") if fields[3].split(',').any(|option| option == "memory") => {
                Some((fields[1], "memory.limit_in_bytes"))
            }
            Some(&"cgroup2") => Some((fields[1], "memory.max")),
            _ => None,
        });
        let memory = limits.map(|(mount, limit)| {
            let cgroup = Path::new(mount).join(format!("{}-bench-loads", lab().get("LAB_NAME")));
            let _ = fs::create_dir(&cgroup);
            let limited = fs::write(cgroup.join(limit), (1_u64 << 30).to_string());
            limited.map(|()| cgroup.clone()).inspect_err(|_| drop(fs::remove_dir(&cgroup))).ok()
        });
        Self { scene, memory: memory.flatten().next() }
    }
}

impl Drop for Stage<'_> {
    fn drop(&mut self) {
        // Its last process has just ended, and may be counted for a moment.
        for _ in 0..50 {
            if self.memory.as_ref().is_none_or(|cgroup| fs::remove_dir(cgroup).is_ok()) {
                break;
            }
            thread::sleep(Duration::from_millis(100));
        }
    }
}

/// Addresses that lead to the client's host.
pub struct Network;

impl Network {
    fn ip(host: &str, words: &str) -> bool {
        let mut ip = on_host(host, "ip");
        ip.args(words.split(' ')).stderr(Stdio::null()).status().unwrap().success()
    }

    pub fn add() -> Self {
        let via = lab().get("LAB_CLIENT_ADDRESS");
        assert!(Self::ip("client", &format!("route replace local {NETWORK} dev lo")));
        assert!(Self::ip("sentinel", &format!("route replace {NETWORK} via {via}")));
        Self
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        Self::ip("client", &format!("route del local {NETWORK} dev lo"));
        Self::ip("sentinel", &format!("route del {NETWORK}"));
    }
}
