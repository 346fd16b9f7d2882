//! A writer that is killed at a thousand moments.

use std::{
    io::{self, Write as _},
    path::Path,
};

use super::{
    super::super::killed::{Writers, file, kill_writers},
    *,
};

#[test]
fn a_killed_writer_loses_nothing_that_it_called_written() {
    if let Some(path) = file() {
        write_for_ever(&path);
    }
    let name = "store::ledger::tests::kill::a_killed_writer_loses_nothing_that_it_called_written";
    kill_writers(name, "audit.db", look_after_each);
}

fn look_after_each(writers: Writers<'_>, path: &Path) {
    let (mut lost, mut known) = (0, 0);
    for (kill, said) in writers.enumerate() {
        let store = Store::open(path).unwrap_or_else(|e| panic!("kill {kill}: {e}"));
        let head = store.head().id;
        // Three records of a batch, and one of pruning: what was being written, and is there whole.
        let said = said.max(known);
        assert!((said..=said + 4).contains(&head), "kill {kill}: {said} said, {head} there");
        known = head;
        lost += i64::from(head > said);
    }
    let verdict = verify(path);
    assert_eq!(verdict.flaws, [], "{verdict:?}");
    assert!(verdict.range.0 > 1, "it was pruned, too: {verdict:?}");
    eprintln!("{verdict:?}, {lost} batches written and not said");
}

fn write_for_ever(path: &Path) -> ! {
    let mut store = Store::open(path).unwrap();
    let mut stderr = io::stderr();
    loop {
        let id = store.head().id;
        stderr.write_all(format!("{id}\n").as_bytes()).unwrap();
        store.append(&[line(id + 1), line(id + 2), line(id + 3)]).unwrap();
        if id % 5 == 0 {
            store.prune(id - 100, 20, pruned).unwrap();
        }
    }
}
