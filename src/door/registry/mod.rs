//! Who is connected: live sessions, and connections that have not yet authenticated.
//!
//! Both lists are changed by the task that owns the connection, through guards that take the entry
//! out again when the connection ends, however it ends.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    net::{IpAddr, Ipv6Addr, SocketAddr},
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use jiff::Timestamp;
use tokio::sync::{Notify, watch};

use crate::{
    model::{
        key::PublicKey,
        name::{Account, ContainerName},
        principal::Whose,
    },
    recording::watch::{self as watching, Watch, Watcher},
};

/// Endings that are remembered for connections on their way: more than are made within a login's
/// grace time.
const MAX_ENDINGS: usize = 256;

/// A live, authenticated connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// Its number: no other session has it.
    pub id: u64,
    /// Since when.
    pub since: Timestamp,
    /// Who: printable.
    pub person: String,
    /// From where.
    pub source: SocketAddr,
    /// Where to: printable.
    pub target: String,
    /// The containers that it may lead to.
    pub containers: Vec<ContainerName>,
    /// The account inside, if it leads to one.
    pub account: Option<Account>,
    /// The key that signed.
    pub key: Option<PublicKey>,
    /// Key id of the certificate, when one was used.
    pub certificate: Option<String>,
}

impl Session {
    /// Whether both are of one person: her certificates tell who she is, with whatever key they are
    /// for; else it is the key.
    fn is_hers(&self, other: &Self) -> bool {
        match (&self.certificate, &other.certificate) {
            (Some(hers), Some(others)) => hers == others,
            (None, None) => self.key == other.key,
            (Some(_), None) | (None, Some(_)) => false,
        }
    }

    fn is_of(&self, container: &ContainerName, whose: &Whose) -> bool {
        let meant = match whose {
            Whose::All => self.account.is_some(),
            Whose::Account(account) => self.account.as_ref() == Some(account),
            Whose::Key(key) => self.key.as_ref() == Some(key),
        };
        meant && self.containers.contains(container)
    }
}

/// Sessions that were ended, and connections that might still become one of them.
struct Ending {
    container: ContainerName,
    whose: Whose,
    sentence: Arc<str>,
    /// The last connection that there was.
    last: u64,
}

struct Live {
    session: Session,
    end: Arc<End>,
}

/// The sentence that ends a session. A fifth of what a watch channel takes for each idle session.
#[derive(Default)]
struct End {
    sentence: OnceLock<Arc<str>>,
    /// Those who want to watch, until the session's task takes them in.
    watchers: Mutex<Vec<Watcher>>,
    said: Arc<Notify>,
    /// The far side is there: nobody waits for it any more.
    is_open: AtomicBool,
}

impl End {
    /// Says it; only the first time counts.
    fn say(&self, sentence: Arc<str>) {
        let _ = self.sentence.set(sentence);
        self.said.notify_one();
    }

    fn join(&self, watcher: Watcher) {
        self.watchers.lock().unwrap_or_else(PoisonError::into_inner).push(watcher);
        self.said.notify_one();
    }

