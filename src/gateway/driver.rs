//! The one task that keeps the packet filter as it is wanted.

use std::{collections::BTreeMap, convert::Infallible, time::Duration};

use tokio::{
    sync::watch,
    time::{MissedTickBehavior, interval},
};

use super::{
    kernel::{self, Firewall, KernelError},
    rules::{Family, RuleSet, ours, remove},
};

/// How often it is looked whether somebody interfered.
const LOOK: Duration = Duration::from_secs(5);

/// Both families.
const FAMILIES: [Family; 2] = [Family::V4, Family::V6];

/// What the gateway does.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Applied {
    /// The rules that the kernel has.
    pub rules: RuleSet,
    /// What keeps the kernel from having those that are wanted, for the administrator.
    pub problem: Option<String>,
}

/// Keeps the kernel's rules as `wanted` says, and tells on `applied` what it has.
pub(super) struct Driver {
    firewall: Firewall,
    wanted: watch::Receiver<RuleSet>,
    applied: watch::Sender<Applied>,
    /// What our part of each family looked like after it was applied.
    seen: BTreeMap<Family, Vec<String>>,
}

impl Driver {
    pub(super) fn new(
        firewall: Firewall,
        wanted: watch::Receiver<RuleSet>,
        applied: watch::Sender<Applied>,
    ) -> Self {
        Self { firewall, wanted, applied, seen: BTreeMap::new() }
    }

    /// Runs until it is dropped. The rules stay: who stops a sentinel to start a newer one does not
    /// want the web to be away meanwhile.
    pub(super) async fn run(mut self) -> Infallible {
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let rules = self.wanted.borrow_and_update().clone();
            let made = self.make(&rules).await;
            self.tell(rules, made.err().map(|e| e.to_string()));
            tokio::select! {
                changed = self.wanted.changed() => if changed.is_err() {
                    return std::future::pending().await;
                },
                _ = looks.tick() => {}
            }
        }
    }

    async fn make(&mut self, rules: &RuleSet) -> Result<(), KernelError> {
        let before = self.applied.borrow().rules.clone();
        for family in FAMILIES {
            self.make_family(family, rules, before != *rules).await?;
        }
        if before != *rules {
            // Only now, when no packet finds its old way any more.
            for (protocol, to) in before.targets().difference(&rules.targets()) {
                kernel::forget(*protocol, *to).await?;
            }
        }
        let needed = FAMILIES.into_iter().filter(|f| rules.of(*f).next().is_some());
        match needed.into_iter().find(|family| !kernel::forwards(*family)) {
            Some(Family::V4) => Err(off("net.ipv4.ip_forward")),
            Some(Family::V6) => Err(off("net.ipv6.conf.all.forwarding")),
            None => Ok(()),
        }
    }

    async fn make_family(
        &mut self,
        family: Family,
        rules: &RuleSet,
        changed: bool,
    ) -> Result<(), KernelError> {
        // Without a rule of that family its programs need not even be there.
        let is_used = rules.of(family).next().is_some();
        if !is_used && !self.seen.contains_key(&family) && family == Family::V6 {
            return Ok(());
        }
        let saved = self.firewall.save(family).await?;
        if !changed && self.seen.get(&family) == Some(&ours(&saved)) {
            return Ok(());
        }
        if self.seen.contains_key(&family) && !changed {
            tracing::warn!(?family, "somebody changed our packet filter rules; putting them back");
        }
        self.firewall.restore(family, &rules.apply(family, &saved)).await?;
        self.seen.insert(family, ours(&self.firewall.save(family).await?));
        Ok(())
    }

    fn tell(&self, rules: RuleSet, problem: Option<String>) {
        self.applied.send_if_modified(|applied| {
            if let Some(problem) = problem.as_ref().filter(|p| applied.problem.as_ref() != Some(p))
            {
                tracing::error!(%problem, "packet filter is not as wanted");
            }
            let rules = if problem.is_none() { rules } else { applied.rules.clone() };
            let now = Applied { rules, problem };
            let changed = *applied != now;
            *applied = now;
            changed
        });
    }
}

/// Takes everything of ours out of the packet filter.
///
/// # Errors
/// The programs cannot be run, or fail.
pub async fn withdraw(firewall: Firewall) -> Result<(), KernelError> {
    for family in FAMILIES {
        let text = remove(&firewall.save(family).await?);
        if !text.is_empty() {
            firewall.restore(family, &text).await?;
        }
    }
    Ok(())
}

fn off(key: &'static str) -> KernelError {
    let said = format!("{key} is off: set it to 1, or nothing reaches the backends");
    KernelError::Refused { program: "sysctl", said }
}
