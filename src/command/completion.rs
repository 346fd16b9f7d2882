//! `completion SHELL`: a completion script for the local executable, generated from the grammar.

use clap::{Args, ValueEnum};
use clap_complete::shells;

use super::{
    failure::{Failure, Kind},
    report::{Part, Report},
};

/// Arguments of `completion`.
#[derive(Debug, Clone, Args)]
pub struct CompletionArgs {
    /// The shell to complete for
    #[arg(value_enum)]
    pub shell: Shell,
}

/// Shells with a completion script.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Shell {
    /// GNU Bash
    Bash,
    /// Z shell
    Zsh,
    /// fish
    Fish,
}

pub(super) fn run(args: &CompletionArgs, mut grammar: clap::Command) -> Result<Report, Failure> {
    let mut script = Vec::new();
    let name = grammar.get_name().to_owned();
    match args.shell {
        Shell::Bash => clap_complete::generate(shells::Bash, &mut grammar, name, &mut script),
        Shell::Zsh => clap_complete::generate(shells::Zsh, &mut grammar, name, &mut script),
        Shell::Fish => clap_complete::generate(shells::Fish, &mut grammar, name, &mut script),
    }
    let text = String::from_utf8(script)
        .map_err(|_| Failure::new(Kind::Failed, "the generated script is not UTF-8"))?;
    Ok(Report::of(serde_json::json!({ "text": text }))?.part(Part::Text(text)))
}

#[cfg(test)]
mod tests {
    use crate::command::testing::*;

    #[test]
    fn every_shell_has_a_script_that_knows_the_commands() {
        for shell in ["bash", "zsh", "fish"] {
            let line = format!("completion {shell}");
            let outcome = execute_line(line.as_bytes(), &context(admin()));
            assert_eq!(outcome.status, 0);
            assert!(outcome.stdout.contains("whoami"), "{shell}");
        }
    }
}
