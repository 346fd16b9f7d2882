//! What a sentinel uses, and that it is the same again once its clients are gone.

use std::{
    fs, thread,
    time::{Duration, Instant},
};

use serde_json::Value;

use super::Sentinel;

/// How long after its last client a sentinel may take to let go of everything.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long a sentinel may take to find its backends.
const SETTLING: Duration = Duration::from_secs(5);

/// What may stay resident above the baseline, in bytes for each thread of the door: it keeps up to
/// 16 blocks of 256 KiB (`wire::buffer`), and the allocator about as much again.
const MEMORY: u64 = 8 << 20;

/// What may stay resident beside that, in bytes: the ledger's page cache of 2 MB fills with the first
/// 2000 logins, and the threads that read it have one each, which the allocator keeps.
const LEDGER: u64 = 16 << 20;

/// What a sentinel without clients may use of a processor, in seconds for each: it asks how its hosts
/// are, and is a debug build.
const REST: f64 = 0.1;

/// What `status` tells of a sentinel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Usage {
    /// Connections at the door.
    pub connections: u64,
    /// Live tasks.
    pub tasks: u64,
    /// Open descriptors.
    pub descriptors: u64,
    /// Resident memory in bytes.
    pub resident: u64,
    /// Panics since start.
    pub panics: u64,
    /// Each backend and whether it is up: a link is a descriptor and a few tasks.
    pub backends: Vec<(String, String)>,
}

impl Usage {
    /// What is more than at `baseline`, in words; `None`: nothing.
    pub fn excess(&self, baseline: &Self) -> Option<String> {
        let mut found = Vec::new();
        if self.connections > 0 {
            found.push(format!("{} connections", self.connections));
        }
        let threads = thread::available_parallelism().map_or(1, usize::from) as u64;
        let pairs = [
            ("tasks", self.tasks, baseline.tasks),
            ("descriptors", self.descriptors, baseline.descriptors),
            ("bytes resident", self.resident, baseline.resident + threads * MEMORY + LEDGER),
        ];
        for (what, now, then) in pairs {
            // A backend that went or came took or brought its own.
            if now > then && self.backends == baseline.backends {
                found.push(format!("{now} {what} instead of {then}"));
            }
        }
        (!found.is_empty()).then(|| found.join(", "))
    }
}

impl Sentinel {
    /// What it uses now. Panics if it does not answer.
    pub fn usage(&self) -> Usage {
        let run = self.console(&["status", "--json"]);
        let json: Value = serde_json::from_str(&run.stdout).unwrap_or_else(|e| {
            panic!("status: {e}: {run:?}; log:\n{}", self.log_text());
        });
        let number = |value: &Value| value.as_u64().expect("a number");
        let text = |value: &Value| value.as_str().expect("a text").to_owned();
        let process = &json["process"];
        let backends = json["backends"].as_array().expect("a list").iter();
        Usage {
            connections: number(&json["connections"]),
            tasks: number(&process["tasks"]),
            descriptors: number(&process["descriptors"]),
            resident: number(&process["resident_bytes"]),
            panics: number(&process["panics"]),
            backends: backends.map(|b| (text(&b["name"]), text(&b["presence"]))).collect(),
        }
    }

    /// What it uses before anybody comes: once every backend has answered or not, and two looks
    /// find the same.
    pub fn settled(&self) -> Usage {
        let start = Instant::now();
        let mut last = self.usage();
        while start.elapsed() < SETTLING {
            thread::sleep(Duration::from_millis(50));
            let next = self.usage();
            let known = next.backends.iter().all(|(_, presence)| presence != "unknown");
            if known && (next.tasks, next.descriptors) == (last.tasks, last.descriptors) {
                return next;
            }
            last = next;
        }
        last
    }

    /// Asserts that it leaves the processor alone without clients. Gives up when it is `busy` again.
    pub fn assert_at_rest(&self, busy: &dyn Fn() -> bool) {
        let start = Instant::now();
        loop {
            let (before, second) = (process_seconds(self.pid()), Instant::now());
            thread::sleep(Duration::from_secs(1));
            let used = (process_seconds(self.pid()) - before) / second.elapsed().as_secs_f64();
            if used < REST || busy() {
                return;
            }
            let log = self.log.display();
            assert!(start.elapsed() < PATIENCE, "at rest it uses {used} of a processor; log {log}");
        }
    }

    /// Asserts that nothing of its clients is left, 10 s after the last of them at the latest,
    /// and that nothing in it has panicked. Gives up when it is `busy` again.
    pub fn assert_no_excess(&self, baseline: &Usage, busy: &dyn Fn() -> bool) {
        let start = Instant::now();
        loop {
            let usage = self.usage();
            assert_eq!(usage.panics, 0, "the sentinel panicked; log:\n{}", self.log_text());
            let Some(excess) = usage.excess(baseline).filter(|_| !busy()) else { return };
            assert!(
                start.elapsed() < PATIENCE,
                "{PATIENCE:?} after its last client the sentinel still has {excess}; log {}",
                self.log.display()
            );
            thread::sleep(Duration::from_millis(100));
        }
    }
}

/// CPU seconds of a process, all threads.
pub fn process_seconds(pid: u32) -> f64 {
    /// `USER_HZ`, in which Linux counts for programs whatever it counts in itself.
    const TICKS: f64 = 100.0;
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    // proc(5): the name may hold blanks and parentheses; utime and stime are fields 14 and 15.
    let fields = stat.rsplit_once(") ").unwrap().1.split(' ').skip(11).take(2);
    fields.map(|field| field.parse::<f64>().unwrap() / TICKS).sum()
}
