//! What can be wrong at the start is told before anything is served.

use std::{fs, os::unix::fs::PermissionsExt, process::Command};

use super::{fresh, log_in};
use crate::harness::{Run, Sentinel, config, set, world};

/// Starts a sentinel that is expected not to get far: its exit status and standard error.
fn fails(name: &str, text: &str) -> (Option<i32>, String) {
    let sentinel = Sentinel::spawn(&world().dir, name, text);
    let status = sentinel.wait_exit();
    let log = sentinel.log_text();
    assert!(!log.contains("listening"), "{log}");
    (status, log)
}

fn check(text: &str, name: &str) -> Run {
    let file = world().dir.join(name);
    fs::write(&file, text).unwrap();
    let program = env!("CARGO_BIN_EXE_containarium");
    world().client(&format!("{program} config check --config {}", file.display()))
}

#[test]
fn a_bad_configuration_is_refused_with_all_its_mistakes() {
    let good = config(&world().dir, 2451, "");
    let bad = set(&good, "ssh", "lissten", "[]");
    let bad = set(&bad, "log", "level", "\"a=b=c\"").replace("user = \"containarium\"", "usr = 7");
    let (status, stderr) = fails("mistakes", &bad);
    assert_eq!(status, Some(78), "{stderr}");
    let file = world().dir.join("mistakes.toml");
    let line = |start: &str| 1 + bad.lines().position(|l| l.starts_with(start)).unwrap();
    for (start, key) in
        [("lissten", "ssh.lissten"), ("level", "log.level"), ("usr", "backend[0].usr")]
    {
        let place = format!("{}:{}:", file.display(), line(start));
        assert!(stderr.contains(&place) && stderr.contains(key), "{place} {key}: {stderr}");
    }
    assert!(stderr.contains("did you mean `listen`?"), "{stderr}");

    let run = check(&good, "check-good.toml");
    assert_eq!((run.status, run.stderr.as_str()), (0, ""), "{run:?}");
    let run = check(&bad, "check-bad.toml");
    assert!(run.status == 78 && run.stdout.contains("did you mean `listen`?"), "{run:?}");
    let none = world().client(&format!(
        "{} config check --config /nonexistent.toml",
        env!("CARGO_BIN_EXE_containarium")
    ));
    assert_eq!(none.status, 78, "{none:?}");
}

#[test]
fn host_keys_are_made_once_and_never_replaced() {
    let keys = fresh("own-keys").join("keys");
    let text = config(&world().dir, 2452, "");
    let text = set(&text, "ssh", "host_keys", &format!("\"{}\"", keys.display()));
    let public = || fs::read_to_string(keys.join("ssh_host_ed25519_key.pub")).unwrap();
    let shown = || world().client("ssh-keyscan -p 2452 -t ed25519 $DOOR 2>/dev/null").stdout;
    let stop = |sentinel: &Sentinel| {
        sentinel.signal("TERM");
        assert_eq!(sentinel.wait_exit(), Some(0));
    };
    let first = Sentinel::start(&world().dir, "keys", &text);
    let made = public();
    assert!(shown().contains(made.split(' ').nth(1).unwrap()), "{} {made}", shown());
    let modes = Command::new("stat").args(["-c", "%a"]).arg(keys.join("ca")).output().unwrap();
    assert_eq!(modes.stdout, b"600\n");
    stop(&first);
    let second = Sentinel::start(&world().dir, "keys", &text);
    assert_eq!(public(), made);
    assert!(shown().contains(made.split(' ').nth(1).unwrap()));
    stop(&second);

    for name in ["ssh_host_ed25519_key", "ca", "link"] {
        let (key, away) = (keys.join(name), keys.join("away"));
        fs::rename(&key, &away).unwrap();
        let (status, stderr) = fails("keys", &text);
        assert_eq!(status, Some(1), "{stderr}");
        assert!(stderr.contains(&format!("{} is missing", key.display())), "{stderr}");
        assert!(!key.exists(), "{name} was replaced");
        fs::rename(&away, &key).unwrap();
    }
    fs::set_permissions(keys.join("ca"), fs::Permissions::from_mode(0o644)).unwrap();
    let (status, stderr) = fails("keys", &text);
    assert!(status == Some(1) && stderr.contains("chmod 600"), "{stderr}");
}

#[test]
fn what_another_sentinel_holds_is_not_taken() {
    let dir = &world().dir;
    let text = config(dir, 2453, "");
    let first = Sentinel::start(dir, "holder", &text);
    first.wait_until_listed(&["alice"]);
    let (status, stderr) = fails("same-port", &text);
    assert_eq!(status, Some(1), "{stderr}");
    assert!(
        stderr.contains("error: listen on 203.0.113.10:2453: Address already in use"),
        "{stderr}"
    );
    let socket = first.control_socket();
    let other = config(dir, 2454, "").replace("control-2454", "control-2453");
    let (status, stderr) = fails("same-socket", &other);
    assert_eq!(status, Some(1), "{stderr}");
    assert!(stderr.contains("another sentinel is running"), "{stderr}");
    assert!(stderr.contains(&socket.display().to_string()), "{stderr}");
    // The first one did not notice.
    assert_eq!(first.console(&["version"]).status, 0);
    assert_eq!(log_in(2453, "alice", "alice", "true").status, 0);
}
