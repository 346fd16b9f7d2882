//! What a terminal sends, made keys, mouse and pastes. Pure, and the same however the bytes are cut.
//!
//! Sequences are those of ECMA-48 and of xterm's control sequences (ctlseqs); what is not known is
//! swallowed whole. Nothing that is sent makes it keep more than `MAX_PASTE` bytes.

use std::time::Duration;

/// What comes in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// A key was pressed.
    Key(Key),
    /// The mouse did something.
    Mouse(Mouse),
    /// Text was pasted (xterm's bracketed paste); what is longer than [`MAX_PASTE`] is cut.
    Paste(String),
    /// The terminal is well, and has come so far (DSR 0).
    Ready,
}

/// A key and what was held with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key {
    /// Which one.
    pub code: Code,
    /// With Ctrl.
    pub ctrl: bool,
    /// With Alt, or Esc before it.
    pub alt: bool,
}

/// Keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Code {
    /// One that writes a character.
    Char(char),
    /// Return.
    Enter,
    /// Tabulator.
    Tab,
    /// Shift and tabulator.
    BackTab,
    /// Erases to the left.
    Backspace,
    /// Escape.
    Esc,
    /// Up.
    Up,
    /// Down.
    Down,
    /// Left.
    Left,
    /// Right.
    Right,
    /// To the beginning.
    Home,
    /// To the end.
    End,
    /// A page up.
    PageUp,
    /// A page down.
    PageDown,
    /// Insert.
    Insert,
    /// Erases to the right.
    Delete,
    /// A function key, from 1.
    F(u8),
}

/// The mouse.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mouse {
    /// What it did.
    pub act: Act,
    /// The cell, from 0.
    pub column: u16,
    /// The cell, from 0.
    pub row: u16,
}

/// What a mouse does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// The left button went down.
    Press,
    /// It went up.
    Release,
    /// It is moved while down.
    Drag,
    /// The wheel went up.
    WheelUp,
    /// The wheel went down.
    WheelDown,
}

/// Longest paste kept, in bytes: the longest thing that is pasted is a public key of 2 KiB.
pub const MAX_PASTE: usize = 64 * 1024;

/// Longest sequence that is read, in bytes; those that exist have less than 20.
const MAX_SEQUENCE: usize = 64;

/// How long the rest of a sequence may take to come behind its Esc before it is the key of that name.
const ESCAPE: Duration = Duration::from_millis(50);

const ESC: u8 = 0x1b;
const CTRL_C: u8 = 0x03;
const BEL: u8 = 0x07;

/// Bytes made input.
#[derive(Debug, Default)]
pub struct Decoder {
    state: State,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Ground,
    /// After Esc.
    Escape,
    /// After `ESC O`.
    Single,
    /// After `ESC [`; what came since then.
    Control(Vec<u8>),
    /// In a string that is not for us (OSC, DCS, APC, PM, SOS); whether its last byte was Esc.
    Text { escape: bool },
    /// After the old report of a mouse: so many more bytes of it.
    OldMouse(u8),
    /// Within a character.
    Character { bytes: [u8; 4], length: usize, want: usize },
    /// Within a paste.
    Paste(Paste),
}

/// A paste in the making: what was kept, and how much of its end was seen.
#[derive(Debug, Default)]
struct Paste {
    kept: Vec<u8>,
    end: usize,
}

const PASTE_END: &[u8] = b"\x1b[201~";

/// That the terminal is well (DSR 0), between `ESC [` and `n`.
const ANSWER: &[u8] = b"0";

impl Decoder {
    /// What this byte completes.
    pub fn feed(&mut self, byte: u8) -> Option<Input> {
        let (next, input) = match std::mem::take(&mut self.state) {
            State::Ground => ground(byte),
            State::Escape => escape(byte),
            // The terminal's answer may come at any time; what was begun does not swallow it.
            State::Single | State::OldMouse(_) if byte == ESC => (State::Escape, None),
            State::Single => (State::Ground, single(byte)),
            State::Control(sequence) => control(sequence, byte),
            State::Text { escape } => text(escape, byte),
            State::OldMouse(left) if left > 1 => (State::OldMouse(left - 1), None),
            State::OldMouse(_) => (State::Ground, None),
            State::Character { bytes, length, want } => character((bytes, length), want, byte),
            State::Paste(paste) => paste.feed(byte),
        };
        self.state = next;
        input
    }

    /// How long to wait for more before [`Self::give_up`]; `None`: nothing has begun that a key could
    /// be, alone or with Alt.
    #[must_use]
    pub fn patience(&self) -> Option<Duration> {
        match self.state {
            State::Escape | State::Single | State::Control(_) | State::Text { .. } => Some(ESCAPE),
            State::Ground | State::OldMouse(_) | State::Character { .. } | State::Paste(_) => None,
        }
    }

