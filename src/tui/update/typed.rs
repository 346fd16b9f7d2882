//! The line at the bottom: a filter, or a command.

use super::{Action, run};
use crate::{
    command::{self, Manner, key_arg::is_private},
    tui::{
        complete,
        input::{Code, Key},
        line::Line,
        state::{Answer, Page, Prompt, State},
        theme::Role,
    },
};

/// Commands that are remembered.
const MAX_TYPED: usize = 200;

/// Begins a filter.
pub(super) fn filter(state: &mut State) {
    let Some(before) = state.table().map(|table| table.filter().to_owned()) else { return };
    state.prompt = Some(Prompt::Filter(Line::new(before.clone()), before));
}

/// Begins a command.
pub(super) fn command(state: &mut State) {
    state.prompt = Some(Prompt::Command(Line::default(), 0));
}

pub(super) fn on_paste(state: &mut State, text: &str) {
    if is_private(text) {
        super::remark(state, "that is a private key: it stays with you alone", Role::Bad);
        return;
    }
    if let Some(Prompt::Filter(line, _) | Prompt::Command(line, _)) = &mut state.prompt {
        line.paste(text);
    }
    follow(state);
}

pub(super) fn on_key(state: &mut State, key: Key) -> Vec<Action> {
    let Some(prompt) = state.prompt.take() else { return Vec::new() };
    match prompt {
        Prompt::Filter(_, before) if key.code == Code::Esc => {
            state.table_mut().into_iter().for_each(|table| table.set_filter(&before));
        }
        Prompt::Command(..) if key.code == Code::Esc => {}
        Prompt::Filter(line, before) => {
            if key.code != Code::Enter {
                state.prompt = Some(Prompt::Filter(pressed(line, key), before));
                follow(state);
            }
        }
        Prompt::Command(line, back) => return on_command(state, line, back, key),
    }
    Vec::new()
}

fn pressed(mut line: Line, key: Key) -> Line {
    line.press(key);
    line
}

/// The list shows what the filter says while it is typed.
fn follow(state: &mut State) {
    let Some(Prompt::Filter(line, _)) = &state.prompt else { return };
    let words = line.text().to_owned();
    state.table_mut().into_iter().for_each(|table| table.set_filter(&words));
}

#[expect(clippy::wildcard_enum_match_arm, reason = "other keys are the line's")]
fn on_command(state: &mut State, line: Line, back: usize, key: Key) -> Vec<Action> {
    match key.code {
        Code::Enter => return enter(state, line.text()),
        // Nothing left to erase: it is given up.
        Code::Backspace if line.text().is_empty() => return Vec::new(),
        Code::Up | Code::Down => {
            let back = if key.code == Code::Up { back + 1 } else { back.saturating_sub(1) };
            let back = back.min(state.typed.len());
            let earlier = state.typed.len().checked_sub(back).and_then(|i| state.typed.get(i));
            let line = Line::new(earlier.cloned().unwrap_or_default());
            state.prompt = Some(Prompt::Command(line, back));
        }
        Code::Tab => {
            let names = complete::names(&state.facts);
            let completed = complete::complete(line.text(), &names);
            if completed.candidates.len() > 1 {
                super::remark(state, completed.candidates.join("  "), Role::Faint);
            }
            state.prompt = Some(Prompt::Command(Line::new(completed.text), back));
        }
        _ => state.prompt = Some(Prompt::Command(pressed(line, key), back)),
    }
    Vec::new()
}

fn enter(state: &mut State, text: &str) -> Vec<Action> {
    let text = text.trim();
    if text.is_empty() {
        return Vec::new();
    }
    state.typed.retain(|typed| typed != text);
    state.typed.push(text.to_owned());
    if state.typed.len() > MAX_TYPED {
        state.typed.remove(0);
    }
    let Some(words) = shlex::split(text) else {
        super::remark(state, "unbalanced quotes", Role::Bad);
        return Vec::new();
    };
    match words.first().map(String::as_str) {
        Some("q" | "quit" | "exit") if words.len() == 1 => vec![Action::Leave],
        _ => match command::manner(&words) {
            Manner::Tells => {
                state.pages.push(Page::Answer(words.clone(), Answer::default()));
                vec![Action::Ask(words)]
            }
            Manner::Works => run(state, words, true),
            Manner::TakesTerminal => vec![Action::Lend(words)],
        },
    }
}
