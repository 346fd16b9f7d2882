//! A managed container, as its Incus labels describe it (`user.containarium.*`).

use std::{collections::BTreeMap, net::IpAddr};

use serde::{Deserialize, Serialize};

use super::{
    authorized_keys::{self, AuthorizedKey},
    key::PublicKey,
    name::{Account, BackendName, ContainerName, NameError, PoolName},
};

/// Prefix of every label.
pub const LABEL_PREFIX: &str = "user.containarium.";

/// Longest label value read, in bytes: Incus allows any length, the sentinel's memory does not.
pub const MAX_LABEL: usize = 256 * 1024;

/// What Incus says about an instance's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// It runs.
    Running,
    /// It does not.
    Stopped,
    /// Its processes are frozen.
    Frozen,
    /// Incus reports an error (a cluster member that is away, for instance).
    Error,
    /// On its way from one of the others to another.
    Changing,
}

/// Somebody else who may log in to a container, with an account of her own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Collaborator {
    /// Her account inside the container.
    pub login: Account,
    /// Her keys.
    pub keys: Vec<AuthorizedKey>,
    /// May use `sudo`.
    pub sudo: bool,
    /// Is in the groups of the container runtimes.
    pub container_runtime: bool,
}

/// A managed container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Container {
    /// Its name at the door.
    pub name: ContainerName,
    /// Where it is.
    pub backend: BackendName,
    /// The pool of that backend.
    pub pool: PoolName,
    /// The owner's account inside.
    pub owner: Account,
    /// The owner's keys.
    pub keys: Vec<AuthorizedKey>,
    /// Others who may log in.
    pub collaborators: Vec<Collaborator>,
    /// Host keys that its sshd must prove; empty means nobody can be let in.
    pub host_keys: Vec<PublicKey>,
    /// State by the last word of Incus.
    pub status: Status,
    /// Global addresses by the last word of Incus, IPv4 first.
    pub addresses: Vec<IpAddr>,
    /// Stopped on purpose (`stop --hold`): not started by a login.
    pub hold: bool,
    /// All labels and limits shown by `info`: `limits.cpu`, `image.description` and the like.
    pub config: BTreeMap<String, String>,
    /// What was wrong with the labels: each is one sentence for the administrator.
    pub problems: Vec<String>,
}

#[derive(Deserialize)]
struct CollaboratorLabel {
    login: String,
    #[serde(default)]
    keys: Vec<String>,
    #[serde(default)]
    sudo: bool,
    #[serde(default)]
    container_runtime: bool,
}

impl Container {
    /// Reads the labels of instance `name`. `None`: it has no owner, so it is not managed.
    ///
    /// A line or collaborator that does not parse is left out and named in `problems`; it never
    /// widens what the others allow.
    #[must_use]
    pub fn from_config(
        name: ContainerName,
        (backend, pool): (BackendName, PoolName),
        (status, addresses): (Status, Vec<IpAddr>),
        config: &BTreeMap<String, String>,
    ) -> Option<Self> {
        let owner = Self::owner_label(config).ok()??;
        let mut problems = Vec::new();
        let mut label = |key: &str| match config.get(&format!("{LABEL_PREFIX}{key}")) {
            Some(value) if value.len() > MAX_LABEL => {
                problems.push(format!("label {key}: longer than {MAX_LABEL} bytes"));
                ""
            }
            Some(value) => value.as_str(),
            None => "",
        };
        let (key_lines, collaborator_list) = (label("authorized-keys"), label("collaborators"));
        let (host_key_lines, hold) = (label("host-keys"), label("hold") == "true");
        let keys = parse_keys(key_lines, "authorized-keys", &mut problems);
        let collaborators = parse_collaborators(collaborator_list, &owner, &mut problems);
        let mut host_keys = Vec::new();
        for line in host_key_lines.lines().filter(|l| !l.trim().is_empty()) {
            match PublicKey::from_line(line) {
                Ok(key) => host_keys.push(key),
                Err(e) => problems.push(format!("label host-keys: {e}")),
            }
        }
        Some(Self {
            name,
            backend,
            pool,
            owner,
            keys,
            collaborators,
            host_keys,
            status,
            addresses,
            hold,
            config: config.clone(),
            problems,
        })
    }

    /// The owner that the labels name; `None` if they name none, which means: not managed.
    ///
    /// # Errors
    /// The label is no account name. Such an instance is not managed either, and somebody should
    /// be told.
    pub fn owner_label(config: &BTreeMap<String, String>) -> Result<Option<Account>, NameError> {
        let text = config.get(&format!("{LABEL_PREFIX}owner")).map_or("", String::as_str);
        if text.is_empty() { Ok(None) } else { text.parse().map(Some) }
    }

