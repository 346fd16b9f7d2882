//! Listening, caps, and the runtimes that connections live on.

use std::{
    io,
    net::{IpAddr, SocketAddr, TcpStream as StdTcpStream},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use tokio::{
    net::{TcpListener, TcpStream},
    runtime::Builder,
    sync::mpsc,
    time::Instant,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{debug, warn};

use super::{
    Shared,
    lobby::Lobby,
    registry::{Registry, Starting},
    session,
    silent::{Silent, first_word, greet, reset},
};
use crate::{
    clock,
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

/// A connection to serve.
pub(super) struct Job {
    pub(super) stream: StdTcpStream,
    pub(super) peer: SocketAddr,
    pub(super) admitted: Admitted,
}

/// What a connection before its login has: a place, and the guard's eye on it.
pub struct Admitted {
    /// Its place among those that have not logged in.
    pub starting: Starting,
    /// What the guard knows of it.
    pub knock: Knock,
    /// When it came, if our identification is out already.
    pub greeted: Option<Instant>,
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
        let jobs = workers.iter().map(|worker| worker.jobs.clone()).collect();
        let hall =
            Arc::new(Hall { shared, lobby: Lobby::default(), jobs, next: AtomicUsize::new(0) });
        for listener in self.listeners {
            let accept = accept(listener, Arc::clone(&hall), closing.clone());
            accepting.spawn(or_close(closing.clone(), accept));
        }
        drop(hall);
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
    match TcpStream::from_std(stream) {
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

/// Where accepted connections go.
struct Hall {
    shared: Arc<Shared>,
    lobby: Lobby<Silent>,
    jobs: Vec<mpsc::Sender<Job>>,
    /// Whose turn it is.
    next: AtomicUsize,
}

impl Hall {
    /// Sees one connection from its acceptance to a worker.
    async fn attend(&self, silent: (u64, Arc<TcpStream>), came: (SocketAddr, Duration)) {
        let Some(job) = first_word(&self.shared, &self.lobby, silent, came).await else { return };
        let turn = self.next.fetch_add(1, Ordering::Relaxed) % self.jobs.len();
        if let Err(unsent) = self.jobs[turn].try_send(job) {
            let mut job = unsent.into_inner();
            job.admitted.knock.excuse();
            warn!(source = %job.peer, "connection dropped: workers are behind");
        }
    }

    /// Gives a connection a place, if there is one or somebody makes room; otherwise it is closed at
    /// once. Its number in the lobby, and for how long it may stay there.
    fn admit(
        &self,
        stream: TcpStream,
        peer: SocketAddr,
    ) -> Option<(u64, Arc<TcpStream>, Duration)> {
        let Self { shared, lobby, .. } = self;
        let (per_source, total) = {
            let ssh = &shared.config.borrow().ssh;
            (ssh.max_startups_per_source, ssh.max_startups)
        };
        let spoken = shared.registry.starting().saturating_sub(lobby.len());
        let Some(mut knock) = shared.guard.admit(peer.ip(), spoken, total) else {
            debug!(source = %peer, "dropped by the guard");
            reset(&stream);
            return None;
        };
        let per_source =
            if knock.is_banned() { per_source.min(PROBATION_PLACES) } else { per_source };
        let limits = (per_source, knock.places(total));
        let place =
            room(&shared.registry, lobby, peer.ip(), limits, Silent::has_spoken, Silent::make_room);
        let Some(starting) = place else {
            debug!(source = %peer, "too many connections before login");
            knock.excuse();
            return None;
        };
        greet(&stream);
        let (source, standing, grace) =
            (starting.source(), knock.standing(), session::grace(shared, &knock));
        let admitted = Admitted { starting, knock, greeted: Some(Instant::from_std(clock::now())) };
        let stream = Arc::new(stream);
        let silent = Silent { stream: Arc::clone(&stream), admitted };
        Some((lobby.enter(source, standing, silent), stream, grace))
    }
}

async fn accept(listener: TcpListener, hall: Arc<Hall>, closing: CancellationToken) {
    let silent = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            biased;
            () = closing.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                if let Some((number, stream, grace)) = hall.admit(stream, peer) {
                    let hall = Arc::clone(&hall);
                    silent.spawn(async move {
                        hall.attend((number, stream), (peer, grace)).await;
                    });
                }
            }
            Err(error) => {
                warn!(%error, "accept failed");
                tokio::time::sleep(BACK_OFF).await;
            }
        }
    }
    // Nobody new, and those who are there have their time.
    drop(listener);
    silent.close();
    silent.wait().await;
}

/// A place of so many for each source and in all. Where there is none, the connection that has been
/// silent for longest makes room, and is given to `gone`.
pub(super) fn room<T>(
    registry: &Registry,
    lobby: &Lobby<T>,
    source: IpAddr,
    (per_source, total): (usize, usize),
    has_spoken: impl Fn(&T) -> bool,
    gone: impl Fn(T),
) -> Option<Starting> {
    // Twice for the source and for all; once more should another listener have been quicker.
    for _ in 0..3 {
        match registry.start(source, per_source, total) {
            Ok(starting) => return Some(starting),
            Err(crowded) => gone(lobby.make_room(&crowded, &has_spoken)?),
        }
    }
    None
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
            let job = Job {
                stream,
                peer,
                admitted: Admitted { starting, knock: guard.unwatched(), greeted: None },
            };
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
