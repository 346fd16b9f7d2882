//! Where things are on the screen: the same for drawing and for the mouse. Pure.

use ratatui::layout::Rect;

use super::{
    input::Key,
    keymap::{Tab, bindings},
    state::{Dialogue, State},
    table::{Column, Table},
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
    /// A key that is shown at the bottom.
    Key(Key),
    /// A field of a dialogue; behind the last, its button.
    Field(usize),
    /// Beside a dialogue.
    Outside,
}

const fn column(title: &'static str, least: u16, most: u16, rank: u8) -> Column {
    Column { title, least, most, rank, right: false }
}

const fn number(title: &'static str, least: u16, most: u16, rank: u8) -> Column {
    Column { title, least, most, rank, right: true }
}

const CONTAINERS: &[Column] = &[
    column("NAME", 8, 32, 0),
    column("OWNER", 6, 32, 5),
    column("STATE", 8, 22, 1),
    column("HOST", 5, 20, 3),
    column("ADDRESS", 9, 39, 7),
    number("CPU", 6, 16, 2),
    number("MEMORY", 8, 20, 2),
    number("DISK", 8, 20, 4),
    number("SESS", 4, 4, 6),
    number("AGE", 4, 5, 8),
];

const HOSTS: &[Column] = &[
    column("NAME", 6, 24, 0),
    column("STATE", 8, 40, 1),
    column("POOL", 5, 16, 6),
    number("CONT", 4, 5, 3),
    number("CPUS", 4, 5, 4),
    number("MEMORY", 8, 24, 2),
    number("DISK", 8, 24, 2),
    column("HEARTBEAT", 10, 60, 5),
    column("VERSION", 6, 12, 7),
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
    column("SOURCE", 9, 43, 0),
    column("ID", 6, 12, 4),
    column("SINCE", 6, 12, 3),
    column("LEFT", 5, 14, 2),
    column("WHY", 12, 100, 1),
];

