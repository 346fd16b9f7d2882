//! Public key blobs, as offers, host keys and certificates carry them.

use containarium::{
    model::key::{ALGORITHMS, MAX_BLOB, PublicKey},
    wire::{
        codec::{Malformed, Reader},
        signature::{SkPolicy, algorithms_for, verify},
    },
};

/// Reads `input` as a key blob.
pub fn check(input: &[u8]) {
    let read = reference(input);
    let Ok(key) = PublicKey::from_blob(input) else { return };
    assert!(input.len() <= MAX_BLOB, "a blob longer than the limit was read");
    assert_eq!(key.blob(), input, "a key is not the blob it came from");
    assert_eq!(read, Ok(key.algorithm()), "accepted, but not of the form of the RFCs");
    round_trip(&key);
    for algorithm in algorithms_for(&key) {
        // Whatever the key, what nobody signed is not signed; bounded in size, hence in time.
        let blob = [&[0, 0, 0, 11][..], algorithm.as_bytes(), &[0; 72]].concat();
        assert!(verify(&key, algorithm, b"message", &blob, SkPolicy::default()).is_err());
    }
}

fn round_trip(key: &PublicKey) {
    let line = key.to_line();
    let again = PublicKey::from_line(&format!("{line} a comment")).unwrap();
    assert_eq!(&again, key, "{line}");
    assert_eq!(again.comment(), "a comment");
    assert!(key.fingerprint().starts_with("SHA256:") && key.fingerprint().len() == 50);
    assert!(ALGORITHMS.contains(&key.algorithm()) && !algorithms_for(key).is_empty());
}

/// The form of a key by RFC 4253 (section 6.6), RFC 5656 (3.1), RFC 8709 (4) and PROTOCOL.u2f.
fn reference(blob: &[u8]) -> Result<&'static str, Malformed> {
    let mut r = Reader::new(blob);
    let name = r.string()?;
    let algorithm = *ALGORITHMS.iter().find(|a| a.as_bytes() == name).ok_or(Malformed)?;
    let ok = match algorithm {
        "ssh-rsa" => {
            let (e, n) = (r.mpint()?, r.mpint()?);
            !e.is_empty() && (256..=1024).contains(&n.len())
        }
        "ssh-ed25519" => r.string()?.len() == 32,
        "sk-ssh-ed25519@openssh.com" => r.string()?.len() == 32 && r.string().is_ok(),
        _ => {
            let curve = r.string()?;
            let (expected, size) = match algorithm {
                "ecdsa-sha2-nistp384" => (&b"nistp384"[..], 48),
                "ecdsa-sha2-nistp521" => (&b"nistp521"[..], 66),
                _ => (&b"nistp256"[..], 32),
            };
            let point = r.string()?;
            let uncompressed = point.len() == 2 * size + 1 && point[0] == 4;
            let sk = algorithm.starts_with("sk-");
            curve == expected && uncompressed && (!sk || r.string().is_ok())
        }
    };
    r.end()?;
    if ok { Ok(algorithm) } else { Err(Malformed) }
}
