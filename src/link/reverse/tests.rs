//! A host's own connection against a host that echoes, stalls, breaks the rules or falls silent. Time
//! is virtual.

use std::{collections::BTreeMap, future::Future};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    task::JoinSet,
};

use super::{
    channel::{FIRST_WINDOW, LARGEST_WINDOW, MAX_DATA},
    mux::MAX_CHANNELS,
    *,
};
use crate::{
    clock::now,
    link::{
        channel_message::about,
        connection::{Connection, ConnectionError},
        neighbours::neighbours,
    },
    model::{
        authorized_keys::{AuthorizedKey, KeyOptions},
        key::PublicKey,
    },
    wire::{
        codec::{Reader, Write},
        message::{
            CHANNEL_CLOSE, CHANNEL_DATA, CHANNEL_EOF, CHANNEL_OPEN, CHANNEL_OPEN_CONFIRMATION,
            CHANNEL_OPEN_FAILURE, CHANNEL_WINDOW_ADJUST, GLOBAL_REQUEST, REQUEST_FAILURE,
            REQUEST_SUCCESS,
        },
        transport::RekeyLimits,
    },
};

/// What a test waits for happens within this, or never: nothing here takes time.
const SOON: Duration = Duration::from_secs(4);

/// What the host does with streams.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Does {
    /// Says again what it hears.
    Echo,
    /// Sends as much as the window allows, for ever.
    Flood,
    /// Does not answer that it opens them.
    Nothing,
    /// Refuses them.
    Refuse,
}

/// A stream as the host sees it.
#[derive(Default)]
struct Far {
    /// Bytes that it may send, and those that wait for that.
    window: u32,
    held: Vec<u8>,
    has_eof: bool,
    sent_close: bool,
}

/// The host's ssh client.
struct Host {
    connection: Connection,
    does: Does,
    streams: BTreeMap<u32, Far>,
    opened: usize,
    replies: Vec<u8>,
    /// Reasons for which something was not opened for it.
    refusals: Vec<String>,
}

async fn pair(does: Does, bytes: u64) -> (Node, Host) {
    let own = RekeyLimits { bytes, ..RekeyLimits::default() };
    let [far, near] =
        neighbours(1 << 20, Some("aes128-gcm@openssh.com"), [RekeyLimits::default(), own]).await;
    let node = Node::new(near, "home-1".parse().unwrap());
    let (streams, opened) = (BTreeMap::new(), 0);
    let (replies, refusals) = (Vec::new(), Vec::new());
    (node, Host { connection: far, does, streams, opened, replies, refusals })
}

/// A tunnel whose two ends run in tasks.
async fn tunnel(does: Does, bytes: u64) -> (Reverse, JoinSet<Result<Host, ReverseError>>) {
    let (mut node, mut host) = pair(does, bytes).await;
    host.ask_forward("home-1", PORT);
    let reverse = tokio::select! {
        reverse = soon("the forward", node.forwarded()) => reverse.unwrap(),
        _ = host.serve() => panic!("the host left"),
    };
    let mut tasks = JoinSet::new();
    tasks.spawn(async move { Err(node.run().await) });
    tasks.spawn(async move {
        let _ = host.serve().await;
        Ok(host)
    });
    (reverse, tasks)
}

async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    timeout(SOON, future).await.unwrap_or_else(|_| panic!("{what}: hangs"))
}

impl Host {
    fn send(&mut self, packet: &[u8]) {
        self.connection.transport.answer(packet).unwrap();
    }

    fn ask_forward(&mut self, name: &str, port: u32) {
        let mut out = vec![GLOBAL_REQUEST];
        out.put_string(b"tcpip-forward");
        out.push(1);
        out.put_string(name.as_bytes());
        out.put_uint32(port);
        self.send(&out);
    }

    /// Answers until the connection ends; how it did.
    async fn serve(&mut self) -> ConnectionError {
        loop {
            if let Err(error) = self.connection.next_packet().await {
                return error;
            }
            self.on_packet();
        }
    }

