//! Packet protection: one direction of one set of keys.
//!
//! `Opening` and `Sealing` work in place on a whole packet. Lengths are the caller's business;
//! sequence numbers are arguments, because strict key exchange resets them.

use aws_lc_rs::{
    aead::{self, LessSafeKey, Nonce, UnboundKey, chacha20_poly1305_openssh as chacha},
    cipher::{
        AES_128, AES_192, AES_256, DecryptionContext, EncryptionContext, StreamingDecryptingKey,
        StreamingEncryptingKey, UnboundCipherKey,
    },
    hmac,
    iv::FixedLength,
};

use super::error::Error;

/// A cipher by its name in KEXINIT.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cipher {
    /// `chacha20-poly1305@openssh.com`
    ChaCha20Poly1305,
    /// `aes128-gcm@openssh.com`
    Aes128Gcm,
    /// `aes256-gcm@openssh.com`
    Aes256Gcm,
    /// `aes128-ctr`
    Aes128Ctr,
    /// `aes192-ctr`
    Aes192Ctr,
    /// `aes256-ctr`
    Aes256Ctr,
}

/// A MAC by its name in KEXINIT; used with the CTR ciphers only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mac {
    wide: bool,
    etm: bool,
}

impl Cipher {
    /// The cipher of a KEXINIT name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "chacha20-poly1305@openssh.com" => Self::ChaCha20Poly1305,
            "aes128-gcm@openssh.com" => Self::Aes128Gcm,
            "aes256-gcm@openssh.com" => Self::Aes256Gcm,
            "aes128-ctr" => Self::Aes128Ctr,
            "aes192-ctr" => Self::Aes192Ctr,
            "aes256-ctr" => Self::Aes256Ctr,
            _ => return None,
        })
    }

    /// Whether it authenticates by itself, so that no MAC is negotiated.
    #[must_use]
    pub fn is_aead(self) -> bool {
        match self {
            Self::ChaCha20Poly1305 | Self::Aes128Gcm | Self::Aes256Gcm => true,
            Self::Aes128Ctr | Self::Aes192Ctr | Self::Aes256Ctr => false,
        }
    }

    /// Bytes of key and of initial IV to derive.
    #[must_use]
    pub fn key_and_iv_len(self) -> (usize, usize) {
        match self {
            Self::ChaCha20Poly1305 => (64, 0),
            Self::Aes128Gcm => (16, 12),
            Self::Aes256Gcm => (32, 12),
            Self::Aes128Ctr => (16, 16),
            Self::Aes192Ctr => (24, 16),
            Self::Aes256Ctr => (32, 16),
        }
    }
}

impl Mac {
    /// The MAC of a KEXINIT name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        let (wide, etm) = match name {
            "hmac-sha2-256" => (false, false),
            "hmac-sha2-512" => (true, false),
            "hmac-sha2-256-etm@openssh.com" => (false, true),
            "hmac-sha2-512-etm@openssh.com" => (true, true),
            _ => return None,
        };
        Some(Self { wide, etm })
    }

    /// Bytes of key to derive.
    #[must_use]
    pub fn key_len(self) -> usize {
        if self.wide { 64 } else { 32 }
    }

    fn key(self, bytes: &[u8]) -> MacKey {
        let algorithm = if self.wide { hmac::HMAC_SHA512 } else { hmac::HMAC_SHA256 };
        MacKey { key: hmac::Key::new(algorithm, bytes), len: self.key_len(), etm: self.etm }
    }
}

/// Cipher and MAC of one direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Suite {
    /// The cipher.
    pub cipher: Cipher,
    /// The MAC, where the cipher needs one.
    pub mac: Option<Mac>,
}

/// What both directions know about the shape of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// Packets are padded to a multiple of this many bytes.
    pub block: usize,
    /// Whether the four length bytes count towards that multiple.
    pub length_counts: bool,
    /// Bytes behind the packet.
    pub tag: usize,
    /// Bytes that must be there before the length can be known.
    pub head: usize,
}

struct MacKey {
    key: hmac::Key,
    len: usize,
    etm: bool,
}

impl MacKey {
    fn context(&self, seq: u32, packet: &[u8]) -> hmac::Context {
        let mut context = hmac::Context::with_key(&self.key);
        context.update(&seq.to_be_bytes());
        context.update(packet);
        context
    }

