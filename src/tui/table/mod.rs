//! A list of rows that one moves in: sorted, filtered, grouped, marked. Pure.
//!
//! Rows are known by their id, so that what one is at and what was marked stay the same when rows
//! come, go and move.

use std::{
    cmp::Ordering,
    collections::{BTreeSet, HashSet},
    sync::Arc,
};

use unicode_width::UnicodeWidthStr;

use super::{
    blocks::{Blocks, Stands},
    shared::Shared,
    theme::Role,
};

/// Cells of a bar, with the one behind it.
pub const BAR: u16 = 6;

/// A column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Column {
    /// Its heading.
    pub title: &'static str,
    /// The fewest cells that it is of use with.
    pub least: u16,
    /// The most cells that it gains by.
    pub most: u16,
    /// Where there is no room for all, those with the highest number go first.
    pub rank: u8,
    /// Which part of its cells is seen, and at which side.
    pub side: Side,
}

/// How cells stand in their column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Text begins at the left.
    Left,
    /// Numbers end at the right.
    Right,
    /// What happened last stands at the end, and is seen where there is not room for all.
    End,
}

/// A row.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// What it is known by.
    pub id: String,
    /// As many as there are columns.
    pub cells: Vec<Value>,
    /// All that is known of it, each with its name, where that is more than its cells.
    pub full: Arc<[(String, Value)]>,
}

impl Row {
    /// One of which nothing is known but its cells.
    pub fn new(id: impl Into<String>, cells: Vec<Value>) -> Self {
        Self { id: id.into(), cells, full: Arc::default() }
    }
}

/// What is in one cell.
#[derive(Debug, Clone, PartialEq)]
pub struct Value {
    /// What is read: printable.
    pub text: String,
    /// Cells that it needs.
    pub width: u16,
    /// What stands for it where there is not room for all of it: printable.
    pub short: Option<String>,
    /// What it means.
    pub role: Role,
    /// How much of it is used, from 0 to 1: shown as a bar.
    pub share: Option<f32>,
    /// What it is sorted by; otherwise its text.
    pub number: Option<f64>,
}

impl Value {
    /// Text.
    pub fn new(text: impl Into<String>, role: Role) -> Self {
        let text = text.into();
        let width = width(&text);
        Self { text, width, short: None, role, share: None, number: None }
    }

    /// The same, with what stands for it where there is not room for all of it.
    #[must_use]
    pub fn short(self, short: impl Into<String>) -> Self {
        Self { short: Some(short.into()), ..self }
    }

    /// The same, sorted by this.
    #[must_use]
    pub fn number(self, number: f64) -> Self {
        Self { number: Some(number), ..self }
    }

    /// The same with a bar.
    #[must_use]
    pub fn share(self, share: f32) -> Self {
        Self { share: Some(share.clamp(0.0, 1.0)), number: Some(share.into()), ..self }
    }

    /// What is read in so many cells.
    #[must_use]
    pub fn fitting(&self, cells: usize) -> &str {
        match &self.short {
            Some(short) if usize::from(self.width) > cells => short,
            Some(_) | None => &self.text,
        }
    }

    /// Whether it has this word, which is lowercase, in whatever case.
    fn has(&self, word: &str) -> bool {
        if !self.text.is_ascii() {
            return self.text.to_lowercase().contains(word);
        }
        let mut parts = self.text.as_bytes().windows(word.len().max(1));
        word.is_empty() || parts.any(|part| part.eq_ignore_ascii_case(word.as_bytes()))
    }
}

/// What the widest cell of a column needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Need {
    /// Cells of its text.
    pub text: u16,
    /// The same where what is long is shortened.
    pub short: u16,
    /// There are bars before the texts.
    pub bar: bool,
}

/// What is in a line of a list.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Shown<'a> {
    /// What rows that are kept together have in common, and how many they are.
    Heading(&'a str, usize),
    /// A row, and its place.
    Row(usize, &'a Row),
}

/// Which column the rows are sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sort {
    /// Its place.
    pub column: usize,
    /// The largest first.
    pub down: bool,
}

/// How one moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Move {
    /// So many rows; upwards below zero.
    By(isize),
    /// To the first.
    First,
    /// To the last.
    Last,
    /// To this one of those shown.
    To(usize),
}

/// Rows, and where one is among them.
#[derive(Debug, Clone, Default)]
pub struct Table {
    rows: Shared<Row>,
    /// Places in `rows` of those that are shown, in order.
    shown: Vec<usize>,
    /// The same with headings.
    blocks: Blocks,
    /// What the widest of those shown need, by column.
    needs: Vec<Need>,
    filter: String,
    sort: Option<Sort>,
    group: Option<usize>,
    /// What one is at, and its place among those shown when it was last there.
    here: Option<String>,
    place: usize,
    /// First line on the screen.
    top: usize,
    marked: BTreeSet<String>,
    /// One stays at the first row, whichever that is. `None`: new rows come anywhere.
    follows: Option<bool>,
}

