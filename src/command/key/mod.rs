//! `key add|list|remove NAME`: the keys of a container's owner, in its label and in her
//! `authorized_keys` inside.

mod list;
mod write;

use clap::{Args, Subcommand};

use super::{context::Context, failure::Failure, key_arg, report::Report, terminal::Terminal};
use crate::model::{
    authorized_keys::AuthorizedKey,
    container::Container,
    key::{ALGORITHMS, PublicKey},
    name::ContainerName,
    text::printable,
};

/// Longest name of a key in the ledger, in characters.
const MAX_WHICH: usize = 100;

/// Arguments of `key`.
#[derive(Debug, Clone, Args)]
pub struct KeyArgs {
    #[command(subcommand)]
    command: KeyCommand,
}

#[derive(Debug, Clone, Subcommand)]
enum KeyCommand {
    /// Let more keys in as the owner
    Add(AddArgs),
    /// List the owner's keys
    List(ListArgs),
    /// Take a key away, and end its sessions
    Remove(RemoveArgs),
}

#[derive(Debug, Clone, Args)]
struct AddArgs {
    /// The container's name
    name: ContainerName,
    /// A public key as in `authorized_keys`, with options if wanted, or - for standard input
    #[arg(required = true, value_name = "KEY")]
    keys: Vec<String>,
}

#[derive(Debug, Clone, Args)]
struct ListArgs {
    /// The container's name
    name: ContainerName,
}

#[derive(Debug, Clone, Args)]
struct RemoveArgs {
    /// The container's name
    name: ContainerName,
    /// The key's fingerprint, SHA256:…, or its comment
    #[arg(value_name = "FINGERPRINT|COMMENT")]
    which: String,
    /// Also the last one: nobody logs in as the owner until another is added
    #[arg(long)]
    force: bool,
}

impl KeyArgs {
    /// The container that it is about.
    pub(super) fn container(&self) -> &ContainerName {
        match &self.command {
            KeyCommand::Add(args) => &args.name,
            KeyCommand::List(args) => &args.name,
            KeyCommand::Remove(args) => &args.name,
        }
    }

    /// What the ledger says.
    pub(super) fn record(&self) -> Option<String> {
        match &self.command {
            KeyCommand::Add(args) => {
                Some(format!("key add {}{}", args.name, key_arg::recorded(&args.keys)))
            }
            KeyCommand::Remove(args) => {
                let force = if args.force { " --force" } else { "" };
                Some(format!(
                    "key remove {} {}{force}",
                    args.name,
                    printable(&args.which, MAX_WHICH)
                ))
            }
            KeyCommand::List(_) => None,
        }
    }

    /// Whether standard input is read.
    pub(super) fn reads_input(&self) -> bool {
        match &self.command {
            KeyCommand::Add(args) => key_arg::read_input(&args.keys),
            KeyCommand::List(_) | KeyCommand::Remove(_) => false,
        }
    }
}

pub(super) async fn run(
    args: &KeyArgs,
    context: &Context,
    terminal: &mut Terminal,
) -> Result<Report, Failure> {
    match &args.command {
        KeyCommand::Add(args) => {
            let container = context.find(&context.snapshot(), args.name.as_str())?;
            let keys = key_arg::read(&lines_of(&args.keys), terminal).await?;
            write::add(&container, keys, context, terminal).await
        }
        KeyCommand::List(args) => list::run(args.name.as_str(), context).await,
        KeyCommand::Remove(args) => {
            let container = context.find(&context.snapshot(), args.name.as_str())?;
            write::remove(&container, (&args.which, args.force), context, terminal).await
        }
    }
}

/// The lines that words are: ssh hands over the words of a key apart.
fn lines_of(words: &[String]) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let mut open = false;
    for word in words {
        let is_line = word == "-" || word.contains([' ', '\t', '\n']);
        let begins = is_line || ALGORITHMS.contains(&word.as_str());
        match lines.last_mut() {
            Some(line) if open && !begins => {
                line.push(' ');
                line.push_str(word);
            }
            Some(_) | None => lines.push(word.clone()),
        }
        open = !is_line;
    }
    lines
}

/// A key of the owner's, and where it is.
struct Held {
    line: AuthorizedKey,
    /// In the container's label.
    label: bool,
    /// In `authorized_keys` inside, where the door believes it.
    inside: bool,
}

