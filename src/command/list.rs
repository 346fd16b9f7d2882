//! `list`: the containers that the caller may see.

use clap::{Args, ValueEnum};

use super::{
    context::Context,
    failure::{Failure, Kind},
    report::{Part, Report, Table},
    view::Summary,
};
use crate::model::{
    container::{Container, Status},
    inventory::Inventory,
    name::{BackendName, PoolName},
    principal::Role,
};

/// Arguments of `list`.
#[derive(Debug, Clone, Args)]
pub struct ListArgs {
    /// Only containers on this backend
    #[arg(long)]
    pub backend: Option<BackendName>,
    /// Only containers in this pool
    #[arg(long)]
    pub pool: Option<PoolName>,
    /// Only containers in this state, by the last word of their backend
    #[arg(long, value_enum)]
    pub state: Option<StateArg>,
}

/// A state to filter by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum StateArg {
    /// It runs
    Running,
    /// It does not
    Stopped,
    /// Its processes are frozen
    Frozen,
    /// Incus reports an error
    Error,
    /// On its way from one of the others to another
    Changing,
}

const COLUMNS: &[&str] = &["NAME", "OWNER", "STATE", "BACKEND", "ADDRESS", "CPU", "MEMORY", "DISK"];

pub(super) fn run(args: &ListArgs, context: &Context) -> Result<Report, Failure> {
    let inventory = context.snapshot();
    if context.principal.role == Role::Admin {
        check_filters(args, &inventory)?;
    }
    let visible = context.visible(&inventory);
    let wanted = visible.iter().filter(|c| matches(args, c));
    let containers: Vec<Summary> = wanted.map(|c| Summary::new(c, &inventory)).collect();
    let names = containers.iter().map(|c| c.name.clone()).collect();
    let rows = containers.iter().map(|c| row(c, context)).collect();
    let mut report =
        Report::of(&containers)?.names(names).part(Part::Table(Table { columns: COLUMNS, rows }));
    if containers.is_empty() {
        report = report.note("no containers");
    }
    let hidden = inventory.duplicates().len();
    if context.principal.role == Role::Admin && hidden > 0 {
        report = report.note(format!(
            "{hidden} more hidden by another of the same name on an earlier backend, see `status`"
        ));
    }
    Ok(report)
}

/// A filter that can match nothing is a mistake, and worth saying so to those who may know.
fn check_filters(args: &ListArgs, inventory: &Inventory) -> Result<(), Failure> {
    let missing = |what: &str, name: &str| {
        let failure = Failure::new(Kind::NotFound, format!("no {what} named \"{name}\""));
        Err(failure.hint("type `status` to see the backends and their pools"))
    };
    match (&args.backend, &args.pool) {
        (Some(name), _) if inventory.backend(name).is_none() => missing("backend", name.as_str()),
        (_, Some(pool)) if !inventory.backends.iter().any(|b| b.pool == *pool) => {
            missing("pool", pool.as_str())
        }
        _ => Ok(()),
    }
}

fn matches(args: &ListArgs, container: &Container) -> bool {
    args.backend.as_ref().is_none_or(|b| *b == container.backend)
        && args.pool.as_ref().is_none_or(|p| *p == container.pool)
        && args.state.is_none_or(|s| s.status() == container.status)
}

fn row(summary: &Summary, context: &Context) -> Vec<String> {
    let limit = |limit: &Option<String>| limit.clone().unwrap_or_default();
    vec![
        summary.name.clone(),
        summary.owner.clone(),
        summary.state_text(context.now),
        summary.backend.clone(),
        summary.address(),
        limit(&summary.cpu),
        limit(&summary.memory),
        limit(&summary.disk),
    ]
}

impl StateArg {
    fn status(self) -> Status {
        match self {
            Self::Running => Status::Running,
            Self::Stopped => Status::Stopped,
            Self::Frozen => Status::Frozen,
            Self::Error => Status::Error,
            Self::Changing => Status::Changing,
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::command::testing::*;

    #[test]
    fn an_admin_sees_all_with_the_age_of_what_is_not_current() {
        let outcome = execute_line(b"list", &context(admin()));
        let expected = "\
NAME   OWNER  STATE              BACKEND  ADDRESS     CPU  MEMORY  DISK
alice  alice  running            spot-1   10.0.3.100  2    4GiB    50GiB
bob    bob    stopped, held      spot-1   -           -    -       -
carol  carol  running (10m ago)  spot-2   10.0.3.100  -    -       -
";
        assert_eq!(outcome.stdout, expected);
        assert!(outcome.stderr.contains("1 more hidden"), "{}", outcome.stderr);
    }

    #[test]
    fn filters_narrow_and_unknown_ones_are_not_found() {
        for (line, names) in [
            ("list -q --backend spot-2", "carol\n"),
            ("list -q --pool default", "alice\nbob\ncarol\n"),
            ("list -q --state stopped", "bob\n"),
            ("list -q --state frozen", ""),
        ] {
            assert_eq!(execute_line(line.as_bytes(), &context(admin())).stdout, names, "{line}");
        }
        assert_eq!(execute_line(b"list --backend nope", &context(admin())).status, 3);
        assert_eq!(execute_line(b"list --pool nope", &context(admin())).status, 3);
    }

    #[test]
    fn a_member_sees_only_what_her_key_opens() {
        let outcome = execute_line(b"list --json", &context(member("alice")));
        let list: serde_json::Value = serde_json::from_str(&outcome.stdout).unwrap();
        assert_eq!(list.as_array().unwrap().len(), 1);
        assert_eq!(list[0]["name"], "alice");
        assert_eq!(list[0]["addresses"][0], "10.0.3.100");
        let none = execute_line(b"list", &context(member("nobody")));
        assert_eq!((none.stdout.as_str(), none.stderr.as_str()), ("", "note: no containers\n"));
        let quiet = execute_line(b"list --backend spot-2 -q", &context(member("alice")));
        assert_eq!((quiet.stdout.as_str(), quiet.status), ("", 0), "backends are not probed");
    }
}
