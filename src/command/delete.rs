//! `delete NAME`: the container, its files and its snapshots, for good.

use std::{sync::Arc, time::Duration};

use clap::Args;
use serde::Serialize;

use super::{
    context::Context,
    explain,
    failure::{Failure, Kind},
    report::{Part, Report},
    terminal::Terminal,
    work,
};
use crate::{
    fleet::job::Job,
    incus::{Client, change::Action},
    model::{container::Container, container::Status, name::ContainerName, principal::Whose},
};

/// How long a container may take to stop at once, and to be removed: a large one on a slow disk.
const STOP: Duration = Duration::from_secs(30);
const REMOVE: Duration = Duration::from_secs(300);

/// What keeps an instance from being deleted; Incus takes four words for a yes.
const PROTECTION: &str = "security.protection.delete";

/// Arguments of `delete`.
#[derive(Debug, Clone, Args)]
pub struct DeleteArgs {
    /// The container's name
    pub name: ContainerName,
    /// Without asking, and also if it runs
    #[arg(long)]
    pub force: bool,
}

#[derive(Serialize)]
struct Deleted {
    name: String,
    backend: String,
}

pub(super) async fn run(
    args: &DeleteArgs,
    context: &Context,
    terminal: &mut Terminal,
) -> Result<Report, Failure> {
    let container = context.find(&context.snapshot(), args.name.as_str())?;
    let client = context.incus(&container)?;
    if !args.force {
        let running = if container.status == Status::Stopped { "" } else { ", which is running" };
        let question = format!("delete {} of {}{running}?", container.name, container.owner);
        terminal.confirm(&question).await?;
    }
    let task = {
        let (container, fleet) = (Arc::clone(&container), context.fleet.clone());
        let end_sessions = Arc::clone(&context.end_sessions);
        move |job: Arc<Job>| async move {
            check_protection(&client, &container).await?;
            let sentence = format!("{} is being deleted by an administrator", container.name);
            end_sessions(&container.name, &Whose::All, &sentence);
            let done = remove(&client, &container, &job).await;
            fleet.refresh(&container).await;
            done
        }
    };
    work::run((&args.name, "delete"), context, terminal, task).await?;
    let Container { name, backend, .. } = &*container;
    let deleted = Deleted { name: name.to_string(), backend: backend.to_string() };
    let text = Part::Text(format!("{name} is deleted"));
    Ok(Report::of(deleted)?.names(vec![name.to_string()]).part(text))
}

/// What it answers, for the reference.
#[cfg(test)]
pub(super) fn example() -> serde_json::Value {
    let deleted = Deleted { name: "bob".to_owned(), backend: "spot-1".to_owned() };
    serde_json::to_value(deleted).expect("plain data")
}

/// Incus would refuse only after it was stopped.
async fn check_protection(client: &Client, container: &Container) -> Result<(), Failure> {
    let what = format!("delete {}", container.name);
    let failed = |e| explain::incus(&what, &container.backend, &e);
    let seen = client.instance(&container.name.instance()).await.map_err(failed)?;
    match seen.expanded_config.get(PROTECTION).map(String::as_str) {
        Some("true" | "1" | "yes" | "on") => Err(explain::protected(&what)),
        Some(_) | None => Ok(()),
    }
}

async fn remove(client: &Client, container: &Container, job: &Job) -> Result<(), Failure> {
    let instance = container.name.instance();
    let what = format!("delete {}", container.name);
    let failed = |e| explain::incus(&what, &container.backend, &e);
    job.plan(2);
    job.step(&format!("stop {}", container.name));
    client.change_state(&instance, Action::Stop { force: true }, STOP).await.map_err(failed)?;
    if job.cancelled().is_cancelled() {
        let message = format!("delete {}: interrupted; it is stopped, and whole", container.name);
        return Err(Failure::new(Kind::Interrupted, message));
    }
    job.step(&format!("remove {} from {}", container.name, container.backend));
    client.delete_instance(&instance, REMOVE).await.map_err(failed)
}
