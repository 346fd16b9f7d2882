//! Pure: what the drivers report becomes one inventory, in configuration order.

use std::{collections::BTreeSet, sync::Arc};

use jiff::Timestamp;

use crate::{
    config,
    model::{
        container::Container,
        inventory::{Backend, Inventory, Presence},
        name::BackendName,
    },
    store::inventory::{Cached, CachedBackend, CachedContainer},
};

/// A backend that is driven. The number tells its driver from one that was replaced.
#[derive(Debug, Clone)]
pub(super) struct Driven {
    pub(super) config: Arc<config::Backend>,
    pub(super) generation: u64,
}

/// What a driver has to say.
#[derive(Debug)]
pub(super) enum News {
    /// All of it, as it is now.
    Seen(Arc<Backend>),
    /// It cannot be reached; what was seen stays.
    Away {
        /// Since when.
        since: Timestamp,
        /// Why, printable.
        reason: String,
    },
}

/// All that was reported.
#[derive(Debug, Default)]
pub(super) struct Merge {
    slots: Vec<(Driven, Arc<Backend>)>,
    drained: BTreeSet<BackendName>,
}

impl Merge {
    /// Nothing was heard yet: what is known comes from the cache.
    pub(super) fn new(driven: &[Driven], cached: &Cached, drained: BTreeSet<BackendName>) -> Self {
        let slot = |driven: &Driven| {
            let known = cached.backends.get(&driven.config.name);
            (driven.clone(), Arc::new(from_cache(&driven.config, known)))
        };
        Self { slots: driven.iter().map(slot).collect(), drained }
    }

    /// Another configuration. A backend whose driver was replaced keeps its containers until the
    /// new one has listed them.
    pub(super) fn configure(&mut self, driven: &[Driven]) {
        let old = std::mem::take(&mut self.slots);
        let slot = |driven: &Driven| {
            let config = &driven.config;
            let known = old.iter().find(|(o, _)| o.config.name == config.name);
            let backend = match known {
                Some((o, backend)) if o.generation == driven.generation => Arc::clone(backend),
                Some((_, backend)) => Arc::new(unheard(config, backend)),
                None => Arc::new(from_cache(config, None)),
            };
            (driven.clone(), backend)
        };
        self.slots = driven.iter().map(slot).collect();
    }

    /// Takes a report in; what a replaced driver says is not heard.
    pub(super) fn apply(&mut self, name: &BackendName, generation: u64, news: News) {
        let found = self.slots.iter_mut().find(|(driven, _)| driven.config.name == *name);
        let Some((driven, backend)) = found else { return };
        if driven.generation != generation {
            return;
        }
        match news {
            News::Seen(seen) => *backend = seen,
            News::Away { since, reason } => {
                Arc::make_mut(backend).presence = Presence::Away { since, reason };
            }
        }
    }

    /// From now on, these backends are drained.
    pub(super) fn drain(&mut self, drained: BTreeSet<BackendName>) {
        self.drained = drained;
    }

    /// The inventory of all that was reported.
    pub(super) fn inventory(&self) -> Inventory {
        let marked = |(_, backend): &(Driven, Arc<Backend>)| {
            let drained = self.drained.contains(&backend.name);
            if backend.drained == drained {
                Arc::clone(backend)
            } else {
                Arc::new(Backend { drained, ..Backend::clone(backend) })
            }
        };
        Inventory::new(self.slots.iter().map(marked).collect())
    }
}

/// What is worth keeping of an inventory.
pub(super) fn to_cache(inventory: &Inventory) -> Cached {
    let container = |c: &Arc<Container>| CachedContainer {
        name: c.name.clone(),
        status: c.status,
        addresses: c.addresses.clone(),
        config: c.config.clone(),
    };
    let backend = |b: &Arc<Backend>| CachedBackend {
        refreshed: b.refreshed.map(Timestamp::as_second),
        containers: b.containers.iter().map(container).collect(),
    };
    Cached::new(inventory.backends.iter().map(|b| (b.name.clone(), backend(b))).collect())
}

fn from_cache(config: &config::Backend, cached: Option<&CachedBackend>) -> Backend {
    let container = |c: &CachedContainer| {
        let place = (config.name.clone(), config.pool.clone());
        Container::from_config(c.name.clone(), place, (c.status, c.addresses.clone()), &c.config)
    };
    let containers = cached.iter().flat_map(|c| &c.containers).filter_map(container);
    Backend {
        name: config.name.clone(),
        pool: config.pool.clone(),
        presence: Presence::Unknown,
        refreshed: cached.and_then(|c| Timestamp::from_second(c.refreshed?).ok()),
        version: None,
        cpus: None,
        memory: None,
        disk: None,
        drained: false,
        unfinished: Vec::new(),
        containers: containers.map(Arc::new).collect(),
    }
}

