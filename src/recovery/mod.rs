//! What to do about a host that is down: a plan decides, one task follows all plans, and a provider
//! does what they say. What it does is published; people are told by log and webhook.

mod command;
mod driver;
mod gce;
pub mod plan;
mod provider;
mod record;
mod returned;

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use jiff::Timestamp;
use tokio::sync::watch;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use self::{driver::Driver, plan::Alarm};
use crate::{
    config::Config, fleet::Fleet, health::Health, model::name::BackendName, web::Web,
    webhook::Sender,
};

/// What recovery does about one host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recovery {
    /// `gce` or `command`.
    pub kind: &'static str,
    /// What it does now.
    pub state: State,
    /// Why people have to look.
    pub alarm: Option<Alarm>,
    /// How often the host was started or reset in the last hour.
    pub actions: usize,
    /// Why the last request failed, if it did.
    pub error: Option<String>,
}

/// What recovery does at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// The host is not down.
    Idle,
    /// It is down, and drained: hands off.
    Held,
    /// Its provider is asked what it is.
    Asking,
    /// It is being started, since then.
    Starting(Timestamp),
    /// It is being reset, since then.
    Resetting(Timestamp),
    /// The provider is asked again at that time.
    Waiting(Timestamp),
}

/// By backend; without those that nobody starts.
pub type Recoveries = BTreeMap<BackendName, Recovery>;

/// What recovery works with.
pub struct Surroundings {
    /// Which hosts there are.
    pub config: watch::Receiver<Arc<Config>>,
    /// Which are alive.
    pub health: watch::Receiver<Arc<Health>>,
    /// What runs on them, and which are drained.
    pub fleet: Fleet,
    /// Asks clouds.
    pub web: Web,
    /// Tells people.
    pub webhooks: Sender,
    /// The file that keeps what was done in the last hour.
    pub record: PathBuf,
}

/// Follows all hosts, on `tasks` and until `stop`, and publishes what is done. Call it inside a
/// runtime. Reads a file first.
#[must_use]
pub fn start(
    with: Surroundings,
    tasks: &TaskTracker,
    stop: CancellationToken,
) -> watch::Receiver<Arc<Recoveries>> {
    let (publish, published) = watch::channel(Arc::default());
    let driver = Driver::new(with, publish);
    tasks.spawn(async move { stop.run_until_cancelled(driver.run()).await });
    published
}

impl Alarm {
    /// For people, one sentence about the host.
    #[must_use]
    pub fn sentence(self) -> &'static str {
        match self {
            Self::Exhausted => "started as often as allowed in an hour, and down all the same",
            Self::Missing => "the provider does not know the host",
            Self::Refused => "the provider does not let us start the host",
            Self::Unreachable => "the host runs and does not answer, and may not be reset",
            Self::Late => "the host has not come back for 5 minutes",
        }
    }

    /// For programs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Exhausted => "exhausted",
            Self::Missing => "missing",
            Self::Refused => "refused",
            Self::Unreachable => "unreachable",
            Self::Late => "late",
        }
    }
}
