//! What to do about a host that is down. Pure: time and chance are arguments, and there is at most
//! one request under way.

use std::{collections::VecDeque, time::Duration};

use tokio::time::Instant;

/// An hour, over which actions are counted.
const HOUR: Duration = Duration::from_secs(3600);

/// How often the provider is asked while a host is on its way.
const LOOK: Duration = Duration::from_secs(5);

/// When people have to look at a host that does not come, whatever its provider says.
const LATE: Duration = Duration::from_secs(300);

/// What recovery may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// How long a host that runs, as far as is known, may be unreachable before more is done.
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
    /// There is none of that name: nothing can be done.
    Missing,
    /// The provider cannot tell: it is started, and left to boot.
    Unknown,
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
    /// The provider does not know it.
    Missing,
    /// The provider does not let us.
    Refused,
    /// The provider calls it running, it does not answer, and it may not be reset.
    Unreachable,
    /// It has not come back for five minutes.
    Late,
}

/// What came of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It was done.
    Done,
    /// It failed, and may succeed later, but not before this time has passed.
    Failed(Duration),
    /// It is not allowed: nothing but people can change that.
    Refused,
}

/// Recovery of one host.
#[derive(Debug, Clone)]
pub struct Plan {
    policy: Policy,
    is_down: bool,
    is_held: bool,
    /// Since when it is down and not held.
    wanted_since: Option<Instant>,
    under_way: Option<Step>,
    /// Not before this.
    next: Instant,
    /// Since when the provider calls it running while it is down, or it was started.
    running_since: Option<Instant>,
    /// When it was started or reset, in the last hour.
    actions: VecDeque<Instant>,
    /// The last time that an earlier plan did so: it may be booting.
    before: Option<Instant>,
    fruitless: u32,
    alarm: Option<Alarm>,
}

impl Plan {
    /// A host that is not known to be down.
    #[must_use]
    pub fn new(policy: Policy, now: Instant) -> Self {
        Self {
            policy,
            is_down: false,
            is_held: false,
            wanted_since: None,
            under_way: None,
            next: now,
            running_since: None,
            actions: VecDeque::new(),
            before: None,
            fruitless: 0,
            alarm: None,
        }
    }

    /// The same for one that was acted on so many seconds ago, the latest last, under an earlier
    /// plan: that counts as if this one had done it.
    #[must_use]
    pub fn after(policy: Policy, ages: &[u64], now: Instant) -> Self {
        // A machine that has just booted cannot count back so far: then it was at once.
        let at = |age: &u64| now.checked_sub(Duration::from_secs(*age)).unwrap_or(now);
        let actions: VecDeque<_> = ages.iter().map(at).collect();
        Self { before: actions.back().copied(), actions, ..Self::new(policy, now) }
    }

    /// Goes on under another policy.
    pub fn set_policy(&mut self, policy: Policy) {
        self.policy = policy;
    }

    /// Health says whether the host is down, and an operator whether to keep hands off.
    pub fn observe(&mut self, is_down: bool, is_held: bool, now: Instant) {
        let was_wanted = self.is_wanted();
        (self.is_down, self.is_held) = (is_down, is_held);
        if self.is_wanted() == was_wanted {
            return;
        }
        self.wanted_since = self.is_wanted().then_some(now);
        let before = self.before.take().filter(|at| now.duration_since(*at) < self.policy.grace);
        (self.running_since, self.fruitless, self.alarm) = (before, 0, None);
        // A host that flaps is not a reason to ask more often.
        self.next = self.next.min(now + LOOK).max(now);
    }

    /// Why people have to look, while they have to.
    #[must_use]
    pub fn alarm(&self) -> Option<Alarm> {
        self.alarm
    }

    /// The request that is under way.
    #[must_use]
    pub fn under_way(&self) -> Option<Step> {
        self.under_way
    }

    /// Whether nothing is done because an operator wants so.
    #[must_use]
    pub fn is_held(&self) -> bool {
        self.is_down && self.is_held
    }

    /// When the next request is due, if one is wanted and none is under way.
    #[must_use]
    pub fn next_request(&self) -> Option<Instant> {
        (self.is_wanted() && self.under_way.is_none()).then_some(self.next)
    }

