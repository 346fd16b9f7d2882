//! An sshd that is not whom it says.

use containarium::wire::{
    codec::Reader,
    identity::Identity,
    kex, message,
    negotiate::{Offer, Side},
};

use crate::{
    fixture::Evil,
    peer::{Payload, Peer},
};

fn own(kex: &'static str) -> Vec<u8> {
    let offer = Offer { kex: vec![kex], ..Offer::front(vec!["ssh-ed25519"]) };
    offer.kexinit(Side::Server, true).unwrap()
}

/// A container that is somebody else's, or in between, holds another key than the pinned one; who
/// only knows the pinned one cannot sign with it. Neither sees a login.
#[test]
fn who_does_not_hold_the_pinned_key_sees_no_login() {
    let evil = Evil::listen();
    let sentinel = evil.sentinel();
    let other = Identity::generate_ed25519().unwrap();
    let told = evil.apology(&sentinel, |mut far| {
        far.greet("SSH-2.0-evil");
        let kexinits = far.kexinits(Side::Server, &own("curve25519-sha256"));
        reply(&mut far, other.public_key().blob(), &other.sign("ssh-ed25519", b"x").unwrap());
        drop(kexinits);
        assert!(far.rest().iter().all(|p| p[0] < message::SERVICE_REQUEST), "nothing is asked");
    });
    assert!(told.err.contains("shows another host key"), "{told:?}");
    assert_eq!(told.status, Some(69));

    let pinned = evil.host_key.public_key().blob();
    let blob = |name: &str, signature: &[u8]| Payload(Vec::new()).string(name).string(signature).0;
    for method in ["curve25519-sha256", "mlkem768x25519-sha256"] {
        let signatures = [
            other.sign("ssh-ed25519", b"x").unwrap(),
            // Its own key, but of something else than this exchange.
            evil.host_key.sign("ssh-ed25519", &[7; 32]).unwrap(),
            Vec::new(),
            blob("ssh-ed25519", &[0; 64]),
            blob("ssh-rsa", &[0; 64]),
            blob("none", &[]),
            vec![0xff; 200_000],
        ];
        for signature in signatures {
            let told = evil.apology(&sentinel, |mut far| {
                far.greet("SSH-2.0-evil");
                far.kexinits(Side::Server, &own(method));
                reply(&mut far, pinned, &signature);
                assert!(far.rest().iter().all(|p| p[0] == message::DISCONNECT));
            });
            let refused = ["host key signature is wrong", "impossible packet length"];
            assert!(refused.iter().any(|words| told.err.contains(words)), "{told:?}");
        }
    }
}

/// A reply whose values are good and whose key and signature are what they are told.
fn reply(far: &mut Peer, key: &[u8], signature: &[u8]) {
    let question = far.next_number(message::KEX_ECDH_INIT);
    let init = Reader::new(&question[1..]).string().unwrap();
    let hybrid = init.len() > 32;
    let method =
        if hybrid { kex::KexAlgorithm::MlKem768X25519 } else { kex::KexAlgorithm::Curve25519 };
    let (value, _) = kex::respond(method, init).unwrap();
    let reply = Payload::new(message::KEX_ECDH_REPLY).string(key).string(&value);
    far.send(&reply.string(signature).0);
}

/// The key is pinned for the life of a connection, not only for its first exchange.
#[test]
fn a_later_key_exchange_under_another_host_key_ends_the_session() {
    let evil = Evil::listen();
    let sentinel = evil.sentinel();
    let (mut near, mut far) = evil.session(&sentinel);
    // With its own, as often as it likes.
    for _ in 0..3 {
        let own = Offer::front(vec!["ssh-ed25519"]).kexinit(Side::Server, false).unwrap();
        far.exchange(Side::Server, &own, Some(&evil.host_key));
    }
    far.send(&Payload::data(0, b"still here"));
    assert_eq!(near.next_number(message::CHANNEL_DATA), Payload::data(0, b"still here"));
    let other = Identity::generate_ed25519().unwrap();
    far.kexinits(Side::Server, &own("curve25519-sha256"));
    reply(&mut far, other.public_key().blob(), &other.sign("ssh-ed25519", b"x").unwrap());
    let (_, words) = near.ended();
    assert!(words.contains("host key is not the pinned one"), "{words}");
}
