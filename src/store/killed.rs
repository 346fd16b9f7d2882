//! Writers that are killed at a thousand moments, for tests: the writer is a test in a process of its
//! own.

use std::{
    env,
    io::{BufRead as _, BufReader, Read as _},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::Duration,
};

/// Says to the process of the writer where its file is.
const VARIABLE: &str = "CONTAINARIUM_TEST_FILE";

/// Files that are written to side by side, and kills of each.
const FILES: u64 = 4;
const KILLS: u64 = 250;

/// One writer after another, each killed.
pub(super) struct Writers<'a> {
    test: &'a str,
    path: &'a Path,
    random: u64,
    left: u64,
}

/// Where this process is to write for ever, if it is the one that is killed.
pub(super) fn file() -> Option<PathBuf> {
    env::var_os(VARIABLE).map(PathBuf::from)
}

/// Does something with the writers of each file, named `name`, that the test of this path writes. It
/// says a number on a line of standard error once it writes, and one after each write.
pub(super) fn kill_writers(test: &str, name: &str, act: impl Fn(Writers<'_>, &Path) + Sync) {
    thread::scope(|scope| {
        for number in 0..FILES {
            let act = &act;
            scope.spawn(move || {
                let folder = tempfile::tempdir().unwrap();
                let path = folder.path().join(name);
                // xorshift: any numbers do, the same each time.
                let random = 0x2545_f491_4f6c_dd1d_u64.wrapping_mul(number + 1);
                act(Writers { test, path: &path, random, left: KILLS }, &path);
            });
        }
    });
}

impl Iterator for Writers<'_> {
    type Item = i64;

    /// Has a writer write a few times, or only begin, kills it a moment later, and tells the last number
    /// that it said, 0 if it said none.
    fn next(&mut self) -> Option<i64> {
        self.left = self.left.checked_sub(1)?;
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        let moment = Duration::from_micros(self.random % 4000);
        let lines = if self.left.is_multiple_of(8) { 0 } else { 1 + self.left % 4 };
        Some(self.run_for(lines, moment))
    }
}

impl Writers<'_> {
    fn run_for(&self, lines: u64, moment: Duration) -> i64 {
        let mut child = Command::new(env::current_exe().unwrap())
            .args(["--exact", self.test, "--nocapture", "--test-threads=1"])
            .env(VARIABLE, self.path)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let mut said = String::new();
        for _ in 0..lines {
            assert_ne!(stderr.read_line(&mut said).unwrap(), 0, "it ended: {said}");
        }
        thread::sleep(moment);
        child.kill().unwrap();
        stderr.read_to_string(&mut said).unwrap();
        child.wait().unwrap();
        let whole = said.rsplit_once('\n').map_or("", |(whole, _)| whole);
        whole.lines().last().map_or(0, |line| line.parse().unwrap_or_else(|_| panic!("{said}")))
    }
}
