//! What is asked before something is done.

use ratatui::layout::{Position, Rect};

use super::Canvas;
use crate::tui::{
    fold::fold_to,
    form::{Amount, Choice, Content, Field, Form, Hint, SLIDER, pieces, slider},
    layout::{self, LABEL, buttons, form_parts},
    state::{Confirm, Dialogue, State},
    theme::Role,
};

pub(super) fn draw(state: &State, asked: &Dialogue, canvas: &mut Canvas<'_>) -> Option<Position> {
    let area = layout::dialogue(state, asked);
    match asked {
        Dialogue::Confirm(confirm) => draw_confirm(state, confirm, area, canvas),
        Dialogue::Form(form) => draw_form(form, area, canvas),
    }
}

fn draw_confirm(
    state: &State,
    confirm: &Confirm,
    area: Rect,
    canvas: &mut Canvas<'_>,
) -> Option<Position> {
    canvas.frame(area, confirm.deed.verb());
    let (x, width) = (area.x + 2, area.width.saturating_sub(4));
    let mut y = area.y + 1;
    let lines = layout::question(confirm, state);
    for (i, line) in lines.iter().enumerate() {
        canvas.text((x, y), width, line, if i == 0 { Role::Title } else { Role::Text });
        y += 1;
    }
    let Some((name, line)) = &confirm.name else {
        draw_buttons(area, confirm.deed.button(), (Role::Selected, "Enter"), canvas);
        return None;
    };
    let ask = format!("type \"{name}\": ");
    let used = canvas.text((x, y + 1), width, &ask, Role::Text);
    let is_right = name == line.text();
    let role = if is_right { Role::Selected } else { Role::Faint };
    draw_buttons(area, confirm.deed.button(), (role, if is_right { "Enter" } else { "" }), canvas);
    Some(canvas.line((x + used, y + 1), width.saturating_sub(used), line))
}

/// The buttons, and behind them the keys that press them.
fn draw_buttons(area: Rect, yes: &str, (role, enter): (Role, &str), canvas: &mut Canvas<'_>) {
    let [(yes, first), (no, second)] = buttons(area, yes);
    let right = area.x + area.width.saturating_sub(2);
    for (text, place, role) in [(&yes, first, role), (&no, second, Role::Text)] {
        canvas.text((place.x, place.y), right.saturating_sub(place.x), text, role);
    }
    let keys = if enter.is_empty() { "Esc".to_owned() } else { format!("{enter}, Esc") };
    let left = second.x + second.width + 2;
    let room = right.saturating_sub(left);
    let keys = if keys.len() <= usize::from(room) { &keys } else { "Esc" };
    canvas.right((left, first.y), room, keys, Role::Faint);
}

fn draw_form(form: &Form, area: Rect, canvas: &mut Canvas<'_>) -> Option<Position> {
    canvas.frame(area, &form.title);
    let parts = form_parts(area, form);
    let fields = parts.fields;
    let mut cursor = None;
    let shown = form.fields.iter().enumerate().skip(parts.first).take(usize::from(fields.height));
    for (y, (i, field)) in (fields.y..).zip(shown) {
        let is_here = i == form.at;
        let is_wrong = field.check().is_err() && (form.insisted || is_begun(field));
        let glyphs = canvas.look.glyphs();
        let (mark, role) = match (is_wrong, is_here) {
            (true, _) => (glyphs.wrong, Role::Bad),
            (false, true) => (glyphs.here, Role::Title),
            (false, false) => (" ", Role::Text),
        };
        canvas.text((fields.x - 1, y), 1, mark, if is_wrong { Role::Bad } else { Role::Key });
        canvas.text((fields.x, y), LABEL - 1, field.label, role);
        let place = Rect::new(fields.x + LABEL, y, fields.width.saturating_sub(LABEL), 1);
        let typed = content(field, place, is_here, canvas);
        if is_here {
            // Those who cannot see the rest follow the cursor.
            cursor = typed.or(Some(Position { x: place.x, y }));
        }
    }
    let (text, role) = explained(form);
    let more = canvas.look.glyphs().more;
    let help = parts.help;
    let lines = fold_to(&text, usize::from(help.width), usize::from(help.height), more);
    for (y, line) in (help.y..).zip(lines) {
        canvas.text((help.x, y), help.width, &line, role);
    }
    let is_button = form.at >= form.fields.len();
    let (role, keys) =
        if is_button { (Role::Selected, "Enter") } else { (Role::Key, "Tab, Ctrl-S") };
    draw_buttons(area, form.button, (role, keys), canvas);
    let [(_, button), _] = buttons(area, form.button);
    cursor.or(Some(Position { x: button.x, y: button.y }))
}

/// What is said at the bottom: what is wrong, else what may stand there.
fn explained(form: &Form) -> (String, Role) {
    if let Some(refused) = form.refused {
        return (refused.to_owned(), Role::Bad);
    }
    let Some(field) = form.fields.get(form.at) else {
        return match form.problem().filter(|_| form.insisted) {
            Some(problem) => (problem.to_owned(), Role::Bad),
            None => (format!("runs: {}", form.words().join(" ")), Role::Faint),
        };
    };
    let help = match &field.content {
        Content::Amount(amount) => [amount.known(), field.help.clone()].join("; "),
        Content::Text { .. }
        | Content::One { .. }
        | Content::Combo { .. }
        | Content::Any { .. }
        | Content::Flag(_) => field.help.clone(),
    };
    match field.check() {
        Err(problem) if form.insisted || is_begun(field) => (problem, Role::Bad),
        Ok(Hint::Good(text)) => (text, Role::Good),
        Ok(Hint::Careful(text)) => (text, Role::Warning),
        Ok(Hint::None) | Err(_) => (help.trim_start_matches("; ").to_owned(), Role::Faint),
    }
}

