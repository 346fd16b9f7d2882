//! The SHA-256 of a TLS certificate, by which a server is known.

use std::{fmt, str::FromStr};

/// 32 bytes, written as 64 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fingerprint([u8; 32]);

/// The text is no fingerprint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a fingerprint is a SHA-256 in 64 hexadecimal digits")]
pub struct FingerprintError;

impl Fingerprint {
    /// Of a digest.
    #[must_use]
    pub const fn new(digest: [u8; 32]) -> Self {
        Self(digest)
    }
}

impl FromStr for Fingerprint {
    type Err = FingerprintError;

    /// As Incus writes it, or with the colons and capitals of `openssl x509 -fingerprint -sha256`.
    fn from_str(text: &str) -> Result<Self, FingerprintError> {
        let digits: Vec<u8> = text.bytes().filter(|b| *b != b':').collect();
        let mut digest = [0; 32];
        if digits.len() != 2 * digest.len() {
            return Err(FingerprintError);
        }
        for (byte, pair) in digest.iter_mut().zip(digits.chunks_exact(2)) {
            let digit = |b: u8| char::from(b).to_digit(16);
            let value = pair.iter().try_fold(0, |sum, b| Some(sum * 16 + digit(*b)?));
            *byte = value.and_then(|v| u8::try_from(v).ok()).ok_or(FingerprintError)?;
        }
        Ok(Self(digest))
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_of_writing_it_are_the_same_and_others_are_none() {
        let plain = "00ff".repeat(16);
        let fingerprint: Fingerprint = plain.parse().unwrap();
        assert_eq!(fingerprint.to_string(), plain);
        let colons = vec!["00:FF"; 16].join(":");
        assert_eq!(colons.parse(), Ok(fingerprint));
        for bad in ["", "00", &"0g".repeat(32), &"00".repeat(33), &"é".repeat(32)] {
            assert_eq!(bad.parse::<Fingerprint>(), Err(FingerprintError), "{bad}");
        }
    }
}
