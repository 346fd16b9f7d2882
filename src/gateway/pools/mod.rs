//! Where the public ports of each pool lead. Pure: health, addresses and time are arguments.

#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, net::IpAddr, sync::Arc};

use tokio::time::Instant;

use super::{
    primary::{Choice, Primary},
    rules::{Forward, RuleSet},
};
use crate::{
    config::{Backend, Gateway, GatewayPool},
    model::name::{BackendName, PoolName},
};

/// The addresses of each backend, at most one of each family counts.
pub type Addresses = BTreeMap<BackendName, Vec<IpAddr>>;

/// All pools that have public ports.
#[derive(Debug, Clone, Default)]
pub struct Pools {
    pools: Vec<Pool>,
}

/// A pool and its primary.
#[derive(Debug, Clone)]
pub struct Pool {
    /// Its ports, and how it chooses.
    pub config: GatewayPool,
    /// The backends that may be its primary, the preferred one first.
    pub members: Vec<BackendName>,
    primary: Primary,
}

/// The public ports of a pool lead somewhere else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Turn {
    /// The pool.
    pub pool: PoolName,
    /// Where they led; `None`: to this machine.
    pub from: Option<BackendName>,
    /// Where they lead.
    pub to: Option<BackendName>,
}

impl Pools {
    /// Follows a configuration; a pool that stays keeps its primary and its hold time.
    pub fn configure(&mut self, gateway: Option<&Gateway>, backends: &[Arc<Backend>]) {
        let mut before = std::mem::take(&mut self.pools);
        for config in gateway.iter().flat_map(|gateway| &gateway.pools) {
            let is_member = |b: &&Arc<Backend>| b.pool == config.pool && b.address.takes_ports();
            let members: Vec<_> =
                backends.iter().filter(is_member).map(|b| b.name.clone()).collect();
            let (order, failover, hold) = (members.clone(), config.failover, config.hold);
            let choice = Choice { order, failover, hold };
            let known = before.iter().position(|pool| pool.config.pool == config.pool);
            let primary = match known.map(|i| before.swap_remove(i)) {
                Some(pool) => pool.primary.with(choice),
                None => Primary::new(choice),
            };
            self.pools.push(Pool { config: config.clone(), members, primary });
        }
    }

    /// Decides anew for every pool; what that changed.
    pub fn decide(&mut self, is_usable: impl Fn(&BackendName) -> bool, now: Instant) -> Vec<Turn> {
        let decide = |pool: &mut Pool| {
            let from = pool.primary.current().cloned();
            let changed = pool.primary.decide(&is_usable, now);
            let to = pool.primary.current().cloned();
            changed.then(|| Turn { pool: pool.config.pool.clone(), from, to })
        };
        self.pools.iter_mut().filter_map(decide).collect()
    }

    /// When to decide again although nothing happened.
    pub fn next_deadline(&self, is_usable: impl Fn(&BackendName) -> bool) -> Option<Instant> {
        self.pools.iter().filter_map(|pool| pool.primary.next_deadline(&is_usable)).min()
    }

    /// The packet filter's rules that lead there.
    #[must_use]
    pub fn rules(&self, addresses: &Addresses) -> RuleSet {
        let led = |pool: &Pool| pool.forwards(pool.primary(), addresses);
        // Each is one more call of a program at the start.
        let all = |pool: &Pool| -> Vec<Forward> {
            let candidates = if pool.config.failover { pool.members.len() } else { 1 };
            let members = pool.members.iter().take(candidates);
            members.flat_map(|member| pool.forwards(Some(member), addresses)).collect()
        };
        let idle = self.pools.iter().flat_map(all).map(|f| (f.protocol, f.to));
        RuleSet::new(self.pools.iter().flat_map(led)).with_idle(idle)
    }

    /// Each pool, in the order of the configuration.
    pub fn iter(&self) -> impl Iterator<Item = &Pool> {
        self.pools.iter()
    }
}

impl Pool {
    /// Where its ports lead; `None`: to this machine.
    #[must_use]
    pub fn primary(&self) -> Option<&BackendName> {
        self.primary.current()
    }

    fn forwards(&self, to: Option<&BackendName>, addresses: &Addresses) -> Vec<Forward> {
        let mut forwards = Vec::new();
        let to = to.and_then(|backend| addresses.get(backend));
        let listen: Vec<_> = match self.config.addresses.as_slice() {
            [] => vec![None],
            some => some.iter().copied().map(Some).collect(),
        };
        for to in to.into_iter().flatten() {
            for port in &self.config.ports {
                forwards.extend(listen.iter().map(|listen| Forward {
                    protocol: port.protocol,
                    listen: *listen,
                    port: port.number,
                    to: (*to, port.number).into(),
                    masquerade: self.config.masquerade,
                }));
            }
        }
        forwards
    }
}
