//! Lines as sshd(8) reads them, and lines that have to be refused.

use proptest::prelude::*;

use super::*;

const KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJqRmYdWkC8NSTf4eDvyGUj0zaPbhj8gHZMpiUm+3HXQ";

fn options(text: &str) -> KeyOptions {
    let (keys, refused) = parse(&format!("{text} {KEY} comment"));
    assert_eq!(refused, [], "{text}");
    keys[0].options.clone()
}

fn reason(line: &str) -> String {
    let (keys, refused) = parse(line);
    assert_eq!(keys, [], "{line}");
    refused[0].reason.clone()
}

fn restricted() -> KeyOptions {
    KeyOptions {
        no_port_forwarding: true,
        no_agent_forwarding: true,
        no_x11_forwarding: true,
        no_pty: true,
        no_user_rc: true,
        ..KeyOptions::default()
    }
}

#[test]
fn keys_blank_lines_and_comments() {
    let text = format!("# mine\r\n\r\n{KEY} a b\r\n \t\n  {KEY}\n#{KEY}\n");
    let (keys, refused) = parse(&text);
    assert_eq!(refused, []);
    assert_eq!(keys.len(), 2);
    assert_eq!((keys[0].key.comment(), keys[1].key.comment()), ("a b", ""));
    assert_eq!(keys[0].options, KeyOptions::default());
}

#[test]
fn flags_are_read_in_order() {
    assert_eq!(options("restrict"), restricted());
    assert_eq!(options("Restrict,PTY"), KeyOptions { no_pty: false, ..restricted() });
    assert_eq!(options("pty,restrict"), restricted());
    let all = "no-port-forwarding,no-agent-forwarding,no-X11-forwarding,no-pty,no-user-rc";
    assert_eq!(options(all), restricted());
    let sk = options("no-touch-required,verify-required");
    assert!(sk.no_touch_required && sk.verify_required);
}

#[test]
fn what_is_written_reads_the_same() {
    for options in [
        "",
        "restrict",
        "no-pty,verify-required",
        r#"command="ls -l, \"a b\" # \n",no-user-rc"#,
        r#"command="a\\" b""#,
        r#"from="10.0.0.0/8,!10.0.0.7",expiry-time="20301231""#,
        r#"expiry-time="203012312359Z",no-touch-required"#,
    ] {
        let (keys, _) = parse(&format!("{options} {KEY} bob's \u{1b}[2J laptop"));
        let line = keys[0].to_line();
        let (again, refused) = parse(&line);
        assert_eq!((again.len(), refused.len()), (1, 0), "{line}");
        assert_eq!((&again[0], again[0].to_line()), (&keys[0], line.clone()), "{line}");
        assert!(!line.contains('\u{1b}') && line.ends_with("laptop"), "{line}");
    }
    assert_eq!(parse(KEY).0[0].to_line(), KEY);
}

