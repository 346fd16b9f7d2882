//! The accounts of windows, whatever both sides do.

use proptest::prelude::*;

use super::*;

const NEAR: u32 = 3;
const FAR: u32 = 7;

fn numbers(kind: u8, numbers: &[u32]) -> Vec<u8> {
    let mut packet = vec![kind];
    for number in numbers {
        packet.put_uint32(*number);
    }
    packet
}

fn open(window: u32, max_packet: u32) -> Vec<u8> {
    let mut packet = vec![message::CHANNEL_OPEN];
    packet.put_string(b"session");
    for number in [NEAR, window, max_packet] {
        packet.put_uint32(number);
    }
    packet
}

fn request(kind: &[u8]) -> Vec<u8> {
    let mut packet = numbers(message::CHANNEL_REQUEST, &[FAR]);
    packet.put_string(kind);
    packet.put_boolean(true);
    packet
}

fn data(bytes: &[u8]) -> Vec<u8> {
    let mut packet = numbers(message::CHANNEL_DATA, &[NEAR]);
    packet.put_string(bytes);
    packet
}

/// A client, a container, and what is between them.
struct Scene {
    reserve: Reserve,
    /// What the client allowed, and what came to it.
    allowed: u64,
    shown: Vec<u8>,
    /// What the container was told that it may send, and what it sent.
    told: u64,
    sent: u64,
    max_packet: u32,
}

impl Scene {
    /// A channel with this window; a shell on a terminal, or without.
    fn new(window: u32, max_packet: u32, terminal: bool) -> Self {
        let (allowed, shown) = (u64::from(window), Vec::new());
        let reserve = Reserve::default();
        let mut scene = Self { reserve, allowed, shown, told: 0, sent: 0, max_packet };
        let opened = open(window, max_packet);
        let passed = match scene.reserve.from_client(&opened) {
            Verdict::Forward => opened,
            Verdict::Replace(other) => other,
            Verdict::Drop => panic!("an open is never dropped"),
        };
        let mut r = Reader::new(&passed[1..]);
        assert_eq!((r.string(), r.uint32()), (Ok(&b"session"[..]), Ok(NEAR)));
        scene.told = r.uint32().unwrap().into();
        assert_eq!((r.uint32(), r.end()), (Ok(max_packet), Ok(())));
        scene.reserve.from_upstream(&numbers(
            message::CHANNEL_OPEN_CONFIRMATION,
            &[NEAR, FAR, 1 << 20, 1 << 15],
        ));
        let requests: &[&[u8]] = if terminal { &[b"pty-req", b"shell"] } else { &[b"exec"] };
        for kind in requests {
            assert_eq!(scene.reserve.from_client(&request(kind)), Verdict::Forward);
        }
        scene.settle();
        scene
    }

    fn on_adjust(&mut self, packet: &[u8]) {
        let mut r = Reader::new(packet);
        assert_eq!((r.byte(), r.uint32()), (Ok(message::CHANNEL_WINDOW_ADJUST), Ok(FAR)));
        let more = r.uint32().unwrap();
        assert!(more > 0 && r.end().is_ok());
        self.told += u64::from(more);
    }

    /// What the pipe does after each packet; then the accounts are looked at.
    fn settle(&mut self) {
        if self.reserve.is_due() {
            while let Some(packet) = self.reserve.next_for_client() {
                let mut r = Reader::new(&packet);
                assert_eq!((r.byte(), r.uint32()), (Ok(message::CHANNEL_DATA), Ok(NEAR)));
                let bytes = r.string().unwrap();
                assert!(!bytes.is_empty() && bytes.len() <= self.max_packet as usize);
                self.shown.extend_from_slice(bytes);
            }
            while let Some(packet) = self.reserve.next_for_upstream() {
                self.on_adjust(&packet);
            }
            self.reserve.settled();
        }
        let shown = self.shown.len() as u64;
        assert!(shown <= self.allowed && self.sent <= self.told);
        let kept = self.reserve.channels.first().map_or(0, |c| u64::from(c.kept));
        assert_eq!(self.allowed - shown, self.told - self.sent + kept, "the accounts");
        assert!(self.told > self.sent || kept == 0, "nobody waits for what is kept back");
    }

    fn allow(&mut self, more: u32) {
        self.allowed += u64::from(more);
        let packet = numbers(message::CHANNEL_WINDOW_ADJUST, &[FAR, more]);
        match self.reserve.from_client(&packet) {
            Verdict::Forward => self.on_adjust(&packet),
            Verdict::Replace(other) => self.on_adjust(&other),
            Verdict::Drop => {}
        }
        self.settle();
    }

    /// The container sends as much of this as it may.
    fn send(&mut self, bytes: &[u8]) {
        let may = (self.told - self.sent).min(bytes.len() as u64);
        let bytes = &bytes[..usize::try_from(may).unwrap()];
        if !bytes.is_empty() {
            self.sent += may;
            self.reserve.from_upstream(&data(bytes));
            self.shown.extend_from_slice(bytes);
            self.settle();
        }
    }

    fn say(&mut self, line: &str) {
        self.reserve.say(NEAR, line);
        self.settle();
    }
}

