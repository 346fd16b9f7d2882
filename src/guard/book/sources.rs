//! What is remembered of sources that are not banned: a table of fixed size for each family.

use std::collections::HashMap;

use super::{Millis, Random, Source, Tick};

/// Most failures of one source that are remembered: the next one bans, so `guard.max_failures` is at
/// most one more.
pub(super) const KEPT: usize = 9;

/// Sources of each family that are remembered: half of 65,536, so that neither IPv6, of which an
/// attacker may have any number, nor IPv4 takes the room of the other.
pub(super) const ROOM: usize = 32_768;

/// Among so many, taken at random, the one worth least makes room: nobody can tell whom a flood
/// will hit, and finding it costs the same however full the table is.
const CANDIDATES: usize = 8;

/// What is remembered of one source.
#[derive(Debug, Clone)]
pub(super) struct Record {
    source: Source,
    /// When its next connection is due, in microseconds.
    pub(super) next: Millis,
    /// When its last failures were, the newest last.
    failures: [Tick; KEPT],
    failed: u8,
    /// When it was heard of last.
    pub(super) heard: Tick,
    /// When somebody last logged in from it; 0 never.
    pub(super) success: Tick,
    /// Connections that asked for nothing, and since when they are counted.
    bare: u32,
    bare_since: Tick,
}

impl Record {
    fn new(source: Source, now: Tick) -> Self {
        Self {
            source,
            next: 0,
            failures: [0; KEPT],
            failed: 0,
            heard: now,
            success: 0,
            bare: 0,
            bare_since: now,
        }
    }

    /// Failures within `window`.
    pub(super) fn failures(&self, window: Tick, now: Tick) -> usize {
        let known = &self.failures[..usize::from(self.failed)];
        known.iter().filter(|at| now.saturating_sub(**at) < window).count()
    }

    /// Notes a failure: how many there are within `window`, this one included.
    pub(super) fn fail(&mut self, window: Tick, now: Tick) -> usize {
        self.forget(window, now);
        let failed = usize::from(self.failed);
        if failed == KEPT {
            self.failures.rotate_left(1);
        } else {
            self.failed += 1;
        }
        self.failures[failed.min(KEPT - 1)] = now;
        failed + 1
    }

    /// Forgets what is longer ago than `window`.
    fn forget(&mut self, window: Tick, now: Tick) {
        let known = usize::from(self.failed);
        let old = self.failures[..known].iter().filter(|at| now.saturating_sub(**at) >= window);
        self.forgive(old.count());
    }

    /// Forgets the oldest failures.
    fn forgive(&mut self, count: usize) {
        let count = count.min(usize::from(self.failed));
        self.failures.rotate_left(count);
        self.failed -= u8::try_from(count).unwrap_or(self.failed);
    }

    /// Somebody logged in: the older half of the failures is forgiven, a single one, too.
    pub(super) fn succeed(&mut self, window: Tick, now: Tick) {
        self.forget(window, now);
        self.forgive(usize::from(self.failed).div_ceil(2));
        self.success = now.max(1);
    }

    /// It was banned: what it did is paid for.
    pub(super) fn clear(&mut self) {
        self.failed = 0;
    }

    /// Notes a connection that asked for nothing: how many there are within about a `window`.
    pub(super) fn on_bare(&mut self, window: Tick, now: Tick) -> u32 {
        if now.saturating_sub(self.bare_since) >= window {
            // Half of what was is kept, so that nobody is new at each window's beginning.
            let recent = now.saturating_sub(self.bare_since) < 2 * window;
            self.bare = if recent { self.bare / 2 } else { 0 };
            self.bare_since = now;
        }
        self.bare = self.bare.saturating_add(1);
        self.bare
    }

    /// Connections that asked for nothing, of late.
    pub(super) fn bare(&self, window: Tick, now: Tick) -> u32 {
        if now.saturating_sub(self.bare_since) < 2 * window { self.bare } else { 0 }
    }

    /// What would be lost with it: failures count more than successes, these more than neither.
    fn worth(&self) -> (bool, bool, Tick) {
        (self.failed > 0, self.success > 0, self.heard)
    }
}

/// The sources of one family.
#[derive(Debug)]
pub(super) struct Sources {
    records: Vec<Record>,
    index: HashMap<Source, u32>,
}

impl Sources {
    pub(super) fn new() -> Self {
        // At once, as both would need half as much again while they grew. Memory that is not written
        // to costs nothing.
        Self { records: Vec::with_capacity(ROOM), index: HashMap::with_capacity(ROOM) }
    }

    pub(super) fn get(&self, source: Source) -> Option<&Record> {
        self.records.get(*self.index.get(&source)? as usize)
    }

    pub(super) fn get_mut(&mut self, source: Source) -> Option<&mut Record> {
        self.records.get_mut(*self.index.get(&source)? as usize)
    }

    /// The record of a source, which is made if there is none.
    pub(super) fn entry(&mut self, source: Source, now: Tick, random: &mut Random) -> &mut Record {
        let at = match self.index.get(&source) {
            Some(at) => *at as usize,
            None => self.insert(source, now, random),
        };
        let record = &mut self.records[at];
        record.heard = now;
        record
    }

    fn insert(&mut self, source: Source, now: Tick, random: &mut Random) -> usize {
        let record = Record::new(source, now);
        let at = if self.records.len() < ROOM {
            self.records.push(record);
            self.records.len() - 1
        } else {
            let at = self.least_of_some(random);
            let gone = std::mem::replace(&mut self.records[at], record);
            self.index.remove(&gone.source);
            at
        };
        self.index.insert(source, u32::try_from(at).unwrap_or_default());
        at
    }

    fn least_of_some(&self, random: &mut Random) -> usize {
        let candidates = (0..CANDIDATES).map(|_| random.below(self.records.len()));
        candidates.min_by_key(|at| self.records[*at].worth()).unwrap_or_default()
    }

    pub(super) fn len(&self) -> usize {
        self.records.len()
    }

    /// Bytes that the table has taken.
    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        // A bucket has one byte beside it, and a seventh of them stays empty.
        let buckets = (self.index.capacity() * 8 / 7).next_power_of_two();
        self.records.capacity() * size_of::<Record>() + buckets * (size_of::<(Source, u32)>() + 1)
    }
}
