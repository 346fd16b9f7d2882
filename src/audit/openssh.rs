//! Logins and failures in the words of OpenSSH's log, for programs that read those. Pure; `door` logs
//! them where `log.openssh` says so.
//!
//! A login name is one word here, whatever was typed: nothing in it can be taken for an address.

use std::{fmt::Write, net::SocketAddr};

use super::{
    Event, Refusal, Visit,
    event::{MAX_NAME, MAX_TEXT},
};
use crate::model::text::printable;

/// The name under which they are logged.
pub const TARGET: &str = "sshd";

/// What sshd would log of an event; nothing of those that it knows nothing of, nor of connections that
/// do not count (`guard.allow`, banned addresses).
#[must_use]
pub fn words(event: &Event) -> Option<String> {
    match event {
        Event::Login(Visit { source, actor, login, .. }) => {
            let key = actor.key.as_deref().unwrap_or("-");
            let (login, from) = (word(login.as_bytes()), from(*source));
            Some(format!("Accepted publickey for {login} from {from} ssh2: {key}"))
        }
        Event::Refused(refusal) => refused(refusal),
        Event::Started(_)
        | Event::Stopped
        | Event::More(..)
        | Event::Ended(_)
        | Event::Chosen(_)
        | Event::Command(_)
        | Event::Reload(_)
        | Event::Notice(_)
        | Event::Gateway(..)
        | Event::Gap(_)
        | Event::SetAside(..)
        | Event::Pruned(_) => None,
    }
}

/// One line for a connection, as it counts once.
fn refused(refusal: &Refusal) -> Option<String> {
    let from = from(refusal.source);
    let login = word(refusal.login.as_deref().unwrap_or_default());
    match (refusal.counts, &refusal.key) {
        ("failure", Some(key)) => {
            let key = printable(key, MAX_TEXT);
            Some(format!("Failed publickey for {login} from {from} ssh2: {key}"))
        }
        ("failure", None) => {
            Some(format!("Connection closed by authenticating user {login} {from} [preauth]"))
        }
        ("bare", _) => Some(format!("Connection closed by {from} [preauth]")),
        _ => None,
    }
}

fn from(source: SocketAddr) -> String {
    format!("{} port {}", source.ip().to_canonical(), source.port())
}

/// A name as one word: what is not printable ASCII is in octal, as sshd has it, and so is a blank.
fn word(name: &[u8]) -> String {
    let mut out = String::new();
    for byte in name.iter().take(MAX_NAME) {
        if byte.is_ascii_graphic() && *byte != b'\\' {
            out.push(char::from(*byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(out, "\\{byte:03o}");
        }
    }
    if out.is_empty() { "-".to_owned() } else { out }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::Actor;

    fn refusal(login: Option<&[u8]>, key: Option<&str>, counts: &'static str) -> Event {
        Event::Refused(Refusal {
            session: 1,
            source: "[::ffff:192.0.2.7]:4711".parse().unwrap(),
            login: login.map(<[u8]>::to_vec),
            key: key.map(str::to_owned),
            attempts: 1,
            client: Some("SSH-2.0-x from 198.51.100.9 port 22".to_owned()),
            reason: "gone".to_owned(),
            counts,
        })
    }

    #[test]
    fn each_connection_is_one_line_as_sshd_has_it() {
        let said = |event: Event| words(&event).unwrap_or_default();
        assert_eq!(
            said(refusal(Some(b"bob"), Some("SHA256:x"), "failure")),
            "Failed publickey for bob from 192.0.2.7 port 4711 ssh2: SHA256:x"
        );
        assert_eq!(
            said(refusal(Some(b"bob"), None, "failure")),
            "Connection closed by authenticating user bob 192.0.2.7 port 4711 [preauth]"
        );
        assert_eq!(
            said(refusal(None, None, "bare")),
            "Connection closed by 192.0.2.7 port 4711 [preauth]"
        );
        assert_eq!(said(refusal(Some(b"bob"), Some("SHA256:x"), "no")), "");
        let visit = Visit {
            session: 1,
            source: "[2001:db8::1]:22".parse().unwrap(),
            actor: Actor { key: Some("SHA256:y".to_owned()), ..Actor::default() },
            login: "alice".to_owned(),
            target: "console".to_owned(),
            container: None,
            account: None,
            client: None,
            chosen_in: None,
        };
        assert_eq!(
            said(Event::Login(visit)),
            "Accepted publickey for alice from 2001:db8::1 port 22 ssh2: SHA256:y"
        );
    }

    #[test]
    fn a_name_is_one_word_and_bounded() {
        for (name, expected) in [
            (&b"a b\nc"[..], "a\\040b\\012c"),
            (b"", "-"),
            ("\u{2028}\\".as_bytes(), "\\342\\200\\250\\134"),
        ] {
            assert_eq!(word(name), expected);
        }
        assert_eq!(word(&vec![b' '; 70_000]).len(), 4 * MAX_NAME);
    }
}
