//! Names, comments and labels that others chose, judged by a second emulator (pyte) and byte by byte.

use super::remove;
use crate::harness::{Run, Sentinel, config, label, labelled, make_key, world};

/// Runs a command line on a terminal of 100 columns and 40 rows, and does the steps: when the first is
/// seen, the second is typed. Answers with all that was seen meanwhile.
fn emulated(run: &str, steps: &[(&str, &str)]) -> Run {
    assert!(
        std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/target/clients/python/pyte"))
            .exists(),
        "no pyte: run tests/lab/clients"
    );
    let steps = serde_json::to_string(steps).unwrap();
    let [run, steps] = [run, &steps].map(|text| format!("'{}'", text.replace('\'', r"'\''")));
    let program = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/e2e/tui/emulate.py");
    world().client(&format!(
        "export RUN={run} STEPS={steps} SIZE=100x40 TERM=xterm-256color\n\
         PYTHONPATH=$CLIENTS/python/pyte python3 {program}"
    ))
}

/// Asks for a login called `$LOGIN`.
const STRANGER: &str = r#"
import os, paramiko
transport = paramiko.Transport((os.environ["DOOR"], 2652))
transport.start_client()
key = paramiko.Ed25519Key.from_private_key_file(os.environ["DIR"] + "/mallory")
transport.auth_publickey(os.environ["LOGIN"], key)
"#;

/// Sets a title, colours, clears, asks for an answer, turns the text around, and hides.
const EVIL: &str =
    "\u{1b}]0;owned\u{7}\u{1b}[31m\u{1b}[2J\u{9b}6n\u{202e}live\u{200b}\u{7f}\r\n\tmark";

/// A text as it stands in `$'…'` of bash.
fn bash(text: &str) -> String {
    text.bytes().map(|byte| format!("\\x{byte:02x}")).collect::<Vec<_>>().concat()
}

#[test]
fn what_others_wrote_can_do_nothing_but_be_seen() {
    let dir = &world().dir;
    for person in ["tui-evil", "tui-evil-2"] {
        make_key(dir, person);
    }
    let read = |name| std::fs::read_to_string(dir.join(format!("{name}.pub"))).unwrap();
    let commented = |key: String| {
        let key: Vec<_> = key.split_whitespace().take(2).collect();
        // In one line: a second would be another key.
        format!("{} {}", key.join(" "), EVIL.replace(['\r', '\n'], ""))
    };
    remove("tui-evil");
    let (key, other) = (commented(read("tui-evil")), commented(read("tui-evil-2")));
    labelled("b1", "tui-evil", "tuievil", &key, &[("friend", &other)]);
    for name in ["created-by", "stack", "stacks", "autostart", "adopted", "ssh-error", "note"] {
        label("b1", "tui-evil", name, EVIL);
    }
    // One of its own, in whose ledger little else stands.
    let sentinel = Sentinel::start(dir, "tui-evil", &config(dir, 2652, ""));
    sentinel.wait_until_listed(&["tui-evil"]);
    // No ssh sends such a name, so one that asks nobody does.
    let refused = world().client(&format!(
        "LOGIN=$'{}' PYTHONPATH=$CLIENTS/python/paramiko-5.1 python3 -c '{STRANGER}'",
        bash(EVIL)
    ));
    assert!(refused.stderr.contains("AuthenticationException"), "{refused:?}");

    let run = emulated(
        "ssh -p 2652 -F $CFG -tt sentinel; echo left: $?",
        &[
            ("1 Containers", "/tui-evil\r"),
            ("/tui-evil", "\r"),
            ("SHA256:", "N"),
            ("Take a key from", "\u{1b}"),
            ("!Take a key from", ":info tui-evil\r"),
            ("info tui-evil", "5"),
            ("refused", "/owned\r"),
            ("/owned", "4"),
            ("paramiko", "\r"),
            ("ATTEMPTS", "q"),
            ("left: 0", ""),
        ],
    );
    remove("tui-evil");
    assert_eq!(run.status, 0, "{run:?}");
    assert!(run.stdout.matches("owned").count() > 3, "it is not seen: {run:?}");
    assert!(!run.stdout.contains("HURTS"), "{}\n{run:?}", run.stdout);
    assert!(run.stdout.ends_with("cursor shown\nlines wrapped\n"), "{run:?}");
}
