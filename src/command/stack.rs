//! `stack list` and `stack install NAME STACK`: software for containers.

use std::sync::Arc;

use clap::{Args, Subcommand};
use serde::Serialize;

use super::{
    context::Context,
    explain,
    failure::{Failure, Kind},
    report::{Part, Report, Table},
    terminal::Terminal,
    work,
};
use crate::{
    config::{NoStack, Problem, Stacks},
    fleet::{
        guest::Guest,
        job::Job,
        stack::{Installed, install},
    },
    model::{
        name::{BackendName, ContainerName, StackName},
        stack::{Family, Stack},
    },
};

/// What to do with stacks.
#[derive(Debug, Clone, Subcommand)]
pub enum StackCommand {
    /// List the stacks that can be installed
    List,
    /// Install a stack into a running container; a second time changes nothing
    Install(InstallArgs),
}

/// Arguments of `stack install`.
#[derive(Debug, Clone, Args)]
#[command(
    after_help = "Ctrl-C stops it; what was installed by then stays, and installing it again goes on \
    from there. What it writes is kept: see `logs NAME`."
)]
pub struct InstallArgs {
    /// The container's name
    pub name: ContainerName,
    /// The stack, as `stack list` names it
    pub stack: StackName,
}

/// A stack as scripts see it.
#[derive(Serialize)]
struct StackView {
    name: String,
    title: String,
    description: String,
    families: Vec<Family>,
    /// Its file; null for one that is built in.
    file: Option<String>,
}

#[derive(Serialize)]
struct Done {
    name: String,
    stack: String,
    /// False: it was there already.
    changed: bool,
}

pub(super) async fn run(
    command: &StackCommand,
    context: &Context,
    terminal: &Terminal,
) -> Result<Report, Failure> {
    match command {
        StackCommand::List => list(&context.stacks()),
        StackCommand::Install(args) => install_into(args, context, terminal).await,
    }
}

/// The stack that somebody named.
///
/// # Errors
/// There is none, or its file is broken.
pub(super) fn named(stacks: &Stacks, name: &StackName) -> Result<Arc<Stack>, Failure> {
    stacks.find(name).map_err(|no| match no {
        NoStack::Unknown => Failure::new(Kind::NotFound, format!("no stack named \"{name}\""))
            .hint("type `stack list` to see the stacks"),
        NoStack::Broken(problem) => broken(&problem, 1),
    })
}

/// What people are told when a stack could not be installed: `what` is a fragment such as
/// `install nodejs in alice`.
pub(super) fn explained(
    what: &str,
    (container, backend): (&ContainerName, &BackendName),
    error: &crate::fleet::stack::StackError,
) -> Failure {
    use crate::fleet::{guest::GuestError, stack::StackError};
    let logs = format!("the whole output is in `logs {container}`");
    let failed = |kind| Failure::new(kind, format!("{what}: {error}"));
    match error {
        StackError::Guest(GuestError::Incus(error)) | StackError::Label(error) => {
            explain::incus(what, backend, error)
        }
        StackError::Guest(GuestError::Cancelled(_)) => failed(Kind::Interrupted),
        StackError::Full(_) => failed(Kind::Failed).hint(format!(
            "remove files inside, or give it more: `resize {container} --disk SIZE`"
        )),
        StackError::Guest(GuestError::Failed { .. } | GuestError::Timeout { .. })
        | StackError::Unproven(_) => failed(Kind::Failed).hint(logs),
        StackError::Family(_) | StackError::NoScript { .. } => {
            failed(Kind::Conflict).hint("type `stack list` to see what can be installed where")
        }
    }
}

fn list(stacks: &Stacks) -> Result<Report, Failure> {
    if let Some(problem) = stacks.problems().first() {
        return Err(broken(problem, stacks.problems().len()));
    }
    let views: Vec<_> = stacks.iter().map(|stack| StackView::new(stack)).collect();
    let names = views.iter().map(|view| view.name.clone()).collect();
    let rows = views.iter().map(StackView::row).collect();
    let columns = &["NAME", "INSTALLS", "FOR", "FROM"];
    Ok(Report::of(&views)?.names(names).part(Part::Table(Table { columns, rows })))
}

/// A file of a stack that cannot be used is a mistake that somebody should mend now.
fn broken(problem: &Problem, count: usize) -> Failure {
    let text = problem.to_string();
    let (message, hints) = text.split_once('\n').unwrap_or((&text, ""));
    let more = if count > 1 { format!(" (and {} more)", count - 1) } else { String::new() };
    let hint = match hints.lines().next().and_then(|line| line.trim().strip_prefix("hint: ")) {
        Some(hint) => hint.to_owned(),
        None => "`containarium config check` tells all that is wrong".to_owned(),
    };
    Failure::new(Kind::BadConfiguration, format!("{message}{more}")).hint(hint)
}

