//! What a driver has seen on its backend since it connected, and what it must look at again
//! because its address is not there yet. Pure: time is an argument.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use tokio::time::Instant;

use super::view;
use crate::{
    config,
    incus::api::Instance,
    model::{
        container::{Container, Status},
        text::printable,
    },
};

/// A DHCP lease comes 100 to 400 ms after the start, and no event tells of it.
const FIRST_LOOK: Duration = Duration::from_millis(100);
/// Longest pause between two looks.
const LONGEST_LOOK: Duration = Duration::from_millis(1600);
/// After this a container without an address is one.
const PATIENCE: Duration = Duration::from_secs(10);
/// Most unfinished instances that are kept in mind.
const MAX_UNFINISHED: usize = 100;
/// Most problems of one container that are logged.
const MAX_PROBLEMS: usize = 8;

/// Containers by instance name.
pub(super) struct Listing {
    config: Arc<config::Backend>,
    containers: BTreeMap<String, Arc<Container>>,
    unsettled: BTreeMap<String, Look>,
    unfinished: BTreeSet<String>,
}

#[derive(Debug, Clone, Copy)]
struct Look {
    next: Instant,
    pause: Duration,
    until: Instant,
}

impl Listing {
    pub(super) fn new(config: Arc<config::Backend>) -> Self {
        Self {
            config,
            containers: BTreeMap::new(),
            unsettled: BTreeMap::new(),
            unfinished: BTreeSet::new(),
        }
    }

    /// Instances that somebody began to create.
    pub(super) fn unfinished(&self) -> Vec<String> {
        self.unfinished.iter().cloned().collect()
    }

    /// All containers, by name.
    pub(super) fn containers(&self) -> Vec<Arc<Container>> {
        self.containers.values().cloned().collect()
    }

    /// One container.
    pub(super) fn get(&self, instance: &str) -> Option<&Arc<Container>> {
        self.containers.get(instance)
    }

    /// Everything was listed: what is not in `instances` is gone.
    pub(super) fn replace(&mut self, instances: &[Instance], now: Instant) {
        self.containers.retain(|name, _| instances.iter().any(|i| i.name == *name));
        self.unsettled.retain(|name, _| self.containers.contains_key(name));
        self.unfinished.retain(|name| instances.iter().any(|i| i.name == *name));
        for instance in instances {
            self.put(instance, now);
        }
    }

    /// One instance was read. True if that changed anything.
    pub(super) fn put(&mut self, instance: &Instance, now: Instant) -> bool {
        let Some(container) = view::container(instance, &self.config) else {
            return if view::is_unfinished(instance) {
                self.note_unfinished(&instance.name)
            } else {
                self.remove(&instance.name)
            };
        };
        self.unfinished.remove(&instance.name);
        let before = self.containers.get(&instance.name);
        warn_of_problems(before.map(|b| b.problems.as_slice()), &container);
        let waits = !is_settled(&container);
        let waited = before.is_some_and(|b| !is_settled(b));
        if !waits {
            self.unsettled.remove(&instance.name);
        } else if !waited {
            let look = Look { next: now + FIRST_LOOK, pause: FIRST_LOOK, until: now + PATIENCE };
            self.unsettled.insert(instance.name.clone(), look);
        }
        if before.is_some_and(|b| **b == container) {
            return false;
        }
        self.containers.insert(instance.name.clone(), Arc::new(container));
        true
    }

    /// An instance is gone. True if it was a container, or about to become one.
    pub(super) fn remove(&mut self, instance: &str) -> bool {
        self.unsettled.remove(instance);
        self.containers.remove(instance).is_some() | self.unfinished.remove(instance)
    }

    /// An instance is to become a container. True if that is new.
    fn note_unfinished(&mut self, instance: &str) -> bool {
        self.unsettled.remove(instance);
        let is_new =
            self.unfinished.len() < MAX_UNFINISHED && self.unfinished.insert(instance.to_owned());
        self.containers.remove(instance).is_some() | is_new
    }

    /// When to look again at what is unsettled.
    pub(super) fn next_look(&self) -> Option<Instant> {
        self.unsettled.values().map(|look| look.next).min()
    }

