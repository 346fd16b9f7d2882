//! What a login name asks for (design/interface.md, section 2).

use std::sync::Arc;

use crate::{
    config::Route,
    model::name::{Account, ContainerName, RouteName},
};

/// What a login name asks for. Whether there is such a container is not yet asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Intent {
    /// The console.
    Admin,
    /// A container, `NAME` or `NAME+ACCOUNT`.
    Container {
        /// Its name.
        name: ContainerName,
        /// The account inside, if one was typed.
        account: Option<Account>,
    },
    /// A fixed route.
    Route(RouteName),
    /// Anything else: wherever the key leads.
    Other,
}

impl Intent {
    /// Reads a login name as the client sent it. Names are compared byte by byte: what is not
    /// exactly a name of ours is [`Intent::Other`].
    #[must_use]
    pub fn parse(login: &[u8], admin_login: &Account, routes: &[Arc<Route>]) -> Self {
        if login == admin_login.as_str().as_bytes() {
            return Self::Admin;
        }
        if let Some(route) = routes.iter().find(|r| r.login.as_str().as_bytes() == login) {
            return Self::Route(route.login.clone());
        }
        Self::container(login).unwrap_or(Self::Other)
    }

    /// The name a certificate must list as its principal: the login as typed. `None`: no
    /// certificate leads there.
    pub(super) fn principal(&self, admin_login: &Account) -> Option<String> {
        match self {
            Self::Admin => Some(admin_login.to_string()),
            Self::Container { name, account: None } => Some(name.to_string()),
            Self::Container { name, account: Some(account) } => Some(format!("{name}+{account}")),
            Self::Route(_) | Self::Other => None,
        }
    }

    fn container(login: &[u8]) -> Option<Self> {
        let login = std::str::from_utf8(login).ok()?;
        let (name, account) = match login.split_once('+') {
            Some((name, account)) => (name, Some(account.parse().ok()?)),
            None => (login, None),
        };
        Some(Self::Container { name: name.parse().ok()?, account })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::key::PublicKey;

    fn parse(login: &[u8]) -> Intent {
        let mut blob = b"\0\0\0\x0bssh-ed25519\0\0\0\x20".to_vec();
        blob.extend_from_slice(&[7; 32]);
        let route = Route {
            login: "git".parse().unwrap(),
            user: "git".into(),
            address: "git.example.org:22".into(),
            host_key: PublicKey::from_blob(&blob).unwrap(),
            keys: Vec::new(),
            identity: None,
        };
        Intent::parse(login, &"ops".parse().unwrap(), &[Arc::new(route)])
    }

    fn container(name: &str, account: Option<&str>) -> Intent {
        let account = account.map(|a| a.parse().unwrap());
        Intent::Container { name: name.parse().unwrap(), account }
    }

    #[test]
    fn each_form_is_told_apart() {
        assert_eq!(parse(b"ops"), Intent::Admin);
        assert_eq!(parse(b"git"), Intent::Route("git".parse().unwrap()));
        assert_eq!(parse(b"alice"), container("alice", None));
        assert_eq!(parse(b"alice+bob"), container("alice", Some("bob")));
        assert_eq!(parse(b"alice+root"), container("alice", Some("root")));
        // Reserved names are never containers, also where the console is called differently.
        assert_eq!(parse(b"admin"), Intent::Other);
    }

    #[test]
    fn what_is_no_name_is_other() {
        let long = "a".repeat(4096);
        for login in [
            "",
            "Alice",
            "ALICE",
            "alice ",
            " alice",
            "alice\0",
            "alice\n",
            "аlice",
            "alicé",
            "alice+",
            "+bob",
            "alice+bob+carol",
            "alice+Bob",
            "alice:bob",
            "alice/bob",
            "../alice",
            "default/alice",
            "alice@host",
            "-alice",
            "1alice",
            "OPS",
            "ops+alice ",
            "root",
            "root+bob",
            "git ",
            "${jndi:x}",
            &long,
        ] {
            assert_eq!(parse(login.as_bytes()), Intent::Other, "{login:?}");
        }
        assert_eq!(parse(b"alice\xff"), Intent::Other);
        assert_eq!(parse(b"\xff\xfe"), Intent::Other);
    }

    proptest! {
        #[test]
        fn every_login_is_read_and_says_again_what_was_typed(login: Vec<u8>) {
            let intent = parse(&login);
            if let Some(principal) = intent.principal(&"ops".parse().unwrap()) {
                prop_assert_eq!(principal.as_bytes(), &login);
            }
        }

        #[test]
        fn plausible_logins_are_read_exactly(login in "[a-zA-Z0-9+-]{0,40}") {
            let intent = parse(login.as_bytes());
            if let Some(principal) = intent.principal(&"ops".parse().unwrap()) {
                prop_assert_eq!(principal, login);
            }
        }
    }
}
