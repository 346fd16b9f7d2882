//! Key agreement and what is derived from it.
//!
//! `curve25519-sha256` is RFC 8731; `mlkem768x25519-sha256` is
//! draft-ietf-sshm-mlkem-hybrid-kex: the shared secret is the hash of both secrets, and enters
//! the exchange hash as a string instead of an mpint.

use aws_lc_rs::{
    agreement::{EphemeralPrivateKey, UnparsedPublicKey, X25519, agree_ephemeral},
    digest::{self, SHA256},
    kem::{Ciphertext, DecapsulationKey, EncapsulationKey, ML_KEM_768},
    rand::SystemRandom,
};
use zeroize::Zeroizing;

use super::{
    cipher::{Mac, Material, Opening, Sealing, Suite},
    codec::Write,
    error::Error,
};

/// A key exchange method.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KexAlgorithm {
    /// `curve25519-sha256`, also under its older name with `@libssh.org`.
    Curve25519,
    /// `mlkem768x25519-sha256`
    MlKem768X25519,
}

impl KexAlgorithm {
    /// The method of a KEXINIT name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "curve25519-sha256" | "curve25519-sha256@libssh.org" => Some(Self::Curve25519),
            "mlkem768x25519-sha256" => Some(Self::MlKem768X25519),
            _ => None,
        }
    }
}

/// Bytes of an ML-KEM-768 encapsulation key and of a ciphertext (FIPS 203, table 3).
const MLKEM_KEY: usize = 1184;
const MLKEM_CIPHERTEXT: usize = 1088;

/// The shared secret K, encoded as it enters the hashes.
pub type Secret = Zeroizing<Vec<u8>>;

/// The server's half: from the client's value to the server's value and the secret.
///
/// # Errors
/// The client's value has the wrong length or is not a usable key.
pub fn respond(algorithm: KexAlgorithm, init: &[u8]) -> Result<(Vec<u8>, Secret), Error> {
    match algorithm {
        KexAlgorithm::Curve25519 => {
            let (public, shared) = x25519(init)?;
            Ok((public, mpint(&shared)))
        }
        KexAlgorithm::MlKem768X25519 => {
            let (key, point) = init
                .split_at_checked(MLKEM_KEY)
                .ok_or(Error::Protocol("bad key exchange value"))?;
            let key = EncapsulationKey::new(&ML_KEM_768, key)
                .map_err(|_| Error::Protocol("bad key exchange value"))?;
            // Only here the library looks at the key's coefficients.
            let (ciphertext, pq) =
                key.encapsulate().map_err(|_| Error::Protocol("bad key exchange value"))?;
            let (public, classical) = x25519(point)?;
            let mut reply = ciphertext.as_ref().to_vec();
            reply.extend_from_slice(&public);
            Ok((reply, combine(pq.as_ref(), &classical)))
        }
    }
}

/// The client's half, between its value and the server's.
pub struct ClientKex {
    point: EphemeralPrivateKey,
    kem: Option<DecapsulationKey>,
    /// The client's value, as sent.
    pub init: Vec<u8>,
}

impl ClientKex {
    /// Makes the client's value.
    ///
    /// # Errors
    /// No random bytes are to be had.
    pub fn new(algorithm: KexAlgorithm) -> Result<Self, Error> {
        let point = ephemeral()?;
        let mut init = Vec::new();
        let kem = match algorithm {
            KexAlgorithm::Curve25519 => None,
            KexAlgorithm::MlKem768X25519 => {
                let kem = DecapsulationKey::generate(&ML_KEM_768).map_err(|_| Error::Crypto)?;
                let public = kem.encapsulation_key().map_err(|_| Error::Crypto)?;
                init.extend_from_slice(public.key_bytes().map_err(|_| Error::Crypto)?.as_ref());
                Some(kem)
            }
        };
        let public = point.compute_public_key().map_err(|_| Error::Crypto)?;
        init.extend_from_slice(public.as_ref());
        Ok(Self { point, kem, init })
    }

    /// The secret, from the server's value.
    ///
    /// # Errors
    /// The server's value has the wrong length or is not a usable key.
    pub fn finish(self, reply: &[u8]) -> Result<Secret, Error> {
        let Some(kem) = self.kem else { return Ok(mpint(&agree(self.point, reply)?)) };
        let (ciphertext, point) = reply
            .split_at_checked(MLKEM_CIPHERTEXT)
            .ok_or(Error::Protocol("bad key exchange value"))?;
        let pq = kem.decapsulate(Ciphertext::from(ciphertext)).map_err(|_| Error::Crypto)?;
        let classical = agree(self.point, point)?;
        Ok(combine(pq.as_ref(), &classical))
    }
}

fn ephemeral() -> Result<EphemeralPrivateKey, Error> {
    EphemeralPrivateKey::generate(&X25519, &SystemRandom::new()).map_err(|_| Error::Crypto)
}

