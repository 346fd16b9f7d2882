//! OpenSSH certificates (PROTOCOL.certkeys): reading those that users bring, writing the short
//! ones that we show to containers.

mod issue;
mod validate;

pub use issue::{Parameters, issue};
pub use validate::Granted;

use super::{
    codec::{Malformed, Reader, Write},
    signature::SignatureError,
};
use crate::model::{
    key::{KeyError, MAX_BLOB, PublicKey},
    source::SourceError,
};

/// Most principals in one certificate, as in OpenSSH.
pub const MAX_PRINCIPALS: usize = 256;

/// Most critical options, and most extensions, in one certificate.
pub const MAX_OPTIONS: usize = 64;

const SUFFIX: &str = "-cert-v01@openssh.com";

/// Why a certificate was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// It is not of the form PROTOCOL.certkeys describes, or larger than we read.
    #[error("malformed certificate")]
    Malformed,
    /// Not the type of any certificate that is accepted here.
    #[error("certificate type is not supported")]
    Type,
    /// The certified or the signing key is refused; a certificate may not sign one.
    #[error("key in the certificate: {0}")]
    Key(#[from] KeyError),
    /// A host certificate, or of a type yet unknown.
    #[error("not a user certificate")]
    NotUser,
    /// The signing key is none of the configured ones.
    #[error("signed by an unknown authority")]
    UnknownAuthority,
    /// The CA's signature does not hold.
    #[error("signature of the authority: {0}")]
    Signature(SignatureError),
    /// The list of principals is empty or lacks the name.
    #[error("certificate is not for this login name")]
    Principal,
    /// Its time has not come.
    #[error("certificate is not yet valid")]
    NotYetValid,
    /// Its time is over.
    #[error("certificate has expired")]
    Expired,
    /// A critical option that is unknown, repeated or malformed.
    #[error("critical option cannot be honoured")]
    CriticalOption,
    /// `source-address` cannot be enforced as written.
    #[error("source-address: {0}")]
    SourceList(#[from] SourceError),
    /// `source-address` does not allow this source.
    #[error("certificate is not valid from this address")]
    Source,
    /// Signing failed.
    #[error("certificate could not be signed")]
    Sign,
}

impl From<Malformed> for CertificateError {
    fn from(_: Malformed) -> Self {
        Self::Malformed
    }
}

/// User or host (PROTOCOL.certkeys, "type").
const TYPE_USER: u32 = 1;

/// A certificate as it was sent. Nothing of it may be believed before [`Certificate::validate`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    key: PublicKey,
    serial: u64,
    kind: u32,
    key_id: String,
    principals: Vec<String>,
    valid_after: u64,
    valid_before: u64,
    critical: Vec<(String, Vec<u8>)>,
    extensions: Vec<(String, Vec<u8>)>,
    authority: PublicKey,
    signed: Vec<u8>,
    signature: Vec<u8>,
}

impl Certificate {
    /// Reads a certificate from its wire form. Believes nothing.
    ///
    /// # Errors
    /// It is too long, malformed, of an unsupported type, or its key or signing key is.
    pub fn parse(blob: &[u8]) -> Result<Self, CertificateError> {
        if blob.len() > MAX_BLOB {
            return Err(CertificateError::Malformed);
        }
        let mut reader = Reader::new(blob);
        let base = reader.text()?.strip_suffix(SUFFIX).ok_or(CertificateError::Type)?;
        let _nonce = reader.string()?;
        let key = subject_key(base, &mut reader)?;
        let serial = reader.uint64()?;
        let kind = reader.uint32()?;
        let key_id = reader.text()?.to_owned();
        let principals = principals(reader.string()?)?;
        let (valid_after, valid_before) = (reader.uint64()?, reader.uint64()?);
        let critical = options(reader.string()?)?;
        let extensions = options(reader.string()?)?;
        let _reserved = reader.string()?;
        let authority = PublicKey::from_blob(reader.string()?)?;
        let signed = blob[..blob.len() - reader.rest().len()].to_vec();
        let signature = reader.string()?.to_vec();
        reader.end()?;
        Ok(Self {
            key,
            serial,
            kind,
            key_id,
            principals,
            valid_after,
            valid_before,
            critical,
            extensions,
            authority,
            signed,
            signature,
        })
    }

    /// The certified key: the one that must sign the login.
    #[must_use]
    pub fn key(&self) -> &PublicKey {
        &self.key
    }

    /// Whom the certificate says it is about; untrusted text.
    #[must_use]
    pub fn key_id(&self) -> &str {
        &self.key_id
    }

    /// The key that signed the certificate, if what it says is true.
    #[must_use]
    pub fn authority(&self) -> &PublicKey {
        &self.authority
    }
}

/// The signature algorithm behind a certificate algorithm of a `publickey` request: `rsa-sha2-512`
/// for `rsa-sha2-512-cert-v01@openssh.com`. `None`: not a certificate algorithm.
#[must_use]
pub fn base_algorithm(name: &str) -> Option<&str> {
    Some(match name.strip_suffix(SUFFIX)? {
        "sk-ssh-ed25519" => "sk-ssh-ed25519@openssh.com",
        "sk-ecdsa-sha2-nistp256" => "sk-ecdsa-sha2-nistp256@openssh.com",
        base => base,
    })
}

/// The certified key, from the fields of its type that a certificate holds without a length.
fn subject_key(base: &str, reader: &mut Reader<'_>) -> Result<PublicKey, CertificateError> {
    let (name, fields) = match base {
        "ssh-ed25519" => (base, 1),
        "ssh-rsa" | "ecdsa-sha2-nistp256" | "ecdsa-sha2-nistp384" | "ecdsa-sha2-nistp521" => {
            (base, 2)
        }
        "sk-ssh-ed25519" => ("sk-ssh-ed25519@openssh.com", 2),
        "sk-ecdsa-sha2-nistp256" => ("sk-ecdsa-sha2-nistp256@openssh.com", 3),
        _ => return Err(CertificateError::Type),
    };
    let mut blob = Vec::new();
    blob.put_string(name.as_bytes());
    for _ in 0..fields {
        blob.put_string(reader.string()?);
    }
    Ok(PublicKey::from_blob(&blob)?)
}

fn principals(list: &[u8]) -> Result<Vec<String>, CertificateError> {
    let mut reader = Reader::new(list);
    let mut names = Vec::new();
    while !reader.rest().is_empty() {
        if names.len() == MAX_PRINCIPALS {
            return Err(CertificateError::Malformed);
        }
        names.push(reader.text()?.to_owned());
    }
    Ok(names)
}

fn options(list: &[u8]) -> Result<Vec<(String, Vec<u8>)>, CertificateError> {
    let mut reader = Reader::new(list);
    let mut options = Vec::new();
    while !reader.rest().is_empty() {
        if options.len() == MAX_OPTIONS {
            return Err(CertificateError::Malformed);
        }
        options.push((reader.text()?.to_owned(), reader.string()?.to_vec()));
    }
    Ok(options)
}

#[cfg(test)]
mod tests;
