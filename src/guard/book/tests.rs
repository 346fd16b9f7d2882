//! The book against tables, floods, and a model of what it should be.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

pub(super) const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);

pub(super) fn rules() -> Rules {
    Rules {
        max_failures: 3,
        window: Duration::from_secs(600),
        ban: HOUR,
        allow: vec![Network::parse("10.0.0.0/8").unwrap(), Network::parse("fd00::/8").unwrap()],
        rate_per_source: 10,
        rate: 100,
        kernel: false,
    }
}

#[expect(clippy::disallowed_methods, reason = "an origin for virtual time")]
pub(super) fn book() -> (Book, Instant) {
    let origin = Instant::now();
    (Book::new(origin, 7), origin)
}

pub(super) fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

pub(super) fn v4(number: u32) -> IpAddr {
    IpAddr::from((0x0b00_0000 + number).to_be_bytes())
}

/// Failures until one bans, at `now`.
pub(super) fn ban(book: &mut Book, address: IpAddr, now: Instant) -> Entry {
    let mut fail = || book.on_failure(address, &rules(), now).unwrap();
    (0..3).find_map(|_| fail()).expect("three failures ban")
}

fn is_dropped(book: &mut Book, address: IpAddr, now: Instant) -> bool {
    matches!(book.on_connect(address, &rules(), now), Verdict::Refused(_))
}

#[test]
fn the_third_failure_within_the_window_bans_for_an_hour() {
    let (mut book, start) = book();
    let bad = ip("192.0.2.7");
    for seconds in [0, 300] {
        assert_eq!(book.on_failure(bad, &rules(), start + SECOND * seconds), Ok(None));
    }
    // The first one does not count any more.
    assert_eq!(book.on_failure(bad, &rules(), start + SECOND * 600), Ok(None));
    let entry = book.on_failure(bad, &rules(), start + SECOND * 700).unwrap().unwrap();
    assert_eq!((entry.left, entry.network.to_string().as_str()), (Some(HOUR), "192.0.2.7"));
    assert_eq!(entry.cause, Cause::Failures { failures: 3, strikes: 1, told: false });
    let end = start + SECOND * 700 + HOUR;
    assert!(book.is_banned(bad, start + SECOND * 700 + Duration::from_millis(3_599_999)));
    assert!(!book.is_banned(bad, end), "to the millisecond");
    assert_eq!(book.entries(end), []);
    assert_eq!(book.on_connect(bad, &rules(), end), Verdict::Welcome(Standing::Stranger));
}

#[test]
fn repeat_offenders_are_banned_twice_as_long_each_time_up_to_a_day() {
    let (mut book, mut now) = book();
    let hours: Vec<_> = (0..8)
        .map(|_| {
            let left = ban(&mut book, ip("192.0.2.7"), now).left.unwrap();
            now += left;
            left.as_secs() / 3600
        })
        .collect();
    assert_eq!(hours, [1, 2, 4, 8, 16, 24, 24, 24]);
    // A day of peace after the end of the last one.
    assert_eq!(ban(&mut book, ip("192.0.2.7"), now + SECOND * 86_399).left, Some(DAY));
    now += SECOND * 86_399 + DAY + DAY;
    book.sweep(now);
    assert_eq!(ban(&mut book, ip("192.0.2.7"), now).left, Some(HOUR));
}

#[test]
fn a_login_forgives_the_older_half() {
    let (mut book, now) = book();
    let (office, rules) = (ip("192.0.2.7"), rules());
    let failures = |book: &Book| book.account(office, &rules, now).failures;
    for _ in 0..50 {
        book.on_failure(office, &rules, now).unwrap();
        book.on_success(office, &rules, now);
    }
    assert_eq!(failures(&book), 0);
    book.on_failure(office, &rules, now).unwrap();
    book.on_failure(office, &rules, now).unwrap();
    book.on_success(office, &rules, now);
    assert_eq!(failures(&book), 1);
    assert_eq!(book.count(now), 0);
}

#[test]
fn connections_that_ask_for_nothing_never_ban() {
    let (mut book, start) = book();
    let scanner = ip("192.0.2.7");
    for i in 0..100_000 {
        book.on_bare(scanner, &rules(), start + Duration::from_millis(10 * i));
    }
    let now = start + SECOND * 1000;
    assert_eq!((book.count(now), book.account(scanner, &rules(), now).failures), (0, 0));
    assert!(book.account(scanner, &rules(), now).bare > 1000);
    assert_eq!(book.account(scanner, &rules(), now + HOUR).bare, 0);
}

