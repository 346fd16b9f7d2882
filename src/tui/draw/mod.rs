//! The screen, from the state. Pure.

mod asked;
mod container;
mod host;
mod lines;
mod page;
mod panel;

use ratatui::{
    buffer::Buffer,
    layout::{Position, Rect},
    style::Style,
};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::{
    keymap::Tab,
    layout::{self, Parts, columns, hints, parts, tabs, widths},
    line::Line,
    state::{Prompt, State},
    table::{BAR, Shown, Side, Table, Value},
    theme::{Look, Role},
};

/// Draws everything; where the cursor is to be seen.
pub fn draw(state: &State, buffer: &mut Buffer) -> Option<Position> {
    let canvas = &mut Canvas { buffer, look: state.look };
    if layout::is_too_small(state.size) {
        too_small(state, canvas);
        return None;
    }
    let parts = parts(state.size, !state.facts.alarms.is_empty());
    head(state, parts.head, canvas);
    alarm(state, parts.alarm, canvas);
    match state.table() {
        Some(table) => list(state, table, parts, canvas),
        None => page::draw(state, parts, canvas),
    }
    keys(state, parts.keys, canvas);
    let typed = foot(state, parts.foot, canvas);
    match &state.dialogue {
        Some(dialogue) => asked::draw(state, dialogue, canvas),
        None => typed,
    }
}

/// Lines of the page that is seen, whether there is room for them or not.
#[must_use]
pub fn height(state: &State) -> usize {
    page::lines(state).len()
}

/// What is listed on a page, and can be opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pointed {
    /// A piece of work, by its place in the list.
    Work(usize),
    /// A container, by name.
    Container(String),
}

/// What is at this cell of the page that is seen, counted from the corner of its first line.
#[must_use]
pub fn pointed(state: &State, cell: Position) -> Option<Pointed> {
    page::pointed(state, cell)
}

/// What is drawn on, and how.
pub(super) struct Canvas<'a> {
    buffer: &'a mut Buffer,
    pub(super) look: Look,
}

impl Canvas<'_> {
    /// Writes as much of a text as there is room for; the cells that it took.
    pub(super) fn text(&mut self, (x, y): (u16, u16), room: u16, text: &str, role: Role) -> u16 {
        self.styled((x, y), room, text, self.look.style(role))
    }

    pub(super) fn styled(
        &mut self,
        (x, y): (u16, u16),
        room: u16,
        text: &str,
        style: Style,
    ) -> u16 {
        let area = self.buffer.area;
        if x >= area.width || y >= area.height {
            return 0;
        }
        let cut = cut(text, usize::from(room.min(area.width - x)), self.look);
        let (end, _) = self.buffer.set_stringn(x, y, &cut, usize::from(room), style);
        end - x
    }

    /// The same, ending at the right.
    fn right(&mut self, (x, y): (u16, u16), room: u16, text: &str, role: Role) {
        let width = u16::try_from(text.width()).unwrap_or(u16::MAX).min(room);
        self.text((x + room - width, y), width, text, role);
    }

    /// Shows a whole area in another way.
    pub(super) fn restyle(&mut self, area: Rect, role: Role) {
        let area = area.intersection(self.buffer.area);
        self.buffer.set_style(area, self.look.style(role));
    }

    /// Empties an area and puts a frame around it.
    pub(super) fn frame(&mut self, area: Rect, title: &str) {
        let [across, down, corners @ ..] = self.look.glyphs().frame;
        for y in area.y..area.y + area.height {
            let (left, middle, right) = if y == area.y {
                (corners[0], across, corners[1])
            } else if y + 1 == area.y + area.height {
                (corners[3], across, corners[2])
            } else {
                (down, " ", down)
            };
            let inside = middle.repeat(usize::from(area.width.saturating_sub(2)));
            self.styled((area.x, y), area.width, &format!("{left}{inside}{right}"), Style::new());
        }
        let title = format!(" {title} ");
        self.text((area.x + 2, area.y), area.width.saturating_sub(4), &title, Role::Title);
    }

    /// What is being typed; where its cursor is.
    pub(super) fn line(&mut self, (x, y): (u16, u16), room: u16, line: &Line) -> Position {
        let (text, cursor) = line.window(room);
        self.text((x, y), room, text, Role::Text);
        Position { x: x.saturating_add(cursor), y }
    }
}

/// As much as there is room for, with a mark where something is missing.
fn cut(text: &str, room: usize, look: Look) -> String {
    let text = if text.width() > room { text.trim_end() } else { text };
    if text.width() <= room {
        return text.to_owned();
    }
    let mut width = 0;
    let kept = text.chars().take_while(|c| {
        width += c.width().unwrap_or(0);
        width < room
    });
    let kept: String = kept.collect();
    if room == 0 { kept } else { kept + look.glyphs().more }
}

