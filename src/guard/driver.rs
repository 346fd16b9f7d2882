//! The one [`Book`] of a running sentinel, with the clock.
//!
//! Behind a mutex and not on a channel: what happens at a connection has to be decided before the
//! next one is accepted, and takes less than a microsecond.

use std::{
    collections::BTreeMap,
    net::IpAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::sync::watch;
use tracing::{info, warn};

use super::{
    book::{Account, Book, Entry, Full, Id, Notice, Refusal, Source, Standing, Verdict},
    flood,
    kernel::Kernel,
    knock::Knock,
};
use crate::{
    clock,
    config::{Config, Topic},
    model::{source::Network, text::printable},
    webhook::{Event, Sender, Severity},
};

/// Connections without a login from one source, within the window, that are worth a line in the log:
/// one a second from a health check are not.
const MANY_BARE: u32 = 1000;

/// Bans that are told by webhook in [`TELLING`]: a storm of them is told once.
const TOLD: u64 = 10;
/// Seconds.
const TELLING: Duration = Duration::from_secs(600);

/// The guard. Clones are the same.
#[derive(Clone)]
pub struct Guard {
    inner: Arc<Inner>,
}

struct Inner {
    book: Mutex<Book>,
    config: watch::Receiver<Arc<Config>>,
    /// Counts the changes of bans, for whoever keeps them.
    changes: watch::Sender<u64>,
    /// Counts the sources that the kernel is to drop.
    named: watch::Sender<u64>,
    kernel: watch::Sender<Kernel>,
    webhooks: Option<Sender>,
    /// Bans told of late, and since when they are counted.
    told: Mutex<(Option<std::time::Instant>, u64)>,
    refused: AtomicU64,
    /// Bans that found no room.
    full: AtomicU64,
}

/// What `status` tells.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Summary {
    /// Bans that hold.
    pub bans: usize,
    /// Sources of which something is remembered.
    pub sources: usize,
    /// Connections dropped since start, before anything of them was read.
    pub refused: u64,
    /// Bans that found no room since start.
    pub full: u64,
}

/// What was taken out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Removed {
    /// The bans.
    pub bans: Vec<Entry>,
    /// The ban that still hits the network's first address.
    pub left: Option<Entry>,
}

impl Guard {
    /// One that remembers nothing, and tells `webhooks`.
    #[must_use]
    pub fn new(config: watch::Receiver<Arc<Config>>, webhooks: Option<Sender>) -> Self {
        let mut seed = [0; 8];
        // Without random bytes there is no SSH either.
        let _ = aws_lc_rs::rand::fill(&mut seed);
        let inner = Inner {
            book: Mutex::new(Book::new(clock::now(), u64::from_ne_bytes(seed))),
            config,
            changes: watch::channel(0).0,
            named: watch::channel(0).0,
            kernel: watch::Sender::default(),
            webhooks,
            told: Mutex::default(),
            refused: AtomicU64::new(0),
            full: AtomicU64::new(0),
        };
        Self { inner: Arc::new(inner) }
    }

    /// Decides on a connection from `peer`, while those that have spoken and not logged in take
    /// `spoken` of `places`. `None`: it is to be dropped.
    #[must_use]
    pub fn admit(&self, peer: IpAddr, spoken: usize, places: usize) -> Option<Knock> {
        let config = Arc::clone(&self.inner.config.borrow());
        let (verdict, draw) = {
            let mut book = self.book();
            let verdict = book.on_connect(peer, &config.guard, clock::now());
            (verdict, book.draw(100))
        };
        let admitted = match verdict {
            Verdict::Welcome(standing) => {
                (!flood::drops(standing, (spoken, places), draw)).then_some((standing, false, None))
            }
            Verdict::Probation(notice) => Some((Standing::Stranger, true, notice)),
            Verdict::Refused(Refusal::Stubborn) => {
                info!(source = %peer.to_canonical(), "banned, and goes on: for the kernel to drop");
                self.inner.named.send_modify(|named| *named = named.wrapping_add(1));
                None
            }
            Verdict::Refused(Refusal::Banned | Refusal::SourceRate) => None,
        };
        let Some((standing, banned, notice)) = admitted else {
            self.on_dropped();
            return None;
        };
        Some(Knock::new(self.clone(), peer, (standing, banned), notice))
    }

