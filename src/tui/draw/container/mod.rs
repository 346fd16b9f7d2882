//! The page of a container: everything about it at once.

use std::sync::Arc;

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::{bar, page::Text};
use crate::{
    command::{
        failure::Failure,
        report::{Field, Part, Report, Table},
    },
    model::text::printable,
    tui::{
        facts::About,
        keymap::Tab,
        state::{Answer, State},
        table::{Row, Value},
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

/// What `info` says that is seen elsewhere on the page.
const SEEN: [&str; 7] = ["Name", "Owner", "State", "Backend", "CPU", "Memory", "Disk"];
/// Who comes in, which is looked for first.
const ACCESS: [&str; 2] = ["Keys", "Collaborators"];

/// All lines of the page, for so many cells.
pub(super) fn lines(state: &State, name: &str, answer: &Answer, room: usize) -> Vec<Text> {
    let rows = state.facts.rows.get(&Tab::Containers);
    let row = rows.into_iter().flatten().find(|row| row.id == name);
    let mut lines = match row {
        Some(row) => present(state, row, room),
        None => gone(state, name),
    };
    let ledger = section("Ledger", ledger(answer));
    if row.is_none() {
        lines.extend(ledger);
        return lines;
    }
    let report = answer.said.as_ref().and_then(|said| said.as_ref().ok());
    let problems = problems(answer.said.as_ref());
    if !problems.is_empty() {
        lines.extend(problems);
        lines.push(Text::new());
    }
    let sessions = section("Sessions", sessions(state, name));
    let is_access = |field: &&Field| ACCESS.contains(&field.label);
    let access = fields(report, is_access);
    let about = fields(report, |field| !is_access(field) && !SEEN.contains(&field.label));
    let (access, about) = (section("Access", access), section("About", about));
    if room < TWO_COLUMNS {
        return [lines, sessions, access, ledger, about].concat();
    }
    let half = (room - GAP) / 2;
    lines.extend(beside(&[access, about].concat(), &[sessions, ledger].concat(), half));
    lines
}

fn present(state: &State, row: &Row, room: usize) -> Vec<Text> {
    let nothing = About::default();
    let About { used, .. } = state.facts.about.get(&row.id).unwrap_or(&nothing);
    let [cpu, memory, disk] = used.full();
    let [cpu_history, memory_history] = used.history();
    let wide = Wide::of(room);
    let caption = if cpu_history.is_empty() || wide.history == 0 { "" } else { "last 3 minutes" };
    vec![
        summary(row),
        Text::new(),
        resource("CPU", &cpu, &cpu_history, (wide, state.look)),
        resource("Memory", &memory, &memory_history, (wide, state.look)),
        [resource("Disk", &disk, &[], (wide, state.look)), vec![(caption.to_owned(), Role::Faint)]]
            .concat(),
        Text::new(),
    ]
}

/// State, host, address, owner, age and sessions in one line.
fn summary(row: &Row) -> Text {
    let cell = |i: usize| row.cells.get(i).filter(|value| value.text != "-");
    let piece = |lead: &str, value: Option<&Value>, behind: &str| match value {
        Some(value) => vec![
            (lead.to_owned(), Role::Faint),
            (value.text.clone(), value.role),
            (behind.to_owned(), Role::Faint),
        ],
        None => Text::new(),
    };
    // The columns of the list: owner, state, host, address, sessions, age.
    [
        piece("", cell(2), ""),
        piece("  on ", cell(3), ""),
        piece("  at ", cell(4), ""),
        piece("  of ", cell(1), ""),
        piece("  made ", cell(9), " ago"),
    ]
    .concat()
}

/// How wide things are.
#[derive(Clone, Copy)]
struct Wide {
    bar: usize,
    history: usize,
}

impl Wide {
    fn of(room: usize) -> Self {
        let bar = (room / 4).clamp(*BAR.start(), *BAR.end());
        let history = room.saturating_sub(LABEL + bar + 2 + NUMBERS + 2);
        let history = history.min(crate::fleet::usage::POINTS);
        Self { bar, history: if history < LEAST_HISTORY { 0 } else { history } }
    }
}

fn resource(
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

fn gone(state: &State, name: &str) -> Vec<Text> {
    if state.facts.rows.is_empty() {
        return vec![vec![("asking ...".to_owned(), Role::Faint)]];
    }
    let mark = state.look.glyphs().wrong;
    let text = format!("{mark} there is no container {name} (any more); Esc leads back");
    vec![vec![(text, Role::Warning)], Text::new()]
}

/// What is wrong, and what `info` could not find out.
fn problems(said: Option<&Result<Arc<Report>, Failure>>) -> Vec<Text> {
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
fn section(title: &str, lines: Vec<Text>) -> Vec<Text> {
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

fn sessions(state: &State, name: &str) -> Vec<Text> {
    let ids = state.facts.about.get(name).map(|about| about.sessions.as_slice());
    let ids = ids.unwrap_or_default();
    let rows = state.facts.rows.get(&Tab::Sessions).into_iter().flatten();
    let rows: Vec<_> = rows.filter(|row| ids.contains(&row.id)).collect();
    if rows.is_empty() {
        return vec![vec![("nobody is connected".to_owned(), Role::Faint)]];
    }
    // The columns of the list: number, state, since, who, from.
    let cells = |row: &&Row| row.cells.iter().take(5).map(piece).collect();
    aligned(rows.iter().map(cells).collect())
}

fn piece(value: &Value) -> (String, Role) {
    (value.text.clone(), value.role)
}

fn fields(report: Option<&Arc<Report>>, is_wanted: impl Fn(&&Field) -> bool) -> Vec<Text> {
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

/// What the ledger says of it, the newest first.
fn ledger(answer: &Answer) -> Vec<Text> {
    let table = match &answer.ledger {
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
    let lines: Vec<_> = rows.map(|cells| record(cells)).collect();
    if lines.is_empty() {
        return vec![vec![("nothing is recorded of it".to_owned(), Role::Faint)]];
    }
    aligned(lines)
}

/// Time, kind, person and event of a row of `audit`.
fn record(cells: &[String]) -> Text {
    let cell = |i: usize| printable(cells.get(i).map_or("", String::as_str), MAX_TEXT);
    // Without year and seconds.
    let time: String = cell(1).chars().skip(5).take(11).collect();
    let role = match cell(2).as_str() {
        "refused" | "ban" => Role::Warning,
        _ => Role::Text,
    };
    vec![(time, Role::Faint), (cell(2), role), (cell(3), Role::Text), (cell(6), Role::Text)]
}

/// Rows whose pieces stand below each other; the last is as long as it is.
fn aligned(mut rows: Vec<Text>) -> Vec<Text> {
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
mod tests;
