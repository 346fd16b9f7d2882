//! Who is banned: sources by what they did, networks by the word of an administrator.

use std::{collections::HashMap, net::IpAddr};

use super::{Id, Millis, Source};
use crate::model::source::Network;

/// Bans of each family, those that are over and not forgotten included: half of 65,536.
pub(super) const ROOM: usize = 32_768;

/// Networks that administrators may ban: each is looked at for each connection.
pub(super) const NETWORKS: usize = 256;

/// How long it is remembered that a source was banned, from the end of the ban.
pub(super) const MEMORY: Millis = 24 * 3600 * 1000;

/// Least time between two looks through a table for what can be forgotten.
const SWEEP: Millis = 1000;

/// A ban by what a source did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ban {
    pub(super) since: Millis,
    pub(super) until: Millis,
    pub(super) id: Id,
    /// The how manieth in a row it is.
    pub(super) strikes: u8,
    /// The failures for which it was banned.
    pub(super) failures: u8,
    /// Somebody was told.
    pub(super) told: bool,
    /// Connections that the door dropped for it of late, as far as they count.
    pub(super) dropped: u8,
}

/// A ban by the word of an administrator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Decreed {
    pub(super) network: Network,
    pub(super) since: Millis,
    /// `None`: until it is removed.
    pub(super) until: Option<Millis>,
    pub(super) id: Id,
    /// Who said so; printable.
    pub(super) by: String,
}

/// The bans of sources of one family.
#[derive(Debug)]
struct Family {
    bans: HashMap<Source, Ban>,
    swept: Millis,
}

impl Family {
    fn new() -> Self {
        // At once: see the table of sources.
        Self { bans: HashMap::with_capacity(ROOM), swept: Millis::MIN }
    }

    /// Makes room for one more, at the cost of bans that are over: one that holds never goes.
    fn make_room(&mut self, now: Millis) -> bool {
        if self.bans.len() < ROOM {
            return true;
        }
        if now.saturating_sub(self.swept) < SWEEP {
            return false;
        }
        self.swept = now;
        self.sweep(now);
        if self.bans.len() >= ROOM {
            self.bans.retain(|_, ban| ban.until > now);
        }
        self.bans.len() < ROOM
    }

    fn sweep(&mut self, now: Millis) {
        self.bans.retain(|_, ban| now.saturating_sub(ban.until) < MEMORY);
    }
}

/// All bans.
#[derive(Debug)]
pub(super) struct Bans {
    v4: Family,
    v6: Family,
    networks: Vec<Decreed>,
}

impl Bans {
    pub(super) fn new() -> Self {
        Self { v4: Family::new(), v6: Family::new(), networks: Vec::with_capacity(NETWORKS) }
    }

    /// The ban of a source that holds at `now`.
    pub(super) fn holds(&mut self, source: Source, now: Millis) -> Option<&mut Ban> {
        self.family(source).bans.get_mut(&source).filter(|ban| ban.until > now)
    }

    /// The ban of a source, also one that is over.
    pub(super) fn known(&self, source: Source) -> Option<&Ban> {
        match source {
            Source::V4(_) => &self.v4,
            Source::V6(_) => &self.v6,
        }
        .bans
        .get(&source)
    }

    /// The network that an address was banned with.
    pub(super) fn decreed(&self, address: IpAddr, now: Millis) -> Option<&Decreed> {
        let holds = |d: &&Decreed| d.until.is_none_or(|until| until > now);
        self.networks.iter().filter(holds).find(|d| d.network.contains(address))
    }

    /// Enters a ban. False: there is no room, as all that there are hold.
    pub(super) fn insert(&mut self, source: Source, ban: Ban, now: Millis) -> bool {
        let family = self.family(source);
        if !family.bans.contains_key(&source) && !family.make_room(now) {
            return false;
        }
        family.bans.insert(source, ban);
        true
    }

    /// Enters the ban of a network. False: there is no room.
    pub(super) fn decree(&mut self, decreed: Decreed, now: Millis) -> bool {
        self.networks
            .retain(|d| d.network != decreed.network && d.until.is_none_or(|until| until > now));
        let has_room = self.networks.len() < NETWORKS;
        if has_room {
            self.networks.push(decreed);
        }
        has_room
    }

    /// Takes out the bans that are meant, and forgets that they were.
    pub(super) fn remove(
        &mut self,
        source: impl Fn(Source, &Ban) -> bool,
        network: impl Fn(&Decreed) -> bool,
    ) {
        for family in [&mut self.v4, &mut self.v6] {
            family.bans.retain(|of, ban| !source(*of, ban));
        }
        self.networks.retain(|decreed| !network(decreed));
    }

    /// Forgets what is long over.
    pub(super) fn sweep(&mut self, now: Millis) {
        self.v4.sweep(now);
        self.v6.sweep(now);
        self.networks.retain(|d| d.until.is_none_or(|until| until > now));
    }

    /// All of them, also those that are over.
    pub(super) fn all(&self) -> (impl Iterator<Item = (Source, &Ban)>, &[Decreed]) {
        let sources = self.v4.bans.iter().chain(&self.v6.bans).map(|(source, ban)| (*source, ban));
        (sources, &self.networks)
    }

    fn family(&mut self, source: Source) -> &mut Family {
        match source {
            Source::V4(_) => &mut self.v4,
            Source::V6(_) => &mut self.v6,
        }
    }

    /// Bytes that the tables have taken.
    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        let family = |family: &Family| {
            let buckets = (family.bans.capacity() * 8 / 7).next_power_of_two();
            buckets * (size_of::<(Source, Ban)>() + 1)
        };
        let networks = self.networks.capacity() * (size_of::<Decreed>() + 64);
        family(&self.v4) + family(&self.v6) + networks
    }
}
