//! The identification exchange (RFC 4253, section 4.2).

use crate::wire::{error::Error, negotiate::Side};

/// Longest identification line, line end included (RFC 4253, section 4.2).
const MAX_LINE: usize = 255;

/// Bytes of other lines that a server may send first; a client may send none.
const MAX_PREAMBLE: usize = 8 * 1024;

/// Reads the peer's identification from the front of `input`. `Ok(None)`: it is not complete.
/// Otherwise the line without its end, and how many bytes to consume.
///
/// # Errors
/// It is too long, not of SSH 2, or not printable ASCII.
pub(super) fn parse(input: &[u8], peer: Side) -> Result<Option<(Vec<u8>, usize)>, Error> {
    let mut at = 0;
    loop {
        let rest = &input[at..];
        let Some(end) = rest.iter().take(MAX_PREAMBLE).position(|b| *b == b'\n') else {
            // Refuse what cannot become an identification without waiting for its end.
            let hopeless = match peer {
                Side::Client => {
                    let n = rest.len().min(4);
                    rest.len() >= MAX_LINE || rest[..n] != b"SSH-"[..n]
                }
                Side::Server => input.len() >= MAX_PREAMBLE,
            };
            return if hopeless { Err(Error::Identification) } else { Ok(None) };
        };
        let line = rest[..end].strip_suffix(b"\r").unwrap_or(&rest[..end]);
        at += end + 1;
        if line.starts_with(b"SSH-") {
            return if valid(line, end + 1) {
                Ok(Some((line.to_vec(), at)))
            } else {
                Err(Error::Identification)
            };
        }
        if peer == Side::Client || at >= MAX_PREAMBLE {
            return Err(Error::Identification);
        }
    }
}

fn valid(line: &[u8], whole: usize) -> bool {
    // 1.99 announces a peer that speaks both versions (RFC 4253, section 5.1).
    let version_two = line.starts_with(b"SSH-2.0-") || line.starts_with(b"SSH-1.99-");
    version_two && whole <= MAX_LINE && line.iter().all(|b| (0x20..0x7f).contains(b))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(input: &[u8]) -> Result<Option<(Vec<u8>, usize)>, Error> {
        parse(input, Side::Client)
    }

    #[test]
    fn a_client_identifies_itself_in_its_first_line() {
        let line = b"SSH-2.0-OpenSSH_9.9 comment\r\nrest";
        for end in 0..29 {
            assert_eq!(client(&line[..end]), Ok(None), "{end}");
        }
        assert_eq!(client(line), Ok(Some((line[..27].to_vec(), 29))));
        assert_eq!(client(b"SSH-2.0-x\n"), Ok(Some((b"SSH-2.0-x".to_vec(), 10))));
        let long = [b"SSH-2.0-".as_slice(), &[b'x'; 300]].concat();
        for bad in [
            b"GET / HTTP/1.1\r\n".as_slice(),
            b"PROXY TCP4 1.2.3.4 5.6.7.8 1 22\r\n",
            b"\r\nSSH-2.0-x\r\n",
            b"SSH-1.5-x\r\n",
            b"SSH-2.0-\x1b[2J\r\n",
            b"SSH-2.0-a\0b\r\n",
            b"X",
            &long,
        ] {
            assert_eq!(client(bad), Err(Error::Identification));
        }
    }

    #[test]
    fn a_server_may_say_something_first_but_not_for_ever() {
        let input = b"Welcome\r\nto nowhere\r\nSSH-2.0-y\r\n";
        assert_eq!(parse(input, Side::Server), Ok(Some((b"SSH-2.0-y".to_vec(), input.len()))));
        let endless = b"line\n".repeat(2000);
        assert_eq!(parse(&endless, Side::Server), Err(Error::Identification));
        assert_eq!(parse(&[b'x'; MAX_PREAMBLE], Side::Server), Err(Error::Identification));
    }
}
