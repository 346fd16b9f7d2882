//! `[gateway]` and `[[gateway.pool]]`.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use super::super::{
    Gateway, GatewayPool,
    problem::Fault,
    section::{Read, Section, expected},
    source::Told,
    tree::{Node, Value, shown},
    value::{boolean, choice, duration, name, text},
};
use crate::model::{
    firewall::{Firewall, Protocol, PublicPort},
    name::PoolName,
};

/// Most pools with ports of their own, most ports of each and most addresses: each pair is four rules.
const MAX_POOLS: usize = 50;
const MAX_PORTS: usize = 50;
const MAX_ADDRESSES: usize = 16;

/// Longest hold time, in seconds.
const HOUR: u64 = 3600;

const FIREWALLS: [(&str, Firewall); 3] = [
    ("iptables", Firewall::Iptables),
    ("iptables-nft", Firewall::Nft),
    ("iptables-legacy", Firewall::Legacy),
];

/// Reads the section; `listen` is where the door is.
pub(super) fn gateway(mut section: Section<'_>, listen: &[SocketAddr]) -> Result<Gateway, Told> {
    let firewall = section.or("firewall", Firewall::default(), choice(&FIREWALLS));
    let common = settings(&mut section, Settings::default());
    let mut pools: Vec<GatewayPool> = Vec::new();
    let mut verdict = Ok(());
    if section.is_list("pool") {
        for mut section in section.sections("pool", MAX_POOLS) {
            let name = section.need("name", "name = \"default\"", name::<PoolName>);
            let own = settings(&mut section, common.clone().unwrap_or_default());
            let read = name.and_then(|name| {
                let pool = own?.of(name);
                check(&section, &pool, &pools, listen).map(|()| pool)
            });
            section.finish(|_| None);
            match read {
                Ok(pool) => pools.push(pool),
                Err(told) => verdict = Err(told),
            }
        }
    } else {
        let name = section.or_written("pool", "default", pool_name);
        let read = name.and_then(|name| {
            let pool = common.clone()?.of(name);
            check(&section, &pool, &[], listen).map(|()| pool)
        });
        match read {
            Ok(pool) => pools.push(pool),
            Err(told) => verdict = Err(told),
        }
    }
    section.finish(|_| None);
    common.and(verdict)?;
    Ok(Gateway { firewall: firewall?, pools })
}

/// What a pool has unless it says something else.
#[derive(Debug, Clone)]
struct Settings {
    ports: Vec<PublicPort>,
    addresses: Vec<IpAddr>,
    masquerade: bool,
    failover: bool,
    hold: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        let tcp = |number| PublicPort { protocol: Protocol::Tcp, number };
        Self {
            ports: vec![tcp(80), tcp(443)],
            addresses: Vec::new(),
            masquerade: true,
            failover: false,
            hold: Duration::from_secs(60),
        }
    }
}

impl Settings {
    fn of(self, pool: PoolName) -> GatewayPool {
        let Self { ports, addresses, masquerade, failover, hold } = self;
        GatewayPool { pool, ports, addresses, masquerade, failover, hold }
    }
}

fn settings(section: &mut Section<'_>, default: Settings) -> Result<Settings, Told> {
    let ports = section.list("ports", port).and_then(|l| listed(section, "ports", l, MAX_PORTS));
    let addresses = section.list("addresses", address);
    let addresses = addresses.and_then(|l| listed(section, "addresses", l, MAX_ADDRESSES));
    let masquerade = section.or("masquerade", default.masquerade, boolean);
    let failover = section.or("failover", default.failover, boolean);
    let hold = section.or("hold", default.hold, duration(0, HOUR));
    Ok(Settings {
        ports: ports?.unwrap_or(default.ports),
        addresses: addresses?.unwrap_or(default.addresses),
        masquerade: masquerade?,
        failover: failover?,
        hold: hold?,
    })
}

/// A list with something in it, each once.
fn listed<T: PartialEq + ToString>(
    section: &Section<'_>,
    key: &str,
    list: Option<Vec<T>>,
    max: usize,
) -> Result<Option<Vec<T>>, Told> {
    let Some(list) = list else { return Ok(None) };
    if list.is_empty() {
        let fault = Fault::new("nothing in the list");
        return Err(section.fault(key, fault.hint(format!("leave `{key}` out for the default"))));
    }
    if list.len() > max {
        let fault = Fault::new(format!("{} entries, the limit is {max}", list.len()));
        return Err(section.fault(key, fault));
    }
    let twice = list.iter().enumerate().find(|(i, item)| list[..*i].contains(item));
    match twice {
        Some((_, item)) => {
            let fault = Fault::new(format!("\"{}\" is there twice", item.to_string()));
            Err(section.fault(key, fault.hint("remove one of them")))
        }
        None => Ok(Some(list)),
    }
}

