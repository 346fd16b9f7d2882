//! Who is connected, so that a crowd of silent clients cannot keep others out: when there are too
//! many, whoever has most connections loses the oldest of them. Pure.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv6Addr},
};

/// Connections at once on one port.
pub(super) const MAX_CONNECTIONS: usize = 512;

/// One connection.
pub(super) type Id = u64;

/// The connections that are open.
#[derive(Debug, Default)]
pub(super) struct Crowd {
    next: Id,
    /// Where each comes from, the oldest first.
    sources: BTreeMap<Id, IpAddr>,
}

impl Crowd {
    /// Lets a connection in, and says which other has to go for it.
    pub(super) fn enter(&mut self, from: IpAddr) -> (Id, Option<Id>) {
        let leaves = if self.sources.len() < MAX_CONNECTIONS { None } else { self.crowding() };
        if let Some(id) = leaves {
            self.sources.remove(&id);
        }
        let id = self.next;
        self.next += 1;
        self.sources.insert(id, network(from));
        (id, leaves)
    }

    /// A connection has ended.
    pub(super) fn leave(&mut self, id: Id) {
        self.sources.remove(&id);
    }

    /// The oldest connection of whoever has most.
    fn crowding(&self) -> Option<Id> {
        let mut counts = BTreeMap::<IpAddr, usize>::new();
        for source in self.sources.values() {
            *counts.entry(*source).or_default() += 1;
        }
        let most = counts.values().max()?;
        let mut oldest = self.sources.iter();
        oldest.find(|(_, source)| counts.get(source) == Some(most)).map(|(id, _)| *id)
    }
}

/// Who somebody is: an IPv4 address, or the 64 bits of IPv6 that one network has.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(v4) => v4.into(),
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX)).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_has_most_loses_the_oldest() {
        let mut crowd = Crowd::default();
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        let (honest, _) = crowd.enter(address("192.0.2.1"));
        let mut ids = (1..MAX_CONNECTIONS).map(|i| {
            let from = address(&format!("2001:db8::{i:x}"));
            let (id, leaves) = crowd.enter(from);
            assert_eq!(leaves, None);
            id
        });
        let first = ids.next().unwrap();
        assert_eq!(ids.count(), MAX_CONNECTIONS - 2);
        for i in 0..600 {
            let (_, leaves) = crowd.enter(address("2001:db8::1"));
            assert_eq!(leaves, Some(first + i), "the honest one stays: {honest}");
        }
        let (another, leaves) = crowd.enter(address("::ffff:192.0.2.1"));
        assert!(leaves.is_some_and(|id| id != honest));
        assert_eq!(crowd.sources.len(), MAX_CONNECTIONS);
        crowd.leave(another);
        assert_eq!(crowd.enter(address("192.0.2.2")).1, None);
    }
}