fn x25519(peer: &[u8]) -> Result<(Vec<u8>, Zeroizing<Vec<u8>>), Error> {
    let private = ephemeral()?;
    let public = private.compute_public_key().map_err(|_| Error::Crypto)?.as_ref().to_vec();
    Ok((public, agree(private, peer)?))
}

/// Refuses points of low order, whose result is all zeros (RFC 8731, section 3).
fn agree(private: EphemeralPrivateKey, peer: &[u8]) -> Result<Zeroizing<Vec<u8>>, Error> {
    let bad = Error::Protocol("bad key exchange value");
    if peer.len() != 32 {
        return Err(bad);
    }
    let peer = UnparsedPublicKey::new(&X25519, peer);
    agree_ephemeral(private, peer, bad, |secret| Ok(Zeroizing::new(secret.to_vec())))
}

fn mpint(shared: &[u8]) -> Secret {
    let mut out = Zeroizing::new(Vec::with_capacity(40));
    out.put_mpint(shared);
    out
}

fn combine(pq: &[u8], classical: &[u8]) -> Secret {
    let mut both = digest::Context::new(&SHA256);
    both.update(pq);
    both.update(classical);
    let mut out = Zeroizing::new(Vec::with_capacity(40));
    out.put_string(both.finish().as_ref());
    out
}

/// What enters the exchange hash (RFC 4253, section 8; RFC 5656, section 4).
#[derive(Debug, Clone, Copy)]
pub struct Transcript<'a> {
    /// Identification of the client, without line end.
    pub client_ident: &'a [u8],
    /// Identification of the server, without line end.
    pub server_ident: &'a [u8],
    /// KEXINIT payload of the client.
    pub client_kexinit: &'a [u8],
    /// KEXINIT payload of the server.
    pub server_kexinit: &'a [u8],
    /// The server's host key.
    pub host_key: &'a [u8],
    /// The client's value.
    pub init: &'a [u8],
    /// The server's value.
    pub reply: &'a [u8],
}

impl Transcript<'_> {
    /// The exchange hash H.
    #[must_use]
    pub fn hash(&self, secret: &Secret) -> [u8; 32] {
        let mut bytes = Vec::with_capacity(8192);
        for part in [
            self.client_ident,
            self.server_ident,
            self.client_kexinit,
            self.server_kexinit,
            self.host_key,
            self.init,
            self.reply,
        ] {
            bytes.put_string(part);
        }
        let mut hash = digest::Context::new(&SHA256);
        hash.update(&bytes);
        hash.update(secret);
        sha256(hash)
    }
}

fn sha256(context: digest::Context) -> [u8; 32] {
    let mut out = [0; 32];
    out.copy_from_slice(context.finish().as_ref());
    out
}

/// The result of a key exchange: from it come the keys of both directions.
pub struct Keys {
    secret: Secret,
    hash: [u8; 32],
    session_id: [u8; 32],
}

/// A direction of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Client to server.
    Up,
    /// Server to client.
    Down,
}

impl Keys {
    /// Keys from the secret, this exchange's hash and the first exchange's.
    #[must_use]
    pub fn new(secret: Secret, hash: [u8; 32], session_id: [u8; 32]) -> Self {
        Self { secret, hash, session_id }
    }

    /// The opener of a direction.
    ///
    /// # Errors
    /// The suite is inconsistent.
    pub fn opening(&self, direction: Direction, suite: Suite) -> Result<Opening, Error> {
        let [iv, key, mac] = self.material(direction, suite);
        Opening::new(suite.cipher, suite.mac, Material { key: &key, iv: &iv, mac: &mac })
    }

    /// The sealer of a direction.
    ///
    /// # Errors
    /// The suite is inconsistent.
    pub fn sealing(&self, direction: Direction, suite: Suite) -> Result<Sealing, Error> {
        let [iv, key, mac] = self.material(direction, suite);
        Sealing::new(suite.cipher, suite.mac, Material { key: &key, iv: &iv, mac: &mac })
    }

    /// IV, key and MAC key (RFC 4253, section 7.2: letters A to F).
    fn material(&self, direction: Direction, suite: Suite) -> [Zeroizing<Vec<u8>>; 3] {
        let letters = match direction {
            Direction::Up => *b"ACE",
            Direction::Down => *b"BDF",
        };
        let (key, iv) = suite.cipher.key_and_iv_len();
        let mac = suite.mac.map_or(0, Mac::key_len);
        let lens = [iv, key, mac];
        [0, 1, 2].map(|i| self.derive(letters[i], lens[i]))
    }

