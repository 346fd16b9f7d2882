//! The TLS certificate by which backends know the sentinel, and its key: two PEM files.

use std::{
    fmt,
    fs::File,
    io::{self, Read},
    os::unix::fs::PermissionsExt,
    path::Path,
};

use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, KeyPair, PKCS_ECDSA_P384_SHA384};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use zeroize::Zeroizing;

use super::KeyStoreError;
use crate::store::{StoreError, atomic};

/// Name in the certificate: what `incus config trust list` shows as the client's.
const COMMON_NAME: &str = "containarium sentinel";

const CERTIFICATE: &str = "client.crt";
const KEY: &str = "client.key";

/// Longest file read, in bytes: some times what a certificate takes.
const MAX_FILE: u64 = 64 * 1024;

/// A certificate and its private key.
pub struct ClientCertificate {
    certificate: CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
}

impl ClientCertificate {
    /// A new one, in no file. It does not expire: whoever trusts it ends that by not trusting it.
    ///
    /// # Errors
    /// The cryptographic library fails.
    pub fn generate() -> Result<Self, String> {
        let (certificate, key) = make().map_err(|e| e.to_string())?;
        Ok(Self {
            certificate: certificate.der().clone(),
            key: PrivateKeyDer::try_from(key.serialize_der())?,
        })
    }

    /// Reads `client.crt` and `client.key` in `directory`; makes both if both are missing.
    pub(super) fn open(directory: &Path) -> Result<Self, KeyStoreError> {
        let (certificate, key) = (directory.join(CERTIFICATE), directory.join(KEY));
        let read = (read(&certificate, false)?, read(&key, true)?);
        let (certificate_pem, key_pem) = match read {
            (Some(certificate), Some(key)) => (certificate, key),
            (None, None) => write(&certificate, &key)?,
            (None, Some(_)) => return Err(KeyStoreError::Missing { path: certificate }),
            (Some(_), None) => return Err(KeyStoreError::Missing { path: key }),
        };
        let bad = |path: &Path| {
            let path = path.to_owned();
            move |_| KeyStoreError::Certificate { path, reason: "it is no PEM of one".to_owned() }
        };
        Ok(Self {
            certificate: CertificateDer::from_pem_slice(&certificate_pem)
                .map_err(bad(&certificate))?,
            key: PrivateKeyDer::from_pem_slice(&key_pem).map_err(bad(&key))?,
        })
    }

    /// The certificate.
    #[must_use]
    pub fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// The private key.
    #[must_use]
    pub fn key(&self) -> &PrivateKeyDer<'static> {
        &self.key
    }
}

impl fmt::Debug for ClientCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientCertificate")
    }
}

fn make() -> Result<(rcgen::Certificate, KeyPair), rcgen::Error> {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384)?;
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, COMMON_NAME);
    params.extended_key_usages.push(ExtendedKeyUsagePurpose::ClientAuth);
    Ok((params.self_signed(&key)?, key))
}

type Pem = Zeroizing<Vec<u8>>;

fn write(certificate_path: &Path, key_path: &Path) -> Result<(Pem, Pem), KeyStoreError> {
    let failed = |e: rcgen::Error| KeyStoreError::Certificate {
        path: certificate_path.to_owned(),
        reason: e.to_string(),
    };
    let (certificate, key) = make().map_err(failed)?;
    let certificate = Zeroizing::new(certificate.pem().into_bytes());
    let key = Zeroizing::new(key.serialize_pem().into_bytes());
    atomic::write(key_path, &key, 0o600)?;
    atomic::write(certificate_path, &certificate, 0o644)?;
    Ok((certificate, key))
}

fn read(path: &Path, secret: bool) -> Result<Option<Pem>, KeyStoreError> {
    let failed = |source| StoreError::Io { operation: "read", path: path.to_owned(), source };
    let file = match File::open(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened.map_err(failed)?,
    };
    let mode = file.metadata().map_err(failed)?.permissions().mode() & 0o7777;
    if secret && mode & 0o077 != 0 {
        return Err(KeyStoreError::Mode { path: path.to_owned(), mode });
    }
    let mut text = Zeroizing::new(Vec::new());
    file.take(MAX_FILE).read_to_end(&mut text).map_err(failed)?;
    Ok(Some(text))
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};

    use super::*;

    #[test]
    fn the_certificate_is_made_once_and_its_key_is_secret() {
        let folder = tempfile::tempdir().unwrap();
        let first = ClientCertificate::open(folder.path()).unwrap();
        let again = ClientCertificate::open(folder.path()).unwrap();
        assert_eq!(first.certificate(), again.certificate());
        assert_eq!(first.key(), again.key());
        assert_eq!(format!("{first:?}"), "ClientCertificate");
        let key = folder.path().join(KEY);
        let mode = fs::metadata(&key).unwrap().permissions().mode() & 0o7777;
        assert_eq!(mode, 0o600);
        fs::set_permissions(&key, Permissions::from_mode(0o640)).unwrap();
        let readable = ClientCertificate::open(folder.path()).unwrap_err();
        assert!(matches!(readable, KeyStoreError::Mode { mode: 0o640, .. }), "{readable}");
        fs::remove_file(&key).unwrap();
        let lost = ClientCertificate::open(folder.path()).unwrap_err();
        assert!(matches!(lost, KeyStoreError::Missing { .. }), "{lost}");
        fs::write(&key, "no PEM").unwrap();
        fs::set_permissions(&key, Permissions::from_mode(0o600)).unwrap();
        let garbage = ClientCertificate::open(folder.path()).unwrap_err();
        assert!(matches!(garbage, KeyStoreError::Certificate { .. }), "{garbage}");
    }
}
