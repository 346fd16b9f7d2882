//! What the kernel forwards: public ports to the backend that is alive. Rules of our own chains are
//! made whole each time, by one task; those of others are never touched.

mod driver;
mod kernel;
pub mod page;
pub mod primary;
pub mod rules;

use std::sync::Arc;

use tokio::sync::watch;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use self::{driver::Driver, rules::RuleSet};
pub use self::{
    driver::{Applied, withdraw},
    kernel::{Firewall, KernelError},
};

/// The packet filter, from outside.
#[derive(Clone)]
pub struct PacketFilter {
    wanted: Arc<watch::Sender<RuleSet>>,
    applied: watch::Receiver<Applied>,
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
        let (want, wanted) = watch::channel(rules);
        let (tell, applied) = watch::channel(Applied::default());
        let driver = Driver::new(firewall, wanted, tell);
        tasks.spawn(async move { stop.run_until_cancelled(driver.run()).await });
        Self { wanted: Arc::new(want), applied }
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
}
