//! How far a terminal is behind: each frame ends with a question that every terminal answers once it
//! has got so far (ECMA-48: DSR 5, answered by DSR 0). What lies between, in ssh and in networks, takes a
//! megabyte without a word, which on a slow line are minutes. Pure.

use std::{collections::VecDeque, time::Duration};

/// The question.
pub const ASK: &str = "\x1b[5n";

/// Bytes that may be on their way when another frame is sent: two seconds of a line of 1 KiB a second,
/// and no limit that is felt on a fast one that is 200 ms long.
const WINDOW: usize = 2048;

/// An answer that has not come after this time got lost.
const PATIENCE: Duration = Duration::from_secs(10);

/// What a terminal has not said yet that it has.
#[derive(Debug, Default)]
pub struct Pace {
    /// It was asked, and may be one that never answers.
    asked: bool,
    /// It answers.
    answers: bool,
    /// Bytes of each frame on its way, the oldest first.
    sent: VecDeque<usize>,
    /// Since when it was not heard of, by a clock of the caller.
    since: Duration,
}

impl Pace {
    /// Whether another frame may be sent.
    #[must_use]
    pub fn is_open(&self, now: Duration) -> bool {
        !self.answers || self.sent.iter().sum::<usize>() < WINDOW || self.is_lost(now)
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
        self.sent.push_back(bytes);
        true
    }

    /// It has the oldest frame.
    pub fn on_answer(&mut self, now: Duration) {
        self.answers = true;
        self.sent.pop_front();
        self.since = now;
    }

    /// Whether an answer has not come for so long that none will.
    fn is_lost(&self, now: Duration) -> bool {
        now.saturating_sub(self.since) >= PATIENCE
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
        pace.on_answer(at(0));
        pace.send(WINDOW, at(1));
        assert!(!pace.is_open(at(10)) && pace.is_open(at(11)), "{pace:?}");
        assert!(pace.send(WINDOW, at(11)));
        pace.on_answer(at(12));
        assert!(!pace.is_waiting(), "those before are forgotten: {pace:?}");
    }

    #[test]
    fn whoever_answers_without_being_asked_gains_nothing() {
        let mut pace = Pace::default();
        for _ in 0..1000 {
            pace.on_answer(at(0));
        }
        assert!(pace.send(WINDOW, at(0)) && !pace.is_open(at(1)), "{pace:?}");
    }
}
