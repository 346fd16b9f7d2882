//! `health` of a backend: what is asked of its host, and how many answers make a fact.

use std::time::Duration;

use super::super::{
    BackendAddress, Health, SshAddress,
    problem::Fault,
    section::{Read, Section},
    source::Told,
    tree::Node,
    value::{boolean, count, duration},
};
use crate::model::check::{Check, Rules};

/// Checks of one backend: each is a connection every interval.
const MAX_CHECKS: usize = 16;

/// Shortest interval and timeout: below, a busy host looks like a dead one.
const SHORTEST: Duration = Duration::from_millis(100);

/// Longest interval and timeout, in seconds.
const LONGEST: u64 = 3600;

/// Reads the section; what it does not name is asked is asked of the port that the backend has.
pub(super) fn health(
    section: &mut Section<'_>,
    address: Option<&BackendAddress>,
) -> Result<Health, Told> {
    let mut section = section.section("health")?;
    let defaults = Rules::default();
    let ports = section.list("ports", port);
    let ssh = section.list("ssh", port);
    let http = section.list("http", port);
    let incus = section.or("incus", false, boolean);
    let interval = section.or("interval", defaults.interval, time);
    let timeout = section.or("timeout", defaults.timeout, time);
    let fall = section.or("fall", count_of(defaults.fall), count(2..=100));
    let rise = section.or("rise", count_of(defaults.rise), count(1..=100));
    let mut checks = Vec::new();
    checks.extend(ports?.unwrap_or_default().into_iter().map(Check::Tcp));
    checks.extend(ssh?.unwrap_or_default().into_iter().map(Check::Ssh));
    checks.extend(http?.unwrap_or_default().into_iter().map(Check::Http));
    checks.extend(incus?.then_some(Check::Incus));
    if checks.contains(&Check::Incus) && !matches!(address, Some(BackendAddress::Local) | None) {
        let hint = "remove `incus`; the control connection tells whether that one's Incus answers";
        let fault = Fault::new("only a local backend has its Incus socket here").hint(hint);
        return Err(section.fault("incus", fault));
    }
    if let (Some(BackendAddress::Ssh { address: SshAddress::Tunnel(_), .. }), false) =
        (address, checks.is_empty())
    {
        let key = ["ports", "ssh", "http"].into_iter().find(|key| section.has(key));
        let fault = Fault::new("a host behind a tunnel is asked through its tunnel alone");
        let hint = "remove it; `interval`, `timeout`, `fall` and `rise` may stay";
        return Err(section.fault(key.unwrap_or("ports"), fault.hint(hint)));
    }
    if checks.is_empty() {
        checks.extend(address.map(default_check));
    }
    checks.sort();
    checks.dedup();
    if checks.len() > MAX_CHECKS {
        let fault = Fault::new(format!("{} checks, the limit is {MAX_CHECKS}", checks.len()));
        return Err(section.fault("ports", fault));
    }
    section.finish(|_| None);
    let times = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    let rules =
        Rules { interval: interval?, timeout: timeout?, fall: times(fall?), rise: times(rise?) };
    Ok(Health { checks, rules })
}

/// What every backend of a kind has.
fn default_check(address: &BackendAddress) -> Check {
    let port = |address: &str, default| {
        let (_, port) = address.rsplit_once(':').unwrap_or(("", ""));
        port.parse().unwrap_or(default)
    };
    match address {
        BackendAddress::Local => Check::Incus,
        BackendAddress::Ssh { address: SshAddress::Network(address), .. } => {
            Check::Ssh(port(address, 22))
        }
        BackendAddress::Ssh { address: SshAddress::Tunnel(_), .. } => Check::Tunnel,
        BackendAddress::Https { address, .. } => Check::Tcp(port(address, 8443)),
    }
}

fn port(node: &Node) -> Read<u16> {
    count(1..=usize::from(u16::MAX))(node).map(|n| u16::try_from(n).unwrap_or(u16::MAX))
}

fn time(node: &Node) -> Read<Duration> {
    let value = duration(0, LONGEST)(node)?;
    if value < SHORTEST {
        return Err(Fault::new("too short").hint("from \"100ms\" to \"1h\""));
    }
    Ok(value)
}

fn count_of(n: u32) -> usize {
    usize::try_from(n).unwrap_or(usize::MAX)
}
