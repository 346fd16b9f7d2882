//! `session list`: the open ones as the door knows them, past ones as the ledger does.

use clap::Args;

use super::{
    play,
    view::{COLUMNS, PAST_COLUMNS, SessionView},
};
use crate::{
    command::{
        audit::{When, read},
        context::Context,
        failure::Failure,
        report::{Part, Report, Table},
        session::LiveSession,
    },
    model::name::ContainerName,
    store::ledger::Filter,
};

/// Past sessions that are shown when nothing is said.
const USUAL: u32 = 100;

/// Most past sessions at once: they are held in memory.
const MAX: i64 = 10_000;

/// Arguments of `session list`.
#[derive(Debug, Clone, Args)]
#[command(
    after_help = "Times are in UTC: 90m, 2h, 7d (ago), 2026-11-23, 2026-11-23T08:30; they are \
    those at which sessions ended.\n\nExamples:\n  session list alice\n  \
    session list --past --user dave@desk --since 7d"
)]
pub(in crate::command) struct ListArgs {
    /// Only those on this container
    name: Option<ContainerName>,
    /// Only this person (a part of her name), key (SHA256:…) or source address
    #[arg(long, visible_alias = "who", value_name = "WHO")]
    user: Option<String>,
    /// Those that ended, as the ledger has them
    #[arg(long)]
    past: bool,
    /// Only those that ended from this time on
    #[arg(long, value_name = "TIME", requires = "past")]
    since: Option<When>,
    /// Only those that ended before this time
    #[arg(long, value_name = "TIME", requires = "past")]
    until: Option<When>,
    /// At most so many, the newest [default: 100]
    #[arg(long, value_name = "N", requires = "past", value_parser = clap::value_parser!(u32).range(1..=MAX))]
    limit: Option<u32>,
}

pub(super) async fn list(args: &ListArgs, context: &Context) -> Result<Report, Failure> {
    if args.past {
        return past(args, context).await;
    }
    let sessions = (context.sessions.live)().into_iter().filter(|session| args.means(session));
    let views: Vec<_> = sessions.map(|session| SessionView::live(&session)).collect();
    let rows = views.iter().map(|view| view.row(context.now)).collect();
    let report = report(&views, Table { columns: COLUMNS, rows })?;
    Ok(if views.is_empty() { report.note("no such session is open") } else { report })
}

async fn past(args: &ListArgs, context: &Context) -> Result<Report, Failure> {
    let (filter, limit) = (args.filter(context), args.limit.unwrap_or(USUAL));
    let many = usize::try_from(limit).unwrap_or(usize::MAX);
    let records = read(context, move |reader| reader.newest(&filter, many)).await?;
    let stored = play::stored(context).await?;
    let views: Vec<_> = records.iter().filter_map(|r| SessionView::past(r, &stored)).collect();
    let rows = views.iter().map(SessionView::past_row).collect();
    let report = report(&views, Table { columns: PAST_COLUMNS, rows })?;
    Ok(if views.is_empty() {
        report.note("no such session is recorded")
    } else if records.len() == many && args.limit.is_none() {
        report.note(format!("the newest {many} of them; --limit N shows more"))
    } else {
        report
    })
}

fn report(views: &[SessionView], table: Table) -> Result<Report, Failure> {
    let names = views.iter().map(|view| view.id.to_string()).collect();
    Ok(Report::of(views)?.names(names).part(Part::Table(table)))
}

impl ListArgs {
    fn means(&self, session: &LiveSession) -> bool {
        let on_it = self.name.as_ref().is_none_or(|name| session.containers.contains(name));
        let hers = self.user.as_ref().is_none_or(|who| {
            session.person.to_lowercase().contains(&who.to_lowercase())
                || session.key.as_ref().is_some_and(|key| key.fingerprint() == *who)
                || session.source.ip().to_canonical().to_string() == *who
        });
        on_it && hers
    }

    fn filter(&self, context: &Context) -> Filter {
        let time = |when: &Option<When>| when.map(|when| when.before(context.now).as_microsecond());
        Filter {
            since: time(&self.since),
            until: time(&self.until),
            container: self.name.as_ref().map(ToString::to_string),
            who: self.user.clone(),
            kinds: vec![crate::audit::Kind::Session.as_str().to_owned()],
            after: 0,
        }
    }
}
