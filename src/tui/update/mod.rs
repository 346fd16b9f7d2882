//! What happened, and what follows from it. Pure: all that has an effect outside is an [`Action`].

mod deed;
mod told;
mod typed;

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use ratatui::layout::Position;

use super::{
    draw,
    input::{Act, Input, Mouse},
    keymap::{Intent, LEAVES_ALWAYS, Place, Tab, intent},
    layout,
    state::{Answer, Dialogue, Ended, Facts, Page, Remark, State, Words, WorkId},
    table::Move,
    theme::Role,
};
use crate::command::{failure::Failure, report::Report, terminal::Size};

/// How long a remark is shown.
const REMARK: SignedDuration = SignedDuration::from_secs(8);

/// Pieces of work that are remembered.
const MAX_WORKS: usize = 50;

/// Lines that are remembered of each.
const MAX_STEPS: usize = 1000;

/// What happened.
#[derive(Debug, Clone)]
pub enum Event {
    /// Somebody did something.
    Input(Input),
    /// The terminal has another size.
    Size(Size),
    /// Time went by.
    Tick(Timestamp),
    /// The fleet changed.
    Facts(Arc<Facts>),
    /// A question was answered.
    Answered(Words, Result<Arc<Report>, Failure>),
    /// Work said something: a printable line.
    Said(WorkId, String),
    /// Work ended.
    Ended(WorkId, Result<Arc<Report>, Failure>),
    /// A command gave the terminal back.
    Returned(Words, Result<Arc<Report>, Failure>),
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Leave.
    Leave,
    /// Draw everything anew.
    Redraw,
    /// Ask.
    Ask(Words),
    /// Begin work.
    Run(WorkId, Words),
    /// Ask work to stop.
    Stop(WorkId),
    /// Leave the terminal to this command until it ends.
    Lend(Words),
}

/// What follows.
pub fn update(state: &mut State, event: Event) -> Vec<Action> {
    let depth = state.pages.len();
    let actions = decide(state, event);
    if state.pages.len() != depth {
        state.at = None;
    }
    let room = layout::body(state).height;
    state.table_mut().into_iter().for_each(|table| table.drawn(usize::from(room)));
    actions
}

fn decide(state: &mut State, event: Event) -> Vec<Action> {
    match event {
        Event::Input(input) => return on_input(state, input),
        Event::Size(size) => state.size = size,
        Event::Tick(now) => {
            state.now = now;
            state.remark = state.remark.take().filter(|remark| remark.until > now);
        }
        Event::Facts(facts) => {
            let before = std::mem::replace(&mut state.facts, facts);
            let differs = |tab: &Tab| before.rows.get(tab) != state.facts.rows.get(tab);
            let changed: Vec<_> = Tab::ALL.into_iter().filter(differs).collect();
            for tab in changed {
                told::arrange(state, tab);
            }
        }
        Event::Answered(words, result) => on_answer(state, &words, &result),
        Event::Said(id, line) => {
            if let Some(work) = state.works.iter_mut().find(|work| work.id == id)
                && work.steps.len() < MAX_STEPS
            {
                work.steps.push((state.now, line));
            }
        }
        Event::Ended(id, result) => on_end(state, id, result),
        Event::Returned(words, result) => on_return(state, &words, &result),
    }
    Vec::new()
}

/// Says something at the bottom.
pub(super) fn remark(state: &mut State, text: impl Into<String>, role: Role) {
    let until = state.now.checked_add(REMARK).unwrap_or(Timestamp::MAX);
    state.remark = Some(Remark { text: text.into(), role, until });
}

/// Begins work that is said in these words.
pub(super) fn run(state: &mut State, words: Words, typed: bool) -> Vec<Action> {
    let id = state.works.last().map_or(1, |work| work.id + 1);
    let line = shlex::try_join(words.iter().map(String::as_str)).unwrap_or_default();
    let (steps, since) = (Vec::new(), state.now);
    state.works.push(super::state::Work { id, line, typed, steps, since, end: None });
    // What is under way is never forgotten.
    while state.works.len() > MAX_WORKS {
        let Some(oldest) = state.works.iter().position(|work| work.end.is_some()) else { break };
        state.works.remove(oldest);
    }
    state.pages.push(Page::Work(id));
    vec![Action::Run(id, words)]
}

