//! The door as people meet it: a real sentinel, real hosts, real containers, real clients.
//!
//! One binary, so that the fleet is prepared once. Tests share the containers of [`world`] and
//! leave them as they found them; one that stops or breaks something makes its own.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    unreachable_pub,
    reason = "tests"
)]

mod access;
mod fault;
mod channel;
mod forward;
mod harness;
mod operation;
mod route;
mod jump;
mod session;
mod smoke;
mod terminal;
mod transfer;
