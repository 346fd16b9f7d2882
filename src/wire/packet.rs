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
        self.used.packets += 1;
        self.used.bytes += total as u64;
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
        self.used.packets += 1;
        self.used.bytes += total as u64;
        Ok(())
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
}
