//! A tunnel against a backend's sshd that does what is worst at the worst moment. Time is virtual.

use std::{
    future::poll_fn,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::Wake,
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    task::JoinSet,
    time::timeout,
};

use super::*;
use crate::{
    link::neighbours::neighbours,
    wire::{
        codec::Reader,
        message::{CHANNEL_OPEN, CHANNEL_OPEN_CONFIRMATION},
        transport::RekeyLimits,
    },
};

/// What a test waits for happens within this, or never: nothing here takes time.
const SOON: Duration = Duration::from_secs(5);

/// What the backend lets the tunnel send before it has to answer: so little that a writer soon
/// depends on what the backend says.
const BACKEND_WINDOW: u32 = 64 * 1024;

/// The backend's sshd.
struct Backend {
    connection: Connection,
    /// Bytes of data that came, and for which the tunnel was told that it may send more.
    received: usize,
    given: usize,
    /// Bytes of window that were given back.
    adjusted: u32,
    eof: bool,
}

/// An open tunnel, and the backend at its other end.
async fn open() -> (Tunnel, Backend) {
    // Room for more than a window: what is sent is there at once.
    let limits = [u64::MAX, 0].map(|bytes| RekeyLimits { bytes, ..RekeyLimits::default() });
    // The backend's keys are always due, but only `begin_exchange` asks.
    let [near, far] = neighbours(4 << 20, Some("aes128-gcm@openssh.com"), limits).await;
    let mut backend = Backend { connection: far, received: 0, given: 0, adjusted: 0, eof: false };
    let destination = Destination::Tcp { host: "10.0.3.1".to_owned(), port: 22 };
    let tunnel = tokio::select! {
        tunnel = Tunnel::open(near, &destination) => tunnel.unwrap(),
        () = backend.serve() => unreachable!(),
    };
    (tunnel, backend)
}

impl Backend {
    /// Answers for ever.
    async fn serve(&mut self) {
        self.serve_until(|_| false).await;
    }

    /// Answers until something is so.
    async fn serve_until(&mut self, is_so: impl Fn(&Self) -> bool) {
        while !is_so(self) {
            // Now and then also without a packet: the window may have to wait for new keys.
            let packet = self.connection.next_packet();
            if let Ok(packet) = timeout(Duration::from_millis(10), packet).await {
                packet.unwrap();
                self.on_packet();
            }
            self.give_window();
        }
    }

    fn on_packet(&mut self) {
        let packet = self.connection.transport.packet().unwrap().to_vec();
        self.connection.transport.consume();
        let mut r = Reader::new(&packet);
        match r.byte().unwrap() {
            CHANNEL_OPEN => {
                let mut out = vec![CHANNEL_OPEN_CONFIRMATION];
                for number in [0, 7, BACKEND_WINDOW, MAX_DATA] {
                    out.put_uint32(number);
                }
                self.send(&out);
            }
            CHANNEL_DATA => self.received += packet.len() - 9,
            CHANNEL_EOF => self.eof = true,
            CHANNEL_WINDOW_ADJUST => {
                r.uint32().unwrap();
                self.adjusted += r.uint32().unwrap();
            }
            number => panic!("message {number}"),
        }
    }

    fn give_window(&mut self) {
        let due = self.received - self.given;
        if due > 0 && self.connection.transport.can_send() {
            let mut out = vec![CHANNEL_WINDOW_ADJUST];
            out.put_uint32(0);
            out.put_uint32(u32::try_from(due).unwrap());
            self.send(&out);
            self.given += due;
        }
    }

    fn send(&mut self, packet: &[u8]) {
        self.connection.transport.send(&[packet]).unwrap();
    }

    /// Sends all data that the window allows.
    async fn fill_window(&mut self) {
        for _ in 0..WINDOW / MAX_DATA {
            let mut out = vec![CHANNEL_DATA];
            out.put_uint32(0);
            out.put_string(&vec![7; MAX_DATA as usize]);
            self.send(&out);
            self.connection.drain().await.unwrap();
        }
    }

    /// Sends KEXINIT, and is silent until somebody calls [`Self::serve`].
    async fn begin_exchange(&mut self) {
        assert!(self.connection.transport.rekey_if_due(now()).unwrap());
        self.connection.drain().await.unwrap();
    }
}

/// A backend that answers until something is so, in a task of its own: what happens there wakes
/// nobody here by accident.
fn apart(
    mut backend: Backend,
    is_so: impl Fn(&Backend) -> bool + Send + Sync + 'static,
) -> JoinSet<Backend> {
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        backend.serve_until(is_so).await;
        backend
    });
    tasks
}

/// Writes until the tunnel has to listen, and finds the backend's KEXINIT behind all the data.
async fn read_into_exchange(tunnel: &mut Tunnel) {
    let more = vec![1; 2 * BACKEND_WINDOW as usize];
    timeout(SOON, tunnel.write_all(&more)).await.expect_err("the backend is silent");
    assert!(tunnel.connection.transport.in_exchange());
}

/// Waits for what does not take long. A timeout alone does not do: it looks once more when it is
/// over, and so would hide that nobody was woken.
async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    let began = now();
    let done = timeout(SOON, future).await;
    assert!(now() - began < SOON, "{what}: hangs");
    done.expect(what)
}