    fn new_watchers(&self) -> Vec<Watcher> {
        std::mem::take(&mut self.watchers.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Waits until it is said.
    async fn heard(&self) -> Arc<str> {
        loop {
            if let Some(sentence) = self.sentence.get() {
                return Arc::clone(sentence);
            }
            // What was said in between is kept for the one who waits.
            self.said.notified().await;
        }
    }
}

#[derive(Default)]
struct Lists {
    next: u64,
    sessions: BTreeMap<u64, Live>,
    endings: VecDeque<Ending>,
    starting: HashMap<IpAddr, usize>,
    starting_total: usize,
}

/// The lists. Cheap to clone.
#[derive(Clone, Default)]
pub struct Registry {
    lists: Arc<Mutex<Lists>>,
    count: Arc<watch::Sender<usize>>,
    /// Said to everybody once the sentinel stops: also to those who come later.
    farewell: Arc<watch::Sender<Option<Arc<str>>>>,
}

impl Registry {
    /// An empty one whose numbers begin after `last`.
    #[must_use]
    pub fn after(last: u64) -> Self {
        let registry = Self::default();
        registry.lock().next = last;
        registry
    }

    /// Takes a place among the connections that have not authenticated.
    ///
    /// # Errors
    /// Too many have not.
    pub fn start(
        &self,
        source: IpAddr,
        per_source: usize,
        total: usize,
    ) -> Result<Starting, Crowded> {
        let source = network(source);
        let mut lists = self.lock();
        let of_source = lists.starting.get(&source).copied().unwrap_or(0);
        if of_source >= per_source {
            return Err(Crowded::Source(source));
        }
        if lists.starting_total >= total {
            return Err(Crowded::All);
        }
        lists.starting.insert(source, of_source + 1);
        lists.starting_total += 1;
        Ok(Starting { registry: self.clone(), source, ended: self.farewell.subscribe() })
    }

    /// How many connections have not authenticated.
    #[must_use]
    pub fn starting(&self) -> usize {
        self.lock().starting_total
    }

    /// A number for a connection.
    #[must_use]
    pub fn number(&self) -> u64 {
        let mut lists = self.lock();
        lists.next += 1;
        lists.next
    }

    /// Enters a session. `None`: its person has `per_person` already.
    #[must_use]
    pub fn enter(&self, session: Session, per_person: usize) -> Option<Entry> {
        let mut lists = self.lock();
        let hers = lists.sessions.values().filter(|live| live.session.is_hers(&session));
        if hers.count() >= per_person {
            return None;
        }
        let id = session.id;
        let end = Arc::new(End::default());
        if let Some(sentence) = &*self.farewell.borrow() {
            end.say(Arc::clone(sentence));
        }
        let ending = |e: &&Ending| id <= e.last && session.is_of(&e.container, &e.whose);
        if let Some(ending) = lists.endings.iter().find(ending) {
            end.say(Arc::clone(&ending.sentence));
        }
        lists.sessions.insert(id, Live { session, end: Arc::clone(&end) });
        self.count.send_replace(lists.sessions.len());
        Some(Entry { registry: self.clone(), id, end })
    }

    /// The live sessions, oldest first, and whether the far side of each is there.
    #[must_use]
    pub fn sessions(&self) -> Vec<(Session, bool)> {
        let is_open = |live: &Live| live.end.is_open.load(Ordering::Relaxed);
        let lists = self.lock();
        lists.sessions.values().map(|live| (live.session.clone(), is_open(live))).collect()
    }

    /// Ends the session of this number with a sentence for its person; `false`: there is none.
    #[must_use]
    pub fn end_one(&self, id: u64, sentence: &str) -> bool {
        let lists = self.lock();
        let live = lists.sessions.get(&id);
        live.map(|live| live.end.say(sentence.into())).is_some()
    }

    /// Lets `who` (printable) watch the session of this number: one of its terminals, or whichever
    /// there is. `None`: there is no such session.
    #[must_use]
    pub fn watch(&self, id: u64, terminal: Option<u32>, who: String) -> Option<Watch> {
        let lists = self.lock();
        let end = &lists.sessions.get(&id)?.end;
        let (watcher, watch) = watching::pair(who, terminal, Arc::clone(&end.said));
        end.join(watcher);
        Some(watch)
    }

    /// How many sessions live, now and later. It is written while the lists are held: whoever borrows
    /// it asks for nothing else here before that is given back.
    #[must_use]
    pub fn count(&self) -> watch::Receiver<usize> {
        self.count.subscribe()
    }

    /// How many connections there are, before and after authentication.
    #[must_use]
    pub fn connections(&self) -> usize {
        let lists = self.lock();
        lists.starting_total + lists.sessions.len()
    }

    /// Ends sessions on a container with a sentence for their people, those of connections that
    /// are just logging in, too. How many there were.
    #[must_use]
    pub fn end(&self, container: &ContainerName, whose: &Whose, sentence: &str) -> usize {
        let mut lists = self.lock();
        let sentence: Arc<str> = sentence.into();
        let meant = lists.sessions.values().filter(|live| live.session.is_of(container, whose));
        let ended = meant.map(|live| live.end.say(Arc::clone(&sentence))).count();
        if lists.endings.len() == MAX_ENDINGS {
            lists.endings.pop_front();
        }
        let (container, whose, last) = (container.clone(), whose.clone(), lists.next);
        lists.endings.push_back(Ending { container, whose, sentence, last });
        ended
    }

    /// Ends the sessions that are open on these containers, each with its sentence; those that wait
    /// for a container go on waiting. How many there were.
    pub fn end_open(
        &self,
        containers: &BTreeSet<ContainerName>,
        sentence: impl Fn(&ContainerName) -> String,
    ) -> usize {
        let lists = self.lock();
        let mut ended = 0;
        for live in lists.sessions.values().filter(|l| l.end.is_open.load(Ordering::Relaxed)) {
            let on_it = live.session.containers.iter().find(|c| containers.contains(c));
            if let Some(container) = on_it.filter(|_| live.session.account.is_some()) {
                live.end.say(sentence(container).into());
                ended += 1;
            }
        }
        ended
    }

    /// Ends every connection with a sentence for its person.
    pub fn end_all(&self, sentence: &str) {
        let lists = self.lock();
        let sentence: Arc<str> = sentence.into();
        self.farewell.send_replace(Some(Arc::clone(&sentence)));
        for live in lists.sessions.values() {
            live.end.say(Arc::clone(&sentence));
        }
    }

    /// Waits until every connection is ended; the sentence is for who is at its other end.
    pub async fn farewell(&self) -> Arc<str> {
        let mut farewell = self.farewell.subscribe();
        said(&mut farewell).await
    }

    fn lock(&self) -> MutexGuard<'_, Lists> {
        // A panic between two statements here leaves counts that are still true.
        self.lists.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What counts as one source: an IPv4 address, or the IPv6 /64 that one customer has.
fn network(source: IpAddr) -> IpAddr {
    match source.to_canonical() {
        IpAddr::V4(v4) => v4.into(),
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64).into(),
    }
}

/// Why there is no place among the connections that have not authenticated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Crowded {
    /// This source has as many as it may have.
    Source(IpAddr),
    /// There are as many as there may be.
    All,
}

/// A place among the connections that have not authenticated; dropping it gives it back.
pub struct Starting {
    registry: Registry,
    source: IpAddr,
    ended: watch::Receiver<Option<Arc<str>>>,
}

impl Starting {
    /// What counts as its source.
    #[must_use]
    pub fn source(&self) -> IpAddr {
        self.source
    }

