//! The keys that the checks sign with. They are made for this and open nothing.

use std::sync::{Arc, LazyLock};

use aws_lc_rs::digest::{SHA256, digest};
use containarium::{
    model::key::PublicKey,
    wire::{codec::Write, identity::Identity},
};
use ssh_key::{PrivateKey, private::Ed25519Keypair};

/// One key of each type that signs here; Ed25519 first.
pub static EVERY: LazyLock<Vec<Arc<Identity>>> = LazyLock::new(|| {
    let files = [
        include_str!("../../tests/data/keys/ed25519"),
        include_str!("../../tests/data/keys/p256"),
        include_str!("../../tests/data/keys/p384"),
        include_str!("../../tests/data/keys/p521"),
        include_str!("../../tests/data/keys/rsa"),
    ];
    files.map(load).into()
});

/// The key that is let in: a person's, an administrator's, a client's.
pub static USER: LazyLock<Arc<Identity>> = LazyLock::new(|| Arc::new(of(&seeded(1))));

/// A key that nobody knows.
pub static OTHER: LazyLock<Arc<Identity>> = LazyLock::new(|| Arc::new(of(&seeded(2))));

/// Host keys: an Ed25519 and an ECDSA key.
pub static HOST: LazyLock<Arc<[Identity]>> = LazyLock::new(|| {
    [include_str!("../../tests/data/keys/ed25519"), include_str!("../../tests/data/keys/p256")]
        .map(identity)
        .into()
});

/// A host key that is pinned nowhere.
pub static STRANGER: LazyLock<Arc<[Identity]>> = LazyLock::new(|| [of(&seeded(2))].into());

/// The CA, the host, the sentinel itself.
pub fn first() -> &'static Arc<Identity> {
    &EVERY[0]
}

/// The identity in an OpenSSH key file.
fn load(file: &str) -> Arc<Identity> {
    Arc::new(identity(file))
}

fn identity(file: &str) -> Identity {
    of(&PrivateKey::from_openssh(file).unwrap())
}

fn of(key: &PrivateKey) -> Identity {
    Identity::from_private_key(key).unwrap()
}

/// An Ed25519 key that is made of one number.
pub fn seeded(number: u8) -> PrivateKey {
    PrivateKey::new(Ed25519Keypair::from_seed(&[number; 32]).into(), "").unwrap()
}

/// The public half of a security key that signs with the Ed25519 key `identity`.
pub fn security_key(identity: &Identity, application: &[u8]) -> PublicKey {
    let blob = identity.public_key().blob();
    let mut sk = Vec::new();
    sk.put_string(b"sk-ssh-ed25519@openssh.com");
    sk.put_string(&blob[blob.len() - 32..]);
    sk.put_string(application);
    PublicKey::from_blob(&sk).unwrap()
}

/// SHA-256 of `bytes`.
pub fn sha256(bytes: &[u8]) -> Vec<u8> {
    digest(&SHA256, bytes).as_ref().to_vec()
}