    /// The accounts of this container that `key` opens, by labels alone; the owner's first.
    pub fn accounts_of<'a>(&'a self, key: &'a PublicKey) -> impl Iterator<Item = &'a Account> {
        let owner = self.keys.iter().any(|k| k.key == *key).then_some(&self.owner);
        let theirs = self.collaborators.iter().filter(|c| c.keys.iter().any(|k| k.key == *key));
        owner.into_iter().chain(theirs.map(|c| &c.login))
    }

    /// A label's value, without the prefix in its name.
    #[must_use]
    pub fn label(&self, key: &str) -> Option<&str> {
        self.config.get(&format!("{LABEL_PREFIX}{key}")).map(String::as_str)
    }
}

fn parse_keys(text: &str, label: &str, problems: &mut Vec<String>) -> Vec<AuthorizedKey> {
    let (keys, refused) = authorized_keys::parse(text);
    problems
        .extend(refused.iter().map(|r| format!("label {label}: line {}: {}", r.line, r.reason)));
    keys
}

fn parse_collaborators(
    text: &str,
    owner: &Account,
    problems: &mut Vec<String>,
) -> Vec<Collaborator> {
    if text.is_empty() {
        return Vec::new();
    }
    let Ok(entries) = serde_json::from_str::<Vec<CollaboratorLabel>>(text) else {
        problems.push("label collaborators: not the expected JSON list".to_owned());
        return Vec::new();
    };
    let mut collaborators = Vec::new();
    for entry in entries {
        let Ok(login) = entry.login.parse() else {
            problems.push("label collaborators: an entry has no valid login".to_owned());
            continue;
        };
        if login == *owner {
            problems.push("label collaborators: an entry has the owner's login".to_owned());
            continue;
        }
        let keys = parse_keys(&entry.keys.join("\n"), "collaborators", problems);
        let CollaboratorLabel { sudo, container_runtime, .. } = entry;
        collaborators.push(Collaborator { login, keys, sudo, container_runtime });
    }
    collaborators
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJqRmYdWkC8NSTf4eDvyGUj0zaPbhj8gHZMpiUm+3HXQ";

    fn read(labels: &[(&str, &str)]) -> Option<Container> {
        let config =
            labels.iter().map(|(k, v)| (format!("{LABEL_PREFIX}{k}"), (*v).to_owned())).collect();
        let place = ("b1".parse().unwrap(), "default".parse().unwrap());
        Container::from_config(
            "alice".parse().unwrap(),
            place,
            (Status::Running, Vec::new()),
            &config,
        )
    }

    #[test]
    fn without_a_valid_owner_nothing_is_managed() {
        assert_eq!(read(&[("authorized-keys", KEY)]), None);
        for (owner, expected) in [
            (None, Ok(None)),
            (Some(""), Ok(None)),
            (Some("alice"), Ok(Some("alice".parse().unwrap()))),
            (Some("Alice"), Err(NameError::Invalid)),
            (Some("alice;id"), Err(NameError::Invalid)),
        ] {
            let config: BTreeMap<_, _> =
                owner.map(|o| (format!("{LABEL_PREFIX}owner"), o.to_owned())).into_iter().collect();
            let managed = matches!(expected, Ok(Some(_)));
            assert_eq!(Container::owner_label(&config), expected);
            assert_eq!(owner.is_some_and(|o| read(&[("owner", o)]).is_some()), managed);
        }
    }

    #[test]
    fn what_is_broken_is_left_out_and_named() {
        let list = format!(
            r#"[{{"login":"bob","keys":["{KEY}"],"sudo":true}},{{"login":"B B"}},{{"login":"alice","keys":["{KEY}"]}}]"#
        );
        let keys = format!("{KEY}\nbroken\n");
        let container = read(&[
            ("owner", "alice"),
            ("authorized-keys", &keys),
            ("collaborators", &list),
            ("host-keys", "nonsense"),
        ]);
        let container = container.unwrap();
        assert_eq!((container.keys.len(), container.collaborators.len()), (1, 1));
        assert!(container.collaborators[0].sudo && !container.collaborators[0].container_runtime);
        assert_eq!(container.problems.len(), 4, "{:?}", container.problems);
        let key = PublicKey::from_line(KEY).unwrap();
        let accounts: Vec<_> = container.accounts_of(&key).map(Account::as_str).collect();
        assert_eq!(accounts, ["alice", "bob"]);
    }

    #[test]
    fn labels_are_bounded_and_lists_are_lists() {
        let long = format!("{KEY}\n").repeat(MAX_LABEL / KEY.len());
        let container =
            read(&[("owner", "alice"), ("authorized-keys", &long), ("collaborators", "{}")]);
        let container = container.unwrap();
        assert_eq!((container.keys.len(), container.collaborators.len()), (0, 0));
        assert_eq!(container.problems.len(), 2, "{:?}", container.problems);
    }
}
