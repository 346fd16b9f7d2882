//! How many refused logins, and how many bans, are written one by one: whoever knocks all day must not
//! fill the disk. Pure.

use jiff::Timestamp;

/// Events in a row that are all written, and how many a minute are for ever.
const BURST: i64 = 600;
const EACH_MINUTE: i64 = 60;

const MICROSECONDS: i64 = 60_000_000;

/// A bucket of tokens, and what came when it was empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Damper {
    tokens: i64,
    /// When tokens were last added, in microseconds since 1970.
    filled: i64,
    /// How many were not written, and when the first of them came.
    held: Option<(u64, Timestamp)>,
}

impl Damper {
    pub(super) fn new(now: Timestamp) -> Self {
        Self { tokens: BURST, filled: now.as_microsecond(), held: None }
    }

    /// One comes: whether it is written by itself.
    pub(super) fn admit(&mut self, now: Timestamp) -> bool {
        self.fill(now);
        if self.tokens > 0 {
            self.tokens -= 1;
            return true;
        }
        self.held.get_or_insert((0, now)).0 += 1;
        false
    }

    /// How many were not written by themselves, and since when: once a minute, or at the end.
    pub(super) fn take(&mut self, now: Timestamp, at_the_end: bool) -> Option<(u64, Timestamp)> {
        let is_due = |since: &Timestamp| {
            (now.as_microsecond() - since.as_microsecond()).abs() >= MICROSECONDS
        };
        self.held.take_if(|(_, since)| at_the_end || is_due(since))
    }

    fn fill(&mut self, now: Timestamp) {
        let now = now.as_microsecond();
        let each = MICROSECONDS / EACH_MINUTE;
        let more = now.saturating_sub(self.filled) / each;
        // Otherwise the clock was set, or it was quiet for long.
        let is_usual = (0..=BURST).contains(&more);
        self.filled = if is_usual { self.filled + more * each } else { now };
        self.tokens = (self.tokens + more.max(0)).min(BURST);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + seconds).unwrap()
    }

    #[test]
    fn a_flood_is_counted_and_nothing_of_it_is_lost_from_the_count() {
        let mut damper = Damper::new(at(0));
        let mut counted = 0;
        for second in 0..3600 {
            let written = (0..50).filter(|_| damper.admit(at(second))).count() as u64;
            let held = damper.take(at(second), false);
            assert!(held.is_none_or(|(_, since)| since < at(second)));
            counted += written + held.map_or(0, |(held, _)| held);
        }
        counted += damper.take(at(3600), true).unwrap().0;
        assert_eq!(counted, 3600 * 50);
        assert_eq!(damper.take(at(3600), true), None);
        assert!(damper.admit(at(3600)), "after a second there is room for one");
        assert!(!damper.admit(at(3600)));
    }

    #[test]
    fn clocks_that_jump_neither_stop_it_nor_open_it() {
        let mut damper = Damper::new(at(0));
        assert_eq!((0..1000).filter(|_| damper.admit(at(0))).count(), 600);
        assert!(!damper.admit(at(-86_400)));
        assert_eq!((0..1000).filter(|_| damper.admit(at(86_400))).count(), 600);
        assert!(damper.take(at(0), false).is_none());
        assert!(damper.take(at(60), false).is_some());
    }
}
