//! The end of a connection that its owner wants: a session is killed, or the sentinel stops.
//!
//! Clients write nothing any more once they were told that the connection ends, OpenSSH not even what
//! it has. So a terminal that was drawn on is given back first, with the reason below, and its client
//! may leave by itself.

use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicBool, Ordering},
};

use russh::{Disconnect, server::Handle};
use tokio::time::{sleep, timeout};
use tokio_util::{
    sync::CancellationToken,
    task::{TaskTracker, task_tracker::TaskTrackerToken},
};

use super::FAREWELL;

/// What an owner ends a connection by. Clones are of the same connection.
#[derive(Debug, Clone, Default)]
pub struct Leave {
    wanted: CancellationToken,
    sentence: Arc<OnceLock<String>>,
    /// Sessions that did not hear of it yet.
    sessions: TaskTracker,
    given_back: Arc<AtomicBool>,
}

impl Leave {
    /// Ends the connection; the sentence is for its person, and printable.
    pub fn end(&self, sentence: &str) {
        // The first one counts.
        let _ = self.sentence.set(sentence.to_owned());
        self.wanted.cancel();
    }

    /// Waits until the connection has to end.
    pub(super) async fn wanted(&self) {
        self.wanted.cancelled().await;
    }

    /// Why the connection ends, if it does.
    pub(super) fn sentence(&self) -> Option<&str> {
        self.sentence.get().map(String::as_str).filter(|_| self.wanted.is_cancelled())
    }

    /// A session begins; it ends when this is dropped.
    pub(super) fn session(&self) -> TaskTrackerToken {
        self.sessions.token()
    }

    /// A session closed its channel, behind its last words.
    pub(super) fn give_back(&self) {
        self.given_back.store(true, Ordering::Relaxed);
    }

    /// Ends a connection when that is wanted.
    pub(super) async fn run(&self, handle: &Handle) {
        self.wanted().await;
        self.sessions.close();
        // A client that takes nothing is not waited for.
        let _ = timeout(FAREWELL, self.sessions.wait()).await;
        if self.given_back.load(Ordering::Relaxed) {
            sleep(FAREWELL).await;
        }
        let farewell =
            handle.disconnect(Disconnect::ByApplication, String::from("ended"), String::from("en"));
        let _ = timeout(FAREWELL, farewell).await;
        sleep(FAREWELL).await;
    }
}