    fn on_packet(&mut self) {
        let packet = self.connection.transport.packet().unwrap().to_vec();
        self.connection.transport.consume();
        let mut r = Reader::new(&packet);
        let number = r.byte().unwrap();
        match number {
            REQUEST_SUCCESS | REQUEST_FAILURE => return self.replies.push(number),
            GLOBAL_REQUEST => return self.send(&[REQUEST_FAILURE]),
            CHANNEL_OPEN => {
                assert_eq!(r.text(), Ok("forwarded-tcpip"));
                let (id, window) = (r.uint32().unwrap(), r.uint32().unwrap());
                return self.on_open(id, window);
            }
            CHANNEL_OPEN_FAILURE => {
                r.bytes(8).unwrap();
                return self.refusals.push(r.text().unwrap().to_owned());
            }
            _ => {}
        }
        let id = r.uint32().unwrap();
        let does = self.does;
        let stream = self.streams.get_mut(&id).expect("an open stream");
        match number {
            CHANNEL_DATA => {
                let data = r.string().unwrap();
                if does == Does::Echo {
                    stream.held.extend_from_slice(data);
                }
                let len = u32::try_from(data.len()).unwrap();
                self.send(&about(CHANNEL_WINDOW_ADJUST, id, Some(len)));
            }
            CHANNEL_WINDOW_ADJUST => stream.window += r.uint32().unwrap(),
            CHANNEL_EOF => stream.has_eof = true,
            CHANNEL_CLOSE => {
                let was_sent = stream.sent_close;
                self.streams.remove(&id);
                if !was_sent {
                    self.send(&about(CHANNEL_CLOSE, id, None));
                }
                return;
            }
            number => panic!("message {number}"),
        }
        self.fill(id);
    }

    fn on_open(&mut self, id: u32, window: u32) {
        self.opened += 1;
        match self.does {
            Does::Nothing => return,
            Does::Refuse => {
                let mut out = about(CHANNEL_OPEN_FAILURE, id, Some(2));
                out.put_string(b"nobody is there");
                out.put_string(b"");
                return self.send(&out);
            }
            Does::Echo | Does::Flood => {}
        }
        let mut out = about(CHANNEL_OPEN_CONFIRMATION, id, Some(id));
        out.put_uint32(3 * MAX_DATA);
        out.put_uint32(MAX_DATA);
        self.send(&out);
        self.streams.insert(id, Far { window, ..Far::default() });
        self.fill(id);
    }

    /// Sends what there is to say, as far as the window goes.
    fn fill(&mut self, id: u32) {
        let does = self.does;
        let Some(stream) = self.streams.get_mut(&id) else { return };
        if does == Does::Flood {
            stream.held = vec![7; stream.window as usize];
        }
        let mut packets = Vec::new();
        while !stream.held.is_empty() && stream.window > 0 && !stream.sent_close {
            let n = stream.held.len().min(stream.window.min(MAX_DATA) as usize);
            let mut out = about(CHANNEL_DATA, id, None);
            out.put_string(&stream.held[..n]);
            stream.held.drain(..n);
            stream.window -= u32::try_from(n).unwrap();
            packets.push(out);
        }
        if stream.has_eof
            && stream.held.is_empty()
            && !std::mem::replace(&mut stream.sent_close, true)
        {
            packets.push(about(CHANNEL_EOF, id, None));
            packets.push(about(CHANNEL_CLOSE, id, None));
        }
        for packet in packets {
            self.send(&packet);
        }
    }
}

/// Sends so many bytes and gets them back.
async fn round_trip(reverse: &Reverse, len: usize) {
    let (mut read, mut write) = tokio::io::split(reverse.open().await.unwrap());
    let said: Vec<u8> = (0..len).map(|n| u8::try_from(n % 251).unwrap()).collect();
    let mut heard = Vec::new();
    let speak = async {
        write.write_all(&said).await.unwrap();
        write.shutdown().await.unwrap();
    };
    let ((), n) = tokio::join!(speak, read.read_to_end(&mut heard));
    assert_eq!((n.unwrap(), heard == said), (len, true));
}

