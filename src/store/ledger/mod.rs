//! The ledger's file: one `SQLite` database to which records are only added, each chained to the one
//! before it by a hash, and from whose beginning the oldest go. Called by `audit`: one [`Store`]
//! writes, any number of [`Reader`]s look on. It never decides what is recorded.

mod chain;
mod reader;
mod schema;
mod store;
#[cfg(test)]
mod tests;
mod verify;

use std::{io, path::PathBuf};

use jiff::Timestamp;

pub use self::{
    chain::{Hash, hexadecimal},
    reader::{Filter, Reader},
    store::{Anchor, Head, Store, put_aside},
    verify::{Flaw, Verdict},
};

/// What is written of one event. All text in it is printable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// When, in microseconds since 1970.
    pub at: i64,
    /// What kind of event.
    pub kind: String,
    /// Number of the connection.
    pub session: Option<i64>,
    /// Who.
    pub person: Option<String>,
    /// Fingerprint of the key that signed.
    pub key: Option<String>,
    /// The address it came from.
    pub source: Option<String>,
    /// Which container it concerns.
    pub container: Option<String>,
    /// The rest: a JSON object.
    pub detail: String,
}

/// A line with its place in the chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Its number: without gaps, from 1.
    pub id: i64,
    /// What it says.
    pub line: Line,
    /// Of the record before it, and of this one.
    pub hash: Hash,
}

impl Record {
    /// When it was written; the epoch where the number is none.
    #[must_use]
    pub fn at(&self) -> Timestamp {
        Timestamp::from_microsecond(self.line.at).unwrap_or_default()
    }
}

/// Why the ledger's file was not read or written.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// The file is damaged, or is no ledger.
    #[error("the ledger's file is damaged: {0}")]
    Damaged(String),
    /// A later release wrote it.
    #[error("the ledger's file has form {0}, which this version does not know")]
    Newer(i64),
    /// `SQLite`, or the system, refused.
    #[error("{operation} the ledger: {source}")]
    Refused {
        /// What was tried.
        operation: &'static str,
        /// What it said.
        source: rusqlite::Error,
    },
    /// The system refused.
    #[error("{operation} {path}: {source}")]
    Io {
        /// What was tried.
        operation: &'static str,
        /// On which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// Names what was tried when `SQLite` refused, and tells damage from everything else.
fn refused(operation: &'static str) -> impl Fn(rusqlite::Error) -> LedgerError {
    move |source| match source.sqlite_error_code() {
        Some(rusqlite::ErrorCode::DatabaseCorrupt | rusqlite::ErrorCode::NotADatabase) => {
            LedgerError::Damaged(source.to_string())
        }
        _ => LedgerError::Refused { operation, source },
    }
}
