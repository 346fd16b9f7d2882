//! Pages: a container, what a command said, work, and the keys.

use std::sync::Arc;

use ratatui::layout::Rect;
use unicode_width::UnicodeWidthStr;

use super::Canvas;
use crate::{
    command::{
        failure::Failure,
        report::{Field, Part, Report, Table},
    },
    tui::{
        keymap::{Place, bindings},
        layout::Parts,
        state::{Answer, Page, State, Work},
        theme::Role,
    },
};

/// A line, in pieces that mean different things.
type Text = Vec<(String, Role)>;

pub(super) fn draw(state: &State, parts: Parts, canvas: &mut Canvas<'_>) {
    let Some(page) = state.pages.last() else { return };
    let (title, lines, top) = match page {
        Page::Container(name, answer) => (name.clone(), answered(answer), answer.top),
        Page::Answer(words, answer) => (words.join(" "), answered(answer), answer.top),
        Page::Work(id) => match state.work(*id) {
            Some(work) => (work.line.clone(), work_lines(work, state), usize::MAX),
            None => return,
        },
        Page::Works => ("work".to_owned(), works(state), 0),
        Page::Help(place) => ("keys".to_owned(), help(*place), 0),
    };
    canvas.text((2, parts.headings.y), parts.headings.width.saturating_sub(2), &title, Role::Title);
    scroll(&lines, top, parts.body, canvas);
}

fn scroll(lines: &[Text], top: usize, area: Rect, canvas: &mut Canvas<'_>) {
    let room = usize::from(area.height);
    let top = top.min(lines.len().saturating_sub(room));
    for (y, line) in (area.y..).zip(lines.iter().skip(top).take(room)) {
        let mut x = area.x + 2;
        for (text, role) in line {
            let left = (area.x + area.width).saturating_sub(x);
            x += canvas.text((x, y), left, text, *role);
        }
    }
}

fn plain(text: impl Into<String>) -> Text {
    vec![(text.into(), Role::Text)]
}

fn answered(answer: &Answer) -> Vec<Text> {
    match &answer.said {
        None => vec![vec![("asking ...".to_owned(), Role::Faint)]],
        Some(result) => said(result),
    }
}

fn said(result: &Result<Arc<Report>, Failure>) -> Vec<Text> {
    match result {
        Ok(report) => {
            let notes = report.notes.iter().map(|note| vec![(note.clone(), Role::Warning)]);
            report.parts.iter().flat_map(part).chain(notes).collect()
        }
        Err(failure) => {
            let hint = failure.hint.iter();
            let hint =
                hint.map(|hint| vec![("hint: ".to_owned(), Role::Key), (hint.clone(), Role::Text)]);
            let error =
                vec![("error: ".to_owned(), Role::Bad), (failure.message.clone(), Role::Text)];
            std::iter::once(error).chain(hint).collect()
        }
    }
}

fn part(part: &Part) -> Vec<Text> {
    match part {
        Part::Table(table) => rows(table),
        Part::Fields(fields) => {
            fields.iter().flat_map(|field| field_lines(field, fields)).collect()
        }
        Part::Text(text) => text.lines().map(plain).collect(),
    }
}

fn field_lines(field: &Field, fields: &[Field]) -> Vec<Text> {
    let width = fields.iter().map(|field| field.label.len()).max().unwrap_or(0);
    let lines = field.values.iter().enumerate().map(|(i, value)| {
        let label = if i == 0 { field.label } else { "" };
        vec![(format!("{label:<width$}  "), Role::Faint), (value.clone(), Role::Text)]
    });
    lines.collect()
}

fn rows(table: &Table) -> Vec<Text> {
    if table.rows.is_empty() {
        return Vec::new();
    }
    let headings: Vec<String> = table.columns.iter().map(|c| (*c).to_owned()).collect();
    let all = std::iter::once(&headings).chain(&table.rows);
    let mut widths = vec![0; table.columns.len()];
    for row in all.clone() {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.width());
        }
    }
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths);
        let padded = cells.flat_map(|(cell, w)| [cell.clone(), " ".repeat(w - cell.width() + 2)]);
        padded.collect::<String>()
    };
    let role = |i: usize| if i == 0 { Role::Title } else { Role::Text };
    all.enumerate().map(|(i, row)| vec![(line(row), role(i))]).collect()
}

fn work_lines(work: &Work, state: &State) -> Vec<Text> {
    let mut lines: Vec<Text> = work.steps.iter().map(plain).collect();
    match &work.end {
        None => {
            let seconds = state.now.duration_since(work.since).as_secs();
            let turning = state.look.glyphs().turning;
            let at = usize::try_from(seconds).unwrap_or(0) % turning.len();
            let text =
                format!("{} {seconds} s; Esc leaves it to itself, `w` finds it again", turning[at]);
            lines.push(vec![(text, Role::Faint)]);
        }
        Some(end) => {
            lines.push(Text::new());
            lines.extend(said(&end.result));
        }
    }
    lines
}

fn works(state: &State) -> Vec<Text> {
    if state.works.is_empty() {
        return vec![vec![("nothing has been done from here yet".to_owned(), Role::Faint)]];
    }
    let glyphs = state.look.glyphs();
    let line = |work: &Work| {
        let last = work.steps.last().cloned().unwrap_or_default();
        let (mark, role, text) = match &work.end {
            None => (glyphs.between, Role::Warning, last),
            Some(end) => match &end.result {
                Ok(_) => (glyphs.on, Role::Good, "done".to_owned()),
                Err(failure) => (glyphs.wrong, Role::Bad, failure.message.clone()),
            },
        };
        vec![
            (format!("{mark} "), role),
            (format!("{}  ", work.line), Role::Text),
            (text, Role::Faint),
        ]
    };
    state.works.iter().rev().map(line).collect()
}

fn help(place: Place) -> Vec<Text> {
    let bindings: Vec<_> = bindings(place).collect();
    let width = bindings.iter().map(|binding| binding.shown.len()).max().unwrap_or(0);
    let line = |shown: &str, what: &str| {
        vec![(format!("{shown:<width$}  "), Role::Key), (what.to_owned(), Role::Text)]
    };
    bindings.iter().map(|binding| line(binding.shown, binding.what)).collect()
}
