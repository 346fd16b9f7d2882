//! The house rules that a compiler does not check: who may use whom, what is pure, how long a file
//! is. Each rule is a function from files to violations, and each is tested to find one.
//!
//! Order and purity are read from the table in `src/lib.rs`, so there is one place to change.

#[path = "architecture/conformance.rs"]
mod conformance;
#[path = "architecture/faults.rs"]
mod faults;
#[path = "architecture/repository.rs"]
mod repository;
#[path = "architecture/rules.rs"]
mod rules;
#[path = "architecture/source.rs"]
mod source;

use rules::{Modules, Rule};
use source::Source;

/// All rules about the files in `src`.
const RULES: [(&str, Rule); 6] = [
    ("modules use only what stands above them in src/lib.rs", rules::order),
    ("pure modules have no async, clock, file or socket", rules::purity),
    ("files have at most 500 lines", rules::length),
    ("modules begin with their documentation", rules::documentation),
    ("main.rs has less than 80 lines", rules::main_length),
    ("only tests may panic", rules::panics),
];

#[test]
fn the_source_keeps_the_rules() {
    let files = source::read_tree("src").unwrap();
    let modules = Modules::of(&files);
    assert!(modules.rank("model") < modules.rank("app"), "the table of src/lib.rs was found");
    let violations: Vec<_> = RULES
        .iter()
        .flat_map(|(name, rule)| rule(&files, &modules).into_iter().map(move |v| (name, v)))
        .map(|(name, violation)| format!("{violation} ({name})"))
        .collect();
    assert!(violations.is_empty(), "\n{}\n", violations.join("\n"));
}

#[test]
fn test_files_have_at_most_500_lines() {
    for directory in ["tests", "fuzz/checks"] {
        let files = source::read_tree(directory).unwrap();
        assert!(!files.is_empty(), "{directory} was read");
        let violations = rules::length(&files, &Modules::of(&[]));
        assert!(violations.is_empty(), "\n{}\n", violations.join("\n"));
    }
}

#[test]
fn tracked_files_know_nothing_of_the_machine_they_were_written_on() {
    let violations = repository::violations();
    assert!(violations.is_empty(), "\n{}\n", violations.join("\n"));
}

#[test]
fn the_page_about_conformance_names_what_exists() {
    let violations = conformance::violations();
    assert!(violations.is_empty(), "\n{}\n", violations.join("\n"));
}

#[test]
fn the_page_about_faults_names_what_exists() {
    let violations = faults::violations();
    assert!(violations.is_empty(), "\n{}\n", violations.join("\n"));
}

const LIB: &str = "//! Map.\n//!\n//! | module | what |\n//! |---|---|\n\
    //! | [`model`] | pure: words |\n//! | [`config`] | file |\n//! | [`door`] | front |\n\
    //! | [`telemetry`] | logging |\n//! | [`app`] | root |\npub mod model;\npub mod config;\n";

/// Violations of `rule` by one file, in a tree of modules as in [`LIB`].
fn found(rule: Rule, path: &str, text: &str) -> Vec<String> {
    let files = [Source::new("lib.rs", LIB), Source::new(path, text)];
    rule(&files, &Modules::of(&files))
}

#[test]
fn uses_from_below_are_found_however_they_are_written() {
    for text in [
        "use crate::door;",
        "use crate::{model, door::accept};",
        "use crate::{\n    model::{name, text},\n    door::{self, hold::Hold},\n};",
        "fn f() { crate::door::run() }",
        "fn f(x: &crate::door::Door) {}",
        "use super::door::Door;",
        "use super::{model, door};",
        "use crate::telemetry;",
        "use crate::nowhere::X;",
        "pub(in crate::door) fn f() {}",
    ] {
        assert_eq!(found(rules::order, "config/mod.rs", text).len(), 1, "{text}");
    }
    let nested = "use super::super::super::{door, model};";
    assert_eq!(found(rules::order, "config/read/door.rs", nested).len(), 1);
    assert_eq!(found(rules::order, "config/read/door.rs", "use super::super::door;"), [""; 0]);
}

