//! What is configured about strangers who try to log in.

use std::time::Duration;

use crate::model::source::Network;

/// Who is kept out, and how much anybody may try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Guard {
    /// Connections that may end without a login within [`Self::window`]: this one bans.
    pub max_failures: usize,
    /// How long a failure counts.
    pub window: Duration,
    /// How long the first ban holds; each one in a row twice as long as the one before, up to a day.
    pub ban: Duration,
    /// Networks that are never counted nor refused.
    pub allow: Vec<Network>,
    /// New connections of one source, a second.
    pub rate_per_source: u32,
    /// Connections of all sources from which nobody has logged in that say their first word, a second.
    pub rate: u32,
    /// Banned sources that go on and on are dropped by the kernel.
    pub kernel: bool,
}
