//! What people are told when Incus refuses, fails, or is out of its mind, and that nothing else
//! happens then.

use std::fs;

use super::{
    console,
    evil::{Evil, Mode},
};
use crate::harness::{
    Guest, Run, Sentinel, backend_section, config, lab, lab_command, labelled, quiet_delete, world,
};

fn assert_refused(run: &Run, status: i32, told: &str) {
    assert_eq!(run.status, status, "{run:?}");
    assert!(run.stdout.is_empty() && run.stderr.contains(told), "{told}: {run:?}");
    let errors = run.stderr.lines().filter(|line| line.starts_with("error: "));
    assert_eq!(errors.count(), 1, "{run:?}");
    assert!(!run.stderr.contains('\u{1b}'), "{run:?}");
}

/// What Incus has of an instance: its configuration without what it keeps for itself, and its state.
fn whole(name: &str) -> String {
    let instance = format!("{name}-container");
    let shown = lab().incus("b1", &["config", "show", &instance]);
    let state = lab().incus("b1", &["list", &format!("^{instance}$"), "-cs", "-fcsv"]);
    shown.lines().filter(|l| !l.trim().starts_with("volatile.")).collect::<String>() + &state
}

fn never_run(name: &str) -> String {
    quiet_delete("b1", &[name]);
    let key = fs::read_to_string(world().dir.join("alice.pub")).unwrap();
    labelled("b1", name, "alice", key.trim(), &[]);
    world().sentinel.wait_until_listed(&[name]);
    format!("{name}-container")
}

#[test]
fn a_protected_container_is_not_even_stopped() {
    let guest = Guest::new(&world().sentinel, "b1", "guarded", "alice");
    let protection = |value| {
        let setting = format!("security.protection.delete={value}");
        lab().incus("b1", &["config", "set", &guest.instance(), &setting]);
    };
    protection("true");
    let before = whole("guarded");
    let run = console("delete guarded --force");
    assert_refused(&run, 4, "delete guarded: it is protected against deletion");
    assert!(run.stderr.contains("hint: take the protection away"), "{run:?}");
    assert_eq!(whole("guarded"), before);
    assert!(before.ends_with("RUNNING\n"), "{before}");
    protection("false");
    assert_eq!(console("delete guarded --force").status, 0);
}

#[test]
fn what_cannot_start_is_told_and_stays_as_it_was() {
    let instance = never_run("headless");
    // For a moment Incus takes one that failed to start for one that runs.
    let stays = |before: &str| {
        world().sentinel.wait("it is as it was", || whole("headless") == before);
    };
    let before = whole("headless");
    let run = console("start headless");
    assert_refused(&run, 1, "start headless: it does not boot");
    stays(&before);
    assert_refused(&console("restart headless"), 1, "restart headless: it does not boot");
    assert_eq!(console("stop headless").status, 0, "it is so already");
    lab().incus("b1", &["config", "device", "add", &instance, "g", "gpu", "pci=0000:01:00.0"]);
    let before = whole("headless");
    let run = console("start headless --json");
    assert_eq!((run.status, run.stderr.as_str()), (1, "[1/2] start headless\n"), "{run:?}");
    let told = "{\"error\":{\"code\":\"failed\",\"hint\":\"look at its devices: incus config device show \
                INSTANCE\",\"message\":\"start headless: a device that it needs is not there\"}}\n";
    assert_eq!(run.stdout, told);
    stays(&before);
    quiet_delete("b1", &["headless"]);
}

#[test]
fn a_frozen_container_is_told_and_a_start_lets_it_go_on() {
    let guest = Guest::new(&world().sentinel, "b1", "icy", "alice");
    lab().incus("b1", &["pause", &guest.instance()]);
    world().sentinel.wait("it is seen", || console("list -q --state frozen").stdout == "icy\n");
    let before = whole("icy");
    assert_refused(&console("shell icy"), 4, "frozen");
    assert_eq!(whole("icy"), before);
    assert_eq!(console("start icy").status, 0);
    assert!(whole("icy").ends_with("RUNNING\n"));
    lab().incus("b1", &["pause", &guest.instance()]);
    world().sentinel.wait("it is seen", || console("list -q --state frozen").stdout == "icy\n");
    assert_eq!(console("restart icy").status, 0);
    assert!(whole("icy").ends_with("RUNNING\n"));
}