#[test]
fn uses_from_above_words_and_tests_are_left_alone() {
    for text in [
        "use crate::{model::name, config::Config};",
        "// use crate::door;\n/* crate::door */ const A: &str = \"crate::door\";",
        "const A: &str = r#\"crate::door \" crate::app\"#; const B: char = '\"';",
        "#[cfg(test)]\nmod tests { use crate::door; fn f() { '{'; \"}\"; } }",
        "fn f<'a>(x: &'a str) -> &'a str { x } // crate::door",
        "mod door; use self::door::x; use door::y;",
    ] {
        assert_eq!(found(rules::order, "config/mod.rs", text), [""; 0], "{text}");
    }
    assert_eq!(found(rules::order, "app.rs", "use crate::{door, telemetry};"), [""; 0]);
    assert_eq!(found(rules::order, "main.rs", "use containarium::{app, telemetry};"), [""; 0]);
    assert_eq!(found(rules::order, "nowhere.rs", "").len(), 1, "a module without a place");
}

#[test]
fn impurity_is_found_in_pure_modules_alone() {
    for text in [
        "async fn f() {}",
        "fn f() { g().await }",
        "use tokio::time;",
        "use std::{collections::BTreeMap, fs};",
        "use std::net::{IpAddr, TcpStream};",
        "fn f() { std::thread::sleep(d) }",
        "use std::{env, fmt};",
        "fn f() { std::process::abort() }",
        "fn f() { let now = Instant::now(); }",
        "fn f() { std::time::SystemTime::now(); }",
        "fn f() { jiff::Timestamp::now(); }",
    ] {
        assert_eq!(found(rules::purity, "model/name.rs", text).len(), 1, "{text}");
        assert_eq!(found(rules::purity, "door/accept.rs", text), [""; 0], "{text}");
    }
    let pure = "use std::{net::{IpAddr, SocketAddr}, time::{Duration, Instant}};\n\
                fn f(now: Instant, asynchronous: &str) -> Instant { now }\n\
                #[cfg(test)] mod tests { use std::fs; }";
    assert_eq!(found(rules::purity, "model/name.rs", pure), [""; 0]);
}

#[test]
fn long_undocumented_and_panicking_files_are_found() {
    let lines = |n: usize| "//! Doc.\n".repeat(n);
    assert_eq!(found(rules::length, "door/mod.rs", &lines(500)), [""; 0]);
    assert_eq!(found(rules::length, "door/mod.rs", &lines(501)).len(), 1);
    assert_eq!(found(rules::main_length, "main.rs", &lines(79)), [""; 0]);
    assert_eq!(found(rules::main_length, "main.rs", &lines(80)).len(), 1);
    assert_eq!(found(rules::documentation, "door/mod.rs", "//! Doc.\n"), [""; 0]);
    assert_eq!(found(rules::documentation, "door/mod.rs", "use a;\n//! Doc.").len(), 1);
    for text in
        ["x.unwrap()", "x\n  .expect(\"y\")", "panic!(\"x\")", "todo!()", "Option::unwrap(x)"]
    {
        let text = format!("fn f() {{ {text} }}");
        assert_eq!(found(rules::panics, "door/mod.rs", &text).len(), 1, "{text}");
        let text = format!("#[cfg(test)]\nmod tests {{\n{text} }}");
        assert_eq!(found(rules::panics, "door/mod.rs", &text), [""; 0], "{text}");
    }
    let harmless =
        "#[expect(dead_code)] fn f() { x.unwrap_or(1); x.unwrap_or_default() } // .unwrap()";
    assert_eq!(found(rules::panics, "door/mod.rs", harmless), [""; 0]);
}

#[test]
fn files_of_test_modules_may_do_what_tests_may() {
    let files = [
        Source::new("door/mod.rs", "#[cfg(test)]\nmod tests;\n#[cfg(test)]\nmod fake;"),
        Source::new("door/tests/mod.rs", "fn f() { x.unwrap() }"),
        Source::new("door/fake.rs", "fn f() { x.unwrap() }"),
        Source::new("door/real.rs", "fn f() { x.unwrap() }"),
    ];
    let files = source::without_test_files(files.into());
    let paths: Vec<_> =
        files.iter().filter(|f| !f.code.trim().is_empty()).map(|f| &f.path).collect();
    assert_eq!(paths, ["door/real.rs"]);
}
