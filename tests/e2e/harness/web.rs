//! What serves on the lab's hosts for tests: a web server that comes back with its host.

use std::{
    fs::File,
    io::{self, ErrorKind, Read, Write},
    net::{SocketAddr, TcpListener, UdpSocket},
    os::fd::AsFd,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::lab;

/// How often a web server looks for requests.
pub const TICK: Duration = Duration::from_millis(10);

/// Does something on a thread that is in a host's network.
pub fn in_network<T: Send>(host: &str, act: impl FnOnce() -> T + Send) -> T {
    let netns = File::open(lab().netns(host)).unwrap();
    let enter = move || {
        move_into_link_name_space(netns.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
        act()
    };
    thread::scope(|scope| scope.spawn(enter).join().unwrap())
}

/// A web server on a host that says where it is and whom it sees; by UDP, too.
pub struct Web {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Web {
    /// Starts it on a port.
    pub fn start(host: &'static str, port: u16) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let ended = Arc::clone(&stop);
        let netns = File::open(lab().netns(host)).unwrap();
        let thread = thread::spawn(move || {
            move_into_link_name_space(netns.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
            while !ended.load(Ordering::SeqCst) {
                // A power cut ends its sockets: a service starts again.
                let _ = serve(host, port, &ended);
                thread::sleep(TICK);
            }
        });
        Self { stop, thread: Some(thread) }
    }
}

fn serve(host: &str, port: u16, ended: &AtomicBool) -> io::Result<()> {
    let tcp = TcpListener::bind(("::", port))?;
    let udp = UdpSocket::bind(("::", port))?;
    tcp.set_nonblocking(true)?;
    udp.set_nonblocking(true)?;
    let sees = |from: SocketAddr| format!("{host} sees {}", from.ip().to_canonical());
    while !ended.load(Ordering::SeqCst) {
        match tcp.accept() {
            Ok((mut stream, from)) => {
                stream.set_nonblocking(false)?;
                stream.set_read_timeout(Some(Duration::from_secs(1)))?;
                // A client that is gone meanwhile is no fault of the server's.
                let _ = stream.read(&mut [0; 1000]);
                let _ = write!(stream, "HTTP/1.0 200 OK\r\n\r\n{}", sees(from));
            }
            Err(e) if e.kind() == ErrorKind::WouldBlock => thread::sleep(TICK),
            Err(e) => return Err(e),
        }
        if let Ok((_, from)) = udp.recv_from(&mut [0; 1000]) {
            let _ = udp.send_to(sees(from).as_bytes(), from);
        }
    }
    Ok(())
}

impl Drop for Web {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
