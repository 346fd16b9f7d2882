//! One certificate with its key: from PEM to what TLS serves, or what is wrong with it. Pure.

use std::{net::IpAddr, sync::Arc};

use aws_lc_rs::digest::{SHA256, digest};
use jiff::Timestamp;
use rustls::{
    crypto::aws_lc_rs as provider,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    sign::CertifiedKey,
};
use x509_parser::{extensions::GeneralName, parse_x509_certificate};
use zeroize::Zeroizing;

use crate::model::text::printable;

/// Largest file, in bytes: many times what a chain takes.
pub(super) const MAX_FILE: usize = 64 * 1024;

/// Names of one certificate that are known: CAs allow 100.
const MAX_NAMES: usize = 100;

/// The files of one certificate.
#[derive(Clone, PartialEq, Eq)]
pub struct Pem {
    /// The certificate, and those that lead to its CA.
    pub certificate: Vec<u8>,
    /// Its private key.
    pub key: Zeroizing<Vec<u8>>,
}

/// A certificate that can be served: its key belongs to it.
pub struct Certificate {
    /// The hosts that it is for: names, of which the first label may be `*`, and addresses.
    pub names: Vec<String>,
    /// From when it is valid.
    pub from: Timestamp,
    /// Until when it is valid.
    pub until: Timestamp,
    /// SHA-256, in hexadecimal digits.
    pub fingerprint: String,
    pub(super) key: Arc<CertifiedKey>,
}

/// Why a certificate cannot be served.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadCertificate {
    /// The file of the certificate or that of the key.
    #[error("the {0} is larger than {MAX_FILE} bytes")]
    TooLarge(&'static str),
    /// No PEM, or one of something else.
    #[error("there is no certificate in its file")]
    NoCertificate,
    /// A key where a certificate should be.
    #[error(
        "the file of the certificate has a private key and no certificate: give them the other way round"
    )]
    Swapped,
    /// No PEM, or one of something else.
    #[error("there is no private key in its file")]
    NoKey,
    /// It needs a passphrase.
    #[error("the private key is protected by a passphrase")]
    Encrypted,
    /// The key of another certificate.
    #[error(
        "key and certificate do not belong together; the certificate of the key has to be the first in its file"
    )]
    Mismatch,
    /// Something in one of the files is broken.
    #[error("the {0} cannot be used: {1}")]
    Broken(&'static str, String),
}

impl Certificate {
    /// Reads a certificate and its key.
    ///
    /// # Errors
    /// It cannot be served.
    pub fn from_pem(pem: &Pem) -> Result<Self, BadCertificate> {
        for (what, bytes) in [("certificate", &pem.certificate), ("key", &*pem.key)] {
            if bytes.len() > MAX_FILE {
                return Err(BadCertificate::TooLarge(what));
            }
        }
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem.certificate).collect();
        let chain = chain.map_err(|_| broken("certificate", "its PEM is cut off or damaged"))?;
        let Some(first) = chain.first().cloned() else {
            let swapped = PrivateKeyDer::from_pem_slice(&pem.certificate).is_ok();
            return Err(if swapped {
                BadCertificate::Swapped
            } else {
                BadCertificate::NoCertificate
            });
        };
        let key = PrivateKeyDer::from_pem_slice(&pem.key).map_err(|_| {
            let text = String::from_utf8_lossy(&pem.key);
            if text.contains("ENCRYPTED") {
                BadCertificate::Encrypted
            } else {
                BadCertificate::NoKey
            }
        })?;
        let provider = provider::default_provider();
        let key = CertifiedKey::from_der(chain, key, &provider).map_err(|e| {
            let is_another = matches!(e, rustls::Error::InconsistentKeys(_));
            if is_another { BadCertificate::Mismatch } else { broken("key", e) }
        })?;
        Self::describe(&first, key)
    }

    fn describe(der: &CertificateDer<'_>, key: CertifiedKey) -> Result<Self, BadCertificate> {
        let (_, parsed) = parse_x509_certificate(der).map_err(|e| broken("certificate", e))?;
        let time = |seconds| Timestamp::from_second(seconds).map_err(|e| broken("certificate", e));
        let validity = parsed.validity();
        let names = parsed.subject_alternative_name().ok().flatten();
        let names = names.iter().flat_map(|found| &found.value.general_names);
        Ok(Self {
            names: names.filter_map(host).take(MAX_NAMES).collect(),
            from: time(validity.not_before.timestamp())?,
            until: time(validity.not_after.timestamp())?,
            fingerprint: hex(digest(&SHA256, der).as_ref()),
            key: Arc::new(key),
        })
    }

    /// Whether it is valid at that time.
    #[must_use]
    pub fn is_valid(&self, now: Timestamp) -> bool {
        (self.from..=self.until).contains(&now)
    }

    /// How exactly it is for a host: 2 by name, 1 by a wildcard, 0 not at all.
    pub(super) fn matches(&self, host: &str) -> u8 {
        let parent = host.split_once('.').map(|(_, parent)| parent);
        let is_wild = |name: &str| {
            let rest = name.strip_prefix("*.");
            rest.is_some_and(|rest| parent.is_some_and(|p| p.eq_ignore_ascii_case(rest)))
        };
        let exact = self.names.iter().any(|name| name.eq_ignore_ascii_case(host));
        if exact { 2 } else { u8::from(self.names.iter().any(|name| is_wild(name))) }
    }
}

