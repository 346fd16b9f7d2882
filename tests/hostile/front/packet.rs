//! Packets that no length, no padding and no key fits.

use containarium::wire::message;

use crate::{
    fixture::{Evil, Sentinel, offer, with_cipher},
    peer::{IDENT, Payload, Peer},
};

const CIPHERS: [&str; 6] = [
    "chacha20-poly1305@openssh.com",
    "aes128-gcm@openssh.com",
    "aes256-gcm@openssh.com",
    "aes128-ctr",
    "aes192-ctr",
    "aes256-ctr",
];

const MACS: [&str; 3] =
    ["hmac-sha2-256-etm@openssh.com", "hmac-sha2-512-etm@openssh.com", "hmac-sha2-256"];

/// Lengths that no packet has, or that hold more than anybody may claim.
fn lengths() -> impl Iterator<Item = u32> {
    (0..=11).chain([13, 35_001, 0x0004_0001, 0x7fff_ffff, 0x8000_0000, 0xffff_fffb, u32::MAX])
}

/// Reasons for bad packets: protocol error, or wrong MAC.
fn is_refused((reason, words): &(u32, String)) -> bool {
    [2, 5].contains(reason) || panic!("not refused but {reason}: {words}")
}

/// CVE-2024-43410 (a claimed length is allocated), CVE-2026-46597 (a GCM packet shorter than its
/// tag panics): a length is refused when it is read, in the clear and under every cipher, and
/// nothing is allocated for it.
#[test]
fn an_impossible_length_is_refused_before_anything_is_kept_for_it() {
    let sentinel = Sentinel::start("");
    let before = sentinel.forget_peak();
    for length in lengths() {
        let mut peer = Peer::connect(sentinel.address);
        peer.greet(IDENT);
        peer.tx.queue_as(length, 4, &[], 59);
        let _ = peer.tx.flush();
        assert!(is_refused(&peer.ended()), "{length} in the clear");
    }
    for cipher in CIPHERS {
        for mac in MACS {
            for length in lengths() {
                let mut peer = Peer::connect(sentinel.address);
                peer.establish(&crate::fixture::with_mac(cipher, mac), true);
                peer.tx.queue_as(length, 4, &[], 59);
                let _ = peer.tx.flush();
                assert!(is_refused(&peer.ended()), "{length} under {cipher} {mac}");
            }
            if cipher.contains('@') {
                break;
            }
        }
    }
    sentinel.assert_peak(before, 1024);
}

/// An authentic packet may still lie about its padding, or have no payload (RFC 4253, section 6).
#[test]
fn padding_that_leaves_no_payload_is_refused() {
    let sentinel = Sentinel::start("");
    for cipher in CIPHERS {
        for (length, padding) in [(32, 0), (32, 3), (32, 31), (32, 32), (32, 255), (16, 15)] {
            let mut peer = Peer::connect(sentinel.address);
            let offer = with_cipher(cipher);
            peer.establish(&offer, true);
            // Where the length field counts towards the block, four bytes fewer are needed.
            peer.tx.queue_as(length, padding, &[], length as usize - 1);
            let _ = peer.tx.flush();
            assert!(is_refused(&peer.ended()), "{length} {padding} under {cipher}");
        }
    }
}

/// Before anybody is let in, packets are at most as long as every implementation must take
/// (RFC 4253, section 6.1: 35,000 bytes); a long one costs its sender the connection.
#[test]
fn a_stranger_may_not_send_large_packets() {
    let sentinel = Sentinel::start("");
    let mut peer = sentinel.established();
    peer.send(&Payload::new(message::IGNORE).string(vec![7; 34_900]).0);
    peer.ask_for_service();
    peer.send(&Payload::new(message::IGNORE).string(vec![7; 35_000]).0);
    assert!(is_refused(&peer.ended()));
}

/// A stranger who sends much, and never the end of a packet, holds little.
#[test]
fn a_packet_that_never_ends_holds_little() {
    let sentinel = Sentinel::start("");
    let before = sentinel.forget_peak();
    let peers: Vec<Peer> = (0..100)
        .map(|_| {
            let mut peer = sentinel.established();
            // Complete ones in the same burst, so that the last one begins far behind.
            let ignore = Payload::new(message::IGNORE).string(vec![7; 30_000]).0;
            (0..9).for_each(|_| peer.tx.queue(&ignore));
            let _ = peer.tx.flush();
            peer.tx.queue(&ignore);
            let _ = peer.tx.flush_all_but(100);
            peer
        })
        .collect();
    // Somebody else is served meanwhile.
    assert!(sentinel.answers());
    // 35 KB each, and what the allocator adds.
    sentinel.assert_peak(before, 100 * 64);
    drop(peers);
}

