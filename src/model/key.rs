//! Public keys as the wire and the key files know them.

use std::{fmt, sync::Arc};

use ssh_key::HashAlg;

/// Longest public key blob accepted, in bytes. An RSA key of 8192 bits needs about 1,050 bytes; a
/// certificate with it a few thousand more.
pub const MAX_BLOB: usize = 16 * 1024;

/// Why a key was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Not `TYPE BASE64 [COMMENT]`.
    #[error("not an OpenSSH public key line")]
    Line,
    /// The base64 part does not decode to a key of the type in front of it.
    #[error("key data does not match its type")]
    Blob,
    /// A type this door does not verify (ssh-dss, for instance).
    #[error("key type is not supported")]
    Unsupported,
    /// An RSA key whose modulus is shorter or longer than this door verifies.
    #[error("RSA key must have 2048 to 8192 bits")]
    RsaSize,
}

/// A public key: its wire form (RFC 4253, section 6.6) and what people call it.
///
/// Two keys are equal when their blobs are; the comment is only for people.
#[derive(Clone)]
pub struct PublicKey {
    blob: Arc<[u8]>,
    algorithm: &'static str,
    comment: Arc<str>,
}

/// Key types that can log in or be a host key.
pub const ALGORITHMS: [&str; 7] = [
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "ssh-rsa",
    "sk-ssh-ed25519@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com",
];

const BLANKS: [char; 2] = [' ', '\t'];

/// RSA moduli accepted, in bits, rounded up to whole bytes.
const RSA_BITS: std::ops::RangeInclusive<u32> = 2048..=8192;

impl PublicKey {
    /// A key from its wire form.
    ///
    /// # Errors
    /// The blob is too long, malformed, or of a type outside [`ALGORITHMS`]. A key has one wire
    /// form: whatever else could be read as the same key is malformed.
    pub fn from_blob(blob: &[u8]) -> Result<Self, KeyError> {
        if blob.len() > MAX_BLOB {
            return Err(KeyError::Blob);
        }
        let algorithm = known_type(blob)?;
        let key = ssh_key::PublicKey::from_bytes(blob).map_err(|_| KeyError::Blob)?;
        // The library reads past what it wants: an Ed25519 point in a longer string, for instance.
        if key.algorithm().as_str() != algorithm || key.to_bytes().ok().as_deref() != Some(blob) {
            return Err(KeyError::Blob);
        }
        // It also takes the point at infinity for one, in one byte.
        if algorithm.contains("ecdsa") && !has_uncompressed_point(blob) {
            return Err(KeyError::Blob);
        }
        if key.key_data().rsa().is_some_and(|rsa| !RSA_BITS.contains(&rsa.key_size())) {
            return Err(KeyError::RsaSize);
        }
        Ok(Self { blob: blob.into(), algorithm, comment: "".into() })
    }

    /// A key from an OpenSSH line without options: `TYPE BASE64 [COMMENT]`.
    ///
    /// # Errors
    /// The line does not have that form, or the key is refused as by [`Self::from_blob`].
    pub fn from_line(line: &str) -> Result<Self, KeyError> {
        // Only what sshd passes over: a form feed, or a blank of Unicode, belongs to a word.
        let line = line.trim_end_matches(['\r', '\n']).trim_matches(BLANKS);
        let (kind, rest) = line.split_once(BLANKS).ok_or(KeyError::Line)?;
        let rest = rest.trim_start_matches(BLANKS);
        let (data, comment) = rest.split_once(BLANKS).unwrap_or((rest, ""));
        if !ALGORITHMS.contains(&kind) {
            return Err(
                if kind.starts_with("ssh-") || kind.contains("-sha2-") || kind.contains('@') {
                    KeyError::Unsupported
                } else {
                    KeyError::Line
                },
            );
        }
        let line = format!("{kind} {data}");
        let parsed = ssh_key::PublicKey::from_openssh(&line).map_err(|_| KeyError::Blob)?;
        if parsed.to_openssh().ok().as_deref().map(str::trim_end) != Some(&line) {
            return Err(KeyError::Blob);
        }
        let blob = parsed.to_bytes().map_err(|_| KeyError::Blob)?;
        Ok(Self { comment: comment.trim().into(), ..Self::from_blob(&blob)? })
    }

    /// The wire form.
    #[must_use]
    pub fn blob(&self) -> &[u8] {
        &self.blob
    }

    /// The key's type, for instance `ssh-ed25519`.
    #[must_use]
    pub fn algorithm(&self) -> &'static str {
        self.algorithm
    }

    /// What people call the key; untrusted text.
    #[must_use]
    pub fn comment(&self) -> &str {
        &self.comment
    }

    /// `SHA256:…`, as `ssh-keygen -l` prints it.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        ssh_key::PublicKey::from_bytes(&self.blob).map_or_else(
            |_| String::from("SHA256:?"),
            |k| k.fingerprint(HashAlg::Sha256).to_string(),
        )
    }

    /// `TYPE BASE64`, without the comment.
    #[must_use]
    pub fn to_line(&self) -> String {
        ssh_key::PublicKey::from_bytes(&self.blob)
            .ok()
            .and_then(|key| key.to_openssh().ok())
            .map_or_else(String::new, |line| line.trim_end().to_owned())
    }
}

