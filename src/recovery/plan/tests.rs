//! Single cases, and a million histories.

use super::*;
use crate::fleet::tests::at;

fn plan(policy: Policy) -> Plan {
    let mut plan = Plan::new(policy, at(0));
    plan.observe(true, false, at(0));
    plan
}

#[test]
fn a_stopped_host_is_started_once_and_looked_at_until_it_is_up() {
    let mut plan = plan(Policy::default());
    assert_eq!(plan.poll(at(0)), Some(Step::Look));
    assert_eq!(plan.poll(at(10_000)), None, "one request at a time");
    assert_eq!(plan.on_look(Instance::Stopped, at(100)), Some(Step::Start));
    plan.on_done(Outcome::Done, 0.5, at(200));
    assert_eq!(plan.next_deadline(), Some(at(5200)));
    assert_eq!(plan.poll(at(5200)), Some(Step::Look));
    assert_eq!(plan.on_look(Instance::Changing, at(5300)), None);
    plan.observe(false, false, at(6000));
    assert_eq!((plan.next_deadline(), plan.poll(at(99_000))), (None, None));
}

/// Looks and does what is due for `seconds`, with a provider that says `instance` and does all
/// that it is asked: when it acted, in seconds.
fn acted(plan: &mut Plan, instance: Instance, seconds: u64) -> Vec<(u64, Step)> {
    let mut acted = Vec::new();
    for s in 0..seconds {
        if plan.poll(at(s * 1000)).is_some()
            && let Some(step) = plan.on_look(instance, at(s * 1000))
        {
            acted.push((s, step));
            plan.on_done(Outcome::Done, 0.0, at(s * 1000));
        }
    }
    acted
}

#[test]
fn a_running_host_has_a_grace_time_and_is_reset_only_if_allowed() {
    let mut may_not = plan(Policy::default());
    assert_eq!(acted(&mut may_not, Instance::Running, 130), []);
    assert_eq!(may_not.alarm(), Some(Alarm::Unreachable));
    let mut may = plan(Policy { may_reset: true, ..Policy::default() });
    assert_eq!(acted(&mut may, Instance::Running, 290), [(120, Step::Reset), (240, Step::Reset)]);
    assert_eq!((may.alarm(), may.actions(at(290_000))), (None, 2));
}

#[test]
fn what_cannot_be_asked_is_started_once_and_left_to_boot() {
    let mut blind = plan(Policy::default());
    let starts = acted(&mut blind, Instance::Unknown, 250);
    assert_eq!(starts, [(0, Step::Start), (120, Step::Start), (240, Step::Start)]);
    let mut may = plan(Policy { may_reset: true, ..Policy::default() });
    let starts = acted(&mut may, Instance::Unknown, 130);
    assert_eq!(starts, [(0, Step::Start), (120, Step::Reset)]);
}

#[test]
fn a_host_that_stops_again_at_once_is_started_ever_more_slowly_and_then_left_to_people() {
    let mut plan = plan(Policy::default());
    let at: Vec<_> = acted(&mut plan, Instance::Stopped, 4000).iter().map(|(s, _)| *s).collect();
    assert_eq!(at, [0, 10, 30, 70, 150, 310, 3600, 3760, 3800, 3880]);
    assert_eq!(plan.alarm(), Some(Alarm::Exhausted));
}

#[test]
fn what_does_not_come_is_an_alarm_after_five_minutes() {
    let mut plan = plan(Policy::default());
    acted(&mut plan, Instance::Changing, 300);
    assert_eq!(plan.alarm(), None);
    acted(&mut plan, Instance::Changing, 301);
    assert_eq!(plan.alarm(), Some(Alarm::Late));
    plan.observe(false, false, at(302_000));
    assert_eq!(plan.alarm(), None);
    // Also while a request hangs.
    plan.observe(true, false, at(400_000));
    assert_eq!(plan.poll(at(400_000)), Some(Step::Look));
    assert_eq!(plan.next_deadline(), Some(at(700_000)));
    assert_eq!((plan.poll(at(700_000)), plan.alarm()), (None, Some(Alarm::Late)));
    assert_eq!(plan.next_deadline(), None);
}

#[test]
fn failures_pause_longer_each_time_and_a_held_host_is_left_alone() {
    let mut plan = plan(Policy::default());
    let mut now = at(0);
    let mut pauses = Vec::new();
    for _ in 0..8 {
        assert_eq!(plan.poll(now), Some(Step::Look));
        plan.on_done(Outcome::Failed(Duration::ZERO), 1.0, now);
        let next = plan.next_request().unwrap();
        pauses.push((next - now).as_secs());
        now = next;
    }
    assert_eq!(pauses, [10, 20, 40, 80, 160, 300, 300, 300]);
    assert_eq!(plan.poll(now), Some(Step::Look));
    plan.on_done(Outcome::Failed(Duration::from_secs(999)), 1.0, now);
    assert_eq!(plan.next_request(), Some(now + Duration::from_secs(999)), "as the server asked");
    assert_eq!(plan.alarm(), Some(Alarm::Late));
    plan.observe(true, true, now);
    assert_eq!((plan.next_deadline(), plan.poll(now + HOUR), plan.alarm()), (None, None, None));
    assert!(plan.is_held());
    now += HOUR;
    plan.observe(true, false, now);
    assert_eq!(plan.poll(now), Some(Step::Look));
    plan.on_done(Outcome::Refused, 1.0, now);
    assert_eq!(plan.alarm(), Some(Alarm::Refused));
    assert_eq!(plan.next_request(), Some(now + Duration::from_secs(300)));
}

