//! Which containers are on their way to which backend, so that those who look for a place at the
//! same time do not all find the same one.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::placement::{PlacementError, Wish, place};
use crate::model::{
    inventory::Inventory,
    name::{BackendName, ContainerName},
};

/// All that is kept. Clones are the same.
#[derive(Debug, Clone, Default)]
pub(super) struct Reservations(Arc<Mutex<BTreeMap<ContainerName, BackendName>>>);

/// A place that is kept until this is dropped.
#[derive(Debug)]
pub struct Reserved {
    all: Reservations,
    name: ContainerName,
    chosen: BackendName,
    candidates: Vec<BackendName>,
}

impl Reservations {
    /// Keeps the best place for a container that may be made once at a time.
    pub(super) fn reserve(
        &self,
        inventory: &Inventory,
        name: &ContainerName,
        wish: &Wish,
    ) -> Result<Reserved, PlacementError> {
        let mut all = self.lock();
        let mut pending = BTreeMap::new();
        for backend in all.values() {
            *pending.entry(backend.clone()).or_insert(0) += 1;
        }
        let candidates = place(inventory, &pending, wish)?;
        let chosen = candidates.first().cloned().ok_or(PlacementError::None)?;
        all.insert(name.clone(), chosen.clone());
        Ok(Reserved { all: self.clone(), name: name.clone(), chosen, candidates })
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<ContainerName, BackendName>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reserved {
    /// The backend.
    #[must_use]
    pub fn backend(&self) -> &BackendName {
        &self.chosen
    }

    /// Every backend that would do, the best first.
    #[must_use]
    pub fn candidates(&self) -> Vec<BackendName> {
        self.candidates.clone()
    }

    /// Takes another of the candidates.
    pub fn choose(&mut self, backend: &BackendName) {
        self.chosen = backend.clone();
        self.all.lock().insert(self.name.clone(), backend.clone());
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        self.all.lock().remove(&self.name);
    }
}
