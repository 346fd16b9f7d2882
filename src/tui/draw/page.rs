//! Pages: a container, what a command said, work, and the keys.

use std::sync::Arc;

use jiff::Timestamp;
use ratatui::layout::{Position, Rect};
use unicode_width::UnicodeWidthStr;

use super::{
    Canvas, Pointed, container, host,
    lines::{aligned, folded, padded, width},
};
use crate::{
    command::{
        failure::Failure,
        report::{Field, Part, Report, Table},
        view::{self, span},
    },
    tui::{
        fold::{fold, fold_to},
        keymap::{Binding, Group, Place, Tab, groups},
        layout::{self, Parts, columns},
        state::{Answer, Page, State, Work},
        table::Row,
        theme::{Glyphs, Look, Role},
    },
};

/// A line, in pieces that mean different things.
pub(super) type Text = Vec<(String, Role)>;

/// Cells at the left of every page, and at its right.
const MARGIN: u16 = 2;
const RIGHT: u16 = 1;

pub(super) fn draw(state: &State, parts: Parts, canvas: &mut Canvas<'_>) {
    let lines = lines(state);
    let room = usize::from(parts.body.height);
    let top = top(state, &lines, room);
    let mut left = parts.headings;
    if lines.len() > room {
        let seen = format!("{}-{} of {}", top + 1, top + room, lines.len());
        canvas.right((0, left.y), left.width, &seen, Role::Faint);
        left.width = left.width.saturating_sub(u16::try_from(seen.len() + 2).unwrap_or(u16::MAX));
    }
    path(state, left, canvas);
    for (y, line) in (parts.body.y..).zip(lines.iter().skip(top).take(room)) {
        let mut x = MARGIN;
        for (text, role) in line {
            x += canvas.text((x, y), parts.body.width.saturating_sub(x), text, *role);
        }
    }
    if state.pages.last() == Some(&Page::Works) && !state.works.is_empty() {
        let at = u16::try_from(state.at.unwrap_or(0).saturating_sub(top)).unwrap_or(u16::MAX);
        let line = Rect::new(0, parts.body.y.saturating_add(at), parts.body.width, 1);
        canvas.restyle(line, Role::Selected);
    }
}

/// Where one is, and how one came there.
fn path(state: &State, area: Rect, canvas: &mut Canvas<'_>) {
    let pages = state.pages.iter().map(|page| title(page, state));
    let mut names: Vec<_> = std::iter::once(state.tab.title().to_owned()).chain(pages).collect();
    let last = names.pop().unwrap_or_default();
    let then = format!(" {} ", state.look.glyphs().then);
    let way: String = names.iter().flat_map(|name| [name.as_str(), then.as_str()]).collect();
    let room = area.width.saturating_sub(MARGIN);
    let fits = way.width() + last.width() <= usize::from(room);
    let used = if fits { canvas.text((MARGIN, area.y), room, &way, Role::Faint) } else { 0 };
    canvas.text((MARGIN + used, area.y), room - used, &last, Role::Title);
}

fn title(page: &Page, state: &State) -> String {
    match page {
        Page::Container(name, _) => name.clone(),
        Page::Answer(words, _) => page.host().map_or_else(|| words.join(" "), str::to_owned),
        Page::Work(id) => state.work(*id).map(|work| work.line.clone()).unwrap_or_default(),
        Page::Works => "work".to_owned(),
        Page::Help(_) => "help".to_owned(),
        Page::Row(Tab::Sessions, row) => format!("session {}", row.id),
        Page::Row(_, row) => format!("record {}", row.id),
    }
}

/// All lines of the page that is seen.
pub(super) fn lines(state: &State) -> Vec<Text> {
    let room = room(state);
    match state.pages.last() {
        Some(Page::Container(name, answer)) => container::lines(state, name, answer, room),
        Some(page @ Page::Answer(_, answer)) => match page.host() {
            Some(name) => host::lines(state, name, answer, room),
            None => answered(answer, room),
        },
        Some(Page::Work(id)) => {
            state.work(*id).map(|work| work_lines(work, state, room)).unwrap_or_default()
        }
        Some(Page::Works) => works(state, room),
        Some(Page::Help(place)) => help(*place, room, state.look),
        Some(Page::Row(tab, row)) => row_lines(*tab, row, room),
        None => Vec::new(),
    }
}

/// What is listed at this cell, counted from the corner of the page.
pub(super) fn pointed(state: &State, Position { x, y }: Position) -> Option<Pointed> {
    let lines = lines(state);
    let top = top(state, &lines, usize::from(layout::body(state).height));
    let place = top + usize::from(y);
    match state.pages.last()? {
        Page::Works => (place < state.works.len()).then_some(Pointed::Work(place)),
        page @ Page::Answer(..) => {
            let cell = usize::from(x.saturating_sub(MARGIN));
            let found =
                host::container_at(state, page.host()?, lines.get(place)?, (cell, room(state)));
            found.map(|name| Pointed::Container(name.to_owned()))
        }
        Page::Container(..) | Page::Work(_) | Page::Help(_) | Page::Row(..) => None,
    }
}