impl Table {
    /// A list whose newest row is the first, and is followed.
    #[must_use]
    pub fn newest_first() -> Self {
        Self { follows: Some(true), ..Self::default() }
    }

    /// Shows these from now on. What one is at stays; if it is gone, its place does.
    pub fn set(&mut self, rows: Shared<Row>) {
        if !self.marked.is_empty() {
            let ids: HashSet<_> = rows.iter().map(|row| row.id.as_str()).collect();
            self.marked.retain(|id| ids.contains(id.as_str()));
        }
        self.rows = rows;
        self.arrange();
    }

    /// Shows those only that have all these words in one of their cells, whatever their case.
    pub fn set_filter(&mut self, filter: &str) {
        filter.clone_into(&mut self.filter);
        self.arrange();
    }

    /// The words that rows have to have.
    #[must_use]
    pub fn filter(&self) -> &str {
        &self.filter
    }

    /// Sorts by this column, numbers from the largest; the same again, the other way round; once more,
    /// not at all.
    pub fn sort_by(&mut self, column: usize) {
        let numbers = self.rows.iter().any(|row| {
            let cell = row.cells.get(column);
            cell.is_some_and(|cell| cell.number.is_some())
        });
        self.sort = match self.sort {
            Some(Sort { column: same, down }) if same == column && down == numbers => {
                Some(Sort { column, down: !down })
            }
            Some(Sort { column: same, .. }) if same == column => None,
            Some(_) | None => Some(Sort { column, down: numbers }),
        };
        // The first is the newest no more.
        self.follows = self.follows.map(|follows| follows && self.sort.is_none());
        self.arrange();
    }

    /// What it is sorted by.
    #[must_use]
    pub fn sort(&self) -> Option<Sort> {
        self.sort
    }

    /// Keeps rows together that have the same in this column.
    pub fn group_by(&mut self, column: Option<usize>) {
        self.group = column;
        self.arrange();
    }

    /// What rows are kept together by.
    #[must_use]
    pub fn group(&self) -> Option<usize> {
        self.group
    }

    /// Moves. To the first row is to follow what comes, and down from it is not to.
    pub fn go(&mut self, to: Move) {
        let last = self.shown.len().saturating_sub(1);
        let place = match to {
            Move::By(rows) => self.place.saturating_add_signed(rows).min(last),
            Move::First => 0,
            Move::Last => last,
            Move::To(place) => place.min(last),
        };
        let begins = to == Move::First && self.sort.is_none();
        self.follows = self.follows.map(|follows| begins || (follows && place == 0));
        self.put(place);
    }

    /// Follows what comes in the order of time, or stays with what one is at.
    pub fn follow(&mut self, follows: bool) {
        if follows && self.follows.is_some() {
            self.sort = None;
            self.arrange();
            self.go(Move::First);
        } else {
            self.follows = self.follows.map(|_| false);
        }
    }

    /// Somebody comes to it: where it can be followed, she sees the newest.
    pub fn enter(&mut self) {
        if self.follows.is_some() {
            self.go(Move::First);
        }
    }

    /// Whether one stays at the first row when others come.
    #[must_use]
    pub fn is_following(&self) -> bool {
        self.follows == Some(true)
    }

    /// Whether one is at the last row, or there is none.
    #[must_use]
    pub fn is_at_end(&self) -> bool {
        self.place + 1 >= self.shown.len()
    }

    fn put(&mut self, place: usize) {
        self.place = place;
        self.here = self.row(place).map(|row| row.id.clone());
    }

    /// Goes to the row of this id; `false`: it is not shown.
    pub fn find(&mut self, id: &str) -> bool {
        let place = self.shown.iter().position(|i| self.rows[*i].id == id);
        if let Some(place) = place {
            self.go(Move::To(place));
        }
        place.is_some()
    }

    /// Marks the row that one is at, or takes its mark away.
    pub fn mark(&mut self) {
        let Some(id) = self.here().map(|row| row.id.clone()) else { return };
        if !self.marked.remove(&id) {
            self.marked.insert(id);
        }
    }

    /// Marks all that are shown; if they are already, takes all marks away.
    pub fn mark_all(&mut self) {
        let shown: BTreeSet<_> = self.visible().map(|(_, row)| row.id.clone()).collect();
        if shown.is_subset(&self.marked) {
            self.marked.clear();
        } else {
            self.marked.extend(shown);
        }
    }

    /// Takes all marks away; whether there were any.
    pub fn unmark(&mut self) -> bool {
        !std::mem::take(&mut self.marked).is_empty()
    }

    /// Whether this row is marked.
    #[must_use]
    pub fn is_marked(&self, id: &str) -> bool {
        self.marked.contains(id)
    }

    /// How many rows are marked.
    #[must_use]
    pub fn marks(&self) -> usize {
        self.marked.len()
    }

    /// Whether there is a filter or a mark to be taken away.
    #[must_use]
    pub fn is_changed(&self) -> bool {
        !self.filter.is_empty() || !self.marked.is_empty()
    }

