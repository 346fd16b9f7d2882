//! Listening, caps, and the runtimes that connections live on.

use std::{
    io,
    net::{SocketAddr, TcpStream as StdTcpStream},
    sync::Arc,
    thread::JoinHandle,
    time::Duration,
};

use tokio::{net::TcpListener, runtime::Builder, sync::mpsc};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{debug, warn};

use super::{Shared, registry::Starting, session};
use crate::{
    guard::Knock,
    link::{listen::listen, socket::Socket},
};

/// Accepted connections that wait for a runtime to take them.
const QUEUE: usize = 64;

/// Pause after an accept that failed for want of descriptors or memory.
const BACK_OFF: Duration = Duration::from_millis(100);

/// Connections before login that a banned source may hold, to prove a registered key.
const PROBATION_PLACES: usize = 8;

/// Why the door does not open.
#[derive(Debug, thiserror::Error)]
pub enum DoorError {
    /// An address is taken or not ours.
    #[error("listen on {address}: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// A thread could not be started.
    #[error("start a worker thread")]
    Worker(#[source] io::Error),
}

/// The listening sockets. Bound first, so that nothing else is started in vain.
pub struct Door {
    listeners: Vec<TcpListener>,
}

struct Job {
    stream: StdTcpStream,
    peer: SocketAddr,
    admitted: Admitted,
}

/// What a connection before its login has: a place, and the guard's eye on it.
pub struct Admitted {
    /// Its place among those that have not logged in.
    pub starting: Starting,
    /// What the guard knows of it.
    pub knock: Knock,
}

struct Worker {
    jobs: mpsc::Sender<Job>,
    thread: JoinHandle<()>,
}

impl Door {
    /// Binds the addresses.
    ///
    /// # Errors
    /// One of them cannot be bound.
    pub fn bind(addresses: &[SocketAddr]) -> Result<Self, DoorError> {
        let bind = |address: &SocketAddr| {
            listen(*address).map_err(|source| DoorError::Listen { address: *address, source })
        };
        Ok(Self { listeners: addresses.iter().map(bind).collect::<Result<_, _>>()? })
    }

    /// The addresses that are bound.
    #[must_use]
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.listeners.iter().filter_map(|l| l.local_addr().ok()).collect()
    }

    /// Accepts until `closing`, then returns a future that ends when the last connection has.
    /// Cancels `closing` itself should accepting end in any other way.
    ///
    /// # Errors
    /// The worker threads cannot be started.
    pub async fn run(
        self,
        shared: Arc<Shared>,
        closing: CancellationToken,
    ) -> Result<(), DoorError> {
        let count = std::thread::available_parallelism().map_or(1, usize::from);
        let workers = (0..count)
            .map(|number| start_worker(number, &shared))
            .collect::<io::Result<Vec<_>>>()
            .map_err(DoorError::Worker)?;
        let accepting = TaskTracker::new();
        for listener in self.listeners {
            let jobs = workers.iter().map(|w| w.jobs.clone()).collect();
            let accept = accept(listener, Arc::clone(&shared), jobs, closing.clone());
            accepting.spawn(or_close(closing.clone(), accept));
        }
        accepting.close();
        accepting.wait().await;
        // Without senders the workers end with their last connection.
        let threads: Vec<_> = workers.into_iter().map(|worker| worker.thread).collect();
        let joined = tokio::task::spawn_blocking(move || {
            for thread in threads {
                if thread.join().is_err() {
                    warn!("a worker thread panicked");
                }
            }
        });
        let _ = joined.await;
        Ok(())
    }
}

fn start_worker(number: usize, shared: &Arc<Shared>) -> io::Result<Worker> {
    let (jobs, queue) = mpsc::channel(QUEUE);
    let runtime = Builder::new_current_thread().enable_all().build()?;
    shared.runtimes.add(runtime.handle().clone());
    let shared = Arc::clone(shared);
    let thread = std::thread::Builder::new()
        .name(format!("door-{number}"))
        .spawn(move || runtime.block_on(work(queue, |job| serve(Arc::clone(&shared), job))))?;
    Ok(Worker { jobs, thread })
}

/// Serves the connections handed to one runtime, each in a task of its own: a panic ends that one.
async fn work<F>(mut queue: mpsc::Receiver<Job>, serve: impl Fn(Job) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    let connections = TaskTracker::new();
    while let Some(job) = queue.recv().await {
        connections.spawn(serve(job));
    }
    connections.close();
    connections.wait().await;
}

