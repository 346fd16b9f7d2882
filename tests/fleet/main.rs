//! The fleet against real Incus, over a local socket and over SSH, from the lab's sentinel.

#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::panic,
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "tests"
)]

mod cut;
mod exec;
mod home;
mod https;
mod inventory;
mod lab;
#[path = "../e2e/harness/last.rs"]
mod last;
mod link;
