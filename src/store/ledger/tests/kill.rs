//! A writer that is killed at a thousand moments. The writer is this test in a process of its own.

use std::{
    io::{Read as _, Write as _},
    path::Path,
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use super::*;

/// Says to the process of the writer where its ledger is.
const VARIABLE: &str = "CONTAINARIUM_TEST_LEDGER";

/// Ledgers that are written to side by side, and kills of each.
const LEDGERS: u64 = 4;
const KILLS: u64 = 250;

#[test]
fn a_killed_writer_loses_nothing_that_it_called_written() {
    if let Some(path) = std::env::var_os(VARIABLE) {
        write_for_ever(Path::new(&path));
    }
    thread::scope(|scope| {
        for number in 0..LEDGERS {
            scope.spawn(move || kill_over_and_over(number));
        }
    });
}

fn kill_over_and_over(number: u64) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.db");
    // xorshift: any numbers do, the same each time.
    let mut random = 0x2545_f491_4f6c_dd1d_u64.wrapping_mul(number + 1);
    let (mut lost, mut known) = (0, 0);
    for kill in 0..KILLS {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let said = run_for(&path, Duration::from_micros(random % 8000), kill % 8 == 0);
        let store = Store::open(&path).unwrap_or_else(|e| panic!("kill {kill}: {e}"));
        let head = store.head().id;
        // Three records of a batch, and one of pruning: what was being written, and is there whole.
        let said = said.max(known);
        assert!((said..=said + 4).contains(&head), "kill {kill}: {said} said, {head} there");
        known = head;
        lost += i64::from(head > said);
    }
    let verdict = verify(&path);
    assert_eq!(verdict.flaws, [], "{verdict:?}");
    assert!(verdict.range.0 > 1, "it was pruned, too: {verdict:?}");
    eprintln!("{verdict:?}, {lost} batches written and not said");
}

/// Has a process write until some time after it opened the ledger, or while it opens it, and kills it:
/// the last record that it called written.
fn run_for(path: &Path, time: Duration, at_once: bool) -> i64 {
    let name = "store::ledger::tests::kill::a_killed_writer_loses_nothing_that_it_called_written";
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture", "--test-threads=1"])
        .env(VARIABLE, path)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stderr = child.stderr.take().unwrap();
    let mut said = String::new();
    if !at_once {
        let mut first = [0; 1];
        stderr.read_exact(&mut first).unwrap();
        said.push(char::from(first[0]));
    }
    thread::sleep(time);
    child.kill().unwrap();
    stderr.read_to_string(&mut said).unwrap();
    child.wait().unwrap();
    let whole = said.rsplit_once('\n').map_or("", |(whole, _)| whole);
    whole.lines().last().map_or(0, |line| line.parse().unwrap_or_else(|_| panic!("{said}")))
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
