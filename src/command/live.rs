//! What a container does at this moment, asked of its Incus: used by `info`. The reading is pure.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use serde::Serialize;
use tokio::time::{sleep, timeout};

use super::{context::Context, failure::Failure, view};
use crate::{
    clock,
    incus::{
        Client, IncusError,
        api::{Instance, InstanceState},
    },
    model::container::{Container, Status},
};

/// For everything: somebody waits for it, and what was seen last is at hand.
const DEADLINE: Duration = Duration::from_secs(2);

/// Between two looks at the processors: their use is what was used in between.
const BETWEEN: Duration = Duration::from_millis(200);

/// What it does and uses now.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Live {
    /// Null when it does not run.
    pub(super) started_at: Option<Timestamp>,
    pub(super) uptime_seconds: Option<i64>,
    /// Of the processors that it may use, in the last moment; null when Incus cannot tell.
    pub(super) cpu_percent: Option<f64>,
    /// Of one processor, since it started.
    pub(super) cpu_seconds: f64,
    /// With files that are kept in memory and can be given back.
    pub(super) memory_bytes: u64,
    /// The limit, or what the host has.
    pub(super) memory_total_bytes: u64,
    /// On btrfs without what it shares with its image; null where the pool keeps no account.
    pub(super) disk_bytes: Option<u64>,
    /// Null without a limit.
    pub(super) disk_total_bytes: Option<u64>,
    pub(super) processes: u64,
    /// Whether it starts with its host; null: as it was before.
    pub(super) autostart: Option<bool>,
}

/// Asks for the container anew, and for what it does. The container as it is known and the reason
/// when its backend does not answer.
pub(super) async fn look(
    container: Arc<Container>,
    context: &Context,
) -> (Arc<Container>, Result<Live, String>) {
    let client = match context.incus(&container) {
        Ok(client) => client,
        Err(Failure { message, .. }) => return (container, Err(message)),
    };
    let looking = async {
        let seen = context.fleet.refresh(&container).await;
        let current = seen.unwrap_or_else(|| Arc::clone(&container));
        let live = ask(&client, &current).await;
        (current, live.map_err(|e| e.to_string()))
    };
    if let Ok(looked) = timeout(DEADLINE, looking).await {
        return looked;
    }
    let backend = &container.backend;
    let reason = format!("backend {backend} does not answer within {DEADLINE:?}");
    (container, Err(reason))
}

async fn ask(client: &Client, container: &Container) -> Result<Live, IncusError> {
    let name = container.name.instance();
    let first = client.instance(&name).await?;
    let at = clock::now();
    let second = match container.status {
        Status::Running => {
            sleep(BETWEEN).await;
            Some((client.instance(&name).await?, clock::now() - at))
        }
        Status::Stopped | Status::Frozen | Status::Error | Status::Changing => None,
    };
    let second = second.as_ref().and_then(|(seen, later)| Some((seen.state.as_ref()?, *later)));
    Ok(Live::read(&first, second, clock::timestamp()))
}

impl Live {
    /// What Incus said and, of a running container, what it said a while later; `now` is the time.
    fn read(first: &Instance, second: Option<(&InstanceState, Duration)>, now: Timestamp) -> Self {
        let before = first.state.clone().unwrap_or_default();
        let state = second.map_or(&before, |(later, _)| later);
        let started_at = state
            .started_at
            .as_ref()
            .and_then(|text| text.parse::<Timestamp>().ok())
            // Incus says the year 1 of one that does not run.
            .filter(|at| at.as_second() > 0);
        let size = |n: i64| u64::try_from(n).unwrap_or(0);
        let disk = first.root(state).map(|disk| disk.bytes());
        let (memory, memory_total) = state.memory.bytes();
        let used = second.map(|(later, elapsed)| later.cpu.share_since(&before.cpu, elapsed));
        let autostart = first.expanded_config.get("boot.autostart");
        Self {
            started_at,
            uptime_seconds: started_at.map(|started| now.duration_since(started).as_secs().max(0)),
            cpu_percent: used.flatten().map(|share| tenths(share * 100.0)),
            cpu_seconds: tenths(Duration::from_nanos(size(state.cpu.usage)).as_secs_f64()),
            memory_bytes: memory,
            memory_total_bytes: memory_total,
            disk_bytes: disk.map(|(used, _)| used),
            disk_total_bytes: disk.and_then(|(_, total)| total),
            processes: size(state.processes),
            autostart: autostart.and_then(|value| value.parse().ok()),
        }
    }

