//! How long hosts were away when they were, so that people who wait can be told what is usual. One
//! JSON file; losing it loses nothing else.

use std::{
    collections::{BTreeMap, VecDeque},
    path::Path,
    time::Duration,
};

use serde::{Deserialize, Serialize};

use super::{StoreError, records};
use crate::model::name::BackendName;

/// Outages of a host that are remembered: enough that one odd one does not count, and few enough
/// that what has changed at the provider is soon seen.
const KEPT: usize = 9;
/// Largest file read, in bytes: 500 hosts, which is all that a configuration holds, take half.
const MAX_FILE: u64 = 128 * 1024;

/// The last outages of each host, the newest last, in seconds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outages(BTreeMap<BackendName, VecDeque<u64>>);

impl Outages {
    /// Reads the file. Without one, or with one that cannot be used, nothing is known.
    #[must_use]
    pub fn load(path: &Path) -> Self {
        records::load(path, MAX_FILE, "how long hosts were away is not known")
    }

    /// Writes the file.
    ///
    /// # Errors
    /// The system refused; the file is as it was before.
    pub fn save(&self, path: &Path) -> Result<(), StoreError> {
        records::save(path, self)
    }

    /// Remembers that a host came back after `outage`, and forgets hosts that are not `configured`.
    pub fn note(
        &mut self,
        backend: &BackendName,
        outage: Duration,
        configured: impl Fn(&BackendName) -> bool,
    ) {
        self.0.retain(|name, _| configured(name));
        let outages = self.0.entry(backend.clone()).or_default();
        outages.push_back(outage.as_secs());
        while outages.len() > KEPT {
            outages.pop_front();
        }
    }

    /// How long a host is usually away: the median, of an even number the longer of the two in the
    /// middle.
    #[must_use]
    pub fn usual(&self, backend: &BackendName) -> Option<Duration> {
        let mut outages: Vec<u64> = self.0.get(backend)?.iter().copied().collect();
        outages.sort_unstable();
        outages.get(outages.len() / 2).map(|seconds| Duration::from_secs(*seconds))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_outage_is_the_median_of_the_last_ones_and_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("outages.json");
        let (b1, b2): (BackendName, BackendName) = ("b1".parse().unwrap(), "b2".parse().unwrap());
        let mut outages = Outages::load(&path);
        assert_eq!(outages.usual(&b1), None);
        let usual = |outages: &Outages| outages.usual(&b1).map(|d| d.as_secs());
        for (seconds, expected) in [(9000, 9000), (40, 9000), (50, 50), (60, 60), (45, 50)] {
            outages.note(&b1, Duration::from_secs(seconds), |_| true);
            assert_eq!(usual(&outages), Some(expected), "after {seconds}");
        }
        outages.save(&path).unwrap();
        assert_eq!(Outages::load(&path), outages);
        for _ in 0..KEPT {
            outages.note(&b1, Duration::from_secs(7), |_| true);
        }
        assert_eq!((usual(&outages), outages.0[&b1].len()), (Some(7), KEPT));
        outages.note(&b2, Duration::from_secs(1), |name| *name == b2);
        assert_eq!(usual(&outages), None, "no longer configured");
        std::fs::write(&path, r#"{"../x":[1]}"#).unwrap();
        assert_eq!(Outages::load(&path), Outages::default());
    }
}
