//! The grammar of the executable: what runs here, and console commands for the running sentinel.
//!
//! Called by `main` with its arguments. It tells what to do and does nothing itself, except for
//! help, manual and completions, which come from the grammar alone, and for files of public keys,
//! which are read here so that the sentinel need not.

mod key_file;

use std::{ffi::OsString, path::PathBuf};

use clap::{Args, CommandFactory, Parser, Subcommand, error::ErrorKind};

use crate::command::{
    self, Command, CompletionArgs, Grammar, HELP_WIDTH, HelpArgs, OutputArgs, reference,
    render::{self, Outcome},
};

/// The SSH front door to a fleet of Incus system containers.
///
/// Console commands are those of `ssh admin@sentinel COMMAND`, with the same output and exit status:
/// 0 done, 1 failed, 2 usage, 3 not found, 4 conflict, 69 backend or sentinel unavailable, 75 try
/// later, 77 not permitted, 78 bad configuration, 130 interrupted.
#[derive(Debug, Parser)]
#[command(
    name = "containarium",
    version,
    disable_help_subcommand = true,
    subcommand_required = true,
    arg_required_else_help = false,
    term_width = HELP_WIDTH,
    after_help = "Start with `containarium serve`, then `containarium status`."
)]
struct Cli {
    #[command(flatten)]
    output: OutputArgs,
    /// Where the running sentinel listens for console commands
    #[arg(
        long,
        value_name = "FILE",
        env = "CONTAINARIUM_SOCKET",
        default_value = "/run/containarium/control.sock",
        hide_env_values = true
    )]
    socket: PathBuf,
    #[command(subcommand)]
    verb: Verb,
}

/// What runs here, without a running sentinel.
#[derive(Debug, Subcommand)]
#[command(allow_external_subcommands = true)]
enum Verb {
    /// Run the sentinel
    Serve(ConfigArgs),
    /// Work on the configuration
    #[command(subcommand, arg_required_else_help = false)]
    Config(ConfigVerb),
    /// Print the manual page
    Man,
    /// Explain the commands, or one of them
    Help(HelpArgs),
    /// Print a shell's completion script
    Completion(CompletionArgs),
    #[command(external_subcommand)]
    Console(Vec<String>),
}

#[derive(Debug, Subcommand)]
enum ConfigVerb {
    /// Report everything that is wrong with the configuration: exit status 0 nothing, 78 something
    Check(ConfigArgs),
}

#[derive(Debug, Args)]
struct ConfigArgs {
    /// The configuration
    #[arg(
        long,
        value_name = "FILE",
        env = "CONTAINARIUM_CONFIG",
        default_value = "/etc/containarium/sentinel.toml",
        hide_env_values = true
    )]
    config: PathBuf,
}

/// What the arguments ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Task {
    /// Run the sentinel with this configuration.
    Serve(PathBuf),
    /// Check this configuration.
    CheckConfig(PathBuf),
    /// Have the sentinel behind `socket` run these words.
    Remote {
        /// The control socket.
        socket: PathBuf,
        /// A console command.
        words: Vec<String>,
        /// Whether it may want a terminal: to show its steps, to ask, to be one.
        terminal: bool,
    },
    /// Print this and end.
    Print(Outcome),
}

/// Reads the arguments, the program's name first.
#[must_use]
pub fn read(arguments: impl IntoIterator<Item = OsString>) -> Task {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    Cli::try_parse_from(&arguments).map_or_else(|error| explain(&error, &arguments), task)
}

/// The whole grammar, console commands included: for help, manual and completions.
#[must_use]
pub fn grammar() -> clap::Command {
    let order = |command: clap::Command| command.display_order(0);
    let local = Cli::command().mut_subcommands(order).allow_external_subcommands(false);
    let console = Command::augment_subcommands(clap::Command::new("console"));
    let known: Vec<String> = local.get_subcommands().map(|c| c.get_name().to_owned()).collect();
    let more = console.get_subcommands().filter(|c| !known.iter().any(|k| k == c.get_name()));
    local.subcommands(more.cloned().map(order).collect::<Vec<_>>())
}

fn task(cli: Cli) -> Task {
    match cli.verb {
        Verb::Serve(ConfigArgs { config }) => Task::Serve(config),
        Verb::Config(ConfigVerb::Check(ConfigArgs { config })) => Task::CheckConfig(config),
        Verb::Man => Task::Print(manual_page()),
        Verb::Help(HelpArgs { command }) => Task::Print(command::help_of(grammar(), &command)),
        Verb::Completion(args) => Task::Print(command::completion_of(&args, grammar())),
        Verb::Console(words) => {
            let options = [(cli.output.json, "--json"), (cli.output.quiet, "--quiet")];
            let options = options.iter().filter(|(given, _)| *given).map(|(_, o)| (*o).to_owned());
            console(cli.socket, options.chain(words).collect())
        }
    }
}

