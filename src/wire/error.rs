//! Why a transport ends.

use super::{codec::Malformed, message::Reason};
use crate::model::key::PublicKey;

/// Why a transport ends. Texts name what was wrong and quote nothing of the peer's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The identification line is missing, too long or not of SSH 2.
    #[error("not an SSH 2 identification")]
    Identification,
    /// A packet's length is outside the limits.
    #[error("impossible packet length")]
    PacketLength,
    /// A packet is not authentic.
    #[error("packet authentication failed")]
    Mac,
    /// The two sides have no algorithm in common.
    #[error("no common {0} algorithm")]
    NoCommon(&'static str),
    /// The peer's message does not parse.
    #[error("malformed message")]
    Malformed,
    /// The peer broke a rule.
    #[error("protocol error: {0}")]
    Protocol(&'static str),
    /// The peer asked for a service that there is not (RFC 4253, section 10).
    #[error("service is not available")]
    Service,
    /// The key exchange was not finished in time.
    #[error("key exchange timed out")]
    KexTimeout,
    /// The peer proved a host key that is not pinned.
    #[error("host key is not the pinned one")]
    HostKey(Box<PublicKey>),
    /// The peer's host key signature is wrong.
    #[error("host key signature is wrong")]
    HostKeySignature,
    /// The peer said goodbye.
    #[error("peer disconnected")]
    Disconnected {
        /// The reason code it gave.
        reason: u32,
        /// The text it gave: untrusted.
        text: String,
    },
    /// A primitive refused its input.
    #[error("cryptographic failure")]
    Crypto,
}

impl Error {
    /// The reason to give to the peer; `None` where it would not listen.
    #[must_use]
    pub fn reason(&self) -> Option<Reason> {
        match self {
            Self::Disconnected { .. } | Self::Identification => None,
            Self::Mac => Some(Reason::MacError),
            Self::NoCommon(_) | Self::KexTimeout | Self::HostKeySignature | Self::Crypto => {
                Some(Reason::KeyExchangeFailed)
            }
            Self::Service => Some(Reason::ServiceNotAvailable),
            Self::HostKey(_) => Some(Reason::HostKeyNotVerifiable),
            Self::PacketLength | Self::Malformed | Self::Protocol(_) => Some(Reason::ProtocolError),
        }
    }
}

impl From<Malformed> for Error {
    fn from(_: Malformed) -> Self {
        Self::Malformed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_has_the_reason_code_of_its_kind() {
        let key =
            "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJqRmYdWkC8NSTf4eDvyGUj0zaPbhj8gHZMpiUm+3HXQ";
        let key = Box::new(PublicKey::from_line(key).unwrap());
        // The numbers of RFC 4250, section 4.2.2; `None`: nothing is said.
        for (error, reason) in [
            (Error::Identification, None),
            (Error::Disconnected { reason: 2, text: String::new() }, None),
            (Error::PacketLength, Some(2)),
            (Error::Malformed, Some(2)),
            (Error::Protocol(""), Some(2)),
            (Error::NoCommon("cipher"), Some(3)),
            (Error::KexTimeout, Some(3)),
            (Error::HostKeySignature, Some(3)),
            (Error::Crypto, Some(3)),
            (Error::Mac, Some(5)),
            (Error::Service, Some(7)),
            (Error::HostKey(key), Some(9)),
        ] {
            assert_eq!(error.reason().map(|r| r as u32), reason, "{error}");
        }
    }
}
