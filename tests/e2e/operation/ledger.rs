//! The ledger's disk: full, damaged, gone for a moment; and sessions that end in every way.

use std::{
    fs,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    process::Command,
    thread::{self, JoinHandle},
};

use serde_json::Value;

use super::{fresh, log_in};
use crate::harness::{Run, Sentinel, config, world};

/// A small disk of its own, gone when the test is.
pub(super) struct Disk(PathBuf);

impl Disk {
    pub(super) fn mount(path: PathBuf) -> Self {
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=1m", "tmpfs"]).arg(&path);
        assert!(mount.status().unwrap().success(), "mount {}", path.display());
        Self(path)
    }

    fn ballast(&self) -> PathBuf {
        self.0.join("ballast")
    }

    /// Leaves no room for a single byte.
    pub(super) fn fill(&self) {
        let ballast = fs::File::create(self.ballast()).unwrap();
        let mut at = 0;
        while let Ok(written) = ballast.write_at(&[0; 4096], at) {
            at += written as u64;
        }
    }

    pub(super) fn make_room(&self) {
        fs::remove_file(self.ballast()).unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

/// A session that is open, and says something more at its end.
struct Open(JoinHandle<Run>);

impl Open {
    fn begin(sentinel: &Sentinel) -> Self {
        let flag = world().dir.join("ledger-open");
        let session = thread::spawn(|| {
            world().client(
                "mkfifo in; touch out; exec 3<>in\n\
                 ssh -F $CFG -p 2397 -i $DIR/alice -l alice $DOOR 'echo here; head -n 1' <in >out &\n\
                 until grep -q here out; do kill -0 $! || exit 9; sleep 0.05; done\n\
                 touch $DIR/ledger-open\n\
                 until [ -e $DIR/ledger-go ]; do kill -0 $! || exit 8; sleep 0.05; done\n\
                 echo still >&3; wait $!; s=$?; cat out; exit $s",
            )
        });
        sentinel.wait("a session is open", || flag.exists() || session.is_finished());
        Self(session)
    }

    fn end(self) -> Run {
        fs::write(world().dir.join("ledger-go"), "").unwrap();
        self.0.join().unwrap()
    }
}

fn start(name: &str, port: u16, path: &Path, more: &str) -> Sentinel {
    let audit = format!("[audit]\npath = \"{}\"\n{more}", path.display());
    let sentinel = Sentinel::start(&world().dir, name, &config(&world().dir, port, &audit));
    sentinel.wait_until_listed(&["alice"]);
    sentinel
}

fn json(sentinel: &Sentinel, words: &[&str]) -> Value {
    let run = sentinel.console(&[words, &["--json"]].concat());
    serde_json::from_str(&run.stdout).unwrap_or_else(|e| panic!("{e}: {run:?}"))
}

fn writes(sentinel: &Sentinel) -> bool {
    json(sentinel, &["status"])["ledger"]["writes"] == true
}

fn assert_intact(sentinel: &Sentinel) {
    let verified = sentinel.console(&["audit", "verify"]);
    assert_eq!(verified.status, 0, "{verified:?}");
}

fn assert_in(run: &Run) {
    assert_eq!((run.stdout.as_str(), run.status), ("in\n", 0), "{run:?}");
}

#[test]
fn a_full_disk_stops_no_session_and_is_a_gap_unless_every_session_has_to_be_recorded() {
    let folder = fresh("ledger-full");
    let disk = Disk::mount(folder.clone());
    let sentinel = start("ledger-full", 2397, &folder.join("audit.db"), "");
    disk.fill();
    assert_in(&log_in(2397, "alice", "alice", "echo in"));
    sentinel.wait("it is noticed", || !writes(&sentinel));
    let status = sentinel.console(&["status"]);
    assert!(status.stdout.contains("the ledger cannot be written since"), "{status:?}");
    assert_in(&log_in(2397, "alice", "alice", "echo in"));
    disk.make_room();
    sentinel.wait("it is written again", || writes(&sentinel));
    let all_there = || json(&sentinel, &["audit", "alice", "--kind", "session"]);
    sentinel.wait("what was kept is there", || all_there().as_array().unwrap().len() == 2);
    let gap = json(&sentinel, &["audit", "--kind", "ledger"]);
    assert!(gap[0]["detail"]["gap_since"].is_string(), "{gap}");
    assert_eq!(gap[0]["detail"]["lost"], 0, "{gap}");
    assert_intact(&sentinel);

    let text = fs::read_to_string(&sentinel.config).unwrap();
    fs::write(&sentinel.config, format!("{text}strict = true\n")).unwrap();
    let reloaded = json(&sentinel, &["reload"]);
    assert_eq!(reloaded["reloaded"], true, "{reloaded}");
    assert_in(&log_in(2397, "alice", "alice", "echo in"));
    let open = Open::begin(&sentinel);
    disk.fill();
    for (person, login) in [("alice", "alice"), ("admin", "admin")] {
        let refused = log_in(2397, person, login, "echo in");
        assert!(refused.status == 75 && refused.stdout.is_empty(), "{refused:?}");
        assert!(refused.stderr.contains("sessions are recorded here"), "{refused:?}");
    }
    assert!(!writes(&sentinel), "this machine's own executable works: {}", sentinel.log_text());
    let went_on = open.end();
    assert_eq!((went_on.stdout.as_str(), went_on.status), ("here\nstill\n", 0), "{went_on:?}");
    disk.make_room();
    assert_in(&log_in(2397, "alice", "alice", "echo in"));
    let changed = json(&sentinel, &["audit", "--kind", "reload"]);
    assert_eq!(changed[0]["detail"]["changed"], serde_json::json!(["audit.strict"]), "{changed}");
    assert_intact(&sentinel);
    drop(sentinel);
    drop(disk);
}

#[test]
fn a_damaged_ledger_is_set_aside_and_every_session_has_its_two_records_whatever_ends_it() {
    let folder = fresh("ledger-damaged");
    let path = folder.join("audit.db");
    fs::write(&path, "no database, but quite as long as one would have to be: ".repeat(200))
        .unwrap();
    let sentinel = start("ledger-damaged", 2398, &path, "");
    assert_in(&log_in(2398, "alice", "alice", "echo in"));
    let status = sentinel.console(&["status"]);
    assert!(status.stdout.contains("the ledger was damaged; it is in"), "{status:?}");
    let aside = |name: &str| name.starts_with("audit.db.damaged-");
    let files: Vec<_> = fs::read_dir(&folder).unwrap().flatten().map(|e| e.file_name()).collect();
    assert!(files.iter().any(|name| aside(&name.to_string_lossy())), "{files:?}");

    // Clients that end well, that are killed, that never ask for anything, and strangers.
    let run = world().client(
        "ssh() { command ssh -F $CFG -p 2398 -i $DIR/alice -l alice \"$@\"; }\n\
         for i in 1 2 3 4 5; do ssh $DOOR true & done\n\
         for i in 1 2 3; do ssh $DOOR 'echo here; sleep 1000' >out$i & p=$!\n\
           until grep -q here out$i; do kill -0 $p || exit 9; sleep 0.02; done; kill -KILL $p; done\n\
         ssh -N $DOOR & p=$!; sleep 0.2; kill $p\n\
         command ssh -F $CFG -p 2398 -i $DIR/mallory -l alice $DOOR true\n\
         wait; echo done",
    );
    assert_eq!(run.stdout, "done\n", "{run:?}");
    sentinel.wait("all have ended", || json(&sentinel, &["status"])["connections"] == 0);
    // Queries go after whatever was written before them, and the last end may be on its way.
    let sessions = |kind: &str| -> Vec<i64> {
        let records = json(&sentinel, &["audit", "alice", "--kind", kind]);
        let numbers = records.as_array().unwrap().iter().map(|r| r["session"].as_i64().unwrap());
        numbers.collect()
    };
    sentinel
        .wait("as many ends as logins", || sessions("login").len() == sessions("session").len());
    let (mut logins, mut ends) = (sessions("login"), sessions("session"));
    logins.sort_unstable();
    ends.sort_unstable();
    assert_eq!(logins, ends);
    assert!(logins.len() >= 9 && logins.windows(2).all(|pair| pair[0] < pair[1]), "{logins:?}");

    // What was written is there after a power cut, and the chain goes on.
    sentinel.signal("KILL");
    sentinel.wait_exit();
    drop(sentinel);
    let sentinel = start("ledger-again", 2398, &path, "");
    let after = json(&sentinel, &["audit", "alice", "--kind", "session"]);
    assert_eq!(after.as_array().unwrap().len(), ends.len(), "{after}");
    assert_intact(&sentinel);
    // Somebody with the file at hand changes a line, and takes one away.
    sentinel.signal("TERM");
    sentinel.wait_exit();
    drop(sentinel);
    let tampered = "PRAGMA user_version; UPDATE record SET person = 'bob' WHERE id = 2; \
                    DELETE FROM record WHERE id = 4";
    tamper(&path, tampered);
    let sentinel = start("ledger-tampered", 2398, &path, "");
    let found = sentinel.console(&["audit", "verify"]);
    assert_eq!(found.status, 1, "{found:?}");
    assert!(found.stdout.contains("record 2 was changed"), "{found:?}");
    assert!(found.stdout.contains("record 4 is missing"), "{found:?}");
}

/// As with the program sqlite3.
fn tamper(path: &Path, sql: &str) {
    let script = "import sqlite3, sys\nc = sqlite3.connect(sys.argv[1])\nc.executescript(sys.argv[2])\nc.commit()";
    let run = Command::new("python3").args(["-c", script]).arg(path).arg(sql).output().unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
}
