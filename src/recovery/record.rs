//! When hosts were started or reset: kept in memory, and in a file for the next start.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::{
    clock::timestamp,
    model::name::BackendName,
    store::{StoreError, recoveries::Actions},
};

/// What was done. Clones are the same.
#[derive(Clone)]
pub(super) struct Record(Arc<Shared>);

struct Shared {
    actions: Mutex<Actions>,
    /// Locked while it is written, by one at a time.
    file: tokio::sync::Mutex<PathBuf>,
}

impl Record {
    /// What the file has of the last hour. Blocks.
    pub(super) fn load(file: PathBuf) -> Self {
        let actions = Mutex::new(Actions::load(&file));
        Self(Arc::new(Shared { actions, file: tokio::sync::Mutex::new(file) }))
    }

    /// How many seconds ago a host was acted on, the latest last.
    pub(super) fn ages(&self, backend: &BackendName) -> Vec<u64> {
        self.actions().ages(backend, timestamp().as_second())
    }

    /// Writes down that a host is acted on now.
    ///
    /// # Errors
    /// The system refused: the next start will not know.
    pub(super) async fn note(&self, backend: &BackendName) -> Result<(), StoreError> {
        self.actions().note(backend, timestamp().as_second());
        let file = self.0.file.lock().await;
        // With what others have noted meanwhile.
        let (path, actions) = (file.clone(), self.actions().clone());
        let saved = tokio::task::spawn_blocking(move || actions.save(&path)).await;
        saved.map_err(|e| StoreError::Io {
            operation: "write",
            path: file.clone(),
            source: std::io::Error::other(e),
        })?
    }

    fn actions(&self) -> MutexGuard<'_, Actions> {
        self.0.actions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