/// Cells for the lines of a page.
fn room(state: &State) -> usize {
    usize::from(state.size.columns.saturating_sub(MARGIN + RIGHT))
}

/// The first line to be seen.
fn top(state: &State, lines: &[Text], room: usize) -> usize {
    let last = lines.len().saturating_sub(room);
    let top = match state.pages.last() {
        Some(Page::Container(_, answer) | Page::Answer(_, answer)) => answer.top,
        Some(Page::Work(_)) => state.at.unwrap_or(last),
        Some(Page::Works) => (state.at.unwrap_or(0) + 1).saturating_sub(room),
        Some(Page::Help(_) | Page::Row(..)) | None => state.at.unwrap_or(0),
    };
    top.min(last)
}

fn plain(text: impl Into<String>) -> Text {
    vec![(text.into(), Role::Text)]
}

/// A text that may need more than one line, behind what is said once.
pub(super) fn behind(
    (lead, lead_role): (&str, Role),
    (text, role): (&str, Role),
    room: usize,
) -> Vec<Text> {
    let width = lead.width();
    let lines = fold(text, room.saturating_sub(width)).into_iter().enumerate();
    lines
        .map(|(i, line)| {
            let lead = if i == 0 { lead.to_owned() } else { " ".repeat(width) };
            vec![(lead, lead_role), (line.to_owned(), role)]
        })
        .collect()
}

fn answered(answer: &Answer, room: usize) -> Vec<Text> {
    match &answer.said {
        None => vec![vec![("asking ...".to_owned(), Role::Faint)]],
        Some(result) => said(result, room),
    }
}

fn said(result: &Result<Arc<Report>, Failure>, room: usize) -> Vec<Text> {
    match result {
        Ok(report) => {
            let notes = &report.notes;
            let notes =
                notes.iter().flat_map(|n| behind(("", Role::Text), (n, Role::Warning), room));
            report.parts.iter().flat_map(|p| part(p, room)).chain(notes).collect()
        }
        Err(Failure { message, hint, .. }) => {
            let error = behind(("error: ", Role::Bad), (message, Role::Text), room);
            let hint =
                hint.iter().flat_map(|h| behind(("hint: ", Role::Key), (h, Role::Text), room));
            error.into_iter().chain(hint).collect()
        }
    }
}

fn part(part: &Part, room: usize) -> Vec<Text> {
    match part {
        Part::Table(table) => rows(table, room),
        Part::Fields(fields) => fields.iter().flat_map(|f| field_lines(f, fields, room)).collect(),
        Part::Text(text) => text.lines().flat_map(|line| fold(line, room)).map(plain).collect(),
    }
}

fn field_lines(field: &Field, fields: &[Field], room: usize) -> Vec<Text> {
    let width = fields.iter().map(|field| field.label.len()).max().unwrap_or(0);
    let values = field.values.iter().enumerate();
    values
        .flat_map(|(i, value)| {
            let label = if i == 0 { field.label } else { "" };
            let lead = format!("{label:<width$}  ");
            behind((&lead, Role::Faint), (value, Role::Text), room)
        })
        .collect()
}

fn rows(table: &Table, room: usize) -> Vec<Text> {
    if table.rows.is_empty() {
        return Vec::new();
    }
    let headings = table.columns.iter().map(|title| ((*title).to_owned(), Role::Title)).collect();
    let line = |row: &Vec<String>| row.iter().map(|cell| (cell.clone(), Role::Text)).collect();
    let lines = std::iter::once(headings).chain(table.rows.iter().map(line));
    folded(aligned(lines.collect()), room)
}

/// A row of a list, in full.
fn row_lines(tab: Tab, row: &Row, room: usize) -> Vec<Text> {
    let cells = columns(tab).iter().map(|column| column.title).zip(&row.cells);
    let cells = cells.filter(|(_, value)| !value.text.is_empty());
    let full = row.full.iter().map(|(name, value)| (name.as_str(), value));
    let told: Vec<_> = if row.full.is_empty() { cells.collect() } else { full.collect() };
    let width = told.iter().map(|(name, _)| name.width()).max().unwrap_or(0);
    told.into_iter()
        .flat_map(|(name, value)| {
            let lead = format!("{name}{}", " ".repeat(width - name.width() + 2));
            behind((&lead, Role::Faint), (&value.text, value.role), room)
        })
        .collect()
}

