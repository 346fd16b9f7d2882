//! Public keys as arguments: `--ssh-key KEY`, or `-` for standard input.

use super::{
    failure::{Failure, Kind},
    terminal::Terminal,
};
use crate::model::{
    authorized_keys::{self, AuthorizedKey},
    key::ALGORITHMS,
};

/// What standard input may hold, in bytes: one line.
const MAX_INPUT: usize = authorized_keys::MAX_LINE;

/// What tells a private key of any kind, whatever is wrong with it otherwise.
const PRIVATE: [&str; 2] = ["PRIVATE KEY", "PuTTY-User-Key-File"];

/// Whether a text holds a private key.
pub(crate) fn is_private(text: &str) -> bool {
    PRIVATE.iter().any(|mark| text.contains(mark))
}

/// The keys that arguments name, each once. Never in an error: what was given may be a secret.
///
/// # Errors
/// One is no public key line, or there is more than one line.
pub(super) async fn read(
    arguments: &[String],
    terminal: &mut Terminal,
) -> Result<Vec<AuthorizedKey>, Failure> {
    let mut keys: Vec<AuthorizedKey> = Vec::with_capacity(arguments.len());
    let mut read_input = false;
    for argument in arguments {
        let key = if argument == "-" {
            if std::mem::replace(&mut read_input, true) {
                return Err(refused("standard input can be read only once"));
            }
            if terminal.pty().is_some() {
                terminal.say("paste the public key, then press Enter:\n").await;
            }
            let input = match terminal.pty() {
                Some(_) => terminal.line().await?.unwrap_or_default(),
                None => terminal.read_all(MAX_INPUT).await?,
            };
            let text = String::from_utf8(input).map_err(|_| refused("that is no text"))?;
            parse(&text)?
        } else {
            parse(argument)?
        };
        if keys.iter().all(|k| k.key != key.key) {
            keys.push(key);
        }
    }
    Ok(keys)
}

/// Puts keys together again that `ssh` took apart: it sends `--ssh-key "$(cat bob.pub)"` as the words
/// of the file, as the shell on the way has removed the quotes. A comment is known by its `@`.
pub(super) fn rejoin(words: &[String]) -> Vec<String> {
    let mut joined: Vec<String> = Vec::with_capacity(words.len());
    let mut words = words.iter().peekable();
    while let Some(word) = words.next() {
        let mut whole = word.clone();
        if ALGORITHMS.contains(&word.as_str()) || is_key_option(word) {
            // Every blob begins with the length of its type.
            if let Some(blob) = words.next_if(|next| next.starts_with("AAAA")) {
                whole = format!("{whole} {blob}");
                if let Some(comment) = words.next_if(|next| next.contains('@')) {
                    whole = format!("{whole} {comment}");
                }
            }
        }
        joined.push(whole);
    }
    joined
}

/// `--ssh-key=TYPE`
fn is_key_option(word: &str) -> bool {
    word.split_once('=')
        .is_some_and(|(option, kind)| option == "--ssh-key" && ALGORITHMS.contains(&kind))
}

/// What the ledger says of keys that were typed: their fingerprints, or that they came by standard
/// input. A word that is no key may be anything, and is not told.
pub(super) fn recorded(arguments: &[String]) -> String {
    let one = |argument: &String| match argument.as_str() {
        "-" => "-".to_owned(),
        text => parse(text).map_or_else(|_| "?".to_owned(), |key| key.key.fingerprint()),
    };
    let shown: Vec<_> = arguments.iter().map(one).collect();
    if shown.is_empty() { String::new() } else { format!(" {}", shown.join(" ")) }
}

/// Whether any argument stands for standard input.
pub(super) fn read_input(arguments: &[String]) -> bool {
    arguments.iter().any(|argument| argument == "-")
}

/// One line of `authorized_keys`.
fn parse(text: &str) -> Result<AuthorizedKey, Failure> {
    if is_private(text) {
        let message = "that is a private key, which nobody else may see: take the file that ends \
                       in .pub, and make a new pair if this one left your machine";
        return Err(Failure::new(Kind::Usage, message));
    }
    let lines = text.lines().filter(|line| !line.trim().is_empty()).count();
    if lines > 1 {
        return Err(refused("more than one line").hint("give each key its own --ssh-key"));
    }
    if lines == 0 {
        return Err(refused("no public key given"));
    }
    let (mut keys, problems) = authorized_keys::parse(text);
    match (keys.pop(), problems.into_iter().next()) {
        (Some(key), None) => Ok(key),
        (_, Some(problem)) => Err(refused(&problem.reason)),
        (None, None) => Err(refused("a comment is no key")),
    }
}

fn refused(reason: &str) -> Failure {
    Failure::new(Kind::Usage, format!("public key: {reason}")).hint(
        "it looks like `ssh-ed25519 AAAA… comment`; from a file: `--ssh-key - < id_ed25519.pub`",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::testing::key;

    async fn read_one(text: &str) -> Result<Vec<AuthorizedKey>, Failure> {
        read(&[text.to_owned()], &mut Terminal::unattended()).await
    }

    #[tokio::test]
    async fn a_line_is_a_key_and_a_key_counts_once() {
        let line = format!("{} bob@laptop", key("bob").to_line());
        let keys = read(&[line.clone(), line.clone()], &mut Terminal::unattended()).await.unwrap();
        assert_eq!(keys.len(), 1);
        assert_eq!(keys[0].key.comment(), "bob@laptop");
        let (mut terminal, feed) = Terminal::pair(None);
        feed.input.send(format!("{line}\n").into()).await.unwrap();
        drop(feed.input);
        assert_eq!(read(&["-".to_owned()], &mut terminal).await.unwrap(), keys);
    }

    #[test]
    fn a_key_that_ssh_took_apart_is_put_together() {
        let joined =
            |line: &str| rejoin(&line.split(' ').map(str::to_owned).collect::<Vec<_>>()).join("|");
        assert_eq!(
            joined("create --ssh-key ssh-ed25519 AAAAx bob@laptop bob --cpu 1"),
            "create|--ssh-key|ssh-ed25519 AAAAx bob@laptop|bob|--cpu|1"
        );
        assert_eq!(joined("key add bob ssh-ed25519 AAAAx"), "key|add|bob|ssh-ed25519 AAAAx");
        assert_eq!(
            joined("create --ssh-key=ssh-rsa AAAAx bob"),
            "create|--ssh-key=ssh-rsa AAAAx|bob"
        );
        for same in ["list -q", "info ssh-ed25519", "create ssh-rsa bob", ""] {
            assert_eq!(joined(same), same.replace(' ', "|"));
        }
    }

    #[tokio::test]
    async fn what_is_no_key_is_refused_and_not_repeated() {
        let line = key("bob").to_line();
        for bad in [
            "",
            "# only a comment",
            "hello SECRET",
            "/home/SECRET/.ssh/id_ed25519.pub",
            "-----BEGIN OPENSSH PRIVATE KEY-----\nSECRET\n",
            "PuTTY-User-Key-File-3: ssh-ed25519\nSECRET",
            "ssh-dss SECRET",
            &format!("{line}\n{line}"),
            &line[..40],
        ] {
            let failure = read_one(bad).await.unwrap_err();
            assert_eq!(failure.kind, Kind::Usage, "{bad}");
            let told = format!("{} {:?}", failure.message, failure.hint);
            assert!(!told.contains("SECRET"), "{bad}: {told}");
        }
    }
}
