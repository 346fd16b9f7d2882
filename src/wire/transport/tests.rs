//! Two transports against each other, over a wire that cuts the bytes anywhere.

use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::*;

/// A connection in a struct: two sides, a virtual clock, and what each side received.
pub(super) struct Pair {
    pub(super) sides: [Transport; 2],
    pub(super) received: [Vec<Vec<u8>>; 2],
    pub(super) now: Instant,
    chunk: usize,
}

#[expect(clippy::disallowed_methods, reason = "an origin for virtual time")]
fn origin() -> Instant {
    Instant::now()
}

fn params(role: Role, offer: Offer, rekey: RekeyLimits) -> Params {
    Params { ident: "SSH-2.0-OpenSSH_9.9 test".into(), offer, rekey, role }
}

impl Pair {
    pub(super) fn new(
        cipher: &'static str,
        kex: &'static str,
        rekey: RekeyLimits,
        chunk: usize,
    ) -> Self {
        let identity = Identity::generate_ed25519().unwrap();
        let pinned = vec![identity.public_key().clone()];
        let offer =
            Offer { cipher: vec![cipher], kex: vec![kex], ..Offer::front(vec!["ssh-ed25519"]) };
        let now = origin();
        let server = params(Role::Server([identity].into()), offer.clone(), rekey);
        let client = params(Role::Client(pinned), offer, rekey);
        let sides = [Transport::new(client, now).unwrap(), Transport::new(server, now).unwrap()];
        Self { sides, received: [vec![], vec![]], now, chunk }
    }

    /// Moves at most one chunk from `from` to the other side; whether anything moved.
    pub(super) fn step(&mut self, from: usize) -> Result<bool, Error> {
        let n = self.chunk.min(self.sides[from].output.len());
        let bytes = self.sides[from].output.filled()[..n].to_vec();
        self.sides[from].output.consume(n);
        let to = &mut self.sides[1 - from];
        to.input.extend(&bytes);
        while let Some(packet) = to.next(self.now)? {
            self.received[1 - from].push(packet.to_vec());
            to.consume();
        }
        Ok(n > 0)
    }

    pub(super) fn settle(&mut self) -> Result<(), Error> {
        // A bound instead of trust: 10^6 steps is far more than any test here needs.
        for _ in 0..1_000_000 {
            let moved = [self.step(0)?, self.step(1)?];
            if moved == [false, false] {
                return Ok(());
            }
        }
        panic!("never settles");
    }
}

pub(super) const CIPHERS: [&str; 4] = [
    "chacha20-poly1305@openssh.com",
    "aes128-gcm@openssh.com",
    "aes256-gcm@openssh.com",
    "aes128-ctr",
];
pub(super) const METHODS: [&str; 2] = ["curve25519-sha256", "mlkem768x25519-sha256"];

