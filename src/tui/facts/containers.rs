//! Containers as rows and pages. Who did not change since the last look is not read again: looking at
//! thousands of them ten times a second costs what changed. Pure.

use std::{collections::BTreeMap, ops::Range, sync::Arc};

use jiff::Timestamp;

use super::{Sources, count, faint, since, text};
use crate::{
    command::{
        LiveSession,
        view::{age, age_until},
    },
    fleet::usage::Use,
    model::{
        container::{Container, Status},
        inventory::{Inventory, Presence},
        name::ContainerName,
    },
    tui::{
        shared::Shared,
        table::{Row, Value},
        theme::{Look, Role},
        uses::Used,
    },
};

/// What is known of a container beyond its row.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct About {
    /// Its name.
    pub name: String,
    /// What it uses.
    pub used: Used,
    /// The sessions that lead to it, by the ids of their rows.
    pub sessions: Vec<String>,
}

/// All containers as they were read last, by name.
#[derive(Debug, Default)]
pub(super) struct Containers(Vec<Read>);

/// One of them.
#[derive(Debug)]
struct Read {
    origin: Origin,
    /// When what was read says how long ago things were.
    shown: Range<Timestamp>,
    row: Arc<Row>,
    about: Arc<About>,
}

/// What one is read from.
#[derive(Debug, PartialEq)]
struct Origin {
    container: Arc<Container>,
    heard: Heard,
    /// What it uses, and whether that is old.
    said: Option<(Arc<Use>, bool)>,
    sessions: Vec<String>,
    look: Look,
}

/// When its host told of it.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Heard {
    /// It would tell of every change.
    Now,
    /// Then.
    At(Timestamp),
    /// Nobody knows when.
    Once,
}

impl Containers {
    /// Reads them as they are now.
    pub(super) fn read(
        &mut self,
        sources: &Sources<'_>,
        look: Look,
    ) -> (Shared<Row>, Shared<About>) {
        let mut visits = visits(sources.sessions);
        let mut before = std::mem::take(&mut self.0).into_iter().peekable();
        for container in sources.inventory.containers() {
            let said = sources.usage.of(container);
            let origin = Origin {
                container: Arc::clone(container),
                heard: heard(container, sources.inventory),
                said: said.map(|(used, is_old)| (Arc::clone(used), is_old)),
                sessions: visits.remove(&container.name).unwrap_or_default(),
                look,
            };
            // Both are in the order of names.
            while before.next_if(|read| read.origin.container.name < container.name).is_some() {}
            let known = before.next_if(|read| read.origin.container.name == container.name);
            self.0.push(Read::next(known, origin, sources.now));
        }
        let rows = self.0.iter().map(|read| Arc::clone(&read.row)).collect();
        (rows, self.0.iter().map(|read| Arc::clone(&read.about)).collect())
    }
}

impl Read {
    /// One that was read before, or was not known.
    fn next(before: Option<Self>, origin: Origin, now: Timestamp) -> Self {
        match before {
            Some(before) if before.origin == origin && before.shown.contains(&now) => {
                // What is equal is the same in memory next time.
                Self { origin, ..before }
            }
            before => {
                let mut read = Self::new(origin, now);
                if let Some(before) = before.filter(|before| before.row == read.row) {
                    read.row = before.row;
                }
                read
            }
        }
    }

    fn new(origin: Origin, now: Timestamp) -> Self {
        let Origin { container, heard, said, sessions, look } = &origin;
        let said = said.as_ref().map(|(used, is_old)| (used, *is_old));
        let about = About {
            name: container.name.to_string(),
            used: Used::new(container, said, *heard == Heard::Now),
            sessions: sessions.clone(),
        };
        let made = container.label("created-at").and_then(|text| text.parse().ok());
        let seen = match heard {
            Heard::At(seen) => Some(*seen),
            Heard::Now | Heard::Once => None,
        };
        let ages = made.into_iter().chain(seen);
        let until = ages.map(|then| age_until(now, then)).min().unwrap_or(Timestamp::MAX);
        let [cpu, memory, disk] = about.used.cells();
        let row = Row::new(
            container.name.as_str(),
            vec![
                text(container.name.as_str()),
                text(container.owner.as_str()),
                state(container, *heard, (now, *look)),
                text(container.backend.as_str()),
                container.addresses.first().map_or_else(|| faint("-"), |ip| text(ip.to_string())),
                cpu,
                memory,
                disk,
                count(u64::try_from(sessions.len()).unwrap_or(u64::MAX)),
                since(made, now),
            ],
        );
        Self { row: Arc::new(row), about: Arc::new(about), shown: now..until, origin }
    }
}

fn heard(container: &Container, inventory: &Inventory) -> Heard {
    let backend = inventory.backend(&container.backend);
    let seen = backend.and_then(|backend| backend.refreshed).map_or(Heard::Once, Heard::At);
    match backend.map(|backend| &backend.presence) {
        Some(Presence::Up { .. }) => Heard::Now,
        Some(Presence::Away { .. } | Presence::Unknown) | None => seen,
    }
}

