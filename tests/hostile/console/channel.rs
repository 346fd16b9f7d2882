//! Channels that are not there, not yet, not any more, or not of this world.

use containarium::wire::{codec::Write, message};

use crate::{
    fixture::{Sentinel, admin},
    peer::{Payload, Peer},
};

/// Says things on a connection of an administrator, then asserts that she is served as always, on
/// this connection unless the sentinel ended it, or else on another. Whether it did.
fn survives(sentinel: &Sentinel, peer: &mut Option<Peer>, payloads: &[Vec<u8>]) -> bool {
    let connection = peer.get_or_insert_with(|| sentinel.logged_in("admin", admin()));
    for payload in payloads {
        connection.tx.queue(payload);
    }
    let _ = connection.tx.flush();
    if is_served(connection) {
        return true;
    }
    *peer = None;
    false
}

/// Whether a command is run on a connection, which may be ending.
fn is_served(peer: &mut Peer) -> bool {
    // A number that no attack here uses.
    const OURS: u32 = 0x0bad_cafe;
    peer.send(&Payload::session(OURS, 1 << 20, 1 << 15));
    let mut out = Vec::new();
    while let Some(payload) = peer.next() {
        let ours = payload.get(1..5) == Some(&OURS.to_be_bytes());
        match payload[0] {
            message::CHANNEL_OPEN_CONFIRMATION if ours => {
                let theirs = u32::from_be_bytes(payload[5..9].try_into().unwrap());
                peer.send(&Payload::exec(theirs, "version"));
            }
            message::CHANNEL_DATA if ours => out.extend_from_slice(&payload[9..]),
            message::CHANNEL_CLOSE if ours => {
                assert!(String::from_utf8_lossy(&out).contains("containarium"));
                return true;
            }
            _ => {}
        }
    }
    false
}

/// The rest of requests that sessions know, as bytes behind the boolean.
fn requests() -> Vec<(&'static str, Vec<u8>)> {
    let empty = || Payload(Vec::new());
    let pty = empty().string("xterm\u{1b}[2J").uint32(u32::MAX).uint32(0).uint32(0).uint32(0);
    let modes = Payload(vec![1]).uint32(3).bytes(&[255, 128]).uint32(u32::MAX).bytes(&[0, 9]).0;
    vec![
        ("pty-req", pty.clone().string(&modes).0),
        ("pty-req", pty.clone().string("").0),
        ("pty-req", pty.string(vec![0xff; 10_000]).0),
        ("env", empty().string("LD_PRELOAD").string("/tmp/x.so").0),
        ("env", empty().string("").string(vec![0xff; 60_000]).0),
        ("shell", Vec::new()),
        ("exec", empty().string([0xff, 0, 0x1b, b'[']).0),
        ("exec", empty().string(vec![b'"'; 60_000]).0),
        ("exec", empty().string("version\0\n$(id) `id` ; id").0),
        ("subsystem", empty().string("sftp").0),
        ("subsystem", empty().string("../../bin/sh").0),
        ("window-change", empty().uint32(0).uint32(0).uint32(u32::MAX).uint32(0).0),
        ("signal", empty().string("KILL").0),
        ("signal", empty().string("\u{1b}[2J").0),
        ("x11-req", empty().boolean(true).string("x").string("y").uint32(u32::MAX).0),
        ("auth-agent-req@openssh.com", Vec::new()),
        ("eow@openssh.com", Vec::new()),
        ("exit-status", empty().uint32(0).0),
        ("break", empty().uint32(u32::MAX).0),
        ("\u{1b}]0;t\u{7}", Vec::new()),
        ("", Vec::new()),
    ]
}

