//! Key exchange messages: hostile values, and two halves of ours with somebody between them who
//! drops, repeats, changes and adds packets while they are clear.

use std::time::Instant;

use containarium::{
    clock,
    wire::{
        buffer::Buffer,
        kex::{ClientKex, KexAlgorithm, respond},
        negotiate::Offer,
        packet::{MAX_PACKET_UNAUTHENTICATED, PacketReader, PacketWriter},
        transport::{Params, RekeyLimits, Role, Transport},
    },
};

use super::{choices::Choices, keys};

const METHODS: [(&str, KexAlgorithm); 2] = [
    ("curve25519-sha256", KexAlgorithm::Curve25519),
    ("mlkem768x25519-sha256", KexAlgorithm::MlKem768X25519),
];

/// Rounds in which one side's bytes get to the other: an exchange has four.
const ROUNDS: usize = 12;

/// Reads `input` as a value, or as what happens to each packet.
pub fn check(input: &[u8]) {
    let mut choices = Choices::new(input);
    match choices.byte() % 4 {
        0 => values(&mut choices),
        _ => between(&mut choices),
    }
}

/// What a peer may send as its value: of the right length, or refused; a changed one agrees on
/// nothing.
fn values(choices: &mut Choices<'_>) {
    let (_, algorithm) = choices.one(&METHODS);
    let (init_len, reply_len) = match algorithm {
        KexAlgorithm::Curve25519 => (32, 32),
        KexAlgorithm::MlKem768X25519 => (1216, 1120),
    };
    let raw = choices.bytes();
    if let Ok((reply, secret)) = respond(algorithm, raw) {
        assert!(raw.len() == init_len && reply.len() == reply_len && secret.len() <= 37);
    }
    let client = ClientKex::new(algorithm).unwrap();
    let (sent, mut init) = (client.init.clone(), client.init.clone());
    assert_eq!(init.len(), init_len);
    choices.mutate(&mut init);
    let Ok((answer, theirs)) = respond(algorithm, &init) else {
        assert!(init != sent, "a good value was refused");
        return;
    };
    let mut reply = answer.clone();
    choices.mutate(&mut reply);
    let same = same_value(&init, &sent) && same_value(&reply, &answer);
    match client.finish(&reply) {
        Ok(ours) => assert_eq!(*ours == *theirs, same, "agreed on different values, or did not"),
        Err(_) => assert!(!same, "a good value was refused"),
    }
}

/// Equal but for the highest bit of the point, which means nothing (RFC 7748, section 5).
fn same_value(a: &[u8], b: &[u8]) -> bool {
    let low = |bytes: &[u8]| bytes.last().map(|last| last & 0x7f);
    a.len() == b.len() && a[..a.len() - 1] == b[..b.len() - 1] && low(a) == low(b)
}

/// One direction between the two halves.
struct Way {
    opener: PacketReader,
    sealer: PacketWriter,
    input: Buffer,
    /// The identification has passed.
    started: bool,
    /// NEWKEYS has passed: from here on bytes pass as they are.
    closed: bool,
    sent: Vec<Vec<u8>>,
    delivered: Vec<Vec<u8>>,
}

fn between(choices: &mut Choices<'_>) {
    let now = clock::now();
    let (mut client, mut server) = halves(choices, now);
    let mut ways = [Way::new(), Way::new()];
    for _ in 0..ROUNDS {
        ways[0].carry(&mut client, &mut server, choices);
        let up = drive(&mut server, now);
        ways[1].carry(&mut server, &mut client, choices);
        if !(up && drive(&mut client, now)) {
            return;
        }
    }
    for side in [&client, &server] {
        // One exchange's worth, or the limit of what a peer that takes nothing is owed.
        assert!(side.output.len() <= 64 * 1024 + MAX_PACKET_UNAUTHENTICATED);
        assert!(!side.is_open() || side.session_id().is_some() && side.host_key().is_some());
    }
    let [up, down] = &ways;
    if client.session_id().is_some() {
        assert_eq!(client.host_key(), Some(keys::first().public_key()));
        // The signature covers these four; strict key exchange allows nothing between them.
        assert!(down.delivered.len() >= 2 && down.delivered[..2] == down.sent[..2]);
        assert!(up.delivered[..2] == up.sent[..2], "the server signed something else");
        assert_eq!(client.session_id(), server.session_id());
    }
    // What is not a whole packet yet may still be noticed.
    let done = |side: &Transport| side.is_open() && side.input.is_empty();
    if done(&client) {
        assert_eq!(down.delivered, down.sent, "the client did not notice");
    }
    if done(&client) && done(&server) {
        assert_eq!(up.delivered, up.sent, "the server did not notice");
        talk(&mut client, &mut server, now);
        talk(&mut server, &mut client, now);
    }
}

