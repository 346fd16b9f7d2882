//! Channels by the hundred thousand through the door, to OpenSSH's own sshd.

use std::thread;

use containarium::wire::message;

use crate::{
    fixture::{Sshd, admin, member},
    peer::{Payload, Peer},
};

/// How much more memory the sentinel may use, in KiB.
const MORE: u64 = 2048;

/// CVE-2026-39827 through the door: a million channels that the container's sshd refuses, while
/// somebody else works.
#[test]
fn a_million_channels_that_sshd_refuses_leave_nothing() {
    const COUNT: u64 = 1_000_000;
    let sshd = Sshd::start();
    let sentinel = &sshd.sentinel;
    let mut worker = sentinel.logged_in("admin", admin());
    let mut peer = sentinel.logged_in("real", member());
    assert_eq!(peer.run("echo in").out, "in\n");
    let before = sentinel.forget_peak();
    let Peer { tx, rx, .. } = &mut peer;
    thread::scope(|scope| {
        scope.spawn(|| {
            tx.flood(COUNT, |n| {
                let open = Payload::new(message::CHANNEL_OPEN).string("x11");
                let number = u32::try_from(n).unwrap();
                open.uint32(number).uint32(1).uint32(1).string("").uint32(1).0
            })
        });
        let working = scope.spawn(move || {
            for _ in 0..50 {
                assert!(worker.run("version").out.contains("containarium"));
            }
        });
        let mut refused = 0;
        while refused < COUNT {
            let answer = rx.next().expect("the session lives");
            refused += u64::from(answer[0] == message::CHANNEL_OPEN_FAILURE);
        }
        working.join().unwrap();
    });
    assert_eq!(peer.run("echo still in").out, "still in\n");
    sentinel.assert_peak(before, MORE);
    drop(peer);
    sentinel.assert_settled(MORE);
}

/// A hundred thousand sessions on one connection, a few at a time: sshd allows ten, and frees a place
/// a moment after it said so.
#[test]
fn a_hundred_thousand_sessions_through_the_door_leave_nothing() {
    const AT_ONCE: u32 = 5;
    let sshd = Sshd::start();
    let sentinel = &sshd.sentinel;
    let mut peer = sentinel.logged_in("real", member());
    assert_eq!(peer.run("echo in").out, "in\n");
    let before = sentinel.forget_peak();
    let mut opened = 0;
    while opened < 100_000 {
        (0..AT_ONCE).for_each(|number| peer.tx.queue(&Payload::session(number, 1 << 20, 1 << 15)));
        peer.tx.flush().unwrap();
        let mut confirmed = 0;
        for _ in 0..AT_ONCE {
            let answer = peer.next().expect("the session lives");
            if answer[0] == message::CHANNEL_OPEN_CONFIRMATION {
                confirmed += 1;
                peer.tx.queue(&[&[message::CHANNEL_CLOSE], &answer[5..9]].concat());
            }
        }
        peer.tx.flush().unwrap();
        (0..confirmed).for_each(|_| drop(peer.next_number(message::CHANNEL_CLOSE)));
        opened += confirmed;
    }
    assert_eq!(peer.run("echo still in").out, "still in\n");
    sentinel.assert_peak(before, MORE);
    drop(peer);
    sentinel.assert_settled(MORE);
}

/// A session that says nonsense to sshd is ended by sshd, and its person is told by whom.
#[test]
fn sshd_itself_ends_who_talks_nonsense_to_it() {
    let sshd = Sshd::start();
    for nonsense in [
        Payload::data(77, b"data"),
        Payload::channel(message::CHANNEL_CLOSE, 77),
        Payload::new(message::CHANNEL_OPEN).0,
        Payload::new(message::CHANNEL_WINDOW_ADJUST).uint32(77).uint32(u32::MAX).0,
    ] {
        let mut peer = sshd.sentinel.logged_in("real", member());
        peer.send(&nonsense);
        peer.send(&nonsense);
        peer.tx.finish();
        peer.rx.skip_to_end();
    }
    assert_eq!(sshd.sentinel.logged_in("real", member()).run("echo in").out, "in\n");
}