#[test]
fn one_customer_is_one_source_whatever_his_address() {
    let (mut book, now) = book();
    for host in 0..65_536u32 {
        let address = Ipv6::from(0x2001_0db8_0000_0001_u128 << 64 | u128::from(host) << 40);
        let _ = book.on_failure(address.into(), &rules(), now);
    }
    assert_eq!((book.sources_known(), book.count(now)), (1, 1));
    assert!(book.is_banned(ip("2001:db8:0:1:ffff::9"), now));
    assert!(!book.is_banned(ip("2001:db8:0:2::9"), now));
    ban(&mut book, ip("::ffff:192.0.2.7"), now);
    assert!(book.is_banned(ip("192.0.2.7"), now));
    assert!(!book.is_banned(ip("192.0.2.8"), now) && !book.is_banned(ip("::192.0.2.7"), now));
}

type Ipv6 = std::net::Ipv6Addr;

#[test]
fn allowed_addresses_are_neither_counted_nor_refused() {
    let (mut book, now) = book();
    for address in ["10.1.2.3", "::ffff:10.1.2.3", "fd12::1"].map(ip) {
        for _ in 0..1000 {
            assert_eq!(book.on_failure(address, &rules(), now), Ok(None));
            book.on_bare(address, &rules(), now);
            book.on_success(address, &rules(), now);
            let verdict = book.on_connect(address, &rules(), now);
            assert_eq!(verdict, Verdict::Welcome(Standing::Allowed));
        }
    }
    assert_eq!(book.sources_known(), 0, "nor do they take room");
    let everywhere = Network::parse("0.0.0.0/0").unwrap();
    book.decree(everywhere, None, "ops", now).unwrap();
    assert!(!is_dropped(&mut book, ip("10.1.2.3"), now), "allowed is stronger than banned");
}

#[test]
fn who_is_banned_may_try_to_prove_a_key_now_and_then_and_is_told_once() {
    let (mut book, now) = book();
    let bad = ip("192.0.2.7");
    let id = ban(&mut book, bad, now).id;
    let Verdict::Probation(Some(notice)) = book.on_connect(bad, &rules(), now) else {
        panic!("the first one is told");
    };
    assert_eq!(notice, Notice { id, left: Some(HOUR), failures: Some(3) });
    book.on_told(bad, now);
    let verdicts: Vec<_> = (0..1000).map(|_| book.on_connect(bad, &rules(), now)).collect();
    let let_in = verdicts.iter().filter(|v| **v == Verdict::Probation(None)).count();
    let dropped = verdicts.iter().filter(|v| **v == Verdict::Refused(Refusal::Banned)).count();
    assert_eq!((let_in, dropped), (9, 991));
    let later = now + SECOND;
    assert_eq!((0..99).filter(|_| !is_dropped(&mut book, bad, later)).count(), 2, "two a second");
    // What fails there makes no ban longer.
    assert_eq!(book.on_failure(bad, &rules(), later), Ok(None));
    assert_eq!(book.entries(later)[0].left, Some(SECOND * 3599));
    // All who are banned share a rate, too: many of them cost no more.
    let many = 1000..1100;
    many.clone().for_each(|n| drop(ban(&mut book, v4(n), later)));
    let tried = many.flat_map(|n| [n; 10]).filter(|n| !is_dropped(&mut book, v4(*n), later));
    assert!(tried.count() <= 40);
}

#[test]
fn a_flood_of_strangers_delays_nobody_who_is_known() {
    let (mut book, start) = book();
    let known = ip("192.0.2.7");
    book.on_success(known, &rules(), start);
    let now = start + HOUR;
    // Strangers share a rate once they speak, and who says nothing takes none of it.
    for spoken in [false, true] {
        let served = (0..10_000).filter(|_| book.on_stranger(spoken, &rules(), now)).count();
        assert_eq!(served, 500, "five seconds' worth");
    }
    assert_eq!(book.on_connect(known, &rules(), now), Verdict::Welcome(Standing::Known));
    // Nor may who is known make more than others.
    let more = (0..1000).filter(|_| !is_dropped(&mut book, known, now)).count();
    assert_eq!(more, 49);
}

