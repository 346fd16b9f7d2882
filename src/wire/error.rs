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