/// Nobody else has these ports on these addresses.
fn check(
    section: &Section<'_>,
    pool: &GatewayPool,
    earlier: &[GatewayPool],
    listen: &[SocketAddr],
) -> Result<(), Told> {
    if earlier.iter().any(|other| other.pool == pool.pool) {
        let fault = Fault::new(format!("there is another pool \"{}\"", pool.pool));
        return Err(section.fault("name", fault.hint("write all of its ports into one section")));
    }
    let ssh = listen.iter().find_map(|door| {
        let tcp = |p: &&PublicPort| p.protocol == Protocol::Tcp && p.number == door.port();
        let port = pool.ports.iter().find(tcp)?;
        (pool.addresses.is_empty() || pool.addresses.iter().any(|a| covers(door.ip(), *a)))
            .then_some((port, door))
    });
    if let Some((port, door)) = ssh {
        let fault = Fault::new(format!("port {port} is the door's own: it listens on {door}"));
        let hint = "remove it, or change `ssh.listen` or `addresses`";
        return Err(section.fault("ports", fault.hint(hint)));
    }
    let meet = |other: &GatewayPool| {
        pool.addresses.is_empty()
            || other.addresses.is_empty()
            || pool.addresses.iter().any(|a| other.addresses.contains(a))
    };
    let taken = earlier.iter().filter(|other| meet(other)).find_map(|other| {
        let port = pool.ports.iter().find(|port| other.ports.contains(port))?;
        Some((port, &other.pool))
    });
    if let Some((port, other)) = taken {
        let fault = Fault::new(format!("port {port} leads to pool \"{other}\" already"));
        let hint = "give each pool `ports` or `addresses` of its own";
        return Err(section.fault("ports", fault.hint(hint)));
    }
    Ok(())
}

/// Whether something that listens on `door` takes what comes to `address`.
fn covers(door: IpAddr, address: IpAddr) -> bool {
    match door {
        IpAddr::V4(door) if door.is_unspecified() => address.is_ipv4(),
        IpAddr::V6(door) if door.is_unspecified() => true,
        IpAddr::V4(_) | IpAddr::V6(_) => door.to_canonical() == address,
    }
}

/// `443` or `"443/udp"`.
fn port(node: &Node) -> Read<PublicPort> {
    let text = match &node.value {
        Value::Integer { text, .. } | Value::String(text) => text,
        Value::Float(_)
        | Value::Date(_)
        | Value::Boolean(_)
        | Value::Array(_)
        | Value::Table(_) => return Err(expected("a port", node).hint(PORT)),
    };
    text.parse().map_err(|why| Fault::new(format!("\"{}\": {why}", shown(text))).hint(PORT))
}

const PORT: &str = "for instance 443, or \"443/udp\"";

/// An address of this machine that others reach.
fn address(node: &Node) -> Read<IpAddr> {
    let text = text(node)?;
    let fault = || Fault::new(format!("\"{}\" is not a public address", shown(text)));
    let Ok(address) = text.trim_matches(['[', ']']).parse::<IpAddr>() else {
        return Err(match text.parse::<SocketAddr>() {
            Ok(with_port) => fault().hint(format!("write \"{}\", without port", with_port.ip())),
            Err(_) => fault().hint("for instance \"203.0.113.10\" or \"2001:db8::10\""),
        });
    };
    if address.is_unspecified() {
        return Err(fault().hint("leave `addresses` out: then it is all of them"));
    }
    if address.is_loopback() || address.is_multicast() || address.to_canonical() != address {
        return Err(fault().hint("give an address at which clients reach this machine"));
    }
    Ok(address)
}

fn pool_name(node: &Node) -> Read<PoolName> {
    if let Value::Table(_) = &node.value {
        let hint =
            "a pool with ports of its own begins with `[[gateway.pool]]`, in double brackets";
        return Err(expected("a name", node).hint(hint));
    }
    name(node)
}
