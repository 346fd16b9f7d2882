//! The messages of RFC 4254 that a tunnel needs.

use super::{MAX_DATA, WINDOW};
use crate::{
    model::text,
    wire::{
        codec::{Malformed, Reader, Write},
        message,
    },
};

/// Where a tunnel ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    /// A TCP port, as the backend sees it.
    Tcp {
        /// Address or name.
        host: String,
        /// Port.
        port: u16,
    },
    /// A unix socket on the backend.
    Unix {
        /// Its path.
        path: String,
    },
}

/// What a packet says about the channel that is being opened.
pub(super) enum Answer {
    Confirmation { peer: u32, window: u32, max: u32 },
    Failure(String),
    Other,
}

/// Opens channel 0.
pub(super) fn open_message(destination: &Destination) -> Vec<u8> {
    let mut out = vec![message::CHANNEL_OPEN];
    let kind: &[u8] = match destination {
        Destination::Tcp { .. } => b"direct-tcpip",
        Destination::Unix { .. } => b"direct-streamlocal@openssh.com",
    };
    out.put_string(kind);
    out.put_uint32(0);
    out.put_uint32(WINDOW);
    out.put_uint32(MAX_DATA);
    match destination {
        Destination::Tcp { host, port } => {
            out.put_string(host.as_bytes());
            out.put_uint32(u32::from(*port));
            out.put_string(b"127.0.0.1");
            out.put_uint32(0);
        }
        Destination::Unix { path } => {
            out.put_string(path.as_bytes());
            out.put_string(b"");
            out.put_uint32(0);
        }
    }
    out
}

pub(super) fn parse_answer(packet: &[u8]) -> Result<Answer, Malformed> {
    let mut r = Reader::new(packet);
    match r.byte()? {
        message::CHANNEL_OPEN_CONFIRMATION => {
            r.uint32()?;
            Ok(Answer::Confirmation { peer: r.uint32()?, window: r.uint32()?, max: r.uint32()? })
        }
        message::CHANNEL_OPEN_FAILURE => {
            r.uint32()?;
            r.uint32()?;
            Ok(Answer::Failure(text::printable_bytes(r.string()?, 200)))
        }
        _ => Ok(Answer::Other),
    }
}

/// The refusal that a request wants (keepalives, host key announcements), if it wants one.
pub(super) fn reply_to_request(packet: &[u8], peer: u32) -> Result<Option<Vec<u8>>, Malformed> {
    let mut r = Reader::new(packet);
    match r.byte()? {
        message::GLOBAL_REQUEST => {
            r.string()?;
            Ok(r.boolean()?.then(|| vec![message::REQUEST_FAILURE]))
        }
        message::CHANNEL_REQUEST => {
            r.uint32()?;
            r.string()?;
            let mut out = vec![message::CHANNEL_FAILURE];
            out.put_uint32(peer);
            Ok(r.boolean()?.then_some(out))
        }
        message::CHANNEL_OPEN => {
            r.string()?;
            let mut out = vec![message::CHANNEL_OPEN_FAILURE];
            out.put_uint32(r.uint32()?);
            out.put_uint32(1);
            out.put_string(b"no");
            out.put_string(b"");
            Ok(Some(out))
        }
        _ => Ok(None),
    }
}
