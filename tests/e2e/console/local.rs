//! The executable on the sentinel's machine, used by somebody who sits at a terminal.

use super::dialogue::dialogue;
use crate::harness::{Guest, Run, world};

/// The call of the executable, for scripts.
fn program() -> String {
    let socket = world().sentinel.control_socket();
    format!("{} --socket {}", env!("CARGO_BIN_EXE_containarium"), socket.display())
}

/// Runs a command on a terminal, and asserts that the terminal is afterwards as it was before.
fn on_terminal(command: &str, steps: &[(&str, &str)]) -> Run {
    let program = program();
    let run = dialogue(
        &format!(
            "me() {{ {program} \"$@\"; }}; before=$(stty -g)\n{command}\nstatus=$?\n\
             [ \"$(stty -g)\" = \"$before\" ] && echo restored; exit $status"
        ),
        steps,
    );
    assert!(run.stdout.ends_with("restored\r\n"), "{run:?}");
    run
}

#[test]
fn a_shell_has_the_terminal_of_whoever_typed_it() {
    let run = on_terminal(
        "TERM=vt220 me shell alice",
        &[
            ("$ ", "stty size; echo $TERM; id -un\r"),
            ("40 100", ""),
            ("vt220", ""),
            ("alice", ""),
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
    assert_eq!(run.status, 5, "{run:?}");
}

#[test]
fn a_process_that_is_ended_leaves_the_terminal_as_it_was() {
    for (signal, status) in [("TERM", 143), ("HUP", 129), ("QUIT", 131)] {
        let run = on_terminal(
            "trap : TERM HUP QUIT; me shell alice --root",
            &[("# ", &format!("kill {signal}"))],
        );
        assert_eq!(run.status, status, "{run:?}");
    }
}

#[test]
fn a_question_is_asked_and_output_elsewhere_has_plain_lines() {
    let guest = Guest::new(&world().sentinel, "b2", "local-ask", "alice");
    let run = on_terminal("me delete local-ask", &[("? [y/N] ", "n\r")]);
    assert_eq!(run.status, 1, "{run:?}");
    assert!(run.stdout.contains("delete local-ask of alice, which is running? [y/N] n\r\n"));
    let run = on_terminal("me delete local-ask", &[("? [y/N] ", "\x03")]);
    assert_eq!(run.status, 130, "{run:?}");
    let run = on_terminal("me stop local-ask --force >$TMP/out; od -w100 -c $TMP/out", &[]);
    let shown = run.stdout.replace([' ', '\r'], "");
    assert!(shown.contains("stopped\\n") && !shown.contains("\\r"), "{run:?}");
    assert!(run.stdout.contains("[1/1] stop local-ask"), "steps are on the terminal: {run:?}");
    // In the background nobody can be asked, and nothing is stopped by the terminal.
    let run = on_terminal("set -m; me delete local-ask & wait $!", &[]);
    assert_eq!(run.status, 2, "{run:?}");
    drop(guest);
}

#[test]
fn a_file_of_keys_is_read_here_and_never_on_the_sentinel_for_others() {
    let guest = Guest::new(&world().sentinel, "b1", "local-key", "alice");
    let [carol, bob] = ["carol.pub", "bob.pub"].map(|file| world().dir.join(file));
    let add = |file: &std::path::Path| {
        let file = file.to_str().unwrap();
        world().sentinel.console(&["key", "add", "local-key", file])
    };
    assert_eq!(add(&carol).status, 0);
    let refused = add(&world().dir.join("bob"));
    assert!(refused.status == 2 && refused.stderr.contains("private key"), "{refused:?}");
    // Over SSH the same words are a key that is none: the file is there, and is not looked at.
    let run = super::console(&format!("key add local-key {}", bob.display()));
    assert_eq!(run.status, 2, "{run:?}");
    let list = world().sentinel.console(&["key", "list", "local-key", "--json"]).stdout;
    assert!(list.contains("carol@laptop") && !list.contains("bob@laptop"), "{list}");
    drop(guest);
}

#[test]
fn without_a_terminal_an_interrupt_reaches_the_command() {
    let program = program();
    let run = world().client(&format!(
        "mkfifo $TMP/in; exec 3<>$TMP/in; echo 'echo ready; exec sleep 7777' >&3
        {program} shell alice <&3 >$TMP/out & job=$!
        until grep -qs ready $TMP/out; do sleep 0.05; done
        kill -INT $job; wait $job; echo $?"
    ));
    assert_eq!(run.stdout, "143\n", "{run:?}");
}
