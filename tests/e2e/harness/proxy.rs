//! A way to a host that lets bytes through late.

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

use super::{TICK, in_network, lab};

/// A proxy on a port of the sentinel's loopback before the sshd of `b1`.
pub struct Proxy {
    /// How long each piece is held back, in milliseconds.
    delay: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Proxy {
    /// Starts it; it holds back each piece for so long.
    pub fn start(port: u16, delay: Duration) -> Self {
        let listener = in_network("sentinel", || TcpListener::bind(("127.0.0.1", port)).unwrap());
        listener.set_nonblocking(true).unwrap();
        let delay = Arc::new(AtomicU64::new(millis(delay)));
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

    /// From now on, each piece is held back for so long.
    pub fn delay(&self, delay: Duration) {
        self.delay.store(millis(delay), Ordering::SeqCst);
    }

    /// From now on, a byte takes a second.
    pub fn crawl(&self) {
        self.delay.store(CRAWL, Ordering::SeqCst);
    }
}

fn millis(delay: Duration) -> u64 {
    delay.as_millis().try_into().unwrap()
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
