//! Waiting for a container: for its host, when that is down, and for its own start, when it is
//! stopped. One way for all who come: logins, jumps through the console, and the choice there.
//!
//! The core is pure: what is to be said and done is `outlook`, whose turn it is `line`. Nothing here
//! decides who may go where.

mod line;
mod notice;
mod outlook;

use std::{future::pending, sync::Arc, time::Duration};

use futures_util::future::BoxFuture;
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, sleep, sleep_until, timeout, timeout_at},
};

use self::{
    line::Lines,
    notice::{Notices, Phase},
    outlook::{Down, Known, Outlook, spoken},
};
use crate::{
    clock,
    command::{
        failure::{Failure, Kind},
        wake::{is_starting, wake},
    },
    config::Config,
    fleet::Fleet,
    health::{Health, Monitor, machine::State},
    model::{
        container::{Container, Status},
        inventory::Inventory,
        name::ContainerName,
        text::printable,
    },
    reach::ReachError,
    recovery::Recoveries,
    store::outages::Outages,
};

/// How long one login may keep its turn: several times what one takes that goes well. One that
/// takes longer goes on, and lets the next one begin.
const TURN: Duration = Duration::from_secs(1);

/// Pause between two attempts; news of the host ends it, but not before the shorter one: news may
/// come often.
const RETRY: Duration = Duration::from_secs(2);
const SHORT_RETRY: Duration = Duration::from_millis(250);

/// How long a probe is waited for when a container does not answer and nobody has noticed anything
/// yet: a probe's usual timeout, and a little.
const VERDICT: Duration = Duration::from_millis(1200);

/// Longest reason in a sentence, in characters.
const MAX_REASON: usize = 300;

/// For whom something is waited, and what for.
pub struct Wanted<'a> {
    /// The container, as it was when the way to it was granted.
    pub container: &'a Arc<Container>,
    /// Who: printable, for the log.
    pub by: &'a str,
    /// Its sshd is wanted, which every container has: when it does not answer after an outage or a
    /// start, it will soon.
    pub login: bool,
}

/// One try; it is given the container as it is known then.
pub type Attempt<'a, T> =
    Box<dyn FnMut(Arc<Container>) -> BoxFuture<'a, Result<T, ReachError>> + Send + 'a>;

/// What waits. Clones are the same.
#[derive(Clone)]
pub struct Hold {
    config: watch::Receiver<Arc<Config>>,
    inventory: watch::Receiver<Arc<Inventory>>,
    health: watch::Receiver<Arc<Health>>,
    outages: watch::Receiver<Arc<Outages>>,
    recoveries: watch::Receiver<Arc<Recoveries>>,
    fleet: Fleet,
    monitor: Monitor,
    lines: Lines,
}

impl Hold {
    /// Nobody waits yet. What is known comes from `fleet`, `monitor`, `outages` and `recoveries`.
    #[must_use]
    pub fn new(
        config: watch::Receiver<Arc<Config>>,
        fleet: Fleet,
        monitor: Monitor,
        outages: watch::Receiver<Arc<Outages>>,
        recoveries: watch::Receiver<Arc<Recoveries>>,
    ) -> Self {
        Self {
            config,
            inventory: fleet.inventory(),
            health: monitor.health(),
            outages,
            recoveries,
            fleet,
            monitor,
            lines: Lines::default(),
        }
    }

    /// Makes attempts until one succeeds, or `ssh.wait` is over; tells `lines` what it waits for.
    /// Dropping it ends the wait and leaves nothing behind but the start of the container.
    ///
    /// # Errors
    /// The wait was in vain, or what is wrong does not mend itself.
    pub async fn until<T>(
        &self,
        wanted: Wanted<'_>,
        lines: &mpsc::Sender<String>,
        attempt: Attempt<'_, T>,
    ) -> Result<T, ReachError> {
        let wait = self.config.borrow().ssh.wait;
        let waiting = Waiting {
            hold: self,
            wanted,
            wait,
            deadline: Instant::from_std(clock::now()) + wait,
            news: News {
                inventory: self.inventory.clone(),
                health: self.health.clone(),
                recoveries: self.recoveries.clone(),
            },
            notices: Notices::new(lines),
            host: Host::There,
            has_started: false,
        };
        waiting.run(attempt).await
    }
}

