//! What is asked before something is done.

use ratatui::layout::{Position, Rect};
use unicode_width::UnicodeWidthStr;

use super::Canvas;
use crate::tui::{
    form::{Content, Field, Form},
    keymap::Deed,
    layout,
    state::{Confirm, Dialogue, State},
    theme::Role,
};

/// Cells of the names of fields.
const LABEL: u16 = 14;

pub(super) fn draw(state: &State, asked: &Dialogue, canvas: &mut Canvas<'_>) -> Option<Position> {
    let area = layout::dialogue(state.size, asked);
    match asked {
        Dialogue::Confirm(confirm) => draw_confirm(confirm, area, canvas),
        Dialogue::Form(form) => draw_form(form, area, canvas),
    }
}

fn draw_confirm(confirm: &Confirm, area: Rect, canvas: &mut Canvas<'_>) -> Option<Position> {
    let what = verb(confirm.deed);
    canvas.frame(area, what);
    let (x, width) = (area.x + 2, area.width.saturating_sub(4));
    let whom = match confirm.ids.as_slice() {
        [one] => one.clone(),
        many => format!("{}: {}", many.len(), many.join(", ")),
    };
    canvas.text((x, area.y + 1), width, &format!("{what} {whom}?"), Role::Title);
    canvas.text((x, area.y + 2), width, consequence(confirm.deed), Role::Text);
    let button = (x, area.y + area.height.saturating_sub(2));
    let Some((name, line)) = &confirm.name else {
        canvas.text(button, width, "[ Enter yes ]  Esc no", Role::Key);
        return None;
    };
    let ask = format!("type \"{name}\": ");
    let used = canvas.text((x, area.y + 3), width, &ask, Role::Text);
    let is_right = name == line.text();
    canvas.text(
        button,
        width,
        "[ Enter yes ]  Esc no",
        if is_right { Role::Bad } else { Role::Faint },
    );
    Some(canvas.line((x + used, area.y + 3), width.saturating_sub(used), line))
}

fn verb(deed: Deed) -> &'static str {
    match deed {
        Deed::Create => "Create",
        Deed::Shell => "Enter",
        Deed::Start => "Start",
        Deed::Stop => "Stop",
        Deed::Restart => "Restart",
        Deed::Resize => "Resize",
        Deed::Delete => "Delete",
        Deed::AddCollaborator => "Add to",
        Deed::RemoveCollaborator => "Remove from",
        Deed::AddKey => "Add a key to",
        Deed::RemoveKey => "Remove a key from",
        Deed::Drain => "Drain",
        Deed::Resume => "Resume",
        Deed::Kill => "End session",
        Deed::Watch => "Watch",
        Deed::Lift => "Lift the ban of",
        Deed::Why => "Why",
    }
}

/// What follows, in a sentence.
fn consequence(deed: Deed) -> &'static str {
    match deed {
        Deed::Delete => "Its files and its snapshots are gone for good.",
        Deed::Stop => "Its sessions end; the next login starts it again.",
        Deed::Restart => "Its sessions end.",
        Deed::Kill => "Its person is told so.",
        Deed::Lift => "It may try again at once.",
        Deed::Create
        | Deed::Shell
        | Deed::Start
        | Deed::Resize
        | Deed::AddCollaborator
        | Deed::RemoveCollaborator
        | Deed::AddKey
        | Deed::RemoveKey
        | Deed::Drain
        | Deed::Resume
        | Deed::Watch
        | Deed::Why => "",
    }
}

fn draw_form(form: &Form, area: Rect, canvas: &mut Canvas<'_>) -> Option<Position> {
    canvas.frame(area, &form.title);
    let (x, width) = (area.x + 2, area.width.saturating_sub(4));
    let room = usize::from(area.height.saturating_sub(6));
    let first = layout::first_field(form.at.min(form.fields.len().saturating_sub(1)), room);
    let mut cursor = None;
    let shown = form.fields.iter().enumerate().skip(first).take(room);
    for (y, (i, field)) in (area.y + 2..).zip(shown) {
        let is_here = i == form.at;
        let wrong = form.insisted && field.check().is_err();
        let role = match (wrong, is_here) {
            (true, _) => Role::Bad,
            (false, true) => Role::Title,
            (false, false) => Role::Text,
        };
        canvas.text((x, y), LABEL, field.label, role);
        let place = (x + LABEL + 1, y);
        let seen = content(field, place, width.saturating_sub(LABEL + 1), is_here, canvas);
        cursor = cursor.or(seen);
    }
    let below = area.y + area.height.saturating_sub(3);
    if let Some(field) = form.fields.get(form.at) {
        let (text, role) = match field.check() {
            Err(problem) if form.insisted || is_begun(field) => (problem, Role::Bad),
            Ok(hint) if !hint.is_empty() => (hint, Role::Good),
            Ok(_) | Err(_) => (field.help.clone(), Role::Faint),
        };
        canvas.text((x, below), width, &text, role);
    }
    let is_button = form.at >= form.fields.len();
    let button = "[ do it ]";
    let at = (x, below + 1);
    canvas.text(at, width, button, if is_button { Role::Selected } else { Role::Key });
    let after = x + u16::try_from(button.width()).unwrap_or(0) + 2;
    canvas.text(
        (after, below + 1),
        width.saturating_sub(after - x),
        "Tab next  Ctrl-S do it  Esc give up",
        Role::Faint,
    );
    cursor
}

fn is_begun(field: &Field) -> bool {
    match &field.content {
        Content::Text { line, .. } => !line.text().is_empty(),
        Content::One { .. } | Content::Any { .. } | Content::Flag(_) => false,
    }
}

fn content(
    field: &Field,
    at: (u16, u16),
    room: u16,
    is_here: bool,
    canvas: &mut Canvas<'_>,
) -> Option<Position> {
    let role = if is_here { Role::Selected } else { Role::Text };
    match &field.content {
        Content::Text { line, .. } => {
            let cursor = canvas.line(at, room, line);
            return is_here.then_some(cursor);
        }
        Content::Flag(on) => {
            canvas.text(at, room, if *on { "[x] yes" } else { "[ ] no" }, role);
        }
        Content::One { options, at: chosen } => {
            let text = options.get(*chosen).map_or("", String::as_str);
            let text = if is_here { format!("< {text} >") } else { text.to_owned() };
            canvas.text(at, room, &text, role);
        }
        Content::Any { options, at: cursor, chosen } => {
            let mut x = at.0;
            for (i, option) in options.iter().enumerate() {
                let mark = if chosen.contains(&i) { "x" } else { " " };
                let role = if is_here && i == *cursor { Role::Selected } else { Role::Text };
                let left = (at.0 + room).saturating_sub(x);
                x += canvas.text((x, at.1), left, &format!("[{mark}]{option}"), role) + 1;
            }
        }
    }
    None
}