async fn serve(shared: Arc<Shared>, Job { stream, peer, admitted }: Job) {
    match tokio::net::TcpStream::from_std(stream) {
        Ok(stream) => session::serve(&shared, Socket::tcp(stream), peer, admitted).await,
        Err(error) => warn!(%error, "connection not taken over"),
    }
}

/// Closes the whole door when one listener ends, also by a panic: a sentinel that looks alive and
/// lets nobody in would never be started again.
async fn or_close(closing: CancellationToken, accept: impl Future<Output = ()>) {
    let _closes = closing.drop_guard();
    accept.await;
}

async fn accept(
    listener: TcpListener,
    shared: Arc<Shared>,
    workers: Vec<mpsc::Sender<Job>>,
    closing: CancellationToken,
) {
    let mut next = 0;
    loop {
        let accepted = tokio::select! {
            biased;
            () = closing.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                if let Some(job) = admit(&shared, stream, peer) {
                    next = (next + 1) % workers.len();
                    if let Err(unsent) = workers[next].try_send(job) {
                        unsent.into_inner().admitted.knock.excuse();
                        warn!(source = %peer, "connection dropped: workers are behind");
                    }
                }
            }
            Err(error) => {
                warn!(%error, "accept failed");
                tokio::time::sleep(BACK_OFF).await;
            }
        }
    }
}

/// Gives a connection a place, if there is one; otherwise it is closed at once.
fn admit(shared: &Shared, stream: tokio::net::TcpStream, peer: SocketAddr) -> Option<Job> {
    let (per_source, total) = {
        let ssh = &shared.config.borrow().ssh;
        (ssh.max_startups_per_source, ssh.max_startups)
    };
    let Some(mut knock) = shared.guard.admit(peer.ip(), shared.registry.starting(), total) else {
        debug!(source = %peer, "dropped by the guard");
        reset(&stream);
        return None;
    };
    let per_source = if knock.is_banned() { per_source.min(PROBATION_PLACES) } else { per_source };
    let Some(starting) = shared.registry.start(peer.ip(), per_source, total) else {
        debug!(source = %peer, "too many connections before login");
        knock.excuse();
        return None;
    };
    let stream = stream.into_std().inspect_err(|error| warn!(%error, "accept failed"));
    let Ok(stream) = stream else {
        knock.excuse();
        return None;
    };
    Some(Job { stream, peer, admitted: Admitted { starting, knock } })
}

/// Lets a connection end without a goodbye, of which the kernel would remember something.
fn reset(stream: &tokio::net::TcpStream) {
    // Otherwise it ends in the ordinary way.
    let _ = socket2::SockRef::from(stream).set_linger(Some(Duration::ZERO));
}

#[cfg(test)]
mod tests {
    use std::{io::Read, net::TcpListener as StdTcpListener};

    use super::*;
    use crate::{door::registry::Registry, guard::Guard};

    #[tokio::test]
    async fn a_panic_ends_its_own_connection_and_no_other() {
        let registry = Registry::default();
        let guard = Guard::new(crate::command::testing::config(), None);
        let listener = StdTcpListener::bind("127.0.0.1:0").unwrap();
        let (jobs, queue) = mpsc::channel(QUEUE);
        let mut clients = Vec::new();
        for _ in 0..3 {
            let client = StdTcpStream::connect(listener.local_addr().unwrap()).unwrap();
            let (stream, peer) = listener.accept().unwrap();
            let starting = registry.start(peer.ip(), 3, 3).unwrap();
            let job =
                Job { stream, peer, admitted: Admitted { starting, knock: guard.unwatched() } };
            jobs.send(job).await.unwrap_or_else(|_| panic!("the queue is open"));
            clients.push(client);
        }
        drop(jobs);
        let second = clients[1].local_addr().unwrap();
        work(queue, move |Job { mut stream, peer, admitted }| async move {
            assert!(peer != second, "injected");
            io::Write::write_all(&mut stream, b"served").unwrap();
            drop(admitted);
        })
        .await;
        let heard = clients.iter_mut().map(|client| {
            let mut text = String::new();
            client.read_to_string(&mut text).map(|_| text).unwrap()
        });
        assert_eq!(heard.collect::<Vec<_>>(), ["served", "", "served"]);
        assert_eq!(registry.connections(), 0, "its place was given back");
    }

    #[tokio::test]
    async fn a_listener_that_panics_closes_the_door() {
        let closing = CancellationToken::new();
        let accepting = TaskTracker::new();
        accepting.spawn(or_close(closing.clone(), async { panic!("injected") }));
        accepting.spawn(or_close(closing.clone(), closing.clone().cancelled_owned()));
        accepting.close();
        accepting.wait().await;
        assert!(closing.is_cancelled());
    }
}
