//! `session play ID`: a recording on the terminal of whoever plays it, or the file itself where there is
//! none.

mod player;
mod reel;

use std::{fmt, str::FromStr};

use bytes::Bytes;
use clap::Args;
use jiff::Timestamp;
use serde::Serialize;
use tokio::{
    io::AsyncReadExt as _,
    time::{Instant, sleep_until},
};

use self::{
    player::{Player, Step},
    reel::{Frame, Reel},
};
use super::keys::Keys;
use crate::{
    clock,
    command::{
        context::Context,
        failure::{Failure, Kind},
        render::Format,
        report::Report,
        terminal::{Piece, Terminal},
    },
    model::text::printable,
    recording::{
        cast::Code,
        folder::{self, Name, Stored},
    },
};

/// Bytes that are read of a file at once.
const CHUNK: usize = 32 << 10;

/// Remarks of a recording that are told, at most.
const MAX_REMARKS: usize = 10;

/// Puts a terminal right, whatever was shown on it: the ordinary screen, modes, keypad, colours,
/// character set, and a cursor that is seen.
pub(super) const RESTORE: &str = "\x1b[?1049l\x1b[!p\x1b[?1000l\x1b[?1002l\x1b[?1003l\x1b[?1004l\x1b[?1006l\
    \x1b[?2004l\x1b[?1l\x1b[?7h\x1b>\x1b[r\x1b[0m\x1b(B\x0f\x1b[?25h";

/// An empty screen.
const CLEAR: &str = "\x1b[H\x1b[2J";

/// Arguments of `session play`.
#[derive(Debug, Clone, Args)]
pub(super) struct PlayArgs {
    /// The session's number; 42.2 is the second terminal of session 42
    #[arg(value_name = "ID")]
    pub(super) which: Which,
}

/// Which terminal of which session is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Which {
    pub(super) session: u64,
    pub(super) terminal: Option<u32>,
}

impl FromStr for Which {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (session, terminal) = match text.split_once('.') {
            Some((session, terminal)) => (session, Some(terminal)),
            None => (text, None),
        };
        let is_number = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
        let form = "it is the number of a session, or 42.2 for the second of its terminals";
        if !is_number(session) || !terminal.is_none_or(is_number) {
            return Err(form);
        }
        let terminal = terminal.map(str::parse).transpose().map_err(|_| form)?;
        Ok(Self { session: session.parse().map_err(|_| form)?, terminal })
    }
}

impl fmt::Display for Which {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.terminal {
            Some(terminal) => write!(f, "{}.{terminal}", self.session),
            None => write!(f, "{}", self.session),
        }
    }
}

/// What `--json` tells of a recording.
#[derive(Serialize)]
struct RecordingView {
    id: String,
    began: Timestamp,
    bytes: u64,
    file: String,
}

/// How a recording is called: `42.1`.
pub(super) fn id(name: &Name) -> String {
    format!("{}.{}", name.session, name.terminal)
}

/// The recordings that there are.
pub(super) async fn stored(context: &Context) -> Result<Vec<Stored>, Failure> {
    let path = context.recordings.clone();
    let listed = tokio::task::spawn_blocking(move || folder::list(&path)).await;
    let failed = |e: String| Failure::new(Kind::Failed, format!("read the recordings: {e}"));
    listed.map_err(|e| failed(e.to_string()))?.map_err(|e| failed(e.to_string()))
}

