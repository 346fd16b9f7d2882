//! How a backend is shown, by `backend` and `status`. Pure.

use jiff::Timestamp;
use serde::Serialize;

use crate::{
    command::{
        context::Context,
        view::{age, share},
    },
    config::{BackendAddress, SshAddress},
    health::{CheckHealth, HostHealth, machine::State},
    link::reverse::State as Tunnel,
    model::{
        inventory::{Backend, Presence},
        name::BackendName,
    },
    recovery::{Recovery, State as Recovering, plan::Alarm},
};

/// A backend, as last seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(in crate::command) struct BackendView {
    pub(in crate::command) name: String,
    pub(in crate::command) pool: String,
    pub(in crate::command) presence: &'static str,
    pub(in crate::command) since: Option<Timestamp>,
    pub(in crate::command) reason: Option<String>,
    pub(in crate::command) refreshed: Option<Timestamp>,
    pub(in crate::command) version: Option<String>,
    pub(in crate::command) cpus: Option<u64>,
    pub(in crate::command) memory_used: Option<u64>,
    pub(in crate::command) memory_total: Option<u64>,
    pub(in crate::command) disk_used: Option<u64>,
    pub(in crate::command) disk_total: Option<u64>,
    pub(in crate::command) containers: usize,
    pub(in crate::command) drained: bool,
    /// The connection of its host: absent where we make it.
    pub(in crate::command) tunnel: Option<TunnelView>,
    /// What the checks of its host say: absent without checks.
    pub(in crate::command) health: Option<HealthView>,
    /// What is done when its host is down: absent where nobody starts it.
    pub(in crate::command) recovery: Option<RecoveryView>,
}

/// The connection of a host that dials us.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(in crate::command) struct TunnelView {
    pub(in crate::command) connected: bool,
    /// Since when it is so: unknown of one that never came.
    pub(in crate::command) since: Option<Timestamp>,
    /// Where the host comes from.
    pub(in crate::command) source: Option<String>,
    /// Streams that it carries.
    pub(in crate::command) streams: Option<usize>,
}

impl TunnelView {
    fn new(name: &BackendName, context: &Context) -> Option<Self> {
        let config = context.fleet.config(name)?;
        let BackendAddress::Ssh { address: SshAddress::Tunnel(_), .. } = config.address else {
            return None;
        };
        let away = Self { connected: false, since: None, source: None, streams: None };
        Some(match context.fleet.tunnels().state(name) {
            None => away,
            Some(Tunnel::Lost { since }) => Self { since: Some(since), ..away },
            Some(Tunnel::Connected { since, source, streams }) => Self {
                connected: true,
                since: Some(since),
                source: Some(source.to_string()),
                streams: Some(streams),
            },
        })
    }

    /// For people, in two words and since when.
    fn short(&self, now: Timestamp) -> String {
        let what = if self.connected { "tunnel" } else { "no tunnel" };
        self.since.map_or_else(|| what.to_owned(), |at| format!("{what} for {}", age(now, at)))
    }

    /// For people, with all that is known.
    pub(super) fn text(&self, now: Timestamp) -> String {
        match (&self.source, self.streams, self.since) {
            (Some(source), Some(streams), Some(since)) => {
                let many = if streams == 1 { "" } else { "s" };
                format!("from {source} for {}, {streams} stream{many}", age(now, since))
            }
            (_, _, Some(since)) => format!("not connected for {}", age(now, since)),
            (_, _, None) => "not connected".to_owned(),
        }
    }
}

/// What the checks of a host say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(in crate::command) struct HealthView {
    pub(in crate::command) state: &'static str,
    pub(in crate::command) since: Timestamp,
    pub(in crate::command) checks: Vec<CheckView>,
}

/// What is done about a host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(in crate::command) struct RecoveryView {
    pub(in crate::command) kind: &'static str,
    pub(in crate::command) state: &'static str,
    /// Since when it is being started or reset.
    pub(in crate::command) since: Option<Timestamp>,
    /// When the provider is asked again.
    pub(in crate::command) next: Option<Timestamp>,
    /// Why people have to look: one word.
    pub(in crate::command) alarm: Option<&'static str>,
    /// Starts and resets in the last hour.
    pub(in crate::command) actions: usize,
    /// Why the last request failed.
    pub(in crate::command) error: Option<String>,
    #[serde(skip)]
    sentence: Option<&'static str>,
}

impl RecoveryView {
    fn new(recovery: &Recovery) -> Self {
        let (state, since, next) = match recovery.state {
            Recovering::Idle => ("idle", None, None),
            Recovering::Held => ("held", None, None),
            Recovering::Asking => ("asking", None, None),
            Recovering::Starting(since) => ("starting", Some(since), None),
            Recovering::Resetting(since) => ("resetting", Some(since), None),
            Recovering::Waiting(next) => ("waiting", None, Some(next)),
        };
        Self {
            kind: recovery.kind,
            state,
            since,
            next,
            alarm: recovery.alarm.map(Alarm::as_str),
            actions: recovery.actions,
            error: recovery.error.clone(),
            sentence: recovery.alarm.map(Alarm::sentence),
        }
    }

