//! What `ssh-keygen` writes is read here, and what is written here `ssh-keygen` reads.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::{net::IpAddr, path::Path, process::Command};

use containarium::{
    model::{
        authorized_keys::{self, KeyOptions},
        key::PublicKey,
    },
    wire::{
        certificate::{Certificate, CertificateError, Granted, Parameters, base_algorithm, issue},
        identity::{Identity, IdentityError, generate_ed25519},
        signature::{SERVER_SIG_ALGS, SkPolicy, verify},
    },
};
use ssh_key::PrivateKey;
use tempfile::TempDir;

const NOW: u64 = 1_767_225_600; // 2026-01-01T00:00:00Z

struct Keygen(TempDir);

impl Keygen {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn run(&self, arguments: &[&str]) -> String {
        let output = Command::new("ssh-keygen")
            .args(arguments)
            .current_dir(self.path())
            .env("TZ", "UTC")
            .output()
            .unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {errors}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn make(&self, name: &str, kind: &[&str]) -> PublicKey {
        self.run(&[&["-q", "-N", "", "-f", name, "-C", name, "-t"], kind].concat());
        PublicKey::from_line(&self.read(&format!("{name}.pub"))).unwrap()
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path().join(name)).unwrap()
    }

    fn private(&self, name: &str) -> PrivateKey {
        PrivateKey::from_openssh(self.read(name)).unwrap()
    }

    /// Signs `user.pub` with `ca` and the options given, valid around [`NOW`] if not said.
    fn sign(&self, options: &[&str]) -> Certificate {
        let validity: &[&str] =
            if options.contains(&"-V") { &[] } else { &["-V", "20250101:20270101"] };
        let fixed = ["-q", "-s", "ca", "-I", "id of alice", "-z", "42"];
        self.run(&[&fixed, validity, options, &["user.pub"]].concat());
        Certificate::parse(&self.certificate("user-cert.pub")).unwrap()
    }

    fn certificate(&self, name: &str) -> Vec<u8> {
        // `ssh-key` parses certificates on its own: a second opinion on the base64.
        let line = self.read(name);
        ssh_key::Certificate::from_openssh(line.trim()).unwrap().to_bytes().unwrap()
    }
}

fn validate(certificate: &Certificate, ca: &PublicKey) -> Result<Granted, CertificateError> {
    certificate.validate(std::slice::from_ref(ca), "alice", source("192.0.2.9"), NOW)
}

