//! What a command that is being typed may go on with, by the console's own grammar. Pure.

use clap::CommandFactory;

use super::{keymap::Tab, state::Facts};
use crate::command::Grammar;

/// What completing led to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Completed {
    /// The line as it is now.
    pub text: String,
    /// What it may go on with, where that is more than one word.
    pub candidates: Vec<String>,
}

/// Names that words may be: of containers and of hosts.
#[must_use]
pub fn names(facts: &Facts) -> Vec<String> {
    let rows = [Tab::Containers, Tab::Hosts].into_iter().filter_map(|tab| facts.rows.get(&tab));
    rows.flatten().map(|row| row.id.clone()).collect()
}

/// Completes the last word.
#[must_use]
pub fn complete(text: &str, names: &[String]) -> Completed {
    let (before, word) = text.rsplit_once(' ').map_or(("", text), |(before, word)| (before, word));
    let grammar = Grammar::command();
    let (command, is_leaf) = descend(&grammar, before);
    let mut candidates: Vec<String> = if word.starts_with('-') {
        let longs =
            command.get_opts().chain(command.get_arguments()).filter_map(clap::Arg::get_long);
        longs.map(|long| format!("--{long}")).collect()
    } else if is_leaf {
        names.to_vec()
    } else {
        command.get_subcommands().map(|sub| sub.get_name().to_owned()).collect()
    };
    candidates.retain(|candidate| candidate.starts_with(word));
    candidates.sort_unstable();
    candidates.dedup();
    let common = common(&candidates).unwrap_or(word).to_owned();
    let space = if candidates.len() == 1 { " " } else { "" };
    let lead = if before.is_empty() { String::new() } else { format!("{before} ") };
    Completed { text: format!("{lead}{common}{space}"), candidates }
}

/// The command that these words lead to, and whether none follows.
fn descend<'a>(grammar: &'a clap::Command, words: &str) -> (&'a clap::Command, bool) {
    let mut command = grammar;
    for word in words.split_whitespace() {
        match command.find_subcommand(word) {
            Some(sub) => command = sub,
            None => break,
        }
    }
    (command, !command.has_subcommands())
}

/// What all begin with.
fn common(candidates: &[String]) -> Option<&str> {
    let first = candidates.first()?;
    let length = |other: &String| {
        first
            .char_indices()
            .zip(other.chars())
            .find(|((_, a), b)| a != b)
            .map_or(first.len().min(other.len()), |((i, _), _)| i)
    };
    let shared = candidates.iter().map(length).min()?;
    first.get(..shared)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_options_and_names_are_completed() {
        let names = ["alice".to_owned(), "alina".to_owned(), "bob".to_owned()];
        for (text, completed, candidates) in [
            ("resi", "resize ", 1),
            ("collaborator a", "collaborator add ", 1),
            ("info b", "info bob ", 1),
            ("info al", "info ali", 2),
            ("resize bob --mem", "resize bob --memory ", 1),
            ("nonsense x", "nonsense x", 0),
            ("info nobody", "info nobody", 0),
        ] {
            let seen = complete(text, &names);
            assert_eq!(
                (seen.text.as_str(), seen.candidates.len()),
                (completed, candidates),
                "{text}"
            );
        }
        assert!(complete("", &names).candidates.len() > 15);
    }
}
