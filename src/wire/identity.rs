//! Private keys that sign: host keys, the CA, logins to containers, backends and routes.

use std::fmt;

use aws_lc_rs::{
    rand::SystemRandom,
    rsa::{KeyPairComponents, PublicKeyComponents},
    signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING,
        ECDSA_P521_SHA512_FIXED_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair,
        RSA_PKCS1_SHA256, RSA_PKCS1_SHA512, RsaKeyPair,
    },
};
use num_bigint::BigUint;
use ssh_key::{
    EcdsaCurve, PrivateKey,
    private::{EcdsaKeypair, Ed25519Keypair, KeypairData, RsaKeypair},
};
use zeroize::Zeroizing;

use super::{codec::Write, signature::algorithms_for};
use crate::model::key::PublicKey;

/// Why a private key cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    /// A passphrase protects it, and nobody is here to type it.
    #[error("private key is encrypted")]
    Encrypted,
    /// A type that this door does not sign with (a security key, for instance).
    #[error("private key type is not supported")]
    Unsupported,
    /// Its parts do not fit each other, or its size is out of bounds.
    #[error("private key is invalid")]
    Invalid,
    /// Not an algorithm of this key.
    #[error("signature algorithm does not fit the key")]
    Algorithm,
    /// The cryptographic library failed.
    #[error("signing failed")]
    Failed,
}

/// A private key. What it shows of itself is its public half.
pub struct Identity {
    public: PublicKey,
    pair: Pair,
}

enum Pair {
    Ed25519(Ed25519KeyPair),
    Ecdsa(EcdsaKeyPair),
    Rsa(RsaKeyPair),
}

impl Identity {
    /// An identity from a decoded key file.
    ///
    /// # Errors
    /// The key is encrypted, of a type that is not Ed25519, ECDSA or RSA, or inconsistent.
    pub fn from_private_key(key: &PrivateKey) -> Result<Self, IdentityError> {
        let data = key.key_data();
        let pair = if let Some(pair) = data.ed25519() {
            ed25519(pair)?
        } else if let Some(pair) = data.ecdsa() {
            ecdsa(pair)?
        } else if let Some(pair) = data.rsa() {
            rsa(pair)?
        } else if key.is_encrypted() {
            return Err(IdentityError::Encrypted);
        } else {
            return Err(IdentityError::Unsupported);
        };
        let blob = key.public_key().to_bytes().map_err(|_| IdentityError::Invalid)?;
        let public = PublicKey::from_blob(&blob).map_err(|_| IdentityError::Invalid)?;
        Ok(Self { public, pair })
    }

    /// A new Ed25519 key.
    ///
    /// # Errors
    /// The system gives no random bytes.
    pub fn generate_ed25519() -> Result<Self, IdentityError> {
        Self::from_private_key(&generate_ed25519("")?)
    }

    /// The public half.
    #[must_use]
    pub fn public_key(&self) -> &PublicKey {
        &self.public
    }

    /// Signature algorithms, preferred first.
    #[must_use]
    pub fn algorithms(&self) -> &'static [&'static str] {
        algorithms_for(&self.public)
    }

    /// Signs `message`; the result is a signature blob (RFC 4253, section 6.6): the algorithm's
    /// name and the signature, each a `string`.
    ///
    /// # Errors
    /// `algorithm` is none of [`Self::algorithms`], or the cryptographic library fails.
    pub fn sign(&self, algorithm: &str, message: &[u8]) -> Result<Vec<u8>, IdentityError> {
        if !self.algorithms().contains(&algorithm) {
            return Err(IdentityError::Algorithm);
        }
        let random = SystemRandom::new();
        let signature = match &self.pair {
            Pair::Ed25519(pair) => pair.sign(message).as_ref().to_vec(),
            Pair::Ecdsa(pair) => {
                let fixed = pair.sign(&random, message).map_err(|_| IdentityError::Failed)?;
                let (r, s) = fixed.as_ref().split_at(fixed.as_ref().len() / 2);
                let mut numbers = Vec::new();
                numbers.put_mpint(r);
                numbers.put_mpint(s);
                numbers
            }
            Pair::Rsa(pair) => {
                let sha2_512 = algorithm == "rsa-sha2-512";
                let padding = if sha2_512 { &RSA_PKCS1_SHA512 } else { &RSA_PKCS1_SHA256 };
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(padding, &random, message, &mut signature)
                    .map_err(|_| IdentityError::Failed)?;
                signature
            }
        };
        let mut blob = Vec::with_capacity(signature.len() + algorithm.len() + 8);
        blob.put_string(algorithm.as_bytes());
        blob.put_string(&signature);
        Ok(blob)
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity({})", self.public.fingerprint())
    }
}

