//! `start`, `stop`, `restart` and `delete`: what they do to instances, and what they say.

use std::{fs, thread};

use super::{console, dialogue::dialogue};
use crate::harness::{Guest, Run, lab, labelled, quiet_delete, world};

/// What Incus says of an instance: `RUNNING`, `STOPPED`, or nothing where there is none.
fn state(name: &str) -> String {
    let list = lab().incus("b1", &["list", &format!("^{name}-container$"), "-cs", "-fcsv"]);
    list.trim().to_owned()
}

fn hold_label(name: &str) -> String {
    let key = "user.containarium.hold";
    lab().incus("b1", &["config", "get", &format!("{name}-container"), key]).trim().to_owned()
}

/// Which boot a container runs, and nothing where none does.
fn boot(guest: &Guest) -> String {
    let info = lab().incus("b1", &["info", &guest.instance()]);
    info.lines().filter(|line| line.starts_with("PID:")).collect()
}

fn guest(name: &str) -> Guest {
    Guest::new(&world().sentinel, "b1", name, "alice")
}

/// An instance that never ran.
fn never_run(name: &str) {
    quiet_delete("b1", &[name]);
    let key = fs::read_to_string(world().dir.join("alice.pub")).unwrap();
    labelled("b1", name, "alice", key.trim(), &[]);
    world().sentinel.wait_until_listed(&[name]);
}

fn log_in(name: &str, command: &str) -> Run {
    world().client(&format!("ssh -F $CFG -l {name} -i $DIR/alice $DOOR '{command}'"))
}

fn assert_refused(run: &Run, status: i32, told: &str) {
    assert_eq!(run.status, status, "{run:?}");
    assert!(run.stdout.is_empty() && run.stderr.contains(told), "{told}: {run:?}");
    assert_eq!(run.stderr.matches("error: ").count(), 1, "{run:?}");
}

#[test]
fn a_container_stops_starts_and_restarts_and_twice_is_no_mistake() {
    let guest = guest("life");
    let first = boot(&guest);
    for again in [false, true] {
        let run = console("stop life --json");
        let golden = "{\"hold\":false,\"name\":\"life\",\"state\":\"stopped\"}\n";
        assert_eq!((run.stdout.as_str(), run.status), (golden, 0), "{again}: {run:?}");
        assert_eq!(run.stderr, "[1/1] stop life\n", "{again}");
        assert_eq!(state("life"), "STOPPED");
    }
    assert_eq!(console("list -q --state stopped").stdout.matches("life\n").count(), 1);
    for again in [false, true] {
        let run = console("start life");
        assert_eq!((run.stdout.as_str(), run.status), ("life is running\n", 0), "{again}: {run:?}");
        assert_eq!(state("life"), "RUNNING");
    }
    let second = boot(&guest);
    assert_eq!(console("restart life -q").stdout, "life\n");
    let third = boot(&guest);
    assert!(first != second && second != third && !third.is_empty(), "{first} {second} {third}");
    assert_eq!(log_in("life", "hostname").stdout, "life-container\n");
    for force in ["stop life --force", "restart life", "restart life --force"] {
        assert_eq!(console(force).status, 0, "{force}");
    }
    assert_eq!(state("life"), "RUNNING");
    assert_refused(&console("stop nobody-here"), 3, "no container named \"nobody-here\"");
    // A login's command is its container's, whatever it is called.
    assert_eq!(log_in("life", "stop life").status, 127);
    assert_eq!(state("life"), "RUNNING");
}

#[test]
fn what_is_held_stays_stopped_until_it_is_started() {
    let _guest = guest("held");
    let run = console("stop held --hold --force");
    assert_eq!(run.stdout, "held is stopped, and stays so until `start`\n", "{run:?}");
    assert_eq!((state("held"), hold_label("held")), ("STOPPED".to_owned(), "true".to_owned()));
    let refused = log_in("held", "true");
    assert_eq!(refused.status, 69, "{refused:?}");
    assert!(refused.stderr.contains("held"), "{refused:?}");
    assert_eq!(state("held"), "STOPPED");
    // To stop it once more is not to let go of it.
    assert_eq!(console("stop held").status, 0);
    assert_eq!(hold_label("held"), "true");
    assert_eq!(console("start held").status, 0);
    assert_eq!((state("held"), hold_label("held")), ("RUNNING".to_owned(), String::new()));
    assert_eq!(log_in("held", "hostname").stdout, "held-container\n");
}

/// Starts a service that takes its time to stop, and holds up the container's end.
fn dawdle(guest: &Guest) {
    guest.root(
        "systemd-run -q --unit=dawdle -p TimeoutStopSec=infinity \
         -p ExecStop='/bin/sleep 1000' /bin/sleep infinity",
    );
}

