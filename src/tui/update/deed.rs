//! What is asked before something is done.

use super::{Action, remark, run};
use crate::{
    command::report::Report,
    model::source::Network,
    tui::{
        form::Step,
        forms,
        images::{self, Images},
        input::{Code, Key},
        keymap::{Deed, Tab},
        line::Line,
        state::{Confirm, Dialogue, Page, State, Words},
        table::Row,
        theme::Role,
    },
};

/// Begins something: at once where it does no harm, otherwise by asking.
pub(super) fn begin(state: &mut State, deed: Deed) -> Vec<Action> {
    if let Some(source) = refused(state) {
        return on_refused(state, deed, &source);
    }
    let ids = chosen(state);
    match (deed, ids.as_slice()) {
        (Deed::Create, _) => {
            let mut form = forms::create(&state.facts);
            images::relate(&mut form, &state.images, &state.facts.choices);
            state.dialogue = Some(Dialogue::Form(form));
            vec![Action::Ask(images::QUESTION.map(str::to_owned).to_vec())]
        }
        (_, []) => {
            remark(state, "there is nothing here to do that to", Role::Faint);
            Vec::new()
        }
        (Deed::Start | Deed::Drain | Deed::Resume, _) => act(state, deed, &ids),
        (Deed::Why, [id, ..]) => why(state, id),
        (Deed::Watch, [id, ..]) => {
            let has_ended = state.told.get(&Tab::Sessions).is_some_and(|told| {
                told.iter().any(|row| row.id == *id)
                    && !state
                        .facts
                        .rows
                        .get(&Tab::Sessions)
                        .is_some_and(|live| live.iter().any(|row| row.id == *id))
            });
            let verb = if has_ended { "play" } else { "watch" };
            vec![Action::Lend(["session", verb, id].map(str::to_owned).to_vec())]
        }
        (Deed::Shell, [id, ..]) => vec![Action::Lend(words(Deed::Shell, id))],
        (Deed::Stop | Deed::Restart | Deed::Kill | Deed::Lift | Deed::Delete, _) => {
            let name = (deed == Deed::Delete).then(|| match ids.as_slice() {
                [one] => (one.clone(), Line::default()),
                many => (format!("{} containers", many.len()), Line::default()),
            });
            state.dialogue = Some(Dialogue::Confirm(Confirm { deed, ids, name }));
            Vec::new()
        }
        (
            Deed::Resize
            | Deed::AddCollaborator
            | Deed::RemoveCollaborator
            | Deed::AddKey
            | Deed::RemoveKey,
            [id],
        ) => {
            let is_known = forms::known(id, state).is_some();
            state.dialogue = Some(Dialogue::Form(forms::about(deed, id, state)));
            if is_known {
                Vec::new()
            } else {
                vec![Action::Ask(vec!["info".to_owned(), id.clone()])]
            }
        }
        (
            Deed::Resize
            | Deed::AddCollaborator
            | Deed::RemoveCollaborator
            | Deed::AddKey
            | Deed::RemoveKey,
            _,
        ) => {
            remark(state, "that is done to one container; Esc takes the marks away", Role::Warning);
            Vec::new()
        }
    }
}

/// Shows what work on a container said, and goes on while it does.
pub(super) fn logs(state: &mut State) -> Vec<Action> {
    match chosen(state).as_slice() {
        [id, ..] => run(state, vec!["logs".to_owned(), id.clone()], true),
        [] => Vec::new(),
    }
}

fn why(state: &mut State, id: &str) -> Vec<Action> {
    let words = words(Deed::Why, id);
    state.pages.push(Page::Answer(words.clone(), super::Answer::default()));
    vec![Action::Ask(words)]
}

/// The source of the refused connection that one is at, where it is one.
pub(super) fn refused(state: &State) -> Option<String> {
    let row = state.table().filter(|_| state.tab == Tab::Guard)?.here()?;
    let is_ban = bans(state).any(|ban| ban.id == row.id);
    let source = || row.cells.first().map(|source| source.text.clone()).unwrap_or_default();
    (!is_ban).then(source)
}

fn bans(state: &State) -> impl Iterator<Item = &Row> {
    state.facts.rows.get(&Tab::Guard).into_iter().flatten().map(AsRef::as_ref)
}

/// Does to where a refused connection came from what is done to who is banned.
fn on_refused(state: &mut State, deed: Deed, source: &str) -> Vec<Action> {
    let Ok(address) = source.parse() else {
        remark(state, "that row tells of no single address", Role::Faint);
        return Vec::new();
    };
    if deed == Deed::Why {
        return why(state, source);
    }
    let keeps_out = |ban: &&Row| Network::parse(&ban.id).is_ok_and(|ban| ban.contains(address));
    let ids: Vec<_> = bans(state).filter(keeps_out).map(|ban| ban.id.clone()).collect();
    if ids.is_empty() {
        remark(state, format!("{source} is not banned"), Role::Faint);
    } else {
        state.dialogue = Some(Dialogue::Confirm(Confirm { deed, ids, name: None }));
    }
    Vec::new()
}

fn chosen(state: &State) -> Vec<String> {
    match state.pages.last() {
        None => state.table().map(crate::tui::table::Table::chosen).unwrap_or_default(),
        Some(Page::Container(name, _)) => vec![name.clone()],
        Some(page @ Page::Answer(..)) => page.host().map(str::to_owned).into_iter().collect(),
        Some(Page::Work(_) | Page::Works | Page::Help(_) | Page::Row(..)) => Vec::new(),
    }
}

