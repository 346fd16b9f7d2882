//! `status`: the sentinel itself, its backends, and what is wrong.

use std::sync::Arc;

use jiff::Timestamp;
use serde::Serialize;

use super::{
    backend::view::{BackendView, COLUMNS},
    ban,
    certificate::{self, CertificateView},
    context::{Context, Usage},
    failure::Failure,
    gateway::{self, GatewayView},
    report::{Field, Part, Report, Table},
    view::{age, size},
};
use crate::{
    audit::Health,
    fleet::job::Job,
    model::inventory::{Inventory, Presence},
    recording,
};

/// What follows where bans are to be in the kernel and are not.
const NOT_IN_KERNEL: &str = "guard: banned addresses are dropped by the door and not by the kernel";

/// Nobody is to learn only from the log that the guard does not ban any more.
const NO_ROOM: &str = "guard: as many addresses are banned as there is room for; some are not";

#[derive(Serialize)]
struct Status {
    version: &'static str,
    started: Timestamp,
    uptime_seconds: i64,
    sessions: usize,
    connections: usize,
    containers: usize,
    process: Process,
    guard: GuardView,
    backends: Vec<BackendView>,
    gateway: Option<GatewayView>,
    jobs: Vec<JobView>,
    certificates: Vec<CertificateView>,
    ledger: LedgerView,
    recordings: RecordingsView,
    problems: Vec<String>,
}

/// Whether records are written.
#[derive(Serialize)]
struct LedgerView {
    writes: bool,
    since: Option<Timestamp>,
    reason: Option<String>,
    lost: u64,
}

/// Whether recordings are written.
#[derive(Serialize)]
struct RecordingsView {
    writes: bool,
    since: Option<Timestamp>,
    reason: Option<String>,
    broken: u64,
}

#[derive(Serialize)]
struct Process {
    tasks: usize,
    descriptors: usize,
    resident_bytes: u64,
    panics: u64,
}

#[derive(Serialize)]
struct GuardView {
    bans: usize,
    sources: usize,
    dropped: u64,
    /// Sources that the kernel drops; `None`: it is not to.
    in_kernel: Option<usize>,
}

/// Work on a container that is under way.
#[derive(Serialize)]
struct JobView {
    container: String,
    what: &'static str,
}

pub(super) fn run(context: &Context) -> Result<Report, Failure> {
    let inventory = context.snapshot();
    let Usage { sessions, connections, tasks, descriptors, resident_bytes, panics } =
        (context.usage)();
    let (jobs, guard) = (context.fleet.jobs().all(), context.guard.summary());
    let kernel = context.guard.kernel().borrow().clone();
    let in_kernel = kernel.wanted.then_some(kernel.sources);
    let gateway = Arc::clone(&context.gateway.borrow());
    let (ledger, recordings) = (context.ledger.health(), context.recorder.health());
    let backends: Vec<_> =
        inventory.backends.iter().map(|b| BackendView::new(b, context)).collect();
    let problems = problems_now(context);
    let status = Status {
        version: context.version,
        started: context.started,
        uptime_seconds: context.now.duration_since(context.started).as_secs().max(0),
        sessions,
        connections,
        containers: inventory.containers().count(),
        process: Process { tasks, descriptors, resident_bytes, panics },
        guard: GuardView {
            bans: guard.bans,
            sources: guard.sources,
            dropped: guard.refused,
            in_kernel,
        },
        backends,
        ledger: LedgerView::new(ledger),
        recordings: RecordingsView::new(recordings),
        problems,
        gateway: GatewayView::new(&gateway),
        certificates: certificate::views(context),
        jobs: jobs
            .iter()
            .map(|j| JobView { container: j.container.to_string(), what: j.what })
            .collect(),
    };
    let memory = size(resident_bytes);
    let fields = vec![
        Field::one("Version", status.version),
        Field::one("Uptime", age(context.now, context.started)),
        Field::one("Sessions", status.sessions.to_string()),
        Field::one("Containers", status.containers.to_string()),
        Field::one("Process", format!("{memory}, {tasks} tasks, {descriptors} descriptors")),
        Field::one("Guard", ban::summary(&guard)),
        Field::many("Recovery", recoveries(&status.backends, context.now)),
        Field::many(
            "Gateway",
            status.gateway.iter().flat_map(|gateway| gateway.lines(context.now)).collect(),
        ),
        Field::many(
            "Under way",
            status.jobs.iter().map(|j| format!("{} {}", j.what, j.container)).collect(),
        ),
        Field::many("Certificates", certificate::lines(context)),
        Field::many("Problems", status.problems.clone()),
    ];
    let rows = status.backends.iter().map(|b| b.row(context.now)).collect();
    let names = status.backends.iter().map(|b| b.name.clone()).collect();
    let report = Report::of(status)?.names(names).part(Part::Fields(fields));
    Ok(report.part(Part::Table(Table { columns: COLUMNS, rows })))
}

