//! The one task that reads certificates again and again.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use tokio::{
    sync::watch,
    time::{sleep, timeout},
};

use super::{
    expiry::{Expiry, Told},
    keystore::Keystore,
    read::{Missed, read},
};
use crate::{
    clock,
    config::{CertificatePlace, CertificateSource, Config},
    fleet::Fleet,
    store::{atomic, certificates as store},
};

/// How often files of this machine are read: they are few and small.
const HERE: Duration = Duration::from_secs(2);

/// How often those of others are read, and how soon again after that failed.
const AWAY: Duration = Duration::from_secs(60);
const RETRY: Duration = Duration::from_secs(5);

/// For one source: a store of certificates takes several calls.
const DEADLINE: Duration = Duration::from_secs(20);

/// Longest sleep: the wall clock decides what expires, and may be set.
const LOOK: Duration = Duration::from_secs(2);

/// Tells somebody of a certificate that was not renewed.
pub type Tell = Arc<dyn Fn(&Expiry) + Send + Sync>;

/// Reads the certificates that the configuration names.
pub struct Certificates {
    config: watch::Receiver<Arc<Config>>,
    fleet: Fleet,
    /// Where those of backends are kept.
    file: PathBuf,
    keystore: watch::Sender<Arc<Keystore>>,
    tell: Tell,
}

/// What the task knows beside the certificates.
#[derive(Default)]
struct Rounds {
    sources: Vec<CertificateSource>,
    due: BTreeMap<CertificateSource, Instant>,
    told: Told,
}

impl Certificates {
    /// Begins with what is kept in `file`; nothing is read before [`Self::run`]. Blocks.
    #[must_use]
    pub fn load(
        config: watch::Receiver<Arc<Config>>,
        fleet: Fleet,
        file: PathBuf,
        tell: Tell,
    ) -> Self {
        let mut keystore = Keystore::default();
        keystore.follow(&sources(&config.borrow()));
        keystore.restore(kept(&file));
        Self { config, fleet, file, keystore: watch::Sender::new(Arc::new(keystore)), tell }
    }

    /// The certificates, now and later.
    #[must_use]
    pub fn keystore(&self) -> watch::Receiver<Arc<Keystore>> {
        self.keystore.subscribe()
    }

    /// Reads until it is dropped, or nobody configures any more.
    pub async fn run(mut self) {
        let mut rounds = Rounds::default();
        loop {
            self.round(&mut rounds).await;
            let now = clock::now();
            let next = rounds.due.values().min().map(|at| at.saturating_duration_since(now));
            tokio::select! {
                () = sleep(next.unwrap_or(LOOK).min(LOOK)) => {}
                changed = self.config.changed() => match changed {
                    // Somebody who reloads wants to see what changed.
                    Ok(()) => rounds.due.clear(),
                    Err(_) => return,
                },
            }
        }
    }

    async fn round(&mut self, rounds: &mut Rounds) {
        let mut keystore = Keystore::clone(&self.keystore.borrow());
        let sources = sources(&self.config.borrow_and_update());
        let mut is_new = rounds.sources != sources;
        if is_new {
            keystore.follow(&sources);
            rounds.due.retain(|source, _| sources.contains(source));
        }
        let now = clock::now();
        let is_due = |s: &&CertificateSource| rounds.due.get(s).is_none_or(|at| *at <= now);
        let due: Vec<_> = sources.iter().filter(is_due).cloned().collect();
        let readings = due.iter().map(|source| timeout(DEADLINE, read(source, &self.fleet)));
        let results = join_all(readings).await;
        for (source, result) in due.into_iter().zip(results) {
            let result =
                result.unwrap_or_else(|_| Err(Missed::Unreadable("no answer in time".to_owned())));
            let pause = match (&source.place, &result) {
                (CertificatePlace::Sentinel, _) => HERE,
                (_, Ok(_)) => AWAY,
                (_, Err(_)) => RETRY,
            };
            if keystore.put(&source, result) {
                is_new = true;
                report(&source, &keystore);
            }
            rounds.due.insert(source, clock::now() + pause);
        }
        rounds.sources = sources;
        for expiry in rounds.told.due(&keystore, clock::timestamp()) {
            (self.tell)(&expiry);
        }
        if is_new {
            self.keep(&keystore).await;
            self.keystore.send_replace(Arc::new(keystore));
        }
    }

    async fn keep(&self, keystore: &Keystore) {
        let (before, now) = (self.keystore.borrow().kept(), keystore.kept());
        if before == now {
            return;
        }
        let file = self.file.clone();
        let saved = tokio::task::spawn_blocking(move || store::save(&file, now)).await;
        match saved {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!(%error, "certificates of backends are not kept"),
            Err(error) => tracing::error!(%error, "certificates of backends are not kept"),
        }
    }
}

fn sources(config: &Config) -> Vec<CertificateSource> {
    config.maintenance.as_ref().map(|page| page.certificates.clone()).unwrap_or_default()
}

fn report(source: &CertificateSource, keystore: &Keystore) {
    let name = source.to_string();
    let problems = keystore.problems();
    if let Some((_, problem)) = problems.into_iter().find(|(of, _)| *of == name) {
        tracing::warn!(source = %name, %problem, "certificate not taken over");
    } else {
        let count = keystore.views().iter().filter(|view| view.source == name).count();
        tracing::info!(source = %name, certificates = count, "certificates read");
    }
}

fn kept(file: &Path) -> Vec<store::KeptCertificate> {
    store::load(file).unwrap_or_else(|error| {
        let aside = atomic::put_aside(file);
        tracing::warn!(%error, aside = aside.is_ok(), "kept certificates are not used");
        Vec::new()
    })
}
