//! Where public ports lead, as `status` shows it.

use std::net::IpAddr;

use jiff::Timestamp;
use serde::Serialize;

use super::view::age;
use crate::gateway::{PoolState, State};

/// The gateway, for JSON.
#[derive(Serialize)]
pub(super) struct GatewayView {
    firewall: &'static str,
    problem: Option<String>,
    pools: Vec<PoolView>,
}

#[derive(Serialize)]
struct PoolView {
    name: String,
    ports: Vec<String>,
    addresses: Vec<IpAddr>,
    primary: Option<String>,
    since: Timestamp,
    in_force: bool,
}

impl GatewayView {
    /// `None`: there is no gateway.
    pub(super) fn new(state: &State) -> Option<Self> {
        Some(Self {
            firewall: state.firewall?.name(),
            problem: state.problem.clone(),
            pools: state.pools.iter().map(PoolView::new).collect(),
        })
    }

    /// A line for each pool.
    pub(super) fn lines(&self, now: Timestamp) -> Vec<String> {
        self.pools.iter().map(|pool| pool.line(now)).collect()
    }
}

/// What is wrong with it, in sentences.
pub(super) fn problems(state: &State) -> impl Iterator<Item = String> {
    let empty = state.pools.iter().filter(|pool| !pool.has_members).map(|pool| {
        let pool = &pool.config.pool;
        format!("gateway: pool {pool} has no backend that its ports could be led to")
    });
    let told = state.problem.iter().chain(&state.warning);
    told.map(|problem| format!("gateway: {problem}")).chain(empty)
}

impl PoolView {
    fn new(pool: &PoolState) -> Self {
        let config = &pool.config;
        Self {
            name: config.pool.to_string(),
            ports: config.ports.iter().map(ToString::to_string).collect(),
            addresses: config.addresses.clone(),
            primary: pool.primary.as_ref().map(ToString::to_string),
            since: pool.since,
            in_force: pool.in_force,
        }
    }

    fn line(&self, now: Timestamp) -> String {
        let Self { name, ports, primary, since, in_force, .. } = self;
        let (ports, lasted) = (ports.join(", "), age(now, *since));
        let doubt = if *in_force { "" } else { ", not in force yet" };
        match primary {
            Some(primary) => format!("{name}: {ports} lead to {primary} for {lasted}{doubt}"),
            None => format!("{name}: {ports} lead to no backend for {lasted}{doubt}"),
        }
    }
}
