//! Much of what is cheap to send, from people nobody knows.

use std::thread;

use containarium::wire::{message, negotiate::Side};

use crate::{
    fixture::{Sentinel, admin, offer},
    peer::{Answer, Payload, Peer},
};

/// What anybody may send at any time, and what nobody knows.
fn idle_talk() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("IGNORE", Payload::new(message::IGNORE).string("x").0),
        ("DEBUG", Payload::new(message::DEBUG).boolean(true).string("x").string("").0),
        ("UNIMPLEMENTED", Payload::new(message::UNIMPLEMENTED).uint32(7).0),
        ("PING", Payload::new(message::PING).string("ping").0),
        ("PONG", Payload::new(message::PONG).string("pong").0),
        ("an unknown message", vec![9]),
        ("large IGNOREs", Payload::new(message::IGNORE).string(vec![7; 30_000]).0),
    ]
}

/// Floods a connection from a thread of its own, and counts what comes back to the end.
fn flood(peer: &mut Peer, count: u64, payload: &[u8]) -> [u64; 256] {
    let Peer { tx, rx, .. } = peer;
    thread::scope(|scope| {
        scope.spawn(|| {
            tx.flood(count, |_| payload.to_vec());
            tx.finish();
        });
        rx.count()
    })
}

/// CVE-2025-26466 (PINGs pile up before authentication), and its like: a stranger is cut off after
/// a thousand packets. No PING is answered before authentication.
#[test]
fn a_stranger_who_talks_much_is_cut_off() {
    let sentinel = Sentinel::start("");
    let before = sentinel.forget_peak();
    for (what, payload) in idle_talk() {
        for serviced in [false, true] {
            let mut peer = if serviced { sentinel.serviced() } else { sentinel.established() };
            let answers = flood(&mut peer, 1_000_000, &payload);
            assert_eq!(answers[usize::from(message::PONG)], 0, "{what}");
            assert!(answers[usize::from(message::UNIMPLEMENTED)] <= 1024, "{what}");
        }
    }
    sentinel.assert_peak(before, 1024);
    let told = sentinel.log().matches("too many packets before authentication").count();
    assert_eq!(told, 2 * idle_talk().len());
}

/// The same before there are keys: what is not part of the key exchange ends it, or is bounded too.
#[test]
fn a_stranger_who_never_exchanges_keys_is_cut_off() {
    let sentinel = Sentinel::start("");
    let before = sentinel.forget_peak();
    for (what, payload) in idle_talk() {
        for strict in [false, true] {
            let mut peer = Peer::connect(sentinel.address);
            peer.greet(crate::peer::IDENT);
            peer.send(&offer().kexinit(Side::Client, strict).unwrap());
            let answers = flood(&mut peer, 1_000_000, &payload);
            assert_eq!(answers[usize::from(message::PONG)], 0, "{what}");
        }
    }
    sentinel.assert_peak(before, 1024);
}

/// CVE-2002-20001 without reconnecting: each exchange of keys costs the sentinel a signature. There
/// is one before authentication.
#[test]
fn a_stranger_exchanges_keys_once() {
    let sentinel = Sentinel::start("");
    for serviced in [false, true] {
        let mut peer = if serviced { sentinel.serviced() } else { sentinel.established() };
        peer.send(&offer().kexinit(Side::Client, false).unwrap());
        let (reason, words) = peer.ended();
        assert_eq!(reason, 2);
        assert_eq!(words, "protocol error: key exchange again before authentication");
    }
}

/// Whoever asks and takes no answers is not heard any more: what waits for her is bounded, and the
/// login grace time ends it.
#[test]
fn a_stranger_who_takes_no_answers_is_not_served_for_ever() {
    let sentinel = Sentinel::configured("login_grace = \"5s\"", "", "");
    let before = sentinel.forget_peak();
    let peers: Vec<Peer> = (0..50)
        .map(|_| {
            let mut peer = sentinel.serviced();
            let none = Payload::new(message::USERAUTH_REQUEST).string("admin");
            let none = none.string("ssh-connection").string("none").0;
            peer.tx.flood(120, |_| none.clone());
            peer.tx.flood(800, |_| vec![9]);
            peer
        })
        .collect();
    sentinel.assert_peak(before, 50 * 128);
    // Nobody of them reads; all are gone.
    sentinel.wait("grace is over", || sentinel.log().matches("grace time is over").count() == 50);
    drop(peers);
}

/// I-23, from the front: while strangers do all of that at once, somebody else works.
#[test]
fn somebody_else_works_meanwhile() {
    let sentinel = Sentinel::start("");
    let mut worker = sentinel.logged_in("admin", admin());
    thread::scope(|scope| {
        for (_, payload) in idle_talk() {
            let sentinel = &sentinel;
            scope.spawn(move || {
                for _ in 0..20 {
                    flood(&mut sentinel.established(), 100_000, &payload);
                }
            });
        }
        // Each of them waits 30 s at most, which is what a peer of ours calls hung.
        for _ in 0..50 {
            assert!(worker.run("version").out.contains("containarium"));
        }
        assert_eq!(sentinel.serviced().try_log_in("admin", admin()), Answer::Success);
    });
}
