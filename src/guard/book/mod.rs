//! Who failed, who is banned, and what follows: the guard's memory.
//!
//! Pure: what happened and the time go in, a verdict comes out. Time is monotonic; the wall clock
//! is asked for nothing. All tables have a fixed size, and everything that happens at a connection
//! costs the same however full they are.

mod bans;
mod id;
mod pace;
mod source;
mod sources;
mod stubborn;
#[cfg(test)]
mod tests;
mod view;

use std::{
    net::IpAddr,
    time::{Duration, Instant},
};

use self::{
    bans::{Ban, Bans, Decreed, MEMORY},
    pace::Pace,
    sources::{KEPT, Sources},
    stubborn::Stubborn,
};
pub use self::{
    id::{Id, NoId},
    source::Source,
    view::{Account, Cause, Entry, Full, Notice, Refusal, Standing, Verdict},
};
use crate::{config::Guard as Rules, model::source::Network};

/// Most failures that may be allowed before a ban.
pub const MAX_FAILURES: usize = KEPT + 1;

/// The longest ban for what a source did: repeat offenders come to it in five steps from an hour.
pub const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// Connections that a banned source may make to prove a key that is registered: two a second and ten
/// at once, which a handshake of a millisecond or two makes a hundredth of a processor.
const PROBATION: Pace = Pace::new(2, 10);

/// The same of all banned sources together: a tenth of a processor.
const ALL_PROBATION: Pace = Pace::new(20, 40);

/// At once, in seconds of the average: an editor opens a dozen connections, a script twenty.
const BURST: u32 = 5;

/// Milliseconds since the book was opened; of what was before, less than 0.
type Millis = i64;

/// Tenths of seconds since the book was opened: 13 years of them.
type Tick = u32;

/// Numbers that nobody outside can guess from few of them; not for keys.
#[derive(Debug)]
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        // xorshift64*, Vigna 2016.
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    fn below(&mut self, limit: usize) -> usize {
        let limit = u64::try_from(limit).unwrap_or(1).max(1);
        usize::try_from((self.next() >> 32) % limit).unwrap_or_default()
    }
}

/// The book.
#[derive(Debug)]
pub struct Book {
    origin: Instant,
    random: Random,
    v4: Sources,
    v6: Sources,
    bans: Bans,
    stubborn: Stubborn,
    /// When the next word of a stranger is due, the next end without one, and the next connection
    /// of somebody banned; in microseconds.
    strangers: Millis,
    mute: Millis,
    probation: Millis,
}

impl Book {
    /// An empty one, opened at `origin`. `seed` is nobody's to guess.
    #[must_use]
    pub fn new(origin: Instant, seed: u64) -> Self {
        Self {
            origin,
            random: Random(seed | 1),
            v4: Sources::new(),
            v6: Sources::new(),
            bans: Bans::new(),
            stubborn: Stubborn::default(),
            strangers: 0,
            mute: 0,
            probation: 0,
        }
    }

    /// Somebody connects.
    pub fn on_connect(&mut self, address: IpAddr, rules: &Rules, now: Instant) -> Verdict {
        if allows(rules, address) {
            return Verdict::Welcome(Standing::Allowed);
        }
        let (source, millis, tick) = (Source::of(address), self.millis(now), self.tick(now));
        let banned = self.bans.holds(source, millis).is_some()
            || self.bans.decreed(address, millis).is_some();
        let pace = if banned {
            PROBATION
        } else {
            Pace::new(rules.rate_per_source, BURST * rules.rate_per_source)
        };
        let (sources, random) = self.sources(source);
        let record = sources.entry(source, tick, random);
        let within = pace.take(&mut record.next, millis);
        let known = record.success > 0;
        if banned {
            let may = within && ALL_PROBATION.take(&mut self.probation, millis);
            if may {
                return Verdict::Probation(self.notice(address, millis));
            }
            let is_stubborn = !known && self.on_dropped(source, rules, millis);
            let refusal = if is_stubborn { Refusal::Stubborn } else { Refusal::Banned };
            return Verdict::Refused(refusal);
        }
        if !within {
            return Verdict::Refused(Refusal::SourceRate);
        }
        Verdict::Welcome(if known { Standing::Known } else { Standing::Stranger })
    }

