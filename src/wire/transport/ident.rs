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
            return if valid(line) {
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

fn valid(line: &[u8]) -> bool {
    // 1.99 announces a peer that speaks both versions (RFC 4253, section 5.1).
    let version_two = line.strip_prefix(b"SSH-2.0-").or_else(|| line.strip_prefix(b"SSH-1.99-"));
    let named = version_two.is_some_and(|rest| rest.first().is_some_and(u8::is_ascii_graphic));
    // A bare line feed is tolerated as its end, but counts as both characters: who repeats the line
    // ends it properly.
    named && line.len() + 2 <= MAX_LINE && line.iter().all(|b| (0x20..0x7f).contains(b))
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
    fn a_line_has_a_version_a_name_and_at_most_255_characters() {
        let line = |version: &str, len: usize, end: &str| {
            let line = format!("{version:x<len$}{end}");
            client(line.as_bytes()).map(|found| found.is_some())
        };
        for end in ["\r\n", "\n"] {
            assert_eq!(line("SSH-2.0-", 253, end), Ok(true));
            assert_eq!(line("SSH-2.0-", 254, end), Err(Error::Identification));
            assert_eq!(line("SSH-1.99-", 20, end), Ok(true));
            assert_eq!(line("SSH-2.0-a-b c d-", 20, end), Ok(true));
            for bad in ["SSH-2.0-", "SSH-2.0- x", "SSH-2.0", "SSH-2.1-x", "SSH-1.5-x", "SSH-3.0-x"]
            {
                assert_eq!(line(bad, 0, end), Err(Error::Identification), "{bad}");
            }
            for bad in
                ["SSH-2.0-a\rb", "SSH-2.0-a\0", "SSH-2.0-\u{e9}", "SSH-2.0-a\x7f", "ssh-2.0-a"]
            {
                assert_eq!(line(bad, 0, end), Err(Error::Identification), "{bad:?}");
            }
        }
        assert_eq!(line("SSH-2.0-", 255, ""), Err(Error::Identification), "cannot end in time");
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
