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
    fleet::job::{Busy, Cursor, Job, Started},
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
    finish(started.map_err(|busy| explain_busy(&busy))?, context, terminal).await
}

/// Work that is short enough to wait for: it changes who may log in.
const SHORT: [&str; 4] = ["key add", "key remove", "collaborator add", "collaborator remove"];

/// How much of it is waited for.
const TURNS: usize = 100;

/// The same for short work: what is short and under way on the container is waited for.
///
/// # Errors
/// As [`run`].
pub(super) async fn run_in_turn<T, E, F>(
    (container, what): (&ContainerName, &'static str),
    context: &Context,
    terminal: &Terminal,
    work: impl FnOnce(std::sync::Arc<Job>) -> F + Clone,
) -> Result<T, Failure>
where
    F: Future<Output = Result<T, E>> + Send + 'static,
    T: Send + 'static,
    E: fmt::Display + Into<Failure> + Send + 'static,
{
    for _ in 0..TURNS {
        let other = context.fleet.jobs().of(container).filter(|job| SHORT.contains(&job.what));
        match other {
            Some(other) => {
                let ended = terminal.interrupted().run_until_cancelled(end_of(&other));
                ended.await.ok_or_else(stopped)?;
            }
            None => match context.fleet.jobs().start(container, what, work.clone()) {
                Ok(started) => return finish(started, context, terminal).await,
                // Somebody else was quicker.
                Err(busy) if SHORT.contains(&busy.what) => {}
                Err(busy) => return Err(explain_busy(&busy)),
            },
        }
    }
    run((container, what), context, terminal, work).await
}

async fn end_of(job: &Job) {
    let mut cursor = Cursor::default();
    while job.next(&mut cursor).await.is_some() {}
}

async fn finish<T, E: Into<Failure>>(
    Started { job, outcome }: Started<T, E>,
    context: &Context,
    terminal: &Terminal,
) -> Result<T, Failure> {
    follow(&job, context, terminal).await;
    let outcome = outcome.await.map_err(|_| {
        let message = format!("the {} of {} ended unexpectedly", job.what, job.container);
        Failure::new(Kind::Failed, message).hint("this is a bug: the sentinel's log tells more")
    })?;
    match outcome {
        Ok(done) => Ok(done),
        Err(error) => {
            let failure: Failure = error.into();
            // What was done all the same is in its own words.
            let is_told = failure.kind == Kind::Interrupted;
            let interrupted = terminal.interrupted().is_cancelled();
            Err(if interrupted && !is_told { stopped() } else { failure })
        }
    }
}

fn explain_busy(busy: &Busy) -> Failure {
    let hint = format!("see `logs {}`, or wait until it is done", busy.container);
    Failure::new(Kind::Conflict, busy.to_string()).hint(hint)
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
