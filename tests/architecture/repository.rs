//! The rule about everything that is tracked: nothing in it depends on one machine or network.

use std::{fs, path::Path, process::Command};

/// Where a `Cargo.lock` may get packages from.
const REGISTRY: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// Settings that send a package manager to another registry. In two halves, for this file is
/// tracked as well.
const SETTINGS: [(&str, &str); 7] = [
    ("replace-", "with"),
    ("sparse+", "http"),
    ("[source.", "crates-io]"),
    ("CARGO_REGIST", "RIES_"),
    ("GOPR", "OXY="),
    ("PIP_INDEX", "_URL"),
    ("index-", "url"),
];

/// One line for each violation in the tracked files of this repository.
pub(crate) fn violations() -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let listed = git(root, &["ls-files"]);
    let worktrees = git(root, &["worktree", "list", "--porcelain"]);
    let checkouts = worktrees.lines().filter_map(|line| line.strip_prefix("worktree "));
    let checkouts: Vec<_> = checkouts.filter(|path| path.matches('/').count() > 1).collect();
    let mut found = Vec::new();
    for path in listed.lines() {
        // What is not text names no host; what was deleted and not yet committed is not there.
        if let Ok(text) = fs::read_to_string(root.join(path)) {
            found.extend(violations_in(path, &text, &checkouts));
        }
    }
    found
}

fn violations_in(path: &str, text: &str, checkouts: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    for (i, line) in text.lines().enumerate() {
        let source = line.strip_prefix("source = ").map(|source| source.trim_matches('"'));
        let foreign =
            path.ends_with("Cargo.lock") && source.is_some_and(|source| source != REGISTRY);
        let setting = SETTINGS.iter().any(|(a, b)| line.contains(&format!("{a}{b}")));
        if foreign || setting {
            found.push(format!("{path}:{}: names a package registry", i + 1));
        }
        if checkouts.iter().any(|checkout| line.contains(checkout)) {
            found.push(format!("{path}:{}: names the path of a checkout", i + 1));
        }
    }
    found
}

/// What git prints; nothing when this is an unpacked archive.
fn git(root: &Path, arguments: &[&str]) -> String {
    let output = Command::new("git").arg("-C").arg(root).args(arguments).output();
    output.map(|o| String::from_utf8_lossy(&o.stdout).into_owned()).unwrap_or_default()
}

#[test]
fn a_foreign_registry_and_a_checkout_are_found() {
    let lock = format!("name = \"a\"\nsource = \"{REGISTRY}\"\n");
    assert_eq!(violations_in("Cargo.lock", &lock, &[]), [""; 0]);
    let lock = "source = \"registry+https://mirror.example/index\"\n";
    assert_eq!(violations_in("Cargo.lock", lock, &[]).len(), 1);
    for (a, b) in SETTINGS {
        assert_eq!(violations_in("Makefile", &format!("x\n{a}{b}"), &[]).len(), 1);
    }
    let script = "cd /home/alice/containarium && make";
    let found = violations_in("run", script, &["/home/alice/containarium"]);
    assert_eq!(found, ["run:1: names the path of a checkout"]);
}