    /// What to look at again by now. Each is due a while later the next time, or given up.
    pub(super) fn due(&mut self, now: Instant) -> Vec<String> {
        let mut due = Vec::new();
        self.unsettled.retain(|name, look| {
            if look.next <= now {
                due.push(name.clone());
                look.pause = (look.pause * 2).min(LONGEST_LOOK);
                look.next = now + look.pause;
            }
            look.next <= look.until
        });
        due
    }
}

/// Incus will tell when anything changes. Where both kinds of address are in use, IPv6 comes
/// first and IPv4 is the one that is dialled first.
fn is_settled(container: &Container) -> bool {
    match container.status {
        Status::Running => container.addresses.iter().any(std::net::IpAddr::is_ipv4),
        Status::Changing => false,
        Status::Stopped | Status::Frozen | Status::Error => true,
    }
}

fn warn_of_problems(before: Option<&[String]>, container: &Container) {
    if before.is_none_or(|b| b != container.problems) {
        for problem in container.problems.iter().take(MAX_PROBLEMS) {
            let problem = printable(problem, 200);
            let (name, backend) = (&container.name, &container.backend);
            tracing::warn!(container = %name, %backend, problem, "labels are not as expected");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::tests::{at, backend};

    fn instance(name: &str, code: u16, address: Option<&str>) -> Instance {
        let network = address.map_or_else(String::new, |a| {
            format!(r#""eth0":{{"addresses":[{{"address":"{a}","scope":"global"}}]}}"#)
        });
        let text = format!(
            r#"{{"name":"{name}-container","type":"container","status_code":{code},
            "config":{{"user.containarium.owner":"alice"}},"state":{{"network":{{{network}}}}}}}"#
        );
        serde_json::from_str(&text).unwrap()
    }

    #[test]
    fn an_address_is_looked_for_until_it_is_there() {
        let mut listing = Listing::new(Arc::new(backend("b1")));
        listing.put(&instance("a", 102, None), at(0));
        assert_eq!(listing.next_look(), None);
        listing.put(&instance("a", 103, None), at(0));
        assert_eq!(listing.next_look(), Some(at(100)));
        assert!(listing.due(at(99)).is_empty());
        assert_eq!(listing.due(at(100)), ["a-container"]);
        assert!(!listing.put(&instance("a", 103, None), at(110)));
        assert_eq!(listing.next_look(), Some(at(300)), "pauses double");
        assert!(listing.put(&instance("a", 103, Some("10.0.0.5")), at(310)));
        assert_eq!(listing.next_look(), None);
    }

    #[test]
    fn a_container_without_network_is_given_up() {
        let mut listing = Listing::new(Arc::new(backend("b1")));
        listing.put(&instance("a", 103, None), at(0));
        let mut looks = 0;
        while let Some(next) = listing.next_look() {
            looks += listing.due(next).len();
            listing.put(&instance("a", 103, None), next);
        }
        assert!((5..15).contains(&looks), "{looks}");
        listing.replace(&[instance("a", 103, None)], at(60_000));
        assert_eq!(listing.next_look(), None, "a refresh does not start it again");
    }

    #[test]
    fn what_is_listed_no_more_is_gone() {
        let mut listing = Listing::new(Arc::new(backend("b1")));
        listing.replace(&[instance("a", 103, None), instance("b", 102, None)], at(0));
        listing.replace(&[instance("b", 102, None)], at(1));
        assert_eq!(listing.containers().len(), 1);
        assert_eq!(listing.next_look(), None);
        assert!(listing.remove("b-container") && !listing.remove("b-container"));
    }

    #[test]
    fn what_is_being_created_is_no_container_yet() {
        let mut listing = Listing::new(Arc::new(backend("b1")));
        let mut half_made = instance("a", 102, None);
        half_made.config = [("user.containarium.creating".to_owned(), "x".to_owned())].into();
        assert!(listing.put(&half_made, at(0)) && !listing.put(&half_made, at(1)));
        assert_eq!(listing.unfinished(), ["a-container"]);
        assert!(listing.containers().is_empty());
        assert!(listing.put(&instance("a", 102, None), at(2)));
        assert!(listing.unfinished().is_empty());
        assert!(listing.put(&half_made, at(3)) && listing.containers().is_empty());
        listing.replace(&[], at(4));
        assert!(listing.unfinished().is_empty());
    }
}
