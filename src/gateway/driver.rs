//! The one task that keeps the packet filter as it is wanted.

use std::{
    collections::{BTreeMap, BTreeSet},
    convert::Infallible,
    net::SocketAddr,
    time::Duration,
};

use tokio::{
    sync::watch,
    time::{MissedTickBehavior, interval},
};

use super::{
    kernel::{self, KernelError},
    rules::{Family, Forward, Protocol, RuleSet, lines, ours, remove, targets},
    table::Table,
};
use crate::model::firewall::Firewall;

/// How often it is looked whether somebody interfered.
const LOOK: Duration = Duration::from_secs(5);

/// Somebody was faster than a look at what was made.
const DISPUTED: &str = "somebody else changes our rules";

/// Both families.
const FAMILIES: [Family; 2] = [Family::V4, Family::V6];

/// What the gateway does.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Applied {
    /// The rules that the kernel has.
    pub rules: RuleSet,
    /// What is not as it should be, for the administrator.
    pub problem: Option<String>,
    /// What will not be if nobody does something.
    pub warning: Option<String>,
}

/// Keeps the kernel's rules as `wanted` says, and tells on `applied` what it has.
pub(super) struct Driver {
    firewall: Firewall,
    wanted: watch::Receiver<RuleSet>,
    applied: watch::Sender<Applied>,
    /// What was applied in each family.
    seen: BTreeMap<Family, Seen>,
    /// Destinations that nothing leads to any more, and whose connections are to be forgotten.
    stale: BTreeSet<(Protocol, SocketAddr)>,
    /// UDP ports that lead somewhere else, and whose conversations with this machine are, too.
    turned: BTreeSet<(Family, u16)>,
    /// The program that forgets them is there.
    can_forget: bool,
}

/// What was applied, and what our part of the family looked like afterwards.
#[derive(PartialEq, Eq)]
struct Seen {
    forwards: Vec<Forward>,
    ours: Vec<String>,
}

impl Driver {
    pub(super) fn new(
        firewall: Firewall,
        wanted: watch::Receiver<RuleSet>,
        applied: watch::Sender<Applied>,
    ) -> Self {
        let (seen, stale, turned) = (BTreeMap::new(), BTreeSet::new(), BTreeSet::new());
        Self { firewall, wanted, applied, seen, stale, turned, can_forget: false }
    }

    /// Runs until it is dropped. The rules stay, as they do when the sentinel is killed: its
    /// successor takes them over, and the web is not away meanwhile.
    pub(super) async fn run(mut self) -> Infallible {
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        self.warn_of_others().await;
        loop {
            let rules = self.wanted.borrow_and_update().clone();
            let made = self.make(&rules).await;
            let is_made = made.is_ok();
            // Only now, when no packet finds its old way any more.
            let finished = if is_made { self.finish(&rules).await } else { Ok(()) };
            self.tell(is_made.then_some(rules), made.and(finished).err().map(|e| e.to_string()));
            tokio::select! {
                changed = self.wanted.changed() => if changed.is_err() {
                    return std::future::pending().await;
                },
                _ = looks.tick() => {}
            }
        }
    }

    /// A packet has to pass both of the kernel's filters, which surprises people.
    async fn warn_of_others(&self) {
        let Ok(mine) = kernel::save(self.firewall, Family::V4).await else { return };
        for other in [Firewall::Nft, Firewall::Legacy] {
            let theirs = kernel::save(other, Family::V4).await.unwrap_or_default();
            // Of three names for two filters, two mean the same.
            if !lines(&theirs).is_empty() && lines(&theirs) != lines(&mine) {
                let (ours, other) = (self.firewall.name(), other.name());
                tracing::warn!(ours, other, "another packet filter holds rules, too");
            }
        }
    }

    async fn make(&mut self, rules: &RuleSet) -> Result<(), KernelError> {
        for family in FAMILIES {
            self.make_family(family, rules).await?;
        }
        Ok(())
    }

