//! The console's grammar: words become a [`Command`], a command becomes a [`Report`].
//!
//! Called by `console` for each exec line and by `cli` for help, manual and completions. One
//! command is one file: its arguments, whose doc comments are its help, and `run`. A command reads
//! a [`Context`] and returns data; it never prints, never ends the process and never reads a file.

mod adopt;
mod audit;
mod backend;
mod ban;
mod certificate;
mod collaborator;
mod completion;
pub mod context;
mod create;
mod delete;
mod explain;
mod export;
pub mod failure;
mod gateway;
mod grammar;
mod help;
mod image;
mod info;
#[cfg(test)]
mod json_reference;
mod key;
pub(crate) mod key_arg;
mod list;
mod live;
mod logs;
mod people;
mod progress;
mod provision;
pub mod reference;
mod reload;
pub mod render;
pub mod report;
mod resize;
mod session;
mod shell;
mod stack;
mod state;
mod status;
pub mod terminal;
#[cfg(test)]
pub(crate) mod testing;
mod usage;
mod version;
pub(crate) mod view;
pub mod wake;
mod whoami;
mod work;

use clap::{Args, CommandFactory, Parser};

pub use self::{
    adopt::AdoptArgs,
    audit::AuditArgs,
    backend::BackendCommand,
    ban::BanArgs,
    collaborator::CollaboratorArgs,
    completion::CompletionArgs,
    create::CreateArgs,
    delete::DeleteArgs,
    export::ExportArgs,
    grammar::{Command, Right},
    help::HelpArgs,
    image::ImageCommand,
    info::InfoArgs,
    key::KeyArgs,
    list::ListArgs,
    logs::LogsArgs,
    resize::ResizeArgs,
    session::{LiveSession, SessionArgs},
    shell::ShellArgs,
    stack::StackCommand,
    state::{RestartArgs, StartArgs, StopArgs},
    usage::format_of,
};
use self::{
    context::Context,
    failure::{Failure, Kind},
    render::{Format, Outcome},
    report::Report,
    terminal::Terminal,
};
use crate::{
    audit::{Actor, Event},
    model::principal::{Principal, Role},
};

/// Columns that help text is wrapped to; the width of a caller's terminal is not known here.
pub const HELP_WIDTH: usize = 100;

/// What the console leaves out of usage lines, as nobody types it there.
const CONSOLE: &str = "containarium ";

/// The containers of this fleet, and the hosts they run on.
///
/// Every command prints its result on standard output and remarks on standard error, and ends with
/// 0 done, 1 failed, 2 usage, 3 not found, 4 conflict, 69 backend unavailable, 75 try later, 77 not
/// permitted, 78 bad configuration or 130 interrupted.
#[derive(Debug, Parser)]
#[command(
    name = "containarium",
    no_binary_name = true,
    disable_help_subcommand = true,
    term_width = HELP_WIDTH,
    after_help = "Start with `list`; `help COMMAND` explains a command."
)]
pub struct Grammar {
    /// How the result is printed.
    #[command(flatten)]
    pub output: OutputArgs,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Options of every command.
#[derive(Debug, Clone, Copy, Args)]
pub struct OutputArgs {
    /// Print one JSON value, errors too
    #[arg(long, global = true)]
    pub json: bool,
    /// Print names only, one a line
    #[arg(short, long, global = true, conflicts_with = "json")]
    pub quiet: bool,
}

impl OutputArgs {
    /// The format asked for.
    #[must_use]
    pub fn format(self) -> Format {
        match (self.json, self.quiet) {
            (true, _) => Format::Json,
            (false, true) => Format::Quiet,
            (false, false) => Format::Plain,
        }
    }
}

/// Runs one exec line, split as a POSIX shell splits words; no shell ever sees it.
pub async fn execute_line(line: &[u8], context: &Context, terminal: &mut Terminal) -> Outcome {
    let words = std::str::from_utf8(line).ok().and_then(shlex::split);
    let Some(words) = words else {
        let failure = Failure::new(Kind::Usage, "unbalanced quotes, or text that is not UTF-8")
            .hint("quote as for a shell; type `help` to see the commands");
        return render::failure(&failure, Format::Plain);
    };
    execute(&key_arg::rejoin(&words), context, terminal).await
}

/// How a command goes on, for whoever runs it on a screen with other things on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// It tells something, all at once, and changes nothing. So do words that are no command.
    Tells,
    /// It does something, or goes on telling.
    Works,
    /// It has the terminal for itself.
    TakesTerminal,
}

