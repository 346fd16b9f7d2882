//! The Incus REST API over any stream: server, instances, files, operations, events, exec. Called
//! by `fleet`, `reach` and the commands; knows nothing of containers, owners or labels.
//!
//! Each request has a connection of its own: a connection that idled may be dead, and over an SSH
//! link one costs as little as a round trip. Answers are bounded in size and time.

pub mod api;
pub mod attach;
pub mod change;
pub mod client;
pub mod events;
pub mod exec;
pub mod files;
pub mod host;
mod http;
pub mod operation;
mod pump;
pub mod script;
#[cfg(test)]
mod tests;
pub mod trust;
mod used;
mod websocket;

pub use client::Client;
pub use events::{Event, Events};

/// Longest piece of the server's text in an error, in characters.
const MAX_TEXT: usize = 300;

/// Why Incus did not do it.
#[derive(Debug, thiserror::Error)]
pub enum IncusError {
    /// It cannot be reached.
    #[error("reach incus: {0}")]
    Connect(#[source] std::io::Error),
    /// It was reached, and the connection broke or what came was no HTTP.
    #[error("talk to incus: {0}")]
    Broken(String),
    /// It did not answer in time.
    #[error("{0}: no answer in time")]
    Timeout(String),
    /// The answer is larger than the limit, in bytes.
    #[error("{request}: answer exceeds {limit} bytes")]
    TooLarge {
        /// Method and path.
        request: String,
        /// The limit in bytes.
        limit: usize,
    },
    /// The answer is not what the API promises.
    #[error("{request}: answer cannot be read: {reason}")]
    Decode {
        /// Method and path.
        request: String,
        /// Why.
        reason: String,
    },
    /// Incus refused, or failed.
    #[error("incus: {message}")]
    Api {
        /// An HTTP status; 400 or 500 where only the text tells more.
        code: u16,
        /// Its words, printable.
        message: String,
    },
}

impl IncusError {
    /// The server's refusal, with its text made safe.
    #[must_use]
    pub(crate) fn api(code: u16, message: &str) -> Self {
        Self::Api { code, message: crate::model::text::printable(message, MAX_TEXT) }
    }

    /// The backend, not the request, is the trouble: trying again later may help.
    #[must_use]
    pub fn is_unavailable(&self) -> bool {
        match self {
            Self::Connect(_) | Self::Broken(_) | Self::Timeout(_) => true,
            Self::Api { code, .. } => *code == 503,
            Self::TooLarge { .. } | Self::Decode { .. } => false,
        }
    }

    /// There is no such instance, file, image or operation.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        self.code() == Some(404)
            || self.says("Instance not found")
            || self.says("Image not provided for instance creation")
    }

    /// It was running or stopped already, as was asked for.
    #[must_use]
    pub fn is_already_so(&self) -> bool {
        self.says("already running") || self.says("already stopped")
    }

    /// Something of that name is there already.
    #[must_use]
    pub fn is_conflict(&self) -> bool {
        self.code() == Some(409)
            || self.says("already in use")
            || self.says("UNIQUE constraint failed: instances.")
    }

    /// Another operation on the same instance is under way.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        self.says("is busy running a")
    }

    /// It does not know us, or does not let us.
    #[must_use]
    pub fn is_untrusted(&self) -> bool {
        self.code() == Some(403)
    }

    /// A disk is full, that of the host or the share of a container.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.says("quota exceeded") || self.says("no space left on device")
    }

    /// A command was accepted, and no process of it came to be.
    #[must_use]
    pub fn has_not_begun(&self) -> bool {
        self.says("Failed to retrieve PID of executing child process")
    }

    fn code(&self) -> Option<u16> {
        match self {
            Self::Api { code, .. } => Some(*code),
            Self::Connect(_)
            | Self::Broken(_)
            | Self::Timeout(_)
            | Self::TooLarge { .. }
            | Self::Decode { .. } => None,
        }
    }

    /// The server of an instance's files ended while Incus reached for it (6.0.4).
    fn is_between_file_servers(&self) -> bool {
        self.code() == Some(500) && self.says("forkfile.sock")
    }

    fn says(&self, words: &str) -> bool {
        match self {
            Self::Api { message, .. } => message.contains(words),
            Self::Connect(_)
            | Self::Broken(_)
            | Self::Timeout(_)
            | Self::TooLarge { .. }
            | Self::Decode { .. } => false,
        }
    }
}
