//! `stack`: an administrator's own stacks, installed into real containers.

use std::fs;

use serde_json::Value;

use super::{console, dialogue::dialogue};
use crate::harness::{Guest, lab, world};

/// Writes a stack of the shared sentinel: what its check and its script for Debian do.
fn own(name: &str, check: &str, script: &str) {
    let folder = world().dir.join("stacks");
    fs::create_dir_all(&folder).unwrap();
    let text = format!(
        "title = '{name}'\ndescription = 'of a test'\ncheck = '''{check}'''\n\
         [script]\ndebian = '''{script}'''\n"
    );
    // At once, for other tests list the folder at any time.
    let part = folder.join(format!(".{name}"));
    fs::write(&part, text).unwrap();
    fs::rename(part, folder.join(format!("{name}.toml"))).unwrap();
}

/// A shell ends with 127 when it looks for a command in vain; Incus takes that for its own trouble.
#[test]
fn a_check_may_look_for_a_command_that_is_not_there() {
    let guest = Guest::new(&world().sentinel, "b1", "stack-none", "alice");
    let found = "command -v found-by-stack";
    let script = r"printf '#!/bin/sh\n' >/usr/local/bin/found-by-stack; chmod 755 /usr/local/bin/found-by-stack";
    own("finder", found, script);
    let run = console("stack install stack-none finder");
    assert_eq!(run.status, 0, "{run:?}");
    own("missing", "false", "no-such-command");
    let run = console("stack install stack-none missing");
    assert_eq!(run.status, 1, "{run:?}");
    assert!(run.stderr.contains("no-such-command: not found"), "{run:?}");
    assert_eq!(label(&guest), "finder");
}

fn label(guest: &Guest) -> String {
    let key = "user.containarium.stacks";
    lab().incus(&guest.backend, &["config", "get", &guest.instance(), key]).trim().to_owned()
}

#[test]
fn a_stack_is_installed_once_with_its_output_shown_and_kept() {
    let guest = Guest::new(&world().sentinel, "b1", "stack-once", "alice");
    own(
        "tool",
        "test -x /usr/local/bin/tool",
        r#"
        echo "for $OWNER on $FAMILY as $(id -u), input $(wc -c), arguments $#"
        printf 'clear \033[2J\033]0;title\007 bell\n' >&2
        printf '10%%\r100%%\n'
        echo "first part" >/usr/local/bin/tool
        chmod 755 /usr/local/bin/tool
        echo again >>/root/runs
        "#,
    );
    let listed = console("stack list");
    assert!(listed.stdout.contains("/stacks/tool.toml"), "{listed:?}");
    let run = console("stack install stack-once tool");
    assert_eq!(
        (run.status, run.stdout.as_str()),
        (0, "tool is installed in stack-once\n"),
        "{run:?}"
    );
    let shown = "[1/1] install tool (tool)\n  | for alice on debian as 0, input 0, arguments 0\n";
    assert!(run.stderr.starts_with(shown), "{run:?}");
    assert!(run.stderr.contains("  | 10%\n  | 100%\n"), "{run:?}");
    assert!(!run.stderr.contains(['\x1b', '\x07']) && run.stderr.contains("[2J"), "{run:?}");
    assert_eq!(label(&guest), "tool");
    let logs = console("logs stack-once").stdout;
    assert!(logs.contains("== stack stack-once") && logs.contains("| for alice"), "{logs}");
    assert!(!logs.contains(['\x1b', '\x07']), "{logs}");

    let again = console("stack install stack-once tool --json");
    let json: Value = serde_json::from_str(&again.stdout).unwrap();
    let expected = serde_json::json!({"name": "stack-once", "stack": "tool", "changed": false});
    assert_eq!((again.status, json), (0, expected), "{again:?}");
    assert_eq!(guest.root("cat /root/runs"), "again\n", "the script did not run again");
    own("tool-b", "true", "exit 1");
    assert_eq!(console("stack install stack-once tool-b").status, 0, "its check says it is there");
    assert_eq!(label(&guest), "tool,tool-b");
    let info = console("info stack-once --json").stdout;
    assert!(info.contains("\"tool,tool-b\""), "the inventory knows: {info}");
}

