//! Bans by word of mouth: what is typed, shown and refused.

use serde_json::{Value, json};

use std::time::Duration;

use super::{super::testing::*, *};
use crate::guard::book::{Account, Cause};

/// Two bans, of an address and of a network.
fn entries() -> [Entry; 2] {
    let of_failures = Entry {
        network: Network::parse("192.0.2.7").unwrap(),
        id: "7k3f93".parse().unwrap(),
        age: Duration::from_secs(600),
        left: Some(Duration::from_secs(6600)),
        over: Duration::ZERO,
        cause: Cause::Failures { failures: 3, strikes: 2, told: true },
    };
    let decreed = Entry {
        network: Network::parse("198.51.100.0/24").unwrap(),
        id: "b4m2x4".parse().unwrap(),
        age: Duration::from_secs(3600),
        left: None,
        over: Duration::ZERO,
        cause: Cause::Administrator("ops".to_owned()),
    };
    [of_failures, decreed]
}

/// What `ban list --json` prints.
pub(in crate::command) fn example() -> Value {
    let views = entries().map(|entry| BanView::new(&entry, at(3600)));
    serde_json::to_value(views).unwrap()
}

/// What `ban why 192.0.2.7 --json` prints.
pub(in crate::command) fn example_of_address() -> Value {
    let [ban, _] = entries();
    let success = Some(Duration::from_secs(1800));
    let account = Account { allowed: false, ban: Some(ban), failures: 0, bare: 12, success };
    let rules = config().borrow().guard.clone();
    let address = "192.0.2.7".parse().unwrap();
    serde_json::to_value(AccountView::new(address, &account, &rules, at(3600))).unwrap()
}

#[test]
fn rows_tell_how_long_and_why() {
    let rows = entries().map(|entry| BanView::new(&entry, at(3600)).row(at(3600)).join("|"));
    let expected = [
        "192.0.2.7|7k3f93|10m ago|1h|3 failed logins, ban 2 in a row",
        "198.51.100.0/24|b4m2x4|1h ago|until removed|by ops",
    ];
    assert_eq!(rows, expected);
}

fn run(line: &str, context: &Context) -> (u8, String, String) {
    let outcome = execute_line(line.as_bytes(), context);
    (outcome.status, outcome.stdout, outcome.stderr)
}

fn json_of(line: &str, context: &Context) -> Value {
    serde_json::from_str(&run(&format!("{line} --json"), context).1).unwrap()
}

#[test]
fn a_network_is_banned_shown_explained_and_let_in_again() {
    let context = context(admin());
    assert_eq!(run("ban list", &context), (0, String::new(), "note: nobody is banned\n".into()));
    let (status, said, _) = run("ban add 198.51.100.0/24 --for 2h", &context);
    assert!(status == 0 && said.starts_with("198.51.100.0/24 is banned ("), "{said}");
    let bans = json_of("ban list", &context);
    let (ban, id) = (&bans[0], bans[0]["id"].as_str().unwrap());
    assert_eq!((&ban["source"], &ban["by"]), (&json!("198.51.100.0/24"), &json!("ops")));
    assert_eq!((&ban["failures"], &ban["strikes"]), (&Value::Null, &Value::Null));
    let why = json_of("ban why 198.51.100.7", &context);
    assert_eq!((&why["banned"], &why["ban"]["id"]), (&json!(true), &ban["id"]));
    let shown = run(&format!("ban why {id}"), &context).1;
    assert!(shown.contains("Verdict:   banned\n") && shown.contains("by ops"), "{shown}");
    let (status, _, said) = run("ban remove 198.51.100.7", &context);
    let hint = "hint: type `ban remove 198.51.100.0/24`\n";
    assert!(status == 4 && said.ends_with(hint), "{said}");
    let (status, said, _) = run(&format!("ban remove {id}"), &context);
    assert_eq!((status, said), (0, format!("198.51.100.0/24 ({id}) is not banned any more\n")));
    assert_eq!(run("ban remove 198.51.100.0/24", &context).0, 3);
    assert_eq!(run(&format!("ban why {id}"), &context).0, 3);
    assert_eq!(json_of("ban why 198.51.100.7", &context)["banned"], json!(false));
}

#[test]
fn an_ipv6_address_means_its_64() {
    let context = context(admin());
    run("ban add 2001:db8:1:2::3", &context);
    assert_eq!(run("ban list -q", &context).1, "2001:db8:1:2::/64\n");
    assert_eq!(json_of("ban why 2001:db8:1:2::ffff", &context)["banned"], json!(true));
    assert_eq!(run("ban remove 2001:db8:1:2::9", &context).0, 0);
}

#[test]
fn ones_own_address_and_allowed_ones_are_spared_unless_forced() {
    let mut context = context(admin());
    context.from = Some("::ffff:203.0.113.9".parse().unwrap());
    let (status, _, said) = run("ban add 203.0.113.0/24", &context);
    assert_eq!(status, 2, "{said}");
    assert!(said.contains("where you come from (203.0.113.9)"), "{said}");
    assert_eq!(run("ban add 203.0.113.0/24 --force", &context).0, 0);

    let mut config = crate::config::Config::clone(&context.config.borrow());
    config.guard.allow = vec![Network::parse("192.0.2.0/24").unwrap()];
    let config = tokio::sync::watch::channel(std::sync::Arc::new(config)).1;
    std::sync::Arc::make_mut(&mut context.environment).config = config;
    for line in ["ban add 192.0.2.7", "ban add 192.0.0.0/16"] {
        let (status, _, said) = run(line, &context);
        assert!(status == 4 && said.contains("let in by guard.allow (192.0.2.0/24)"), "{said}");
    }
    let (status, _, said) = run("ban add 192.0.0.0/16 --force", &context);
    assert_eq!((status, said.as_str()), (0, "note: guard.allow still lets in 192.0.2.0/24\n"));
}

#[test]
fn what_is_no_address_changes_nothing() {
    let context = context(admin());
    for line in [
        "ban",
        "ban add",
        "ban add alice",
        "ban add 192.0.2.7/24",
        "ban add 192.0.2.7 --for 2",
        "ban add 192.0.2.7 --for 0s",
        "ban remove x",
        "ban why 192.0.2.0/24",
        "ban add abc234",
    ] {
        assert_eq!(run(line, &context).0, 2, "{line}");
    }
    assert_eq!(context.guard.summary().bans, 0);
    assert_eq!(run("ban list", &super::super::testing::context(member("alice"))).0, 77);
}
