//! What the results of one check mean. Pure: time is an argument, and the machine always says when
//! it wants to be asked again.

use std::time::Duration;

use tokio::time::Instant;

use crate::model::check::Rules;

/// Pause before a host that missed a probe is probed again, at most: the doubt is to be short.
const RETRY: Duration = Duration::from_millis(250);

/// What is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Nothing yet.
    Unknown,
    /// It answers.
    Up,
    /// It answered, and missed this many probes since.
    Suspect(u32),
    /// It does not answer.
    Down,
    /// It did not answer, and has answered this many probes since.
    Recovering(u32),
}

impl State {
    /// Whether it is to be used: doubt changes nothing, neither before a fall nor before a rise.
    #[must_use]
    pub fn is_usable(self) -> bool {
        match self {
            Self::Up | Self::Suspect(_) => true,
            Self::Unknown | Self::Down | Self::Recovering(_) => false,
        }
    }
}

/// Number of a probe of one machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Probe(u64);

/// A change of what is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    /// What it was.
    pub from: State,
    /// What it is.
    pub to: State,
}

/// One check of one host.
#[derive(Debug, Clone)]
pub struct Machine {
    rules: Rules,
    state: State,
    failures: u32,
    /// When the next probe begins, or the one under way has failed.
    deadline: Instant,
    under_way: Option<Probe>,
    /// Whether the next probe begins when the one under way has ended.
    is_hurried: bool,
    probes: u64,
}

impl Machine {
    /// Knows nothing and wants its first probe at once.
    #[must_use]
    pub fn new(rules: Rules, now: Instant) -> Self {
        let rules = Rules { fall: rules.fall.max(2), rise: rules.rise.max(1), ..rules };
        Self {
            rules,
            state: State::Unknown,
            failures: 0,
            deadline: now,
            under_way: None,
            is_hurried: false,
            probes: 0,
        }
    }

    /// What is known.
    #[must_use]
    pub fn state(&self) -> State {
        self.state
    }

    /// When to call [`Self::poll`] again at the latest.
    #[must_use]
    pub fn next_deadline(&self) -> Instant {
        self.deadline
    }

    /// What is to be done now: a probe to begin, and what the end of an overdue one changed.
    pub fn poll(&mut self, now: Instant) -> (Option<Probe>, Option<Change>) {
        if now < self.deadline {
            return (None, None);
        }
        if let Some(probe) = self.under_way {
            return (None, self.on_result(probe, false, now));
        }
        self.probes += 1;
        let probe = Probe(self.probes);
        self.under_way = Some(probe);
        self.deadline = now + self.rules.timeout;
        (Some(probe), None)
    }

    /// A probe ended. One that is not under way any more is too late and changes nothing.
    pub fn on_result(&mut self, probe: Probe, success: bool, now: Instant) -> Option<Change> {
        if self.under_way != Some(probe) {
            return None;
        }
        self.under_way = None;
        let from = self.state;
        self.state = if success { self.after_success() } else { self.after_failure() };
        let pause = match self.state {
            State::Suspect(_) => RETRY.min(self.rules.interval),
            // Not known yet and failing: in doubt, too.
            State::Unknown if !success => RETRY.min(self.rules.interval),
            State::Unknown | State::Up | State::Down | State::Recovering(_) => self.rules.interval,
        };
        self.deadline = if std::mem::take(&mut self.is_hurried) { now } else { now + pause };
        (from != self.state).then_some(Change { from, to: self.state })
    }

    /// Somebody else knows that it may be back, or gone: the next probe begins now, or when the one
    /// under way has ended, which may have begun before that.
    pub fn hurry(&mut self, now: Instant) {
        match self.under_way {
            Some(_) => self.is_hurried = true,
            None => self.deadline = self.deadline.min(now),
        }
    }

    /// Somebody knows that it is gone: that is no probe that may be lost. What is under way is
    /// forgotten.
    pub fn lose(&mut self, now: Instant) {
        (self.under_way, self.is_hurried) = (None, false);
        self.failures = self.rules.fall;
        self.state = State::Down;
        self.deadline = now + self.rules.interval;
    }

    fn after_success(&mut self) -> State {
        self.failures = 0;
        let successes = match self.state {
            State::Unknown | State::Up | State::Suspect(_) => return State::Up,
            State::Down => 1,
            State::Recovering(n) => n + 1,
        };
        if successes >= self.rules.rise { State::Up } else { State::Recovering(successes) }
    }

