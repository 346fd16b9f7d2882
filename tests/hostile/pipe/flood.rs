//! Much at once through a session, or to the sentinel from one who is in.

use std::thread;

use containarium::wire::message;

use crate::{
    fixture::{Evil, admin},
    peer::{Payload, Peer, wait_until_stuck},
};

/// How much more memory the sentinel may use while a session is flooded, in KiB: what waits for one
/// slow reader (`OUTPUT_LIMIT` and one block), and what the allocator adds.
const MORE: u64 = 2048;

fn other_way((near, far): (Peer, Peer)) -> (Peer, Peer) {
    (far, near)
}

/// CVE-2025-26466, past authentication: PINGs are answered, but whoever takes no answers gets no
/// more of them. When she does, all are there.
#[test]
fn pings_without_end_are_answered_as_fast_as_answers_are_taken() {
    const PINGS: u64 = 100_000;
    let evil = Evil::listen();
    let sentinel = evil.sentinel();
    for turn in [|s| s, other_way] {
        let (mut flooder, mut other) = turn(evil.session(&sentinel));
        let before = sentinel.forget_peak();
        let ping = Payload::new(message::PING).string([7; 1000]).0;
        let Peer { tx, rx, .. } = &mut flooder;
        let progress = tx.progress();
        thread::scope(|scope| {
            let flooding = scope.spawn(|| tx.flood(PINGS, |_| ping.clone()));
            wait_until_stuck(&progress);
            assert!(!flooding.is_finished(), "the kernel's buffers cannot hold all of it");
            sentinel.assert_peak(before, MORE);
            (0..PINGS).for_each(|_| assert_eq!(rx.next().unwrap()[0], message::PONG));
            assert_eq!(flooding.join().unwrap(), PINGS);
        });
        flooder.send(&Payload::data(0, b"end"));
        assert_eq!(other.next(), Some(Payload::data(0, b"end")), "no PING reached the other end");
    }
}

/// I-23 and I-26: one end floods, the other does not read: that costs a buffer. Another session
/// works meanwhile, and in the end nothing is missing.
#[test]
fn a_flood_that_nobody_takes_costs_a_buffer() {
    const PIECES: u64 = 4_000;
    let evil = Evil::listen();
    let sentinel = evil.sentinel();
    let mut worker = sentinel.logged_in("admin", admin());
    for turn in [|s| s, other_way] {
        let (mut flooder, mut reader) = turn(evil.session(&sentinel));
        let before = sentinel.forget_peak();
        let data = Payload::data(0, &vec![7; 30_000]);
        thread::scope(|scope| {
            let progress = flooder.tx.progress();
            let flooding = scope.spawn(|| flooder.tx.flood(PIECES, |_| data.clone()));
            wait_until_stuck(&progress);
            for _ in 0..30 {
                assert!(worker.run("version").out.contains("containarium"));
            }
            assert!(!flooding.is_finished());
            sentinel.assert_peak(before, MORE);
            (0..PIECES).for_each(|_| assert_eq!(reader.next().as_ref(), Some(&data)));
            assert_eq!(flooding.join().unwrap(), PIECES);
        });
    }
}

/// What nobody knows is answered with UNIMPLEMENTED, which floods in turn; what is ignored is not
/// answered at all. Neither reaches the other end.
#[test]
fn idle_talk_stays_with_the_sentinel() {
    const COUNT: u64 = 100_000;
    let evil = Evil::listen();
    let sentinel = evil.sentinel();
    for turn in [|s| s, other_way] {
        let (mut talker, mut other) = turn(evil.session(&sentinel));
        let before = sentinel.forget_peak();
        let Peer { tx, rx, .. } = &mut talker;
        thread::scope(|scope| {
            scope.spawn(|| {
                tx.flood(COUNT, |n| vec![[8, 19, 22, 29][(n % 4) as usize], 1, 2]);
                tx.flood(COUNT, |n| {
                    Payload::new([2, 3, 4][(n % 3) as usize]).string("x").string("").0
                });
                tx.send(&Payload::data(0, b"end")).unwrap();
            });
            for _ in 0..COUNT {
                assert_eq!(rx.next().unwrap()[0], message::UNIMPLEMENTED);
            }
        });
        assert_eq!(other.next(), Some(Payload::data(0, b"end")));
        sentinel.assert_peak(before, MORE);
    }
}