/// The sequence numbers begin anew with the first keys, if strict key exchange was agreed, and
/// else do not (OpenSSH PROTOCOL, section 1.10): a peer that counts differently is not understood.
#[test]
fn sequence_numbers_are_counted_as_agreed() {
    let sentinel = Sentinel::start("");
    for strict in [true, false] {
        // chacha20 has the number in its nonce: a wrong one cannot be read.
        let mut peer = Peer::connect(sentinel.address);
        peer.establish(&with_cipher("chacha20-poly1305@openssh.com"), strict);
        assert_eq!(peer.strict, strict);
        peer.ask_for_service();
        for wrong in [true, false] {
            let mut peer = Peer::connect(sentinel.address);
            peer.greet(IDENT);
            let own = with_cipher("chacha20-poly1305@openssh.com");
            let own = own.kexinit(containarium::wire::negotiate::Side::Client, strict).unwrap();
            let kexinits = peer.kexinits(containarium::wire::negotiate::Side::Client, &own);
            peer.strict ^= wrong;
            peer.finish_as_client(&kexinits);
            peer.send(&Payload::new(message::SERVICE_REQUEST).string("ssh-userauth").0);
            if wrong {
                // What comes back is not understood either.
                peer.rx.skip_to_end();
            } else {
                peer.next_number(message::SERVICE_ACCEPT);
            }
        }
    }
}

/// CVE-2023-48795 (Terrapin): with strict key exchange nothing may come before or between the
/// messages of the first one, so that nobody can insert what later makes up for what she cut out.
#[test]
fn nothing_is_inserted_into_the_first_key_exchange() {
    use containarium::wire::negotiate::Side;
    let sentinel = Sentinel::start("");
    let inserts: [&[u8]; 4] =
        [&[2, 0, 0, 0, 0], &[3, 0, 0, 0, 0], &[4, 0, 0, 0, 0, 0, 0, 0, 0, 0], &[7, 0, 0, 0, 0]];
    for insert in inserts {
        // Before the KEXINIT, and behind it.
        for before in [true, false] {
            let mut peer = Peer::connect(sentinel.address);
            peer.greet(IDENT);
            if before {
                peer.send(insert);
            }
            peer.send(&offer().kexinit(Side::Client, true).unwrap());
            if !before {
                peer.send(insert);
            }
            assert!(is_refused(&peer.ended()), "{insert:?}");
        }
        // Between our value and NEWKEYS: the sentinel has sent its own by then.
        let mut peer = Peer::connect(sentinel.address);
        peer.greet(IDENT);
        peer.kexinits(Side::Client, &offer().kexinit(Side::Client, true).unwrap());
        let client = containarium::wire::kex::ClientKex::new(
            containarium::wire::kex::KexAlgorithm::Curve25519,
        );
        peer.send(&Payload::new(message::KEX_ECDH_INIT).string(&client.unwrap().init).0);
        peer.send(insert);
        peer.rx.skip_to_end();
    }
}

/// The same from an sshd behind the door.
#[test]
fn an_sshd_inserts_nothing_into_the_first_key_exchange() {
    use containarium::wire::negotiate::{Offer, Side};
    let evil = Evil::listen();
    let sentinel = evil.sentinel();
    for insert in [&[2, 0, 0, 0, 0][..], &[4, 0, 0, 0, 0, 0, 0, 0, 0, 0], &[7, 0, 0, 0, 0]] {
        for before in [true, false] {
            let told = evil.apology(&sentinel, |mut far| {
                far.greet("SSH-2.0-evil");
                if before {
                    far.send(insert);
                }
                let own = Offer::front(vec!["ssh-ed25519"]);
                far.send(&own.kexinit(Side::Server, true).unwrap());
                if !before {
                    far.send(insert);
                }
                far.ended();
            });
            assert!(told.err.contains("protocol error: "), "{insert:?}: {told:?}");
        }
    }
}

/// CVE-2026-55200: the lengths again, from an sshd behind the door, at every point of a login and
/// after it.
#[test]
fn an_sshd_with_impossible_lengths_is_left() {
    let evil = Evil::listen();
    let sentinel = evil.sentinel();
    let before = sentinel.forget_peak();
    for length in lengths() {
        let told = evil.apology(&sentinel, |mut far| {
            far.greet("SSH-2.0-evil");
            far.tx.queue_as(length, 4, &[], 59);
            let _ = far.tx.flush();
            far.ended();
        });
        assert!(told.err.contains("impossible packet length"), "{length}: {told:?}");
        let (mut near, mut far) = evil.session(&sentinel);
        far.tx.queue_as(length, 4, &[], 59);
        let _ = far.tx.flush();
        let (reason, words) = near.ended();
        // The person's own connection kept the rules.
        assert_eq!(reason, 10, "{length}: {words}");
        assert!(words.starts_with("the container's sshd broke the protocol: "), "{words}");
    }
    sentinel.assert_peak(before, 2048);
}
