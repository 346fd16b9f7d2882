//! Verifying a signature by a public key (RFC 4253, section 6.6; RFC 5656; RFC 8332; RFC 8709;
//! PROTOCOL.u2f). SHA-1 does not exist here.

use aws_lc_rs::{
    digest::{SHA256, digest},
    signature::{
        ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ECDSA_P521_SHA512_FIXED, ED25519,
        EcdsaVerificationAlgorithm, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA512,
        RsaParameters, RsaPublicKeyComponents, UnparsedPublicKey,
    },
};

use super::codec::{Malformed, Reader, Write};
use crate::model::{authorized_keys::KeyOptions, key::PublicKey};

/// What `server-sig-algs` of `EXT_INFO` names (RFC 8308, section 3.1).
pub const SERVER_SIG_ALGS: [&str; 8] = [
    "ssh-ed25519",
    "sk-ssh-ed25519@openssh.com",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "sk-ecdsa-sha2-nistp256@openssh.com",
    "rsa-sha2-512",
    "rsa-sha2-256",
];

/// Longest signature blob looked at, in bytes. RSA with 8192 bits needs 1,044.
pub const MAX_SIGNATURE: usize = 2048;

/// RSA moduli accepted, in bits: less is weak, more costs a stranger nothing and us much.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;

/// Longest RSA public exponent, in bytes.
const MAX_RSA_EXPONENT: usize = 4;

/// What a security key must have asked of its user (PROTOCOL.u2f). Other keys ignore it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SkPolicy {
    /// The key must have been touched.
    pub touch_required: bool,
    /// The key must have verified its user, by PIN or finger.
    pub verify_required: bool,
}

impl Default for SkPolicy {
    fn default() -> Self {
        Self { touch_required: true, verify_required: false }
    }
}

impl From<&KeyOptions> for SkPolicy {
    fn from(options: &KeyOptions) -> Self {
        Self {
            touch_required: !options.no_touch_required,
            verify_required: options.verify_required,
        }
    }
}

/// Why a signature was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// Not an algorithm of this type of key, or not the one that the blob names.
    #[error("signature algorithm does not fit the key")]
    Algorithm,
    /// The blob or the key is not of the form its type asks for.
    #[error("malformed signature")]
    Malformed,
    /// An RSA key outside the sizes that are verified.
    #[error("key size is not supported")]
    KeySize,
    /// The security key was not touched.
    #[error("security key was not touched")]
    NotTouched,
    /// The security key did not verify its user.
    #[error("security key did not verify its user")]
    NotVerified,
    /// It is not a signature of this message by this key.
    #[error("signature does not match")]
    Mismatch,
}

impl From<Malformed> for SignatureError {
    fn from(_: Malformed) -> Self {
        Self::Malformed
    }
}

/// Signature algorithms that a key may sign with, preferred first.
#[must_use]
pub fn algorithms_for(key: &PublicKey) -> &'static [&'static str] {
    match key.algorithm() {
        "ssh-ed25519" => &["ssh-ed25519"],
        "ecdsa-sha2-nistp256" => &["ecdsa-sha2-nistp256"],
        "ecdsa-sha2-nistp384" => &["ecdsa-sha2-nistp384"],
        "ecdsa-sha2-nistp521" => &["ecdsa-sha2-nistp521"],
        "ssh-rsa" => &["rsa-sha2-512", "rsa-sha2-256"],
        "sk-ssh-ed25519@openssh.com" => &["sk-ssh-ed25519@openssh.com"],
        "sk-ecdsa-sha2-nistp256@openssh.com" => &["sk-ecdsa-sha2-nistp256@openssh.com"],
        _ => &[],
    }
}

/// Checks that `signature_blob` is `key`'s signature of `message` with `algorithm`.
///
/// # Errors
/// The algorithm is not one of [`algorithms_for`] the key or not the one named in the blob; the
/// blob is malformed, too long or has trailing bytes; the key's size is out of bounds; `policy` is
/// not met; or the signature is wrong.
pub fn verify(
    key: &PublicKey,
    algorithm: &str,
    message: &[u8],
    signature_blob: &[u8],
    policy: SkPolicy,
) -> Result<(), SignatureError> {
    if !algorithms_for(key).contains(&algorithm) {
        return Err(SignatureError::Algorithm);
    }
    if signature_blob.len() > MAX_SIGNATURE {
        return Err(SignatureError::Malformed);
    }
    let mut blob = Reader::new(signature_blob);
    if blob.string()? != algorithm.as_bytes() {
        return Err(SignatureError::Algorithm);
    }
    let signature = blob.string()?;
    let mut fields = Reader::new(key.blob());
    fields.string()?;
    match algorithm {
        "sk-ssh-ed25519@openssh.com" => {
            let point = fields.string()?;
            let signed = sk_message(fields, message, blob, policy)?;
            verify_ed25519(point, &signed, signature)
        }
        "sk-ecdsa-sha2-nistp256@openssh.com" => {
            let point = ecdsa_point(&mut fields, &P256)?;
            let signed = sk_message(fields, message, blob, policy)?;
            verify_ecdsa(&P256, point, &signed, signature)
        }
        _ => {
            blob.end()?;
            verify_plain(algorithm, fields, message, signature)
        }
    }
}

