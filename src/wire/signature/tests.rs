//! Signatures of OpenSSH and of this program, and what is not one.

use std::path::Path;

use ssh_key::{HashAlg, PrivateKey, SshSig};

use super::*;
use crate::wire::identity::{Identity, IdentityError};

const NAMES: [&str; 5] = ["ed25519", "p256", "p384", "p521", "rsa"];
const MESSAGE: &[u8] = b"signed by OpenSSH\n";

fn data(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/keys").join(name);
    std::fs::read_to_string(path).unwrap()
}

fn identity(name: &str) -> Identity {
    Identity::from_private_key(&PrivateKey::from_openssh(data(name)).unwrap()).unwrap()
}

fn public(name: &str) -> PublicKey {
    PublicKey::from_line(&data(&format!("{name}.pub"))).unwrap()
}

fn check(key: &PublicKey, algorithm: &str, signature: &[u8]) -> Result<(), SignatureError> {
    verify(key, algorithm, MESSAGE, signature, SkPolicy::default())
}

/// Signature blob, algorithm and signed bytes of a `ssh-keygen -Y sign` file (PROTOCOL.sshsig).
fn openssh_vector(name: &str) -> (Vec<u8>, String, Vec<u8>) {
    let file = SshSig::from_pem(data(&format!("{name}.sig"))).unwrap();
    let signed = SshSig::signed_data("file", HashAlg::Sha512, MESSAGE).unwrap();
    let algorithm = file.signature().algorithm().as_str().to_owned();
    let mut blob = Vec::new();
    blob.put_string(algorithm.as_bytes());
    blob.put_string(file.signature_bytes());
    (blob, algorithm, signed)
}

#[test]
fn openssh_signatures_verify() {
    for name in NAMES {
        let (blob, algorithm, signed) = openssh_vector(name);
        let result = verify(&public(name), &algorithm, &signed, &blob, SkPolicy::default());
        assert_eq!(result, Ok(()), "{name} {algorithm}");
    }
}

#[test]
fn every_key_signs_with_each_of_its_algorithms() {
    for name in NAMES {
        let identity = identity(name);
        assert_eq!(*identity.public_key(), public(name));
        for algorithm in identity.algorithms() {
            let signature = identity.sign(algorithm, MESSAGE).unwrap();
            assert_eq!(check(&public(name), algorithm, &signature), Ok(()), "{algorithm}");
        }
    }
}

#[test]
fn another_message_key_or_algorithm_is_refused() {
    for name in NAMES {
        let identity = identity(name);
        let key = identity.public_key();
        for algorithm in identity.algorithms() {
            let good = identity.sign(algorithm, MESSAGE).unwrap();
            let other = verify(key, algorithm, b"other", &good, SkPolicy::default());
            assert_eq!(other, Err(SignatureError::Mismatch));
            for stranger in NAMES.iter().filter(|n| **n != name) {
                assert!(check(&public(stranger), algorithm, &good).is_err());
            }
            for wrong in SERVER_SIG_ALGS.iter().chain(&["ssh-rsa", ""]).filter(|a| *a != algorithm)
            {
                assert_eq!(check(key, wrong, &good), Err(SignatureError::Algorithm));
            }
        }
    }
    let stranger = Identity::generate_ed25519().unwrap();
    let signature = stranger.sign("ssh-ed25519", MESSAGE).unwrap();
    let wrong_key = check(&public("ed25519"), "ssh-ed25519", &signature);
    assert_eq!(wrong_key, Err(SignatureError::Mismatch));
}

#[test]
fn sha1_is_refused_whoever_signs() {
    let rsa = public("rsa");
    let mut blob = Vec::new();
    blob.put_string(b"ssh-rsa");
    blob.put_string(&[0; 256]);
    assert_eq!(check(&rsa, "ssh-rsa", &blob), Err(SignatureError::Algorithm));
    assert_eq!(check(&rsa, "rsa-sha2-256", &blob), Err(SignatureError::Algorithm));
    assert_eq!(identity("rsa").sign("ssh-rsa", MESSAGE), Err(IdentityError::Algorithm));
}

