//! Who is banned. One JSON file; losing it lets everybody try again, and costs nothing else.

use std::path::Path;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{StoreError, atomic, records};

/// Largest file read, in bytes: the most bans that there are take two thirds.
const MAX_FILE: u64 = 16 * 1024 * 1024;

/// A ban, in the time of the wall clock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// Whom it hits.
    pub network: String,
    /// Its number.
    pub id: String,
    /// Since when.
    pub since: Timestamp,
    /// Until when, also if that is past; `None`: until it is removed.
    pub until: Option<Timestamp>,
    /// Who decreed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// The failures for which, unless it was decreed.
    #[serde(default)]
    pub failures: u8,
    /// The how manieth in a row it is.
    #[serde(default)]
    pub strikes: u8,
    /// Somebody was told.
    #[serde(default)]
    pub told: bool,
}

/// All bans.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bans(pub Vec<Kept>);

impl Bans {
    /// Reads the file. Without one nobody is banned; one that cannot be used is put aside for somebody
    /// to look at.
    #[must_use]
    pub fn load(path: &Path) -> Self {
        let read = atomic::read(path, MAX_FILE).and_then(|contents| {
            let Some(contents) = contents else { return Ok(Self::default()) };
            serde_json::from_slice(&contents).map_err(|e| records::corrupt(path, &e))
        });
        read.unwrap_or_else(|error| {
            match atomic::put_aside(path) {
                Ok(aside) => {
                    tracing::warn!(%error, aside = %aside.display(), "nobody is banned any more");
                }
                Err(also) => tracing::warn!(%error, %also, "nobody is banned any more"),
            }
            Self::default()
        })
    }

    /// Writes the file.
    ///
    /// # Errors
    /// The system refused; the file is as it was before.
    pub fn save(&self, path: &Path) -> Result<(), StoreError> {
        records::save(path, self)
    }
}

#[cfg(test)]
mod tests {
    use std::io::{self, Write as _};

    use super::{super::killed, *};

    fn ban(by: Option<&str>) -> Kept {
        Kept {
            network: "2001:db8::/64".to_owned(),
            id: "abc234".to_owned(),
            since: Timestamp::UNIX_EPOCH,
            until: by.is_none().then_some(Timestamp::UNIX_EPOCH),
            by: by.map(str::to_owned),
            failures: 3,
            strikes: 1,
            told: true,
        }
    }

    #[test]
    fn bans_are_read_as_they_were_written_and_what_is_none_is_put_aside() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bans.json");
        assert_eq!(Bans::load(&path), Bans::default());
        let bans = Bans(vec![ban(None), ban(Some("ops"))]);
        bans.save(&path).unwrap();
        assert_eq!(Bans::load(&path), bans);
        std::fs::write(&path, "[{\"network\":").unwrap();
        assert_eq!(Bans::load(&path), Bans::default());
        assert!(!path.exists() && folder.path().join("bans.json.bad").exists());
    }

    #[test]
    fn a_killed_writer_leaves_the_bans_before_or_after() {
        if let Some(path) = killed::file() {
            write_for_ever(&path);
        }
        let name = "store::bans::tests::a_killed_writer_leaves_the_bans_before_or_after";
        killed::kill_writers(name, "bans.json", |writers, path| {
            let mut known = 0;
            for (kill, said) in writers.enumerate() {
                let said = said.max(known);
                let found = Bans::load(path);
                known = number(&found);
                assert!(
                    (said..=said + 1).contains(&known),
                    "kill {kill}: {said} said, {known} there"
                );
                assert!(found == numbered(known), "kill {kill}: {found:?}");
            }
            assert!(known > 0 && !path.with_extension("json.bad").exists(), "{known}");
        });
    }

    /// So many bans, up to 200: some are longer than those that they replace, some shorter.
    fn numbered(number: i64) -> Bans {
        let count = if number == 0 { 0 } else { 1 + number * 37 % 200 };
        let id = || Kept { id: number.to_string(), ..ban(None) };
        Bans((0..count).map(|_| id()).collect())
    }

    fn number(bans: &Bans) -> i64 {
        bans.0.first().map_or(0, |ban| ban.id.parse().unwrap())
    }

    fn write_for_ever(path: &Path) -> ! {
        let mut written = number(&Bans::load(path));
        loop {
            io::stderr().write_all(format!("{written}\n").as_bytes()).unwrap();
            numbered(written + 1).save(path).unwrap();
            written += 1;
        }
    }
}
