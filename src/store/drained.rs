//! Which backends an administrator has drained: one JSON list of names. Losing it means that
//! something new may be placed there again.

use std::{collections::BTreeSet, path::Path};

use super::{StoreError, atomic};
use crate::model::name::BackendName;

/// Largest file read, in bytes: 500 names, which is all that a configuration holds.
const MAX_FILE: u64 = 64 * 1024;

/// Reads the file; without one, or with one that cannot be used, nothing is drained. The latter is
/// logged.
#[must_use]
pub fn load(path: &Path) -> BTreeSet<BackendName> {
    let read = atomic::read(path, MAX_FILE).and_then(|contents| {
        let Some(contents) = contents else { return Ok(BTreeSet::new()) };
        serde_json::from_slice(&contents)
            .map_err(|e| StoreError::Corrupt { path: path.to_owned(), reason: e.to_string() })
    });
    read.unwrap_or_else(|error| {
        tracing::warn!(%error, "the list of drained backends is not used");
        BTreeSet::new()
    })
}

/// Writes the file.
///
/// # Errors
/// The system refused; the file is as it was before.
pub fn save(path: &Path, drained: &BTreeSet<BackendName>) -> Result<(), StoreError> {
    let contents = serde_json::to_vec(drained)
        .map_err(|e| StoreError::Corrupt { path: path.to_owned(), reason: e.to_string() })?;
    atomic::write(path, &contents, 0o600)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_saved_is_loaded_and_garbage_is_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("drained.json");
        assert!(load(&path).is_empty());
        let drained = BTreeSet::from(["b1".parse().unwrap(), "b2".parse().unwrap()]);
        save(&path, &drained).unwrap();
        assert_eq!(load(&path), drained);
        std::fs::write(&path, r#"["../b"]"#).unwrap();
        assert!(load(&path).is_empty());
    }
}
