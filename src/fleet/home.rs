//! Keys that the owner of a home directory has put into its `authorized_keys` herself. What
//! sshd would not believe (`StrictModes`: a file or directory that others may write to) is not
//! believed here.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    sync::Mutex as AsyncMutex,
    time::{Instant, timeout},
};

use crate::{
    incus::{Client, IncusError},
    model::{
        authorized_keys::{self, AuthorizedKey},
        container::Container,
        name::{Account, BackendName, ContainerName},
    },
};

/// Largest `/etc/passwd` read, in bytes.
const MAX_PASSWD: usize = 256 * 1024;
/// Largest `authorized_keys` read, in bytes.
const MAX_FILE: usize = 64 * 1024;
/// A removed key must stop working within a second.
const FRESH: Duration = Duration::from_millis(500);
/// For one question.
const DEADLINE: Duration = Duration::from_secs(2);
/// Accounts whose keys are remembered.
const MAX_ENTRIES: usize = 1024;

/// What was read lately, by account.
#[derive(Default)]
pub(super) struct HomeKeys {
    entries: Mutex<BTreeMap<Whose, Arc<Entry>>>,
}

/// An account of a container. Owner and birthday tell a container from one of the same name that
/// was there before.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Whose {
    backend: BackendName,
    container: ContainerName,
    owner: Account,
    created: String,
    account: Account,
}

struct Entry {
    /// Held while somebody reads: the others wait and take what she found.
    reading: AsyncMutex<()>,
    last: Mutex<Last>,
}

#[derive(Clone)]
struct Last {
    used: Instant,
    read: Option<Instant>,
    keys: Arc<[AuthorizedKey]>,
}

impl HomeKeys {
    /// The keys of `account`: read now, or at most 500 ms old. Without a `client` (the backend is
    /// away) and where Incus does not answer within 2 s, what was read last.
    pub(super) async fn of(
        &self,
        client: Option<&Client>,
        container: &Container,
        account: &Account,
    ) -> Vec<AuthorizedKey> {
        let entry = self.entry(container, account);
        if let Some(client) = client {
            let read = entry.refresh(client, &container.name, account);
            match timeout(DEADLINE, read).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => {
                    let name = &container.name;
                    tracing::debug!(container = %name, %account, %error, "home keys not read");
                }
                Err(_) => {
                    let name = &container.name;
                    tracing::debug!(container = %name, %account, "home keys not read in time");
                }
            }
        }
        entry.last().keys.to_vec()
    }

    /// Forgets the keys of `account`. Who is just reading them has the old ones.
    pub(super) fn forget(&self, container: &Container, account: &Account) {
        let whose = Whose::new(container, account);
        self.entries.lock().unwrap_or_else(PoisonError::into_inner).remove(&whose);
    }

    fn entry(&self, container: &Container, account: &Account) -> Arc<Entry> {
        let whose = Whose::new(container, account);
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        if entries.len() >= MAX_ENTRIES && !entries.contains_key(&whose) {
            let oldest = entries.iter().min_by_key(|(_, e)| e.last().used);
            if let Some(oldest) = oldest.map(|(whose, _)| whose.clone()) {
                entries.remove(&oldest);
            }
        }
        let entry = Arc::clone(entries.entry(whose).or_insert_with(|| Arc::new(Entry::new(now()))));
        entry.change(|last| last.used = now());
        entry
    }
}

impl Whose {
    fn new(container: &Container, account: &Account) -> Self {
        Self {
            backend: container.backend.clone(),
            container: container.name.clone(),
            owner: container.owner.clone(),
            created: container.label("created-at").unwrap_or_default().chars().take(64).collect(),
            account: account.clone(),
        }
    }
}

impl Entry {
    fn new(used: Instant) -> Self {
        let last = Last { used, read: None, keys: [].into() };
        Self { reading: AsyncMutex::new(()), last: Mutex::new(last) }
    }