/// 200,000 addresses fail as often as they may, and as many connect: nobody who is banned gets free
/// by it, who is known stays so, and the tables stay as small as they are.
#[test]
fn a_flood_frees_nobody_and_takes_no_more_memory() {
    let (mut book, now) = book();
    let size = book.bytes();
    assert!(size < 16_000_000, "{size} bytes");
    let (bad, known) = (ip("192.0.2.7"), ip("192.0.2.9"));
    let decreed = Network::parse("198.51.100.0/24").unwrap();
    book.decree(decreed, None, "ops", now).unwrap();
    ban(&mut book, bad, now);
    book.on_failure(known, &rules(), now).unwrap();
    for n in 0..200_000 {
        book.on_connect(v4(n), &rules(), now);
        let six = Ipv6::from(u128::from(n) << 64 | 0x2001 << 112);
        book.on_connect(six.into(), &rules(), now);
    }
    assert!(book.account(known, &rules(), now).failures == 1, "strangers make room first");
    let full = (0..200_000)
        .filter(|n| (0..3).any(|_| book.on_failure(v4(*n), &rules(), now) == Err(Full)));
    assert_eq!(full.count(), 200_000 - (bans::ROOM - 1));
    assert_eq!(book.count(now), bans::ROOM + 1);
    assert!(book.is_banned(bad, now) && book.is_banned(ip("198.51.100.9"), now));
    let six = ip("2001:db8::1");
    assert!(ban(&mut book, six, now).left.is_some(), "IPv6 has room of its own");
    assert!(book.sources_known() <= 2 * sources::ROOM);
    assert_eq!(book.bytes(), size);
    // When they are over, there is room for others again.
    let later = now + HOUR + SECOND;
    assert_eq!(ban(&mut book, v4(999_999), later).left, Some(HOUR));
    assert!(book.is_banned(ip("198.51.100.9"), later));
}

#[test]
fn bans_outlive_their_book() {
    let (mut old, start) = book();
    let now = start + HOUR * 20;
    old.decree(Network::parse("198.51.100.0/24").unwrap(), None, "ops", start).unwrap();
    old.decree(Network::parse("203.0.113.0/24").unwrap(), Some(DAY), "ops", start).unwrap();
    ban(&mut old, ip("192.0.2.1"), start);
    ban(&mut old, ip("192.0.2.2"), now);
    ban(&mut old, ip("2001:db8::1"), now);
    let all = old.all(now);
    let (mut new, _) = book();
    let opened = start + Duration::from_millis(5);
    for entry in &all {
        new.restore(entry, opened);
    }
    let sorted = |mut entries: Vec<Entry>| {
        entries.sort_by_key(|entry| entry.id);
        entries
    };
    let restored = sorted(new.all(opened));
    assert_eq!(restored.len(), 5);
    for (before, after) in sorted(all).iter().zip(&restored) {
        // To the millisecond, and the age of what is over may be that much off.
        assert_eq!(
            (&before.network, before.left, &before.cause),
            (&after.network, after.left, &after.cause)
        );
    }
    // The second time is remembered, too.
    assert_eq!(ban(&mut new, ip("192.0.2.1"), opened).left, Some(HOUR * 2));
    // Whatever a file says: nobody is banned for more than a day for what he did.
    let long = Entry { left: Some(DAY * 900), ..ban(&mut old, ip("192.0.2.3"), now) };
    new.restore(&long, opened);
    assert_eq!(new.account(ip("192.0.2.3"), &rules(), opened).ban.unwrap().left, Some(DAY));
}

#[test]
fn whoever_is_pardoned_starts_anew() {
    let (mut book, now) = book();
    let bad = ip("192.0.2.7");
    ban(&mut book, bad, now);
    ban(&mut book, ip("192.0.2.8"), now);
    book.decree(Network::parse("192.0.0.0/16").unwrap(), None, "ops", now).unwrap();
    let pardoned = book.pardon(Network::parse("192.0.2.0/24").unwrap(), now);
    assert_eq!(pardoned.len(), 2);
    assert!(book.is_banned(bad, now), "with the wider network");
    assert_eq!(book.pardon(Network::parse("0.0.0.0/0").unwrap(), now).len(), 1);
    assert!(!book.is_banned(bad, now));
    book.on_failure(bad, &rules(), now).unwrap();
    book.on_failure(bad, &rules(), now).unwrap();
    assert_eq!(book.pardon(Network::parse("192.0.2.7").unwrap(), now), []);
    assert_eq!(book.account(bad, &rules(), now).failures, 0);
    assert_eq!(ban(&mut book, bad, now).left, Some(HOUR), "the first one is forgotten");
}

#[test]
fn there_is_room_for_256_networks() {
    let (mut book, now) = book();
    let network = |n: u32| Network::new(v4(n << 8), 24);
    for n in 0..256 {
        book.decree(network(n), Some(HOUR), "ops", now).unwrap();
    }
    assert_eq!(book.decree(network(256), None, "ops", now), Err(Full));
    assert!(book.decree(network(3), None, "ops", now).is_ok(), "it takes the place of the first");
    assert!(book.decree(network(257), None, "ops", now + HOUR).is_ok());
}

#[derive(Debug, Clone, Copy)]
enum Happened {
    Connect,
    Fail,
    Bare,
    Succeed,
    Pardon,
    Sweep,
}

/// What the book should know, kept without any regard to cost.
#[derive(Default)]
struct Model {
    failures: BTreeMap<Source, Vec<u64>>,
    bans: BTreeMap<Source, u64>,
    strikes: BTreeMap<Source, u32>,
}

