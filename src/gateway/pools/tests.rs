//! Two pools, their backends, and a million events.

use std::{collections::BTreeSet, path::Path, time::Duration};

use super::*;
use crate::{
    config,
    fleet::tests::at,
    gateway::rules::{Family, Protocol},
    health::machine::{Machine, State},
    model::check::Rules,
};

const KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJqRmYdWkC8NSTf4eDvyGUj0zaPbhj8gHZMpiUm+3HXQ";

/// The pools `web`, of `a` to `c` with failover, and `gpu`, of `g` without.
fn configuration(more: &str) -> config::Config {
    let backend = |name: &str, pool: &str| {
        format!(
            "[[backend]]\nname = '{name}'\npool = '{pool}'\naddress = '{name}.example'\n\
             host_key = '{KEY}'\n"
        )
    };
    let text = format!(
        "admin.authorized_keys = ['{KEY}']\n[gateway]\nhold = '30s'\n{more}\n\
         [[gateway.pool]]\nname = 'web'\nfailover = true\n\
         addresses = ['203.0.113.10', '2001:db8::10']\n\
         [[gateway.pool]]\nname = 'gpu'\nports = ['53/udp']\nmasquerade = false\n\
         [[backend]]\nname = 'here'\naddress = 'local'\npool = 'web'\n{}{}{}{}",
        backend("a", "web"),
        backend("b", "web"),
        backend("c", "web"),
        backend("g", "gpu"),
    );
    config::parse(&text, "f", Path::new("/")).unwrap_or_else(|p| panic!("{p:?}"))
}

fn pools() -> Pools {
    let (config, mut pools) = (configuration(""), Pools::default());
    pools.configure(config.gateway.as_ref(), &config.backends);
    pools
}

fn name(text: &str) -> BackendName {
    text.parse().unwrap()
}

fn addresses() -> Addresses {
    let of = |backend: &str, number: u8| {
        let v6 = format!("2001:db8:2::{number}");
        (name(backend), vec![[198, 51, 100, number].into(), v6.parse().unwrap()])
    };
    [of("a", 11), of("b", 12), of("c", 13), of("g", 14)].into()
}

#[test]
fn rules_lead_each_port_of_each_address_to_the_primary_of_its_family() {
    let mut pools = pools();
    let nobody = pools.rules(&addresses());
    assert_eq!((nobody.of(Family::V4).count(), nobody.idle(Family::V6).count()), (0, 7));
    let turns = pools.decide(|_| true, at(0));
    assert_eq!(turns.len(), 2, "{turns:?}");
    assert_eq!((&turns[0].from, &turns[0].to), (&None, &Some(name("a"))), "not the local one");
    let rules = pools.rules(&addresses());
    let shown = |family| -> Vec<String> {
        let line = |f: &Forward| {
            let listen = f.listen.map_or_else(|| "any".to_owned(), |a| a.to_string());
            let masquerade = if f.masquerade { "" } else { " routed" };
            format!("{} {listen} {} {}{masquerade}", f.protocol.name(), f.port, f.to)
        };
        rules.of(family).map(line).collect()
    };
    assert_eq!(
        shown(Family::V4),
        [
            "tcp 203.0.113.10 80 198.51.100.11:80",
            "tcp 203.0.113.10 443 198.51.100.11:443",
            "udp any 53 198.51.100.14:53 routed",
        ]
    );
    assert_eq!(
        shown(Family::V6),
        [
            "tcp 2001:db8::10 80 [2001:db8:2::11]:80",
            "tcp 2001:db8::10 443 [2001:db8:2::11]:443",
            "udp any 53 [2001:db8:2::14]:53 routed",
        ]
    );
}

