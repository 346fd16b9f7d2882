//! `help [COMMAND]`: the grammar explains itself.

use clap::{Args, CommandFactory};

use super::{
    CONSOLE, Grammar,
    failure::{Failure, Kind},
    report::{Part, Report},
    usage,
};

/// Arguments of `help`.
#[derive(Debug, Clone, Default, Args)]
pub struct HelpArgs {
    /// The command to explain
    pub command: Vec<String>,
}

pub(super) fn run(args: &HelpArgs) -> Result<Report, Failure> {
    of(Grammar::command(), &args.command, CONSOLE)
}

/// The help of the command at `path` in `grammar`; `program` is left out of the usage lines.
pub(super) fn of(
    mut grammar: clap::Command,
    path: &[String],
    program: &str,
) -> Result<Report, Failure> {
    grammar.build();
    let mut command = &mut grammar;
    for word in path {
        command = command.find_subcommand_mut(word).ok_or_else(|| {
            Failure::new(Kind::Usage, format!("no command named \"{word}\""))
                .hint("type `help` to see the commands")
        })?;
    }
    let help = if path.is_empty() { command.render_help() } else { command.render_long_help() };
    let text = usage::without(program, &help.to_string());
    let names = command.get_subcommands().map(|c| c.get_name().to_owned()).collect();
    let report = Report::of(serde_json::json!({ "text": text }))?;
    Ok(report.names(names).part(Part::Text(text)))
}

#[cfg(test)]
mod tests {
    use crate::command::testing::*;

    #[test]
    fn help_names_every_command_and_explains_one() {
        let help = execute_line(b"help", &context(member("alice")));
        assert_eq!(help.status, 0);
        for name in ["list", "info", "status", "whoami", "version", "help", "completion"] {
            assert!(help.stdout.contains(&format!("\n  {name} ")), "{}", help.stdout);
        }
        let list = execute_line(b"help list", &context(admin()));
        assert!(list.stdout.contains("--backend <BACKEND>"), "{}", list.stdout);
        assert!(list.stdout.contains("Usage: list [OPTIONS]"), "{}", list.stdout);
        assert_eq!(execute_line(b"list --help", &context(admin())).status, 0);
        assert_eq!(execute_line(b"help nothing", &context(admin())).status, 2);
    }
}
