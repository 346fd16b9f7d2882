//! Which backend of a pool the public ports lead to. Pure: time is an argument.

use std::time::Duration;

use tokio::time::Instant;

use crate::model::name::BackendName;

/// How a pool chooses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// The backends, the preferred one first.
    pub order: Vec<BackendName>,
    /// Whether another one takes over while the preferred one is down.
    pub failover: bool,
    /// Least time from one turn to a backend to the next.
    pub hold: Duration,
}

/// The primary of one pool.
#[derive(Debug, Clone)]
pub struct Primary {
    choice: Choice,
    current: Option<BackendName>,
    turned: Option<Instant>,
}

impl Primary {
    /// No primary yet: the page answers.
    #[must_use]
    pub fn new(choice: Choice) -> Self {
        Self { choice, current: None, turned: None }
    }

    /// The same with another choice. The primary stays if the new one allows it, which the next
    /// decision tells; so does the time of the last turn.
    #[must_use]
    pub fn with(self, choice: Choice) -> Self {
        Self { choice, ..self }
    }

    /// Where the ports lead; `None`: to the sentinel's own page.
    #[must_use]
    pub fn current(&self) -> Option<&BackendName> {
        self.current.as_ref()
    }

    /// Decides anew; true if that changed something. Leaving a backend that is down is never put
    /// off; turning to one is, until the hold time since the last turn is over. A backend that works
    /// is not left for a preferred one that came back before the hold time is over, either.
    pub fn decide(&mut self, is_usable: impl Fn(&BackendName) -> bool, now: Instant) -> bool {
        let before = self.current.clone();
        self.current =
            self.current.take().filter(|b| self.candidates().contains(b) && is_usable(b));
        let wanted = self.wanted(is_usable);
        if wanted.is_some() && wanted != self.current.as_ref() && self.may_turn(now) {
            self.current = wanted.cloned();
            self.turned = Some(now);
        }
        self.current != before
    }

    /// When to decide again although nothing happened: when a turn that was put off may be made.
    pub fn next_deadline(&self, is_usable: impl Fn(&BackendName) -> bool) -> Option<Instant> {
        let wanted = self.wanted(is_usable)?;
        let waits = self.current.as_ref() != Some(wanted);
        self.turned.filter(|_| waits).map(|turned| turned + self.choice.hold)
    }

    fn wanted(&self, is_usable: impl Fn(&BackendName) -> bool) -> Option<&BackendName> {
        self.candidates().iter().find(|b| is_usable(b))
    }

    fn candidates(&self) -> &[BackendName] {
        let order = &self.choice.order;
        if self.choice.failover { order } else { order.get(..1).unwrap_or_default() }
    }

    fn may_turn(&self, now: Instant) -> bool {
        self.turned.is_none_or(|turned| now.duration_since(turned) >= self.choice.hold)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::fleet::tests::at;

    const HOLD: Duration = Duration::from_secs(30);

    fn name(i: usize) -> BackendName {
        format!("b{i}").parse().unwrap()
    }

    fn primary(failover: bool) -> Primary {
        Primary::new(Choice { order: (0..3).map(name).collect(), failover, hold: HOLD })
    }

    #[test]
    fn a_dead_primary_is_left_at_once_and_comes_back_after_the_hold_time() {
        let mut primary = primary(false);
        assert!(primary.decide(|_| true, at(0)));
        assert_eq!(primary.current(), Some(&name(0)));
        assert!(primary.decide(|b| *b != name(0), at(1000)));
        assert_eq!(primary.current(), None, "no failover: the page");
        assert!(!primary.decide(|_| true, at(2000)));
        assert_eq!(primary.next_deadline(|_| true), Some(at(30_000)));
        assert!(primary.decide(|_| true, at(30_000)));
        assert_eq!((primary.current(), primary.next_deadline(|_| true)), (Some(&name(0)), None));
    }

    #[test]
    fn the_next_one_takes_over_if_configured_so() {
        let mut primary = primary(true);
        primary.decide(|_| true, at(0));
        assert!(primary.decide(|b| *b != name(0), at(40_000)));
        assert_eq!(primary.current(), Some(&name(1)));
        assert!(!primary.decide(|_| true, at(50_000)), "the preferred one waits");
        assert!(primary.decide(|_| true, at(70_000)));
        assert_eq!(primary.current(), Some(&name(0)));
    }

    proptest! {
        /// Whatever happens: never to a backend that is down, and one turn in a hold time at most.
        #[test]
        fn one_turn_in_a_hold_time(
            failover: bool,
            events in prop::collection::vec((0usize..3, any::<bool>(), 0u64..20_000), 1..300),
        ) {
            let (mut primary, mut up, mut now) = (primary(failover), [false; 3], 0);
            let mut turned: Option<u64> = None;
            for (who, is_up, millis) in events {
                now += millis;
                up[who] = is_up;
                let usable = |b: &BackendName| (0..3).any(|i| name(i) == *b && up[i]);
                let before = primary.current().cloned();
                primary.decide(usable, at(now));
                if let Some(current) = primary.current() {
                    prop_assert!(usable(current), "leads to a dead backend");
                    if before.as_ref() != Some(current) {
                        prop_assert!(turned.is_none_or(|t| now - t >= 30_000), "two turns");
                        turned = Some(now);
                    }
                } else if usable(&name(0)) {
                    prop_assert!(primary.next_deadline(usable).is_some(), "stuck at the page");
                }
            }
        }
    }
}
