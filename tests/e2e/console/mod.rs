//! The console's commands, as administrators type them: one file a noun.

mod adopt;
mod audit;
mod backend;
mod busy;
mod choice;
mod collaborator;
mod create;
pub mod dialogue;
mod ending;
mod errors;
mod evil;
mod export;
mod image;
mod info;
mod key;
mod lifecycle;
mod local;
mod logs;
mod resize;
mod session;
mod session_watch;
mod shell;
mod stack;
mod team;

use std::fs;

use crate::harness::{Run, make_key, world};

/// Runs `ssh sentinel WORDS` on the client's host.
fn console(words: &str) -> Run {
    world().client(&format!("ssh -F $CFG sentinel '{words}'"))
}

/// Makes a key pair in `$DIR` for each of these people, and returns their public lines.
fn people<const N: usize>(names: [&str; N]) -> [String; N] {
    let dir = &world().dir;
    names.map(|name| {
        make_key(dir, name);
        fs::read_to_string(dir.join(format!("{name}.pub"))).unwrap().trim().to_owned()
    })
}

/// Runs a command as `login` with the key of `person`.
fn log_in(person: &str, login: &str, command: &str) -> Run {
    world().client(&format!("ssh -F $CFG -i $DIR/{person} -l '{login}' $DOOR '{command}'"))
}

/// Asserts that somebody is refused as a stranger is.
#[track_caller]
fn assert_refused(run: &Run) {
    let refused = run.stderr.trim_end().ends_with(": Permission denied (publickey).");
    assert!(run.status == 255 && refused, "not refused: {run:?}");
}

/// Asserts that a command did what it should.
#[track_caller]
fn assert_done(run: &Run) {
    assert_eq!(run.status, 0, "{run:?}");
}

/// Asserts that a command failed with this status, and said all of this.
#[track_caller]
fn assert_failed(run: &Run, status: i32, said: &[&str]) {
    let all = said.iter().all(|piece| run.stderr.contains(piece));
    assert!(run.status == status && all && run.stdout.is_empty(), "{said:?}: {run:?}");
}

/// What a session of `person`, as `login`, is told and ends with when `ending` is done meanwhile on
/// the client's host.
fn session_during(person: &str, login: &str, ending: &str) -> Run {
    world().client(&format!(
        "ssh -F $CFG -i $DIR/{person} -l '{login}' $DOOR 'echo here; sleep 1000' >out &\n\
         until grep -q here out; do kill -0 $! || exit 99; sleep 0.02; done\n\
         {{ {ending}; }} >done 2>&1 || {{ cat done; exit 98; }}\n\
         wait $!"
    ))
}