/// Incus is told to stop it by somebody else, and takes its time.
#[test]
fn what_somebody_else_works_on_is_busy_and_can_be_forced() {
    let guest = Guest::new(&world().sentinel, "b1", "rivals", "alice");
    guest.root(
        "systemd-run -q --unit=dawdle -p TimeoutStopSec=infinity \
         -p ExecStop='/bin/sleep 1000' /bin/sleep infinity",
    );
    let instance = guest.instance();
    let mut other = lab_command(&["incus", "b1", "stop", &instance, "--timeout", "60"]);
    let mut other = other.stderr(std::process::Stdio::null()).spawn().unwrap();
    let is_stopping = || {
        let operations = lab().incus("b1", &["operation", "list", "-fcsv"]);
        operations.contains("Stopping instance")
    };
    world().sentinel.wait("it is being stopped", is_stopping);
    let before = whole("rivals");
    assert_refused(&console("stop rivals --hold"), 4, "Incus does something else with it");
    assert_eq!(whole("rivals"), before);
    assert_eq!(console("start rivals").status, 0, "it runs already");
    assert_eq!(console("delete rivals --force").status, 0);
    other.wait().unwrap();
}

/// A sentinel whose only host is out of its mind.
fn mad(port: u16, name: &str) -> (Sentinel, Evil) {
    let dir = world().dir.join(name);
    fs::create_dir_all(&dir).unwrap();
    let evil = Evil::new(&dir);
    let text = ["b1", "b2"]
        .iter()
        .fold(config(&world().dir, port, ""), |text, b| text.replace(&backend_section(b), ""));
    let section = format!(
        "[[backend]]\nname = \"evil\"\naddress = \"local\"\nincus_socket = \"{}\"\n",
        evil.socket.display()
    );
    let sentinel = Sentinel::start(&dir, name, &(text + &section));
    sentinel.wait_until_listed(&["evil-a", "evil-b"]);
    (sentinel, evil)
}

/// What Incus can say, whether at once or after a while, and what people are told.
const SAID: [(u16, &str, i32, &str); 20] = [
    (
        404,
        "Failed to fetch instance \"x\" in project \"default\": Instance not found",
        3,
        "Instance not found",
    ),
    (400, "Instance is frozen", 4, "it is frozen"),
    (
        500,
        "Failed to create instance update operation: Instance is busy running a \"stop\" operation",
        4,
        "something else with it",
    ),
    (
        500,
        "Failed shutting down instance, status is \"Running\": context deadline exceeded",
        1,
        "still runs",
    ),
    (
        500,
        "write /x/containers/a/backup.yaml: no space left on device",
        1,
        "the backend's disk is full",
    ),
    (500, "Failed to write backup file: disk quota exceeded", 1, "the container's disk is full"),
    (
        500,
        "Failed to start device \"g\": Invalid PCI address (no device found): 0000:01:00.0",
        1,
        "a device that it needs",
    ),
    (
        500,
        "Failed to start device \"g\": Failed to detect requested GPU device",
        1,
        "a device that it needs",
    ),
    (500, "Failed to run: incusd forkstart a /x /y: exit status 1", 1, "it does not boot"),
    (403, "not authorized", 69, "does not trust the sentinel"),
    (503, "Daemon is starting up", 75, "Incus is starting"),
    (503, "Shutting down", 75, "Incus is shutting down"),
    (503, "Storage pool is unavailable on this server", 69, "storage pool is not there"),
    (500, "Server isn't ready yet", 69, "cluster member"),
    (412, "ETag doesn't match: a vs b", 4, "somebody else changed it"),
    (500, "Reached maximum number of instances in project \"p\"", 4, "the Incus project is full"),
    (
        500,
        "Instance type \"virtual-machine\" is not supported on this server: no",
        4,
        "cannot run that",
    ),
    (404, "Failed loading storage pool: Storage pool not found", 3, "no such storage pool"),
    (500, "Requested profile \"nope\" doesn't exist", 3, "no such profile"),
    (500, "\u{1b}[2J\u{202e}boom", 1, "\\u{1b}[2J\\u{202e}boom"),
];

