//! The page of a container: everything about it at once.

use std::sync::Arc;

use super::{
    lines::{aligned, flow, folded},
    page::Text,
    panel::{Wide, columns, fields, piece, problems, records, resource, section, words},
};
use crate::{
    command::report::Field,
    tui::{
        facts::About,
        keymap::Tab,
        state::{Answer, State},
        table::Row,
        theme::Role,
    },
};

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
        None => folded(gone(state, name), room),
    };
    let ledger = section("Ledger", records(answer.ledger.as_ref(), |_| true));
    if row.is_none() {
        lines.extend(folded(ledger, room));
        return lines;
    }
    let report = answer.said.as_ref().and_then(|said| said.as_ref().ok());
    let problems = problems(answer.said.as_ref(), room);
    if !problems.is_empty() {
        lines.extend(problems);
        lines.push(Text::new());
    }
    let sessions = section("Sessions", sessions(state, name));
    let is_access = |field: &&Field| ACCESS.contains(&field.label);
    let access = fields(report, is_access);
    let about = fields(report, |field| !is_access(field) && !SEEN.contains(&field.label));
    let (access, about) = (section("Access", access), section("About", about));
    lines.extend(columns([access, about], [sessions, ledger], room));
    lines
}

fn present(state: &State, row: &Row, room: usize) -> Vec<Text> {
    let nothing = About::default();
    let About { used, .. } = state.facts.about(&row.id).unwrap_or(&nothing);
    let [cpu, memory, disk] = used.full();
    let [cpu_history, memory_history] = used.history();
    let wide = Wide::of(room);
    let caption = if cpu_history.is_empty() || wide.history == 0 { "" } else { "last 3 minutes" };
    let mut lines = summary(row, room);
    lines.extend([
        Text::new(),
        resource("CPU", &cpu, &cpu_history, (wide, state.look)),
        resource("Memory", &memory, &memory_history, (wide, state.look)),
        [resource("Disk", &disk, &[], (wide, state.look)), vec![(caption.to_owned(), Role::Faint)]]
            .concat(),
        Text::new(),
    ]);
    lines
}

/// State, host, address, owner and age.
fn summary(row: &Row, room: usize) -> Vec<Text> {
    let cell = |i: usize| row.cells.get(i);
    // The columns of the list.
    let texts = [
        words("", cell(2), ""),
        words("on ", cell(3), ""),
        words("at ", cell(4), ""),
        words("of ", cell(1), ""),
        words("made ", cell(9), " ago"),
    ];
    flow(texts, room)
}

fn gone(state: &State, name: &str) -> Vec<Text> {
    if state.facts.rows.is_empty() {
        return vec![vec![("asking ...".to_owned(), Role::Faint)]];
    }
    let mark = state.look.glyphs().wrong;
    let text = format!("{mark} there is no container {name} (any more); Esc leads back");
    vec![vec![(text, Role::Warning)], Text::new()]
}

fn sessions(state: &State, name: &str) -> Vec<Text> {
    let ids = state.facts.about(name).map(|about| about.sessions.as_slice());
    let ids = ids.unwrap_or_default();
    let rows = state.facts.rows.get(&Tab::Sessions).into_iter().flatten();
    let rows: Vec<_> = rows.filter(|row| ids.contains(&row.id)).collect();
    if rows.is_empty() {
        return vec![vec![("nobody is connected".to_owned(), Role::Faint)]];
    }
    // The columns of the list: number, state, since, who, from.
    let cells = |row: &&Arc<Row>| row.cells.iter().take(5).map(piece).collect();
    aligned(rows.iter().map(cells).collect())
}

#[cfg(test)]
mod tests;
