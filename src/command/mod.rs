//! The console's grammar: words become a [`Command`], a command becomes a [`Report`].
//!
//! Called by `console` for each exec line and by `cli` for help, manual and completions. One
//! command is one file: its arguments, whose doc comments are its help, and `run`. A command reads
//! a [`Context`] and returns data; it never prints, never ends the process and never reads a file.

mod completion;
pub mod context;
mod delete;
mod explain;
pub mod failure;
mod help;
mod info;
mod key_arg;
mod list;
mod progress;
pub mod reference;
mod reload;
pub mod render;
pub mod report;
mod state;
mod status;
pub mod terminal;
#[cfg(test)]
pub(crate) mod testing;
mod usage;
mod version;
mod view;
mod whoami;
mod work;

use clap::{Args, CommandFactory, Parser, Subcommand};

pub use self::{
    completion::CompletionArgs,
    delete::DeleteArgs,
    help::HelpArgs,
    info::InfoArgs,
    list::ListArgs,
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
use crate::model::{
    key::PublicKey,
    principal::{Principal, Role},
    text::printable,
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

/// Every command. A new one does not compile until [`Command::needs`] states its right.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// List the containers
    List(ListArgs),
    /// Show everything about one container
    Info(InfoArgs),
    /// Start a container
    Start(StartArgs),
    /// Stop a container
    Stop(StopArgs),
    /// Restart a container
    Restart(RestartArgs),
    /// Delete a container with everything in it
    Delete(DeleteArgs),
    /// Show the sentinel, its backends and what is wrong
    Status,
    /// Read the configuration again
    Reload,
    /// Show who you are to the sentinel
    Whoami,
    /// Show the sentinel's version
    Version,
    /// Explain the commands, or one of them
    Help(HelpArgs),
    /// Print a shell's completion script
    Completion(CompletionArgs),
}

/// What a command asks of the person who types it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Right {
    /// To be let in at all: it tells nothing about containers.
    Enter,
    /// To see containers: a member sees those that her key opens, through [`Context::visible`].
    See,
    /// To administer.
    Administer,
}

impl Command {
    /// The right that this command needs.
    #[must_use]
    pub fn needs(&self) -> Right {
        match self {
            Self::List(_) | Self::Info(_) => Right::See,
            Self::Start(_)
            | Self::Stop(_)
            | Self::Restart(_)
            | Self::Delete(_)
            | Self::Status
            | Self::Reload => Right::Administer,
            Self::Whoami | Self::Version | Self::Help(_) | Self::Completion(_) => Right::Enter,
        }
    }

    /// What the ledger says of the command when it is run: nothing of one that changes nothing.
    /// Never a secret, and never text as it was typed.
    #[must_use]
    pub fn record(&self) -> Option<String> {
        match self {
            Self::Start(args) => Some(format!("start {}", args.name)),
            Self::Stop(args) => Some(format!("stop {}", args.name)),
            Self::Restart(args) => Some(format!("restart {}", args.name)),
            Self::Delete(args) => Some(format!("delete {}", args.name)),
            Self::Reload => Some("reload".to_owned()),
            Self::List(_)
            | Self::Info(_)
            | Self::Status
            | Self::Whoami
            | Self::Version
            | Self::Help(_)
            | Self::Completion(_) => None,
        }
    }

    /// Whether the command reads standard input.
    #[must_use]
    pub fn reads_input(&self, terminal: &Terminal) -> bool {
        match self {
            // The question whether it is meant.
            Self::Delete(args) => !args.force && terminal.pty().is_some(),
            Self::List(_)
            | Self::Info(_)
            | Self::Start(_)
            | Self::Stop(_)
            | Self::Restart(_)
            | Self::Status
            | Self::Reload
            | Self::Whoami
            | Self::Version
            | Self::Help(_)
            | Self::Completion(_) => false,
        }
    }

    /// Runs the command for a person who has the right.
    ///
    /// # Errors
    /// Whatever kept it from being done.
    pub async fn run(&self, context: &Context, terminal: &mut Terminal) -> Result<Report, Failure> {
        match self {
            Self::List(args) => list::run(args, context),
            Self::Info(args) => info::run(args, context),
            Self::Start(args) => state::start(args, context, terminal).await,
            Self::Stop(args) => state::stop(args, context, terminal).await,
            Self::Restart(args) => state::restart(args, context, terminal).await,
            Self::Delete(args) => delete::run(args, context, terminal).await,
            Self::Status => status::run(context),
            Self::Reload => reload::run(context),
            Self::Whoami => whoami::run(context),
            Self::Version => version::run(context),
            Self::Help(args) => help::run(args),
            Self::Completion(args) => completion::run(args, Grammar::command()),
        }
    }
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
    execute(&words, context, terminal).await
}

