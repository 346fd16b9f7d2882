//! What is alive: a machine for each check decides, one driver probes and publishes, and everybody
//! else watches. It never acts on what it finds.

mod driver;
pub mod machine;
mod probe;

use std::{
    collections::{BTreeMap, VecDeque},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use jiff::Timestamp;
use tokio::sync::{mpsc, watch};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use self::{driver::Driver, machine::State};
use crate::{
    config::{self, BackendAddress, SshAddress},
    link::reverse::Tunnels,
    model::{
        check::{Check, Rules},
        name::BackendName,
    },
};

/// Heartbeats that are remembered of each check.
const HISTORY: usize = 120;

/// Backends that somebody wants probed now, until the driver reads them.
const NUDGES: usize = 64;

/// A host and how it is checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    /// The backend that it is.
    pub backend: BackendName,
    /// A name or an address, without port; empty for one that is only reached through its tunnel.
    pub host: String,
    /// The Incus socket, for checks on this machine.
    pub incus_socket: PathBuf,
    /// What is asked of it; each once.
    pub checks: Vec<Check>,
    /// When, and how many results make a fact.
    pub rules: Rules,
}

impl Host {
    /// The host of a backend; one on this machine is asked at its loopback address.
    #[must_use]
    pub fn of(backend: &config::Backend) -> Self {
        let host = match &backend.address {
            BackendAddress::Local => "127.0.0.1",
            BackendAddress::Ssh { address: SshAddress::Tunnel(_), .. } => "",
            BackendAddress::Ssh { address: SshAddress::Network(address), .. }
            | BackendAddress::Https { address, .. } => {
                let (host, _) = address.rsplit_once(':').unwrap_or((address, ""));
                host.trim_matches(['[', ']'])
            }
        };
        Self {
            backend: backend.name.clone(),
            host: host.to_owned(),
            incus_socket: backend.incus_socket.clone(),
            checks: backend.health.checks.clone(),
            rules: backend.health.rules,
        }
    }
}

/// What is known of all hosts.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Health {
    /// By backend.
    pub hosts: BTreeMap<BackendName, HostHealth>,
}

/// What is known of one host.
#[derive(Debug, Clone, PartialEq)]
pub struct HostHealth {
    /// Of all its checks together.
    pub state: State,
    /// Since when it is usable, or is not.
    pub since: Timestamp,
    /// Check by check.
    pub checks: Vec<CheckHealth>,
}

/// What is known by one check.
#[derive(Debug, Clone, PartialEq)]
pub struct CheckHealth {
    /// The check.
    pub check: Check,
    /// What it says.
    pub state: State,
    /// Its last results, the newest last: how long an answer took, or none.
    pub history: VecDeque<Option<Duration>>,
}

/// The driver, from outside.
#[derive(Clone)]
pub struct Monitor {
    health: watch::Receiver<Arc<Health>>,
    hosts: Arc<watch::Sender<Vec<Host>>>,
    nudges: mpsc::Sender<BackendName>,
}

impl Monitor {
    /// Probes `hosts`, those behind `tunnels` through them, on `tasks` and until `stop`. Call it
    /// inside a runtime.
    #[must_use]
    pub fn start(
        hosts: Vec<Host>,
        tunnels: &Tunnels,
        tasks: &TaskTracker,
        stop: CancellationToken,
    ) -> Self {
        let (publish, health) = watch::channel(Arc::default());
        let (order, ordered) = watch::channel(hosts);
        let (nudges, asked) = mpsc::channel(NUDGES);
        let driver = Driver::new(ordered, asked, tunnels.clone(), publish);
        tasks.spawn(async move { stop.run_until_cancelled(driver.run()).await });
        Self { health, hosts: Arc::new(order), nudges }
    }

    /// Follows a new configuration; what is known of hosts that stay as they are is kept.
    pub fn reconfigure(&self, hosts: Vec<Host>) {
        self.hosts.send_if_modified(|current| {
            let changed = *current != hosts;
            *current = hosts;
            changed
        });
    }

    /// What is known, now and later.
    #[must_use]
    pub fn health(&self) -> watch::Receiver<Arc<Health>> {
        self.health.clone()
    }

    /// Somebody has seen that a host may be gone, or back: it is probed now.
    pub fn nudge(&self, backend: &BackendName) {
        // A full queue is read soon: another nudge would change nothing.
        let _ = self.nudges.try_send(backend.clone());
    }
}

impl Health {
    /// Whether a host is known to be down. One that nobody checks is not.
    #[must_use]
    pub fn is_down(&self, backend: &BackendName) -> bool {
        match self.hosts.get(backend).map(|h| h.state) {
            Some(State::Down | State::Recovering(_)) => true,
            Some(State::Unknown | State::Up | State::Suspect(_)) | None => false,
        }
    }
}

/// All checks together: a host is up while one of them says so, as a host that is gone answers none.
fn together(states: impl Iterator<Item = State>) -> State {
    let rank = |state: &State| match state {
        State::Up => (4, 0),
        State::Suspect(n) => (3, u32::MAX - n),
        State::Recovering(n) => (2, *n),
        State::Down => (1, 0),
        State::Unknown => (0, 0),
    };
    states.max_by_key(rank).unwrap_or(State::Unknown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_down_when_no_check_says_otherwise() {
        let all = |states: &[State]| together(states.iter().copied());
        assert_eq!(all(&[]), State::Unknown);
        assert_eq!(all(&[State::Down, State::Up]), State::Up);
        assert_eq!(all(&[State::Suspect(2), State::Suspect(1)]), State::Suspect(1));
        assert_eq!(all(&[State::Down, State::Down]), State::Down);
        assert_eq!(all(&[State::Down, State::Recovering(1)]), State::Recovering(1));
        assert_eq!(all(&[State::Unknown, State::Down]), State::Down);
    }

    async fn until(monitor: &Monitor, is_so: impl Fn(&Health) -> bool) -> Arc<Health> {
        let mut health = monitor.health();
        let found = tokio::time::timeout(Duration::from_secs(60), health.wait_for(|h| is_so(h)));
        Arc::clone(&found.await.expect("in time").unwrap())
    }

    #[tokio::test]
    async fn a_host_is_followed_down_and_up_and_out_of_the_configuration() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let short = Duration::from_millis(20);
        let host = Host {
            backend: "b1".parse().unwrap(),
            host: "127.0.0.1".to_owned(),
            incus_socket: "/nonexistent".into(),
            checks: vec![Check::Tcp(address.port()), Check::Incus],
            rules: Rules { interval: short, ..Rules::default() },
        };
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        let tunnels = Tunnels::default();
        let monitor = Monitor::start(vec![host.clone()], &tunnels, &tasks, stop.clone());
        let is = |state: State| move |h: &Health| h.hosts.values().any(|h| h.state == state);
        let up = until(&monitor, is(State::Up)).await;
        assert!(!up.is_down(&host.backend));
        drop(listener);
        let down = until(&monitor, is(State::Down)).await;
        assert!(down.is_down(&host.backend));
        assert!(down.hosts[&host.backend].checks[0].history.back().unwrap().is_none());
        let _listener = tokio::net::TcpListener::bind(address).await.unwrap();
        until(&monitor, is(State::Up)).await;
        monitor.reconfigure(Vec::new());
        until(&monitor, |h| h.hosts.is_empty()).await;
        stop.cancel();
        tasks.close();
        tasks.wait().await;
    }
}
