//! Certificates: any bytes, and certificates that are truly signed, then changed.

use std::net::IpAddr;

use containarium::{
    model::{
        authorized_keys::KeyOptions,
        key::{MAX_BLOB, PublicKey},
    },
    wire::{
        certificate::{Certificate, Granted, Parameters, issue},
        codec::Write,
        signature::{MAX_SIGNATURE, algorithms_for},
    },
};

use super::{choices::Choices, keys};

const NOW: u64 = 1_767_225_600; // 2026-01-01T00:00:00Z

/// Reads `input` as a certificate, or as a plan to sign and change one.
pub fn check(input: &[u8]) {
    let mut choices = Choices::new(input);
    match choices.byte() {
        0 => raw(choices.rest()),
        1 => issued(&mut choices),
        _ => signed(&mut choices),
    }
}

/// Bytes of a stranger: never from our CA.
fn raw(blob: &[u8]) {
    let Ok(certificate) = Certificate::parse(blob) else { return };
    assert!(blob.len() <= MAX_BLOB);
    assert!(!algorithms_for(certificate.key()).is_empty());
    assert!(validate(&certificate).is_none(), "signed by nobody, and valid");
    // Its own authority is trusted: only the signature stands between it and a login.
    let own = [certificate.authority().clone()];
    if certificate.validate(&own, "alice", source(), NOW).is_ok() {
        let mut changed = blob.to_vec();
        let at = changed.len() / 2;
        changed[at] ^= 1;
        let again = Certificate::parse(&changed).ok();
        assert!(again.is_none_or(|c| c.validate(&own, "alice", source(), NOW).is_err()));
    }
}

/// Our own certificates say what they were made to say.
fn issued(choices: &mut Choices<'_>) {
    let restrictions = KeyOptions {
        no_port_forwarding: choices.flag(),
        no_agent_forwarding: choices.flag(),
        no_x11_forwarding: choices.flag(),
        no_pty: choices.flag(),
        no_user_rc: choices.flag(),
        command: choices.flag().then(|| String::from_utf8_lossy(choices.bytes()).into_owned()),
        ..KeyOptions::default()
    };
    let id = String::from_utf8_lossy(choices.bytes()).into_owned();
    let parameters = Parameters {
        serial: choices.uint16() as u64,
        key_id: &id,
        principals: &["alice"],
        valid_after: NOW - 1,
        valid_before: NOW + 1,
        restrictions: &restrictions,
    };
    let subject = keys::USER.public_key();
    let mut blob = issue(keys::first(), subject, &parameters).unwrap();
    let certificate = Certificate::parse(&blob).unwrap();
    assert_eq!(certificate.key(), subject);
    let expected = Granted {
        key_id: id.clone(),
        serial: parameters.serial,
        restrictions: restrictions.clone(),
    };
    assert_eq!(validate(&certificate), Some(expected));
    if choices.mutate(&mut blob) {
        let changed = Certificate::parse(&blob).ok();
        assert_eq!(changed.and_then(|c| validate(&c)), None, "changed, and still valid");
    }
}

/// A certificate with the CA's true signature over fields of the input's choice.
fn signed(choices: &mut Choices<'_>) {
    let plan = Plan::read(choices);
    let mut blob = plan.encode();
    if plan.mutation_before_signing {
        choices.mutate(&mut blob);
    }
    let good = blob.len() + MAX_SIGNATURE < MAX_BLOB;
    let signature = keys::first().sign("ssh-ed25519", &blob).unwrap();
    let is_as_planned = blob == plan.encode();
    blob.put_string(&signature);
    let granted = Certificate::parse(&blob).ok().and_then(|c| validate(&c));
    if is_as_planned && good {
        let expected = plan.is_good();
        assert_eq!(granted.is_some(), expected, "{plan:?}");
        assert_eq!(granted.map(|g| g.restrictions), expected.then(|| plan.restrictions()));
    }
    if choices.mutate(&mut blob) {
        let changed = Certificate::parse(&blob).ok();
        assert_eq!(changed.and_then(|c| validate(&c)), None, "changed, and still valid");
    }
}

fn validate(certificate: &Certificate) -> Option<Granted> {
    let ca = [keys::first().public_key().clone()];
    certificate.validate(&ca, "alice", source(), NOW).ok()
}

fn source() -> IpAddr {
    IpAddr::from([192, 0, 2, 7])
}

