//! `resize`: new limits as they are seen inside, and what is refused leaves everything as it was.

use serde_json::Value;

use super::console;
use crate::harness::{Guest, Run, lab, world};

/// Prints which boot of the machine this is, and when the first process inside began.
const BOOT: &str = "cat /proc/sys/kernel/random/boot_id; cut -d ' ' -f 22 /proc/1/stat";

/// The limits that Incus has written down: cpu, memory, disk.
fn limits(guest: &Guest) -> Value {
    let path = format!("/1.0/instances/{}", guest.instance());
    let text = lab().incus(&guest.backend, &["query", &path]);
    let instance: Value = serde_json::from_str(&text).unwrap();
    let config = &instance["config"];
    serde_json::json!([
        config["limits.cpu"],
        config["limits.memory"],
        instance["devices"]["root"]["size"],
    ])
}

fn refused(line: &str, status: i32, says: &str) {
    let run = console(line);
    assert_eq!((run.status, run.stdout.as_str()), (status, ""), "{line}: {run:?}");
    assert!(run.stderr.contains(says) && run.stderr.contains("hint: "), "{says}: {run:?}");
}

fn done(line: &str) -> Run {
    let run = console(line);
    assert_eq!(run.status, 0, "{line}: {run:?}");
    run
}

/// Writes so many MiB into the owner's home; whether they fit.
fn fits(guest: &Guest, mib: u32) -> bool {
    let write = format!(
        "dd if=/dev/zero of=/home/alice/big bs=1M count={mib} conv=fsync 2>/run/said && echo yes ||
         grep -o 'quota exceeded' /run/said; rm -f /home/alice/big; sync"
    );
    let said = guest.root(&write);
    assert!(said == "yes\n" || said == "quota exceeded\n", "{said}");
    said == "yes\n"
}

#[test]
fn the_new_limits_are_seen_inside_at_once() {
    let guest = Guest::new(&world().sentinel, "b1", "resize-live", "alice");
    let boot = guest.root(BOOT);
    assert!(!boot.is_empty());
    let run = done("resize resize-live --cpu 1 --memory 1GB --disk 600MiB");
    let text = "resize-live: cpu 1 (was no limit), memory 1GB (was no limit), disk 600MiB (was no limit)\n";
    assert_eq!(run.stdout, text, "{run:?}");
    assert!(run.stderr.contains("[2/2] change the limits"), "{run:?}");
    // Incus spreads processors over containers a moment after it has answered.
    world().sentinel.wait("one processor", || guest.root("nproc") == "1\n");
    assert_eq!(guest.root("awk '/^MemTotal/ { print $2 }' /proc/meminfo"), "976560\n");
    assert!(fits(&guest, 100) && !fits(&guest, 500));
    // The inventory is right when the prompt is back.
    let list = console("list --json").stdout;
    let list: Value = serde_json::from_str(&list).unwrap();
    let listed = list.as_array().unwrap().iter().find(|c| c["name"] == "resize-live").unwrap();
    assert_eq!(
        serde_json::json!([listed["cpu"], listed["memory"], listed["disk"]]),
        serde_json::json!(["1", "1GB", "600MiB"])
    );
    let json = done("resize resize-live --cpu 0-1 --memory 2GiB --disk-quota 1GB --json").stdout;
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["changes"]["memory"], serde_json::json!({"before": "1GB", "after": "2GiB"}));
    assert!(json["notes"][0].as_str().unwrap().contains("pins it"), "{json}");
    world().sentinel.wait("two processors", || guest.root("nproc") == "2\n");
    assert_eq!(guest.root("awk '/^MemTotal/ { print $2 }' /proc/meminfo"), "2097152\n");
    assert!(fits(&guest, 500) && !fits(&guest, 900));
    done("resize resize-live --cpu none --memory none --disk none");
    assert_eq!(limits(&guest), serde_json::json!([null, null, null]));
    assert!(fits(&guest, 900));
    // Incus may lose what a command says that ends at once.
    world().sentinel.wait("it was not restarted", || guest.root(BOOT) == boot);
}

