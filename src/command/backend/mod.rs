//! `backend list`, `info`, `add`, `remove`, `drain` and `resume`: the hosts that run Incus.

mod add;
mod info;
mod remove;
#[cfg(test)]
mod tests;
pub(super) mod view;

use std::sync::Arc;

use clap::{Args, Subcommand};
use serde::Serialize;

use self::{
    add::AddArgs,
    remove::RemoveArgs,
    view::{BackendView, COLUMNS},
};
use super::{
    context::Context,
    failure::{Failure, Kind},
    report::{Part, Report, Table},
    terminal::Terminal,
};
use crate::model::{inventory::Backend, name::BackendName};

/// What to do with backends.
#[derive(Debug, Clone, Subcommand)]
pub enum BackendCommand {
    /// List the backends
    List,
    /// Show everything about one backend
    Info(BackendArgs),
    /// Take a host that runs Incus into the configuration
    Add(Box<AddArgs>),
    /// Take a backend out of the configuration; its containers stay there as they are
    Remove(RemoveArgs),
    /// Place nothing new on a backend; logins to its containers go on
    Drain(BackendArgs),
    /// Place new containers on a drained backend again
    Resume(BackendArgs),
}

/// A backend by name.
#[derive(Debug, Clone, Args)]
pub struct BackendArgs {
    /// The backend's name
    pub name: BackendName,
}

impl BackendCommand {
    /// What the ledger says of it; nothing where it changes nothing.
    #[must_use]
    pub fn record(&self) -> Option<String> {
        match self {
            Self::List | Self::Info(_) => None,
            Self::Add(args) => Some(format!("backend add {}", args.name)),
            Self::Remove(args) => Some(format!("backend remove {}", args.name)),
            Self::Drain(args) => Some(format!("backend drain {}", args.name)),
            Self::Resume(args) => Some(format!("backend resume {}", args.name)),
        }
    }

    /// Whether it reads standard input.
    #[must_use]
    pub fn reads_input(&self) -> bool {
        match self {
            Self::Add(args) => args.token.is_some(),
            Self::List | Self::Info(_) | Self::Remove(_) | Self::Drain(_) | Self::Resume(_) => {
                false
            }
        }
    }
}

pub(super) async fn run(
    command: &BackendCommand,
    context: &Context,
    terminal: &mut Terminal,
) -> Result<Report, Failure> {
    match command {
        BackendCommand::List => list(context),
        BackendCommand::Info(args) => info::run(&args.name, context).await,
        BackendCommand::Add(args) => add::run(args, context, terminal).await,
        BackendCommand::Remove(args) => remove::run(args, context).await,
        BackendCommand::Drain(args) => drain(&args.name, true, context).await,
        BackendCommand::Resume(args) => drain(&args.name, false, context).await,
    }
}

fn list(context: &Context) -> Result<Report, Failure> {
    let inventory = context.snapshot();
    let views: Vec<_> = inventory.backends.iter().map(|b| BackendView::new(b, context)).collect();
    let names = views.iter().map(|view| view.name.clone()).collect();
    let rows = views.iter().map(|view| view.row(context.now)).collect();
    Ok(Report::of(&views)?.names(names).part(Part::Table(Table { columns: COLUMNS, rows })))
}

#[derive(Serialize)]
struct Drained<'a> {
    name: &'a str,
    drained: bool,
}

async fn drain(name: &BackendName, drain: bool, context: &Context) -> Result<Report, Failure> {
    find(name, context)?;
    context.fleet.drain(name, drain).await.map_err(|e| {
        Failure::new(Kind::Failed, format!("{e}; nothing was changed"))
            .hint("look at the sentinel's `state_dir`: its disk may be full")
    })?;
    let text = if drain {
        format!("{name} is drained: nothing new is placed there")
    } else {
        format!("{name} takes new containers")
    };
    let drained = Drained { name: name.as_str(), drained: drain };
    Ok(Report::of(drained)?.names(vec![name.to_string()]).part(Part::Text(text)))
}

fn find(name: &BackendName, context: &Context) -> Result<Arc<Backend>, Failure> {
    context.snapshot().backend(name).cloned().ok_or_else(|| {
        Failure::new(Kind::NotFound, format!("no backend named \"{name}\""))
            .hint("type `backend list` to see the backends")
    })
}