fn on_answer(state: &mut State, words: &Words, result: &Result<Arc<Report>, Failure>) {
    told::on_answer(state, words, result);
    if let Ok(report) = result {
        deed::on_answer(state, words, report);
    }
    for page in &mut state.pages {
        let is_host = page.host().is_some();
        match page {
            Page::Container(name, answer) if words[..] == ["info", name.as_str()] => {
                answer.said = Some(result.clone());
            }
            Page::Container(name, answer) if *words == told::ledger_of(name) => {
                answer.ledger = Some(result.clone());
            }
            Page::Answer(asked, answer) if asked == words => answer.said = Some(result.clone()),
            Page::Answer(_, answer) if is_host && *words == told::incidents() => {
                answer.ledger = Some(result.clone());
            }
            Page::Container(..)
            | Page::Answer(..)
            | Page::Work(_)
            | Page::Works
            | Page::Help(_)
            | Page::Row(..) => {}
        }
    }
}

fn on_end(state: &mut State, id: WorkId, result: Result<Arc<Report>, Failure>) {
    let at = state.now;
    let Some(work) = state.works.iter_mut().find(|work| work.id == id) else { return };
    let (text, role) = match &result {
        Ok(_) => (format!("done: {}", work.line), Role::Good),
        Err(failure) => (format!("failed: {}: {}", work.line, failure.message), Role::Bad),
    };
    // What went well and said nothing needs no page; what it changed is seen below.
    let is_dull = result.is_ok() && !work.typed && work.steps.is_empty();
    work.end = Some(Ended { at, result });
    let is_seen = state.pages.last() == Some(&Page::Work(id));
    if is_seen && is_dull {
        state.pages.pop();
    }
    if !is_seen || is_dull {
        remark(state, text, role);
    }
}

fn on_return(state: &mut State, words: &Words, result: &Result<Arc<Report>, Failure>) {
    match result {
        Ok(report) => {
            let note = report.notes.first().cloned();
            remark(
                state,
                note.unwrap_or_else(|| format!("{} ended", words.join(" "))),
                Role::Faint,
            );
        }
        Err(failure) => remark(state, failure.message.clone(), Role::Bad),
    }
}

fn on_input(state: &mut State, input: Input) -> Vec<Action> {
    match input {
        Input::Key(LEAVES_ALWAYS) => vec![Action::Leave],
        Input::Key(key) if state.dialogue.is_some() => deed::on_key(state, key),
        Input::Key(key) if state.prompt.is_some() => typed::on_key(state, key),
        Input::Key(key) => match intent(state.place(), key) {
            Some(intent) => on_intent(state, intent),
            None => Vec::new(),
        },
        Input::Paste(text) => {
            if state.dialogue.is_some() {
                deed::on_paste(state, &text);
            } else if state.prompt.is_some() {
                typed::on_paste(state, &text);
            } else {
                remark(
                    state,
                    "nothing to paste into here; `c` creates, `:` takes a command",
                    Role::Faint,
                );
            }
            Vec::new()
        }
        Input::Mouse(mouse) => on_mouse(state, mouse),
        // The driver's business.
        Input::Ready => Vec::new(),
    }
}

fn on_intent(state: &mut State, intent: Intent) -> Vec<Action> {
    match intent {
        Intent::Go(to) => return go(state, to),
        Intent::Page(pages) => {
            let room = isize::from(i16::try_from(layout::body(state).height).unwrap_or(i16::MAX));
            return go(state, Move::By(pages.saturating_mul(room.max(1))));
        }
        Intent::Open => return open(state),
        Intent::Back => back(state),
        Intent::Leave => return vec![Action::Leave],
        Intent::Help => state.pages.push(Page::Help(state.place())),
        Intent::Show(tab) => return show(state, tab),
        Intent::Turn(by) => {
            let at = Tab::ALL.iter().position(|tab| *tab == state.tab).unwrap_or(0);
            let at = at.wrapping_add_signed(by).wrapping_add(Tab::ALL.len()) % Tab::ALL.len();
            return show(state, Tab::ALL[at]);
        }
        Intent::Filter => typed::filter(state),
        Intent::Command => typed::command(state),
        Intent::Sort | Intent::Reverse | Intent::Group => arrange(state, intent),
        Intent::Follow => {
            if let Some(table) = state.table_mut() {
                table.follow(!table.is_following());
            }
        }
        Intent::Mark => {
            if let Some(table) = state.table_mut() {
                table.mark();
                table.go(Move::By(1));
            }
        }
        Intent::MarkAll => state.table_mut().into_iter().for_each(super::table::Table::mark_all),
        Intent::Redraw => return vec![Action::Redraw],
        Intent::Works => state.pages.push(Page::Works),
        Intent::Halt => {
            if let Some(Page::Work(id)) = state.pages.last() {
                return vec![Action::Stop(*id)];
            }
        }
        Intent::Logs => return deed::logs(state),
        Intent::Do(deed) => return deed::begin(state, deed),
    }
    Vec::new()
}