/// Runs a command given as words.
pub async fn execute(words: &[String], context: &Context, terminal: &mut Terminal) -> Outcome {
    let (command, format) = match Grammar::try_parse_from(words) {
        Ok(Grammar { output, command }) => (command, output.format()),
        Err(error) => {
            return render::outcome(&usage::explain(&error, CONSOLE), format_of(words));
        }
    };
    if !command.reads_input(terminal) {
        terminal.close_input();
    }
    let context = Context { format, ..context.clone() };
    let result = match authorize(&context.principal, command.needs()) {
        Ok(()) => command.run(&context, terminal).await,
        Err(refused) => Err(refused),
    };
    match command.record() {
        Some(record) => audit(&context.principal, &record, result.as_ref().err()),
        // What was done is told all the same; what was only asked for is not wanted any more.
        None if terminal.interrupted().is_cancelled() => {
            return render::failure(&terminal::stopped(), format);
        }
        None => {}
    }
    render::outcome(&result, format)
}

/// The one record of a command that changes something, or was not permitted to.
fn audit(principal: &Principal, command: &str, failure: Option<&Failure>) {
    tracing::info!(
        person = printable(&principal.name, 64),
        key = principal.key.as_ref().map(PublicKey::fingerprint),
        certificate = principal.certificate,
        command,
        status = failure.map_or(0, |f| f.kind.status()),
        failure = failure.map(|f| printable(&f.message, 200)),
        "command"
    );
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
        (Role::Member, Right::Administer) => {
            Err(Failure::new(Kind::NotPermitted, "only administrators may do this")
                .hint("type `whoami` to see who you are here"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{
        testing::{admin, context, execute, execute_line, member},
        *,
    };

    #[test]
    fn grammar_is_sound() {
        Grammar::command().debug_assert();
    }

    #[test]
    fn each_command_needs_its_right_and_members_get_no_more() {
        let table = [
            ("list", Right::See),
            ("info alice", Right::See),
            ("start alice", Right::Administer),
            ("stop alice", Right::Administer),
            ("restart alice", Right::Administer),
            ("delete alice", Right::Administer),
            ("status", Right::Administer),
            ("reload", Right::Administer),
            ("whoami", Right::Enter),
            ("version", Right::Enter),
            ("help", Right::Enter),
            ("completion bash", Right::Enter),
        ];
        let subcommands = Grammar::command().get_subcommands().count();
        assert_eq!(table.len(), subcommands, "the table names every command");
        for (line, right) in table {
            let words = shlex::split(line).unwrap();
            let command = Grammar::try_parse_from(&words).unwrap().command;
            assert_eq!(command.needs(), right, "{line}");
            let member = execute(&words, &context(member("alice")));
            assert_eq!(member.status == 77, right == Right::Administer, "{line}: {member:?}");
            assert_ne!(execute(&words, &context(admin())).status, 77, "{line}");
        }
    }

    #[test]
    fn unknown_words_are_usage_with_a_suggestion() {
        let outcome = execute_line(b"whoam", &context(admin()));
        assert_eq!(outcome.status, 2);
        assert_eq!(outcome.stdout, "");
        assert_eq!(
            outcome.stderr,
            "error: unrecognized subcommand 'whoam'\nhint: a similar subcommand exists: 'whoami'\n"
        );
        for line in
            ["list --stat running", "list --state up", "info", "", "info a b", "--json -q list"]
        {
            let outcome = execute_line(line.as_bytes(), &context(admin()));
            assert_eq!(outcome.status, 2, "{line}: {outcome:?}");
            let (errors, hints) =
                (outcome.stderr.matches("error: "), outcome.stderr.matches("hint: "));
            if !line.contains("--json") {
                assert_eq!((errors.count(), hints.count()), (1, 1), "{line}: {}", outcome.stderr);
                assert_eq!(outcome.stderr.lines().count(), 2, "{line}: {}", outcome.stderr);
            }
        }
        let json = execute_line(b"lst --json", &context(admin()));
        assert!(json.stdout.starts_with("{\"error\":{\"code\":\"usage\""), "{}", json.stdout);
        assert_eq!((json.stderr.as_str(), json.status), ("", 2));
    }

    #[test]
    fn exec_lines_split_as_a_shell_splits() {
        let quoted = execute_line(b"'li''st' \"--back\"end=spot-1 -q", &context(admin()));
        assert_eq!((quoted.stdout.as_str(), quoted.status), ("alice\nbob\n", 0));
        for line in [&b"info 'alice"[..], b"info \"", b"info \xff"] {
            assert_eq!(execute_line(line, &context(admin())).status, 2);
        }
        let nasty = execute_line(b"\"\x1b[2J\"", &context(admin()));
        assert!(!nasty.stderr.contains('\x1b'), "{}", nasty.stderr);
    }
}
