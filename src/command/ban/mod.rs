//! `ban list|add|remove|why`: who is kept out, and why.

mod view;
mod whom;

use std::net::IpAddr;

use clap::{Args, Subcommand};
use serde::Serialize;

use self::{
    view::{AccountView, BanView, COLUMNS},
    whom::{Length, Whom},
};
use super::{
    context::Context,
    failure::{Failure, Kind},
    report::{Part, Report, Table},
    terminal::Terminal,
};
use crate::{
    guard::book::{Entry, Full, Id},
    model::{source::Network, text::printable},
};

pub(super) use self::view::summary;

/// Arguments of `ban`.
#[derive(Debug, Clone, Args)]
pub struct BanArgs {
    #[command(subcommand)]
    command: BanCommand,
}

#[derive(Debug, Clone, Subcommand)]
enum BanCommand {
    /// List the bans that hold
    List,
    /// Keep an address or a network out, until it is removed
    ///
    /// What is open stays open. Whoever proves a registered key gets in all the same, a few times
    /// a second.
    Add(AddArgs),
    /// Lift a ban, and forget what was counted
    Remove(RemoveArgs),
    /// Show what is known of an address
    Why(WhyArgs),
}

#[derive(Debug, Clone, Args)]
struct AddArgs {
    /// An address or a network; an IPv6 address means its /64
    #[arg(value_name = "ADDRESS")]
    network: Network,
    /// For how long: 30m, 2h, 7d
    #[arg(long = "for", value_name = "TIME")]
    length: Option<Length>,
    /// Also one's own address, and those of guard.allow
    #[arg(long)]
    force: bool,
}

#[derive(Debug, Clone, Args)]
struct RemoveArgs {
    /// An address, a network with all that is in it, or a ban's id
    #[arg(value_name = "ADDRESS|ID")]
    whom: Whom,
}

#[derive(Debug, Clone, Args)]
struct WhyArgs {
    /// An address, or a ban's id
    #[arg(value_name = "ADDRESS|ID")]
    whom: Whom,
}

impl BanArgs {
    /// What the ledger says.
    pub(super) fn record(&self) -> Option<String> {
        match &self.command {
            BanCommand::Add(args) => Some(match args.length {
                Some(length) => {
                    format!("ban add {} --for {}s", wide(args.network), length.seconds())
                }
                None => format!("ban add {}", wide(args.network)),
            }),
            BanCommand::Remove(args) => Some(match args.whom {
                Whom::Network(network) => format!("ban remove {}", wide(network)),
                Whom::Id(id) => format!("ban remove {id}"),
            }),
            BanCommand::List | BanCommand::Why(_) => None,
        }
    }

    /// Whether standard input is read: the question whether it is meant.
    pub(super) fn reads_input(&self, terminal: &Terminal) -> bool {
        match &self.command {
            BanCommand::Add(args) => !args.force && terminal.pty().is_some(),
            BanCommand::List | BanCommand::Remove(_) | BanCommand::Why(_) => false,
        }
    }
}

pub(super) async fn run(
    args: &BanArgs,
    context: &Context,
    terminal: &mut Terminal,
) -> Result<Report, Failure> {
    match &args.command {
        BanCommand::List => list(context),
        BanCommand::Add(args) => add(args, context, terminal).await,
        BanCommand::Remove(args) => remove(&args.whom, context).await,
        BanCommand::Why(args) => why(&args.whom, context),
    }
}

fn list(context: &Context) -> Result<Report, Failure> {
    let views: Vec<_> =
        context.guard.entries().iter().map(|e| BanView::new(e, context.now)).collect();
    let names = views.iter().map(|view| view.source.clone()).collect();
    let rows = views.iter().map(|view| view.row(context.now)).collect();
    let report = Report::of(&views)?.names(names);
    if views.is_empty() {
        return Ok(report.note("nobody is banned"));
    }
    Ok(report.part(Part::Table(Table { columns: COLUMNS, rows })))
}

#[derive(Serialize)]
struct Added {
    ban: BanView,
    /// Addresses in it that `guard.allow` lets in all the same.
    allowed: Vec<String>,
}

