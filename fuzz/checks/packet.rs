//! Packets, clear and under each cipher: any bytes, and true packets that are cut, changed and
//! chunked.

use containarium::wire::{
    buffer::Buffer,
    cipher::{Cipher, Mac, Material, Opening, Sealing},
    packet::{MAX_PACKET, MAX_PACKET_UNAUTHENTICATED, PacketReader, PacketWriter},
};

use super::choices::Choices;

/// Every cipher, each CTR with another MAC; the first is none.
const SUITES: [(&str, &str); 8] = [
    ("", ""),
    ("chacha20-poly1305@openssh.com", ""),
    ("aes128-gcm@openssh.com", ""),
    ("aes256-gcm@openssh.com", ""),
    ("aes128-ctr", "hmac-sha2-256-etm@openssh.com"),
    ("aes192-ctr", "hmac-sha2-512"),
    ("aes256-ctr", "hmac-sha2-256"),
    ("aes128-ctr", "hmac-sha2-512-etm@openssh.com"),
];

/// Longest tag, in bytes.
const MAX_TAG: usize = 64;

/// Reads `input` as a stream, or as a plan of packets to send.
pub fn check(input: &[u8]) {
    let mut choices = Choices::new(input);
    let suite = SUITES[choices.below(SUITES.len())];
    let is_large = choices.flag();
    let is_raw = choices.flag();
    // Nothing was ever sealed with the keys of a stream of any bytes: a fuzzer has a memory, and
    // repeats a true packet that it once saw compared.
    let (mut reader, writer) = pair(suite, if is_raw { 0xff } else { 0 });
    if is_large {
        reader.allow_large();
    }
    let limit = if is_large { MAX_PACKET } else { MAX_PACKET_UNAUTHENTICATED };
    if is_raw {
        let chunk = 1 + choices.uint16() % 2000;
        let (got, _) = receive(&mut reader, choices.rest(), chunk, limit);
        // The keys are known to nobody else: what is not sealed with them does not get through.
        assert!(suite.0.is_empty() || got.is_empty(), "a forged packet");
    } else {
        sealed(&mut choices, suite, (reader, writer), limit);
    }
}

/// True packets; what the wire does to them is noticed, and what came before it is not lost.
fn sealed(
    choices: &mut Choices<'_>,
    suite: (&str, &str),
    (mut reader, mut writer): (PacketReader, PacketWriter),
    limit: usize,
) {
    let mut wire = Buffer::default();
    let (mut sent, mut ends) = (Vec::new(), Vec::new());
    for _ in 0..=choices.below(6) {
        let scale = choices.one(&[1, 1, 1, 1, 1, 1, 16, 150]);
        let payload = vec![choices.byte(); 1 + choices.uint16() % 2048 * scale];
        let before = wire.len();
        let sealed = writer.seal(&[&payload[..1], &payload[1..]], &mut wire);
        // Payload, its length, at most two blocks of padding.
        if sealed.is_err() {
            assert!(payload.len() + 32 > MAX_PACKET, "{} bytes are too long", payload.len());
            assert_eq!(wire.len(), before, "a packet that failed left something behind");
            continue;
        }
        assert!(wire.len() - before <= 4 + 1 + payload.len() + 32 + MAX_TAG);
        sent.push(payload);
        ends.push(wire.len());
    }
    let mut bytes = wire.filled().to_vec();
    let changed = choices.mutate(&mut bytes);
    let same = bytes.iter().zip(wire.filled()).take_while(|(a, b)| a == b).count();
    let whole = ends.iter().filter(|end| **end <= same).count();
    let fits = |payload: &Vec<u8>| payload.len() + 32 <= limit;
    let readable = sent.iter().take_while(|payload| fits(payload)).count();
    let (got, failed) = receive(&mut reader, &bytes, 1 + choices.uint16() % 40_000, limit);
    let surely = whole.min(readable);
    assert!(got.len() >= surely && got[..surely] == sent[..surely], "{suite:?}: a packet was lost");
    if suite.0.is_empty() {
        return;
    }
    assert!(got.len() <= sent.len() && got == sent[..got.len()], "{suite:?}: not what was sent");
    if changed {
        // A copied or shifted packet has the wrong sequence number.
        assert!(got.len() <= whole, "{suite:?}: a changed packet was taken");
    } else {
        let oversized = sent.iter().any(|payload| payload.len() + 5 > limit);
        assert!(failed == oversized || readable < sent.len(), "{suite:?}: refused for nothing");
    }
}

/// What `reader` makes of `bytes`, `chunk` of them at a time; whether it ended in an error.
fn receive(
    reader: &mut PacketReader,
    bytes: &[u8],
    chunk: usize,
    limit: usize,
) -> (Vec<Vec<u8>>, bool) {
    let (mut input, mut got) = (Buffer::default(), Vec::new());
    let mut seq = 0;
    for piece in bytes.chunks(chunk) {
        input.extend(piece);
        loop {
            let opened = match reader.open(input.filled_mut()) {
                Ok(Some(opened)) => opened,
                Ok(None) => break,
                Err(_) => return (got, true),
            };
            assert!(opened.total <= input.len() && opened.total <= 4 + limit + MAX_TAG);
            assert!(opened.payload.start == 5 && opened.payload.end + 4 <= opened.total);
            assert!(!opened.payload.is_empty() && opened.seq == seq);
            seq += 1;
            got.push(input.filled()[opened.payload].to_vec());
            input.consume(opened.total);
        }
        // What waits is a part of one packet.
        assert!(input.len() < 4 + limit + MAX_TAG);
        assert!(reader.wanted(input.len()) <= 4 + limit + MAX_TAG);
    }
    assert_eq!(reader.used().packets, got.len() as u64);
    (got, false)
}

/// Both ends, under keys that depend on `salt`.
fn pair((cipher, mac): (&str, &str), salt: u8) -> (PacketReader, PacketWriter) {
    let (mut reader, mut writer) = (PacketReader::new(), PacketWriter::new());
    if let Some(cipher) = Cipher::from_name(cipher) {
        let (key, iv) = cipher.key_and_iv_len();
        let mac = Mac::from_name(mac);
        let bytes: Vec<u8> = (0..192).map(|byte| byte ^ salt).collect();
        let material = Material {
            key: &bytes[..key],
            iv: &bytes[64..64 + iv],
            mac: &bytes[128..128 + mac.map_or(0, Mac::key_len)],
        };
        reader.rekey(Opening::new(cipher, mac, material).unwrap(), true);
        writer.rekey(Sealing::new(cipher, mac, material).unwrap(), true);
    }
    (reader, writer)
}
