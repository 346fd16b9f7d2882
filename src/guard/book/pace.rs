//! How often something may happen: the generic cell rate algorithm, in one number.
//!
//! A number for each source, kept where its failures are, so that whoever comes from very many
//! addresses fills no table of its own.

use super::Millis;

/// So many a second on average, and so many at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pace {
    /// Microseconds from one to the next.
    interval: Millis,
    /// How far ahead of that somebody may be, in microseconds.
    ahead: Millis,
}

impl Pace {
    /// `per_second` (at least 1) on average, `burst` at once.
    pub(super) const fn new(per_second: u32, burst: u32) -> Self {
        let per_second = if per_second == 0 { 1 } else { per_second };
        // Wider before the division: at more than 1,000 a second it would be 0.
        let micros = 1_000_000 / per_second as Millis;
        Self { interval: micros, ahead: micros * burst as Millis }
    }

    /// Whether one more may come at `now`; `next` is when the one after all those before is due, in
    /// microseconds.
    pub(super) fn take(self, next: &mut Millis, now: Millis) -> bool {
        let now = now * 1000;
        let due = (*next).max(now) + self.interval;
        if due - now > self.ahead {
            return false;
        }
        *next = due;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_at_once_and_then_the_rate_holds() {
        let (pace, mut next) = (Pace::new(10, 50), 0);
        let passed = |next: &mut Millis, now| (0..1000).filter(|_| pace.take(next, now)).count();
        assert_eq!(passed(&mut next, 5000), 50);
        assert_eq!(passed(&mut next, 5099), 0);
        assert_eq!(passed(&mut next, 5100), 1);
        assert_eq!(passed(&mut next, 6100), 10);
        assert_eq!(passed(&mut next, 60_000), 50, "no more than a burst is saved up");
        let mut fast = 0;
        assert_eq!((0..9000).filter(|_| Pace::new(5000, 100).take(&mut fast, 0)).count(), 100);
        assert_eq!((0..9000).filter(|_| Pace::new(5000, 100).take(&mut fast, 1)).count(), 5);
    }
}
