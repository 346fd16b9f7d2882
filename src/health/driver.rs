//! The one task that probes: it sleeps until a machine wants something, and publishes what changed.

use std::{
    collections::{BTreeMap, VecDeque},
    convert::Infallible,
    future::pending,
    net::IpAddr,
    sync::Arc,
    time::Duration,
};

use futures_util::{StreamExt, future::BoxFuture, stream::FuturesUnordered};
use jiff::Timestamp;
use tokio::{
    net::lookup_host,
    sync::{mpsc, watch},
    time::{Instant, sleep_until, timeout_at},
};

use super::{
    CheckHealth, HISTORY, Health, Host, HostHealth,
    machine::{Machine, Probe, State},
    probe::{Place, longest, probe},
    together,
};
use crate::{
    clock::timestamp,
    link::reverse::{Changes, Tunnels},
    model::{
        check::{Check, Rules},
        name::BackendName,
    },
};

/// How long a host may take to connect once it is watched, before it is missed: after a restart of
/// the sentinel it has to notice that, and to wait a moment.
const ARRIVAL: Duration = Duration::from_secs(30);

/// How often the name of a host that answers is looked up, and that of one that does not, which may
/// come back at another address.
const LOOKUP: Duration = Duration::from_secs(60);
const HASTY_LOOKUP: Duration = Duration::from_secs(1);

/// A probe that ended: of which host and check, which one, and how long it took if it succeeded.
type Ended = (BackendName, usize, Probe, Option<Duration>);

/// A lookup that ended: for which host, of which name, and what it means; nothing if nobody knows.
type Found = (BackendName, String, Vec<IpAddr>);

pub(super) struct Driver {
    ordered: watch::Receiver<Vec<Host>>,
    nudged: mpsc::Receiver<BackendName>,
    tunnels: Tunnels,
    changes: Changes,
    publish: watch::Sender<Arc<Health>>,
    hosts: BTreeMap<BackendName, Watched>,
    probes: FuturesUnordered<BoxFuture<'static, Ended>>,
    /// One for each host at most: a name server that is silent costs a thread each.
    lookups: FuturesUnordered<BoxFuture<'static, Found>>,
}

/// A host under watch.
struct Watched {
    host: Host,
    machines: Vec<(Machine, VecDeque<Option<Duration>>)>,
    state: State,
    since: Timestamp,
    /// What its name meant last: a name server that is away makes no host down.
    addresses: Vec<IpAddr>,
    is_looked_up: bool,
    last_lookup: Option<Instant>,
}

impl Driver {
    pub(super) fn new(
        ordered: watch::Receiver<Vec<Host>>,
        nudged: mpsc::Receiver<BackendName>,
        tunnels: Tunnels,
        publish: watch::Sender<Arc<Health>>,
    ) -> Self {
        let (hosts, probes, lookups) = Default::default();
        let changes = tunnels.changes();
        let mut driver =
            Self { ordered, nudged, tunnels, changes, publish, hosts, probes, lookups };
        driver.configure();
        driver
    }

    pub(super) async fn run(mut self) -> Infallible {
        loop {
            self.begin_due();
            self.report();
            let next = self.hosts.values().filter_map(Watched::next_deadline).min();
            let due = async move {
                match next {
                    Some(at) => sleep_until(at).await,
                    None => pending().await,
                }
            };
            tokio::select! {
                Some(ended) = self.probes.next() => self.end(ended),
                Some(found) = self.lookups.next() => self.found(found),
                () = due => {}
                changed = self.ordered.changed() => match changed {
                    Ok(()) => self.configure(),
                    Err(_) => return pending().await,
                },
                () = self.changes.next() => self.follow_tunnels(),
                Some(backend) = self.nudged.recv() => {
                    if let Some(watched) = self.hosts.get_mut(&backend) {
                        watched.machines.iter_mut().for_each(|(m, _)| m.hurry(now()));
                    }
                }
            }
        }
    }

    /// Keeps what is known of hosts that stay as they are.
    fn configure(&mut self) {
        let hosts = self.ordered.borrow_and_update().clone();
        let mut before = std::mem::take(&mut self.hosts);
        for host in hosts {
            let same = before.remove(&host.backend).filter(|watched| watched.host == host);
            let name = host.backend.clone();
            self.hosts.insert(name, same.unwrap_or_else(|| Watched::new(host)));
        }
    }

    /// A host whose tunnel ended is gone, and that is no guess; one that has come is asked at once.
    fn follow_tunnels(&mut self) {
        for (name, watched) in &mut self.hosts {
            let is_there = self.changes.is_there(name);
            for (check, (machine, _)) in watched.host.checks.iter().zip(&mut watched.machines) {
                match (check, is_there) {
                    (Check::Tunnel, Some(true)) => machine.hurry(now()),
                    (Check::Tunnel, Some(false)) if machine.state() != State::Down => {
                        machine.lose(now());
                    }
                    (
                        Check::Tunnel
                        | Check::Tcp(_)
                        | Check::Ssh(_)
                        | Check::Http(_)
                        | Check::Incus,
                        _,
                    ) => {}
                }
            }
        }
    }

    /// Begins the probes that are due, and ends those that are overdue.
    fn begin_due(&mut self) {
        let now = now();
        for (name, watched) in &mut self.hosts {
            for (i, (machine, _)) in watched.machines.iter_mut().enumerate() {
                let (probe, _) = machine.poll(now);
                // What is left of an overdue probe ends by its own deadline, and is not counted.
                let Some(probe) = probe else { continue };
                let deadline = machine.next_deadline();
                let (host, at) = (watched.host.clone(), watched.addresses.clone());
                let (which, tunnels) = ((name.clone(), i, probe), self.tunnels.clone());
                self.probes.push(Box::pin(run(which, host, (at, tunnels), deadline)));
            }
            if watched.is_lookup_due(now) {
                (watched.is_looked_up, watched.last_lookup) = (true, Some(now));
                self.lookups.push(Box::pin(look_up(name.clone(), watched.host.host.clone())));
            }
        }
    }

