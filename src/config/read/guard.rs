//! `[guard]`: who is kept out.

use std::time::Duration;

use super::super::{
    Guard,
    problem::Fault,
    section::{Read, Section},
    source::Told,
    tree::{Node, shown},
    value::{boolean, count, duration, text},
};
use crate::model::source::{Network, SourceError};

/// Most failures that may be allowed: each is remembered with its time, for 65,536 sources.
const MAX_FAILURES: usize = 10;

/// Most networks in `allow`: each is looked at for each connection.
const MAX_ALLOWED: usize = 256;

/// Most new connections a second: more than any machine has the processors for.
const MAX_RATE: usize = 100_000;

/// Seconds.
const DAY: u64 = 24 * 3600;

pub(super) fn guard(mut section: Section<'_>) -> Result<Guard, Told> {
    let max_failures = section.or("max_failures", 3, count(1..=MAX_FAILURES));
    let window = section.or("window", Duration::from_secs(600), duration(1, DAY));
    let ban = section.or("ban", Duration::from_secs(3600), duration(1, DAY));
    let allow = section.list("allow", network).map(Option::unwrap_or_default);
    let rate_per_source = section.or("rate_per_source", 10, rate);
    let rate = section.or("rate", 100, rate);
    let kernel = section.or("kernel", false, boolean);
    let allow = allow.and_then(|allow| {
        if allow.len() <= MAX_ALLOWED {
            return Ok(allow);
        }
        let fault = Fault::new(format!("{} entries, the limit is {MAX_ALLOWED}", allow.len()));
        Err(section.fault("allow", fault.hint("write wider networks")))
    });
    section.finish(|key| (key == "max_startups").then_some("ssh.max_startups"));
    Ok(Guard {
        max_failures: max_failures?,
        window: window?,
        ban: ban?,
        allow: allow?,
        rate_per_source: rate_per_source?,
        rate: rate?,
        kernel: kernel?,
    })
}

fn rate(node: &Node) -> Read<u32> {
    let rate = count(1..=MAX_RATE)(node)?;
    Ok(u32::try_from(rate).unwrap_or(u32::MAX))
}

/// An address, or a network.
fn network(node: &Node) -> Read<Network> {
    let text = text(node)?;
    Network::parse(text).map_err(|why| {
        let fault = Fault::new(format!("\"{}\": {why}", shown(text)));
        match why {
            SourceError::Prefix => fault.hint(match Network::within(text) {
                Some(network) => format!("did you mean \"{network}\"?"),
                None => "the bits behind the prefix are to be 0".to_owned(),
            }),
            SourceError::Entry | SourceError::TooMany => {
                fault.hint("an address or a network is written like \"192.0.2.0/24\"")
            }
        }
    })
}