/// What is wrong, a sentence each.
pub(super) fn problems_now(context: &Context) -> Vec<String> {
    let inventory = context.snapshot();
    let gateway = Arc::clone(&context.gateway.borrow());
    let kernel = context.guard.kernel().borrow().problem.clone();
    let backends = inventory.backends.iter();
    let alarms = backends.filter_map(|b| BackendView::new(b, context).alarm());
    gateway::problems(&gateway)
        .chain(alarms)
        .chain(problems(&inventory, &context.fleet.jobs().all(), (context.usage)().panics))
        .chain(certificate::problems(context))
        .chain(ledger_problems(&context.ledger.health()))
        .chain(recording_problems(&context.recorder.health()))
        .chain(kernel.map(|problem| format!("{NOT_IN_KERNEL}: {problem}")))
        .chain((context.guard.summary().full > 0).then(|| NO_ROOM.to_owned()))
        .collect()
}

impl LedgerView {
    fn new(Health { problem, lost, aside: _ }: Health) -> Self {
        let (since, reason) = problem.unzip();
        Self { writes: since.is_none(), since, reason, lost }
    }
}

impl RecordingsView {
    fn new(recording::Health { problem, broken }: recording::Health) -> Self {
        let (since, reason) = problem.unzip();
        Self { writes: since.is_none(), since, reason, broken }
    }
}

/// Of hosts that are being recovered.
fn recoveries(backends: &[BackendView], now: Timestamp) -> Vec<String> {
    let all = backends.iter().filter_map(|b| Some((&b.name, b.recovery.as_ref()?)));
    let busy = all.filter(|(_, recovery)| recovery.state != "idle");
    busy.map(|(name, recovery)| format!("{name} {}", recovery.text(now))).collect()
}

fn problems(inventory: &Inventory, jobs: &[Arc<Job>], panics: u64) -> Vec<String> {
    let bugs = (panics > 0).then(|| format!("panics since start: {panics}; the log has them"));
    let away = inventory.backends.iter().filter_map(|b| match &b.presence {
        Presence::Away { reason, .. } => Some(format!("backend {}: {reason}", b.name)),
        Presence::Up { .. } | Presence::Unknown => None,
    });
    let duplicates = inventory.duplicates().iter().map(|c| {
        let name = &c.name;
        format!("container {name} on {}: hidden by {name} on an earlier backend", c.backend)
    });
    let all = inventory.containers().chain(inventory.duplicates());
    let labels = all.flat_map(|c| {
        c.problems.iter().map(move |p| format!("container {} on {}: {p}", c.name, c.backend))
    });
    bugs.into_iter()
        .chain(away)
        .chain(duplicates)
        .chain(half_made(inventory, jobs))
        .chain(labels)
        .collect()
}

fn ledger_problems(health: &Health) -> Vec<String> {
    let Health { problem, lost, aside } = health;
    let stuck = problem.as_ref().map(|(since, reason)| {
        format!("the ledger cannot be written since {}: {reason}", since.strftime("%F %T"))
    });
    let gap = (*lost > 0)
        .then(|| format!("the ledger has a gap: {lost} records lost; see `audit --kind ledger`"));
    let aside = aside.as_ref().map(|file| {
        format!("the ledger was damaged; it is in {}, and a new one was begun", file.display())
    });
    stuck.into_iter().chain(gap).chain(aside).collect()
}

fn recording_problems(health: &recording::Health) -> Vec<String> {
    let recording::Health { problem, broken } = health;
    let stuck = problem.as_ref().map(|(since, reason)| {
        format!("recordings cannot be written since {}: {reason}", since.strftime("%F %T"))
    });
    let broken = (*broken > 0)
        .then(|| format!("recordings that are not whole, since start: {broken}; the log has them"));
    stuck.into_iter().chain(broken).collect()
}