    fn derive(&self, letter: u8, len: usize) -> Zeroizing<Vec<u8>> {
        let mut out = Zeroizing::new(Vec::with_capacity(len + 32));
        while out.len() < len {
            let mut hash = digest::Context::new(&SHA256);
            hash.update(&self.secret);
            hash.update(&self.hash);
            if out.is_empty() {
                hash.update(&[letter]);
                hash.update(&self.session_id);
            } else {
                hash.update(&out);
            }
            out.extend_from_slice(&sha256(hash));
        }
        out.truncate(len);
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_halves_agree() {
        for algorithm in [KexAlgorithm::Curve25519, KexAlgorithm::MlKem768X25519] {
            let client = ClientKex::new(algorithm).unwrap();
            let (reply, server_secret) = respond(algorithm, &client.init).unwrap();
            assert_eq!(*client.finish(&reply).unwrap(), *server_secret);
        }
    }

    #[test]
    fn bad_values_are_refused() {
        for algorithm in [KexAlgorithm::Curve25519, KexAlgorithm::MlKem768X25519] {
            let good = ClientKex::new(algorithm).unwrap();
            let (good_reply, _) = respond(algorithm, &good.init).unwrap();
            // Points of order 1, 2, 4 and 8 on Curve25519 all give zero.
            for low in [[0; 32], {
                let mut p = [0; 32];
                p[0] = 1;
                p
            }] {
                let mut init = good.init.clone();
                let at = init.len() - 32;
                init[at..].copy_from_slice(&low);
                assert!(respond(algorithm, &init).is_err());
                let mut reply = good_reply.clone();
                let at = reply.len() - 32;
                reply[at..].copy_from_slice(&low);
                assert!(ClientKex::new(algorithm).unwrap().finish(&reply).is_err());
            }
            let all_ones = vec![0xff; good.init.len()];
            let bad = Error::Protocol("bad key exchange value");
            if algorithm == KexAlgorithm::MlKem768X25519 {
                assert_eq!(respond(algorithm, &all_ones).map(drop), Err(bad));
            }
            for len in [0, 1, 31, 33, 1184, 1215, 1217, 4096] {
                assert!(respond(algorithm, &vec![9; len]).is_err(), "{len}");
                assert!(ClientKex::new(algorithm).unwrap().finish(&vec![9; len]).is_err(), "{len}");
            }
        }
    }

    #[test]
    fn a_mlkem_key_with_a_coefficient_out_of_range_is_refused() {
        // FIPS 203, section 7.2: twelve bits each, below 3329.
        let good = ClientKex::new(KexAlgorithm::MlKem768X25519).unwrap().init;
        for at in [0, 600, MLKEM_KEY - 34] {
            let mut init = good.clone();
            init[at..at + 2].copy_from_slice(&[0xff; 2]);
            assert!(respond(KexAlgorithm::MlKem768X25519, &init).is_err(), "{at}");
        }
    }

    #[test]
    fn a_secret_enters_the_hash_in_the_form_of_its_method() {
        // RFC 8731, section 3.1: an mpint, without leading zeros and positive.
        assert_eq!(*mpint(&[0, 0, 0x80, 1]), [0, 0, 0, 3, 0, 0x80, 1]);
        assert_eq!(*mpint(&[0, 0x7f, 1]), [0, 0, 0, 2, 0x7f, 1]);
        // The hybrid method: a string of the hash of both secrets, the post-quantum one first.
        let both = digest::digest(&SHA256, b"pqclassical");
        let expected = [&[0, 0, 0, 32], both.as_ref()].concat();
        assert_eq!(*combine(b"pq", b"classical"), expected);
    }

    #[test]
    fn keys_are_derived_by_the_letters_of_rfc_4253() {
        let keys = Keys::new(mpint(&[1, 2, 3]), [4; 32], [5; 32]);
        let hash = |rest: &[u8]| {
            let mut input = b"\0\0\0\x03\x01\x02\x03".to_vec();
            input.extend_from_slice(&[4; 32]);
            input.extend_from_slice(rest);
            digest::digest(&SHA256, &input).as_ref().to_vec()
        };
        for letter in *b"ABCDEF" {
            let first = hash(&[&[letter][..], &[5; 32]].concat());
            let second = hash(&first);
            let third = hash(&[&first[..], &second].concat());
            let all = [first, second, third].concat();
            for len in [0, 12, 16, 32, 33, 64, 96] {
                assert_eq!(*keys.derive(letter, len), all[..len]);
            }
        }
        let suite = Suite {
            cipher: crate::wire::cipher::Cipher::Aes256Ctr,
            mac: Mac::from_name("hmac-sha2-512"),
        };
        for (direction, letters) in [(Direction::Up, b"ACE"), (Direction::Down, b"BDF")] {
            let expected = [(letters[0], 16), (letters[1], 32), (letters[2], 64)];
            let expected = expected.map(|(letter, len)| keys.derive(letter, len));
            assert_eq!(keys.material(direction, suite), expected);
        }
    }
}
