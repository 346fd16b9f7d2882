//! Files of JSON whose loss costs nothing but what was remembered.

use std::path::Path;

use serde::{Serialize, de::DeserializeOwned};

use super::{StoreError, atomic};

/// Reads a file of at most `limit` bytes. Without one, or with one that cannot be used, nothing is
/// known, and the log says what (`unknown`).
pub(super) fn load<T: DeserializeOwned + Default>(path: &Path, limit: u64, unknown: &str) -> T {
    let read = atomic::read(path, limit).and_then(|contents| {
        let Some(contents) = contents else { return Ok(T::default()) };
        serde_json::from_slice(&contents).map_err(|e| corrupt(path, &e))
    });
    read.unwrap_or_else(|error| {
        tracing::warn!(%error, "{unknown}");
        T::default()
    })
}

/// Writes the file.
///
/// # Errors
/// The system refused; the file is as it was before.
pub(super) fn save(path: &Path, records: &impl Serialize) -> Result<(), StoreError> {
    let contents = serde_json::to_vec(records).map_err(|e| corrupt(path, &e))?;
    atomic::write(path, &contents, 0o600)
}

pub(super) fn corrupt(path: &Path, error: &serde_json::Error) -> StoreError {
    StoreError::Corrupt { path: path.to_owned(), reason: error.to_string() }
}
