//! What an instance uses, out of what Incus says of it. Pure.

use std::time::Duration;

use super::api::{CpuState, DiskState, Instance, InstanceState, MemoryState};

impl Instance {
    /// Its root disk by what `state` tells, which may be of another moment; `None` where the pool
    /// keeps no account.
    #[must_use]
    pub fn root(&self, state: &InstanceState) -> Option<DiskState> {
        let roots = self.expanded_devices.iter();
        let mut roots = roots.filter(|(_, d)| d.get("path").is_some_and(|path| path == "/"));
        roots.find_map(|(name, _)| state.disk.get(name)).copied()
    }
}

impl CpuState {
    /// What was used since `before`, `elapsed` ago, of what could have been, from 0 to 1. `None`: it
    /// started anew meanwhile, or Incus cannot tell.
    #[must_use]
    pub fn share_since(&self, before: &Self, elapsed: Duration) -> Option<f64> {
        let used = self.usage.checked_sub(before.usage).and_then(|n| u64::try_from(n).ok())?;
        let each_second = Duration::from_nanos(u64::try_from(self.allocated_time).ok()?);
        let could = elapsed.as_secs_f64() * each_second.as_secs_f64();
        let share = Duration::from_nanos(used).as_secs_f64() / could;
        // Two looks may be a little off.
        share.is_finite().then(|| share.clamp(0.0, 1.0))
    }
}

impl MemoryState {
    /// In use and in all, in bytes.
    #[must_use]
    pub fn bytes(&self) -> (u64, u64) {
        (size(self.usage), size(self.total))
    }
}

impl DiskState {
    /// In use and in all, in bytes; there may be no limit.
    #[must_use]
    pub fn bytes(&self) -> (u64, Option<u64>) {
        (size(self.usage), Some(size(self.total)).filter(|total| *total > 0))
    }
}

/// Incus counts some things below zero when it does not know them.
fn size(n: i64) -> u64 {
    u64::try_from(n).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000_000;
    const FIFTH: Duration = Duration::from_millis(200);

    fn cpu(usage: i64, allocated_time: i64) -> CpuState {
        CpuState { usage, allocated_time }
    }

    #[test]
    fn what_was_used_is_a_part_of_what_could_have_been() {
        for (before, after, elapsed, share) in [
            (cpu(0, 2 * SECOND), cpu(SECOND / 10, 2 * SECOND), FIFTH, Some(0.25)),
            (cpu(5, SECOND), cpu(5, SECOND), FIFTH, Some(0.0)),
            (cpu(1, 2 * SECOND), cpu(1 << 40, 2 * SECOND), FIFTH, Some(1.0)),
            // It started anew, both looks were at once, nothing is allocated, nonsense.
            (cpu(1 << 40, SECOND), cpu(1, SECOND), FIFTH, None),
            (cpu(1, SECOND), cpu(1, SECOND), Duration::ZERO, None),
            (cpu(0, 0), cpu(0, 0), FIFTH, None),
            (cpu(i64::MIN, SECOND), cpu(i64::MAX, -1), FIFTH, None),
        ] {
            assert_eq!(after.share_since(&before, elapsed), share, "{before:?} {after:?}");
        }
    }

    #[test]
    fn what_is_not_known_is_nothing() {
        assert_eq!(MemoryState { usage: -1, total: 7 }.bytes(), (0, 7));
        assert_eq!(DiskState { usage: 3, total: 0 }.bytes(), (3, None));
        assert_eq!(DiskState { usage: 3, total: 7 }.bytes(), (3, Some(7)));
    }
}
