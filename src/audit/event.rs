//! What is recorded. Pure. How it is written down is in `line`, how it is logged in `log`.

use std::{fmt, net::SocketAddr, time::Duration};

use jiff::Timestamp;

use super::files::Files;
use crate::{
    config::Topic,
    model::{name::ContainerName, principal::Principal, text::printable},
    store::ledger::Anchor,
};

/// Longest texts kept, in characters: names, sentences, and command lines.
pub(super) const MAX_NAME: usize = 100;
pub(super) const MAX_TEXT: usize = 400;

/// Kinds of records, for those who look for some.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A login that was permitted.
    Login,
    /// A login that was not.
    Refused,
    /// A session that ended.
    Session,
    /// A container that was chosen at the console.
    Chosen,
    /// A command that changes something, or was not permitted.
    Command,
    /// The configuration was read again.
    Reload,
    /// A host went down, or came back.
    Host,
    /// What is done about hosts that are down.
    Recovery,
    /// Certificates of the maintenance page.
    Certificate,
    /// Addresses that are kept out, and let in again.
    Ban,
    /// Where public ports lead.
    Gateway,
    /// The sentinel started or stopped.
    Sentinel,
    /// The ledger itself: gaps, pruning.
    Ledger,
}

/// Who did something.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Actor {
    /// How she is called: printable.
    pub person: String,
    /// Fingerprint of the key that signed.
    pub key: Option<String>,
    /// Key id of her certificate: printable.
    pub certificate: Option<String>,
}

/// A login that was permitted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Visit {
    /// Number of the connection.
    pub session: u64,
    /// From where.
    pub source: SocketAddr,
    /// Who.
    pub actor: Actor,
    /// The login name as it was typed: printable.
    pub login: String,
    /// Where it leads, in words.
    pub target: String,
    /// The container, if it leads to one.
    pub container: Option<ContainerName>,
    /// The account inside, if it leads to one.
    pub account: Option<String>,
    /// The client's identification line: printable.
    pub client: Option<String>,
    /// Number of the session at whose console it was chosen; `None`: it is a connection.
    pub chosen_in: Option<u64>,
}

/// A connection that ended before anybody was let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Number of the connection.
    pub session: u64,
    /// From where.
    pub source: SocketAddr,
    /// The login name that was tried last; `None`: none was, and so nothing was refused.
    pub login: Option<Vec<u8>>,
    /// Fingerprint of the key that was refused last.
    pub key: Option<String>,
    /// How many keys and signatures were refused.
    pub attempts: u32,
    /// The client's identification line.
    pub client: Option<String>,
    /// Why the connection ended.
    pub reason: String,
    /// How it counts for the guard: `failure`, `bare` or `no`.
    pub counts: &'static str,
}

/// Which side ended a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndedBy {
    /// The person's.
    Client,
    /// The container's.
    Container,
    /// The sentinel, with a sentence.
    Sentinel,
}

/// A session that ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// What was known of it when it began.
    pub visit: Visit,
    /// By which way the container was reached; `None`: it was not.
    pub way: Option<String>,
    /// How long it was.
    pub lasted: Duration,
    /// Bytes of channel data, from and to the person.
    pub bytes: (u64, u64),
    /// How many channels she opened.
    pub opened: u64,
    /// The first of them.
    pub channels: Vec<Channel>,
    /// The kind of the last thing that she asked for, for the log: printable.
    pub last: String,
    /// Who ended it.
    pub by: EndedBy,
    /// Why it ended.
    pub reason: String,
}

/// A channel, as far as it was seen.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Channel {
    /// Its type, `session`, or what it listens for: `tcpip-forward`.
    pub kind: Vec<u8>,
    /// What was asked for in it: `shell`, `exec`, `subsystem`.
    pub request: Option<&'static str>,
    /// The command, the subsystem, or where a forward leads.
    pub what: Option<Vec<u8>>,
    /// Exit status, or the signal's name.
    pub exit: Option<String>,
    /// It was refused.
    pub refused: bool,
    /// What was done with files in it.
    pub files: Option<Files>,
}

/// A container that was chosen at the console.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chosen {
    /// The session that it makes.
    pub visit: Visit,
}

