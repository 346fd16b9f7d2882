//! Who stands at the door.

use super::{key::PublicKey, name::Account};

/// What a person may do beyond her own containers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Everything.
    Admin,
    /// What the labels of containers grant to her key.
    Member,
    /// The host of a backend: nothing but its tunnel.
    Node,
}

/// A person, known by the key that signed (or, on the local machine, by being root).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// How she is called in `whoami`, logs and audit: a key's comment, made printable, or a login.
    pub name: String,
    /// What she may do.
    pub role: Role,
    /// The key that signed; `None` for the local executable.
    pub key: Option<PublicKey>,
    /// Key id of the certificate, made printable, when one was used.
    pub certificate: Option<String>,
}

/// Whose sessions on a container are meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Whose {
    /// Everybody's.
    All,
    /// Those as this account inside.
    Account(Account),
    /// Those that this key opened.
    Key(PublicKey),
}
