//! The certificates of all sources, the last good ones, and which of them a client gets. Pure.

use std::{cmp::Reverse, collections::BTreeMap, sync::Arc};

use jiff::Timestamp;
use rustls::sign::CertifiedKey;
use zeroize::Zeroizing;

use super::{
    pem::{Certificate, Pem},
    read::{Found, Missed},
};
use crate::{
    config::{CertificatePlace, CertificateSource},
    store::certificates::KeptCertificate,
};

/// The certificates of all sources, in the order of the configuration.
#[derive(Clone, Default)]
pub struct Keystore {
    entries: Vec<Entry>,
}

/// What is known of one source.
#[derive(Clone)]
struct Entry {
    source: CertificateSource,
    good: BTreeMap<String, Good>,
    problem: Option<String>,
}

#[derive(Clone)]
struct Good {
    pem: Pem,
    certificate: Arc<Certificate>,
}

/// A certificate, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct View {
    /// The hosts that it is for.
    pub names: Vec<String>,
    /// From when it is valid.
    pub from: Timestamp,
    /// Until when it is valid.
    pub until: Timestamp,
    /// Where it comes from.
    pub source: String,
}

impl Keystore {
    /// Follows a configuration: what comes from a source that stays is kept.
    pub(super) fn follow(&mut self, sources: &[CertificateSource]) {
        let mut old = std::mem::take(&mut self.entries);
        self.entries = sources
            .iter()
            .map(|source| match old.iter().position(|entry| entry.source == *source) {
                Some(at) => old.swap_remove(at),
                None => Entry { source: source.clone(), good: BTreeMap::new(), problem: None },
            })
            .collect();
    }

    /// Takes what was found at a source; true if that changed anything.
    pub(super) fn put(&mut self, source: &CertificateSource, found: Result<Found, Missed>) -> bool {
        let entry = self.entries.iter_mut().find(|entry| entry.source == *source);
        entry.is_some_and(|entry| entry.put(found))
    }

    /// Takes what was kept, where nothing newer is known.
    pub(super) fn restore(&mut self, kept: Vec<KeptCertificate>) {
        for KeptCertificate { source, name, certificate, key } in kept {
            let pem = Pem {
                certificate: certificate.into_bytes(),
                key: Zeroizing::new(key.into_bytes()),
            };
            let entry = self.entries.iter_mut().find(|entry| entry.source.to_string() == source);
            if let (Some(entry), Ok(certificate)) = (entry, Certificate::from_pem(&pem)) {
                let certificate = Arc::new(certificate);
                entry.good.entry(name).or_insert(Good { pem, certificate });
            }
        }
    }

    /// What has to be kept: all that is not on this machine anyway.
    pub(super) fn kept(&self) -> Vec<KeptCertificate> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let far = self.entries.iter().filter(|e| e.source.place != CertificatePlace::Sentinel);
        far.flat_map(|entry| {
            entry.good.iter().map(move |(name, good)| KeptCertificate {
                source: entry.source.to_string(),
                name: name.clone(),
                certificate: text(&good.pem.certificate),
                key: text(&good.pem.key),
            })
        })
        .collect()
    }

    /// The certificate for a client that asks for `host`. One that is valid goes before one that is
    /// not, then one by name before one by a wildcard, then one of an earlier source, lest a source
    /// take the names of another, then the one that lasts longest; without any the first that is
    /// valid, or the first at all. `None`: there is none.
    #[must_use]
    pub fn choose(&self, host: Option<&str>, now: Timestamp) -> Option<Arc<CertifiedKey>> {
        let matching = host.into_iter().flat_map(|host| {
            self.ranked().filter_map(move |(place, certificate)| {
                let exact = certificate.matches(host);
                let rank = (certificate.is_valid(now), exact, Reverse(place), certificate.until);
                (exact > 0).then_some((rank, certificate))
            })
        });
        let best = matching.max_by_key(|(rank, _)| *rank).map(|(_, certificate)| certificate);
        let any = || self.certificates().find(|c| c.is_valid(now));
        let chosen = best.or_else(any).or_else(|| self.certificates().next());
        chosen.map(|certificate| Arc::clone(&certificate.key))
    }

    /// Every certificate, in the order of the configuration.
    #[must_use]
    pub fn views(&self) -> Vec<View> {
        let of = |entry: &Entry| {
            let source = entry.source.to_string();
            let view = |good: &Good| View {
                names: good.certificate.names.clone(),
                from: good.certificate.from,
                until: good.certificate.until,
                source: source.clone(),
            };
            entry.good.values().map(view).collect::<Vec<_>>()
        };
        self.entries.iter().flat_map(of).collect()
    }

    /// What is wrong with sources, each as source and sentence.
    #[must_use]
    pub fn problems(&self) -> Vec<(String, String)> {
        let told = |entry: &Entry| Some((entry.source.to_string(), entry.problem.clone()?));
        self.entries.iter().filter_map(told).collect()
    }

    /// Every certificate with its source.
    pub(super) fn by_source(&self) -> impl Iterator<Item = (&CertificateSource, &Certificate)> {
        self.entries
            .iter()
            .flat_map(|entry| entry.good.values().map(|good| (&entry.source, &*good.certificate)))
    }

    /// Every certificate with the place of its source among all.
    fn ranked(&self) -> impl Iterator<Item = (usize, &Certificate)> {
        let entries = self.entries.iter().enumerate();
        entries.flat_map(|(place, e)| e.good.values().map(move |good| (place, &*good.certificate)))
    }

    fn certificates(&self) -> impl Iterator<Item = &Certificate> {
        self.by_source().map(|(_, certificate)| certificate)
    }
}

