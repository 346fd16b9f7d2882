//! A list from which somebody chooses a container: by arrow keys, number or the beginning of a name.
//! Pure: keys in, lines out.

use crate::{command::terminal::Size, model::name::ContainerName};

/// What keys send (ASCII; the cursor keys of ECMA-48 and of the VT100's application mode).
const ESC: u8 = 27;
const UP: [&[u8]; 2] = [b"\x1b[A", b"\x1bOA"];
const DOWN: [&[u8]; 2] = [b"\x1b[B", b"\x1bOB"];

/// Longest name typed.
const MAX_TYPED: usize = 32;

/// Lines around the list.
const HEADING: &str = "Your key opens several containers.";
const PROMPT: &str = "Number or name (arrows move, Enter goes in, Esc leaves): ";

/// A key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key {
    Up,
    Down,
    Enter,
    Leave,
    Erase,
    Clear,
    Character(char),
}

/// Bytes made keys.
#[derive(Debug, Default)]
pub(super) struct Keys {
    /// The beginning of what may become an arrow.
    escape: Vec<u8>,
}

impl Keys {
    /// The key that this byte completes.
    pub(super) fn feed(&mut self, byte: u8) -> Option<Key> {
        if self.escape.is_empty() {
            return match byte {
                ESC => {
                    self.escape.push(byte);
                    None
                }
                b'\r' | b'\n' => Some(Key::Enter),
                3 | 4 => Some(Key::Leave),
                8 | 127 => Some(Key::Erase),
                21 => Some(Key::Clear),
                14 => Some(Key::Down),
                16 => Some(Key::Up),
                b'!'..=b'~' => Some(Key::Character(char::from(byte))),
                _ => None,
            };
        }
        self.escape.push(byte);
        let sequence = self.escape.as_slice();
        let key = match sequence {
            arrow if UP.contains(&arrow) => Some(Key::Up),
            arrow if DOWN.contains(&arrow) => Some(Key::Down),
            [ESC, ESC] => Some(Key::Leave),
            _ => None,
        };
        let may_go_on = match sequence {
            [_, b'[', rest @ ..] => rest.iter().all(|b| (0x20..0x40).contains(b)),
            [_, b'O'] => true,
            _ => false,
        };
        if !may_go_on || sequence.len() > MAX_TYPED {
            self.escape.clear();
        }
        key
    }

    /// Whether a lone Esc may have been typed; what follows an arrow's comes with it.
    pub(super) fn is_open(&self) -> bool {
        !self.escape.is_empty()
    }
}

/// What a key did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    Stay,
    Chosen(usize),
    Leave,
}

/// The list.
#[derive(Debug)]
pub(super) struct Picker<'a> {
    names: &'a [ContainerName],
    typed: String,
    at: usize,
}

impl<'a> Picker<'a> {
    pub(super) fn new(names: &'a [ContainerName]) -> Self {
        Self { names, typed: String::new(), at: 0 }
    }

    pub(super) fn press(&mut self, key: Key) -> Step {
        let count = self.names.len().max(1);
        match key {
            Key::Up => self.go_to((self.at + count - 1) % count),
            Key::Down => self.go_to((self.at + 1) % count),
            Key::Leave => return Step::Leave,
            Key::Enter if self.typed.is_empty() => return Step::Chosen(self.at),
            Key::Enter => return find(self.names, &self.typed).map_or(Step::Stay, Step::Chosen),
            Key::Erase => {
                self.typed.pop();
            }
            Key::Clear => self.typed.clear(),
            Key::Character(c) if self.typed.len() < MAX_TYPED => self.typed.push(c),
            Key::Character(_) => {}
        }
        if let Some(found) = find(self.names, &self.typed).filter(|_| !self.typed.is_empty()) {
            self.at = found;
        }
        Step::Stay
    }

    fn go_to(&mut self, at: usize) {
        self.at = at;
        self.typed.clear();
    }

