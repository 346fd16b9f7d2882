//! Certificates that are good, forged, expired or restricted.

use std::net::{IpAddr, Ipv4Addr};

use proptest::prelude::*;

use super::*;
use crate::{model::authorized_keys::KeyOptions, wire::identity::Identity};

const HOME: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
const NOW: u64 = 1_000;

/// A certificate field by field; what `build` writes is signed whatever it says.
#[derive(Clone)]
struct Draft {
    kind: u32,
    principals: Vec<&'static str>,
    valid: (u64, u64),
    critical: Vec<(&'static str, Vec<u8>)>,
    extensions: Vec<&'static str>,
}

impl Default for Draft {
    fn default() -> Self {
        Self {
            kind: TYPE_USER,
            principals: vec!["alice"],
            valid: (0, u64::MAX),
            critical: Vec::new(),
            extensions: vec!["permit-pty"],
        }
    }
}

impl Draft {
    fn body(&self, subject: &PublicKey, authority: &[u8]) -> Vec<u8> {
        let mut fields = Reader::new(subject.blob());
        fields.string().unwrap();
        let mut blob = Vec::new();
        blob.put_string(b"ssh-ed25519-cert-v01@openssh.com");
        blob.put_string(b"nonce");
        blob.put_string(fields.string().unwrap());
        blob.put_uint64(7);
        blob.put_uint32(self.kind);
        blob.put_string(b"id");
        let mut list = Vec::new();
        self.principals.iter().for_each(|p| list.put_string(p.as_bytes()));
        blob.put_string(&list);
        blob.put_uint64(self.valid.0);
        blob.put_uint64(self.valid.1);
        let mut list = Vec::new();
        for (name, data) in &self.critical {
            list.put_string(name.as_bytes());
            list.put_string(data);
        }
        blob.put_string(&list);
        let mut list = Vec::new();
        for name in &self.extensions {
            list.put_string(name.as_bytes());
            list.put_string(b"");
        }
        blob.put_string(&list);
        blob.put_string(b"");
        blob.put_string(authority);
        blob
    }

    fn build(&self, ca: &Identity) -> Vec<u8> {
        let subject = Identity::generate_ed25519().unwrap();
        let mut blob = self.body(subject.public_key(), ca.public_key().blob());
        let signature = ca.sign("ssh-ed25519", &blob).unwrap();
        blob.put_string(&signature);
        blob
    }

