//! Keys that are too large, too odd, or held by nobody.

use aws_lc_rs::digest::{SHA256, digest};
use containarium::wire::{
    codec::{Reader, Write},
    identity::Identity,
};

use crate::{
    fixture::{Evil, Sentinel, admin, member},
    peer::{Answer, Payload, Peer, Signed, signed},
};

/// A request with any blob as its key.
fn with_key(peer: &Peer, algorithm: &str, blob: &[u8]) -> Signed {
    let (algorithm, key) = (algorithm.to_owned(), blob.to_vec());
    let request = signed(peer, "admin", admin());
    Signed {
        signed_algorithm: algorithm.clone(),
        algorithm,
        signed_key: key.clone(),
        key,
        ..request
    }
}

fn rsa(exponent: &[u8], modulus_bytes: usize) -> Vec<u8> {
    let mut blob = Vec::new();
    blob.put_string(b"ssh-rsa");
    blob.put_mpint(exponent);
    blob.put_mpint(&vec![0xff; modulus_bytes]);
    blob
}

/// The certificate of a key, whose authority is `authority`: a key, or again a certificate.
fn certificate(authority: &[u8]) -> Vec<u8> {
    let blob = Payload(Vec::new()).string("ssh-ed25519-cert-v01@openssh.com").string("n");
    let blob = blob.string([7; 32]).bytes(&[0; 8]).uint32(1).string("id").string("");
    let blob = blob.bytes(&[0; 8]).bytes(&[0xff; 8]).string("").string("").string("");
    blob.string(authority).string("").0
}

/// CVE-2026-39829 (a modulus so large that checking one signature takes minutes), nested
/// certificates (each read by calling itself), and blobs that say one thing and are another: each
/// is refused, and the connection goes on to a good key.
#[test]
fn odd_keys_are_refused_and_the_next_one_counts() {
    let sentinel = Sentinel::start("");
    let good = admin().public_key().blob();
    let mut nested = good.to_vec();
    while nested.len() < 15_000 {
        nested = certificate(&nested);
    }
    let cert = "ssh-ed25519-cert-v01@openssh.com";
    let blobs: [(&str, Vec<u8>); 17] = [
        ("rsa-sha2-512", rsa(&[1, 0, 1], 2048)),
        ("rsa-sha2-256", rsa(&[1, 0, 1], 31_000)),
        ("rsa-sha2-512", rsa(&[0xff; 1024], 1024)),
        ("rsa-sha2-512", rsa(&[1, 0, 1], 1)),
        ("rsa-sha2-512", rsa(&[], 256)),
        ("ssh-rsa", rsa(&[1, 0, 1], 256)),
        (cert, nested),
        (cert, good.to_vec()),
        ("ssh-ed25519", certificate(good)),
        (cert, certificate(good)),
        ("ssh-ed25519", [good, &[0]].concat()),
        ("ssh-ed25519", good[..good.len() - 1].to_vec()),
        ("ssh-ed25519", vec![0xff; 51]),
        ("ssh-ed25519", Vec::new()),
        ("ssh-dss", Payload(Vec::new()).string("ssh-dss").string([1; 64]).0),
        ("", good.to_vec()),
        ("\u{1b}[2Jssh-ed25519", good.to_vec()),
    ];
    let mut peer = sentinel.serviced();
    for (algorithm, blob) in blobs {
        let request = with_key(&peer, algorithm, &blob);
        let signature = Payload(Vec::new()).string(algorithm).string([1; 1024]).0;
        let signed = Payload(request.parts().0).string(signature).0;
        for payload in [request.query(), signed] {
            assert_eq!(peer.ask(&payload), Answer::Failure, "{algorithm} {}", blob.len());
        }
    }
    assert_eq!(peer.try_log_in("admin", admin()), Answer::Success);
}

