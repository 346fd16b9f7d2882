//! The last good inventory, so that after a restart the logins to a backend that is away are
//! still known. One JSON file; losing it loses nothing that the backends do not know better.

use std::{collections::BTreeMap, net::IpAddr, path::Path};

use serde::{Deserialize, Serialize};

use super::{StoreError, atomic};
use crate::model::{
    container::Status,
    name::{BackendName, ContainerName},
};

/// Largest file read, in bytes.
const MAX_FILE: u64 = 64 * 1024 * 1024;
/// The format's number; a file with another is not read.
const VERSION: u32 = 1;

/// What is kept.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cached {
    version: u32,
    /// By backend.
    pub backends: BTreeMap<BackendName, CachedBackend>,
}

/// What is kept of a backend.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CachedBackend {
    /// When it was last listed, in seconds since 1970.
    pub refreshed: Option<i64>,
    /// Its containers.
    pub containers: Vec<CachedContainer>,
}

/// What is kept of a container: enough to build it again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CachedContainer {
    /// Its name at the door.
    pub name: ContainerName,
    /// Its state when last seen.
    pub status: Status,
    /// Its addresses when last seen.
    pub addresses: Vec<IpAddr>,
    /// Labels and limits.
    pub config: BTreeMap<String, String>,
}

impl Cached {
    /// A cache of these backends.
    #[must_use]
    pub fn new(backends: BTreeMap<BackendName, CachedBackend>) -> Self {
        Self { version: VERSION, backends }
    }

    /// The same containers, whenever they were listed.
    #[must_use]
    pub fn same_containers(&self, other: &Self) -> bool {
        self.backends.len() == other.backends.len()
            && self.backends.iter().all(|(name, backend)| {
                other.backends.get(name).is_some_and(|o| o.containers == backend.containers)
            })
    }

    /// Reads the file; without one, or with one that cannot be used, there is nothing. The latter
    /// is kept aside as `.bad` and logged.
    #[must_use]
    pub fn load(path: &Path) -> Self {
        match read(path) {
            Ok(cached) => cached,
            Err(error) => {
                let aside = atomic::put_aside(path).map(|p| p.display().to_string());
                let aside = aside.unwrap_or_else(|e| e.to_string());
                tracing::warn!(%error, aside, "cached inventory is not used");
                Self::default()
            }
        }
    }

    /// Writes the file.
    ///
    /// # Errors
    /// The system refused; the file is as it was before.
    pub fn save(&self, path: &Path) -> Result<(), StoreError> {
        let contents = serde_json::to_vec(self).map_err(|e| corrupt(path, e.to_string()))?;
        atomic::write(path, &contents, 0o600)
    }
}

fn read(path: &Path) -> Result<Cached, StoreError> {
    let Some(contents) = atomic::read(path, MAX_FILE)? else { return Ok(Cached::default()) };
    let cached: Cached =
        serde_json::from_slice(&contents).map_err(|e| corrupt(path, e.to_string()))?;
    if cached.version == VERSION {
        Ok(cached)
    } else {
        Err(corrupt(path, format!("format {} is not {VERSION}", cached.version)))
    }
}

fn corrupt(path: &Path, reason: String) -> StoreError {
    StoreError::Corrupt { path: path.to_owned(), reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Cached {
        let container = CachedContainer {
            name: "alice".parse().unwrap(),
            status: Status::Running,
            addresses: vec![IpAddr::from([10, 0, 3, 5])],
            config: BTreeMap::from([("user.containarium.owner".into(), "alice".into())]),
        };
        let backend = CachedBackend { refreshed: Some(5), containers: vec![container] };
        Cached::new(BTreeMap::from([("b1".parse().unwrap(), backend)]))
    }

    #[test]
    fn what_was_saved_is_loaded() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("inventory.json");
        assert_eq!(Cached::load(&path), Cached::default());
        sample().save(&path).unwrap();
        assert_eq!(Cached::load(&path), sample());
    }

    #[test]
    fn a_corrupt_file_is_put_aside() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("inventory.json");
        let cut = r#"{"version":1,"backends":{"b1":"#;
        let other = r#"{"version":2,"backends":{}}"#;
        let name = r#"{"version":1,"backends":{"../b":{"containers":[]}}}"#;
        for bad in ["", "{}", cut, other, name] {
            std::fs::write(&path, bad).unwrap();
            assert_eq!(Cached::load(&path), Cached::default(), "{bad}");
            assert!(!path.exists());
            let aside = std::fs::read_to_string(folder.path().join("inventory.json.bad"));
            assert_eq!(aside.unwrap(), bad);
        }
    }

    #[test]
    fn only_containers_make_a_difference() {
        let mut later = sample();
        later.backends.values_mut().for_each(|b| b.refreshed = Some(9));
        assert!(later.same_containers(&sample()));
        later.backends.values_mut().for_each(|b| b.containers.clear());
        assert!(!later.same_containers(&sample()));
    }
}
