//! One line of text that is being typed. Pure.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::input::{Code, Key};

/// Longest text, in bytes: a public key of 8192 bits takes 1,400.
const MAX_TEXT: usize = 4096;

/// Text and where one is in it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Line {
    text: String,
    /// In bytes, between two characters.
    at: usize,
}

impl Line {
    /// This text, with the cursor behind it.
    pub fn new(text: impl Into<String>) -> Self {
        let text = text.into();
        Self { at: text.len(), text }
    }

    /// What was typed.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Takes a key that edits; `false`: it means nothing here.
    ///
    /// The keys are those of readline(3).
    pub fn press(&mut self, key: Key) -> bool {
        let Key { code, ctrl, alt } = key;
        match (code, ctrl, alt) {
            (Code::Char(c), false, false) => self.insert(c),
            (Code::Backspace, false, false) | (Code::Char('h'), true, false) => {
                self.erase(self.before());
            }
            (Code::Delete, false, false) | (Code::Char('d'), true, false) => {
                self.erase(self.behind());
            }
            (Code::Char('w'), true, false) | (Code::Backspace, _, true) => {
                self.erase(self.word_before());
            }
            (Code::Char('u'), true, false) => self.erase(0),
            (Code::Char('k'), true, false) => self.erase(self.text.len()),
            (Code::Left, false, false) | (Code::Char('b'), true, false) => self.at = self.before(),
            (Code::Right, false, false) | (Code::Char('f'), true, false) => self.at = self.behind(),
            (Code::Left, _, _) | (Code::Char('b'), false, true) => self.at = self.word_before(),
            (Code::Right, _, _) | (Code::Char('f'), false, true) => self.at = self.word_behind(),
            (Code::Home, ..) | (Code::Char('a'), true, false) => self.at = 0,
            (Code::End, ..) | (Code::Char('e'), true, false) => self.at = self.text.len(),
            _ => return false,
        }
        true
    }

    /// Takes text that was pasted: as one line, without what cannot be seen.
    pub fn paste(&mut self, text: &str) {
        text.trim().chars().for_each(|c| self.insert(if c == '\n' || c == '\t' { ' ' } else { c }));
    }

    /// The part to show where there is room for so many cells, and the cursor's cell in it.
    #[must_use]
    pub fn window(&self, room: u16) -> (&str, u16) {
        let room = usize::from(room.max(1));
        // The cursor needs a cell, too.
        let mut start = 0;
        while self.text[start..self.at].width() + 1 > room {
            start += self.text[start..].chars().next().map_or(1, char::len_utf8);
        }
        let mut width = 0;
        let mut fits = |c: &char| {
            width += c.width().unwrap_or(0);
            width <= room
        };
        let length: usize =
            self.text[start..].chars().take_while(|c| fits(c)).map(char::len_utf8).sum();
        let cursor = u16::try_from(self.text[start..self.at].width()).unwrap_or(0);
        (&self.text[start..start + length], cursor)
    }

    fn insert(&mut self, c: char) {
        if !c.is_control() && self.text.len() + c.len_utf8() <= MAX_TEXT {
            self.text.insert(self.at, c);
            self.at += c.len_utf8();
        }
    }

    /// Takes away what is between the cursor and there.
    fn erase(&mut self, to: usize) {
        let (from, to) = (self.at.min(to), self.at.max(to));
        self.text.replace_range(from..to, "");
        self.at = from;
    }

    fn before(&self) -> usize {
        self.text[..self.at].char_indices().next_back().map_or(0, |(i, _)| i)
    }

    fn behind(&self) -> usize {
        self.text[self.at..].chars().next().map_or(self.at, |c| self.at + c.len_utf8())
    }

    fn word_before(&self) -> usize {
        let before = self.text[..self.at].trim_end_matches(' ');
        before.rfind(' ').map_or(0, |i| i + 1)
    }

    fn word_behind(&self) -> usize {
        let rest = &self.text[self.at..];
        let word = rest.len() - rest.trim_start_matches(' ').len();
        rest[word..].find(' ').map_or(self.text.len(), |i| self.at + word + i)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key(code: Code, ctrl: bool, alt: bool) -> Key {
        Key { code, ctrl, alt }
    }

    /// The text with a bar where the cursor is.
    fn shown(line: &Line) -> String {
        format!("{}|{}", &line.text[..line.at], &line.text[line.at..])
    }

    #[test]
    fn it_is_edited_with_the_usual_keys() {
        let mut line = Line::new("create bob  --disk 20GiB");
        for (code, ctrl, alt, expected) in [
            (Code::Char('w'), true, false, "create bob  --disk |"),
            (Code::Left, true, false, "create bob  |--disk "),
            (Code::Char('b'), false, true, "create |bob  --disk "),
            (Code::Right, false, true, "create bob|  --disk "),
            (Code::Right, false, true, "create bob  --disk| "),
            (Code::Home, false, false, "|create bob  --disk "),
            (Code::Delete, false, false, "|reate bob  --disk "),
            (Code::Char('C'), false, false, "C|reate bob  --disk "),
            (Code::Char('ä'), false, false, "Cä|reate bob  --disk "),
            (Code::Left, false, false, "C|äreate bob  --disk "),
            (Code::Backspace, false, false, "|äreate bob  --disk "),
            (Code::Backspace, false, false, "|äreate bob  --disk "),
            (Code::Char('d'), true, false, "|reate bob  --disk "),
            (Code::End, false, false, "reate bob  --disk |"),
            (Code::Delete, false, false, "reate bob  --disk |"),
            (Code::Char('u'), true, false, "|"),
        ] {
            assert!(line.press(key(code, ctrl, alt)));
            assert_eq!(shown(&line), expected);
        }
        assert!(
            !line.press(key(Code::Up, false, false)) && !line.press(key(Code::F(1), false, false))
        );
    }

    #[test]
    fn what_is_pasted_is_one_line_and_bounded() {
        let mut line = Line::default();
        line.paste(" ssh-ed25519 AAAA\tbob@desk\x1b\r\n");
        assert_eq!(line.text(), "ssh-ed25519 AAAA bob@desk");
        line.paste(&"x".repeat(1 << 20));
        assert_eq!(line.text().len(), MAX_TEXT);
    }

    #[test]
    fn the_part_around_the_cursor_is_seen() {
        let mut line = Line::new("abcdef");
        assert_eq!(line.window(10), ("abcdef", 6));
        assert_eq!(line.window(4), ("def", 3));
        line.press(key(Code::Home, false, false));
        assert_eq!(line.window(4), ("abcd", 0));
        assert_eq!(Line::new("日本語").window(4), ("語", 2));
    }

    proptest! {
        #[test]
        fn whatever_is_typed_the_cursor_is_between_characters_and_seen(
            keys in prop::collection::vec((0..18_usize, any::<char>()), 0..60), room in 0..12_u16
        ) {
            let codes = [Code::Left, Code::Right, Code::Home, Code::End, Code::Backspace, Code::Delete];
            let mut line = Line::default();
            for (n, c) in keys {
                let code = codes.get(n).copied().unwrap_or(Code::Char(c));
                line.press(key(code, n % 5 == 0, n % 7 == 0));
                let (part, cursor) = line.window(room);
                prop_assert!(cursor < room.max(1) && part.width() <= usize::from(room.max(1)).max(2));
            }
        }
    }
}