    /// Waits until somebody ends the connection; the sentence says why.
    pub async fn ended(&mut self) -> Arc<str> {
        said(&mut self.ended).await
    }
}

async fn said(farewell: &mut watch::Receiver<Option<Arc<str>>>) -> Arc<str> {
    let said = farewell.wait_for(Option::is_some).await;
    said.ok().and_then(|s| s.clone()).unwrap_or_else(|| "the session was ended".into())
}

impl Drop for Starting {
    fn drop(&mut self) {
        let mut lists = self.registry.lock();
        lists.starting_total = lists.starting_total.saturating_sub(1);
        if let Some(n) = lists.starting.get_mut(&self.source) {
            *n = n.saturating_sub(1);
            if *n == 0 {
                lists.starting.remove(&self.source);
            }
        }
    }
}

/// What a session that goes on is called for.
pub enum Call {
    /// To end, with this sentence for its person.
    End(Arc<str>),
    /// These want to watch, and those who did may have gone.
    Watchers(Vec<Watcher>),
}

/// A session's place in the list; dropping it takes it out.
pub struct Entry {
    registry: Registry,
    id: u64,
    end: Arc<End>,
}

impl Entry {
    /// The far side is there.
    pub fn open(&self) {
        self.end.is_open.store(true, Ordering::Relaxed);
    }

    /// Waits until somebody ends this session; the sentence is for its person.
    pub async fn ended(&self) -> Arc<str> {
        self.end.heard().await
    }

    /// Waits until somebody ends this session, or watches it, or watches it no more.
    pub async fn called(&self) -> Call {
        let new = self.end.new_watchers();
        if self.end.sentence.get().is_none() && new.is_empty() {
            self.end.said.notified().await;
        }
        match self.end.sentence.get() {
            Some(sentence) => Call::End(Arc::clone(sentence)),
            None if new.is_empty() => Call::Watchers(self.end.new_watchers()),
            None => Call::Watchers(new),
        }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let mut lists = self.registry.lock();
        lists.sessions.remove(&self.id);
        self.registry.count.send_replace(lists.sessions.len());
    }
}

#[cfg(test)]
mod tests;
