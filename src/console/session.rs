//! One session channel: from its first request to its exit status.
//!
//! Replies to requests are given by `handler`, in the connection's own order; this task reads the
//! same requests from the channel and does what they ask.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use russh::{Channel, ChannelMsg, ChannelReadHalf, ChannelWriteHalf, Sig, server::Msg};

use super::{Services, Visit};
use crate::{
    command::{
        self,
        context::Context,
        failure::{Failure, Kind},
        render::{Format, Outcome, failure},
    },
    model::{name::ContainerName, principal::Principal, text::printable},
};

/// RFC 4254, section 5.2: `SSH_EXTENDED_DATA_STDERR`.
const STDERR: u32 = 1;

/// What Ctrl-C sends when a terminal is in raw mode, as it is while a PTY was requested.
const ETX: u8 = 3;

/// Longest apology shown, in characters.
const MAX_SENTENCE: usize = 1024;

/// What `handler` and the task of one session share.
#[derive(Debug, Default)]
pub(super) struct Slot {
    started: AtomicBool,
}

impl Slot {
    /// Claims the one request that a session runs; `false`: it has been made already.
    pub(super) fn start(&self) -> bool {
        !self.started.swap(true, Ordering::Relaxed)
    }

    pub(super) fn is_started(&self) -> bool {
        self.started.load(Ordering::Relaxed)
    }
}

/// What a session asked for.
enum Request {
    Exec(Vec<u8>),
    Shell,
    Subsystem,
}

/// Serves one session to its end.
pub(super) async fn run(channel: Channel<Msg>, services: Arc<Services>, visit: Arc<Visit>) {
    let (mut read, write) = channel.split();
    let Some((request, pty)) = first_request(&mut read, &visit).await else { return };
    let run = async {
        let outcome = answer(&request, pty, &services, &visit);
        deliver(&write, outcome, pty).await
    };
    let status = tokio::select! {
        status = run => status,
        end = interruption(&mut read, pty) => match end {
            Interruption::Signal => Some(Kind::Interrupted.status().into()),
            Interruption::Gone => return,
        },
    };
    if let Some(status) = status {
        close(&write, status).await;
    }
}

/// Whether this visit answers subsystem requests: only to say why there is nothing to be had.
pub(super) fn has_subsystems(visit: &Visit) -> bool {
    match visit {
        Visit::Apology { .. } | Visit::Choice { .. } => true,
        Visit::Console(_) => false,
    }
}

/// The request that a session runs and whether it has a PTY; `None`: the channel was closed.
async fn first_request(read: &mut ChannelReadHalf, visit: &Visit) -> Option<(Request, bool)> {
    let mut pty = false;
    loop {
        let request = match read.wait().await {
            None | Some(ChannelMsg::Close) => return None,
            Some(ChannelMsg::Exec { command, .. }) => Request::Exec(command),
            Some(ChannelMsg::RequestShell { .. }) => Request::Shell,
            Some(ChannelMsg::RequestSubsystem { .. }) if has_subsystems(visit) => {
                Request::Subsystem
            }
            Some(ChannelMsg::RequestPty { .. }) => {
                pty = true;
                continue;
            }
            Some(_) => continue,
        };
        return Some((request, pty));
    }
}

fn answer(request: &Request, pty: bool, services: &Services, visit: &Visit) -> Outcome {
    match (visit, request) {
        (Visit::Console(principal), Request::Exec(line)) => {
            command::execute_line(line, &context(services, principal))
        }
        (Visit::Console(_), Request::Shell) if pty => command::short_help(),
        (Visit::Console(_), Request::Shell | Request::Subsystem) => {
            let help = command::short_help();
            Outcome { stdout: String::new(), stderr: help.stdout, status: Kind::Usage.status() }
        }
        (Visit::Choice { containers, .. }, _) => {
            let names: Vec<&str> = containers.iter().map(ContainerName::as_str).collect();
            let first = names.first().copied().unwrap_or("NAME");
            let message = format!("several containers know this key: {}", names.join(", "));
            let hint = format!("log in as the one you mean: ssh -l {first} HOST");
            failure(&Failure::new(Kind::Usage, message).hint(hint), Format::Plain)
        }
        (Visit::Apology { sentence, status }, _) => Outcome {
            stdout: String::new(),
            stderr: format!("error: {}\n", printable(sentence, MAX_SENTENCE)),
            status: u8::try_from(*status).unwrap_or(Kind::Unavailable.status()),
        },
    }
}

fn context(services: &Services, principal: &Principal) -> Context {
    Context {
        principal: principal.clone(),
        inventory: services.inventory.clone(),
        usage: Arc::clone(&services.usage),
        started: services.started,
        now: crate::clock::timestamp(),
        reload: Arc::clone(&services.reload),
        version: services.version,
    }
}

/// Writes both outputs, waiting for the client's window. The status, unless the client went away.
async fn deliver(write: &ChannelWriteHalf<Msg>, outcome: Outcome, pty: bool) -> Option<u32> {
    let text = |text: String| if pty { text.replace('\n', "\r\n") } else { text };
    write.data_bytes(text(outcome.stdout)).await.ok()?;
    write.extended_data_bytes(STDERR, text(outcome.stderr)).await.ok()?;
    Some(outcome.status.into())
}

/// Exit status first: a multiplexing client closes on EOF, and russh answers that close at once.
async fn close(write: &ChannelWriteHalf<Msg>, status: u32) {
    // Failing means that the connection ended: nobody is left to be told.
    let _ = write.exit_status(status).await;
    let _ = write.eof().await;
    let _ = write.close().await;
}

enum Interruption {
    Signal,
    Gone,
}

/// Reads and drops what the client sends, until that ends the session.
async fn interruption(read: &mut ChannelReadHalf, pty: bool) -> Interruption {
    loop {
        match read.wait().await {
            None | Some(ChannelMsg::Close) => return Interruption::Gone,
            Some(ChannelMsg::Signal { signal: Sig::INT | Sig::TERM | Sig::HUP }) => {
                return Interruption::Signal;
            }
            Some(ChannelMsg::Data { data }) if pty && data.contains(&ETX) => {
                return Interruption::Signal;
            }
            Some(_) => {}
        }
    }
}
