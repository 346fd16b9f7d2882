//! The screen of one terminal: what was drawn becomes the bytes that change what is shown. Pure.
//!
//! Sequences are ECMA-48's and, where marked, xterm's private modes; every terminal of the last
//! thirty years has them or ignores them.

use std::fmt::Write as _;

use ratatui::{
    buffer::{Buffer, Cell},
    layout::{Position, Rect},
    style::{Color, Modifier},
};
use unicode_width::UnicodeWidthStr;

use crate::command::terminal::Size;

/// The largest part of a terminal that is drawn on, in cells: two copies of it are kept, 50 bytes a
/// cell. Larger ones stay empty at the right and below.
pub const LARGEST: Size = Size { columns: 500, rows: 200 };

/// Begins: the alternate screen (1049), without wrapping (7), clicks, drags (1002) and wheel told with
/// numbers (1006), pastes in brackets (2004), empty.
const ENTER: &str = "\x1b[?1049h\x1b[?7l\x1b[?1002h\x1b[?1006h\x1b[?2004h\x1b[0m\x1b[2J\x1b[?25l";

/// Takes it all back.
pub const LEAVE: &str = "\x1b[0m\x1b[?2004l\x1b[?1006l\x1b[?1002l\x1b[?7h\x1b[?25h\x1b[?1049l";

/// What is on a terminal.
#[derive(Debug)]
pub struct Surface {
    shown: Buffer,
    next: Buffer,
    /// Bytes that have to come before the next frame.
    first: &'static str,
    cursor: Option<Position>,
}

/// Where a terminal writes, and how.
#[derive(Debug, Default)]
struct Pen {
    text: String,
    at: Option<Position>,
    style: (Color, Color, Modifier),
}

impl Surface {
    /// A terminal of this size, with something else on it.
    #[must_use]
    pub fn new(size: Size) -> Self {
        let area = area(size);
        Self { shown: Buffer::empty(area), next: Buffer::empty(area), first: ENTER, cursor: None }
    }

    /// What is drawn on.
    #[must_use]
    pub fn area(&self) -> Rect {
        self.next.area
    }

    /// It has this size now, and nobody knows what is on it.
    pub fn resize(&mut self, size: Size) {
        let area = area(size);
        self.shown = Buffer::empty(area);
        self.next = Buffer::empty(area);
        if self.first.is_empty() {
            self.first = "\x1b[0m\x1b[2J";
        }
    }

    /// Draws, and says what has to be written; nothing if nothing changed. `draw` says where the
    /// cursor is to be seen.
    pub fn frame(&mut self, draw: impl FnOnce(&mut Buffer) -> Option<Position>) -> String {
        self.next.reset();
        let cursor = draw(&mut self.next);
        mend(&mut self.next);
        tear(&mut self.shown, &self.next);
        let mut pen = Pen::default();
        for (x, y, cell) in self.shown.diff(&self.next) {
            pen.write(Position { x, y }, cell);
        }
        let drawn = pen.end();
        let shows = match (self.cursor, cursor) {
            (was, is) if was == is && drawn.is_empty() => String::new(),
            (_, Some(Position { x, y })) => format!("\x1b[{};{}H\x1b[?25h", y + 1, x + 1),
            (Some(_), None) => "\x1b[?25l".to_owned(),
            (None, None) => String::new(),
        };
        // A cursor that is seen does not run about while the rest is written.
        let hides = if self.cursor.is_some() && !drawn.is_empty() { "\x1b[?25l" } else { "" };
        self.cursor = cursor;
        std::mem::swap(&mut self.shown, &mut self.next);
        format!("{}{hides}{drawn}{shows}", std::mem::take(&mut self.first))
    }
}

fn area(size: Size) -> Rect {
    Rect::new(0, 0, size.columns.min(LARGEST.columns), size.rows.min(LARGEST.rows))
}

/// Leaves nothing in it that hurts, and no half of a wide character: where something was drawn over a
/// part of one, the rest of it is blank, as on a terminal.
fn mend(buffer: &mut Buffer) {
    let width = usize::from(buffer.area.width.max(1));
    for line in buffer.content.chunks_mut(width) {
        let mut x = 0;
        while let Some(cell) = line.get_mut(x) {
            // What is neither wide nor hurts.
            let is_plain = matches!(cell.symbol().as_bytes(), [b' '..=b'~']);
            if !is_plain && harmless(cell.symbol()) != cell.symbol() {
                let symbol = harmless(cell.symbol()).to_owned();
                cell.set_symbol(&symbol);
            }
            let cells = if is_plain { 1 } else { cell.symbol().width().max(1) };
            let rest = line.get(x + 1..x + cells);
            if rest.is_none_or(|rest| rest.iter().any(|cell| cell.symbol() != " ")) {
                line[x].set_symbol(" ");
                x += 1;
            } else {
                x += cells;
            }
        }
    }
}

