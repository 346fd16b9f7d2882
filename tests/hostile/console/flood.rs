//! Channels by the hundred thousand.

use std::thread;

use containarium::wire::message;

use crate::{
    fixture::{Sentinel, admin},
    peer::{Payload, Peer},
};

/// How much more memory the sentinel may keep after any number of channels, in KiB.
const MORE: u64 = 2048;

/// CVE-2026-39827: each channel that was refused leaks a little. A million of them leave nothing,
/// not even while they come.
#[test]
fn a_million_refused_channels_leave_nothing() {
    const COUNT: u64 = 1_000_000;
    let sentinel = Sentinel::start("");
    let mut peer = sentinel.logged_in("admin", admin());
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
        for _ in 0..COUNT {
            assert_eq!(rx.next().unwrap()[0], message::CHANNEL_OPEN_FAILURE);
        }
    });
    sentinel.assert_peak(before, MORE);
    drop(peer);
    sentinel.assert_settled(MORE);
}

/// A hundred thousand sessions, opened and closed on one connection after the other, leave nothing.
/// On one connection there can be only so many.
#[test]
fn a_hundred_thousand_sessions_leave_nothing() {
    // Sessions that a connection may have open at once, and in its life (`console/handler.rs`).
    const AT_ONCE: u32 = 32;
    const IN_ALL: u32 = 4096;
    let sentinel = Sentinel::start("");
    let mut before = None;
    let mut opened = 0;
    while opened < 100_000 {
        let mut peer = sentinel.logged_in("admin", admin());
        for _ in 0..IN_ALL / AT_ONCE {
            opened += open_and_close(&mut peer, AT_ONCE);
        }
        peer.send(&Payload::session(0, 1, 1));
        assert_eq!(peer.next().unwrap()[0], message::CHANNEL_OPEN_FAILURE);
        drop(peer);
        // The first connection fills what the allocator then keeps.
        before = before.or_else(|| Some(sentinel.forget_peak()));
    }
    sentinel.assert_peak(before.unwrap(), 2 * MORE);
}

/// Opens sessions, and closes each that was confirmed; returns how many.
fn open_and_close(peer: &mut Peer, count: u32) -> u32 {
    (0..count).for_each(|number| peer.tx.queue(&Payload::session(number, 1 << 20, 1 << 15)));
    peer.tx.flush().unwrap();
    for _ in 0..count {
        let answer = peer.next().unwrap();
        assert_eq!(answer[0], message::CHANNEL_OPEN_CONFIRMATION, "{answer:?}");
        peer.tx.queue(&[&[message::CHANNEL_CLOSE], &answer[5..9]].concat());
    }
    peer.tx.flush().unwrap();
    for _ in 0..count {
        peer.next_number(message::CHANNEL_CLOSE);
    }
    count
}

/// Replies to nothing (CVE-2026-39830: they fill a queue that nobody empties), and requests that all
/// want one; then a command.
#[test]
fn replies_and_requests_without_end_leave_the_connection_usable() {
    const COUNT: u64 = 100_000;
    let sentinel = Sentinel::start("");
    let mut peer = sentinel.logged_in("admin", admin());
    let before = sentinel.forget_peak();
    let Peer { tx, rx, .. } = &mut peer;
    thread::scope(|scope| {
        scope.spawn(|| {
            tx.flood(10_000, |_| vec![message::REQUEST_SUCCESS]);
            tx.flood(10_000, |_| vec![message::REQUEST_FAILURE]);
            tx.flood(COUNT, |_| Payload::global("keepalive@openssh.com", true));
        });
        for _ in 0..COUNT {
            assert_eq!(rx.next(), Some(vec![message::REQUEST_FAILURE]));
        }
    });
    assert!(peer.run("version").out.contains("containarium"));
    sentinel.assert_peak(before, MORE);
}

/// A hundred thousand requests of one session that all want a reply, most of them after its command
/// has ended.
#[test]
fn requests_of_one_session_without_end_leave_nothing() {
    let sentinel = Sentinel::start("");
    let mut peer = sentinel.logged_in("admin", admin());
    let theirs = peer.open_session(3);
    let before = sentinel.forget_peak();
    let Peer { tx, rx, .. } = &mut peer;
    thread::scope(|scope| {
        scope.spawn(|| {
            tx.flood(100_000, |_| Payload::exec(theirs, "version"));
            tx.finish();
        });
        rx.skip_to_end();
    });
    sentinel.assert_peak(before, MORE);
    sentinel.assert_settled(MORE);
}
