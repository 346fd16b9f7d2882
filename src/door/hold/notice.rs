//! What somebody who waits is told, and how often.

use std::{convert::Infallible, future::pending, time::Duration};

use tokio::{
    sync::mpsc,
    time::{Instant, sleep_until},
};

use crate::model::text::printable;

/// Shortest time between two lines: a host that flaps is not to fill a terminal.
const PAUSE: Duration = Duration::from_secs(3);

/// Longest line, in characters.
const MAX_LINE: usize = 400;

/// What a line is about. Nothing is told twice in a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// The host is down.
    Down,
    /// It is down, and somebody does something about it.
    Restarting,
    /// Its Incus is away.
    Away,
    /// It is back.
    Back,
    /// The container is being started.
    Starting,
}

/// The lines of one person.
pub(super) struct Notices<'a> {
    lines: &'a mpsc::Sender<String>,
    last: Option<(Phase, Instant)>,
}

impl<'a> Notices<'a> {
    pub(super) fn new(lines: &'a mpsc::Sender<String>) -> Self {
        Self { lines, last: None }
    }

    /// Tells a line as soon as it may be told, unless it would be the last one again. Never returns:
    /// whoever calls this waits for something else meanwhile, and drops what is not true any more.
    pub(super) async fn tell(&mut self, phase: Phase, line: &str) -> Infallible {
        if let Some((told, at)) = self.last {
            if told == phase {
                return pending().await;
            }
            // Who goes in is not kept for it; that the host is down again comes late enough.
            if phase != Phase::Back {
                sleep_until(at + PAUSE).await;
            }
        }
        self.last = Some((phase, now()));
        // A person who does not read her lines still waits.
        let _ = self.lines.try_send(printable(line, MAX_LINE));
        pending().await
    }
}

#[expect(clippy::disallowed_methods, reason = "driver of the lines")]
fn now() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests {
    use tokio::time::timeout;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_line_is_told_once_and_not_too_soon_after_another() {
        let (lines, mut told) = mpsc::channel(8);
        let mut notices = Notices::new(&lines);
        let mut during = async |phase, line: &'static str, millis| {
            let _ = timeout(Duration::from_millis(millis), notices.tell(phase, line)).await;
        };
        during(Phase::Down, "down", 100).await;
        during(Phase::Down, "down for longer", 1000).await;
        during(Phase::Restarting, "restarting", 1000).await;
        during(Phase::Back, "back", 1000).await;
        during(Phase::Down, "down again", 1900).await;
        during(Phase::Away, "away", 1000).await;
        during(Phase::Starting, "starting", 9000).await;
        drop(lines);
        let mut all = Vec::new();
        while let Some(line) = told.recv().await {
            all.push(line);
        }
        // What was not true any more when it could have been told never was.
        assert_eq!(all, ["down", "back", "away", "starting"]);
    }
}
