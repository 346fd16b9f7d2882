//! What is to be told, from what is known of the hosts. Pure.

use std::{collections::BTreeMap, time::Duration};

use jiff::Timestamp;

use crate::{
    health::Health,
    model::name::{BackendName, PoolName},
    store::outages::Outages,
};

/// What is being done about a host that is away.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Effort {
    /// It is watched, and used again as soon as it answers.
    #[default]
    Watched,
    /// It is being started.
    Started,
    /// That did not help: people were told.
    Told,
}

/// What is to be told.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Outage {
    /// Since when no host can serve; none if that is not known.
    pub since: Option<Timestamp>,
    /// How long it usually takes until one is back.
    pub usual: Option<Duration>,
    /// Somebody keeps it down on purpose.
    pub planned: bool,
    /// What is being done about it.
    pub effort: Effort,
}

/// A host that could serve.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Its backend.
    pub backend: BackendName,
    /// Its pool.
    pub pool: PoolName,
    /// An administrator wants it left alone.
    pub drained: bool,
    /// What is being done about it while it is down.
    pub effort: Effort,
}

/// What is known of hosts.
#[derive(Debug, Clone, Copy)]
pub struct Known<'a> {
    /// Which are down, and since when.
    pub health: &'a Health,
    /// How long they were at other times.
    pub outages: &'a Outages,
}

impl Known<'_> {
    /// What is to be told: of the pool that has been without a host for longest; where every pool
    /// has one, of the host that has been down for longest.
    #[must_use]
    pub fn outage(&self, members: &[Member]) -> Outage {
        let mut pools = BTreeMap::<&PoolName, Vec<&Member>>::new();
        for member in members {
            pools.entry(&member.pool).or_default().push(member);
        }
        let out = pools.values().filter_map(|pool| {
            let since: Option<Vec<_>> = pool.iter().map(|m| self.down_since(m)).collect();
            // A pool went out with the last of its hosts.
            Some((since?.into_iter().max()?, pool.clone()))
        });
        let alone = members.iter().filter_map(|m| Some((self.down_since(m)?, vec![m])));
        let longest = out.min_by_key(|(since, _)| *since);
        let Some((since, hosts)) = longest.or_else(|| alone.min_by_key(|(since, _)| *since)) else {
            return Outage::default();
        };
        let efforts = [Effort::Started, Effort::Told];
        let effort = efforts.into_iter().find(|effort| hosts.iter().any(|m| m.effort == *effort));
        Outage {
            since: Some(since),
            usual: hosts.iter().filter_map(|m| self.outages.usual(&m.backend)).min(),
            planned: hosts.iter().all(|m| m.drained),
            effort: effort.unwrap_or_default(),
        }
    }

    fn down_since(&self, member: &Member) -> Option<Timestamp> {
        let host = self.health.hosts.get(&member.backend)?;
        self.health.is_down(&member.backend).then_some(host.since)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::{HostHealth, machine::State};

    fn health(hosts: &[(&str, State, i64)]) -> Health {
        let host = |(name, state, since): &(&str, State, i64)| {
            let since = Timestamp::from_second(*since).unwrap();
            let host = HostHealth { state: *state, since, checks: Vec::new() };
            (name.parse().unwrap(), host)
        };
        Health { hosts: hosts.iter().map(host).collect() }
    }

    fn member(backend: &str, pool: &str) -> Member {
        let (backend, pool) = (backend.parse().unwrap(), pool.parse().unwrap());
        Member { backend, pool, drained: false, effort: Effort::Watched }
    }

    fn since(outage: Outage) -> Option<i64> {
        outage.since.map(Timestamp::as_second)
    }

    #[test]
    fn a_pool_is_out_with_the_last_of_its_hosts() {
        let mut members = [member("a", "web"), member("b", "web"), member("c", "gpu")];
        let outages = Outages::default();
        let told = |members: &[Member], hosts: &[(&str, State, i64)]| {
            Known { health: &health(hosts), outages: &outages }.outage(members)
        };
        let hosts = [("a", State::Down, 10), ("b", State::Up, 0), ("c", State::Up, 0)];
        assert_eq!(since(told(&members, &hosts)), Some(10), "the only one that is down");
        let hosts = [("a", State::Down, 10), ("b", State::Down, 30), ("c", State::Down, 20)];
        assert_eq!(since(told(&members, &hosts)), Some(20), "gpu is out for longer than web");
        members[2].drained = true;
        members[2].effort = Effort::Started;
        let outage = told(&members, &hosts);
        assert!(outage.planned && outage.effort == Effort::Started);
        let hosts = [("a", State::Recovering(1), 10), ("b", State::Down, 30), ("c", State::Up, 50)];
        assert_eq!(since(told(&members, &hosts)), Some(30));
        let hosts = [("a", State::Up, 60), ("b", State::Up, 60), ("c", State::Up, 50)];
        assert_eq!(told(&members, &hosts), Outage::default());
    }

    #[test]
    fn the_usual_time_is_that_of_the_host_that_is_back_first() {
        let mut outages = Outages::default();
        for (backend, seconds) in [("a", 85), ("b", 40)] {
            outages.note(&backend.parse().unwrap(), Duration::from_secs(seconds), |_| true);
        }
        let health = health(&[("a", State::Down, 10), ("b", State::Down, 10)]);
        let known = Known { health: &health, outages: &outages };
        let usual = |members: &[Member]| known.outage(members).usual.map(|usual| usual.as_secs());
        let (a, b) = (member("a", "web"), member("b", "web"));
        assert_eq!([usual(std::slice::from_ref(&a)), usual(&[a, b])], [Some(85), Some(40)]);
    }
}
