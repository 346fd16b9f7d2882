//! When hosts were started or reset, so that a sentinel that starts again and again does not do it
//! more often than it may. One JSON file; losing it loses nothing else.

use std::{collections::BTreeMap, path::Path};

use serde::{Deserialize, Serialize};

use super::{StoreError, records};
use crate::model::name::BackendName;

/// Seconds for which an action counts: the limit is one by the hour.
const WORTH: i64 = 3600;
/// Largest file read, in bytes: the 500 hosts of a full configuration, each acted on sixty times.
const MAX_FILE: u64 = 1024 * 1024;

/// The actions on each host, the newest last, in seconds since 1970.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actions(BTreeMap<BackendName, Vec<i64>>);

impl Actions {
    /// Reads the file. Without one, or with one that cannot be used, nothing is known.
    #[must_use]
    pub fn load(path: &Path) -> Self {
        records::load(path, MAX_FILE, "how often hosts were started is not known")
    }

    /// Writes the file.
    ///
    /// # Errors
    /// The system refused; the file is as it was before.
    pub fn save(&self, path: &Path) -> Result<(), StoreError> {
        records::save(path, self)
    }

    /// Remembers an action, and forgets those that do not count any more.
    pub fn note(&mut self, backend: &BackendName, now: i64) {
        self.0.entry(backend.clone()).or_default().push(now);
        for all in self.0.values_mut() {
            all.retain(|at| age(*at, now) < WORTH);
        }
        self.0.retain(|_, all| !all.is_empty());
    }

    /// How many seconds ago a host was acted on in the last hour, the latest last.
    #[must_use]
    pub fn ages(&self, backend: &BackendName, now: i64) -> Vec<u64> {
        let all = self.0.get(backend).into_iter().flatten().map(|at| age(*at, now));
        let mut ages: Vec<_> = all.filter(|age| *age < WORTH).map(i64::unsigned_abs).collect();
        ages.sort_unstable_by(|a, b| b.cmp(a));
        ages
    }
}

/// What lies ahead, as the clock was set back since, counts as now: it may be that it was.
fn age(at: i64, now: i64) -> i64 {
    now.saturating_sub(at).max(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_hour_is_remembered_whatever_the_clock_does() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("recoveries.json");
        let (b1, b2): (BackendName, BackendName) = ("b1".parse().unwrap(), "b2".parse().unwrap());
        let mut actions = Actions::load(&path);
        for now in [1000, 2000, 4000] {
            actions.note(&b1, now);
        }
        actions.save(&path).unwrap();
        let mut actions = Actions::load(&path);
        assert_eq!(actions.ages(&b1, 4100), [3100, 2100, 100]);
        assert_eq!(actions.ages(&b1, 4600), [2600, 600], "an hour after the first");
        assert_eq!(actions.ages(&b1, 1500), [500, 0, 0], "the clock was set back");
        assert_eq!(actions.ages(&b2, 4100), [0_u64; 0]);
        actions.note(&b2, 7600);
        assert_eq!(actions.0, BTreeMap::from([(b2, vec![7600])]), "no more than counts");
        std::fs::write(&path, r#"{"b1":["x"]}"#).unwrap();
        assert_eq!(Actions::load(&path), Actions::default());
        assert_eq!(age(i64::MIN, i64::MAX), i64::MAX);
    }
}