fn halves(choices: &mut Choices<'_>, now: Instant) -> (Transport, Transport) {
    let (method, _) = choices.one(&METHODS);
    let cipher =
        choices.one(&["chacha20-poly1305@openssh.com", "aes128-gcm@openssh.com", "aes128-ctr"]);
    let front = Offer::front(vec!["ssh-ed25519"]);
    let offer = Offer { kex: vec![method], cipher: vec![cipher], ..front.clone() };
    let params = |offer, role| Params {
        ident: "SSH-2.0-OpenSSH_9.9".into(),
        offer,
        rekey: RekeyLimits::default(),
        role,
    };
    let pinned = Role::Client(vec![keys::first().public_key().clone()]);
    let client = Transport::new(params(offer, pinned), now).unwrap();
    (client, Transport::new(params(front, Role::Server(keys::HOST.clone())), now).unwrap())
}

/// Works off what arrived; whether the connection lives on.
fn drive(side: &mut Transport, now: Instant) -> bool {
    loop {
        match side.next(now) {
            Ok(None) => return true,
            Ok(Some(packet)) => {
                let number = packet[0];
                assert!(matches!(number, 5 | 6 | 50..), "{number} is the transport's business");
                assert!(side.session_id().is_some(), "a message before the first key exchange");
                side.consume();
            }
            Err(_) => return false,
        }
    }
}

/// A packet arrives as it was sent.
fn talk(from: &mut Transport, to: &mut Transport, now: Instant) {
    from.send(&[b"\x5ehello"]).unwrap();
    to.input.extend(from.output.filled());
    from.output.consume(from.output.len());
    assert_eq!(to.next(now), Ok(Some(&b"\x5ehello"[..])));
    to.consume();
}

impl Way {
    fn new() -> Self {
        Self {
            opener: PacketReader::new(),
            sealer: PacketWriter::new(),
            input: Buffer::default(),
            started: false,
            closed: false,
            sent: Vec::new(),
            delivered: Vec::new(),
        }
    }

    fn carry(&mut self, from: &mut Transport, to: &mut Transport, choices: &mut Choices<'_>) {
        self.input.extend(from.output.filled());
        from.output.consume(from.output.len());
        if !self.started {
            let end = self.input.filled().iter().position(|byte| *byte == b'\n').unwrap();
            let mut line = self.input.filled()[..=end].to_vec();
            self.input.consume(end + 1);
            if choices.byte() == 1 {
                choices.mutate(&mut line);
            }
            to.input.extend(&line);
            self.started = true;
        }
        while !self.closed {
            let Some(opened) = self.opener.open(self.input.filled_mut()).unwrap() else { return };
            let packet = self.input.filled()[opened.payload].to_vec();
            self.input.consume(opened.total);
            self.closed = packet == [21];
            self.sent.push(packet.clone());
            self.pass(packet, to, choices);
        }
        to.input.extend(self.input.filled());
        self.input.consume(self.input.len());
    }

    /// What happens to one packet on its way: nothing, most of the time.
    fn pass(&mut self, mut packet: Vec<u8>, to: &mut Transport, choices: &mut Choices<'_>) {
        match choices.byte() % 16 {
            1 => return,
            2 => self.deliver(&packet, to),
            3 => _ = choices.mutate(&mut packet),
            4 => {
                let mut added = vec![choices.byte()];
                added.extend_from_slice(choices.bytes());
                self.deliver(&added, to);
            }
            5 => {
                // A peer without strict key exchange.
                let at = packet.windows(6).position(|bytes| bytes == b"strict");
                if let Some(at) = at {
                    packet[at] ^= 1;
                }
            }
            6 => {
                // A wrong guess is announced.
                let at = packet.len().saturating_sub(5);
                if let Some(byte) = packet.get_mut(at) {
                    *byte ^= 1;
                }
            }
            _ => {}
        }
        self.deliver(&packet, to);
    }

    fn deliver(&mut self, packet: &[u8], to: &mut Transport) {
        if !packet.is_empty() && self.sealer.seal(&[packet], &mut to.input).is_ok() {
            self.delivered.push(packet.to_vec());
        }
    }
}
