//! Text of strangers, where it is about to be shown.

use containarium::model::text::{printable, printable_bytes};

/// `text` does nothing to a terminal or a log, and is at most `max` characters of the stranger's
/// long: each may have become an escape, and the cut is a character more.
pub fn assert_harmless(text: &str, max: usize) {
    const ESCAPE: usize = "\\u{10ffff}".len();
    let bad = text.chars().find(|c| steers(*c));
    assert!(bad.is_none(), "{bad:?} gets through");
    assert!(text.chars().count() <= max * ESCAPE + 1, "longer than {max} characters");
}

/// What `model::text` makes of `bytes` is harmless, short, and stays as it is.
pub fn check(bytes: &[u8], max: usize) {
    let shown = printable_bytes(bytes, max);
    assert_harmless(&shown, max);
    assert_eq!(printable(&shown, usize::MAX), shown, "not made safe at once");
    if let Ok(text) = std::str::from_utf8(bytes) {
        assert_eq!(printable(text, max), shown, "text and bytes differ");
    }
}

/// C0 and C1 controls, DEL, bidirectional overrides and isolates, line separators, zero widths.
fn steers(c: char) -> bool {
    let c = u32::from(c);
    let control = c < 0x20 || (0x7f..0xa0).contains(&c);
    let bidi = matches!(c, 0x61c | 0x200e | 0x200f | 0x202a..=0x202e | 0x2066..=0x2069);
    control || bidi || matches!(c, 0x2028 | 0x2029 | 0x200b..=0x200d | 0xfeff)
}
