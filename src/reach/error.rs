//! Why a container cannot be reached, as a sentence for the person who waits.

use jiff::Timestamp;

use crate::model::{
    container::Status,
    name::{BackendName, ContainerName},
};

/// Why a container cannot be reached now.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReachError {
    /// Its backend is no longer configured.
    #[error("backend {0} is not in the configuration")]
    NoBackend(BackendName),
    /// Nothing is known to recognise it by.
    #[error(
        "container {0} has no pinned host key: an administrator prepares it with contrib/adopt"
    )]
    NoHostKey(ContainerName),
    /// It is stopped or frozen.
    #[error("container {0} is {state}", state = state(*.1))]
    NotRunning(ContainerName, Status),
    /// It was stopped, and is to stay so.
    #[error("container {0} is stopped, and stays so until an administrator starts it")]
    Held(ContainerName),
    /// It was stopped and could not be started.
    #[error("container {name} is stopped and cannot be started: {reason}")]
    NotStarted {
        /// The container.
        name: ContainerName,
        /// Why, printable.
        reason: String,
        /// Whether it may work later.
        later: bool,
    },
    /// It is being started, and that took longer than anybody waits.
    #[error("container {0} is being started, which takes long; try again in a moment")]
    Starting(ContainerName),
    /// Its host is away and stays so.
    #[error(
        "container {name} is on backend {backend}, which is away since {since:.0} and drained: it is \
         not expected back soon"
    )]
    NotExpected {
        /// The container.
        name: ContainerName,
        /// Its backend.
        backend: BackendName,
        /// Since when.
        since: Timestamp,
    },
    /// It shows another host key.
    #[error(
        "container {name} shows another host key ({shown}) than the pinned one: \
         somebody may be in between; an administrator checks it and runs contrib/adopt again"
    )]
    HostKey {
        /// The container.
        name: ContainerName,
        /// Fingerprint of the key that was shown.
        shown: String,
    },
    /// Its sshd does not trust the sentinel's CA, or has no such account.
    #[error(
        "container {0} does not accept the sentinel's certificate, or the account is locked in it: \
         an administrator prepares it with contrib/adopt"
    )]
    Refused(ContainerName),
    /// Its host is away.
    #[error("container {name} is on backend {backend}, which is away since {since:.0}: {reason}")]
    Away {
        /// The container.
        name: ContainerName,
        /// Its backend.
        backend: BackendName,
        /// Since when.
        since: Timestamp,
        /// Why, printable.
        reason: String,
    },
    /// No way led there.
    #[error("container {name} on backend {backend} does not answer ({details})")]
    Unreachable {
        /// The container.
        name: ContainerName,
        /// Its backend, which is what failed if it was lost a moment ago.
        backend: BackendName,
        /// Each way and why it failed, printable.
        details: String,
    },
    /// A route's far side shows another host key.
    #[error("{name} shows another host key ({shown}) than the configured one")]
    RouteHostKey {
        /// The route.
        name: String,
        /// Fingerprint of the key that was shown.
        shown: String,
    },
    /// A route's far side does not let us in.
    #[error("{0} does not accept the sentinel's key")]
    RouteRefused(String),
    /// A route's far side does not answer.
    #[error("{name} does not answer ({detail})")]
    RouteUnreachable {
        /// The route.
        name: String,
        /// Why, printable.
        detail: String,
    },
}

impl ReachError {
    /// The exit status of sessions that end with this (sysexits: 75 try later, 69 unavailable).
    #[must_use]
    pub fn status(&self) -> u32 {
        match self {
            Self::Away { .. }
            | Self::Unreachable { .. }
            | Self::RouteUnreachable { .. }
            | Self::Starting(_)
            | Self::NotStarted { later: true, .. } => 75,
            Self::NoBackend(_)
            | Self::NoHostKey(_)
            | Self::NotRunning(..)
            | Self::Held(_)
            | Self::NotStarted { later: false, .. }
            | Self::NotExpected { .. }
            | Self::HostKey { .. }
            | Self::Refused(_)
            | Self::RouteHostKey { .. }
            | Self::RouteRefused(_) => 69,
        }
    }
}

fn state(status: Status) -> &'static str {
    match status {
        Status::Running => "running",
        Status::Stopped => "stopped",
        Status::Frozen => "frozen",
        Status::Error => "in an error state",
        Status::Changing => "changing its state",
    }
}
