//! Connections to backends. `incus` and `fleet` speak over what is dialled here, `reach` opens
//! container ports through it. It never interprets what flows, and bytes of users never go over
//! the control connection.

pub mod backoff;
mod channel;
mod channel_message;
pub mod connection;
pub mod control;
pub mod files;
pub mod https;
pub mod leash;
pub mod listen;
pub mod local;
pub mod login;
#[cfg(test)]
pub(crate) mod neighbours;
pub mod reverse;
mod session;
pub mod socket;
pub mod tunnel;

use std::io;

pub use self::session::{Pinned, client_config};
use futures_util::future::BoxFuture;
use tokio::io::{AsyncRead, AsyncWrite};

/// A byte stream in both directions.
pub trait AsyncStream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin + ?Sized> AsyncStream for T {}

/// Any byte stream. Dropping it closes it.
pub type Stream = Box<dyn AsyncStream>;

/// Opens connections to the one thing it stands for.
pub trait Dial: Send + Sync {
    /// Opens one connection.
    ///
    /// # Errors
    /// The thing cannot be reached now; the error's text says why, fit for people.
    fn dial(&self) -> BoxFuture<'_, io::Result<Stream>>;
}
