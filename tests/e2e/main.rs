//! The door as people meet it: a real sentinel, real hosts, real containers, real clients.
//!
//! One binary, so that the fleet is prepared once. Tests share the containers of [`world`] and
//! leave them as they found them; one that stops or breaks something makes its own.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::unused_self,
    clippy::format_push_string,
    clippy::disallowed_methods,
    clippy::print_stderr,
    missing_docs,
    unreachable_pub,
    reason = "tests"
)]

mod access;
mod channel;
mod clients;
mod console;
mod endurance;
mod fault;
mod forward;
mod gateway;
mod guard;
mod harness;
mod hold;
mod jump;
mod maintenance;
mod operation;
#[path = "../hostile/peer/mod.rs"]
#[allow(
    dead_code,
    unused_imports,
    clippy::should_implement_trait,
    clippy::struct_field_names,
    reason = "shared with the hostile peers"
)]
mod peer;
mod route;
mod session;
mod smoke;
mod terminal;
mod transfer;
mod tui;
mod tunnel;
