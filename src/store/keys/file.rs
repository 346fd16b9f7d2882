//! One private key in one file, in OpenSSH's format.

use std::{
    fs::{self, File},
    io::{self, Read},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use ssh_key::{LineEnding, PrivateKey};
use zeroize::Zeroizing;

use super::KeyStoreError;
use crate::{
    model::key::PublicKey,
    store::{StoreError, atomic},
    wire::identity::{Identity, IdentityError, generate_ed25519},
};

/// Longest key file read, in bytes. RSA with 8192 bits needs about 7,000.
const MAX_FILE: u64 = 64 * 1024;

/// Reads a private key; `None` if there is no such file.
pub(super) fn read(path: &Path) -> Result<Option<PrivateKey>, KeyStoreError> {
    let failed = |source| StoreError::Io { operation: "read", path: path.to_owned(), source };
    let file = match File::open(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened.map_err(failed)?,
    };
    let mode = file.metadata().map_err(failed)?.permissions().mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(KeyStoreError::Mode { path: path.to_owned(), mode });
    }
    let mut text = Zeroizing::new(Vec::new());
    file.take(MAX_FILE).read_to_end(&mut text).map_err(failed)?;
    let key = PrivateKey::from_openssh(&*text).map_err(|_| KeyStoreError::Key {
        path: path.to_owned(),
        reason: IdentityError::Invalid,
    })?;
    Ok(Some(key))
}

/// Makes a new Ed25519 key and writes it.
pub(super) fn generate(path: &Path, name: &str) -> Result<PrivateKey, KeyStoreError> {
    let failed = |reason| KeyStoreError::Key { path: path.to_owned(), reason };
    let key = generate_ed25519(&format!("containarium {name}")).map_err(failed)?;
    let text = key.to_openssh(LineEnding::LF).map_err(|_| failed(IdentityError::Failed))?;
    atomic::write(path, text.as_bytes(), 0o600)?;
    Ok(key)
}

/// The key, ready to sign.
pub(super) fn identity(path: &Path, key: &PrivateKey) -> Result<Identity, KeyStoreError> {
    Identity::from_private_key(key)
        .map_err(|reason| KeyStoreError::Key { path: path.to_owned(), reason })
}

/// Writes the public half beside the private one, unless it is there.
pub(super) fn publish(path: &Path, identity: &Identity) -> Result<(), KeyStoreError> {
    let mut name = path.as_os_str().to_owned();
    name.push(".pub");
    let public = PathBuf::from(name);
    let there = fs::read_to_string(&public).ok().and_then(|line| PublicKey::from_line(&line).ok());
    if there.as_ref() == Some(identity.public_key()) {
        return Ok(());
    }
    let comment = path.file_name().map_or_else(String::new, |n| n.to_string_lossy().into_owned());
    let line = format!("{} containarium {comment}\n", identity.public_key().to_line());
    Ok(atomic::write(&public, line.as_bytes(), 0o644)?)
}
