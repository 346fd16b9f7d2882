//! Lines of `authorized_keys` (sshd(8), on the file's format).

mod options;

use std::net::IpAddr;

use super::{
    key::{KeyError, PublicKey},
    source::patterns_match,
    text::printable,
};

/// Most lines read from one file.
pub const MAX_LINES: usize = 1000;

/// Longest line, in bytes; a longer one is refused.
pub const MAX_LINE: usize = 16 * 1024;

/// Longest comment written, in characters.
const MAX_COMMENT: usize = 200;

/// One accepted line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthorizedKey {
    /// The key.
    pub key: PublicKey,
    /// What its options restrict.
    pub options: KeyOptions,
}

/// What a line restricts. The default restricts nothing.
#[expect(clippy::struct_excessive_bools, reason = "independent options of sshd(8)")]
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeyOptions {
    /// `no-port-forwarding` or `restrict`.
    pub no_port_forwarding: bool,
    /// `no-agent-forwarding` or `restrict`.
    pub no_agent_forwarding: bool,
    /// `no-X11-forwarding` or `restrict`.
    pub no_x11_forwarding: bool,
    /// `no-pty` or `restrict`.
    pub no_pty: bool,
    /// `no-user-rc` or `restrict`.
    pub no_user_rc: bool,
    /// `command="…"`.
    pub command: Option<String>,
    /// `from="…"`, the pattern list as written.
    pub from: Option<String>,
    /// `expiry-time="…"`, seconds since 1970: from then on the line does not count. A time
    /// without `Z` is UTC, too: the sentinel has no notion of the user's time zone.
    pub expires: Option<i64>,
    /// `no-touch-required`: an sk key need not be touched.
    pub no_touch_required: bool,
    /// `verify-required`: an sk key must have verified its user.
    pub verify_required: bool,
}

/// A line that was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Line number, from 1.
    pub line: usize,
    /// Why.
    pub reason: String,
}

impl AuthorizedKey {
    /// The line for a file: options, key and comment, made printable. Reading it gives the same key
    /// with the same options.
    #[must_use]
    pub fn to_line(&self) -> String {
        let options = self.options.to_list();
        let comment = printable(self.key.comment(), MAX_COMMENT);
        let line = format!("{options} {} {comment}", self.key.to_line());
        line.trim_matches(BLANKS).to_owned()
    }
}

impl KeyOptions {
    /// The list in front of a key that reads as these options; empty if they restrict nothing.
    #[must_use]
    pub fn to_list(&self) -> String {
        options::write(self)
    }

    /// Whether `from` allows a connection from `source`. A list that does not parse allows none.
    #[must_use]
    pub fn allows_source(&self, source: IpAddr) -> bool {
        self.from.as_deref().is_none_or(|list| patterns_match(list, source).unwrap_or(false))
    }

    /// Whether the line still counts at `now_unix`, in seconds since 1970.
    #[must_use]
    pub fn valid_at(&self, now_unix: u64) -> bool {
        self.expires.is_none_or(|end| i64::try_from(now_unix).is_ok_and(|now| now < end))
    }
}

/// Reads a file. A line that does not parse, or has an option that cannot be enforced, is refused
/// alone; it never widens and never hides the others. At most [`MAX_LINES`] lines are read.
#[must_use]
pub fn parse(text: &str) -> (Vec<AuthorizedKey>, Vec<Refused>) {
    let (mut keys, mut refused) = (Vec::new(), Vec::new());
    for (i, line) in text.lines().enumerate() {
        if i == MAX_LINES {
            let reason = format!("only the first {MAX_LINES} lines are read");
            refused.push(Refused { line: i + 1, reason });
            break;
        }
        match parse_line(line) {
            Ok(Some(key)) => keys.push(key),
            Ok(None) => {}
            Err(reason) => refused.push(Refused { line: i + 1, reason }),
        }
    }
    (keys, refused)
}

/// `None`: a blank line or a comment.
fn parse_line(line: &str) -> Result<Option<AuthorizedKey>, String> {
    let line = line.trim_matches(BLANKS);
    if line.is_empty() || line.starts_with('#') {
        return Ok(None);
    }
    if line.len() > MAX_LINE {
        return Err(format!("longer than {MAX_LINE} bytes"));
    }
    // Like sshd: a line is first tried as a bare key, and only then as options and a key.
    match PublicKey::from_line(line) {
        Ok(key) => Ok(Some(AuthorizedKey { key, options: KeyOptions::default() })),
        Err(KeyError::Line) => {
            let (options, rest) = split_options(line);
            let options = options::parse(options)?;
            let key = PublicKey::from_line(rest).map_err(|e| e.to_string())?;
            Ok(Some(AuthorizedKey { key, options }))
        }
        Err(e @ (KeyError::Blob | KeyError::Unsupported | KeyError::RsaSize)) => Err(e.to_string()),
    }
}

const BLANKS: [char; 3] = [' ', '\t', '\r'];

/// Options end at the first blank outside of quotes; `\"` is no quote, as in sshd.
fn split_options(line: &str) -> (&str, &str) {
    let (mut quoted, mut escaped) = (false, false);
    for (i, c) in line.char_indices() {
        match c {
            '"' if !escaped => quoted = !quoted,
            ' ' | '\t' if !quoted => return (&line[..i], &line[i..]),
            _ => {}
        }
        escaped = c == '\\';
    }
    (line, "")
}

#[cfg(test)]
mod tests;
