//! Where things are on the screen: the same for drawing and for the mouse. Pure.

use ratatui::layout::{Position, Rect};
use unicode_width::UnicodeWidthStr;

use super::{
    fold::fold_to,
    form::Form,
    input::Key,
    keymap::{Binding, COMMANDING, FILTERING, Intent, Shown, Tab, bindings},
    state::{Confirm, Dialogue, Prompt, State},
    table::{BAR, Column, Need, Side, Table},
};
use crate::command::terminal::Size;

/// The smallest terminal that shows something of use, in cells.
pub const LEAST: Size = Size { columns: 40, rows: 8 };

/// Places in the columns of the containers that rows are kept together by.
pub const OWNER: usize = 1;
/// The same.
pub const HOST: usize = 3;

/// What was clicked on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hit {
    /// Nothing of use.
    Nothing,
    /// The name of a screen.
    Tab(Tab),
    /// A heading, by its column.
    Heading(usize),
    /// A row, by its place among those shown.
    Row(usize),
    /// A cell of a page, counted from the corner of its first line that is seen.
    Page(Position),
    /// A key that is shown at the bottom.
    Key(Key),
    /// A field of a form, and at which of how many cells of its content.
    Field(usize, Option<(u16, u16)>),
    /// The button that says yes.
    Yes,
    /// The button that says no.
    No,
    /// Beside a dialogue.
    Outside,
}

const fn column(title: &'static str, least: u16, most: u16, rank: u8) -> Column {
    Column { title, least, most, rank, side: Side::Left }
}

const fn number(title: &'static str, least: u16, most: u16, rank: u8) -> Column {
    Column { title, least, most, rank, side: Side::Right }
}

const fn history(title: &'static str, least: u16, most: u16, rank: u8) -> Column {
    Column { title, least, most, rank, side: Side::End }
}

const CONTAINERS: &[Column] = &[
    column("NAME", 16, 32, 0),
    column("OWNER", 9, 32, 6),
    column("STATE", 18, 24, 1),
    column("HOST", 9, 20, 3),
    column("ADDRESS", 11, 39, 7),
    number("CPU", 10, 24, 2),
    number("MEMORY", 12, 30, 2),
    number("DISK", 12, 30, 4),
    number("SESS", 4, 4, 5),
    number("AGE", 4, 5, 8),
];

const HOSTS: &[Column] = &[
    column("NAME", 10, 24, 0),
    column("STATE", 16, 48, 1),
    column("POOL", 8, 16, 7),
    number("CONT", 4, 5, 3),
    number("CPUS", 4, 5, 6),
    number("MEMORY", 14, 30, 2),
    number("DISK", 14, 30, 2),
    history("HEARTBEAT", 10, 60, 4),
    column("VERSION", 8, 12, 8),
];

const SESSIONS: &[Column] = &[
    number("ID", 4, 10, 0),
    column("STATE", 7, 8, 3),
    column("SINCE", 6, 20, 4),
    column("WHO", 8, 32, 1),
    column("FROM", 9, 39, 5),
    column("TO", 8, 48, 2),
];

const GUARD: &[Column] = &[
    column("SOURCE", 13, 43, 0),
    column("STATE", 9, 9, 1),
    column("WHEN", 7, 12, 3),
    column("LEFT", 6, 8, 5),
    column("LOGIN", 10, 32, 4),
    column("WHY", 12, 100, 2),
    column("ID", 6, 12, 7),
    column("CLIENT", 20, 40, 6),
    column("KEY", 50, 50, 8),
];

const LEDGER: &[Column] = &[
    column("TIME", 11, 20, 0),
    column("KIND", 6, 12, 3),
    column("WHO", 6, 28, 2),
    column("CONTAINER", 6, 24, 4),
    column("WHAT", 12, 200, 1),
];

/// The columns of a screen's list.
#[must_use]
pub fn columns(tab: Tab) -> &'static [Column] {
    match tab {
        Tab::Containers => CONTAINERS,
        Tab::Hosts => HOSTS,
        Tab::Sessions => SESSIONS,
        Tab::Guard => GUARD,
        Tab::Ledger => LEDGER,
    }
}

/// The parts of the screen, from above.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parts {
    /// The names of the screens.
    pub head: Rect,
    /// What is wrong; of no height where nothing is.
    pub alarm: Rect,
    /// Headings.
    pub headings: Rect,
    /// Rows, or a page.
    pub body: Rect,
    /// Remarks, and what is typed.
    pub foot: Rect,
    /// Keys.
    pub keys: Rect,
}

