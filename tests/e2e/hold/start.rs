//! Containers that are stopped, and those who come for them.

use std::thread;

use super::Client;
use crate::{
    console::dialogue::dialogue,
    harness::{Guest, Run, Sentinel, config, lab, lab_command, label, make_key, set, world},
};

const PORT: u16 = 2311;
const REFUSING: u16 = 2312;

/// A sentinel whose people wait long enough for a start.
fn sentinel(name: &str, port: u16) -> Sentinel {
    let dir = &world().dir;
    let text = set(&config(dir, port, ""), "ssh", "wait", "\"100s\"");
    Sentinel::start(dir, name, &text)
}

fn stop(sentinel: &Sentinel, name: &str) {
    let run = sentinel.console(&["stop", name, "--force"]);
    assert_eq!(run.status, 0, "{run:?}");
}

#[test]
fn a_stopped_container_is_started_once_for_all_who_come() {
    for person in ["starter", "helper"] {
        make_key(&world().dir, person);
    }
    let sentinel = sentinel("starting", PORT);
    let helper = format!("helper={}", world().dir.join("helper.pub").display());
    let _guest = Guest::new(&sentinel, "b1", "starter", "starter");
    world().container("b1", "starter", "starter", &["--collaborator", &helper]);
    let _other = Guest::new(&sentinel, "b1", "starter-2", "starter");
    let address = world().address("b1", "starter");
    sentinel.wait("it has its helper", || {
        sentinel.console(&["info", "starter"]).stdout.contains("helper")
    });
    stop(&sentinel, "starter");
    let to = |person| (PORT, person);
    let clients = [
        Client::start("start-1", to("starter"), "$SSH -l starter $DOOR hostname"),
        Client::start("start-2", to("starter"), "$SSH -l starter $DOOR hostname"),
        Client::start("start-3", to("helper"), "$SSH -l starter $DOOR hostname"),
        Client::start(
            "start-4",
            to("admin"),
            "$SSH -W starter:22 admin@$DOOR </dev/null | head -c 8 | tr - _; echo",
        ),
        Client::start(
            "start-5",
            to("starter"),
            &format!("$SSH -W {address}:22 starter@$DOOR </dev/null | head -c 8 | tr - _; echo"),
        ),
    ];
    for client in clients {
        let name = client.name.clone();
        let run = client.end();
        let said = if matches!(name.as_str(), "start-4" | "start-5") {
            "SSH_2.0_\n"
        } else {
            "starter-container\n"
        };
        assert_eq!((run.stdout.as_str(), run.status), (said, 0), "{name}: {run:?}");
        assert!(!run.stderr.contains("error"), "{name}: {run:?}");
    }
    assert_eq!(sentinel.log_text().matches("started for a login").count(), 1);
    assert_eq!(sentinel.console(&["logs", "starter"]).stdout.matches("for a login").count(), 1);

    // She is told, and so is whoever chooses it.
    stop(&sentinel, "starter");
    let run = Client::start("start-6", to("starter"), "$SSH -l starter $DOOR hostname").end();
    assert_eq!((run.stdout.as_str(), run.status), ("starter-container\n", 0), "{run:?}");
    assert_eq!(run.stderr.matches("container starter is stopped; starting it").count(), 1);
    stop(&sentinel, "starter");
    let login = format!("ssh -F $CFG -p {PORT} -i $DIR/starter -l somebody -t $DOOR");
    let steps = [("leaves): ", "starter\r"), ("starter is stopped; starting it", "")];
    let run = dialogue(&format!("{login} hostname"), &steps);
    assert!(run.status == 0 && run.stdout.ends_with("starter-container\r\n"), "{run:?}");
}

/// How a login ends that cannot end inside.
fn turned_away(words: &str) -> Run {
    let script = "ssh -F $CFG -p 2312 -i $DIR/sleeper -l sleeper $DOOR true";
    let run = world().client(script);
    assert!(run.status == 69 && run.stderr.starts_with("error: container sleeper "), "{run:?}");
    assert!(run.stderr.contains(words), "{words}: {run:?}");
    run
}

#[test]
fn what_cannot_or_may_not_be_started_is_told_in_a_sentence() {
    make_key(&world().dir, "sleeper");
    let sentinel = sentinel("refusing", REFUSING);
    let guest = Guest::new(&sentinel, "b2", "sleeper", "sleeper");
    lab().incus("b2", &["pause", &guest.instance()]);
    sentinel.wait("that is known", || {
        sentinel.console(&["list", "--state", "frozen", "-q"]).stdout == "sleeper\n"
    });
    turned_away("is frozen");
    lab().incus("b2", &["resume", &guest.instance()]);
    stop(&sentinel, "sleeper");
    label("b2", "sleeper", "hold", "true");
    thread::scope(|scope| {
        for _ in 0..3 {
            scope
                .spawn(|| turned_away("is stopped, and stays so until an administrator starts it"));
        }
    });
    label("b2", "sleeper", "hold", "");
    let init = ["config", "set", &guest.instance(), "raw.lxc=lxc.init.cmd = /no/such/init"];
    lab().incus("b2", &init);
    turned_away("is stopped and cannot be started: it does not boot");
    sentinel.wait("Incus has cleaned up behind it", || {
        let unset = ["incus", "b2", "config", "unset", &guest.instance(), "raw.lxc"];
        lab_command(&unset).output().unwrap().status.success()
    });
    let run = world().client("ssh -F $CFG -p 2312 -i $DIR/sleeper -l sleeper $DOOR hostname");
    assert_eq!((run.stdout.as_str(), run.status), ("sleeper-container\n", 0), "{run:?}");
}