#[test]
fn a_line_comes_at_once_and_not_before_the_container_has_spoken() {
    let mut scene = Scene::new(1 << 20, 1 << 14, true);
    assert_eq!(scene.told, (1 << 20) - 4096);
    scene.say("early;");
    assert_eq!(scene.shown, b"");
    scene.send(b"$ ");
    scene.say("again;");
    assert_eq!(scene.shown, b"$ early;again;");
    // What was used comes back with the next that is allowed.
    scene.allow(12);
    assert_eq!(scene.told, (1 << 20) - 4096);
    scene.allow(5);
    assert_eq!(scene.told, (1 << 20) - 4096 + 5);
    scene.reserve.from_upstream(&numbers(message::CHANNEL_EOF, &[NEAR]));
    scene.reserve.say(NEAR, "late");
    assert_eq!(scene.reserve.next_for_client(), None);
}

#[test]
fn what_has_no_terminal_has_its_whole_window_and_no_lines() {
    let mut scene = Scene::new(1 << 20, 1 << 14, false);
    assert_eq!(scene.told, 1 << 20);
    scene.send(b"out");
    scene.say("line");
    assert_eq!((scene.shown.as_slice(), scene.reserve.channels.len()), (&b"out"[..], 0));
    // Nor is anything kept back of a window that is next to nothing, and of what is no session.
    assert_eq!(Scene::new(15, 1 << 14, true).told, 15);
    let mut forward = vec![message::CHANNEL_OPEN];
    forward.put_string(b"direct-tcpip");
    forward.extend(numbers(0, &[NEAR, 1 << 20, 1 << 14]).split_off(1));
    assert_eq!(Reserve::default().from_client(&forward), Verdict::Forward);
}

#[test]
fn a_client_that_waits_for_the_last_byte_of_its_window_is_not_kept_waiting() {
    let mut scene = Scene::new(32_000, 1 << 14, true);
    for _ in 0..10 {
        while scene.told > scene.sent {
            scene.send(&[b'x'; 5000]);
        }
        assert_eq!(scene.shown.len() as u64, scene.allowed);
        scene.say("line");
        scene.allow(32_000);
    }
}

#[test]
fn channels_are_counted_out_and_cut_packets_do_no_harm() {
    let mut reserve = Reserve::default();
    for near in 0..10_000_u32 {
        let mut packet = open(1 << 20, 1 << 15);
        packet[12..16].copy_from_slice(&near.to_be_bytes());
        reserve.from_client(&packet);
    }
    assert_eq!(reserve.channels.len(), MAX_CHANNELS);
    let whole = [
        open(1 << 20, 1 << 15),
        request(b"pty-req"),
        numbers(message::CHANNEL_WINDOW_ADJUST, &[FAR, 1]),
        numbers(message::CHANNEL_OPEN_CONFIRMATION, &[NEAR, FAR, 1, 1]),
        numbers(message::CHANNEL_CLOSE, &[FAR]),
        data(b"abc"),
    ];
    let mut reserve = Reserve::default();
    for packet in &whole {
        for cut in 0..packet.len() {
            assert_eq!(reserve.from_client(&packet[..cut]), Verdict::Forward);
            reserve.from_upstream(&packet[..cut]);
        }
    }
}

/// What happens to a channel.
#[derive(Debug, Clone)]
enum Act {
    Send(u16),
    Allow(u32),
    Say(u8),
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        (1..2000_u16).prop_map(Act::Send),
        prop_oneof![0..300_u32, 0..60_000_u32].prop_map(Act::Allow),
        (1..200_u8).prop_map(Act::Say),
    ]
}

proptest! {
    #[test]
    fn never_more_than_the_client_allows_and_all_of_it_in_order(
        window in prop_oneof![0..400_u32, 0..100_000_u32],
        max_packet in 1..40_000_u32,
        acts in prop::collection::vec(act(), 0..200),
    ) {
        let mut scene = Scene::new(window, max_packet, true);
        let (mut output, mut lines) = (0_u64, 0_usize);
        for act in acts {
            match act {
                // What the container says is told from ours by its bytes: numbers, and letters.
                Act::Send(length) => {
                    let next: Vec<u8> = (output..output + u64::from(length))
                        .map(|n| b'0' + u8::try_from(n % 10).unwrap())
                        .collect();
                    let before = scene.sent;
                    scene.send(&next);
                    output += scene.sent - before;
                }
                Act::Allow(more) => scene.allow(more.max(1)),
                Act::Say(length) => {
                    let waiting = scene.reserve.channels.first().map(|c| c.lines.len());
                    if waiting.is_some_and(|n| n < MAX_LINES) {
                        lines += usize::from(length);
                    }
                    scene.say(&"a".repeat(length.into()));
                }
            }
        }
        // A client that allows more gets all that waits.
        for _ in 0..2 * MAX_LINES * 200 {
            scene.send(b"");
            let waits = scene.reserve.channels.first().is_some_and(|c| c.has_spoken && !c.lines.is_empty());
            if !waits {
                break;
            }
            scene.allow(1000);
        }
        let (ours, theirs): (Vec<u8>, Vec<u8>) = scene.shown.iter().partition(|b| b.is_ascii_alphabetic());
        prop_assert_eq!(theirs.len() as u64, scene.sent);
        let in_order = theirs.iter().zip((b'0'..=b'9').cycle()).all(|(have, want)| *have == want);
        prop_assert!(in_order);
        if scene.sent > 0 {
            prop_assert_eq!(ours.len(), lines);
        }
    }
}
