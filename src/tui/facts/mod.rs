//! What is known, as the rows of the screens. Pure.

mod containers;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use jiff::Timestamp;

pub use self::containers::About;
use self::containers::Containers;
use super::{
    keymap::Tab,
    shared::Shared,
    table::{Row, Value},
    theme::{Look, Role},
    uses::filled,
};
use crate::{
    command::{
        LiveSession,
        view::{age, size},
    },
    fleet::usage::Usage,
    guard::book::Entry,
    health::{CheckHealth, Health, machine::State},
    model::{
        inventory::{Backend, Inventory, Presence},
        text::printable,
    },
};

/// Longest text of a cell, in characters.
const MAX_CELL: usize = 100;

/// What the rows of the guard are sorted by, where that is their state: who is banned comes first.
const BANNED: f64 = 1.0;
/// The same of connections that were refused.
pub(super) const REFUSED: f64 = 0.0;

/// What the sentinel knows at one moment.
pub struct Sources<'a> {
    /// What runs where.
    pub inventory: &'a Inventory,
    /// What containers use.
    pub usage: &'a Usage,
    /// Which hosts are alive.
    pub health: &'a Health,
    /// Who is connected.
    pub sessions: &'a [LiveSession],
    /// Who is banned.
    pub bans: &'a [Entry],
    /// The time.
    pub now: Timestamp,
}

/// What was read last, of which most stays the same.
#[derive(Debug, Default)]
pub struct Reader(Containers);

impl Reader {
    /// The rows of all screens but the ledger, and what is known of each container beyond them. What is as
    /// it was is the same in memory, too.
    #[must_use]
    pub fn read(
        &mut self,
        sources: &Sources<'_>,
        look: Look,
    ) -> (BTreeMap<Tab, Shared<Row>>, Shared<About>) {
        let Sources { inventory, health, sessions, bans, now, .. } = sources;
        let (containers, about) = self.0.read(sources, look);
        let hosts = inventory.backends.iter();
        let hosts: Vec<_> = hosts.map(|b| host(b, health, (*now, look))).collect();
        let sessions: Vec<_> = sessions.iter().map(|s| session(s, *now)).collect();
        let bans: Vec<_> = bans.iter().map(|entry| ban(entry, look)).collect();
        let rows = BTreeMap::from([
            (Tab::Containers, containers),
            (Tab::Hosts, hosts.into()),
            (Tab::Sessions, sessions.into()),
            (Tab::Guard, bans.into()),
        ]);
        (rows, about)
    }
}

fn text(text: impl AsRef<str>) -> Value {
    Value::new(printable(text.as_ref(), MAX_CELL), Role::Text)
}

fn faint(text: impl AsRef<str>) -> Value {
    Value { role: Role::Faint, ..self::text(text) }
}

#[expect(clippy::cast_precision_loss, reason = "sorting needs no more")]
fn count(n: u64) -> Value {
    if n == 0 { faint("-").number(0.0) } else { text(n.to_string()).number(n as f64) }
}

/// How long ago; sorted so that the youngest come first.
#[expect(clippy::cast_precision_loss, reason = "sorting needs no more")]
fn since(then: Option<Timestamp>, now: Timestamp) -> Value {
    then.map_or_else(|| faint("-"), |then| text(age(now, then)).number(-(then.as_second() as f64)))
}

fn host(backend: &Arc<Backend>, health: &Health, (now, look): (Timestamp, Look)) -> Row {
    let glyphs = look.glyphs();
    let checked = health.hosts.get(&backend.name);
    let is_down = checked.is_some_and(|h| matches!(h.state, State::Down | State::Recovering(_)));
    let state = match &backend.presence {
        Presence::Up { .. } if backend.drained => {
            Value::new(format!("{} drained", glyphs.between), Role::Warning)
        }
        Presence::Up { since } => {
            Value::new(format!("{} up {}", glyphs.on, age(now, *since)), Role::Good)
        }
        Presence::Away { since, reason } => {
            let word = if is_down { "down" } else { "away" };
            let reason = printable(reason, MAX_CELL);
            let down = format!("{} {word} {}", glyphs.wrong, age(now, *since));
            Value::new(format!("{down}: {reason}"), Role::Bad).short(down)
        }
        Presence::Unknown => {
            Value::new(format!("{} not heard of yet", glyphs.between), Role::Faint)
        }
    };
    let checks = checked.map(|host| host.checks.as_slice()).unwrap_or_default();
    let number = |n: Option<u64>| n.map_or_else(|| faint("-"), count);
    Row::new(
        backend.name.as_str(),
        vec![
            text(backend.name.as_str()),
            state,
            text(backend.pool.as_str()),
            count(u64::try_from(backend.containers.len()).unwrap_or(u64::MAX)),
            number(backend.cpus),
            share(backend.memory),
            share(backend.disk),
            heartbeat(checks, look),
            backend.version.as_ref().map_or_else(|| faint("-"), text),
        ],
    )
}

/// A part of something in use; much of it is worth a look.
#[expect(clippy::cast_precision_loss, reason = "a bar shows no more")]
fn share(used_of: Option<(u64, u64)>) -> Value {
    let Some((used, total)) = used_of.filter(|(_, total)| *total > 0) else { return faint("-") };
    let share = used as f32 / total as f32;
    Value::new(format!("{}/{}", size(used), size(total)), filled(share)).share(share)
}

/// The last heartbeats, the newest at the right: how long each took, or that it was missed.
fn heartbeat(checks: &[CheckHealth], look: Look) -> Value {
    let Some(check) = checks.first() else { return faint("-") };
    let glyphs = look.glyphs();
    let height = |took: &Option<Duration>| match took {
        None => glyphs.wrong,
        // Each step ten times as long as the one before, from a millisecond.
        Some(took) => {
            let millis = u32::try_from(took.as_millis()).unwrap_or(u32::MAX);
            let step = usize::try_from(millis.max(1).ilog10()).unwrap_or(0);
            glyphs.heights[step.min(glyphs.heights.len() - 1)]
        }
    };
    let first = check.history.len().saturating_sub(60);
    let shown: String = check.history.iter().skip(first).map(height).collect();
    let is_missed = check.history.iter().rev().take(5).any(Option::is_none);
    Value::new(shown, if is_missed { Role::Warning } else { Role::Good })
}

fn session(session: &LiveSession, now: Timestamp) -> Row {
    let state = if session.open {
        Value::new("open", Role::Good)
    } else {
        Value::new("waiting", Role::Warning)
    };
    #[expect(clippy::cast_precision_loss, reason = "sorting needs no more")]
    let id = text(session.id.to_string()).number(session.id as f64);
    Row::new(
        session.id.to_string(),
        vec![
            id,
            state,
            since(Some(session.since), now),
            text(&session.person),
            text(session.source.ip().to_canonical().to_string()),
            text(&session.target),
        ],
    )
}

fn ban(entry: &Entry, look: Look) -> Row {
    let left = |left: Duration| text(span(left)).number(left.as_secs_f64());
    let state = format!("{} banned", look.glyphs().wrong);
    Row::new(
        entry.network.to_string(),
        vec![
            text(entry.network.to_string()),
            Value::new(state, Role::Warning).number(BANNED),
            text(format!("{} ago", span(entry.age))).number(entry.age.as_secs_f64()),
            entry.left.map_or_else(|| text("no end"), left),
            faint("-"),
            text(entry.cause.to_string()),
            text(entry.id.to_string()),
            faint("-"),
            faint("-"),
        ],
    )
}

fn span(time: Duration) -> String {
    crate::command::view::span(i64::try_from(time.as_secs()).unwrap_or(i64::MAX))
}
