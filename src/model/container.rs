//! A managed container, as its Incus labels describe it (`user.containarium.*`).

use std::{collections::BTreeMap, net::IpAddr};

use serde::{Deserialize, Serialize};

use super::{
    authorized_keys::{self, AuthorizedKey},
    key::PublicKey,
    name::{Account, BackendName, ContainerName, PoolName},
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
        let mut problems = Vec::new();
        let label = |key: &str| {
            let value = config.get(&format!("{LABEL_PREFIX}{key}"));
            value.map(String::as_str).filter(|v| v.len() <= MAX_LABEL).unwrap_or("")
        };
        let owner = match label("owner") {
            "" => return None,
            text => text.parse().map_err(|e| problems.push(format!("label owner: {e}"))).ok()?,
        };
        let keys = parse_keys(label("authorized-keys"), "authorized-keys", &mut problems);
        let collaborators = parse_collaborators(label("collaborators"), &mut problems);
        let mut host_keys = Vec::new();
        for line in label("host-keys").lines().filter(|l| !l.trim().is_empty()) {
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
            hold: label("hold") == "true",
            config: config.clone(),
            problems,
        })
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

fn parse_collaborators(text: &str, problems: &mut Vec<String>) -> Vec<Collaborator> {
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
        let keys = parse_keys(&entry.keys.join("\n"), "collaborators", problems);
        let CollaboratorLabel { sudo, container_runtime, .. } = entry;
        collaborators.push(Collaborator { login, keys, sudo, container_runtime });
    }
    collaborators
}
