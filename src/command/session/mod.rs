//! `session list|kill|watch|play`: who is here, who was, out with her, what her terminal shows, and what
//! it showed.

mod keys;
mod list;
mod play;
mod view;
mod watch;

use std::net::SocketAddr;

use clap::{Args, Subcommand};
use jiff::Timestamp;

use self::{
    list::{ListArgs, list},
    play::{PlayArgs, play},
    watch::{WatchArgs, watch},
};
use super::{
    context::Context,
    failure::{Failure, Kind},
    report::{Part, Report},
    terminal::Terminal,
};
use crate::model::{
    key::PublicKey,
    name::{Account, ContainerName},
};

/// What the person is told whose session is ended.
const SENTENCE: &str = "an administrator ended this session";

/// Arguments of `session`.
#[derive(Debug, Clone, Args)]
pub struct SessionArgs {
    #[command(subcommand)]
    command: SessionCommand,
}

#[derive(Debug, Clone, Subcommand)]
enum SessionCommand {
    /// List the sessions that are open, or those that were
    List(ListArgs),
    /// End a session: its person is told so
    Kill(KillArgs),
    /// Look at what a session's terminal shows, from now on
    ///
    /// Nothing can be typed; q ends. What the screen shows already comes when it is drawn again.
    /// Without a terminal it is printed as it comes.
    Watch(WatchArgs),
    /// Play a recording on this terminal; without one, print its file
    ///
    /// Space pauses, the arrow keys go 5 seconds back or on, + and - change the speed, q ends. What
    /// the file holds is asciicast v2.
    Play(PlayArgs),
}

#[derive(Debug, Clone, Args)]
struct KillArgs {
    /// Its number, as `session list` and `audit` show it
    id: u64,
}

/// A session at the door that has not ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveSession {
    /// Its number: that of its records in the ledger.
    pub id: u64,
    /// Its far side is there; else it waits for it.
    pub open: bool,
    /// Since when.
    pub since: Timestamp,
    /// Who: printable.
    pub person: String,
    /// The key that signed.
    pub key: Option<PublicKey>,
    /// Key id of her certificate, when she came by one: printable.
    pub certificate: Option<String>,
    /// From where.
    pub source: SocketAddr,
    /// Where to: printable.
    pub target: String,
    /// The containers that it may lead to.
    pub containers: Vec<ContainerName>,
    /// The account inside, if it leads to one.
    pub account: Option<Account>,
}

impl SessionArgs {
    /// What the ledger says.
    pub(super) fn record(&self) -> Option<String> {
        match &self.command {
            SessionCommand::Kill(args) => Some(format!("session kill {}", args.id)),
            // Who looks at what others do and did is to be known.
            SessionCommand::Watch(args) => Some(format!("session watch {}", args.which)),
            SessionCommand::Play(args) => Some(format!("session play {}", args.which)),
            SessionCommand::List(_) => None,
        }
    }

    /// Whether it shows what is or was on another terminal.
    pub(super) fn takes_terminal(&self) -> bool {
        match &self.command {
            SessionCommand::Play(_) | SessionCommand::Watch(_) => true,
            SessionCommand::List(_) | SessionCommand::Kill(_) => false,
        }
    }

    /// Whether standard input is read: the keys while something is shown.
    pub(super) fn reads_input(&self, terminal: &Terminal) -> bool {
        self.takes_terminal() && terminal.pty().is_some()
    }
}

pub(super) async fn run(
    args: &SessionArgs,
    context: &Context,
    terminal: &mut Terminal,
) -> Result<Report, Failure> {
    match &args.command {
        SessionCommand::List(args) => list(args, context).await,
        SessionCommand::Kill(args) => kill(args.id, context),
        SessionCommand::Watch(args) => watch(args, context, terminal).await,
        SessionCommand::Play(args) => play(args, context, terminal).await,
    }
}

fn kill(id: u64, context: &Context) -> Result<Report, Failure> {
    let session = find(id, context)?;
    if !(context.sessions.end)(id, SENTENCE) {
        return Err(none(id));
    }
    let text = format!("session {id} of {} is ended", session.person);
    let view = view::SessionView::live(&session);
    Ok(Report::of(view)?.names(vec![id.to_string()]).part(Part::Text(text)))
}

/// The live session of this number.
fn find(id: u64, context: &Context) -> Result<LiveSession, Failure> {
    let found = (context.sessions.live)().into_iter().find(|session| session.id == id);
    found.ok_or_else(|| none(id))
}

fn none(id: u64) -> Failure {
    Failure::new(Kind::NotFound, format!("no session {id} is open"))
        .hint("type `session list` to see those that are")
}

#[cfg(test)]
pub(super) use tests::{example, example_of_past};

#[cfg(test)]
mod tests;