/// Where the parts are.
#[must_use]
pub fn parts(size: Size, alarms: bool) -> Parts {
    let line = |y: u16, height: u16| Rect::new(0, y, size.columns, height);
    let alarm = u16::from(alarms && size.rows >= 12);
    let top = 2 + alarm;
    let body = size.rows.saturating_sub(top + 2);
    Parts {
        head: line(0, 1),
        alarm: line(1, alarm),
        headings: line(1 + alarm, 1),
        body: line(top, body),
        foot: line(top + body, 1),
        keys: line(top + body + 1, 1),
    }
}

/// Where rows, or a page, are.
#[must_use]
pub fn body(state: &State) -> Rect {
    parts(state.size, !state.facts.alarms.is_empty()).body
}

/// How wide each column is in so many cells, and where it begins; none for those without room.
///
/// Those that matter least go first; what is left over goes to those that matter most: first for
/// bars, if there is room for all of them, then for texts, at first where they can be short.
#[must_use]
pub fn widths(columns: &[Column], width: u16, needs: &[Need]) -> Vec<Option<(u16, u16)>> {
    let need = |i: usize| needs.get(i).copied().unwrap_or_default();
    // A heading, and the arrow of what is sorted by it.
    let title = |i: usize| u16::try_from(columns[i].title.len() + 1).unwrap_or(u16::MAX);
    let text = |i: usize| need(i).text.max(title(i)).min(columns[i].most);
    let short = |i: usize| need(i).short.max(title(i)).min(text(i));
    let least = |i: usize| columns[i].least.min(short(i));
    let mut kept: Vec<usize> = (0..columns.len()).collect();
    let total = |kept: &[usize]| {
        kept.iter().map(|i| least(*i) + GAP).fold(MARGIN - GAP, u16::saturating_add)
    };
    while total(&kept) > width {
        let worst = kept.iter().copied().max_by_key(|i| columns[*i].rank);
        let Some(worst) = worst.filter(|i| columns[*i].rank > 0) else { break };
        kept.retain(|i| *i != worst);
    }
    let with_bar = |i: usize| if need(i).bar { text(i).saturating_add(BAR) } else { least(i) };
    let wish = |kept: &[usize]| {
        kept.iter().map(|i| with_bar(*i) + GAP).fold(MARGIN - GAP, u16::saturating_add)
    };
    let mut fewer = kept.clone();
    while wish(&fewer) > width
        && let Some(worst) = fewer.iter().copied().max_by_key(|i| columns[*i].rank)
        && columns[worst].rank > BARS
    {
        fewer.retain(|i| *i != worst);
    }
    let has_bars = wish(&fewer) <= width;
    if has_bars {
        kept = fewer;
    }
    let mut spare = width.saturating_sub(total(&kept));
    let mut cells: Vec<u16> = (0..columns.len()).map(least).collect();
    let mut first = kept.clone();
    first.sort_by_key(|i| (columns[*i].most >= FREE, columns[*i].rank));
    let first_bar = |i: usize| if has_bars { with_bar(i) } else { 0 };
    let longest = |i: usize| if need(i).bar { columns[i].most } else { text(i) };
    let brief = |i: usize| if columns[i].side == Side::End { least(i) } else { short(i) };
    for wanted in [&first_bar as &dyn Fn(usize) -> u16, &brief, &text, &longest] {
        for i in &first {
            let more = wanted(*i).min(columns[*i].most).saturating_sub(cells[*i]);
            // What can be short is whole or short, nothing between.
            let is_vain = more > spare && (short(*i)..text(*i)).contains(&cells[*i]);
            let more = if is_vain { 0 } else { more.min(spare) };
            spare -= more;
            cells[*i] += more;
        }
    }
    let mut x = MARGIN;
    let place = |i: usize| {
        kept.contains(&i).then(|| {
            let placed = (x, cells[i].min(width.saturating_sub(x)));
            x = x.saturating_add(placed.1 + GAP);
            placed
        })
    };
    (0..columns.len()).map(place).collect()
}

/// Columns of a higher rank give way to bars.
const BARS: u8 = 4;
/// From so many cells on a text is as long as it likes, and has what others leave.
const FREE: u16 = 100;
/// Cells before the first column, for marks.
const MARGIN: u16 = 2;
/// Cells between two columns.
const GAP: u16 = 2;

/// The names of screens as they are shown, one after the other, where one is at this one: with a
/// number each, and where there is not room for all names, only its own.
#[must_use]
pub fn tabs(size: Size, here: Tab) -> Vec<(Tab, String, Rect)> {
    let named = |is_short: bool| {
        let name = move |(n, tab): (usize, Tab)| {
            let name = if is_short && tab != here { "" } else { tab.title() };
            (tab, format!(" {} ", format!("{n} {name}").trim_end()))
        };
        (1..).zip(Tab::ALL).map(name)
    };
    let width: u16 = named(false).map(|(_, text)| cells(&text)).sum();
    let mut x = 0_u16;
    let place = |(tab, text): (Tab, String)| {
        let area = Rect::new(x, 0, cells(&text).min(size.columns.saturating_sub(x)), 1);
        x = x.saturating_add(area.width);
        (tab, text, area)
    };
    named(width > size.columns).map(place).collect()
}