fn is_begun(field: &Field) -> bool {
    match &field.content {
        Content::Text { line, .. } | Content::Amount(Amount { line, .. }) => {
            !line.text().is_empty()
        }
        Content::One { at, .. } => *at > 0,
        // What is usual can be told to be wrong by what stands in another field.
        Content::Combo { line, options, at, .. } => {
            !line.text().is_empty() || *at > 0 || options.first().is_some_and(|usual| usual.refused)
        }
        Content::Any { .. } | Content::Flag(_) => false,
    }
}

fn content(field: &Field, area: Rect, is_here: bool, canvas: &mut Canvas<'_>) -> Option<Position> {
    let Rect { x, y, width, .. } = area;
    let chosen = if is_here { Role::Selected } else { Role::Text };
    match &field.content {
        Content::Text { line, .. } => {
            if let (Ok(Hint::Good(text)), false) = (field.check(), is_here) {
                canvas.text((x, y), width, &text, Role::Good);
                return None;
            }
            typed(line, &field.usual, area, is_here, canvas)
        }
        Content::Amount(amount) => {
            let left = Rect { width: width.min(SLIDER - 2), ..area };
            draw_slider(amount, area, canvas);
            typed(&amount.line, &field.usual, left, is_here, canvas)
        }
        Content::Flag(on) => {
            canvas.text((x, y), width, if *on { "[x] yes" } else { "[ ] no" }, chosen);
            None
        }
        Content::Combo { line, options, .. } if !line.text().is_empty() || options.len() < 2 => {
            let usual = options.first().map_or("", |usual| usual.shown.as_str());
            typed(line, usual, area, is_here, canvas)
        }
        Content::Combo { options, at, .. } => {
            let role = if *at == 0 && !is_here { Role::Faint } else { chosen };
            one(options.get(*at)?, area, is_here, role, canvas);
            None
        }
        Content::One { options, at } => {
            one(options.get(*at)?, area, is_here, chosen, canvas);
            None
        }
        Content::Any { options, at, chosen } => {
            if is_here {
                any(options, *at, area, &|i| chosen.contains(&i), canvas);
                return None;
            }
            let names = chosen.iter().filter_map(|i| options.get(*i)).map(String::as_str);
            let names = names.collect::<Vec<_>>().join(", ");
            let (text, role) =
                if names.is_empty() { (&field.usual, Role::Faint) } else { (&names, Role::Text) };
            canvas.text((x, y), width, text, role);
            None
        }
    }
}

/// The one that is chosen, and what is to be known of it.
fn one(option: &Choice, area: Rect, is_here: bool, role: Role, canvas: &mut Canvas<'_>) {
    let Rect { x, y, width, .. } = area;
    let text = if is_here { format!("< {} >", option.shown) } else { option.shown.clone() };
    let used = canvas.text((x, y), width, &text, role) + 2;
    let role = if option.refused || option.doubtful { Role::Warning } else { Role::Faint };
    canvas.text((x + used, y), width.saturating_sub(used), &option.note, role);
}

/// What is typed, or what is usual as long as nothing is.
fn typed(
    line: &crate::tui::line::Line,
    usual: &str,
    area: Rect,
    is_here: bool,
    canvas: &mut Canvas<'_>,
) -> Option<Position> {
    if line.text().is_empty() {
        canvas.text((area.x, area.y), area.width, usual, Role::Faint);
    }
    let cursor = canvas.line((area.x, area.y), area.width, line);
    is_here.then_some(cursor)
}

/// What is in use, what is given, and what the host has.
fn draw_slider(amount: &Amount, area: Rect, canvas: &mut Canvas<'_>) {
    let Some((used, given)) = amount.shares() else { return };
    let (x, length) = (area.x + SLIDER, slider(area.width));
    let glyphs = canvas.look.glyphs();
    let (used, given) = (whole(used, length), whole(given, length));
    let parts = [
        (glyphs.bar[0], length, Role::Faint),
        (glyphs.given, given, Role::Text),
        (glyphs.full(), used, if used > given { Role::Bad } else { Role::Good }),
    ];
    for (glyph, cells, role) in parts {
        canvas.text((x, area.y), length, &glyph.repeat(usize::from(cells)), role);
    }
}

/// A part of so many cells; one at least if it is something.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "some 40 cells")]
fn whole(share: f32, cells: u16) -> u16 {
    let filled = (share * f32::from(cells)).round() as u16;
    if share > 0.0 { filled.clamp(1, cells.max(1)) } else { 0 }
}

/// Those that there is room for, and signs where there are more.
fn any(
    options: &[String],
    at: usize,
    area: Rect,
    is_chosen: &dyn Fn(usize) -> bool,
    canvas: &mut Canvas<'_>,
) {
    let pieces = pieces(options, at, area.width);
    let [before, behind] = canvas.look.glyphs().beyond;
    if pieces.first().is_some_and(|(i, ..)| *i > 0) {
        canvas.text((area.x, area.y), 1, before, Role::Key);
    }
    if pieces.last().is_some_and(|(i, ..)| i + 1 < options.len()) {
        canvas.text((area.x + area.width.saturating_sub(1), area.y), 1, behind, Role::Key);
    }
    for (i, from, to) in pieces {
        let mark = if is_chosen(i) { "x" } else { " " };
        let role = if i == at { Role::Selected } else { Role::Text };
        canvas.text((area.x + from, area.y), to - from, &format!("[{mark}]{}", options[i]), role);
    }
}
