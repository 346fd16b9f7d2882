//! How containers, ages and sizes are shown; shared by the commands. Pure.

use std::net::IpAddr;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use crate::model::{
    container::{Container, Status},
    inventory::{Backend, Inventory, Presence},
    key::PublicKey,
    text::printable,
};

/// Config key with the CPU limit.
const CPU: &str = "limits.cpu";
/// Config key with the memory limit.
const MEMORY: &str = "limits.memory";
/// Where `fleet` puts the size of the root disk, which Incus keeps with the devices.
const DISK: &str = "root.size";

/// Longest key comment shown, in characters.
const MAX_COMMENT: usize = 64;

/// A container as `list` shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Summary {
    pub(super) name: String,
    pub(super) owner: String,
    pub(super) state: &'static str,
    pub(super) hold: bool,
    pub(super) backend: String,
    pub(super) pool: String,
    pub(super) addresses: Vec<IpAddr>,
    pub(super) cpu: Option<String>,
    pub(super) memory: Option<String>,
    pub(super) disk: Option<String>,
    /// The backend answers, so that the state is that of now.
    pub(super) current: bool,
    /// When the state was seen; absent if never.
    pub(super) seen: Option<Timestamp>,
}

impl Summary {
    pub(super) fn new(container: &Container, inventory: &Inventory) -> Self {
        let backend = inventory.backend(&container.backend);
        let limit = |key: &str| container.config.get(key).filter(|v| !v.is_empty()).cloned();
        Self {
            name: container.name.to_string(),
            owner: container.owner.to_string(),
            state: state(container.status),
            hold: container.hold,
            backend: container.backend.to_string(),
            pool: container.pool.to_string(),
            addresses: container.addresses.clone(),
            cpu: limit(CPU),
            memory: limit(MEMORY),
            disk: limit(DISK),
            current: backend.is_some_and(|b| is_up(&b.presence)),
            seen: backend.and_then(|b| seen(b)),
        }
    }

    /// The state for people, with its age where it is not that of now.
    pub(super) fn state_text(&self, now: Timestamp) -> String {
        let held = if self.hold { ", held" } else { "" };
        match (self.current, self.seen) {
            (true, _) => format!("{}{held}", self.state),
            (false, Some(seen)) => format!("{}{held} ({} ago)", self.state, age(now, seen)),
            (false, None) => format!("{}{held} (last known)", self.state),
        }
    }

    /// The first address, for a column.
    pub(super) fn address(&self) -> String {
        self.addresses.first().map_or_else(String::new, ToString::to_string)
    }
}

/// A public key as people and scripts see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct KeyView {
    #[serde(rename = "type")]
    pub(super) kind: &'static str,
    pub(super) fingerprint: String,
    pub(super) comment: String,
}

impl KeyView {
    pub(super) fn new(key: &PublicKey) -> Self {
        let comment = printable(key.comment(), MAX_COMMENT);
        Self { kind: key.algorithm(), fingerprint: key.fingerprint(), comment }
    }

    pub(super) fn text(&self) -> String {
        format!("{} {}", self.fingerprint, self.comment).trim_end().to_owned()
    }
}

/// The name of a state.
pub(super) fn state(status: Status) -> &'static str {
    match status {
        Status::Running => "running",
        Status::Stopped => "stopped",
        Status::Frozen => "frozen",
        Status::Error => "error",
        Status::Changing => "changing",
    }
}

/// How long ago `then` was: `42s`, `7m`, `3h`, `12d`.
pub(crate) fn age(now: Timestamp, then: Timestamp) -> String {
    span(now.duration_since(then).as_secs().max(0))
}

/// A time as reports have it, `2027-01-15 07:59:01`, without its year and seconds.
pub(crate) fn short_time(time: &str) -> String {
    time.chars().skip(5).take(11).collect()
}

/// Until when [`age`] says the same.
pub(crate) fn age_until(now: Timestamp, then: Timestamp) -> Timestamp {
    let seconds = now.duration_since(then).as_secs().max(0);
    let (unit, _) = unit(seconds);
    let next = SignedDuration::from_secs((seconds / unit + 1) * unit);
    then.checked_add(next).unwrap_or(Timestamp::MAX)
}

/// So many seconds: `42s`, `7m`, `3h`, `12d`.
pub(crate) fn span(seconds: i64) -> String {
    let (unit, name) = unit(seconds);
    format!("{}{name}", seconds / unit)
}

/// The largest unit of which so many seconds have one: its seconds, and its letter.
fn unit(seconds: i64) -> (i64, &'static str) {
    let units = [(86_400, "d"), (3600, "h"), (60, "m")];
    units.into_iter().find(|(unit, _)| seconds >= *unit).unwrap_or((1, "s"))
}

/// A size in the largest binary unit that leaves a whole part: `512MiB`, `3.9GiB`.
pub(crate) fn size(bytes: u64) -> String {
    let units = [(1 << 40, "TiB"), (1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    let Some((unit, name)) = units.into_iter().find(|(unit, _)| bytes >= *unit) else {
        return format!("{bytes}B");
    };
    // In 128 bits, as bytes near the limit of 64 would overflow.
    let tenths = u128::from(bytes) * 10 / u128::from(unit);
    match (tenths / 10, tenths % 10) {
        (whole, 0) => format!("{whole}{name}"),
        (whole, tenth) => format!("{whole}.{tenth}{name}"),
    }
}

/// What an image is, of what its maker said: its system, else whatever else there is.
pub(crate) fn described(os: Option<&str>, release: Option<&str>, text: Option<&str>) -> String {
    match (os, release) {
        (Some(os), Some(release)) => format!("{os} {release}"),
        (os, _) => text.or(os).unwrap_or_default().to_owned(),
    }
}

/// How much of something is in use: `4GiB of 8GiB`; nothing where it is not known.
pub(super) fn share(used_of: Option<(u64, u64)>) -> String {
    used_of.map(|(used, total)| format!("{} of {}", size(used), size(total))).unwrap_or_default()
}

fn is_up(presence: &Presence) -> bool {
    match presence {
        Presence::Up { .. } => true,
        Presence::Unknown | Presence::Away { .. } => false,
    }
}

fn seen(backend: &Backend) -> Option<Timestamp> {
    match backend.presence {
        Presence::Up { .. } | Presence::Unknown => backend.refreshed,
        Presence::Away { since, .. } => Some(backend.refreshed.unwrap_or(since)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_and_sizes_are_short() {
        let now = Timestamp::from_second(1_000_000).unwrap();
        let at = |s: i64| Timestamp::from_second(1_000_000 - s).unwrap();
        let ages = [-5, 0, 59, 60, 3599, 3600, 86_399, 86_400].map(|s| age(now, at(s)));
        assert_eq!(ages, ["0s", "0s", "59s", "1m", "59m", "1h", "23h", "1d"]);
        for seconds in (-3..200).chain(3590..3605).chain(86_390..86_405) {
            let (then, until) = (at(0), age_until(at(seconds), at(0)));
            let last = until.checked_sub(SignedDuration::from_nanos(1)).unwrap();
            assert_eq!(age(last, then), age(at(seconds), then), "{seconds}");
            assert_ne!(age(until, then), age(at(seconds), then), "{seconds}");
        }
        let sizes = [0, 1023, 1024, 1536, 4 << 30, u64::MAX].map(size);
        assert_eq!(sizes, ["0B", "1023B", "1KiB", "1.5KiB", "4GiB", "16777215.9TiB"]);
    }
}