#[test]
fn a_changed_cut_or_longer_signature_is_refused() {
    for name in NAMES {
        let identity = identity(name);
        let key = identity.public_key();
        let algorithm = identity.algorithms()[0];
        let good = identity.sign(algorithm, MESSAGE).unwrap();
        for len in 0..good.len() {
            assert!(check(key, algorithm, &good[..len]).is_err(), "{name} cut at {len}");
        }
        for bit in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(check(key, algorithm, &bad).is_err(), "{name} bit {bit}");
        }
        let mut longer = good.clone();
        longer.push(0);
        assert_eq!(check(key, algorithm, &longer), Err(SignatureError::Malformed));
        longer.resize(1 << 20, 0);
        assert_eq!(check(key, algorithm, &longer), Err(SignatureError::Malformed));
    }
}

#[test]
fn rsa_keys_out_of_bounds_cost_nothing() {
    let key = |bytes: usize, e: &[u8]| {
        let mut blob = Vec::new();
        blob.put_string(b"ssh-rsa");
        blob.put_mpint(e);
        blob.put_mpint(&vec![0xff; bytes]);
        PublicKey::from_blob(&blob)
    };
    for bytes in [1, 128, 255, 1025, 2048] {
        assert!(key(bytes, &[1, 0, 1]).is_err(), "{bytes}");
    }
    let mut signature = Vec::new();
    signature.put_string(b"rsa-sha2-512");
    signature.put_string(&[1; 1024]);
    let wide = key(1024, &[0xff; 1024]).unwrap();
    assert_eq!(check(&wide, "rsa-sha2-512", &signature), Err(SignatureError::KeySize));
    let even = key(1024, &[2]).unwrap();
    assert_eq!(check(&even, "rsa-sha2-512", &signature), Err(SignatureError::Mismatch));
}

/// A security key in software: `kind` is the type, `application` follows the inner key's fields.
fn security_key(kind: &str, inner: &Identity) -> PublicKey {
    let mut fields = Reader::new(inner.public_key().blob());
    fields.string().unwrap();
    let mut blob = Vec::new();
    blob.put_string(kind.as_bytes());
    blob.extend_from_slice(fields.rest());
    blob.put_string(b"ssh:");
    PublicKey::from_blob(&blob).unwrap()
}

fn touch(kind: &str, inner: &Identity, flags: u8) -> Vec<u8> {
    let mut signed = digest(&SHA256, b"ssh:").as_ref().to_vec();
    signed.put_byte(flags);
    signed.put_uint32(7);
    signed.extend_from_slice(digest(&SHA256, MESSAGE).as_ref());
    let plain = inner.sign(inner.algorithms()[0], &signed).unwrap();
    let mut fields = Reader::new(&plain);
    fields.string().unwrap();
    let mut blob = Vec::new();
    blob.put_string(kind.as_bytes());
    blob.extend_from_slice(fields.rest());
    blob.put_byte(flags);
    blob.put_uint32(7);
    blob
}

#[test]
fn security_keys_must_be_touched_unless_excused() {
    let strict = SkPolicy { touch_required: true, verify_required: true };
    let excused = SkPolicy { touch_required: false, verify_required: false };
    for (kind, name) in
        [("sk-ssh-ed25519@openssh.com", "ed25519"), ("sk-ecdsa-sha2-nistp256@openssh.com", "p256")]
    {
        let inner = identity(name);
        let key = security_key(kind, &inner);
        let ask = |flags, policy| verify(&key, kind, MESSAGE, &touch(kind, &inner, flags), policy);
        assert_eq!(ask(1, SkPolicy::default()), Ok(()));
        assert_eq!(ask(0, SkPolicy::default()), Err(SignatureError::NotTouched));
        assert_eq!(ask(4, SkPolicy::default()), Err(SignatureError::NotTouched));
        assert_eq!(ask(0, excused), Ok(()));
        assert_eq!(ask(1, strict), Err(SignatureError::NotVerified));
        assert_eq!(ask(5, strict), Ok(()));
        let good = touch(kind, &inner, 1);
        for len in 0..good.len() {
            assert!(check(&key, kind, &good[..len]).is_err());
        }
        for bit in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(check(&key, kind, &bad).is_err(), "{kind} bit {bit}");
        }
        let plain = inner.sign(inner.algorithms()[0], MESSAGE).unwrap();
        assert!(check(&key, kind, &plain).is_err());
    }
}

