//! Login names against a second reading of the rules, and against the sanitizer.

use std::sync::{Arc, LazyLock};

use containarium::{
    access::Intent,
    config::Route,
    model::name::{Account, RESERVED},
};

use super::{keys, shown};

static ADMIN: LazyLock<Account> = LazyLock::new(|| "ops".parse().unwrap());

static ROUTES: LazyLock<[Arc<Route>; 1]> = LazyLock::new(|| {
    [Arc::new(Route {
        login: "git".parse().unwrap(),
        user: "git".into(),
        address: "192.0.2.1:22".into(),
        host_key: keys::first().public_key().clone(),
        keys: Vec::new(),
        identity: None,
    })]
});

/// Reads `input` as a login name, in both ways.
pub fn check(input: &[u8]) {
    let found = match Intent::parse(input, &ADMIN, &*ROUTES) {
        Intent::Admin => Meaning::Admin,
        Intent::Route(login) => Meaning::Route(login.to_string().into_bytes()),
        Intent::Container { name, account } => Meaning::Container(
            name.to_string().into_bytes(),
            account.map(|account| account.to_string().into_bytes()),
        ),
        Intent::Other => Meaning::Other,
    };
    assert_eq!(found, reference(input));
    // What is said of a login in logs, and to the person.
    shown::check(input, 40);
}

#[derive(Debug, PartialEq, Eq)]
enum Meaning {
    Admin,
    Route(Vec<u8>),
    Container(Vec<u8>, Option<Vec<u8>>),
    Other,
}

/// What a login name means, by the interface's own words: byte-exact, ASCII, at most 32 bytes.
fn reference(login: &[u8]) -> Meaning {
    let reserved = |name: &[u8]| RESERVED.iter().any(|word| word.as_bytes() == name);
    let is_name = |name: &[u8]| {
        let rest = |byte: &u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-');
        let [b'a'..=b'z', tail @ ..] = name else { return false };
        tail.len() <= 31 && tail.iter().all(rest)
    };
    match login {
        b"ops" => return Meaning::Admin,
        b"git" => return Meaning::Route(login.to_vec()),
        _ => {}
    }
    let mut parts = login.splitn(2, |byte| *byte == b'+');
    let (name, account) = (parts.next().unwrap_or_default(), parts.next());
    if !is_name(name) || reserved(name) || account.is_some_and(|account| !is_name(account)) {
        return Meaning::Other;
    }
    Meaning::Container(name.to_vec(), account.map(<[u8]>::to_vec))
}