    /// A connection that was not admitted anywhere: whoever serves streams of his own.
    #[must_use]
    pub fn unwatched(&self) -> Knock {
        let nobody = IpAddr::from([127, 0, 0, 1]);
        Knock::new(self.clone(), nobody, (Standing::Allowed, false), None).excused()
    }

    /// What `status` tells.
    #[must_use]
    pub fn summary(&self) -> Summary {
        let book = self.book();
        Summary {
            bans: book.count(clock::now()),
            sources: book.sources_known(),
            refused: self.inner.refused.load(Ordering::Relaxed),
            full: self.inner.full.load(Ordering::Relaxed),
        }
    }

    /// The bans that hold.
    #[must_use]
    pub fn entries(&self) -> Vec<Entry> {
        self.book().entries(clock::now())
    }

    /// What is known of an address.
    #[must_use]
    pub fn account(&self, address: IpAddr) -> Account {
        let config = Arc::clone(&self.inner.config.borrow());
        self.book().account(address, &config.guard, clock::now())
    }

    /// Bans a network by the word of `by`, printable; until it is removed without `length`.
    ///
    /// # Errors
    /// Too many networks are banned.
    pub fn decree(
        &self,
        network: Network,
        length: Option<Duration>,
        by: &str,
    ) -> Result<Entry, Full> {
        let entry = self.book().decree(network, length, by, clock::now())?;
        info!(source = %network, id = %entry.id, by, for_s = length.map(|l| l.as_secs()), "banned");
        self.changed();
        let text = format!("{network} is banned by {by} ({})", entry.id);
        self.tell("ban.added", &network.to_string(), &text);
        Ok(entry)
    }

    /// Takes out the bans that lie in `network`.
    #[must_use]
    pub fn pardon(&self, network: Network, by: &str) -> Removed {
        let removed = {
            let mut book = self.book();
            let bans = book.pardon(network, clock::now());
            let rules = Arc::clone(&self.inner.config.borrow());
            let account = book.account(network.address(), &rules.guard, clock::now());
            let holds = |entry: &Entry| entry.left.is_none_or(|left| left > Duration::ZERO);
            Removed { bans, left: account.ban.filter(holds) }
        };
        for entry in &removed.bans {
            info!(source = %entry.network, id = %entry.id, by, "ban removed");
        }
        if let Some(first) = removed.bans.first() {
            self.changed();
            let text = match removed.bans.len() {
                1 => format!("the ban of {} ({}) is removed by {by}", first.network, first.id),
                n => format!("{n} bans in {network} are removed by {by}"),
            };
            self.tell("ban.removed", &network.to_string(), &text);
        }
        removed
    }

    /// The ban with that number, if it holds.
    #[must_use]
    pub fn find(&self, id: Id) -> Option<Entry> {
        self.entries().into_iter().find(|entry| entry.id == id)
    }

    /// Whether `peer` is banned now.
    pub(super) fn bans(&self, peer: IpAddr) -> bool {
        self.book().is_banned(peer, clock::now())
    }

    /// Whether one more stranger is served who has said a word, or ended without one.
    pub(super) fn serves(&self, has_spoken: bool) -> bool {
        let config = Arc::clone(&self.inner.config.borrow());
        self.book().on_stranger(has_spoken, &config.guard, clock::now())
    }

    /// A connection was dropped, before anything of it was read.
    pub(super) fn on_dropped(&self) {
        self.inner.refused.fetch_add(1, Ordering::Relaxed);
    }

    /// A connection from `peer` ended without a login, after it was refused something.
    pub(super) fn on_failure(&self, peer: IpAddr) {
        let config = Arc::clone(&self.inner.config.borrow());
        let banned = self.book().on_failure(peer, &config.guard, clock::now());
        match banned {
            Ok(None) => {}
            Ok(Some(entry)) => self.on_ban(&entry),
            Err(Full) => {
                if self.inner.full.fetch_add(1, Ordering::Relaxed).is_power_of_two() {
                    warn!(source = %peer, "not banned: there is no room for more bans");
                }
            }
        }
    }

