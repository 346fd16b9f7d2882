//! The person in front of the local executable: her terminal, and the signals that she sends.

use std::io::{self, IsTerminal, stderr, stdin, stdout};

use rustix::{
    process::getpgrp,
    termios::{OptionalActions, Termios, tcgetattr, tcgetpgrp, tcgetwinsize, tcsetattr},
};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::command::terminal::Size;

/// What a terminal without a type is taken for.
const NO_TYPE: &str = "dumb";

/// The person.
#[derive(Debug)]
pub struct Person {
    terminal: bool,
    reads: bool,
    resized: Signal,
    interrupted: Signal,
    ending: [Signal; 3],
}

/// What she did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    /// Her terminal has another size.
    Resized(Size),
    /// She wants the command to stop.
    Interrupted,
    /// The process is to end, by this signal.
    End(u8),
}

/// What a terminal looks like to a command.
#[derive(Debug)]
pub(super) struct Look {
    pub(super) term: String,
    pub(super) size: Size,
    /// Standard output is on it, too.
    pub(super) output: bool,
}

impl Person {
    /// She who started this process. Without `terminal`, or unless standard input and error are one
    /// and this process has it for itself, she has none. Call it inside a runtime; the process does
    /// not end by signals any more.
    ///
    /// # Errors
    /// The system does not tell of signals.
    pub fn of_process(terminal: bool) -> io::Result<Self> {
        // A job in the background would be stopped for touching its terminal.
        let foreground = || tcgetpgrp(stdin()).is_ok_and(|group| group == getpgrp());
        let reads = !stdin().is_terminal() || terminal && foreground();
        Ok(Self {
            terminal: terminal && reads && stdin().is_terminal() && stderr().is_terminal(),
            reads,
            resized: signal(SignalKind::window_change())?,
            interrupted: signal(SignalKind::interrupt())?,
            ending: [
                signal(SignalKind::hangup())?,
                signal(SignalKind::quit())?,
                signal(SignalKind::terminate())?,
            ],
        })
    }

    /// Whether standard input is read. What is typed at a terminal that the command does not want is
    /// for whoever reads it next.
    pub(super) fn reads(&self) -> bool {
        self.reads
    }

    /// Her terminal, if she has one.
    pub(super) fn look(&self) -> Option<Look> {
        let term = std::env::var("TERM").ok().filter(|term| !term.is_empty());
        self.terminal.then(|| Look {
            term: term.unwrap_or_else(|| NO_TYPE.to_owned()),
            size: size(),
            output: stdout().is_terminal(),
        })
    }

    /// Passes on every key as it is typed, until what is returned is dropped.
    pub(super) fn make_raw(&self) -> Option<Raw> {
        let before = self.terminal.then(|| tcgetattr(stdin()).ok()).flatten()?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(stdin(), OptionalActions::Drain, &raw).ok()?;
        Some(Raw(before))
    }

    /// What she does next.
    pub(super) async fn next(&mut self) -> Turn {
        let [hangup, quit, terminate] = &mut self.ending;
        let number = |kind: SignalKind| u8::try_from(kind.as_raw_value()).unwrap_or(u8::MAX);
        tokio::select! {
            Some(()) = self.resized.recv() => Turn::Resized(size()),
            Some(()) = self.interrupted.recv() => Turn::Interrupted,
            Some(()) = hangup.recv() => Turn::End(number(SignalKind::hangup())),
            Some(()) = quit.recv() => Turn::End(number(SignalKind::quit())),
            Some(()) = terminate.recv() => Turn::End(number(SignalKind::terminate())),
            else => std::future::pending().await,
        }
    }
}

/// A terminal that is raw; dropping it, also by a panic, makes it as it was before.
#[derive(Debug)]
pub(super) struct Raw(Termios);

impl Drop for Raw {
    fn drop(&mut self) {
        // Fails only when the terminal is gone.
        let _ = tcsetattr(stdin(), OptionalActions::Drain, &self.0);
    }
}

fn size() -> Size {
    match tcgetwinsize(stdin()) {
        Ok(size) if size.ws_col > 0 && size.ws_row > 0 => {
            Size { columns: size.ws_col, rows: size.ws_row }
        }
        Ok(_) | Err(_) => Size::USUAL,
    }
}
