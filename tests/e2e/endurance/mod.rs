//! Much, long and stalled. `make prove` runs these tests with the full figures and an optimised
//! sentinel; otherwise they take a part of it, with as many key exchanges.

mod rekey;
mod silence;
mod stall;

use std::time::Duration;

use crate::harness::{Run, world};

/// Longest that a script may take: with the full figures they take minutes.
const LIMIT: Duration = Duration::from_secs(1500);

/// Whether the full figures are asked for.
fn is_full() -> bool {
    std::env::var_os("PROVE").is_some_and(|v| !v.is_empty() && v != "0")
}

/// The first outside of `make prove`, the second in it.
pub fn figure<T>(part: T, full: T) -> T {
    if is_full() { full } else { part }
}

fn client(script: &str) -> Run {
    world().client_within(LIMIT, script)
}

/// Functions for scripts. `stream BYTES`: text that repeats itself at no power of two, so that a
/// packet that is lost, doubled or in the wrong place shows. `exchanges`: how often the client of
/// `$TMP/log` changed keys.
const TOOLS: &str = r#"
    stream() { yes "$(seq -s' ' 1000)" | head -c $1; }
    exchanges() { grep -c 'SSH2_MSG_NEWKEYS received' $TMP/log; }
"#;
