//! Certificates of backends with their keys, so that they can be served while the backends are away.
//! One JSON file that only its owner reads.

use std::{fmt, path::Path};

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{StoreError, atomic};

/// Largest file read, in bytes.
const MAX_FILE: u64 = 64 * 1024 * 1024;
/// The format's number; a file with another is not read.
const VERSION: u32 = 1;

#[derive(Default, Serialize, Deserialize)]
struct File {
    version: u32,
    certificates: Vec<KeptCertificate>,
}

/// A certificate as it is kept.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptCertificate {
    /// Where it comes from, in words.
    pub source: String,
    /// Which one of those there.
    pub name: String,
    /// The certificate with its chain, in PEM.
    pub certificate: String,
    /// Its private key, in PEM.
    pub key: String,
}

impl fmt::Debug for KeptCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("KeptCertificate");
        out.field("source", &self.source).field("name", &self.name).finish_non_exhaustive()
    }
}

/// Reads the file; none if there is no such file.
///
/// # Errors
/// It cannot be read, or is not ours.
pub fn load(path: &Path) -> Result<Vec<KeptCertificate>, StoreError> {
    let Some(bytes) = atomic::read(path, MAX_FILE)?.map(Zeroizing::new) else {
        return Ok(Vec::new());
    };
    let corrupt = |reason| StoreError::Corrupt { path: path.to_owned(), reason };
    let file: File = serde_json::from_slice(&bytes).map_err(|e| corrupt(e.to_string()))?;
    if file.version != VERSION {
        return Err(corrupt(format!("format {} is not known", file.version)));
    }
    Ok(file.certificates)
}

/// Replaces the file.
///
/// # Errors
/// It cannot be written.
pub fn save(path: &Path, certificates: Vec<KeptCertificate>) -> Result<(), StoreError> {
    let file = File { version: VERSION, certificates };
    let bytes = serde_json::to_vec(&file).map(Zeroizing::new);
    let bytes =
        bytes.map_err(|e| StoreError::Corrupt { path: path.to_owned(), reason: e.to_string() })?;
    atomic::write(path, &bytes, 0o600)
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use super::*;

    #[test]
    fn what_is_kept_is_found_again_and_for_its_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("certificates.json");
        assert_eq!(load(&path).unwrap(), []);
        let text = |text: &str| text.to_owned();
        let one = KeptCertificate {
            source: text("s"),
            name: text("n"),
            certificate: text("c"),
            key: text("secret"),
        };
        save(&path, vec![one.clone()]).unwrap();
        assert_eq!(load(&path).unwrap(), std::slice::from_ref(&one));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(!format!("{one:?}").contains("secret"));
        for bad in ["{", "{\"version\":2,\"certificates\":[]}"] {
            fs::write(&path, bad).unwrap();
            assert!(matches!(load(&path), Err(StoreError::Corrupt { .. })), "{bad}");
        }
    }
}