/// How the command of these words goes on.
#[must_use]
pub fn manner(words: &[String]) -> Manner {
    match Grammar::try_parse_from(key_arg::rejoin(words)) {
        Ok(Grammar { command, .. }) if command.takes_terminal() => Manner::TakesTerminal,
        Ok(Grammar { command: Command::Logs(_), .. }) => Manner::Works,
        Ok(Grammar { command: Command::Audit(args), .. }) if args.follows() => Manner::Works,
        Ok(Grammar { command, .. }) if command.record().is_some() => Manner::Works,
        Ok(_) | Err(_) => Manner::Tells,
    }
}

/// Runs a command given as words.
pub async fn execute(words: &[String], context: &Context, terminal: &mut Terminal) -> Outcome {
    match Grammar::try_parse_from(words) {
        Ok(Grammar { output, command }) => {
            let format = output.format();
            let context = Context { format, ..context.clone() };
            render::outcome(&perform(&command, &context, terminal).await, format)
        }
        Err(error) => render::outcome(&usage::explain(&error, CONSOLE), format_of(words)),
    }
}

/// Whether a command begins with this word.
#[must_use]
pub fn is_command(word: &str) -> bool {
    Grammar::command().find_subcommand(word).is_some()
}

/// Runs a command given as words; what it has to say, as data.
///
/// # Errors
/// The words are no command, or it failed, or was not permitted.
pub async fn answer(
    words: &[String],
    context: &Context,
    terminal: &mut Terminal,
) -> Result<Report, Failure> {
    match Grammar::try_parse_from(key_arg::rejoin(words)) {
        Ok(Grammar { command, .. }) => perform(&command, context, terminal).await,
        Err(error) => usage::explain(&error, CONSOLE),
    }
}

async fn perform(
    command: &Command,
    context: &Context,
    terminal: &mut Terminal,
) -> Result<Report, Failure> {
    if !command.reads_input(terminal) {
        terminal.close_input();
    }
    let record = Record { context, command, text: command.record() };
    let is_recorded = record.text.is_some();
    let result = match authorize(&context.principal, command.needs()) {
        Ok(()) => command.run(context, terminal).await,
        Err(refused) => Err(refused),
    };
    record.end(result.as_ref());
    // What was done is told all the same; what was only asked for is not wanted any more.
    if !is_recorded && terminal.interrupted().is_cancelled() {
        return Err(terminal::stopped());
    }
    result
}

/// What is wrong, a sentence each; may hold untrusted text.
#[must_use]
pub fn alarms(context: &Context) -> Vec<String> {
    status::problems_now(context)
}

/// The one record of a command that changes something, or was not permitted to. It is written when
/// this goes, at the latest: whoever cuts her connection leaves a record, too.
struct Record<'a> {
    context: &'a Context,
    command: &'a Command,
    text: Option<String>,
}

impl Record<'_> {
    fn end(mut self, result: Result<&Report, &Failure>) {
        let status = result.map_or_else(|f| f.kind.status(), |report| report.status);
        self.put(status, result.err().map(|failure| failure.message.clone()));
    }

    fn put(&mut self, status: u8, failure: Option<String>) {
        let Some(command) = self.text.take() else { return };
        self.context.ledger.record(Event::Command(crate::audit::Command {
            actor: Actor::from(&self.context.principal),
            command,
            container: self.command.container(),
            status,
            failure,
        }));
    }
}

impl Drop for Record<'_> {
    fn drop(&mut self) {
        self.put(Kind::Interrupted.status(), Some("its session ended before it did".to_owned()));
    }
}

/// The text that greets somebody who typed no command.
#[must_use]
pub fn short_help() -> Outcome {
    render::outcome(&help::run(&HelpArgs::default()), Format::Plain)
}

/// Renders an error of clap's, for grammars that hold this one.
#[must_use]
pub fn explain_usage(error: &clap::Error, words: &[String]) -> Outcome {
    render::outcome(&usage::explain(error, ""), format_of(words))
}

/// Prints the help of `path` in `grammar`, for grammars that hold this one.
#[must_use]
pub fn help_of(grammar: clap::Command, path: &[String]) -> Outcome {
    render::outcome(&help::of(grammar, path, ""), Format::Plain)
}

/// Prints the completion script of `grammar`, for grammars that hold this one.
#[must_use]
pub fn completion_of(args: &CompletionArgs, grammar: clap::Command) -> Outcome {
    render::outcome(&completion::run(args, grammar), Format::Plain)
}

fn authorize(principal: &Principal, right: Right) -> Result<(), Failure> {
    match (principal.role, right) {
        (Role::Admin, Right::Enter | Right::See | Right::Administer)
        | (Role::Member, Right::Enter | Right::See) => Ok(()),
        (Role::Member, Right::Administer)
        | (Role::Node, Right::Enter | Right::See | Right::Administer) => {
            Err(Failure::new(Kind::NotPermitted, "only administrators may do this")
                .hint("type `whoami` to see who you are here"))
        }
    }
}

#[cfg(test)]
mod tests;
