//! Lines of asciicast v2: a head, then an event a line. Pure. Everything in them is text, whatever a
//! terminal was sent.

use std::{fmt::Write as _, time::Duration};

use serde::Serialize;

/// Least size of a terminal, where a client does not know: RFC 4254, section 6.2.
const USUAL: (u32, u32) = (80, 24);

/// What kind of event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    /// Shown on the terminal.
    Output,
    /// Typed.
    Input,
    /// The terminal has another size now: `COLUMNSxROWS`.
    Resized,
    /// A remark of the recorder's.
    Marker,
}

impl Code {
    /// Its letter.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Output => "o",
            Self::Input => "i",
            Self::Resized => "r",
            Self::Marker => "m",
        }
    }
}

/// The first line.
#[derive(Serialize)]
struct Head<'a, T> {
    version: u32,
    width: u32,
    height: u32,
    timestamp: i64,
    title: &'a str,
    env: Env<'a>,
    /// What it is a recording of; players pass over it.
    containarium: &'a T,
}

#[derive(Serialize)]
struct Env<'a> {
    #[serde(rename = "TERM")]
    term: &'a str,
}

/// The first line of a recording that began at this second since 1970, with more about it.
pub fn head<T: Serialize>(
    (columns, rows): (u32, u32),
    timestamp: i64,
    (title, term): (&str, &str),
    about: &T,
) -> String {
    let [width, height] =
        [(columns, USUAL.0), (rows, USUAL.1)].map(|(n, usual)| if n == 0 { usual } else { n });
    let env = Env { term };
    let head = Head { version: 2, width, height, timestamp, title, env, containarium: about };
    line(&serde_json::to_string(&head).unwrap_or_default())
}

/// The line of an event.
#[must_use]
pub fn event(at: Duration, code: Code, text: &str) -> String {
    let text = serde_json::to_string(text).unwrap_or_default();
    let (seconds, micros) = (at.as_secs(), at.subsec_micros());
    line(&format!("[{seconds}.{micros:06},\"{}\",{text}]", code.as_str()))
}

/// JSON with its end, in which no byte steers a terminal that the file is printed on.
fn line(json: &str) -> String {
    let mut out = String::with_capacity(json.len() + 1);
    for c in json.chars() {
        match c {
            '\u{7f}'..='\u{9f}' => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            _ => out.push(c),
        }
    }
    out.push('\n');
    out
}

/// Bytes as they come, to text: a character may come in pieces, and what is none is replaced.
#[derive(Debug, Default)]
pub struct Text {
    rest: Vec<u8>,
}

impl Text {
    /// The text that is whole with these bytes.
    pub fn push(&mut self, bytes: &[u8]) -> String {
        self.rest.extend_from_slice(bytes);
        let mut text = String::with_capacity(self.rest.len());
        let mut left = self.rest.as_slice();
        loop {
            let error = match std::str::from_utf8(left) {
                Ok(whole) => {
                    text.push_str(whole);
                    left = &[];
                    break;
                }
                Err(error) => error,
            };
            let (whole, broken) = left.split_at(error.valid_up_to());
            text.push_str(std::str::from_utf8(whole).unwrap_or_default());
            left = broken;
            let Some(length) = error.error_len() else { break };
            text.push(char::REPLACEMENT_CHARACTER);
            left = broken.get(length..).unwrap_or_default();
        }
        // At most three bytes: more of them are a character, or are none.
        self.rest = left.to_vec();
        text
    }

    /// What is left when nothing follows.
    pub fn end(&mut self) -> String {
        let is_broken = !std::mem::take(&mut self.rest).is_empty();
        if is_broken { char::REPLACEMENT_CHARACTER.to_string() } else { String::new() }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn lines_are_those_of_asciicast_2() {
        let about = json!({"session": 7});
        let head = head((0, 50), 1_700_000_000, ("a\nb", "xterm"), &about);
        let value: Value = serde_json::from_str(&head).unwrap();
        let expected = json!({
            "version": 2, "width": 80, "height": 50, "timestamp": 1_700_000_000, "title": "a\nb",
            "env": {"TERM": "xterm"}, "containarium": {"session": 7},
        });
        assert_eq!((value, head.lines().count()), (expected, 1));
        let event = event(Duration::from_micros(61_000_070), Code::Output, "\x1b[2J\u{9b}\"ü\r\n");
        assert_eq!(event, "[61.000070,\"o\",\"\\u001b[2J\\u009b\\\"ü\\r\\n\"]\n");
        let value: Value = serde_json::from_str(&event).unwrap();
        assert_eq!(value, json!([61.00007, "o", "\x1b[2J\u{9b}\"ü\r\n"]));
    }

    proptest! {
        #[test]
        fn text_is_the_same_however_it_is_cut(
            bytes in prop::collection::vec(prop_oneof![any::<u8>(), Just(0xf0), Just(0x9f), Just(0x80)], 0..60),
            cuts in prop::collection::vec(0usize..60, 0..5),
        ) {
            let mut text = Text::default();
            let mut cuts: Vec<_> = cuts.into_iter().map(|c| c.min(bytes.len())).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            let mut whole: String = cuts.windows(2).map(|w| text.push(&bytes[w[0]..w[1]])).collect();
            prop_assert!(text.rest.len() <= 3);
            whole += &text.end();
            prop_assert_eq!(whole, String::from_utf8_lossy(&bytes));
        }
    }
}