fn too_small(state: &State, canvas: &mut Canvas<'_>) {
    let needs = format!("needs {}x{}", layout::LEAST.columns, layout::LEAST.rows);
    for (y, text) in [(0, "too small"), (1, needs.as_str()), (2, "q leaves")] {
        canvas.text((0, y), state.size.columns, text, Role::Text);
    }
}

fn head(state: &State, area: Rect, canvas: &mut Canvas<'_>) {
    let mut end = 0;
    for (tab, text, area) in tabs(state.size, state.tab) {
        let is_here = tab == state.tab;
        let role = if is_here { Role::Title } else { Role::Text };
        canvas.text((area.x, area.y), area.width, &text, role);
        if is_here {
            canvas.restyle(area, Role::Selected);
        }
        end = area.x + area.width + 2;
    }
    let room = area.width.saturating_sub(end);
    let fits = |text: &&String| text.width() <= usize::from(room);
    let (person, sentinel) = (&state.facts.person, &state.facts.sentinel);
    // A key's comment has an `@` of its own.
    let at = if person.contains('@') { " on " } else { "@" };
    let who = format!("{person}{at}{sentinel}");
    let busy = match state.works.iter().filter(|work| work.end.is_none()).count() {
        0 => String::new(),
        busy => format!("{} {busy} under way (w)", state.look.glyphs().between),
    };
    let both = if busy.is_empty() { who } else { format!("{busy}  {who}") };
    if let Some(text) = [both, busy].iter().find(fits) {
        canvas.right((end, area.y), room, text, Role::Faint);
    }
}

fn alarm(state: &State, area: Rect, canvas: &mut Canvas<'_>) {
    if area.height == 0 {
        return;
    }
    let mark = state.look.glyphs().wrong;
    let [first, rest @ ..] = state.facts.alarms.as_slice() else { return };
    let others = match rest.len() {
        0 => String::new(),
        others => format!(" (and {others} more: `:status`)"),
    };
    // How many there are is seen however long the first is.
    let room = area.width.saturating_sub(u16::try_from(others.len()).unwrap_or(u16::MAX));
    let used = canvas.text((area.x, area.y), room, &format!("{mark} {first}"), Role::Bad);
    canvas.text((area.x + used, area.y), area.width - used, &others, Role::Bad);
}

fn list(state: &State, table: &Table, parts: Parts, canvas: &mut Canvas<'_>) {
    let columns = columns(state.tab);
    let placed = widths(columns, state.size.columns, table.needs());
    let sorted = state.look.glyphs().sorted;
    for (i, (column, placed)) in columns.iter().zip(&placed).enumerate() {
        let Some((x, cells)) = *placed else { continue };
        let arrow = match table.sort() {
            Some(sort) if sort.column == i => sorted[usize::from(sort.down)],
            Some(_) | None => "",
        };
        let title = format!("{}{arrow}", column.title);
        let at = (x, parts.headings.y);
        match column.side {
            Side::Right => canvas.right(at, cells, &title, Role::Title),
            Side::Left | Side::End => {
                canvas.text(at, cells, &title, Role::Title);
            }
        }
    }
    let room = usize::from(parts.body.height);
    for (y, line) in (parts.body.y..).zip(table.lines(room)) {
        match line {
            Shown::Row(place, row) => {
                let is_here = place == table.place();
                let mark = (table.is_marked(&row.id), is_here);
                marked(canvas, y, mark);
                let cells = columns.iter().zip(&placed).zip(table.needs()).zip(&row.cells);
                for (((column, placed), need), value) in cells {
                    if let Some((x, cells)) = *placed {
                        cell(canvas, Rect::new(x, y, cells, 1), value, (column.side, need.text));
                    }
                }
                if is_here {
                    let line = Rect::new(1, y, state.size.columns.saturating_sub(1), 1);
                    canvas.restyle(line, Role::Selected);
                }
            }
            Shown::Heading(name, count) => heading(state, (name, count), y, canvas),
        }
    }
    if table.count().0 == 0 {
        let text = empty(state, table);
        canvas.text((2, parts.body.y), state.size.columns.saturating_sub(2), &text, Role::Faint);
    }
}

/// The sign before a row that is marked, or that one is at.
fn marked(canvas: &mut Canvas<'_>, y: u16, (is_marked, is_here): (bool, bool)) {
    let glyphs = canvas.look.glyphs();
    if is_marked {
        canvas.text((0, y), 1, glyphs.mark, Role::Marked);
    } else if is_here {
        canvas.text((0, y), 1, glyphs.here, Role::Key);
    }
}

