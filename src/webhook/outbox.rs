//! What one webhook is still to be told. Pure: time and chance are arguments.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use tokio::time::Instant;

use super::Event;

/// Events that wait; the oldest gives way.
const MAX_WAITING: usize = 100;
/// How long an event is worth telling.
const WORTH: Duration = Duration::from_secs(3600);
/// Pause after the first failure; it doubles each time.
const FIRST: Duration = Duration::from_secs(2);
/// Longest pause.
const LONGEST: Duration = Duration::from_secs(300);

/// What came of sending one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It was taken.
    Sent,
    /// It may be taken later; not before this time has passed.
    Later(Option<Duration>),
    /// It will never be taken.
    Never,
}

/// Events of one webhook, the oldest first. One is on its way at a time, so that they arrive in
/// their order.
#[derive(Debug)]
pub(super) struct Outbox<T = Event> {
    waiting: VecDeque<(Arc<T>, Instant)>,
    on_its_way: bool,
    next: Instant,
    failures: u32,
}

impl<T> Outbox<T> {
    pub(super) fn new(now: Instant) -> Self {
        Self { waiting: VecDeque::new(), on_its_way: false, next: now, failures: 0 }
    }

    /// Adds an event; returns the one that gives way for it.
    pub(super) fn push(&mut self, event: Arc<T>, now: Instant) -> Option<Arc<T>> {
        self.waiting.push_back((event, now));
        // The first is the one on its way.
        let oldest = usize::from(self.on_its_way);
        let full = self.waiting.len() > MAX_WAITING;
        full.then(|| self.waiting.remove(oldest)).flatten().map(|(event, _)| event)
    }

    /// The event to send now.
    pub(super) fn poll(&mut self, now: Instant) -> Option<Arc<T>> {
        if self.on_its_way || now < self.next {
            return None;
        }
        let (event, _) = self.waiting.front()?;
        self.on_its_way = true;
        Some(Arc::clone(event))
    }

    /// Has the next one sent at once, whatever pause is due: there is no later.
    pub(super) fn hurry(&mut self, now: Instant) {
        self.next = self.next.min(now);
    }

    /// Whether one is being sent.
    pub(super) fn is_on_its_way(&self) -> bool {
        self.on_its_way
    }

    /// Whether nothing is left to be told.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Gives up all that is left.
    pub(super) fn give_up(&mut self) -> impl Iterator<Item = Arc<T>> {
        self.on_its_way = false;
        std::mem::take(&mut self.waiting).into_iter().map(|(event, _)| event)
    }

    /// When to call [`Self::poll`]; `None`: when something else happens.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        (!self.on_its_way && !self.waiting.is_empty()).then_some(self.next)
    }

    /// What was sent came to an end; `chance` from 0 to 1 spreads the pause. Returns the event if
    /// it is given up.
    pub(super) fn on_end(&mut self, verdict: Verdict, chance: f64, now: Instant) -> Option<Arc<T>> {
        self.on_its_way = false;
        match verdict {
            Verdict::Sent => {
                self.waiting.pop_front();
                (self.failures, self.next) = (0, now);
                None
            }
            Verdict::Never => {
                (self.failures, self.next) = (0, now);
                self.waiting.pop_front().map(|(event, _)| event)
            }
            Verdict::Later(least) => {
                let pause = FIRST.saturating_mul(1 << self.failures.min(16)).min(LONGEST);
                self.failures = self.failures.saturating_add(1);
                // From three quarters to all of it, so that several sentinels do not come in step.
                let pause = pause.mul_f64(0.75 + 0.25 * chance.clamp(0.0, 1.0));
                self.next = now + pause.max(least.unwrap_or_default());
                let old =
                    self.waiting.front().is_some_and(|(_, told)| now.duration_since(*told) > WORTH);
                old.then(|| self.waiting.pop_front()).flatten().map(|(event, _)| event)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::tests::at;

    #[test]
    fn one_is_on_its_way_and_failures_pause_longer() {
        let mut outbox = Outbox::new(at(0));
        for n in 0..3 {
            assert_eq!(outbox.push(Arc::new(n), at(0)), None);
        }
        assert_eq!(outbox.poll(at(0)).as_deref(), Some(&0));
        assert_eq!((outbox.poll(at(0)), outbox.next_deadline()), (None, None));
        assert_eq!(outbox.on_end(Verdict::Sent, 1.0, at(10)), None);
        let mut pauses = Vec::new();
        let mut now = at(10);
        let given_up = loop {
            assert_eq!(outbox.poll(now).as_deref(), Some(&1));
            if let Some(event) = outbox.on_end(Verdict::Later(None), 1.0, now) {
                break event;
            }
            let next = outbox.next_deadline().unwrap();
            pauses.push((next - now).as_secs());
            now = next;
        };
        assert_eq!((*given_up, &pauses[..9]), (1, &[2, 4, 8, 16, 32, 64, 128, 256, 300][..]));
        assert!(now > at(3_600_000) && pauses.len() < 30);
        let next = outbox.next_deadline().unwrap();
        assert_eq!(outbox.poll(next).as_deref(), Some(&2));
        assert_eq!(outbox.on_end(Verdict::Never, 0.0, next).as_deref(), Some(&2));
        assert_eq!(outbox.next_deadline(), None);
    }

    #[test]
    fn a_server_may_ask_for_a_longer_pause_and_the_queue_is_bounded() {
        let mut outbox = Outbox::new(at(0));
        for n in 0..100 {
            outbox.push(Arc::new(n), at(0));
        }
        assert_eq!(outbox.poll(at(0)).as_deref(), Some(&0));
        assert_eq!(outbox.push(Arc::new(100), at(0)).as_deref(), Some(&1), "not the one sent");
        outbox.on_end(Verdict::Later(Some(Duration::from_secs(77))), 1.0, at(0));
        assert_eq!(outbox.next_deadline(), Some(at(77_000)));
        assert_eq!(outbox.push(Arc::new(101), at(0)).as_deref(), Some(&0));
        outbox.hurry(at(5));
        assert_eq!(outbox.poll(at(5)).as_deref(), Some(&2));
        let left: Vec<_> = outbox.give_up().map(|n| *n).collect();
        assert_eq!(left, (2..102).collect::<Vec<_>>());
        assert!(outbox.is_empty() && outbox.next_deadline().is_none());
    }
}