#[test]
fn values_are_unquoted() {
    let command = |text: &str| options(text).command.unwrap();
    assert_eq!(command(r#"command="ls -l, \"a b\" # \n""#), r#"ls -l, "a b" # \n"#);
    assert_eq!(command(r#"command="a,no-pty",no-pty"#), "a,no-pty");
    assert_eq!(command(r#"command="a\\" b""#), r#"a\" b"#);
    assert_eq!(command(r#"no-pty,command="x""#), "x");
    assert_eq!(options(r#"from="10.0.0.0/8,!10.0.0.1""#).from.unwrap(), "10.0.0.0/8,!10.0.0.1");
}

#[test]
fn expiry_times_are_utc() {
    let expires = |text: &str| options(&format!("expiry-time=\"{text}\"")).expires.unwrap();
    for (text, expected) in [
        ("20260101", 1_767_225_600),
        ("20260101Z", 1_767_225_600),
        ("202601010102", 1_767_225_600 + 3720),
        ("20260101010203Z", 1_767_225_600 + 3723),
    ] {
        assert_eq!(expires(text), expected, "{text}");
    }
    let line = options("expiry-time=\"20260101\"");
    assert!(line.valid_at(1_767_225_599));
    assert!(!line.valid_at(1_767_225_600));
    assert!(!line.valid_at(u64::MAX));
    assert!(KeyOptions::default().valid_at(u64::MAX));
    for bad in ["", "2026", "20261301", "20260230", "2026010", "20260101T", "+2026011", "19690101"]
    {
        assert!(reason(&format!("expiry-time=\"{bad}\" {KEY}")).contains("expiry-time"), "{bad}");
    }
}

#[test]
fn sources_are_enforced() {
    let home = "192.0.2.1".parse().unwrap();
    assert!(KeyOptions::default().allows_source(home));
    assert!(options("from=\"192.0.2.*\"").allows_source(home));
    assert!(!options("from=\"10.0.0.0/8\"").allows_source(home));
    let broken = KeyOptions { from: Some("nonsense".into()), ..KeyOptions::default() };
    assert!(!broken.allows_source(home));
}

/// T27: each of these would widen or be believed wrongly if the line were taken.
#[test]
fn what_cannot_be_enforced_is_refused() {
    for option in [
        "permitopen=\"a:1\"",
        "permitlisten=\"1\"",
        "environment=\"A=b\"",
        "tunnel=\"0\"",
        "cert-authority",
        "principals=\"a\"",
        "no-verify-required",
        "touch-required",
        "no-restrict",
        "unknown",
        "unknown=\"x\"",
    ] {
        assert!(reason(&format!("{option} {KEY}")).contains("is not supported"), "{option}");
        assert!(reason(&format!("no-pty,{option} {KEY}")).contains("is not supported"));
    }
    for line in [
        "restrict".to_owned(),
        "restrict ssh-ed25519".to_owned(),
        format!("restrict {}", KEY.replacen("ssh-ed25519", "ssh-rsa", 1)),
        format!("restrict restrict {KEY}"),
        format!("command=ls {KEY}"),
        format!("command=\"ls {KEY}"),
        format!("command {KEY}"),
        format!("no-pty=\"yes\" {KEY}"),
        format!("command=\"a\"b {KEY}"),
        format!("command=\"a\",command=\"b\" {KEY}"),
        format!("from=\"*\",from=\"10.0.0.0/8\" {KEY}"),
        format!("from=\"\" {KEY}"),
        format!("from=\"*.example.org\" {KEY}"),
        format!("no-pty, {KEY}"),
        format!(",no-pty {KEY}"),
        format!("no-pty,,no-pty {KEY}"),
        format!("no-pty,{KEY}"),
        format!("\u{feff}{KEY}"),
        "ssh-ed25519".to_owned(),
        "ssh-dss AAAAB3NzaC1kc3M=".to_owned(),
        format!("{}x", &KEY[..40]),
        "ssh-ed25519-cert-v01@openssh.com AAAA".to_owned(),
        "no-pty\t\u{1b}[31m".to_owned(),
    ] {
        let reason = reason(&line);
        assert!(!reason.chars().any(char::is_control), "{reason:?}");
    }
}

/// I-10: a broken line costs nobody else anything.
#[test]
fn a_broken_line_is_refused_alone() {
    let (keys, refused) = parse(&format!("{KEY} a\nfoo {KEY}\n\"{KEY}\n{KEY} b\n"));
    assert_eq!(keys.len(), 2);
    assert_eq!(refused.iter().map(|r| r.line).collect::<Vec<_>>(), [2, 3]);
}

#[test]
fn size_is_bounded() {
    let long = format!("command=\"{}\" {KEY}\n{KEY}", "x".repeat(MAX_LINE));
    let (keys, refused) = parse(&long);
    assert_eq!((keys.len(), refused[0].line), (1, 1));
    let (keys, refused) = parse(&format!("{KEY}\n").repeat(MAX_LINES + 5));
    assert_eq!((keys.len(), refused.len()), (MAX_LINES, 1));
    assert_eq!(refused[0].line, MAX_LINES + 1);
    assert_eq!(parse(&format!("{KEY}\n").repeat(MAX_LINES)).1, []);
}

proptest! {
    #[test]
    fn any_text_is_read(text: String) {
        let _ = parse(&text);
    }

    #[test]
    fn options_never_vanish(words in prop::collection::vec(
        prop::sample::select(vec!["no-pty", "pty", "restrict", "command=\"a b\"", "x", "=", "\"",
            "\\\"", ",", " ", "from=\"::1\"", "\\", "expiry-time=\"20260101\""]), 1..8))
    {
        let text = words.concat();
        let (keys, _) = parse(&format!("{text} {KEY}"));
        if let Some(line) = keys.first() {
            prop_assert_eq!(text.contains("from="), line.options.from.is_some()
                || line.options.command.as_deref().is_some_and(|c| c.contains("from=")));
        }
    }
}