async fn install_into(
    args: &InstallArgs,
    context: &Context,
    terminal: &Terminal,
) -> Result<Report, Failure> {
    let container = context.find(&context.snapshot(), args.name.as_str())?;
    let stack = named(&context.stacks(), &args.stack)?;
    let guest = Guest::of(context.incus(&container)?, &container);
    let what = format!("install {} in {}", stack.name, args.name);
    let task = {
        let (container, stack) = (Arc::clone(&container), Arc::clone(&stack));
        let fleet = context.fleet.clone();
        move |job: Arc<Job>| async move {
            job.plan(1);
            let done = install(&guest, &container.owner, &stack, &job).await;
            fleet.refresh(&container).await;
            let place = (&container.name, &container.backend);
            done.map_err(|error| explained(&what, place, &error))
        }
    };
    let installed = work::run((&args.name, "stack"), context, terminal, task).await?;
    let (changed, text) = match installed {
        Installed::Now => (true, format!("{} is installed in {}", stack.name, args.name)),
        Installed::Already => {
            (false, format!("{} was installed in {} already", stack.name, args.name))
        }
    };
    let done = Done { name: args.name.to_string(), stack: stack.name.to_string(), changed };
    Ok(Report::of(done)?.names(vec![stack.name.to_string()]).part(Part::Text(text)))
}

impl StackView {
    fn new(stack: &Stack) -> Self {
        Self {
            name: stack.name.to_string(),
            title: stack.title.clone(),
            description: stack.description.clone(),
            families: stack.families().collect(),
            file: stack.file.clone(),
        }
    }

    fn row(&self) -> Vec<String> {
        let families: Vec<_> = self.families.iter().map(|family| family.as_str()).collect();
        let from = self.file.clone().unwrap_or_else(|| "built in".to_owned());
        vec![self.name.clone(), self.description.clone(), families.join(" "), from]
    }
}

/// What `stack install --json` prints, for the reference.
#[cfg(test)]
pub(super) fn example() -> serde_json::Value {
    let done = Done { name: "alice".to_owned(), stack: "rust".to_owned(), changed: true };
    serde_json::to_value(done).unwrap()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::command::testing::*;

    /// A context whose administrator has these files of stacks.
    fn with(files: &[(&str, &str)]) -> (tempfile::TempDir, Context) {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            fs::write(folder.path().join(name), text).unwrap();
        }
        let mut context = context(admin());
        let mut config = crate::config::Config::clone(&context.config.borrow());
        folder.path().clone_into(&mut config.stacks);
        let mut environment = crate::command::context::Environment::clone(&context.environment);
        environment.config = tokio::sync::watch::channel(Arc::new(config)).1;
        context.environment = Arc::new(environment);
        (folder, context)
    }

    const OWN: &str = "title = 'Own'\ndescription = 'our tools'\ncheck = 'own --version'\n\
                       [script]\nalpine = 'apk add own'\n";

    #[test]
    fn an_administrators_own_stacks_stand_beside_those_built_in_and_in_their_place() {
        let (_folder, context) = with(&[("own.toml", OWN), ("rust.toml", OWN), ("readme.md", "x")]);
        let list = execute_line(b"stack list --json", &context);
        let list: serde_json::Value = serde_json::from_str(&list.stdout).unwrap();
        let list = list.as_array().unwrap();
        assert_eq!(list.len(), 13);
        let find = |name: &str| list.iter().find(|s| s["name"] == name).unwrap();
        assert_eq!(find("own")["families"], serde_json::json!(["alpine"]));
        assert_eq!(find("rust")["title"], "Own");
        assert!(find("rust")["file"].as_str().unwrap().ends_with("/rust.toml"));
        assert_eq!(find("golang")["file"], serde_json::Value::Null);
    }

    #[test]
    fn a_broken_file_is_told_with_its_line_and_shuts_no_other() {
        for (text, place, says) in [
            ("title = 'x'\ntitel = 'y'\n", "own.toml:", "missing"),
            ("title = 'x'\n  = 'y'\n", "own.toml:2:", ""),
            (&OWN.replace("alpine", "alpin"), "own.toml:", "no script for any family"),
            (&OWN.replace("apk add own", "  "), "own.toml:5:10: script.alpine:", "empty"),
            (
                &OWN.replace("Own", "O\\u001b[2Jn").replace("'O", "\"O").replace("n'\nd", "n\"\nd"),
                "own.toml:1:9: title:",
                "control characters",
            ),
        ] {
            let (_folder, context) = with(&[("own.toml", text)]);
            for line in [&b"stack list"[..], b"stack install alice own"] {
                let outcome = execute_line(line, &context);
                assert_eq!((outcome.status, outcome.stdout.as_str()), (78, ""), "{outcome:?}");
                assert!(outcome.stderr.contains(place), "{place}: {}", outcome.stderr);
                assert!(outcome.stderr.contains(says), "{says}: {}", outcome.stderr);
                assert!(!outcome.stderr.contains('\x1b'), "{}", outcome.stderr);
            }
            // That of the backend, which is behind that of the stack.
            let other = execute_line(b"stack install alice rust", &context);
            assert_eq!(other.status, 69, "{other:?}");
        }
        let (_folder, context) = with(&[("Bad Name.toml", OWN)]);
        assert_eq!(execute_line(b"stack list", &context).status, 78);
    }

    #[test]
    fn what_is_not_there_is_not_found() {
        let (_folder, context) = with(&[]);
        assert_eq!(execute_line(b"stack install alice nope", &context).status, 3);
        assert_eq!(execute_line(b"stack install alice ../x", &context).status, 2);
        assert_eq!(execute_line(b"stack install nobody rust", &context).status, 3);
        assert_eq!(execute_line(b"stack", &context).status, 2);
    }
}
