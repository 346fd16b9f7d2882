//! Which certificates are about to expire, each told once at each step. Pure.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::keystore::Keystore;

/// Days before the end at which it is told; at 0 it has expired.
const STEPS: [i64; 4] = [14, 7, 1, 0];

/// Seconds.
const DAY: i64 = 86_400;

/// A certificate that was not renewed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expiry {
    /// The hosts that it is for.
    pub names: Vec<String>,
    /// Where it comes from.
    pub source: String,
    /// Until when it is valid.
    pub until: Timestamp,
    /// Whole days until then; 0 on the last day, less than 0 afterwards.
    pub days: i64,
}

/// What was told.
#[derive(Default)]
pub(super) struct Told(BTreeMap<String, i64>);

impl Told {
    /// What is to be told now.
    pub(super) fn due(&mut self, keystore: &Keystore, now: Timestamp) -> Vec<Expiry> {
        let mut told = BTreeMap::new();
        let mut due = Vec::new();
        for (source, certificate) in keystore.by_source() {
            let left = certificate.until.as_second() - now.as_second();
            let Some(step) = STEPS.into_iter().filter(|days| left <= days * DAY).min() else {
                continue;
            };
            let last = self.0.get(&certificate.fingerprint).copied();
            if last.is_none_or(|last| step < last) {
                due.push(Expiry {
                    names: certificate.names.clone(),
                    source: source.to_string(),
                    until: certificate.until,
                    days: left.div_euclid(DAY),
                });
            }
            told.insert(certificate.fingerprint.clone(), step);
        }
        // What was renewed is forgotten.
        self.0 = told;
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        config::{CertificateFiles, CertificatePlace, CertificateSource},
        gateway::certificate::{
            pem::tests::{NOW, pem},
            read::Found,
        },
    };

    #[test]
    fn each_step_is_told_once() {
        let place = CertificatePlace::Sentinel;
        let files = CertificateFiles::Caddy("/c".into());
        let source = CertificateSource { place, files };
        let mut keystore = Keystore::default();
        keystore.follow(std::slice::from_ref(&source));
        let pems = [("x".to_owned(), pem(&["a.example"], (-1, 90)))].into();
        keystore.put(&source, Ok(Found { pems, complaint: None }));
        let mut told = Told::default();
        let mut days = |day: i64| {
            let now = Timestamp::from_second(NOW + day * DAY).unwrap();
            told.due(&keystore, now).into_iter().map(|e| e.days).collect::<Vec<_>>()
        };
        let asked = [0, 75, 76, 77, 82, 83, 84, 89, 90, 91, 99].map(&mut days);
        let expected: [&[i64]; 11] = [&[], &[], &[14], &[], &[], &[7], &[], &[1], &[0], &[], &[]];
        assert_eq!(asked, expected.map(<[i64]>::to_vec));
    }
}