fn unheard(config: &config::Backend, known: &Backend) -> Backend {
    let moved = |c: &Arc<Container>| {
        if c.pool == config.pool {
            Arc::clone(c)
        } else {
            Arc::new(Container { pool: config.pool.clone(), ..Container::clone(c) })
        }
    };
    Backend {
        pool: config.pool.clone(),
        presence: Presence::Unknown,
        containers: known.containers.iter().map(moved).collect(),
        ..known.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::tests::{backend, container};

    fn driven(name: &str, generation: u64) -> Driven {
        Driven { config: Arc::new(backend(name)), generation }
    }

    fn seen(name: &str, containers: &[&str]) -> News {
        let presence = Presence::Up { since: Timestamp::UNIX_EPOCH };
        let containers = containers.iter().map(|c| Arc::new(container(c, name))).collect();
        let config = backend(name);
        News::Seen(Arc::new(Backend { presence, containers, ..from_cache(&config, None) }))
    }

    fn name(text: &str) -> BackendName {
        text.parse().unwrap()
    }

    #[test]
    fn containers_outlive_their_backends_presence() {
        let mut merge =
            Merge::new(&[driven("b1", 1), driven("b2", 2)], &Cached::default(), BTreeSet::new());
        merge.apply(&name("b2"), 2, seen("b2", &["alice"]));
        merge.apply(&name("b1"), 1, seen("b1", &["alice", "bob"]));
        let inventory = merge.inventory();
        assert_eq!(inventory.containers().count(), 2);
        assert_eq!(inventory.duplicates().len(), 1);

        let away = News::Away { since: Timestamp::UNIX_EPOCH, reason: "off".to_owned() };
        merge.apply(&name("b1"), 1, away);
        let inventory = merge.inventory();
        let b1 = inventory.backend(&name("b1")).unwrap();
        assert!(matches!(b1.presence, Presence::Away { .. }));
        assert_eq!(b1.containers.len(), 2);
    }

    #[test]
    fn a_new_configuration_keeps_what_is_the_same() {
        let mut merge =
            Merge::new(&[driven("b1", 1), driven("b2", 2)], &Cached::default(), BTreeSet::new());
        merge.apply(&name("b1"), 1, seen("b1", &["alice"]));
        merge.apply(&name("b2"), 2, seen("b2", &["bob"]));
        merge.configure(&[driven("b3", 3), driven("b1", 4), driven("b2", 2)]);
        let inventory = merge.inventory();
        let presences: Vec<_> = inventory.backends.iter().map(|b| &b.presence).collect();
        assert!(matches!(
            presences[..],
            [Presence::Unknown, Presence::Unknown, Presence::Up { .. }]
        ));
        assert_eq!(inventory.containers().count(), 2);

        merge.apply(&name("b1"), 1, seen("b1", &[]));
        assert_eq!(merge.inventory().containers().count(), 2, "its old driver is not heard");
        merge.apply(&name("b1"), 4, seen("b1", &[]));
        merge.configure(&[driven("b1", 4)]);
        assert_eq!(merge.inventory().containers().count(), 0);
    }

    #[test]
    fn the_cache_brings_containers_back() {
        let mut merge = Merge::new(&[driven("b1", 1)], &Cached::default(), BTreeSet::new());
        merge.apply(&name("b1"), 1, seen("b1", &["alice"]));
        let cached = to_cache(&merge.inventory());
        let again = Merge::new(&[driven("b1", 9)], &cached, BTreeSet::new()).inventory();
        assert_eq!(again.backends[0].presence, Presence::Unknown);
        assert_eq!(
            again.containers().collect::<Vec<_>>(),
            merge.inventory().containers().collect::<Vec<_>>()
        );
    }

    #[test]
    fn a_drained_backend_stays_so_whatever_its_driver_says() {
        let drained = BTreeSet::from([name("b1")]);
        let mut merge =
            Merge::new(&[driven("b1", 1), driven("b2", 2)], &Cached::default(), drained);
        let flags = |merge: &Merge| -> Vec<bool> {
            merge.inventory().backends.iter().map(|b| b.drained).collect()
        };
        assert_eq!(flags(&merge), [true, false]);
        merge.apply(&name("b1"), 1, seen("b1", &["alice"]));
        merge.configure(&[driven("b1", 3), driven("b2", 2)]);
        assert_eq!(flags(&merge), [true, false]);
        merge.drain(BTreeSet::from([name("b2")]));
        assert_eq!(flags(&merge), [false, true]);
    }
}
