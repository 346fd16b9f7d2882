//! The one task that turns public ports: it watches health and configuration, and says which rules
//! the packet filter is to have.

use std::{
    collections::{BTreeMap, BTreeSet},
    future::pending,
    net::IpAddr,
    sync::Arc,
    time::Duration,
};

use futures_util::{StreamExt, future::BoxFuture, stream::FuturesUnordered};
use jiff::Timestamp;
use tokio::{
    net::lookup_host,
    sync::watch,
    time::{Instant, MissedTickBehavior, interval, sleep_until, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    Applied, Facts, PacketFilter, PoolState, State,
    claim::Claim,
    pools::{Addresses, Pool, Pools, Turn},
};
use crate::{
    clock,
    health::{Health, Host, HostHealth, machine},
    model::{
        firewall::Firewall,
        name::{BackendName, PoolName},
    },
};

/// How often the names of backends are resolved anew, and another sentinel's claim is looked at.
const RESOLVE: Duration = Duration::from_secs(60);

/// How long a name server may take.
const LOOKUP: Duration = Duration::from_secs(10);

/// How long the health of a backend may stay unknown at the start before it counts as down: until
/// then the rules that an earlier sentinel left do their work. Twice what a probe without answer takes.
const SETTLE: Duration = Duration::from_secs(10);

/// What a lookup found.
type Found = (BackendName, Vec<IpAddr>);

/// The packet filter while it is kept.
struct Filter {
    firewall: Firewall,
    kept: PacketFilter,
    applied: watch::Receiver<Applied>,
}

pub(super) struct Turner {
    facts: Facts,
    claim: Option<Claim>,
    publish: watch::Sender<Arc<State>>,
    tasks: TaskTracker,
    filter: Option<Filter>,
    pools: Pools,
    since: BTreeMap<PoolName, Timestamp>,
    addresses: Addresses,
    lookups: FuturesUnordered<BoxFuture<'static, Found>>,
    up: BTreeSet<BackendName>,
    /// Until when the start lasts; none: it is over.
    settling: Option<Instant>,
    problem: Option<String>,
}

impl Turner {
    pub(super) fn new(
        facts: Facts,
        claim: Option<Claim>,
        publish: watch::Sender<Arc<State>>,
        tasks: TaskTracker,
    ) -> Self {
        Self {
            facts,
            claim,
            publish,
            tasks,
            filter: None,
            pools: Pools::default(),
            since: BTreeMap::new(),
            addresses: Addresses::new(),
            lookups: FuturesUnordered::new(),
            up: BTreeSet::new(),
            settling: Some(now() + SETTLE),
            problem: None,
        }
    }

    pub(super) async fn run(mut self, stop: CancellationToken) {
        let mut looks = interval(RESOLVE);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        self.configure();
        loop {
            self.act().await;
            let deadline = self.next_deadline();
            let applied = self.filter.as_mut().map(|f| &mut f.applied);
            tokio::select! {
                () = stop.cancelled() => break,
                changed = self.facts.config.changed() => match changed {
                    Ok(()) => self.configure(),
                    Err(_) => break,
                },
                // Their senders live as long as the configuration's.
                Ok(()) = self.facts.health.changed() => self.resolve_returned(),
                Ok(()) = self.facts.inventory.changed() => {}
                Some((backend, found)) = self.lookups.next() => {
                    // What was known is better than nothing.
                    if !found.is_empty() {
                        self.addresses.insert(backend, found);
                    }
                }
                _ = looks.tick() => self.resolve(|_| true),
                () = due(deadline) => {}
                () = news(applied) => {}
            }
        }
        self.end().await;
    }

    fn configure(&mut self) {
        let config = Arc::clone(&self.facts.config.borrow_and_update());
        self.pools.configure(config.gateway.as_ref(), &config.backends);
        let members: BTreeSet<_> = self.pools.iter().flat_map(|p| p.members.clone()).collect();
        self.addresses.retain(|name, _| members.contains(name));
        self.since.retain(|name, _| self.pools.iter().any(|p| p.config.pool == *name));
        self.resolve(|_| true);
    }

    /// A host that is back may have another address.
    fn resolve_returned(&mut self) {
        let health = Arc::clone(&self.facts.health.borrow_and_update());
        let is_up = |(name, host): (&BackendName, &HostHealth)| {
            host.state.is_usable().then(|| name.clone())
        };
        let up = health.hosts.iter().filter_map(is_up).collect();
        let before = std::mem::replace(&mut self.up, up);
        let returned: BTreeSet<_> = self.up.difference(&before).cloned().collect();
        self.resolve(|backend| returned.contains(backend));
    }

    fn resolve(&mut self, which: impl Fn(&BackendName) -> bool) {
        let config = Arc::clone(&self.facts.config.borrow());
        let is_member = |name: &BackendName| self.pools.iter().any(|p| p.members.contains(name));
        for backend in config.backends.iter().filter(|b| is_member(&b.name) && which(&b.name)) {
            let (name, host) = (backend.name.clone(), Host::of(backend).host);
            match host.parse() {
                Ok(address) => drop(self.addresses.insert(name, vec![address])),
                Err(_) => self.lookups.push(Box::pin(look_up(name, host))),
            }
        }
    }

    /// Does what follows from all that is known.
    async fn act(&mut self) {
        let gateway = self.facts.config.borrow().gateway.clone();
        let Some(firewall) = gateway.map(|gateway| gateway.firewall) else {
            self.end().await;
            self.publish(State::default());
            return;
        };
        if self.is_settling() || !self.has_claim() {
            self.tell(firewall, None);
            return;
        }
        let facts = self.usable();
        for turn in self.pools.decide(|backend| facts.contains(backend), now()) {
            log(&turn);
            self.since.insert(turn.pool, clock::timestamp());
        }
        let rules = self.pools.rules(&self.addresses);
        if self.filter.as_ref().is_some_and(|filter| filter.firewall != firewall) {
            self.end_filter().await;
        }
        let applied = if let Some(Filter { kept, applied, .. }) = &mut self.filter {
            kept.want(rules);
            applied.borrow_and_update().clone()
        } else {
            let stop = CancellationToken::new();
            let kept = PacketFilter::start(firewall, rules, &self.tasks, stop);
            let applied = kept.applied();
            self.filter = Some(Filter { firewall, kept, applied });
            Applied::default()
        };
        self.tell(firewall, Some(&applied));
    }

    /// Whether it is too early to say that a backend is down.
    fn is_settling(&mut self) -> bool {
        let health = self.facts.health.borrow();
        let is_known = |name: &BackendName| {
            health.hosts.get(name).is_some_and(|h| h.state != machine::State::Unknown)
        };
        let all_known = self.pools.iter().flat_map(|p| &p.members).all(is_known);
        self.settling = self.settling.filter(|until| !all_known && now() < *until);
        self.settling.is_some()
    }

    /// Whether this sentinel may keep the packet filter; it may be that a reload wants it to.
    fn has_claim(&mut self) -> bool {
        if self.claim.is_some() {
            return true;
        }
        match Claim::take() {
            Ok(claim) => {
                (self.claim, self.problem) = (Some(claim), None);
                true
            }
            Err(e) => {
                let text = e.to_string();
                let said = text.lines().next().unwrap_or_default().to_owned();
                if self.problem.as_ref() != Some(&said) {
                    tracing::error!(problem = %said, "gateway does nothing");
                }
                self.problem = Some(said);
                false
            }
        }
    }

    /// The backends that ports may lead to.
    fn usable(&self) -> BTreeSet<BackendName> {
        let health: Arc<Health> = Arc::clone(&self.facts.health.borrow());
        let inventory = Arc::clone(&self.facts.inventory.borrow());
        let is_drained = |name: &BackendName| inventory.backend(name).is_some_and(|b| b.drained);
        let up = health.hosts.iter().filter(|(_, host)| host.state.is_usable());
        let up = up.map(|(name, _)| name);
        up.filter(|n| !is_drained(n) && self.addresses.contains_key(*n)).cloned().collect()
    }

    fn next_deadline(&self) -> Option<Instant> {
        let usable = self.usable();
        let turn = self.pools.next_deadline(|backend| usable.contains(backend));
        // Without a claim or while it settles a turn is not due.
        let may_turn = self.filter.is_some();
        // Who has no ports to turn waits for no health, and would not end the start when it is due.
        let settling = self.settling.filter(|_| self.pools.iter().next().is_some());
        settling.into_iter().chain(turn.filter(|_| may_turn)).min()
    }

    fn tell(&mut self, firewall: Firewall, applied: Option<&Applied>) {
        let wanted = self.pools.rules(&self.addresses);
        let in_force = applied.is_some_and(|a| a.problem.is_none() && a.rules == wanted);
        let since = |pool: &Pool, known: &mut BTreeMap<PoolName, Timestamp>| {
            *known.entry(pool.config.pool.clone()).or_insert_with(clock::timestamp)
        };
        let pools = self.pools.iter().map(|pool| PoolState {
            config: pool.config.clone(),
            primary: pool.primary().cloned(),
            since: since(pool, &mut self.since),
            in_force,
            has_members: !pool.members.is_empty(),
        });
        let pools = pools.collect();
        let problem = self.problem.clone().or_else(|| applied.and_then(|a| a.problem.clone()));
        let warning = applied.and_then(|a| a.warning.clone());
        self.publish(State { firewall: Some(firewall), problem, warning, pools });
    }

    fn publish(&self, state: State) {
        self.publish.send_if_modified(|current| {
            let changed = **current != state;
            *current = Arc::new(state);
            changed
        });
    }

    /// Gives the packet filter back.
    async fn end(&mut self) {
        self.end_filter().await;
        self.claim = None;
    }

    async fn end_filter(&mut self) {
        let Some(Filter { kept, .. }) = self.filter.take() else { return };
        match kept.end().await {
            Ok(()) => tracing::info!("public ports lead nowhere: our rules are gone"),
            Err(error) => tracing::error!(%error, "packet filter keeps rules of ours"),
        }
    }
}

/// One record for each turn.
fn log(turn: &Turn) {
    let pool = &turn.pool;
    match (&turn.from, &turn.to) {
        (None, Some(to)) => tracing::info!(%pool, %to, "public ports lead to a backend"),
        (Some(from), Some(to)) => {
            tracing::warn!(%pool, %from, %to, "public ports lead to another backend");
        }
        (Some(from), None) => {
            tracing::warn!(%pool, %from, "public ports lead to no backend any more");
        }
        (None, None) => {}
    }
}

async fn due(deadline: Option<Instant>) {
    match deadline {
        Some(at) => sleep_until(at).await,
        None => pending().await,
    }
}

/// Until the packet filter has something to tell.
async fn news(applied: Option<&mut watch::Receiver<Applied>>) {
    if let Some(applied) = applied
        && applied.changed().await.is_ok()
    {
        return;
    }
    pending::<()>().await;
}

/// One address of each family, the first that the name server gives.
async fn look_up(backend: BackendName, host: String) -> Found {
    let found: Vec<IpAddr> = match timeout(LOOKUP, lookup_host((host.as_str(), 0))).await {
        Ok(Ok(found)) => found.map(|a| a.ip().to_canonical()).collect(),
        Ok(Err(_)) | Err(_) => Vec::new(),
    };
    let v4 = found.iter().find(|a| a.is_ipv4());
    (backend, v4.into_iter().chain(found.iter().find(|a| a.is_ipv6())).copied().collect())
}

#[expect(clippy::disallowed_methods, reason = "driver of the turns")]
fn now() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests {
    use std::{future::poll_fn, pin::pin};

    use super::*;
    use crate::command::testing;

    #[tokio::test(start_paused = true)]
    async fn who_has_no_ports_to_turn_sleeps_also_when_the_start_is_over() {
        let config = watch::Sender::new(Arc::clone(&testing::config().borrow()));
        let (health, inventory) = (watch::Sender::default(), watch::Sender::default());
        let facts = Facts {
            config: config.subscribe(),
            health: health.subscribe(),
            inventory: inventory.subscribe(),
        };
        assert_eq!(facts.config.borrow().gateway, None);
        let turner = Turner::new(facts, None, watch::Sender::default(), TaskTracker::new());
        let mut run = pin!(turner.run(CancellationToken::new()));
        let (start, mut polls) = (now(), 0);
        let an_hour = poll_fn(|context| {
            polls += 1;
            assert!(polls < 1000, "it is busy {:?} after the start", start.elapsed());
            run.as_mut().poll(context)
        });
        assert!(timeout(60 * RESOLVE, an_hour).await.is_err(), "it ended");
    }
}
