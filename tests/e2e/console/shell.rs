//! `shell`: through Incus, with a terminal and without.

use std::thread;

use super::{console, dialogue::dialogue};
use crate::harness::{Guest, Sentinel, config, lab, world};

/// Feeds a script to `shell ARGUMENTS`; what it did, standard error after standard output.
fn script(arguments: &str, script: &str) -> (String, String, i32) {
    let run = world().client(&format!(
        "ssh -F $CFG sentinel 'shell {arguments}' <<'SCRIPT'\n{script}\nSCRIPT\n"
    ));
    (run.stdout, run.stderr, run.status)
}

#[test]
fn a_script_runs_as_the_owner_or_root_with_its_streams_apart() {
    let who = "id -un; pwd; echo $HOME; echo err >&2; exit 7";
    let done = |out: &str, status| (out.to_owned(), "err\n".to_owned(), status);
    assert_eq!(script("alice", who), done("alice\n/home/alice\n/home/alice\n", 7));
    assert_eq!(script("alice --root", who), done("root\n/root\n/root\n", 7));
    for status in [0, 1, 3, 77, 130, 255] {
        assert_eq!(script("alice", &format!("exit {status}")).2, status);
    }
    assert_eq!(script("alice --root", "kill -KILL $$").2, 137);
    assert_eq!(script("alice", "tty; test -t 1 || echo pipe").0, "not a tty\npipe\n");
    let record = "person=\"admin@laptop\"";
    world().sentinel.wait("it is on record", || {
        let log = world().sentinel.log_text();
        let mut lines =
            log.lines().filter(|l| l.contains("command=\"shell alice --root\" status=7"));
        lines.next().is_some_and(|l| l.contains(record)) && lines.next().is_none()
    });
}

#[test]
fn a_terminal_has_size_type_and_keys_that_are_signals() {
    let run = dialogue(
        "TERM=xterm-256color ssh -F $CFG -t sentinel shell alice",
        &[
            ("$ ", "stty size; echo $TERM; shopt -q login_shell && echo log''in\r"),
            ("40 100", ""),
            ("xterm-256color", ""),
            ("login", ""),
            ("$ ", "trap 'stty size' WINCH; echo rea''dy\r"),
            ("ready", ""),
            ("$ ", "resize 50 132"),
            ("50 132", "sh -c 'echo wai''ting; exec sleep 1000'\r"),
            ("waiting", "\x03"),
            ("$ ", "echo [$?]\r"),
            ("[130]", ""),
            ("$ ", "exit 5\r"),
        ],
    );
    assert_eq!((run.status, run.stderr.as_str()), (5, ""), "{run:?}");
}

#[test]
fn it_needs_neither_network_nor_sshd() {
    let guest = Guest::new(&world().sentinel, "b1", "shell-alone", "alice");
    guest.root("systemctl stop ssh; ip link set eth0 down");
    assert_eq!(script("shell-alone", "hostname").0, "shell-alone-container\n");
    assert_eq!(script("shell-alone --root", "ip -br link show eth0 | cut -c1-20").2, 0);
    lab().incus("b1", &["stop", "--force", "shell-alone-container"]);
    let (out, err, status) = script("shell-alone", "hostname");
    assert_eq!((out.as_str(), status), ("", 4), "{err}");
    assert_eq!(err, "error: shell shell-alone: it is not running\nhint: start it first\n");
    assert_eq!(console("shell nobody-here").status, 3);
    assert_eq!(console("shell alice --json").status, 2);
}

#[test]
fn bulk_goes_both_ways_at_once() {
    let run = world().client(
        "head -c 50M /dev/urandom >$TMP/big
        { echo 'exec cat'; cat $TMP/big; } | ssh -F $CFG sentinel shell alice | cmp - $TMP/big
        echo ${PIPESTATUS[*]}",
    );
    assert_eq!((run.stdout.as_str(), run.stderr.as_str()), ("0 0 0\n", ""));
}

#[test]
fn a_program_that_writes_before_it_reads_gets_all() {
    let run = world().client(
        "{ echo 'head -c 20M /dev/zero; exec wc -c'; head -c 2M /dev/zero; } |
            ssh -F $CFG sentinel shell alice | tr -d '\\0'",
    );
    assert_eq!(run.stdout, "2097152\n", "{run:?}");
}

#[test]
fn a_terminal_that_is_lost_hangs_up() {
    let guest = Guest::new(&world().sentinel, "b2", "shell-left", "alice");
    let run = world().client(
        "{ echo 'echo rea\"\"dy; sleep 7777'; sleep 60; } |
            ssh -F $CFG -tt sentinel shell shell-left >$TMP/out & ssh=$!
        until grep -qs ready $TMP/out; do sleep 0.05; done
        kill -KILL $ssh",
    );
    assert_eq!(run.status, 0, "{run:?}");
    let left = || guest.root("ps -eo args | grep -cE '^(su -|-bash|sleep 7777)' || :");
    world().sentinel.wait("nothing of it is left", || left() == "0\n");
}

/// What a stalled reader may cost, in bytes: the windows and pieces between Incus and her.
const COST: u64 = 8 << 20;

#[test]
fn a_client_that_reads_nothing_stalls_only_itself() {
    let dir = &world().dir;
    let sentinel = Sentinel::start(dir, "shell-stall", &config(dir, 2260, ""));
    sentinel.wait_until_listed(&["alice"]);
    let flag = |what: &str| dir.join(format!("shell-stall-{what}"));
    let running = thread::spawn(|| {
        world().client(
            "ssh() { command ssh -F $CFG -p 2260 sentinel \"$@\"; }
            ssh 'shell alice' <<<'head -c 1G /dev/zero' | { head -c 20M | wc -c
                touch $DIR/shell-stall-full; until [ -e $DIR/shell-stall-go ]; do sleep 0.1; done; } &
            until [ -e $DIR/shell-stall-full ]; do sleep 0.1; done
            for i in 1 2 3 4 5 6 7 8 9 10; do ssh 'shell alice' <<<'echo works'; done
            ssh 'shell alice --root' <<<'head -c 20M /dev/zero' | wc -c
            touch $DIR/shell-stall-go",
        )
    });
    sentinel.wait("the reader has stopped", || flag("full").exists() || running.is_finished());
    let before = sentinel.usage().resident;
    let mut most = before;
    while !running.is_finished() {
        most = most.max(sentinel.usage().resident);
        thread::sleep(std::time::Duration::from_millis(100));
    }
    let run = running.join().unwrap();
    let expected = format!("20971520\n{}20971520\n", "works\n".repeat(10));
    assert_eq!(run.stdout, expected, "{run:?}");
    assert!(most - before < COST, "{} bytes more", most - before);
}
