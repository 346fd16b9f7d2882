//! What there is to choose from when a container is made. Pure.

use std::collections::BTreeMap;

use crate::{
    command::view::size,
    fleet::placement::{PlacementError, Wish, place},
    model::inventory::Inventory,
};

/// What is usual when a container is made, and what there is to choose from.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Choices {
    /// The image when none is asked for.
    pub image: String,
    /// Names of systems.
    pub systems: Vec<String>,
    /// Names of stacks.
    pub stacks: Vec<String>,
    /// Processors, memory and disk when nothing is asked for.
    pub limits: [String; 3],
    /// The hosts.
    pub hosts: Vec<Host>,
    /// The one that a container goes to when none is named; `None`: there is none now.
    pub emptiest: Option<String>,
}

/// A host, for those who look for a place.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Host {
    /// Its name.
    pub name: String,
    /// Its processors.
    pub cpus: Option<u64>,
    /// Memory used and in all, in bytes.
    pub memory: Option<(u64, u64)>,
    /// Disk used and in all, in bytes.
    pub disk: Option<(u64, u64)>,
    /// Why nothing new can go there now.
    pub obstacle: Option<String>,
}

impl Host {
    /// What is to be known of it: why it cannot be had, or what is free there.
    #[must_use]
    pub fn note(&self) -> String {
        if let Some(obstacle) = &self.obstacle {
            return obstacle.clone();
        }
        let free =
            |used_of: Option<(u64, u64)>| used_of.map(|(used, all)| all.saturating_sub(used));
        let memory = free(self.memory).map(|free| format!("{} memory", size(free)));
        let disk = free(self.disk).map(|free| format!("{} disk", size(free)));
        match [memory, disk].into_iter().flatten().collect::<Vec<_>>().join(", ") {
            known if known.is_empty() => known,
            known => format!("{known} free"),
        }
    }
}

/// The hosts of a fleet, and the one that a container goes to when none is named.
#[must_use]
pub fn hosts(inventory: &Inventory) -> (Vec<Host>, Option<String>) {
    let pending = BTreeMap::new();
    let hosts = inventory.backends.iter().map(|backend| {
        let wish = Wish { backend: Some(backend.name.clone()), ..Wish::default() };
        let obstacle = match place(inventory, &pending, &wish) {
            Ok(_) => None,
            Err(PlacementError::Unavailable(reasons)) => Some(reasons),
            Err(error) => Some(error.to_string()),
        };
        let name = backend.name.to_string();
        Host { name, cpus: backend.cpus, memory: backend.memory, disk: backend.disk, obstacle }
    });
    let emptiest = place(inventory, &pending, &Wish::default()).ok();
    let emptiest = emptiest.and_then(|places| places.first().map(ToString::to_string));
    (hosts.collect(), emptiest)
}
