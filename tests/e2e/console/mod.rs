//! The console's commands, as administrators type them: one file a noun.

mod backend;
mod create;
mod dialogue;
mod export;
mod info;
mod logs;
mod resize;
mod shell;
mod stack;

use crate::harness::{Run, world};

/// Runs `ssh sentinel WORDS` on the client's host.
fn console(words: &str) -> Run {
    world().client(&format!("ssh -F $CFG sentinel '{words}'"))
}