/// Does it, to each.
fn act(state: &mut State, deed: Deed, ids: &[String]) -> Vec<Action> {
    let many = ids.len() > 1;
    let actions = ids.iter().flat_map(|id| run(state, words(deed, id), false)).collect();
    if many {
        // One page tells of all.
        state.pages.retain(|page| !matches!(page, Page::Work(_)));
        state.pages.push(Page::Works);
    }
    // A page stands above the list now.
    state.tables.get_mut(&state.tab).into_iter().for_each(|table| {
        table.unmark();
    });
    actions
}

/// The command that does it.
fn words(deed: Deed, id: &str) -> Words {
    let command: &[&str] = match deed {
        Deed::Shell => &["shell", id],
        Deed::Start => &["start", id],
        Deed::Stop => &["stop", id],
        Deed::Restart => &["restart", id],
        Deed::Delete => &["delete", id, "--force"],
        Deed::Drain => &["backend", "drain", id],
        Deed::Resume => &["backend", "resume", id],
        Deed::Kill => &["session", "kill", id],
        Deed::Lift => &["ban", "remove", id],
        Deed::Why => &["ban", "why", id],
        Deed::Watch => &["session", "watch", id],
        Deed::Create => &["create"],
        Deed::Resize => &["resize", id],
        Deed::AddCollaborator => &["collaborator", "add", id],
        Deed::RemoveCollaborator => &["collaborator", "remove", id],
        Deed::AddKey => &["key", "add", id],
        Deed::RemoveKey => &["key", "remove", id],
    };
    command.iter().map(|word| (*word).to_owned()).collect()
}

pub(super) fn on_paste(state: &mut State, text: &str) {
    match &mut state.dialogue {
        Some(Dialogue::Form(form)) => {
            form.paste(text);
            images::relate(form, &state.images, &state.facts.choices);
        }
        // A name that has to be typed is typed.
        Some(Dialogue::Confirm(_)) | None => {}
    }
}

pub(super) fn on_key(state: &mut State, key: Key) -> Vec<Action> {
    match state.dialogue.take() {
        Some(Dialogue::Confirm(confirm)) => on_confirm(state, confirm, key),
        Some(Dialogue::Form(mut form)) => {
            let step = form.press(key);
            on_step(state, form, step)
        }
        None => Vec::new(),
    }
}

/// A click on a field of a form, and at which of how many cells of its content.
pub(super) fn on_field(state: &mut State, at: usize, inside: Option<(u16, u16)>) -> Vec<Action> {
    match state.dialogue.take() {
        Some(Dialogue::Form(mut form)) => {
            let step = form.click(at, inside);
            on_step(state, form, step)
        }
        other => {
            state.dialogue = other;
            Vec::new()
        }
    }
}

/// A click on the button that says yes.
pub(super) fn on_yes(state: &mut State) -> Vec<Action> {
    match state.dialogue.take() {
        Some(Dialogue::Form(mut form)) => {
            let step = form.click(form.fields.len(), None);
            on_step(state, form, step)
        }
        Some(Dialogue::Confirm(confirm)) => {
            let yes = Key { code: Code::Enter, ctrl: false, alt: false };
            on_confirm(state, confirm, yes)
        }
        None => Vec::new(),
    }
}

/// What is known of a container is told to the form that is about it, and what is known of images to
/// that for a new one.
pub(super) fn on_answer(state: &mut State, words: &Words, report: &Report) {
    if words[..] == images::QUESTION {
        state.images = Images::read(&report.json);
        if let Some(Dialogue::Form(form)) = &mut state.dialogue {
            images::relate(form, &state.images, &state.facts.choices);
        }
    }
    if let Some(Dialogue::Form(form)) = &mut state.dialogue
        && let Some((_, name)) = &form.about
        && words[..] == ["info", name.as_str()]
    {
        forms::tell(form, report, &state.facts);
    }
}

fn on_step(state: &mut State, mut form: crate::tui::form::Form, step: Step) -> Vec<Action> {
    match step {
        Step::Stay => {
            images::relate(&mut form, &state.images, &state.facts.choices);
            state.dialogue = Some(Dialogue::Form(form));
            Vec::new()
        }
        Step::Cancel => Vec::new(),
        Step::Run(words) => run(state, words, false),
    }
}

fn on_confirm(state: &mut State, mut confirm: Confirm, key: Key) -> Vec<Action> {
    if key.code == Code::Esc {
        return Vec::new();
    }
    let is_typed = confirm.name.as_ref().is_none_or(|(name, line)| name == line.text());
    match (&mut confirm.name, key.code) {
        (_, Code::Enter) if is_typed => {
            if confirm.deed == Deed::Delete && state.place() != super::Place::Tab(Tab::Containers) {
                // Its page would be of nothing.
                state.pages.clear();
            }
            return act(state, confirm.deed, &confirm.ids);
        }
        (None, Code::Char('y' | 'Y')) => return act(state, confirm.deed, &confirm.ids),
        (None, Code::Char('n' | 'N')) => return Vec::new(),
        (Some((_, line)), _) => drop(line.press(key)),
        (None, _) => {}
    }
    state.dialogue = Some(Dialogue::Confirm(confirm));
    Vec::new()
}