fn host(name: &GeneralName<'_>) -> Option<String> {
    if let GeneralName::DNSName(name) = name {
        return Some(printable(name, 253));
    }
    let GeneralName::IPAddress(bytes) = name else { return None };
    let v4 = <[u8; 4]>::try_from(*bytes).map(IpAddr::from);
    let address = v4.or_else(|_| <[u8; 16]>::try_from(*bytes).map(IpAddr::from));
    address.ok().map(|address| address.to_string())
}

fn broken(what: &'static str, why: impl std::fmt::Display) -> BadCertificate {
    BadCertificate::Broken(what, printable(&why.to_string(), 200))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
}

#[cfg(test)]
pub(super) mod tests {
    use rcgen::{CertificateParams, KeyPair};
    use x509_parser::time::ASN1Time;

    use super::*;

    /// The time of these tests, and a day, in seconds.
    pub(in super::super) const NOW: i64 = 1_800_000_000;
    pub(in super::super) const DAY: i64 = 86_400;

    /// A certificate for `names`, valid for the given days from [`NOW`] on.
    pub(in super::super) fn pem(names: &[&str], (from, until): (i64, i64)) -> Pem {
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        let time = |days| ASN1Time::from_timestamp(NOW + days * DAY).unwrap().to_datetime();
        (params.not_before, params.not_after) = (time(from), time(until));
        let key = KeyPair::generate().unwrap();
        Pem {
            certificate: params.self_signed(&key).unwrap().pem().into_bytes(),
            key: Zeroizing::new(key.serialize_pem().into_bytes()),
        }
    }

    #[test]
    fn names_and_times_are_read() {
        let names = ["a.example", "*.b.example", "192.0.2.7"];
        let read = Certificate::from_pem(&pem(&names, (-1, 90))).unwrap();
        assert_eq!(read.names, names);
        assert_eq!(read.until.as_second(), NOW + 90 * DAY);
        let at = |days: i64| Timestamp::from_second(NOW + days * DAY).unwrap();
        assert!(read.is_valid(at(0)) && !read.is_valid(at(91)) && !read.is_valid(at(-2)));
        let hosts = ["A.example", "x.b.example", "b.example", "x.y.b.example", "c.example"];
        assert_eq!(hosts.map(|host| read.matches(host)), [2, 1, 0, 0, 0]);
    }

    #[test]
    fn what_cannot_be_served_is_told() {
        let (one, other) = (pem(&["a"], (0, 1)), pem(&["a"], (0, 1)));
        let bad = |certificate: &[u8], key: &[u8]| {
            let (certificate, key) = (certificate.to_vec(), Zeroizing::new(key.to_vec()));
            Certificate::from_pem(&Pem { certificate, key }).err().unwrap()
        };
        assert_eq!(bad(&one.certificate, &other.key), BadCertificate::Mismatch);
        assert_eq!(bad(&one.key, &one.certificate), BadCertificate::Swapped);
        assert_eq!(bad(b"", &one.key), BadCertificate::NoCertificate);
        assert_eq!(bad(&one.certificate, b"hello"), BadCertificate::NoKey);
        assert_eq!(
            bad(&one.certificate, &vec![b'x'; MAX_FILE + 1]),
            BadCertificate::TooLarge("key")
        );
        let half = &one.certificate[..one.certificate.len() / 2];
        assert!(matches!(
            bad(half, &one.key),
            BadCertificate::NoCertificate | BadCertificate::Broken(..)
        ));
        let locked =
            b"-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
        assert_eq!(bad(&one.certificate, locked), BadCertificate::Encrypted);
    }
}