    /// When to call [`Self::poll`]; `None`: when something else happens.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        let late = self.wanted_since.filter(|_| self.alarm.is_none()).map(|since| since + LATE);
        late.into_iter().chain(self.next_request()).min()
    }

    /// How often it was started or reset in the hour before `now`.
    #[must_use]
    pub fn actions(&self, now: Instant) -> usize {
        self.actions.iter().filter(|at| now.duration_since(**at) < HOUR).count()
    }

    /// The next request, if one is due: always a look first, as what was true may not be any more.
    pub fn poll(&mut self, now: Instant) -> Option<Step> {
        if self.alarm.is_none() && self.wanted_since.is_some_and(|at| now >= at + LATE) {
            self.alarm = Some(Alarm::Late);
        }
        if self.next_request().is_none_or(|next| now < next) {
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
        if matches!(self.alarm, Some(Alarm::Missing | Alarm::Refused)) {
            self.alarm = None;
        }
        if matches!(instance, Instance::Stopped | Instance::Changing | Instance::Missing) {
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
            Instance::Unknown => self.next_blind(now),
        };
        let step = step.filter(|_| self.may_act(now))?;
        self.actions.push_back(now);
        self.under_way = Some(step);
        Some(step)
    }

    /// A request ended; `chance` from 0 to 1 spreads the pause after one that failed.
    pub fn on_done(&mut self, outcome: Outcome, chance: f64, now: Instant) {
        let acted = self.under_way.take().is_some_and(|step| step != Step::Look);
        match outcome {
            Outcome::Done => {
                // It boots now, and has the grace time again.
                self.running_since = Some(now).filter(|_| acted && self.is_wanted());
                self.next = now + LOOK;
            }
            Outcome::Failed(least) => {
                self.fruitless = self.fruitless.saturating_add(1);
                let pause = self.doubled(self.fruitless);
                // From three quarters to all of it, so that several hosts do not ask in step.
                let pause = pause.mul_f64(0.75 + 0.25 * chance.clamp(0.0, 1.0));
                self.next = now + pause.max(least.min(HOUR));
            }
            Outcome::Refused => {
                if self.is_wanted() {
                    self.alarm = Some(Alarm::Refused);
                }
                self.next = now + self.policy.longest_pause;
            }
        }
    }

    fn is_wanted(&self) -> bool {
        self.is_down && !self.is_held
    }

    /// The pause after `times` in vain.
    fn doubled(&self, times: u32) -> Duration {
        let doubled = self.policy.pause.saturating_mul(1 << times.saturating_sub(1).min(16));
        doubled.min(self.policy.longest_pause)
    }

    /// Whether a host that runs and does not answer has done so for long enough.
    fn reset_is_due(&mut self, now: Instant) -> bool {
        let since = *self.running_since.get_or_insert(now);
        if now.duration_since(since) < self.policy.grace {
            return false;
        }
        if !self.policy.may_reset && self.alarm != Some(Alarm::Exhausted) {
            self.alarm = Some(Alarm::Unreachable);
        }
        self.policy.may_reset
    }

    /// What to do without knowing what the host is: after a start it is left to boot.
    fn next_blind(&mut self, now: Instant) -> Option<Step> {
        let Some(since) = self.running_since else { return Some(Step::Start) };
        if now.duration_since(since) < self.policy.grace {
            self.next = since + self.policy.grace;
            return None;
        }
        Some(if self.policy.may_reset { Step::Reset } else { Step::Start })
    }

    /// Whether the hour has room for one more action, and the last one is long enough ago: a host
    /// that is stopped again at once is started ever more slowly.
    fn may_act(&mut self, now: Instant) -> bool {
        while self.actions.front().is_some_and(|at| now.duration_since(*at) >= HOUR) {
            self.actions.pop_front();
        }
        if self.actions.len() >= self.policy.hourly {
            self.alarm = Some(Alarm::Exhausted);
            // There are some, as none at all is not a policy.
            self.next = self.actions.front().map_or(now + HOUR, |first| *first + HOUR);
            return false;
        }
        let times = u32::try_from(self.actions.len()).unwrap_or(u32::MAX);
        let rested = self.actions.back().map(|last| *last + self.doubled(times));
        if let Some(rested) = rested.filter(|rested| now < *rested) {
            self.next = rested;
            return false;
        }
        true
    }
}

#[cfg(test)]
mod tests;
