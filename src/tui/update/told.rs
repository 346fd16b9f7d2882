//! Rows that the sentinel has to be asked for: the ledger, what was refused, and sessions that ended.

use std::{collections::BTreeSet, sync::Arc};

use crate::{
    command::{failure::Failure, report::Report},
    tui::{
        keymap::Tab,
        records,
        state::{State, Words},
        theme::Role,
    },
};

/// Rows that are asked for.
const MANY: &str = "200";

/// The same of one container.
const FEW: &str = "20";

/// What has to be asked for a screen.
pub(super) fn question(tab: Tab) -> Option<Words> {
    let words: &[&str] = match tab {
        Tab::Sessions => &["session", "list", "--past", "--limit", MANY],
        Tab::Ledger => &["audit", "--limit", MANY],
        Tab::Guard => &["audit", "--kind", "refused", "--limit", MANY],
        Tab::Containers | Tab::Hosts => return None,
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
            state.told.insert(tab, records::rows(tab, report, state.now));
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
