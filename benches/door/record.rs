//! What a terminal costs while it is recorded, while somebody watches, and while somebody who watches
//! has stopped.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    io::{Read, Write},
    path::PathBuf,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    time::Instant,
};

use crate::{
    Effort,
    harness::{Sentinel, label},
    report::{median, percentile, table},
    scene::{Scene, door_config, on_host, process_seconds},
};

/// The argument that asks for nothing else.
pub const ALONE: &str = "record";

/// Ports of the two sentinels.
const PLAIN_PORT: u16 = 2221;
const RECORD_PORT: u16 = 2222;

/// What is done with the terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Plain,
    Recorded,
    Watched,
    /// By somebody whose ssh is stopped.
    Stopped,
}

impl Kind {
    const ALL: [Self; 4] = [Self::Plain, Self::Recorded, Self::Watched, Self::Stopped];

    fn title(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Recorded => "recorded",
            Self::Watched => "watched",
            Self::Stopped => "watched by one who has stopped",
        }
    }
}

/// Figures of one kind, one for each round, and milliseconds of keystrokes of all.
#[derive(Default)]
pub struct Figures {
    rates: Vec<f64>,
    cpu: Vec<f64>,
    keys: Vec<f64>,
}

/// Figures of all kinds.
pub struct Records(BTreeMap<Kind, Figures>);

/// Measures all kinds in turns.
pub fn measure(scene: &Scene, effort: &Effort) -> Records {
    let config = scene.ssh_config("record", "");
    label("b1", "bench", "record", "true");
    let start = |name: &str, port, sessions: &str| {
        let more = format!("[record]\nsessions = \"{sessions}\"\n");
        let config = door_config(&scene.dir, "door", port) + &more;
        let sentinel = Sentinel::start(&scene.dir, name, &config);
        sentinel.wait_until_listed(&["bench"]);
        sentinel
    };
    let plain = start("plain", PLAIN_PORT, "off");
    let recording = start("record", RECORD_PORT, "labelled");
    let mut all: BTreeMap<Kind, Figures> = BTreeMap::new();
    // A terminal is slower than a pipe.
    let bytes = (effort.mib << 20) / 4;
    for round in 1..=effort.rounds {
        for kind in Kind::ALL {
            eprintln!("terminals {round}/{}: {}", effort.rounds, kind.title());
            let (sentinel, port) = match kind {
                Kind::Recorded => (&recording, RECORD_PORT),
                Kind::Plain | Kind::Watched | Kind::Stopped => (&plain, PLAIN_PORT),
            };
            let ssh = Ssh { config: config.clone(), port, admin: scene.dir.join("admin") };
            let figures = all.entry(kind).or_default();
            run(sentinel, &ssh, kind, (bytes, effort.keys), figures);
        }
    }
    Records(all)
}

/// The table.
pub fn render(Records(all): &Records) -> String {
    let columns = ["terminal", "10^6 bytes/s", "of plain", "CPU s/GiB", "keystroke ms", "95 %"];
    let mut out = table("Recorded and watched", &columns);
    let plain = median(all[&Kind::Plain].rates.iter().copied());
    for (kind, Figures { rates, cpu, keys }) in all {
        let [rate, cpu, key] = [rates, cpu, keys].map(|all| median(all.iter().copied()));
        let (of_plain, late) = (rate / plain, percentile(keys, 95));
        writeln!(
            out,
            "| {} | {rate:.0} | {of_plain:.2} | {cpu:.2} | {key:.2} | {late:.2} |",
            kind.title()
        )
        .unwrap();
    }
    out + "\n`head -c` of `/dev/zero` on a terminal in raw mode, through the door, in turns; then keys, \
           one at a time. CPU is that of the sentinel, which writes the recording and shows it to \
           whoever watches.\n\n"
}

struct Ssh {
    config: PathBuf,
    port: u16,
    admin: PathBuf,
}

impl Ssh {
    fn command(&self, options: &[&str], words: &str) -> Command {
        let mut command = on_host("client", "ssh");
        command.arg("-F").arg(&self.config).args(["-p", &self.port.to_string()]).args(options);
        command.args(["door", words]).stdin(Stdio::null());
        command
    }

    fn watch(&self, id: &str) -> Process {
        let admin = self.admin.display().to_string();
        let options = ["-l", "admin", "-i", admin.as_str()];
        let mut command = self.command(&options, &format!("session watch {id}"));
        Process(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
    }
}

/// A process that ends with its owner.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A terminal, on which other things than those waited for may be shown: who watches is told.
struct Terminal {
    to: ChildStdin,
    from: ChildStdout,
    _ssh: Process,
}

impl Terminal {
    fn open(ssh: &Ssh) -> Self {
        let script = "stty raw -echo; echo go; read -r n; head -c $n /dev/zero; exec cat";
        let mut command = ssh.command(&["-tt"], script);
        let mut ssh = Process(
            command
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(Stdio::null())
                .spawn()
                .unwrap(),
        );
        let (to, from) = (ssh.0.stdin.take().unwrap(), ssh.0.stdout.take().unwrap());
        let mut terminal = Self { to, from, _ssh: ssh };
        terminal.wait_for(b"go\n");
        terminal
    }

    fn wait_for(&mut self, text: &[u8]) {
        let mut seen = Vec::new();
        while !seen.ends_with(text) {
            let mut byte = [0];
            self.from.read_exact(&mut byte).unwrap();
            seen.push(byte[0]);
        }
    }

    /// Waits for so many of this byte.
    fn count(&mut self, wanted: u8, mut many: u64) {
        let mut buffer = vec![0; 64 << 10];
        while many > 0 {
            let length = self.from.read(&mut buffer).unwrap();
            assert_ne!(length, 0, "it ended early");
            let seen = buffer[..length].iter().map(|byte| u64::from(*byte == wanted)).sum();
            many = many.saturating_sub(seen);
        }
    }
}

fn run(
    sentinel: &Sentinel,
    ssh: &Ssh,
    kind: Kind,
    (bytes, keys): (u64, usize),
    figures: &mut Figures,
) {
    let mut terminal = Terminal::open(ssh);
    let listed = sentinel.console(&["session", "list", "bench", "-q"]);
    let id = listed.stdout.lines().last().expect("the session is listed");
    let watcher = match kind {
        Kind::Plain | Kind::Recorded => None,
        Kind::Watched | Kind::Stopped => {
            let watcher = ssh.watch(id);
            terminal.wait_for(b"watches this terminal]\r\n");
            Some(watcher)
        }
    };
    if let (Kind::Stopped, Some(watcher)) = (kind, &watcher) {
        let signal = ["-STOP", &watcher.0.id().to_string()];
        assert!(Command::new("kill").args(signal).status().unwrap().success(), "SIGSTOP");
    }
    let (before, start) = (process_seconds(sentinel.pid()), Instant::now());
    writeln!(terminal.to, "{bytes}").unwrap();
    terminal.count(0, bytes);
    let seconds = start.elapsed().as_secs_f64();
    let cpu = process_seconds(sentinel.pid()) - before;
    figures.rates.push(bytes as f64 / seconds / 1e6);
    figures.cpu.push(cpu / (bytes as f64 / f64::from(1 << 30)));
    for _ in 0..keys {
        let start = Instant::now();
        terminal.to.write_all(b"x").unwrap();
        terminal.count(b'x', 1);
        figures.keys.push(start.elapsed().as_secs_f64() * 1e3);
    }
    drop(watcher);
}
