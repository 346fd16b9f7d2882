//! The page of a container, as it is seen.

use std::collections::BTreeMap;

use jiff::Timestamp;
use ratatui::buffer::Buffer;

use super::*;
use crate::{
    command::{
        report::{Part, Report, Table},
        terminal::Size,
        testing,
    },
    fleet::{
        tests::container,
        usage::{POINTS, Point, Usage, Use},
    },
    health::Health,
    model::inventory::{Backend, Inventory, Presence},
    tui::{
        draw::draw,
        facts::{Reader, Sources},
        shared::Shared,
        state::{Facts, Page},
        theme::Look,
    },
};

const MIB: u64 = 1 << 20;

fn now() -> Timestamp {
    Timestamp::from_second(1_800_000_000).unwrap()
}

fn inventory(presence: Presence) -> Inventory {
    let mut alice = container("alice", "b1");
    alice.addresses = vec!["10.0.3.7".parse().unwrap()];
    alice.config.insert("limits.cpu".to_owned(), "2".to_owned());
    let backend = Arc::unwrap_or_clone(testing::backend("b1", presence, vec![alice]));
    let backend = Backend { refreshed: Some(now()), ..backend };
    Inventory::new(vec![Arc::new(backend)])
}

fn busy() -> Use {
    let point = |i: usize| Point { cpu: u8::try_from(i).ok(), memory: 25 };
    Use {
        cpu: Some(50),
        memory: Some((512 * MIB, 2048 * MIB)),
        disk: Some((42 * MIB, Some(200 * MIB))),
        history: (0..POINTS).map(point).collect(),
    }
}

fn facts(presence: Presence) -> Facts {
    let inventory = inventory(presence);
    let name = "alice".parse().unwrap();
    let usage = Usage::default().with(&inventory.backends[0].name, &name, busy());
    let sources = Sources {
        inventory: &inventory,
        usage: &usage,
        health: &Health::default(),
        sessions: &[],
        bans: &[],
        now: now(),
    };
    let look = Look { colour: true, ascii: false };
    let (rows, about) = Reader::default().read(&sources, look);
    Facts { rows, about, ..Facts::default() }
}

fn answer() -> Answer {
    let keys = Field::many("Keys", vec!["SHA256:abc alice@laptop".to_owned()]);
    let info = Part::Fields(vec![Field::one("Name", "alice"), keys, Field::one("Image", "debian")]);
    let cells = ["7", "2027-01-15 07:59:01", "session", "alice@laptop", "", "alice", "logged in"];
    let rows = vec![cells.map(str::to_owned).to_vec()];
    let ledger = Part::Table(Table { columns: &[], rows });
    let report = |part| Some(Ok(Arc::new(Report::default().part(part))));
    Answer { said: report(info), ledger: report(ledger), top: 0 }
}

fn seen(facts: Facts, answer: Answer, (columns, rows): (u16, u16)) -> Vec<String> {
    let size = Size { columns, rows };
    let mut state = State::new(size, Look { colour: true, ascii: false }, now());
    state.facts = Arc::new(facts);
    state.pages.push(Page::Container("alice".to_owned(), answer));
    let mut buffer = Buffer::empty(ratatui::layout::Rect::new(0, 0, columns, rows));
    draw(&state, &mut buffer);
    let line = |y| (0..columns).map(|x| buffer[(x, y)].symbol()).collect::<String>();
    (0..rows).map(|y| line(y).trim_end().to_owned()).collect()
}

fn up() -> Presence {
    Presence::Up { since: now() }
}

#[test]
fn everything_is_on_one_page_of_a_small_terminal() {
    let lines = seen(facts(up()), answer(), (80, 24));
    let page = lines.join("\n");
    for part in [
        "● running  on b1  at 10.0.3.7  of alice",
        "▊▊▊",
        "50% of 2",
        "512MiB of 2GiB",
        "42MiB of 200MiB",
        "▃▃▃▃",
        "Sessions\n    nobody is connected",
        "Access\n    Keys  SHA256:abc alice@laptop",
        "About\n    Image  debian",
        "Ledger\n    01-15 07:59  session  alice@laptop  logged in",
    ] {
        let part = part.replace("▊▊▊", "███");
        assert!(page.contains(&part), "{part}:\n{page}");
    }
    assert!(lines.iter().all(|line| line.chars().count() <= 80), "{page}");
}

#[test]
fn a_large_terminal_has_two_columns() {
    let lines = seen(facts(up()), answer(), (200, 60));
    let both = lines.iter().any(|line| line.contains("Access") && line.contains("Sessions"));
    assert!(both, "{}", lines.join("\n"));
    let cpu = lines.iter().find(|line| line.contains("50% of 2")).unwrap();
    assert_eq!(cpu.chars().filter(|c| "▁▂▃▄▅".contains(*c)).count(), POINTS, "{cpu}");
}

#[test]
fn a_host_that_is_away_leaves_what_was_seen_last() {
    let away = Presence::Away { since: now(), reason: "no route".to_owned() };
    let page = seen(facts(away), answer(), (80, 24)).join("\n");
    assert!(page.contains("● running 0s ago  on b1"), "{page}");
    assert!(page.contains("512MiB of 2GiB"), "{page}");
}

#[test]
fn a_container_that_vanished_says_so_and_what_happened() {
    let facts = Facts {
        rows: BTreeMap::from([(Tab::Containers, Shared::default())]),
        about: Shared::default(),
        ..facts(up())
    };
    let page = seen(facts, answer(), (80, 24)).join("\n");
    assert!(page.contains("▲ there is no container alice (any more)"), "{page}");
    assert!(page.contains("logged in") && !page.contains("Keys"), "{page}");
}