#[test]
fn one_that_does_not_stop_is_told_and_can_be_forced() {
    let guest = guest("stubborn");
    dawdle(&guest);
    let is_under_way = || console("status").stdout.contains("stop stubborn");
    thread::scope(|scope| {
        let asked = scope.spawn(|| console("stop stubborn --hold"));
        world().sentinel.wait("it is under way", is_under_way);
        assert_refused(&console("stop stubborn --force"), 4, "a stop is under way");
        let asked = asked.join().unwrap();
        assert_eq!(asked.status, 1, "{asked:?}");
        let told = "it did not stop in time and still runs; when it stops, it will be held";
        assert!(asked.stderr.contains(told), "{asked:?}");
        assert!(asked.stderr.contains("hint: stop it at once with --force"), "{asked:?}");
    });
    assert_eq!(state("stubborn"), "RUNNING");
    assert_eq!(console("stop stubborn --force").status, 0);
    assert_eq!(state("stubborn"), "STOPPED");
}

#[test]
fn a_stop_that_takes_long_can_be_interrupted_and_forced() {
    let guest = guest("sluggish");
    dawdle(&guest);
    let steps = [("[1/1] stop sluggish", "\x03"), ("error: ", "")];
    let run = dialogue("ssh -F $CFG -t sentinel stop sluggish", &steps);
    assert_eq!(run.status, 130, "{run:?}");
    assert_eq!(state("sluggish"), "RUNNING");
    assert_eq!(console("stop sluggish --force").status, 0);
    assert_eq!(state("sluggish"), "STOPPED");
}

#[test]
fn deleting_asks_on_a_terminal_and_only_yes_is_yes() {
    never_run("doomed");
    let run = console("delete doomed");
    assert_refused(&run, 2, "delete doomed of alice? needs a yes");
    assert!(run.stderr.contains("hint: say it with --force"), "{run:?}");
    let ask = |answer: &str, then: &str| {
        let steps = [("delete doomed of alice? [y/N] ", answer), (then, "")];
        dialogue("ssh -F $CFG -t sentinel delete doomed", &steps)
    };
    assert_eq!(ask("n\r", "not confirmed; nothing was changed").status, 1);
    assert_eq!(ask("\r", "not confirmed; nothing was changed").status, 1);
    assert_eq!(ask("\x03", "error: interrupted").status, 130);
    assert_eq!(state("doomed"), "STOPPED");
    let done = ask("y\r", "doomed is deleted");
    assert_eq!(done.status, 0, "{done:?}");
    assert_eq!(state("doomed"), "");
    assert_refused(&console("delete doomed --force"), 3, "no container named \"doomed\"");
}

#[test]
fn of_two_who_delete_one_does_and_the_other_is_told() {
    for round in 0..5 {
        never_run("both");
        let runs = thread::scope(|scope| {
            let delete = || console("delete both --force --json");
            let two = [scope.spawn(delete), scope.spawn(delete)];
            two.map(|run| run.join().unwrap())
        });
        let mut statuses = runs.clone().map(|run| run.status);
        statuses.sort_unstable();
        assert!(matches!(statuses, [0, 0 | 3 | 4]), "{round}: {runs:?}");
        let golden = "{\"backend\":\"b1\",\"name\":\"both\"}\n";
        assert!(runs.iter().any(|run| run.stdout == golden), "{round}: {runs:?}");
        assert_eq!(state("both"), "", "{round}");
    }
}

#[test]
fn deleting_ends_a_live_session_and_frees_the_name_at_once() {
    let guest = guest("shortlived");
    guest.root("touch /home/alice/mine");
    let ready = world().dir.join("shortlived.ready");
    let script = format!(
        "ssh -F $CFG -l shortlived -i $DIR/alice $DOOR 'echo in; exec sleep 1000' | \
         {{ read line; touch {}; cat; }}; exit ${{PIPESTATUS[0]}}",
        ready.display()
    );
    let session = thread::scope(|scope| {
        let session = scope.spawn(|| world().client(&script));
        world().sentinel.wait("the session is there", || ready.exists());
        assert_refused(
            &console("delete shortlived"),
            2,
            "delete shortlived of alice, which is running?",
        );
        let done = console("delete shortlived --force");
        assert_eq!((done.stdout.as_str(), done.status), ("shortlived is deleted\n", 0), "{done:?}");
        assert_eq!(state("shortlived"), "");
        session.join().unwrap()
    });
    assert_ne!(session.status, 0, "{session:?}");
    assert_eq!(console("list -q").stdout.matches("shortlived\n").count(), 0);
    let again = self::guest("shortlived");
    assert_eq!(log_in("shortlived", "ls ~; hostname").stdout, "shortlived-container\n");
    drop((guest, again));
}
