//! Images as people name them: `debian` is one of the backend's own, `images:debian/12` one of a
//! server. Pure.

use std::{fmt, str::FromStr};

use serde::{Serialize, Serializer};

/// Longest part of a name, in bytes: no image server has longer ones.
const MAX_PART: usize = 128;

/// What Incus itself calls a backend's own images.
const LOCAL: &str = "local";

/// Shortest beginning of a fingerprint that is taken for one: what `incus image list` shows.
const MIN_FINGERPRINT: usize = 12;

/// Which image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ImageName {
    /// An alias on the backend.
    Local(String),
    /// The beginning of a fingerprint on the backend.
    Fingerprint(String),
    /// An alias on a server.
    Remote {
        /// The server, as the configuration calls it.
        remote: String,
        /// The alias there.
        alias: String,
    },
}

/// An image's name was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an image is written like debian, or REMOTE:ALIAS such as images:debian/12")]
pub struct ImageError;

impl FromStr for ImageName {
    type Err = ImageError;

    fn from_str(text: &str) -> Result<Self, ImageError> {
        let (remote, alias) = text.split_once(':').unwrap_or((LOCAL, text));
        let is_hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        if !is_part(remote) || !is_part(alias) {
            Err(ImageError)
        } else if remote != LOCAL {
            Ok(Self::Remote { remote: remote.to_owned(), alias: alias.to_owned() })
        } else if alias.len() >= MIN_FINGERPRINT && alias.bytes().all(is_hex) {
            Ok(Self::Fingerprint(alias.to_owned()))
        } else {
            Ok(Self::Local(alias.to_owned()))
        }
    }
}

fn is_part(text: &str) -> bool {
    let valid = |b: u8| b.is_ascii_alphanumeric() || b"/._+-".contains(&b);
    let begins = text.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric());
    begins && text.len() <= MAX_PART && text.bytes().all(valid)
}

impl fmt::Display for ImageName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local(name) | Self::Fingerprint(name) => f.write_str(name),
            Self::Remote { remote, alias } => write!(f, "{remote}:{alias}"),
        }
    }
}

impl Serialize for ImageName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_images_and_those_of_a_server_are_told_apart() {
        let remote = |remote: &str, alias: &str| ImageName::Remote {
            remote: remote.to_owned(),
            alias: alias.to_owned(),
        };
        for (text, image) in [
            ("debian", ImageName::Local("debian".to_owned())),
            ("local:debian", ImageName::Local("debian".to_owned())),
            ("ubuntu/24.04", ImageName::Local("ubuntu/24.04".to_owned())),
            ("images:ubuntu/24.04", remote("images", "ubuntu/24.04")),
            ("66ead7e9d59b", ImageName::Fingerprint("66ead7e9d59b".to_owned())),
        ] {
            assert_eq!(text.parse(), Ok(image), "{text}");
        }
        let long = "a".repeat(MAX_PART + 1);
        for bad in ["", ":", "a:", ":a", "a:b:c", "-a", "a b", "../x", "a;id", "ä", "a\n", &long] {
            assert_eq!(bad.parse::<ImageName>(), Err(ImageError), "{bad:?}");
        }
    }
}