pub(super) async fn play(
    args: &PlayArgs,
    context: &Context,
    terminal: &mut Terminal,
) -> Result<Report, Failure> {
    let of_session: Vec<_> = stored(context).await?;
    let of_session: Vec<_> =
        of_session.into_iter().filter(|s| s.name.session == args.which.session).collect();
    let is_meant = |s: &&Stored| args.which.terminal.is_none_or(|n| n == s.name.terminal);
    let meant = of_session.iter().find(is_meant).ok_or_else(|| {
        Failure::new(Kind::NotFound, format!("there is no recording of {}", args.which))
            .hint("type `session list --past` to see what was recorded")
    })?;
    let Stored { name, path, bytes } = meant;
    let (file, began) = (path.display().to_string(), name.began);
    let view = RecordingView { id: id(name), began, bytes: *bytes, file };
    if context.format != Format::Plain {
        return Ok(Report::of(&view)?.names(vec![view.id]));
    }
    let report = if terminal.pty().is_some_and(|pty| pty.output) {
        show(meant, terminal).await?
    } else {
        print(meant, terminal).await?
    };
    let others = of_session.iter().filter(|s| s.name != *name).map(|s| id(&s.name));
    let others: Vec<_> = others.collect();
    if others.is_empty() {
        return Ok(report);
    }
    Ok(report.note(format!("this was {}; there are {}, too", view.id, others.join(", "))))
}

fn unreadable(e: impl fmt::Display) -> Failure {
    Failure::new(Kind::Failed, format!("read the recording: {e}"))
}

/// The file as it is.
async fn print(stored: &Stored, terminal: &Terminal) -> Result<Report, Failure> {
    let mut file = tokio::fs::File::open(&stored.path).await.map_err(unreadable)?;
    let printing = async {
        loop {
            let mut piece = vec![0; CHUNK];
            let length = file.read(&mut piece).await.map_err(unreadable)?;
            if length == 0 {
                return Ok(Report::default());
            }
            piece.truncate(length);
            terminal.put(piece).await;
        }
    };
    let stopped = || Err(crate::command::terminal::stopped());
    terminal.interrupted().run_until_cancelled(printing).await.unwrap_or_else(stopped)
}

/// What was shown, on this terminal.
async fn show(stored: &Stored, terminal: &mut Terminal) -> Result<Report, Failure> {
    let mut reel = Reel::open(&stored.path).await.map_err(unreadable)?;
    let title = printable(&reel.head.title, 200);
    let (columns, rows) = (reel.head.width, reel.head.height);
    terminal
        .say(&format!(
            "{title}, on {columns}x{rows}\n\
             space: pause, arrows: 5 s back or on, + and -: speed, q: end\n"
        ))
        .await;
    terminal.make_raw();
    let (input, output) = terminal.split();
    let (mut keys, mut player) = (Keys::default(), Player::new(clock::now()));
    let (mut remarks, mut listens) = (Vec::new(), true);
    let mut next = reel.next().await;
    loop {
        while let Ok(typed) = input.try_recv() {
            keys.feed(&typed, |key| player.on_key(key, clock::now()));
        }
        let step = player.next(next.as_ref().map(|frame| frame.at), clock::now());
        let until = match step {
            Step::End => break,
            Step::Rewind => {
                put(output, format!("{RESTORE}{CLEAR}").into()).await;
                reel = Reel::open(&stored.path).await.map_err(unreadable)?;
                remarks.clear();
                next = reel.next().await;
                continue;
            }
            Step::Show => {
                if let Some(Frame { at, code, text }) = next {
                    match code {
                        Code::Output => put(output, text.into()).await,
                        Code::Marker if text != "end" && remarks.len() < MAX_REMARKS => {
                            let remark = printable(&text, 200);
                            remarks.push(format!("at {} s: {remark}", at.as_secs()));
                        }
                        Code::Marker | Code::Input | Code::Resized => {}
                    }
                }
                next = reel.next().await;
                continue;
            }
            Step::Wait(until) => until,
        };
        let later = async {
            match until {
                Some(until) => sleep_until(Instant::from_std(until)).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = later => {}
            typed = input.recv(), if listens => match typed {
                Some(typed) => keys.feed(&typed, |key| player.on_key(key, clock::now())),
                None => listens = false,
            },
        }
    }
    put(output, format!("{RESTORE}\r\n").into()).await;
    Ok(remarks.into_iter().fold(Report::default(), Report::note))
}

async fn put(output: &tokio::sync::mpsc::Sender<Piece>, bytes: Bytes) {
    // Whoever is gone has no session any more, and this ends with it.
    let _ = output.send(Piece::Stdout(bytes)).await;
}
