//! The file as a whole: what is found of what somebody does to it, and what a crash leaves of it.

mod kill;

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

use rusqlite::Connection;
use tempfile::TempDir;

use super::*;

/// A line about `number`, as many microseconds after 1970.
pub(super) fn line(number: i64) -> Line {
    Line {
        at: number,
        kind: if number % 2 == 0 { "login" } else { "command" }.to_owned(),
        session: Some(number),
        person: Some(format!("Person {number}")),
        key: None,
        source: (number % 3 == 0).then(|| "192.0.2.1".to_owned()),
        container: (number % 5 == 0).then(|| "alice".to_owned()),
        detail: format!("{{\"login\":\"login{number}\"}}"),
    }
}

/// A ledger with `count` records.
fn ledger(count: i64) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.db");
    let mut store = Store::open(&path).unwrap();
    let lines: Vec<_> = (1..=count).map(line).collect();
    for batch in lines.chunks(7) {
        store.append(batch).unwrap();
    }
    (folder, path)
}

fn verify(path: &Path) -> Verdict {
    Reader::open(path).unwrap().verify(|| false).unwrap().unwrap()
}

fn flaws_after(sql: &str) -> Vec<Flaw> {
    let (_folder, path) = ledger(20);
    Connection::open(&path).unwrap().execute_batch(sql).unwrap();
    verify(&path).flaws
}

fn pruned(anchor: Anchor) -> Line {
    let hash = hexadecimal(&anchor.hash);
    let detail = format!("{{\"pruned_through\":{},\"hash\":\"{hash}\"}}", anchor.id);
    Line { kind: "ledger".to_owned(), detail, ..line(1000) }
}

#[test]
fn records_outlive_their_writer_and_are_chained() {
    let (_folder, path) = ledger(20);
    let mode = fs::metadata(&path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o600, "{mode:o}");
    let mut store = Store::open(&path).unwrap();
    assert_eq!(store.head().id, 20);
    store.append(&[line(21)]).unwrap();
    let all = Reader::open(&path).unwrap().oldest(&Filter::default(), 100).unwrap();
    assert_eq!(all.len(), 21);
    assert_eq!(all[20], Record { id: 21, line: line(21), hash: store.head().hash });
    let verdict = verify(&path);
    assert_eq!((verdict.records, verdict.range, verdict.flaws), (21, (1, 21), Vec::new()));
    assert_eq!(verdict.hash, store.head().hash);
    let nothing = Reader::open(&path).unwrap().verify(|| true).unwrap();
    assert_eq!(nothing, None, "it was cancelled");
}

#[test]
fn every_tampering_is_found_and_named() {
    for (sql, found) in [
        ("", vec![]),
        ("UPDATE record SET detail = '{}' WHERE id = 7", vec![Flaw::Changed(7)]),
        ("UPDATE record SET at = at + 1 WHERE id = 7", vec![Flaw::Changed(7)]),
        ("UPDATE record SET person = NULL WHERE id = 20", vec![Flaw::Changed(20)]),
        ("UPDATE record SET container = 'bob' WHERE id = 1", vec![Flaw::Changed(1)]),
        (
            "UPDATE record SET hash = zeroblob(32) WHERE id = 7",
            vec![Flaw::Changed(7), Flaw::Changed(8)],
        ),
        (
            "UPDATE record SET hash = zeroblob(3) WHERE id = 7",
            vec![Flaw::Changed(7), Flaw::Changed(8)],
        ),
        (
            "UPDATE record SET id = -1 WHERE id = 4; UPDATE record SET id = 4 WHERE id = 9;
             UPDATE record SET id = 9 WHERE id = -1",
            vec![Flaw::Changed(4), Flaw::Changed(5), Flaw::Changed(9), Flaw::Changed(10)],
        ),
        ("DELETE FROM record WHERE id = 7", vec![Flaw::Missing(7, 7)]),
        (
            "DELETE FROM record WHERE id BETWEEN 3 AND 5 OR id = 9",
            vec![Flaw::Missing(3, 5), Flaw::Missing(9, 9)],
        ),
        ("DELETE FROM record WHERE id <= 2", vec![Flaw::Missing(1, 2)]),
        ("DELETE FROM record WHERE id > 18", vec![Flaw::Missing(19, 20)]),
        ("DELETE FROM record", vec![Flaw::Missing(1, 20)]),
        (
            "INSERT INTO record SELECT 21, at, kind, session, person, key, source, container,
             detail, hash FROM record WHERE id = 20",
            vec![Flaw::Behind(21), Flaw::Changed(21)],
        ),
        ("UPDATE chain SET head_hash = zeroblob(32)", vec![Flaw::End]),
        (
            "DELETE FROM record WHERE id <= 2; UPDATE chain SET anchor = 2,
             anchor_hash = (SELECT hash FROM record WHERE id = 3)",
            vec![Flaw::Changed(3), Flaw::Beginning],
        ),
    ] {
        assert_eq!(flaws_after(sql), found, "{sql}");
    }
    let many = flaws_after("UPDATE record SET detail = 'x'");
    assert_eq!(many.len(), 20);
}