    fn verify(&self, seq: u32, packet: &[u8], tag: &[u8]) -> Result<(), Error> {
        let computed = self.context(seq, packet).sign();
        aws_lc_rs::constant_time::verify_slices_are_equal(computed.as_ref(), tag)
            .map_err(|_| Error::Mac)
    }
}

/// GCM's invocation counter: 4 fixed and 8 counting bytes (RFC 5647, section 7.1).
struct GcmNonce([u8; 12]);

impl GcmNonce {
    fn new(iv: &[u8]) -> Result<Self, Error> {
        Ok(Self(iv.try_into().map_err(|_| Error::Crypto)?))
    }

    fn next(&mut self) -> Nonce {
        let nonce = Nonce::assume_unique_for_key(self.0);
        for byte in self.0[4..].iter_mut().rev() {
            *byte = byte.wrapping_add(1);
            if *byte != 0 {
                break;
            }
        }
        nonce
    }
}

const PLAIN: Shape = Shape { block: 8, length_counts: true, tag: 0, head: 4 };
const CHACHA: Shape = Shape { block: 8, length_counts: false, tag: 16, head: 4 };
const GCM: Shape = Shape { block: 16, length_counts: false, tag: 16, head: 4 };

fn ctr_shape(mac: &MacKey) -> Shape {
    let head = if mac.etm { 4 } else { 16 };
    Shape { block: 16, length_counts: !mac.etm, tag: mac.len, head }
}

fn gcm_key(cipher: Cipher, key: &[u8]) -> Result<LessSafeKey, Error> {
    let algorithm =
        if cipher == Cipher::Aes128Gcm { &aead::AES_128_GCM } else { &aead::AES_256_GCM };
    Ok(LessSafeKey::new(UnboundKey::new(algorithm, key).map_err(|_| Error::Crypto)?))
}

fn ctr_key(cipher: Cipher, key: &[u8]) -> Result<UnboundCipherKey, Error> {
    let algorithm = match cipher {
        Cipher::Aes128Ctr => &AES_128,
        Cipher::Aes192Ctr => &AES_192,
        Cipher::Aes256Ctr | Cipher::ChaCha20Poly1305 | Cipher::Aes128Gcm | Cipher::Aes256Gcm => {
            &AES_256
        }
    };
    UnboundCipherKey::new(algorithm, key).map_err(|_| Error::Crypto)
}

fn ctr_iv(iv: &[u8]) -> Result<FixedLength<16>, Error> {
    FixedLength::try_from(iv).map_err(|_| Error::Crypto)
}

/// Key material of one direction.
#[derive(Debug, Clone, Copy)]
pub struct Material<'a> {
    /// Encryption key, [`Cipher::key_and_iv_len`] bytes.
    pub key: &'a [u8],
    /// Initial IV, [`Cipher::key_and_iv_len`] bytes.
    pub iv: &'a [u8],
    /// MAC key, [`Mac::key_len`] bytes.
    pub mac: &'a [u8],
}

/// Opens packets of one direction.
pub struct Opening(OpeningKey);

enum OpeningKey {
    Plain,
    ChaCha(Box<chacha::OpeningKey>),
    Gcm(Box<(LessSafeKey, GcmNonce)>),
    Ctr(Box<CtrOpening>),
}

struct CtrOpening {
    stream: StreamingDecryptingKey,
    mac: MacKey,
    /// Plaintext of the packet at hand, as far as it was decrypted.
    plain: Vec<u8>,
}

impl Opening {
    /// No protection, as before the first key exchange.
    #[must_use]
    pub fn plain() -> Self {
        Self(OpeningKey::Plain)
    }

    /// Protection by `cipher` (and `mac` for the CTR ciphers).
    ///
    /// # Errors
    /// The key material does not fit.
    pub fn new(cipher: Cipher, mac: Option<Mac>, material: Material<'_>) -> Result<Self, Error> {
        Ok(Self(match cipher {
            Cipher::ChaCha20Poly1305 => {
                let key = material.key.try_into().map_err(|_| Error::Crypto)?;
                OpeningKey::ChaCha(Box::new(chacha::OpeningKey::new(key)))
            }
            Cipher::Aes128Gcm | Cipher::Aes256Gcm => OpeningKey::Gcm(Box::new((
                gcm_key(cipher, material.key)?,
                GcmNonce::new(material.iv)?,
            ))),
            Cipher::Aes128Ctr | Cipher::Aes192Ctr | Cipher::Aes256Ctr => {
                let key = ctr_key(cipher, material.key)?;
                let context = DecryptionContext::Iv128(ctr_iv(material.iv)?);
                let stream =
                    StreamingDecryptingKey::ctr(key, context).map_err(|_| Error::Crypto)?;
                let mac = mac.ok_or(Error::Crypto)?.key(material.mac);
                OpeningKey::Ctr(Box::new(CtrOpening { stream, mac, plain: Vec::new() }))
            }
        }))
    }

