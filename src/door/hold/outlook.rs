//! What is to be said and done about a container's host, from what is known of it. Pure.

use std::time::Duration;

use jiff::Timestamp;

use crate::{
    health::{Health, machine::State},
    model::{
        container::Container,
        inventory::{Inventory, Presence},
    },
    reach::ReachError,
    recovery::{self, Recoveries},
    store::outages::Outages,
};

/// All that is known of hosts.
pub(super) struct Known<'a> {
    pub(super) inventory: &'a Inventory,
    pub(super) health: &'a Health,
    pub(super) outages: &'a Outages,
    pub(super) recoveries: &'a Recoveries,
}

/// A container's host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outlook {
    /// Worth a try.
    There,
    /// Worth a try, but it has missed a probe.
    InDoubt,
    /// Neither its checks nor its Incus answer.
    Down(Down),
}

/// An outage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Down {
    since: Timestamp,
    usual: Option<Duration>,
    pub(super) restarting: bool,
    /// For those who do not wait for it, or not any more.
    pub(super) error: ReachError,
}

impl Known<'_> {
    /// What they say of the host of `container`. A host is taken for down only when health and the
    /// control connection agree: where checks are wrong, logins go on.
    pub(super) fn outlook(&self, container: &Container) -> Outlook {
        let state = self.health.hosts.get(&container.backend).map(|host| (host.state, host.since));
        let since = match state {
            Some((State::Down | State::Recovering(_), since)) => since,
            Some((State::Suspect(_), _)) => return Outlook::InDoubt,
            Some((State::Unknown | State::Up, _)) | None => return Outlook::There,
        };
        let Some(backend) = self.inventory.backend(&container.backend) else {
            return Outlook::There;
        };
        let (name, on) = (container.name.clone(), container.backend.clone());
        let error = match &backend.presence {
            Presence::Up { .. } => return Outlook::InDoubt,
            Presence::Away { since, .. } if backend.drained => {
                ReachError::NotExpected { name, backend: on, since: *since }
            }
            Presence::Unknown if backend.drained => {
                ReachError::NotExpected { name, backend: on, since }
            }
            Presence::Away { since, reason } => {
                ReachError::Away { name, backend: on, since: *since, reason: reason.clone() }
            }
            Presence::Unknown => {
                let reason = "its host does not answer".to_owned();
                ReachError::Away { name, backend: on, since, reason }
            }
        };
        Outlook::Down(Down {
            since,
            usual: self.outages.usual(&container.backend),
            restarting: self.is_restarting(container),
            error,
        })
    }
}

impl Known<'_> {
    fn is_restarting(&self, container: &Container) -> bool {
        match self.recoveries.get(&container.backend).map(|recovery| recovery.state) {
            Some(recovery::State::Starting(_) | recovery::State::Resetting(_)) => true,
            Some(
                recovery::State::Idle
                | recovery::State::Held
                | recovery::State::Asking
                | recovery::State::Waiting(_),
            )
            | None => false,
        }
    }
}

impl Down {
    /// What somebody is told who waits for it, at `now`, and for how long she will.
    pub(super) fn sentence(&self, container: &Container, now: Timestamp, wait: Duration) -> String {
        let name = &container.name;
        let elapsed = now.duration_since(self.since).as_secs();
        let elapsed = Duration::from_secs(u64::try_from(elapsed).unwrap_or(0));
        let (elapsed, wait) = (spoken(elapsed), spoken(wait));
        let what =
            if self.restarting { "is being started again, after" } else { "has been down for" };
        let usual = self.usual.map(|usual| format!("; it is usually back after {}", spoken(usual)));
        let usual = usual.unwrap_or_default();
        format!("the host of {name} {what} {elapsed}{usual}; waiting up to {wait} for it")
    }
}

/// A duration for people: whole seconds up to two minutes, whole minutes up to two hours.
pub(super) fn spoken(duration: Duration) -> String {
    match duration.as_secs() {
        seconds @ 0..=120 => format!("{seconds} s"),
        seconds @ 121..=7200 => format!("{} min", seconds / 60),
        seconds => format!("{} h", seconds / 3600),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{command::testing::*, health::HostHealth};

    /// The host of alice, which is `spot-1`, with these findings.
    fn outlook(state: State, presence: Presence, drained: bool) -> Outlook {
        let alice = container("alice", "spot-1", None);
        let mut on = backend("spot-1", presence, vec![alice.clone()]);
        std::sync::Arc::get_mut(&mut on).unwrap().drained = drained;
        let host = HostHealth { state, since: at(0), checks: Vec::new() };
        let mut outages = Outages::default();
        outages.note(&on.name, Duration::from_secs(180), |_| true);
        let known = Known {
            inventory: &Inventory::new(vec![on.clone()]),
            health: &Health { hosts: [(on.name.clone(), host)].into() },
            outages: &outages,
            recoveries: &Recoveries::new(),
        };
        known.outlook(&alice)
    }

    fn away() -> Presence {
        Presence::Away { since: at(5), reason: "its host does not answer".to_owned() }
    }

    #[test]
    fn a_host_is_down_when_health_and_the_control_connection_agree() {
        let up = || Presence::Up { since: at(0) };
        assert_eq!(outlook(State::Up, up(), false), Outlook::There);
        assert_eq!(outlook(State::Up, away(), false), Outlook::There, "incusd alone is dead");
        assert_eq!(outlook(State::Unknown, away(), false), Outlook::There);
        assert_eq!(outlook(State::Suspect(1), away(), false), Outlook::InDoubt);
        assert_eq!(outlook(State::Down, up(), true), Outlook::InDoubt, "the checks are wrong");
        for (state, presence) in [
            (State::Down, away()),
            (State::Recovering(1), away()),
            (State::Down, Presence::Unknown),
        ] {
            let Outlook::Down(down) = outlook(state, presence.clone(), false) else {
                panic!("{state:?} {presence:?}")
            };
            assert_eq!(down.error.status(), 75);
            let Outlook::Down(down) = outlook(state, presence, true) else { panic!("drained") };
            assert_eq!(down.error.status(), 69, "{}", down.error);
        }
    }

    #[test]
    fn who_waits_is_told_since_when_how_long_it_takes_and_how_long_she_will_wait() {
        let Outlook::Down(mut down) = outlook(State::Down, away(), false) else { panic!() };
        let alice = container("alice", "spot-1", None);
        let said = |down: &Down| down.sentence(&alice, at(40), Duration::from_secs(120));
        let usual = "it is usually back after 3 min; waiting up to 120 s for it";
        assert_eq!(said(&down), format!("the host of alice has been down for 40 s; {usual}"));
        down.restarting = true;
        assert_eq!(
            said(&down),
            format!("the host of alice is being started again, after 40 s; {usual}")
        );
        down.usual = None;
        assert!(said(&down).ends_with("after 40 s; waiting up to 120 s for it"));
        assert_eq!(spoken(Duration::from_secs(7201)), "2 h");
    }
}