impl Model {
    /// Time in tenths of seconds.
    fn happen(&mut self, what: Happened, source: Source, now: u64) {
        let failures = self.failures.entry(source).or_default();
        failures.retain(|at| now - at < 6000);
        let banned = self.bans.get(&source).is_some_and(|until| *until > now);
        match what {
            Happened::Fail if !banned => {
                failures.push(now);
                if failures.len() == 3 {
                    failures.clear();
                    let forgotten =
                        self.bans.get(&source).is_none_or(|until| now - until >= 864_000);
                    let strikes = self.strikes.entry(source).or_default();
                    *strikes = if forgotten { 1 } else { *strikes + 1 };
                    let length = (36_000u64 << (*strikes - 1).min(20)).min(864_000);
                    self.bans.insert(source, now + length);
                }
            }
            Happened::Succeed => {
                failures.drain(..failures.len().div_ceil(2));
            }
            Happened::Pardon => {
                failures.clear();
                self.bans.remove(&source);
                self.strikes.remove(&source);
            }
            Happened::Connect | Happened::Fail | Happened::Bare | Happened::Sweep => {}
        }
    }
}

fn happened() -> impl Strategy<Value = Happened> {
    prop_oneof![
        4 => Just(Happened::Connect),
        9 => Just(Happened::Fail),
        2 => Just(Happened::Bare),
        2 => Just(Happened::Succeed),
        1 => Just(Happened::Pardon),
        1 => Just(Happened::Sweep),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// The book is its model, whatever happens, in whatever order and at whatever times.
    #[test]
    fn the_book_is_what_it_should_be(
        events in prop::collection::vec((happened(), 0u32..4, prop_oneof![0u64..50, 0u64..40_000, 0u64..2_000_000]), 1..400),
    ) {
        let (mut book, origin) = book();
        let (mut model, mut tenths) = (Model::default(), 0);
        let rules = rules();
        for (what, who, later) in events {
            tenths += later;
            let now = origin + Duration::from_millis(tenths * 100);
            let address = if who % 2 == 0 { v4(who) } else { Source::V6(0x2001 << 48 | u64::from(who)).address() };
            match what {
                Happened::Connect => drop(book.on_connect(address, &rules, now)),
                Happened::Fail => drop(book.on_failure(address, &rules, now)),
                Happened::Bare => drop(book.on_bare(address, &rules, now)),
                Happened::Succeed => drop(book.on_success(address, &rules, now)),
                Happened::Pardon => {
                    let network = network_of(Source::of(address));
                    book.pardon(network, now);
                }
                Happened::Sweep => {
                    book.sweep(now);
                    // Forgotten by the book alone is forgotten late.
                    model.bans.retain(|_, until| tenths < *until + 864_000);
                }
            }
            let source = Source::of(address);
            model.happen(what, source, tenths);
            let until = model.bans.get(&source).copied().filter(|until| *until > tenths);
            let account = book.account(address, &rules, now);
            prop_assert_eq!(book.is_banned(address, now), until.is_some());
            let left = account.ban.and_then(|ban| ban.left).filter(|left| *left > Duration::ZERO);
            prop_assert_eq!(left, until.map(|until| Duration::from_millis((until - tenths) * 100)));
            prop_assert_eq!(account.failures, model.failures[&source].len());
        }
    }
}

/// A million events of everybody: the bounds hold, nobody allowed is touched, and all that was taken
/// is given back.
#[test]
fn a_million_events_leave_the_bounds_as_they_are() {
    let (mut book, origin) = book();
    let (rules, size) = (rules(), book.bytes());
    let mut random = Random(0x1234_5679);
    let mut now = origin;
    for i in 0..1_000_000u32 {
        now += Duration::from_millis(random.next() % 40);
        let n = u32::try_from(random.next() % 150_000).unwrap();
        let address = match random.below(8) {
            0 => IpAddr::from((0x0a00_0000 + n).to_be_bytes()),
            1..=3 => Source::V6(0x2001 << 48 | u64::from(n)).address(),
            _ => v4(n % 70_000),
        };
        match random.below(5) {
            0 => drop(book.on_connect(address, &rules, now)),
            1..=2 => drop(book.on_failure(address, &rules, now)),
            3 => drop(book.on_bare(address, &rules, now)),
            _ => {
                book.on_success(address, &rules, now);
            }
        }
        if i % 10_000 == 0 {
            assert!(book.sources_known() <= 65_536 && book.count(now) <= 65_536);
            book.sweep(now);
        }
    }
    assert_eq!(book.bytes(), size, "no table has grown");
    assert!(book.count(now) > 0);
    for entry in book.entries(now) {
        assert!(!rules.allow.iter().any(|a| a.covers(&entry.network)), "{entry:?}");
        assert!(entry.left.is_some_and(|left| left <= LONGEST));
    }
    book.sweep(now + DAY * 3);
    assert_eq!(book.all(now + DAY * 3), []);
}