impl Entry {
    fn put(&mut self, found: Result<Found, Missed>) -> bool {
        let before = (self.problem.clone(), self.pems());
        match found {
            // Its certificates are as good as they were, and the backend is told as away elsewhere.
            Err(Missed::Away(_)) if !self.good.is_empty() => self.problem = None,
            Err(Missed::Away(why) | Missed::Unreadable(why)) => self.problem = Some(self.told(why)),
            Ok(Found { pems, complaint }) => self.take(pems, complaint),
        }
        before != (self.problem.clone(), self.pems())
    }

    fn take(&mut self, pems: BTreeMap<String, Pem>, complaint: Option<String>) {
        if complaint.is_none() {
            // Gone there, gone here: somebody took the site away.
            self.good.retain(|name, _| pems.contains_key(name));
        }
        let mut wrong = complaint;
        for (name, pem) in pems {
            if self.good.get(&name).is_some_and(|good| good.pem == pem) {
                continue;
            }
            match Certificate::from_pem(&pem) {
                Ok(certificate) => {
                    let certificate = Arc::new(certificate);
                    self.good.insert(name, Good { pem, certificate });
                }
                Err(bad) => wrong = Some(format!("{name}: {bad}")),
            }
        }
        self.problem = wrong.map(|why| self.told(why));
    }

    fn told(&self, why: String) -> String {
        if self.good.is_empty() { why } else { format!("{why}; the last good one is served") }
    }

