//! What a host said of its containers, time after time, as numbers that stand still where nothing
//! happens. Pure.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use tokio::time::Instant;

use crate::incus::api::{CpuState, Instance};

/// Points of history that are kept: three minutes.
pub const POINTS: usize = 60;

/// Status of an instance that runs.
const RUNNING: u16 = 103;

/// Less than half a percent of the processors is what every container uses now and then.
const IDLE: f64 = 0.5;
/// Percent of the processors that a number has to be off by before it is told anew.
const CPU_STEP: f64 = 1.5;
/// The same of memory and disk: this part of what is used, and at most this part of what there is.
const PART_OF_USED: u64 = 16;
const PART_OF_ALL: u64 = 50;

/// What a container uses.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Use {
    /// Percent of the processors that it may use; `None`: it does not run, or nobody knows yet.
    pub cpu: Option<u8>,
    /// Memory in use, and its limit or what the host has, in bytes; `None`: it does not run.
    pub memory: Option<(u64, u64)>,
    /// Of its root disk in use, and its limit, in bytes; `None` where the pool keeps no account.
    pub disk: Option<(u64, Option<u64>)>,
    /// What it was, the newest last; at most [`POINTS`].
    pub history: VecDeque<Point>,
}

/// What was used at one time, in percent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Point {
    /// Of the processors; `None`: not known.
    pub cpu: Option<u8>,
    /// Of the memory.
    pub memory: u8,
}

/// What one host said.
#[derive(Default)]
pub(super) struct Book {
    seen: BTreeMap<String, Seen>,
}

struct Seen {
    /// When, and how much of the processors it had used by then since it started.
    cpu: Option<(Instant, CpuState)>,
    used: Arc<Use>,
}

impl Book {
    /// Notes all that a host said at this time.
    pub(super) fn note(&mut self, instances: &[Instance], at: Instant) {
        let mut before = std::mem::take(&mut self.seen);
        for instance in instances {
            let seen = Seen::next(before.remove(&instance.name), instance, at);
            self.seen.insert(instance.name.clone(), seen);
        }
    }

    /// What each container uses, by its name in Incus.
    pub(super) fn containers(&self) -> BTreeMap<String, Arc<Use>> {
        self.seen.iter().map(|(name, seen)| (name.clone(), Arc::clone(&seen.used))).collect()
    }

    /// Whether nothing was noted yet, or of nobody.
    pub(super) fn is_empty(&self) -> bool {
        self.seen.is_empty()
    }
}

impl Seen {
    fn next(before: Option<Self>, instance: &Instance, at: Instant) -> Self {
        let state = instance.state.as_ref();
        let (last, mut used) = before
            .map_or_else(Default::default, |seen| (seen.cpu, Arc::unwrap_or_clone(seen.used)));
        let disk = state.and_then(|state| instance.root(state)).map(|disk| disk.bytes());
        used.disk = disk.map(|(now, all)| {
            (settled(used.disk.map(|(shown, _)| shown), now, all.unwrap_or(u64::MAX)), all)
        });
        let Some(state) = state.filter(|_| instance.status_code == RUNNING) else {
            let used = Use { disk: used.disk, ..Use::default() };
            return Self { cpu: None, used: Arc::new(used) };
        };
        let share = last.and_then(|(then, cpu)| {
            state.cpu.share_since(&cpu, at.saturating_duration_since(then))
        });
        used.cpu = share.map(|share| settled_percent(used.cpu, share * 100.0));
        let (memory, all) = state.memory.bytes();
        let memory = settled(used.memory.map(|(shown, _)| shown), memory, all);
        used.memory = Some((memory, all));
        used.history.push_back(Point { cpu: used.cpu, memory: percent(memory, all) });
        while used.history.len() > POINTS {
            used.history.pop_front();
        }
        Self { cpu: Some((at, state.cpu)), used: Arc::new(used) }
    }
}

