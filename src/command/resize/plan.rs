//! Whether a container can have other limits, and what to change for them. Pure.

use std::{collections::BTreeMap, fmt, str::FromStr};

use crate::{
    command::{
        failure::{Failure, Kind},
        view::size as shown,
    },
    incus::{
        api::{Instance, Resources},
        change::Patch,
        host::Pool,
    },
    model::{cpu::CpuLimit, size::Size},
};

/// Config keys.
pub(super) const CPU: &str = "limits.cpu";
const MEMORY: &str = "limits.memory";

/// Room that must stay on a disk that is made smaller: a tenth of what it holds, for what is written
/// before the limit is in force, and at least 32 MiB, for the file system's own trees.
const SPARE_SHARE: u64 = 10;
const SPARE_LEAST: u64 = 32 * MIB;
const MIB: u64 = 1 << 20;

/// A limit as it is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit<T> {
    /// `none`: as much as the host has.
    None,
    /// So much.
    To(T),
}

/// The limits that are asked for; what is not named stays.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Wanted {
    pub(super) cpu: Option<Limit<CpuLimit>>,
    pub(super) memory: Option<Limit<Size>>,
    pub(super) disk: Option<Limit<Size>>,
    /// Memory below what is used.
    pub(super) force: bool,
}

/// What the container uses, and where it is.
#[derive(Debug, Default)]
pub(super) struct Facts {
    pub(super) backend: String,
    pub(super) host: Resources,
    pub(super) pools: Vec<Pool>,
    /// In bytes, what cannot be given back; `None` when it does not run.
    pub(super) memory_used: Option<u64>,
    /// In bytes, with its image; `None` when it was not measured, as it does not run.
    pub(super) disk_held: Option<u64>,
    /// Incus keeps account of its disk.
    pub(super) disk_counted: bool,
}

/// What to do.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) patch: Patch,
    /// What puts the old limits back.
    pub(super) undo: Patch,
    pub(super) changes: Vec<Change>,
    pub(super) notes: Vec<String>,
}

/// One limit, before and after.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Change {
    pub(super) what: &'static str,
    pub(super) before: Option<String>,
    pub(super) after: Option<String>,
}

/// What to change of `instance`, a container called `name`, for the limits that are wanted.
///
/// # Errors
/// One of them cannot be had; nothing is to be changed then.
pub(super) fn plan(
    name: &str,
    wanted: &Wanted,
    instance: &Instance,
    facts: &Facts,
) -> Result<Plan, Failure> {
    let mut plan = Plan::default();
    if let Some(cpu) = wanted.cpu {
        check_cpu(cpu, facts, &mut plan.notes)?;
        plan.set(CPU, "cpu", cpu, instance);
    }
    if let Some(memory) = wanted.memory {
        check_memory(name, memory, wanted.force, facts, &mut plan.notes)?;
        plan.set(MEMORY, "memory", memory, instance);
    }
    if let Some(disk) = wanted.disk {
        plan.resize_disk(name, disk, instance, facts)?;
    }
    Ok(plan)
}

/// The disk of an instance that is mounted at `/`: the device's name and settings.
pub(super) fn root(instance: &Instance) -> Option<(&String, &BTreeMap<String, String>)> {
    instance.expanded_devices.iter().find(|(_, d)| d.get("path").is_some_and(|path| path == "/"))
}

/// The size of a disk as a device has it.
pub(super) fn size_of(device: &BTreeMap<String, String>) -> Option<Size> {
    device.get("size")?.parse().ok()
}

/// How many processors a limit leaves a container.
pub(super) fn processors(limit: Limit<CpuLimit>, facts: &Facts) -> u64 {
    match limit {
        Limit::None => facts.host.cpu.total,
        Limit::To(CpuLimit::Count(count)) => count.into(),
        Limit::To(CpuLimit::Pinned { first, last }) => u64::from(last - first) + 1,
    }
}

fn check_cpu(
    wanted: Limit<CpuLimit>,
    facts: &Facts,
    notes: &mut Vec<String>,
) -> Result<(), Failure> {
    let Limit::To(limit) = wanted else { return Ok(()) };
    let (needed, there) = (limit.needed(), facts.host.cpu.total);
    if needed > there {
        let last = there.saturating_sub(1);
        let message = match limit {
            CpuLimit::Count(count) => {
                format!("cpu {count}: backend {} has {there} processors", facts.backend)
            }
            CpuLimit::Pinned { .. } => format!(
                "cpu {limit}: a range names processors, and those of backend {} are 0 to {last}",
                facts.backend
            ),
        };
        let hint = "a number is so many of them, whichever are idle: --cpu 1";
        return Err(Failure::new(Kind::Conflict, message).hint(hint));
    }
    if let CpuLimit::Pinned { first, last } = limit {
        notes.push(format!(
            "--cpu {limit} pins it to the processors {first} to {last} ({} of them) and no others; \
             --cpu {} is so many, whichever are idle",
            last - first + 1,
            last - first + 1
        ));
    }
    Ok(())
}

