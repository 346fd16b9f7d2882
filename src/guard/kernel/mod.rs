//! Banned sources that go on and on, dropped by the kernel before they are accepted: one task, which
//! keeps a table of `nft` as the book wants it. Off by default, and nothing depends on it: where it
//! fails, the door drops them as it does without. Each source is there for a while only, which the
//! kernel counts by itself, also when the sentinel is killed.

mod table;

use std::{
    collections::BTreeMap,
    io,
    net::SocketAddr as Door,
    os::{
        linux::net::SocketAddrExt,
        unix::net::{SocketAddr, UnixListener},
    },
    time::Duration,
};

use tokio::{
    select,
    time::{MissedTickBehavior, interval, sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use self::table::{LIST, Listed, REMOVE, text};
use super::{book::Source, driver::Guard};
use crate::gateway::{KernelError, run_program};

/// The program that changes the table.
const NFT: &str = "nft";

/// How often it is looked whether somebody interfered.
const LOOK: Duration = Duration::from_secs(5);

/// Least time between two changes: what comes meanwhile goes together.
const PAUSE: Duration = Duration::from_millis(100);

/// How long somebody who lifts a ban waits for the kernel.
const PATIENCE: Duration = Duration::from_secs(2);

/// An abstract socket belongs to a network namespace, as the table does, and is gone with the process:
/// two sentinels would undo each other's tables for ever.
const CLAIM: &str = "containarium-guard";

/// What the kernel does for the guard.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Kernel {
    /// It is to drop banned sources.
    pub wanted: bool,
    /// So many it drops.
    pub sources: usize,
    /// Why it does not do what it is to.
    pub problem: Option<String>,
    /// The changes of bans that it has followed.
    pub followed: u64,
}

/// Why the kernel does not do what it is to.
#[derive(Debug, thiserror::Error)]
enum TableError {
    #[error("{0}")]
    Program(#[from] KernelError),
    #[error("another sentinel on this machine has its bans there")]
    Taken,
    #[error("claim the table: {0}")]
    Claim(#[source] io::Error),
    #[error("nft: the table is not as it was made")]
    Disputed,
}

impl Guard {
    /// Has the kernel drop whom the book names, at `doors`, from now on; at `stop` everything of ours
    /// is taken away.
    pub async fn keep_kernel(self, doors: Vec<Door>, stop: CancellationToken) {
        let mut changes = self.changes();
        let (mut named, mut config) = (self.named(), self.config());
        let mut keeper = Keeper { doors, claim: None, made: None, is_due: true };
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let followed = *changes.borrow_and_update();
            named.mark_unchanged();
            let wanted = config.borrow_and_update().guard.kernel;
            let sources = wanted.then(|| self.in_kernel());
            let done = keeper.turn(sources.as_ref()).await;
            let sources = sources.map_or(0, |sources| sources.len());
            let problem = done.err().map(|e| e.to_string());
            self.tell_kernel(Kernel { wanted, sources, problem, followed });
            select! {
                () = stop.cancelled() => break,
                _ = changes.changed() => {}
                _ = named.changed() => {}
                _ = config.changed() => {}
                _ = looks.tick() => keeper.is_due = true,
            }
            select! {
                () = stop.cancelled() => break,
                () = sleep(PAUSE) => {}
            }
        }
        if let Err(error) = keeper.turn(None).await {
            tracing::warn!(%error, "bans are left in the kernel; they end by themselves");
        }
    }

    /// Waits until the kernel has followed what was changed in the book, for 2 s at most.
    pub async fn settle(&self) {
        let (change, mut kernel) = (*self.changes().borrow(), self.kernel());
        if !kernel.borrow().wanted {
            return;
        }
        let settled = kernel.wait_for(|k| !k.wanted || k.problem.is_some() || k.followed >= change);
        let _ = timeout(PATIENCE, settled).await;
    }

    fn tell_kernel(&self, now: Kernel) {
        let before = self.publish_kernel(now.clone());
        match (before.problem, now.problem) {
            (before, Some(problem)) if before.as_ref() != Some(&problem) => {
                tracing::error!(%problem, "bans are not in the kernel");
            }
            (Some(_), None) if now.wanted => tracing::info!("bans are in the kernel again"),
            (_, None | Some(_)) => {}
        }
    }
}

/// Keeps the table.
struct Keeper {
    doors: Vec<Door>,
    /// The right to have the table.
    claim: Option<UnixListener>,
    /// What the kernel said after it was made.
    made: Option<Listed>,
    /// It is to be looked whether it is still so.
    is_due: bool,
}

impl Keeper {
    /// Makes the table what it is to be; without `sources` there is to be none.
    async fn turn(
        &mut self,
        sources: Option<&BTreeMap<Source, Duration>>,
    ) -> Result<(), TableError> {
        let Some(sources) = sources else {
            if self.claim.is_some() {
                run_program(NFT, &["-f", "-"], REMOVE).await?;
            }
            (self.claim, self.made) = (None, None);
            return Ok(());
        };
        if self.claim.is_none() {
            self.claim = Some(claim()?);
        }
        let is_due = std::mem::take(&mut self.is_due);
        if let Some(made) = &self.made {
            let there = if is_due { look().await? } else { Some(made.clone()) };
            match there.filter(|there| there.rules == made.rules) {
                Some(there) if there.sources.iter().eq(sources.keys()) => return Ok(()),
                Some(_) => {}
                None => tracing::warn!("somebody changed our table of nft; putting it back"),
            }
        }
        self.made = None;
        run_program(NFT, &["-f", "-"], &text(&self.doors, sources)).await?;
        self.made = Some(look().await?.ok_or(TableError::Disputed)?);
        Ok(())
    }
}

/// What is there; `None`: no table.
async fn look() -> Result<Option<Listed>, TableError> {
    match run_program(NFT, &LIST, "").await {
        Ok(said) => Ok(Listed::parse(&said)),
        // Whoever may not look hears the same at the change.
        Err(KernelError::Refused { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn claim() -> Result<UnixListener, TableError> {
    let address = SocketAddr::from_abstract_name(CLAIM).map_err(TableError::Claim)?;
    UnixListener::bind_addr(&address).map_err(|error| {
        let is_taken = error.kind() == io::ErrorKind::AddrInUse;
        if is_taken { TableError::Taken } else { TableError::Claim(error) }
    })
}
