//! A proxy that makes a host seem far away: this kernel may have no netem.

use std::{
    io::{BufRead, BufReader},
    net::SocketAddr,
    process::{Child, Stdio},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream, tcp::OwnedReadHalf, tcp::OwnedWriteHalf},
    sync::mpsc,
    time::{Instant, sleep, sleep_until},
};

use crate::scene::on_host;

/// The argument that makes this program the proxy.
pub const DELAY: &str = "delay";

/// How long bytes take in each direction.
pub const ONE_WAY: Duration = Duration::from_millis(25);

/// Reads that may be on their way in one direction.
const IN_FLIGHT: usize = 4096;

/// The proxy, on the client's host.
pub struct Proxy(Child);

impl Proxy {
    /// Listens on port `from` of the client's loopback for each `(from, to)`.
    pub fn start(routes: &[(u16, String)]) -> Self {
        let program = std::env::current_exe().unwrap();
        let mut command = on_host("client", program.to_str().unwrap());
        command.arg(DELAY);
        command.args(routes.iter().map(|(from, to)| format!("{from}={to}")));
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n", "the proxy listens");
        Self(child)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Serves routes `PORT=ADDRESS` until standard input ends.
pub fn serve(routes: &[String]) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        for route in routes {
            let (port, to) = route.split_once('=').expect("PORT=ADDRESS");
            let (port, to) = (port.parse::<u16>().unwrap(), to.parse::<SocketAddr>().unwrap());
            let listener = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
            tokio::spawn(async move {
                while let Ok((near, _)) = listener.accept().await {
                    tokio::spawn(carry(near, to));
                }
            });
        }
        println!("ready");
        let _ = tokio::io::stdin().read(&mut [0]).await;
    });
}

async fn carry(near: TcpStream, to: SocketAddr) {
    // The client's connect() has returned at once; over a wire it takes a round trip.
    sleep(ONE_WAY * 2).await;
    let Ok(far) = TcpStream::connect(to).await else { return };
    let _ = (near.set_nodelay(true), far.set_nodelay(true));
    let ((near_read, near_write), (far_read, far_write)) = (near.into_split(), far.into_split());
    tokio::join!(delayed(near_read, far_write), delayed(far_read, near_write));
}

async fn delayed(mut from: OwnedReadHalf, mut to: OwnedWriteHalf) {
    let (send, mut arriving) = mpsc::channel::<(Instant, Vec<u8>)>(IN_FLIGHT);
    let reading = async move {
        let mut buffer = vec![0; 64 * 1024];
        while let Ok(n @ 1..) = from.read(&mut buffer).await {
            if send.send((Instant::now() + ONE_WAY, buffer[..n].to_vec())).await.is_err() {
                break;
            }
        }
    };
    let writing = async move {
        while let Some((due, bytes)) = arriving.recv().await {
            sleep_until(due).await;
            if to.write_all(&bytes).await.is_err() {
                break;
            }
        }
        let _ = to.shutdown().await;
    };
    tokio::join!(reading, writing);
}
