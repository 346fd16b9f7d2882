//! What a container uses, as cells of its row and as lines of its page. Pure.

use std::sync::Arc;

use super::{
    table::Value,
    theme::{Look, Role},
};
use crate::{
    command::view::size,
    fleet::usage::{Point, Use},
    model::{
        container::{Container, Status},
        text::printable,
    },
};

/// Longest limit, in characters.
const MAX_LIMIT: usize = 20;

/// From here on processors or memory are worth a look. Memory is often full of files that can be given
/// back at once, so that nothing is wrong yet.
const BUSY: f32 = 0.95;
/// The same of a disk, and where writing fails soon.
const FILLING: f32 = 0.8;
const FULL: f32 = 0.95;

/// What is known of the use of one container.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Used {
    /// What it used last; `None`: nobody knows.
    pub last: Option<Arc<Use>>,
    /// That was a while ago.
    pub is_old: bool,
    /// Its limits of processors, memory and disk, as Incus writes them: printable.
    pub limits: [Option<String>; 3],
}

/// How much of something is filled, from 0 to 1, as people are to take it.
pub(super) fn filled(share: f32) -> Role {
    match share {
        FULL.. => Role::Bad,
        FILLING.. => Role::Warning,
        _ => Role::Text,
    }
}

impl Used {
    /// That of a container by what its host said; `is_current`: its host answers.
    #[must_use]
    pub fn new(container: &Container, said: Option<(&Arc<Use>, bool)>, is_current: bool) -> Self {
        let limit = |key: &str| {
            let limit = container.config.get(key).filter(|limit| !limit.is_empty());
            limit.map(|limit| printable(limit, MAX_LIMIT))
        };
        let runs = match container.status {
            Status::Running | Status::Frozen => true,
            Status::Stopped | Status::Error | Status::Changing => false,
        };
        let last = said.map(|(used, _)| {
            if runs {
                Arc::clone(used)
            } else {
                // Its host was asked before it ended.
                Arc::new(Use { disk: used.disk, ..Use::default() })
            }
        });
        Self {
            last,
            is_old: !is_current || said.is_some_and(|(_, is_old)| is_old),
            limits: ["limits.cpu", "limits.memory", "root.size"].map(limit),
        }
    }

    /// Processors, memory and disk for a row: how much is used.
    #[must_use]
    pub fn cells(&self) -> [Value; 3] {
        self.values(|_, used, _| used)
            .map(|value| value.unwrap_or_else(|| Value::new("-", Role::Faint)))
    }

    /// The same with the limit, which is told where nothing is used, too.
    #[must_use]
    pub fn full(&self) -> [Value; 3] {
        let limited = |i: usize, used, all| match (all, &self.limits[i]) {
            (Some(all), _) => format!("{used} of {}", short(all)),
            (None, Some(limit)) => format!("{used} of {limit}"),
            (None, None) => used,
        };
        let mut limits = self.limits.iter();
        self.values(limited).map(|value| {
            let limit = limits.next().and_then(Option::as_ref);
            let limit = limit.map_or_else(|| "-".to_owned(), |limit| format!("of {limit}"));
            value.unwrap_or_else(|| Value::new(limit, Role::Faint))
        })
    }

    /// `text` makes it of which one it is, how much is used, and how many bytes there are.
    fn values(&self, text: impl Fn(usize, String, Option<u64>) -> String) -> [Option<Value>; 3] {
        let last = self.last.as_deref();
        let cpu = last.and_then(|used| used.cpu).map(|percent| {
            let share = f32::from(percent) / 100.0;
            let role = if share >= BUSY { Role::Warning } else { Role::Text };
            Value::new(text(0, format!("{percent}%"), None), role).share(share)
        });
        let memory = last.and_then(|used| used.memory).map(|(used, all)| {
            let share = part(used, all);
            let role = if share >= BUSY { Role::Warning } else { Role::Text };
            sized(Value::new(text(1, short(used), Some(all)), role).share(share), used)
        });
        let disk = last.and_then(|used| used.disk).map(|(used, all)| {
            let share = all.map_or(0.0, |all| part(used, all));
            let value = Value::new(text(2, short(used), all), filled(share));
            sized(if all.is_some() { value.share(share) } else { value }, used)
        });
        let faded = |value: Value| Value { role: Role::Faint, ..value };
        [cpu, memory, disk].map(|value| if self.is_old { value.map(faded) } else { value })
    }

    /// Percent of processors and of memory as they were, the newest last.
    #[must_use]
    pub fn history(&self) -> [Vec<Option<u8>>; 2] {
        let points = || self.last.iter().flat_map(|used| &used.history);
        [
            points().map(|Point { cpu, .. }| *cpu).collect(),
            points().map(|Point { memory, .. }| Some(*memory)).collect(),
        ]
    }
}

