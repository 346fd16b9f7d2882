//! What is written into the labels of people: lines of keys, and the list of collaborators. Lines
//! and entries that are not meant stay as they are, also those that nobody understands.

use serde::Serialize;
use serde_json::Value;

use super::{
    authorized_keys::{self, AuthorizedKey},
    container::Collaborator,
    key::PublicKey,
    name::Account,
};

/// The list of collaborators is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("label collaborators is not the expected JSON list")]
pub struct Broken;

#[derive(Serialize)]
struct Entry<'a> {
    login: &'a str,
    keys: Vec<String>,
    sudo: bool,
    container_runtime: bool,
}

/// Lines of keys with these: each in the place of what was there of the same key, or at the end.
#[must_use]
pub fn with_keys(text: &str, add: &[AuthorizedKey]) -> String {
    let mut written = vec![false; add.len()];
    let mut lines = Vec::new();
    for line in text.lines() {
        let same = key_of(line).and_then(|key| add.iter().position(|a| a.key == key));
        match same.and_then(|i| add.get(i).zip(written.get_mut(i))) {
            Some((_, written)) if *written => {}
            Some((new, written)) => {
                *written = true;
                lines.push(new.to_line());
            }
            None => lines.push(line.to_owned()),
        }
    }
    let missing = add.iter().zip(written).filter(|(_, written)| !written);
    lines.extend(missing.map(|(new, _)| new.to_line()));
    lines.join("\n")
}

/// Lines of keys without these.
#[must_use]
pub fn without_keys(text: &str, remove: &[PublicKey]) -> String {
    let stays = |line: &&str| key_of(line).is_none_or(|key| !remove.contains(&key));
    text.lines().filter(stays).collect::<Vec<_>>().join("\n")
}

/// The list with this collaborator, in the place of what was there of the same login.
///
/// # Errors
/// It is no list.
pub fn with_collaborator(text: &str, collaborator: &Collaborator) -> Result<String, Broken> {
    let mut entries = entries(text)?;
    let place = entries.iter().position(|e| is_of(e, &collaborator.login));
    entries.retain(|e| !is_of(e, &collaborator.login));
    let entry = serde_json::to_value(Entry {
        login: collaborator.login.as_str(),
        keys: collaborator.keys.iter().map(AuthorizedKey::to_line).collect(),
        sudo: collaborator.sudo,
        container_runtime: collaborator.container_runtime,
    });
    entries.insert(place.unwrap_or(entries.len()), entry.map_err(|_| Broken)?);
    Ok(Value::Array(entries).to_string())
}

/// The list without a login; empty when it was the last.
///
/// # Errors
/// It is no list.
pub fn without_collaborator(text: &str, login: &Account) -> Result<String, Broken> {
    let mut entries = entries(text)?;
    entries.retain(|e| !is_of(e, login));
    if entries.is_empty() { Ok(String::new()) } else { Ok(Value::Array(entries).to_string()) }
}

fn key_of(line: &str) -> Option<PublicKey> {
    authorized_keys::parse(line).0.pop().map(|line| line.key)
}

fn entries(text: &str) -> Result<Vec<Value>, Broken> {
    if text.is_empty() {
        return Ok(Vec::new());
    }
    serde_json::from_str(text).map_err(|_| Broken)
}

fn is_of(entry: &Value, login: &Account) -> bool {
    entry.get("login").and_then(Value::as_str) == Some(login.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(n: u8, rest: (&str, &str)) -> AuthorizedKey {
        let mut blob = b"\0\0\0\x0bssh-ed25519\0\0\0\x20".to_vec();
        blob.extend_from_slice(&[n; 32]);
        let key = PublicKey::from_blob(&blob).unwrap().to_line();
        authorized_keys::parse(&format!("{} {key} {}", rest.0, rest.1)).0.remove(0)
    }

    #[test]
    fn lines_of_others_stay_as_they_are() {
        let (one, two) = (line(1, ("", "one")), line(2, ("", "two")));
        let text = format!("# mine\nbroken line\n{}\n\n{}", one.to_line(), two.to_line());
        assert_eq!(with_keys(&text, &[]), text);
        let strict = line(1, ("no-pty", "new"));
        let changed = with_keys(&text, &[strict.clone(), line(3, ("", ""))]);
        let expected = text.replace(&one.to_line(), &strict.to_line());
        assert_eq!(changed, format!("{expected}\n{}", line(3, ("", "")).to_line()));
        assert_eq!(with_keys(&changed, &[strict, line(3, ("", ""))]), changed, "twice is once");
        let left = without_keys(&text, &[one.key.clone(), line(9, ("", "")).key]);
        assert_eq!(left, format!("# mine\nbroken line\n\n{}", two.to_line()));
        assert_eq!(with_keys("", std::slice::from_ref(&two)), two.to_line());
        let twice = format!("{}\n{}", one.to_line(), line(1, ("no-pty", "")).to_line());
        assert_eq!(with_keys(&twice, std::slice::from_ref(&one)), one.to_line());
        assert_eq!(without_keys(&twice, &[one.key]), "");
    }

    #[test]
    fn a_collaborator_takes_the_place_of_the_same_login() {
        let bob = |sudo| Collaborator {
            login: "bob".parse().unwrap(),
            keys: vec![line(2, ("", "bob"))],
            sudo,
            container_runtime: false,
        };
        let first = with_collaborator("", &bob(false)).unwrap();
        let text = format!("{},{}", first.trim_end_matches(']'), r#"{"login":"eve","x":1}]"#);
        let changed = with_collaborator(&text, &bob(true)).unwrap();
        assert_eq!(changed, text.replace("\"sudo\":false", "\"sudo\":true"));
        let login = "bob".parse().unwrap();
        assert_eq!(without_collaborator(&changed, &login).unwrap(), r#"[{"login":"eve","x":1}]"#);
        assert_eq!(without_collaborator(&first, &login).unwrap(), "");
        for broken in ["{}", "nonsense", "[1", "3"] {
            assert_eq!(with_collaborator(broken, &bob(true)), Err(Broken));
        }
    }
}
