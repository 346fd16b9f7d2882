//! A session of somebody whose key opens several containers: she chooses one, and the session goes
//! on inside it as if she had logged in there.

use std::{fmt, sync::Arc, time::Duration};

use futures_util::future::BoxFuture;
use tokio::{sync::mpsc, time::timeout};

use super::{
    inside::{End, Inside, Wish},
    picker::{Keys, Picker, Step, find},
};
use crate::{
    command::{
        failure::{Failure, Kind},
        render::{Format, Outcome, failure},
        terminal::{Pty, Terminal, stopped},
    },
    model::{name::ContainerName, text::printable},
};

/// How long the rest of an arrow key may take to come behind its Esc.
const ESCAPE: Duration = Duration::from_millis(100);

/// Lines for a person that may wait to be shown.
const LINES: usize = 8;

/// Answers that are no choice before the session ends, where nothing can be drawn.
const ATTEMPTS: usize = 3;

/// Logs in to a container of the visitor's choice, whom the door judges anew.
#[derive(Clone)]
pub struct Enter(Arc<Way>);

type Way = dyn Fn(ContainerName, Lines) -> Entering + Send + Sync;
type Entering = BoxFuture<'static, Result<Inside, Turned>>;

/// Where she is told, a line at a time and without its end, what is waited for.
pub type Lines = mpsc::Sender<String>;

/// Why she does not get in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Turned {
    /// One line, without `error:`.
    pub sentence: String,
    /// Exit status: 69, 75 or 77.
    pub status: u32,
}

impl Enter {
    /// By way of `enter`.
    pub fn new(
        enter: impl Fn(ContainerName, Lines) -> BoxFuture<'static, Result<Inside, Turned>>
        + Send
        + Sync
        + 'static,
    ) -> Self {
        Self(Arc::new(enter))
    }
}

impl fmt::Debug for Enter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Enter").finish_non_exhaustive()
    }
}

/// Lets her choose on her terminal, and runs her session inside.
pub(super) async fn serve(
    containers: &[ContainerName],
    enter: &Enter,
    wish: &Wish<'_>,
    terminal: &mut Terminal,
) -> Outcome {
    let chosen = match terminal.pty().cloned() {
        Some(pty) if pty.term != "dumb" => pick(containers, pty, terminal).await,
        Some(_) => ask(containers, terminal).await,
        None => return list(containers),
    };
    let name = match chosen {
        Ok(name) => name,
        Err(refused) => return failure(&refused, Format::Plain),
    };
    let end = match go(name.clone(), enter, terminal).await {
        Ok(inside) => inside.run(wish, terminal).await,
        Err(Turned { sentence, status }) => return said(&sentence, status),
    };
    match end {
        Ok(End::Status(status)) => quiet(status),
        Ok(End::Ended(sentence)) => said(&sentence, Kind::Unavailable.status().into()),
        Ok(End::Lost) | Err(_) => {
            let sentence = format!("the connection to {name} was lost");
            said(&sentence, Kind::TryLater.status().into())
        }
    }
}

/// Logs in to the container; she is told what is waited for, and Ctrl-C ends that.
async fn go(name: ContainerName, enter: &Enter, terminal: &Terminal) -> Result<Inside, Turned> {
    let (lines, mut told) = mpsc::channel(LINES);
    let entering = (enter.0)(name, lines);
    tokio::pin!(entering);
    terminal.make_ordinary();
    loop {
        tokio::select! {
            entered = &mut entering => {
                terminal.make_raw();
                return entered;
            }
            Some(line) = told.recv() => terminal.say(&format!("{line}\n")).await,
            () = terminal.interrupted().cancelled() => {
                let status = Kind::Interrupted.status().into();
                return Err(Turned { sentence: stopped().message, status });
            }
        }
    }
}

/// What scripts get, which cannot choose.
pub(super) fn list(containers: &[ContainerName]) -> Outcome {
    let names: Vec<&str> = containers.iter().map(ContainerName::as_str).collect();
    let first = names.first().copied().unwrap_or("NAME");
    let message = format!("several containers know this key: {}", names.join(", "));
    let hint = format!("log in as the one you mean: ssh -l {first} HOST");
    failure(&Failure::new(Kind::Usage, message).hint(hint), Format::Plain)
}

/// A list that moves.
async fn pick(
    names: &[ContainerName],
    mut pty: Pty,
    terminal: &mut Terminal,
) -> Result<ContainerName, Failure> {
    terminal.make_raw();
    let (mut picker, mut keys) = (Picker::new(names), Keys::default());
    let mut drawn = 0;
    let step = 'picked: loop {
        let lines = picker.draw(*pty.size.borrow_and_update());
        terminal.put(format!("{}{}", back(drawn), lines.join("\x1b[K\r\n"))).await;
        drawn = lines.len();
        let patience = if keys.is_open() { ESCAPE } else { Duration::MAX };
        let interrupted = terminal.interrupted().clone();
        let piece = tokio::select! {
            piece = timeout(patience, terminal.read()) => piece,
            // Drawn anew, in the new size.
            Ok(()) = pty.size.changed() => continue,
            () = interrupted.cancelled() => break Step::Leave,
        };
        // A lone Esc, or the end of input.
        let Ok(Some(piece)) = piece else { break Step::Leave };
        for byte in piece {
            match keys.feed(byte).map_or(Step::Stay, |key| picker.press(key)) {
                Step::Stay => {}
                end @ (Step::Chosen(_) | Step::Leave) => break 'picked end,
            }
        }
    };
    terminal.put(back(drawn)).await;
    match step {
        Step::Chosen(at) => names.get(at).cloned().ok_or_else(stopped),
        Step::Stay | Step::Leave => Err(stopped()),
    }
}

/// To the beginning of what was drawn, and all of it gone (ECMA-48: CR, CUU, ED).
fn back(drawn: usize) -> String {
    match drawn {
        0 => String::new(),
        1 => "\r\x1b[J".to_owned(),
        _ => format!("\r\x1b[{}A\x1b[J", drawn - 1),
    }
}

/// A list and a question, for a terminal on which nothing can be drawn.
async fn ask(names: &[ContainerName], terminal: &mut Terminal) -> Result<ContainerName, Failure> {
    let numbered = names.iter().zip(1..).map(|(name, number)| format!("{number}  {name}\n"));
    terminal.print(&numbered.collect::<String>()).await;
    for _ in 0..ATTEMPTS {
        terminal.say("number or name: ").await;
        let line = terminal.line().await?.ok_or_else(stopped)?;
        let typed = String::from_utf8_lossy(&line);
        if let Some(name) = find(names, typed.trim()).and_then(|at| names.get(at)) {
            return Ok(name.clone());
        }
    }
    Err(stopped())
}

fn quiet(status: u32) -> Outcome {
    let status = u8::try_from(status).unwrap_or(u8::MAX);
    Outcome { stdout: String::new(), stderr: String::new(), status }
}

fn said(sentence: &str, status: u32) -> Outcome {
    let stderr = format!("error: {}\n", printable(sentence, super::session::MAX_SENTENCE));
    Outcome { stderr, ..quiet(status) }
}
