//! Files that must outlive a restart. Called by `fleet`, for the cached inventory above all; all here
//! blocks, so it runs off the async threads. It never decides what is written.

pub mod atomic;
pub mod backends;
pub mod bans;
pub mod certificates;
pub mod drained;
pub mod inventory;
pub mod joblog;
pub mod key_use;
pub mod keys;
#[cfg(test)]
mod killed;
pub mod ledger;
pub mod outages;
mod records;
pub mod recoveries;

use std::{io, path::PathBuf};

/// Why a file was not read or written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
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
    /// Its contents are not what was written by us.
    #[error("read {path}: {reason}")]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
}
