//! What comes over a connection that has one channel, and what it asks for. Pure.

use super::{Destination, MAX_DATA, WINDOW};
use crate::{
    link::channel_message::{self, Incoming as Message, Kind, about, prohibited},
    wire::{
        codec::Reader,
        error::Error,
        message::{CHANNEL_FAILURE, CHANNEL_OPEN_CONFIRMATION, REQUEST_FAILURE},
    },
};

/// Our number of the channel: there is no other on this connection.
const CHANNEL: u32 = 0;

/// What a packet says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Incoming {
    /// The channel is open: its number over there, the window and the largest piece.
    Opened { peer: u32, window: u32, max: u32 },
    /// It could not be opened; printable text.
    Refused(String),
    /// So many bytes of the stream.
    Data(u32),
    /// So many bytes that are not of the stream, but use the window, too.
    Extended(u32),
    /// So many bytes more may be sent.
    Adjust(u32),
    /// No more data comes.
    Eof,
    /// The channel ends.
    Close,
    /// A request, and the answer that it wants, if it wants one.
    Request(Option<Vec<u8>>),
    /// A reply to something that was never asked.
    Reply,
    /// A message outside of RFC 4254.
    Unknown,
}

/// Reads a packet; `peer` is the channel's number over there, for the answer.
///
/// # Errors
/// It is malformed, or about a channel that there is not.
pub(super) fn parse(packet: &[u8], peer: u32) -> Result<Incoming, Error> {
    let mut r = Reader::new(packet);
    let of_channel = (CHANNEL_OPEN_CONFIRMATION..=CHANNEL_FAILURE).contains(&r.byte()?);
    if of_channel && r.uint32()? != CHANNEL {
        return Err(Error::Protocol("message for an unknown channel"));
    }
    Ok(match channel_message::parse(packet)? {
        Message::Opened { peer, window, max, .. } => Incoming::Opened { peer, window, max },
        Message::Refused { text, .. } => Incoming::Refused(text),
        Message::Data { data, .. } => Incoming::Data(length(data)),
        Message::Extended { len, .. } => Incoming::Extended(len),
        Message::Adjust { more, .. } => Incoming::Adjust(more),
        Message::Eof(_) => Incoming::Eof,
        Message::Close(_) => Incoming::Close,
        Message::Request { wants_reply, .. } => {
            Incoming::Request(wants_reply.then(|| about(CHANNEL_FAILURE, peer, None)))
        }
        Message::Global { wants_reply, .. } => {
            Incoming::Request(wants_reply.then(|| vec![REQUEST_FAILURE]))
        }
        Message::Open(sender) => Incoming::Request(Some(prohibited(sender, "no"))),
        Message::Answer(_) | Message::Reply => Incoming::Reply,
        Message::Unknown => Incoming::Unknown,
    })
}

fn length(data: &[u8]) -> u32 {
    u32::try_from(data.len()).unwrap_or(u32::MAX)
}

