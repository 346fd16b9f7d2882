//! What a command may look at: who asks, the inventory, the time. Built once per command.

use std::{fmt, sync::Arc};

use jiff::Timestamp;
use tokio::sync::watch;

use super::failure::{Failure, Kind};
use crate::model::{
    container::Container,
    inventory::Inventory,
    principal::{Principal, Role},
};

/// What the sentinel does and uses at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Open sessions at the door.
    pub sessions: usize,
    /// Connections at the door, before and after login.
    pub connections: usize,
    /// Live tasks.
    pub tasks: usize,
    /// Open file descriptors.
    pub descriptors: usize,
    /// Resident memory in bytes.
    pub resident_bytes: u64,
    /// Panics since start: each ended one task, and is a bug.
    pub panics: u64,
}

/// Tells what the sentinel does and uses now.
pub type Meter = Arc<dyn Fn() -> Usage + Send + Sync>;

/// Reads the configuration again: the changed keys that need a restart, or the first mistake.
pub type Reload = Arc<dyn Fn() -> Result<Vec<&'static str>, String> + Send + Sync>;

/// What a command may look at.
#[derive(Clone)]
pub struct Context {
    /// Who asks.
    pub principal: Principal,
    /// What runs where.
    pub inventory: watch::Receiver<Arc<Inventory>>,
    /// What the sentinel does and uses now.
    pub usage: Meter,
    /// Reads the configuration again.
    pub reload: Reload,
    /// When the sentinel started.
    pub started: Timestamp,
    /// The time of the question.
    pub now: Timestamp,
    /// The sentinel's version.
    pub version: &'static str,
}

impl Context {
    /// The inventory at this moment.
    #[must_use]
    pub fn snapshot(&self) -> Arc<Inventory> {
        Arc::clone(&self.inventory.borrow())
    }

    /// The containers that this person may see, by name: all for an administrator, else those that
    /// her key opens.
    #[must_use]
    pub fn visible(&self, inventory: &Inventory) -> Vec<Arc<Container>> {
        match (self.principal.role, &self.principal.key) {
            (Role::Admin, _) => inventory.containers().cloned().collect(),
            (Role::Member, Some(key)) => inventory.opened_by(key).cloned().collect(),
            (Role::Member, None) => Vec::new(),
        }
    }

    /// The container called `name`.
    ///
    /// # Errors
    /// There is none, or none that this person may see: both give the same answer.
    pub fn find(&self, inventory: &Inventory, name: &str) -> Result<Arc<Container>, Failure> {
        let found = self.visible(inventory).into_iter().find(|c| c.name.as_str() == name);
        found.ok_or_else(|| {
            Failure::new(Kind::NotFound, format!("no container named \"{name}\""))
                .hint("type `list` to see the containers")
        })
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context").field("principal", &self.principal).finish_non_exhaustive()
    }
}
