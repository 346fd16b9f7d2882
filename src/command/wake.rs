//! Starting a container for somebody who logs in: the job of `start`, which she waits for and which
//! goes on without her. Whoever comes meanwhile waits for the same job.

use std::sync::Arc;

use super::{
    failure::{Failure, Kind},
    state,
};
use crate::{
    fleet::{
        Fleet,
        job::{Cursor, Event, Job, Started},
    },
    model::{container::Container, name::ContainerName},
};

/// How often work of others on the container is waited for before its end is taken for the answer.
const TURNS: usize = 10;

/// What the job does, in its log and to those who wait for it.
const WHAT: &str = "start";

/// Starts a stopped container, or waits for the work on it that is under way. `by` says who wants
/// it, for the log: printable. Afterwards it may or may not run: look again.
///
/// # Errors
/// It cannot be started; the sentence says why.
pub async fn wake(fleet: &Fleet, container: &Arc<Container>, by: &str) -> Result<(), Failure> {
    for _ in 0..TURNS {
        if let Some(job) = fleet.jobs().of(&container.name) {
            return end_of(&job).await;
        }
        let client = fleet.incus(&container.backend);
        let gone =
            || Failure::new(Kind::Unavailable, format!("backend {} is gone", container.backend));
        let client = client.ok_or_else(gone)?;
        let (woken, owner) = (Arc::clone(container), fleet.clone());
        let work =
            move |job: Arc<Job>| async move { state::wake(client, &woken, &owner, &job).await };
        // Somebody else may have been quicker.
        if let Ok(Started { outcome, .. }) = fleet.jobs().start(&container.name, WHAT, work) {
            tracing::info!(container = %container.name, by, "started for a login");
            let ended = outcome.await;
            return ended.unwrap_or_else(|_| Err(Failure::new(Kind::Failed, "the start failed")));
        }
    }
    Ok(())
}

/// Whether a start of the container is under way: whoever entered it now would find it half booted.
#[must_use]
pub fn is_starting(fleet: &Fleet, container: &ContainerName) -> bool {
    fleet.jobs().of(container).is_some_and(|job| [WHAT, "restart"].contains(&job.what))
}

/// Waits for the end of somebody else's work; that of a start is the answer.
async fn end_of(job: &Job) -> Result<(), Failure> {
    let (mut cursor, mut outcome) = (Cursor::default(), Ok(()));
    while let Some(entry) = job.next(&mut cursor).await {
        match entry.event {
            Event::Ended(Err(reason)) if job.what == WHAT => {
                outcome = Err(Failure::new(Kind::Failed, reason));
            }
            Event::Step { .. } | Event::Output(_) | Event::Note(_) | Event::Ended(_) => {}
        }
    }
    outcome
}
