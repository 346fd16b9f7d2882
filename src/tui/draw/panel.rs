//! Pieces that pages about one thing are made of.

use std::sync::Arc;

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::{bar, page::Text};
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

/// From so many cells on there are two columns, with this many between them.
const TWO_COLUMNS: usize = 116;
const GAP: usize = 4;

/// Longest piece of what was told, in characters.
const MAX_TEXT: usize = 300;

/// Cells of the names of what is used, and of its numbers.
const LABEL: usize = 8;
const NUMBERS: usize = 18;
/// Cells of a bar.
const BAR: std::ops::RangeInclusive<usize> = 6..=40;
/// Cells of a line of history that can be read.
const LEAST_HISTORY: usize = 14;

/// Sections below each other, or beside each other where there is room: those of the left, and those of
/// the right, which come first in one column.
pub(super) fn columns(left: [Vec<Text>; 2], right: [Vec<Text>; 2], room: usize) -> Vec<Text> {
    if room >= TWO_COLUMNS {
        return beside(&left.concat(), &right.concat(), (room - GAP) / 2);
    }
    let ([first, last], [above, below]) = (left, right);
    [above, first, below, last].concat()
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
pub(super) fn problems(said: Option<&Result<Arc<Report>, Failure>>) -> Vec<Text> {
    let warning = |note: &String| vec![(printable(note, MAX_TEXT), Role::Warning)];
    match said {
        None => Vec::new(),
        Some(Ok(report)) => report.notes.iter().map(warning).collect(),
        Some(Err(failure)) => {
            let error = vec![
                ("error: ".to_owned(), Role::Bad),
                (printable(&failure.message, MAX_TEXT), Role::Text),
            ];
            let hint = failure.hint.iter().map(|hint| {
                vec![("hint: ".to_owned(), Role::Key), (printable(hint, MAX_TEXT), Role::Text)]
            });
            std::iter::once(error).chain(hint).collect()
        }
    }
}

/// A title, what belongs to it, and a blank line; nothing where there is nothing.
pub(super) fn section(title: &str, lines: Vec<Text>) -> Vec<Text> {
    if lines.is_empty() {
        return Vec::new();
    }
    let indented = lines.into_iter().map(|line| {
        let indent = ("  ".to_owned(), Role::Text);
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

/// Rows whose pieces stand below each other; the last is as long as it is.
pub(super) fn aligned(mut rows: Vec<Text>) -> Vec<Text> {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    for column in 0..columns.saturating_sub(1) {
        let cells = rows.iter().filter_map(|row| row.get(column));
        let width = cells.map(|(text, _)| text.width()).max().unwrap_or(0);
        for (text, _) in rows.iter_mut().filter_map(|row| row.get_mut(column)) {
            *text = padded(text, width + 2);
        }
    }
    rows
}

/// Two lists of lines beside each other, of so many cells each.
fn beside(left: &[Text], right: &[Text], cells: usize) -> Vec<Text> {
    let line = |i: usize| {
        let left = fitted(left.get(i).map_or(&[], Vec::as_slice), cells);
        let right = right.get(i).cloned().unwrap_or_default();
        [left, vec![(" ".repeat(GAP), Role::Text)], right].concat()
    };
    (0..left.len().max(right.len())).map(line).collect()
}

/// As much of a line as fits, and blanks.
fn fitted(line: &[(String, Role)], cells: usize) -> Text {
    let mut left = cells;
    let mut fitted = Text::new();
    for (text, role) in line {
        let mut kept = String::new();
        for c in text.chars() {
            let width = c.width().unwrap_or(0);
            if width > left {
                left = 0;
                break;
            }
            left -= width;
            kept.push(c);
        }
        fitted.push((kept, *role));
    }
    let used: usize = fitted.iter().map(|(text, _)| text.width()).sum();
    fitted.push((" ".repeat(cells.saturating_sub(used)), Role::Text));
    fitted
}

fn padded(text: &str, cells: usize) -> String {
    format!("{text}{}", " ".repeat(cells.saturating_sub(text.width())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_of_cells_and_never_longer() {
        let line = |text: &str| vec![(text.to_owned(), Role::Text), ("x".to_owned(), Role::Faint)];
        for (text, kept) in [("ab", "abx  "), ("abcdefg", "abcde"), ("四四四", "四四 ")] {
            let fitted: String = fitted(&line(text), 5).into_iter().map(|(text, _)| text).collect();
            assert_eq!(fitted, kept);
        }
        let rows = aligned(vec![line("a"), line("四")]);
        assert_eq!((rows[0][0].0.as_str(), rows[1][0].0.as_str()), ("a   ", "四  "));
    }
}