    fn after_failure(&mut self) -> State {
        self.failures = self.failures.saturating_add(1);
        match self.state {
            State::Unknown if self.failures < self.rules.fall => State::Unknown,
            State::Up | State::Suspect(_) if self.failures < self.rules.fall => {
                State::Suspect(self.failures)
            }
            State::Unknown | State::Up | State::Suspect(_) | State::Down | State::Recovering(_) => {
                State::Down
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::fleet::tests::at;

    const TICK: Duration = Duration::from_millis(50);

    /// Runs a machine whose host answers while `alive` says so, after `latency`; the times at which
    /// it changed, in milliseconds.
    fn run(rules: Rules, millis: u64, alive: impl Fn(u64) -> bool) -> Vec<(u64, State)> {
        let mut machine = Machine::new(rules, at(0));
        let mut changes = Vec::new();
        for t in (0..millis).step_by(10) {
            let (probe, change) = machine.poll(at(t));
            changes.extend(change.map(|c| (t, c.to)));
            if let Some(probe) = probe.filter(|_| alive(t)) {
                let change = machine.on_result(probe, true, at(t));
                changes.extend(change.map(|c| (t, c.to)));
            }
        }
        changes
    }

    #[test]
    fn a_dead_host_is_found_in_under_five_seconds_with_the_defaults() {
        for death in (3000..4100).step_by(10) {
            let changes = run(Rules::default(), 12_000, |t| t < death);
            let (down, _) = changes.iter().find(|(_, s)| *s == State::Down).unwrap();
            assert!(down - death < 5000, "{death}: {changes:?}");
        }
    }

    #[test]
    fn one_lost_probe_changes_nothing_and_a_host_comes_back_after_rise() {
        let one_lost = run(Rules::default(), 10_000, |t| t != 3000);
        assert!(one_lost.iter().all(|(_, s)| s.is_usable()), "{one_lost:?}");
        let back = run(Rules::default(), 20_000, |t| !(3000..9000).contains(&t));
        let states: Vec<_> = back.iter().map(|(_, s)| *s).collect();
        let expected = [
            State::Up,
            State::Suspect(1),
            State::Suspect(2),
            State::Down,
            State::Recovering(1),
            State::Up,
        ];
        assert_eq!(states, expected);
    }

    #[test]
    fn a_late_answer_and_a_second_one_change_nothing() {
        let mut machine = Machine::new(Rules::default(), at(0));
        let (probe, _) = machine.poll(at(0));
        let probe = probe.unwrap();
        assert_eq!(machine.poll(at(1000)), (None, None), "failed, but unknown all the same");
        assert_eq!(machine.on_result(probe, true, at(1001)), None);
        assert_eq!(machine.state(), State::Unknown);
    }

    #[test]
    fn a_host_that_is_known_to_be_gone_is_down_at_once_and_comes_back_after_rise() {
        for was_up in [true, false] {
            let mut machine = Machine::new(Rules::default(), at(0));
            let probe = machine.poll(at(0)).0.unwrap();
            if was_up {
                machine.on_result(probe, true, at(10));
            }
            machine.lose(at(500));
            assert_eq!(machine.state(), State::Down);
            assert_eq!(machine.on_result(probe, true, at(600)), None, "too late");
            for (time, state) in [(1500, State::Recovering(1)), (2500, State::Up)] {
                let probe = machine.poll(at(time)).0.unwrap();
                machine.on_result(probe, true, at(time));
                assert_eq!(machine.state(), state);
            }
        }
    }

    #[test]
    fn whoever_hurries_is_not_told_by_a_probe_that_began_before() {
        let mut machine = Machine::new(Rules::default(), at(0));
        machine.lose(at(0));
        let old = machine.poll(at(1000)).0.unwrap();
        machine.hurry(at(1500));
        assert_eq!(machine.poll(at(1500)), (None, None), "one at a time");
        machine.on_result(old, false, at(1900));
        let new = machine.poll(at(1900)).0.unwrap();
        machine.on_result(new, true, at(1910));
        assert_eq!(machine.state(), State::Recovering(1));
        assert_eq!(machine.next_deadline(), at(2910), "once");
    }

    proptest! {
        /// Whatever happens, at most one probe is under way, it never sleeps for ever, and it falls
        /// and rises only after as many results in a row as the rules say.
        #[test]
        fn facts_need_as_many_results_as_the_rules_say(
            fall in 0u32..6, rise in 0u32..6,
            events in prop::collection::vec((0u8..4, 0u64..40), 1..400),
        ) {
            let rules = Rules { fall, rise, ..Rules::default() };
            let mut machine = Machine::new(rules, at(0));
            let (mut now, mut under_way) = (at(0), None);
            let (mut good, mut bad) = (0, 0);
            for (event, ticks) in events {
                now += TICK * u32::try_from(ticks).unwrap();
                let before = machine.state();
                let overdue = under_way.is_some() && machine.next_deadline() <= now;
                match (event, under_way) {
                    (0 | 1, Some(probe)) => {
                        under_way = None;
                        machine.on_result(probe, event == 0, now);
                        (good, bad) = if event == 0 { (good + 1, 0) } else { (0, bad + 1) };
                    }
                    (2, _) => machine.hurry(now),
                    _ => {
                        let (probe, _) = machine.poll(now);
                        prop_assert!(probe.is_none() || under_way.is_none());
                        if overdue {
                            (under_way, good, bad) = (None, 0, bad + 1);
                        }
                        under_way = probe.or(under_way);
                    }
                }
                let longest = rules.interval.max(rules.timeout);
                prop_assert!(machine.next_deadline() <= now + longest, "it sleeps for ever");
                let after = machine.state();
                if before != State::Down && after == State::Down && !matches!(before, State::Recovering(_)) {
                    prop_assert!(bad >= fall.max(2), "down after {bad}");
                }
                if matches!(before, State::Down | State::Recovering(_)) && after == State::Up {
                    prop_assert!(good >= rise.max(1), "up after {good}");
                }
            }
        }
    }
}
