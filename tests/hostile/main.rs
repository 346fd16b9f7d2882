//! Hostile peers: clients that say anything at any time to a real sentinel, and an sshd behind it
//! that does the same to its client half. Each test tells an attack, most of them once real, and
//! what must be left of the sentinel afterwards: no panic, no task, no descriptor, no memory.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::unused_self,
    clippy::should_implement_trait,
    clippy::struct_field_names,
    clippy::type_complexity,
    clippy::wildcard_enum_match_arm,
    clippy::disallowed_methods,
    missing_docs,
    unreachable_pub,
    reason = "tests"
)]

mod console;
mod exchange;
mod far;
mod fixture;
mod front;
mod peer;
mod pipe;