/// The sessions of each container.
fn visits(sessions: &[LiveSession]) -> BTreeMap<&ContainerName, Vec<String>> {
    let mut visits: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for session in sessions {
        if let [container] = session.containers.as_slice() {
            visits.entry(container).or_default().push(session.id.to_string());
        }
    }
    visits
}

fn state(container: &Container, heard: Heard, (now, look): (Timestamp, Look)) -> Value {
    let glyphs = look.glyphs();
    let (glyph, word, role) = match container.status {
        Status::Running => (glyphs.on, "running", Role::Good),
        Status::Stopped if container.hold => (glyphs.off, "held", Role::Faint),
        Status::Stopped => (glyphs.off, "stopped", Role::Faint),
        Status::Frozen => (glyphs.between, "frozen", Role::Warning),
        Status::Changing => (glyphs.between, "changing", Role::Warning),
        Status::Error => (glyphs.wrong, "error", Role::Bad),
    };
    match heard {
        Heard::Now => Value::new(format!("{glyph} {word}"), role),
        Heard::At(seen) => {
            let ago = format!("{} ago", age(now, seen));
            Value::new(format!("{glyph} {word} {ago}"), Role::Faint).short(format!("{glyph} {ago}"))
        }
        Heard::Once => Value::new(format!("{glyph} {word}?"), Role::Faint),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        command::testing::{at, backend},
        fleet::{tests::container, usage::Usage},
        health::Health,
    };

    const LOOK: Look = Look { colour: true, ascii: false };

    /// Two who were made a minute and ten days before a second.
    fn inventory(owner: &str) -> Inventory {
        let made = |name: &str, day: &str| {
            let mut made = container(name, "b1");
            made.config.insert("user.containarium.created-at".to_owned(), day.to_owned());
            made
        };
        let mut alice = made("alice", &at(0).to_string());
        alice.owner = owner.parse().unwrap();
        let bob = made("bob", &at(-10 * 86_400).to_string());
        Inventory::new(vec![backend("b1", Presence::Up { since: at(0) }, vec![alice, bob])])
    }

    fn read(containers: &mut Containers, inventory: &Inventory, now: i64) -> Vec<Arc<Row>> {
        let (usage, health) = (Usage::default(), Health::default());
        let (usage, health) = (&usage, &health);
        let sources = Sources { inventory, usage, health, sessions: &[], bans: &[], now: at(now) };
        containers.read(&sources, LOOK).0.to_vec()
    }

    fn ages(rows: &[Arc<Row>]) -> Vec<&str> {
        rows.iter().map(|row| row.cells[9].text.as_str()).collect()
    }

    #[test]
    fn who_did_not_change_is_the_same_in_memory() {
        let mut containers = Containers::default();
        let first = read(&mut containers, &inventory("alice"), 60);
        assert_eq!(ages(&first), ["1m", "10d"]);
        assert!(first[0].cells[9].number < first[1].cells[9].number, "the youngest come first");
        // Every container is another one in memory, and equal.
        let second = read(&mut containers, &inventory("alice"), 119);
        assert!(first.iter().zip(&second).all(|(a, b)| Arc::ptr_eq(a, b)));
        let third = read(&mut containers, &inventory("eve"), 119);
        assert!(!Arc::ptr_eq(&first[0], &third[0]) && Arc::ptr_eq(&first[1], &third[1]));
        assert_eq!(third[0].cells[1].text, "eve");
    }

    #[test]
    fn ages_go_on_although_nothing_changes() {
        let (mut containers, inventory) = (Containers::default(), inventory("alice"));
        for (now, shown) in [(119, ["1m", "10d"]), (120, ["2m", "10d"]), (3600, ["1h", "10d"])] {
            assert_eq!(ages(&read(&mut containers, &inventory, now)), shown);
        }
        // Somebody set the clock back.
        assert_eq!(ages(&read(&mut containers, &inventory, 70)), ["1m", "10d"]);
    }

    #[test]
    fn who_comes_and_goes_does_not_disturb_the_others() {
        let mut containers = Containers::default();
        let both = read(&mut containers, &inventory("alice"), 60);
        let known = inventory("alice");
        for names in [&["bob"][..], &["aaron", "bob", "zoe"], &["alice", "bob"], &[]] {
            let found = |name: &&str| match known.container(&name.parse().unwrap()) {
                Some(known) => Container::clone(known),
                None => container(name, "b1"),
            };
            let up = Presence::Up { since: at(0) };
            let some = backend("b1", up, names.iter().map(found).collect());
            let rows = read(&mut containers, &Inventory::new(vec![some]), 60);
            assert_eq!(rows.iter().map(|row| row.id.as_str()).collect::<Vec<_>>(), names);
            let bob = rows.iter().find(|row| row.id == "bob");
            assert!(bob.is_none_or(|bob| Arc::ptr_eq(bob, &both[1])));
        }
    }
}