/// What is written over a half of a wide character leaves nobody knows what in the other half: it is
/// written anew.
fn tear(shown: &mut Buffer, next: &Buffer) {
    for i in 0..shown.content.len() {
        let symbol = shown.content[i].symbol();
        let cells = if symbol.len() > 1 { symbol.width() } else { 1 };
        if cells > 1 && shown.content[i] != next.content[i] {
            for cell in shown.content.iter_mut().skip(i + 1).take(cells - 1) {
                // Different from all that is ever drawn.
                cell.modifier = Modifier::HIDDEN;
            }
        }
    }
}

impl Pen {
    fn write(&mut self, at: Position, cell: &Cell) {
        if self.at != Some(at) {
            let _ = match self.at {
                // A few cells to the right are shorter to say.
                Some(from) if from.y == at.y && at.x > from.x => {
                    write!(self.text, "\x1b[{}C", at.x - from.x)
                }
                Some(_) | None => write!(self.text, "\x1b[{};{}H", at.y + 1, at.x + 1),
            };
        }
        let style = (cell.fg, cell.bg, cell.modifier);
        if style != self.style {
            self.set(style);
        }
        let symbol = cell.symbol();
        self.text.push_str(symbol);
        // How wide others are, terminals do not agree on.
        let is_sure = symbol.chars().all(is_of_known_width);
        let width = u16::try_from(symbol.width()).unwrap_or(1);
        self.at = is_sure.then(|| Position { x: at.x.saturating_add(width), y: at.y });
    }

    fn set(&mut self, style @ (fg, bg, modifier): (Color, Color, Modifier)) {
        self.text.push_str("\x1b[0");
        for (held, code) in [
            (Modifier::BOLD, 1),
            (Modifier::DIM, 2),
            (Modifier::UNDERLINED, 4),
            (Modifier::REVERSED, 7),
        ] {
            if modifier.contains(held) {
                let _ = write!(self.text, ";{code}");
            }
        }
        for (colour, first) in [(fg, 30), (bg, 40)] {
            if let Some(n) = palette(colour) {
                let _ = write!(self.text, ";{}", first + n);
            }
        }
        self.text.push('m');
        self.style = style;
    }

    fn end(mut self) -> String {
        if self.style != Self::default().style {
            self.text.push_str("\x1b[0m");
        }
        self.text
    }
}

/// The terminal's own eight colours and their bright forms; what it has besides is not used.
fn palette(colour: Color) -> Option<u8> {
    Some(match colour {
        Color::Black => 0,
        Color::Red => 1,
        Color::Green => 2,
        Color::Yellow => 3,
        Color::Blue => 4,
        Color::Magenta => 5,
        Color::Cyan => 6,
        Color::Gray => 7,
        Color::DarkGray => 60,
        Color::LightRed => 61,
        Color::LightGreen => 62,
        Color::LightYellow => 63,
        Color::LightBlue => 64,
        Color::LightMagenta => 65,
        Color::LightCyan => 66,
        Color::White => 67,
        Color::Reset | Color::Rgb(..) | Color::Indexed(_) => return None,
    })
}

/// What cannot do anything but be seen. Text is made printable where it comes from; this is the last
/// door.
fn harmless(symbol: &str) -> &str {
    let hurts = |c: char| {
        c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
    };
    // Marks that belong to the character before them: terminals do not agree on which that is.
    let first = symbol.char_indices().nth(1).map_or(symbol, |(end, _)| &symbol[..end]);
    if symbol.chars().any(hurts) || first.width() == 0 { HARMLESS } else { first }
}

/// What is shown instead of what hurts.
const HARMLESS: &str = "?";

/// Latin letters, and the arrows, lines and blocks that pictures are made of.
fn is_of_known_width(c: char) -> bool {
    matches!(c, ' '..='~' | '\u{a0}'..='\u{ac}' | '\u{ae}'..='\u{2ff}' | '\u{2190}'..='\u{21ff}' | '\u{2500}'..='\u{25ff}')
}

#[cfg(test)]
mod tests;
