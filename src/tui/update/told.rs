//! Rows that the sentinel has to be asked for: the ledger, and sessions that ended.

use std::{collections::BTreeSet, sync::Arc};

use crate::{
    command::{
        failure::Failure,
        report::{Part, Report},
        view::short_time,
    },
    model::text::printable,
    tui::{
        keymap::Tab,
        state::{State, Words},
        table::{Row, Value},
        theme::Role,
    },
};

/// Rows that are asked for.
const MANY: &str = "200";

/// The same of one container.
const FEW: &str = "20";

/// Longest text of a cell, in characters.
const MAX_CELL: usize = 300;

/// What has to be asked for a screen.
pub(super) fn question(tab: Tab) -> Option<Words> {
    let words: &[&str] = match tab {
        Tab::Sessions => &["session", "list", "--past", "--limit", MANY],
        Tab::Ledger => &["audit", "--limit", MANY],
        Tab::Containers | Tab::Hosts | Tab::Guard => return None,
    };
    Some(words.iter().map(|word| (*word).to_owned()).collect())
}

/// What has to be asked for the end of a container's page.
pub(super) fn ledger_of(name: &str) -> Words {
    ["audit", name, "--limit", FEW].map(str::to_owned).into()
}

/// The same for the page of a host.
pub(super) fn incidents() -> Words {
    ["audit", "--kind", "host,recovery", "--limit", MANY].map(str::to_owned).into()
}

/// Puts what was told where it is shown.
pub(super) fn on_answer(state: &mut State, words: &Words, result: &Result<Arc<Report>, Failure>) {
    let Some(tab) = Tab::ALL.into_iter().find(|tab| question(*tab).as_ref() == Some(words)) else {
        return;
    };
    match result {
        Ok(report) => {
            state.told.insert(tab, rows(tab, report));
            arrange(state, tab);
        }
        Err(failure) => {
            let text = format!("{}: {}", words.join(" "), failure.message);
            super::remark(state, text, Role::Bad);
        }
    }
}

/// Shows what is known, and behind it what was told.
pub(super) fn arrange(state: &mut State, tab: Tab) {
    let mut rows = state.facts.rows.get(&tab).cloned().unwrap_or_default();
    let known: BTreeSet<_> = rows.iter().map(|row| row.id.clone()).collect();
    let told = state.told.get(&tab).into_iter().flatten();
    rows.extend(told.filter(|row| !known.contains(&row.id)).cloned());
    state.tables.entry(tab).or_default().set(rows);
}

/// The rows of a report's table, the newest first.
fn rows(tab: Tab, report: &Report) -> Vec<Row> {
    let tables = report.parts.iter().filter_map(|part| match part {
        Part::Table(table) => Some(table),
        Part::Fields(_) | Part::Text(_) => None,
    });
    let rows = tables.flat_map(|table| &table.rows).zip(&report.names);
    let mut rows: Vec<_> =
        rows.map(|(cells, id)| Row { id: id.clone(), cells: self::cells(tab, cells) }).collect();
    rows.reverse();
    rows
}

fn cells(tab: Tab, cells: &[String]) -> Vec<Value> {
    let text = |i: usize, role| {
        Value::new(printable(cells.get(i).map_or("", String::as_str), MAX_CELL), role)
    };
    let plain = |i| text(i, Role::Text);
    let time = |i| {
        let time = text(i, Role::Faint);
        let short = short_time(&time.text);
        time.short(short)
    };
    match tab {
        Tab::Sessions => {
            let is_recorded = cells.last().is_some_and(|recordings| !recordings.is_empty());
            let state = if is_recorded { "recorded" } else { "ended" };
            let number = cells.first().and_then(|id| id.parse().ok()).unwrap_or(0.0);
            vec![
                plain(0).number(number),
                Value::new(state, Role::Faint),
                time(1),
                plain(3),
                plain(4),
                plain(5),
            ]
        }
        Tab::Ledger => {
            let role = cells.get(2).map_or(Role::Text, |kind| Role::of_record(kind));
            vec![time(1), text(2, role), plain(3), plain(5), plain(6)]
        }
        Tab::Containers | Tab::Hosts | Tab::Guard => Vec::new(),
    }
}