/// Opens the channel.
pub(super) fn open(destination: &Destination) -> Vec<u8> {
    let kind = match destination {
        Destination::Tcp { host, port } => Kind::Direct(host, u32::from(*port)),
        Destination::Unix { path } => Kind::DirectUnix(path),
    };
    channel_message::open(CHANNEL, (WINDOW, MAX_DATA), kind)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::message::{
        CHANNEL_CLOSE, CHANNEL_DATA, CHANNEL_EOF, CHANNEL_EXTENDED_DATA, CHANNEL_OPEN,
        CHANNEL_OPEN_FAILURE, CHANNEL_REQUEST, CHANNEL_SUCCESS, CHANNEL_WINDOW_ADJUST,
        GLOBAL_REQUEST, REQUEST_SUCCESS,
    };

    fn of(number: u8, channel: u32, rest: &[u8]) -> Vec<u8> {
        [&[number][..], &channel.to_be_bytes(), rest].concat()
    }

    #[test]
    fn every_message_is_understood_as_rfc_4254_has_it() {
        let request = |want: u8| [&b"\0\0\0\x01x"[..], &[want]].concat();
        let failure = of(CHANNEL_FAILURE, 7, b"");
        for (packet, expected) in [
            (
                of(CHANNEL_OPEN_CONFIRMATION, 0, b"\0\0\0\x07\0\0\0\x08\0\0\0\x09extra"),
                Incoming::Opened { peer: 7, window: 8, max: 9 },
            ),
            (
                of(CHANNEL_OPEN_FAILURE, 0, b"\0\0\0\x02\0\0\0\x02\x1bx\0\0\0\0"),
                Incoming::Refused("\\u{1b}x".into()),
            ),
            (of(CHANNEL_DATA, 0, b"\0\0\0\x02ab"), Incoming::Data(2)),
            (of(CHANNEL_EXTENDED_DATA, 0, b"\0\0\0\x01\0\0\0\x02ab"), Incoming::Extended(2)),
            (of(CHANNEL_WINDOW_ADJUST, 0, b"\0\0\0\x05"), Incoming::Adjust(5)),
            (of(CHANNEL_EOF, 0, b""), Incoming::Eof),
            (of(CHANNEL_CLOSE, 0, b""), Incoming::Close),
            (of(CHANNEL_REQUEST, 0, &request(0)), Incoming::Request(None)),
            (of(CHANNEL_REQUEST, 0, &request(1)), Incoming::Request(Some(failure))),
            ([&[GLOBAL_REQUEST][..], &request(0)].concat(), Incoming::Request(None)),
            (
                [&[GLOBAL_REQUEST][..], &request(9)].concat(),
                Incoming::Request(Some(vec![REQUEST_FAILURE])),
            ),
            (vec![REQUEST_SUCCESS], Incoming::Reply),
            (of(CHANNEL_SUCCESS, 0, b""), Incoming::Reply),
            (vec![83], Incoming::Unknown),
            (vec![101], Incoming::Unknown),
            (vec![255], Incoming::Unknown),
        ] {
            assert_eq!(parse(&packet, 7), Ok(expected), "{packet:?}");
        }
        let open = [&[CHANNEL_OPEN][..], b"\0\0\0\x07session\0\0\0\x05rest"].concat();
        let refusal = of(CHANNEL_OPEN_FAILURE, 5, b"\0\0\0\x01\0\0\0\x02no\0\0\0\0");
        assert_eq!(parse(&open, 7), Ok(Incoming::Request(Some(refusal))));
    }

    #[test]
    fn other_channels_and_wrong_lengths_are_refused() {
        for number in CHANNEL_OPEN_CONFIRMATION..=CHANNEL_FAILURE {
            let unknown = Err(Error::Protocol("message for an unknown channel"));
            assert_eq!(parse(&of(number, 1, &[0; 40]), 7), unknown, "{number}");
            assert_eq!(parse(&[number, 0, 0], 7), Err(Error::Malformed), "{number}");
        }
        for bad in [
            of(CHANNEL_DATA, 0, b"\0\0\0\x02abc"),
            of(CHANNEL_DATA, 0, b"\0\0\0\x02a"),
            of(CHANNEL_EXTENDED_DATA, 0, b"\0\0\0\x02ab"),
            of(CHANNEL_WINDOW_ADJUST, 0, b"\0\0\0"),
            of(CHANNEL_EOF, 0, b"x"),
            vec![],
        ] {
            assert_eq!(parse(&bad, 7), Err(Error::Malformed), "{bad:?}");
        }
    }

    #[test]
    fn a_channel_is_opened_in_the_words_of_its_type() {
        let tcp = open(&Destination::Tcp { host: "10.0.3.9".into(), port: 22 });
        let mut r = Reader::new(&tcp);
        assert_eq!((r.byte(), r.text()), (Ok(CHANNEL_OPEN), Ok("direct-tcpip")));
        assert_eq!((r.uint32(), r.uint32(), r.uint32()), (Ok(0), Ok(WINDOW), Ok(MAX_DATA)));
        assert_eq!((r.text(), r.uint32()), (Ok("10.0.3.9"), Ok(22)));
        assert_eq!((r.text(), r.uint32(), r.end()), (Ok("127.0.0.1"), Ok(0), Ok(())));
        let unix = open(&Destination::Unix { path: "/run/x".into() });
        let mut r = Reader::new(&unix);
        assert_eq!((r.byte(), r.text()), (Ok(CHANNEL_OPEN), Ok("direct-streamlocal@openssh.com")));
        r.bytes(12).unwrap();
        assert_eq!((r.text(), r.text(), r.uint32()), (Ok("/run/x"), Ok(""), Ok(0)));
        assert_eq!(r.end(), Ok(()));
    }
}