    /// A stranger said the first word of a connection, or ended it without one: whether that is
    /// within the rate. Each has one of its own, so that who says nothing keeps out nobody.
    pub fn on_stranger(&mut self, has_spoken: bool, rules: &Rules, now: Instant) -> bool {
        let millis = self.millis(now);
        let next = if has_spoken { &mut self.strangers } else { &mut self.mute };
        Pace::new(rules.rate, BURST * rules.rate).take(next, millis)
    }

    /// A connection ended without a login after it was refused something. The ban, if it was one too
    /// many.
    ///
    /// # Errors
    /// It would have been banned, but 32,768 others of its family are.
    pub fn on_failure(
        &mut self,
        address: IpAddr,
        rules: &Rules,
        now: Instant,
    ) -> Result<Option<Entry>, Full> {
        if allows(rules, address) || self.is_banned(address, now) {
            return Ok(None);
        }
        let (source, millis, tick) = (Source::of(address), self.millis(now), self.tick(now));
        let (sources, random) = self.sources(source);
        let record = sources.entry(source, tick, random);
        let failures = record.fail(ticks(rules.window), tick);
        if failures < rules.max_failures {
            return Ok(None);
        }
        record.clear();
        let before = self.bans.known(source).filter(|ban| millis - ban.until < MEMORY);
        let strikes = before.map_or(0, |ban| ban.strikes).saturating_add(1);
        let ban = Ban {
            since: millis,
            until: millis.saturating_add(to_millis(length(rules.ban, strikes))),
            id: self.number(),
            strikes,
            failures: u8::try_from(failures).unwrap_or(u8::MAX),
            told: false,
            dropped: 0,
        };
        if !self.bans.insert(source, ban, millis) {
            return Err(Full);
        }
        Ok(Some(entry_of(source, &ban, millis)))
    }

    /// A connection ended that had asked for nothing: how many of them its source made of late.
    pub fn on_bare(&mut self, address: IpAddr, rules: &Rules, now: Instant) -> u32 {
        if allows(rules, address) {
            return 0;
        }
        let (source, tick) = (Source::of(address), self.tick(now));
        let (sources, random) = self.sources(source);
        sources.entry(source, tick, random).on_bare(ticks(rules.window), tick)
    }

    /// Somebody logged in: whether the kernel was to drop her source.
    pub fn on_success(&mut self, address: IpAddr, rules: &Rules, now: Instant) -> bool {
        if allows(rules, address) {
            return false;
        }
        let (source, tick) = (Source::of(address), self.tick(now));
        let (sources, random) = self.sources(source);
        sources.entry(source, tick, random).succeed(ticks(rules.window), tick);
        self.stubborn.remove(source)
    }

    /// Bans a network by the word of `by`, printable; for good without `length`.
    ///
    /// # Errors
    /// Too many networks are banned.
    pub fn decree(
        &mut self,
        network: Network,
        length: Option<Duration>,
        by: &str,
        now: Instant,
    ) -> Result<Entry, Full> {
        let since = self.millis(now);
        let until = length.map(|length| since.saturating_add(to_millis(length)));
        let decreed = Decreed { network, since, until, id: self.number(), by: by.to_owned() };
        let entry = decreed_entry(&decreed, since);
        if self.bans.decree(decreed, since) { Ok(entry) } else { Err(Full) }
    }

    /// Takes out the bans of sources and networks that lie in `network`, and what was counted of its
    /// address if it is one; those that there were.
    pub fn pardon(&mut self, network: Network, now: Instant) -> Vec<Entry> {
        let found = |entry: &Entry| network.covers(&entry.network);
        let entries: Vec<_> = self.entries(now).into_iter().filter(found).collect();
        self.bans.remove(
            |source, _| network.covers(&network_of(source)),
            |decreed| network.covers(&decreed.network),
        );
        self.stubborn.pardon(network);
        let source = Source::of(network.address());
        if network.covers(&network_of(source))
            && let Some(record) = self.sources(source).0.get_mut(source)
        {
            record.clear();
        }
        entries
    }

