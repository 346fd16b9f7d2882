//! What is configured about recordings of terminals.

use std::{path::PathBuf, time::Duration};

use crate::model::size::Size;

/// Whose terminals are recorded, and for how long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Which sessions.
    pub sessions: Recorded,
    /// The folder.
    pub path: PathBuf,
    /// What is typed is recorded, too: passwords as well.
    pub input: bool,
    /// People are told on their terminal that somebody watches it.
    pub tell_watched: bool,
    /// The longest recording.
    pub max_size: Size,
    /// All of them together: beyond it the oldest go.
    pub max_total: Size,
    /// How long a recording is kept.
    pub retention: Duration,
}

/// Which sessions are recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recorded {
    /// None.
    Off,
    /// Those on containers whose label says so.
    Labelled,
    /// Those, and everybody's who is not the owner of the container.
    Collaborators,
}
