//! The executable on the sentinel's machine says what the console says.

use crate::harness::{Run, world};

fn over_ssh(command: &str) -> Run {
    world().client(&format!("ssh -F $CFG sentinel {command}"))
}

#[test]
fn commands_answer_the_same_over_both_doors() {
    let sentinel = &world().sentinel;
    let same = |words: &[&str]| {
        let local = sentinel.console(words);
        assert_eq!(local, over_ssh(&words.join(" ")), "{words:?}");
        local
    };
    // What it uses changes from one moment to the next.
    let at_rest = |run: Run| {
        let mut info: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
        let live = info.as_object_mut().unwrap().remove("live").unwrap();
        assert!(live["memory_bytes"].as_u64().unwrap() > 0, "{live}");
        info.as_object_mut().unwrap().remove("seen");
        info
    };
    let info = at_rest(sentinel.console(&["info", "alice", "--json"]));
    assert_eq!(info, at_rest(over_ssh("info alice --json")));
    assert_eq!(info["name"], "alice");
    assert_eq!(same(&["version"]).status, 0);
    assert_eq!(same(&["info", "nobody-here"]).status, 3);
    assert_eq!(same(&["info", "nobody-here", "--json"]).status, 3);
    assert_eq!(same(&["frobnicate"]).status, 2);
    assert_eq!(same(&["list", "--frobnicate"]).status, 2);
    // Other tests make and remove containers: the list is the same between two that are.
    let mut tries = 0;
    loop {
        let (before, there, after) = (
            sentinel.console(&["list", "--json"]),
            over_ssh("list --json"),
            sentinel.console(&["list", "--json"]),
        );
        if before == after || tries == 20 {
            assert_eq!(there, after);
            let list: serde_json::Value = serde_json::from_str(&there.stdout).unwrap();
            assert!(list.to_string().contains("\"bob\""), "{list}");
            break;
        }
        tries += 1;
    }
}

#[test]
fn status_and_whoami_tell_who_asks() {
    let sentinel = &world().sentinel;
    let me = sentinel.console(&["whoami"]);
    assert!(me.status == 0 && me.stdout.contains("local root"), "{me:?}");
    let me = over_ssh("whoami --json");
    let me: serde_json::Value = serde_json::from_str(&me.stdout).unwrap();
    assert!(me.to_string().contains("admin@laptop") && me.to_string().contains("SHA256:"), "{me}");
    let status = sentinel.console(&["status", "--json"]);
    let status: serde_json::Value = serde_json::from_str(&status.stdout).unwrap();
    let text = status.to_string();
    assert!(text.contains("\"b1\"") && text.contains("\"b2\""), "{text}");
}

#[test]
fn without_a_sentinel_the_executable_says_so() {
    let program = env!("CARGO_BIN_EXE_containarium");
    let run = world().client(&format!("{program} --socket $TMP/none.sock list"));
    assert_eq!((run.status, run.stdout.as_str()), (69, ""), "{run:?}");
    assert!(
        run.stderr.starts_with("error: ") && run.stderr.contains("no sentinel is running here"),
        "{run:?}"
    );
    let run = world().client(&format!("{program} --socket $TMP/none.sock list --json"));
    let value: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
    assert!(value["error"]["code"].is_string(), "{run:?}");
}
