//! What is configured about hosts that are to be started again, and about who is told.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use crate::model::url::Url;

/// How a host that is down is brought back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recovery {
    /// Who does it.
    pub kind: RecoveryKind,
    /// How long it may run without being reached before more is done.
    pub grace: Duration,
    /// Whether it may be reset.
    pub may_reset: bool,
    /// Most starts and resets in an hour.
    pub hourly: usize,
}

/// Who brings a host back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RecoveryKind {
    /// The Compute Engine API of Google.
    Gce(Gce),
    /// A program of the administrator.
    Command(RecoveryCommand),
}

/// An instance of Google's Compute Engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gce {
    /// Its project.
    pub project: String,
    /// Its zone.
    pub zone: String,
    /// Its name.
    pub instance: String,
    /// Key file of a service account; `None`: a token of the metadata server.
    pub credentials: Option<PathBuf>,
    /// Where the API is.
    pub endpoint: Url,
    /// Where the metadata server is.
    pub metadata: Url,
}

/// A program that brings a host back.
#[derive(Clone, PartialEq, Eq)]
pub struct RecoveryCommand {
    /// Path and arguments; no shell reads them.
    pub argv: Vec<String>,
    /// More environment.
    pub env: BTreeMap<String, String>,
    /// When it is ended.
    pub timeout: Duration,
}

impl std::fmt::Debug for RecoveryCommand {
    /// Without arguments and values, which may be secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RecoveryCommand").field("path", &self.argv.first()).finish_non_exhaustive()
    }
}

/// Somebody who is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Webhook {
    /// Where.
    pub url: Url,
    /// In which form.
    pub form: WebhookForm,
    /// Of what.
    pub events: Vec<Topic>,
    /// A file of `NAME: VALUE` lines that are sent as headers.
    pub headers: Option<PathBuf>,
    /// A file with the secret of the form.
    pub secret: Option<PathBuf>,
}

/// How an event is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WebhookForm {
    /// A JSON object; the secret signs it.
    Json,
    /// As Slack takes it, and whoever understands Slack.
    Slack,
    /// As a message to a channel of Zulip; the secret is `EMAIL:KEY` of the bot.
    Zulip {
        /// The channel.
        channel: String,
        /// The topic.
        topic: String,
    },
}

/// What an event is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Topic {
    /// A host is down or back.
    Host,
    /// A certificate ends soon, or cannot be had.
    Certificate,
    /// A host is being started, or cannot be.
    Recovery,
    /// An address is banned, or not any more.
    Ban,
}

impl Topic {
    /// All of them, by their names.
    pub const ALL: [(&'static str, Self); 4] = [
        ("host", Self::Host),
        ("certificate", Self::Certificate),
        ("recovery", Self::Recovery),
        ("ban", Self::Ban),
    ];
}
