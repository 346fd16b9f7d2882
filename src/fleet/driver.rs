//! One task per backend: connects, lists, follows events, lists again every minute, and starts
//! over after a pause when the connection is gone.

use std::{convert::Infallible, future::pending, io, sync::Arc, time::Duration};

use jiff::Timestamp;
use tokio::{
    select,
    sync::{Notify, mpsc, oneshot},
    time::{Instant, MissedTickBehavior, interval_at, sleep, sleep_until},
    try_join,
};
use tokio_util::sync::CancellationToken;

use super::{
    listing::Listing,
    merge::{Driven, News},
    pending::{Dirty, Pending},
    writer::Report,
};
use crate::{
    clock::timestamp,
    incus::{
        Client, Events, IncusError,
        api::{Instance, Resources},
        host::Space,
    },
    link::{backoff::Backoff, control::Link},
    model::{
        container::Container,
        inventory::{Backend, Presence},
        text::printable,
    },
};

/// Everything is listed again this often: for what no event told.
const REFRESH: Duration = Duration::from_secs(60);
/// Events come in bursts; this long they are collected.
const COALESCE: Duration = Duration::from_millis(10);

/// Longest reason for being away, in characters: two fingerprints and an address.
const MAX_REASON: usize = 300;

/// What somebody wants of a driver.
#[derive(Debug)]
pub(super) enum Request {
    /// Read this instance now, publish it, and tell.
    Refresh {
        /// Its name in Incus.
        instance: String,
        /// Dropped without an answer while the backend is away.
        reply: oneshot::Sender<Option<Arc<Container>>>,
    },
    /// End a pause between attempts.
    Retry,
}

/// Drives one backend.
pub(super) struct Driver {
    pub(super) driven: Driven,
    pub(super) client: Client,
    pub(super) link: Option<Link>,
    pub(super) requests: mpsc::Receiver<Request>,
    /// Tells that the host does not answer any more, whatever the connection looks like: also in
    /// the middle of a question.
    pub(super) lost: Arc<Notify>,
    pub(super) reports: mpsc::Sender<Report>,
}

/// What is known since the connection was made.
struct Seen {
    since: Timestamp,
    refreshed: Timestamp,
    version: String,
    resources: Resources,
    disk: Option<Space>,
    listing: Listing,
}