async fn until_streams_are(reverse: &Reverse, count: usize) {
    let fewer = async {
        while reverse.streams() > count {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    soon("streams end", fewer).await;
}

#[tokio::test(start_paused = true)]
async fn streams_carry_bytes_both_ways_at_the_same_time_also_while_keys_change() {
    for bytes in [1 << 30, 100_000] {
        let (reverse, _tasks) = tunnel(Does::Echo, bytes).await;
        let trips = (0..20).map(|n| round_trip(&reverse, n * 50_000));
        soon("all trips", futures_util::future::join_all(trips)).await;
        until_streams_are(&reverse, 0).await;
    }
}

#[tokio::test(start_paused = true)]
async fn one_that_is_not_read_stops_itself_and_nobody_else() {
    let (reverse, _tasks) = tunnel(Does::Flood, 1 << 30).await;
    let mut stalled = Vec::new();
    for _ in 0..10 {
        stalled.push(soon("open", reverse.open()).await.unwrap());
    }
    let mut busy = soon("open", reverse.open()).await.unwrap();
    let mut bytes = vec![0; 10 * LARGEST_WINDOW as usize];
    soon("the busy one", busy.read_exact(&mut bytes)).await.unwrap();
    // What a stalled one holds is its first window; then it goes on where it stopped.
    let mut first = vec![0; FIRST_WINDOW as usize];
    for stream in &mut stalled {
        soon("the others", stream.read_exact(&mut first)).await.unwrap();
    }
    drop((stalled, busy));
    until_streams_are(&reverse, 0).await;
}

#[tokio::test(start_paused = true)]
async fn a_host_that_sends_more_than_it_may_is_thrown_out() {
    let (mut node, mut host) = pair(Does::Flood, 1 << 30).await;
    host.ask_forward("home-1", PORT);
    let reverse = tokio::select! {
        reverse = node.forwarded() => reverse.unwrap(),
        _ = host.serve() => panic!("the host left"),
    };
    let mut stream = tokio::select! {
        stream = reverse.open() => stream.unwrap(),
        error = node.run() => panic!("{error}"),
        _ = host.serve() => panic!("the host left"),
    };
    let id = *host.streams.keys().next().unwrap();
    let mut out = about(CHANNEL_DATA, id, None);
    out.put_string(b"x");
    host.send(&out);
    let error = tokio::select! {
        error = soon("the end", node.run()) => error,
        _ = host.serve() => panic!("the host left"),
    };
    assert_eq!(error.to_string(), "protocol error: window exceeded");
    drop(node);
    let mut bytes = Vec::new();
    let ended = soon("the stream", stream.read_to_end(&mut bytes)).await;
    assert!(ended.is_err() && bytes.len() == FIRST_WINDOW as usize, "{ended:?}");
    assert!(reverse.open().await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_host_may_forward_its_sshd_under_its_own_name_and_nothing_else() {
    for (name, port) in [("home-2", PORT), ("home-1", 8080), ("localhost", PORT), ("", 0)] {
        let (mut node, mut host) = pair(Does::Echo, 1 << 30).await;
        host.ask_forward(name, port);
        let error = tokio::select! {
            outcome = soon("the end", node.forwarded()) => outcome.err().expect(name),
            _ = host.serve() => panic!("the host left"),
        };
        let sentence = "this key forwards with `-R home-1:22:HOST:PORT` and not otherwise";
        assert_eq!(error.to_string(), sentence);
    }
    let (mut node, mut host) = pair(Does::Echo, 1 << 30).await;
    for kind in ["session", "direct-tcpip", "tun@openssh.com", "forwarded-tcpip"] {
        let mut out = vec![CHANNEL_OPEN];
        out.put_string(kind.as_bytes());
        for n in [9, 1000, 1000] {
            out.put_uint32(n);
        }
        host.send(&out);
    }
    for name in ["streamlocal-forward@openssh.com", "no-more-sessions@openssh.com"] {
        let mut out = vec![GLOBAL_REQUEST];
        out.put_string(name.as_bytes());
        out.push(1);
        host.send(&out);
    }
    host.ask_forward("home-1", PORT);
    let answered = async {
        while host.replies.len() < 3 {
            host.connection.next_packet().await.unwrap();
            host.on_packet();
        }
    };
    tokio::select! {
        error = node.run() => panic!("{error}"),
        () = soon("answers", answered) => {}
    }
    assert_eq!(host.replies, [REQUEST_FAILURE, REQUEST_FAILURE, REQUEST_SUCCESS]);
    assert_eq!(host.refusals.len(), 4);
    assert!(host.refusals.iter().all(|r| r.contains("carries its tunnel and nothing else")));
}

#[tokio::test(start_paused = true)]
async fn streams_that_are_refused_or_given_up_leave_nothing_and_are_bounded() {
    let (reverse, _tasks) = tunnel(Does::Refuse, 1 << 30).await;
    let refused = soon("the refusal", reverse.open()).await.err().unwrap();
    assert!(refused.to_string().ends_with("nobody is there"), "{refused}");
    until_streams_are(&reverse, 0).await;

    let (reverse, tasks) = tunnel(Does::Nothing, 1 << 30).await;
    let mut waiting = JoinSet::new();
    for _ in 0..MAX_CHANNELS {
        let reverse = reverse.clone();
        waiting.spawn(async move { reverse.open().await.map(drop) });
    }
    while reverse.streams() < MAX_CHANNELS {
        tokio::task::yield_now().await;
    }
    let error = soon("one more", reverse.open()).await.err().unwrap();
    assert_eq!(error.to_string(), "its tunnel carries as many streams as it may");
    drop((waiting, tasks));

    // One that is given up before the host answers is closed when it does.
    let (mut node, mut host) = pair(Does::Nothing, 1 << 30).await;
    host.ask_forward("home-1", PORT);
    let reverse = tokio::select! {
        reverse = node.forwarded() => reverse.unwrap(),
        _ = host.serve() => panic!("the host left"),
    };
    let asked = async {
        while host.opened == 0 {
            host.connection.next_packet().await.unwrap();
            host.on_packet();
        }
    };
    tokio::select! {
        _ = reverse.open() => panic!("nobody answered"),
        error = node.run() => panic!("{error}"),
        () = asked => {}
    }
    assert_eq!(reverse.streams(), 1);
    host.does = Does::Echo;
    host.on_open(0, FIRST_WINDOW);
    tokio::select! {
        () = until_streams_are(&reverse, 0) => {}
        error = node.run() => panic!("{error}"),
        error = host.serve() => panic!("{error}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_host_that_answers_stays_and_one_that_is_silent_is_given_up() {
    let (mut node, mut host) = pair(Does::Echo, 1 << 30).await;
    tokio::select! {
        error = node.run() => panic!("{error}"),
        error = host.serve() => panic!("{error}"),
        () = tokio::time::sleep(Duration::from_secs(600)) => {}
    }
    let began = now();
    let error = node.run().await;
    assert!(matches!(error, ReverseError::Silent), "{error}");
    let took = now() - began;
    assert!((10..=25).contains(&took.as_secs()), "{took:?}");
    // Also when it falls silent in a key exchange.
    let (mut node, mut host) = pair(Does::Echo, 0).await;
    host.ask_forward("home-1", PORT);
    let _ = host.connection.drain().await;
    let began = now();
    let error = node.run().await;
    let took = now() - began;
    assert!((10..=35).contains(&took.as_secs()), "{error}: {took:?}");
}

#[tokio::test(start_paused = true)]
async fn everybody_learns_that_the_connection_ended() {
    let (reverse, mut tasks) = tunnel(Does::Flood, 1 << 30).await;
    let mut stream = soon("open", reverse.open()).await.unwrap();
    let mut writer = soon("open", reverse.open()).await.unwrap();
    tasks.abort_all();
    let ends = async {
        let mut bytes = Vec::new();
        assert!(stream.read_to_end(&mut bytes).await.is_err());
        let bytes = vec![0; 1 << 20];
        assert!(writer.write_all(&bytes).await.is_err());
    };
    soon("streams", ends).await;
    assert!(reverse.open().await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_second_tunnel_takes_the_place_of_the_first_and_is_not_taken_out_by_it() {
    let tunnels = Tunnels::default();
    let name: BackendName = "home-1".parse().unwrap();
    let mut changes = tunnels.changes();
    assert_eq!((tunnels.state(&name), changes.is_there(&name)), (None, None));
    let missing = tunnels.open(&name).await.err().unwrap();
    assert_eq!(missing.to_string(), "its host is not connected");
    let (first, _first_tasks) = tunnel(Does::Refuse, 1 << 30).await;
    let (second, _second_tasks) = tunnel(Does::Echo, 1 << 30).await;
    let at = |port| (SocketAddr::from(([192, 0, 2, 1], port)), Timestamp::UNIX_EPOCH);
    let first = tunnels.enter(&name, first, at(1));
    soon("a change", changes.next()).await;
    assert!(soon("refusal", tunnels.open(&name)).await.is_err());
    let second = tunnels.enter(&name, second, at(2));
    soon("the end of the first", first.replaced()).await;
    drop(first);
    let (source, since) = at(2);
    assert_eq!(tunnels.state(&name), Some(State::Connected { since, source, streams: 0 }));
    let line = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJqRmYdWkC8NSTf4eDvyGUj0zaPbhj8gHZMpiUm+3HXQ";
    let key = PublicKey::from_line(line).unwrap();
    let line = AuthorizedKey { key, options: KeyOptions::default() };
    let address = SshAddress::Tunnel(line);
    let mut socket = tunnels.connect(&name, &address, SOON).await.unwrap();
    socket.write_all(b"hello").await.unwrap();
    let mut heard = [0; 5];
    soon("echo", socket.read_exact(&mut heard)).await.unwrap();
    assert_eq!(&heard, b"hello");
    drop(second);
    assert_eq!(changes.is_there(&name), Some(false));
    assert!(matches!(tunnels.state(&name), Some(State::Lost { .. })));
}
