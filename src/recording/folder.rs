//! The files of recordings: their names, of which nothing comes from people, and how long they stay.

use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
    str::FromStr,
    time::Duration,
};

use jiff::{Timestamp, civil::DateTime, tz::TimeZone};

/// How a name tells its time, in UTC.
const TIME: &str = "%Y%m%dT%H%M%SZ";

/// The name of a recording's file: `20261123T081500Z-42-1.cast`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Name {
    /// When it began, in whole seconds.
    pub began: Timestamp,
    /// Number of the session.
    pub session: u64,
    /// Which of the session's terminals, from 1.
    pub terminal: u32,
}

/// It is no recording's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Foreign;

impl Name {
    /// That of a recording which begins now: a name tells no parts of seconds.
    #[must_use]
    pub fn new(now: Timestamp, session: u64, terminal: u32) -> Self {
        let began = Timestamp::from_second(now.as_second()).unwrap_or(now);
        Self { began, session, terminal }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { began, session, terminal } = self;
        write!(f, "{}-{session}-{terminal}.cast", began.strftime(TIME))
    }
}

impl FromStr for Name {
    type Err = Foreign;

    fn from_str(text: &str) -> Result<Self, Foreign> {
        let mut parts = text.strip_suffix(".cast").ok_or(Foreign)?.split('-');
        let mut part = || parts.next().ok_or(Foreign);
        let began = DateTime::strptime(TIME, part()?).map_err(|_| Foreign)?;
        let began = began.to_zoned(TimeZone::UTC).map_err(|_| Foreign)?.timestamp();
        let session = part()?.parse().map_err(|_| Foreign)?;
        let terminal = part()?.parse().map_err(|_| Foreign)?;
        let name = Self { began, session, terminal };
        // As it would be written, and not otherwise.
        if name.to_string() == text { Ok(name) } else { Err(Foreign) }
    }
}

/// A recording on the disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// Its name.
    pub name: Name,
    /// Its file.
    pub path: PathBuf,
    /// Its length.
    pub bytes: u64,
}

/// The recordings in a folder, the oldest first; none where there is no folder.
///
/// # Errors
/// The system refused.
pub fn list(folder: &Path) -> io::Result<Vec<Stored>> {
    let entries = match fs::read_dir(folder) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut all = Vec::new();
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name().to_str().and_then(|name| name.parse().ok());
        // One that goes meanwhile, or is no file of ours, is passed over.
        if let (Some(name), Ok(data)) = (name, entry.metadata())
            && data.is_file()
        {
            all.push(Stored { name, path: entry.path(), bytes: data.len() });
        }
    }
    all.sort_by_key(|stored| stored.name);
    Ok(all)
}

/// Removes recordings that are older than `retention` at `now`, and the oldest of those that are more
/// than `max_total` bytes together; none that `stays`. How many bytes those have that stay so.
///
/// # Errors
/// The system refused.
pub fn prune(
    folder: &Path,
    (now, retention): (Timestamp, Duration),
    max_total: u64,
    stays: impl Fn(&Name) -> bool,
) -> io::Result<u64> {
    let all = list(folder)?;
    let mut total: u64 = all.iter().map(|stored| stored.bytes).sum();
    let mut kept = 0;
    let oldest = now.checked_sub(retention).unwrap_or(Timestamp::MIN);
    for Stored { name, path, bytes } in all {
        if stays(&name) {
            kept += bytes;
        } else if name.began < oldest || total > max_total {
            fs::remove_file(&path)?;
            total -= bytes;
        }
    }
    Ok(kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        text.parse().unwrap()
    }

    #[test]
    fn a_name_is_its_parts_and_nothing_else_is_a_name() {
        let text = "20261123T081500Z-42-1.cast";
        assert_eq!((name(text).session, name(text).terminal), (42, 1));
        assert_eq!(name(text).to_string(), text);
        let now = "2026-11-23T08:15:00.75Z".parse().unwrap();
        assert_eq!(Name::new(now, 42, 1), name(text));
        for foreign in [
            "",
            ".cast",
            "../20261123T081500Z-42-1.cast",
            "20261123T081500Z-42-1",
            "20261123T081500Z-42-1-1.cast",
            "20261123T081500Z-042-1.cast",
            "20261123T081500Z-+42-1.cast",
            "20261323T081500Z-42-1.cast",
            "a.cast",
        ] {
            assert_eq!(foreign.parse::<Name>(), Err(Foreign), "{foreign}");
        }
    }

    #[test]
    fn the_old_go_and_then_the_oldest_but_never_what_stays() {
        let dir = tempfile::tempdir().unwrap();
        let names = ["20260101T000000Z-1-1", "20260110T000000Z-2-1", "20260111T000000Z-3-1"];
        let put = || {
            for name in names {
                fs::write(dir.path().join(format!("{name}.cast")), [0; 100]).unwrap();
            }
            fs::write(dir.path().join("other"), [0; 100]).unwrap();
        };
        let now = "2026-01-11T12:00:00Z".parse().unwrap();
        let days = |n: u64| Duration::from_secs(n * 86_400);
        for (retention, max_total, stays, left) in [
            (30, 1000, 0, vec![1, 2, 3]),
            (5, 1000, 0, vec![2, 3]),
            (5, 1000, 1, vec![1, 2, 3]),
            (30, 250, 0, vec![2, 3]),
            (30, 250, 1, vec![1, 3]),
            (30, 50, 3, vec![3]),
            (30, 0, 0, vec![]),
        ] {
            put();
            let keep = |name: &Name| name.session == stays;
            let bytes = prune(dir.path(), (now, days(retention)), max_total, keep).unwrap();
            let all = list(dir.path()).unwrap();
            let sessions: Vec<_> = all.iter().map(|stored| stored.name.session).collect();
            assert_eq!(sessions, left, "{retention} days, {max_total} bytes");
            assert_eq!(bytes, if stays == 0 { 0 } else { 100 });
        }
        assert!(dir.path().join("other").exists());
        assert_eq!(list(&dir.path().join("nowhere")).unwrap(), []);
    }
}
