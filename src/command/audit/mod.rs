//! `audit`: what the ledger says, and whether it is as it was written.

mod verify;
mod view;
mod when;

use clap::{Args, Subcommand, builder::PossibleValuesParser};

pub(super) use self::when::When;
use self::{
    verify::verify,
    view::{COLUMNS, RecordView},
};
use super::{
    context::Context,
    failure::{Failure, Kind},
    render::{Format, json_line},
    report::{Part, Report, Table},
    terminal::{Terminal, stopped},
};
use crate::{
    audit::{self, ReadError},
    model::name::ContainerName,
    store::ledger::{Filter, LedgerError, Reader, Record},
};

/// Records that are shown when nothing is said, and with --follow before what comes.
const USUAL: usize = 100;
const BEFORE: usize = 10;

/// Most records at once: they are held in memory.
const MAX: u32 = 10_000;

/// Records that are read at once while the ledger is followed.
const PAGE: usize = 200;

/// Arguments of `audit`.
#[derive(Debug, Clone, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Times are in UTC: 90m, 2h, 7d (ago), 2026-11-23, 2026-11-23T08:30. With --follow \
    and --json each record is a line of its own; Ctrl-C ends it.\n\nExamples:\n  \
    audit alice --since 2h\n  audit --kind refused --user 203.0.113.7\n  audit verify"
)]
pub struct AuditArgs {
    #[command(subcommand)]
    command: Option<AuditCommand>,
    /// Only what concerns this container
    name: Option<ContainerName>,
    /// Only this person (a part of her name), key (SHA256:…), source address or login name
    #[arg(long, visible_alias = "who", value_name = "WHO")]
    user: Option<String>,
    /// Only these kinds; may be repeated
    #[arg(long, value_name = "KIND", value_delimiter = ',', value_parser = kinds())]
    kind: Vec<String>,
    /// Only from this time on
    #[arg(long, value_name = "TIME")]
    since: Option<When>,
    /// Only before this time
    #[arg(long, value_name = "TIME", conflicts_with = "follow")]
    until: Option<When>,
    /// At most so many, the newest [default: 100, with --follow 10]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX)))]
    limit: Option<u32>,
    /// Go on with what is recorded from now on
    #[arg(short, long)]
    follow: bool,
}

#[derive(Debug, Clone, Subcommand)]
enum AuditCommand {
    /// Check that no record was changed, moved or taken away
    Verify,
}

fn kinds() -> PossibleValuesParser {
    PossibleValuesParser::new(audit::Kind::ALL.map(|(name, _)| name))
}

pub(super) async fn run(
    args: &AuditArgs,
    context: &Context,
    terminal: &Terminal,
) -> Result<Report, Failure> {
    match &args.command {
        Some(AuditCommand::Verify) => verify(context, terminal).await,
        None if args.follow => follow(args, context, terminal).await,
        None => list(args, context).await,
    }
}

async fn list(args: &AuditArgs, context: &Context) -> Result<Report, Failure> {
    let limit = args.limit(USUAL);
    let filter = args.filter(context);
    let records = read(context, move |reader| reader.newest(&filter, limit)).await?;
    let views: Vec<_> = records.iter().map(RecordView::new).collect();
    let rows = views.iter().map(RecordView::row).collect();
    let names = views.iter().map(|view| view.id.to_string()).collect();
    let mut report = Report::of(&views)?.names(names);
    report = report.part(Part::Table(Table { columns: COLUMNS, rows }));
    if records.is_empty() {
        report = report.note("nothing like that is recorded");
    } else if records.len() == limit && args.limit.is_none() {
        report = report.note(format!("the newest {limit} of them; --limit N shows more"));
    }
    Ok(report)
}

/// Prints records as they come, until the person has seen enough. What is read is what was written:
/// whoever reads slowly holds up nobody.
async fn follow(
    args: &AuditArgs,
    context: &Context,
    terminal: &Terminal,
) -> Result<Report, Failure> {
    let mut head = context.ledger.head();
    let (mut filter, limit) = (args.filter(context), args.limit(BEFORE));
    let first = filter.clone();
    let mut records = read(context, move |reader| reader.newest(&first, limit)).await?;
    let printing = async {
        loop {
            // What is written from here on is a change.
            let known = *head.borrow_and_update();
            for record in &records {
                terminal.print(&printed(record, context.format)).await;
            }
            filter.after = match records.last() {
                Some(last) => last.id.max(filter.after),
                None => filter.after,
            };
            if records.len() < PAGE && filter.after >= known && head.changed().await.is_err() {
                return Ok(Report::default());
            }
            let next = filter.clone();
            records = read(context, move |reader| reader.oldest(&next, PAGE)).await?;
            if records.is_empty() {
                // None of what came is meant.
                filter.after = filter.after.max(known);
            }
        }
    };
    terminal.interrupted().run_until_cancelled(printing).await.ok_or_else(stopped)?
}

fn printed(record: &Record, format: Format) -> String {
    let view = RecordView::new(record);
    match format {
        Format::Plain => format!("{}\n", view.line()),
        Format::Quiet => format!("{}\n", view.id),
        Format::Json => json_line(&serde_json::to_value(&view).unwrap_or_default()),
    }
}

impl AuditArgs {
    /// Whether it goes on until somebody ends it.
    pub(super) fn follows(&self) -> bool {
        self.follow
    }

    fn limit(&self, usual: usize) -> usize {
        self.limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(usual)
    }

    fn filter(&self, context: &Context) -> Filter {
        let time = |when: &Option<When>| when.map(|when| when.before(context.now).as_microsecond());
        Filter {
            since: time(&self.since),
            until: time(&self.until),
            container: self.name.as_ref().map(ToString::to_string),
            who: self.user.clone(),
            kinds: self.kind.clone(),
            after: 0,
        }
    }
}

/// Reads the ledger.
pub(super) async fn read<T: Send + 'static>(
    context: &Context,
    query: impl FnOnce(&Reader) -> Result<T, LedgerError> + Send + 'static,
) -> Result<T, Failure> {
    context.ledger.read(query).await.map_err(|error| {
        let kind = match error {
            ReadError::None => Kind::Unavailable,
            ReadError::Ledger(_) | ReadError::Ended => Kind::Failed,
        };
        Failure::new(kind, error.to_string()).hint("`status` tells whether the ledger is written")
    })
}

#[cfg(test)]
pub(super) use self::view::example;
