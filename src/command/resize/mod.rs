//! `resize NAME`: other limits for a container while it runs: all of them, or none.

mod plan;
#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use clap::Args;
use serde::Serialize;

use self::plan::{Change, Facts, Limit, Plan, Wanted, plan, root, size_of};
use super::{
    context::Context,
    explain,
    failure::{Failure, Kind},
    report::{Part, Report},
    terminal::Terminal,
    work,
};
use crate::{
    fleet::{
        guest::{Guest, Script},
        job::Job,
    },
    incus::{Client, IncusError, change::Patch},
    model::{container::Container, cpu::CpuLimit, name::ContainerName, size::Size},
};

/// For counting what the container holds: some million files on a slow disk.
const MEASURE: Duration = Duration::from_secs(180);

/// Status of an instance that runs.
const RUNNING: u16 = 103;

/// How much a limit differs from the one that is meant when it is set twice, in bytes: Incus does
/// not set what it believes to be so already.
const NUDGE: u64 = 4096;

/// Arguments of `resize`.
#[derive(Debug, Clone, Args)]
#[command(
    after_help = "Everything is checked before anything is changed; then all limits change at once, \
    while the container runs. `none` takes a limit away. GB is 1000³ bytes, GiB is 1024³. A disk can \
    be made smaller as long as what it holds, with the image, leaves room. If Incus stopped half-way \
    at a limit, setting it again puts it right."
)]
pub struct ResizeArgs {
    /// The container's name
    pub name: ContainerName,
    /// Processors: 4 is any four of them, 0-3 are these and no others
    #[arg(long, value_name = "N|A-B")]
    pub cpu: Option<Limit<CpuLimit>>,
    /// Memory, for instance 4GB or 512MiB
    #[arg(long, value_name = "SIZE")]
    pub memory: Option<Limit<Size>>,
    /// Disk, for instance 50GB
    #[arg(long, visible_alias = "disk-quota", value_name = "SIZE")]
    pub disk: Option<Limit<Size>>,
    /// Also less memory than is used now: what does not fit is killed
    #[arg(long)]
    pub force: bool,
}

#[derive(Serialize)]
struct Resized {
    name: String,
    backend: String,
    /// By limit; null: none.
    changes: BTreeMap<&'static str, BeforeAfter>,
    notes: Vec<String>,
}

#[derive(Serialize)]
struct BeforeAfter {
    before: Option<String>,
    after: Option<String>,
}

impl ResizeArgs {
    /// What the ledger says of it.
    pub(super) fn record(&self) -> String {
        let Self { name, cpu, memory, disk, force } = self;
        let mut record = format!("resize {name}");
        let limits = [
            ("cpu", cpu.map(|limit| limit.to_string())),
            ("memory", memory.map(|limit| limit.to_string())),
            ("disk", disk.map(|limit| limit.to_string())),
        ];
        for (what, limit) in limits {
            record.extend(limit.map(|limit| format!(" {what} {limit}")));
        }
        record + if *force { " force" } else { "" }
    }
}

pub(super) async fn run(
    args: &ResizeArgs,
    context: &Context,
    terminal: &Terminal,
) -> Result<Report, Failure> {
    let ResizeArgs { cpu, memory, disk, force, .. } = *args;
    if cpu.is_none() && memory.is_none() && disk.is_none() {
        let hint = format!("for instance `resize {} --memory 4GB`", args.name);
        return Err(Failure::new(Kind::Usage, "no limit is given").hint(hint));
    }
    let container = context.find(&context.snapshot(), args.name.as_str())?;
    let client = context.incus(&container)?;
    let task = {
        let (container, fleet) = (Arc::clone(&container), context.fleet.clone());
        move |job: Arc<Job>| async move {
            job.plan(2);
            let resize = Resize { client, container: Arc::clone(&container) };
            let done = resize.run(&Wanted { cpu, memory, disk, force }, &job).await;
            fleet.refresh(&container).await;
            done
        }
    };
    let plan = work::run((&args.name, "resize"), context, terminal, task).await?;
    report(&container, plan)
}

fn report(container: &Container, plan: Plan) -> Result<Report, Failure> {
    let Container { name, backend, .. } = container;
    let text = plan.changes.iter().map(Change::text).collect::<Vec<_>>().join(", ");
    let changes = plan.changes.into_iter();
    let resized = Resized {
        name: name.to_string(),
        backend: backend.to_string(),
        changes: changes
            .map(|Change { what, before, after }| (what, BeforeAfter { before, after }))
            .collect(),
        notes: plan.notes.clone(),
    };
    let report = Report::of(resized)?.names(vec![name.to_string()]);
    let report = report.part(Part::Text(format!("{name}: {text}")));
    Ok(plan.notes.into_iter().fold(report, Report::note))
}

impl Change {
    fn text(&self) -> String {
        let shown = |limit: &Option<String>| limit.clone().unwrap_or_else(|| "no limit".to_owned());
        let (before, after) = (shown(&self.before), shown(&self.after));
        if before == after {
            return format!("{} {after} as before", self.what);
        }
        format!("{} {after} (was {before})", self.what)
    }
}

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

struct Resize {
    client: Client,
    container: Arc<Container>,
}

impl Resize {
    async fn run(&self, wanted: &Wanted, job: &Job) -> Result<Plan, Failure> {
        let name = self.container.name.as_str();
        job.step(&format!("look at what {name} uses"));
        let facts = self.facts(wanted, job).await?;
        if job.cancelled().is_cancelled() {
            return Err(Failure::new(Kind::Interrupted, "interrupted; nothing was changed"));
        }
        job.step(&format!("change the limits of {name}"));
        let mut made = Plan::default();
        let instance = self.container.name.instance();
        let done = self.client.change(&instance, |seen| {
            made = plan(name, wanted, seen, &facts).map_err(Kept::Refused)?;
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
        Ok(made)
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
fn nudged(patch: &Patch) -> Patch {
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
struct Measured {
    /// In bytes, without what can be given back.
    memory_used: Option<u64>,
    /// In bytes, with its image.
    disk_held: Option<u64>,
}

impl Measured {
    fn read(text: &str) -> Self {
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