#[test]
fn the_oldest_go_in_small_steps_and_the_chain_says_where_it_begins() {
    let (_folder, path) = ledger(20);
    let mut store = Store::open(&path).unwrap();
    assert_eq!(store.prune(1, 100, pruned).unwrap(), 0);
    assert_eq!(store.prune(15, 10, pruned).unwrap(), 10);
    let verdict = verify(&path);
    assert_eq!((verdict.records, verdict.range, verdict.flaws), (11, (11, 21), Vec::new()));
    assert_eq!(store.prune(15, 10, pruned).unwrap(), 4);
    assert_eq!(store.prune(15, 10, pruned).unwrap(), 0);
    assert_eq!(verify(&path).flaws, []);
    // Everything that there was goes; what tells so stays.
    assert_eq!(store.prune(5000, 100, pruned).unwrap(), 8);
    let verdict = verify(&path);
    assert_eq!((verdict.records, verdict.range, verdict.flaws), (1, (23, 23), Vec::new()));
    store.append(&[line(1)]).unwrap();
    drop(store);
    assert_eq!(Store::open(&path).unwrap().head().id, 24);
    assert_eq!(verify(&path).flaws, []);
    // Without going back to what the chain tells, nobody moves its beginning.
    let sql = "DELETE FROM record WHERE id = 23; UPDATE chain SET anchor = 23";
    Connection::open(&path).unwrap().execute_batch(sql).unwrap();
    assert_eq!(verify(&path).flaws, [Flaw::Changed(24), Flaw::Beginning]);
}

#[test]
fn a_clock_that_was_set_back_keeps_what_is_behind_newer_records() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.db");
    let mut store = Store::open(&path).unwrap();
    store.append(&[line(10), line(500), line(11), line(12)]).unwrap();
    assert_eq!(store.prune(100, 100, pruned).unwrap(), 1);
    assert_eq!(verify(&path).range, (2, 5));
}

#[test]
fn records_are_found_by_what_they_are_about() {
    let (_folder, path) = ledger(30);
    let reader = Reader::open(&path).unwrap();
    let ids = |filter: &Filter| -> Vec<_> {
        reader.newest(filter, 100).unwrap().iter().map(|record| record.id).collect()
    };
    let who = |who: &str| Filter { who: Some(who.to_owned()), ..Filter::default() };
    assert_eq!(ids(&who("son 7")), [7]);
    assert_eq!(ids(&who("PERSON 12")), [12]);
    assert_eq!(ids(&who("login9")), [9]);
    assert_eq!(ids(&who("192.0.2.1")).len(), 10);
    assert_eq!(ids(&who("' OR 1=1 --")), [] as [i64; 0]);
    let times = Filter { since: Some(5), until: Some(8), ..Filter::default() };
    assert_eq!(ids(&times), [5, 6, 7]);
    let of_alice = Filter {
        container: Some("alice".to_owned()),
        kinds: vec!["login".to_owned(), "x".to_owned()],
        ..Filter::default()
    };
    assert_eq!(ids(&of_alice), [10, 20, 30]);
    assert_eq!(ids(&Filter { after: 28, ..Filter::default() }), [29, 30]);
    let newest: Vec<_> =
        reader.newest(&Filter::default(), 2).unwrap().iter().map(|r| r.id).collect();
    assert_eq!(newest, [29, 30]);
    assert_eq!(reader.oldest(&Filter::default(), 1).unwrap()[0].id, 1);
}

/// How `SQLite` finds them.
fn plan(path: &Path, filter: &Filter) -> String {
    let (query, values) = reader::query(filter, "DESC", 5);
    let connection = Connection::open(path).unwrap();
    let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {query}")).unwrap();
    let values = rusqlite::params_from_iter(values);
    let steps = statement.query_map(values, |row| row.get::<_, String>("detail")).unwrap();
    steps.map(Result::unwrap).collect::<Vec<_>>().join("; ")
}