#[test]
fn what_fails_is_told_and_is_not_in_the_label() {
    let guest = Guest::new(&world().sentinel, "b2", "stack-bad", "alice");
    own("fails", "false", "echo before\nfalse\necho never");
    let run = console("stack install stack-bad fails");
    assert_eq!((run.status, run.stdout.as_str()), (1, ""), "{run:?}");
    assert!(run.stderr.contains("the script failed (1): before"), "{run:?}");
    assert!(run.stderr.contains("logs stack-bad") && !run.stderr.contains("never"), "{run:?}");

    own("unproven", "test -e /nowhere", "echo done");
    let run = console("stack install stack-bad unproven");
    assert_eq!(run.status, 1, "{run:?}");
    assert!(run.stderr.contains("its check does not find it"), "{run:?}");

    // The helpers of scripts: Debian is asked for packages that nobody has.
    own("packages", "false", "refresh() { :; }\npackages 'no-such-a|no-such-b'");
    let run = console("stack install stack-bad packages");
    assert_eq!(run.status, 1, "{run:?}");
    assert!(run.stderr.contains("no package no-such-a|no-such-b"), "{run:?}");

    assert_eq!(console("stack install stack-bad nothing-such").status, 3);
    assert_eq!(console("stack install nobody-there fails").status, 3);
    lab().incus("b2", &["stop", "--force", &guest.instance()]);
    let run = console("stack install stack-bad fails");
    assert_eq!(run.status, 4, "{run:?}");
    assert!(run.stderr.contains("not running") && run.stderr.contains("start it"), "{run:?}");
    assert_eq!(label(&guest), "");
}

#[test]
fn ctrl_c_ends_everything_that_a_script_started() {
    let guest = Guest::new(&world().sentinel, "b1", "stack-stop", "alice");
    own(
        "long",
        "test -e /root/long",
        // One that goes on by itself, and one that does not want to end.
        "setsid sleep 1001 &\nsh -c 'trap \"\" TERM; sleep 1002; sleep 1003' &\n\
         echo started\nsleep 1004",
    );
    let run =
        dialogue("ssh -F $CFG -t sentinel stack install stack-stop long", &[("started", "\x03")]);
    assert_eq!(run.status, 130, "{run:?}");
    assert!(run.stdout.contains("what was installed by then stays"), "{run:?}");
    let left = guest.root("ps -eo args | grep '^sleep 100\\|100[0-9]' | grep -v grep || true");
    assert_eq!(left, "", "nothing of it runs");
    assert_eq!(label(&guest), "");
    // Nothing is busy, and a second try goes its way.
    own("long", "test -e /root/long", "touch /root/long");
    assert_eq!(console("stack install stack-stop long").status, 0);
}

#[test]
fn a_full_disk_is_told_as_such() {
    let guest = Guest::new(&world().sentinel, "b1", "stack-full", "alice");
    own("large", "false", "dd if=/dev/zero of=/root/large bs=1M count=400 conv=fsync");
    assert_eq!(console("resize stack-full --disk 450MiB").status, 0);
    let run = console("stack install stack-full large");
    assert_eq!(run.status, 1, "{run:?}");
    assert!(run.stderr.contains("its disk is full (dd: error writing"), "{run:?}");
    assert!(run.stderr.contains("resize stack-full --disk"), "{run:?}");
    assert_eq!(label(&guest), "");
}

#[test]
fn a_broken_file_is_told_where_it_is() {
    let world = world();
    let dir = world.dir.join("broken-stacks");
    fs::create_dir_all(&dir).unwrap();
    fs::write(dir.join("mine.toml"), "title = 'Mine'\ndescription = ''\n").unwrap();
    let config = fs::read_to_string(&world.sentinel.config).unwrap();
    let file = world.dir.join("broken-stacks.toml");
    fs::write(&file, format!("stacks = \"{}\"\n{config}", dir.display())).unwrap();
    let check =
        format!("{} config check --config {}", env!("CARGO_BIN_EXE_containarium"), file.display());
    let run = world.client(&check);
    assert_eq!(run.status, 78, "{run:?}");
    assert!(run.stdout.contains("broken-stacks/mine.toml:2:15: description:"), "{run:?}");
}
