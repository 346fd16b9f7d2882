//! `start`, `stop` and `restart NAME`.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use clap::Args;
use serde::Serialize;
use tokio::time::sleep;

use super::{
    context::Context,
    explain,
    failure::{Failure, Kind},
    report::{Part, Report},
    terminal::Terminal,
    work,
};
use crate::{
    fleet::{Fleet, guest::Guest, job::Job},
    incus::{
        Client, IncusError,
        change::{Action, Patch},
    },
    model::{
        container::{Container, LABEL_PREFIX, Status},
        name::ContainerName,
        principal::Whose,
    },
};

/// How long a container may take to start, and to stop when it is asked to.
const PATIENCE: Duration = Duration::from_secs(30);

/// How often, and after which pause, a started container is looked at until it has an address.
const LOOKS: usize = 50;
const LOOK: Duration = Duration::from_millis(100);

/// Whether Incus starts an instance with its host: `true`, `false`, or unset for one that ran before.
const AUTOSTART: &str = "boot.autostart";
/// How a label says that it was not set.
const UNSET: &str = "unset";

/// Arguments of `start`.
#[derive(Debug, Clone, Args)]
pub struct StartArgs {
    /// The container's name
    pub name: ContainerName,
}

/// Arguments of `stop`.
#[derive(Debug, Clone, Args)]
pub struct StopArgs {
    /// The container's name
    pub name: ContainerName,
    /// At once, without asking what runs inside
    #[arg(long)]
    pub force: bool,
    /// A login does not start it again; only `start` does
    #[arg(long)]
    pub hold: bool,
}

/// Arguments of `restart`.
#[derive(Debug, Clone, Args)]
pub struct RestartArgs {
    /// The container's name
    pub name: ContainerName,
    /// At once, without asking what runs inside
    #[arg(long)]
    pub force: bool,
}

#[derive(Serialize)]
struct Changed {
    name: String,
    state: &'static str,
    hold: bool,
}

pub(super) async fn start(
    args: &StartArgs,
    context: &Context,
    terminal: &Terminal,
) -> Result<Report, Failure> {
    let container = context.find(&context.snapshot(), args.name.as_str())?;
    let change = Change { what: "start", hold: false };
    let action = if container.status == Status::Frozen { Action::Unfreeze } else { Action::Start };
    apply(&container, change, action, context, terminal).await?;
    report(&args.name, "running", false)
}

pub(super) async fn stop(
    args: &StopArgs,
    context: &Context,
    terminal: &Terminal,
) -> Result<Report, Failure> {
    let container = context.find(&context.snapshot(), args.name.as_str())?;
    // Only a start lets go of one that is held.
    let hold = args.hold || container.hold;
    let change = Change { what: "stop", hold };
    apply(&container, change, Action::Stop { force: args.force }, context, terminal).await?;
    report(&args.name, "stopped", hold)
}

pub(super) async fn restart(
    args: &RestartArgs,
    context: &Context,
    terminal: &Terminal,
) -> Result<Report, Failure> {
    let container = context.find(&context.snapshot(), args.name.as_str())?;
    let change = Change { what: "restart", hold: false };
    let action = match container.status {
        Status::Stopped => Action::Start,
        Status::Running | Status::Frozen | Status::Error | Status::Changing => {
            Action::Restart { force: args.force || container.status == Status::Frozen }
        }
    };
    apply(&container, change, action, context, terminal).await?;
    report(&args.name, "running", false)
}

/// A change of state, and whether the container is held stopped afterwards.
#[derive(Clone, Copy)]
struct Change {
    what: &'static str,
    hold: bool,
}

async fn apply(
    container: &Arc<Container>,
    change: Change,
    action: Action,
    context: &Context,
    terminal: &Terminal,
) -> Result<(), Failure> {
    let client = context.incus(container)?;
    let name = container.name.clone();
    let task = {
        let (container, fleet) = (Arc::clone(container), context.fleet.clone());
        let end_sessions = Arc::clone(&context.end_sessions);
        move |job: Arc<Job>| async move {
            job.plan(if action.starts() { 2 } else { 1 });
            job.step(&format!("{} {}", change.what, container.name));
            if let Some(sentence) = farewell(&container.name, action) {
                // Otherwise they would notice it when TCP gives up.
                end_sessions(&container.name, &Whose::All, &sentence);
            }
            let done = set_state(&client, &container, change, action, &job).await;
            if done.is_ok() && action.starts() {
                job.step("wait until one can log in");
                wait_for_login(client, &container, &fleet, &job).await;
            }
            // The inventory is to be right when the prompt is back.
            fleet.refresh(&container).await;
            done
        }
    };
    work::run((&name, change.what), context, terminal, task).await
}

/// The work of starting a container for somebody who logs in. What has changed since she looked
/// counts: nothing is done to one that runs, or is held.
pub(super) async fn wake(
    client: Client,
    container: &Arc<Container>,
    fleet: &Fleet,
    job: &Job,
) -> Result<(), Failure> {
    job.plan(2);
    job.step(&format!("start {}, for a login", container.name));
    let now = fleet.refresh(container).await.unwrap_or_else(|| Arc::clone(container));
    if now.status != Status::Stopped || now.hold {
        return Ok(());
    }
    let change = Change { what: "start", hold: false };
    let done = set_state(&client, &now, change, Action::Start, job).await;
    if done.is_ok() {
        job.step("wait until one can log in");
        wait_for_login(client, &now, fleet, job).await;
    }
    fleet.refresh(&now).await;
    done
}

