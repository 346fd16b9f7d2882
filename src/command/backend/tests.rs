//! What is read, and what is refused before anything is asked.

use crate::command::testing::*;

#[test]
fn backends_are_listed_and_shown_as_last_seen() {
    let list = execute_line(b"backend list", &context(admin()));
    let expected = "\
BACKEND  POOL     PRESENCE            INCUS  CONTAINERS  CPUS  MEMORY        DISK            REFRESHED
spot-1   default  up for 1h, drained  6.0    2           8     4GiB of 8GiB  10GiB of 50GiB  1m ago
spot-2   default  away for 10m        -      2           -     -             -               10m ago
";
    assert_eq!(list.stdout, expected);
    let json = execute_line(b"backend list --json", &context(admin()));
    let json: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!((&json[0]["drained"], &json[1]["presence"]), (&true.into(), &"away".into()));
    assert_eq!(execute_line(b"backend list -q", &context(admin())).stdout, "spot-1\nspot-2\n");

    let info = execute_line(b"backend info spot-2", &context(admin()));
    let expected = "\
Name:        spot-2
Pool:        default
Recovery:    starting (gce) for 1m, 2 in an hour; last error: the API says 503
Presence:    away for 10m
Reason:      connection refused
Refreshed:   10m ago
Containers:  2
";
    assert_eq!(info.stdout, expected);
    assert_eq!(info.stderr, "note: spot-2 does not answer; this is what was seen last\n");
}

#[test]
fn what_cannot_be_is_refused_at_once() {
    for (line, status, told) in [
        ("backend", 2, "error: "),
        ("backend info spot-9", 3, "no backend named"),
        ("backend drain spot-9", 3, "no backend named"),
        ("backend remove spot-9", 3, "no backend named"),
        ("backend remove spot-1", 4, "has containers alice, bob"),
        ("backend add", 2, "error: "),
        ("backend add b", 2, "--address"),
        ("backend add B --address local", 2, "name"),
        ("backend add b --address https://h --fingerprint xyz", 2, "64 hexadecimal digits"),
        ("backend add b --token SECRET", 2, "not given as an argument"),
        ("backend add b --token - --user u", 2, "error: "),
        ("backend add b --address tunnel", 2, "write its section by hand"),
    ] {
        let outcome = execute_line(line.as_bytes(), &context(admin()));
        assert_eq!(outcome.status, status, "{line}: {outcome:?}");
        assert!(outcome.stderr.contains(told), "{line}: {}", outcome.stderr);
        assert!(!outcome.stderr.contains("SECRET"), "{line}: {}", outcome.stderr);
    }
}
