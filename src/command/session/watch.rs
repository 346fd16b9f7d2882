//! `session watch ID`: what a terminal of a session shows, on the terminal of whoever watches, while it
//! is shown.

use clap::Args;
use tokio::sync::watch::Receiver;

use super::{
    find,
    keys::{Key, Keys},
    none,
    play::{RESTORE, Which},
};
use crate::{
    command::{
        context::Context,
        failure::{Failure, Kind},
        render::Format,
        report::Report,
        terminal::{Piece, Size, Terminal, stopped},
    },
    model::text::printable,
    recording::watch::{Ending, MAX_WATCHERS, PATIENCE, Shown, Watch},
};

/// Longest name of a watcher that others are told, in characters.
const MAX_WHO: usize = 64;

/// Arguments of `session watch`.
#[derive(Debug, Clone, Args)]
pub(super) struct WatchArgs {
    /// The session's number; 42.2 is the second terminal of session 42, else it is the newest
    #[arg(value_name = "ID")]
    pub(super) which: Which,
}

/// How it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// The watcher wants no more.
    Left,
    /// The client sent an interrupt.
    Interrupted,
    Over(Ending),
}

pub(super) async fn watch(
    args: &WatchArgs,
    context: &Context,
    terminal: &mut Terminal,
) -> Result<Report, Failure> {
    if context.format == Format::Json {
        let message = "what a terminal shows is no JSON";
        return Err(Failure::new(Kind::Usage, message).hint("leave --json away"));
    }
    let Which { session: id, terminal: wanted } = args.which;
    let session = find(id, context)?;
    if session.containers.is_empty() {
        let message = format!("session {id} leads to no container, and cannot be watched");
        return Err(Failure::new(Kind::Conflict, message).hint("`audit` has what is done there"));
    }
    let who = printable(&context.principal.name, MAX_WHO);
    let watch = (context.sessions.watch)(id, wanted, who).ok_or_else(|| none(id))?;
    let (person, target) = (&session.person, &session.target);
    let waits = if session.open { "" } else { ", which it waits for" };
    terminal
        .say(&format!("session {id} of {person}: {target}{waits}; from now on, q ends\n"))
        .await;
    let mut screen = Screen::new(id, terminal);
    let end = follow(watch, &mut screen, terminal).await;
    if screen.size.is_some() {
        terminal.put(format!("{RESTORE}\r\n")).await;
    }
    report(args.which, end, screen.shown)
}

/// What is said at the end.
fn report(which: Which, end: End, shown: Option<u32>) -> Result<Report, Failure> {
    let id = which.session;
    let note = match end {
        End::Interrupted => return Err(stopped()),
        End::Left => format!("session {id} goes on"),
        End::Over(Ending::Session) => format!("session {id} ended"),
        End::Over(Ending::Terminal) if shown.is_some() => format!("terminal {which} ended"),
        End::Over(Ending::Terminal) => {
            return Err(Failure::new(Kind::NotFound, format!("terminal {which} has ended"))
                .hint(format!("type `session watch {id}` to see the newest")));
        }
        End::Over(Ending::Stopped) => {
            let patience = PATIENCE.as_secs();
            let message =
                format!("session {id} goes on, but here nothing was taken for {patience} s");
            return Err(Failure::new(Kind::Failed, message)
                .hint(format!("type `session watch {id}` to watch it again")));
        }
        End::Over(Ending::Crowded) => {
            let message = format!("{MAX_WATCHERS} watch session {id} already");
            return Err(Failure::new(Kind::Conflict, message));
        }
    };
    Ok(Report::default().note(note))
}

/// Passes on what is shown as fast as it is taken.
async fn follow(mut watch: Watch, screen: &mut Screen, terminal: &mut Terminal) -> End {
    if screen.size.is_some() {
        terminal.make_raw();
    }
    let (interrupted, is_stopped) = (terminal.interrupted().clone(), watch.stopped());
    let (input, output) = terminal.split();
    let (mut keys, mut listens, mut waits) = (Keys::default(), true, None);
    loop {
        tokio::select! {
            biased;
            () = interrupted.cancelled() => return End::Interrupted,
            typed = input.recv(), if listens => {
                let mut has_left = false;
                let typed = typed.unwrap_or_else(|| {
                    listens = false;
                    bytes::Bytes::new()
                });
                keys.feed(&typed, |key| has_left |= key == Key::Quit);
                if has_left {
                    return End::Left;
                }
            }
            () = is_stopped.cancelled() => return End::Over(watch.ending()),
            place = output.reserve(), if waits.is_some() => match (place, waits.take()) {
                (Ok(place), Some(piece)) => place.send(piece),
                // Whoever is gone has no session any more, and this ends with it.
                (Ok(_), None) | (Err(_), _) => return End::Left,
            },
            shown = watch.next(), if waits.is_none() => match shown {
                Some(shown) => waits = screen.piece(shown),
                None => return End::Over(watch.ending()),
            },
        }
    }
}

/// What a watcher sees it on.
struct Screen {
    session: u64,
    /// Its size, if it is a terminal.
    size: Option<Receiver<Size>>,
    /// The terminal that is shown, or was last.
    shown: Option<u32>,
}

impl Screen {
    fn new(session: u64, terminal: &Terminal) -> Self {
        let size = terminal.pty().filter(|pty| pty.output).map(|pty| pty.size.clone());
        Self { session, size, shown: None }
    }

    /// What is written for this.
    fn piece(&mut self, shown: Shown) -> Option<Piece> {
        Some(match shown {
            Shown::Output(bytes) => Piece::Stdout(bytes),
            Shown::Terminal(number, size) => {
                let before = self.shown.replace(number);
                let text = format!("terminal {}.{number} of {}", self.session, self.size(size));
                self.remark(before.is_some(), &text)
            }
            Shown::Nothing => self.remark(true, "the terminal ended, and there is no other"),
            Shown::Resized(size) => {
                let own = self.size.as_ref().map(|size| *size.borrow());
                if own.is_none_or(|own| own == Size::asked(size.0, size.1)) {
                    return None;
                }
                let text = format!("the terminal is now {}", self.size(size));
                self.remark(false, &text)
            }
            Shown::Gap(bytes) => {
                let text = format!("{bytes} bytes are missing here: they were not taken in time");
                self.remark(false, &text)
            }
        })
    }

    /// A terminal's size, and this one's where it differs.
    fn size(&self, (columns, rows): (u32, u32)) -> String {
        let size = Size::asked(columns, rows);
        let Size { columns, rows } = size;
        let own = self.size.as_ref().map(|size| *size.borrow());
        match own.filter(|own| *own != size) {
            Some(own) => format!("{columns}x{rows}; this one is {}x{}", own.columns, own.rows),
            None => format!("{columns}x{rows}"),
        }
    }

    /// A line of ours between what is shown, on a terminal that is put right if it has to be.
    fn remark(&self, restores: bool, text: &str) -> Piece {
        match (&self.size, restores) {
            (Some(_), true) => Piece::Stdout(format!("{RESTORE}\r\n[{text}]\r\n").into()),
            (Some(_), false) => Piece::Stdout(format!("\r\n[{text}]\r\n").into()),
            (None, _) => Piece::Stderr(format!("note: {text}\n").into()),
        }
    }
}
