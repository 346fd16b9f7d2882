//! `info NAME`: everything about one container.

use clap::Args;
use serde::Serialize;

use super::{
    context::Context,
    failure::Failure,
    live::{self, Live},
    report::{Field, Part, Report},
    view::{self, KeyView, Summary},
};
use crate::model::{
    authorized_keys::AuthorizedKey,
    container::{Collaborator, Container},
};

/// Arguments of `info`.
#[derive(Debug, Clone, Args)]
pub struct InfoArgs {
    /// The container's name
    pub name: String,
}

#[derive(Serialize)]
struct Details {
    #[serde(flatten)]
    summary: Summary,
    /// What it does now; null when its backend does not answer.
    live: Option<Live>,
    keys: Vec<KeyView>,
    collaborators: Vec<CollaboratorView>,
    host_keys: Vec<KeyView>,
    image: Option<String>,
    stacks: Option<String>,
    created_by: Option<String>,
    created_at: Option<String>,
    problems: Vec<String>,
}

#[derive(Serialize)]
struct CollaboratorView {
    login: String,
    sudo: bool,
    container_runtime: bool,
    keys: Vec<KeyView>,
}

pub(super) async fn run(args: &InfoArgs, context: &Context) -> Result<Report, Failure> {
    let container = context.find(&context.snapshot(), &args.name)?;
    let (container, live) = live::look(container, context).await;
    let (live, note) = match live {
        Ok(live) => (Some(live), None),
        Err(reason) => (None, Some(format!("{reason}; this is what was seen last"))),
    };
    let mut summary = Summary::new(&container, &context.snapshot());
    // A backend that does not answer is told as such before it is known to be away.
    summary.current &= live.is_some();
    let details = Details::new(&container, summary, live);
    let fields = details.fields(context);
    let names = vec![details.summary.name.clone()];
    let report = Report::of(details)?.names(names).part(Part::Fields(fields));
    Ok(note.into_iter().fold(report, Report::note))
}

impl Details {
    fn new(container: &Container, summary: Summary, live: Option<Live>) -> Self {
        let label = |key: &str| container.label(key).map(str::to_owned);
        let mut problems = container.problems.clone();
        if container.host_keys.is_empty() {
            problems.push("no host key is pinned, so nobody can be let in".to_owned());
        }
        Self {
            summary,
            live,
            keys: views(&container.keys),
            collaborators: container.collaborators.iter().map(CollaboratorView::new).collect(),
            host_keys: container.host_keys.iter().map(KeyView::new).collect(),
            image: container.config.get("image.description").cloned(),
            stacks: label("stacks"),
            created_by: label("created-by"),
            created_at: label("created-at"),
            problems,
        }
    }

    fn fields(&self, context: &Context) -> Vec<Field> {
        let summary = &self.summary;
        let optional =
            |label, value: &Option<String>| Field::many(label, value.iter().cloned().collect());
        let live = |show: &dyn Fn(&Live) -> Option<String>| self.live.as_ref().and_then(show);
        let keys = |keys: &[KeyView]| keys.iter().map(KeyView::text).collect();
        vec![
            Field::one("Name", &summary.name),
            Field::one("Owner", &summary.owner),
            Field::one("State", summary.state_text(context.now)),
            Field::one("Backend", format!("{} (pool {})", summary.backend, summary.pool)),
            Field::many("Address", summary.addresses.iter().map(ToString::to_string).collect()),
            optional("Uptime", &live(&|l| l.uptime_seconds.map(view::span))),
            optional(
                "CPU",
                &live(&|l| Some(l.cpu(summary.cpu.as_deref()))).or(summary.cpu.clone()),
            ),
            optional("Memory", &live(&|l| Some(l.memory())).or(summary.memory.clone())),
            optional("Disk", &live(&Live::disk).or(summary.disk.clone())),
            optional("Processes", &live(&|l| Some(l.processes.to_string()))),
            optional("Auto-start", &live(&|l| Some(l.autostart().to_owned()))),
            optional("Image", &self.image),
            optional("Stacks", &self.stacks),
            optional("Created by", &self.created_by),
            optional("Created at", &self.created_at),
            Field::many("Keys", keys(&self.keys)),
            Field::many(
                "Collaborators",
                self.collaborators.iter().flat_map(CollaboratorView::lines).collect(),
            ),
            Field::many("Host keys", keys(&self.host_keys)),
            Field::many("Problems", self.problems.clone()),
        ]
    }
}

impl CollaboratorView {
    fn new(collaborator: &Collaborator) -> Self {
        Self {
            login: collaborator.login.to_string(),
            sudo: collaborator.sudo,
            container_runtime: collaborator.container_runtime,
            keys: views(&collaborator.keys),
        }
    }

    fn lines(&self) -> Vec<String> {
        let rights = [(self.sudo, "sudo"), (self.container_runtime, "container runtime")];
        let rights: Vec<&str> = rights.iter().filter(|(has, _)| *has).map(|(_, r)| *r).collect();
        let head = match rights.as_slice() {
            [] => self.login.clone(),
            rights => format!("{} ({})", self.login, rights.join(", ")),
        };
        std::iter::once(head).chain(self.keys.iter().map(|k| format!("  {}", k.text()))).collect()
    }
}

fn views(keys: &[AuthorizedKey]) -> Vec<KeyView> {
    keys.iter().map(|k| KeyView::new(&k.key)).collect()
}

/// What `--json` prints of alice, for the reference.
#[cfg(test)]
pub(super) fn example(context: &Context) -> serde_json::Value {
    let inventory = context.snapshot();
    let container = context.find(&inventory, "alice").unwrap();
    let details =
        Details::new(&container, Summary::new(&container, &inventory), Some(live::example()));
    serde_json::to_value(details).unwrap()
}

#[cfg(test)]
mod tests {
    use crate::command::testing::*;

    #[test]
    fn everything_about_one_container_is_shown() {
        let outcome = execute_line(b"info alice", &context(admin()));
        let expected = "\
Name:           alice
Owner:          alice
State:          running (1m ago)
Backend:        spot-1 (pool default)
Address:        10.0.3.100
                fd00::100
CPU:            2
Memory:         4GiB
Disk:           50GiB
";
        assert!(outcome.stdout.starts_with(expected), "{}", outcome.stdout);
        for part in
            ["alice@laptop", "\nCollaborators:  dave (sudo)\n", "dave@desk", "\nHost keys:  "]
        {
            assert!(outcome.stdout.contains(part), "{part}: {}", outcome.stdout);
        }
        let bob = execute_line(b"info bob", &context(admin()));
        assert!(bob.stdout.contains("no host key is pinned"), "{}", bob.stdout);
        let json = execute_line(b"info alice --json", &context(admin()));
        let json: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
        assert_eq!(json["collaborators"][0]["login"], "dave");
        assert_eq!(json["keys"][0]["comment"], "alice@laptop");
    }

    #[test]
    fn unknown_and_not_permitted_look_the_same() {
        let member = context(member("alice"));
        let theirs = execute_line(b"info bob", &member);
        let unknown = execute_line(b"info nob", &member);
        assert_eq!(theirs.status, 3);
        assert_eq!(theirs.stderr.replace("bob", "nob"), unknown.stderr);
        assert_eq!(execute_line(b"info alice", &member).status, 0);
    }
}
