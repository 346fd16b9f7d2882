//! Rows that the sentinel has to be asked for: the ledger, what was refused, and sessions that ended.

use std::{collections::BTreeSet, sync::Arc};

use super::{Action, remark};
use crate::{
    command::{failure::Failure, report::Report},
    tui::{
        keymap::Tab,
        records,
        state::{State, USUAL, Words},
        table::Row,
        theme::Role,
    },
};

/// Rows that are asked for at most, once each time that somebody wants older ones: reading them takes
/// `SQLite` some 40 ms.
const MOST: usize = 5000;

/// Records that are asked for on the page of a host, and of a container.
const MANY: &str = "200";
const FEW: &str = "20";

/// What has to be asked for a screen.
pub(super) fn question(tab: Tab) -> Option<Words> {
    newest(tab, USUAL)
}

fn newest(tab: Tab, limit: usize) -> Option<Words> {
    let words: &[&str] = match tab {
        Tab::Sessions => &["session", "list", "--past"],
        Tab::Guard => &["audit", "--kind", "refused"],
        Tab::Ledger => &["audit"],
        Tab::Containers | Tab::Hosts => return None,
    };
    let limit = ["--limit".to_owned(), limit.to_string()];
    Some(words.iter().map(|word| (*word).to_owned()).chain(limit).collect())
}

/// Somebody came to the last row, or was there and wants to go on: twice as many are asked for.
pub(super) fn on_end(state: &mut State, goes_on: bool) -> Vec<Action> {
    let (tab, limit) = (state.tab, state.limit(state.tab));
    if !state.has_older(tab) {
        return Vec::new();
    }
    if !goes_on {
        remark(state, format!("these are of the newest {limit}; End loads older"), Role::Faint);
        return Vec::new();
    }
    if limit >= MOST {
        let command = question(tab).unwrap_or_default();
        let command = command.split(|word| word == "--limit").next().unwrap_or_default().join(" ");
        let text =
            format!("no more than {MOST} are shown; `:{command} --until TIME` tells older ones");
        remark(state, text, Role::Faint);
        return Vec::new();
    }
    let limit = (2 * limit).min(MOST);
    state.limits.insert(tab, limit);
    remark(state, format!("asking for the newest {limit}"), Role::Faint);
    newest(tab, limit).map(Action::Ask).into_iter().collect()
}

/// Forgets older rows, everywhere.
pub(super) fn forget(state: &mut State) {
    for (tab, _) in std::mem::take(&mut state.limits) {
        state.told.entry(tab).or_default().truncate(USUAL);
        arrange(state, tab);
    }
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
    let is_of = |tab: Tab, limit| newest(tab, limit).as_ref() == Some(words);
    let meant = |tab: &Tab| is_of(*tab, USUAL) || is_of(*tab, state.limit(*tab));
    let Some(tab) = Tab::ALL.into_iter().find(meant) else { return };
    match result {
        Ok(report) => {
            let rows = records::rows(tab, report, state.now);
            let mut rows: Vec<_> = rows.into_iter().map(Arc::new).collect();
            if is_of(tab, USUAL) {
                keep_older(state, tab, &mut rows);
            }
            state.told.insert(tab, rows);
            arrange(state, tab);
        }
        Err(failure) => {
            if !is_of(tab, USUAL) {
                // It is asked again when somebody wants it again.
                let known = state.told.get(&tab).map_or(0, Vec::len);
                state.limits.insert(tab, known.max(USUAL));
            }
            let text = format!("{}: {}", words.join(" "), failure.message);
            remark(state, text, Role::Bad);
        }
    }
}

/// Puts older rows, which nobody asks for again, behind the newest.
fn keep_older(state: &mut State, tab: Tab, rows: &mut Vec<Arc<Row>>) {
    let limit = state.limit(tab);
    if limit == USUAL {
        return;
    }
    let known = state.told.remove(&tab).unwrap_or_default();
    let is_oldest =
        |row: &Arc<Row>| rows.last().is_some_and(|last| row.id == last.id && row.full == last.full);
    let Some(place) = known.iter().position(is_oldest) else {
        // More came meanwhile than are asked for: there would be a gap.
        state.limits.remove(&tab);
        return;
    };
    let mut older: Vec<_> = known.into_iter().skip(place + 1).collect();
    if tab == Tab::Guard {
        for row in &mut older {
            records::age_again(Arc::make_mut(row), state.now);
        }
    }
    rows.append(&mut older);
    rows.truncate(limit);
}

/// Shows what is known, and behind it what was told.
pub(super) fn arrange(state: &mut State, tab: Tab) {
    let mut rows = state.facts.rows.get(&tab).cloned().unwrap_or_default();
    if let Some(told) = state.told.get(&tab) {
        let known: BTreeSet<_> = rows.iter().map(|row| row.id.as_str()).collect();
        let told = told.iter().filter(|row| !known.contains(row.id.as_str()));
        rows = rows.iter().chain(told).cloned().collect();
    }
    state.tables.entry(tab).or_default().set(rows);
}