/// What a `create` that was cut off left behind: not what one makes at this moment.
fn half_made(inventory: &Inventory, jobs: &[Arc<Job>]) -> Vec<String> {
    let is_worked_on = |instance: &String| jobs.iter().any(|j| j.container.instance() == *instance);
    let found = inventory.backends.iter().flat_map(|b| b.unfinished.iter().map(move |i| (b, i)));
    let left = found.filter(|(_, instance)| !is_worked_on(instance));
    left.map(|(b, i)| format!("instance {i} on {} is half made; `create` makes it anew", b.name))
        .collect()
}

#[cfg(test)]
pub(super) use tests::example;

#[cfg(test)]
mod tests {
    use crate::command::testing::*;

    /// What `--json` prints of a sentinel with a gateway.
    pub(in crate::command) fn example() -> serde_json::Value {
        let json = execute_line(b"status --json", &with_gateway());
        serde_json::from_str(&json.stdout).unwrap()
    }

    fn with_gateway() -> crate::command::context::Context {
        use crate::gateway::{Firewall, PoolState, State};
        let pool = |name: &str, port: &str, primary: Option<&str>| PoolState {
            config: crate::config::GatewayPool {
                pool: name.parse().unwrap(),
                ports: vec![port.parse().unwrap(), "443/udp".parse().unwrap()],
                addresses: Vec::new(),
                masquerade: true,
                failover: false,
                hold: std::time::Duration::ZERO,
            },
            primary: primary.map(|name| name.parse().unwrap()),
            since: at(3000),
            in_force: primary.is_none(),
            has_members: name == "default",
        };
        let state = State {
            firewall: Some(Firewall::Nft),
            problem: Some("run conntrack: not found".to_owned()),
            warning: Some("the table is nearly full".to_owned()),
            pools: vec![pool("default", "80", Some("spot-1")), pool("gpu", "81", None)],
        };
        let mut context = context(admin());
        std::sync::Arc::make_mut(&mut context.environment).gateway =
            tokio::sync::watch::channel(std::sync::Arc::new(state)).1;
        context
    }

    #[test]
    fn status_shows_backends_and_problems() {
        let outcome = execute_line(b"status", &context(admin()));
        let expected = "\
Version:     0.0.0-test
Uptime:      1h
Sessions:    7
Containers:  3
Process:     14MiB, 80 tasks, 31 descriptors
Guard:       nobody is banned, 0 connections dropped
Recovery:    spot-2 starting (gce) for 1m, 2 in an hour; last error: the API says 503
Problems:    backend spot-2: connection refused
             container alice on spot-2: hidden by alice on an earlier backend
             instance erin-container on spot-1 is half made; `create` makes it anew
             container bob on spot-1: label host-keys: not an OpenSSH public key line

BACKEND  POOL     PRESENCE            INCUS  CONTAINERS  CPUS  MEMORY        DISK            REFRESHED
spot-1   default  up for 1h, drained  6.0    2           8     4GiB of 8GiB  10GiB of 50GiB  1m ago
spot-2   default  away for 10m        -      2           -     -             -               10m ago
";
        assert_eq!(outcome.stdout, expected);
        let json = execute_line(b"status --json", &context(admin()));
        let json: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
        assert_eq!(json["uptime_seconds"], 3600);
        assert_eq!(json["backends"][1]["reason"], "connection refused");
        assert_eq!(json["connections"], 9);
        assert_eq!(json["backends"][0]["drained"], true);
        assert_eq!(json["backends"][0]["disk_total"], 50_u64 << 30);
        assert_eq!(json["jobs"], serde_json::json!([]));
        let process = serde_json::json!({
            "tasks": 80, "descriptors": 31, "resident_bytes": 14 << 20, "panics": 0,
        });
        assert_eq!(json["process"], process);
    }

