//! Text cut into lines. Pure.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Cuts a line between words, so that no part needs more cells than there are.
#[must_use]
pub fn fold(text: &str, room: usize) -> Vec<&str> {
    let mut lines = Vec::new();
    let mut rest = text;
    while rest.width() > room {
        let mut width = 0;
        let mut exceeds = |c: char| {
            width += c.width().unwrap_or(0);
            width > room
        };
        let fits = rest.char_indices().find(|(_, c)| exceeds(*c)).map_or(rest.len(), |(i, _)| i);
        // One character at least, however little room there is.
        let fits = fits.max(rest.chars().next().map_or(0, char::len_utf8));
        let (line, more) = rest.split_at(fits);
        let end = match line.rfind(' ') {
            Some(blank) if !more.starts_with(' ') && !line[..blank].trim().is_empty() => blank,
            Some(_) | None => fits,
        };
        lines.push(rest[..end].trim_end());
        rest = rest[end..].trim_start();
        if rest.is_empty() {
            return lines;
        }
    }
    lines.push(rest);
    lines
}

/// The same in so many lines at most; the last says that there is more.
#[must_use]
pub fn fold_to(text: &str, room: usize, most: usize, more: &str) -> Vec<String> {
    let lines = fold(text, room);
    let is_cut = lines.len() > most;
    let mut lines: Vec<String> = lines.into_iter().take(most).map(str::to_owned).collect();
    if let Some(last) = lines.last_mut().filter(|_| is_cut) {
        while last.width() + more.width() > room && last.pop().is_some() {}
        last.push_str(more);
    }
    lines
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lines_end_between_words_where_they_can() {
        assert_eq!(fold("one two three", 7), ["one two", "three"]);
        assert_eq!(fold("  one two", 6), ["  one", "two"]);
        assert_eq!(fold("onetwothree four", 6), ["onetwo", "three", "four"]);
        assert_eq!(fold("日本語", 4), ["日本", "語"]);
        assert_eq!(fold("日本", 1), ["日", "本"]);
        assert_eq!(fold("", 5), [""]);
        assert_eq!(fold_to("one two three four", 7, 2, "..."), ["one two", "thre..."]);
    }

    proptest! {
        #[test]
        fn nothing_is_lost_but_blanks(text in ".{0,80}", room in 0..20_usize) {
            let words = |text: &str| text.split_whitespace().collect::<String>();
            prop_assert_eq!(words(&fold(&text, room).join(" ")), words(&text));
        }
    }
}