fn verify_plain(
    algorithm: &str,
    mut fields: Reader<'_>,
    message: &[u8],
    signature: &[u8],
) -> Result<(), SignatureError> {
    let curve = match algorithm {
        "ssh-ed25519" => {
            let point = fields.string()?;
            fields.end()?;
            return verify_ed25519(point, message, signature);
        }
        "rsa-sha2-512" => {
            return verify_rsa(&RSA_PKCS1_2048_8192_SHA512, fields, message, signature);
        }
        "rsa-sha2-256" => {
            return verify_rsa(&RSA_PKCS1_2048_8192_SHA256, fields, message, signature);
        }
        "ecdsa-sha2-nistp256" => &P256,
        "ecdsa-sha2-nistp384" => &P384,
        "ecdsa-sha2-nistp521" => &P521,
        _ => return Err(SignatureError::Algorithm),
    };
    let point = ecdsa_point(&mut fields, curve)?;
    fields.end()?;
    verify_ecdsa(curve, point, message, signature)
}

/// What a security key signs (PROTOCOL.u2f, "SSH U2F Signatures"). `fields` stands before the
/// key's application, `blob` before the flags.
fn sk_message(
    mut fields: Reader<'_>,
    message: &[u8],
    mut blob: Reader<'_>,
    policy: SkPolicy,
) -> Result<Vec<u8>, SignatureError> {
    const USER_PRESENT: u8 = 0x01;
    const USER_VERIFIED: u8 = 0x04;
    let application = fields.string()?;
    fields.end()?;
    let flags = blob.byte()?;
    let counter = blob.uint32()?;
    blob.end()?;
    if policy.touch_required && flags & USER_PRESENT == 0 {
        return Err(SignatureError::NotTouched);
    }
    if policy.verify_required && flags & USER_VERIFIED == 0 {
        return Err(SignatureError::NotVerified);
    }
    let mut signed = digest(&SHA256, application).as_ref().to_vec();
    signed.put_byte(flags);
    signed.put_uint32(counter);
    signed.extend_from_slice(digest(&SHA256, message).as_ref());
    Ok(signed)
}

fn verify_ed25519(point: &[u8], message: &[u8], signature: &[u8]) -> Result<(), SignatureError> {
    UnparsedPublicKey::new(&ED25519, point)
        .verify(message, signature)
        .map_err(|_| SignatureError::Mismatch)
}

struct Curve {
    name: &'static [u8],
    /// Length of a coordinate, in bytes.
    size: usize,
    algorithm: &'static EcdsaVerificationAlgorithm,
}

static P256: Curve = Curve { name: b"nistp256", size: 32, algorithm: &ECDSA_P256_SHA256_FIXED };
static P384: Curve = Curve { name: b"nistp384", size: 48, algorithm: &ECDSA_P384_SHA384_FIXED };
static P521: Curve = Curve { name: b"nistp521", size: 66, algorithm: &ECDSA_P521_SHA512_FIXED };

/// The curve's name and the point (RFC 5656, section 3.1); like OpenSSH, only uncompressed.
fn ecdsa_point<'a>(fields: &mut Reader<'a>, curve: &Curve) -> Result<&'a [u8], SignatureError> {
    if fields.string()? != curve.name {
        return Err(SignatureError::Malformed);
    }
    let point = fields.string()?;
    if point.len() != 2 * curve.size + 1 || point[0] != 4 {
        return Err(SignatureError::Malformed);
    }
    Ok(point)
}

fn verify_ecdsa(
    curve: &Curve,
    point: &[u8],
    message: &[u8],
    signature: &[u8],
) -> Result<(), SignatureError> {
    let mut numbers = Reader::new(signature);
    let (r, s) = (numbers.mpint()?, numbers.mpint()?);
    numbers.end()?;
    let mut fixed = vec![0; 2 * curve.size];
    let (left, right) = fixed.split_at_mut(curve.size);
    for (number, place) in [(r, left), (s, right)] {
        let start = place.len().checked_sub(number.len()).ok_or(SignatureError::Malformed)?;
        place[start..].copy_from_slice(number);
    }
    UnparsedPublicKey::new(curve.algorithm, point)
        .verify(message, &fixed)
        .map_err(|_| SignatureError::Mismatch)
}

fn verify_rsa(
    parameters: &RsaParameters,
    mut fields: Reader<'_>,
    message: &[u8],
    signature: &[u8],
) -> Result<(), SignatureError> {
    let (e, n) = (fields.mpint()?, fields.mpint()?);
    fields.end()?;
    // Bounds before any arithmetic: a stranger chooses this key.
    let Some(first) = n.first() else { return Err(SignatureError::KeySize) };
    let bits = n.len().saturating_mul(8).saturating_sub(first.leading_zeros() as usize);
    if !RSA_BITS.contains(&bits) || e.is_empty() || e.len() > MAX_RSA_EXPONENT {
        return Err(SignatureError::KeySize);
    }
    // Some clients drop leading zeros; sshd puts them back, too.
    let missing = n.len().checked_sub(signature.len()).ok_or(SignatureError::Malformed)?;
    let mut padded = vec![0; missing];
    padded.extend_from_slice(signature);
    RsaPublicKeyComponents { n, e }
        .verify(parameters, message, &padded)
        .map_err(|_| SignatureError::Mismatch)
}

#[cfg(test)]
mod tests;