    /// The ids of what an action is for: the marked ones, else the one that one is at.
    #[must_use]
    pub fn chosen(&self) -> Vec<String> {
        if self.marked.is_empty() {
            self.here().map(|row| row.id.clone()).into_iter().collect()
        } else {
            self.marked.iter().cloned().collect()
        }
    }

    /// The row that one is at.
    #[must_use]
    pub fn here(&self) -> Option<&Row> {
        self.row(self.place)
    }

    /// Its place among those shown, from 0.
    #[must_use]
    pub fn place(&self) -> usize {
        self.place
    }

    /// How many are shown, and how many there are.
    #[must_use]
    pub fn count(&self) -> (usize, usize) {
        (self.shown.len(), self.rows.len())
    }

    /// Those shown with their places.
    pub fn visible(&self) -> impl Iterator<Item = (usize, &Row)> {
        self.shown.iter().map(|i| self.rows[*i].as_ref()).enumerate()
    }

    /// What the widest of those shown need, by column.
    #[must_use]
    pub fn needs(&self) -> &[Need] {
        &self.needs
    }

    /// The first line to draw where there is room for so many: one sees what one is at, and as little
    /// moves as can be.
    #[must_use]
    pub fn window(&self, room: usize) -> usize {
        self.blocks.window(self.place, self.top, room)
    }

    /// The lines that are seen where there is room for so many.
    pub fn lines(&self, room: usize) -> impl Iterator<Item = Shown<'_>> {
        let first = self.window(room);
        (first..first + room).map_while(|line| match self.blocks.at(line)? {
            Stands::Row(place) => Some(Shown::Row(place, self.row(place)?)),
            Stands::Heading(places) => {
                let cell = self.row(places.start)?.cells.get(self.group?)?;
                Some(Shown::Heading(&cell.text, places.len()))
            }
        })
    }

    /// The place of the row that stands in this line of those.
    #[must_use]
    pub fn place_at(&self, line: usize, room: usize) -> Option<usize> {
        match self.blocks.at(self.window(room) + line)? {
            Stands::Row(place) => Some(place),
            Stands::Heading(_) => None,
        }
    }

    /// It was drawn with so much room.
    pub fn drawn(&mut self, room: usize) {
        self.top = self.window(room);
    }

    fn row(&self, place: usize) -> Option<&Row> {
        self.shown.get(place).map(|i| self.rows[*i].as_ref())
    }

    fn arrange(&mut self) {
        let words: Vec<String> = self.filter.split_whitespace().map(str::to_lowercase).collect();
        let has = |row: &Row, word: &String| row.cells.iter().any(|cell| cell.has(word));
        let rows = &self.rows;
        let mut shown: Vec<usize> =
            (0..rows.len()).filter(|i| words.iter().all(|word| has(&rows[*i], word))).collect();
        let cell = |i: usize, column: usize| rows[i].cells.get(column);
        let group = |i| self.group.and_then(|column| cell(i, column)).map(|cell| &cell.text);
        shown.sort_by(|a, b| {
            group(*a).cmp(&group(*b)).then_with(|| match self.sort {
                Some(Sort { column, down }) => compare(cell(*a, column), cell(*b, column), down),
                None => Ordering::Equal,
            })
        });
        let columns = rows.first().map_or(0, |row| row.cells.len());
        let mut needs = vec![Need::default(); columns];
        for cells in shown.iter().map(|i| &rows[*i].cells) {
            needs.iter_mut().zip(cells).for_each(|(need, value)| need.add(value));
        }
        self.needs = needs;
        self.blocks = match self.group {
            Some(_) => Blocks::by(shown.iter().map(|i| group(*i))),
            None => Blocks::plain(shown.len()),
        };
        self.shown = shown;
        let found = self
            .here
            .as_ref()
            .and_then(|id| self.shown.iter().position(|i| self.rows[*i].id == *id));
        let last = self.shown.len().saturating_sub(1);
        let place = if self.is_following() { 0 } else { found.unwrap_or(self.place) };
        self.put(place.min(last));
    }
}

impl Need {
    fn add(&mut self, value: &Value) {
        let short = value.short.as_ref().map_or(value.width, |short| width(short));
        self.text = self.text.max(value.width);
        self.short = self.short.max(short);
        self.bar |= value.share.is_some();
    }
}

/// Cells of a text.
fn width(text: &str) -> u16 {
    u16::try_from(text.width()).unwrap_or(u16::MAX)
}

fn compare(a: Option<&Value>, b: Option<&Value>, down: bool) -> Ordering {
    let turned = |order: Ordering| if down { order.reverse() } else { order };
    match (a, b) {
        (Some(Value { number: Some(a), .. }), Some(Value { number: Some(b), .. })) => {
            turned(a.total_cmp(b))
        }
        // What has no number comes last, whatever comes first.
        (Some(Value { number: Some(_), .. }), _) => Ordering::Less,
        (_, Some(Value { number: Some(_), .. })) => Ordering::Greater,
        (a, b) => turned(a.map(|cell| &cell.text).cmp(&b.map(|cell| &cell.text))),
    }
}

#[cfg(test)]
mod tests;
