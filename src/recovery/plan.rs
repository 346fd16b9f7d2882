//! What to do about a host that is down. Pure: time and chance are arguments, and there is at most
//! one request under way.

use std::{collections::VecDeque, time::Duration};

use tokio::time::Instant;

/// An hour, over which actions are counted.
const HOUR: Duration = Duration::from_secs(3600);

/// How often the provider is asked while a host is on its way.
const LOOK: Duration = Duration::from_secs(5);

/// What recovery may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// How long a host that the provider calls running may be unreachable before it is reset.
    pub grace: Duration,
    /// Whether it may be reset at all.
    pub may_reset: bool,
    /// Pause after the first request that failed or did not help; it doubles each time.
    pub pause: Duration,
    /// Longest pause.
    pub longest_pause: Duration,
    /// Most starts and resets in an hour; then it is left to people.
    pub hourly: usize,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            grace: Duration::from_secs(120),
            may_reset: false,
            pause: Duration::from_secs(10),
            longest_pause: Duration::from_secs(300),
            hourly: 6,
        }
    }
}

/// What the provider says of a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Instance {
    /// It does not run, and can be started.
    Stopped,
    /// It is on its way, up or down.
    Changing,
    /// It runs.
    Running,
    /// There is none of that name, or we may not see it: nothing can be done.
    Missing,
}

/// A request to the provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Ask what the host is.
    Look,
    /// Start it.
    Start,
    /// Reset it: it runs and does not answer.
    Reset,
}

/// Why people have to look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Alarm {
    /// It was started or reset as often as allowed, and is down all the same.
    Exhausted,
    /// The provider does not know it, or does not let us see it.
    Missing,
    /// The provider calls it running, it does not answer, and it may not be reset.
    Unreachable,
}

/// Recovery of one host.
#[derive(Debug, Clone)]
pub struct Plan {
    policy: Policy,
    down_since: Option<Instant>,
    held: bool,
    under_way: Option<Step>,
    /// Not before this.
    next: Instant,
    /// Since when the provider calls it running while it is down.
    running_since: Option<Instant>,
    /// When it was started or reset.
    actions: VecDeque<Instant>,
    fruitless: u32,
    alarm: Option<Alarm>,
}

impl Plan {
    /// A host that is not known to be down.
    #[must_use]
    pub fn new(policy: Policy, now: Instant) -> Self {
        Self {
            policy,
            down_since: None,
            held: false,
            under_way: None,
            next: now,
            running_since: None,
            actions: VecDeque::new(),
            fruitless: 0,
            alarm: None,
        }
    }

    /// Health says that the host is down.
    pub fn down(&mut self, now: Instant) {
        if self.down_since.is_none() {
            self.down_since = Some(now);
            self.next = now;
        }
    }

    /// Health says that the host is up.
    pub fn up(&mut self) {
        self.down_since = None;
        self.running_since = None;
        self.fruitless = 0;
        self.alarm = None;
    }

    /// An operator keeps it down, or lets go again.
    pub fn hold(&mut self, held: bool, now: Instant) {
        self.held = held;
        self.next = self.next.max(now);
    }

    /// Why people have to look, while they have to.
    #[must_use]
    pub fn alarm(&self) -> Option<Alarm> {
        self.alarm
    }

