//! Measuring a container, changing its limits, and putting them back when Incus fails.

use std::{sync::Arc, time::Duration};

use tokio::time::sleep;

use super::plan::{CPU, Facts, Limit, Plan, Wanted, plan, processors, root, size_of};
use crate::{
    command::{
        explain,
        failure::{Failure, Kind},
    },
    fleet::{
        guest::{Guest, Script},
        job::Job,
    },
    incus::{Client, IncusError, change::Patch},
    model::{container::Container, cpu::CpuLimit},
};

/// For counting what the container holds: some million files on a slow disk.
const MEASURE: Duration = Duration::from_secs(180);

/// Status of an instance that runs.
pub(super) const RUNNING: u16 = 103;

/// How much a limit differs from the one that is meant when it is set twice, in bytes: Incus does
/// not set what it believes to be so already.
const NUDGE: u64 = 4096;

/// Incus spreads the processors after it has answered, and sometimes by the limits from before: so
/// many looks, with such a pause, and it is told again between them.
const LOOKS: usize = 8;
const PAUSE: Duration = Duration::from_millis(250);
const LOOK: Duration = Duration::from_secs(5);

/// Why a container keeps its limits.
enum Kept {
    Refused(Failure),
    Incus(IncusError),
}

impl From<IncusError> for Kept {
    fn from(error: IncusError) -> Self {
        Self::Incus(error)
    }
}

/// One container and its Incus.
pub(super) struct Resize {
    pub(super) client: Client,
    pub(super) container: Arc<Container>,
}

impl Resize {
    /// Checks everything, then changes it.
    pub(super) async fn run(&self, wanted: &Wanted, job: &Job) -> Result<Plan, Failure> {
        let name = self.container.name.as_str();
        job.step(&format!("look at what {name} uses"));
        let facts = self.facts(wanted, job).await?;
        if job.cancelled().is_cancelled() {
            return Err(Failure::new(Kind::Interrupted, "interrupted; nothing was changed"));
        }
        let (mut made, mut announced) = (Plan::default(), false);
        let instance = self.container.name.instance();
        let done = self.client.change(&instance, |seen| {
            made = plan(name, wanted, seen, &facts).map_err(Kept::Refused)?;
            // Only now it is sure that there will be a change; another admin may have us plan anew.
            if !std::mem::replace(&mut announced, true) {
                job.step(&format!("change the limits of {name}"));
            }
            Ok(Some(made.patch.clone()))
        });
        match done.await {
            Ok(()) => {}
            Err(Kept::Refused(failure)) => return Err(failure),
            Err(Kept::Incus(error)) => return Err(self.put_back(&made, &error).await),
        }
        if made.changes.iter().any(|c| c.what == "disk" && c.before == c.after) {
            // What a change that stopped half-way left is not what Incus believes.
            self.set_again(&made.patch).await.map_err(|e| self.explained(&e))?;
        }
        if let (Some(cpu), Some(_)) = (wanted.cpu, facts.memory_used) {
            made.notes.extend(self.settle(cpu, &facts, &made, job).await);
        }
        Ok(made)
    }

    /// Waits until the container has its processors; a remark if that does not come.
    async fn settle(
        &self,
        cpu: Limit<CpuLimit>,
        facts: &Facts,
        made: &Plan,
        job: &Job,
    ) -> Option<String> {
        let guest = Guest::of(self.client.clone(), &self.container);
        let expected = processors(cpu, facts);
        let instance = self.container.name.instance();
        let cpu_of = |patch: &Patch| {
            let mut only = Patch::default();
            only.config
                .extend(patch.config.get_key_value(CPU).map(|(k, v)| (k.clone(), v.clone())));
            only
        };
        for look in 0..LOOKS {
            let script = Script {
                what: "counting processors",
                text: "nproc",
                arguments: &[],
                input: b"",
                limit: LOOK,
            };
            // Who cannot be asked is believed.
            let seen = guest.run(script, job).await.ok()?.trim().parse::<u64>().ok()?;
            if seen == expected {
                return None;
            }
            // A change of nothing else is quick enough for Incus to see it.
            if look % 2 == 1 {
                for patch in [cpu_of(&made.undo), cpu_of(&made.patch)] {
                    if let Err(error) = self.client.patch(&instance, &patch).await {
                        return Some(self.explained(&error).message);
                    }
                }
            }
            sleep(PAUSE).await;
        }
        let name = &self.container.name;
        Some(format!("Incus has not given {name} its processors yet; `restart {name}` makes it"))
    }

    fn explained(&self, error: &IncusError) -> Failure {
        explain::incus(&format!("resize {}", self.container.name), &self.container.backend, error)
    }

