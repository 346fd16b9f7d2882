//! The lines of a list: rows, and a heading above those that are kept together. Pure.

use std::ops::Range;

/// Rows in blocks.
#[derive(Debug, Clone, Default)]
pub struct Blocks {
    rows: usize,
    /// Place of the first row of each block that has a heading.
    begins: Vec<usize>,
}

/// What stands in a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stands {
    /// The heading of these rows, by their places.
    Heading(Range<usize>),
    /// A row, by its place.
    Row(usize),
}

impl Blocks {
    /// Rows without headings.
    #[must_use]
    pub fn plain(rows: usize) -> Self {
        Self { rows, begins: Vec::new() }
    }

    /// Rows that have this in common: a heading stands above each that differs from the one before.
    pub fn by<K: PartialEq>(common: impl IntoIterator<Item = K>) -> Self {
        let (mut rows, mut begins, mut last) = (0, Vec::new(), None);
        for key in common {
            if last.as_ref() != Some(&key) {
                begins.push(rows);
            }
            last = Some(key);
            rows += 1;
        }
        Self { rows, begins }
    }

    /// Lines, with those of headings.
    #[must_use]
    pub fn count(&self) -> usize {
        self.rows + self.begins.len()
    }

    /// What stands in a line.
    #[must_use]
    pub fn at(&self, line: usize) -> Option<Stands> {
        if line >= self.count() {
            return None;
        }
        // Headings of the lines so far, this one included: the one of block `i` is in the line of its
        // first row, and `i` lines further down.
        let (mut low, mut high) = (0, self.begins.len());
        while low < high {
            let middle = usize::midpoint(low, high);
            if self.begins[middle] + middle <= line { low = middle + 1 } else { high = middle }
        }
        let Some(block) = low.checked_sub(1) else { return Some(Stands::Row(line)) };
        let begin = self.begins[block];
        if begin + block == line {
            let end = self.begins.get(low).copied().unwrap_or(self.rows);
            return Some(Stands::Heading(begin..end));
        }
        Some(Stands::Row(line - low))
    }

    /// The line of a row.
    #[must_use]
    pub fn line(&self, place: usize) -> usize {
        place + self.begins.partition_point(|begin| *begin <= place)
    }

    /// The first line to draw where there is room for so many and `top` was the first before: this row
    /// is seen, with the heading right above it if there is one, and as little moves as can be.
    #[must_use]
    pub fn window(&self, place: usize, top: usize, room: usize) -> usize {
        let line = self.line(place);
        let has_heading = self.begins.binary_search(&place).is_ok();
        let lowest = (line + 1).saturating_sub(room.max(1));
        let highest = line.saturating_sub(usize::from(has_heading)).max(lowest);
        top.clamp(lowest, highest).min(self.count().saturating_sub(room.max(1)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn headings_stand_above_what_they_are_of() {
        let blocks = Blocks::by(["a", "a", "b", "c", "c"]);
        let lines: Vec<_> = (0..9).map(|line| blocks.at(line)).collect();
        let (heading, row) = (|places| Some(Stands::Heading(places)), |at| Some(Stands::Row(at)));
        let expected = [
            heading(0..2),
            row(0),
            row(1),
            heading(2..3),
            row(2),
            heading(3..5),
            row(3),
            row(4),
            None,
        ];
        assert_eq!(lines, expected);
        assert_eq!(Blocks::plain(2).at(1), row(1));
        assert_eq!((Blocks::plain(2).at(2), Blocks::by([0; 0]).at(0)), (None, None));
    }

    #[test]
    fn a_heading_is_seen_with_its_first_row() {
        let blocks = Blocks::by([1, 1, 1, 2, 2, 2]);
        assert_eq!(blocks.window(5, 0, 4), 4, "down");
        assert_eq!(blocks.window(3, 5, 4), 4, "up to the first row of a block: its heading");
        assert_eq!(blocks.window(0, 4, 4), 0);
        assert_eq!(blocks.window(0, 4, 1), 1, "no room for both");
        assert_eq!(blocks.window(2, 9, 100), 0, "there is room for all");
    }

    proptest! {
        #[test]
        fn every_row_has_a_line_of_its_own_and_is_seen_where_one_is(
            keys in proptest::collection::vec(0..4_u8, 1..40),
            place in any::<prop::sample::Index>(),
            top in 0..60_usize,
            room in 0..20_usize,
        ) {
            let blocks = Blocks::by(&keys);
            for place in 0..keys.len() {
                prop_assert_eq!(blocks.at(blocks.line(place)), Some(Stands::Row(place)));
            }
            let rows = (0..blocks.count()).filter_map(|line| match blocks.at(line) {
                Some(Stands::Row(place)) => Some(place),
                Some(Stands::Heading(_)) | None => None,
            });
            prop_assert_eq!(rows.collect::<Vec<_>>(), (0..keys.len()).collect::<Vec<_>>());
            let place = place.index(keys.len());
            let (first, room) = (blocks.window(place, top, room), room.max(1));
            prop_assert!((first..first + room).contains(&blocks.line(place)), "{first}");
            prop_assert!(first == 0 || first + room <= blocks.count(), "{first}: empty lines");
        }
    }
}
