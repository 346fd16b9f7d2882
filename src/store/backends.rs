//! The files that `backend add` writes into `conf.d`, one a backend.

use std::{
    fs::{self, DirBuilder},
    io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

use super::{StoreError, atomic};
use crate::model::name::BackendName;

/// Largest file read, in bytes: some times what we write.
const MAX_FILE: u64 = 64 * 1024;

/// The first line of each, by which they are told from what people wrote.
const MARK: &str = "# Written by `containarium backend add`; `backend remove` takes it away.";

/// The files beside one configuration.
#[derive(Debug)]
pub struct BackendFiles {
    main: PathBuf,
    lock: Mutex<()>,
}

impl BackendFiles {
    /// Those beside the main configuration file.
    #[must_use]
    pub fn new(main: PathBuf) -> Self {
        Self { main, lock: Mutex::default() }
    }

    /// The main configuration file.
    #[must_use]
    pub fn main(&self) -> &Path {
        &self.main
    }

    /// The file of a backend.
    #[must_use]
    pub fn path(&self, backend: &BackendName) -> PathBuf {
        self.folder().join(format!("backend-{backend}.toml"))
    }

    /// To be held from reading the configuration until it is taken over.
    pub fn lock(&self) -> MutexGuard<'_, ()> {
        self.lock.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a file can be written at all.
    ///
    /// # Errors
    /// The system refused.
    pub fn try_out(&self) -> Result<(), StoreError> {
        self.make_folder()?;
        let path = self.folder().join(".backend-probe");
        atomic::write(&path, b"", 0o600)?;
        fs::remove_file(&path).map_err(|source| StoreError::Io {
            operation: "remove",
            path,
            source,
        })
    }

    /// Writes the file of a backend, for nobody else to read.
    ///
    /// # Errors
    /// The system refused; what was there is as it was.
    pub fn write(&self, backend: &BackendName, section: &str) -> Result<(), StoreError> {
        self.make_folder()?;
        atomic::write(&self.path(backend), format!("{MARK}\n{section}").as_bytes(), 0o600)
    }

    /// What we wrote for a backend; `None` if there is no file, or somebody else wrote it.
    ///
    /// # Errors
    /// The system refused.
    pub fn read(&self, backend: &BackendName) -> Result<Option<String>, StoreError> {
        let contents = atomic::read(&self.path(backend), MAX_FILE)?;
        let text = contents.and_then(|contents| String::from_utf8(contents).ok());
        Ok(text.and_then(|text| text.strip_prefix(MARK)?.strip_prefix('\n').map(str::to_owned)))
    }

    /// Removes the file of a backend.
    ///
    /// # Errors
    /// The system refused.
    pub fn remove(&self, backend: &BackendName) -> Result<(), StoreError> {
        let path = self.path(backend);
        fs::remove_file(&path).map_err(|source| StoreError::Io {
            operation: "remove",
            path,
            source,
        })
    }

    fn folder(&self) -> PathBuf {
        self.main.parent().unwrap_or(Path::new("")).join("conf.d")
    }

    fn make_folder(&self) -> Result<(), StoreError> {
        let path = self.folder();
        match DirBuilder::new().mode(0o755).create(&path) {
            Err(e) if e.kind() != io::ErrorKind::AlreadyExists => {
                Err(StoreError::Io { operation: "create", path, source: e })
            }
            Ok(()) | Err(_) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn what_we_wrote_is_ours_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let files = BackendFiles::new(folder.path().join("sentinel.toml"));
        let name: BackendName = "b1".parse().unwrap();
        files.try_out().unwrap();
        assert_eq!(files.read(&name).unwrap(), None);
        files.write(&name, "[[backend]]\n").unwrap();
        assert_eq!(files.read(&name).unwrap().unwrap(), "[[backend]]\n");
        let mode = fs::metadata(files.path(&name)).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600);
        assert_eq!(fs::read_dir(folder.path().join("conf.d")).unwrap().count(), 1);
        fs::write(files.path(&name), "[[backend]]\n").unwrap();
        assert_eq!(files.read(&name).unwrap(), None);
        files.remove(&name).unwrap();
        assert!(files.remove(&name).is_err());
    }
}