/// A new Ed25519 key as OpenSSH files hold it.
///
/// # Errors
/// The system gives no random bytes.
pub fn generate_ed25519(comment: &str) -> Result<PrivateKey, IdentityError> {
    let mut seed = Zeroizing::new([0; 32]);
    aws_lc_rs::rand::fill(seed.as_mut()).map_err(|_| IdentityError::Failed)?;
    let pair = KeypairData::Ed25519(Ed25519Keypair::from_seed(&seed));
    PrivateKey::new(pair, comment).map_err(|_| IdentityError::Failed)
}

fn ed25519(pair: &Ed25519Keypair) -> Result<Pair, IdentityError> {
    let seed = Zeroizing::new(pair.private.to_bytes());
    Ed25519KeyPair::from_seed_and_public_key(seed.as_ref(), pair.public.as_ref())
        .map(Pair::Ed25519)
        .map_err(|_| IdentityError::Invalid)
}

fn ecdsa(pair: &EcdsaKeypair) -> Result<Pair, IdentityError> {
    let algorithm: &'static EcdsaSigningAlgorithm = match pair.curve() {
        EcdsaCurve::NistP256 => &ECDSA_P256_SHA256_FIXED_SIGNING,
        EcdsaCurve::NistP384 => &ECDSA_P384_SHA384_FIXED_SIGNING,
        EcdsaCurve::NistP521 => &ECDSA_P521_SHA512_FIXED_SIGNING,
    };
    let (private, public) = (pair.private_key_bytes(), pair.public_key_bytes());
    EcdsaKeyPair::from_private_key_and_public_key(algorithm, private, public)
        .map(Pair::Ecdsa)
        .map_err(|_| IdentityError::Invalid)
}

fn rsa(pair: &RsaKeypair) -> Result<Pair, IdentityError> {
    let (public, private) = (pair.public(), pair.private());
    let bytes = |number: &ssh_key::Mpint| {
        let bytes = number.as_positive_bytes().ok_or(IdentityError::Invalid)?;
        Ok(Zeroizing::new(bytes.to_vec()))
    };
    let (d, p, q) = (bytes(private.d())?, bytes(private.p())?, bytes(private.q())?);
    let components = KeyPairComponents {
        public_key: PublicKeyComponents { n: bytes(public.n())?, e: bytes(public.e())? },
        dP: crt_exponent(&d, &p)?,
        dQ: crt_exponent(&d, &q)?,
        qInv: bytes(private.iqmp())?,
        d,
        p,
        q,
    };
    RsaKeyPair::from_components(&components).map(Pair::Rsa).map_err(|_| IdentityError::Invalid)
}

/// `d mod (prime - 1)`, which OpenSSH's format leaves out. Runs once when a file is loaded.
/// `num-bigint` cannot wipe its intermediate values; what we hold ourselves is wiped.
fn crt_exponent(d: &[u8], prime: &[u8]) -> Result<Zeroizing<Vec<u8>>, IdentityError> {
    let prime = BigUint::from_bytes_be(prime);
    if prime <= BigUint::from(2_u8) {
        return Err(IdentityError::Invalid);
    }
    let exponent = BigUint::from_bytes_be(d) % (prime - 1_u8);
    Ok(Zeroizing::new(exponent.to_bytes_be()))
}
