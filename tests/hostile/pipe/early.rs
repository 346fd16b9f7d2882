//! What a client says between its signature and the answer to it, while its far side is opened.

use std::thread;

use containarium::wire::message;

use crate::{
    fixture::{Evil, Sentinel, member},
    peer::{Payload, Peer, signed},
};

/// Signs, and says more before there can be an answer.
fn sign_and_say(sentinel: &Sentinel, more: &[Vec<u8>]) -> Peer {
    let mut near = sentinel.serviced();
    let request = signed(&near, "evil", member()).payload(member());
    near.tx.queue(&request);
    for payload in more {
        near.tx.queue(payload);
    }
    let _ = near.tx.flush();
    near
}

/// RFC 4252, section 5.1: what follows the request that succeeds is for the service behind it. It has
/// no effect before the answer, and arrives whole after it.
#[test]
fn what_comes_behind_the_signature_is_for_the_far_side() {
    let evil = Evil::listen();
    let sentinel = evil.sentinel();
    let open = Payload::session(1, 2, 3);
    let more: Vec<_> = (0..900).map(|n| Payload::data(n, b"early")).collect();
    let mut near = sign_and_say(&sentinel, &[std::slice::from_ref(&open), &more[..]].concat());
    let mut far = evil.accept();
    far.let_in(&evil.host_key);
    assert_eq!(near.next(), Some(vec![message::USERAUTH_SUCCESS]));
    assert_eq!(far.next(), Some(open));
    for payload in &more {
        assert_eq!(far.next().as_ref(), Some(payload));
    }
}

/// Much of it is bounded by TCP, whatever it is; messages of authentication end it.
#[test]
fn a_flood_behind_the_signature_costs_a_buffer() {
    let evil = Evil::listen();
    let sentinel = evil.sentinel();
    let before = sentinel.forget_peak();
    let data = Payload::data(0, &vec![7; 30_000]);
    let mut near = sign_and_say(&sentinel, &[]);
    thread::scope(|scope| {
        let progress = near.tx.progress();
        let Peer { tx, rx, .. } = &mut near;
        scope.spawn(|| {
            tx.flood(3_000, |_| data.clone());
            tx.finish();
        });
        crate::peer::wait_until_stuck(&progress);
        sentinel.assert_peak(before, 1024);
        // Nobody lets her in; she hears an apology, or the end.
        drop(evil.accept());
        rx.skip_to_end();
    });
    for number in [5, 51, 52, 60, 79] {
        // The far side never answers.
        let mut near = sign_and_say(&sentinel, &[vec![number]]);
        assert!(near.rest().iter().all(|p| p[0] != message::USERAUTH_SUCCESS), "{number}");
    }
}

/// What came too early is not read on until the far side is there. That the client has gone is
/// noticed all the same: otherwise it would stay for as long as a host that is away is waited for.
#[test]
fn who_leaves_after_she_said_something_too_early_is_gone() {
    let evil = Evil::listen();
    let sentinel = evil.sentinel();
    let near = sign_and_say(&sentinel, &[Payload::session(1, 2, 3)]);
    // The far side is there, and says nothing.
    let far = evil.accept();
    drop(near);
    sentinel.wait("she is gone", || {
        let log = sentinel.log();
        assert!(!log.contains("far side is not there"), "the far side was waited for: {log}");
        log.contains("person left before the far side was there")
    });
    drop(far);
}
