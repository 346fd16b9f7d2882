//! Which banned sources go on and on, so that the kernel is to drop them.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use super::{Book, Millis, Rules, Source, duration, network_of};
use crate::model::source::Network;

/// Sources at once, of both families: what a packet filter takes in one piece within milliseconds.
pub(super) const ROOM: usize = 1024;

/// How long each is dropped, at most: then a colleague has a chance again, and who still goes on needs
/// another [`MANY`].
pub(super) const LENGTH: Millis = 10 * 60 * 1000;

/// Connections of a banned source that the door dropped, beyond the two a second with which a key may
/// be proven: nobody comes to it who tries by hand.
pub(super) const MANY: u8 = 100;

/// Those that the kernel is to drop, and until when.
#[derive(Debug, Default)]
pub(super) struct Stubborn(BTreeMap<Source, Millis>);

impl Stubborn {
    fn enter(&mut self, source: Source, until: Millis, now: Millis) -> bool {
        if self.0.len() >= ROOM {
            self.0.retain(|_, until| *until > now);
        }
        let has_room = self.0.len() < ROOM;
        if has_room {
            self.0.insert(source, until);
        }
        has_room
    }

    pub(super) fn remove(&mut self, source: Source) -> bool {
        self.0.remove(&source).is_some()
    }

    pub(super) fn pardon(&mut self, network: Network) {
        self.0.retain(|source, _| !network.covers(&network_of(*source)));
    }
}

impl Book {
    /// The door dropped a connection of a banned source from which nobody has logged in: whether the
    /// kernel is to drop the next ones.
    pub(super) fn on_dropped(&mut self, source: Source, rules: &Rules, now: Millis) -> bool {
        // Whom only an administrator's word bans may be one of very many.
        let Some(ban) = self.bans.holds(source, now) else { return false };
        ban.dropped = ban.dropped.saturating_add(1);
        if !rules.kernel || ban.dropped < MANY || meets_allowed(rules, source) {
            return false;
        }
        ban.dropped = 0;
        let until = ban.until.min(now.saturating_add(LENGTH));
        self.stubborn.enter(source, until, now)
    }

    /// The sources that the kernel is to drop, and for how long: their bans hold, and nothing of them
    /// is in `guard.allow`.
    #[must_use]
    pub fn in_kernel(&self, rules: &Rules, now: Instant) -> BTreeMap<Source, Duration> {
        let millis = self.millis(now);
        let holds = |source: Source| self.bans.known(source).is_some_and(|b| b.until > millis);
        let sources = self.stubborn.0.iter().filter(|(source, until)| {
            **until > millis && holds(**source) && !meets_allowed(rules, **source)
        });
        sources.map(|(source, until)| (*source, duration(until - millis))).collect()
    }
}

/// Whether an address of this source is let in by the configuration.
fn meets_allowed(rules: &Rules, source: Source) -> bool {
    let network = network_of(source);
    rules.allow.iter().any(|allowed| allowed.contains(source.address()) || network.covers(allowed))
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::{
        super::{
            Refusal, Verdict,
            tests::{self, SECOND, ban, book, ip, v4},
        },
        *,
    };

    fn rules() -> Rules {
        Rules { kernel: true, ..tests::rules() }
    }

    /// So many connections of a banned address, as fast as they come: how many of them were named for the
    /// kernel.
    fn hammer(
        book: &mut Book,
        address: IpAddr,
        rules: &Rules,
        (count, now): (usize, Instant),
    ) -> usize {
        let mut verdicts = (0..count).map(|_| book.on_connect(address, rules, now));
        verdicts.by_ref().filter(|v| *v == Verdict::Refused(Refusal::Stubborn)).count()
    }

    #[test]
    fn whoever_is_banned_and_goes_on_and_on_is_for_the_kernel_for_a_while() {
        let (mut book, now) = book();
        let bad = ip("2001:db8:1:2::3");
        let named = |book: &Book, now| book.in_kernel(&rules(), now);
        // Without a ban the rate drops them, and nothing follows.
        assert_eq!(hammer(&mut book, bad, &rules(), (1000, now)), 0);
        ban(&mut book, bad, now);
        let later = now + 100 * SECOND;
        let many = usize::from(MANY);
        // Ten may prove a key.
        assert_eq!(hammer(&mut book, bad, &rules(), (10 + many - 1, later)), 0);
        assert!(named(&book, later).is_empty());
        assert_eq!(hammer(&mut book, bad, &rules(), (1, later)), 1);
        let minutes = Duration::from_secs(600);
        assert_eq!(named(&book, later), BTreeMap::from([(Source::of(bad), minutes)]));
        // Then it may try again, and needs as many for another time.
        let after = later + minutes;
        assert!(named(&book, after).is_empty());
        assert_eq!(hammer(&mut book, bad, &rules(), (10 + many - 1, after)), 0);
        assert_eq!(hammer(&mut book, bad, &rules(), (1, after)), 1);
        // It ends with the ban, whoever ends it.
        assert_eq!(book.pardon(network_of(Source::of(bad)), after).len(), 1);
        assert!(named(&book, after).is_empty());
        ban(&mut book, bad, after);
        assert!(named(&book, after).is_empty(), "it was forgotten");
        let end = after + 59 * 60 * SECOND;
        assert_eq!(hammer(&mut book, bad, &rules(), (1000, end)), 9);
        assert_eq!(named(&book, end).values().collect::<Vec<_>>(), [&(60 * SECOND)]);
    }

    #[test]
    fn nobody_who_is_known_or_allowed_is_for_the_kernel() {
        let (mut book, now) = book();
        let (known, late, network) = (ip("192.0.2.7"), ip("192.0.2.8"), ip("198.51.100.9"));
        book.on_success(known, &rules(), now);
        for address in [known, late] {
            ban(&mut book, address, now);
        }
        assert_eq!(hammer(&mut book, known, &rules(), (1000, now)), 0, "a colleague is behind it");
        let off = tests::rules();
        assert_eq!(hammer(&mut book, late, &off, (1000, now)), 0);
        assert!(hammer(&mut book, late, &rules(), (1000, now)) > 0);
        // A reload may allow it.
        let mut allowing = rules();
        allowing.allow.push(Network::parse("192.0.2.0/24").unwrap());
        assert!(book.in_kernel(&allowing, now).is_empty());
        assert_eq!(book.in_kernel(&rules(), now).len(), 1);
        // Whoever was let in before it, and logs in, is known.
        assert!(book.on_success(late, &rules(), now) && !book.on_success(late, &rules(), now));
        assert!(book.in_kernel(&rules(), now).is_empty());
        book.decree(Network::parse("198.51.100.0/24").unwrap(), None, "ops", now).unwrap();
        assert_eq!(hammer(&mut book, network, &rules(), (1000, now)), 0);
        // A part of a /64 is enough.
        let six = ip("2001:db8::1");
        ban(&mut book, six, now);
        allowing.allow.push(Network::parse("2001:db8::7").unwrap());
        assert_eq!(hammer(&mut book, six, &allowing, (1000, now)), 0);
    }

    #[test]
    fn the_kernel_gets_no_more_than_it_takes() {
        let (mut book, now) = book();
        for number in 0..2000 {
            ban(&mut book, v4(number), now);
            hammer(&mut book, v4(number), &rules(), (200, now));
        }
        assert_eq!(book.in_kernel(&rules(), now).len(), ROOM);
        // When their time is over there is room for others.
        let later = now + 601 * SECOND;
        assert!(hammer(&mut book, v4(1999), &rules(), (200, later)) > 0);
        assert_eq!(book.in_kernel(&rules(), later).len(), 1);
    }
}
