//! A host that is far away, or crawls: its sshd is behind a proxy that lets bytes through late.

use std::{
    io::{Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use super::{assert_told, log_in};
use crate::harness::{Sentinel, TICK, backend_section, config, in_network, lab, set, world};

const DOOR: u16 = 2385;
const PROXY: u16 = 8471;

/// A proxy on the sentinel's loopback before the sshd of `b1`.
struct Proxy {
    /// How long each piece is held back, in milliseconds.
    delay: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Proxy {
    fn start(delay: Duration) -> Self {
        let listener = in_network("sentinel", || TcpListener::bind(("127.0.0.1", PROXY)).unwrap());
        listener.set_nonblocking(true).unwrap();
        let delay = Arc::new(AtomicU64::new(delay.as_millis().try_into().unwrap()));
        let stop = Arc::<AtomicBool>::default();
        let (wait, ended) = (Arc::clone(&delay), Arc::clone(&stop));
        let to = format!("{}:22", lab().get("LAB_B1_ADDRESS"));
        let serve = move || {
            while !ended.load(Ordering::SeqCst) {
                let Ok((near, _)) = listener.accept() else {
                    thread::sleep(TICK);
                    continue;
                };
                near.set_nonblocking(false).unwrap();
                let far = TcpStream::connect(&to).unwrap();
                for (from, to) in [(&near, &far), (&far, &near)] {
                    let (from, to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
                    let wait = Arc::clone(&wait);
                    thread::spawn(move || pass(from, &to, &wait));
                }
            }
        };
        let thread = thread::spawn(move || in_network("sentinel", serve));
        Self { delay, stop, thread: Some(thread) }
    }

    /// From now on, a byte takes a second.
    fn crawl(&self) {
        self.delay.store(CRAWL, Ordering::SeqCst);
    }
}

/// From this delay on, in milliseconds, pieces are of one byte.
const CRAWL: u64 = 1000;

/// Carries bytes from one end to the other until either is gone.
fn pass(mut from: TcpStream, mut to: &TcpStream, wait: &AtomicU64) {
    let mut piece = vec![0; 32 * 1024];
    loop {
        let length = if wait.load(Ordering::SeqCst) >= CRAWL { 1 } else { piece.len() };
        let Ok(read @ 1..) = from.read(&mut piece[..length]) else { break };
        thread::sleep(Duration::from_millis(wait.load(Ordering::SeqCst)));
        if to.write_all(&piece[..read]).is_err() {
            break;
        }
    }
    let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

#[test]
fn a_host_far_away_is_entered_and_one_that_crawls_is_told() {
    world();
    let proxy = Proxy::start(Duration::from_millis(100));
    let section = backend_section("b1");
    let behind = set(&section, "[backend]", "address", &format!("\"127.0.0.1:{PROXY}\""));
    let text = config(&world().dir, DOOR, "").replace(&backend_section("b2"), "");
    let sentinel = Sentinel::start(&world().dir, "slow", &text.replace(&section, &behind));
    sentinel.wait_until_listed(&["alice"]);
    let run = log_in(DOOR, "alice", "alice", "id -un");
    assert_eq!((run.stdout.as_str(), run.status), ("alice\n", 0), "{run:?}");
    let log = sentinel.log_text();
    assert!(!log.contains("host is down"), "{log}");

    proxy.crawl();
    sentinel.wait_log("host is down");
    let run = log_in(DOOR, "alice", "alice", "id -un");
    assert_told(&run, 75, &["container alice "]);
    let version = log_in(DOOR, "admin", "admin", "version");
    assert_eq!(version.status, 0, "{version:?}");
}
