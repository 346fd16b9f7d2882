//! When which key last opened which container: noted at each login, kept on disk by one task.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use jiff::Timestamp;
use tokio::{select, sync::watch, time::sleep};
use tokio_util::sync::CancellationToken;

use crate::{
    model::{key::PublicKey, name::ContainerName},
    store::key_use::Uses,
};

/// Shortest time between two writes: a crash loses no more.
const PAUSE: Duration = Duration::from_secs(5);

/// The uses. Clones are the same.
#[derive(Clone, Default)]
pub struct KeyUses {
    uses: Arc<watch::Sender<Uses>>,
}

impl KeyUses {
    /// Those that the file at `path` knows.
    #[must_use]
    pub fn load(path: &Path) -> Self {
        Self { uses: Arc::new(watch::channel(Uses::load(path)).0) }
    }

    /// Notes that a key opened a container at `now`.
    pub fn note(&self, container: &ContainerName, key: &PublicKey, now: Timestamp) {
        let fingerprint = key.fingerprint();
        self.uses.send_modify(|uses| uses.note(container, fingerprint, now.as_second()));
    }

    /// When a key last opened a container.
    #[must_use]
    pub fn last(&self, container: &ContainerName, key: &PublicKey) -> Option<Timestamp> {
        let seconds = self.uses.borrow().last(container, &key.fingerprint())?;
        Timestamp::from_second(seconds).ok()
    }

    /// Writes the file after changes, at most every 5 s, and once more at `stop`.
    pub async fn keep(self, path: PathBuf, stop: CancellationToken) {
        let mut noted = self.uses.subscribe();
        loop {
            let last = select! {
                () = stop.cancelled() => true,
                changed = noted.changed() => changed.is_err(),
            };
            if !last || noted.has_changed().unwrap_or(false) {
                let uses = noted.borrow_and_update().clone();
                if let Err(error) = save(path.clone(), uses).await {
                    tracing::warn!(%error, "when keys were used last is not kept");
                }
            }
            if last {
                return;
            }
            select! {
                () = stop.cancelled() => {}
                () = sleep(PAUSE) => {}
            }
        }
    }
}

async fn save(path: PathBuf, uses: Uses) -> io::Result<()> {
    tokio::task::spawn_blocking(move || uses.save(&path)).await?.map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_use_just_before_the_end_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key-use.json");
        let (uses, stop) = (KeyUses::load(&path), CancellationToken::new());
        let mut keeping = tokio::task::JoinSet::new();
        keeping.spawn(uses.clone().keep(path.clone(), stop.clone()));
        let mut blob = b"\0\0\0\x0bssh-ed25519\0\0\0\x20".to_vec();
        blob.extend_from_slice(&[7; 32]);
        let key = PublicKey::from_blob(&blob).unwrap();
        let alice: ContainerName = "alice".parse().unwrap();
        for seconds in [1, 2, 3] {
            uses.note(&alice, &key, Timestamp::from_second(seconds).unwrap());
            tokio::task::yield_now().await;
        }
        stop.cancel();
        keeping.join_all().await;
        let kept = KeyUses::load(&path).last(&alice, &key);
        assert_eq!(kept, Timestamp::from_second(3).ok());
    }
}
