//! The sentinel's own private keys: host keys, the CA that signs logins at containers, and the key
//! that logs in to backends. Made on the first start, never replaced: a missing key is an error,
//! because a new one would look to every client like an attack. The certificate that backends by
//! HTTPS know us by is made when there is none.

mod client;
mod file;

use std::{
    fs::{self, DirBuilder},
    io,
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::Arc,
};

use ssh_key::PrivateKey;

pub use self::client::ClientCertificate;
use super::{StoreError, atomic};
use crate::wire::identity::{Identity, IdentityError};

/// The host key that always exists.
pub const HOST_KEY: &str = "ssh_host_ed25519_key";

/// Host keys that are used if their files exist, and the types they must have.
const OPTIONAL_HOST_KEYS: [(&str, &str); 2] =
    [("ssh_host_rsa_key", "ssh-rsa"), ("ssh_host_ecdsa_key", "ecdsa-sha2-")];

const LINK_KEY: &str = "link";
const CA_KEY: &str = "ca";

/// Written when all keys are there. From then on a missing one is an error.
const MARKER: &str = "initialised";

const MARKER_TEXT: &[u8] =
    b"The keys beside this file were made. While it exists, a missing one is an error.\n";

/// Why the keys cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyStoreError {
    /// A file or directory was not read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A private key that others can read is no secret.
    #[error("private key {path} can be read or written by others (mode {mode:04o}): chmod 600 it")]
    Mode {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// The directory can be written by others.
    #[error("directory {path} can be written by others (mode {mode:04o}): chmod 700 it")]
    DirectoryMode {
        /// The directory.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// A key that was there is there no more.
    #[error("key {path} is missing: restore it; new keys are made only in an empty directory")]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// The file does not hold a private key that can be used.
    #[error("private key {path}: {reason}")]
    Key {
        /// The file.
        path: PathBuf,
        /// Why not.
        reason: IdentityError,
    },
    /// The certificate that backends know us by cannot be read or made.
    #[error("client certificate {path}: {reason}")]
    Certificate {
        /// The file.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// A key of another type than the file's name says.
    #[error("private key {path} is of type {found}")]
    Type {
        /// The file.
        path: PathBuf,
        /// Its type.
        found: &'static str,
    },
}

/// All keys of the sentinel.
#[derive(Debug)]
pub struct Keys {
    /// Host keys, Ed25519 first.
    pub host: Arc<[Identity]>,
    /// Signs the certificates that we show to containers.
    pub ca: Arc<Identity>,
    /// Logs in to backends by SSH.
    pub link: Arc<PrivateKey>,
    /// Shows backends by HTTPS who we are.
    pub client: Arc<ClientCertificate>,
}

impl Keys {
    /// Loads the keys in `directory`, and makes those that are missing if it is the first start.
    /// Public halves are kept in `NAME.pub` beside them.
    ///
    /// # Errors
    /// A file cannot be read or written, is readable by others, is not a key of its type, or is
    /// missing although this is not the first start.
    pub fn open(directory: &Path) -> Result<Self, KeyStoreError> {
        prepare(directory)?;
        let marker = directory.join(MARKER);
        // The CA is made last: without marker or CA, an earlier start did not get to the end.
        let first = !marker.exists() && !directory.join(CA_KEY).exists();
        let get = |name: &str| {
            let path = directory.join(name);
            match file::read(&path)? {
                Some(key) => Ok((path, key)),
                None if first => Ok((path.clone(), file::generate(&path, name)?)),
                None => Err(KeyStoreError::Missing { path }),
            }
        };
        let mut host = vec![of_type("ssh-ed25519", get(HOST_KEY)?)?];
        for (name, kind) in OPTIONAL_HOST_KEYS {
            let path = directory.join(name);
            if let Some(key) = file::read(&path)? {
                host.push(of_type(kind, (path, key))?);
            }
        }
        let (link_path, link) = get(LINK_KEY)?;
        file::identity(&link_path, &link)?;
        let (ca_path, ca) = get(CA_KEY)?;
        let ca = file::identity(&ca_path, &ca)?;
        if !marker.exists() {
            atomic::write(&marker, MARKER_TEXT, 0o600)?;
        }
        file::publish(&directory.join(HOST_KEY), &host[0])?;
        file::publish(&ca_path, &ca)?;
        file::publish(&link_path, &file::identity(&link_path, &link)?)?;
        let client = Arc::new(ClientCertificate::open(directory)?);
        Ok(Self { host: host.into(), ca: Arc::new(ca), link: Arc::new(link), client })
    }
}

/// A private key file of a route, to sign with.
///
/// # Errors
/// It is missing, readable by others, or not a key that can sign here.
pub fn load_identity(path: &Path) -> Result<Identity, KeyStoreError> {
    file::identity(path, &load_private_key(path)?)
}

/// A private key file of a backend, for `russh`.
///
/// # Errors
/// It is missing, readable by others, or not a private key.
pub fn load_private_key(path: &Path) -> Result<PrivateKey, KeyStoreError> {
    file::read(path)?.ok_or_else(|| KeyStoreError::Missing { path: path.to_owned() })
}

fn prepare(directory: &Path) -> Result<(), KeyStoreError> {
    let failed = |operation| {
        let path = directory.to_owned();
        move |source: io::Error| StoreError::Io { operation, path, source }
    };
    let builder = &mut DirBuilder::new();
    builder.recursive(true).mode(0o700).create(directory).map_err(failed("create"))?;
    let metadata = fs::metadata(directory).map_err(failed("read"))?;
    let mode = metadata.permissions().mode() & 0o7777;
    if mode & 0o022 != 0 {
        return Err(KeyStoreError::DirectoryMode { path: directory.to_owned(), mode });
    }
    Ok(())
}

fn of_type(kind: &str, (path, key): (PathBuf, PrivateKey)) -> Result<Identity, KeyStoreError> {
    let identity = file::identity(&path, &key)?;
    let found = identity.public_key().algorithm();
    if found.starts_with(kind) { Ok(identity) } else { Err(KeyStoreError::Type { path, found }) }
}

#[cfg(test)]
mod tests;
