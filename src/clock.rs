//! The clocks. Drivers read them here; everything else takes time as an argument.

#![expect(clippy::disallowed_methods, reason = "this is where drivers read the clocks")]

use std::time::Instant;

use jiff::Timestamp;
use tokio::time;

/// The present moment for durations and deadlines: steps of the wall clock do not move it. The
/// timers' own clock, so that both stand still together where a test pauses it.
#[must_use]
pub fn now() -> Instant {
    time::Instant::now().into_std()
}

/// The wall clock, for people and certificates.
#[must_use]
pub fn timestamp() -> Timestamp {
    Timestamp::now()
}

/// The wall clock in whole seconds since 1970.
#[must_use]
pub fn unix_seconds() -> u64 {
    u64::try_from(timestamp().as_second()).unwrap_or(0)
}
