//! Lines that are made of pieces: below each other, beside each other, and folded where there is no room.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::page::Text;
use crate::tui::{fold::fold, theme::Role};

/// Cells between two columns of lines.
pub(super) const GAP: usize = 4;

/// In fewer cells than these a text would be a column of single words: it gets lines of its own.
const LEAST: usize = 16;
/// Cells before those: more than before what they belong to.
const HANG: usize = 6;

/// Cells of a line.
pub(super) fn width(line: &[(String, Role)]) -> usize {
    line.iter().map(|(text, _)| text.width()).sum()
}

/// Rows whose pieces stand below each other; the last is as long as it is.
pub(super) fn aligned(mut rows: Vec<Text>) -> Vec<Text> {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    for column in 0..columns.saturating_sub(1) {
        let cells = rows.iter().filter_map(|row| row.get(column));
        let width = cells.map(|(text, _)| text.width()).max().unwrap_or(0);
        for (text, _) in rows.iter_mut().filter_map(|row| row.get_mut(column)) {
            *text = padded(text, width + 2);
        }
    }
    rows
}

/// The same lines in so many cells: what is too long goes on under its own beginning.
pub(super) fn folded(lines: Vec<Text>, room: usize) -> Vec<Text> {
    lines.into_iter().flat_map(|line| fold_line(line, room)).collect()
}

fn fold_line(line: Text, room: usize) -> Vec<Text> {
    let blank = |cells: usize| (" ".repeat(cells), Role::Text);
    let (mut done, mut last, mut used) = (Vec::new(), Text::new(), 0);
    for (text, role) in line {
        let seen = text.trim_end();
        if seen.is_empty() || used + seen.width() <= room {
            used += text.width();
            last.push((text, role));
            continue;
        }
        if used > HANG && used + LEAST > room {
            done.push(std::mem::replace(&mut last, vec![blank(HANG)]));
            used = HANG;
        }
        let start = used + seen.width() - seen.trim_start().width();
        last.push(blank(start - used));
        let parts = fold(seen.trim_start(), room.saturating_sub(start));
        for (i, part) in parts.into_iter().enumerate() {
            if i > 0 {
                done.push(std::mem::replace(&mut last, vec![blank(start)]));
            }
            used = start + part.width() + 2;
            last.extend([(part.to_owned(), role), blank(2)]);
        }
    }
    done.push(last);
    done
}

/// Short texts one behind the other, on as many lines as they need.
pub(super) fn flow(texts: impl IntoIterator<Item = Text>, room: usize) -> Vec<Text> {
    let mut lines = vec![Text::new()];
    for text in texts.into_iter().filter(|text| width(text) > 0) {
        match lines.last_mut() {
            Some(line) if line.is_empty() => *line = text,
            Some(line) if width(line) + 2 + width(&text) <= room => {
                line.push(("  ".to_owned(), Role::Text));
                line.extend(text);
            }
            Some(_) | None => lines.push(text),
        }
    }
    folded(lines, room)
}

/// Two lists of lines beside each other, of so many cells each.
pub(super) fn beside(left: &[Text], right: &[Text], cells: usize) -> Vec<Text> {
    let line = |i: usize| {
        let left = fitted(left.get(i).map_or(&[], Vec::as_slice), cells);
        let right = right.get(i).cloned().unwrap_or_default();
        [left, vec![(" ".repeat(GAP), Role::Text)], right].concat()
    };
    (0..left.len().max(right.len())).map(line).collect()
}

/// As much of a line as fits, and blanks.
fn fitted(line: &[(String, Role)], cells: usize) -> Text {
    let mut left = cells;
    let mut fitted = Text::new();
    for (text, role) in line {
        let mut kept = String::new();
        for c in text.chars() {
            let width = c.width().unwrap_or(0);
            if width > left {
                left = 0;
                break;
            }
            left -= width;
            kept.push(c);
        }
        fitted.push((kept, *role));
    }
    fitted.push((" ".repeat(cells.saturating_sub(width(&fitted))), Role::Text));
    fitted
}

/// With blanks behind it, so many cells at least.
pub(super) fn padded(text: &str, cells: usize) -> String {
    format!("{text}{}", " ".repeat(cells.saturating_sub(text.width())))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn line(texts: &[&str]) -> Text {
        texts.iter().map(|text| ((*text).to_owned(), Role::Text)).collect()
    }

    fn texts(lines: Vec<Text>) -> Vec<String> {
        let text = |line: Text| line.into_iter().map(|(text, _)| text).collect::<String>();
        lines.into_iter().map(|line| text(line).trim_end().to_owned()).collect()
    }

    #[test]
    fn columns_are_of_cells_and_never_longer() {
        for (text, kept) in [("ab", "abx  "), ("abcdefg", "abcde"), ("四四四", "四四 ")] {
            assert_eq!(texts(vec![fitted(&line(&[text, "x"]), 5)])[0], kept.trim_end());
        }
        let rows = aligned(vec![line(&["a", "x"]), line(&["四", "x"])]);
        assert_eq!((rows[0][0].0.as_str(), rows[1][0].0.as_str()), ("a   ", "四  "));
    }

    #[test]
    fn what_is_too_long_goes_on_under_its_own_beginning() {
        let folded = |pieces: &[&str], room| texts(folded(vec![line(pieces)], room));
        let words = "what is long goes on";
        assert_eq!(folded(&["label  ", words], 27), [format!("label  {words}")]);
        assert_eq!(folded(&["label  ", words], 24), ["label  what is long goes", "       on"]);
        assert_eq!(
            folded(&["label  ", &format!("  {words}")], 24),
            ["label    what is long", "         goes on"]
        );
        let narrow = folded(&["a long label  ", words, "  and more"], 20);
        assert_eq!(
            narrow,
            ["a long label", "      what is long", "      goes on", "        and more"]
        );
        assert_eq!(folded(&["x", ""], 1), ["x"]);
        let lines = flow(["one", "", "two", "three"].map(|text| line(&[text][..])), 9);
        assert_eq!(texts(lines), ["one  two", "three"]);
    }

    proptest! {
        #[test]
        fn nothing_is_lost_and_nothing_too_long(
            pieces in prop::collection::vec("[ a-z四]{0,40}", 0..6), room in 24..60_usize,
        ) {
            let pieces: Vec<_> = pieces.iter().map(String::as_str).collect();
            let lines = texts(folded(vec![line(&pieces)], room));
            let seen = |text: &str| text.split_whitespace().collect::<String>();
            prop_assert_eq!(seen(&lines.concat()), seen(&pieces.concat()));
            for line in lines {
                prop_assert!(line.width() <= room, "{:?}", line);
            }
        }
    }
}