    #[test]
    fn status_tells_where_public_ports_lead() {
        let context = with_gateway();
        let outcome = execute_line(b"status", &context);
        let expected = "\
Gateway:     default: 80/tcp, 443/udp lead to spot-1 for 10m, not in force yet
             gpu: 81/tcp, 443/udp lead to no backend for 10m
Problems:    gateway: run conntrack: not found
             gateway: the table is nearly full
             gateway: pool gpu has no backend that its ports could be led to
";
        assert!(outcome.stdout.contains(expected), "{}", outcome.stdout);
        let json = execute_line(b"status --json", &context);
        let json: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
        assert_eq!(json["gateway"]["firewall"], "iptables-nft");
        let pool = serde_json::json!({
            "name": "default", "ports": ["80/tcp", "443/udp"], "addresses": [],
            "primary": "spot-1", "since": "2023-11-14T23:03:20Z", "in_force": false,
        });
        assert_eq!(json["gateway"]["pools"][0], pool);
    }

    #[test]
    fn an_alarm_of_recovery_is_a_problem() {
        let mut context = context(admin());
        let mut hosts = crate::recovery::Recoveries::clone(&context.recoveries.borrow());
        for host in hosts.values_mut() {
            host.alarm = Some(crate::recovery::plan::Alarm::Exhausted);
            host.state = crate::recovery::State::Waiting(at(3700));
        }
        let shown = tokio::sync::watch::channel(std::sync::Arc::new(hosts)).1;
        std::sync::Arc::make_mut(&mut context.environment).recoveries = shown;
        let outcome = execute_line(b"status", &context);
        let waiting = "Recovery:    spot-2 waiting (gce), next try in 1m, 2 in an hour";
        assert!(outcome.stdout.contains(waiting), "{}", outcome.stdout);
        let alarm = "recovery of backend spot-2: started as often as allowed in an hour, and";
        assert!(outcome.stdout.contains(alarm), "{}", outcome.stdout);
        let json = execute_line(b"backend list --json", &context);
        let json: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
        assert_eq!(json[1]["recovery"]["alarm"], "exhausted");
        assert_eq!(json[0]["recovery"], serde_json::Value::Null);
    }

    #[test]
    fn what_is_not_written_is_a_problem() {
        let since = at(3000);
        let ledger = super::Health {
            problem: Some((since, "disk is full".to_owned())),
            lost: 7,
            aside: Some("/state/audit.db.damaged".into()),
        };
        let told = super::ledger_problems(&ledger);
        assert_eq!(
            told,
            [
                "the ledger cannot be written since 2023-11-14 23:03:20: disk is full",
                "the ledger has a gap: 7 records lost; see `audit --kind ledger`",
                "the ledger was damaged; it is in /state/audit.db.damaged, and a new one was begun",
            ]
        );
        let problem = Some((since, "no space left".to_owned()));
        let recordings = super::recording::Health { problem, broken: 2 };
        assert_eq!(
            super::recording_problems(&recordings),
            [
                "recordings cannot be written since 2023-11-14 23:03:20: no space left",
                "recordings that are not whole, since start: 2; the log has them",
            ]
        );
        let quiet = super::recording::Health::default();
        assert!(super::recording_problems(&quiet).is_empty());
        let view = serde_json::to_value(super::RecordingsView::new(recordings)).unwrap();
        let expected = serde_json::json!({
            "writes": false, "since": since, "reason": "no space left", "broken": 2,
        });
        assert_eq!(view, expected);
    }

    #[test]
    fn what_the_kernel_does_not_do_for_the_guard_is_a_problem() {
        let context = context(admin());
        let status = || -> serde_json::Value {
            let json = execute_line(b"status --json", &context);
            serde_json::from_str(&json.stdout).unwrap()
        };
        assert_eq!(status()["guard"]["in_kernel"], serde_json::Value::Null);
        let problem = Some("run nft: not found".to_owned());
        let kernel = crate::guard::Kernel { wanted: true, problem, ..Default::default() };
        context.guard.publish_kernel(kernel);
        let status = status();
        assert_eq!(status["guard"]["in_kernel"], 0);
        let told = "guard: banned addresses are dropped by the door and not by the kernel: run nft: \
                    not found";
        assert!(status["problems"].as_array().unwrap().contains(&told.into()), "{status}");
    }

    #[test]
    fn a_panic_is_a_problem() {
        let mut context = context(admin());
        let quiet = (context.usage)();
        std::sync::Arc::make_mut(&mut context.environment).usage =
            std::sync::Arc::new(move || super::Usage { panics: 2, ..quiet });
        let outcome = execute_line(b"status", &context);
        let line = "Problems:    panics since start: 2; the log has them\n";
        assert!(outcome.stdout.contains(line), "{}", outcome.stdout);
    }
}
