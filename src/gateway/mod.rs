//! What the kernel forwards: public ports to the backend that is alive. Rules of our own chains are
//! made whole each time, by one task; those of others are never touched.

pub mod certificate;
mod claim;
mod driver;
mod kernel;
pub mod page;
pub mod pools;
pub mod primary;
pub mod rules;
mod table;
mod turn;

use std::sync::Arc;

use jiff::Timestamp;
use tokio::{sync::watch, task::JoinHandle};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use self::{claim::Claim, driver::Driver, rules::RuleSet, turn::Turner};
pub use self::{
    claim::ClaimError,
    driver::{Applied, withdraw},
    kernel::{KernelError, run as run_program},
};
pub use crate::model::firewall::Firewall;
use crate::{
    config::{Config, GatewayPool},
    health::Health,
    model::{inventory::Inventory, name::BackendName},
};

/// What the gateway does, for people.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct State {
    /// The packet filter that it keeps; none: there is no gateway.
    pub firewall: Option<Firewall>,
    /// What is not as it should be.
    pub problem: Option<String>,
    /// What will not be as it should be if nobody does something.
    pub warning: Option<String>,
    /// Each pool that has public ports.
    pub pools: Vec<PoolState>,
}

/// Where the public ports of a pool lead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolState {
    /// Its ports.
    pub config: GatewayPool,
    /// The backend; none: they lead nowhere, and this machine answers.
    pub primary: Option<BackendName>,
    /// Since when.
    pub since: Timestamp,
    /// The kernel does what is wanted.
    pub in_force: bool,
    /// A backend of the pool could be led to if it were up.
    pub has_members: bool,
}

/// What the gateway goes by: watched, never asked.
pub struct Facts {
    /// The pools and the backends.
    pub config: watch::Receiver<Arc<Config>>,
    /// Which hosts are alive.
    pub health: watch::Receiver<Arc<Health>>,
    /// Which are drained.
    pub inventory: watch::Receiver<Arc<Inventory>>,
}

/// Turns public ports to backends that are alive, on `tasks` and until `stop`; then it takes its
/// rules out of the packet filter. Call it inside a runtime. What it does, now and later.
///
/// # Errors
/// Another sentinel does the same on this machine.
pub fn start(
    facts: Facts,
    tasks: &TaskTracker,
    stop: CancellationToken,
) -> Result<watch::Receiver<Arc<State>>, ClaimError> {
    let claim = facts.config.borrow().gateway.is_some().then(Claim::take).transpose()?;
    let (publish, state) = watch::channel(Arc::default());
    tasks.spawn(Turner::new(facts, claim, publish, tasks.clone()).run(stop));
    Ok(state)
}

/// The packet filter, from outside.
pub struct PacketFilter {
    firewall: Firewall,
    wanted: watch::Sender<RuleSet>,
    applied: watch::Receiver<Applied>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl PacketFilter {
    /// Keeps the rules of `firewall`, on `tasks` and until `stop`: first as `rules` says. Call it inside a
    /// runtime.
    #[must_use]
    pub fn start(
        firewall: Firewall,
        rules: RuleSet,
        tasks: &TaskTracker,
        stop: CancellationToken,
    ) -> Self {
        let (wanted, ordered) = watch::channel(rules);
        let (tell, applied) = watch::channel(Applied::default());
        let driver = Driver::new(firewall, ordered, tell);
        let ended = stop.clone();
        let task = tasks.spawn(async move {
            ended.run_until_cancelled(driver.run()).await;
        });
        Self { firewall, wanted, applied, stop, task }
    }

    /// Asks for other rules.
    pub fn want(&self, rules: RuleSet) {
        self.wanted.send_if_modified(|wanted| {
            let changed = *wanted != rules;
            *wanted = rules;
            changed
        });
    }

    /// What the kernel has, now and later.
    #[must_use]
    pub fn applied(&self) -> watch::Receiver<Applied> {
        self.applied.clone()
    }

    /// Ends it, and takes everything of ours out of the packet filter.
    ///
    /// # Errors
    /// The programs cannot be run, or fail; what is ours may still be there.
    pub async fn end(self) -> Result<(), KernelError> {
        self.stop.cancel();
        // A task that panicked has ended, too.
        let _ = self.task.await;
        withdraw(self.firewall).await
    }
}
