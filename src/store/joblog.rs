//! What work on containers did, one file a container: for `logs` after the fact.

use std::{
    fs::{self, OpenOptions},
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::PathBuf,
};

use super::{StoreError, atomic};
use crate::model::name::ContainerName;

/// Longest file, in bytes: then its older half goes.
const MAX_FILE: u64 = 1024 * 1024;

/// The files.
#[derive(Debug, Clone)]
pub struct JobLog {
    folder: PathBuf,
}

impl JobLog {
    /// Files in `folder`, which is made when the first is written.
    #[must_use]
    pub fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// Adds one piece of work. One writer at a time for each container.
    ///
    /// # Errors
    /// The system refused.
    pub fn append(
        &self,
        container: &ContainerName,
        what: &str,
        lines: impl Iterator<Item = String>,
    ) -> Result<(), StoreError> {
        let mut text = format!("== {what} {container}\n");
        for line in lines {
            text.push_str(&line);
            text.push('\n');
        }
        let path = self.path(container);
        let failed = |operation| {
            let path = path.clone();
            move |source| StoreError::Io { operation, path, source }
        };
        fs::create_dir_all(&self.folder).map_err(failed("make the folder of"))?;
        let open = OpenOptions::new().append(true).create(true).mode(0o600).open(&path);
        let mut file = open.map_err(failed("open"))?;
        file.write_all(text.as_bytes()).map_err(failed("write"))?;
        let length = file.metadata().map_err(failed("look at"))?.len();
        if length > MAX_FILE { self.shorten(container) } else { Ok(()) }
    }

    /// Everything that is known of a container, the oldest first; empty if nothing is.
    ///
    /// # Errors
    /// The system refused.
    pub fn read(&self, container: &ContainerName) -> Result<String, StoreError> {
        // One piece of work may be longer than a file should be.
        let bytes = atomic::read(&self.path(container), 4 * MAX_FILE)?;
        Ok(bytes.map_or_else(String::new, |b| String::from_utf8_lossy(&b).into_owned()))
    }

    fn shorten(&self, container: &ContainerName) -> Result<(), StoreError> {
        let text = self.read(container)?;
        let half = text.len().saturating_sub(usize::try_from(MAX_FILE / 2).unwrap_or(0));
        let start =
            text.as_bytes().iter().skip(half).position(|b| *b == b'\n').map_or(0, |i| half + i + 1);
        atomic::write(
            &self.path(container),
            text.as_bytes().get(start..).unwrap_or_default(),
            0o600,
        )
    }

    fn path(&self, container: &ContainerName) -> PathBuf {
        self.folder.join(format!("{container}.log"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_is_added_and_the_oldest_goes() {
        let folder = tempfile::tempdir().unwrap();
        let log = JobLog::new(folder.path().join("logs"));
        let name: ContainerName = "alice".parse().unwrap();
        assert_eq!(log.read(&name).unwrap(), "");
        log.append(&name, "create", ["one".to_owned()].into_iter()).unwrap();
        assert_eq!(log.read(&name).unwrap(), "== create alice\none\n");
        for i in 0..5 {
            let lines = (0..300).map(|_| format!("{i} {}", "x".repeat(1000)));
            log.append(&name, "stack", lines).unwrap();
        }
        let text = log.read(&name).unwrap();
        assert!(text.len() <= usize::try_from(MAX_FILE).unwrap(), "{}", text.len());
        assert!(
            text.starts_with(char::is_numeric) && text.ends_with("x\n") && text.contains("4 xx")
        );
    }
}