/// The type in front of a blob. Looked at before anything is decoded, because decoding a
/// certificate would decode the certificates nested in it.
fn known_type(blob: &[u8]) -> Result<&'static str, KeyError> {
    let (len, rest) = blob.split_first_chunk().ok_or(KeyError::Blob)?;
    let len = usize::try_from(u32::from_be_bytes(*len)).map_err(|_| KeyError::Blob)?;
    let name = rest.get(..len).ok_or(KeyError::Blob)?;
    let known = ALGORITHMS.iter().find(|a| a.as_bytes() == name);
    known.copied().ok_or(KeyError::Unsupported)
}

/// Whether the third string of an ECDSA key (RFC 5656, section 3.1) is a point in the form that SSH
/// uses: uncompressed (SEC 1, section 2.3.3).
fn has_uncompressed_point(blob: &[u8]) -> bool {
    fn string(rest: &[u8]) -> Option<(&[u8], &[u8])> {
        let (len, rest) = rest.split_first_chunk()?;
        rest.split_at_checked(usize::try_from(u32::from_be_bytes(*len)).ok()?)
    }
    let point = || {
        let (_, rest) = string(blob)?;
        let (_, rest) = string(rest)?;
        string(rest).map(|(point, _)| point)
    };
    point().is_some_and(|point| point.first() == Some(&4))
}

impl PartialEq for PublicKey {
    fn eq(&self, other: &Self) -> bool {
        self.blob == other.blob
    }
}

impl Eq for PublicKey {}

impl std::hash::Hash for PublicKey {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.blob.hash(state);
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.fingerprint())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJqRmYdWkC8NSTf4eDvyGUj0zaPbhj8gHZMpiUm+3HXQ";

    #[test]
    fn a_line_round_trips_and_keeps_its_comment() {
        let key = PublicKey::from_line(&format!("{LINE} alice@laptop of hers")).unwrap();
        assert_eq!(key.comment(), "alice@laptop of hers");
        assert_eq!(key.to_line(), LINE);
        assert_eq!(key.algorithm(), "ssh-ed25519");
        assert!(key.fingerprint().starts_with("SHA256:"));
        assert_eq!(PublicKey::from_blob(key.blob()).unwrap(), key);
    }

    #[test]
    fn a_wrong_type_or_a_cut_blob_is_refused() {
        let wrong = LINE.replacen("ssh-ed25519", "ssh-rsa", 1);
        assert_eq!(PublicKey::from_line(&wrong), Err(KeyError::Blob));
        assert_eq!(PublicKey::from_line(&LINE[..40]), Err(KeyError::Blob));
        assert_eq!(PublicKey::from_line("ssh-dss AAAA"), Err(KeyError::Unsupported));
        assert_eq!(PublicKey::from_line("hello"), Err(KeyError::Line));
        assert_eq!(PublicKey::from_line(""), Err(KeyError::Line));
        assert_eq!(PublicKey::from_line("ssh-ed25519"), Err(KeyError::Line));
    }

    #[test]
    fn a_certificate_is_no_key_and_is_not_even_decoded() {
        let mut blob = b"\0\0\0\x20ssh-ed25519-cert-v01@openssh.com".to_vec();
        blob.extend_from_slice(&[0; 64]);
        assert_eq!(PublicKey::from_blob(&blob), Err(KeyError::Unsupported));
        for blob in [&[][..], &[0, 0, 0], &[0xff; 8]] {
            assert_eq!(PublicKey::from_blob(blob), Err(KeyError::Blob));
        }
    }

    #[test]
    fn the_point_at_infinity_is_no_key() {
        for name in ["sk-ecdsa-sha2-nistp256@openssh.com", "ecdsa-sha2-nistp256"] {
            let mut blob = Vec::new();
            for string in [name.as_bytes(), b"nistp256", &[0], b"ssh:"] {
                blob.extend_from_slice(&u32::try_from(string.len()).unwrap().to_be_bytes());
                blob.extend_from_slice(string);
            }
            assert_eq!(PublicKey::from_blob(&blob), Err(KeyError::Blob), "{name}");
        }
    }

    #[test]
    fn a_key_has_one_wire_form() {
        let good = PublicKey::from_line(LINE).unwrap().blob().to_vec();
        assert!(PublicKey::from_blob(&good).is_ok());
        // The point's length says more than its 32 bytes, and they are there.
        let mut long = good.clone();
        long[18] = 64;
        long.extend_from_slice(&[7; 32]);
        assert_eq!(PublicKey::from_blob(&long), Err(KeyError::Blob));
        let trailing = [good, vec![0]].concat();
        assert_eq!(PublicKey::from_blob(&trailing), Err(KeyError::Blob));
        // The same as a line.
        let line = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAQJqRmYdWkC8NSTf4eDvyGUj0zaPbhj8gHZMpiUm\
            +3HXQBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=";
        assert_eq!(PublicKey::from_line(line), Err(KeyError::Blob));
    }

    #[test]
    fn nothing_but_blanks_and_tabs_stands_between_words() {
        for blank in ['\u{b}', '\u{c}', '\u{85}', '\u{a0}', '\u{2003}', '\n'] {
            assert!(PublicKey::from_line(&format!("{blank}{LINE}")).is_err(), "{blank:?}");
            let between = LINE.replacen(' ', &format!(" {blank}"), 1);
            assert!(PublicKey::from_line(&between).is_err(), "{blank:?}");
        }
        assert!(PublicKey::from_line(&format!("{LINE}\r\n")).is_ok());
    }

    #[test]
    fn blanks_and_tabs_between_words_do_not_matter() {
        let spaced = format!("  {}  \t a  b ", LINE.replacen(' ', "\t  ", 1));
        let key = PublicKey::from_line(&spaced).unwrap();
        assert_eq!((key.to_line().as_str(), key.comment()), (LINE, "a  b"));
    }
}