#[test]
fn rare_kinds_are_found_without_reading_everything_else() {
    let (_folder, path) = ledger(20);
    let of = |kinds: &[&str]| Filter {
        kinds: kinds.iter().map(|kind| (*kind).to_owned()).collect(),
        ..Filter::default()
    };
    for kinds in [&["refused"][..], &["host", "recovery"]] {
        let plan = plan(&path, &of(kinds));
        assert!(plan.contains("USING INDEX record_kind"), "{plan}");
    }
    let of_alice = Filter { container: Some("alice".to_owned()), ..of(&["login"]) };
    assert!(plan(&path, &of_alice).contains("USING INDEX record_container"));
    let lately = Filter { since: Some(5), ..of(&["login"]) };
    assert!(!plan(&path, &lately).contains("record_kind"));
}

#[test]
fn a_ledger_of_the_first_form_becomes_one_of_this() {
    let (_folder, path) = ledger(20);
    let form = |path: &Path| schema::form(&Connection::open(path).unwrap()).unwrap().0;
    let first = "DROP INDEX record_kind; PRAGMA user_version = 1";
    Connection::open(&path).unwrap().execute_batch(first).unwrap();
    // It is read as it is, too.
    assert_eq!(Reader::open(&path).unwrap().newest(&Filter::default(), 99).unwrap().len(), 20);
    let store = Store::open(&path).unwrap();
    assert_eq!((store.head().id, form(&path)), (20, i64::from(schema::FORM)));
    assert_eq!(verify(&path).flaws, []);
    let refused = Filter { kinds: vec!["refused".to_owned()], ..Filter::default() };
    assert!(plan(&path, &refused).contains("record_kind"));
}

#[test]
fn damage_is_told_from_refusals_and_set_aside() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.db");
    let damaged = |path: &Path| matches!(Store::open(path), Err(LedgerError::Damaged(_)));
    fs::write(&path, "this is no database, and quite long enough to be looked at as one").unwrap();
    assert!(damaged(&path));
    let foreign = folder.path().join("foreign.db");
    Connection::open(&foreign).unwrap().execute_batch("CREATE TABLE x (y)").unwrap();
    assert!(damaged(&foreign), "somebody else's database is left alone");
    let aside = put_aside(&path, Timestamp::UNIX_EPOCH).unwrap();
    assert_eq!(aside.file_name().unwrap(), "audit.db.damaged-19700101T000000000000Z");
    assert!(aside.exists() && !path.exists());
    Store::open(&path).unwrap().append(&[line(1)]).unwrap();

    let (_folder, path) = ledger(2000);
    // Bytes in the middle of it are lost.
    let mut bytes = fs::read(&path).unwrap();
    let middle = bytes.len() / 2 / 4096 * 4096;
    bytes[middle..middle + 4096].fill(0xa5);
    fs::write(&path, bytes).unwrap();
    assert!(damaged(&path));

    let (_folder, path) = ledger(3);
    let sql = "DELETE FROM record WHERE id = 3";
    Connection::open(&path).unwrap().execute_batch(sql).unwrap();
    assert!(damaged(&path), "nothing is chained to what is not there");

    let (_folder, path) = ledger(3);
    Connection::open(&path).unwrap().pragma_update(None, "user_version", 99).unwrap();
    assert!(matches!(Store::open(&path), Err(LedgerError::Newer(99))));
    assert!(matches!(Reader::open(&path), Err(LedgerError::Newer(99))));

    let nowhere = folder.path().join("no/audit.db");
    assert!(matches!(Store::open(&nowhere), Err(LedgerError::Io { .. })));
    assert!(matches!(Reader::open(&nowhere), Err(LedgerError::Io { .. })));
}

#[test]
fn somebody_who_reads_for_long_does_not_hold_up_writing() {
    let (_folder, path) = ledger(20);
    let reader = Reader::open(&path).unwrap();
    let mut store = Store::open(&path).unwrap();
    let mut statement = reader.connection.prepare("SELECT id FROM record ORDER BY id").unwrap();
    let mut rows = statement.query([]).unwrap();
    rows.next().unwrap();
    for number in 21..200 {
        store.append(&[line(number)]).unwrap();
    }
    let mut seen = 1;
    while rows.next().unwrap().is_some() {
        seen += 1;
    }
    assert_eq!(seen, 20, "it is read as it was at the beginning");
    assert_eq!(verify(&path).records, 199);
}
