//! The decision: what is refused with which numbers, and what is changed.

use serde_json::json;

use super::{
    apply::{Measured, RUNNING, nudged},
    plan::{Facts, plan},
    *,
};
use crate::{
    command::testing::{admin, context, execute_line},
    incus::{
        api::{Instance, Memory, Resources, Total},
        host::{Pool, Space},
    },
};

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

fn instance() -> Instance {
    let root = json!({"type": "disk", "path": "/", "pool": "fast", "size": "10GiB"});
    serde_json::from_value(json!({
        "name": "alice-container", "status_code": RUNNING,
        "config": {"limits.memory": "4GiB"},
        "expanded_config": {"limits.cpu": "2", "limits.memory": "4GiB"},
        "expanded_devices": {"root": root, "eth0": {"type": "nic"}},
    }))
    .unwrap()
}

fn facts() -> Facts {
    let space = Some(Space { used: 50 * GIB, total: 100 * GIB });
    let host = Resources {
        cpu: Total { total: 4 },
        memory: Memory { used: 0, total: 8 * GIB },
        ..Resources::default()
    };
    Facts {
        backend: "b1".to_owned(),
        host,
        pools: vec![Pool { name: "fast".to_owned(), driver: "btrfs".to_owned(), space }],
        memory_used: Some(700 * MIB),
        disk_held: Some(2 * GIB),
        disk_counted: true,
    }
}

fn wanted(cpu: &str, memory: &str, disk: &str) -> Wanted {
    let size = |text: &str| (!text.is_empty()).then(|| text.parse().unwrap());
    let cpu = (!cpu.is_empty()).then(|| cpu.parse().unwrap());
    Wanted { cpu, memory: size(memory), disk: size(disk), force: false }
}

fn planned(wanted: &Wanted, facts: &Facts) -> Result<Plan, Failure> {
    plan("alice", wanted, &instance(), facts)
}

/// What is reported of a change of memory and disk.
pub(in crate::command) fn reported() -> serde_json::Value {
    let plan = planned(&wanted("", "8GB", "20GB"), &facts()).unwrap();
    let alice = crate::command::testing::container("alice", "b1", None);
    report(&alice, plan).unwrap().json
}

#[test]
fn what_cannot_be_had_is_refused_with_the_numbers() {
    let stopped = || Facts { memory_used: None, disk_held: None, ..facts() };
    for (wanted, facts, says) in [
        (wanted("5", "", ""), facts(), "backend b1 has 4 processors"),
        (wanted("2-4", "", ""), facts(), "those of backend b1 are 0 to 3"),
        (wanted("", "512MiB", ""), facts(), "alice uses 700MiB now"),
        (wanted("", "", "1GiB"), facts(), "holds 2GiB with its image"),
        // A tenth above what it holds, in whole MiB.
        (wanted("", "", "2252MiB"), facts(), "to work is 2253MiB"),
        (wanted("", "", "5GiB"), stopped(), "it is stopped"),
        // One that cannot be had keeps the others from being changed.
        (wanted("1", "512MiB", "20GiB"), facts(), "memory 512MiB"),
    ] {
        let refused = planned(&wanted, &facts).unwrap_err();
        assert_eq!(refused.kind, Kind::Conflict, "{refused:?}");
        assert!(refused.message.contains(says) && refused.hint.is_some(), "{says}: {refused:?}");
    }
}

#[test]
fn what_can_be_had_is_one_change_and_can_be_put_back() {
    let plan = planned(&wanted("0-1", "8GB", "20GB"), &facts()).unwrap();
    let config = |pairs: [(&str, &str); 2]| {
        pairs.map(|(k, v)| (k.to_owned(), v.to_owned())).into_iter().collect::<BTreeMap<_, _>>()
    };
    assert_eq!(plan.patch.config, config([("limits.cpu", "0-1"), ("limits.memory", "8GB")]));
    let root = &plan.patch.devices["root"];
    assert_eq!((root["size"].as_str(), root["pool"].as_str(), root.len()), ("20GB", "fast", 4));
    // The limit of a profile comes back by taking away its own.
    assert_eq!(plan.undo.config, config([("limits.cpu", ""), ("limits.memory", "4GiB")]));
    assert_eq!(plan.undo.devices["root"]["size"], "10GiB");
    let texts: Vec<_> = plan.changes.iter().map(Change::text).collect();
    assert_eq!(texts, ["cpu 0-1 (was 2)", "memory 8GB (was 4GiB)", "disk 20GB (was 10GiB)"]);
    assert_eq!(plan.notes.len(), 1, "what a range means: {:?}", plan.notes);

    let none = planned(&wanted("none", "none", "none"), &facts()).unwrap();
    assert_eq!(none.patch.config, config([("limits.cpu", ""), ("limits.memory", "")]));
    assert!(!none.patch.devices["root"].contains_key("size"));
    assert_eq!(none.changes[2].text(), "disk no limit (was 10GiB)");
    assert_eq!(nudged(&none.patch).devices["root"]["size"], "1125899906842624B");
    assert_eq!(nudged(&plan.undo).devices["root"]["size"], "10737422336B");
}

#[test]
fn remarks_tell_what_is_odd_and_force_takes_memory_away() {
    let large = planned(&wanted("", "16GiB", "200GiB"), &facts()).unwrap();
    let expected =
        ["backend b1 has only 8GiB of memory", "pool fast of backend b1 has only 100GiB"];
    assert_eq!(large.notes, expected);
    let mut directory = facts();
    directory.pools[0].driver = "dir".to_owned();
    (directory.disk_counted, directory.disk_held) = (false, None);
    let plan = planned(&wanted("", "", "1GiB"), &directory).unwrap();
    assert!(plan.notes[0].contains("plain directory"), "{:?}", plan.notes);
    let force = Wanted { force: true, ..wanted("", "512MiB", "") };
    assert!(planned(&force, &facts()).is_ok());
    assert!(planned(&wanted("", "", "2253MiB"), &facts()).is_ok(), "the least is enough");
    assert!(planned(&wanted("", "", "10GiB"), &facts()).unwrap().changes[0].text().contains("as"));
}

#[test]
fn measures_are_read_and_nonsense_is_none() {
    let measured = Measured::read("memory 1048576 822620\ndisk 336600 100\n");
    let expected = Measured { memory_used: Some(225_956 * 1024), disk_held: Some(336_700 * 1024) };
    assert_eq!(measured, expected);
    for nonsense in
        ["", "memory 0 0\ndisk 0 0", "memory x y", "disk 99999999999999999999 1", "\x1b"]
    {
        assert_eq!(Measured::read(nonsense), Measured::default(), "{nonsense:?}");
    }
}

#[test]
fn words_that_are_no_limits_are_usage() {
    for line in [
        "resize alice",
        "resize alice --force",
        "resize alice --cpu 0",
        "resize alice --cpu 4-2",
        "resize alice --memory 8G",
        "resize alice --memory 8",
        "resize alice --disk -1GB",
        "resize alice --disk 10GB --disk-quota 20GB",
        "resize alice --memory None",
    ] {
        let outcome = execute_line(line.as_bytes(), &context(admin()));
        assert_eq!(outcome.status, 2, "{line}: {outcome:?}");
    }
    for line in ["resize alice --cpu none", "resize alice --disk-quota 50GB --memory 1.5GiB"] {
        let outcome = execute_line(line.as_bytes(), &context(admin()));
        // Words are understood; the test's backend is not there.
        assert_eq!(outcome.status, 69, "{line}: {outcome:?}");
    }
}
