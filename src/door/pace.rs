//! How long a refusal lasts, so that its time does not tell whether a container was asked for the
//! keys in its owner's home: as long as asking one has taken of late. Pure: time is an argument.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// The least: asking a container beside the sentinel takes a few milliseconds.
const LEAST: Duration = Duration::from_millis(100);

/// The most: whoever makes her own container answer slowly must not slow everybody's logins. Slower
/// answers are not hidden.
const MOST: Duration = Duration::from_millis(400);

/// How long the slowest answer is remembered, at least; twice as long at most.
const MEMORY: Duration = Duration::from_secs(60);

/// The time that asking containers has taken of late.
#[derive(Debug, Default)]
pub struct Pace(Mutex<Slowest>);

#[derive(Debug, Default)]
struct Slowest {
    /// When the present span began; the slowest in it, and in the one before.
    since: Option<Instant>,
    present: Duration,
    earlier: Duration,
}

impl Slowest {
    fn advance(&mut self, now: Instant) {
        let age = self.since.map(|since| now.saturating_duration_since(since));
        if age.is_none_or(|age| age >= MEMORY) {
            // After two spans nothing of before is of late.
            let recent = age.is_some_and(|age| age < 2 * MEMORY);
            self.earlier = if recent { self.present } else { Duration::ZERO };
            self.present = Duration::ZERO;
            self.since = Some(now);
        }
    }
}

impl Pace {
    /// A container was asked, and that took so long.
    pub fn note(&self, took: Duration, now: Instant) {
        let mut slowest = self.lock();
        slowest.advance(now);
        slowest.present = slowest.present.max(took);
    }

    /// How long a refusal is to last, from the request to the answer: a quarter more than the slowest
    /// answer of late.
    #[must_use]
    pub fn refusal(&self, now: Instant) -> Duration {
        let mut slowest = self.lock();
        slowest.advance(now);
        (slowest.present.max(slowest.earlier) * 5 / 4).clamp(LEAST, MOST)
    }

    fn lock(&self) -> MutexGuard<'_, Slowest> {
        // A panic between two statements here leaves durations that are still true.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "an origin for virtual time")]
    fn a_refusal_takes_as_long_as_the_slowest_answer_of_late() {
        let (pace, start) = (Pace::default(), Instant::now());
        let millis = Duration::from_millis;
        assert_eq!(pace.refusal(start), LEAST);
        pace.note(millis(3), start);
        assert_eq!(pace.refusal(start), LEAST);
        pace.note(millis(200), start);
        pace.note(millis(4), start);
        for seconds in [0, 59, 60, 119] {
            assert_eq!(pace.refusal(start + Duration::from_secs(seconds)), millis(250));
        }
        // What is long ago does not count, whether or not anybody asked in between.
        assert_eq!(pace.refusal(start + 2 * MEMORY), LEAST);
        pace.note(millis(200), start + 3 * MEMORY);
        assert_eq!(pace.refusal(start + 6 * MEMORY), LEAST);
        pace.note(Duration::from_secs(2), start + 7 * MEMORY);
        assert_eq!(pace.refusal(start + 7 * MEMORY), MOST);
    }
}
