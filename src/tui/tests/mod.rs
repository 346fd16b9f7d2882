//! What is seen: pictures of every screen, and what holds for any.

mod clicks;
mod fleet;
mod ledger;
mod properties;
mod screens;

use std::sync::Arc;

use jiff::Timestamp;
use ratatui::{buffer::Buffer, layout::Position, style::Style};

use super::{
    choices::Choices,
    draw::draw,
    facts::{Reader, Sources},
    input::{Code, Input, Key},
    state::{Facts, State},
    surface::Surface,
    theme::Look,
    update::{Action, Event, update},
};
use crate::command::terminal::Size;

const UNICODE: Look = Look { colour: true, ascii: false };
const SMALL: Size = Size { columns: 80, rows: 24 };

/// Somebody in front of a terminal.
struct Person {
    state: State,
    surface: Surface,
    /// What has to be done.
    due: Vec<Action>,
}

impl Person {
    /// In front of the fleet of [`fleet`].
    fn new(size: Size, look: Look) -> Self {
        let mut person = Self {
            state: State::new(size, look, fleet::now()),
            surface: Surface::new(size),
            due: Vec::new(),
        };
        person.see(Event::Facts(Arc::new(fleet::facts(look))));
        person
    }

    fn see(&mut self, event: Event) {
        self.due = update(&mut self.state, event);
    }

    fn press(&mut self, code: Code) {
        self.see(Event::Input(Input::Key(Key { code, ctrl: false, alt: false })));
    }

    /// One key after the other; `\n` is Enter.
    fn keys(&mut self, keys: &str) {
        for key in keys.chars() {
            self.press(match key {
                '\n' => Code::Enter,
                '\t' => Code::Tab,
                key => Code::Char(key),
            });
        }
    }

    fn paste(&mut self, text: &str) {
        self.see(Event::Input(Input::Paste(text.to_owned())));
    }

    /// What is drawn, and where the cursor is seen.
    fn drawn(&mut self) -> (Buffer, Option<Position>) {
        let mut seen = None;
        let state = &self.state;
        self.surface.frame(|buffer| {
            let cursor = draw(state, buffer);
            seen = Some((buffer.clone(), cursor));
            cursor
        });
        seen.unwrap()
    }

    /// The picture as text.
    fn picture(&mut self) -> String {
        let (buffer, cursor) = self.drawn();
        let cursor = cursor.map(|Position { x, y }| format!("[cursor {x},{y}]"));
        lines(&buffer).into_iter().chain(cursor).collect::<Vec<_>>().join("\n")
    }

    /// Whether this is to be read somewhere.
    fn reads(&mut self, text: &str) -> bool {
        lines(&self.drawn().0).iter().any(|line| line.contains(text))
    }
}

fn lines(buffer: &Buffer) -> Vec<String> {
    let width = usize::from(buffer.area.width.max(1));
    let rows = buffer.content.chunks(width);
    rows.map(|row| row.iter().map(ratatui::buffer::Cell::symbol).collect::<String>())
        .map(|line| line.trim_end().to_owned())
        .collect()
}

/// The picture with marks where a style begins: `{bold}`, `{green}`, and `{}` where it ends.
fn styled(buffer: &Buffer) -> String {
    let width = usize::from(buffer.area.width.max(1));
    let mut picture = String::new();
    for row in buffer.content.chunks(width) {
        let mut line = String::new();
        let mut before = Style::reset();
        for cell in row {
            let style = cell.style();
            if style != before
                && (cell.symbol() != " " || style.add_modifier != before.add_modifier)
            {
                line += &name(style);
                before = style;
            }
            line += cell.symbol();
        }
        picture += line.trim_end();
        picture.push('\n');
    }
    picture
}

fn name(style: Style) -> String {
    let colour = style.fg.filter(|colour| *colour != ratatui::style::Color::Reset);
    let colour = colour.map(|colour| colour.to_string().to_lowercase());
    let modifier = format!("{:?}", style.add_modifier).to_lowercase();
    let modifier = if style.add_modifier.is_empty() { String::new() } else { modifier };
    format!("{{{}}}", colour.into_iter().chain([modifier]).collect::<Vec<_>>().join(" ").trim())
}