    fn check(&self, principal: &str) -> Result<Granted, CertificateError> {
        let ca = Identity::generate_ed25519().unwrap();
        let certificate = Certificate::parse(&self.build(&ca)).unwrap();
        certificate.validate(&[ca.public_key().clone()], principal, HOME, NOW)
    }
}

fn text(value: &str) -> Vec<u8> {
    let mut data = Vec::new();
    data.put_string(value.as_bytes());
    data
}

#[test]
fn only_a_literal_principal_counts() {
    let draft =
        |principals: &[&'static str]| Draft { principals: principals.to_vec(), ..Draft::default() };
    assert!(draft(&["alice"]).check("alice").is_ok());
    assert!(draft(&["bob", "alice"]).check("alice").is_ok());
    for (principals, name) in [
        (&[][..], "alice"),
        (&[], ""),
        (&[""], ""),
        (&["alice,bob"], "alice"),
        (&["alice,bob"], "bob"),
        (&["Alice"], "alice"),
        (&["alice"], "alice "),
        (&["alice"], "alice+bob"),
        (&["*"], "alice"),
    ] {
        let refused = draft(principals).check(name);
        assert_eq!(refused, Err(CertificateError::Principal), "{principals:?} {name:?}");
    }
}

#[test]
fn time_and_type_are_enforced() {
    let valid = |after, before| Draft { valid: (after, before), ..Draft::default() }.check("alice");
    assert!(valid(NOW, NOW + 1).is_ok());
    assert_eq!(valid(NOW + 1, u64::MAX), Err(CertificateError::NotYetValid));
    assert_eq!(valid(0, NOW), Err(CertificateError::Expired));
    assert_eq!(valid(0, 0), Err(CertificateError::Expired));
    for kind in [0, 2, 3] {
        let refused = Draft { kind, ..Draft::default() }.check("alice");
        assert_eq!(refused, Err(CertificateError::NotUser));
    }
}

#[test]
fn critical_options_are_honoured_or_refused() {
    let with = |critical: Vec<(&'static str, Vec<u8>)>| {
        Draft { critical, ..Draft::default() }.check("alice").map(|g| g.restrictions)
    };
    let forced = with(vec![("force-command", text("ls"))]).unwrap();
    assert_eq!(forced.command.as_deref(), Some("ls"));
    assert!(with(vec![("verify-required", Vec::new())]).unwrap().verify_required);
    assert!(with(vec![("source-address", text("192.0.2.0/24"))]).is_ok());
    let elsewhere = with(vec![("source-address", text("10.0.0.0/8"))]);
    assert_eq!(elsewhere, Err(CertificateError::Source));
    assert!(matches!(
        with(vec![("source-address", text("192.0.2.0/24,nonsense"))]),
        Err(CertificateError::SourceList(_))
    ));
    for critical in [
        vec![("unknown", Vec::new())],
        vec![("Force-Command", text("ls"))],
        vec![("permit-pty", Vec::new())],
        vec![("verify-required", text("yes"))],
        vec![("force-command", text("a")), ("force-command", text("b"))],
    ] {
        assert_eq!(with(critical), Err(CertificateError::CriticalOption));
    }
    for data in [Vec::new(), vec![0, 0, 0, 9, b'x'], [text("a"), text("b")].concat()] {
        assert_eq!(with(vec![("force-command", data)]), Err(CertificateError::Malformed));
    }
}

#[test]
fn absent_extensions_are_not_permitted_and_unknown_ones_mean_nothing() {
    let with = |extensions: &[&'static str]| {
        let draft = Draft { extensions: extensions.to_vec(), ..Draft::default() };
        draft.check("alice").unwrap().restrictions
    };
    let none = with(&["unknown@example.org"]);
    assert!(none.no_pty && none.no_port_forwarding && none.no_agent_forwarding);
    assert!(none.no_x11_forwarding && none.no_user_rc && !none.no_touch_required);
    let all = with(&[
        "no-touch-required",
        "permit-X11-forwarding",
        "permit-agent-forwarding",
        "permit-port-forwarding",
        "permit-pty",
        "permit-user-rc",
    ]);
    assert_eq!(all, KeyOptions { no_touch_required: true, ..KeyOptions::default() });
}

#[test]
fn an_authority_must_be_known_and_must_have_signed() {
    let (ca, stranger) =
        (Identity::generate_ed25519().unwrap(), Identity::generate_ed25519().unwrap());
    let blob = Draft::default().build(&ca);
    let certificate = Certificate::parse(&blob).unwrap();
    let validate = |c: &Certificate, cas: &[PublicKey]| c.validate(cas, "alice", HOME, NOW);
    for cas in [vec![], vec![stranger.public_key().clone()]] {
        assert_eq!(validate(&certificate, &cas), Err(CertificateError::UnknownAuthority));
    }
    let subject = stranger.public_key();
    let mut forged = Draft::default().body(subject, ca.public_key().blob());
    let signature = stranger.sign("ssh-ed25519", &forged).unwrap();
    forged.put_string(&signature);
    let forged = Certificate::parse(&forged).unwrap();
    let refused = validate(&forged, &[ca.public_key().clone()]);
    assert_eq!(refused, Err(CertificateError::Signature(SignatureError::Mismatch)));
}

#[test]
fn a_certificate_cannot_be_an_authority() {
    let ca = Identity::generate_ed25519().unwrap();
    let mut nested = Draft::default().build(&ca);
    for _ in 0..20 {
        let mut blob = Draft::default().body(ca.public_key(), &nested);
        let signature = ca.sign("ssh-ed25519", &blob).unwrap();
        blob.put_string(&signature);
        let refused = Certificate::parse(&blob);
        assert_eq!(refused, Err(CertificateError::Key(KeyError::Unsupported)));
        nested = blob;
    }
}

#[test]
fn a_changed_or_cut_certificate_grants_nothing() {
    let ca = Identity::generate_ed25519().unwrap();
    let cas = [ca.public_key().clone()];
    let blob = Draft { critical: vec![("force-command", text("ls"))], ..Draft::default() };
    let blob = blob.build(&ca);
    let grants = |blob: &[u8]| {
        Certificate::parse(blob).is_ok_and(|c| c.validate(&cas, "alice", HOME, NOW).is_ok())
    };
    assert!(grants(&blob));
    for len in 0..blob.len() {
        assert!(Certificate::parse(&blob[..len]).is_err(), "cut at {len}");
    }
    for bit in 0..blob.len() * 8 {
        let mut bad = blob.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        assert!(!grants(&bad), "bit {bit}");
    }
    assert!(!grants(&[&blob[..], &[0]].concat()));
    assert_eq!(Certificate::parse(&vec![0; 1 << 20]), Err(CertificateError::Malformed));
}

#[test]
fn lists_are_bounded() {
    let ca = Identity::generate_ed25519().unwrap();
    for count in [MAX_PRINCIPALS, MAX_PRINCIPALS + 1] {
        let draft = Draft { principals: vec!["a"; count], ..Draft::default() };
        assert_eq!(Certificate::parse(&draft.build(&ca)).is_ok(), count == MAX_PRINCIPALS);
    }
    let draft = Draft { extensions: vec!["a"; MAX_OPTIONS + 1], ..Draft::default() };
    assert!(Certificate::parse(&draft.build(&ca)).is_err());
}

#[test]
fn ours_says_what_it_was_told() {
    let ca = Identity::generate_ed25519().unwrap();
    let subject = Identity::generate_ed25519().unwrap();
    let restrictions =
        KeyOptions { no_pty: true, command: Some("echo hi".into()), ..KeyOptions::default() };
    let parameters = Parameters {
        serial: 7,
        key_id: "session 7 of alice",
        principals: &["alice"],
        valid_after: NOW,
        valid_before: NOW + 300,
        restrictions: &restrictions,
    };
    let blob = issue(&ca, subject.public_key(), &parameters).unwrap();
    let certificate = Certificate::parse(&blob).unwrap();
    assert_eq!(certificate.key(), subject.public_key());
    assert_eq!(certificate.authority(), ca.public_key());
    let granted = certificate.validate(&[ca.public_key().clone()], "alice", HOME, NOW).unwrap();
    assert_eq!((granted.serial, granted.key_id.as_str()), (7, "session 7 of alice"));
    assert_eq!(granted.restrictions, restrictions);
    let nobody = Parameters { principals: &[], ..parameters };
    let refused = issue(&ca, subject.public_key(), &nobody);
    assert_eq!(refused, Err(CertificateError::Principal));
}

#[test]
fn certificate_algorithms_have_a_base() {
    for (name, base) in [
        ("ssh-ed25519-cert-v01@openssh.com", Some("ssh-ed25519")),
        ("rsa-sha2-512-cert-v01@openssh.com", Some("rsa-sha2-512")),
        ("ecdsa-sha2-nistp256-cert-v01@openssh.com", Some("ecdsa-sha2-nistp256")),
        ("sk-ssh-ed25519-cert-v01@openssh.com", Some("sk-ssh-ed25519@openssh.com")),
        ("ssh-ed25519", None),
        ("", None),
    ] {
        assert_eq!(base_algorithm(name), base);
    }
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(tail: Vec<u8>) {
        let _ = Certificate::parse(&tail);
        let mut blob = Vec::new();
        blob.put_string(b"ssh-ed25519-cert-v01@openssh.com");
        blob.extend_from_slice(&tail);
        prop_assert!(Certificate::parse(&blob).is_err());
    }
}