/// What may change while somebody waits.
struct News {
    inventory: watch::Receiver<Arc<Inventory>>,
    health: watch::Receiver<Arc<Health>>,
    recoveries: watch::Receiver<Arc<Recoveries>>,
}

impl News {
    /// From now on only what comes later is news.
    fn forget(&mut self) {
        self.inventory.mark_unchanged();
        self.health.mark_unchanged();
        self.recoveries.mark_unchanged();
    }

    async fn come(&mut self) {
        let news = tokio::select! {
            news = self.inventory.changed() => news,
            news = self.health.changed() => news,
            news = self.recoveries.changed() => news,
        };
        // The sentinel is about to end, and ends this, too.
        if news.is_err() {
            pending::<()>().await;
        }
    }
}

/// What she has been told of her host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Host {
    There,
    Down,
    /// Somebody has begun to start it again.
    Restarting,
    Back,
}

/// One wait.
struct Waiting<'a> {
    hold: &'a Hold,
    wanted: Wanted<'a>,
    wait: Duration,
    deadline: Instant,
    news: News,
    notices: Notices<'a>,
    host: Host,
    /// The container was stopped, and we have had it started.
    has_started: bool,
}

impl Waiting<'_> {
    async fn run<T>(mut self, mut attempt: Attempt<'_, T>) -> Result<T, ReachError> {
        loop {
            self.news.forget();
            if let Outlook::Down(down) = self.outlook() {
                self.wait_for_host(down).await?;
                continue;
            }
            if !self.has_started && is_starting(&self.hold.fleet, &self.wanted.container.name) {
                self.start("being started").await?;
                continue;
            }
            let failed = match self.attempt(&mut attempt).await {
                None => continue,
                Some(Ok(done)) => return Ok(done),
                Some(Err(failed)) => failed,
            };
            if matches!(failed, ReachError::NotRunning(_, Status::Stopped)) && !self.has_started {
                self.start("stopped; starting it").await?;
                continue;
            }
            if !self.is_worth_another(&failed).await || self.is_over() {
                return Err(failed);
            }
            self.pause(&failed).await;
        }
    }

    /// One attempt, when its turn has come. `None`: the host went down meanwhile.
    async fn attempt<T>(&mut self, attempt: &mut Attempt<'_, T>) -> Option<Result<T, ReachError>> {
        let container = self.current();
        let (backend, name) = (&container.backend, &container.name);
        let lines = &self.hold.lines;
        let turn = lines.turn(backend, name, lines.ticket());
        let turn = if matches!(self.host, Host::Down | Host::Restarting) {
            self.host = Host::Back;
            let said = format!("the host of {name} is back; letting you in");
            tokio::select! {
                biased;
                never = self.notices.tell(Phase::Back, &said) => match never {},
                turn = turn => turn,
            }
        } else {
            turn.await
        };
        if matches!(self.outlook(), Outlook::Down(_)) {
            return None;
        }
        let mut attempt = attempt(Arc::clone(&container));
        if let Ok(done) = timeout(TURN, &mut attempt).await {
            return Some(done);
        }
        drop(turn);
        Some(attempt.await)
    }

    /// Waits until there is news of a host that is down.
    async fn wait_for_host(&mut self, mut down: Down) -> Result<(), ReachError> {
        if down.error.status() != 75 || self.is_over() {
            return Err(down.error);
        }
        // Recovery looks at the host again and again meanwhile, which is no news.
        down.restarting |= self.host == Host::Restarting;
        self.host = if down.restarting { Host::Restarting } else { Host::Down };
        let phase = if down.restarting { Phase::Restarting } else { Phase::Down };
        let said = down.sentence(self.wanted.container, clock::timestamp(), self.wait);
        tokio::select! {
            () = self.news.come() => {}
            () = sleep_until(self.deadline) => {}
            never = self.notices.tell(phase, &said) => match never {},
        }
        Ok(())
    }

    /// Has the container started, and waits for that; she is told that the container `is` so.
    async fn start(&mut self, is: &str) -> Result<(), ReachError> {
        self.has_started = true;
        let container = self.current();
        let name = container.name.clone();
        let said = format!("container {name} is {is}");
        let started = timeout_at(self.deadline, wake(&self.hold.fleet, &container, self.wanted.by));
        let started = tokio::select! {
            started = started => started,
            never = self.notices.tell(Phase::Starting, &said) => match never {},
        };
        match started {
            Ok(Ok(())) => Ok(()),
            Ok(Err(failure)) => {
                // Somebody else may have started it on its backend.
                let now = self.hold.fleet.refresh(&container).await;
                if now.is_some_and(|now| now.status == Status::Running) {
                    return Ok(());
                }
                Err(not_started(name, &failure))
            }
            Err(_) => Err(ReachError::Starting(name)),
        }
    }

    /// Whether another attempt may end otherwise.
    async fn is_worth_another(&mut self, failed: &ReachError) -> bool {
        match failed {
            ReachError::Away { .. } => true,
            ReachError::Unreachable { .. } => self.is_mending().await,
            ReachError::NoBackend(_)
            | ReachError::NoHostKey(_)
            | ReachError::NotRunning(..)
            | ReachError::Held(_)
            | ReachError::NotStarted { .. }
            | ReachError::Starting(_)
            | ReachError::NotExpected { .. }
            | ReachError::HostKey { .. }
            | ReachError::Refused(_)
            | ReachError::RouteHostKey { .. }
            | ReachError::RouteRefused(_)
            | ReachError::RouteUnreachable { .. } => false,
        }
    }

    /// Whether a container that does not answer is likely to, soon.
    async fn is_mending(&mut self) -> bool {
        if self.wanted.login && (self.host != Host::There || self.has_started) {
            return true;
        }
        // A port may be closed for good: only a login is worth asking for.
        if self.wanted.login && self.outlook() == Outlook::There && self.is_checked() {
            self.hold.monitor.nudge(&self.wanted.container.backend);
            let verdict = self.news.health.wait_for(|health| {
                let host = health.hosts.get(&self.wanted.container.backend);
                host.is_none_or(|host| host.state != State::Up)
            });
            let _ = timeout(VERDICT.min(self.wait), verdict).await;
        }
        self.outlook() != Outlook::There
    }

    /// Waits before the next attempt.
    async fn pause(&mut self, failed: &ReachError) {
        let wait = spoken(self.wait);
        let (phase, said) = if self.has_started || self.host != Host::There {
            (Phase::Starting, format!("container {} starts", self.wanted.container.name))
        } else {
            (Phase::Away, format!("{failed}; waiting up to {wait} for it"))
        };
        let news = async {
            sleep(SHORT_RETRY).await;
            self.news.come().await;
        };
        tokio::select! {
            () = sleep(RETRY) => {}
            () = sleep_until(self.deadline) => {}
            () = news => {}
            never = self.notices.tell(phase, &said) => match never {},
        }
    }

    fn outlook(&self) -> Outlook {
        let known = Known {
            inventory: &self.hold.inventory.borrow(),
            health: &self.hold.health.borrow(),
            outages: &self.hold.outages.borrow(),
            recoveries: &self.hold.recoveries.borrow(),
        };
        known.outlook(self.wanted.container)
    }

    fn is_checked(&self) -> bool {
        self.hold.health.borrow().hosts.contains_key(&self.wanted.container.backend)
    }

    fn is_over(&self) -> bool {
        Instant::from_std(clock::now()) >= self.deadline
    }

    /// The container as it is known now: its host may be back with another address for it. One that
    /// is not known by the same host keys is another one.
    fn current(&self) -> Arc<Container> {
        let granted = self.wanted.container;
        let inventory = self.hold.inventory.borrow();
        let now = inventory
            .container(&granted.name)
            .filter(|now| now.backend == granted.backend && now.host_keys == granted.host_keys);
        Arc::clone(now.unwrap_or(granted))
    }
}

fn not_started(name: ContainerName, failure: &Failure) -> ReachError {
    let reason = failure.message.strip_prefix(&format!("start {name}: "));
    let reason = printable(reason.unwrap_or(&failure.message), MAX_REASON);
    let later = match failure.kind {
        Kind::Unavailable | Kind::TryLater | Kind::Interrupted => true,
        Kind::Failed
        | Kind::Usage
        | Kind::NotFound
        | Kind::Conflict
        | Kind::NotPermitted
        | Kind::BadConfiguration => false,
    };
    ReachError::NotStarted { name, reason, later }
}