impl Driver {
    /// Runs until `stop`.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        select! {
            () = stop.cancelled() => {}
            never = self.drive() => match never {},
        }
    }

    async fn drive(&mut self) -> Infallible {
        let mut backoff = Backoff::default();
        let mut away = None;
        loop {
            let mut was_up = false;
            let Err(error) = self.until_lost(&mut was_up).await;
            if was_up {
                backoff.reset();
                away = None;
            }
            let reason = reason(&error);
            let backend = &self.driven.config.name;
            if away.is_none() {
                tracing::warn!(%backend, reason, "backend is away");
            } else {
                tracing::debug!(%backend, reason, "backend is still away");
            }
            let since = *away.get_or_insert_with(timestamp);
            self.report(News::Away { since, reason }, None).await;
            let mut pause = backoff.next_pause();
            if let Some(link) = &self.link {
                // Whatever it was: a new connection is the one to trust.
                link.reset().await;
                pause = pause.max(link.pause().await);
            }
            self.pause(pause).await;
        }
    }

    /// Waits; whoever asks meanwhile learns that the backend is away.
    async fn pause(&mut self, pause: Duration) {
        let over = sleep(pause);
        tokio::pin!(over);
        loop {
            select! {
                () = &mut over => return,
                request = self.requests.recv() => match request {
                    Some(Request::Refresh { .. }) => {}
                    Some(Request::Retry) => {
                        if let Some(link) = &self.link {
                            link.retry_now().await;
                        }
                        return;
                    }
                    None => return over.await,
                }
            }
        }
    }

    async fn until_lost(&mut self, was_up: &mut bool) -> Result<Infallible, IncusError> {
        let (lost, link) = (Arc::clone(&self.lost), self.link.clone());
        select! {
            ended = self.connected(was_up) => ended,
            () = lost.notified() => {
                if let Some(link) = link {
                    link.lose().await;
                }
                Err(IncusError::Connect(io::Error::other("its host does not answer")))
            }
        }
    }

    /// From connecting until the connection is lost.
    async fn connected(&mut self, was_up: &mut bool) -> Result<Infallible, IncusError> {
        if let Some(link) = &self.link {
            link.connect().await.map_err(|e| IncusError::Connect(io::Error::other(e)))?;
        }
        // Events first, so that nothing falls between them and the list.
        let mut events = self.client.events().await?;
        let changes = Pending::default();
        select! {
            lost = follow(&mut events, &changes) => lost,
            lost = self.work(&changes, was_up) => lost,
        }
    }

    async fn work(
        &mut self,
        changes: &Pending,
        was_up: &mut bool,
    ) -> Result<Infallible, IncusError> {
        let mut seen = self.first_look().await?;
        self.publish(&seen, None).await;
        *was_up = true;
        let backend = &self.driven.config.name;
        tracing::info!(%backend, version = printable(&seen.version, 40), "backend is up");
        let mut refresh = interval_at(now() + REFRESH, REFRESH);
        refresh.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let look = seen.listing.next_look();
            let look = async move {
                match look {
                    Some(at) => sleep_until(at).await,
                    None => pending().await,
                }
            };
            select! {
                request = self.requests.recv() => match request {
                    Some(Request::Refresh { instance, reply }) => {
                        self.refresh(&mut seen, &instance, reply).await?;
                    }
                    Some(Request::Retry) => {}
                    None => return pending().await,
                },
                () = changes.changed() => {
                    sleep(COALESCE).await;
                    self.catch_up(&mut seen, changes.take()).await?;
                }
                () = look => {
                    let due = seen.listing.due(now());
                    self.reread(&mut seen, due).await?;
                }
                _ = refresh.tick() => self.relist(&mut seen).await?,
            }
        }
    }

    async fn first_look(&self) -> Result<Seen, IncusError> {
        let server = self.client.server().await?;
        if server.auth == "untrusted" {
            return Err(IncusError::api(403, "not authorized"));
        }
        let (resources, disk, instances) = self.look().await?;
        let mut listing = Listing::new(Arc::clone(&self.driven.config));
        listing.replace(&instances, now());
        let since = timestamp();
        let version = server.environment.server_version;
        Ok(Seen { since, refreshed: since, version, resources, disk, listing })
    }

    async fn look(&self) -> Result<(Resources, Option<Space>, Vec<Instance>), IncusError> {
        let Self { client, .. } = self;
        try_join!(client.resources(), client.default_space(), client.instances())
    }

    async fn relist(&self, seen: &mut Seen) -> Result<(), IncusError> {
        let (resources, disk, instances) = self.look().await?;
        (seen.resources, seen.disk) = (resources, disk);
        seen.listing.replace(&instances, now());
        seen.refreshed = timestamp();
        self.publish(seen, None).await;
        Ok(())
    }

    async fn catch_up(&self, seen: &mut Seen, dirty: Dirty) -> Result<(), IncusError> {
        match dirty {
            Dirty::All => self.relist(seen).await,
            Dirty::Names(names) => self.reread(seen, names).await,
        }
    }

    async fn reread(
        &self,
        seen: &mut Seen,
        names: impl IntoIterator<Item = String>,
    ) -> Result<(), IncusError> {
        let mut changed = false;
        for name in names {
            changed |= self.read(seen, &name).await?;
        }
        if changed {
            self.publish(seen, None).await;
        }
        Ok(())
    }

    async fn refresh(
        &self,
        seen: &mut Seen,
        instance: &str,
        reply: oneshot::Sender<Option<Arc<Container>>>,
    ) -> Result<(), IncusError> {
        if self.read(seen, instance).await? {
            let (published, done) = oneshot::channel();
            self.publish(seen, Some(published)).await;
            // Fails when the writer is gone: at the end.
            let _ = done.await;
        }
        // Fails when whoever asked has given up.
        let _ = reply.send(seen.listing.get(instance).cloned());
        Ok(())
    }

    /// Reads one instance. True if that changed anything; an error if the backend is gone.
    async fn read(&self, seen: &mut Seen, name: &str) -> Result<bool, IncusError> {
        match self.client.instance(name).await {
            Ok(instance) => Ok(seen.listing.put(&instance, now())),
            Err(error) if error.is_not_found() => Ok(seen.listing.remove(name)),
            Err(error) if !error.is_unavailable() || matches!(error, IncusError::Timeout(_)) => {
                // Is it the instance that hangs, or the backend?
                self.client.server().await?;
                let (backend, name) = (&self.driven.config.name, printable(name, 80));
                tracing::warn!(%backend, name, %error, "instance cannot be read");
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    async fn publish(&self, seen: &Seen, published: Option<oneshot::Sender<()>>) {
        let backend = Backend {
            name: self.driven.config.name.clone(),
            pool: self.driven.config.pool.clone(),
            presence: Presence::Up { since: seen.since },
            refreshed: Some(seen.refreshed),
            version: Some(printable(&seen.version, 40)),
            cpus: Some(seen.resources.cpu.total),
            memory: Some((seen.resources.memory.used, seen.resources.memory.total)),
            disk: seen.disk.map(|Space { used, total }| (used, total)),
            drained: false,
            unfinished: seen.listing.unfinished(),
            containers: seen.listing.containers(),
        };
        self.report(News::Seen(Arc::new(backend)), published).await;
    }

    async fn report(&self, news: News, published: Option<oneshot::Sender<()>>) {
        let Driven { config, generation } = &self.driven;
        let (name, generation) = (config.name.clone(), *generation);
        // Fails when the writer is gone: at the end.
        let _ = self.reports.send(Report { name, generation, news, published }).await;
    }
}

/// Why a backend is away, for people.
fn reason(error: &IncusError) -> String {
    if error.is_untrusted() {
        return "its Incus does not trust the sentinel (keys/client.crt)".to_owned();
    }
    printable(&error.to_string(), MAX_REASON)
}

async fn follow(events: &mut Events, changes: &Pending) -> Result<Infallible, IncusError> {
    loop {
        changes.note(events.next().await?);
    }
}

#[expect(clippy::disallowed_methods, reason = "driver of a backend")]
fn now() -> Instant {
    Instant::now()
}
