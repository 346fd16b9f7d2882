//! SIGHUP: all of a good configuration, nothing of a bad one.

use std::{fs, thread};

use super::log_in;
use crate::harness::{Sentinel, backend_section, config, make_key, set, world};

fn public_line(person: &str) -> String {
    fs::read_to_string(world().dir.join(format!("{person}.pub"))).unwrap().trim().to_owned()
}

#[test]
fn a_bad_reload_names_every_mistake_and_changes_nothing() {
    let dir = &world().dir;
    let good = config(dir, 2231, "");
    let sentinel = Sentinel::start(dir, "bad-reload", &good);
    sentinel.wait_until_listed(&["alice"]);
    let bad = set(&good, "ssh", "login_grace", "\"soon\"");
    let bad = set(&bad, "ssh", "lisen", "[]").replace("name = \"b2\"", "name = \"B2!\"");
    fs::write(&sentinel.config, &bad).unwrap();
    sentinel.signal("HUP");
    sentinel.wait_log("configuration not reloaded; the old one stays");
    let log = sentinel.log_text();
    for (part, key) in [
        ("login_grace = ", "ssh.login_grace"),
        ("lisen = ", "ssh.lisen"),
        ("name = \"B2!", "backend[1].name"),
    ] {
        let line = 1 + bad.lines().position(|l| l.starts_with(part)).unwrap();
        let place = format!("{}:{line}:", sentinel.config.display());
        let told = log
            .lines()
            .any(|l| l.contains("ERROR") && l.contains(&place) && l.contains(&format!(" {key}: ")));
        assert!(told, "{place} {key}: {log}");
    }
    assert!(log.contains("problems=3"), "{log}");
    assert!(!log.contains("configuration reloaded"), "{log}");
    assert_eq!(log_in(2231, "alice", "alice", "id -un").stdout, "alice\n");
    assert_eq!(log_in(2231, "admin", "admin", "list -q").status, 0);
    // Not even half a file, or none.
    for text in ["[ssh", ""] {
        let before = sentinel.log_text().matches("not reloaded").count();
        if text.is_empty() {
            fs::remove_file(&sentinel.config).unwrap();
        } else {
            fs::write(&sentinel.config, text).unwrap();
        }
        sentinel.signal("HUP");
        sentinel
            .wait("it is told", || sentinel.log_text().matches("not reloaded").count() > before);
        assert_eq!(log_in(2231, "admin", "admin", "version").status, 0);
    }
}

#[test]
fn a_good_reload_takes_keys_away_and_brings_backends_routes_and_levels() {
    let dir = &world().dir;
    make_key(dir, "intern");
    let (admin, intern) = (public_line("admin"), public_line("intern"));
    let both = format!("[\"{admin}\", \"{intern}\"]");
    let last = config(dir, 2232, "");
    let first = set(&last, "admin", "authorized_keys", &both).replace(&backend_section("b2"), "");
    let first = set(&first, "log", "level", "\"info\"");
    let sentinel = Sentinel::start(dir, "good-reload", &first);
    sentinel.wait_until_listed(&["alice"]);
    assert_eq!(log_in(2232, "intern", "admin", "version").status, 0);
    assert_eq!(log_in(2232, "bob", "bob", "true").status, 255);
    assert!(!sentinel.log_text().contains("DEBUG"), "{}", sentinel.log_text());

    let route = format!(
        "[[route]]\nlogin = \"git\"\nto = \"git@127.0.0.1:1\"\nhost_key = \"{}\"\nauthorized_keys = [\"{intern}\"]\n",
        intern.rsplit_once(' ').unwrap().0
    );
    let next = set(&last, "ssh", "listen", "[\"127.0.0.1:2239\"]");
    let next = set(&next, "log", "format", "\"json\"") + &route;
    fs::write(&sentinel.config, next).unwrap();
    sentinel.signal("HUP");
    sentinel.wait_log("configuration reloaded");
    let log = sentinel.log_text();
    let named =
        log.lines().find(|l| l.contains("only at a restart")).unwrap_or_else(|| panic!("{log}"));
    assert!(named.contains("ssh.listen") && named.contains("log.format"), "{named}");
    assert!(!named.contains("state_dir"), "{named}");

    let run = log_in(2232, "intern", "admin", "version");
    assert!(run.status == 255 && run.stderr.contains("Permission denied"), "{run:?}");
    assert_eq!(log_in(2232, "admin", "admin", "version").status, 0);
    sentinel.wait("the new backend's container is there", || {
        log_in(2232, "bob", "bob", "id -un").stdout == "bob\n"
    });
    let route = log_in(2232, "intern", "git", "true");
    assert!(route.status == 75 && route.stderr.contains("git does not answer"), "{route:?}");
    sentinel.wait("debug lines appear", || sentinel.log_text().contains("DEBUG"));

    fs::write(&sentinel.config, &first).unwrap();
    sentinel.signal("HUP");
    sentinel.wait("a backend that is configured no more is gone", || {
        log_in(2232, "bob", "bob", "true").status == 255
    });
    assert_eq!(log_in(2232, "intern", "admin", "version").status, 0);
}

#[test]
fn a_host_that_is_watched_in_another_way_keeps_its_connection_and_its_sessions() {
    let dir = &world().dir;
    let text = config(dir, 2235, "");
    let sentinel = Sentinel::start(dir, "watched", &text);
    sentinel.wait_until_listed(&["alice", "bob"]);
    let b1 = || {
        let list = sentinel.console(&["backend", "list", "--json"]).stdout;
        let list: serde_json::Value = serde_json::from_str(&list).unwrap();
        list[0].clone()
    };
    let before = b1();
    let (here, go) = (dir.join("watched.here"), dir.join("watched.go"));
    let open = thread::spawn(|| {
        world().client(
            "ssh -F $CFG -p 2235 -i $DIR/alice -l alice $DOOR 'echo here; read -r l; echo $l' \
             < <(until [ -e $DIR/watched.go ]; do sleep 0.1; done; echo on) >$DIR/watched.here; \
             echo $?; cat $DIR/watched.here",
        )
    });
    sentinel.wait("a session", || fs::read_to_string(&here).unwrap_or_default() == "here\n");

    let section = backend_section("b1");
    let more = "health = { interval = \"300ms\", rise = 1 }\n\
                recovery = { kind = \"command\", argv = [\"/bin/false\"] }\n";
    fs::write(&sentinel.config, text.replace(&section, &(section.clone() + more))).unwrap();
    sentinel.signal("HUP");
    sentinel.wait("it is watched and could be started", || {
        let now = b1();
        now["recovery"]["kind"] == "command" && now["health"]["state"] == "up"
    });
    fs::write(go, "").unwrap();
    let open = open.join().unwrap();
    assert_eq!(open.stdout, "0\nhere\non\n", "{open:?}");
    let now = b1();
    assert_eq!((&now["presence"], &now["since"]), (&before["presence"], &before["since"]), "{now}");
    let log = sentinel.log_text();
    assert_eq!(log.matches("backend is up backend=b1").count(), 1, "{log}");
}
