//! The binary packet protocol (RFC 4253, section 6): framing, padding, sequence numbers.

use std::ops::Range;

use aws_lc_rs::rand;

use super::{
    buffer::Buffer,
    cipher::{Opening, Sealing},
    error::Error,
};

/// Longest packet accepted after authentication, in bytes without length field and tag. OpenSSH's
/// `PACKET_MAX_SIZE` (packet.c).
pub const MAX_PACKET: usize = 256 * 1024;

/// Longest packet accepted before authentication: what every implementation must handle
/// (RFC 4253, section 6.1).
pub const MAX_PACKET_UNAUTHENTICATED: usize = 35_000;

/// Packets that one set of keys may carry: then sequence numbers, which are nonces and enter MACs,
/// come again (RFC 4344, section 3.1). Long before, keys are changed; a peer that never lets them be
/// changed ends here.
const MAX_PACKETS: u64 = 1 << 32;

/// Opens the packets of one direction.
pub struct PacketReader {
    opening: Opening,
    seq: u32,
    /// Length of the packet at the front, once its head was read.
    length: Option<usize>,
    max: usize,
    /// Packets and bytes since the last change of keys.
    used: Used,
}

/// What one set of keys has carried.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Used {
    /// Packets.
    pub packets: u64,
    /// Bytes on the wire.
    pub bytes: u64,
}

impl Used {
    fn count(&mut self, bytes: usize) -> Result<(), Error> {
        self.packets += 1;
        self.bytes += bytes as u64;
        if self.packets > MAX_PACKETS {
            return Err(Error::Protocol("keys are used up"));
        }
        Ok(())
    }
}

/// A packet that was opened: where its payload lies in the input, and how long it was in all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    /// The payload.
    pub payload: Range<usize>,
    /// Bytes to consume when the payload was used.
    pub total: usize,
    /// The packet's sequence number.
    pub seq: u32,
}

impl PacketReader {
    /// A reader of unprotected packets, starting at sequence number 0.
    #[must_use]
    pub fn new() -> Self {
        Self {
            opening: Opening::plain(),
            seq: 0,
            length: None,
            max: MAX_PACKET_UNAUTHENTICATED,
            used: Used::default(),
        }
    }

    /// Accepts packets up to [`MAX_PACKET`].
    pub fn allow_large(&mut self) {
        self.max = MAX_PACKET;
    }

    /// What the present keys have carried.
    #[must_use]
    pub fn used(&self) -> Used {
        self.used
    }

    /// Changes the keys.
    pub fn rekey(&mut self, opening: Opening, reset_seq: bool) {
        self.opening = opening;
        self.used = Used::default();
        if reset_seq {
            self.seq = 0;
        }
    }

    /// Opens the packet at the front of `input` in place. `Ok(None)`: it is not complete.
    ///
    /// # Errors
    /// Its length is impossible, it is not authentic, or its padding is wrong.
    pub fn open(&mut self, input: &mut [u8]) -> Result<Option<Opened>, Error> {
        let shape = self.opening.shape();
        let length = match self.length {
            Some(length) => length,
            None if input.len() < shape.head => return Ok(None),
            None => self.read_length(&input[..shape.head])?,
        };
        let total = 4 + length + shape.tag;
        let Some(packet) = input.get_mut(..total) else { return Ok(None) };
        self.opening.open(self.seq, packet)?;
        self.length = None;
        let padding = usize::from(packet[4]);
        // RFC 4253, section 6: at least four bytes of padding, and a payload has a message number.
        if padding < 4 || padding + 2 > length {
            return Err(Error::Protocol("packet with bad padding"));
        }
        let seq = self.seq;
        self.seq = self.seq.wrapping_add(1);
        self.used.count(total)?;
        Ok(Some(Opened { payload: 5..4 + length - padding, total, seq }))
    }

    /// How many more bytes the packet at the front needs, as far as is known.
    #[must_use]
    pub fn wanted(&self, have: usize) -> usize {
        let total = self.length.map_or(0, |length| 4 + length + self.opening.shape().tag);
        total.saturating_sub(have)
    }

    fn read_length(&mut self, head: &[u8]) -> Result<usize, Error> {
        let shape = self.opening.shape();
        let length = self.opening.length(self.seq, head)? as usize;
        let counted = if shape.length_counts { length + 4 } else { length };
        // The smallest packet: padding length, message number, four bytes of padding.
        if !(6..=self.max).contains(&length) || !counted.is_multiple_of(shape.block) {
            return Err(Error::PacketLength);
        }
        // A packet is never shorter than the head that was decrypted to learn its length.
        if 4 + length < shape.head {
            return Err(Error::PacketLength);
        }
        self.length = Some(length);
        Ok(length)
    }
}

impl Default for PacketReader {
    fn default() -> Self {
        Self::new()
    }
}

/// Seals the packets of one direction.
pub struct PacketWriter {
    sealing: Sealing,
    seq: u32,
    used: Used,
}

impl PacketWriter {
    /// A writer of unprotected packets, starting at sequence number 0.
    #[must_use]
    pub fn new() -> Self {
        Self { sealing: Sealing::plain(), seq: 0, used: Used::default() }
    }