    fn on_ban(&self, entry: &Entry) {
        let seconds = entry.left.map_or(0, |left| left.as_secs());
        let (source, id) = (entry.network.to_string(), entry.id);
        info!(source, %id, for_s = seconds, cause = %entry.cause, "banned");
        self.changed();
        let text = format!("{source} is banned for {} min: {} ({id})", seconds / 60, entry.cause);
        self.tell("ban.added", &source, &text);
    }

    /// A connection from `peer` ended that had asked for nothing.
    pub(super) fn on_bare(&self, peer: IpAddr) {
        let config = Arc::clone(&self.inner.config.borrow());
        let count = self.book().on_bare(peer, &config.guard, clock::now());
        if count == MANY_BARE {
            info!(source = %peer, count, "many connections without a login; they ban nobody");
        }
    }

    /// Somebody logged in from `peer`.
    pub(super) fn on_success(&self, peer: IpAddr) {
        let config = Arc::clone(&self.inner.config.borrow());
        let was_dropped = self.book().on_success(peer, &config.guard, clock::now());
        if was_dropped {
            self.changed();
        }
    }

    /// Somebody at `peer`, which is banned, was told so.
    pub(super) fn on_told(&self, peer: IpAddr) {
        self.book().on_told(peer, clock::now());
        self.changed();
    }

    /// What somebody from a banned source is told.
    pub(super) fn sentence(peer: IpAddr, notice: &Notice) -> String {
        let until = notice.left.and_then(|left| clock::timestamp().checked_add(left).ok());
        let until = until.map_or_else(
            || "until an administrator lifts it".to_owned(),
            |until| format!("until {}", until.strftime("%Y-%m-%d %H:%M:%S UTC")),
        );
        let cause = match notice.failures {
            Some(1) => "1 failed login".to_owned(),
            Some(failures) => format!("{failures} failed logins"),
            None => "an administrator's decision".to_owned(),
        };
        let peer = peer.to_canonical();
        format!(
            "{peer} is banned {until}, for {cause}; quote {} to an administrator.\r\n\
             Whoever has a registered key gets in all the same.\r\n",
            notice.id
        )
    }

    pub(super) fn book(&self) -> MutexGuard<'_, Book> {
        // A panic between two statements here leaves counts that are still true.
        self.inner.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The sources that the kernel is to drop, and for how long.
    pub(super) fn in_kernel(&self) -> BTreeMap<Source, Duration> {
        let config = Arc::clone(&self.inner.config.borrow());
        self.book().in_kernel(&config.guard, clock::now())
    }

    /// What the kernel does, now and later.
    #[must_use]
    pub fn kernel(&self) -> watch::Receiver<Kernel> {
        self.inner.kernel.subscribe()
    }

    /// Says what it does: what it did before.
    pub(crate) fn publish_kernel(&self, now: Kernel) -> Kernel {
        self.inner.kernel.send_replace(now)
    }

    pub(super) fn named(&self) -> watch::Receiver<u64> {
        self.inner.named.subscribe()
    }

    pub(super) fn config(&self) -> watch::Receiver<Arc<Config>> {
        self.inner.config.clone()
    }

    pub(super) fn changes(&self) -> watch::Receiver<u64> {
        self.inner.changes.subscribe()
    }

    fn changed(&self) {
        self.inner.changes.send_modify(|changes| *changes = changes.wrapping_add(1));
    }

    /// Records each, and tells a few, and then that there are more.
    fn tell(&self, name: &'static str, subject: &str, text: &str) {
        let Some(webhooks) = &self.inner.webhooks else { return };
        let now = clock::now();
        let count = {
            let mut told = self.inner.told.lock().unwrap_or_else(PoisonError::into_inner);
            let (since, count) = &mut *told;
            if since.is_none_or(|since| now.saturating_duration_since(since) >= TELLING) {
                (*since, *count) = (Some(now), 0);
            }
            *count += 1;
            *count
        };
        let more = "; of more bans in the next ten minutes nobody is told";
        let text = format!("{}{}", printable(text, 300), if count == TOLD { more } else { "" });
        let texts = (subject, text.as_str());
        let event = Event::new(Topic::Ban, name, Severity::Info, texts, clock::timestamp());
        if count > TOLD { webhooks.record(event) } else { webhooks.tell(event) }
    }
}