async fn add(
    args: &AddArgs,
    context: &Context,
    terminal: &mut Terminal,
) -> Result<Report, Failure> {
    let network = wide(args.network);
    let rules = context.config.borrow().guard.clone();
    let meets = |other: &&Network| network.covers(other) || other.covers(&network);
    let allowed: Vec<_> = rules.allow.iter().filter(meets).map(ToString::to_string).collect();
    if !args.force {
        if let Some(first) = allowed.first() {
            let message = format!("{network} is let in by guard.allow ({first})");
            let hint = "with --force it is banned all but for what guard.allow names";
            return Err(Failure::new(Kind::Conflict, message).hint(hint));
        }
        if let Some(own) = context.from.filter(|own| network.contains(*own)) {
            let own = own.to_canonical();
            terminal.confirm(&format!("ban {network}, where you come from ({own})?")).await?;
        }
    }
    let by = printable(&context.principal.name, 64);
    let length = args.length.map(Length::duration);
    let entry = context.guard.decree(network, length, &by).map_err(|Full| {
        Failure::new(Kind::Failed, "as many networks are banned as there is room for")
            .hint("type `ban list`; wider networks need less room")
    })?;
    let until = if length.is_some() { "" } else { " until `ban remove`" };
    let text = format!("{network} is banned{until} ({})", entry.id);
    let ban = BanView::new(&entry, context.now);
    let report = Report::of(Added { ban, allowed: allowed.clone() })?;
    let report = report.names(vec![network.to_string()]).part(Part::Text(text));
    if allowed.is_empty() {
        return Ok(report);
    }
    Ok(report.note(format!("guard.allow still lets in {}", allowed.join(", "))))
}

async fn remove(whom: &Whom, context: &Context) -> Result<Report, Failure> {
    let network = match whom {
        Whom::Network(network) => wide(*network),
        Whom::Id(id) => found(*id, context)?.network,
    };
    let by = printable(&context.principal.name, 64);
    let removed = context.guard.pardon(network, &by);
    context.guard.settle().await;
    if let Some(left) = &removed.left {
        let message = format!("{network} is banned with {}", left.network);
        let hint = format!("type `ban remove {}`", left.network);
        return Err(Failure::new(Kind::Conflict, message).hint(hint));
    }
    if removed.bans.is_empty() {
        let message = format!("{network} is not banned");
        return Err(Failure::new(Kind::NotFound, message).hint("type `ban list` to see the bans"));
    }
    let views: Vec<_> = removed.bans.iter().map(|e| BanView::new(e, context.now)).collect();
    let lines: Vec<_> =
        views.iter().map(|v| format!("{} ({}) is not banned any more\n", v.source, v.id)).collect();
    let names = views.iter().map(|view| view.source.clone()).collect();
    Ok(Report::of(&views)?.names(names).part(Part::Text(lines.concat())))
}

fn why(whom: &Whom, context: &Context) -> Result<Report, Failure> {
    let address = match whom {
        Whom::Network(network) if network.is_address() => network.address(),
        Whom::Network(network) => {
            let message = format!("{network} is a network");
            return Err(Failure::new(Kind::Usage, message).hint("name an address, or a ban's id"));
        }
        Whom::Id(id) => found(*id, context)?.network.address(),
    };
    let rules = context.config.borrow().guard.clone();
    let view = AccountView::new(address, &context.guard.account(address), &rules, context.now);
    let fields = view.fields(context.now);
    Ok(Report::of(&view)?.names(vec![address.to_string()]).part(Part::Fields(fields)))
}

fn found(id: Id, context: &Context) -> Result<Entry, Failure> {
    context.guard.find(id).ok_or_else(|| {
        Failure::new(Kind::NotFound, format!("no ban has the id {id}"))
            .hint("it may be over; type `ban list` to see the bans")
    })
}

/// A single IPv6 address means the /64 that its owner has.
fn wide(network: Network) -> Network {
    match network.address() {
        address @ IpAddr::V6(_) if network.is_address() => Network::new(address, 64),
        IpAddr::V4(_) | IpAddr::V6(_) => network,
    }
}

#[cfg(test)]
pub(super) use tests::{example, example_of_address};

#[cfg(test)]
mod tests;
