//! `session`: who is here, who was, and out with her.

use serde_json::Value;

use super::{assert_done, assert_failed, console, people};
use crate::harness::{Guest, world};

/// What a command answers with `--json`.
fn asked(words: &str) -> Value {
    let run = console(&format!("{words} --json"));
    serde_json::from_str(&run.stdout).unwrap_or_else(|e| panic!("{words}: {e}: {run:?}"))
}

/// The elements of a list.
fn list(value: &Value) -> &[Value] {
    value.as_array().unwrap_or_else(|| panic!("no list: {value}"))
}

#[test]
fn a_session_is_ended_with_a_sentence_by_ssh_and_on_the_machine_itself() {
    let [_] = people(["sessa"]);
    let _guest = Guest::new(&world().sentinel, "b1", "sess-kill", "sessa");
    let socket = world().sentinel.control_socket();
    let local = format!("{} --socket {}", env!("CARGO_BIN_EXE_containarium"), socket.display());
    for (ended, program) in (1..).zip(["ssh -F $CFG sentinel", &local]) {
        let run = world().client(&format!(
            "ssh -F $CFG -i $DIR/sessa -l sess-kill $DOOR 'echo here; sleep 1000' >out 2>err &\n\
             until grep -q here out; do kill -0 $! || exit 99; sleep 0.02; done\n\
             id=$({program} session list sess-kill -q); {program} session list sess-kill --json\n\
             {program} session kill $id; echo $?; echo $id; wait $!; echo $?; cat err >&2"
        ));
        let lines: Vec<_> = run.stdout.lines().collect();
        let [listed, killed, "0", id, "255"] = lines.as_slice() else { panic!("{run:?}") };
        assert!(run.stderr.contains("an administrator ended this session"), "{run:?}");
        assert_eq!(*killed, format!("session {id} of sessa@laptop is ended"), "{run:?}");
        let listed: Value = serde_json::from_str(listed).unwrap_or_else(|e| panic!("{e}: {run:?}"));
        let session = &listed[0];
        assert_eq!((list(&listed).len(), &session["id"].to_string()), (1, &(*id).to_owned()));
        assert_eq!((&session["state"], &session["account"]), (&"open".into(), &"sessa".into()));

        // Its end is on record once, and so is the command that brought it about.
        let past = || asked("session list sess-kill --past");
        world().sentinel.wait("it is over", || list(&past()).len() >= ended);
        let past = past();
        assert_eq!(list(&past).len(), ended, "{past}");
        let last = &past[ended - 1];
        assert_eq!(
            (&last["id"], &last["ended_by"]),
            (&session["id"], &"sentinel".into()),
            "{last}"
        );
        assert_eq!(last["reason"], "an administrator ended this session", "{last}");
        let commands = asked("audit --kind command --limit 10000");
        let kills = list(&commands)
            .iter()
            .filter(|record| record["detail"]["command"] == format!("session kill {id}").as_str());
        assert_eq!(kills.count(), 1, "{commands}");
        assert_failed(&console(&format!("session kill {id}")), 3, &["no session", "is open"]);
    }
    let none = console("session list sess-kill");
    assert_done(&none);
    assert_eq!(none.stderr, "note: no such session is open\n", "{none:?}");
}
