//! The ledger and the recordings: begun with the sentinel, told of what nobody else tells them, ended
//! after everything else.

use std::{collections::BTreeMap, io, path::Path, sync::Arc, time::Duration};

use tokio::{sync::watch, time::timeout};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    audit::{Event, Ledger, Writer},
    config::Config,
    gateway,
    recording::{self, Recorder},
    store::ledger::{Filter, Reader},
};

/// How long the last records may take to be written.
const ENDING: Duration = Duration::from_secs(5);

/// Records in which the last number is looked for: the newest was written by one of the last sessions
/// to begin, or to end.
const NEWEST: usize = 1000;

/// Owns the threads that write.
pub(super) struct Writers {
    ledger: Writer,
    recordings: recording::Writer,
}

/// Opens the ledger and the recordings of this configuration, and says in the ledger that the sentinel
/// started.
///
/// # Errors
/// No thread can be started.
pub(super) fn start(
    config: &watch::Receiver<Arc<Config>>,
) -> io::Result<(Ledger, Recorder, Writers)> {
    let (folder, settings) = (config.borrow().record.path.clone(), config.clone());
    let (recorder, recordings) = Recorder::start(folder, move || settings.borrow().record.clone())?;
    let (path, config) = (config.borrow().audit.path.clone(), config.clone());
    let (ledger, writer) = Ledger::start(path, move || config.borrow().audit.retention)?;
    ledger.record(Event::Started(env!("CARGO_PKG_VERSION")));
    Ok((ledger, recorder, Writers { ledger: writer, recordings }))
}

/// The highest number that a session has in the ledger at `path`, from which numbers go on: each means
/// one session. Without a ledger they begin anew.
pub(super) fn last_session(path: &Path) -> u64 {
    let kinds = ["login", "session", "refused", "chosen"].map(str::to_owned).to_vec();
    let filter = Filter { kinds, ..Filter::default() };
    let newest = Reader::open(path).and_then(|reader| reader.newest(&filter, NEWEST));
    let numbers = newest.unwrap_or_default().into_iter().filter_map(|r| r.line.session).max();
    numbers.and_then(|number| u64::try_from(number).ok()).unwrap_or(0)
}

/// Has what waits written, and ends the recordings and the ledger.
pub(super) async fn close(ledger: Ledger, writers: Writers) {
    ledger.record(Event::Stopped);
    let Writers { ledger: writer, recordings } = writers;
    let closed = tokio::task::spawn_blocking(move || recordings.close());
    if timeout(ENDING, closed).await.is_err() {
        tracing::warn!("the recordings do not take their last bytes");
    }
    let closed = tokio::task::spawn_blocking(move || writer.close());
    if timeout(ENDING, closed).await.is_err() {
        tracing::warn!("the ledger does not take its last records");
    }
}

/// Records where public ports lead, at each change, until `stop`.
pub(super) fn follow_gateway(
    mut state: watch::Receiver<Arc<gateway::State>>,
    ledger: Ledger,
    tasks: &TaskTracker,
    stop: CancellationToken,
) {
    let follow = async move {
        let mut known = BTreeMap::new();
        loop {
            let now = primaries(&state.borrow_and_update());
            for (pool, primary) in &now {
                if known.get(pool) != Some(primary) {
                    ledger.record(Event::Gateway(pool.clone(), primary.clone()));
                }
            }
            known = now;
            if state.changed().await.is_err() {
                return;
            }
        }
    };
    tasks.spawn(async move { stop.run_until_cancelled(follow).await });
}

/// Where the ports of each pool lead.
fn primaries(state: &gateway::State) -> BTreeMap<String, Option<String>> {
    let of = |pool: &gateway::PoolState| {
        (pool.config.pool.to_string(), pool.primary.as_ref().map(ToString::to_string))
    };
    state.pools.iter().map(of).collect()
}