    /// Nothing came behind an Esc: it was the key. The beginning of an answer (DSR 0) counts as one:
    /// whoever waits for it need not wait longer. What else had begun is forgotten.
    pub fn give_up(&mut self) -> Option<Input> {
        match std::mem::take(&mut self.state) {
            State::Escape => Some(plain(Code::Esc)),
            // With Alt.
            State::Single => Some(key(Code::Char('O'), false, true)),
            // Also Alt with `[`, which means nothing anywhere.
            State::Control(sequence) if ANSWER.starts_with(&sequence) => Some(Input::Ready),
            State::Control(_) | State::Text { .. } => None,
            other @ (State::Ground
            | State::OldMouse(_)
            | State::Character { .. }
            | State::Paste(_)) => {
                self.state = other;
                None
            }
        }
    }
}

fn key(code: Code, ctrl: bool, alt: bool) -> Input {
    Input::Key(Key { code, ctrl, alt })
}

fn plain(code: Code) -> Input {
    key(code, false, false)
}

fn ground(byte: u8) -> (State, Option<Input>) {
    let want = match byte {
        ESC => return (State::Escape, None),
        0xc2..=0xdf => 2,
        0xe0..=0xef => 3,
        0xf0..=0xf4 => 4,
        _ => return (State::Ground, single_byte(byte)),
    };
    (State::Character { bytes: [byte, 0, 0, 0], length: 1, want }, None)
}

/// A key that is one byte (ASCII); what is none is nothing.
fn single_byte(byte: u8) -> Option<Input> {
    match byte {
        b'\r' | b'\n' => Some(plain(Code::Enter)),
        b'\t' => Some(plain(Code::Tab)),
        0x08 | 0x7f => Some(plain(Code::Backspace)),
        0x01..=0x1a => Some(key(Code::Char(char::from(byte + b'a' - 1)), true, false)),
        b' '..=b'~' => Some(plain(Code::Char(char::from(byte)))),
        _ => None,
    }
}

fn escape(byte: u8) -> (State, Option<Input>) {
    match byte {
        ESC => (State::Escape, Some(plain(Code::Esc))),
        b'[' => (State::Control(Vec::new()), None),
        b'O' => (State::Single, None),
        b']' | b'P' | b'X' | b'^' | b'_' => (State::Text { escape: false }, None),
        _ => {
            let alt = single_byte(byte).map(|input| match input {
                Input::Key(key) => Input::Key(Key { alt: true, ..key }),
                other @ (Input::Mouse(_) | Input::Paste(_) | Input::Ready) => other,
            });
            (State::Ground, alt)
        }
    }
}

fn single(byte: u8) -> Option<Input> {
    let code = match byte {
        b'M' => Code::Enter,
        _ => cursor(byte)?,
    };
    Some(plain(code))
}

/// Keys that are named by a letter, after `ESC [` and after `ESC O`.
fn cursor(letter: u8) -> Option<Code> {
    Some(match letter {
        b'A' => Code::Up,
        b'B' => Code::Down,
        b'C' => Code::Right,
        b'D' => Code::Left,
        b'F' => Code::End,
        b'H' => Code::Home,
        b'P'..=b'S' => Code::F(letter - b'P' + 1),
        _ => return None,
    })
}

fn control(mut sequence: Vec<u8>, byte: u8) -> (State, Option<Input>) {
    match byte {
        ESC => (State::Escape, None),
        CTRL_C => (State::Ground, single_byte(byte)),
        // Linux has its function keys so: `ESC [ [ A`.
        b'[' if sequence.is_empty() => (State::Control(vec![byte]), None),
        b'A'..=b'E' if sequence == b"[" => (State::Ground, Some(plain(Code::F(byte - b'A' + 1)))),
        b'M' if sequence.is_empty() => (State::OldMouse(3), None),
        b' '..=b'?' => {
            // What is too long means nothing, and goes on to its end.
            if sequence.len() < MAX_SEQUENCE {
                sequence.push(byte);
            }
            (State::Control(sequence), None)
        }
        b'~' if sequence == b"200" => (State::Paste(Paste::default()), None),
        b'@'..=b'~' if sequence.len() < MAX_SEQUENCE => (State::Ground, meaning(&sequence, byte)),
        _ => (State::Ground, None),
    }
}

fn meaning(sequence: &[u8], last: u8) -> Option<Input> {
    match (sequence, last) {
        ([b'<', report @ ..], _) => return mouse(report, last),
        (ANSWER, b'n') => return Some(Input::Ready),
        _ => {}
    }
    let mut numbers = sequence.split(|b| *b == b';').map(|part| {
        // Behind a colon stand details of one number.
        let part = part.split(|b| *b == b':').map(number);
        part.collect::<Vec<_>>()
    });
    let first = numbers.next().and_then(|n| n.first().copied().flatten());
    let held = numbers.next().unwrap_or_default();
    // Kitty's third kind of event is that a key was let go.
    if held.get(1).copied().flatten() == Some(3) {
        return None;
    }
    let held = held.first().copied().flatten().unwrap_or(1).saturating_sub(1);
    let (code, shift) = match last {
        b'Z' => (Code::BackTab, false),
        b'u' => (Code::Char(char::from_u32(first?)?), held & 1 != 0),
        b'~' if first == Some(27) => {
            let third = numbers.next().and_then(|n| n.first().copied().flatten());
            (Code::Char(char::from_u32(third?)?), held & 1 != 0)
        }
        b'~' => (numbered(first?)?, false),
        // A report of the cursor's place ends so, too.
        b'R' if sequence.contains(&b';') => return None,
        _ => (cursor(last)?, false),
    };
    let (alt, ctrl) = (held & 2 != 0, held & 4 != 0);
    if let Code::Char(c) = code {
        return told_by_code(c, shift, ctrl, alt);
    }
    Some(key(code, ctrl, alt))
}

