//! What is typed while a recording plays, or while somebody watches. Pure. Terminals answer to what
//! they are shown: that is typed as well, and means nothing.

/// A key that means something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key {
    Pause,
    On,
    Back,
    Faster,
    Slower,
    Quit,
}

/// Where in a sequence of bytes a key is (ECMA-48, section 5.4).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum At {
    #[default]
    Ground,
    Escape,
    /// Behind `ESC [` or `ESC O`; something else than the end has come.
    Sequence(bool),
    /// A string, which `ESC \` or BEL ends.
    Text,
    TextEscape,
}

/// The keys, of bytes as they come.
#[derive(Debug, Default)]
pub(super) struct Keys(At);

impl Keys {
    pub(super) fn feed(&mut self, bytes: &[u8], mut pressed: impl FnMut(Key)) {
        for &byte in bytes {
            let (next, key) = self.0.next(byte);
            self.0 = next;
            if let Some(key) = key {
                pressed(key);
            }
        }
    }
}

impl At {
    fn next(self, byte: u8) -> (Self, Option<Key>) {
        match (self, byte) {
            (Self::Escape, b'[' | b'O') => (Self::Sequence(false), None),
            (Self::Escape, b'P' | b']' | b'X' | b'^' | b'_') => (Self::Text, None),
            (Self::Ground | Self::Escape, 0x1b) => (Self::Escape, None),
            (Self::Ground | Self::Escape, _) => (Self::Ground, plain(byte)),
            (Self::Sequence(false), b'C') => (Self::Ground, Some(Key::On)),
            (Self::Sequence(false), b'D') => (Self::Ground, Some(Key::Back)),
            (Self::Sequence(_), 0x20..=0x3f) => (Self::Sequence(true), None),
            (Self::Text, 0x1b) => (Self::TextEscape, None),
            (Self::Sequence(_), _)
            | (Self::Text | Self::TextEscape, 7)
            | (Self::TextEscape, b'\\') => (Self::Ground, None),
            (Self::Text | Self::TextEscape, _) => (Self::Text, None),
        }
    }
}

fn plain(byte: u8) -> Option<Key> {
    Some(match byte {
        b' ' => Key::Pause,
        b'+' | b'=' => Key::Faster,
        b'-' => Key::Slower,
        // Ctrl-C and Ctrl-D, too.
        b'q' | b'Q' | 3 | 4 => Key::Quit,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_found_among_what_terminals_answer() {
        let typed =
            b" \x1b[C\x1bOD\x1b[?62;1;2c\x1b[5;5R\x1b]10;q q\x07\x1bP1$r q\x1b\\x+\x1b[1;5C-=q\x03";
        let expected = [
            Key::Pause,
            Key::On,
            Key::Back,
            Key::Faster,
            Key::Slower,
            Key::Faster,
            Key::Quit,
            Key::Quit,
        ];
        for size in [1, 2, 3, typed.len()] {
            let (mut keys, mut pressed) = (Keys::default(), Vec::new());
            for piece in typed.chunks(size) {
                keys.feed(piece, |key| pressed.push(key));
            }
            assert_eq!(pressed, expected, "{size} bytes at a time");
        }
    }
}
