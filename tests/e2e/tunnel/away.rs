//! Tunnels that end, fall silent, or are replaced.

use std::{fs, thread};

use super::{
    Nat, Tunnel, known, log_in, on_b3, open_session, sentinel, sentinel_with, wait_down, wait_up,
};
use crate::harness::{Guest, b3, lab, make_key, world};

const PORT: u16 = 2611;

#[test]
fn a_tunnel_that_ends_is_seen_at_once_and_people_wait_for_the_next_one() {
    let _alone = b3();
    for person in ["away-1", "tove"] {
        make_key(&world().dir, person);
    }
    let _nat = Nat::new();
    // Not by its probes: it would take them a hundred.
    let rules = "health = { interval = \"1h\", timeout = \"60s\", fall = 100, rise = 1 }\n";
    let sentinel = sentinel_with("away-1", PORT, rules);
    let mut tunnel = Tunnel::start("b3", "away-1", PORT);
    wait_up(&sentinel, "away-1");
    let _guest = Guest::new(&sentinel, "b3", "tove", "tove");
    let open = open_session(&sentinel, PORT, "tove", "tove");
    tunnel.kill();
    let ended = open.join().unwrap();
    let sentence = "the tunnel to the host of tove was lost; log in again to wait for it";
    assert!(ended.status == 255 && ended.stderr.contains(sentence), "{ended:?}");
    wait_down(&sentinel, "away-1");
    let log = sentinel.log_text();
    assert!(log.contains("tunnel lost") && log.contains("host is down"), "{log}");
    let status = sentinel.console(&["status"]).stdout;
    assert!(status.contains("away for") && status.contains(", no tunnel for "), "{status}");

    let waiting = thread::spawn(|| {
        world().client(&format!(
            "ssh -F $CFG -p {PORT} -i $DIR/tove -o LogLevel=INFO -l tove $DOOR hostname \
             2>$DIR/tove.told"
        ))
    });
    sentinel.wait("she is told", || {
        let told = fs::read_to_string(world().dir.join("tove.told")).unwrap_or_default();
        told.contains("the host of tove has been down for")
    });
    let _tunnel = Tunnel::start("b3", "away-1", PORT);
    let run = waiting.join().unwrap();
    assert_eq!((run.stdout.as_str(), run.status), ("tove-container\n", 0), "{run:?}");
    wait_up(&sentinel, "away-1");
}

#[test]
fn a_second_tunnel_takes_the_place_of_the_first() {
    let _alone = b3();
    for person in ["twice-1", "twyla"] {
        make_key(&world().dir, person);
    }
    let _nat = Nat::new();
    let sentinel = sentinel("twice-1", PORT + 1);
    let mut first = Tunnel::start("b3", "twice-1", PORT + 1);
    wait_up(&sentinel, "twice-1");
    let _guest = Guest::new(&sentinel, "b3", "twyla", "twyla");
    let source = known(&sentinel, "twice-1")["tunnel"]["source"].clone();
    // A connection under the key that is none disturbs nobody.
    let open = open_session(&sentinel, PORT + 1, "twyla", "twyla");
    for what in ["twice-1@$DOOR true", "-N -R 8080:127.0.0.1:22 twice-1@$DOOR"] {
        let run = world().client(&format!("ssh -F $CFG -p {} -i $DIR/twice-1 {what}", PORT + 1));
        assert_eq!(run.status, 255, "{what}: {run:?}");
    }
    let run = log_in(PORT + 1, "twyla", "twyla", "hostname");
    assert_eq!(run.stdout, "twyla-container\n", "{run:?}");
    assert!(!open.is_finished(), "{:?}", open.join());
    assert_eq!(known(&sentinel, "twice-1")["tunnel"]["source"], source);
    let _second = Tunnel::start("b3", "twice-1", PORT + 1);
    let said = first.end(&sentinel);
    assert!(said.contains("another connection of this host took its place"), "{said}");
    let ended = open.join().unwrap();
    let sentence = "the tunnel to the host of twyla was lost; log in again to wait for it";
    assert!(ended.status == 255 && ended.stderr.contains(sentence), "{ended:?}");
    wait_up(&sentinel, "twice-1");
    assert_ne!(known(&sentinel, "twice-1")["tunnel"]["source"], source);
    let run = log_in(PORT + 1, "twyla", "twyla", "hostname");
    assert_eq!(run.stdout, "twyla-container\n", "{run:?}");
    assert!(!sentinel.log_text().contains("host is down"), "{}", sentinel.log_text());

    // A configuration without it ends it, and so does another key.
    let text = fs::read_to_string(&sentinel.config).unwrap();
    make_key(&world().dir, "twice-2");
    let [old, new] = ["twice-1", "twice-2"].map(|name| {
        let line = fs::read_to_string(world().dir.join(format!("{name}.pub"))).unwrap();
        line.trim().to_owned()
    });
    fs::write(&sentinel.config, text.replace(&old, &new)).unwrap();
    assert_eq!(sentinel.console(&["reload"]).status, 0);
    sentinel.wait("it is closed", || {
        sentinel.log_text().contains("the configuration of this host changed")
    });
    sentinel.wait("it is gone", || known(&sentinel, "twice-1")["tunnel"]["connected"] == false);
}

#[test]
fn a_host_that_falls_silent_is_found_by_its_probes() {
    let _alone = b3();
    for person in ["mute-1", "tom"] {
        make_key(&world().dir, person);
    }
    let nat = Nat::new();
    let sentinel = sentinel("mute-1", PORT + 2);
    let _tunnel = Tunnel::start("b3", "mute-1", PORT + 2);
    wait_up(&sentinel, "mute-1");
    let _guest = Guest::new(&sentinel, "b3", "tom", "tom");
    let open = open_session(&sentinel, PORT + 2, "tom", "tom");
    let door = lab().get("LAB_SENTINEL_ADDRESS");
    let silence =
        format!("iptables -I INPUT -s {door} -j DROP && iptables -I OUTPUT -d {door} -j DROP");
    assert!(on_b3(&silence), "iptables");
    let ended = open.join().unwrap();
    assert!(on_b3("iptables -F OUTPUT"), "iptables");
    assert!(
        ended.status == 255 && ended.stderr.contains("log in again to wait for it"),
        "{ended:?}"
    );
    wait_down(&sentinel, "mute-1");
    drop(nat);
    // By the same connection, or by the next one of a client that gave this one up.
    let _nat = Nat::new();
    let _tunnel = Tunnel::start("b3", "mute-1", PORT + 2);
    wait_up(&sentinel, "mute-1");
    let run = log_in(PORT + 2, "tom", "tom", "hostname");
    assert_eq!(run.stdout, "tom-container\n", "{run:?}");
}