    async fn make_family(&mut self, family: Family, rules: &RuleSet) -> Result<(), KernelError> {
        let forwards: Vec<_> = rules.of(family).copied().collect();
        let before = self.seen.get(&family);
        // Where nothing of ours is wanted nor was found, nobody can interfere.
        if forwards.is_empty() && before.is_some_and(|seen| seen.ours.is_empty()) {
            return Ok(());
        }
        let saved = match kernel::save(self.firewall, family).await {
            // Without a rule of that family its programs need not even be there.
            Err(KernelError::Run { .. }) if family == Family::V6 && forwards.is_empty() => {
                String::new()
            }
            saved => saved?,
        };
        let mut ours_now = ours(&saved);
        let is_first = before.is_none();
        let is_same = before.is_some_and(|s| s.forwards == forwards);
        let is_unused = forwards.is_empty() && ours_now.is_empty();
        if is_same && before.is_some_and(|seen| seen.ours == ours_now) {
            return Ok(());
        }
        if is_same {
            tracing::warn!(?family, "somebody changed our packet filter rules; putting them back");
        }
        if !is_unused {
            kernel::restore(self.firewall, family, &rules.apply(family, &saved)).await?;
            let mut before = targets(&saved);
            if is_first {
                before.extend(rules.idle(family));
            }
            self.leave(family, &before, &forwards);
            let made = kernel::save(self.firewall, family).await?;
            // What somebody changed since is not what we made: it is not to be kept.
            if !rules.is_in(family, &made) {
                self.seen.remove(&family);
                return Err(KernelError::Refused {
                    program: "iptables-restore",
                    said: DISPUTED.to_owned(),
                });
            }
            ours_now = ours(&made);
        }
        self.seen.insert(family, Seen { forwards, ours: ours_now });
        Ok(())
    }

    /// Notes whose connections are to be forgotten, as the rules led to `before`.
    fn leave(
        &mut self,
        family: Family,
        before: &BTreeSet<(Protocol, SocketAddr)>,
        forwards: &[Forward],
    ) {
        let is_wanted = |target: &_| forwards.iter().any(|f| (f.protocol, f.to) == *target);
        self.stale.retain(|target| !is_wanted(target));
        self.stale.extend(before.iter().filter(|target| !is_wanted(target)));
        let new = forwards.iter().filter(|f| !before.contains(&(f.protocol, f.to)));
        let udp = new.filter(|f| f.protocol == Protocol::Udp);
        self.turned.extend(udp.map(|f| (family, f.port)));
    }

    async fn finish(&mut self, rules: &RuleSet) -> Result<(), KernelError> {
        if !self.can_forget {
            kernel::has_conntrack().await?;
            self.can_forget = true;
        }
        while let Some((protocol, to)) = self.stale.first().copied() {
            kernel::forget(protocol, to).await?;
            self.stale.remove(&(protocol, to));
        }
        while let Some((family, port)) = self.turned.first().copied() {
            kernel::forget_unled(family, port).await?;
            self.turned.remove(&(family, port));
        }
        let mut needed = FAMILIES.into_iter().filter(|f| rules.of(*f).next().is_some());
        match needed.find(|family| !kernel::forwards(*family)) {
            Some(Family::V4) => Err(off("net.ipv4.ip_forward")),
            Some(Family::V6) => Err(off("net.ipv6.conf.all.forwarding")),
            None => Ok(()),
        }
    }

    fn tell(&self, rules: Option<RuleSet>, problem: Option<String>) {
        let table = kernel::table();
        self.applied.send_if_modified(|applied| {
            let crowded = table.filter(|table| table.is_crowded(applied.warning.is_some()));
            let warning = crowded.map(Table::warning);
            if let Some(warning) = warning.as_ref().filter(|_| applied.warning.is_none()) {
                tracing::warn!(%warning, "new connections may be lost");
            }
            if let Some(problem) = problem.as_ref().filter(|p| applied.problem.as_ref() != Some(p))
            {
                tracing::error!(%problem, "packet filter is not as wanted");
            }
            if problem.is_none() && applied.problem.is_some() {
                tracing::info!("packet filter is as wanted again");
            }
            let rules = rules.unwrap_or_else(|| applied.rules.clone());
            let now = Applied { rules, problem, warning };
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
        let saved = match kernel::save(firewall, family).await {
            // What has no programs has no rules of ours.
            Err(KernelError::Run { .. }) if family == Family::V6 => continue,
            saved => saved?,
        };
        let text = remove(&saved);
        if !text.is_empty() {
            kernel::restore(firewall, family, &text).await?;
        }
    }
    Ok(())
}

fn off(key: &'static str) -> KernelError {
    let said = format!("{key} is off: set it to 1, or nothing reaches the backends");
    KernelError::Refused { program: "sysctl", said }
}