/// Everything that can be said of a channel: whole, cut after each of its first bytes, and with a
/// length that is not there.
fn messages(channel: u32) -> Vec<Vec<u8>> {
    let to = |number: u8| Payload::new(number).uint32(channel);
    let mut whole = vec![
        to(message::CHANNEL_OPEN_CONFIRMATION).uint32(channel).uint32(9).uint32(9).0,
        to(message::CHANNEL_OPEN_FAILURE).uint32(1).string("no").string("").0,
        to(message::CHANNEL_WINDOW_ADJUST).uint32(u32::MAX).0,
        Payload::data(channel, b"data"),
        Payload::data(channel, b""),
        to(message::CHANNEL_EXTENDED_DATA).uint32(u32::MAX).string("data").0,
        Payload::channel(message::CHANNEL_SUCCESS, channel),
        Payload::channel(message::CHANNEL_FAILURE, channel),
        Payload::channel(message::CHANNEL_EOF, channel),
        Payload::channel(message::CHANNEL_CLOSE, channel),
    ];
    for (kind, rest) in requests() {
        whole.push(Payload::request(channel, kind, true, &rest));
        whole.push(Payload::request(channel, kind, false, &rest));
    }
    let mut all = whole.clone();
    for payload in whole {
        all.extend((1..payload.len().min(12)).map(|end| payload[..end].to_vec()));
        let mut longer = payload;
        longer.put_uint32(u32::MAX);
        all.push(longer);
    }
    all
}

/// 7c5659f of russh (requests on channels that were never opened, or were denied, reached the
/// server), CVE-2025-54804 (a window beyond 2^32 panics): said of channels that are not there, it
/// is not heard, or ends the connection.
#[test]
fn channels_that_are_not_there_cannot_be_used() {
    let sentinel = Sentinel::start("");
    let mut peer = None;
    let mut ended = 0;
    for channel in [0, 1, 7, u32::MAX] {
        for payload in messages(channel) {
            ended += usize::from(!survives(&sentinel, &mut peer, &[payload]));
        }
    }
    println!("{ended} of them ended the connection");
    assert_eq!(sentinel.log().matches("panic").count(), 0);
}

/// The same on a channel that is open, twice each, and again after it was closed.
#[test]
fn an_open_channel_survives_or_takes_only_its_connection_along() {
    let sentinel = Sentinel::start("");
    let mut peer: Option<Peer> = None;
    for index in 0..messages(0).len() {
        let connection = peer.get_or_insert_with(|| sentinel.logged_in("admin", admin()));
        let theirs = connection.open_session(3);
        let payload = messages(theirs).swap_remove(index);
        let close = Payload::channel(message::CHANNEL_CLOSE, theirs);
        let say = [payload.clone(), payload.clone(), close.clone(), payload, close];
        survives(&sentinel, &mut peer, &say);
    }
}

/// A session whose window or packets are too small for any answer costs nothing while it waits, and
/// its neighbour is served.
#[test]
fn a_session_that_takes_nothing_costs_nothing() {
    let sentinel = Sentinel::start("");
    for (window, max_packet) in [(0, 0), (0, 1 << 15), (1 << 20, 0), (1, 1), (100, u32::MAX)] {
        let mut peer = sentinel.logged_in("admin", admin());
        peer.send(&Payload::session(3, window, max_packet));
        let answer = peer.next().expect("an answer");
        if max_packet == 0 {
            assert_eq!(answer[0], message::DISCONNECT, "no packet is that small");
            continue;
        }
        let theirs = u32::from_be_bytes(answer[5..9].try_into().unwrap());
        peer.send(&Payload::exec(theirs, "help"));
        assert!(is_served(&mut peer), "{window} {max_packet}");
        let before = sentinel.usage().cpu;
        std::thread::sleep(std::time::Duration::from_millis(500));
        let spent = sentinel.usage().cpu - before;
        // A loop that does not wait would spend 50 hundredths.
        assert!(spent < 20, "{window} {max_packet}: {spent} hundredths of a second");
        // More room later, beyond what there can be.
        let more = Payload::new(message::CHANNEL_WINDOW_ADJUST).uint32(theirs).uint32(u32::MAX).0;
        survives(&sentinel, &mut Some(peer), &[more.clone(), more]);
    }
}