#[test]
fn another_configuration_keeps_the_primary_of_a_pool_that_stays() {
    let mut pools = pools();
    pools.decide(|b| *b == name("b"), at(0));
    let mut config = configuration("");
    config.gateway.as_mut().unwrap().pools.truncate(1);
    pools.configure(config.gateway.as_ref(), &config.backends);
    assert_eq!(pools.decide(|_| true, at(1000)), [], "the hold time goes on");
    let primaries: Vec<_> = pools.iter().map(|p| p.primary().cloned()).collect();
    assert_eq!(primaries, [Some(name("b"))]);
    assert_eq!(pools.next_deadline(|_| true), Some(at(30_000)));
    // A backend that is configured no more, or that may not take over any more, is left at once.
    let without: Vec<_> = config.backends.iter().filter(|b| b.name != name("b")).cloned().collect();
    let mut removed = pools.clone();
    removed.configure(config.gateway.as_ref(), &without);
    assert_eq!(removed.decide(|_| true, at(2000))[0].to, None);
    config.gateway.as_mut().unwrap().pools[0].failover = false;
    pools.configure(config.gateway.as_ref(), &config.backends);
    assert_eq!(pools.decide(|b| *b == name("b"), at(2000))[0].to, None);
    pools.configure(None, &config.backends);
    assert_eq!(pools.iter().count(), 0);
}

/// Numbers that are the same in each run.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        // xorshift64 (Marsaglia 2003)
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

/// A host that is probed by a machine as it is.
struct Probed {
    name: BackendName,
    alive: bool,
    machine: Machine,
}

#[test]
fn a_million_events_never_show_two_primaries_nor_two_turns_in_a_hold_time() {
    const EVENTS: usize = 1_000_000;
    const HOLD: Duration = Duration::from_secs(30);
    let (mut random, mut now, mut pools, addresses) = (Random(88), at(0), pools(), addresses());
    let machine = || Machine::new(Rules::default(), at(0));
    let mut hosts = ["a", "b", "c", "g"].map(|backend| Probed {
        name: name(backend),
        alive: true,
        machine: machine(),
    });
    let mut turned: BTreeMap<PoolName, Instant> = BTreeMap::new();
    let (mut turns, mut losses) = (0, 0);
    for _ in 0..EVENTS {
        // Hosts flap at every pace: from several times a second to once in minutes.
        let host = &mut hosts[usize::try_from(random.below(4)).unwrap()];
        let pace = if random.below(50) == 0 { 3 } else { 40 };
        host.alive ^= random.below(pace) == 0;
        for host in &mut hosts {
            let (probe, _) = host.machine.poll(now);
            // Some probes are lost, and some answers come late.
            if let Some(probe) = probe.filter(|_| random.below(100) != 0) {
                host.machine.on_result(probe, host.alive, now);
            }
            assert!(host.machine.next_deadline() <= now + Duration::from_secs(1), "it sleeps");
        }
        let usable: BTreeSet<_> =
            hosts.iter().filter(|h| h.machine.state().is_usable()).map(|h| &h.name).collect();
        for turn in pools.decide(|b| usable.contains(b), now) {
            if turn.to.is_some() {
                let last = turned.insert(turn.pool, now);
                assert!(last.is_none_or(|last| now - last >= HOLD), "two turns in a hold time");
                turns += 1;
            } else {
                losses += 1;
            }
        }
        for pool in pools.iter() {
            let targets: BTreeSet<_> =
                pool.forwards(pool.primary(), &addresses).iter().map(|f| f.to.ip()).collect();
            let led = targets.iter().filter(|a| a.is_ipv4()).count();
            assert_eq!(led, usize::from(pool.primary().is_some()), "two primaries");
            assert!(pool.primary().is_none_or(|p| usable.contains(p)), "leads to a dead one");
            let wanted = pool.members.iter().find(|b| usable.contains(b));
            if wanted.is_some() && pool.primary() != wanted {
                let due = pools.next_deadline(|b| usable.contains(b)).expect("it is stuck");
                assert!(now < due && due <= turned[&pool.config.pool] + HOLD, "it is late");
            }
        }
        let wake = hosts.iter().map(|h| h.machine.next_deadline());
        let wake = wake.chain(pools.next_deadline(|b| usable.contains(b))).min().unwrap();
        now = wake.max(now + Duration::from_millis(random.below(300)));
    }
    assert!(turns > 1000 && losses > 1000, "{turns} turns, {losses} losses");
    assert!(hosts.iter().all(|h| h.machine.state() != State::Unknown));
    assert!(
        pools.rules(&addresses).of(Family::V4).all(|f| f.protocol != Protocol::Udp || f.port == 53)
    );
}
