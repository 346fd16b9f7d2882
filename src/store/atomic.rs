//! Replacing a file so that after a crash either the old or the new one is there, whole.

use std::{
    ffi::OsString,
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use super::StoreError;

/// Replaces `path` with `contents`, readable and writable for `mode` (for instance `0o600`).
/// One writer at a time.
///
/// # Errors
/// The system refused; `path` is as it was before.
pub fn write(path: &Path, contents: &[u8], mode: u32) -> Result<(), StoreError> {
    let failed = |operation, path: &Path| {
        let path = path.to_owned();
        move |source| StoreError::Io { operation, path, source }
    };
    let temporary = beside(path, ".tmp");
    // What a crash left behind may have another mode.
    match fs::remove_file(&temporary) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => {
            return Err(failed("remove", &temporary)(e));
        }
        Ok(()) | Err(_) => {}
    }
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(&temporary)
        .map_err(failed("create", &temporary))?;
    file.write_all(contents).map_err(failed("write", &temporary))?;
    file.sync_all().map_err(failed("sync", &temporary))?;
    fs::rename(&temporary, path).map_err(failed("rename to", path))?;
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let synced = File::open(folder).and_then(|f| f.sync_all());
    synced.map_err(failed("sync", folder))
}

/// Reads a file of at most `limit` bytes; `None` if there is none.
///
/// # Errors
/// The system refused, or the file is larger.
pub fn read(path: &Path, limit: u64) -> Result<Option<Vec<u8>>, StoreError> {
    let failed = |source| StoreError::Io { operation: "read", path: path.to_owned(), source };
    let file = match File::open(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened.map_err(failed)?,
    };
    let mut contents = Vec::new();
    file.take(limit + 1).read_to_end(&mut contents).map_err(failed)?;
    if contents.len() as u64 > limit {
        let reason = format!("larger than {limit} bytes");
        return Err(StoreError::Corrupt { path: path.to_owned(), reason });
    }
    Ok(Some(contents))
}

/// Renames `path` to `path.bad`, replacing an older one, for somebody to look at.
///
/// # Errors
/// The system refused.
pub fn put_aside(path: &Path) -> Result<PathBuf, StoreError> {
    let aside = beside(path, ".bad");
    fs::rename(path, &aside).map_err(|source| StoreError::Io {
        operation: "put aside",
        path: path.to_owned(),
        source,
    })?;
    Ok(aside)
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.file_name().map_or_else(OsString::new, OsString::from);
    name.push(suffix);
    path.with_file_name(name)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_file_is_replaced_whole_and_with_its_mode() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        fs::write(folder.path().join("x.tmp"), "left by a crash").unwrap();
        write(&path, b"one", 0o600).unwrap();
        write(&path, b"two", 0o600).unwrap();
        assert_eq!(read(&path, 3).unwrap().unwrap(), b"two");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn absence_and_excess_are_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        assert!(read(&path, 3).unwrap().is_none());
        fs::write(&path, "four").unwrap();
        assert!(matches!(read(&path, 3), Err(StoreError::Corrupt { .. })));
        assert!(write(&folder.path().join("no/x"), b"", 0o600).is_err());
    }
}