#[test]
fn every_refusal_is_a_sentence_at_once_and_after_a_while() {
    let (sentinel, evil) = mad(2245, "evil-words");
    for (code, text, status, told) in SAID {
        for mode in [Mode::Refuse(code, text), Mode::Fail(text)] {
            // Where only the words are left, so is what they mean.
            evil.behave(mode);
            let run = sentinel.console(&["start", "evil-a"]);
            assert_refused(&run, status, "start evil-a: ");
            assert!(run.stderr.contains(told), "{told}: {run:?}");
        }
    }
    for text in ["The instance is already running", "The instance is already stopped"] {
        evil.behave(Mode::Fail(text));
        assert_eq!(sentinel.console(&["start", "evil-a"]).status, 0, "{text}");
    }
    assert_eq!(sentinel.console(&["list", "-q"]).stdout, "evil-a\nevil-b\n");
}

#[test]
fn garbage_silence_and_floods_are_told_and_pass() {
    let (sentinel, evil) = mad(2246, "evil-bytes");
    let http = |body: &str| {
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
        Mode::Say((head + body).into_bytes())
    };
    let cut = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{".to_vec();
    let modes = [
        (http("<html>\u{1b}[2J"), 1, "answer cannot be read"),
        (http("{}"), 1, "answer cannot be read"),
        (http("[[[[[[[["), 1, "answer cannot be read"),
        (
            http("{\"type\":\"error\",\"error_code\":70000,\"error\":\"\"}"),
            1,
            "answer cannot be read",
        ),
        (Mode::Say(b"SSH-2.0-OpenSSH_9.2\r\n".to_vec()), 69, "backend evil does not answer"),
        (Mode::Say(Vec::new()), 69, "backend evil does not answer"),
        (Mode::Say(cut), 69, "backend evil does not answer"),
        (Mode::Huge, 1, "answer exceeds"),
        (Mode::Hang, 69, "backend evil does not answer"),
    ];
    let told_by = |words: &[&str], status, told: &str| {
        let run = sentinel.console(words);
        assert_refused(&run, status, told);
        assert!(run.stderr.contains(&format!("error: {} {}: ", words[0], words[1])), "{run:?}");
    };
    for (mode, status, told) in modes {
        evil.behave(mode);
        // Side by side, as silence takes its time.
        std::thread::scope(|scope| {
            scope.spawn(|| told_by(&["delete", "evil-b", "--force"], status, told));
            told_by(&["start", "evil-a"], status, told);
        });
        let list = sentinel.console(&["list", "-q"]);
        assert_eq!((list.stdout.as_str(), list.status), ("evil-a\nevil-b\n", 0));
        assert_eq!(sentinel.console(&["info", "evil-a"]).status, 0);
    }
    evil.behave(Mode::Well);
    assert_eq!(sentinel.console(&["start", "evil-a"]).status, 0);
}

#[test]
fn a_backend_that_lost_its_mind_is_away_and_what_it_had_is_listed() {
    for (port, name, mode) in [
        (2247, "evil-away-1", Mode::Say(b"\x00\xff garbage \x1b[2J".to_vec())),
        (2248, "evil-away-2", Mode::Huge),
        (2249, "evil-away-3", Mode::Refuse(503, "Daemon is starting up")),
    ] {
        let (sentinel, evil) = mad(port, name);
        evil.always(mode);
        let is_away = || sentinel.console(&["backend", "list"]).stdout.contains("away for");
        sentinel.wait("it is away", is_away);
        let list = sentinel.console(&["list"]);
        assert!(list.stdout.contains("evil-a") && list.stdout.contains("ago)"), "{list:?}");
        for words in
            [&["start", "evil-a"][..], &["stop", "evil-a"], &["delete", "evil-a", "--force"]]
        {
            assert_refused(&sentinel.console(words), 69, "backend evil is away: ");
        }
        let info = sentinel.console(&["backend", "info", "evil"]);
        assert_eq!(info.status, 0, "{info:?}");
        assert!(info.stdout.contains("Reason:") && !info.stdout.contains('\u{1b}'), "{info:?}");
        assert!(info.stderr.contains("note: evil does not answer"), "{info:?}");
        assert_eq!(sentinel.console(&["info", "evil-a"]).status, 0);
    }
}
