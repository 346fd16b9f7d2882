//! A soak: mixed clients against one sentinel, for half an hour or `SOAK_SECONDS`.
//!
//! The run has ten rounds. In each, every kind of client of [`work`] comes again and again, all
//! kinds at once; then all leave, and the sentinel has ten seconds to rest. A run is good when
//! every client got what it should, nothing panicked, tasks and descriptors at rest are those of
//! the beginning, and memory at rest does not grow (see [`rest`] for how that is judged).
//! `SOAK_ONLY=jump` lets only those kinds come whose name contains "jump": to find who it was.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::cast_precision_loss,
    clippy::disallowed_methods,
    missing_docs,
    unreachable_pub,
    reason = "a test of half an hour: it reads the clock, and what fails ends it"
)]

#[path = "../../tests/e2e/harness/mod.rs"]
#[allow(dead_code, unused_imports, clippy::pedantic, reason = "it belongs to the tests")]
mod harness;
mod rest;
mod scene;
mod work;

use std::time::Duration;

use self::{rest::Record, scene::Scene};

/// How often all clients leave.
const ROUNDS: u32 = 10;

/// A soak without other wishes, in seconds.
const DEFAULT: u64 = 1800;

fn main() {
    let seconds = std::env::var("SOAK_SECONDS")
        .ok()
        .map_or(DEFAULT, |text| text.parse().expect("SOAK_SECONDS is a number of seconds"));
    let round = Duration::from_secs(seconds) / ROUNDS;
    let only = std::env::var("SOAK_ONLY").unwrap_or_default();
    let scene = Scene::set();
    let mut record = Record::new(scene.sentinel());
    for number in 1..=ROUNDS {
        let outcome = work::run(&scene, &only, round);
        record.add(scene.sentinel(), outcome);
        eprintln!("round {number} of {ROUNDS}: {}", record.last());
    }
    println!("{}", record.table());
    record.judge(&scene.sentinel().log_text());
}