#[test]
fn what_an_earlier_plan_did_counts_and_its_host_is_left_to_boot() {
    let again = |ages: &[u64], instance| {
        let mut plan = Plan::after(Policy::default(), ages, at(4_000_000));
        plan.observe(true, false, at(4_000_000));
        let asked: Vec<_> = (4000..4400)
            .filter_map(|s| {
                plan.poll(at(s * 1000))?;
                let step = plan.on_look(instance, at(s * 1000))?;
                plan.on_done(Outcome::Done, 0.0, at(s * 1000));
                Some((s - 4000, step))
            })
            .collect();
        (asked, plan.alarm())
    };
    let start = |seconds: &[u64]| seconds.iter().map(|s| (*s, Step::Start)).collect::<Vec<_>>();
    assert_eq!(again(&[], Instance::Unknown), (start(&[0, 120, 240, 360]), Some(Alarm::Late)));
    // It was started 30 s ago, by a program that cannot tell what it is.
    assert_eq!(again(&[30], Instance::Unknown), (start(&[90, 210, 330]), Some(Alarm::Late)));
    let exhausted = Some(Alarm::Exhausted);
    assert_eq!(again(&[900, 800, 700, 600, 500, 400], Instance::Stopped), (vec![], exhausted));
    // The third of them is due when twice the pause twice has passed since the second.
    let (asked, _) = again(&[100, 5], Instance::Stopped);
    assert_eq!(asked, start(&[15, 55, 135, 295]));
}

/// A xorshift generator with a fixed seed: the same events in each run.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % limit
    }
}

/// What must hold whatever happens, checked at each event.
struct World {
    plan: Plan,
    now: Instant,
    down: bool,
    held: bool,
    under_way: Option<Step>,
    actions: VecDeque<Instant>,
    hourly: usize,
}

impl World {
    fn happens(&mut self, event: u64) {
        match (event, self.under_way) {
            (0, _) => self.observe(!self.down, self.held),
            (1, _) => self.observe(self.down, !self.held),
            (2..=6, Some(Step::Look)) => {
                let instances = [
                    Instance::Stopped,
                    Instance::Running,
                    Instance::Changing,
                    Instance::Missing,
                    Instance::Unknown,
                ];
                let instance = instances[usize::try_from(event - 2).unwrap()];
                self.under_way = self.plan.on_look(instance, self.now);
                if self.under_way.is_some() {
                    self.acts();
                }
            }
            (7, Some(_)) => self.ends(Outcome::Done),
            (8, Some(_)) => self.ends(Outcome::Failed(Duration::from_secs(30))),
            (9, Some(_)) => self.ends(Outcome::Refused),
            (10, _) => self.restarts(),
            _ => self.polls(),
        }
        let idle = self.under_way.is_none();
        if self.down && !self.held && idle {
            let next = self.plan.next_deadline().expect("it stopped waking");
            assert!(next <= self.now + HOUR, "it sleeps for {:?}", next - self.now);
        }
    }

    fn observe(&mut self, down: bool, held: bool) {
        (self.down, self.held) = (down, held);
        self.plan.observe(down, held, self.now);
    }

    /// The sentinel ends, with whatever is under way, and starts again.
    fn restarts(&mut self) {
        let now = self.now;
        let ages = self.actions.iter().map(|at| now.duration_since(*at).as_secs());
        let ages: Vec<_> = ages.filter(|age| *age < HOUR.as_secs()).collect();
        self.under_way = None;
        self.plan = Plan::after(self.plan.policy.clone(), &ages, now);
        self.plan.observe(self.down, self.held, now);
    }

    fn ends(&mut self, outcome: Outcome) {
        self.under_way = None;
        self.plan.on_done(outcome, 0.5, self.now);
    }

    fn polls(&mut self) {
        let step = self.plan.poll(self.now);
        assert!(step.is_none() || self.under_way.is_none(), "two requests");
        assert!(step.is_none() || (self.down && !self.held), "hands off");
        assert!(step.is_none_or(|step| step == Step::Look));
        self.under_way = step.or(self.under_way);
    }

    fn acts(&mut self) {
        assert!(self.down && !self.held, "hands off");
        let now = self.now;
        self.actions.retain(|at| now.duration_since(*at) < HOUR);
        let last = self.actions.back();
        let pause = Policy::default().pause;
        assert!(last.is_none_or(|at| now.duration_since(*at) >= pause), "a storm");
        self.actions.push_back(now);
        assert!(self.actions.len() <= self.hourly, "a storm");
    }

    /// Whatever state it is in: left alone with a host that is down, it asks within two hours.
    fn wakes(&mut self) {
        if self.under_way.is_some() {
            self.ends(Outcome::Done);
        }
        self.observe(true, false);
        for _ in 0..3 {
            self.now = self.now.max(self.plan.next_deadline().expect("it stopped waking"));
            self.polls();
            if self.under_way.is_some() {
                return;
            }
        }
        panic!("it stopped waking");
    }
}

#[test]
fn a_million_random_histories_have_no_storm_and_no_sleep_for_ever() {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    for _ in 0..1_000_000 {
        let may_reset = random.below(2) == 0;
        let hourly = 1 + usize::try_from(random.below(6)).unwrap();
        let policy = Policy { may_reset, hourly, ..Policy::default() };
        let mut world = World {
            plan: Plan::new(policy, at(0)),
            now: at(0),
            down: false,
            held: false,
            under_way: None,
            actions: VecDeque::new(),
            hourly,
        };
        for _ in 0..random.below(40) {
            world.now +=
                Duration::from_secs([0, 1, 5, 60, 900][usize::try_from(random.below(5)).unwrap()]);
            world.happens(random.below(15));
        }
        world.wakes();
    }
}
