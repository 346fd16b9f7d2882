//! Names as they may be written: container names, accounts, backends, pools.
//!
//! Container and account names are ASCII and byte-exact, `[a-z][a-z0-9-]{0,31}`, so that no two
//! spellings mean the same thing.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// Longest name, in bytes: what Linux accounts may have (`useradd(8)`).
pub const MAX_LEN: usize = 32;

/// Login names that mean something to the door itself and can never be containers.
pub const RESERVED: [&str; 7] =
    ["admin", "root", "me", "join", "sentinel", "containarium", "healthcheck"];

/// Why a name was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing was given.
    #[error("name is empty")]
    Empty,
    /// More than [`MAX_LEN`] bytes.
    #[error("name is longer than {MAX_LEN} characters")]
    TooLong,
    /// A byte outside the grammar, or a first byte that is no letter.
    #[error("name must match [a-z][a-z0-9-]*")]
    Invalid,
    /// One of [`RESERVED`].
    #[error("name is reserved")]
    Reserved,
}

fn check(text: &str) -> Result<(), NameError> {
    let bytes = text.as_bytes();
    let Some(first) = bytes.first() else { return Err(NameError::Empty) };
    if bytes.len() > MAX_LEN {
        return Err(NameError::TooLong);
    }
    let valid = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'-';
    if !first.is_ascii_lowercase() || !bytes.iter().all(valid) {
        return Err(NameError::Invalid);
    }
    Ok(())
}

macro_rules! name {
    ($(#[$doc:meta])* $type:ident, $check:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $type(String);

        impl $type {
            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $type {
            type Err = NameError;

            fn from_str(text: &str) -> Result<Self, NameError> {
                let check: fn(&str) -> Result<(), NameError> = $check;
                check(text)?;
                Ok(Self(text.to_owned()))
            }
        }

        impl TryFrom<String> for $type {
            type Error = NameError;

            fn try_from(text: String) -> Result<Self, NameError> {
                text.parse()
            }
        }

        impl From<$type> for String {
            fn from(name: $type) -> Self {
                name.0
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name!(
    /// A container's name at the door: the Incus instance is `NAME-container`.
    ContainerName,
    |text| if RESERVED.contains(&text) { Err(NameError::Reserved) } else { check(text) }
);
name!(
    /// An account inside a container (the owner's or a collaborator's).
    Account,
    check
);
name!(
    /// A backend, as the configuration calls it.
    BackendName,
    check
);
name!(
    /// A pool of backends.
    PoolName,
    check
);
name!(
    /// A stack of software that can be installed.
    StackName,
    check
);
name!(
    /// The login name of a fixed route.
    RouteName,
    |text| if RESERVED.contains(&text) { Err(NameError::Reserved) } else { check(text) }
);

/// The suffix that makes a container's name an Incus instance name.
pub const INSTANCE_SUFFIX: &str = "-container";

impl ContainerName {
    /// The Incus instance of this container.
    #[must_use]
    pub fn instance(&self) -> String {
        format!("{}{INSTANCE_SUFFIX}", self.0)
    }

    /// The container that an Incus instance is, if its name has the form `NAME-container`.
    #[must_use]
    pub fn from_instance(instance: &str) -> Option<Self> {
        instance.strip_suffix(INSTANCE_SUFFIX)?.parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grammar_is_exact() {
        let max = "a".repeat(MAX_LEN);
        for good in ["a", "alice", "a-1", "a--b", max.as_str()] {
            assert_eq!(good.parse::<ContainerName>().unwrap().as_str(), good);
        }
        let long = "a".repeat(MAX_LEN + 1);
        for (bad, why) in [
            ("", NameError::Empty),
            ("Alice", NameError::Invalid),
            ("alice ", NameError::Invalid),
            ("alice\0", NameError::Invalid),
            ("аlice", NameError::Invalid),
            ("1a", NameError::Invalid),
            ("-a", NameError::Invalid),
            ("a_b", NameError::Invalid),
            ("a/b", NameError::Invalid),
            ("alice+bob", NameError::Invalid),
            (long.as_str(), NameError::TooLong),
            ("admin", NameError::Reserved),
        ] {
            assert_eq!(bad.parse::<ContainerName>(), Err(why), "{bad:?}");
        }
        assert!("root".parse::<Account>().is_ok(), "an account may be called root");
    }

    #[test]
    fn instance_names_round_trip() {
        let name: ContainerName = "alice".parse().unwrap();
        assert_eq!(name.instance(), "alice-container");
        assert_eq!(ContainerName::from_instance("alice-container"), Some(name));
        assert_eq!(ContainerName::from_instance("alice"), None);
        assert_eq!(ContainerName::from_instance("root-container"), None);
    }
}
