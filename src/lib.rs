//! Containarium: the SSH front door to a fleet of Incus system containers.
//!
//! One line per module, in dependency order: a module uses those above it, never those below
//! (`tests/architecture.rs` checks it). Modules marked pure have no async, clock, file or socket.
//!
//! | module | what it is |
//! |---|---|
//! | [`model`] | pure: the words of the domain, names, keys, containers, the inventory |
//! | [`clock`] | the clocks, read by drivers only |
//! | [`process`] | what this process uses: tasks, descriptors, memory |
//! | [`config`] | `sentinel.toml` to [`config::Config`]; errors name file, line and key |
//! | [`wire`] | pure: SSH transport and authentication, sans-IO, both roles |
//! | [`access`] | pure: a login name and a proven key become a permit, or nothing |
//! | [`store`] | files that must outlive a restart: keys, the cached inventory |
//! | [`audit`] | the ledger: what happened, one record for each decision and each session |
//! | [`recording`] | terminals of sessions, written down as they were seen |
//! | [`link`] | connections to backends: SSH, one for control, one per user stream; HTTPS |
//! | [`web`] | requests to servers that are not ours: bounded, verified |
//! | [`webhook`] | people are told what happens |
//! | [`incus`] | the Incus REST API over any stream |
//! | [`fleet`] | what runs where: one writer, published on a watch channel |
//! | [`health`] | what is alive: checks, and the machine that reads their results |
//! | [`gateway`] | what the kernel forwards: rules of our own chains |
//! | [`recovery`] | what to do about a host that is down: start it, with restraint |
//! | [`guard`] | who fails to log in too often is kept out, and never one's own people |
//! | [`reach`] | a byte stream to a container's sshd: direct, link, exec |
//! | [`command`] | the console grammar: arguments, rights, reports |
//! | [`tui`] | the full-screen interface: screens over the commands' reports |
//! | [`console`] | the SSH server that serves commands on a stream; the control socket |
//! | [`cli`] | the grammar of the executable: what runs here, what the running sentinel does |
//! | [`door`] | the SSH front: accept, authenticate, pipe, sessions |
//! | [`telemetry`] | logging |
//! | [`app`] | composition root, the only module that knows all others |
//!
//! Invariants: identity is the key that signed; what was authorised is what is dialled
//! ([`access::Permit`]); a container is believed only under its pinned host key; bytes from
//! outside reach logs and terminals only through [`model::text`].

pub mod access;
pub mod app;
pub mod audit;
pub mod cli;
pub mod clock;
pub mod command;
pub mod config;
pub mod console;
pub mod door;
pub mod fleet;
pub mod gateway;
pub mod guard;
pub mod health;
pub mod incus;
pub mod link;
pub mod model;
pub mod process;
pub mod reach;
pub mod recording;
pub mod recovery;
pub mod store;
pub mod telemetry;
pub mod tui;
pub mod web;
pub mod webhook;
pub mod wire;
