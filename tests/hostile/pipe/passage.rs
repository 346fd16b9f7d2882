//! What passes as it is, and what does not.

use containarium::wire::{codec::Write, message};

use crate::{
    fixture::Evil,
    peer::{Payload, Peer},
};

/// Messages of channels as they should be.
fn good() -> Vec<Vec<u8>> {
    let number = |n: u8| Payload::new(n).uint32(7);
    let status = Payload(Vec::new()).uint32(3).0;
    let signal = Payload(Vec::new()).string("KILL").boolean(true).string("x").string("").0;
    vec![
        Payload::session(7, 1 << 20, 1 << 15),
        number(message::CHANNEL_OPEN_CONFIRMATION).uint32(7).uint32(1).uint32(1).0,
        number(message::CHANNEL_OPEN_FAILURE).uint32(1).string("no").string("").0,
        number(message::CHANNEL_WINDOW_ADJUST).uint32(u32::MAX).0,
        Payload::data(7, b"data"),
        number(message::CHANNEL_EXTENDED_DATA).uint32(1).string("data").0,
        Payload::channel(message::CHANNEL_EOF, 7),
        Payload::channel(message::CHANNEL_CLOSE, 7),
        Payload::request(7, "exit-status", false, &status),
        Payload::request(7, "exit-signal", false, &signal),
        Payload::channel(message::CHANNEL_SUCCESS, 7),
        Payload::channel(message::CHANNEL_FAILURE, 7),
    ]
}

/// [`good`], cut after every byte; with lengths that are not there; and on any channel.
fn bad() -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    for payload in good() {
        all.extend((1..payload.len()).map(|end| payload[..end].to_vec()));
        let mut huge = payload.clone();
        huge[1..5.min(payload.len())].fill(0xff);
        all.push(huge);
        let mut longer = payload;
        longer.put_uint32(u32::MAX);
        all.push(longer);
    }
    all
}

/// Has one end say things, and asserts that the other hears exactly them, in order.
fn assert_passes(from: &mut Peer, to: &mut Peer, payloads: &[Vec<u8>]) {
    for payload in payloads {
        from.tx.queue(payload);
    }
    from.tx.flush().expect("the session lives");
    for payload in payloads {
        assert_eq!(to.next().as_ref(), Some(payload));
    }
}

/// T4, T12, T16, T29 and T32 of the anchors, both ways: windows beyond 2^32, channels that were
/// never opened, packets of size 0, replies that nobody asked for, requests cut anywhere. None of it
/// is the door's business, which knows no channels; none of it does it any harm, and all arrives as
/// it was sent, for the end that it concerns to judge.
#[test]
fn what_concerns_the_ends_passes_however_wrong_it_is() {
    let evil = Evil::listen();
    let sentinel = evil.sentinel();
    let (mut near, mut far) = evil.session(&sentinel);
    let mut all = good();
    all.extend(bad());
    for channel in [0, 1, 0x7fff_ffff, u32::MAX] {
        all.extend((91..=100).map(|n| Payload::new(n).uint32(channel).bytes(&[0xff; 32]).0));
    }
    all.extend([0, 1, u32::MAX].map(|max| Payload::session(1, 0, max)));
    all.extend((81..=255_u8).filter(|n| ![192, 193].contains(n)).map(|n| vec![n, 1, 2]));
    let replies = [message::REQUEST_SUCCESS, message::REQUEST_FAILURE];
    all.extend((0..10_000).map(|n| vec![replies[n % 2]]));
    assert_passes(&mut near, &mut far, &all);
    assert_passes(&mut far, &mut near, &all);
}

/// I-17: channels that the container opens reach the client, and its refusals reach the container.
/// Whether the client asked for them only the client knows.
#[test]
fn channels_that_the_container_opens_are_for_the_client_to_refuse() {
    let evil = Evil::listen();
    let sentinel = evil.sentinel();
    let (mut near, mut far) = evil.session(&sentinel);
    for kind in ["auth-agent@openssh.com", "x11", "forwarded-tcpip", "session", "tun@openssh.com"] {
        let open = Payload::new(message::CHANNEL_OPEN).string(kind);
        let open = open.uint32(3).uint32(1 << 20).uint32(1 << 15).string("10.0.0.1").uint32(22).0;
        assert_passes(&mut far, &mut near, &[open]);
        let refusal = Payload::new(message::CHANNEL_OPEN_FAILURE).uint32(3).uint32(1);
        assert_passes(&mut near, &mut far, &[refusal.string("no").string("").0]);
    }
}

/// What only an authentication or a transport has to say ends a session that is past it.
#[test]
fn messages_of_authentication_end_a_session_that_runs() {
    let evil = Evil::listen();
    let sentinel = evil.sentinel();
    for number in [5, 6, 51, 52, 53, 54, 60, 61, 66, 79] {
        let (mut near, mut far) = evil.session(&sentinel);
        far.send(&[number]);
        let (_, words) = near.ended();
        assert!(words.starts_with("the container's sshd broke the protocol"), "{number}: {words}");
        let (mut near, mut far) = evil.session(&sentinel);
        near.send(&[number]);
        assert_eq!(near.ended().0, 2, "{number}");
        far.ended();
    }
    for bad in
        [vec![message::GLOBAL_REQUEST], vec![message::GLOBAL_REQUEST, 0xff, 0xff, 0xff, 0xff]]
    {
        let (mut near, mut far) = evil.session(&sentinel);
        far.send(&bad);
        assert!(near.ended().1.contains("malformed message"));
        let (mut near, mut far) = evil.session(&sentinel);
        near.send(&bad);
        assert_eq!(near.ended(), (2, "malformed message".to_owned()));
        far.ended();
    }
    // A client may ask to be let in when it is (RFC 4252, section 5.1): that is not heard.
    let (mut near, mut far) = evil.session(&sentinel);
    let request = Payload::new(message::USERAUTH_REQUEST).string("root").0;
    near.tx.flood(100_000, |_| request.clone());
    assert_passes(&mut near, &mut far, &[Payload::data(0, b"next")]);
}

/// CVE-2026-55199: extensions that claim to be many, or come again and again.
#[test]
fn extensions_after_the_login_are_counted() {
    let evil = Evil::listen();
    let sentinel = evil.sentinel();
    let claims = Payload::new(message::EXT_INFO).uint32(u32::MAX).string("a").string("b").0;
    let (mut near, mut far) = evil.session(&sentinel);
    far.send(&claims);
    assert!(near.ended().1.contains("malformed message"));
    let (mut near, mut far) = evil.session(&sentinel);
    near.send(&claims);
    assert_eq!(near.ended().0, 2);
    far.ended();
    let none = Payload::new(message::EXT_INFO).uint32(0).0;
    let (mut near, mut far) = evil.session(&sentinel);
    (0..3).for_each(|_| far.send(&none));
    assert!(near.ended().1.contains("too many EXT_INFO messages"));
    let (mut near, mut far) = evil.session(&sentinel);
    (0..3).for_each(|_| near.send(&none));
    assert_eq!(near.ended(), (2, "protocol error: too many EXT_INFO messages".to_owned()));
    far.ended();
}
