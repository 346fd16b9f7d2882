//! Certificates that are nearly good. What people do with `ssh-keygen` is in `tests/e2e/access`;
//! here are those that no honest tool writes.

use containarium::wire::{
    codec::{Reader, Write},
    identity::Identity,
};

use crate::{
    fixture::Sentinel,
    peer::{Answer, Payload, Peer, Signed, signed},
};

const KIND: &str = "ssh-ed25519-cert-v01@openssh.com";

/// A certificate field by field.
#[derive(Clone)]
struct Draft {
    user: u32,
    principals: Vec<&'static str>,
    valid: (u64, u64),
    critical: Vec<(&'static str, Vec<u8>)>,
    authority: Vec<u8>,
}

impl Draft {
    fn by(authority: &Identity) -> Self {
        let authority = authority.public_key().blob().to_vec();
        let (principals, valid) = (vec!["admin"], (0, u64::MAX));
        Self { user: 1, principals, valid, critical: Vec::new(), authority }
    }

    /// The certificate of `subject`, signed by `signer` under the name of an algorithm.
    fn signed(&self, subject: &Identity, signer: &Identity, algorithm: &str) -> Vec<u8> {
        let mut fields = Reader::new(subject.public_key().blob());
        fields.string().unwrap();
        let mut principals = Vec::new();
        self.principals.iter().for_each(|p| principals.put_string(p.as_bytes()));
        let mut critical = Vec::new();
        for (name, data) in &self.critical {
            critical.put_string(name.as_bytes());
            critical.put_string(data);
        }
        let mut blob = Payload(Vec::new()).string(KIND).string("nonce").bytes(fields.rest()).0;
        blob.put_uint64(7);
        blob.put_uint32(self.user);
        blob.put_string(b"visit");
        blob.put_string(&principals);
        blob.put_uint64(self.valid.0);
        blob.put_uint64(self.valid.1);
        blob.put_string(&critical);
        blob.put_string(b"");
        blob.put_string(b"");
        blob.put_string(&self.authority);
        let signature = signer.sign("ssh-ed25519", &blob).unwrap();
        let mut parts = Reader::new(&signature);
        parts.string().unwrap();
        let signature = Payload(Vec::new()).string(algorithm).bytes(parts.rest()).0;
        Payload(blob).string(signature).0
    }
}

/// Asks to be let in with a certificate, signing with `key`.
fn present(peer: &mut Peer, certificate: &[u8], key: &Identity) -> Answer {
    let request = Signed {
        algorithm: KIND.into(),
        signed_algorithm: KIND.into(),
        key: certificate.to_vec(),
        signed_key: certificate.to_vec(),
        ..signed(peer, "admin", key)
    };
    peer.ask(&request.payload(key))
}

fn text(value: &str) -> Vec<u8> {
    Payload(Vec::new()).string(value).0
}

/// CVE-2025-49825 (a certificate is taken for an authority), OpenSSH 10.3's principals with commas,
/// and whatever else an authority that is trusted, or not quite, could have been made to sign.
#[test]
fn a_certificate_that_is_nearly_good_is_refused() {
    let [authority, other, subject] = [(); 3].map(|()| Identity::generate_ed25519().unwrap());
    let ca = format!("user_ca_keys = [\"{}\"]", authority.public_key().to_line());
    let sentinel = Sentinel::configured("", &ca, "");
    let good = Draft::by(&authority);
    let by_authority = |draft: Draft| draft.signed(&subject, &authority, "ssh-ed25519");
    let whole = by_authority(good.clone());
    let principals = |list: &[&'static str]| Draft { principals: list.to_vec(), ..good.clone() };
    let option = |name, data| Draft { critical: vec![(name, data)], ..good.clone() };
    let of_other = Draft::by(&other).signed(&other, &authority, "ssh-ed25519");
    let twice = Draft {
        critical: vec![("force-command", text("true")), ("force-command", text("id"))],
        ..good.clone()
    };
    let refused: Vec<(&str, Vec<u8>)> = vec![
        ("principals in one name", by_authority(principals(&["admin,root"]))),
        ("a comma first", by_authority(principals(&[",admin"]))),
        ("a pattern", by_authority(principals(&["*"]))),
        ("a name that begins the same", by_authority(principals(&["admin\0", "admin ", "Admin"]))),
        ("no principals", by_authority(principals(&[]))),
        ("an empty principal", by_authority(principals(&[""]))),
        ("a host's", by_authority(Draft { user: 2, ..good.clone() })),
        ("of no kind", by_authority(Draft { user: 0, ..good.clone() })),
        (
            "of a kind that looks like one",
            by_authority(Draft { user: 0x0100_0001, ..good.clone() }),
        ),
        ("expired", by_authority(Draft { valid: (0, 1_000_000_000), ..good.clone() })),
        ("not yet valid", by_authority(Draft { valid: (u64::MAX - 1, u64::MAX), ..good.clone() })),
        ("valid backwards", by_authority(Draft { valid: (u64::MAX, 0), ..good.clone() })),
        ("an unknown critical option", by_authority(option("unheard-of", text("")))),
        ("an unknown one without data", by_authority(option("", Vec::new()))),
        ("an option twice", by_authority(twice)),
        ("a cut option", by_authority(option("force-command", vec![0, 0, 0, 9, b'x']))),
        (
            "an option and more",
            by_authority(option("force-command", [text("id"), vec![0]].concat())),
        ),
        ("another source", by_authority(option("source-address", text("192.0.2.0/24")))),
        ("a source that is none", by_authority(option("source-address", text("localhost")))),
        ("a source and a pattern", by_authority(option("source-address", text("127.0.0.*")))),
        (
            "every source but one",
            by_authority(option("source-address", text("!127.0.0.1,0.0.0.0/0"))),
        ),
        ("signed by somebody else", good.signed(&subject, &other, "ssh-ed25519")),
        ("by another authority", Draft::by(&other).signed(&subject, &other, "ssh-ed25519")),
        ("signed with an unknown algorithm", good.signed(&subject, &authority, "ssh-ed25519@x")),
        ("signed with SHA-1", good.signed(&subject, &authority, "ssh-rsa")),
        ("signed as a certificate", good.signed(&subject, &authority, KIND)),
        (
            "by a certified authority",
            Draft { authority: of_other, ..good.clone() }.signed(&subject, &other, "ssh-ed25519"),
        ),
        ("one byte more", [&whole[..], &[0]].concat()),
        ("one byte less", whole[..whole.len() - 1].to_vec()),
    ];
    let mut peer = sentinel.serviced();
    for (what, certificate) in refused {
        assert_eq!(present(&mut peer, &certificate, &subject), Answer::Failure, "{what}");
    }
    // Somebody else's certificate, and a key that the CA certified but that comes without it.
    assert_eq!(present(&mut peer, &whole, &other), Answer::Failure, "a stolen certificate");
    assert_eq!(peer.try_log_in("admin", &subject), Answer::Failure, "without the certificate");
    assert_eq!(peer.try_log_in("admin", &authority), Answer::Failure, "the authority itself");
    assert_eq!(present(&mut peer, &whole, &subject), Answer::Success, "the good one");
    assert!(sentinel.log().contains("certificate=\"visit\""));
}
