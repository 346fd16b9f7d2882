//! What an administrator does with the sentinel: start, check, reload, stop, read its log.

mod ledger;
mod limit;
mod local;
mod log;
mod recording;
mod reload;
mod start;
mod stop;

use std::{fs, path::PathBuf};

use crate::harness::{Run, world};

/// A fresh directory of one test, in the run's directory.
fn fresh(name: &str) -> PathBuf {
    let dir = world().dir.join(name);
    fs::create_dir(&dir).unwrap();
    dir
}

/// Logs in as `login` at the sentinel on `port` with the key of `person`.
fn log_in(port: u16, person: &str, login: &str, command: &str) -> Run {
    world().client(&format!("ssh -F $CFG -p {port} -i $DIR/{person} -l {login} $DOOR '{command}'"))
}
