//! How far a terminal is behind: each frame ends with a question that every terminal answers once it
//! has got so far (ECMA-48: DSR 5, answered by DSR 0). What lies between, in ssh and in networks, takes a
//! megabyte without a word, which on a slow line are minutes. Pure.

use std::{collections::VecDeque, time::Duration};

/// The question.
pub const ASK: &str = "\x1b[5n";

/// Bytes that may be on their way when another frame is sent: two seconds of a line of 1 KiB a second,
/// and no limit that is felt on a fast one that is 200 ms long.
const WINDOW: usize = 2048;

/// An answer got lost that has not come after so many times what the slowest took, within limits: a
/// network may stop for a second, and nobody waits longer than ten before a screen that stands still.
const PATIENCE: u32 = 8;
const LEAST_PATIENCE: Duration = Duration::from_secs(1);
const MOST_PATIENCE: Duration = Duration::from_secs(10);

/// What a terminal has not said yet that it has.
#[derive(Debug, Default)]
pub struct Pace {
    /// It was asked, and may be one that never answers.
    asked: bool,
    /// It answers.
    answers: bool,
    /// Bytes of each frame on its way and when it was sent, by a clock of the caller; the oldest first.
    sent: VecDeque<(usize, Duration)>,
    /// Since when it was not heard of.
    since: Duration,
    /// How long the slowest answer took. The first frame is a whole screen, so that it is known early.
    slowest: Duration,
}

impl Pace {
    /// Whether another frame may be sent.
    #[must_use]
    pub fn is_open(&self, now: Duration) -> bool {
        !self.answers || self.on_its_way() < WINDOW || self.is_lost(now)
    }

    /// A frame of so many bytes is sent; whether the question follows it. Who never answered is asked
    /// once.
    pub fn send(&mut self, bytes: usize, now: Duration) -> bool {
        if !self.is_waiting() || self.is_lost(now) {
            self.sent.clear();
        }
        if self.asked && !self.answers {
            return false;
        }
        if self.sent.is_empty() {
            self.since = now;
        }
        self.asked = true;
        self.sent.push_back((bytes, now));
        true
    }

    /// It has the oldest frame.
    pub fn on_answer(&mut self, now: Duration) {
        self.answers = true;
        if let Some((_, then)) = self.sent.pop_front() {
            self.slowest = self.slowest.max(now.saturating_sub(then));
        }
        self.since = now;
    }

    fn on_its_way(&self) -> usize {
        self.sent.iter().map(|(bytes, _)| bytes).sum()
    }

    /// Whether an answer has not come for so long that none will.
    fn is_lost(&self, now: Duration) -> bool {
        let patience = self.slowest.saturating_mul(PATIENCE);
        now.saturating_sub(self.since) >= patience.clamp(LEAST_PATIENCE, MOST_PATIENCE)
    }

    /// Whether an answer is to come, from a terminal that answers.
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        self.answers && !self.sent.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_terminal_that_never_answers_is_asked_once_and_not_waited_for() {
        let mut pace = Pace::default();
        assert!(pace.send(100_000, at(0)), "asked");
        for second in 0..100 {
            assert!(
                pace.is_open(at(second)) && !pace.send(100_000, at(second)),
                "{second}: {pace:?}"
            );
        }
        assert!(!pace.is_waiting());
    }

    #[test]
    fn a_slow_terminal_has_two_kib_and_a_frame_on_its_way() {
        let mut pace = Pace::default();
        assert!(pace.send(5000, at(0)));
        pace.on_answer(at(1));
        for bytes in [1000, 1000, 9000] {
            assert!(pace.is_open(at(1)) && pace.send(bytes, at(1)), "{pace:?}");
        }
        assert!(!pace.is_open(at(2)) && pace.is_waiting(), "{pace:?}");
        pace.on_answer(at(3));
        pace.on_answer(at(4));
        assert!(!pace.is_open(at(13)), "the large one is on its way: {pace:?}");
        pace.on_answer(at(13));
        assert!(pace.is_open(at(13)) && !pace.is_waiting(), "{pace:?}");
    }

    #[test]
    fn an_answer_that_got_lost_holds_up_nothing_for_ever() {
        let mut pace = Pace::default();
        pace.send(10, at(0));
        pace.on_answer(at(5));
        pace.send(WINDOW, at(6));
        assert!(!pace.is_open(at(15)) && pace.is_open(at(16)), "{pace:?}");
        assert!(pace.send(WINDOW, at(16)));
        pace.on_answer(at(17));
        assert!(!pace.is_waiting(), "those before are forgotten: {pace:?}");
    }

    #[test]
    fn on_a_quick_line_a_lost_answer_is_missed_soon() {
        let ms = Duration::from_millis;
        for (took, patience) in [(ms(2), ms(1000)), (ms(200), ms(1600)), (ms(1999), ms(10_000))] {
            let mut pace = Pace::default();
            pace.send(10, at(0));
            pace.on_answer(took);
            pace.send(10, at(20));
            pace.on_answer(at(20));
            pace.send(WINDOW, at(30));
            let after = |time| at(30) + time;
            assert!(!pace.is_open(after(patience * 9 / 10)), "{took:?}: {pace:?}");
            assert!(pace.is_open(after(patience)), "{took:?}: {pace:?}");
        }
    }

    #[test]
    fn whoever_answers_without_being_asked_gains_nothing() {
        let mut pace = Pace::default();
        for _ in 0..1000 {
            pace.on_answer(at(0));
        }
        let soon = LEAST_PATIENCE / 2;
        assert!(pace.send(WINDOW, at(0)) && !pace.is_open(soon), "{pace:?}");
    }
}