#[test]
fn every_cipher_and_method_connects_byte_by_byte() {
    for cipher in CIPHERS {
        for kex in METHODS {
            let mut pair = Pair::new(cipher, kex, RekeyLimits::default(), 1);
            pair.settle().unwrap();
            for side in [0, 1] {
                assert!(pair.sides[side].is_open(), "{cipher} {kex}");
                pair.sides[side].send(&[b"\x5ehello", b" there"]).unwrap();
            }
            pair.settle().unwrap();
            assert_eq!(pair.received[0], [b"\x5ehello there"]);
            assert_eq!(pair.received[1], [b"\x5ehello there"]);
            assert_eq!(pair.sides[0].session_id(), pair.sides[1].session_id());
            assert!(pair.sides[0].peer_sig_algs().unwrap().contains("ssh-ed25519"));
            assert!(pair.sides[0].strict && pair.sides[1].strict);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn packets_arrive_whole_and_in_order_across_rekeys(
        cipher in 0..CIPHERS.len(),
        chunk in 1_usize..5000,
        limit in 500_u64..20_000,
        sizes in prop::collection::vec((0_usize..2, 1_usize..3000), 1..120),
    ) {
        let limits = RekeyLimits { bytes: limit, ..RekeyLimits::default() };
        let mut pair = Pair::new(CIPHERS[cipher], METHODS[0], limits, chunk);
        pair.settle().unwrap();
        pair.sides.iter_mut().for_each(Transport::set_authenticated);
        let mut sent = [vec![], vec![]];
        for (i, (side, size)) in sizes.into_iter().enumerate() {
            // Both sides may start at once: that is the case that once deadlocked.
            for s in [0, 1] {
                pair.sides[s].rekey_if_due(pair.now).unwrap();
            }
            if pair.sides[side].can_send() {
                let packet = vec![90 + u8::try_from(i % 10).unwrap(); size];
                pair.sides[side].send(&[&packet]).unwrap();
                sent[1 - side].push(packet);
            }
            pair.step(i % 2).unwrap();
        }
        pair.settle().unwrap();
        prop_assert_eq!(&pair.received, &sent);
        prop_assert!(pair.sides.iter().all(Transport::is_open));
    }

    #[test]
    fn a_hostile_peer_ends_only_its_connection(noise: Vec<u8>, cut in 0_usize..4000, flip in 0_usize..30_000) {
        let mut pair = Pair::new(CIPHERS[0], METHODS[0], RekeyLimits::default(), 64);
        let _ = pair.settle();
        pair.sides[0].send(&[&vec![94; 2000]]).unwrap();
        let mut bytes = pair.sides[0].output.filled().to_vec();
        bytes.truncate(cut);
        if let Some(byte) = bytes.get_mut(flip / 8) {
            *byte ^= 1 << (flip % 8);
        }
        bytes.extend(noise);
        let server = &mut pair.sides[1];
        server.input.extend(&bytes);
        while let Ok(Some(_)) = server.next(pair.now) {
            server.consume();
        }
        let mut fresh = Pair::new(CIPHERS[0], METHODS[0], RekeyLimits::default(), 64);
        fresh.sides[1].input.extend(b"SSH-2.0-x\r\n");
        fresh.sides[1].input.extend(&bytes);
        let _ = fresh.sides[1].next(fresh.now);
    }
}

#[test]
fn a_silent_peer_in_key_exchange_times_out() {
    let mut pair = Pair::new(CIPHERS[1], METHODS[0], RekeyLimits::default(), 4096);
    pair.settle().unwrap();
    pair.now += RekeyLimits::default().age;
    assert!(pair.sides[0].rekey_if_due(pair.now).unwrap());
    assert!(!pair.sides[0].can_send());
    let deadline = pair.sides[0].next_deadline();
    assert_eq!(deadline, pair.now + KEX_TIMEOUT);
    assert_eq!(pair.sides[0].handle_timeout(pair.now + Duration::from_secs(29)), Ok(()));
    assert_eq!(pair.sides[0].handle_timeout(deadline), Err(Error::KexTimeout));
}

#[test]
fn an_unpinned_host_key_is_refused_before_anything_is_sent_to_it() {
    let mut pair = Pair::new(CIPHERS[1], METHODS[0], RekeyLimits::default(), 4096);
    let other = Identity::generate_ed25519().unwrap();
    let offer = Offer::upstream(vec!["ssh-ed25519"]);
    let role = Role::Client(vec![other.public_key().clone()]);
    pair.sides[0] = Transport::new(params(role, offer, RekeyLimits::default()), pair.now).unwrap();
    assert!(matches!(pair.settle(), Err(Error::HostKey(_))));
    assert!(!pair.sides[0].is_open());
}

/// Feeds one packet to a server that has so far seen only an identification and, if `strict`, a
/// KEXINIT with the marker.
fn before_newkeys(strict: bool, payload: &[u8]) -> Result<(), Error> {
    let mut pair = Pair::new(CIPHERS[0], METHODS[0], RekeyLimits::default(), 4096);
    let client = &mut pair.sides[0];
    if !strict {
        let mut offer = client.params.offer.clone();
        offer.mac.push("x");
        let kexinit = offer.kexinit(Side::Client, false).unwrap();
        client.output = Buffer::default();
        client.writer = PacketWriter::new();
        client.output.extend(b"SSH-2.0-x\r\n");
        client.writer.seal(&[&kexinit], &mut client.output).unwrap();
    }
    client.writer.seal(&[payload], &mut client.output).unwrap();
    pair.step(0).map(drop)
}

#[test]
fn only_key_exchange_is_spoken_before_newkeys() {
    for strict in [true, false] {
        for number in [5, 6, 7, 50, 51, 52, 60, 80, 90, 94, 98, 192] {
            let refused = before_newkeys(strict, &[number, 0, 0, 0, 0]);
            assert!(matches!(refused, Err(Error::Protocol(_))), "{number}");
        }
        for number in [20, 21, 31, 33, 49] {
            assert!(before_newkeys(strict, &[number, 0, 0, 0, 0]).is_err(), "{number}");
        }
        // The prefix that Terrapin inserts (CVE-2023-48795).
        for number in [2, 3, 4] {
            let result = before_newkeys(strict, &[number, 0, 0, 0, 0]);
            assert_eq!(result.is_err(), strict, "{number}");
        }
    }
}

#[test]
fn pings_are_answered_only_after_authentication() {
    let mut pair = Pair::new(CIPHERS[0], METHODS[0], RekeyLimits::default(), 4096);
    pair.settle().unwrap();
    let ping = [message::PING, 0, 0, 0, 1, 7];
    pair.sides[0].send(&[&ping]).unwrap();
    pair.step(0).unwrap();
    assert!(pair.sides[1].output.is_empty());
    pair.sides[1].set_authenticated();
    pair.sides[0].send(&[&ping]).unwrap();
    pair.step(0).unwrap();
    assert!(!pair.sides[1].output.is_empty());
    // A peer that pings and takes no answers is read no further.
    for _ in 0..60_000 {
        pair.sides[0].send(&[&ping]).unwrap();
        let bytes = pair.sides[0].output.filled().to_vec();
        pair.sides[0].output.consume(bytes.len());
        if pair.sides[1].output.len() < OUTPUT_LIMIT {
            pair.sides[1].input.extend(&bytes);
            pair.sides[1].next(pair.now).unwrap();
        }
    }
    assert!(pair.sides[1].output.len() < OUTPUT_LIMIT + 1000);
}

#[test]
fn a_stranger_sends_few_packets_and_exchanges_keys_once() {
    let mut pair = Pair::new(CIPHERS[0], METHODS[0], RekeyLimits::default(), usize::MAX);
    pair.settle().unwrap();
    let ignore = [message::IGNORE, 0, 0, 0, 0];
    for _ in 0..MAX_PACKETS_UNAUTHENTICATED {
        pair.sides[0].send(&[&ignore]).unwrap();
    }
    pair.settle().unwrap();
    pair.sides[0].send(&[&ignore]).unwrap();
    let refused = Error::Protocol("too many packets before authentication");
    assert_eq!(pair.settle(), Err(refused));

    for authenticated in [false, true] {
        let mut pair = Pair::new(CIPHERS[0], METHODS[0], RekeyLimits::default(), usize::MAX);
        pair.settle().unwrap();
        if authenticated {
            pair.sides[1].set_authenticated();
        }
        pair.sides[0].start_exchange(pair.now).unwrap();
        assert_eq!(pair.settle().is_ok(), authenticated);
    }
}

#[test]
fn a_goodbye_is_heard_and_made_printable() {
    let mut pair = Pair::new(CIPHERS[0], METHODS[0], RekeyLimits::default(), 4096);
    pair.settle().unwrap();
    pair.sides[1].disconnect(Reason::ByApplication, "see \x1b[2J you");
    let text = "see \\u{1b}[2J you".to_owned();
    assert_eq!(pair.step(1), Err(Error::Disconnected { reason: 11, text }));
}
