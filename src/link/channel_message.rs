//! The connection protocol (RFC 4254) as far as `tunnel`, with its one channel, and `reverse`, with
//! its many, need it. Pure.

use crate::{
    model::text,
    wire::{
        codec::{Reader, Write},
        error::Error,
        message::{
            CHANNEL_CLOSE, CHANNEL_DATA, CHANNEL_EOF, CHANNEL_EXTENDED_DATA, CHANNEL_FAILURE,
            CHANNEL_OPEN, CHANNEL_OPEN_CONFIRMATION, CHANNEL_OPEN_FAILURE, CHANNEL_REQUEST,
            CHANNEL_SUCCESS, CHANNEL_WINDOW_ADJUST, GLOBAL_REQUEST, REQUEST_FAILURE,
            REQUEST_SUCCESS,
        },
    },
};

/// `SSH_OPEN_ADMINISTRATIVELY_PROHIBITED` (RFC 4254, section 5.1).
const PROHIBITED: u32 = 1;

/// What a packet says. Numbers of channels are ours.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Incoming<'p> {
    /// The channel is open: its number over there, the window and the largest piece.
    Opened { channel: u32, peer: u32, window: u32, max: u32 },
    /// It could not be opened; printable text.
    Refused { channel: u32, text: String },
    /// Bytes of the stream.
    Data { channel: u32, data: &'p [u8] },
    /// So many bytes that are not of the stream, but use the window, too.
    Extended { channel: u32, len: u32 },
    /// So many bytes more may be sent.
    Adjust { channel: u32, more: u32 },
    /// No more data comes.
    Eof(u32),
    /// The channel ends.
    Close(u32),
    /// A request about a channel.
    Request { channel: u32, wants_reply: bool },
    /// The answer to a request about a channel, which was never made.
    Answer(u32),
    /// The host wants to open a channel, which has this number over there.
    Open(u32),
    /// A request about the connection.
    Global { wants_reply: bool, request: Global<'p> },
    /// The answer to one of ours.
    Reply,
    /// A message outside of RFC 4254.
    Unknown,
}

/// A request about the connection.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Global<'p> {
    /// Listen for the host at this address and port (RFC 4254, section 7.1).
    Forward { address: &'p [u8], port: u32 },
    /// Do it no more.
    Cancel,
    /// Anything else.
    Other,
}

/// Reads a packet.
///
/// # Errors
/// It is malformed.
pub(super) fn parse(packet: &[u8]) -> Result<Incoming<'_>, Error> {
    let mut r = Reader::new(packet);
    let number = r.byte()?;
    match number {
        CHANNEL_OPEN => {
            r.string()?;
            return Ok(Incoming::Open(r.uint32()?));
        }
        GLOBAL_REQUEST => return global(r),
        REQUEST_SUCCESS | REQUEST_FAILURE => return Ok(Incoming::Reply),
        CHANNEL_OPEN_CONFIRMATION..=CHANNEL_FAILURE => {}
        _ => return Ok(Incoming::Unknown),
    }
    let channel = r.uint32()?;
    let incoming = match number {
        CHANNEL_OPEN_CONFIRMATION => {
            let (peer, window, max) = (r.uint32()?, r.uint32()?, r.uint32()?);
            return Ok(Incoming::Opened { channel, peer, window, max });
        }
        CHANNEL_OPEN_FAILURE => {
            r.uint32()?;
            let text = text::printable_bytes(r.string()?, 200);
            return Ok(Incoming::Refused { channel, text });
        }
        CHANNEL_REQUEST => {
            r.string()?;
            return Ok(Incoming::Request { channel, wants_reply: r.boolean()? });
        }
        CHANNEL_DATA => Incoming::Data { channel, data: r.string()? },
        CHANNEL_EXTENDED_DATA => {
            r.uint32()?;
            let len = u32::try_from(r.string()?.len()).unwrap_or(u32::MAX);
            Incoming::Extended { channel, len }
        }
        CHANNEL_WINDOW_ADJUST => Incoming::Adjust { channel, more: r.uint32()? },
        CHANNEL_EOF => Incoming::Eof(channel),
        CHANNEL_CLOSE => Incoming::Close(channel),
        CHANNEL_SUCCESS | CHANNEL_FAILURE => Incoming::Answer(channel),
        _ => return Ok(Incoming::Unknown),
    };
    r.end()?;
    Ok(incoming)
}