/// The keys that are shown at the bottom, and where: those that are worth most, as many as there is
/// room for.
#[must_use]
pub fn hints(state: &State) -> Vec<(Shown, Rect)> {
    let Parts { keys, .. } = parts(state.size, !state.facts.alarms.is_empty());
    let mut shown = worth_showing(state);
    let width = |(key, what, _): Shown| u16::try_from(key.len() + 1 + what.len()).unwrap_or(0);
    let room = keys.width.saturating_sub(count(state).map_or(0, |text| cells(&text) + GAP));
    let used = |shown: &[(Option<u8>, Shown)]| -> u16 {
        shown.iter().map(|(_, shown)| width(*shown) + GAP).sum::<u16>().saturating_sub(GAP)
    };
    while used(&shown) > room {
        let worst = (0..shown.len()).max_by_key(|i| shown[*i].0);
        let Some(worst) = worst else { break };
        shown.remove(worst);
    }
    let mut x = 0;
    let placed = shown.into_iter().map(|(_, shown)| {
        let area = Rect::new(x, keys.y, width(shown), 1);
        x += area.width + GAP;
        (shown, area)
    });
    placed.collect()
}

/// Keys with what they are worth; the lowest is worth most.
fn worth_showing(state: &State) -> Vec<(Option<u8>, Shown)> {
    let typing = match (&state.dialogue, &state.prompt) {
        // It shows its own.
        (Some(_), _) => Some([].as_slice()),
        (None, Some(Prompt::Filter(..))) => Some(FILTERING),
        (None, Some(Prompt::Command(..))) => Some(COMMANDING),
        (None, None) => None,
    };
    if let Some(keys) = typing {
        return keys.iter().map(|shown| (Some(0), *shown)).collect();
    }
    let leads_back = |binding: &&Binding| {
        binding.intent != Intent::Back
            || state.table().is_none_or(Table::is_changed)
            || state.tab != Tab::Containers
    };
    let hints = bindings(state.place()).filter(|binding| binding.hint.is_some());
    let shown = |binding: &Binding| (binding.shown, binding.what, binding.first());
    hints.filter(leads_back).map(|binding| (binding.hint, shown(binding))).collect()
}

/// From so many cells on there is room for more than a number beside the keys that lead back.
const WIDE: u16 = 60;

/// What is said of a list at the bottom: how many rows it has, and whether one stays at the newest.
#[must_use]
pub fn count(state: &State) -> Option<String> {
    let table = state.table()?;
    let (shown, all) = table.count();
    let count = if shown == all { all.to_string() } else { format!("{shown} of {all}") };
    // There may be more than are known.
    let count = if state.has_older(state.tab) { format!("{count}+") } else { count };
    let is_told = table.is_following() && state.size.columns >= WIDE;
    let count = if is_told { format!("following, {count}") } else { count };
    Some(match table.marks() {
        0 => count,
        marks => format!("{marks} marked, {count}"),
    })
}

fn cells(text: &str) -> u16 {
    u16::try_from(text.width()).unwrap_or(u16::MAX)
}

/// Cells of the names of fields, with the blank behind.
pub const LABEL: u16 = 15;
/// Lines in which a field is explained.
const HELP: u16 = 2;
/// Lines of names that something is to be done to.
const MAX_NAMES: usize = 3;

/// The area of what is asked, with its frame.
#[must_use]
pub fn dialogue(state: &State, dialogue: &Dialogue) -> Rect {
    let size = state.size;
    let height = |lines: usize| u16::try_from(lines).unwrap_or(u16::MAX);
    let (width, height) = match dialogue {
        // The question, a blank, the button, a frame.
        Dialogue::Confirm(confirm) => (
            64,
            height(question(confirm, state).len()) + 4 + if confirm.name.is_some() { 2 } else { 0 },
        ),
        // A line for each field, blanks above and below, help, the button, a frame.
        Dialogue::Form(form) => (76, height(form.fields.len()) + HELP + 5),
    };
    let (width, height) = (width.min(size.columns), height.min(size.rows));
    Rect::new((size.columns - width) / 2, (size.rows - height) / 2, width, height)
}

/// What is asked, and what would follow, in lines.
#[must_use]
pub fn question(confirm: &Confirm, state: &State) -> Vec<String> {
    let room = usize::from(state.size.columns.min(64).saturating_sub(4));
    let whom = match confirm.ids.as_slice() {
        [one] => format!("{} {one}?", confirm.deed.verb()),
        many => format!("{} these {}: {}?", confirm.deed.verb(), many.len(), many.join(", ")),
    };
    let more = state.look.glyphs().more;
    let others = if confirm.name.is_some() { 6 } else { 4 };
    let lines = usize::from(state.size.rows).saturating_sub(others);
    let follows = match confirm.deed.consequence() {
        "" => Vec::new(),
        text => fold_to(text, room, lines.saturating_sub(1).min(2), more),
    };
    let names = lines.saturating_sub(follows.len()).clamp(1, MAX_NAMES);
    [fold_to(&whom, room, names, more), follows].concat()
}

