//! Which backends are drained: kept in memory, and in a file for the next start.

use std::{
    collections::BTreeSet,
    io,
    path::{Path, PathBuf},
};

use tokio::sync::{Mutex, watch};

use crate::{
    model::name::BackendName,
    store::{StoreError, drained as store},
};

/// Which backends are drained; the lock is held while the file is written.
pub(super) struct Drained {
    names: watch::Sender<BTreeSet<BackendName>>,
    file: Mutex<PathBuf>,
}

impl Drained {
    /// What `state_dir` remembers, now and later.
    pub(super) fn load(state_dir: &Path) -> (Self, watch::Receiver<BTreeSet<BackendName>>) {
        let file = state_dir.join("drained.json");
        let (names, watched) = watch::channel(store::load(&file));
        (Self { names, file: Mutex::new(file) }, watched)
    }

    /// Adds a backend, or takes it away, and writes that down first.
    ///
    /// # Errors
    /// It cannot be written; nothing has changed.
    pub(super) async fn set(&self, backend: &BackendName, drain: bool) -> Result<(), StoreError> {
        let file = self.file.lock().await;
        let mut names = self.names.borrow().clone();
        let changes = if drain { names.insert(backend.clone()) } else { names.remove(backend) };
        if !changes {
            return Ok(());
        }
        let (path, written) = (file.clone(), names.clone());
        let saved = tokio::task::spawn_blocking(move || store::save(&path, &written)).await;
        saved.map_err(|e| StoreError::Io {
            operation: "write",
            path: file.clone(),
            source: io::Error::other(e),
        })??;
        self.names.send_replace(names);
        Ok(())
    }
}
