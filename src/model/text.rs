//! Untrusted text made safe for a log line, a terminal or a table.
//!
//! Names, idents, container output and API errors come from strangers. Nothing of theirs may move
//! a cursor, set a title, start a line or reverse the reading direction of ours.

/// Text for people: control, formatting and bidirectional characters become `\u{…}` escapes, and
/// what is longer than `max` characters is cut with `…`.
#[must_use]
pub fn printable(text: &str, max: usize) -> String {
    let mut out = String::with_capacity(text.len().min(max));
    for (i, c) in text.chars().enumerate() {
        if i == max {
            out.push('…');
            break;
        }
        if is_safe(c) { out.push(c) } else { out.extend(c.escape_unicode()) }
    }
    out
}

/// [`printable`] for bytes that may not be UTF-8.
#[must_use]
pub fn printable_bytes(bytes: &[u8], max: usize) -> String {
    // Four bytes is the longest character: what lies behind cannot be shown anyway.
    let shown = &bytes[..bytes.len().min(max.saturating_mul(4).saturating_add(4))];
    printable(&String::from_utf8_lossy(shown), max)
}

fn is_safe(c: char) -> bool {
    let formatting = matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}'
        | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
        | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}');
    let combining = matches!(c, '\u{300}'..='\u{36f}' | '\u{1ab0}'..='\u{1aff}'
        | '\u{1dc0}'..='\u{1dff}' | '\u{20d0}'..='\u{20ff}' | '\u{fe00}'..='\u{fe0f}');
    !c.is_control() && !formatting && !combining
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_steers_a_terminal_gets_through() {
        let nasty = "a\x1b[2J\r\nb\x07\u{9b}31m\u{202e}c\u{200b}\u{301}\0";
        let shown = printable(nasty, 100);
        assert!(shown.chars().all(is_safe), "{shown}");
        assert!(shown.starts_with("a\\u{1b}[2J"));
        assert_eq!(printable("äöü 漢字", 10), "äöü 漢字");
    }

    #[test]
    fn long_and_invalid_text_is_cut_and_escaped() {
        assert_eq!(printable("abcdef", 3), "abc…");
        assert_eq!(printable_bytes(b"a\xffb", 10), "a\u{fffd}b");
        assert_eq!(printable_bytes(&vec![b'x'; 65536], 2), "xx…");
    }
}