/// A key that was told by its character's number.
fn told_by_code(c: char, shift: bool, ctrl: bool, alt: bool) -> Option<Input> {
    let code = match c {
        '\r' => Code::Enter,
        '\t' if shift => Code::BackTab,
        '\t' => Code::Tab,
        '\u{1b}' => Code::Esc,
        '\u{7f}' | '\u{8}' => Code::Backspace,
        // Kitty's keys without a character stand in the private area.
        '\u{e000}'..='\u{f8ff}' => return None,
        c if c.is_control() => return None,
        c if shift => Code::Char(c.to_uppercase().next().unwrap_or(c)),
        c => Code::Char(c),
    };
    Some(key(code, ctrl, alt))
}

fn numbered(number: u32) -> Option<Code> {
    let function = |first: u32, f: u32| u8::try_from(number - first + f).map(Code::F).ok();
    match number {
        1 | 7 => Some(Code::Home),
        2 => Some(Code::Insert),
        3 => Some(Code::Delete),
        4 | 8 => Some(Code::End),
        5 => Some(Code::PageUp),
        6 => Some(Code::PageDown),
        11..=15 => function(11, 1),
        17..=21 => function(17, 6),
        23 | 24 => function(23, 11),
        _ => None,
    }
}

/// The report of a mouse in xterm's mode 1006: `button;column;row`.
fn mouse(report: &[u8], last: u8) -> Option<Input> {
    let mut numbers = report.split(|b| *b == b';').map(number);
    let (button, column, row) = (numbers.next()??, numbers.next()??, numbers.next()??);
    let cell = |n: u32| u16::try_from(n.checked_sub(1)?).ok();
    // Shift, Alt and Ctrl are bits 2 to 4, motion is bit 5, the wheel bit 6.
    let act = match (button & !0b1_1100, last) {
        (0, b'M') => Act::Press,
        (0, b'm') => Act::Release,
        (0b10_0000, b'M') => Act::Drag,
        (0b100_0000, b'M') => Act::WheelUp,
        (0b100_0001, b'M') => Act::WheelDown,
        _ => return None,
    };
    Some(Input::Mouse(Mouse { act, column: cell(column)?, row: cell(row)? }))
}

fn number(digits: &[u8]) -> Option<u32> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

fn text(escape: bool, byte: u8) -> (State, Option<Input>) {
    match byte {
        BEL => (State::Ground, None),
        b'\\' if escape => (State::Ground, None),
        CTRL_C => (State::Ground, single_byte(byte)),
        ESC => (State::Text { escape: true }, None),
        // An Esc ends it whatever follows, as on the terminals of DEC.
        _ if escape => self::escape(byte),
        _ => (State::Text { escape: false }, None),
    }
}

fn character(
    (mut bytes, length): ([u8; 4], usize),
    want: usize,
    byte: u8,
) -> (State, Option<Input>) {
    if byte & 0xc0 != 0x80 {
        return ground(byte);
    }
    bytes[length] = byte;
    let length = length + 1;
    if length < want {
        return (State::Character { bytes, length, want }, None);
    }
    let text = std::str::from_utf8(&bytes[..length]).ok();
    let typed = text.and_then(|text| text.chars().next()).filter(|c| !c.is_control());
    (State::Ground, typed.map(|c| plain(Code::Char(c))))
}

impl Paste {
    fn feed(mut self, byte: u8) -> (State, Option<Input>) {
        // No terminal pastes one; so Ctrl-C works whatever went before.
        if byte == CTRL_C {
            return (State::Ground, single_byte(byte));
        }
        // Its first byte occurs in it once, so that starting over at that byte is enough.
        self.end = match byte {
            _ if byte == PASTE_END[self.end] => self.end + 1,
            ESC => 1,
            _ => 0,
        };
        if self.kept.len() < MAX_PASTE + PASTE_END.len() {
            self.kept.push(byte);
        }
        if self.end < PASTE_END.len() {
            return (State::Paste(self), None);
        }
        if self.kept.ends_with(PASTE_END) {
            self.kept.truncate(self.kept.len() - PASTE_END.len());
        }
        self.kept.truncate(MAX_PASTE);
        let pasted = String::from_utf8_lossy(&self.kept).into_owned();
        (State::Ground, Some(Input::Paste(pasted)))
    }
}

#[cfg(test)]
mod tests;
