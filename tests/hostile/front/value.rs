//! Key exchange values that are no public keys.

use containarium::wire::{
    message,
    negotiate::{Offer, Side},
};

use crate::{
    fixture::{Evil, Sentinel, offer},
    peer::{IDENT, Payload, Peer},
};

/// 2^255 - 19, and `add` more, as Curve25519 writes numbers.
fn prime_and(add: i16) -> [u8; 32] {
    let mut point = [0xff; 32];
    point[31] = 0x7f;
    point[0] = u8::try_from(0xed + add).unwrap();
    point
}

/// Points of small order, in every way to write them, and points of the wrong length.
fn points() -> Vec<Vec<u8>> {
    let small = |first: u8| {
        let mut point = [0; 32];
        point[0] = first;
        point
    };
    // The two points of order 8 (RFC 7748 has none of these; the list is Bernstein's).
    let eight = [
        "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
        "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
    ];
    let eight = eight.map(|hex| {
        let digits = hex.as_bytes().chunks(2).map(|d| std::str::from_utf8(d).unwrap());
        digits.map(|d| u8::from_str_radix(d, 16).unwrap()).collect::<Vec<u8>>()
    });
    let mut points = vec![small(0), small(1), prime_and(-1), prime_and(0), prime_and(1)];
    // The topmost bit does not count: the same points again.
    points.extend(points.clone().into_iter().map(|mut point| {
        point[31] |= 0x80;
        point
    }));
    let mut points: Vec<Vec<u8>> = points.into_iter().map(|p| p.to_vec()).collect();
    points.extend(eight);
    points.extend([0, 1, 31, 33, 64, 30_000].map(|len| vec![9; len]));
    points
}

fn hybrid() -> Offer {
    Offer { kex: vec!["mlkem768x25519-sha256"], ..offer() }
}

/// CVE-2023-28113 and its like: a value that makes the shared secret known to everybody ends the
/// connection. For the hybrid method also an ML-KEM key or ciphertext that is none.
#[test]
fn a_client_that_sends_a_worthless_value_gets_no_key() {
    let sentinel = Sentinel::start("");
    let attempt = |offer: &Offer, value: &[u8]| {
        let mut peer = Peer::connect(sentinel.address);
        peer.greet(IDENT);
        peer.kexinits(Side::Client, &offer.kexinit(Side::Client, true).unwrap());
        peer.send(&Payload::new(message::KEX_ECDH_INIT).string(value).0);
        let (reason, words) = peer.ended();
        assert_eq!((reason, words.as_str()), (2, "protocol error: bad key exchange value"));
    };
    for point in points() {
        attempt(&offer(), &point);
        // A key of zeros is a key; only the point behind it is bad.
        attempt(&hybrid(), &[vec![0; 1184], point].concat());
    }
    // Coefficients that are not below the modulus (FIPS 203, section 7.2).
    attempt(&hybrid(), &[0xff; 1184 + 32]);
}

/// The classic groups, whose values would need a range check, are not there to be asked for.
#[test]
fn no_method_with_a_classic_group_can_be_agreed() {
    let sentinel = Sentinel::start("");
    for method in [
        "diffie-hellman-group1-sha1",
        "diffie-hellman-group14-sha1",
        "diffie-hellman-group14-sha256",
        "diffie-hellman-group16-sha512",
        "diffie-hellman-group18-sha512",
        "diffie-hellman-group-exchange-sha256",
        "ecdh-sha2-nistp256",
        "none",
        "",
    ] {
        let mut peer = Peer::connect(sentinel.address);
        peer.greet(IDENT);
        let asked = Offer { kex: vec![method], ..offer() };
        peer.send(&asked.kexinit(Side::Client, true).unwrap());
        let (reason, words) = peer.ended();
        assert_eq!((reason, words.as_str()), (3, "no common key exchange algorithm"), "{method}");
    }
}

/// CVE-2026-46702 (a compressed packet that unpacks without end), no encryption, no authentication of
/// packets, keys of yesterday: whoever asks for nothing else is told that there is nothing in common.
#[test]
fn nothing_can_be_agreed_that_is_not_spoken() {
    let sentinel = Sentinel::start("");
    let ctr = "aes128-ctr";
    for (at, value, what) in [
        (1, "ssh-rsa,ssh-dss", "host key"),
        (2, "none", "cipher"),
        (3, "3des-cbc,aes128-cbc,arcfour", "cipher"),
        (4, "none", "MAC"),
        (5, "hmac-sha1,hmac-md5,umac-64@openssh.com", "MAC"),
        (6, "zlib", "compression"),
        (7, "zlib@openssh.com", "compression"),
    ] {
        let mac = "hmac-sha2-256";
        let own = ["curve25519-sha256", "ssh-ed25519", ctr, ctr, mac, mac, "none", "none", "", ""];
        let mut payload = Payload::new(message::KEXINIT).bytes(&[7; 16]);
        for (number, list) in own.into_iter().enumerate() {
            payload = payload.string(if number == at { value } else { list });
        }
        let mut peer = Peer::connect(sentinel.address);
        peer.greet(IDENT);
        peer.send(&payload.boolean(false).uint32(0).0);
        assert_eq!(peer.ended(), (3, format!("no common {what} algorithm")), "{value}");
    }
}

/// The same values from the sshd behind the door.
#[test]
fn an_sshd_that_sends_a_worthless_value_is_not_believed() {
    let evil = Evil::listen();
    let sentinel = evil.sentinel();
    let attempt = |method: &'static str, value: Vec<u8>| {
        let told = evil.apology(&sentinel, |mut far| {
            far.greet("SSH-2.0-evil");
            let own = Offer { kex: vec![method], ..Offer::front(vec!["ssh-ed25519"]) };
            far.kexinits(Side::Server, &own.kexinit(Side::Server, true).unwrap());
            far.next_number(message::KEX_ECDH_INIT);
            let reply = Payload::new(message::KEX_ECDH_REPLY);
            let reply = reply.string(evil.host_key.public_key().blob()).string(&value);
            far.send(&reply.string(evil.host_key.sign("ssh-ed25519", b"x").unwrap()).0);
            far.ended();
        });
        assert!(told.err.contains("bad key exchange value"), "{value:?}: {told:?}");
        assert_eq!(told.status, Some(75));
    };
    for point in points() {
        attempt("curve25519-sha256", point.clone());
        attempt("mlkem768x25519-sha256", [vec![0; 1088], point].concat());
    }
    attempt("mlkem768x25519-sha256", vec![9; 1087]);
}
