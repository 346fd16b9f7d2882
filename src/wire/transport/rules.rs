//! What the documents ask of a transport, one test a rule. `docs/conformance.md` names them.

use ssh_key::PrivateKey;

use super::{
    tests::{CIPHERS, METHODS, Pair},
    *,
};

/// Client and server, as [`Pair`] counts them.
const CLIENT: usize = 0;
const SERVER: usize = 1;

fn pair() -> Pair {
    Pair::new(CIPHERS[0], METHODS[0], RekeyLimits::default(), 4096)
}

/// Begins anew with a KEXINIT that offers `kex` and `follow` (what the side sends right behind it).
fn begin(side: &mut Transport, kex: Vec<&'static str>, guess: bool, follow: &[&[u8]]) {
    let offer = Offer { kex, ..side.params.offer.clone() };
    let mut kexinit = offer.kexinit(side.side(), true).unwrap();
    // Before the last field, four reserved bytes, stands whether a guess follows.
    let at = kexinit.len() - 5;
    kexinit[at] = u8::from(guess);
    side.output = Buffer::default();
    side.writer = PacketWriter::new();
    side.output.extend(side.params.ident.as_bytes());
    side.output.extend(b"\r\n");
    side.writer.seal(&[&kexinit], &mut side.output).unwrap();
    for packet in follow {
        side.writer.seal(&[packet], &mut side.output).unwrap();
    }
    side.exchange.as_mut().unwrap().own_kexinit = kexinit;
}

#[test]
fn a_wrong_guess_is_skipped_whatever_its_number() {
    let other = vec!["diffie-hellman-group-exchange-sha256", METHODS[0]];
    for number in 30..=49 {
        for (guesses, other_side) in [(CLIENT, SERVER), (SERVER, CLIENT)] {
            let mut pair = pair();
            let guess = [number, 1, 2, 3];
            begin(&mut pair.sides[guesses], other.clone(), true, &[&guess]);
            pair.settle().unwrap();
            assert!(pair.sides[other_side].is_open(), "{number}");
        }
    }
    // One packet is skipped, not two.
    let mut pair = pair();
    begin(&mut pair.sides[CLIENT], other, true, &[&[34, 0], &[34, 0]]);
    assert!(pair.settle().is_err());
}

#[test]
fn a_right_guess_is_used() {
    let mut pair = pair();
    begin(&mut pair.sides[CLIENT], vec![METHODS[0]], true, &[]);
    pair.settle().unwrap();
    assert!(pair.sides[SERVER].is_open());
}

/// An identity of the test data.
fn identity(name: &str) -> Identity {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/keys").join(name);
    let file = std::fs::read_to_string(path).unwrap();
    Identity::from_private_key(&PrivateKey::from_openssh(file).unwrap()).unwrap()
}

#[test]
fn the_first_exchange_names_the_session_and_its_host_key_for_good() {
    let mut pair = pair();
    let hosts = ["ed25519", "p256"].map(identity);
    let keys = hosts.each_ref().map(|host| host.public_key().clone());
    pair.sides[CLIENT].params.role = Role::Client(keys.to_vec());
    pair.sides[SERVER].params.role = Role::Server(hosts.into());
    pair.sides[SERVER].params.offer.host_key = vec!["ssh-ed25519", "ecdsa-sha2-nistp256"];
    pair.settle().unwrap();
    let session = *pair.sides[SERVER].session_id().unwrap();
    pair.sides[CLIENT].params.offer.host_key = vec!["ecdsa-sha2-nistp256"];
    pair.sides[CLIENT].start_exchange(pair.now).unwrap();
    pair.settle().unwrap();
    for side in &pair.sides {
        assert_eq!(side.exchanges(), 2);
        assert_eq!(side.session_id(), Some(&session));
        assert_eq!(side.host_key(), Some(&keys[0]));
        assert_eq!(side.host_key_algorithm(), Some("ssh-ed25519"));
    }
}