    async fn facts(&self, wanted: &Wanted, job: &Job) -> Result<Facts, Failure> {
        let failed = |e: IncusError| self.explained(&e);
        let instance =
            self.client.instance(&self.container.name.instance()).await.map_err(failed)?;
        let host = self.client.resources().await.map_err(failed)?;
        let pools = match wanted.disk {
            Some(_) => self.client.pools().await.map_err(failed)?,
            None => Vec::new(),
        };
        let state = instance.state.clone().unwrap_or_default();
        let disk = root(&instance).and_then(|(device, _)| state.disk.get(device).copied());
        let mut facts = Facts {
            backend: self.container.backend.to_string(),
            host,
            pools,
            disk_counted: disk.is_some(),
            ..Facts::default()
        };
        if instance.status_code != RUNNING {
            return Ok(facts);
        }
        let before = root(&instance).and_then(|(_, device)| size_of(device));
        // Counting every file is only for a disk that gets smaller.
        let smaller = match wanted.disk {
            Some(Limit::To(size)) => before.is_none_or(|before| size < before),
            Some(Limit::None) | None => false,
        };
        let measured = self.measure(smaller, job).await?;
        let bytes = |n: i64| u64::try_from(n).unwrap_or(0);
        let counted = bytes(state.memory.usage);
        facts.memory_used = Some(measured.memory_used.map_or(counted, |used| used.min(counted)));
        facts.disk_held =
            measured.disk_held.map(|held| held.max(disk.map_or(0, |disk| bytes(disk.usage))));
        Ok(facts)
    }

    async fn measure(&self, disk: bool, job: &Job) -> Result<Measured, Failure> {
        let guest = Guest::of(self.client.clone(), &self.container);
        let script = Script {
            what: "measuring what it uses",
            text: include_str!("measure.sh"),
            arguments: &[if disk { "disk" } else { "" }],
            input: b"",
            limit: MEASURE,
        };
        let what = format!("resize {}", self.container.name);
        let answer = guest.run(script, job).await;
        answer
            .map(|text| Measured::read(&text))
            .map_err(|e| explain::guest(&what, &self.container.backend, &e))
    }

    /// Incus refused; some of it may be done all the same (a btrfs quota below what is used, for
    /// instance). What is said tells how it is now.
    async fn put_back(&self, made: &Plan, error: &IncusError) -> Failure {
        let failure = self.explained(error);
        if error.is_unavailable() {
            return failure.hint("type `info` to see which limits it has now");
        }
        let undone = self.set_again(&made.undo).await;
        let Err(why) = undone else {
            let message = format!("{}; it has its old limits", failure.message);
            return Failure { message, ..failure };
        };
        let name = &self.container.name;
        if made.undo.devices.is_empty() {
            let message =
                format!("{}; the old limits could not be put back ({why})", failure.message);
            return Failure { message, ..failure };
        }
        let old = made.changes.iter().find(|c| c.what == "disk").and_then(|c| c.before.as_deref());
        let message = format!(
            "resize {name}: Incus set the new limit of the disk, which is below what it holds, and \
             cannot put the old one back ({why}): nothing can be written inside now"
        );
        let hint = format!(
            "remove files inside, then type `resize {name} --disk {}`",
            old.unwrap_or("none")
        );
        Failure::new(Kind::Failed, message).hint(hint)
    }

    /// Sets limits of which Incus may believe that they are set.
    async fn set_again(&self, patch: &Patch) -> Result<(), IncusError> {
        let instance = self.container.name.instance();
        if !patch.devices.is_empty() {
            self.client.patch(&instance, &nudged(patch)).await?;
        }
        self.client.patch(&instance, patch).await
    }
}

/// The same with disks that are a little larger.
pub(super) fn nudged(patch: &Patch) -> Patch {
    let mut nudged = patch.clone();
    for device in nudged.devices.values_mut() {
        // Where there is no limit, one of a PiB is none either.
        let bytes = size_of(device).map_or(1 << 50, |size| size.bytes().saturating_add(NUDGE));
        device.insert("size".to_owned(), format!("{bytes}B"));
    }
    nudged
}

/// What a container says about itself.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Measured {
    /// In bytes, without what can be given back.
    pub(super) memory_used: Option<u64>,
    /// In bytes, with its image.
    pub(super) disk_held: Option<u64>,
}

impl Measured {
    pub(super) fn read(text: &str) -> Self {
        let mut measured = Self::default();
        for line in text.lines() {
            let mut words = line.split(' ');
            let what = words.next().unwrap_or_default();
            let mut kib = || words.next()?.parse::<u64>().ok()?.checked_mul(1024);
            match (what, kib(), kib()) {
                ("memory", Some(total), Some(available)) if total > 0 => {
                    measured.memory_used = Some(total.saturating_sub(available));
                }
                ("disk", Some(held), Some(deleted)) if held > 0 => {
                    measured.disk_held = Some(held.saturating_add(deleted));
                }
                _ => {}
            }
        }
        measured
    }
}