fn source(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
fn user_certificates_of_ssh_keygen_are_judged_as_sshd_does() {
    let keygen = Keygen::new();
    let ca = keygen.make("ca", &["ed25519"]);
    let user = keygen.make("user", &["ed25519"]);

    let granted = validate(&keygen.sign(&["-n", "bob,alice"]), &ca).unwrap();
    assert_eq!((granted.serial, granted.key_id.as_str()), (42, "id of alice"));
    assert_eq!(granted.restrictions, KeyOptions::default());
    assert_eq!(keygen.sign(&["-n", "alice"]).key(), &user);

    let forced = ["-n", "alice", "-O", "clear", "-O", "force-command=uptime", "-O", "permit-pty"];
    let forced = validate(&keygen.sign(&forced), &ca).unwrap().restrictions;
    assert_eq!(forced.command.as_deref(), Some("uptime"));
    assert!(!forced.no_pty && forced.no_port_forwarding && forced.no_agent_forwarding);

    let bound = |list: &str| {
        validate(&keygen.sign(&["-n", "alice", "-O", &format!("source-address={list}")]), &ca)
    };
    assert!(bound("10.0.0.0/8,192.0.2.0/24").is_ok());
    assert_eq!(bound("10.0.0.0/8"), Err(CertificateError::Source));

    let excused = keygen.sign(&["-n", "alice", "-O", "no-touch-required"]);
    assert!(validate(&excused, &ca).unwrap().restrictions.no_touch_required);
    let strict = keygen.sign(&["-n", "alice", "-O", "verify-required"]);
    assert!(validate(&strict, &ca).unwrap().restrictions.verify_required);
    assert!(validate(&keygen.sign(&["-n", "alice", "-O", "extension:x@y=z"]), &ca).is_ok());

    for (options, expected) in [
        (&["-n", "bob"][..], CertificateError::Principal),
        (&[], CertificateError::Principal),
        (&["-n", "alice", "-h"], CertificateError::NotUser),
        (&["-n", "alice", "-V", "20200101:20210101"], CertificateError::Expired),
        (&["-n", "alice", "-V", "20260201:20270101"], CertificateError::NotYetValid),
        (&["-n", "alice", "-O", "critical:x@y=z"], CertificateError::CriticalOption),
    ] {
        assert_eq!(validate(&keygen.sign(options), &ca), Err(expected), "{options:?}");
    }
    let stranger = keygen.make("stranger", &["ed25519"]);
    let unknown = validate(&keygen.sign(&["-n", "alice"]), &stranger);
    assert_eq!(unknown, Err(CertificateError::UnknownAuthority));
}

#[test]
fn every_type_of_key_can_be_certified_and_can_certify() {
    let kinds: [&[&str]; 5] = [
        &["ed25519"],
        &["ecdsa", "-b", "256"],
        &["ecdsa", "-b", "384"],
        &["ecdsa", "-b", "521"],
        &["rsa", "-b", "2048"],
    ];
    for kind in kinds {
        let keygen = Keygen::new();
        let ca = keygen.make("ca", kind);
        let user = keygen.make("user", kind);
        let certificate = keygen.sign(&["-n", "alice"]);
        assert_eq!(*certificate.key(), user);
        assert!(validate(&certificate, &ca).is_ok(), "{kind:?}");
        let blob = keygen.certificate("user-cert.pub");
        for len in 0..blob.len() {
            assert!(Certificate::parse(&blob[..len]).is_err(), "{kind:?} cut at {len}");
        }
    }
}

#[test]
fn an_rsa_authority_may_not_sign_with_sha1() {
    let keygen = Keygen::new();
    let ca = keygen.make("ca", &["rsa", "-b", "2048"]);
    keygen.make("user", &["ed25519"]);
    assert!(validate(&keygen.sign(&["-n", "alice", "-t", "rsa-sha2-256"]), &ca).is_ok());
    let sha1 = validate(&keygen.sign(&["-n", "alice", "-t", "ssh-rsa"]), &ca);
    assert!(matches!(sha1, Err(CertificateError::Signature(_))), "{sha1:?}");
}

#[test]
fn keys_of_ssh_keygen_sign_here() {
    // Not nistp256: of those `ssh-key` cannot read the one in 256 that begins with a zero byte.
    let kinds: [&[&str]; 5] = [
        &["ed25519"],
        &["ecdsa", "-b", "384"],
        &["ecdsa", "-b", "521"],
        &["rsa", "-b", "2048"],
        &["rsa", "-b", "3072"],
    ];
    for kind in kinds {
        let keygen = Keygen::new();
        let public = keygen.make("key", kind);
        let identity = Identity::from_private_key(&keygen.private("key")).unwrap();
        assert_eq!(*identity.public_key(), public);
        for algorithm in identity.algorithms() {
            assert!(SERVER_SIG_ALGS.contains(algorithm));
            let signature = identity.sign(algorithm, b"message").unwrap();
            verify(&public, algorithm, b"message", &signature, SkPolicy::default()).unwrap();
            let name = format!("{algorithm}-cert-v01@openssh.com");
            assert_eq!(base_algorithm(&name), Some(*algorithm));
        }
    }
    let keygen = Keygen::new();
    keygen.run(&["-q", "-t", "ed25519", "-N", "passphrase", "-f", "locked"]);
    let locked = Identity::from_private_key(&keygen.private("locked"));
    assert_eq!(locked.unwrap_err(), IdentityError::Encrypted);
}

#[test]
fn ssh_keygen_reads_our_certificates_and_keys() {
    let keygen = Keygen::new();
    let subject = generate_ed25519("ours").unwrap();
    let path = keygen.path().join("ours");
    subject.write_openssh_file(&path, ssh_key::LineEnding::LF).unwrap();
    let public = keygen.run(&["-y", "-f", "ours"]);
    let identity = Identity::from_private_key(&subject).unwrap();
    assert_eq!(PublicKey::from_line(&public).unwrap(), *identity.public_key());

    for kind in [&["ed25519"][..], &["rsa", "-b", "2048"], &["ecdsa", "-b", "521"]] {
        let keygen = Keygen::new();
        keygen.make("ca", kind);
        let ca = Identity::from_private_key(&keygen.private("ca")).unwrap();
        let restrictions = KeyOptions {
            no_agent_forwarding: true,
            command: Some("uptime".into()),
            ..KeyOptions::default()
        };
        let parameters = Parameters {
            serial: 7,
            key_id: "session 7 of alice",
            principals: &["alice"],
            valid_after: NOW,
            valid_before: NOW + 300,
            restrictions: &restrictions,
        };
        let blob = issue(&ca, identity.public_key(), &parameters).unwrap();
        let line = ssh_key::Certificate::from_bytes(&blob).unwrap().to_openssh().unwrap();
        std::fs::write(keygen.path().join("ours-cert.pub"), line).unwrap();
        let shown = keygen.run(&["-L", "-f", "ours-cert.pub"]);
        for part in [
            "ssh-ed25519-cert-v01@openssh.com user certificate",
            "Key ID: \"session 7 of alice\"",
            "Serial: 7",
            "Valid: from 2026-01-01T00:00:00 to 2026-01-01T00:05:00",
            "alice",
            "force-command uptime",
            "permit-pty",
        ] {
            assert!(shown.contains(part), "{part}: {shown}");
        }
        assert!(!shown.contains("permit-agent-forwarding"), "{shown}");
        assert!(shown.contains(&ca.public_key().fingerprint()), "{shown}");
    }
}

#[test]
fn lines_accepted_here_are_keys_to_ssh_keygen() {
    let keygen = Keygen::new();
    keygen.make("key", &["ed25519"]);
    let key = keygen.read("key.pub");
    let key = key.trim();
    let parts = [
        "",
        "restrict ",
        "from=\"10.0.0.0/8,!*7\",pty ",
        "expiry-time=\"20300101\" ",
        "no-pty,command=\"a \\\" b\" ",
        "\\\" ",
        "# ",
        "command=\"a ",
    ];
    let lines = parts.iter().flat_map(|a| parts.iter().map(move |b| format!("{a}{b}{key}\n")));
    let text: String = lines.collect();
    let (keys, refused) = authorized_keys::parse(&text);
    assert!(keys.len() > 5 && refused.len() > 5);
    for (i, line) in text.lines().enumerate() {
        if authorized_keys::parse(line).0.is_empty() {
            continue;
        }
        std::fs::write(keygen.path().join("line"), line).unwrap();
        let shown = keygen.run(&["-l", "-f", "line"]);
        assert!(shown.contains(&keys[0].key.fingerprint()), "line {i}: {line}");
    }
}

/// The signature itself is judged by a real sshd, which `ssh-keygen -L` does not do.
#[test]
fn sshd_lets_our_certificate_in_and_no_other() {
    let keygen = Keygen::new();
    keygen.make("host", &["ed25519"]);
    keygen.make("ca", &["ed25519"]);
    let ca = Identity::from_private_key(&keygen.private("ca")).unwrap();
    let subject = generate_ed25519("ours").unwrap();
    subject.write_openssh_file(keygen.path().join("ours"), ssh_key::LineEnding::LF).unwrap();
    let public = Identity::from_private_key(&subject).unwrap().public_key().clone();
    let folder = keygen.path().display();
    let configuration = format!(
        "HostKey {folder}/host\nTrustedUserCAKeys {folder}/ca.pub\nAuthorizedKeysFile none\n\
         UsePAM no\nStrictModes no\nPermitRootLogin yes\nLogLevel ERROR\n"
    );
    std::fs::write(keygen.path().join("sshd_config"), configuration).unwrap();
    std::fs::create_dir_all("/run/sshd").unwrap();
    let user = Command::new("id").arg("-un").output().unwrap().stdout;
    let user = String::from_utf8(user).unwrap().trim().to_owned();
    let log_in = |principal: &str, signer: &Identity| {
        let restrictions =
            KeyOptions { command: Some("echo let in".into()), ..KeyOptions::default() };
        let parameters = Parameters {
            serial: 7,
            key_id: "session 7",
            principals: &[principal],
            valid_after: 0,
            valid_before: u64::MAX,
            restrictions: &restrictions,
        };
        let blob = issue(signer, &public, &parameters).unwrap();
        let line = ssh_key::Certificate::from_bytes(&blob).unwrap().to_openssh().unwrap();
        std::fs::write(keygen.path().join("ours-cert.pub"), line).unwrap();
        let output = Command::new("ssh")
            .args(["-F", "none", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no"])
            .args(["-o", "UserKnownHostsFile=/dev/null", "-o", "IdentityAgent=none"])
            .args(["-o", "IdentitiesOnly=yes", "-o"])
            .arg(format!("ProxyCommand=/usr/sbin/sshd -i -f {folder}/sshd_config"))
            .arg("-i")
            .arg(keygen.path().join("ours"))
            .arg(format!("{user}@here"))
            .arg("true")
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(log_in(&user, &ca), "let in\n");
    assert_eq!(log_in("somebody", &ca), "");
    assert_eq!(log_in(&user, &Identity::generate_ed25519().unwrap()), "");
}
