//! One session channel: from its first request to its exit status.
//!
//! Replies to requests are given by `handler`, in the connection's own order; this task reads the
//! same requests from the channel and does what they ask.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use russh::{Channel, ChannelMsg, ChannelReadHalf, ChannelWriteHalf, Pty as Mode, server::Msg};
use tokio::sync::{mpsc, watch};

use super::{
    Leave, Services, Visit, choice,
    inside::Wish,
    intake::{Intake, Interruption},
};
use crate::{
    command::{
        self,
        context::{Came, Context},
        failure::Kind,
        render::{Format, Outcome},
        terminal::{Piece, Pty, Size, Terminal},
    },
    model::{
        principal::{Principal, Role},
        text::printable,
    },
    tui::{self, theme::Look},
};

/// RFC 4254, section 5.2: `SSH_EXTENDED_DATA_STDERR`.
const STDERR: u32 = 1;

/// Longest apology shown, in characters.
pub(super) const MAX_SENTENCE: usize = 1024;

/// Longest value of `TERM`, in bytes.
const MAX_TERM: usize = 64;

/// Variables of the environment that a session may set, and the longest, in bytes with its name.
const MAX_VARIABLES: usize = 64;
const MAX_VARIABLE: usize = 4096;

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

/// A session's first request, and what came before it.
struct Asked {
    request: Request,
    pty: Option<AskedPty>,
    variables: Vec<(String, String)>,
}

/// The terminal that was asked for.
struct AskedPty {
    term: String,
    size: Size,
    modes: Vec<(Mode, u32)>,
}

/// Serves one session to its end, or until its connection has to `leave`.
pub(super) async fn run(
    channel: Channel<Msg>,
    services: Arc<Services>,
    visit: Arc<Visit>,
    leave: Leave,
) {
    let (mut read, write) = channel.split();
    let asked = tokio::select! {
        asked = first_request(&mut read, &visit) => asked,
        () = leave.wanted() => None,
    };
    let Some(Asked { request, pty, variables }) = asked else { return };
    let mut modes = Vec::new();
    let (resize, pty) = match pty {
        Some(AskedPty { term, size, modes: asked }) => {
            // So the local executable says that its standard output leads elsewhere.
            let output = !asked.contains(&(Mode::OPOST, 0));
            modes = asked;
            let (resize, size) = watch::channel(size);
            (Some(resize), Some(Pty { term, size, output }))
        }
        None => (None, None),
    };
    let on_terminal = (pty.as_ref().is_some_and(|pty| pty.output), pty.is_some());
    let (mut terminal, feed) = Terminal::pair(pty);
    let (raw, interrupted) = (feed.raw(), feed.interrupted.clone());
    let (output, intake) = Intake::new(feed, resize);
    let working = intake.working().clone();
    let work = async {
        let line = match &request {
            Request::Exec(line) => Some(line.as_slice()),
            Request::Shell | Request::Subsystem => None,
        };
        let wish = Wish { line, modes: &modes, variables: &variables };
        let outcome = answer((&request, &wish), &mut terminal, &services, &visit).await;
        drop((terminal, working.drop_guard()));
        outcome
    };
    let run = async {
        let (outcome, ()) = tokio::join!(work, pass_on(output, &write));
        deliver(&write, outcome, on_terminal).await
    };
    let dismissed = async {
        leave.wanted().await;
        if raw.load(Ordering::Relaxed) {
            // Whoever draws on the whole terminal gives it back, and ends.
            interrupted.cancel();
            std::future::pending::<()>().await;
        }
    };
    let status = tokio::select! {
        status = run => status,
        end = intake.read(&mut read) => match end {
            Interruption::Insisted => Some(Kind::Interrupted.status().into()),
            Interruption::Gone => return,
        },
        () = dismissed => return,
    };
    match (leave.sentence(), status) {
        (Some(sentence), _) => {
            part(&write, sentence).await;
            leave.give_back();
        }
        (None, Some(status)) => close(&write, status).await,
        (None, None) => {}
    }
}

/// Whether this visit answers subsystem requests: only to say why there is nothing to be had.
pub(super) fn has_subsystems(visit: &Visit) -> bool {
    match visit {
        Visit::Apology { .. } | Visit::Choice { .. } => true,
        Visit::Console(..) => false,
    }
}

/// The request that a session runs and its PTY, if any; `None`: the channel was closed.
async fn first_request(read: &mut ChannelReadHalf, visit: &Visit) -> Option<Asked> {
    let (mut pty, mut variables) = (None, Vec::new());
    loop {
        let request = match read.wait().await {
            None | Some(ChannelMsg::Close) => return None,
            Some(ChannelMsg::Exec { command, .. }) => Request::Exec(command),
            Some(ChannelMsg::RequestShell { .. }) => Request::Shell,
            Some(ChannelMsg::RequestSubsystem { .. }) if has_subsystems(visit) => {
                Request::Subsystem
            }
            Some(ChannelMsg::RequestPty {
                term, col_width, row_height, terminal_modes, ..
            }) => {
                let (term, size) = (printable(&term, MAX_TERM), Size::asked(col_width, row_height));
                pty = Some(AskedPty { term, size, modes: terminal_modes });
                continue;
            }
            Some(ChannelMsg::SetEnv { variable_name, variable_value, .. }) => {
                let length = variable_name.len() + variable_value.len();
                if variables.len() < MAX_VARIABLES && length <= MAX_VARIABLE {
                    variables.push((variable_name, variable_value));
                }
                continue;
            }
            Some(_) => continue,
        };
        return Some(Asked { request, pty, variables });
    }
}

