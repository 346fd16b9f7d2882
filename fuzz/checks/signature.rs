//! Signatures: any bytes, and true signatures that are changed.

use containarium::{
    model::key::PublicKey,
    wire::{
        codec::{Reader, Write},
        signature::{MAX_SIGNATURE, SERVER_SIG_ALGS, SkPolicy, algorithms_for, verify},
    },
};

use super::{choices::Choices, keys};

/// Reads `input` as a key and a signature, or as a plan to sign and change.
pub fn check(input: &[u8]) {
    let mut choices = Choices::new(input);
    match choices.byte() {
        0 => raw(&mut choices),
        1 => security_key(&mut choices),
        _ => signed(&mut choices),
    }
}

/// A stranger's key, algorithm, message and signature.
fn raw(choices: &mut Choices<'_>) {
    let Ok(key) = PublicKey::from_blob(choices.bytes()) else { return };
    let algorithm = choices.one(&SERVER_SIG_ALGS);
    let policy = SkPolicy { touch_required: choices.flag(), verify_required: choices.flag() };
    let (message, blob) = (choices.bytes(), choices.rest());
    if verify(&key, algorithm, message, blob, policy).is_ok() {
        assert!(algorithms_for(&key).contains(&algorithm) && blob.len() <= MAX_SIGNATURE);
        assert_eq!(Reader::new(blob).string(), Ok(algorithm.as_bytes()));
    }
}

/// A true signature, and what may be changed about it: nothing.
fn signed(choices: &mut Choices<'_>) {
    let which = choices.below(keys::EVERY.len());
    let identity = &keys::EVERY[which];
    let (key, policy) = (identity.public_key(), SkPolicy::default());
    let algorithm = choices.one(identity.algorithms());
    let mut message = choices.bytes().to_vec();
    let mut blob = identity.sign(algorithm, &message).unwrap();
    assert_eq!(verify(key, algorithm, &message, &blob, policy), Ok(()));
    for other in SERVER_SIG_ALGS.into_iter().filter(|other| *other != algorithm) {
        assert!(verify(key, other, &message, &blob, policy).is_err(), "as {other}");
    }
    let next = &keys::EVERY[(which + 1) % keys::EVERY.len()];
    let others = algorithms_for(next.public_key());
    for other in others {
        assert!(verify(next.public_key(), other, &message, &blob, policy).is_err());
    }
    let before = blob.clone();
    let mut key_blob = key.blob().to_vec();
    match choices.byte() % 3 {
        0 if choices.mutate(&mut message) => {
            assert!(verify(key, algorithm, &message, &blob, policy).is_err(), "another message");
        }
        1 if choices.mutate(&mut key_blob) => {
            let other = PublicKey::from_blob(&key_blob).ok();
            let taken = other.map(|key| verify(&key, algorithm, &message, &blob, policy));
            assert!(taken.is_none_or(|verdict| verdict.is_err()), "another key");
        }
        2 if choices.mutate(&mut blob) && value(&blob) != value(&before) => {
            assert!(verify(key, algorithm, &message, &blob, policy).is_err(), "another signature");
        }
        _ => {}
    }
}

/// Algorithm and signature without the leading zeros that an RSA signature may drop.
fn value(blob: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let mut r = Reader::new(blob);
    let (algorithm, signature) = (r.string().ok()?, r.string().ok()?);
    r.end().ok()?;
    let zeros = signature.iter().take_while(|byte| **byte == 0).count();
    let kept = if algorithm.starts_with(b"rsa-") { zeros } else { 0 };
    Some((algorithm.to_vec(), signature[kept..].to_vec()))
}

/// What a security key would sign (PROTOCOL.u2f), under every policy.
fn security_key(choices: &mut Choices<'_>) {
    const ALGORITHM: &str = "sk-ssh-ed25519@openssh.com";
    let application = choices.one(&["ssh:", "ssh:alice", ""]).as_bytes();
    let (flags, counter) = (choices.byte(), u32::from(choices.byte()));
    let policy = SkPolicy { touch_required: choices.flag(), verify_required: choices.flag() };
    let mut message = choices.bytes().to_vec();
    let key = keys::security_key(keys::first(), application);
    let mut signed = keys::sha256(application);
    signed.put_byte(flags);
    signed.put_uint32(counter);
    signed.extend_from_slice(&keys::sha256(&message));
    let plain = keys::first().sign("ssh-ed25519", &signed).unwrap();
    let mut blob = Vec::new();
    blob.put_string(ALGORITHM.as_bytes());
    blob.extend_from_slice(&plain[plain.len() - 68..]);
    blob.put_byte(flags);
    blob.put_uint32(counter);
    let expected =
        (!policy.touch_required || flags & 1 != 0) && (!policy.verify_required || flags & 4 != 0);
    assert_eq!(verify(&key, ALGORITHM, &message, &blob, policy).is_ok(), expected);
    let target = if choices.flag() { &mut message } else { &mut blob };
    if choices.mutate(target) {
        assert!(verify(&key, ALGORITHM, &message, &blob, policy).is_err(), "changed");
    }
}