    /// What cannot be looked up is where it was.
    fn found(&mut self, (backend, name, found): Found) {
        let watched = self.hosts.get_mut(&backend).filter(|watched| watched.host.host == name);
        let Some(watched) = watched else { return };
        watched.is_looked_up = false;
        if !found.is_empty() {
            watched.addresses = found;
        }
    }

    fn end(&mut self, (backend, check, probe, took): Ended) {
        let Some(watched) = self.hosts.get_mut(&backend) else { return };
        if let Some((machine, history)) = watched.machines.get_mut(check) {
            machine.on_result(probe, took.is_some(), now());
            if history.len() == HISTORY {
                history.pop_front();
            }
            history.push_back(took);
        }
    }

    /// Publishes what is known, if that is news: that of a heartbeat is no reason to wake anybody.
    fn report(&mut self) {
        for (backend, watched) in &mut self.hosts {
            let state = together(watched.machines.iter().map(|(m, _)| m.state()));
            if state.is_usable() != watched.state.is_usable() || watched.state == State::Unknown {
                watched.since = timestamp();
            }
            watched.log(backend, state);
            watched.state = state;
        }
        let health = Health {
            hosts: self
                .hosts
                .iter()
                .map(|(name, watched)| (name.clone(), watched.health()))
                .collect(),
        };
        self.publish.send_if_modified(|current| {
            let is_news = states(current) != states(&health);
            *current = Arc::new(health);
            is_news
        });
    }
}

impl Watched {
    fn new(host: Host) -> Self {
        let first = |check: &Check| match check {
            Check::Tunnel => now() + ARRIVAL,
            Check::Tcp(_) | Check::Ssh(_) | Check::Http(_) | Check::Incus => now(),
        };
        let machine = |check| {
            let rules = Rules { timeout: longest(check, host.rules.timeout), ..host.rules };
            (Machine::new(rules, first(check)), VecDeque::new())
        };
        let machines = host.checks.iter().map(machine).collect();
        Self {
            machines,
            // An address is no name.
            addresses: host.host.parse().into_iter().collect(),
            host,
            state: State::Unknown,
            since: timestamp(),
            is_looked_up: false,
            last_lookup: None,
        }
    }

    fn is_lookup_due(&self, now: Instant) -> bool {
        let pause = if self.state == State::Up { LOOKUP } else { HASTY_LOOKUP };
        let is_rested = self.last_lookup.is_none_or(|last| now.duration_since(last) >= pause);
        let name = &self.host.host;
        let is_name = !name.is_empty() && name.parse::<IpAddr>().is_err();
        is_name && !self.is_looked_up && is_rested
    }

    /// Says once that it is down, and once that it is up again.
    fn log(&self, backend: &BackendName, state: State) {
        let was_down = matches!(self.state, State::Down | State::Recovering(_));
        if state == State::Down && !was_down {
            tracing::warn!(%backend, "host is down");
        }
        if state == State::Up && (was_down || self.state == State::Unknown) {
            tracing::info!(%backend, "host is up");
        }
    }

    fn next_deadline(&self) -> Option<Instant> {
        self.machines.iter().map(|(m, _)| m.next_deadline()).min()
    }

    fn health(&self) -> HostHealth {
        let checks = self.host.checks.iter().zip(&self.machines);
        HostHealth {
            state: self.state,
            since: self.since,
            checks: checks
                .map(|(check, (machine, history))| CheckHealth {
                    check: check.clone(),
                    state: machine.state(),
                    history: history.clone(),
                })
                .collect(),
        }
    }
}

async fn run(
    (backend, check, id): (BackendName, usize, Probe),
    host: Host,
    (addresses, tunnels): (Vec<IpAddr>, Tunnels),
    deadline: Instant,
) -> Ended {
    let start = now();
    let Some(what) = host.checks.get(check) else { return (backend, check, id, None) };
    let place = match (what, &*addresses) {
        (Check::Tunnel, _) => Place::Tunnel(&tunnels, &backend),
        (Check::Tcp(_) | Check::Ssh(_) | Check::Http(_) | Check::Incus, []) => {
            Place::Name(&host.host)
        }
        (Check::Tcp(_) | Check::Ssh(_) | Check::Http(_) | Check::Incus, known) => {
            Place::Addresses(known)
        }
    };
    let answer =
        timeout_at(deadline, probe(what, place, &host.incus_socket, host.rules.timeout)).await;
    let took = matches!(answer, Ok(Ok(()))).then(|| now().duration_since(start));
    (backend, check, id, took)
}

async fn look_up(backend: BackendName, name: String) -> Found {
    let found = lookup_host((name.as_str(), 0)).await;
    let found = found.map(|found| found.map(|at| at.ip()).collect()).unwrap_or_default();
    (backend, name, found)
}

fn states(health: &Health) -> Vec<(&BackendName, State, Vec<State>)> {
    let host = |(name, host): (_, &HostHealth)| {
        (name, host.state, host.checks.iter().map(|c| c.state).collect())
    };
    health.hosts.iter().map(host).collect()
}

#[expect(clippy::disallowed_methods, reason = "driver of the probes")]
fn now() -> Instant {
    Instant::now()
}