fn explain(error: &clap::Error, arguments: &[OsString]) -> Task {
    let words = arguments.iter().skip(1).map(|a| a.to_string_lossy().into_owned());
    let words: Vec<String> = words.collect();
    // `--help` before any command asks for the help of all of them, not only of those that run here.
    let bare = words.iter().all(|word| word.starts_with('-'));
    if is_help(error) && bare {
        return Task::Print(command::help_of(grammar(), &[]));
    }
    Task::Print(command::explain_usage(error, &words))
}

fn is_help(error: &clap::Error) -> bool {
    error.kind() == ErrorKind::DisplayHelp
}

/// A console command goes to the sentinel as it is, but for the key files that it names; only
/// `--help` is answered here.
fn console(socket: PathBuf, words: Vec<String>) -> Task {
    let format = command::format_of(&words);
    let words = match key_file::inline(words) {
        Ok(words) => words,
        Err(refused) => return Task::Print(render::failure(&refused, format)),
    };
    match Grammar::try_parse_from(&words) {
        Err(error) if is_help(&error) => Task::Print(command::explain_usage(&error, &words)),
        // What changes nothing is over soon: what is typed meanwhile is for whoever reads next.
        Ok(grammar) => Task::Remote { socket, words, terminal: grammar.command.record().is_some() },
        Err(_) => Task::Remote { socket, words, terminal: false },
    }
}

fn manual_page() -> Outcome {
    let mut page = Vec::new();
    let stderr = match reference::manual_page(grammar(), &mut page) {
        Ok(()) => String::new(),
        Err(error) => format!("error: cannot write the manual page: {error}\n"),
    };
    let status = u8::from(!stderr.is_empty());
    Outcome { stdout: String::from_utf8_lossy(&page).into_owned(), stderr, status }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn task(line: &str) -> Task {
        read(line.split(' ').map(OsString::from))
    }

    #[test]
    fn grammar_is_sound() {
        Cli::command().debug_assert();
        grammar().debug_assert();
    }

    #[test]
    fn what_runs_here_and_what_runs_at_the_sentinel() {
        assert_eq!(task("containarium serve --config a"), Task::Serve("a".into()));
        assert_eq!(task("containarium config check --config b"), Task::CheckConfig("b".into()));
        let words = |words: &[&str]| words.iter().map(|w| (*w).to_owned()).collect();
        let remote =
            Task::Remote { socket: "/s".into(), words: words(&["list", "-q"]), terminal: false };
        assert_eq!(task("containarium --socket /s list -q"), remote);
        let words = words(&["--json", "info", "x"]);
        let remote = Task::Remote { socket: "/s".into(), words, terminal: false };
        assert_eq!(task("containarium --json --socket=/s info x"), remote);
        let Task::Remote { terminal, .. } = task("containarium shell x") else { panic!() };
        assert!(terminal);
        let Task::Remote { socket, .. } = task("containarium version") else { panic!() };
        assert_eq!(socket, Path::new("/run/containarium/control.sock"));
    }

    #[test]
    fn help_names_local_and_console_commands() {
        for line in ["containarium help", "containarium --help", "containarium -h"] {
            let Task::Print(help) = task(line) else { panic!("{line}") };
            assert_eq!((help.status, help.stderr.as_str()), (0, ""), "{line}");
            for name in ["serve", "config", "list", "info", "whoami", "help"] {
                assert!(help.stdout.contains(&format!("\n  {name} ")), "{line}: {}", help.stdout);
            }
        }
        let Task::Print(serve) = task("containarium serve --help") else { panic!() };
        assert!(serve.stdout.contains("--config <FILE>"), "{}", serve.stdout);
        let Task::Print(list) = task("containarium list --help") else { panic!() };
        assert!(list.stdout.contains("Usage: list"), "{}", list.stdout);
        let Task::Print(version) = task("containarium --version") else { panic!() };
        assert_eq!(version.stdout, format!("containarium {}\n", env!("CARGO_PKG_VERSION")));
        let Task::Print(completion) = task("containarium completion bash") else { panic!() };
        assert!(completion.stdout.contains("serve") && completion.stdout.contains("whoami"));
        let Task::Print(man) = task("containarium man") else { panic!() };
        assert!(man.stdout.contains(".TH containarium 1"), "{}", man.stdout);
        for wrong in ["containarium", "containarium serve --cnofig x", "containarium config"] {
            let Task::Print(usage) = task(wrong) else { panic!("{wrong}") };
            assert_eq!((usage.status, usage.stdout.as_str()), (2, ""), "{wrong}");
            assert_eq!(usage.stderr.lines().count(), 2, "{wrong}: {}", usage.stderr);
        }
    }

    #[test]
    fn reference_is_that_of_the_grammar() {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/commands.md");
        let current = reference::markdown(grammar());
        if std::env::var_os("UPDATE").is_some() {
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(&file, &current).unwrap();
        }
        let written = std::fs::read_to_string(&file).unwrap_or_default();
        assert!(
            written == current,
            "docs/commands.md is stale: write it anew with `UPDATE=1 cargo test reference`"
        );
    }
}