const LEDGER: &[Column] = &[
    column("TIME", 8, 20, 0),
    column("KIND", 6, 12, 2),
    column("WHO", 6, 28, 1),
    column("CONTAINER", 6, 24, 4),
    column("WHAT", 12, 200, 3),
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

/// Rows that there is room for.
#[must_use]
pub fn room(size: Size) -> u16 {
    parts(size, true).body.height
}

/// How wide each column is in so many cells, and where it begins; none for those without room.
///
/// Those that matter least go first; what is left over goes to those that gain by it, from the left.
#[must_use]
pub fn widths(columns: &[Column], width: u16, needed: &[u16]) -> Vec<Option<(u16, u16)>> {
    let mut kept: Vec<bool> = vec![true; columns.len()];
    let least = |kept: &[bool]| -> u16 {
        let kept = columns.iter().zip(kept).filter(|(_, kept)| **kept);
        kept.map(|(column, _)| column.least + GAP).fold(MARGIN, u16::saturating_add)
    };
    while least(&kept) > width {
        let left = columns.iter().enumerate().filter(|(i, _)| kept[*i]);
        let Some((worst, _)) = left.max_by_key(|(_, column)| column.rank) else { break };
        if columns[worst].rank == 0 {
            break;
        }
        kept[worst] = false;
    }
    let mut spare = width.saturating_sub(least(&kept));
    let mut x = MARGIN;
    let mut placed = Vec::with_capacity(columns.len());
    for (i, column) in columns.iter().enumerate() {
        if !kept[i] {
            placed.push(None);
            continue;
        }
        let wanted = needed.get(i).copied().unwrap_or(0).min(column.most);
        let more = wanted.saturating_sub(column.least).min(spare);
        spare -= more;
        let cells = (column.least + more).min(width.saturating_sub(x));
        placed.push(Some((x, cells)));
        x = x.saturating_add(cells + GAP);
    }
    placed
}

/// Cells before the first column, for marks.
const MARGIN: u16 = 2;
/// Cells between two columns.
const GAP: u16 = 2;

/// How wide the columns of a list would like to be.
#[must_use]
pub fn needed(table: &Table, columns: &[Column]) -> Vec<u16> {
    use unicode_width::UnicodeWidthStr;
    let mut needed: Vec<u16> =
        columns.iter().map(|c| u16::try_from(c.title.len() + 1).unwrap_or(u16::MAX)).collect();
    for (_, row) in table.visible() {
        for (needed, value) in needed.iter_mut().zip(&row.cells) {
            let bar = if value.share.is_some() { BAR } else { 0 };
            let width = u16::try_from(value.text.width()).unwrap_or(u16::MAX);
            *needed = (*needed).max(width.saturating_add(bar));
        }
    }
    needed
}

/// Cells of a bar, with the one behind it.
pub const BAR: u16 = 6;

/// The area of the names of screens, one after the other.
pub fn tabs(size: Size) -> impl Iterator<Item = (Tab, Rect)> {
    let mut x = 0_u16;
    Tab::ALL.into_iter().map(move |tab| {
        // Its number, a blank, its name, and one cell at each side.
        let width = u16::try_from(tab.title().len()).unwrap_or(0) + 4;
        let area = Rect::new(x, 0, width.min(size.columns.saturating_sub(x)), 1);
        x = x.saturating_add(width);
        (tab, area)
    })
}

/// The keys that are shown at the bottom, and where.
#[must_use]
pub fn hints(state: &State) -> Vec<(&'static str, &'static str, Rect, Option<Key>)> {
    let Parts { keys, .. } = parts(state.size, !state.facts.alarms.is_empty());
    let mut x = 0_u16;
    let mut hints = Vec::new();
    for binding in bindings(state.place()).filter(|binding| binding.hint) {
        let width = u16::try_from(binding.shown.len() + 1 + binding.what.len()).unwrap_or(0);
        if x + width > keys.width {
            break;
        }
        let area = Rect::new(x, keys.y, width, 1);
        hints.push((binding.shown, binding.what, area, binding.first()));
        x = x.saturating_add(width + GAP);
    }
    hints
}

/// The area of what is asked.
#[must_use]
pub fn dialogue(size: Size, dialogue: &Dialogue) -> Rect {
    let (width, height) = match dialogue {
        Dialogue::Confirm(_) => (60, 7),
        // Title, a line for each field, help, the button, a frame.
        Dialogue::Form(form) => (76, u16::try_from(form.fields.len()).unwrap_or(20) + 6),
    };
    let (width, height) = (width.min(size.columns), height.min(size.rows));
    Rect::new((size.columns - width) / 2, (size.rows - height) / 2, width, height)
}

/// The first field that is seen in a form that has room for so many, where one is at this one.
#[must_use]
pub fn first_field(at: usize, room: usize) -> usize {
    (at + 1).saturating_sub(room.max(1))
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
    if let Some((tab, _)) = tabs(state.size).find(|(_, area)| at(*area)) {
        return Hit::Tab(tab);
    }
    if at(parts.keys) {
        let hints = hints(state);
        let found = hints.iter().find(|(_, _, area, _)| at(*area));
        return found.and_then(|(.., key)| *key).map_or(Hit::Nothing, Hit::Key);
    }
    let Some(table) = state.table() else { return Hit::Nothing };
    if at(parts.headings) {
        let columns = columns(state.tab);
        let widths = widths(columns, state.size.columns, &needed(table, columns));
        let found = widths.iter().position(|placed| {
            placed.is_some_and(|(from, cells)| (from..from + cells).contains(&x))
        });
        return found.map_or(Hit::Nothing, Hit::Heading);
    }
    if at(parts.body) {
        let place = table.window(usize::from(parts.body.height)) + usize::from(y - parts.body.y);
        return if place < table.count().0 { Hit::Row(place) } else { Hit::Nothing };
    }
    Hit::Nothing
}

fn hit_dialogue(state: &State, asked: &Dialogue, x: u16, y: u16) -> Hit {
    let area = dialogue(state.size, asked);
    if !area.contains(ratatui::layout::Position { x, y }) {
        return Hit::Outside;
    }
    let button = area.y + area.height.saturating_sub(2);
    match asked {
        Dialogue::Confirm(_) if y == button => Hit::Field(0),
        Dialogue::Confirm(_) => Hit::Nothing,
        Dialogue::Form(form) if y == button => Hit::Field(form.fields.len()),
        Dialogue::Form(form) => {
            let room = usize::from(area.height.saturating_sub(6));
            let row = usize::from(y).checked_sub(usize::from(area.y) + 2).filter(|row| *row < room);
            let field = row.map(|row| {
                row + first_field(form.at.min(form.fields.len().saturating_sub(1)), room)
            });
            field.filter(|at| *at < form.fields.len()).map_or(Hit::Nothing, Hit::Field)
        }
    }
}

/// Whether it is too small for anything.
#[must_use]
pub fn is_too_small(size: Size) -> bool {
    size.columns < LEAST.columns || size.rows < LEAST.rows
}