/// What is shown of a number of bytes: what was, while it is nearly that.
fn settled(shown: Option<u64>, now: u64, all: u64) -> u64 {
    let step = (now / PART_OF_USED).min(all / PART_OF_ALL);
    shown.filter(|shown| shown.abs_diff(now) <= step).unwrap_or(now)
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 0 to 100")]
fn settled_percent(shown: Option<u8>, now: f64) -> u8 {
    let near = |shown: &u8| (f64::from(*shown) - now).abs() < CPU_STEP;
    match shown.filter(near) {
        _ if now < IDLE => 0,
        Some(shown) => shown,
        None => now.round().clamp(0.0, 100.0) as u8,
    }
}

fn percent(part: u64, all: u64) -> u8 {
    // In 128 bits, as bytes near the limit of 64 would overflow.
    let percent = u128::from(part) * 100 / u128::from(all.max(1));
    u8::try_from(percent.min(100)).unwrap_or(100)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{super::super::tests::at, *};

    const SECOND: i64 = 1_000_000_000;
    const MIB: u64 = 1 << 20;

    /// One that runs, has used so many milliseconds of its two processors, and so many MiB.
    fn running(name: &str, millis: i64, memory: u64) -> Instance {
        serde_json::from_value(json!({
            "name": name, "type": "container", "status_code": 103,
            "expanded_devices": {"root": {"path": "/", "type": "disk"}},
            "state": {
                "cpu": {"usage": millis * 1_000_000, "allocated_time": 2 * SECOND},
                "memory": {"usage": memory * MIB, "total": 2048 * MIB},
                "disk": {"root": {"usage": 100 * MIB, "total": 1000 * MIB}},
            },
        }))
        .unwrap()
    }

    fn stopped(name: &str) -> Instance {
        Instance { status_code: 102, ..running(name, 0, 0) }
    }

    fn of<'a>(book: &'a Book, name: &str) -> &'a Use {
        &book.seen[name].used
    }

    #[test]
    fn processors_are_known_from_the_second_look_on() {
        let mut book = Book::default();
        assert!(book.is_empty());
        book.note(&[running("a", 0, 512), stopped("b")], at(0));
        let first = of(&book, "a").clone();
        assert_eq!((first.cpu, first.memory), (None, Some((512 * MIB, 2048 * MIB))));
        assert_eq!(first.disk, Some((100 * MIB, Some(1000 * MIB))));
        assert_eq!(of(&book, "b").disk, first.disk, "its disk is there all the same");
        assert_eq!((of(&book, "b").memory, of(&book, "b").history.len()), (None, 0));
        // One of its two processors for a second.
        book.note(&[running("a", 1000, 512)], at(1000));
        assert_eq!(of(&book, "a").cpu, Some(50));
        let history = [Point { cpu: None, memory: 25 }, Point { cpu: Some(50), memory: 25 }];
        assert_eq!(of(&book, "a").history, history);
        assert_eq!(book.containers().len(), 1, "what is gone is forgotten");
    }

    #[test]
    fn what_starts_anew_is_no_burst() {
        let mut book = Book::default();
        book.note(&[running("a", 90_000, 512)], at(0));
        book.note(&[running("a", 10, 100)], at(3000));
        assert_eq!(
            (of(&book, "a").cpu, of(&book, "a").memory),
            (None, Some((100 * MIB, 2048 * MIB)))
        );
        book.note(&[stopped("a")], at(6000));
        assert_eq!(of(&book, "a").memory, None);
        book.note(&[running("a", 500, 100)], at(9000));
        assert_eq!((of(&book, "a").cpu, of(&book, "a").history.len()), (None, 1));
    }

    #[test]
    fn an_idle_container_stands_still() {
        let mut book = Book::default();
        let (mut millis, mut seen) = (0, Vec::new());
        for i in 0..100_u64 {
            // A little now and then, as systemd does; in all under 1.5 % of two processors.
            millis += if i % 3 == 0 { 80 } else { 10 };
            book.note(&[running("a", millis, 60 + i % 3)], at(3000 * (i + 1)));
            seen.push((of(&book, "a").cpu, of(&book, "a").memory));
        }
        let (first, rest) = (seen[1], &seen[1..]);
        assert!(rest.iter().all(|other| *other == first), "{seen:?}");
        assert_eq!(first.0, Some(0));
        assert_eq!(of(&book, "a").history.len(), POINTS);
    }

    #[test]
    fn what_changes_is_told() {
        for (shown, now, told) in
            [(None, 37.6, 38), (Some(38), 39.0, 38), (Some(38), 39.6, 40), (Some(1), 0.4, 0)]
        {
            assert_eq!(settled_percent(shown, now), told, "{shown:?} {now}");
        }
        assert_eq!((settled_percent(Some(0), 1.4), settled_percent(Some(0), 100.4)), (0, 100));
        let all = 1000 * MIB;
        for (shown, now, told) in [(100, 106, 100), (100, 107, 107), (900, 921, 921), (0, 0, 0)] {
            assert_eq!(settled(Some(shown * MIB), now * MIB, all), told * MIB, "{shown} {now}");
        }
        assert_eq!((percent(1, 0), percent(u64::MAX, u64::MAX)), (100, 100));
    }
}
