//! `logs NAME`: what work on a container did, and does at this moment.

use std::sync::Arc;

use clap::Args;
use serde::Serialize;

use super::{
    context::Context,
    failure::{Failure, Kind},
    render::Format,
    report::Report,
    terminal::Terminal,
};
use crate::{
    fleet::job::{Cursor, Job},
    model::name::ContainerName,
};

/// Arguments of `logs`.
#[derive(Debug, Clone, Args)]
#[command(
    after_help = "Work that is under way is followed to its end; Ctrl-C leaves it alone. The log of \
    a container that could not be made, or is deleted, stays."
)]
pub struct LogsArgs {
    /// The container's name
    pub name: ContainerName,
    /// Do not wait for the end of work that is under way
    #[arg(long)]
    pub no_follow: bool,
}

#[derive(Debug, PartialEq, Serialize)]
struct Log<'a> {
    name: &'a str,
    /// What is under way.
    running: Option<&'static str>,
    work: Vec<Work<'a>>,
}

#[derive(Debug, PartialEq, Serialize)]
struct Work<'a> {
    what: &'a str,
    lines: Vec<Line<'a>>,
}

#[derive(Debug, PartialEq, Serialize)]
struct Line<'a> {
    at: &'a str,
    text: &'a str,
}

pub(super) async fn run(
    args: &LogsArgs,
    context: &Context,
    terminal: &Terminal,
) -> Result<Report, Failure> {
    let name = &args.name;
    let job = context.fleet.jobs().of(name);
    let earlier = read(context, name)?;
    let known = context.snapshot().container(name).is_some();
    if earlier.is_empty() && job.is_none() {
        return nothing(name, known);
    }
    let shows = context.format == Format::Plain;
    if shows {
        terminal.print(&earlier).await;
    }
    if let Some(job) = job.filter(|_| !args.no_follow) {
        follow(&job, shows, terminal).await;
    }
    let now = context.fleet.jobs().of(name);
    let all = read(context, name)?;
    let running = now.map(|job| job.what);
    Report::of(Log { name: name.as_str(), running, work: pieces(&all) })
}

fn nothing(name: &ContainerName, known: bool) -> Result<Report, Failure> {
    if known {
        let log = Log { name: name.as_str(), running: None, work: Vec::new() };
        return Ok(Report::of(log)?.note(format!("nothing has been done to {name} from here")));
    }
    let message = format!("no container named \"{name}\", and no log of one");
    Err(Failure::new(Kind::NotFound, message).hint("type `list` to see the containers"))
}

fn read(context: &Context, name: &ContainerName) -> Result<String, Failure> {
    // One file of bounded size on this machine: it is read where it is asked for.
    let text = context.fleet.jobs().log().read(name);
    text.map_err(|e| Failure::new(Kind::Failed, format!("read the log of {name}: {e}")))
}

/// Until the work ends, or the person has seen enough.
async fn follow(job: &Arc<Job>, shows: bool, terminal: &Terminal) {
    if shows {
        terminal.print(&format!("== {} {}\n", job.what, job.container)).await;
    }
    let mut cursor = Cursor::default();
    let entries = async {
        while let Some(entry) = job.next(&mut cursor).await {
            if shows {
                terminal.print(&format!("{entry}\n")).await;
            }
        }
    };
    terminal.interrupted().run_until_cancelled(entries).await;
}

/// The file as data: a heading before each piece of work, a time before each line.
fn pieces(text: &str) -> Vec<Work<'_>> {
    let mut all: Vec<Work<'_>> = Vec::new();
    for line in text.lines() {
        if let Some(heading) = line.strip_prefix("== ") {
            let what = heading.split(' ').next().unwrap_or_default();
            all.push(Work { what, lines: Vec::new() });
            continue;
        }
        let (at, text) = line.split_once("  ").unwrap_or(("", line));
        if all.is_empty() {
            // The beginning of the oldest piece has been dropped.
            all.push(Work { what: "", lines: Vec::new() });
        }
        if let Some(work) = all.last_mut() {
            work.lines.push(Line { at, text });
        }
    }
    all
}

/// A log, for the reference.
#[cfg(test)]
pub(super) fn example() -> serde_json::Value {
    let text =
        "== stop alice\n2026-01-02T03:04:05Z  [1/1] stop alice\n2026-01-02T03:04:06Z  done\n";
    let log = Log { name: "alice", running: None, work: pieces(text) };
    serde_json::to_value(log).unwrap()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::testing::*;

    #[test]
    fn a_log_is_pieces_of_work_with_lines() {
        let text = "2026-01-02T03:04:05Z  | lost beginning\n== create alice\n\
            2026-01-02T03:04:06Z  [1/2] place  it\n2026-01-02T03:04:07Z  done\n== stop alice\n";
        let work = pieces(text);
        let whats: Vec<_> = work.iter().map(|w| (w.what, w.lines.len())).collect();
        assert_eq!(whats, [("", 1), ("create", 2), ("stop", 0)]);
        let line = Line { at: "2026-01-02T03:04:06Z", text: "[1/2] place  it" };
        assert_eq!(work[1].lines[0], line);
    }

    #[test]
    fn a_container_without_a_log_is_no_failure_and_no_container_is_one() {
        let none = execute_line(b"logs alice", &context(admin()));
        assert_eq!((none.status, none.stdout.as_str()), (0, ""), "{none:?}");
        assert!(none.stderr.starts_with("note: nothing has been done"), "{none:?}");
        let json = execute_line(b"logs alice --json", &context(admin()));
        assert_eq!(json.stdout, "{\"name\":\"alice\",\"running\":null,\"work\":[]}\n");
        assert_eq!(execute_line(b"logs nobody", &context(admin())).status, 3);
        assert_eq!(execute_line(b"logs ../etc", &context(admin())).status, 2);
    }
}
