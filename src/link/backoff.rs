//! How long to wait before the next attempt. Used by `link` and `fleet`; knows no clock.

use std::{
    hash::{BuildHasher, RandomState},
    time::Duration,
};

/// First pause.
const FIRST: Duration = Duration::from_millis(500);
/// Longest pause.
const LONGEST: Duration = Duration::from_secs(15);

/// A number from 0 to 1, to spread pauses by.
#[must_use]
pub fn chance() -> f64 {
    // A hasher's random seed is randomness enough to spread retries.
    let random = RandomState::new().hash_one(0) % 256;
    f64::from(u8::try_from(random).unwrap_or(0)) / 255.0
}

/// Pauses that double from 0.5 s to 15 s, each shortened by up to a quarter at random so that
/// many who lost the same thing do not come back at once.
#[derive(Debug, Clone, Default)]
pub struct Backoff {
    failures: u32,
}

impl Backoff {
    /// The pause after one more failure.
    pub fn next_pause(&mut self) -> Duration {
        let pause = FIRST.saturating_mul(1 << self.failures.min(8)).min(LONGEST);
        self.failures = self.failures.saturating_add(1);
        // A hasher's random seed is randomness enough to spread retries.
        let random = RandomState::new().hash_one(self.failures) % 256;
        pause.saturating_sub(pause / 1024 * u32::try_from(random).unwrap_or(0))
    }

    /// After a success: the next pause is the first again.
    pub fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_limit_and_start_again() {
        let mut backoff = Backoff::default();
        let first = backoff.next_pause();
        assert!(first <= FIRST && first >= FIRST * 3 / 4, "{first:?}");
        for _ in 0..100 {
            assert!(backoff.next_pause() <= LONGEST);
        }
        assert!(backoff.next_pause() >= LONGEST * 3 / 4);
        backoff.reset();
        assert!(backoff.next_pause() <= FIRST);
    }
}
