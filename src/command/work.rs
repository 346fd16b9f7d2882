//! Following work on a container from a session: its steps are shown, Ctrl-C stops and undoes it,
//! and when the session is gone it goes on.

use std::{fmt, time::Duration};

use tokio::time::{MissedTickBehavior, interval};

use super::{
    context::Context,
    failure::{Failure, Kind},
    progress::{Progress, Style, TURN_MS},
    render::Format,
    terminal::{Terminal, stopped},
};
use crate::{
    clock::timestamp,
    fleet::job::{Cursor, Job, Started},
    model::name::ContainerName,
};

/// Starts work on a container and follows it to its end.
///
/// # Errors
/// There is work on it already, or what the work says, or it was interrupted.
pub(super) async fn run<T, E, F>(
    (container, what): (&ContainerName, &'static str),
    context: &Context,
    terminal: &Terminal,
    work: impl FnOnce(std::sync::Arc<Job>) -> F,
) -> Result<T, Failure>
where
    F: Future<Output = Result<T, E>> + Send + 'static,
    T: Send + 'static,
    E: fmt::Display + Into<Failure> + Send + 'static,
{
    let started = context.fleet.jobs().start(container, what, work);
    let Started { job, outcome } = started.map_err(|busy| {
        let hint = format!("see `logs {container}`, or wait until it is done");
        Failure::new(Kind::Conflict, busy.to_string()).hint(hint)
    })?;
    follow(&job, context, terminal).await;
    let outcome = outcome.await.map_err(|_| {
        let hint = "this is a bug: the sentinel's log tells more";
        Failure::new(Kind::Failed, format!("the {what} of {container} ended unexpectedly"))
            .hint(hint)
    })?;
    match outcome {
        Ok(done) => Ok(done),
        Err(_) if terminal.interrupted().is_cancelled() => Err(stopped()),
        Err(error) => Err(error.into()),
    }
}

/// Shows what a job does until it ends.
pub(super) async fn follow(job: &Job, context: &Context, terminal: &Terminal) {
    let mut progress = Progress::new(style(context.format, terminal));
    let mut cursor = Cursor::default();
    let mut turns = interval(Duration::from_millis(TURN_MS));
    turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut told = false;
    loop {
        let text = tokio::select! {
            entry = job.next(&mut cursor) => match entry {
                Some(entry) => progress.entry(&entry),
                None => return,
            },
            () = terminal.interrupted().cancelled(), if !told => {
                told = true;
                job.cancel();
                job.note("interrupted: undoing what was done");
                continue;
            }
            _ = turns.tick() => progress.turn(timestamp()),
        };
        if !text.is_empty() {
            terminal.say(&text).await;
        }
    }
}

fn style(format: Format, terminal: &Terminal) -> Style {
    match (format, terminal.pty()) {
        (Format::Quiet, _) => Style::Silent,
        (Format::Plain | Format::Json, Some(pty)) if pty.term != "dumb" => Style::Moving,
        (Format::Plain | Format::Json, _) => Style::Plain,
    }
}