/// Other channels than sessions, and requests of the connection: refused, whatever they name.
/// Nothing is bound, connected or opened on the sentinel's own machine (I-16, I-18).
#[test]
fn nothing_of_the_sentinels_own_machine_is_opened() {
    let sentinel = Sentinel::start("");
    let mut peer = sentinel.logged_in("admin", admin());
    let port = u32::from(sentinel.address.port());
    let open = |kind: &str| {
        let open = Payload::new(message::CHANNEL_OPEN).string(kind).uint32(5).uint32(1 << 20);
        open.uint32(1 << 15)
    };
    let hosts =
        ["127.0.0.1", "::1", "localhost", "0.0.0.0", "169.254.169.254", "", "\u{1b}[2J", "0x7f.1"];
    let mut refused = Vec::new();
    for host in hosts {
        let to = open("direct-tcpip").string(host).uint32(port).string("127.0.0.1");
        refused.push(to.clone().uint32(1).0);
        refused.push(open("direct-tcpip").string(host).uint32(1 << 16).string("").uint32(1).0);
        refused.push(open("forwarded-tcpip").string(host).uint32(port).string("").uint32(1).0);
    }
    for path in ["/var/run/docker.sock", "", "/proc/self/mem", "../x"] {
        let kind = "direct-streamlocal@openssh.com";
        refused.push(open(kind).string(path).string("").uint32(0).0);
        refused.push(open("forwarded-streamlocal@openssh.com").string(path).string("").0);
    }
    refused.push(open("x11").string("127.0.0.1").uint32(6000).0);
    for kind in ["auth-agent@openssh.com", "tun@openssh.com", "\u{1b}[2J", ""] {
        refused.push(open(kind).0);
    }
    for payload in refused {
        peer.send(&payload);
        // The first answer, whatever else: `russh` refuses types that it does not know twice.
        let answer = peer.next().expect("an answer");
        assert_eq!(answer[..5], [message::CHANNEL_OPEN_FAILURE, 0, 0, 0, 5], "{payload:?}");
        // Behind number, channel, reason and the text's length: what the person reads.
        assert!(!answer[13..].contains(&0x1b), "{answer:?}");
    }
    assert!(is_served(&mut peer), "and all answers are read");
    let descriptors = sentinel.usage().descriptors;
    for (name, rest) in [
        ("tcpip-forward", Payload(Vec::new()).string("0.0.0.0").uint32(0).0),
        ("tcpip-forward", Payload(Vec::new()).string("").uint32(22).0),
        ("cancel-tcpip-forward", Payload(Vec::new()).string("").uint32(22).0),
        ("streamlocal-forward@openssh.com", Payload(Vec::new()).string("/tmp/x").0),
        ("hostkeys-prove-00@openssh.com", Payload(Vec::new()).string("x").0),
        ("no-such-request", Vec::new()),
    ] {
        let request = Payload(Payload::global(name, true)).bytes(&rest).0;
        peer.send(&request);
        assert_eq!(peer.next(), Some(vec![message::REQUEST_FAILURE]), "{name}");
    }
    assert_eq!(sentinel.usage().descriptors, descriptors, "nothing was bound");
    assert!(is_served(&mut peer));
}

/// Data that nobody reads, before a session runs anything: its window, and what waits for the
/// connection, is all that it may cost.
#[test]
fn data_that_nobody_reads_is_bounded() {
    let sentinel = Sentinel::start("");
    let mut peer = sentinel.logged_in("admin", admin());
    let theirs = peer.open_session(3);
    let before = sentinel.forget_peak();
    let data = Payload::data(theirs, &vec![7; 30_000]);
    let progress = peer.tx.progress();
    std::thread::scope(|scope| {
        let Peer { tx, rx, .. } = &mut peer;
        let flooding = scope.spawn(|| {
            tx.flood(4_000, |_| data.clone());
            tx.finish();
        });
        crate::peer::wait_until_stuck(&progress);
        sentinel.assert_peak(before, 4096);
        assert!(sentinel.answers(), "others are served");
        drop(flooding);
        rx.skip_to_end();
    });
}
