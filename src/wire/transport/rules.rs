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
    restart(side, &kexinit, follow);
}

fn restart(side: &mut Transport, kexinit: &[u8], follow: &[&[u8]]) {
    side.output = Buffer::default();
    side.writer = PacketWriter::new();
    side.output.extend(side.params.ident.as_bytes());
    side.output.extend(b"\r\n");
    side.writer.seal(&[kexinit], &mut side.output).unwrap();
    for packet in follow {
        side.writer.seal(&[packet], &mut side.output).unwrap();
    }
    side.exchange.as_mut().unwrap().own_kexinit = kexinit.to_vec();
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
    pair.sides.iter_mut().for_each(Transport::set_authenticated);
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

#[test]
fn unknown_messages_are_refused_by_number_in_their_order() {
    for strict in [true, false] {
        let mut pair = pair();
        if !strict {
            let client = &mut pair.sides[CLIENT];
            let kexinit = client.params.offer.kexinit(Side::Client, false).unwrap();
            restart(client, &kexinit, &[]);
        }
        pair.settle().unwrap();
        // KEXINIT, the client's value and NEWKEYS came first; strict key exchange starts anew.
        let first = if strict { 0 } else { 3 };
        for number in [0, 8, 19, 22, 29] {
            pair.sides[CLIENT].send(&[&[number, 1, 2]]).unwrap();
        }
        pair.settle().unwrap();
        let refused: Vec<_> = std::iter::from_fn(|| pair.sides[CLIENT].next_refusal()).collect();
        assert_eq!(refused, (first..first + 5).collect::<Vec<_>>());
        assert!(pair.received.concat().is_empty());
    }
}

#[test]
fn an_owner_refuses_the_packet_that_waits() {
    let mut pair = pair();
    pair.settle().unwrap();
    let server = &mut pair.sides[SERVER];
    assert_eq!((server.packet_number(), server.refuse()), (None, Ok(())));
    pair.sides[CLIENT].send(&[&[200]]).unwrap();
    let sent = pair.sides[CLIENT].sent_number();
    let bytes = pair.sides[CLIENT].output.filled().to_vec();
    pair.sides[CLIENT].output.consume(bytes.len());
    let server = &mut pair.sides[SERVER];
    server.input.extend(&bytes);
    server.next(pair.now).unwrap();
    assert_eq!(server.packet_number(), Some(sent));
    server.refuse().unwrap();
    assert_eq!(server.packet(), None);
    pair.settle().unwrap();
    assert_eq!(pair.sides[CLIENT].next_refusal(), Some(sent));
    // What a peer refuses without end is not collected.
    for _ in 0..1000 {
        pair.sides[SERVER].send(&[&[message::UNIMPLEMENTED, 0, 0, 0, 1]]).unwrap();
    }
    pair.settle().unwrap();
    assert_eq!(pair.sides[CLIENT].refusals.len(), MAX_REFUSALS);
}

#[test]
fn answers_wait_for_the_end_of_our_key_exchange_and_keep_their_order() {
    let mut pair = pair();
    pair.settle().unwrap();
    pair.sides.iter_mut().for_each(Transport::set_authenticated);
    // These are under way when the server begins a key exchange.
    for packet in [&[message::PING, 0, 0, 0, 1, 7][..], &[9], &[80, 1]] {
        pair.sides[CLIENT].send(&[packet]).unwrap();
    }
    pair.sides[SERVER].start_exchange(pair.now).unwrap();
    let kexinit = pair.sides[SERVER].output.len();
    pair.step(CLIENT).unwrap();
    assert_eq!(pair.received[SERVER], [[80, 1]]);
    pair.sides[SERVER].answer(&[82]).unwrap();
    assert_eq!(pair.sides[SERVER].output.len(), kexinit, "nothing is sent in key exchange");
    let held = &pair.sides[SERVER].exchange.as_ref().unwrap().held;
    let numbers: Vec<_> = held.iter().map(|answer| answer[0]).collect();
    assert_eq!(numbers, [message::PONG, message::UNIMPLEMENTED, 82]);
    pair.settle().unwrap();
    assert!(pair.sides.iter().all(|side| side.exchanges() == 2));
    assert_eq!(pair.received[CLIENT], [[82]]);
    assert!(pair.sides[CLIENT].next_refusal().is_some());
}

#[test]
fn answers_that_wait_are_bounded() {
    let mut pair = pair();
    pair.settle().unwrap();
    pair.sides[SERVER].start_exchange(pair.now).unwrap();
    let answers = (0..1_000).map(|_| pair.sides[SERVER].answer(&[81; 1000]));
    assert_eq!(answers.take_while(Result::is_ok).count(), 65);
}
