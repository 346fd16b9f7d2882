//! A peer that speaks SSH, and keeps no rule unless it wants to: any bytes, any packet, any time.
//!
//! It borrows key exchange, ciphers and signatures from the crate, and makes its packets itself.

mod auth;
mod exchange;
mod halves;
mod payload;
mod session;

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    thread,
    time::{Duration, Instant},
};

pub use self::{
    auth::{Answer, Signed, signed},
    halves::{Receiver, Sender, wait_until_stuck},
    payload::Payload,
    session::Told,
};

/// How long anything may take that is promised to happen: a peer that waits longer is hung. Only a
/// test that fails waits for so long.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// How it calls itself. Not OpenSSH: the door then has no host keys to announce.
pub const IDENT: &str = "SSH-2.0-hostile";

/// One side of a connection.
pub struct Peer {
    /// What it says.
    pub tx: Sender,
    /// What it hears.
    pub rx: Receiver,
    own_ident: Vec<u8>,
    peer_ident: Vec<u8>,
    /// The session identifier, after the first key exchange.
    pub session_id: Option<[u8; 32]>,
    /// Strict key exchange was agreed in the first one.
    pub strict: bool,
}

impl Peer {
    /// A TCP connection on which nothing was said.
    pub fn connect(address: SocketAddr) -> Self {
        Self::new(TcpStream::connect(address).expect("connect"))
    }

    /// The next connection that somebody makes.
    pub fn accept(listener: &TcpListener) -> Self {
        let begun = Instant::now();
        listener.set_nonblocking(true).unwrap();
        loop {
            if let Ok((stream, _)) = listener.accept() {
                stream.set_nonblocking(false).unwrap();
                return Self::new(stream);
            }
            assert!(begun.elapsed() < PATIENCE, "nobody comes");
            thread::sleep(Duration::from_millis(2));
        }
    }

    /// A connection that was accepted or made.
    pub fn new(stream: TcpStream) -> Self {
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        Self {
            tx: Sender::new(stream.try_clone().unwrap()),
            rx: Receiver::new(stream),
            own_ident: Vec::new(),
            peer_ident: Vec::new(),
            session_id: None,
            strict: false,
        }
    }

    /// Exchanges identifications.
    pub fn greet(&mut self, ident: &str) {
        self.own_ident = ident.into();
        self.tx.raw(format!("{ident}\r\n").as_bytes()).expect("ident");
        self.peer_ident = self.rx.line();
    }

    /// Sends one packet; harmless if the other side is gone.
    pub fn send(&mut self, payload: &[u8]) {
        let _ = self.tx.send(payload);
    }

    /// The next packet; `None` at the end of the connection.
    pub fn next(&mut self) -> Option<Vec<u8>> {
        self.rx.next()
    }

    /// Reads to the end of the connection, and returns all payloads.
    pub fn rest(&mut self) -> Vec<Vec<u8>> {
        std::iter::from_fn(|| self.next()).collect()
    }

    /// Asserts that the other side ends the connection, and returns its reason and words.
    #[track_caller]
    pub fn ended(&mut self) -> (u32, String) {
        let rest = self.rest();
        rest.last().and_then(|last| payload::disconnect(last)).unwrap_or_default()
    }
}

/// Bytes as they come, until the end: for connections that never get as far as packets.
pub fn drain(stream: &mut TcpStream) -> Vec<u8> {
    let mut all = Vec::new();
    // A reset is an end, too.
    if let Err(error) = stream.read_to_end(&mut all) {
        assert_ne!(error.kind(), std::io::ErrorKind::WouldBlock, "the connection stays open");
    }
    all
}

/// Sends bytes and returns what comes until the end of the connection.
pub fn exchange_bytes(address: SocketAddr, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).expect("connect");
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut writer = stream.try_clone().unwrap();
    let bytes = bytes.to_vec();
    // In a thread: the other side may stop to read, and end the connection in the middle.
    let writing = thread::spawn(move || {
        let _ = writer.write_all(&bytes);
    });
    let all = drain(&mut stream);
    writing.join().unwrap();
    all
}
