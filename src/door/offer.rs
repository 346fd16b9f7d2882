//! What a client shows in a request to authenticate, as far as it can be read.

use crate::{
    access::Credential,
    model::key::PublicKey,
    wire::{
        certificate::{Certificate, base_algorithm},
        signature,
        userauth::Attempt,
    },
};

/// A key or certificate that was named in a request.
pub(super) struct Offer {
    shown: Shown,
    /// The algorithm of the signature.
    pub(super) algorithm: String,
}

enum Shown {
    Key(PublicKey),
    Certificate(Box<Certificate>),
}

impl Offer {
    /// `None`: a type that is not accepted, or an algorithm that does not belong to it.
    pub(super) fn parse(attempt: &Attempt) -> Option<Self> {
        let (shown, algorithm) = match base_algorithm(&attempt.algorithm) {
            Some(base) => {
                (Shown::Certificate(Box::new(Certificate::parse(&attempt.key).ok()?)), base)
            }
            None => {
                (Shown::Key(PublicKey::from_blob(&attempt.key).ok()?), attempt.algorithm.as_str())
            }
        };
        let offer = Self { shown, algorithm: algorithm.to_owned() };
        let fits = signature::algorithms_for(offer.credential().key()).contains(&algorithm);
        fits.then_some(offer)
    }

    pub(super) fn credential(&self) -> Credential<'_> {
        match &self.shown {
            Shown::Key(key) => Credential::Key(key),
            Shown::Certificate(certificate) => Credential::Certificate(certificate),
        }
    }

    pub(super) fn is_plain_key(&self) -> bool {
        matches!(self.shown, Shown::Key(_))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::authorized_keys::KeyOptions,
        wire::{
            certificate::{Parameters, issue},
            identity::Identity,
            signature::SERVER_SIG_ALGS,
        },
    };

    fn key(name: &str) -> PublicKey {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/keys/").to_owned() + name;
        PublicKey::from_line(&std::fs::read_to_string(path + ".pub").unwrap()).unwrap()
    }

    /// Request algorithms that are taken with this blob, and those that sign then.
    fn taken(blob: &[u8]) -> Vec<(String, String)> {
        let plain = SERVER_SIG_ALGS.iter().map(|name| (*name).to_owned());
        let certified = plain.clone().map(|name| {
            let base = name.strip_suffix("@openssh.com").unwrap_or(&name).to_owned();
            format!("{base}-cert-v01@openssh.com")
        });
        let others = ["ssh-rsa", "ssh-rsa-cert-v01@openssh.com", "ssh-dss", "", "none", "\u{e9}"];
        let names = plain.chain(certified).chain(others.map(str::to_owned));
        let attempt = |algorithm: &str| Attempt {
            user: b"a".to_vec(),
            algorithm: algorithm.to_owned(),
            key: blob.to_vec(),
        };
        names.filter_map(|n| Some((n.clone(), Offer::parse(&attempt(&n))?.algorithm))).collect()
    }

    #[test]
    fn a_request_names_an_algorithm_of_the_key_that_it_shows() {
        for (name, algorithms) in [
            ("ed25519", &["ssh-ed25519"][..]),
            ("p256", &["ecdsa-sha2-nistp256"]),
            ("p384", &["ecdsa-sha2-nistp384"]),
            ("p521", &["ecdsa-sha2-nistp521"]),
            ("rsa", &["rsa-sha2-512", "rsa-sha2-256"]),
        ] {
            let expected: Vec<_> =
                algorithms.iter().map(|a| ((*a).to_owned(), (*a).to_owned())).collect();
            assert_eq!(taken(key(name).blob()), expected, "{name}");
        }
        assert_eq!(taken(b""), []);
        assert_eq!(taken(&[0xff; 100]), []);
    }

    #[test]
    fn a_certificate_is_shown_under_its_own_algorithm_alone() {
        let ca = Identity::generate_ed25519().unwrap();
        let parameters = Parameters {
            serial: 1,
            key_id: "id",
            principals: &["a"],
            valid_after: 0,
            valid_before: u64::MAX,
            restrictions: &KeyOptions::default(),
        };
        let certificate = issue(&ca, &key("ed25519"), &parameters).unwrap();
        let name = "ssh-ed25519-cert-v01@openssh.com".to_owned();
        assert_eq!(taken(&certificate), [(name, "ssh-ed25519".to_owned())]);
    }
}