    fn pems(&self) -> BTreeMap<String, Pem> {
        self.good.iter().map(|(name, good)| (name.clone(), good.pem.clone())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        config::CertificateFiles,
        gateway::certificate::pem::tests::{DAY, NOW, pem},
    };

    fn source(place: CertificatePlace) -> CertificateSource {
        CertificateSource { place, files: CertificateFiles::Caddy("/c".into()) }
    }

    fn found(pems: &[(&str, &Pem)]) -> Found {
        let pems = pems.iter().map(|(name, pem)| ((*name).to_owned(), (*pem).clone()));
        Found { pems: pems.collect(), complaint: None }
    }

    fn keystore(place: CertificatePlace) -> (Keystore, CertificateSource) {
        let (mut keystore, source) = (Keystore::default(), source(place));
        keystore.follow(std::slice::from_ref(&source));
        (keystore, source)
    }

    /// The first name of the certificate that a client gets.
    fn served(keystore: &Keystore, host: Option<&str>) -> Option<String> {
        let now = Timestamp::from_second(NOW).unwrap();
        let key = keystore.choose(host, now)?;
        let all = keystore.certificates();
        all.filter(|c| Arc::ptr_eq(&c.key, &key)).map(|c| c.names[0].clone()).next()
    }

    #[test]
    fn a_client_gets_the_best_certificate_for_the_name() {
        let (mut keystore, source) = keystore(CertificatePlace::Sentinel);
        assert_eq!(served(&keystore, Some("a.example")), None);
        let (exact, wild) = (pem(&["a.example"], (-1, 9)), pem(&["*.example"], (-1, 90)));
        let (old, later) = (pem(&["b.example"], (-9, -1)), pem(&["c.other"], (1, 2)));
        keystore
            .put(&source, Ok(found(&[("1", &old), ("2", &wild), ("3", &exact), ("4", &later)])));
        let served = |host| served(&keystore, host).unwrap();
        assert_eq!(served(Some("a.example")), "a.example");
        assert_eq!(served(Some("x.example")), "*.example");
        assert_eq!(served(Some("b.example")), "*.example", "valid goes before exact");
        assert_eq!(
            served(Some("c.other")),
            "c.other",
            "not valid yet, and better than a wrong one"
        );
        assert_eq!(served(Some("unknown.org")), "*.example", "the first that is valid");
        assert_eq!(served(None), "*.example");
    }

    #[test]
    fn a_source_takes_no_names_of_an_earlier_one() {
        let sources = ["b1", "b2"].map(|b| source(CertificatePlace::Backend(b.parse().unwrap())));
        let mut keystore = Keystore::default();
        keystore.follow(&sources);
        let (real, false_one) = (pem(&["a.example"], (-1, 9)), pem(&["A.example"], (-1, 9000)));
        keystore.put(&sources[1], Ok(found(&[("x", &false_one)])));
        assert_eq!(served(&keystore, Some("a.example")).unwrap(), "A.example");
        keystore.put(&sources[0], Ok(found(&[("x", &real)])));
        assert_eq!(served(&keystore, Some("a.example")).unwrap(), "a.example");
    }

    #[test]
    fn a_failure_takes_no_good_certificate_away() {
        let (mut keystore, source) = keystore(CertificatePlace::Sentinel);
        let (first, second) = (pem(&["first"], (-1, 9)), pem(&["second"], (-1, 9)));
        assert!(keystore.put(&source, Ok(found(&[("x", &first)]))));
        assert!(!keystore.put(&source, Ok(found(&[("x", &first)]))), "nothing new");
        let half = Pem { certificate: second.certificate.clone(), key: first.key.clone() };
        assert!(keystore.put(&source, Ok(found(&[("x", &half)]))));
        let told = &keystore.problems()[0].1;
        assert!(told.contains("do not belong together") && told.ends_with("is served"), "{told}");
        keystore.put(&source, Err(Missed::Unreadable("no permission".to_owned())));
        assert_eq!(served(&keystore, None).unwrap(), "first");
        assert!(keystore.put(&source, Ok(found(&[("x", &second)]))));
        assert_eq!(
            (served(&keystore, None).unwrap().as_str(), keystore.problems().len()),
            ("second", 0)
        );
        keystore.put(&source, Err(Missed::Away("b1 is away".to_owned())));
        assert_eq!(keystore.problems(), []);
        keystore.put(&source, Ok(found(&[])));
        assert_eq!(served(&keystore, None), None, "the site is gone");
        keystore.put(&source, Err(Missed::Away("b1 is away".to_owned())));
        assert_eq!(keystore.problems()[0].1, "b1 is away");
    }

    #[test]
    fn those_of_backends_are_kept_and_found_again() {
        let (mut before, source) = keystore(CertificatePlace::Backend("b1".parse().unwrap()));
        before.put(&source, Ok(found(&[("x", &pem(&["a.example"], (-1, 9)))])));
        let mut after = Keystore::default();
        after.follow(std::slice::from_ref(&source));
        after.restore(before.kept());
        assert_eq!(served(&after, Some("a.example")).unwrap(), "a.example");
        assert_eq!(after.views()[0].until.as_second(), NOW + 9 * DAY);
        after.follow(&[]);
        assert_eq!(after.views(), []);
        let (mut here, source) = keystore(CertificatePlace::Sentinel);
        here.put(&source, Ok(found(&[("x", &pem(&["a"], (-1, 9)))])));
        assert!(here.kept().is_empty(), "keys that are here already are not copied");
    }
}