/// The owner's keys, by label and by what is inside; each once.
async fn held(context: &Context, container: &Container) -> Vec<Held> {
    let inside = context.fleet.authorized_keys(container, &container.owner).await;
    merge(&container.keys, &inside)
}

fn merge(label: &[AuthorizedKey], inside: &[AuthorizedKey]) -> Vec<Held> {
    let mut held: Vec<Held> = Vec::new();
    for (lines, in_label) in [(label, true), (inside, false)] {
        for line in lines {
            match held.iter_mut().find(|h| h.line.key == line.key) {
                Some(same) => same.inside |= !in_label,
                None => held.push(Held { line: line.clone(), label: in_label, inside: !in_label }),
            }
        }
    }
    held
}

/// The keys that a fingerprint or a comment means.
fn select<'h>(held: &'h [Held], which: &str) -> Vec<&'h PublicKey> {
    let by_print = |h: &&Held| {
        let print = h.line.key.fingerprint();
        print == which || print.strip_prefix("SHA256:") == Some(which)
    };
    let found: Vec<_> = held.iter().filter(by_print).collect();
    let found = if found.is_empty() {
        held.iter().filter(|h| !which.is_empty() && h.line.key.comment() == which).collect()
    } else {
        found
    };
    found.into_iter().map(|h| &h.line.key).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::testing::{admin, authorized, context, execute_line, key, member};

    #[test]
    fn words_of_keys_become_lines() {
        let lines = |text: &str| lines_of(&shlex::split(text).unwrap());
        assert_eq!(lines("ssh-ed25519 AAAA bob the builder"), ["ssh-ed25519 AAAA bob the builder"]);
        assert_eq!(
            lines("'no-pty ssh-rsa AAAA x' ssh-rsa BBBB ssh-ed25519 CCCC c -"),
            ["no-pty ssh-rsa AAAA x", "ssh-rsa BBBB", "ssh-ed25519 CCCC c", "-"]
        );
    }

    #[test]
    fn a_key_is_meant_by_fingerprint_or_comment() {
        let held = merge(&[authorized("bob"), authorized("carol")], &[authorized("bob")]);
        assert_eq!((held.len(), held[0].inside, held[1].inside), (2, true, false));
        let print = key("carol").fingerprint();
        assert_eq!(select(&held, &print), [&key("carol")]);
        assert_eq!(select(&held, print.strip_prefix("SHA256:").unwrap()), [&key("carol")]);
        assert_eq!(select(&held, "bob@laptop"), [&key("bob")]);
        assert!(select(&held, "").is_empty() && select(&held, "bob").is_empty());
    }

    #[test]
    fn keys_are_for_administrators_and_bad_ones_change_nothing() {
        for (line, status) in [
            ("key", 2),
            ("key add alice", 2),
            ("key add alice hello", 2),
            ("key add Alice -", 2),
            ("key add nobody ssh-ed25519 AAAA", 3),
            ("key add alice ssh-ed25519 AAAA", 2),
            ("key remove alice", 2),
            ("key list nobody", 3),
        ] {
            let outcome = execute_line(line.as_bytes(), &context(admin()));
            assert_eq!(outcome.status, status, "{line}: {outcome:?}");
        }
        for line in ["key list alice", "key remove alice x", "key add alice x"] {
            let outcome = execute_line(line.as_bytes(), &context(member("alice")));
            assert_eq!(outcome.status, 77, "{line}: {outcome:?}");
        }
    }

    #[test]
    fn the_list_tells_where_a_key_is() {
        let outcome = execute_line(b"key list alice", &context(admin()));
        let print = key("alice").fingerprint();
        let row = format!("ssh-ed25519  {print}  alice@laptop  -        label  never\n");
        assert!(outcome.stdout.ends_with(&row), "{}", outcome.stdout);
        let json = execute_line(b"key list alice --json", &context(admin()));
        let json: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
        let expected = serde_json::json!([{
            "type": "ssh-ed25519", "fingerprint": print, "comment": "alice@laptop", "options": "",
            "label": true, "inside": false, "last_use": null,
        }]);
        assert_eq!(json, expected);
    }
}
