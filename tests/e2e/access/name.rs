//! Login names: exact, or else unknown.

use super::{assert_prints, assert_refused, log_in};
use crate::harness::world;

#[test]
fn no_spelling_of_a_name_opens_what_the_key_may_not() {
    let long = "a".repeat(4096);
    let names = [
        "alice",
        "ALICE",
        "Alice",
        "alice ",
        " alice",
        "alicé",
        "аlice",
        "alice\u{200b}",
        "",
        "alice+",
        "+alice",
        "alice+alice",
        "alice+root",
        "alice+bob",
        "alice+alice+alice",
        "alice:alice",
        "alice:x",
        "alice/x",
        "../alice",
        "alice-container",
        "admin",
        "ADMIN",
        "admin ",
        "root",
        "sentinel",
        "git",
        "*",
        "a",
        &long,
    ];
    let list = names.map(|n| format!("{n}\n")).concat();
    // The client's own error is cut for the long name: what the server answered is counted.
    let run = world().client(&format!(
        "while IFS= read -r name; do\n\
           ssh -nv -F $CFG -i $DIR/mallory -l \"$name\" $DOOR id >out 2>err\n\
           echo \"$?$(cat out) $(grep -c 'can continue: publickey' err) $(grep -c 'No more auth' err)\"\n\
         done <<'END'\n{list}END"
    ));
    assert_eq!(run.stdout.lines().count(), names.len(), "{run:?}");
    for (line, name) in run.stdout.lines().zip(names) {
        assert_eq!(line, "255 2 1", "{name:?}");
    }
}

#[test]
fn a_key_opens_accounts_that_are_hers_and_no_others() {
    assert_prints(&log_in("alice", "alice", "id -un"), "alice\n");
    assert_prints(&log_in("alice", "alice+alice", "id -un"), "alice\n");
    for login in ["alice+root", "alice+bob", "alice+daemon", "bob", "bob+alice", "bob+bob", "admin"]
    {
        assert_refused(&log_in("alice", login, "id -un"));
    }
}

#[test]
fn an_administrators_key_opens_the_console_under_any_name_that_is_no_containers() {
    for login in ["admin", "nobody", "Alice", "alice:x", "root"] {
        let run = log_in("admin", login, "whoami --json");
        assert!(run.status == 0 && run.stdout.contains("admin@laptop"), "{login}: {run:?}");
    }
    for login in ["alice", "alice+alice", "alice+root", "bob"] {
        assert_refused(&log_in("admin", login, "whoami"));
    }
}