    /// For people.
    pub(in crate::command) fn text(&self, now: Timestamp) -> String {
        let when = match (self.since, self.next) {
            (Some(since), _) => format!(" for {}", age(now, since)),
            (None, Some(next)) => format!(", next try in {}", age(next, now)),
            (None, None) => String::new(),
        };
        let held = if self.state == "held" { ", as it is drained" } else { "" };
        let count =
            if self.actions > 0 { format!(", {} in an hour", self.actions) } else { String::new() };
        let error = self.error.as_ref().map_or_else(String::new, |e| format!("; last error: {e}"));
        format!("{} ({}){when}{held}{count}{error}", self.state, self.kind)
    }
}

/// What one check says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(in crate::command) struct CheckView {
    pub(in crate::command) check: String,
    pub(in crate::command) state: &'static str,
    /// Of the last 120 probes, how many were answered.
    pub(in crate::command) answered: usize,
    pub(in crate::command) probes: usize,
    /// How long the last answer took.
    pub(in crate::command) last_ms: Option<u64>,
}

impl HealthView {
    fn new(health: &HostHealth) -> Option<Self> {
        let checks: Vec<CheckView> = health.checks.iter().map(CheckView::new).collect();
        let (state, since) = (state(health.state), health.since);
        (!checks.is_empty()).then_some(Self { state, since, checks })
    }
}

impl CheckView {
    fn new(check: &CheckHealth) -> Self {
        let last = check.history.back().copied().flatten();
        Self {
            check: check.check.name(),
            state: state(check.state),
            answered: check.history.iter().flatten().count(),
            probes: check.history.len(),
            last_ms: last.and_then(|d| u64::try_from(d.as_millis()).ok()),
        }
    }

    /// For people.
    pub(super) fn text(&self) -> String {
        let last = self.last_ms.map_or_else(String::new, |ms| format!(", last in {ms} ms"));
        format!(
            "{} {} ({} of {} answered{last})",
            self.check, self.state, self.answered, self.probes
        )
    }
}

fn state(state: State) -> &'static str {
    match state {
        State::Unknown => "unknown",
        State::Up => "up",
        State::Suspect(_) => "suspect",
        State::Down => "down",
        State::Recovering(_) => "recovering",
    }
}

/// Headings of a table of backends.
pub(in crate::command) const COLUMNS: &[&str] =
    &["BACKEND", "POOL", "PRESENCE", "INCUS", "CONTAINERS", "CPUS", "MEMORY", "DISK", "REFRESHED"];

impl BackendView {
    pub(in crate::command) fn new(backend: &Backend, context: &Context) -> Self {
        let health = context.health.borrow();
        let recoveries = context.recoveries.borrow();
        let (presence, since, reason) = match &backend.presence {
            Presence::Unknown => ("unknown", None, None),
            Presence::Up { since } => ("up", Some(*since), None),
            Presence::Away { since, reason } => ("away", Some(*since), Some(reason.clone())),
        };
        Self {
            name: backend.name.to_string(),
            pool: backend.pool.to_string(),
            presence,
            since,
            reason,
            refreshed: backend.refreshed,
            version: backend.version.clone(),
            cpus: backend.cpus,
            memory_used: backend.memory.map(|(used, _)| used),
            memory_total: backend.memory.map(|(_, total)| total),
            disk_used: backend.disk.map(|(used, _)| used),
            disk_total: backend.disk.map(|(_, total)| total),
            containers: backend.containers.len(),
            drained: backend.drained,
            tunnel: TunnelView::new(&backend.name, context),
            health: health.hosts.get(&backend.name).and_then(HealthView::new),
            recovery: recoveries.get(&backend.name).map(RecoveryView::new),
        }
    }

    /// What is wrong with the way back of its host.
    pub(in crate::command) fn alarm(&self) -> Option<String> {
        let sentence = self.recovery.as_ref()?.sentence?;
        Some(format!("recovery of backend {}: {sentence}", self.name))
    }

    /// Its row under [`COLUMNS`].
    pub(in crate::command) fn row(&self, now: Timestamp) -> Vec<String> {
        vec![
            self.name.clone(),
            self.pool.clone(),
            self.presence_text(now),
            self.version.clone().unwrap_or_default(),
            self.containers.to_string(),
            self.cpus.map(|c| c.to_string()).unwrap_or_default(),
            share(self.memory_used.zip(self.memory_total)),
            share(self.disk_used.zip(self.disk_total)),
            self.refreshed.map(|at| format!("{} ago", age(now, at))).unwrap_or_default(),
        ]
    }

    /// Whether it is there, since when, by which tunnel, and whether it is drained.
    pub(super) fn presence_text(&self, now: Timestamp) -> String {
        let tunnel = self.tunnel.as_ref().map(|t| format!(", {}", t.short(now)));
        let drained = tunnel.unwrap_or_default() + if self.drained { ", drained" } else { "" };
        match self.since {
            Some(since) => format!("{} for {}{drained}", self.presence, age(now, since)),
            None => format!("{}{drained}", self.presence),
        }
    }
}