    async fn refresh(
        &self,
        client: &Client,
        name: &ContainerName,
        account: &Account,
    ) -> Result<(), IncusError> {
        let _reading = self.reading.lock().await;
        // Measured from before the read: what is in a file may change right after.
        let asked = now();
        if self.last().read.is_some_and(|at| asked.duration_since(at) < FRESH) {
            return Ok(());
        }
        let keys = match read(client, &name.instance(), account).await {
            Err(error) if error.is_unavailable() => return Err(error),
            // What cannot be believed opens nothing.
            read => read.unwrap_or_else(|error| {
                tracing::warn!(container = %name, %account, %error, "home keys are not used");
                Vec::new()
            }),
        };
        self.change(|last| {
            last.read = Some(asked);
            last.keys = keys.into();
        });
        Ok(())
    }

    fn last(&self) -> Last {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn change(&self, change: impl FnOnce(&mut Last)) {
        change(&mut self.last.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

async fn read(
    client: &Client,
    instance: &str,
    account: &Account,
) -> Result<Vec<AuthorizedKey>, IncusError> {
    let Some(passwd) = client.read_file(instance, "/etc/passwd", MAX_PASSWD).await? else {
        return Ok(Vec::new());
    };
    let Some((uid, home)) = home_of(&passwd, account.as_str()) else { return Ok(Vec::new()) };
    let ssh = format!("{}/.ssh", home.trim_end_matches('/'));
    let path = format!("{ssh}/authorized_keys");
    let (home, ssh, file) = tokio::try_join!(
        client.owner(instance, &home),
        client.owner(instance, &ssh),
        client.file(instance, &path, MAX_FILE),
    )?;
    let Some(file) = file else { return Ok(Vec::new()) };
    for owner in [home, ssh, Some((file.uid, file.mode))] {
        if !owner.is_some_and(|(owner, mode)| is_private(uid, owner, mode)) {
            tracing::debug!(instance, %account, "authorized_keys may be written by others");
            return Ok(Vec::new());
        }
    }
    Ok(authorized_keys::parse(&String::from_utf8_lossy(&file.contents)).0)
}

fn is_private(uid: u32, owner: u32, mode: u32) -> bool {
    (owner == 0 || owner == uid) && mode & 0o022 == 0
}

/// Number and home of an account in `/etc/passwd`; the home must be absolute.
fn home_of(passwd: &[u8], account: &str) -> Option<(u32, String)> {
    let passwd = String::from_utf8_lossy(passwd);
    let line = passwd.lines().find(|line| line.split(':').next() == Some(account))?;
    let mut fields = line.split(':').skip(2);
    let uid = fields.next()?.parse().ok()?;
    let home = fields.nth(2)?;
    home.starts_with('/').then(|| (uid, home.to_owned()))
}

#[expect(clippy::disallowed_methods, reason = "driver of the cache's age")]
fn now() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::tests::container;

    const PASSWD: &[u8] = b"root:x:0:0:root:/root:/bin/sh\nalicex:x:7:7::/x:\n\
        alice:x:1000:1000:A \xff:/home/alice:/bin/bash\nbad:x:1:1::home:\ncut:x:1\n";

    #[test]
    fn homes_come_from_passwd_and_are_absolute() {
        assert_eq!(home_of(PASSWD, "alice"), Some((1000, "/home/alice".to_owned())));
        assert_eq!(home_of(PASSWD, "root"), Some((0, "/root".to_owned())));
        for none in ["bad", "cut", "nobody", "ali"] {
            assert_eq!(home_of(PASSWD, none), None, "{none}");
        }
    }

    #[test]
    fn only_what_nobody_else_may_write_is_believed() {
        assert!(is_private(1000, 1000, 0o600) && is_private(1000, 0, 0o755));
        assert!(!is_private(1000, 1001, 0o600));
        assert!(!is_private(1000, 1000, 0o620) && !is_private(1000, 1000, 0o602));
    }

    #[tokio::test]
    async fn the_number_of_accounts_is_bounded() {
        let keys = HomeKeys::default();
        let alice = container("alice", "b1");
        for i in 0..MAX_ENTRIES + 10 {
            let account = format!("a{i}").parse().unwrap();
            assert!(keys.of(None, &alice, &account).await.is_empty());
        }
        assert_eq!(keys.entries.lock().unwrap().len(), MAX_ENTRIES);
    }
}
