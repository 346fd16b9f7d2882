//! A backend whose power fails. It is `b3`, on which no other test has a container.

use std::{
    fs,
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use super::{assert_copiers_are_told, assert_told, log_in, newcomer};
use crate::harness::{Guest, Run, Sentinel, backend_section, config, lab_command, world};

const PORT: u16 = 2211;

fn power(command: &str) {
    let out = lab_command(&[command, "b3"]).output().expect("lab");
    assert!(out.status.success(), "{command}: {}", String::from_utf8_lossy(&out.stderr));
}

/// A session in `spot` that ends only with its host.
fn open_session() -> JoinHandle<Run> {
    let here = world().dir.join("spot.here");
    let session = thread::spawn(|| {
        let to = format!("ssh -F $CFG -p {PORT} -i $DIR/pia -o LogLevel=INFO -l spot $DOOR");
        world().client(&format!("{to} 'echo here; sleep 1000' >$DIR/spot.here"))
    });
    let start = Instant::now();
    while fs::read_to_string(&here).unwrap_or_default() != "here\n" {
        assert!(start.elapsed() < Duration::from_secs(60), "no session");
        thread::sleep(Duration::from_millis(50));
    }
    session
}

#[test]
fn a_backend_that_is_away_is_told_and_used_again_when_it_is_back() {
    let _alone = crate::harness::b3();
    newcomer("pia");
    let dir = &world().dir;
    let text = config(dir, PORT, &backend_section("b3"));
    let sentinel = Sentinel::start(dir, "spot", &text);
    let guest = Guest::new(&sentinel, "b3", "spot", "pia");
    assert_eq!(log_in(PORT, "pia", "spot", "hostname").stdout, "spot-container\n");

    let open = open_session();
    power("kill");
    // At first nobody knows that the host is gone for good: nothing answers.
    let run = log_in(PORT, "pia", "spot", "true");
    assert_told(&run, 75, &["container spot ", " on backend b3"]);
    // TCP would take a quarter of an hour to find out.
    let ended = open.join().unwrap();
    assert_eq!(ended.status, 255, "{ended:?}");
    assert!(ended.stderr.contains("the host of spot went away; log in again"), "{ended:?}");
    let status = sentinel.console(&["status", "--json"]).stdout;
    let status: serde_json::Value = serde_json::from_str(&status).unwrap();
    let b3 = &status["backends"].as_array().unwrap().iter().find(|b| b["name"] == "b3").unwrap();
    assert_eq!((&b3["health"]["state"], &b3["presence"]), (&"down".into(), &"away".into()), "{b3}");
    assert_copiers_are_told(PORT, "pia", "spot", "backend b3");

    // What a sentinel knows outlives it.
    sentinel.signal("TERM");
    assert_eq!(sentinel.wait_exit(), Some(0));
    drop(sentinel);
    let sentinel = Sentinel::start(dir, "spot", &text);
    sentinel.wait("b3 is away", || sentinel.console(&["status"]).stdout.contains("away for"));
    let run = log_in(PORT, "pia", "spot", "true");
    assert_told(&run, 75, &["container spot is on backend b3, which is away since 20"]);
    let stranger = log_in(PORT, "mallory", "spot", "true");
    assert!(
        stranger.status == 255 && stranger.stderr.contains("Permission denied"),
        "{stranger:?}"
    );
    assert_eq!(log_in(PORT, "alice", "alice", "id -un").stdout, "alice\n");

    power("revive");
    sentinel.wait("spot is entered again", || {
        log_in(PORT, "pia", "spot", "hostname").stdout == "spot-container\n"
    });
    drop(guest);
}
