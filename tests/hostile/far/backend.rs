//! A backend whose root is an enemy: its sshd and its Incus answer what they like.

use std::thread;

use containarium::wire::{codec::Reader, message, negotiate::Side};

use crate::{
    fixture::{Evil, Sentinel, admin, offer},
    peer::{Payload, Peer},
};

/// What a hostile backend does once the sentinel has opened a channel to its Incus; the number is
/// the sentinel's of that channel.
type Behaviour = fn(&mut Peer, u32);

const BEHAVIOURS: [Behaviour; 14] = [
    |far, channel| far.send(&Payload::data(channel, b"data on a channel that is not open")),
    |far, channel| confirmed(far, channel, 1 << 20, 1 << 15, &|_| vec![7; 30_000]),
    |far, channel| confirmed(far, channel, 0, 0, &|_| vec![7; 30_000]),
    |far, channel| {
        confirmed(far, channel, u32::MAX, u32::MAX, &|n| match n {
            0 => b"HTTP/1.1 200 OK\r\n".to_vec(),
            _ => b"x-header: value\r\n".repeat(1000),
        });
    },
    |far, channel| {
        confirmed(far, channel, 1 << 20, 1 << 15, &|n| match n {
            0 => b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_vec(),
            _ => [&b"7000\r\n"[..], &[b'['; 0x7000], b"\r\n"].concat(),
        });
    },
    |far, channel| {
        confirmed(far, channel, 1 << 20, 1 << 15, &|n| match n {
            0 => b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999999\r\n\r\n".to_vec(),
            _ => vec![b'{'; 30_000],
        });
    },
    |far, channel| {
        let adjust = Payload::new(message::CHANNEL_WINDOW_ADJUST).uint32(channel).uint32(u32::MAX);
        confirm(far, channel, u32::MAX, 1 << 15);
        (0..3).for_each(|_| far.send(&adjust.0));
    },
    |far, _| {
        far.tx.flood(100_000, |n| Payload::data(number(n) | 1 << 20, b"x"));
    },
    |far, _| {
        far.tx.flood(100_000, |_| Payload::global("keepalive@openssh.com", true));
    },
    |far, _| {
        far.tx.flood(100_000, |n| {
            let open = Payload::new(message::CHANNEL_OPEN).string("forwarded-tcpip");
            let open = open.uint32(number(n)).uint32(1).uint32(1);
            open.string("a").uint32(1).string("b").uint32(1).0
        });
    },
    |far, channel| {
        let failure = Payload::new(message::CHANNEL_OPEN_FAILURE).uint32(channel).uint32(2);
        far.send(&failure.string("\u{1b}[2J\u{1b}]0;t\u{7}\r\nerror: x").string("").0);
    },
    |far, _| {
        let goodbye = Payload::new(message::DISCONNECT).uint32(11);
        far.send(&goodbye.string("\u{1b}[2J\u{9b}31m\u{202e}bye").string("").0);
    },
    |far, channel| {
        confirm(far, channel, 1 << 20, 1 << 15);
        far.send(&offer().kexinit(Side::Server, false).unwrap());
        far.tx.flood(100_000, |_| Payload::data(channel, &[7; 100]));
    },
    |far, channel| {
        for number in 91..=100 {
            far.send(&[&[number], &channel.to_be_bytes()[..], &[0xff; 8]].concat());
        }
    },
];

fn number(n: u64) -> u32 {
    u32::try_from(n).unwrap()
}

fn confirm(far: &mut Peer, channel: u32, window: u32, max_packet: u32) {
    let confirmation = Payload::new(message::CHANNEL_OPEN_CONFIRMATION).uint32(channel);
    far.send(&confirmation.uint32(5).uint32(window).uint32(max_packet).0);
}

/// Confirms the channel and sends data on it without regard to its window: 90 MB, if it is taken.
fn confirmed(
    far: &mut Peer,
    channel: u32,
    window: u32,
    max_packet: u32,
    data: &dyn Fn(u64) -> Vec<u8>,
) {
    confirm(far, channel, window, max_packet);
    far.tx.flood(3_000, |n| Payload::data(channel, &data(n)));
}

/// I-23 for hosts: whatever a backend's sshd and Incus answer costs the sentinel a bounded amount of
/// memory, and no panic; administrators are served meanwhile, and told without being steered.
#[test]
fn a_hostile_backend_is_away_and_nothing_else() {
    let evils = BEHAVIOURS.map(|behaviour| (Evil::listen(), behaviour));
    let sections: Vec<String> =
        evils.iter().enumerate().map(|(n, (evil, _))| evil.backend(&format!("b{n}"))).collect();
    let sentinel = Sentinel::start(&sections.concat());
    let before = sentinel.forget_peak();
    thread::scope(|scope| {
        for (evil, behaviour) in &evils {
            scope.spawn(move || {
                let mut far = evil.accept();
                far.let_in(&evil.host_key);
                let open = far.next_number(message::CHANNEL_OPEN);
                let mut r = Reader::new(&open[1..]);
                r.string().unwrap();
                behaviour(&mut far, r.uint32().unwrap());
                far.tx.finish();
                far.rx.skip_to_end();
            });
        }
        for _ in 0..20 {
            assert!(sentinel.answers());
        }
    });
    sentinel.assert_peak(before, 64 * 1024);
    let told = sentinel.logged_in("admin", admin()).run("status");
    assert!(!told.out.contains(['\u{1b}', '\u{9b}', '\u{202e}', '\u{7}', '\r']), "{told:?}");
    assert!(!sentinel.log().contains(['\u{1b}', '\u{9b}', '\u{202e}', '\u{7}', '\r']));
}