/// Fields of a certificate, each from a table that has good and bad ones.
#[derive(Debug)]
struct Plan {
    kind: u32,
    principals: Vec<&'static str>,
    valid: (u64, u64),
    critical: Vec<Critical>,
    extensions: Vec<&'static str>,
    authority: PublicKey,
    mutation_before_signing: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Critical {
    Force,
    /// The value is not a `string` inside the data.
    ForceBare,
    Here,
    Elsewhere,
    BadList,
    Verify,
    VerifyWithData,
    Unknown,
}

const CRITICAL: [Critical; 8] = [
    Critical::Force,
    Critical::Here,
    Critical::Verify,
    Critical::ForceBare,
    Critical::Elsewhere,
    Critical::BadList,
    Critical::VerifyWithData,
    Critical::Unknown,
];

const EXTENSIONS: [&str; 7] = [
    "permit-X11-forwarding",
    "permit-agent-forwarding",
    "permit-port-forwarding",
    "permit-pty",
    "permit-user-rc",
    "no-touch-required",
    "permit-everything@example.org",
];

impl Plan {
    fn read(choices: &mut Choices<'_>) -> Self {
        let few = |choices: &mut Choices<'_>| choices.below(4);
        let names = few(choices);
        let principals =
            (0..names).map(|_| choices.one(&["alice", "bob", "", "alice+bob", "Alice"])).collect();
        let options = few(choices);
        let critical = (0..options).map(|_| choices.one(&CRITICAL)).collect();
        let permissions = few(choices);
        let extensions = (0..permissions).map(|_| choices.one(&EXTENSIONS)).collect();
        let authority = if choices.byte() < 250 { keys::first() } else { &keys::OTHER };
        Self {
            kind: u32::from(choices.one(&[1_u8, 1, 1, 2, 0])),
            principals,
            valid: (
                choices.one(&[0, NOW, NOW + 1, u64::MAX]),
                choices.one(&[u64::MAX, NOW + 1, NOW, 0]),
            ),
            critical,
            extensions,
            authority: authority.public_key().clone(),
            mutation_before_signing: choices.byte() >= 200,
        }
    }

    fn encode(&self) -> Vec<u8> {
        let mut blob = Vec::new();
        blob.put_string(b"ssh-ed25519-cert-v01@openssh.com");
        blob.put_string(&[7; 32]);
        let subject = keys::USER.public_key().blob();
        blob.put_string(&subject[subject.len() - 32..]);
        blob.put_uint64(42);
        blob.put_uint32(self.kind);
        blob.put_string(b"id");
        let mut list = Vec::new();
        self.principals.iter().for_each(|name| list.put_string(name.as_bytes()));
        blob.put_string(&list);
        blob.put_uint64(self.valid.0);
        blob.put_uint64(self.valid.1);
        list.clear();
        for option in &self.critical {
            let (name, data) = option.encode();
            list.put_string(name.as_bytes());
            list.put_string(&data);
        }
        blob.put_string(&list);
        list.clear();
        for name in &self.extensions {
            list.put_string(name.as_bytes());
            list.put_string(b"");
        }
        blob.put_string(&list);
        blob.put_string(b"");
        blob.put_string(self.authority.blob());
        blob
    }

    /// By PROTOCOL.certkeys, for login name `alice` from 192.0.2.7 at [`NOW`].
    fn is_good(&self) -> bool {
        let names = self.critical.iter().map(|option| option.encode().0);
        let mut unique: Vec<_> = names.clone().collect();
        unique.sort_unstable();
        unique.dedup();
        let honoured = |option: &Critical| {
            matches!(option, Critical::Force | Critical::Here | Critical::Verify)
        };
        self.kind == 1
            && self.authority == *keys::first().public_key()
            && self.principals.contains(&"alice")
            && (self.valid.0..self.valid.1).contains(&NOW)
            && self.critical.iter().all(honoured)
            && unique.len() == names.count()
    }

    fn restrictions(&self) -> KeyOptions {
        let lacks = |name: &str| !self.extensions.contains(&name);
        KeyOptions {
            no_port_forwarding: lacks("permit-port-forwarding"),
            no_agent_forwarding: lacks("permit-agent-forwarding"),
            no_x11_forwarding: lacks("permit-X11-forwarding"),
            no_pty: lacks("permit-pty"),
            no_user_rc: lacks("permit-user-rc"),
            no_touch_required: !lacks("no-touch-required"),
            verify_required: self.critical.contains(&Critical::Verify),
            command: self.critical.contains(&Critical::Force).then(|| "uptime".to_owned()),
            ..KeyOptions::default()
        }
    }
}

impl Critical {
    fn encode(self) -> (&'static str, Vec<u8>) {
        let (name, value) = match self {
            Self::Force => ("force-command", "uptime"),
            Self::ForceBare => return ("force-command", b"uptime".to_vec()),
            Self::Here => ("source-address", "10.0.0.0/8,192.0.2.0/24"),
            Self::Elsewhere => ("source-address", "10.0.0.0/8"),
            Self::BadList => ("source-address", "192.0.2.0/24,host.example"),
            Self::Verify => return ("verify-required", Vec::new()),
            Self::VerifyWithData => return ("verify-required", vec![0]),
            Self::Unknown => ("unknown@example.org", ""),
        };
        let mut data = Vec::new();
        data.put_string(value.as_bytes());
        (name, data)
    }
}
