//! When which key last opened which container, so that `key list` can say it after a restart, too.
//! One JSON file; losing it loses nothing else.

use std::{collections::BTreeMap, path::Path};

use serde::{Deserialize, Serialize};

use super::{StoreError, records};
use crate::model::name::ContainerName;

/// Keys that are remembered: then the one that was not used for longest goes.
const MAX_ENTRIES: usize = 10_000;
/// Largest file read, in bytes: an entry takes about a hundred.
const MAX_FILE: u64 = 4 * 1024 * 1024;

/// The uses, by container and fingerprint, in seconds since 1970.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Uses(BTreeMap<ContainerName, BTreeMap<String, i64>>);

impl Uses {
    /// Reads the file. Without one, or with one that cannot be used, nothing is known.
    #[must_use]
    pub fn load(path: &Path) -> Self {
        records::load(path, MAX_FILE, "when keys were used last is not known")
    }

    /// Writes the file.
    ///
    /// # Errors
    /// The system refused; the file is as it was before.
    pub fn save(&self, path: &Path) -> Result<(), StoreError> {
        records::save(path, self)
    }

    /// Remembers a use.
    pub fn note(&mut self, container: &ContainerName, fingerprint: String, seconds: i64) {
        self.0.entry(container.clone()).or_default().insert(fingerprint, seconds);
        if self.0.values().map(BTreeMap::len).sum::<usize>() > MAX_ENTRIES {
            self.forget_oldest();
        }
    }

    /// The last use, if one is remembered.
    #[must_use]
    pub fn last(&self, container: &ContainerName, fingerprint: &str) -> Option<i64> {
        self.0.get(container)?.get(fingerprint).copied()
    }

    fn forget_oldest(&mut self) {
        let all = self.0.iter().flat_map(|(name, keys)| keys.iter().map(move |key| (name, key)));
        let oldest = all.min_by_key(|(_, (_, seconds))| **seconds);
        let Some((name, key)) = oldest.map(|(name, (key, _))| (name.clone(), key.clone())) else {
            return;
        };
        if let Some(keys) = self.0.get_mut(&name) {
            keys.remove(&key);
            if keys.is_empty() {
                self.0.remove(&name);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uses_are_kept_and_the_oldest_goes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key-use.json");
        assert_eq!(Uses::load(&path), Uses::default());
        let (alice, bob) = ("alice".parse().unwrap(), "bob".parse().unwrap());
        let mut uses = Uses::default();
        uses.note(&bob, "SHA256:b".to_owned(), 3);
        for i in 0..10_000 {
            uses.note(&alice, format!("SHA256:{i}"), 5 + i);
        }
        uses.note(&alice, "SHA256:7".to_owned(), 99_999);
        assert_eq!(uses.last(&bob, "SHA256:b"), None);
        uses.save(&path).unwrap();
        let kept = Uses::load(&path);
        assert_eq!(
            (kept.last(&alice, "SHA256:7"), kept.last(&alice, "SHA256:8")),
            (Some(99_999), Some(13))
        );
        assert_eq!(kept, uses);
        std::fs::write(&path, r#"{"../x":{}}"#).unwrap();
        assert_eq!(Uses::load(&path), Uses::default());
    }
}