/// The parts of a form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FormParts {
    /// Fields, one a line.
    pub fields: Rect,
    /// The first of them that is seen.
    pub first: usize,
    /// What is said of the one that one is at.
    pub help: Rect,
}

/// Where the parts of a form are in its area.
#[must_use]
pub fn form_parts(area: Rect, form: &Form) -> FormParts {
    let (x, width) = (area.x + 2, area.width.saturating_sub(4));
    // The frame and the button.
    let room = area.height.saturating_sub(3);
    let help = HELP.min(room.saturating_sub(1));
    let count = u16::try_from(form.fields.len()).unwrap_or(u16::MAX);
    let lines = count.min(room - help);
    let blank = u16::from(room - help >= count + 2);
    let at = form.at.min(form.fields.len().saturating_sub(1));
    FormParts {
        fields: Rect::new(x, area.y + 1 + blank, width, lines),
        first: (at + 1).saturating_sub(usize::from(lines.max(1))),
        help: Rect::new(x, area.y + area.height.saturating_sub(2 + help), width, help),
    }
}

/// The buttons at the bottom of a dialogue: yes, and no.
#[must_use]
pub fn buttons(area: Rect, yes: &str) -> [(String, Rect); 2] {
    let y = area.y + area.height.saturating_sub(2);
    let [yes, no] = [format!("[ {yes} ]"), "[ Cancel ]".to_owned()];
    let first = Rect::new(area.x + 2, y, cells(&yes), 1);
    let second = Rect::new(first.x + first.width + GAP, y, cells(&no), 1);
    [(yes, first), (no, second)]
}

/// What is at this cell.
#[must_use]
pub fn hit(state: &State, x: u16, y: u16) -> Hit {
    if let Some(asked) = &state.dialogue {
        return hit_dialogue(state, asked, x, y);
    }
    let at = |area: Rect| {
        (area.x..area.x.saturating_add(area.width)).contains(&x)
            && (area.y..area.y.saturating_add(area.height)).contains(&y)
    };
    let parts = parts(state.size, !state.facts.alarms.is_empty());
    if let Some((tab, ..)) = tabs(state.size, state.tab).iter().find(|(.., area)| at(*area)) {
        return Hit::Tab(*tab);
    }
    if at(parts.keys) {
        let found = hints(state).into_iter().find(|(_, area)| at(*area));
        return found.and_then(|((.., key), _)| key).map_or(Hit::Nothing, Hit::Key);
    }
    let Some(table) = state.table() else {
        let cell = Position { x, y: y.saturating_sub(parts.body.y) };
        return if at(parts.body) { Hit::Page(cell) } else { Hit::Nothing };
    };
    if at(parts.headings) {
        let columns = columns(state.tab);
        let widths = widths(columns, state.size.columns, table.needs());
        let found = widths.iter().position(|placed| {
            placed.is_some_and(|(from, cells)| (from..from + cells).contains(&x))
        });
        return found.map_or(Hit::Nothing, Hit::Heading);
    }
    if at(parts.body) {
        let place = table.place_at(usize::from(y - parts.body.y), usize::from(parts.body.height));
        return place.map_or(Hit::Nothing, Hit::Row);
    }
    Hit::Nothing
}

fn hit_dialogue(state: &State, asked: &Dialogue, x: u16, y: u16) -> Hit {
    let area = dialogue(state, asked);
    let at = Position { x, y };
    if !area.contains(at) {
        return Hit::Outside;
    }
    let yes = match asked {
        Dialogue::Confirm(confirm) => confirm.deed.button(),
        Dialogue::Form(form) => form.button,
    };
    let [(_, yes), (_, no)] = buttons(area, yes);
    match asked {
        _ if yes.contains(at) => Hit::Yes,
        _ if no.contains(at) => Hit::No,
        Dialogue::Form(form) => {
            let FormParts { fields, first, .. } = form_parts(area, form);
            if !fields.contains(at) {
                return Hit::Nothing;
            }
            let inside = (x - fields.x).checked_sub(LABEL);
            let inside = inside.map(|cell| (cell, fields.width.saturating_sub(LABEL)));
            Hit::Field(first + usize::from(y - fields.y), inside)
        }
        Dialogue::Confirm(_) => Hit::Nothing,
    }
}

/// Whether it is too small for anything.
#[must_use]
pub fn is_too_small(size: Size) -> bool {
    size.columns < LEAST.columns || size.rows < LEAST.rows
}