    /// The bans that hold, those with the longest time left last.
    #[must_use]
    pub fn entries(&self, now: Instant) -> Vec<Entry> {
        let mut entries = self.all(now);
        entries.retain(|entry| entry.left.is_none_or(|left| left > Duration::ZERO));
        entries.sort_by_key(|entry| (entry.left.is_none(), entry.left, entry.id));
        entries
    }

    /// How many bans hold.
    #[must_use]
    pub fn count(&self, now: Instant) -> usize {
        let millis = self.millis(now);
        let (sources, networks) = self.bans.all();
        let networks = networks.iter().filter(|d| d.until.is_none_or(|until| until > millis));
        sources.filter(|(_, ban)| ban.until > millis).count() + networks.count()
    }

    /// All bans, those that are over and not forgotten, too: what outlives a restart.
    #[must_use]
    pub fn all(&self, now: Instant) -> Vec<Entry> {
        let millis = self.millis(now);
        let (sources, networks) = self.bans.all();
        let networks = networks.iter().map(|decreed| decreed_entry(decreed, millis));
        sources.map(|(source, ban)| entry_of(source, ban, millis)).chain(networks).collect()
    }

    /// Enters a ban as [`Self::all`] told it, of a book that is closed. What is over for longer than a
    /// day, or finds no room, is passed over.
    pub fn restore(&mut self, entry: &Entry, now: Instant) {
        let millis = self.millis(now);
        let since = millis.saturating_sub(to_millis(entry.age));
        match &entry.cause {
            Cause::Administrator(by) => {
                let until = entry.left.map(|left| millis.saturating_add(to_millis(left)));
                let Entry { network, id, .. } = *entry;
                self.bans.decree(Decreed { network, since, until, id, by: by.clone() }, millis);
            }
            Cause::Failures { failures, strikes, told } => {
                // Whatever a clock or a file says, nobody is banned for longer than a day.
                let left = to_millis(entry.left.unwrap_or_default().min(LONGEST));
                let over = to_millis(entry.over);
                let until = millis.saturating_add(left).saturating_sub(over);
                if over < MEMORY {
                    let (failures, strikes, told) = (*failures, *strikes, *told);
                    let (id, dropped) = (entry.id, 0);
                    let ban = Ban { since, until, id, strikes, failures, told, dropped };
                    self.bans.insert(Source::of(entry.network.address()), ban, millis);
                }
            }
        }
    }

    /// What is known of an address.
    #[must_use]
    pub fn account(&self, address: IpAddr, rules: &Rules, now: Instant) -> Account {
        let (source, millis, tick) = (Source::of(address), self.millis(now), self.tick(now));
        let decreed = self.bans.decreed(address, millis).map(|d| decreed_entry(d, millis));
        let known = || self.bans.known(source).map(|ban| entry_of(source, ban, millis));
        let record = match source {
            Source::V4(_) => &self.v4,
            Source::V6(_) => &self.v6,
        }
        .get(source);
        let window = ticks(rules.window);
        let ago = |at: Tick| Duration::from_millis(100 * u64::from(tick.saturating_sub(at)));
        Account {
            allowed: allows(rules, address),
            ban: decreed.or_else(known),
            failures: record.map_or(0, |r| r.failures(window, tick)),
            bare: record.map_or(0, |r| r.bare(window, tick)),
            success: record.filter(|r| r.success > 0).map(|r| ago(r.success)),
        }
    }

    /// Whether an address is banned.
    pub fn is_banned(&mut self, address: IpAddr, now: Instant) -> bool {
        let millis = self.millis(now);
        self.bans.holds(Source::of(address), millis).is_some()
            || self.bans.decreed(address, millis).is_some()
    }

