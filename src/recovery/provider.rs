//! Who starts a host: one of the kinds, as the configuration says.

use std::time::Duration;

use super::{
    command::Command,
    gce::Gce,
    plan::{Instance, Outcome, Step},
};
use crate::{
    config::{self, RecoveryKind},
    model::{name::BackendName, text::printable},
    web::Web,
};

/// Longest reason of a fault, in characters.
const MAX_REASON: usize = 300;

/// Why a request failed. Fit for people, and without secrets.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub(super) struct Fault {
    reason: String,
    /// What it means for the plan.
    pub(super) outcome: Outcome,
}

impl Fault {
    /// It may succeed later.
    pub(super) fn passing(reason: &str) -> Self {
        Self::after(reason, Duration::ZERO)
    }

    /// It may succeed after `pause`.
    pub(super) fn after(reason: &str, pause: Duration) -> Self {
        Self { reason: printable(reason, MAX_REASON), outcome: Outcome::Failed(pause) }
    }

    /// People have to change something.
    pub(super) fn refused(reason: &str) -> Self {
        Self { reason: printable(reason, MAX_REASON), outcome: Outcome::Refused }
    }
}

/// Who starts one host.
pub(super) enum Provider {
    Gce(Box<Gce>),
    Command(Command),
}

impl Provider {
    pub(super) fn new(backend: &BackendName, config: &config::Recovery, web: &Web) -> Self {
        match &config.kind {
            RecoveryKind::Gce(gce) => Self::Gce(Box::new(Gce::new(gce.clone(), web.clone()))),
            RecoveryKind::Command(command) => {
                Self::Command(Command::new(backend.clone(), command.clone()))
            }
        }
    }

    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Gce(_) => "gce",
            Self::Command(_) => "command",
        }
    }

    /// What the host is.
    ///
    /// # Errors
    /// The provider does not say.
    pub(super) async fn look(&self) -> Result<Instance, Fault> {
        match self {
            Self::Gce(gce) => gce.look().await,
            Self::Command(_) => Ok(Instance::Unknown),
        }
    }

    /// Starts or resets it, and waits until the provider says that it is done. `attempt` counts
    /// from 1 in an hour.
    ///
    /// # Errors
    /// It is not done.
    pub(super) async fn act(&self, step: Step, attempt: usize) -> Result<(), Fault> {
        match self {
            Self::Gce(gce) => gce.act(step).await,
            Self::Command(command) => command.run(step, attempt).await,
        }
    }
}