/// Checking a signature by a modulus of 16,384 bits takes a hundred times what a refusal takes. A
/// thousand such keys must not cost more than a thousand plain ones, but for what they are longer.
#[test]
fn large_keys_cost_no_arithmetic() {
    let sentinel = Sentinel::start("");
    let cost = |algorithm: &str, blob: &[u8], signature: usize| {
        let before = sentinel.usage().cpu;
        for _ in 0..8 {
            let mut peer = sentinel.serviced();
            let request = with_key(&peer, algorithm, blob);
            let signature = Payload(Vec::new()).string(algorithm).string(vec![1; signature]).0;
            let signed = Payload(request.parts().0).string(signature).0;
            for _ in 0..125 {
                assert_eq!(peer.ask(&signed), Answer::Failure);
            }
        }
        sentinel.usage().cpu - before
    };
    let stranger = Identity::generate_ed25519().unwrap();
    let small = cost("ssh-ed25519", stranger.public_key().blob(), 64);
    let large = cost("rsa-sha2-512", &rsa(&[1, 0, 1], 2048), 2048);
    println!("a thousand refusals: {small} hundredths of a second, with large keys {large}");
    // Hundredths of a second of processor time, whatever else the machine does.
    assert!(large <= 4 * small + 50, "{small} became {large}");
}

/// An Ed25519 security key in software (PROTOCOL.u2f), which can be told not to wait for a touch.
struct SecurityKey(Identity);

const KIND: &str = "sk-ssh-ed25519@openssh.com";

impl SecurityKey {
    fn blob(&self) -> Vec<u8> {
        let mut fields = Reader::new(self.0.public_key().blob());
        fields.string().unwrap();
        Payload(Vec::new()).string(KIND).bytes(fields.rest()).string("ssh:").0
    }

    fn line(&self) -> String {
        containarium::model::key::PublicKey::from_blob(&self.blob()).unwrap().to_line()
    }

    fn request(&self, peer: &Peer, user: &str, flags: u8) -> Vec<u8> {
        let request = Signed {
            user: user.into(),
            signed_user: user.into(),
            ..with_key(peer, KIND, &self.blob())
        };
        let (request, data) = request.parts();
        let mut message = digest(&SHA256, b"ssh:").as_ref().to_vec();
        message.put_byte(flags);
        message.put_uint32(1);
        message.extend_from_slice(digest(&SHA256, &data).as_ref());
        let plain = self.0.sign("ssh-ed25519", &message).unwrap();
        let mut fields = Reader::new(&plain);
        fields.string().unwrap();
        let blob = Payload(Vec::new()).string(KIND).bytes(fields.rest()).bytes(&[flags]).uint32(1);
        Payload(request).string(blob.0).0
    }
}

/// CVE-2026-39831: a security key that nobody touched may be in use by malware. Its line may excuse
/// it, or ask for a PIN as well.
#[test]
fn a_security_key_counts_when_it_was_touched() {
    let keys = [(); 3].map(|()| SecurityKey(Identity::generate_ed25519().unwrap()));
    let [plain, excused, verified] = &keys;
    let lines = format!(
        "\"{}\", \"no-touch-required {}\", \"verify-required {}\", ",
        plain.line(),
        excused.line(),
        verified.line()
    );
    // Nobody listens there: whoever is in hears an apology.
    let section = Evil::listen().section();
    let section = section.replace("authorized_keys = [", &format!("authorized_keys = [{lines}"));
    let sentinel = Sentinel::start(&section);
    let (touched, with_pin) = (1, 4);
    for (key, flags, expected) in [
        (plain, 0, Answer::Failure),
        (plain, with_pin, Answer::Failure),
        (plain, touched, Answer::Success),
        (excused, 0, Answer::Success),
        (verified, 0, Answer::Failure),
        (verified, touched, Answer::Failure),
        (verified, with_pin, Answer::Failure),
        (verified, touched | with_pin, Answer::Success),
    ] {
        let mut peer = sentinel.serviced();
        let request = key.request(&peer, "evil", flags);
        assert_eq!(peer.ask(&request), expected, "flags {flags}");
    }
    let mut peer = sentinel.serviced();
    assert_eq!(peer.try_log_in("evil", member()), Answer::Success);
}