    /// The processors, for people: `5% (limit 2)`.
    pub(super) fn cpu(&self, limit: Option<&str>) -> String {
        let used = self.cpu_percent.map_or_else(|| "-".to_owned(), |used| format!("{used:.0}%"));
        limit.map_or_else(|| used.clone(), |limit| format!("{used} (limit {limit})"))
    }

    /// The memory, for people: `512MiB / 2GiB`.
    pub(super) fn memory(&self) -> String {
        format!("{} / {}", view::size(self.memory_bytes), view::size(self.memory_total_bytes))
    }

    /// The disk, for people: `4.2GiB / 20GiB (21%)`.
    pub(super) fn disk(&self) -> Option<String> {
        let used = self.disk_bytes?;
        let Some(total) = self.disk_total_bytes else { return Some(view::size(used)) };
        let percent = u128::from(used) * 100 / u128::from(total.max(1));
        Some(format!("{} / {} ({percent}%)", view::size(used), view::size(total)))
    }

    /// Whether it starts with its host, for people.
    pub(super) fn autostart(&self) -> &'static str {
        match self.autostart {
            Some(true) => "on",
            Some(false) => "off",
            None => "as it was before",
        }
    }
}

fn tenths(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

/// A container that is a little busy, for the reference.
#[cfg(test)]
pub(super) fn example() -> Live {
    tests::busy()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const FIFTH: Duration = Duration::from_millis(200);

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millisecond(1_800_000_000_000 + millis).unwrap()
    }

    fn state(cpu: i64) -> serde_json::Value {
        json!({
            "cpu": {"usage": cpu, "allocated_time": 2_000_000_000},
            "memory": {"usage": 512 << 20, "total": 2_i64 << 30},
            "disk": {"root": {"usage": 42 << 20, "total": 200 << 20}},
            "processes": 12, "started_at": "2027-01-15T07:00:00.5Z", "network": null,
        })
    }

    fn instance(state: &serde_json::Value) -> Instance {
        serde_json::from_value(json!({
            "name": "alice-container", "expanded_config": {"boot.autostart": "true"},
            "expanded_devices": {"root": {"path": "/", "type": "disk"}}, "state": state,
        }))
        .unwrap()
    }

    pub(super) fn busy() -> Live {
        let first = instance(&state(5_000_000_000));
        let later: InstanceState = serde_json::from_value(state(5_100_000_000)).unwrap();
        Live::read(&first, Some((&later, FIFTH)), at(0))
    }

    #[test]
    fn a_running_container_is_read() {
        let live = busy();
        // A tenth of a second of two processors in a fifth.
        assert_eq!((live.cpu_percent, live.cpu_seconds), (Some(25.0), 5.1));
        assert_eq!(live.uptime_seconds, Some(3599));
        assert_eq!(live.cpu(Some("2")), "25% (limit 2)");
        assert_eq!(live.memory(), "512MiB / 2GiB");
        assert_eq!(live.disk().as_deref(), Some("42MiB / 200MiB (21%)"));
        assert_eq!((live.processes, live.autostart()), (12, "on"));
    }

    #[test]
    fn what_is_not_known_is_not_made_up() {
        let stopped = json!({
            "cpu": {"usage": 0, "allocated_time": 0}, "memory": {"usage": 0, "total": 0},
            "disk": {}, "processes": 0, "started_at": "0001-01-01T00:00:00Z", "network": null,
        });
        let live = Live::read(&instance(&stopped), None, at(0));
        assert_eq!((live.started_at, live.uptime_seconds, live.cpu_percent), (None, None, None));
        assert_eq!((live.disk(), live.cpu(None)), (None, "-".to_owned()));
        let away: Instance = serde_json::from_value(json!({"name": "a", "state": null})).unwrap();
        assert_eq!(Live::read(&away, None, at(0)).autostart(), "as it was before");
    }
}
