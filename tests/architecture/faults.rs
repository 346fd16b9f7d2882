//! The rule about `docs/faults.md`: it has every fault that concerns hosts or terminals, and each row
//! names a test that exists, or says why there is none.

use std::{collections::BTreeSet, fs, path::Path};

use crate::{
    conformance::{quoted, rows, test_names},
    source::{Source, read_tree},
};

/// The faults that the page is about.
const FAULTS: [&str; 15] = [
    "F1", "F2", "F3", "F4", "F5", "F11", "F12", "F13", "F14", "F15", "F16", "F17", "F19", "F21",
    "F22",
];

/// What stands before the reason why a fault is not shown.
const NOT_HERE: &str = "not here: ";

/// One line for each violation in the page.
pub(crate) fn violations() -> Vec<String> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/faults.md");
    let read = |directory| read_tree(directory).unwrap_or_default();
    let mut sources = read("src");
    sources.extend(read("tests"));
    violations_in(&fs::read_to_string(page).unwrap_or_default(), &sources, &FAULTS)
}

fn violations_in(page: &str, sources: &[Source], faults: &[&str]) -> Vec<String> {
    let names: BTreeSet<&str> = sources.iter().flat_map(test_names).collect();
    let (mut found, mut shown) = (Vec::new(), BTreeSet::new());
    for (line, cells) in rows(page) {
        let mut wrong = |what: String| found.push(format!("line {line}: {what}"));
        let [id, _, _, by] = cells.as_slice() else {
            wrong(format!("{} cells", cells.len()));
            continue;
        };
        if !faults.contains(id) {
            wrong(format!("{id} is none of these faults"));
        }
        if by.starts_with(NOT_HERE) {
            continue;
        }
        if quoted(by).next().is_none() {
            wrong("names no test and no reason".to_owned());
        }
        for name in quoted(by).filter(|name| !names.contains(name)) {
            wrong(format!("`{name}` is not a test"));
        }
        shown.insert(*id);
    }
    let missing = faults.iter().filter(|id| !shown.contains(*id));
    found.extend(missing.map(|id| format!("{id} is shown by no test")));
    found
}

#[test]
fn a_page_of_faults_that_is_stale_is_found() {
    let tests = [Source::new("e2e/a.rs", "#[test]\nfn it_dies() {}")];
    let check = |rows: &str| {
        let page = format!("text\n\n| id | a | b | c |\n|---|---|---|---|\n{rows}\n");
        violations_in(&page, &tests, &["F1", "F2"])
    };
    let good = "| F1 | a | b | `it_dies` |\n| F2 | a | b | `it_dies`, `it_dies` |";
    assert_eq!(check(good), [""; 0]);
    assert_eq!(check(&format!("{good}\n| F1 | a | b | not here: why |")), [""; 0]);
    for bad in [
        "| F1 | a | b | `it_lives` |",
        "| F3 | a | b | `it_dies` |",
        "| F1 | a | b | |",
        "| F1 | a | `it_dies` |",
    ] {
        assert_eq!(check(&format!("{good}\n{bad}")).len(), 1, "{bad}");
    }
    assert_eq!(check("| F1 | a | b | `it_dies` |"), ["F2 is shown by no test"]);
    assert_eq!(check(&good.replace("`it_dies`, `it_dies`", "not here: why")).len(), 1);
}
