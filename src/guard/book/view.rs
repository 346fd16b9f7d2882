//! What the book says.

use std::{fmt, time::Duration};

use super::Id;
use crate::model::source::Network;

/// What becomes of a connection before its first byte.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It may log in.
    Welcome(Standing),
    /// It comes from a banned source, and may prove a key that is registered. With what its person is
    /// told, where nobody was told yet.
    Probation(Option<Notice>),
    /// It is dropped.
    Refused(Refusal),
}

/// What is known of a source that is not banned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// The configuration says that it is let in.
    Allowed,
    /// Somebody logged in from there.
    Known,
    /// Nothing, or nothing good.
    Stranger,
}

/// Why a connection is dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// Its source is banned, and has used up what it may try.
    Banned,
    /// The same, again and again, so that the kernel is to drop it.
    Stubborn,
    /// Its source makes too many.
    SourceRate,
}

/// What somebody from a banned source is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// The ban, to quote.
    pub id: Id,
    /// How much longer; `None`: until it is removed.
    pub left: Option<Duration>,
    /// The failures for which; `None`: an administrator did it.
    pub failures: Option<u8>,
}

/// A ban, for those who look at it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Whom it hits.
    pub network: Network,
    /// Its number, to quote.
    pub id: Id,
    /// How long it has held.
    pub age: Duration,
    /// How much longer it holds, 0 where it is over; `None`: until it is removed.
    pub left: Option<Duration>,
    /// How long it has been over; 0 while it holds.
    pub over: Duration,
    /// Why.
    pub cause: Cause,
}

/// Why there is a ban.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cause {
    /// What the source did.
    Failures {
        /// How many there were.
        failures: u8,
        /// The how manieth ban in a row it is, from 1.
        strikes: u8,
        /// Whether somebody was told.
        told: bool,
    },
    /// The word of somebody.
    Administrator(String),
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failures { failures, strikes, .. } => {
                let logins = if *failures == 1 { "login" } else { "logins" };
                write!(f, "{failures} failed {logins}")?;
                if *strikes > 1 { write!(f, ", ban {strikes} in a row") } else { Ok(()) }
            }
            Self::Administrator(by) => write!(f, "by {by}"),
        }
    }
}

/// All that is known of an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// The configuration says that it is let in: nothing else counts.
    pub allowed: bool,
    /// The ban that hits it, or one of a day ago or less that is over.
    pub ban: Option<Entry>,
    /// Failures that count at present.
    pub failures: usize,
    /// Connections of late that asked for nothing.
    pub bare: u32,
    /// How long ago somebody logged in.
    pub success: Option<Duration>,
}

/// There is no room for another ban.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no room for another ban")]
pub struct Full;
