//! A unix socket on this machine, for the Incus of a `local` backend.

use std::{io, path::PathBuf};

use futures_util::future::BoxFuture;
use tokio::net::UnixStream;

use super::{Dial, Stream};

/// Dials one unix socket.
#[derive(Debug, Clone)]
pub struct Local {
    path: PathBuf,
}

impl Local {
    /// Stands for the socket at `path`.
    #[must_use]
    pub fn new(path: PathBuf) -> Self {
        Self { path }
    }
}

impl Dial for Local {
    fn dial(&self) -> BoxFuture<'_, io::Result<Stream>> {
        Box::pin(async {
            let opened = UnixStream::connect(&self.path).await;
            let stream = opened.map_err(|e| {
                io::Error::new(e.kind(), format!("open {}: {e}", self.path.display()))
            })?;
            Ok(Box::new(stream) as Stream)
        })
    }
}
