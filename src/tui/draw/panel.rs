//! Pieces that pages about one thing are made of.

use std::sync::Arc;

use super::{
    bar,
    lines::{GAP, aligned, beside, folded, padded},
    page::{Text, behind},
};
use crate::{
    command::{
        failure::Failure,
        report::{Field, Part, Report, Table},
        view::short_time,
    },
    fleet::usage::POINTS,
    model::text::printable,
    tui::{
        table::Value,
        theme::{Look, Role},
        uses::sparkline,
    },
};

/// From so many cells on there are two columns: in each a key's fingerprint has room behind its label.
const TWO_COLUMNS: usize = 142;

/// Cells before what belongs to a title.
pub(super) const INDENT: usize = 2;

/// Longest piece of what was told, in characters.
const MAX_TEXT: usize = 300;

/// Cells of the names of what is used, and of its numbers.
pub(super) const LABEL: usize = 8;
const NUMBERS: usize = 18;
/// Cells of a bar.
const BAR: std::ops::RangeInclusive<usize> = 6..=40;
/// Cells of a line of history that can be read.
const LEAST_HISTORY: usize = 14;

/// Sections below each other, or beside each other where there is room: those of the left, and those of
/// the right, which come first in one column.
pub(super) fn columns(left: [Vec<Text>; 2], right: [Vec<Text>; 2], room: usize) -> Vec<Text> {
    if let Some(cells) = half(room) {
        return beside(&folded(left.concat(), cells), &folded(right.concat(), cells), cells);
    }
    let ([first, last], [above, below]) = (left, right);
    folded([above, first, below, last].concat(), room)
}

/// Cells of each of two columns, if there is room for two.
pub(super) fn half(room: usize) -> Option<usize> {
    (room >= TWO_COLUMNS).then_some(room.saturating_sub(GAP) / 2)
}

/// How wide things are: in cells.
#[derive(Clone, Copy)]
pub(super) struct Wide {
    bar: usize,
    pub(super) history: usize,
}

impl Wide {
    pub(super) fn of(room: usize) -> Self {
        let bar = (room / 4).clamp(*BAR.start(), *BAR.end());
        let history = room.saturating_sub(LABEL + bar + 2 + NUMBERS + 2);
        let history = history.min(POINTS);
        Self { bar, history: if history < LEAST_HISTORY { 0 } else { history } }
    }
}

/// A name, a bar, numbers, and how it was.
pub(super) fn resource(
    label: &str,
    value: &Value,
    history: &[Option<u8>],
    (wide, look): (Wide, Look),
) -> Text {
    let cells = u16::try_from(wide.bar).unwrap_or(u16::MAX);
    let role = if value.share.is_some() { value.role } else { Role::Faint };
    let past = if value.role == Role::Faint { Role::Faint } else { Role::Good };
    let history = sparkline(history, wide.history, look);
    vec![
        (format!("{label:<LABEL$}"), Role::Faint),
        (bar(value.share.unwrap_or(0.0), cells, look), role),
        (format!("  {}", padded(&value.text, NUMBERS)), value.role),
        (if history.trim().is_empty() { "  ".to_owned() } else { format!("  {history}") }, past),
    ]
}

/// What is wrong, and what `info` could not find out.
pub(super) fn problems(said: Option<&Result<Arc<Report>, Failure>>, room: usize) -> Vec<Text> {
    let told = |lead, text: &str, role| behind(lead, (&printable(text, MAX_TEXT), role), room);
    match said {
        None => Vec::new(),
        Some(Ok(report)) => {
            let notes = report.notes.iter();
            notes.flat_map(|note| told(("", Role::Text), note, Role::Warning)).collect()
        }
        Some(Err(failure)) => {
            let error = told(("error: ", Role::Bad), &failure.message, Role::Text);
            let hint = failure.hint.iter();
            let hint = hint.flat_map(|hint| told(("hint: ", Role::Key), hint, Role::Text));
            error.into_iter().chain(hint).collect()
        }
    }
}

/// A title, what belongs to it, and a blank line; nothing where there is nothing.
pub(super) fn section(title: &str, lines: Vec<Text>) -> Vec<Text> {
    if lines.is_empty() {
        return Vec::new();
    }
    let indented = lines.into_iter().map(|line| {
        let indent = (" ".repeat(INDENT), Role::Text);
        std::iter::once(indent).chain(line).collect()
    });
    std::iter::once(vec![(title.to_owned(), Role::Title)])
        .chain(indented)
        .chain([Text::new()])
        .collect()
}

/// A cell of a list as a piece of a line.
pub(super) fn piece(value: &Value) -> (String, Role) {
    (value.text.clone(), value.role)
}

/// Labelled values, as many as are wanted.
pub(super) fn fields(
    report: Option<&Arc<Report>>,
    is_wanted: impl Fn(&&Field) -> bool,
) -> Vec<Text> {
    let parts = report.into_iter().flat_map(|report| &report.parts);
    let fields = parts.filter_map(|part| match part {
        Part::Fields(fields) => Some(fields),
        Part::Table(_) | Part::Text(_) => None,
    });
    let lines = fields.flatten().filter(is_wanted).flat_map(|field| {
        field.values.iter().enumerate().map(|(i, value)| {
            let label = if i == 0 { field.label } else { "" };
            let role = if field.label == "Problems" { Role::Warning } else { Role::Text };
            vec![(label.to_owned(), Role::Faint), (printable(value, MAX_TEXT), role)]
        })
    });
    aligned(lines.collect())
}

/// A cell of a list with words around it; nothing where it has nothing.
pub(super) fn words(lead: &str, value: Option<&Value>, behind: &str) -> Text {
    let Some(value) = value.filter(|value| value.text != "-") else { return Text::new() };
    let faint = |text: &str| (text.to_owned(), Role::Faint);
    vec![faint(lead), piece(value), faint(behind)]
}

/// What the ledger says, the newest first, as far as it is wanted.
pub(super) fn records(
    told: Option<&Result<Arc<Report>, Failure>>,
    is_wanted: impl Fn(&[String]) -> bool,
) -> Vec<Text> {
    let table = match told {
        None => return vec![vec![("asking ...".to_owned(), Role::Faint)]],
        Some(Err(failure)) => {
            return vec![vec![(printable(&failure.message, MAX_TEXT), Role::Bad)]];
        }
        Some(Ok(report)) => report.parts.iter().find_map(|part| match part {
            Part::Table(table) => Some(table),
            Part::Fields(_) | Part::Text(_) => None,
        }),
    };
    let rows = table.into_iter().flat_map(|table: &Table| table.rows.iter().rev());
    let lines: Vec<_> = rows.filter(|cells| is_wanted(cells)).map(|cells| record(cells)).collect();
    if lines.is_empty() {
        return vec![vec![("nothing is recorded of it".to_owned(), Role::Faint)]];
    }
    aligned(lines)
}

/// Time, kind, person and event of a row of `audit`.
fn record(cells: &[String]) -> Text {
    let cell = |i: usize| printable(cells.get(i).map_or("", String::as_str), MAX_TEXT);
    let role = Role::of_record(&cell(2));
    vec![
        (short_time(&cell(1)), Role::Faint),
        (cell(2), role),
        (cell(3), Role::Text),
        (cell(6), Role::Text),
    ]
}