/// A command, and what came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// Who.
    pub actor: Actor,
    /// The command without its secrets.
    pub command: String,
    /// The container that it names.
    pub container: Option<ContainerName>,
    /// Its exit status.
    pub status: u8,
    /// Why it failed.
    pub failure: Option<String>,
}

/// The configuration was read again.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reload {
    /// The keys that changed, never their values.
    pub changed: Vec<String>,
    /// Those of them that take effect at a restart.
    pub needs_restart: Vec<&'static str>,
    /// Mistakes in the files: with any, the old configuration stays.
    pub mistakes: usize,
}

/// Something that people are told of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// What it is about.
    pub topic: Topic,
    /// What happened, for programs: `host.down`.
    pub name: &'static str,
    /// To what it happened: printable.
    pub subject: String,
    /// What happened, for people: printable.
    pub text: String,
}

/// A time in which nothing could be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gap {
    /// Since when.
    pub since: Timestamp,
    /// How many records were lost.
    pub lost: u64,
    /// Why.
    pub reason: String,
}

/// Something that is recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The sentinel started, in this version.
    Started(&'static str),
    /// The sentinel stopped.
    Stopped,
    /// A login was permitted.
    Login(Visit),
    /// A connection ended before anybody was let in.
    Refused(Refusal),
    /// So many more of this kind were only counted, the first of them then.
    More(Kind, u64, Timestamp),
    /// A session ended.
    Ended(Ended),
    /// A container was chosen.
    Chosen(Chosen),
    /// A command was run, or was not permitted.
    Command(Command),
    /// The configuration was read again.
    Reload(Reload),
    /// People are told of something.
    Notice(Notice),
    /// The public ports of this pool lead to this backend, or nowhere.
    Gateway(String, Option<String>),
    /// Nothing could be written for a while.
    Gap(Gap),
    /// An earlier ledger was damaged; the name it has now, and what was wrong.
    SetAside(String, String),
    /// The oldest records went.
    Pruned(Anchor),
}

impl Kind {
    /// All of them, by name.
    pub const ALL: [(&'static str, Self); 13] = [
        ("login", Self::Login),
        ("refused", Self::Refused),
        ("session", Self::Session),
        ("chosen", Self::Chosen),
        ("command", Self::Command),
        ("reload", Self::Reload),
        ("host", Self::Host),
        ("recovery", Self::Recovery),
        ("certificate", Self::Certificate),
        ("ban", Self::Ban),
        ("gateway", Self::Gateway),
        ("sentinel", Self::Sentinel),
        ("ledger", Self::Ledger),
    ];

    /// Its name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        Self::ALL.iter().find(|(_, kind)| *kind == self).map_or("", |(name, _)| name)
    }
}

impl Event {
    /// What kind it is.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::Started(_) | Self::Stopped => Kind::Sentinel,
            Self::Login(_) => Kind::Login,
            Self::Refused(_) => Kind::Refused,
            Self::More(kind, ..) => *kind,
            Self::Ended(_) => Kind::Session,
            Self::Chosen(_) => Kind::Chosen,
            Self::Command(_) => Kind::Command,
            Self::Reload(_) => Kind::Reload,
            Self::Notice(notice) => match notice.topic {
                Topic::Host => Kind::Host,
                Topic::Certificate => Kind::Certificate,
                Topic::Recovery => Kind::Recovery,
                Topic::Ban => Kind::Ban,
            },
            Self::Gateway(..) => Kind::Gateway,
            Self::Gap(_) | Self::SetAside(..) | Self::Pruned(_) => Kind::Ledger,
        }
    }
}

impl From<&Principal> for Actor {
    fn from(principal: &Principal) -> Self {
        let Principal { name, key, certificate, role: _ } = principal;
        Self {
            person: printable(name, MAX_NAME),
            key: key.as_ref().map(crate::model::key::PublicKey::fingerprint),
            certificate: certificate.as_ref().map(|id| printable(id, MAX_TEXT)),
        }
    }
}

impl fmt::Display for EndedBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Client => "client",
            Self::Container => "container",
            Self::Sentinel => "sentinel",
        })
    }
}
