//! L13: programs that guess passwords.

use std::{
    process::{Child, Stdio},
    thread,
    time::{Duration, Instant},
};

use super::{
    FLOODER, HOME, Load,
    stage::{Stage, Target},
};
use crate::{
    harness::lab,
    report::Bound::{AtLeast, AtMost},
    scene::{on_host, process_seconds},
};

/// How long each of them goes on after it was banned.
pub(super) const SECONDS: u64 = 20;

/// How long a sentinel is watched first, for what it does by itself.
const IDLE: u64 = 10;

/// How many of each program run at a time once it is banned: each waits most of the time.
const AT_ONCE: u32 = 4;

/// How long a program has until it is banned.
const LIMIT: Duration = Duration::from_secs(60);

/// Each with what it is called and how it is started, of a port, the door's address, and files of
/// names and passwords.
const PROGRAMS: [(&str, &str); 3] = [
    ("hydra", "hydra -I -L names -P passwords -t 16 -s $port ssh://$door"),
    ("medusa", "medusa -h $door -n $port -U names -P passwords -M ssh -t 16"),
    ("ncrack", "ncrack -U names -P passwords -g CL=10,at=1 ssh://$door:$port"),
];

/// All of them, one after the other.
pub(super) fn attacks(stage: &Stage) -> Load {
    let mut found = Vec::new();
    for (number, (name, command)) in (7..).zip(PROGRAMS) {
        eprintln!("{name}, until it is banned and for {SECONDS} s after that");
        let target = Target::start(stage, number, &[]);
        let rest = work(&target, IDLE);
        let mut attack = Attack::start(stage, &target, command);
        let connections = banned_after(&target);
        found.push((
            format!("{name}: connections until it is banned: at most 6"),
            connections,
            AtMost(6.0),
        ));
        attack.grow();
        let before = attempts(&target);
        let cpu = (work(&target, SECONDS) - rest) * SECONDS as f64;
        let made = attempts(&target) - before;
        found.push((format!("{name}: attempts in {SECONDS} s after that"), made, AtLeast(1.0)));
        found.push((
            format!("{name}: the sentinel's CPU for each, ms: at most 1"),
            cpu.max(0.0) / made.max(1.0),
            AtMost(1.0),
        ));
        found.extend(target.logins(HOME, 20, 1).found(&format!("beside {name}"), 100.0, 1000.0));
        drop(attack);
    }
    Load { title: "passwords", limited: stage.memory.is_some(), found }
}

/// The sentinel's CPU in so many seconds, in ms a second.
fn work(target: &Target, seconds: u64) -> f64 {
    let used = || process_seconds(target.sentinel.pid());
    let before = used();
    thread::sleep(Duration::from_secs(seconds));
    (used() - before) * 1e3 / seconds as f64
}

/// A program that is started again and again. The programs know no option for the address from which
/// they come, so a user of their own does, whose way leads out under that address.
struct Attack(Child);

impl Attack {
    fn start(stage: &Stage, target: &Target, command: &str) -> Self {
        let (door, port) = target.door.split_once(':').unwrap();
        let gateway = lab().get("LAB_CLIENT_GATEWAY");
        let dir = stage.scene.dir.join("attack");
        std::fs::create_dir_all(&dir).unwrap();
        let script = format!(
            "cd {dir}; chmod 777 .; user=61016 door={door} port={port}\n\
             by() {{ ip rule \"$1\" uidrange $user-$user lookup $user; }}\n\
             ip route replace $door via {gateway} src {FLOODER} table $user\n\
             by del 2>/dev/null; by add; trap 'by del' EXIT\n\
             seq -f pw%g 1 20 >passwords; printf 'root\\nadmin\\nbench\\n' >names\n\
             go() {{\n    \
                 while sleep 0.01; do\n        \
                     setpriv --reuid $user --regid $user --clear-groups timeout 5 {command} >>out 2>&1 & wait $!\n    \
                 done\n\
             }}\n\
             trap 'kill $(jobs -p); exit' TERM\n\
             go & read more\n\
             for i in $(seq 2 {AT_ONCE}); do go & done; wait",
            dir = dir.display()
        );
        let mut attack = on_host("client", "bash");
        attack.args(["-c", &script]).stdin(Stdio::piped());
        Self(attack.spawn().unwrap())
    }

    /// Lets more than one run at a time.
    fn grow(&mut self) {
        drop(self.0.stdin.take());
    }
}

impl Drop for Attack {
    fn drop(&mut self) {
        let pid = self.0.id().to_string();
        let _ = on_host("client", "kill").args(["-TERM", &pid]).status();
        let _ = self.0.wait();
    }
}

/// How many connections ended before the ban; infinite where there is none.
fn banned_after(target: &Target) -> f64 {
    let start = Instant::now();
    let banned = format!("banned source=\"{FLOODER}\"");
    while start.elapsed() < LIMIT {
        let log = target.sentinel.log_text();
        if let Some((before, _)) = log.split_once(&banned) {
            return ended(before);
        }
        thread::sleep(Duration::from_millis(50));
    }
    f64::INFINITY
}

fn ended(log: &str) -> f64 {
    let source = format!(" source={FLOODER}:");
    let of = |line: &&str| line.contains("ended before login") && line.contains(&source);
    log.lines().filter(of).count() as f64
}

/// Connections so far: those that were dropped, and those that were served.
fn attempts(target: &Target) -> f64 {
    let run = target.sentinel.console(&["status", "--json"]);
    let status: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
    let dropped = status["guard"]["dropped"].as_f64().unwrap();
    dropped + ended(&target.sentinel.log_text())
}