/// How something was, in so many cells, the newest at the right.
#[must_use]
pub fn sparkline(points: &[Option<u8>], cells: usize, look: Look) -> String {
    let heights = look.glyphs().heights;
    let seen = points.get(points.len().saturating_sub(cells)..).unwrap_or_default();
    let height = |point: &Option<u8>| match point {
        // The lowest for nothing, the highest for all of it.
        Some(percent) => {
            let step = usize::from(*percent) * heights.len() / 101;
            heights[step.min(heights.len() - 1)]
        }
        None => " ",
    };
    let blank = " ".repeat(cells.saturating_sub(seen.len()));
    std::iter::once(blank.as_str()).chain(seen.iter().map(height)).collect()
}

/// A size in as few digits as tell something.
fn short(bytes: u64) -> String {
    let unit = 1_u64 << (bytes.max(1).ilog2() / 10 * 10);
    if bytes / unit >= 10 { size(bytes / unit * unit) } else { size(bytes) }
}

#[expect(clippy::cast_precision_loss, reason = "a bar shows no more")]
fn part(used: u64, all: u64) -> f32 {
    (used as f32 / all.max(1) as f32).min(1.0)
}

#[expect(clippy::cast_precision_loss, reason = "sorting needs no more")]
fn sized(value: Value, bytes: u64) -> Value {
    value.number(bytes as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::tests::container;

    const MIB: u64 = 1 << 20;

    fn busy() -> Use {
        let points = (0..30).map(|i| Point { cpu: (i > 0).then_some(i * 3), memory: 25 });
        Use {
            cpu: Some(96),
            memory: Some((512 * MIB, 2048 * MIB)),
            disk: Some((850 * MIB, Some(1000 * MIB))),
            history: points.collect(),
        }
    }

    fn limited(status: Status) -> Container {
        let mut limited = container("alice", "b1");
        limited.status = status;
        limited.config.insert("limits.cpu".to_owned(), "2".to_owned());
        limited.config.insert("limits.memory".to_owned(), "2GiB".to_owned());
        limited
    }

    fn texts(values: &[Value; 3]) -> [&str; 3] {
        [0, 1, 2].map(|i| values[i].text.as_str())
    }

    #[test]
    fn use_is_shown_with_bars_and_limits_on_the_page() {
        let said = Arc::new(busy());
        let running = limited(Status::Running);
        let used = Used::new(&running, Some((&said, false)), true);
        assert_eq!(texts(&used.cells()), ["96%", "512MiB", "850MiB"]);
        assert_eq!(texts(&used.full()), ["96% of 2", "512MiB of 2GiB", "850MiB of 1000MiB"]);
        assert_eq!(used.cells().map(|v| v.share), [Some(0.96), Some(0.25), Some(0.85)]);
        assert_eq!(used.cells().map(|v| v.role), [Role::Warning, Role::Text, Role::Warning]);
        let unheard = Used::new(&running, None, true);
        assert_eq!(texts(&unheard.cells()), ["-", "-", "-"]);
        assert_eq!(texts(&unheard.full()), ["of 2", "of 2GiB", "-"]);
        assert_eq!(unheard.cells().map(|v| v.share), [None; 3]);
    }

    #[test]
    fn what_is_old_is_faint_and_what_does_not_run_uses_a_disk_alone() {
        let said = Arc::new(busy());
        for (is_old, is_current) in [(true, true), (false, false)] {
            let used = Used::new(&limited(Status::Running), Some((&said, is_old)), is_current);
            assert_eq!(used.cells().map(|v| v.role), [Role::Faint; 3]);
            assert_eq!(texts(&used.cells())[1], "512MiB");
        }
        let stopped = Used::new(&limited(Status::Stopped), Some((&said, false)), true);
        assert_eq!(texts(&stopped.cells()), ["-", "-", "850MiB"]);
        assert_eq!(stopped.history(), [Vec::new(), Vec::new()]);
    }

    #[test]
    fn history_ends_at_the_right() {
        let look = Look { colour: true, ascii: false };
        let points = [None, Some(0), Some(12), Some(13), Some(50), Some(99), Some(100)];
        assert_eq!(sparkline(&points, 9, look), "   ▁▁▂▄██");
        assert_eq!(sparkline(&points, 2, look), "██");
        assert_eq!(sparkline(&points, 0, look), "");
        assert_eq!(sparkline(&[], 3, look), "   ");
        assert_eq!(sparkline(&points, 7, Look { ascii: true, ..look }), " ___-##");
    }

    #[test]
    fn sizes_have_few_digits() {
        let sizes = [0, 1023, 1024, 15 * MIB + 900_000, 1023 * MIB, 3 << 29, u64::MAX].map(short);
        assert_eq!(sizes, ["0B", "1023B", "1KiB", "15MiB", "1023MiB", "1.5GiB", "15728640TiB"]);
    }
}