fn show(state: &mut State, tab: Tab) -> Vec<Action> {
    state.pages.clear();
    let before = std::mem::replace(&mut state.tab, tab);
    if tab == Tab::Containers {
        told::forget(state);
    }
    if before != tab
        && let Some(table) = state.table_mut()
    {
        table.enter();
    }
    told::question(tab).map(Action::Ask).into_iter().collect()
}

fn go(state: &mut State, to: Move) -> Vec<Action> {
    if let Some(table) = state.table_mut() {
        let was_at_end = table.is_at_end();
        table.go(to);
        let is_down = match to {
            Move::By(rows) => rows > 0,
            Move::Last => true,
            Move::First | Move::To(_) => false,
        };
        let is_at_end = is_down && table.is_at_end();
        return if is_at_end { told::on_end(state, was_at_end) } else { Vec::new() };
    }
    let room = usize::from(layout::body(state).height);
    let last = draw::height(state).saturating_sub(room);
    let moved = |at: usize, last: usize| match to {
        Move::By(rows) => at.min(last).saturating_add_signed(rows).min(last),
        Move::First => 0,
        Move::Last => last,
        Move::To(row) => row.min(last),
    };
    let oldest = state.works.len().saturating_sub(1);
    match state.pages.last_mut() {
        Some(Page::Container(_, answer) | Page::Answer(_, answer)) => {
            answer.top = moved(answer.top, last);
        }
        Some(Page::Help(_) | Page::Row(..)) => state.at = Some(moved(state.at.unwrap_or(0), last)),
        // One of them is chosen.
        Some(Page::Works) => state.at = Some(moved(state.at.unwrap_or(0), oldest)),
        // What it says next is seen as long as one is at its end.
        Some(Page::Work(_)) => {
            state.at = Some(moved(state.at.unwrap_or(last), last)).filter(|at| *at < last);
        }
        None => {}
    }
    Vec::new()
}

/// One step back: what is marked, filtered, or stands above.
fn back(state: &mut State) {
    if state.pages.pop().is_some() {
        return;
    }
    if let Some(table) = state.table_mut()
        && !table.unmark()
        && !table.filter().is_empty()
    {
        table.set_filter("");
    } else if state.tab != Tab::Containers {
        state.tab = Tab::Containers;
        told::forget(state);
    } else {
        remark(state, "this is the first screen; `q` leaves", Role::Faint);
    }
}

fn open(state: &mut State) -> Vec<Action> {
    if state.pages.last() == Some(&Page::Works) {
        let chosen = state.works.iter().rev().nth(state.at.unwrap_or(0)).map(|work| work.id);
        state.pages.extend(chosen.map(Page::Work));
        return Vec::new();
    }
    let Some(row) = state.table().and_then(|table| table.here()).cloned() else {
        return Vec::new();
    };
    let id = row.id.clone();
    let words = |words: &[&str]| words.iter().map(|w| (*w).to_owned()).collect::<Words>();
    let ask = match state.tab {
        Tab::Containers => return enter(state, &id),
        Tab::Hosts => words(&["backend", "info", &id]),
        Tab::Guard if deed::refused(state).is_none() => words(&["ban", "why", &id]),
        Tab::Guard | Tab::Sessions | Tab::Ledger => {
            state.pages.push(Page::Row(state.tab, row));
            return Vec::new();
        }
    };
    state.pages.push(Page::Answer(ask, Answer::default()));
    wanted(state).into_iter().map(Action::Ask).collect()
}

