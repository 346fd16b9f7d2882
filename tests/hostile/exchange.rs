//! Key exchanges that are begun, and not ended.

use std::thread;

use containarium::wire::{
    kex::{ClientKex, KexAlgorithm},
    message,
    negotiate::{Offer, Side},
};

use crate::{
    fixture::{Evil, Sentinel, offer, with_cipher},
    peer::{Payload, Peer},
};

/// Begins a key exchange and says nothing of it any more.
fn begin(peer: &mut Peer, side: Side) {
    peer.send(&offer().kexinit(side, false).unwrap());
}

/// CVE-2025-22869 and russh before 0.65.1: messages that come after a KEXINIT that is never
/// followed up pile up. Here the first of them ends the session (RFC 4253, section 7.1: none may).
#[test]
fn nobody_talks_on_in_a_key_exchange_of_her_own() {
    let evil = Evil::listen();
    let sentinel = evil.sentinel();
    let before = sentinel.forget_peak();
    let talk = [Payload::data(0, &[7; 1000]), Payload::new(message::PING).string("x").0];
    for payload in talk {
        let (mut near, mut far) = evil.session(&sentinel);
        begin(&mut near, Side::Client);
        let Peer { tx, rx, .. } = &mut near;
        let counts = thread::scope(|scope| {
            scope.spawn(|| tx.flood(1_000_000, |_| payload.clone()));
            rx.count()
        });
        assert_eq!(counts[usize::from(message::PONG)], 0);
        assert!(far.rest().iter().all(|p| p[0] == message::DISCONNECT), "nothing got through");

        let (mut near, mut far) = evil.session(&sentinel);
        begin(&mut far, Side::Server);
        let Peer { tx, rx, .. } = &mut far;
        thread::scope(|scope| {
            scope.spawn(|| tx.flood(1_000_000, |_| payload.clone()));
            rx.count()
        });
        let (_, words) = near.ended();
        assert!(words.contains("unexpected message in key exchange"), "{words}");
    }
    sentinel.assert_peak(before, 1024);
}

/// Keys may be changed as often as either end likes, each time to another cipher: nothing is lost or
/// kept.
#[test]
fn keys_that_change_all_the_time_leave_nothing() {
    const ROUNDS: usize = 60;
    const CIPHERS: [&str; 5] = [
        "chacha20-poly1305@openssh.com",
        "aes128-gcm@openssh.com",
        "aes256-gcm@openssh.com",
        "aes128-ctr",
        "aes256-ctr",
    ];
    let evil = Evil::listen();
    let sentinel = evil.sentinel();
    let (mut near, mut far) = evil.session(&sentinel);
    let before = sentinel.forget_peak();
    for round in 0..ROUNDS {
        let own = with_cipher(CIPHERS[round % 5]).kexinit(Side::Client, false).unwrap();
        near.exchange(Side::Client, &own, None);
        let own = with_cipher(CIPHERS[round % 3]).kexinit(Side::Server, false).unwrap();
        far.exchange(Side::Server, &own, Some(&evil.host_key));
        // The largest that every cipher takes, too.
        for size in [1, 1000, 30_000, 262_000] {
            let data = Payload::data(0, &vec![7; size]);
            near.send(&data);
            assert_eq!(far.next().as_ref(), Some(&data));
            far.send(&data);
            assert_eq!(near.next().as_ref(), Some(&data));
        }
    }
    sentinel.assert_peak(before, 2048);
}

/// A guessed value (RFC 4253, section 7): a wrong guess is passed over once, a right one counts, and
/// no guess makes room for a second value.
#[test]
fn a_guess_is_passed_over_once() {
    let sentinel = Sentinel::start("");
    let methods = [
        // The sentinel's first, so the guess is right.
        ("mlkem768x25519-sha256", KexAlgorithm::MlKem768X25519, 1),
        ("curve25519-sha256", KexAlgorithm::Curve25519, 2),
    ];
    for (name, method, needed) in methods {
        for values in [needed, needed + 1] {
            let mut peer = Peer::connect(sentinel.address);
            peer.greet(crate::peer::IDENT);
            let own = Offer { kex: vec![name], ..offer() };
            let mut kexinit = own.kexinit(Side::Client, true).unwrap();
            // `first_kex_packet_follows`, before the reserved number at the end.
            let at = kexinit.len() - 5;
            kexinit[at] = 1;
            peer.send(&kexinit);
            for _ in 0..values {
                let client = ClientKex::new(method).unwrap();
                peer.send(&Payload::new(message::KEX_ECDH_INIT).string(&client.init).0);
            }
            peer.next_number(message::KEX_ECDH_REPLY);
            peer.next_number(message::NEWKEYS);
            if values > needed {
                // Its goodbye is under keys that were not made here.
                peer.rx.skip_to_end();
            }
        }
    }
}

/// A key exchange may take 30 s, whoever began it and whatever is said meanwhile; then the session
/// is over. Nothing is kept of what is said.
#[test]
fn a_key_exchange_that_is_never_finished_ends_the_session() {
    let evil = Evil::listen();
    let sentinel = evil.sentinel();
    let sessions = [(); 4].map(|()| evil.session(&sentinel));
    let [first, second, third, fourth] = sessions;
    // All at once: each waits for the end of the time.
    thread::scope(|scope| {
        scope.spawn(|| begun_by_client(first));
        scope.spawn(|| begun_by_container(second));
        scope.spawn(|| not_joined(&sentinel, third, Side::Client));
        not_joined(&sentinel, fourth, Side::Server);
    });
}

/// What a key exchange allows to be said, and no end of it.
fn mutter(peer: &mut Peer) {
    let ignore = Payload::new(message::IGNORE).string([7; 100]).0;
    peer.tx.flood(300_000, |_| ignore.clone());
}

fn begun_by_client((mut near, mut far): (Peer, Peer)) {
    begin(&mut near, Side::Client);
    mutter(&mut near);
    near.rx.skip_to_end();
    far.ended();
}

fn begun_by_container((mut near, mut far): (Peer, Peer)) {
    begin(&mut far, Side::Server);
    mutter(&mut far);
    let (_, words) = near.ended();
    assert!(words.contains("key exchange timed out"), "{words}");
}

/// The sentinel itself begins a key exchange after a gigabyte. Until the peer's KEXINIT comes, what
/// it sends may have been under way; here it never comes.
fn not_joined(sentinel: &Sentinel, (mut near, mut far): (Peer, Peer), deaf: Side) {
    const COUNT: usize = 200_000;
    let (deaf, other, words) = match deaf {
        Side::Client => (&mut near, &mut far, "client left"),
        Side::Server => (&mut far, &mut near, "key exchange timed out"),
    };
    let large = Payload::new(message::IGNORE).string(vec![7; 250_000]).0;
    deaf.tx.flood(4_400, |_| large.clone());
    deaf.next_number(message::KEXINIT);
    let before = sentinel.forget_peak();
    let data = Payload::data(0, b"still under way");
    deaf.tx.flood(COUNT as u64, |_| data.clone());
    (0..COUNT).for_each(|_| assert_eq!(other.next().as_ref(), Some(&data)));
    sentinel.assert_peak(before, 4096);
    deaf.rx.skip_to_end();
    let (_, said) = other.ended();
    assert!(said.contains(words), "{said}");
}
