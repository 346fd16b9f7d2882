//! What the documents ask of a transport, one test a rule. `docs/conformance.md` names them.

use ssh_key::PrivateKey;

use super::{
    super::signature,
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
    assert_eq!(pair.sides[CLIENT].refusals.len(), generic::MAX_REFUSALS);
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

/// A client that has sent the KEXINIT of a re-exchange, then `payload`.
fn in_reexchange(payload: &[u8]) -> (Pair, Result<bool, Error>) {
    let mut pair = pair();
    pair.settle().unwrap();
    pair.sides.iter_mut().for_each(Transport::set_authenticated);
    let client = &mut pair.sides[CLIENT];
    client.start_exchange(pair.now).unwrap();
    client.writer.seal(&[payload], &mut client.output).unwrap();
    let result = pair.step(CLIENT);
    (pair, result)
}

#[test]
fn a_reexchange_allows_messages_1_to_49_except_services_and_extensions() {
    for number in [2, 3, 4, 8, 19, 22, 29] {
        let (mut pair, result) = in_reexchange(&[number, 0, 0, 0, 0]);
        result.unwrap();
        pair.settle().unwrap();
        assert_eq!(pair.sides[SERVER].exchanges(), 2, "{number}");
        let refused = pair.sides[CLIENT].next_refusal().is_some();
        assert_eq!(refused, number > 7, "{number}");
    }
    for number in [5, 6, 7, 50, 79, 80, 90, 94, 98, 127, 128, 192, 193, 255] {
        let (_, result) = in_reexchange(&[number, 0, 0, 0, 0]);
        assert!(matches!(result, Err(Error::Protocol(_))), "{number}");
    }
    let (_, result) = in_reexchange(&[message::DISCONNECT, 0, 0, 0, 11]);
    assert!(matches!(result, Err(Error::Disconnected { .. })));
}

#[test]
fn key_exchange_messages_out_of_place_end_the_connection() {
    // Outside of a key exchange, and a second KEXINIT or a NEWKEYS too early inside of one.
    for number in [21, 30, 31, 34, 49] {
        let mut pair = pair();
        pair.settle().unwrap();
        pair.sides[CLIENT].send(&[&[number]]).unwrap();
        assert!(matches!(pair.step(CLIENT), Err(Error::Protocol(_))), "{number}");
    }
    for number in [20, 21, 31, 34, 49] {
        let (_, result) = in_reexchange(&[number]);
        assert!(matches!(result, Err(Error::Protocol(_))), "{number}");
    }
    // NEWKEYS is one byte, and the client's value is followed by nothing.
    let mut pair = pair();
    let client = &mut pair.sides[CLIENT];
    let mut init = vec![message::KEX_ECDH_INIT];
    init.put_string(&[9; 32]);
    client.writer.seal(&[&init], &mut client.output).unwrap();
    client.writer.seal(&[&[message::NEWKEYS, 0]], &mut client.output).unwrap();
    assert!(matches!(pair.step(CLIENT), Err(Error::Protocol(_))));
    let mut pair = self::pair();
    let client = &mut pair.sides[CLIENT];
    client.writer.seal(&[&init, &[0]], &mut client.output).unwrap();
    assert_eq!(pair.step(CLIENT), Err(Error::Malformed));
}

#[test]
fn both_sides_may_begin_a_key_exchange_at_once() {
    for first in [CLIENT, SERVER] {
        let mut pair = pair();
        pair.settle().unwrap();
        for packet in [&[94, 1], &[94, 2]] {
            pair.sides[CLIENT].send(&[packet]).unwrap();
            pair.sides[SERVER].send(&[packet]).unwrap();
        }
        pair.sides[first].start_exchange(pair.now).unwrap();
        pair.sides[1 - first].start_exchange(pair.now).unwrap();
        assert!(pair.sides.iter().all(|side| !side.can_send() && side.in_exchange()));
        pair.settle().unwrap();
        for side in [CLIENT, SERVER] {
            assert_eq!(pair.sides[side].exchanges(), 2, "one exchange, not two");
            assert_eq!(pair.received[side], [[94, 1], [94, 2]], "what was under way arrives");
        }
    }
}

#[test]
fn nothing_but_key_exchange_is_sent_between_kexinit_and_newkeys() {
    let mut pair = pair();
    pair.settle().unwrap();
    pair.sides.iter_mut().for_each(Transport::set_authenticated);
    pair.sides[SERVER].start_exchange(pair.now).unwrap();
    let before = pair.sides[SERVER].output.len();
    assert!(pair.sides[SERVER].send(&[&[94]]).is_err());
    assert!(!pair.sides[SERVER].rekey_if_due(pair.now + RekeyLimits::default().age).unwrap());
    assert_eq!(pair.sides[SERVER].output.len(), before);
    // A goodbye is allowed at any time.
    pair.sides[SERVER].disconnect(Reason::ByApplication, "bye");
    assert!(matches!(pair.settle(), Err(Error::Disconnected { reason: 11, .. })));
}

#[test]
fn keys_are_due_after_a_gigabyte_an_hour_or_too_many_packets() {
    let standard = RekeyLimits::default();
    assert_eq!((standard.bytes, standard.age), (1 << 30, Duration::from_secs(3600)));
    // RFC 4251, section 9.3.2: 2^28 packets at the very most; the smallest has 16 bytes.
    assert!(standard.packets.min(standard.bytes / 16) <= 1 << 28);
    for (limits, later, due) in [
        (RekeyLimits { bytes: 1 << 20, packets: 1 << 20, ..standard }, 3599, false),
        (RekeyLimits { bytes: 200, ..standard }, 0, true),
        (RekeyLimits { packets: 2, ..standard }, 0, true),
        (standard, 3600, true),
    ] {
        for side in [CLIENT, SERVER] {
            let mut pair = Pair::new(CIPHERS[0], METHODS[0], limits, 4096);
            pair.settle().unwrap();
            for _ in 0..2 {
                pair.sides[side].send(&[&[94; 100]]).unwrap();
            }
            let time = pair.now + Duration::from_secs(later);
            assert_eq!(pair.sides[side].rekey_if_due(time), Ok(due), "{limits:?}");
        }
    }
}

#[test]
fn ignore_and_debug_are_swallowed_at_any_time() {
    let mut pair = pair();
    pair.settle().unwrap();
    for payload in [&[2][..], &[2, 0, 0, 0, 1, 9], &[2, 0xff], &[4], &[4, 1, 0, 0, 0, 0], &[193]] {
        pair.sides[CLIENT].send(&[payload]).unwrap();
    }
    pair.sides[CLIENT].send(&[&[80]]).unwrap();
    pair.settle().unwrap();
    assert_eq!(pair.received[SERVER], [[80]]);
    assert!(pair.received[CLIENT].is_empty() && pair.sides[CLIENT].next_refusal().is_none());
}

#[test]
fn a_goodbye_in_any_form_is_the_last_that_is_heard() {
    for (payload, reason, said) in [
        (&b"\x01\0\0\0\x02\0\0\0\x02hi\0\0\0\x02en"[..], 2, "hi"),
        (b"\x01\0\0\0\x0b\0\0\0\x02\xff\xfe", 11, "\u{fffd}\u{fffd}"),
        (b"\x01\0\0\0\x0b\xff\xff\xff\xff", 0, ""),
        (b"\x01", 0, ""),
    ] {
        let mut pair = pair();
        pair.settle().unwrap();
        pair.sides[CLIENT].send(&[payload]).unwrap();
        pair.sides[CLIENT].send(&[&[80]]).unwrap();
        let Err(Error::Disconnected { reason: heard, text }) = pair.step(CLIENT) else {
            panic!("goes on after a goodbye")
        };
        assert_eq!(heard, reason);
        assert_eq!(text, said);
        assert!(pair.received[SERVER].is_empty());
    }
    // Ours: reason, text, language.
    let mut writer = pair().sides.into_iter().next().unwrap();
    writer.output = Buffer::default();
    writer.disconnect(Reason::ServiceNotAvailable, "caf\u{e9}");
    let opened = PacketReader::new().open(writer.output.filled_mut()).unwrap().unwrap();
    let said = b"\x01\0\0\0\x07\0\0\0\x05caf\xc3\xa9\0\0\0\x02en";
    assert_eq!(&writer.output.filled()[opened.payload], said);
}

#[test]
fn extensions_are_sent_once_to_those_who_ask_right_after_the_first_newkeys() {
    let mut pair = pair();
    pair.settle().unwrap();
    pair.sides.iter_mut().for_each(Transport::set_authenticated);
    assert_eq!(pair.sides[CLIENT].ext_infos, 1);
    let algorithms = pair.sides[CLIENT].peer_sig_algs().unwrap().to_owned();
    assert_eq!(algorithms.split(',').collect::<Vec<_>>(), signature::SERVER_SIG_ALGS);
    let told = [
        ("server-sig-algs", algorithms.as_bytes()),
        ("publickey-hostbound@openssh.com", b"0"),
        ("ping@openssh.com", b"0"),
    ];
    assert_eq!(exchange::ext_info(), ext_info(&told));
    pair.sides[CLIENT].start_exchange(pair.now).unwrap();
    pair.settle().unwrap();
    assert_eq!((pair.sides[CLIENT].exchanges(), pair.sides[CLIENT].ext_infos), (2, 1));
    assert_eq!(pair.sides[SERVER].ext_infos, 0, "a client has nothing to tell");

    let mut pair = self::pair();
    let client = &mut pair.sides[CLIENT];
    let kexinit = client.params.offer.kexinit(Side::Client, false).unwrap();
    restart(client, &kexinit, &[]);
    pair.settle().unwrap();
    assert_eq!(pair.sides[CLIENT].ext_infos, 0);
}

/// An `EXT_INFO` with these extensions.
fn ext_info(extensions: &[(&str, &[u8])]) -> Vec<u8> {
    let mut out = vec![message::EXT_INFO];
    out.put_uint32(u32::try_from(extensions.len()).unwrap());
    for (name, value) in extensions {
        out.put_string(name.as_bytes());
        out.put_string(value);
    }
    out
}

#[test]
fn extensions_are_heard_twice_and_unknown_ones_mean_nothing() {
    let first = ext_info(&[("x@y.z", b"\0\xff"), ("server-sig-algs", b"a,b"), ("", b"")]);
    let none = ext_info(&[]);
    for (packets, heard) in [
        (vec![&first], Ok(Some("a,b"))),
        (vec![&first, &none], Ok(Some("a,b"))),
        (vec![&none], Ok(None)),
        (vec![&first, &first, &first], Err(())),
        (vec![&first[..first.len() - 1].to_vec()], Err(())),
        (vec![&[&first[..], &[0]].concat()], Err(())),
        (vec![&[&[message::EXT_INFO][..], &[0xff; 4]].concat()], Err(())),
        (vec![&ext_info(&[("server-sig-algs", b"\xff")])], Ok(None)),
    ] {
        let mut pair = pair();
        pair.settle().unwrap();
        for packet in packets {
            pair.sides[CLIENT].send(&[packet]).unwrap();
        }
        let settled = pair.settle().map(|()| pair.sides[SERVER].peer_sig_algs());
        assert_eq!(settled.map_err(drop), heard);
    }
}

#[test]
fn strict_key_exchange_begins_with_kexinit_and_counts_anew_each_time() {
    // With the marker of both sides, even IGNORE may not come first (CVE-2023-48795).
    for (side, other) in [(CLIENT, SERVER), (SERVER, CLIENT)] {
        for strict in [true, false] {
            let mut pair = pair();
            let offer = pair.sides[side].params.offer.clone();
            let kexinit = offer.kexinit(pair.sides[side].side(), strict).unwrap();
            let before = &mut pair.sides[side];
            restart(before, &[message::IGNORE], &[&kexinit]);
            before.exchange.as_mut().unwrap().own_kexinit = kexinit;
            let step = pair.step(side);
            assert_eq!(step.is_err(), strict, "{side}");
            assert_eq!(pair.sides[other].strict, strict, "{side}");
        }
    }
    let mut pair = pair();
    for exchanges in 1..4 {
        pair.settle().unwrap();
        pair.sides.iter_mut().for_each(Transport::set_authenticated);
        assert_eq!(pair.sides[CLIENT].exchanges(), exchanges);
        let number = |side: &mut Transport| {
            side.send(&[&[94]]).unwrap();
            side.sent_number()
        };
        let numbers = pair.sides.each_mut().map(number);
        // The server's EXT_INFO was the first packet under its first keys.
        assert_eq!(numbers, [0, u32::from(exchanges == 1)]);
        pair.settle().unwrap();
        // Markers in later KEXINITs mean nothing, and are not sent.
        pair.sides[CLIENT].start_exchange(pair.now).unwrap();
    }
}
