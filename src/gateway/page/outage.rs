//! What is to be told, from what is known of the hosts. Pure.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use jiff::Timestamp;

use crate::{
    health::Health,
    model::name::{BackendName, PoolName},
};

/// Absences of one host that are remembered.
const PAST: usize = 5;

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

/// How long hosts were away.
#[derive(Debug, Default)]
pub struct Past {
    down_since: BTreeMap<BackendName, Timestamp>,
    lasted: BTreeMap<BackendName, VecDeque<Duration>>,
}

impl Past {
    /// Takes what is known now.
    pub fn observe(&mut self, health: &Health) {
        self.down_since.retain(|backend, _| health.hosts.contains_key(backend));
        self.lasted.retain(|backend, _| health.hosts.contains_key(backend));
        for (backend, host) in &health.hosts {
            if health.is_down(backend) {
                self.down_since.entry(backend.clone()).or_insert(host.since);
            } else if let Some(since) = self.down_since.remove(backend) {
                let lasted = host.since.duration_since(since).unsigned_abs();
                let past = self.lasted.entry(backend.clone()).or_default();
                past.push_back(lasted);
                if past.len() > PAST {
                    past.pop_front();
                }
            }
        }
    }

    /// How long a host is usually away: the middle one of the last times.
    fn usual(&self, backend: &BackendName) -> Option<Duration> {
        let mut all: Vec<_> = self.lasted.get(backend)?.iter().copied().collect();
        all.sort();
        all.get(all.len() / 2).copied()
    }

    /// What is to be told: of the pool that has been without a host for longest; where every pool
    /// has one, of the host that has been down for longest.
    #[must_use]
    pub fn outage(&self, members: &[Member]) -> Outage {
        let mut pools = BTreeMap::<&PoolName, Vec<&Member>>::new();
        for member in members {
            pools.entry(&member.pool).or_default().push(member);
        }
        let out = pools.values().filter_map(|pool| {
            let since: Option<Vec<_>> =
                pool.iter().map(|m| self.down_since.get(&m.backend)).collect();
            // A pool went out with the last of its hosts.
            Some((**since?.iter().max()?, pool.clone()))
        });
        let alone =
            members.iter().filter_map(|m| Some((*self.down_since.get(&m.backend)?, vec![m])));
        let longest = out.min_by_key(|(since, _)| *since);
        let Some((since, hosts)) = longest.or_else(|| alone.min_by_key(|(since, _)| *since)) else {
            return Outage::default();
        };
        let efforts = [Effort::Started, Effort::Told];
        let effort = efforts.into_iter().find(|effort| hosts.iter().any(|m| m.effort == *effort));
        Outage {
            since: Some(since),
            usual: hosts.iter().filter_map(|m| self.usual(&m.backend)).min(),
            planned: hosts.iter().all(|m| m.drained),
            effort: effort.unwrap_or_default(),
        }
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
        let mut past = Past::default();
        let mut members = [member("a", "web"), member("b", "web"), member("c", "gpu")];
        past.observe(&health(&[("a", State::Down, 10), ("b", State::Up, 0), ("c", State::Up, 0)]));
        assert_eq!(since(past.outage(&members)), Some(10), "the only one that is down");
        past.observe(&health(&[
            ("a", State::Down, 10),
            ("b", State::Down, 30),
            ("c", State::Down, 20),
        ]));
        assert_eq!(since(past.outage(&members)), Some(20), "gpu is out for longer than web");
        members[2].drained = true;
        members[2].effort = Effort::Started;
        let outage = past.outage(&members);
        assert!(outage.planned && outage.effort == Effort::Started);
        past.observe(&health(&[
            ("a", State::Recovering(1), 10),
            ("b", State::Down, 30),
            ("c", State::Up, 50),
        ]));
        assert_eq!(since(past.outage(&members)), Some(30));
        past.observe(&health(&[("a", State::Up, 60), ("b", State::Up, 60), ("c", State::Up, 50)]));
        assert_eq!(past.outage(&members), Outage::default());
    }

    #[test]
    fn the_usual_time_is_the_middle_one_of_the_last() {
        let mut past = Past::default();
        for (i, lasted) in [1000, 80, 90, 85, 70, 600].into_iter().enumerate() {
            let at = i64::try_from(i).unwrap() * 10_000;
            past.observe(&health(&[("a", State::Down, at)]));
            past.observe(&health(&[("a", State::Up, at + lasted)]));
        }
        past.observe(&health(&[("a", State::Down, 99_999)]));
        let outage = past.outage(&[member("a", "web")]);
        assert_eq!(outage.usual, Some(Duration::from_secs(85)));
        past.observe(&health(&[]));
        assert!(past.lasted.is_empty() && past.down_since.is_empty());
    }
}
