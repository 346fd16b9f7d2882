//! The unix socket through which the local executable reaches the console, both ends of it.
//!
//! Who may connect is root on this machine (or whoever runs the sentinel): the socket's mode says
//! so, and what is served there is the console with every right.

mod client;
mod person;

use std::{
    io,
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::{Path, PathBuf},
    pin::pin,
    sync::Arc,
    time::Duration,
};

use tokio::{
    net::{UnixListener, UnixStream},
    sync::Semaphore,
    time::{sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub use self::{
    client::{Stdio, run_remote},
    person::Person,
};
use super::{Console, Leave, Visit};
use crate::model::principal::{Principal, Role};

/// Why there is no control socket.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// Somebody answers on the socket.
    #[error("another sentinel is running (it answers on {})", .0.display())]
    Running(PathBuf),
    /// Something that is no socket has its name.
    #[error("{} exists and is no socket", .0.display())]
    NoSocket(PathBuf),
    /// It cannot be made.
    #[error("cannot make control socket {}", .0.display())]
    Io(PathBuf, #[source] io::Error),
}

/// Local commands at the same time; more wait to be accepted.
const MAX_CONNECTIONS: usize = 16;

/// How long another sentinel may take to accept.
const PROBE: Duration = Duration::from_secs(2);

/// Pause after an accept that failed, for instance for want of file descriptors.
const RETRY: Duration = Duration::from_millis(100);

/// The listening socket. Dropping it removes the file.
#[derive(Debug)]
pub struct Control {
    listener: UnixListener,
    path: PathBuf,
}

impl Control {
    /// Listens on `path`. Its directory is made if it is missing, open to its owner only, and a
    /// socket that nobody answers on is replaced.
    ///
    /// # Errors
    /// Another sentinel answers there, or the system refuses.
    pub async fn bind(path: &Path) -> Result<Self, ControlError> {
        let failed = |e| ControlError::Io(path.to_owned(), e);
        if let Some(dir) = path.parent().filter(|dir| !dir.as_os_str().is_empty()) {
            let mut builder = std::fs::DirBuilder::new();
            builder.recursive(true).mode(0o700).create(dir).map_err(failed)?;
        }
        refuse_if_taken(path).await?;
        // Under another name until its mode is right, so that nobody ever connects before.
        let new = path.with_extension(format!("{}.new", std::process::id()));
        remove(&new).map_err(failed)?;
        let listener = UnixListener::bind(&new).map_err(failed)?;
        let private = std::fs::Permissions::from_mode(0o600);
        let placed =
            std::fs::set_permissions(&new, private).and_then(|()| std::fs::rename(&new, path));
        if let Err(error) = placed {
            let _ = remove(&new);
            return Err(failed(error));
        }
        Ok(Self { listener, path: path.to_owned() })
    }

    /// Serves local commands until `stop`; those under way are ended then.
    pub async fn serve(self, console: Arc<Console>, stop: CancellationToken) {
        let tracker = TaskTracker::new();
        let slots = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        while let Some(Ok(slot)) =
            stop.run_until_cancelled(Arc::clone(&slots).acquire_owned()).await
        {
            let Some(accepted) = stop.run_until_cancelled(self.listener.accept()).await else {
                break;
            };
            let Ok((stream, _)) = accepted else {
                sleep(RETRY).await;
                continue;
            };
            let (console, stop) = (Arc::clone(&console), stop.clone());
            tracker.spawn(async move {
                let visit = Visit::Console(local(), None);
                let leave = Leave::default();
                let mut serving = pin!(console.serve(stream, visit, leave.clone()));
                let ended = tokio::select! {
                    ended = &mut serving => ended,
                    () = stop.cancelled() => {
                        leave.end("the sentinel is stopping");
                        serving.await
                    }
                };
                if let Err(e) = ended {
                    tracing::debug!(error = %e, "local command ended badly");
                }
                drop(slot);
            });
        }
        tracker.close();
        tracker.wait().await;
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        // Failing leaves a stale socket, which the next start replaces.
        let _ = std::fs::remove_file(&self.path);
    }
}

fn local() -> Principal {
    Principal { name: "local root".to_owned(), role: Role::Admin, key: None, certificate: None }
}

async fn refuse_if_taken(path: &Path) -> Result<(), ControlError> {
    let Ok(connected) = timeout(PROBE, UnixStream::connect(path)).await else {
        // A queue of connections that is full has a sentinel behind it, too.
        return Err(ControlError::Running(path.to_owned()));
    };
    let Err(error) = connected else { return Err(ControlError::Running(path.to_owned())) };
    if error.kind() == io::ErrorKind::NotFound {
        return Ok(());
    }
    if error.kind() != io::ErrorKind::ConnectionRefused {
        return Err(ControlError::Io(path.to_owned(), error));
    }
    if is_socket(path) { Ok(()) } else { Err(ControlError::NoSocket(path.to_owned())) }
}

fn is_socket(path: &Path) -> bool {
    use std::os::unix::fs::FileTypeExt;
    std::fs::symlink_metadata(path).is_ok_and(|m| m.file_type().is_socket())
}

fn remove(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
        Ok(()) | Err(_) => Ok(()),
    }
}