    /// The sequence number of the packet that was sealed last.
    #[must_use]
    pub fn last_seq(&self) -> u32 {
        self.seq.wrapping_sub(1)
    }

    /// What the present keys have carried.
    #[must_use]
    pub fn used(&self) -> Used {
        self.used
    }

    /// Changes the keys.
    pub fn rekey(&mut self, sealing: Sealing, reset_seq: bool) {
        self.sealing = sealing;
        self.used = Used::default();
        if reset_seq {
            self.seq = 0;
        }
    }

    /// Appends `payload`, given in parts, as one packet to `output`.
    ///
    /// # Errors
    /// It is longer than [`MAX_PACKET`], or the cipher failed.
    pub fn seal(&mut self, parts: &[&[u8]], output: &mut Buffer) -> Result<(), Error> {
        let shape = self.sealing.shape();
        let payload: usize = parts.iter().map(|p| p.len()).sum();
        let counted = 1 + payload + if shape.length_counts { 4 } else { 0 };
        let mut padding = shape.block - counted % shape.block;
        if padding < 4 {
            padding += shape.block;
        }
        let length = 1 + payload + padding;
        if length > MAX_PACKET {
            return Err(Error::PacketLength);
        }
        let total = 4 + length + shape.tag;
        let packet = &mut output.space(total)[..total];
        packet[..4].copy_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes());
        packet[4] = u8::try_from(padding).map_err(|_| Error::PacketLength)?;
        let mut at = 5;
        for part in parts {
            packet[at..at + part.len()].copy_from_slice(part);
            at += part.len();
        }
        rand::fill(&mut packet[at..at + padding]).map_err(|_| Error::Crypto)?;
        self.sealing.seal(self.seq, packet)?;
        output.advance(total);
        self.seq = self.seq.wrapping_add(1);
        self.used.count(total)
    }
}

impl Default for PacketWriter {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::cipher::{Cipher, Mac, Material};

    const SUITES: [(&str, &str); 9] = [
        ("chacha20-poly1305@openssh.com", ""),
        ("aes128-gcm@openssh.com", ""),
        ("aes256-gcm@openssh.com", ""),
        ("aes128-ctr", "hmac-sha2-256"),
        ("aes192-ctr", "hmac-sha2-512"),
        ("aes256-ctr", "hmac-sha2-256-etm@openssh.com"),
        ("aes256-ctr", "hmac-sha2-512"),
        ("aes128-ctr", "hmac-sha2-512-etm@openssh.com"),
        ("", ""),
    ];

    fn pair(suite: (&str, &str)) -> (PacketReader, PacketWriter) {
        let (mut reader, mut writer) = (PacketReader::new(), PacketWriter::new());
        reader.allow_large();
        if let Some(cipher) = Cipher::from_name(suite.0) {
            let (key, iv) = cipher.key_and_iv_len();
            let bytes: Vec<u8> = (0..192).collect();
            let material =
                Material { key: &bytes[..key], iv: &bytes[64..64 + iv], mac: &bytes[128..] };
            let mac = Mac::from_name(suite.1);
            let material =
                Material { mac: &material.mac[..mac.map_or(0, Mac::key_len)], ..material };
            reader.rekey(Opening::new(cipher, mac, material).unwrap(), true);
            writer.rekey(Sealing::new(cipher, mac, material).unwrap(), true);
        }
        (reader, writer)
    }

    #[test]
    fn every_suite_round_trips_whatever_the_chunks() {
        for suite in SUITES {
            for chunk in [1, 3, 16, 1000, 100_000] {
                let (mut reader, mut writer) = pair(suite);
                let mut wire = Buffer::default();
                let payloads: Vec<Vec<u8>> =
                    [1, 2, 15, 16, 17, 255, 4096, 32_768].map(|n| vec![90; n]).into();
                for p in &payloads {
                    writer.seal(&[&p[..p.len() / 2], &p[p.len() / 2..]], &mut wire).unwrap();
                }
                let (mut input, mut got) = (Buffer::default(), Vec::new());
                for piece in wire.filled().chunks(chunk) {
                    input.extend(piece);
                    while let Some(o) = reader.open(input.filled_mut()).unwrap() {
                        got.push(input.filled()[o.payload].to_vec());
                        input.consume(o.total);
                    }
                }
                assert_eq!(got, payloads, "{suite:?} in chunks of {chunk}");
            }
        }
    }

    #[test]
    fn a_flipped_bit_or_a_wrong_sequence_number_is_noticed() {
        for suite in &SUITES[..8] {
            let (_, mut writer) = pair(*suite);
            let mut wire = Buffer::default();
            writer.seal(&[&[94; 40]], &mut wire).unwrap();
            for bit in 0..wire.len() * 8 {
                let (mut reader, _) = pair(*suite);
                let mut bytes = wire.filled().to_vec();
                bytes[bit / 8] ^= 1 << (bit % 8);
                // A changed length may make the packet incomplete; it must never be accepted.
                bytes.resize(MAX_PACKET + 100, 0);
                assert!(reader.open(&mut bytes).is_err(), "{suite:?} bit {bit}");
            }
        }
    }

