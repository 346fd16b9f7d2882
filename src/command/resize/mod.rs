//! `resize NAME`: other limits for a container while it runs: all of them, or none.

mod apply;
mod plan;
#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, sync::Arc};

use clap::Args;
use serde::Serialize;

use self::{
    apply::Resize,
    plan::{Change, Limit, Plan, Wanted},
};
use super::{
    context::Context,
    failure::{Failure, Kind},
    report::{Part, Report},
    terminal::Terminal,
    work,
};
use crate::{
    fleet::job::Job,
    model::{container::Container, cpu::CpuLimit, name::ContainerName, size::Size},
};

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

/// What `--json` prints, for the reference.
#[cfg(test)]
pub(super) fn example() -> serde_json::Value {
    tests::reported()
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