#[test]
fn what_cannot_be_had_changes_nothing() {
    let guest = Guest::new(&world().sentinel, "b2", "resize-no", "alice");
    done("resize resize-no --cpu 1 --memory 1GiB --disk 1GiB");
    let before = limits(&guest);
    guest.root(
        "dd if=/dev/zero of=/home/alice/held bs=1M count=200 conv=fsync 2>/dev/null
         # 300 MiB that cannot be given back: what is read lies in the memory of dd.
         nohup dd if=/dev/zero of=/dev/null bs=300M >/dev/null 2>&1 &
         until awk '/VmRSS/ { exit !($2 > 300000) }' /proc/$!/status; do sleep 0.1; done",
    );
    refused("resize resize-no --cpu 3", 4, "backend b2 has 2 processors");
    refused("resize resize-no --cpu 2-4", 4, "those of backend b2 are 0 to 1");
    refused("resize resize-no --memory 200MiB", 4, "would be killed");
    refused("resize resize-no --disk 300MiB", 4, "with its image");
    // A file that is deleted and still open takes room as well.
    guest.root(
        "nohup sh -c 'exec 3>/home/alice/open; dd if=/dev/zero bs=1M count=200 >&3 2>/dev/null
         rm /home/alice/open; touch /home/alice/ready; sleep 600' >/dev/null 2>&1 &
         until [ -e /home/alice/ready ]; do sleep 0.1; done; sync",
    );
    refused("resize resize-no --disk 600MiB", 4, "with its image");
    // One limit that cannot be had keeps the others as they are.
    refused("resize resize-no --cpu 2 --memory 2GiB --disk 300MiB", 4, "with its image");
    refused("resize resize-no --cpu 2 --memory 200MiB", 4, "would be killed");
    refused("resize resize-no --memory 8G", 2, "8G");
    refused("resize resize-no", 2, "no limit");
    refused("resize nobody-there --cpu 1", 3, "no container");
    assert_eq!(limits(&guest), before);
    assert_eq!(guest.root("awk '/^MemTotal/ { print $2 }' /proc/meminfo"), "1048576\n");
    assert!(fits(&guest, 100), "its disk is as before");
    lab().incus("b2", &["stop", "--force", &guest.instance()]);
    refused("resize resize-no --disk 900MiB", 4, "it is stopped");
    // What needs no measure goes while it is stopped.
    done("resize resize-no --cpu 2 --memory 128MiB --disk 2GiB");
    assert_eq!(limits(&guest), serde_json::json!(["2", "128MiB", "2GiB"]));
}

/// Files under a mount are seen by nobody who counts from inside: the change is tried, and Incus
/// stops half-way.
#[test]
fn a_change_that_stops_half_way_is_told_and_can_be_put_right() {
    let guest = Guest::new(&world().sentinel, "b1", "resize-half", "alice");
    done("resize resize-half --cpu 1 --disk 1GiB");
    guest.root(
        "mkdir /hidden; dd if=/dev/zero of=/hidden/big bs=1M count=250 conv=fsync 2>/dev/null
         mount -t tmpfs none /hidden",
    );
    let run = console("resize resize-half --cpu 2 --disk 320MiB");
    assert_eq!((run.status, run.stdout.as_str()), (1, ""), "{run:?}");
    for part in ["cannot put the old one back", "nothing can be written", "--disk 1GiB`"] {
        assert!(run.stderr.contains(part), "{part}: {run:?}");
    }
    assert_eq!(limits(&guest), serde_json::json!(["1", null, "1GiB"]), "as Incus believes");
    guest.root("umount /hidden; rm /hidden/big; sync");
    done("resize resize-half --disk 1GiB");
    assert!(fits(&guest, 500), "the limit that Incus believed in is in force again");
}

/// The kernel of a host with version 1 of control groups refuses; with version 2 it would kill.
#[test]
fn memory_that_is_taken_by_force_is_all_or_nothing() {
    let guest = Guest::new(&world().sentinel, "b2", "resize-force", "alice");
    done("resize resize-force --cpu 1 --memory 1GiB");
    guest.root(
        "nohup dd if=/dev/zero of=/dev/null bs=300M >/dev/null 2>&1 &
         until awk '/VmRSS/ { exit !($2 > 300000) }' /proc/$!/status; do sleep 0.1; done",
    );
    let run = console("resize resize-force --cpu 2 --memory 100MiB --force");
    let (expected, says) = match run.status {
        0 => (serde_json::json!(["2", "100MiB", null]), "change the limits"),
        _ => (serde_json::json!(["1", "1GiB", null]), "it uses more than that now; it has its old"),
    };
    assert_eq!(limits(&guest), expected, "{run:?}");
    assert!(run.stderr.contains(says), "{run:?}");
}