    /// The shape of packets.
    #[must_use]
    pub fn shape(&self) -> Shape {
        match &self.0 {
            OpeningKey::Plain => PLAIN,
            OpeningKey::ChaCha(_) => CHACHA,
            OpeningKey::Gcm(_) => GCM,
            OpeningKey::Ctr(ctr) => ctr_shape(&ctr.mac),
        }
    }

    /// The length field, from the first [`Shape::head`] bytes. Called once for each packet.
    ///
    /// # Errors
    /// The cipher failed.
    pub fn length(&mut self, seq: u32, head: &[u8]) -> Result<u32, Error> {
        let first: [u8; 4] = head.get(..4).and_then(|b| b.try_into().ok()).ok_or(Error::Crypto)?;
        Ok(u32::from_be_bytes(match &mut self.0 {
            OpeningKey::Plain | OpeningKey::Gcm(_) => first,
            OpeningKey::ChaCha(key) => key.decrypt_packet_length(seq, first),
            OpeningKey::Ctr(ctr) if ctr.mac.etm => first,
            OpeningKey::Ctr(ctr) => {
                ctr.plain.clear();
                ctr.decrypt(head)?;
                ctr.plain.get(..4).and_then(|b| b.try_into().ok()).ok_or(Error::Crypto)?
            }
        }))
    }

    /// Opens `packet` (length field, body, tag) in place: afterwards its body is plaintext.
    ///
    /// # Errors
    /// The packet is not authentic.
    pub fn open(&mut self, seq: u32, packet: &mut [u8]) -> Result<(), Error> {
        let body_end = packet.len().checked_sub(self.shape().tag).ok_or(Error::Crypto)?;
        match &mut self.0 {
            OpeningKey::Plain => Ok(()),
            OpeningKey::ChaCha(key) => {
                let (body, tag) = packet.split_at_mut(body_end);
                let tag: &[u8; 16] = (&*tag).try_into().map_err(|_| Error::Crypto)?;
                key.open_in_place(seq, body, tag).map(drop).map_err(|_| Error::Mac)
            }
            OpeningKey::Gcm(gcm) => {
                let (key, nonce) = &mut **gcm;
                let (length, rest) = packet.split_at_mut(4);
                let aad = aead::Aad::from(&*length);
                key.open_in_place(nonce.next(), aad, rest).map(drop).map_err(|_| Error::Mac)
            }
            OpeningKey::Ctr(ctr) => ctr.open(seq, packet, body_end),
        }
    }
}

impl CtrOpening {
    fn decrypt(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let at = self.plain.len();
        // The library wants room for one more block than a stream mode ever writes.
        self.plain.resize(at + bytes.len() + 16, 0);
        let done = self.stream.update(bytes, &mut self.plain[at..]).map_err(|_| Error::Crypto)?;
        let written = done.written().len();
        self.plain.truncate(at + written);
        if written == bytes.len() { Ok(()) } else { Err(Error::Crypto) }
    }

    fn open(&mut self, seq: u32, packet: &mut [u8], body_end: usize) -> Result<(), Error> {
        if self.mac.etm {
            let (covered, tag) = packet.split_at(body_end);
            self.mac.verify(seq, covered, tag)?;
            self.plain.clear();
            self.decrypt(&packet[4..body_end])?;
            packet[4..body_end].copy_from_slice(&self.plain);
        } else {
            self.decrypt(&packet[self.plain.len()..body_end])?;
            self.mac.verify(seq, &self.plain, &packet[body_end..])?;
            packet[..body_end].copy_from_slice(&self.plain);
        }
        if self.plain.capacity() > 64 * 1024 {
            self.plain = Vec::new();
        }
        Ok(())
    }
}

/// Seals packets of one direction.
pub struct Sealing(SealingKey);

