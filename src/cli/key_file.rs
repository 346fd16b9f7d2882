//! Files of public keys that arguments name: read here, where the person who names them is, and sent
//! as text. The sentinel reads none for anybody.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

use crate::command::failure::{Failure, Kind};

/// The option whose value is a key, wherever it stands.
const OPTION: &str = "--ssh-key";

/// Longest file read, in bytes: some hundred keys.
const MAX_FILE: u64 = 256 * 1024;

/// What tells a private key of any kind.
const PRIVATE: [&str; 2] = ["PRIVATE KEY", "PuTTY-User-Key-File"];

/// The words of a command with the keys of each file that they name in the file's place, an option
/// or a word each. All other words stay as they are.
///
/// # Errors
/// A file cannot be read, or holds no public key.
pub(super) fn inline(words: Vec<String>) -> Result<Vec<String>, Failure> {
    let mut out = Vec::with_capacity(words.len());
    let plain = positional(&words);
    let options = |keys: Vec<String>| keys.into_iter().map(|key| format!("{OPTION}={key}"));
    let mut words = words.into_iter().enumerate();
    while let Some((at, word)) = words.next() {
        let value = word.strip_prefix(OPTION).and_then(|rest| rest.strip_prefix('='));
        if let Some(keys) = value.map(keys).transpose()?.flatten() {
            out.extend(options(keys));
        } else if word == OPTION {
            let next = words.next().map(|(_, value)| value);
            match next.as_deref().map(keys).transpose()?.flatten() {
                Some(keys) => out.extend(options(keys)),
                None => out.extend([word].into_iter().chain(next)),
            }
        } else if let Some(keys) = plain.contains(&at).then(|| keys(&word)).transpose()?.flatten() {
            out.extend(keys);
        } else {
            out.push(word);
        }
    }
    Ok(out)
}

/// Where words stand that are keys by their place: behind `key add NAME`.
fn positional(words: &[String]) -> Vec<usize> {
    let plain = words.iter().enumerate().filter(|(_, word)| !word.starts_with('-') || *word == "-");
    let mut plain = plain.map(|(at, word)| (at, word.as_str()));
    match (plain.next(), plain.next(), plain.next()) {
        (Some((_, "key")), Some((_, "add")), Some(_)) => plain.map(|(at, _)| at).collect(),
        _ => Vec::new(),
    }
}

/// The keys in the file that a value names; `None`: it names none, and is a key, a part of one, or
/// standard input.
fn keys(value: &str) -> Result<Option<Vec<String>>, Failure> {
    let is_key = value.starts_with("AAAA") || value.contains(char::is_whitespace);
    let named = value.contains('/') || Path::new(value).extension().is_some_and(|e| e == "pub");
    if value == "-" || (is_key || !named) && File::open(value).is_err() {
        return Ok(None);
    }
    let failed = |reason: &str| {
        Failure::new(Kind::Usage, format!("public key file {value}: {reason}"))
            .hint("a key itself looks like `ssh-ed25519 AAAA… comment`; `-` is standard input")
    };
    let text = read(value).map_err(|e| failed(&e.to_string()))?;
    if PRIVATE.iter().any(|mark| text.contains(mark)) {
        return Err(failed("that is a private key; take the file that ends in .pub"));
    }
    let lines = text.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with('#'));
    let lines: Vec<String> = lines.map(str::to_owned).collect();
    if lines.is_empty() { Err(failed("it holds no key")) } else { Ok(Some(lines)) }
}

fn read(path: &str) -> io::Result<String> {
    let mut text = String::new();
    let length = File::open(path)?.take(MAX_FILE + 1).read_to_string(&mut text)?;
    if u64::try_from(length).is_ok_and(|length| length <= MAX_FILE) {
        return Ok(text);
    }
    Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("longer than {MAX_FILE} bytes")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    #[test]
    fn a_file_becomes_its_keys_wherever_a_key_may_stand() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("two keys.pub");
        std::fs::write(&file, "# mine\nssh-ed25519 AAA a\n\n  ssh-ed25519 BBB b\r\n").unwrap();
        let file = file.to_str().unwrap();
        let [one, two] = ["--ssh-key=ssh-ed25519 AAA a", "--ssh-key=ssh-ed25519 BBB b"];
        for given in [&["--ssh-key", file][..], &[&format!("--ssh-key={file}")]] {
            let given = words(&[&["create", "alice"], given, &["-q"]].concat());
            assert_eq!(inline(given).unwrap(), words(&["create", "alice", one, two, "-q"]));
        }
        let given = words(&["--json", "key", "add", "alice", file, "-", "ssh-ed25519 CCC c"]);
        let expected = ["ssh-ed25519 AAA a", "ssh-ed25519 BBB b", "-", "ssh-ed25519 CCC c"];
        let expected = [&["--json", "key", "add", "alice"][..], &expected].concat();
        assert_eq!(inline(given).unwrap(), words(&expected));
    }

    #[test]
    fn what_is_no_key_stays_and_what_is_no_file_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
        std::fs::write(at("private"), "-----BEGIN OPENSSH PRIVATE KEY-----\nSECRET\n").unwrap();
        std::fs::write(at("empty"), "# nothing\n").unwrap();
        std::fs::write(at("long"), "x".repeat(300_000)).unwrap();
        for same in [
            &["export", "alice", "--key", &at("private")][..],
            &["key", "remove", "alice", &at("private")],
            &["create", "alice", "--ssh-key"],
            &["create", "alice", "--ssh-key", "-"],
            &["create", "alice", "--ssh-key=-"],
            &["create", "alice", "--ssh-key=ssh-ed25519 AAA a"],
            &["create", "alice", "--ssh-key", "ssh-ed25519", "AAAAC3/x", "a@b"],
            &["key", "add", "alice", "ssh-ed25519", "AAAAC3/x", "a@b"],
        ] {
            assert_eq!(inline(words(same)).unwrap(), words(same));
        }
        for bad in ["private", "empty", "long", "missing", ""] {
            let failure = inline(words(&["create", "alice", "--ssh-key", &at(bad)])).unwrap_err();
            assert_eq!(failure.kind, Kind::Usage, "{bad}");
            assert!(!failure.message.contains("SECRET"), "{failure:?}");
        }
    }
}