/// Counts how often a task would be woken.
#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[tokio::test(start_paused = true)]
async fn a_backend_silent_in_a_key_exchange_is_given_up_in_time() {
    for writes in [false, true] {
        let (mut tunnel, mut backend) = open().await;
        backend.begin_exchange().await;
        let began = now();
        let mut bytes = [0; 100];
        let ended = if writes {
            // The first packets may still leave, before the KEXINIT is read.
            loop {
                if let Err(error) = tunnel.write_all(&[1; 4096]).await {
                    break error;
                }
            }
        } else {
            tunnel.read(&mut bytes).await.unwrap_err()
        };
        let took = now() - began;
        assert!(ended.to_string().contains("key exchange"), "{ended}");
        assert!((30..31).contains(&took.as_secs()), "writes: {writes}: {took:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn reader_and_writer_both_learn_that_the_backend_is_silent() {
    for reader_first in [false, true] {
        let (tunnel, mut backend) = open().await;
        backend.begin_exchange().await;
        let (mut read, mut write) = tokio::io::split(tunnel);
        let mut tasks = JoinSet::new();
        let reading = async move { read.read(&mut [0; 100]).await.map(drop) };
        let writing = async move {
            loop {
                write.write_all(&[1; 4096]).await?;
            }
        };
        if reader_first {
            tasks.spawn(reading);
            tokio::task::yield_now().await;
            tasks.spawn(writing);
        } else {
            tasks.spawn(writing);
            tokio::task::yield_now().await;
            tasks.spawn(reading);
        }
        let ended = timeout(Duration::from_secs(31), tasks.join_all()).await.expect("both end");
        assert!(ended.iter().all(Result::is_err), "{ended:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_finished_key_exchange_disturbs_nobody() {
    let (mut tunnel, mut backend) = open().await;
    let mut bytes = [0; 100];
    for _ in 0..3 {
        backend.begin_exchange().await;
        let minute = Duration::from_secs(60);
        let quiet = async {
            tokio::join!(timeout(minute, tunnel.read(&mut bytes)), timeout(minute, backend.serve()))
        };
        let (read, served) = quiet.await;
        assert!(read.is_err() && served.is_err(), "nothing came and nothing ended");
    }
}

#[tokio::test(start_paused = true)]
async fn a_window_used_up_in_a_key_exchange_is_given_back_after_it() {
    let (mut tunnel, mut backend) = open().await;
    backend.fill_window().await;
    backend.begin_exchange().await;
    read_into_exchange(&mut tunnel).await;
    let mut bytes = vec![0; WINDOW as usize];
    tunnel.read_exact(&mut bytes).await.unwrap();
    // Reading on: there is nothing until the backend may send again.
    let given_back = backend.serve_until(|b| b.adjusted > WINDOW / 2);
    tokio::select! {
        read = tunnel.read(&mut bytes) => panic!("{read:?}"),
        () = soon("the window", given_back) => {}
    }
}

#[tokio::test(start_paused = true)]
async fn writing_goes_on_though_nobody_reads_what_lies_before_a_key_exchange() {
    for eof in [false, true] {
        let (mut tunnel, mut backend) = open().await;
        backend.fill_window().await;
        if eof {
            backend.send(&[CHANNEL_EOF, 0, 0, 0, 0]);
        }
        backend.begin_exchange().await;
        let data = vec![1; 1 << 20];
        let total = data.len();
        let served = apart(backend, move |b| b.received == total);
        let written = async {
            tunnel.write_all(&data).await.unwrap();
            tunnel.flush().await.unwrap();
        };
        soon(if eof { "writing after the end" } else { "writing" }, written).await;
        let _backend = soon("all comes", served.join_all()).await;
        let mut bytes = vec![0; WINDOW as usize];
        tunnel.read_exact(&mut bytes).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_writer_is_woken_when_the_reader_saw_the_key_exchange_end() {
    let (mut tunnel, mut backend) = open().await;
    backend.begin_exchange().await;
    let [reader, writer] = [(); 2].map(|()| Arc::new(Wakes::default()));
    let wakers = [&reader, &writer].map(|w| Waker::from(Arc::clone(w)));
    let [mut read_cx, mut write_cx] = wakers.each_ref().map(Context::from_waker);
    let mut bytes = [0; 100];
    let mut read = |tunnel: &mut Tunnel| {
        let mut buf = ReadBuf::new(&mut bytes);
        Pin::new(tunnel).poll_read(&mut read_cx, &mut buf).is_ready()
    };
    // Our KEXINIT answers the backend's; from here on nothing can be written.
    assert!(!read(&mut tunnel));
    let written = Pin::new(&mut tunnel).poll_write(&mut write_cx, b"x");
    assert!(written.is_pending());
    writer.0.store(0, Ordering::SeqCst);
    let exchanges = backend.connection.transport.exchanges();
    while backend.connection.transport.exchanges() == exchanges {
        assert!(!read(&mut tunnel));
        let _ = timeout(Duration::from_millis(1), backend.connection.next_packet()).await;
    }
    assert!(!read(&mut tunnel));
    assert!(tunnel.can_write(), "the reader saw NEWKEYS");
    assert!(writer.0.load(Ordering::SeqCst) > 0, "the writer is woken");
}

#[tokio::test(start_paused = true)]
async fn the_end_is_told_also_in_a_key_exchange() {
    let (mut tunnel, mut backend) = open().await;
    backend.begin_exchange().await;
    poll_fn(|cx| {
        let mut bytes = [0; 1];
        let mut buf = ReadBuf::new(&mut bytes);
        assert!(Pin::new(&mut tunnel).poll_read(cx, &mut buf).is_pending());
        Poll::Ready(())
    })
    .await;
    // All that the exchange needs is there before anybody asks for the end.
    let _ = timeout(SOON, backend.serve()).await;
    let told = apart(backend, |b| b.eof);
    soon("shutdown", tunnel.shutdown()).await.unwrap();
    soon("it is told", told.join_all()).await;
}
