//! The log: text or JSON, and never a line that a stranger wrote.

use crate::harness::{Sentinel, config, set, world};

/// Logs in and fails with names and idents that try to write the log, and to move its cursor.
fn attack(port: u16) {
    let run = world().client(&format!(
        "trap '' PIPE; printf 'Host evil\\n HostName %s\\n User \"x\\033[31mred INFO \\033]0;t\\007\"\\n' $DOOR >cfg\n\
         cat $CFG >>cfg\n\
         for key in admin mallory; do ssh -F cfg -p {port} -i $DIR/$key evil version >/dev/null 2>err; echo $?; done; cat err >&2\n\
         for ident in 'SSH-2.0-\\033[2Jx' 'SSH-2.0-a\\033]0;t\\007b c' 'SSH-1.0-old\\033[0m' 'GET /\\033[1m HTTP/1.0'; do\n\
           exec 3<>/dev/tcp/$DOOR/{port}; printf \"$ident\\r\\n\" >&3; printf 'garbage\\033[5m\\n\\n\\n\\n' >&3\n\
           timeout 20 cat <&3 >/dev/null 2>&1; [ $? = 124 ] || echo closed; exec 3>&-\n\
         done"
    ));
    let closed = "closed\n".repeat(4);
    assert_eq!(run.stdout, format!("0\n255\n{closed}"), "{run:?}");
}

fn printable(log: &str) {
    let raw = log.chars().find(|c| c.is_control() && *c != '\n');
    assert_eq!(raw, None, "{log:?}");
    assert!(!log.lines().any(|l| l.trim_start().starts_with("INFO fake")), "{log}");
    assert!(log.contains("red"), "the name is there, printable: {log}");
}

#[test]
fn text_lines_are_ours_alone() {
    let dir = &world().dir;
    let sentinel = Sentinel::start(dir, "text-log", &config(dir, 2461, ""));
    attack(2461);
    sentinel.signal("TERM");
    assert_eq!(sentinel.wait_exit(), Some(0));
    let log = sentinel.log_text();
    printable(&log);
    for line in log.lines() {
        let dated = line.starts_with("20") && line.get(10..11) == Some("T");
        assert!(dated, "a line that does not begin with a time: {line:?}");
    }
}

#[test]
fn json_lines_parse_every_one() {
    let dir = &world().dir;
    let text = set(&config(dir, 2462, ""), "log", "format", "\"json\"");
    let text = set(&text, "log", "level", "\"debug\"");
    let sentinel = Sentinel::start(dir, "json-log", &text);
    attack(2462);
    sentinel.signal("TERM");
    assert_eq!(sentinel.wait_exit(), Some(0));
    let log = sentinel.log_text();
    printable(&log);
    let mut levels = Vec::new();
    for line in log.lines() {
        let value: serde_json::Value =
            serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
        assert!(value["timestamp"].is_string() && value["message"].is_string(), "{line}");
        levels.push(value["level"].as_str().unwrap_or_default().to_owned());
        let strings = value.as_object().unwrap().values().filter_map(|v| v.as_str());
        for text in strings {
            assert!(!text.contains(['\u{1b}', '\n', '\r', '\u{7}']), "unescaped: {line}");
        }
    }
    assert!(
        levels.iter().any(|l| l == "INFO") && levels.iter().any(|l| l == "DEBUG"),
        "{levels:?}"
    );
}