enum SealingKey {
    Plain,
    ChaCha(Box<chacha::SealingKey>),
    Gcm(Box<(LessSafeKey, GcmNonce)>),
    Ctr(Box<CtrSealing>),
}

struct CtrSealing {
    stream: StreamingEncryptingKey,
    mac: MacKey,
    sealed: Vec<u8>,
}

impl Sealing {
    /// No protection, as before the first key exchange.
    #[must_use]
    pub fn plain() -> Self {
        Self(SealingKey::Plain)
    }

    /// Protection by `cipher` (and `mac` for the CTR ciphers).
    ///
    /// # Errors
    /// The key material does not fit.
    pub fn new(cipher: Cipher, mac: Option<Mac>, material: Material<'_>) -> Result<Self, Error> {
        Ok(Self(match cipher {
            Cipher::ChaCha20Poly1305 => {
                let key = material.key.try_into().map_err(|_| Error::Crypto)?;
                SealingKey::ChaCha(Box::new(chacha::SealingKey::new(key)))
            }
            Cipher::Aes128Gcm | Cipher::Aes256Gcm => SealingKey::Gcm(Box::new((
                gcm_key(cipher, material.key)?,
                GcmNonce::new(material.iv)?,
            ))),
            Cipher::Aes128Ctr | Cipher::Aes192Ctr | Cipher::Aes256Ctr => {
                let key = ctr_key(cipher, material.key)?;
                let context = EncryptionContext::Iv128(ctr_iv(material.iv)?);
                let stream = StreamingEncryptingKey::less_safe_ctr(key, context)
                    .map_err(|_| Error::Crypto)?;
                let mac = mac.ok_or(Error::Crypto)?.key(material.mac);
                SealingKey::Ctr(Box::new(CtrSealing { stream, mac, sealed: Vec::new() }))
            }
        }))
    }

    /// The shape of packets.
    #[must_use]
    pub fn shape(&self) -> Shape {
        match &self.0 {
            SealingKey::Plain => PLAIN,
            SealingKey::ChaCha(_) => CHACHA,
            SealingKey::Gcm(_) => GCM,
            SealingKey::Ctr(ctr) => ctr_shape(&ctr.mac),
        }
    }

    /// Seals `packet` (length field, body, room for the tag) in place.
    ///
    /// # Errors
    /// The cipher failed.
    pub fn seal(&mut self, seq: u32, packet: &mut [u8]) -> Result<(), Error> {
        let body_end = packet.len().checked_sub(self.shape().tag).ok_or(Error::Crypto)?;
        match &mut self.0 {
            SealingKey::Plain => {}
            SealingKey::ChaCha(key) => {
                let (body, out) = packet.split_at_mut(body_end);
                let mut tag = [0; 16];
                key.seal_in_place(seq, body, &mut tag);
                out.copy_from_slice(&tag);
            }
            SealingKey::Gcm(gcm) => {
                let (key, nonce) = &mut **gcm;
                let (length, rest) = packet.split_at_mut(4);
                let (body, out) = rest.split_at_mut(body_end - 4);
                let aad = aead::Aad::from(&*length);
                let tag = key
                    .seal_in_place_separate_tag(nonce.next(), aad, body)
                    .map_err(|_| Error::Crypto)?;
                out.copy_from_slice(tag.as_ref());
            }
            SealingKey::Ctr(ctr) => ctr.seal(seq, packet, body_end)?,
        }
        Ok(())
    }
}

impl CtrSealing {
    fn encrypt(&mut self, bytes: &mut [u8]) -> Result<(), Error> {
        self.sealed.resize(bytes.len() + 16, 0);
        let done = self.stream.update(bytes, &mut self.sealed).map_err(|_| Error::Crypto)?;
        if done.written().len() != bytes.len() {
            return Err(Error::Crypto);
        }
        bytes.copy_from_slice(done.written());
        if self.sealed.capacity() > 64 * 1024 {
            self.sealed = Vec::new();
        }
        Ok(())
    }

    fn seal(&mut self, seq: u32, packet: &mut [u8], body_end: usize) -> Result<(), Error> {
        if self.mac.etm {
            self.encrypt(&mut packet[4..body_end])?;
        }
        let tag = self.mac.context(seq, &packet[..body_end]).sign();
        if !self.mac.etm {
            self.encrypt(&mut packet[..body_end])?;
        }
        packet[body_end..].copy_from_slice(tag.as_ref());
        Ok(())
    }
}