fn global(mut r: Reader<'_>) -> Result<Incoming<'_>, Error> {
    let (name, wants_reply) = (r.string()?, r.boolean()?);
    let request = match name {
        b"tcpip-forward" => {
            let (address, port) = (r.string()?, r.uint32()?);
            r.end()?;
            Global::Forward { address, port }
        }
        b"cancel-tcpip-forward" => Global::Cancel,
        _ => Global::Other,
    };
    Ok(Incoming::Global { wants_reply, request })
}

/// What a channel leads to.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind<'a> {
    /// A TCP port that the peer dials (RFC 4254, section 7.2).
    Direct(&'a str, u32),
    /// A unix socket that the peer opens (OpenSSH's PROTOCOL, section 2.4).
    DirectUnix(&'a str),
    /// What the peer asked to have forwarded to it (RFC 4254, section 7.2).
    Forwarded(&'a str, u32),
}

/// Opens a channel.
pub(super) fn open(channel: u32, (window, max): (u32, u32), kind: Kind<'_>) -> Vec<u8> {
    let name: &[u8] = match kind {
        Kind::Direct(..) => b"direct-tcpip",
        Kind::DirectUnix(_) => b"direct-streamlocal@openssh.com",
        Kind::Forwarded(..) => b"forwarded-tcpip",
    };
    let mut out = vec![CHANNEL_OPEN];
    out.put_string(name);
    out.put_uint32(channel);
    out.put_uint32(window);
    out.put_uint32(max);
    match kind {
        Kind::Direct(host, port) | Kind::Forwarded(host, port) => {
            out.put_string(host.as_bytes());
            out.put_uint32(port);
            out.put_string(b"127.0.0.1");
        }
        Kind::DirectUnix(path) => {
            out.put_string(path.as_bytes());
            out.put_string(b"");
        }
    }
    out.put_uint32(0);
    out
}

/// Refuses to open a channel, with a sentence for whoever reads it there.
pub(super) fn prohibited(sender: u32, sentence: &str) -> Vec<u8> {
    let mut out = vec![CHANNEL_OPEN_FAILURE];
    out.put_uint32(sender);
    out.put_uint32(PROHIBITED);
    out.put_string(sentence.as_bytes());
    out.put_string(b"");
    out
}

/// Asks whether the host is still there, as OpenSSH does.
pub(super) fn keepalive() -> Vec<u8> {
    let mut out = vec![GLOBAL_REQUEST];
    out.put_string(b"keepalive@openssh.com");
    out.push(1);
    out
}

/// A message that consists of a channel's number over there and perhaps a value.
pub(super) fn about(number: u8, peer: u32, value: Option<u32>) -> Vec<u8> {
    let mut out = vec![number];
    out.put_uint32(peer);
    if let Some(value) = value {
        out.put_uint32(value);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(number: u8, channel: u32, rest: &[u8]) -> Vec<u8> {
        [&[number][..], &channel.to_be_bytes(), rest].concat()
    }

    #[test]
    fn every_message_is_understood_as_rfc_4254_has_it() {
        let request = |want: u8| [&b"\0\0\0\x01x"[..], &[want]].concat();
        let forward = |name: &str| {
            let mut out = vec![GLOBAL_REQUEST];
            out.put_string(name.as_bytes());
            out.push(1);
            out.put_string(b"here");
            out.put_uint32(22);
            out
        };
        for (packet, expected) in [
            (
                of(CHANNEL_OPEN_CONFIRMATION, 3, b"\0\0\0\x07\0\0\0\x08\0\0\0\x09extra"),
                Incoming::Opened { channel: 3, peer: 7, window: 8, max: 9 },
            ),
            (
                of(CHANNEL_OPEN_FAILURE, 3, b"\0\0\0\x02\0\0\0\x02\x1bx\0\0\0\0"),
                Incoming::Refused { channel: 3, text: "\\u{1b}x".into() },
            ),
            (of(CHANNEL_DATA, 3, b"\0\0\0\x02ab"), Incoming::Data { channel: 3, data: b"ab" }),
            (
                of(CHANNEL_EXTENDED_DATA, 3, b"\0\0\0\x01\0\0\0\x02ab"),
                Incoming::Extended { channel: 3, len: 2 },
            ),
            (of(CHANNEL_WINDOW_ADJUST, 3, b"\0\0\0\x05"), Incoming::Adjust { channel: 3, more: 5 }),
            (of(CHANNEL_EOF, 3, b""), Incoming::Eof(3)),
            (of(CHANNEL_CLOSE, 3, b""), Incoming::Close(3)),
            (of(CHANNEL_SUCCESS, 3, b""), Incoming::Answer(3)),
            (
                of(CHANNEL_REQUEST, 3, &request(1)),
                Incoming::Request { channel: 3, wants_reply: true },
            ),
            ([&[CHANNEL_OPEN][..], b"\0\0\0\x07session\0\0\0\x05rest"].concat(), Incoming::Open(5)),
            (
                [&[GLOBAL_REQUEST][..], &request(0)].concat(),
                Incoming::Global { wants_reply: false, request: Global::Other },
            ),
            (
                forward("tcpip-forward"),
                Incoming::Global {
                    wants_reply: true,
                    request: Global::Forward { address: b"here", port: 22 },
                },
            ),
            (
                forward("cancel-tcpip-forward"),
                Incoming::Global { wants_reply: true, request: Global::Cancel },
            ),
            (
                forward("streamlocal-forward@openssh.com"),
                Incoming::Global { wants_reply: true, request: Global::Other },
            ),
            (vec![REQUEST_SUCCESS], Incoming::Reply),
            (vec![83], Incoming::Unknown),
            (vec![101], Incoming::Unknown),
            (vec![255], Incoming::Unknown),
        ] {
            assert_eq!(parse(&packet), Ok(expected), "{packet:?}");
        }
    }

    #[test]
    fn wrong_lengths_are_refused() {
        for bad in [
            of(CHANNEL_DATA, 0, b"\0\0\0\x02abc"),
            of(CHANNEL_DATA, 0, b"\0\0\0\x02a"),
            of(CHANNEL_EXTENDED_DATA, 0, b"\0\0\0\x02ab"),
            of(CHANNEL_WINDOW_ADJUST, 0, b"\0\0\0"),
            of(CHANNEL_EOF, 0, b"x"),
            of(GLOBAL_REQUEST, 13, b"tcpip-forward\x01\0\0\0\0\0\0\0\x16x"),
            vec![CHANNEL_OPEN, 0],
            vec![],
        ] {
            assert_eq!(parse(&bad), Err(Error::Malformed), "{bad:?}");
        }
    }

    #[test]
    fn a_channel_is_opened_in_the_words_of_its_type() {
        let packet = open(4, (100, 10), Kind::Forwarded("home-1", 22));
        let mut r = Reader::new(&packet);
        assert_eq!((r.byte(), r.text()), (Ok(CHANNEL_OPEN), Ok("forwarded-tcpip")));
        assert_eq!((r.uint32(), r.uint32(), r.uint32()), (Ok(4), Ok(100), Ok(10)));
        assert_eq!((r.text(), r.uint32()), (Ok("home-1"), Ok(22)));
        assert_eq!((r.text(), r.uint32(), r.end()), (Ok("127.0.0.1"), Ok(0), Ok(())));
    }
}
