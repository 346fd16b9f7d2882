//! Hosts that dial us, because nobody can dial them: plain `ssh -R` under a node key.
//!
//! The host forwards its own sshd to us under its backend's name. Nothing listens here: whoever
//! would have dialled the host opens a channel on its connection instead, and what flows there is
//! an SSH connection like any other, to the host key that is pinned. The door lets the host in and
//! runs its [`Node`]; everybody else finds the way in [`Tunnels`].

mod channel;
mod driver;
mod mux;
mod stream;
#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, io, net::SocketAddr, sync::Arc, time::Duration};

use jiff::Timestamp;
use tokio::{sync::watch, time::timeout};
use tokio_util::sync::CancellationToken;

pub use self::driver::{Node, ReverseError};
use self::stream::{MuxStream, Shared};
use super::{Stream, socket::Socket};
use crate::{clock::timestamp, config::SshAddress, model::name::BackendName};

/// The port that a host names in its forward: what it forwards is its sshd.
pub const PORT: u32 = 22;

/// Opens streams to the sshd of one host. Clones are the same.
#[derive(Clone)]
pub struct Reverse {
    shared: Arc<Shared>,
}

impl Reverse {
    /// Opens one. The caller bounds the time.
    ///
    /// # Errors
    /// The host refuses it, there are too many, or the connection ends.
    pub async fn open(&self) -> io::Result<Stream> {
        Ok(Box::new(MuxStream::open(&self.shared).await?))
    }

    fn streams(&self) -> usize {
        self.shared.mux().len()
    }
}

/// What is known of a tunnel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It is there.
    Connected {
        /// Since when.
        since: Timestamp,
        /// Where the host comes from.
        source: SocketAddr,
        /// Streams that it carries.
        streams: usize,
    },
    /// It was there.
    Lost {
        /// Until when.
        since: Timestamp,
    },
}

/// The tunnels that are there. Clones are the same.
#[derive(Clone)]
pub struct Tunnels(Arc<watch::Sender<BTreeMap<BackendName, Place>>>);

impl Default for Tunnels {
    fn default() -> Self {
        Self(Arc::new(watch::channel(BTreeMap::new()).0))
    }
}

/// Where one tunnel is, or was.
#[derive(Clone)]
struct Place {
    since: Timestamp,
    live: Option<Live>,
}

#[derive(Clone)]
struct Live {
    reverse: Reverse,
    source: SocketAddr,
    replaced: CancellationToken,
}

impl Tunnels {
    /// Enters the tunnel of a backend, in the place of one that is there.
    #[must_use]
    pub fn enter(
        &self,
        backend: &BackendName,
        reverse: Reverse,
        (source, since): (SocketAddr, Timestamp),
    ) -> Entry {
        let replaced = CancellationToken::new();
        let live = Live { reverse: reverse.clone(), source, replaced: replaced.clone() };
        let mut before = None;
        self.0.send_modify(|all| {
            before = all.insert(backend.clone(), Place { since, live: Some(live) });
        });
        if let Some(live) = before.and_then(|place| place.live) {
            live.replaced.cancel();
        }
        Entry { tunnels: self.clone(), backend: backend.clone(), reverse, replaced }
    }

    /// What is known of the tunnel of a backend; `None`: it has never been there.
    #[must_use]
    pub fn state(&self, backend: &BackendName) -> Option<State> {
        let all = self.0.borrow();
        let Place { since, live } = all.get(backend)?;
        let since = *since;
        Some(live.as_ref().map_or(State::Lost { since }, |live| State::Connected {
            since,
            source: live.source,
            streams: live.reverse.streams(),
        }))
    }

    /// Tells when a tunnel comes or goes.
    #[must_use]
    pub fn changes(&self) -> Changes {
        Changes(self.0.subscribe())
    }

    /// Connects to the sshd of a backend, at its address or through its tunnel, within `limit`.
    ///
    /// # Errors
    /// Nobody answers, or not in time.
    pub async fn connect(
        &self,
        backend: &BackendName,
        address: &SshAddress,
        limit: Duration,
    ) -> io::Result<Socket> {
        match address {
            SshAddress::Network(address) => Socket::connect(address, limit).await,
            SshAddress::Tunnel(_) => {
                let opened = timeout(limit, self.open(backend)).await;
                let stream = opened.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
                Ok(Socket::Other(stream))
            }
        }
    }

    /// Opens a stream through the tunnel of a backend. The caller bounds the time.
    ///
    /// # Errors
    /// It is not there, or the host does not open the stream.
    pub async fn open(&self, backend: &BackendName) -> io::Result<Stream> {
        let live = self.0.borrow().get(backend).and_then(|place| place.live.clone());
        let Some(live) = live else {
            let text = "its host is not connected";
            return Err(io::Error::new(io::ErrorKind::NotConnected, text));
        };
        live.reverse.open().await
    }
}

/// Waits for tunnels to come or go.
pub struct Changes(watch::Receiver<BTreeMap<BackendName, Place>>);

impl Changes {
    /// Waits for the next change; those of one moment are one.
    pub async fn next(&mut self) {
        if self.0.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Whether the tunnel of a backend is there, if it has ever been.
    #[must_use]
    pub fn is_there(&self, backend: &BackendName) -> Option<bool> {
        self.0.borrow().get(backend).map(|place| place.live.is_some())
    }
}

/// A tunnel's place; dropping it takes it out.
pub struct Entry {
    tunnels: Tunnels,
    backend: BackendName,
    reverse: Reverse,
    replaced: CancellationToken,
}

impl Entry {
    /// Waits until another takes its place.
    pub async fn replaced(&self) {
        self.replaced.cancelled().await;
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let mine = |live: &Live| Arc::ptr_eq(&live.reverse.shared, &self.reverse.shared);
        self.tunnels.0.send_if_modified(|all| {
            let place = all.get_mut(&self.backend);
            let Some(place) = place.filter(|place| place.live.as_ref().is_some_and(mine)) else {
                return false;
            };
            *place = Place { since: timestamp(), live: None };
            true
        });
    }
}