async fn answer(
    (request, wish): (&Request, &Wish<'_>),
    terminal: &mut Terminal,
    services: &Services,
    visit: &Visit,
) -> Outcome {
    match (visit, request) {
        (Visit::Console(principal, came), Request::Exec(line)) => {
            let context = context(services, principal, *came);
            match container_of(line, &context, terminal) {
                Some(name) => screen(Some(&name), &context, wish, terminal).await,
                None => command::execute_line(line, &context, terminal).await,
            }
        }
        (Visit::Console(principal, came), Request::Shell) if terminal.pty().is_some() => {
            screen(None, &context(services, principal, *came), wish, terminal).await
        }
        (Visit::Console(..), Request::Shell | Request::Subsystem) => {
            let help = command::short_help();
            Outcome { stdout: String::new(), stderr: help.stdout, status: Kind::Usage.status() }
        }
        (Visit::Choice { containers, enter, .. }, Request::Exec(_) | Request::Shell) => {
            choice::serve(containers, enter, wish, terminal).await
        }
        (Visit::Choice { containers, .. }, Request::Subsystem) => choice::list(containers),
        (Visit::Apology { sentence, status }, _) => Outcome {
            stdout: String::new(),
            stderr: format!("error: {}\n", printable(sentence, MAX_SENTENCE)),
            status: u8::try_from(*status).unwrap_or(Kind::Unavailable.status()),
        },
    }
}

/// The full-screen interface, for administrators whose terminal can show it; else how to go on.
async fn screen(
    container: Option<&str>,
    context: &Context,
    wish: &Wish<'_>,
    terminal: &mut Terminal,
) -> Outcome {
    let look = terminal.pty().and_then(|pty| Look::of(&pty.term, wish.variables));
    match (context.principal.role, look) {
        (Role::Admin, Some(look)) => {
            let stdout = tui::driver::run(context, terminal, look, container).await;
            Outcome { stdout, stderr: String::new(), status: 0 }
        }
        (Role::Admin, None) | (Role::Member | Role::Node, _) => command::short_help(),
    }
}

/// The container that is asked for by its name alone, on a terminal: `ssh -t sentinel alice`.
fn container_of(line: &[u8], context: &Context, terminal: &Terminal) -> Option<String> {
    let name = std::str::from_utf8(line).ok()?.trim();
    let is_wanted = terminal.pty().is_some()
        && context.principal.role == Role::Admin
        && !command::is_command(name)
        && context.find(&context.snapshot(), name).is_ok();
    is_wanted.then(|| name.to_owned())
}

fn context(services: &Services, principal: &Principal, came: Option<Came>) -> Context {
    Context {
        principal: principal.clone(),
        format: Format::Plain,
        now: crate::clock::timestamp(),
        reached: came.and_then(|came| came.to),
        from: came.map(|came| came.from),
        environment: Arc::clone(&services.environment),
    }
}

/// What the command writes while it works goes to the client, as fast as it takes it.
async fn pass_on(mut output: mpsc::Receiver<Piece>, write: &ChannelWriteHalf<Msg>) {
    while let Some(piece) = output.recv().await {
        let written = match piece {
            Piece::Stdout(bytes) => write.data_bytes(bytes).await,
            Piece::Stderr(bytes) => write.extended_data_bytes(STDERR, bytes).await,
        };
        if written.is_err() {
            return;
        }
    }
}

/// Writes both outputs, waiting for the client's window. The status, unless the client went away.
async fn deliver(
    write: &ChannelWriteHalf<Msg>,
    outcome: Outcome,
    (stdout, stderr): (bool, bool),
) -> Option<u32> {
    let text = |text: String, pty| if pty { text.replace('\n', "\r\n") } else { text };
    write.data_bytes(text(outcome.stdout, stdout)).await.ok()?;
    write.extended_data_bytes(STDERR, text(outcome.stderr, stderr)).await.ok()?;
    Some(outcome.status.into())
}

/// Says why the session ended before what it ran did: that has no status, and ssh says 255.
async fn part(write: &ChannelWriteHalf<Msg>, sentence: &str) {
    let text = format!("error: {}\r\n", printable(sentence, MAX_SENTENCE));
    let _ = write.extended_data_bytes(STDERR, text).await;
    let _ = write.eof().await;
    let _ = write.close().await;
}

/// Exit status first: a multiplexing client closes on EOF, and russh answers that close at once.
async fn close(write: &ChannelWriteHalf<Msg>, status: u32) {
    // Failing means that the connection ended: nobody is left to be told.
    let _ = write.exit_status(status).await;
    let _ = write.eof().await;
    let _ = write.close().await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_without_a_size_has_the_usual_one() {
        assert_eq!(Size::asked(0, 0), Size { columns: 80, rows: 24 });
        assert_eq!(Size::asked(132, 0), Size { columns: 132, rows: 24 });
        assert_eq!(Size::asked(u32::MAX, 1), Size { columns: u16::MAX, rows: 1 });
    }
}