/// What rows that are kept together have in common, how many they are, and how their host is.
fn heading(state: &State, (name, count): (&str, usize), y: u16, canvas: &mut Canvas<'_>) {
    let width = state.size.columns;
    let [across, ..] = canvas.look.glyphs().frame;
    canvas.text((0, y), width, &across.repeat(usize::from(width)), Role::Faint);
    let by_host = state.table().is_some_and(|table| table.group() == Some(layout::HOST));
    let hosts = state.facts.rows.get(&Tab::Hosts).filter(|_| by_host).into_iter().flatten();
    let is = hosts.into_iter().find(|row| row.id == name).and_then(|row| row.cells.get(1));
    let pieces = [
        Some((format!(" {name} "), Role::Title)),
        Some((format!("{count} "), Role::Text)),
        is.map(|is| (format!("{} ", is.text), is.role)),
    ];
    // A name stands where those of the rows below do.
    let mut x = 1;
    for (text, role) in pieces.into_iter().flatten() {
        x += canvas.text((x, y), width.saturating_sub(x), &text, role);
    }
}

/// What is said where there is nothing to show.
fn empty(state: &State, table: &Table) -> String {
    let (_, all) = table.count();
    if all > 0 {
        let all = if state.has_older(state.tab) {
            format!("{all} has \"{}\"; End loads older, Esc shows all", table.filter())
        } else {
            format!("{all} has \"{}\"; Esc shows all", table.filter())
        };
        return format!("none of {all}");
    }
    let text = match state.tab {
        Tab::Containers => "no containers yet; `c` creates one",
        Tab::Hosts => "no hosts yet; `:backend add` adds one",
        Tab::Sessions => "nobody is connected",
        Tab::Guard if state.told.contains_key(&Tab::Guard) => {
            "nobody is banned, and nobody was refused"
        }
        Tab::Guard => "nobody is banned",
        Tab::Ledger => "nothing has happened yet",
    };
    text.to_owned()
}

/// The numbers first; a bar where there is room for both, of the same length in all rows: behind it the
/// widest text of the column has room.
fn cell(canvas: &mut Canvas<'_>, area: Rect, value: &Value, (side, widest): (Side, u16)) {
    let Rect { x, y, width, .. } = area;
    let length = width.saturating_sub(widest + 1);
    if let Some(share) = value.share.filter(|_| length + 1 >= BAR) {
        canvas.text((x, y), length, &bar(share, length, canvas.look), value.role);
    }
    let text = value.fitting(usize::from(width));
    match side {
        Side::Left => {
            canvas.text((x, y), width, text, value.role);
        }
        Side::Right => canvas.right((x, y), width, text, value.role),
        Side::End => {
            canvas.text((x, y), width, latest(text, usize::from(width)), value.role);
        }
    }
}

/// The end of a history, of so many characters.
pub(super) fn latest(text: &str, characters: usize) -> &str {
    let first = text.chars().count().saturating_sub(characters);
    text.char_indices().nth(first).map_or("", |(i, _)| &text[i..])
}

/// A bar of so many cells.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "a part of some hundred cells"
)]
pub(super) fn bar(share: f32, cells: u16, look: Look) -> String {
    let parts = look.glyphs().bar;
    let steps = parts.len() - 1;
    let filled = (share * f32::from(cells) * steps as f32).round() as usize;
    let part = |cell: usize| parts[filled.saturating_sub(cell * steps).min(steps)];
    (0..usize::from(cells)).map(part).collect()
}

fn keys(state: &State, area: Rect, canvas: &mut Canvas<'_>) {
    for ((shown, what, _), place) in hints(state) {
        let used = canvas.text((place.x, place.y), place.width, shown, Role::Key);
        canvas.text((place.x + used + 1, place.y), place.width - used, what, Role::Faint);
    }
    if let Some(count) = layout::count(state) {
        canvas.right((0, area.y), area.width, &count, Role::Faint);
    }
}

fn foot(state: &State, area: Rect, canvas: &mut Canvas<'_>) -> Option<Position> {
    let (lead, line) = match (&state.prompt, &state.remark) {
        (Some(Prompt::Filter(line, _)), _) => ("/", line),
        (Some(Prompt::Command(line, _)), _) => (":", line),
        (None, Some(remark)) => {
            canvas.text((area.x, area.y), area.width, &remark.text, remark.role);
            return None;
        }
        (None, None) => {
            let filter = state.table().map_or("", Table::filter);
            if !filter.is_empty() {
                canvas.text((area.x, area.y), area.width, &format!("/{filter}"), Role::Faint);
            }
            return None;
        }
    };
    canvas.text((area.x, area.y), 1, lead, Role::Key);
    Some(canvas.line((area.x + 1, area.y), area.width.saturating_sub(1), line))
}
