//! Tunnels while nothing can be recorded.

use std::fs;

use serde_json::Value;

use super::{Tunnel, known, log_in, section, wait_up};
use crate::harness::{Sentinel, backend_section, config, make_key, set, world};

const PORT: u16 = 2641;

#[test]
fn a_tunnel_comes_while_no_session_may_as_none_can_be_recorded() {
    let dir = &world().dir;
    make_key(dir, "strict-1");
    let folder = dir.join("strict-ledger");
    let audit = format!("[audit]\npath = \"{}/audit.db\"\nstrict = true\n", folder.display());
    // b1 as others know it stays as it is: here its host connects.
    let text =
        config(dir, PORT, &audit).replace(&backend_section("b1"), &section("b1", "strict-1"));
    let sentinel = Sentinel::start(dir, "strict-1", &set(&text, "ssh", "wait", "\"100s\""));
    let _tunnel = Tunnel::start("b1", "strict-1", PORT);
    wait_up(&sentinel, "strict-1");
    assert_eq!(known(&sentinel, "strict-1")["tunnel"]["connected"], true);
    sentinel.wait_until_listed(&["alice"]);
    let refused = log_in(PORT, "alice", "alice", "echo in");
    assert!(refused.status == 75 && refused.stdout.is_empty(), "{refused:?}");
    assert!(refused.stderr.contains("sessions are recorded here"), "{refused:?}");
    // Once there is a place for it, what was kept is written, the tunnel's login, too.
    fs::create_dir(&folder).unwrap();
    sentinel.wait("the ledger is begun", || {
        let status = sentinel.console(&["status", "--json"]).stdout;
        let status: Value = serde_json::from_str(&status).unwrap_or_default();
        status["ledger"]["writes"] == true
    });
    // Its file is open from now on.
    sentinel.settle();
    let run = log_in(PORT, "alice", "alice", "echo in");
    assert_eq!((run.stdout.as_str(), run.status), ("in\n", 0), "{run:?}");
    let logins = sentinel.console(&["audit", "--kind", "login", "--json"]);
    assert!(logins.stdout.contains("strict-1"), "{logins:?}");
}