/// Waits for sshd and address of a container that was just started: whoever logs in next is not to
/// be too early. That it takes longer is no failure.
async fn wait_for_login(client: Client, container: &Container, fleet: &Fleet, job: &Job) {
    let listens = Guest::of(client, container).wait_for_sshd(job).await;
    let mut has_address = false;
    for _ in 0..LOOKS {
        has_address = fleet.refresh(container).await.is_some_and(|c| !c.addresses.is_empty());
        if has_address || job.cancelled().is_cancelled() {
            break;
        }
        sleep(LOOK).await;
    }
    match (listens, has_address) {
        (false, _) => job.note("its sshd does not listen yet"),
        (true, false) => job.note("it has no address yet"),
        (true, true) => {}
    }
}

/// What the people on it are told.
fn farewell(name: &ContainerName, action: Action) -> Option<String> {
    match action {
        Action::Start | Action::Unfreeze => None,
        Action::Stop { .. } => Some(format!("{name} is being stopped by an administrator")),
        Action::Restart { .. } => {
            Some(format!("{name} is being restarted; log in again in a moment"))
        }
    }
}

/// The label first where it holds, so that no login starts the container in between; last where it
/// lets go. Where it was in vain, the label is as it was.
async fn set_state(
    client: &Client,
    container: &Container,
    change: Change,
    action: Action,
    job: &Job,
) -> Result<(), Failure> {
    let instance = container.name.instance();
    let what = format!("{} {}", change.what, container.name);
    let failed = |e| explain::incus(&what, &container.backend, &e);
    let set_hold =
        async |hold| client.change(&instance, |seen| Ok(Some(held(&seen.config, hold)))).await;
    let changes = change.hold != container.hold;
    if changes && change.hold {
        set_hold(true).await.map_err(failed)?;
    }
    let acted = client.change_state(&instance, action, PATIENCE);
    let done = match job.cancelled().run_until_cancelled(acted).await {
        Some(done) => done.map_err(failed),
        // Incus goes on with what it was told.
        None => Err(Failure::new(Kind::Interrupted, format!("{what}: interrupted on its way"))),
    };
    match done {
        Ok(()) if changes && !change.hold => set_hold(false).await.map_err(failed),
        Err(failure) if changes && change.hold => {
            let undone: Result<(), IncusError> = set_hold(false).await;
            Err(if undone.is_ok() { failure } else { still_held(failure) })
        }
        done => done,
    }
}

/// What holds a container stopped, and lets go of it: the label, and that Incus does not start it with
/// its host. What `boot.autostart` was is kept in a label of its own.
fn held(config: &BTreeMap<String, String>, hold: bool) -> Patch {
    let [label, kept] = ["hold", "held-autostart"].map(|name| format!("{LABEL_PREFIX}{name}"));
    let of = |key: &str| config.get(key).map_or("", String::as_str);
    let changes = match (hold, of(&kept)) {
        (true, "") if of(AUTOSTART).is_empty() => vec![(label, "true"), (kept, UNSET)],
        (true, "") => vec![(label, "true"), (kept, of(AUTOSTART))],
        // Somebody interrupted a stop that goes on.
        (true, _) => vec![(label, "true")],
        (false, "") => vec![(label, "")],
        (false, UNSET) => vec![(label, ""), (kept, ""), (AUTOSTART.to_owned(), "")],
        (false, before) => vec![(label, ""), (kept, ""), (AUTOSTART.to_owned(), before)],
    };
    let changes = changes.into_iter().chain(hold.then(|| (AUTOSTART.to_owned(), "false")));
    let config = changes.map(|(key, value)| (key, value.to_owned())).collect();
    Patch { config, ..Patch::default() }
}

/// Incus changes nothing on an instance that has been told to stop, however long that takes.
fn still_held(failure: Failure) -> Failure {
    let message = format!("{}; when it stops, it will be held until `start`", failure.message);
    Failure { message, ..failure }
}

/// What it answers, for the reference.
#[cfg(test)]
pub(super) fn example() -> serde_json::Value {
    let held = report(&"bob".parse().expect("a name"), "stopped", true);
    held.expect("plain data").json
}

fn report(name: &ContainerName, state: &'static str, hold: bool) -> Result<Report, Failure> {
    let stays = if hold { ", and stays so until `start`" } else { "" };
    let text = format!("{name} is {state}{stays}");
    let changed = Changed { name: name.to_string(), state, hold };
    Ok(Report::of(changed)?.names(vec![name.to_string()]).part(Part::Text(text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changed(mut config: BTreeMap<String, String>, hold: bool) -> BTreeMap<String, String> {
        config.extend(held(&config, hold).config);
        config.retain(|_, value| !value.is_empty());
        config
    }

    #[test]
    fn what_is_held_does_not_start_with_its_host_and_is_let_go_as_it_was() {
        for before in [&[][..], &[(AUTOSTART, "true")], &[(AUTOSTART, "false")]] {
            let free: BTreeMap<_, _> =
                before.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
            let held = changed(free.clone(), true);
            assert_eq!(held[AUTOSTART], "false");
            assert_eq!(held["user.containarium.hold"], "true");
            assert_eq!(changed(held.clone(), true), held, "twice");
            assert_eq!(changed(held, false), free);
        }
        let by_hand = [("user.containarium.hold".to_owned(), "true".to_owned())].into();
        assert!(changed(by_hand, false).is_empty());
    }
}