fn check_memory(
    name: &str,
    wanted: Limit<Size>,
    force: bool,
    facts: &Facts,
    notes: &mut Vec<String>,
) -> Result<(), Failure> {
    let Limit::To(limit) = wanted else { return Ok(()) };
    let total = facts.host.memory.total;
    if limit.bytes() > total {
        notes.push(format!("backend {} has only {} of memory", facts.backend, shown(total)));
    }
    match facts.memory_used {
        Some(used) if used > limit.bytes() && !force => {
            let message = format!(
                "memory {limit}: {name} uses {} now, and what does not fit would be killed",
                shown(used)
            );
            let hint = "stop what runs inside, or do it all the same with --force";
            Err(Failure::new(Kind::Conflict, message).hint(hint))
        }
        Some(_) | None => Ok(()),
    }
}

impl Plan {
    fn set<T: fmt::Display>(
        &mut self,
        key: &str,
        what: &'static str,
        wanted: Limit<T>,
        instance: &Instance,
    ) {
        let before = instance.expanded_config.get(key).filter(|v| !v.is_empty()).cloned();
        let after = match wanted {
            Limit::None => None,
            Limit::To(value) => Some(value.to_string()),
        };
        self.patch.config.insert(key.to_owned(), after.clone().unwrap_or_default());
        // That of a profile comes back when its own is gone.
        let own = instance.config.get(key).cloned().unwrap_or_default();
        self.undo.config.insert(key.to_owned(), own);
        self.changes.push(Change { what, before, after });
    }

    fn resize_disk(
        &mut self,
        name: &str,
        wanted: Limit<Size>,
        instance: &Instance,
        facts: &Facts,
    ) -> Result<(), Failure> {
        let Some((device_name, device)) = root(instance) else {
            return Err(Failure::new(Kind::Failed, format!("{name} has no root disk")));
        };
        let before = size_of(device);
        let mut resized = device.clone();
        let after = match wanted {
            Limit::None => {
                resized.remove("size");
                None
            }
            Limit::To(size) => {
                resized.insert("size".to_owned(), size.to_string());
                Some(size)
            }
        };
        if let Some(size) = after {
            let pool = device.get("pool").and_then(|p| facts.pools.iter().find(|f| f.name == *p));
            check_disk(name, (before, size), pool, facts, &mut self.notes)?;
        }
        self.patch.devices.insert(device_name.clone(), resized);
        self.undo.devices.insert(device_name.clone(), device.clone());
        let shown = |size: Option<Size>| size.map(|size| size.to_string());
        self.changes.push(Change { what: "disk", before: shown(before), after: shown(after) });
        Ok(())
    }
}

fn check_disk(
    name: &str,
    (before, size): (Option<Size>, Size),
    pool: Option<&Pool>,
    facts: &Facts,
    notes: &mut Vec<String>,
) -> Result<(), Failure> {
    if let Some(pool) = pool.filter(|pool| pool.driver == "dir" && !facts.disk_counted) {
        notes.push(format!(
            "pool {} of backend {} is a plain directory, which keeps no limits: the size is written \
             down, and that is all",
            pool.name, facts.backend
        ));
        return Ok(());
    }
    let space = pool.and_then(|pool| Some((pool, pool.space?)));
    if let Some((pool, space)) = space.filter(|(_, space)| size.bytes() > space.total) {
        let total = shown(space.total);
        notes.push(format!("pool {} of backend {} has only {total}", pool.name, facts.backend));
    }
    if before.is_some_and(|before| before <= size) {
        return Ok(());
    }
    let Some(held) = facts.disk_held else {
        let message =
            format!("disk {size}: what {name} holds is measured inside, and it is stopped");
        return Err(
            Failure::new(Kind::Conflict, message).hint(format!("type `start {name}` first"))
        );
    };
    let least = held.saturating_add((held / SPARE_SHARE).max(SPARE_LEAST));
    // A number that can be typed as it is shown.
    let least = least.div_ceil(MIB);
    if size.bytes() < least.saturating_mul(MIB) {
        let message = format!(
            "disk {size}: {name} holds {} with its image, and the least that leaves room to work is {least}MiB",
            shown(held)
        );
        let hint =
            "remove files inside first, or choose more: a smaller disk would be full at once";
        return Err(Failure::new(Kind::Conflict, message).hint(hint));
    }
    Ok(())
}

impl<T: FromStr> FromStr for Limit<T> {
    type Err = T::Err;

    fn from_str(text: &str) -> Result<Self, T::Err> {
        if text == "none" { Ok(Self::None) } else { text.parse().map(Self::To) }
    }
}

impl<T: fmt::Display> fmt::Display for Limit<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::To(value) => value.fmt(f),
        }
    }
}