    /// What is shown: as many of the names as there is room for, with the chosen one among them.
    pub(super) fn draw(&self, size: Size) -> Vec<String> {
        let room = usize::from(size.rows).saturating_sub(3).clamp(1, self.names.len().max(1));
        let first = (self.at + 1).saturating_sub(room);
        let width = self.names.len().to_string().len();
        let shown = self.names.iter().enumerate().skip(first).take(room);
        let mut lines = vec![HEADING.to_owned()];
        lines.extend(shown.map(|(i, name)| {
            let mark = if i == self.at { '>' } else { ' ' };
            format!("{mark} {:>width$}  {name}", i + 1)
        }));
        lines.push(format!("{PROMPT}{}", self.typed));
        let columns = usize::from(size.columns).saturating_sub(1).max(1);
        lines.iter().map(|line| line.chars().take(columns).collect()).collect()
    }
}

/// Which name is meant: by its number, itself, or its beginning.
pub(super) fn find(names: &[ContainerName], typed: &str) -> Option<usize> {
    if let Ok(number) = typed.parse::<usize>() {
        return number.checked_sub(1).filter(|at| *at < names.len());
    }
    let exact = names.iter().position(|name| name.as_str() == typed);
    exact.or_else(|| names.iter().position(|name| name.as_str().starts_with(typed)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<ContainerName> {
        names.iter().map(|name| name.parse().unwrap()).collect()
    }

    /// What typing this leads to.
    fn type_in(names: &[ContainerName], typed: &[u8]) -> Step {
        let (mut picker, mut keys) = (Picker::new(names), Keys::default());
        for byte in typed {
            match keys.feed(*byte).map_or(Step::Stay, |key| picker.press(key)) {
                Step::Stay => {}
                end @ (Step::Chosen(_) | Step::Leave) => return end,
            }
        }
        Step::Stay
    }

    #[test]
    fn arrows_numbers_and_beginnings_choose() {
        let names = names(&["alice", "bob", "bob-2", "carol"]);
        for (typed, end) in [
            (&b"\r"[..], Step::Chosen(0)),
            (b"\x1b[B\r", Step::Chosen(1)),
            (b"\x1bOB\x1bOB\x1bOA\r", Step::Chosen(1)),
            (b"\x1b[A\r", Step::Chosen(3)),
            (b"\x1b[1;5C\x1b[B\r", Step::Chosen(1)),
            (b"3\r", Step::Chosen(2)),
            (b"c\r", Step::Chosen(3)),
            (b"bob\n", Step::Chosen(1)),
            (b"bob-\n", Step::Chosen(2)),
            (b"x\r", Step::Stay),
            (b"x\x7fc\r", Step::Chosen(3)),
            (b"xyz\x15\r", Step::Chosen(0)),
            (b"0\r", Step::Stay),
            (b"5\r", Step::Stay),
            (b"c\x1b[A\r", Step::Chosen(2)),
            (b"\x03", Step::Leave),
            (b"\x04", Step::Leave),
            (b"\x1b\x1b", Step::Leave),
            (b"\x1b", Step::Stay),
        ] {
            assert_eq!(type_in(&names, typed), end, "{typed:?}");
        }
        let mut keys = Keys::default();
        assert_eq!((keys.feed(27), keys.is_open()), (None, true), "a lone Esc waits");
    }

    #[test]
    fn a_long_list_shows_the_part_around_the_chosen_one() {
        let many: Vec<String> = (0..50).map(|i| format!("c{i:02}")).collect();
        let names = names(&many.iter().map(String::as_str).collect::<Vec<_>>());
        let mut picker = Picker::new(&names);
        for _ in 0..30 {
            assert_eq!(picker.press(Key::Down), Step::Stay);
        }
        let lines = picker.draw(Size { columns: 20, rows: 8 });
        assert_eq!(lines.len(), 7);
        assert_eq!(lines[5], "> 31  c30");
        assert!(lines.iter().all(|line| line.len() < 20), "{lines:?}");
        let tiny = picker.draw(Size { columns: 0, rows: 0 });
        assert_eq!(tiny.len(), 3);
    }
}