#[test]
fn an_identity_keeps_its_secret_and_refuses_a_locked_file() {
    let locked = PrivateKey::from_openssh(data("encrypted")).unwrap();
    let result = Identity::from_private_key(&locked);
    assert_eq!(result.unwrap_err(), IdentityError::Encrypted);
    let shown = format!("{:?}", identity("rsa"));
    assert_eq!(shown, format!("Identity({})", public("rsa").fingerprint()));
}

#[test]
fn what_is_announced_is_what_is_accepted() {
    let mut accepted: Vec<&str> =
        NAMES.iter().flat_map(|n| algorithms_for(&public(n))).copied().collect();
    for (kind, name) in
        [("sk-ssh-ed25519@openssh.com", "ed25519"), ("sk-ecdsa-sha2-nistp256@openssh.com", "p256")]
    {
        accepted.extend(algorithms_for(&security_key(kind, &identity(name))));
    }
    accepted.sort_unstable();
    let mut announced = SERVER_SIG_ALGS;
    announced.sort_unstable();
    assert_eq!(accepted, announced);
    assert!(announced.iter().all(|name| *name != "ssh-rsa" && !name.contains("-cert-")));
}

#[test]
fn a_key_has_one_form_and_nothing_behind_it() {
    for name in NAMES {
        let key = public(name);
        let blob = key.blob();
        for end in 0..blob.len() {
            assert!(PublicKey::from_blob(&blob[..end]).is_err(), "{name} cut at {end}");
        }
        assert!(PublicKey::from_blob(&[blob, &[0]].concat()).is_err(), "{name} and more");
    }
    // Numbers in the longer form that RFC 4251, section 5, forbids, and negative ones.
    let rsa = public("rsa");
    let mut fields = Reader::new(rsa.blob());
    fields.string().unwrap();
    let (e, n) = (fields.mpint().unwrap(), fields.mpint().unwrap());
    for (e, n) in [([&[0], e].concat(), [&[0], n].concat()), (e.to_vec(), n.to_vec())] {
        let mut blob = Vec::new();
        blob.put_string(b"ssh-rsa");
        blob.put_string(&e);
        blob.put_string(&n);
        let signature = identity("rsa").sign("rsa-sha2-512", MESSAGE).unwrap();
        let usable = PublicKey::from_blob(&blob)
            .is_ok_and(|key| check(&key, "rsa-sha2-512", &signature).is_ok());
        assert!(!usable, "{blob:?}");
    }
}

#[test]
fn an_rsa_signature_may_lack_leading_zeros_and_has_none_too_many() {
    let identity = identity("rsa");
    // About every 256th signature begins with a zero; a test that is lucky for ever has a bound.
    let (message, blob) = (0..20_000_u32)
        .map(u32::to_be_bytes)
        .map(|m| (m, identity.sign("rsa-sha2-256", &m).unwrap()))
        .find(|(_, blob)| blob[20] == 0)
        .unwrap();
    let full = &blob[20..];
    let judge = |number: &[u8]| {
        let mut signature = Vec::new();
        signature.put_string(b"rsa-sha2-256");
        signature.put_string(number);
        verify(identity.public_key(), "rsa-sha2-256", &message, &signature, SkPolicy::default())
    };
    assert_eq!(judge(full), Ok(()));
    assert_eq!(judge(&full[1..]), Ok(()));
    assert_eq!(judge(&[&[0], full].concat()), Err(SignatureError::Malformed));
    assert_eq!(judge(&full[2..]), Err(SignatureError::Mismatch));
}

#[test]
fn an_edwards_key_and_signature_have_their_length() {
    let key = public("ed25519");
    for len in [0, 31, 33, 64] {
        let mut blob = Vec::new();
        blob.put_string(b"ssh-ed25519");
        blob.put_string(&vec![7; len]);
        assert!(PublicKey::from_blob(&blob).is_err(), "{len}");
    }
    for len in [0, 32, 63, 65, 128] {
        let mut signature = Vec::new();
        signature.put_string(b"ssh-ed25519");
        signature.put_string(&vec![7; len]);
        let refused = check(&key, "ssh-ed25519", &signature);
        assert_eq!(refused, Err(SignatureError::Mismatch), "{len}");
    }
}
