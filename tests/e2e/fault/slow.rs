//! A host that is far away, or crawls: its sshd is behind a proxy that lets bytes through late.

use std::time::Duration;

use super::{assert_told, log_in};
use crate::harness::{Proxy, Sentinel, backend_section, config, set, world};

const DOOR: u16 = 2385;
const PROXY: u16 = 8471;

#[test]
fn a_host_far_away_is_entered_and_one_that_crawls_is_told() {
    world();
    let proxy = Proxy::start(PROXY, Duration::from_millis(100));
    let section = backend_section("b1");
    let behind = set(&section, "[backend]", "address", &format!("\"127.0.0.1:{PROXY}\""));
    let text = config(&world().dir, DOOR, "").replace(&backend_section("b2"), "");
    let sentinel = Sentinel::start(&world().dir, "slow", &text.replace(&section, &behind));
    sentinel.wait_until_listed(&["alice"]);
    let run = log_in(DOOR, "alice", "alice", "id -un");
    assert_eq!((run.stdout.as_str(), run.status), ("alice\n", 0), "{run:?}");
    let log = sentinel.log_text();
    assert!(!log.contains("host is down"), "{log}");

    proxy.crawl();
    sentinel.wait_log("host is down");
    let run = log_in(DOOR, "alice", "alice", "id -un");
    assert_told(&run, 75, &["container alice "]);
    let version = log_in(DOOR, "admin", "admin", "version");
    assert_eq!(version.status, 0, "{version:?}");
}
