//! The rule about `docs/conformance.md`: every row says what is done, and the places and tests that
//! it names exist.

use std::{collections::BTreeSet, fs, path::Path};

use crate::source::{Source, read_tree};

/// What a row may say is done.
const WORDS: [&str; 5] = ["done", "passed", "refused", "departs", "none"];

/// What defines an item that may be named.
const KEYWORDS: [&str; 8] = ["fn", "struct", "enum", "trait", "const", "static", "type", "mod"];

/// Rows that the page has at least: fewer would mean that it was not understood.
const MIN_ROWS: usize = 100;

/// One line for each violation in the page.
pub(crate) fn violations() -> Vec<String> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/conformance.md");
    let read = |directory| read_tree(directory).unwrap_or_default();
    let (sources, tests) = (read("src"), read("tests"));
    let page = fs::read_to_string(page).unwrap_or_default();
    let mut found = violations_in(&page, &sources, &tests);
    let count = rows(&page).count();
    if count < MIN_ROWS {
        found.push(format!("only {count} rows"));
    }
    found
}

fn violations_in(page: &str, sources: &[Source], tests: &[Source]) -> Vec<String> {
    let names: BTreeSet<&str> = sources.iter().chain(tests).flat_map(|s| test_names(s)).collect();
    let mut found = Vec::new();
    for (line, cells) in rows(page) {
        let mut wrong = |what: String| found.push(format!("line {line}: {what}"));
        let [_, _, here, places, shown] = cells.as_slice() else {
            wrong(format!("{} cells", cells.len()));
            continue;
        };
        let word = here.split([':', ' ']).next().unwrap_or_default();
        if !WORDS.contains(&word) {
            wrong(format!("`{word}` is none of {WORDS:?}"));
        }
        if quoted(places).next().is_none() {
            wrong("names no place".to_owned());
        }
        for place in quoted(places).filter(|place| !is_defined(place, sources)) {
            wrong(format!("`{place}` does not exist"));
        }
        if quoted(shown).next().is_none() && !shown.starts_with("none: ") {
            wrong("names no test and no reason".to_owned());
        }
        for name in quoted(shown).filter(|name| !names.contains(name)) {
            wrong(format!("`{name}` is not a test"));
        }
    }
    // In running text only a test has a name of so many words.
    for (i, line) in page.lines().enumerate().filter(|(_, line)| !line.starts_with('|')) {
        let sentences = quoted(line).filter(|name| name.matches('_').count() > 2);
        for name in sentences.filter(|name| !names.contains(name)) {
            found.push(format!("line {}: `{name}` is not a test", i + 1));
        }
    }
    found
}

/// The rows of all tables, without their heads, with their line from 1.
pub(crate) fn rows(page: &str) -> impl Iterator<Item = (usize, Vec<&str>)> {
    let lines = || page.lines().enumerate().filter(|(_, line)| line.starts_with('|'));
    let rules: BTreeSet<usize> =
        lines().filter(|(_, line)| line.starts_with("|---")).map(|(i, _)| i).collect();
    lines()
        .filter(move |(i, _)| !rules.contains(i) && !rules.contains(&(i + 1)))
        .map(|(i, line)| (i + 1, line.trim_matches('|').split('|').map(str::trim).collect()))
}

/// What stands between backquotes.
pub(crate) fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// Whether `place` leads to a file below `src` and to items in it.
fn is_defined(place: &str, sources: &[Source]) -> bool {
    let segments: Vec<&str> = place.split("::").collect();
    let longest = (1..=segments.len()).rev().find_map(|end| {
        let path = segments[..end].join("/");
        let is_it = |s: &&Source| s.path.trim_end_matches(".rs").trim_end_matches("/mod") == path;
        Some((end, sources.iter().find(is_it)?))
    });
    let Some((end, file)) = longest else { return false };
    segments[end..].iter().all(|item| {
        KEYWORDS.iter().any(|keyword| {
            let definition = format!("{keyword} {item}");
            let ends = |rest: &str| !rest.starts_with(|c: char| c.is_alphanumeric() || c == '_');
            file.text
                .match_indices(&definition)
                .any(|(at, _)| ends(&file.text[at + definition.len()..]))
        })
    })
}

/// The test functions of a file, those in its modules too.
pub(crate) fn test_names(source: &Source) -> Vec<&str> {
    let (mut names, mut is_test) = (Vec::new(), false);
    for line in source.text.lines().map(str::trim_start) {
        if line.starts_with("#[test]") || line.starts_with("#[tokio::test") {
            is_test = true;
        } else if let Some((_, rest)) = line.split_once("fn ").filter(|_| is_test) {
            names.extend(rest.split(['(', '<']).next());
            is_test = false;
        }
    }
    names
}

#[test]
fn a_page_that_is_stale_is_found() {
    let code = "pub struct Reader;\nimpl Reader {\n    pub fn mpint(&self) {}\n}\n\
                #[cfg(test)]\nmod tests {\n    #[test]\n    fn it_works_as_it_should() {}\n}\n";
    let sources = [Source::new("wire/codec.rs", code), Source::new("wire/mod.rs", "mod codec;")];
    let tests = [Source::new("e2e/a.rs", "#[tokio::test(start_paused = true)]\nasync fn far() {}")];
    let check = |row: &str| {
        let page =
            format!("text\n\n| § | Rule | Here | Where | By |\n|---|---|---|---|---|\n{row}\n");
        violations_in(&page, &sources, &tests)
    };
    for good in [
        "| 1 | a | done | `wire::codec::Reader::mpint` | `it_works_as_it_should`, `far` |",
        "| 1 | a | refused: b | `wire::codec`, `wire` | none: nothing to show |",
        "| 1 | a `b` | passed | `wire::codec::Reader` | `far` |\n\nas `it_works_as_it_should` shows",
    ] {
        assert_eq!(check(good), [""; 0], "{good}");
    }
    for bad in [
        "| 1 | a | done | `wire::codec::Reader::mpin` | `far` |",
        "| 1 | a | done | `wire::codec::Write` | `far` |",
        "| 1 | a | done | `link::codec` | `far` |",
        "| 1 | a | done | everywhere | `far` |",
        "| 1 | a | done | `wire::codec` | `it_works` |",
        "| 1 | a | done | `wire::codec` | `mpint` |",
        "| 1 | a | done | `wire::codec` | |",
        "| 1 | a | perhaps | `wire::codec` | `far` |",
        "| 1 | a | done | `far` |",
        "\nas `it_works_as_it_could` shows",
    ] {
        assert_eq!(check(bad).len(), 1, "{bad}");
    }
}