    /// Sources of which something is remembered.
    #[must_use]
    pub fn sources_known(&self) -> usize {
        self.v4.len() + self.v6.len()
    }

    /// Forgets bans that are long over.
    pub fn sweep(&mut self, now: Instant) {
        let millis = self.millis(now);
        self.bans.sweep(millis);
    }

    /// A number from 0 to `below` less one that nobody can foresee.
    pub fn draw(&mut self, below: usize) -> usize {
        self.random.below(below)
    }

    /// What the next person from a banned address is told, once.
    fn notice(&mut self, address: IpAddr, now: Millis) -> Option<Notice> {
        if let Some(ban) = self.bans.holds(Source::of(address), now) {
            let left = Some(duration(ban.until - now));
            let notice = Notice { id: ban.id, left, failures: Some(ban.failures) };
            return (!ban.told).then_some(notice);
        }
        let decreed = self.bans.decreed(address, now)?;
        let left = decreed.until.map(|until| duration(until - now));
        Some(Notice { id: decreed.id, left, failures: None })
    }

    /// Somebody from a banned address was told.
    pub fn on_told(&mut self, address: IpAddr, now: Instant) {
        let millis = self.millis(now);
        if let Some(ban) = self.bans.holds(Source::of(address), millis) {
            ban.told = true;
        }
    }

    fn number(&mut self) -> Id {
        Id::new(u32::try_from(self.random.next() >> 32).unwrap_or_default())
    }

    fn sources(&mut self, source: Source) -> (&mut Sources, &mut Random) {
        let sources = match source {
            Source::V4(_) => &mut self.v4,
            Source::V6(_) => &mut self.v6,
        };
        (sources, &mut self.random)
    }

    fn millis(&self, now: Instant) -> Millis {
        to_millis(now.saturating_duration_since(self.origin))
    }

    fn tick(&self, now: Instant) -> Tick {
        ticks(now.saturating_duration_since(self.origin))
    }

    /// Bytes that the tables have taken.
    #[cfg(test)]
    fn bytes(&self) -> usize {
        self.v4.bytes() + self.v6.bytes() + self.bans.bytes()
    }
}

/// Whether the configuration says that an address is let in.
fn allows(rules: &Rules, address: IpAddr) -> bool {
    rules.allow.iter().any(|network| network.contains(address))
}

/// Each ban in a row is twice as long as the one before, up to a day.
fn length(first: Duration, strikes: u8) -> Duration {
    let doubled = u32::from(strikes.saturating_sub(1)).min(31);
    first.saturating_mul(1 << doubled).min(LONGEST)
}

fn entry_of(source: Source, ban: &Ban, now: Millis) -> Entry {
    let Ban { since, until, id, strikes, failures, told, dropped: _ } = *ban;
    Entry {
        network: network_of(source),
        id,
        age: duration(now - since),
        left: Some(duration(until - now)),
        over: duration(now - until),
        cause: Cause::Failures { failures, strikes, told },
    }
}

fn decreed_entry(decreed: &Decreed, now: Millis) -> Entry {
    Entry {
        network: decreed.network,
        id: decreed.id,
        age: duration(now - decreed.since),
        left: decreed.until.map(|until| duration(until - now)),
        over: decreed.until.map_or(Duration::ZERO, |until| duration(now - until)),
        cause: Cause::Administrator(decreed.by.clone()),
    }
}

fn network_of(source: Source) -> Network {
    let prefix = if matches!(source, Source::V4(_)) { 32 } else { 64 };
    Network::new(source.address(), prefix)
}

fn to_millis(duration: Duration) -> Millis {
    Millis::try_from(duration.as_millis()).unwrap_or(Millis::MAX)
}

fn duration(millis: Millis) -> Duration {
    Duration::from_millis(u64::try_from(millis).unwrap_or_default())
}

fn ticks(duration: Duration) -> Tick {
    Tick::try_from(duration.as_millis() / 100).unwrap_or(Tick::MAX)
}