/// Steps with the time after which each began.
fn work_lines(work: &Work, state: &State, room: usize) -> Vec<Text> {
    let after = |at: Timestamp| format!("{:>5}  ", span(at.duration_since(work.since).as_secs()));
    let step = |(at, text): &(Timestamp, String)| {
        behind((&after(*at), Role::Faint), (text, Role::Text), room)
    };
    let mut lines: Vec<Text> = work.steps.iter().flat_map(step).collect();
    match &work.end {
        None => {
            let seconds = state.now.duration_since(work.since).as_secs();
            let turning = state.look.glyphs().turning;
            let at = usize::try_from(seconds).unwrap_or(0) % turning.len();
            let lead = format!("{}{}", after(state.now), turning[at]);
            let text = " under way; Esc leaves it to itself, `w` finds it again";
            lines.extend(behind((&lead, Role::Warning), (text, Role::Faint), room));
        }
        Some(end) => {
            let glyphs = state.look.glyphs();
            let (mark, text, role) = match &end.result {
                Ok(_) => (glyphs.on, "done", Role::Good),
                Err(_) => (glyphs.wrong, "failed", Role::Bad),
            };
            lines.push(vec![(after(end.at), Role::Faint), (format!("{mark} {text}"), role)]);
            lines.push(Text::new());
            lines.extend(said(&end.result, room));
        }
    }
    lines
}

fn works(state: &State, room: usize) -> Vec<Text> {
    if state.works.is_empty() {
        return vec![vec![("nothing has been done from here yet".to_owned(), Role::Faint)]];
    }
    let glyphs = state.look.glyphs();
    let width = state.works.iter().map(|work| work.line.width()).max().unwrap_or(0).min(room / 2);
    let line = |work: &Work| {
        let last = work.steps.last().map(|(_, text)| text.clone()).unwrap_or_default();
        let (mark, role, text) = match &work.end {
            None => (glyphs.between, Role::Warning, last),
            Some(end) => match &end.result {
                Ok(_) => (glyphs.on, Role::Good, "done".to_owned()),
                Err(failure) => (glyphs.wrong, Role::Bad, failure.message.clone()),
            },
        };
        let line = fold_to(&work.line, width, 1, glyphs.more).concat();
        let ago = view::age(state.now, work.since);
        vec![
            (format!("{mark} "), role),
            (format!("{ago:>4}  "), Role::Faint),
            (padded(&line, width + 2), Role::Text),
            (text, Role::Faint),
        ]
    };
    state.works.iter().rev().map(line).collect()
}

/// Columns of keys at most, and cells between them.
const MAX_COLUMNS: usize = 3;
const GAP: usize = 3;

fn help(place: Place, room: usize, look: Look) -> Vec<Text> {
    let blocks: Vec<_> = groups(place).iter().map(block).chain([signs(look)]).collect();
    let beside = |columns| beside(&blocks, columns);
    let fits = |lines: &Vec<Text>| lines.iter().all(|line| width(line) <= room);
    (2..=MAX_COLUMNS).rev().map(beside).find(fits).unwrap_or_else(|| beside(1))
}

fn block((title, bindings): &Group) -> Vec<Text> {
    let width = bindings.iter().map(|binding| binding.shown.len()).max().unwrap_or(0);
    let line = |binding: &Binding| {
        vec![
            (format!("{:<width$}  ", binding.shown), Role::Key),
            (binding.what.to_owned(), Role::Text),
        ]
    };
    let title = vec![((*title).to_owned(), Role::Title)];
    std::iter::once(title).chain(bindings.iter().map(line)).collect()
}

/// What is meant by signs.
fn signs(look: Look) -> Vec<Text> {
    let Glyphs { on, off, between, wrong, here, mark, .. } = look.glyphs();
    let meanings = [
        (on, Role::Good, "runs, answers"),
        (off, Role::Faint, "stopped"),
        (between, Role::Warning, "on its way"),
        (wrong, Role::Bad, "wrong"),
        (here, Role::Key, "you are here"),
        (mark, Role::Marked, "marked"),
    ];
    let line = |(sign, role, meaning): (&&str, Role, &str)| {
        vec![(format!("{sign}  "), role), (meaning.to_owned(), Role::Text)]
    };
    let title = vec![("signs".to_owned(), Role::Title)];
    std::iter::once(title).chain(meanings.into_iter().map(line)).collect()
}

/// Blocks in so many columns of about the same height.
fn beside(blocks: &[Vec<Text>], columns: usize) -> Vec<Text> {
    let total: usize = blocks.iter().map(|block| block.len() + 1).sum();
    // A block that stands out a little is better than one that stands alone.
    let most = total.div_ceil(columns) + 2;
    let mut filled: Vec<Vec<Text>> = vec![Vec::new()];
    for block in blocks {
        let is_last = filled.len() == columns;
        match filled.last_mut() {
            Some(column) if is_last || column.len() + block.len() < most || column.is_empty() => {
                if !column.is_empty() {
                    column.push(Text::new());
                }
                column.extend_from_slice(block);
            }
            Some(_) | None => filled.push(block.clone()),
        }
    }
    let height = filled.iter().map(Vec::len).max().unwrap_or(0);
    let mut lines = vec![Text::new(); height];
    for column in filled {
        let before = lines.iter().map(|line| width(line)).max().unwrap_or(0);
        let gap = if before == 0 { 0 } else { GAP };
        for (line, text) in lines.iter_mut().zip(column) {
            let blanks = before + gap - width(line);
            line.push((" ".repeat(blanks), Role::Text));
            line.extend(text);
        }
    }
    lines
}
