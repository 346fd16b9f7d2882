//! `logs`: what work did, and does.

use serde_json::Value;

use super::{console, dialogue::dialogue};
use crate::harness::{Guest, quiet_delete, world};

/// The pieces of work in the log of a container.
fn work(name: &str) -> Vec<Value> {
    let run = console(&format!("logs {name} --json"));
    let log: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!((run.status, log["name"].as_str()), (0, Some(name)), "{run:?}");
    log["work"].as_array().unwrap().clone()
}

#[test]
fn what_was_done_is_told_also_of_a_container_that_is_gone() {
    let guest = Guest::new(&world().sentinel, "b1", "logs-done", "alice");
    assert_eq!(console("logs logs-done").stdout, "");
    assert_eq!(console("stop logs-done --force").status, 0);
    assert_eq!(console("start logs-done").status, 0);
    let shown = console("logs logs-done");
    let lines: Vec<&str> = shown.stdout.lines().collect();
    assert_eq!(lines.len(), 7, "{shown:?}");
    assert_eq!((lines[0], lines[3]), ("== stop logs-done", "== start logs-done"));
    assert!(lines[1].ends_with("Z  [1/1] stop logs-done"), "{shown:?}");
    assert!(lines[6].ends_with("Z  done"), "{shown:?}");
    assert_eq!(console("delete logs-done --force").status, 0);
    drop(guest);
    let whats: Vec<_> = work("logs-done").iter().map(|w| w["what"].clone()).collect();
    assert_eq!(whats, ["stop", "start", "delete"]);
    let none = console("logs nobody-here");
    assert_eq!((none.status, none.stdout.as_str()), (3, ""));
}

#[test]
fn work_under_way_is_followed_and_left_alone() {
    let guest = Guest::new(&world().sentinel, "b2", "logs-now", "alice");
    // It stops only when it is killed, which a stop does after 30 s: not before this test says so.
    guest.root(
        "printf '[Service]\nType=oneshot\nRemainAfterExit=yes\nTimeoutStopSec=infinity\n\
         ExecStart=/bin/true\nExecStop=/bin/sh -c \"until [ -e /go ]; do sleep 0.1; done\"\n' \
         >/run/systemd/system/last.service; systemctl start last",
    );
    let stop = std::thread::spawn(|| console("stop logs-now"));
    world().sentinel.wait("it is under way", || {
        let log: Value =
            serde_json::from_str(&console("logs logs-now --json --no-follow").stdout).unwrap();
        log["running"] == "stop"
    });
    let left = dialogue("ssh -F $CFG -t sentinel logs logs-now", &[("stop logs-now\r\n", "\x03")]);
    assert_eq!(left.status, 130, "{left:?}");
    assert!(left.stdout.contains("[1/1] stop logs-now\r\n"), "{left:?}");
    let following = std::thread::spawn(|| console("logs logs-now"));
    guest.root("touch /go");
    let stop = stop.join().unwrap();
    assert_eq!(stop.status, 0, "left alone: {stop:?}");
    let followed = following.join().unwrap();
    assert!(followed.stdout.ends_with("Z  done\n") && followed.status == 0, "{followed:?}");
    drop(guest);
    quiet_delete("b2", &["logs-now"]);
}