/// To the page of a container.
pub fn enter(state: &mut State, name: &str) -> Vec<Action> {
    state.pages.push(Page::Container(name.to_owned(), Answer::default()));
    wanted(state).into_iter().map(Action::Ask).collect()
}

fn arrange(state: &mut State, intent: Intent) {
    let columns = layout::columns(state.tab).len().max(1);
    let Some(table) = state.table_mut() else { return };
    match (intent, table.sort()) {
        (Intent::Reverse, Some(sort)) => table.sort_by(sort.column),
        (Intent::Reverse, None) => table.sort_by(0),
        (Intent::Group, _) => table.group_by(match table.group() {
            None => Some(layout::HOST),
            Some(layout::HOST) => Some(layout::OWNER),
            Some(_) => None,
        }),
        (_, sort) => table.sort_by(sort.map_or(0, |sort| (sort.column + 1) % columns)),
    }
}

fn on_mouse(state: &mut State, Mouse { act, column, row }: Mouse) -> Vec<Action> {
    match act {
        Act::WheelUp => go(state, Move::By(-3)),
        Act::WheelDown => go(state, Move::By(3)),
        Act::Release | Act::Drag => Vec::new(),
        Act::Press => on_click(state, column, row),
    }
}

fn on_click(state: &mut State, column: u16, row: u16) -> Vec<Action> {
    match layout::hit(state, column, row) {
        layout::Hit::Nothing => Vec::new(),
        layout::Hit::Tab(tab) => show(state, tab),
        layout::Hit::Heading(column) => {
            state.table_mut().into_iter().for_each(|table| table.sort_by(column));
            Vec::new()
        }
        layout::Hit::Row(place) => {
            let is_here = state.table().is_some_and(|table| table.place() == place);
            let actions = go(state, Move::To(place));
            if is_here { open(state) } else { actions }
        }
        layout::Hit::Page(cell) => on_page(state, cell),
        layout::Hit::Key(key) => on_input(state, Input::Key(key)),
        layout::Hit::Field(at, inside) => deed::on_field(state, at, inside),
        layout::Hit::Yes => deed::on_yes(state),
        layout::Hit::No => {
            state.dialogue = None;
            Vec::new()
        }
        layout::Hit::Outside => {
            // What was filled in is not lost by a click too many.
            state.dialogue.take_if(|dialogue| matches!(dialogue, Dialogue::Confirm(_)));
            Vec::new()
        }
    }
}

/// A click on what a page lists: containers are opened, work at the second.
fn on_page(state: &mut State, cell: Position) -> Vec<Action> {
    match draw::pointed(state, cell) {
        Some(draw::Pointed::Container(name)) => enter(state, &name),
        Some(draw::Pointed::Work(place)) => {
            let is_here = state.at.unwrap_or(0) == place;
            state.at = Some(place);
            if is_here { open(state) } else { Vec::new() }
        }
        None => Vec::new(),
    }
}

/// Whether a dialogue is open, for those who may not be disturbed.
#[must_use]
pub fn is_asking(state: &State) -> bool {
    match &state.dialogue {
        Some(Dialogue::Confirm(_) | Dialogue::Form(_)) => true,
        None => state.prompt.is_some(),
    }
}

/// Where somebody is, for what is asked for on her behalf.
#[must_use]
pub fn wanted(state: &State) -> Vec<Words> {
    match (state.pages.last(), state.place()) {
        (Some(Page::Container(name, _)), _) => {
            vec![vec!["info".to_owned(), name.clone()], told::ledger_of(name)]
        }
        (Some(page @ Page::Answer(words, _)), _) => {
            let incidents = page.host().map(|_| told::incidents());
            std::iter::once(words.clone()).chain(incidents).collect()
        }
        (None, Place::Tab(tab)) => told::question(tab).into_iter().collect(),
        (Some(Page::Work(_) | Page::Works | Page::Help(_) | Page::Row(..)), _)
        | (None, Place::Container | Place::Host | Place::Page | Place::Work | Place::Works) => {
            Vec::new()
        }
    }
}
