//! What runs where: one immutable snapshot, published by `fleet`, read by everybody else.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    sync::Arc,
};

use jiff::Timestamp;

use super::{
    container::Container,
    key::PublicKey,
    name::{BackendName, ContainerName, PoolName},
};

/// Whether a backend's Incus answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Presence {
    /// Nothing was heard yet; what is listed comes from the cache.
    Unknown,
    /// Connected, and the list is current.
    Up {
        /// Since when.
        since: Timestamp,
    },
    /// Not reachable; what is listed is what it was last.
    Away {
        /// Since when.
        since: Timestamp,
        /// Why, in one fragment fit for people.
        reason: String,
    },
}

/// One backend and what was last seen on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backend {
    /// Its name in the configuration.
    pub name: BackendName,
    /// Its pool.
    pub pool: PoolName,
    /// Whether it answers.
    pub presence: Presence,
    /// When the list was read; `None` if never.
    pub refreshed: Option<Timestamp>,
    /// Incus version, once known.
    pub version: Option<String>,
    /// Number of CPUs, once known.
    pub cpus: Option<u64>,
    /// Memory used and total in bytes, once known.
    pub memory: Option<(u64, u64)>,
    /// Used and total bytes of the storage pool that new containers get their disk from, once known.
    pub disk: Option<(u64, u64)>,
    /// An administrator wants nothing new here; logins go on.
    pub drained: bool,
    /// Instances that somebody began to create, and that are not containers yet: by name in Incus.
    pub unfinished: Vec<String>,
    /// Its managed containers.
    pub containers: Vec<Arc<Container>>,
}

/// All backends, in configuration order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Inventory {
    /// The backends.
    pub backends: Vec<Arc<Backend>>,
    by_name: BTreeMap<ContainerName, Arc<Container>>,
    duplicates: Vec<Arc<Container>>,
}

impl Inventory {
    /// A snapshot of `backends`. Where two hold containers of one name, the first in configuration
    /// order is the one that logins reach; the others are [`Self::duplicates`].
    #[must_use]
    pub fn new(backends: Vec<Arc<Backend>>) -> Self {
        let mut by_name = BTreeMap::new();
        let mut duplicates = Vec::new();
        for container in backends.iter().flat_map(|b| &b.containers) {
            match by_name.entry(container.name.clone()) {
                Entry::Vacant(entry) => {
                    entry.insert(Arc::clone(container));
                }
                Entry::Occupied(_) => duplicates.push(Arc::clone(container)),
            }
        }
        Self { backends, by_name, duplicates }
    }

    /// The container that a name means.
    #[must_use]
    pub fn container(&self, name: &ContainerName) -> Option<&Arc<Container>> {
        self.by_name.get(name)
    }

    /// Every container that a name can mean, by name.
    pub fn containers(&self) -> impl Iterator<Item = &Arc<Container>> {
        self.by_name.values()
    }

    /// Containers hidden by another of the same name on an earlier backend.
    #[must_use]
    pub fn duplicates(&self) -> &[Arc<Container>] {
        &self.duplicates
    }

    /// A backend by name.
    #[must_use]
    pub fn backend(&self, name: &BackendName) -> Option<&Arc<Backend>> {
        self.backends.iter().find(|b| b.name == *name)
    }

    /// Every container that `key` opens by labels, by name.
    pub fn opened_by<'a>(&'a self, key: &'a PublicKey) -> impl Iterator<Item = &'a Arc<Container>> {
        self.containers().filter(move |c| c.accounts_of(key).next().is_some())
    }
}