    #[test]
    fn impossible_lengths_are_refused_before_anything_is_kept() {
        for length in [0, 1, 5, 11, 13, 35_001, 0x0004_0001, u32::MAX] {
            let mut bytes = length.to_be_bytes().to_vec();
            bytes.resize(64, 4);
            let refused = PacketReader::new().open(&mut bytes);
            assert!(matches!(refused, Err(Error::PacketLength)), "{length}");
        }
        for suite in SUITES {
            for junk in 0..=255_u8 {
                let (mut reader, _) = pair(suite);
                let _ = reader.open(&mut [junk; 4096]);
            }
        }
    }

    #[test]
    fn sequence_numbers_wrap_and_one_set_of_keys_never_sees_them_twice() {
        for suite in SUITES {
            let (mut reader, mut writer) = pair(suite);
            (reader.seq, writer.seq) = (u32::MAX, u32::MAX);
            let mut wire = Buffer::default();
            for expected in [u32::MAX, 0, 1] {
                writer.seal(&[&[90]], &mut wire).unwrap();
                assert_eq!(writer.last_seq(), expected);
                let opened = reader.open(wire.filled_mut()).unwrap().unwrap();
                assert_eq!(opened.seq, expected);
                wire.consume(opened.total);
            }
            for (packets, fine) in [(MAX_PACKETS - 1, true), (MAX_PACKETS, false)] {
                let (mut reader, mut writer) = pair(suite);
                let mut wire = Buffer::default();
                writer.seal(&[&[90]], &mut wire).unwrap();
                (reader.used.packets, writer.used.packets) = (packets, packets);
                assert_eq!(reader.open(wire.filled_mut()).is_ok(), fine, "{suite:?}");
                assert_eq!(writer.seal(&[&[90]], &mut wire).is_ok(), fine, "{suite:?}");
            }
        }
    }

    #[test]
    fn padding_fills_blocks_with_at_least_four_bytes_that_are_random() {
        for suite in SUITES {
            let (_, mut writer) = pair((suite.0, suite.1));
            let shape = writer.sealing.shape();
            for size in 1..70 {
                let mut wire = Buffer::default();
                writer.seal(&[&vec![90; size]], &mut wire).unwrap();
                let body = wire.len() - shape.tag - if shape.length_counts { 0 } else { 4 };
                assert!(body.is_multiple_of(shape.block) && shape.block >= 8, "{suite:?}");
                let padding = wire.len() - shape.tag - 5 - size;
                assert!((4..4 + shape.block).contains(&padding), "{suite:?} {size} {padding}");
            }
        }
        let (_, mut writer) = pair(("", ""));
        let mut wire = Buffer::default();
        for _ in 0..2 {
            writer.seal(&[&[90; 2]], &mut wire).unwrap();
        }
        // 4 + 1 + 2 + 9 bytes: the smallest packet that there is (RFC 4253, section 6).
        assert_eq!(wire.len(), 2 * 16);
        assert_ne!(wire.filled()[7..16], wire.filled()[23..32], "padding is random");
    }

    /// A packet without protection, as a peer might send it.
    fn plain(padding: u8, size: usize) -> Vec<u8> {
        let mut packet = u32::try_from(size).unwrap().to_be_bytes().to_vec();
        packet.push(padding);
        packet.resize(4 + size, 90);
        packet
    }

    #[test]
    fn a_packet_has_a_payload_and_at_least_four_bytes_of_padding() {
        for (padding, size, payload) in [
            (4, 12, Some(7)),
            (10, 12, Some(1)),
            (255, 268, Some(12)),
            (11, 12, None),
            (12, 12, None),
            (255, 12, None),
            (3, 12, None),
            (0, 12, None),
        ] {
            let opened = PacketReader::new().open(&mut plain(padding, size));
            let got = opened.ok().flatten().map(|opened| opened.payload.len());
            assert_eq!(got, payload, "{padding} of {size}");
        }
    }

    #[test]
    fn packets_are_as_long_as_they_must_be_and_no_longer() {
        // 35,000 bytes in all is what everybody must take; more only after authentication.
        for (size, large, taken) in [
            (34_996, false, true),
            (35_004, false, false),
            (35_004, true, true),
            (MAX_PACKET - 4, true, true),
            (MAX_PACKET + 4, true, false),
        ] {
            let mut reader = PacketReader::new();
            if large {
                reader.allow_large();
            }
            assert_eq!(reader.open(&mut plain(4, size)).is_ok(), taken, "{size} {large}");
        }
        let (mut wire, mut writer) = (Buffer::default(), PacketWriter::new());
        assert!(writer.seal(&[&vec![94; MAX_PACKET - 12]], &mut wire).is_ok());
        let before = wire.len();
        let refused = writer.seal(&[&vec![94; MAX_PACKET]], &mut wire);
        assert_eq!(refused, Err(Error::PacketLength));
        assert_eq!(wire.len(), before, "nothing of it is sent");
    }
}