    /// When to call [`Self::poll`]; `None`: when something else happens.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        (self.is_wanted() && self.under_way.is_none()).then_some(self.next)
    }

    /// The next request, if one is due: always a look first, as what was true may not be any more.
    pub fn poll(&mut self, now: Instant) -> Option<Step> {
        if !self.is_wanted() || self.under_way.is_some() || now < self.next {
            return None;
        }
        self.under_way = Some(Step::Look);
        self.under_way
    }

    /// The provider said what the host is: what to do about it at once.
    pub fn on_look(&mut self, instance: Instance, now: Instant) -> Option<Step> {
        self.under_way = None;
        self.next = now + LOOK;
        if !self.is_wanted() {
            return None;
        }
        if instance != Instance::Running {
            self.running_since = None;
        }
        let step = match instance {
            Instance::Changing => None,
            Instance::Missing => {
                self.alarm = Some(Alarm::Missing);
                self.next = now + self.policy.longest_pause;
                None
            }
            Instance::Stopped => Some(Step::Start),
            Instance::Running => self.reset_is_due(now).then_some(Step::Reset),
        };
        let step = step.filter(|_| self.may_act(now))?;
        self.actions.push_back(now);
        self.running_since = None;
        self.under_way = Some(step);
        Some(step)
    }

    /// A request ended; `chance` from 0 to 1 spreads the pause after one that failed.
    pub fn on_done(&mut self, success: bool, chance: f64, now: Instant) {
        self.under_way = None;
        if success {
            self.next = now + LOOK;
            return;
        }
        self.fruitless = self.fruitless.saturating_add(1);
        let doubled =
            self.policy.pause.saturating_mul(1 << self.fruitless.saturating_sub(1).min(16));
        let pause = doubled.min(self.policy.longest_pause);
        // From three quarters to all of it, so that several hosts do not ask in step.
        self.next = now + pause.mul_f64(0.75 + 0.25 * chance.clamp(0.0, 1.0));
    }

    fn is_wanted(&self) -> bool {
        self.down_since.is_some() && !self.held
    }

    /// Whether a host that runs and does not answer has done so for long enough.
    fn reset_is_due(&mut self, now: Instant) -> bool {
        let since = *self.running_since.get_or_insert(now);
        if now.duration_since(since) < self.policy.grace {
            return false;
        }
        if !self.policy.may_reset {
            self.alarm = Some(Alarm::Unreachable);
        }
        self.policy.may_reset
    }

    /// Whether the hour has room for one more action.
    fn may_act(&mut self, now: Instant) -> bool {
        while self.actions.front().is_some_and(|at| now.duration_since(*at) >= HOUR) {
            self.actions.pop_front();
        }
        let room = self.actions.len() < self.policy.hourly;
        if !room {
            self.alarm = Some(Alarm::Exhausted);
            if let Some(first) = self.actions.front() {
                self.next = *first + HOUR;
            }
        }
        room
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::fleet::tests::at;

    fn plan() -> Plan {
        let mut plan = Plan::new(Policy::default(), at(0));
        plan.down(at(0));
        plan
    }

    #[test]
    fn a_stopped_host_is_started_once_and_looked_at_until_it_is_up() {
        let mut plan = plan();
        assert_eq!(plan.poll(at(0)), Some(Step::Look));
        assert_eq!(plan.poll(at(10_000)), None, "one request at a time");
        assert_eq!(plan.on_look(Instance::Stopped, at(100)), Some(Step::Start));
        plan.on_done(true, 0.5, at(200));
        assert_eq!(plan.next_deadline(), Some(at(5200)));
        assert_eq!(plan.poll(at(5200)), Some(Step::Look));
        assert_eq!(plan.on_look(Instance::Changing, at(5300)), None);
        plan.up();
        assert_eq!((plan.next_deadline(), plan.poll(at(99_000))), (None, None));
    }

    #[test]
    fn a_running_host_has_a_grace_time_and_is_reset_only_if_allowed() {
        for may_reset in [false, true] {
            let policy = Policy { may_reset, ..Policy::default() };
            let mut plan = Plan::new(policy, at(0));
            plan.down(at(0));
            let mut reset_at = None;
            for t in (0..200_000).step_by(1000) {
                if plan.poll(at(t)).is_some() && plan.on_look(Instance::Running, at(t)).is_some() {
                    plan.on_done(true, 0.0, at(t));
                    reset_at.get_or_insert(t);
                }
            }
            assert_eq!(reset_at.is_some_and(|t| (120_000..130_000).contains(&t)), may_reset);
            assert_eq!(plan.alarm().is_some(), !may_reset);
        }
    }

    #[test]
    fn failures_pause_longer_each_time_and_a_held_host_is_left_alone() {
        let mut plan = plan();
        let mut now = 0;
        let mut pauses = Vec::new();
        for _ in 0..8 {
            assert_eq!(plan.poll(at(now)), Some(Step::Look));
            plan.on_done(false, 1.0, at(now));
            let next = plan.next_deadline().unwrap();
            pauses.push((next - at(now)).as_secs());
            now += u64::try_from((next - at(now)).as_millis()).unwrap();
        }
        assert_eq!(pauses, [10, 20, 40, 80, 160, 300, 300, 300]);
        plan.hold(true, at(now));
        assert_eq!((plan.next_deadline(), plan.poll(at(now + 999_999))), (None, None));
        plan.hold(false, at(now + 1_000_000));
        assert_eq!(plan.poll(at(now + 1_000_000)), Some(Step::Look));
    }

    proptest! {
        /// Whatever happens, one request is under way at a time, an hour never sees more actions
        /// than allowed, nothing is done to a host that is up or held, and one that is down and not
        /// held has a next deadline.
        #[test]
        fn no_storm_and_no_sleep_for_ever(
            events in prop::collection::vec((0u8..9, 0u64..900), 1..500), may_reset: bool,
        ) {
            let policy = Policy { may_reset, ..Policy::default() };
            let hourly = policy.hourly;
            let mut plan = Plan::new(policy, at(0));
            let (mut now, mut is_down, mut is_held) = (at(0), false, false);
            let mut under_way = None;
            let mut actions: Vec<Instant> = Vec::new();
            for (event, seconds) in events {
                now += Duration::from_secs(seconds);
                let acted = match (event, under_way) {
                    (0, _) => { is_down = true; plan.down(now); None }
                    (1, _) => { is_down = false; plan.up(); None }
                    (2, _) => { is_held = !is_held; plan.hold(is_held, now); None }
                    (3..=6, Some(Step::Look)) => {
                        let instance = [
                            Instance::Stopped, Instance::Running, Instance::Changing, Instance::Missing,
                        ][usize::from(event - 3)];
                        under_way = plan.on_look(instance, now);
                        under_way
                    }
                    (7, Some(_)) => { under_way = None; plan.on_done(true, 0.5, now); None }
                    (8, Some(_)) => { under_way = None; plan.on_done(false, 0.5, now); None }
                    _ => {
                        let step = plan.poll(now);
                        prop_assert!(step.is_none() || under_way.is_none());
                        prop_assert!(step.is_none() || (is_down && !is_held));
                        under_way = step.or(under_way);
                        None
                    }
                };
                if acted.is_some() {
                    prop_assert!(is_down && !is_held);
                    actions.push(now);
                    let recent = actions.iter().filter(|at| now.duration_since(**at) < HOUR).count();
                    prop_assert!(recent <= hourly, "{recent} actions in an hour");
                }
                if is_down && !is_held && under_way.is_none() {
                    prop_assert!(plan.next_deadline().is_some_and(|next| next <= now + HOUR));
                }
            }
        }
    }
}
