//! Somebody at a terminal: a session with a PTY, and an emulator that says what she sees.

use std::{
    fs,
    num::NonZero,
    sync::Arc,
    time::{Duration, Instant},
};

use russh::{
    Channel, ChannelMsg,
    client::{self, Config, Handle, Msg},
    keys::{PrivateKeyWithHashAlg, load_secret_key},
};
use tokio::time::{sleep_until, timeout};
use vt100::{Parser, Screen};

use crate::{harness::lab, idle::AnyKey, scene::Scene};

/// What is waited for has to be seen within this time; nothing is measured by it.
const PATIENCE: Duration = Duration::from_secs(60);

/// ECMA-48: are you well? A terminal answers it.
const ASK: &[u8] = b"\x1b[5n";

/// What came within some time.
#[derive(Debug, Clone, Copy)]
pub struct Traffic {
    /// Bytes for the terminal.
    pub shown: f64,
    /// Bytes on the wire, headers and acknowledgements of both directions included.
    pub wire: f64,
    pub seconds: f64,
}

/// A terminal with a screen on it.
pub struct Seat {
    channel: Channel<Msg>,
    _connection: Handle<AnyKey>,
    emulator: Parser,
    taken: usize,
    /// Bytes a second that she takes; all of them otherwise.
    slow: Option<usize>,
    /// When she takes the next.
    ready: Instant,
    /// Questions that the terminal has read and not answered.
    asked: usize,
}

impl Seat {
    /// Logs in, and asks for a screen of so many rows and columns. Milliseconds from the end of
    /// authentication until `shown` is seen.
    pub async fn take(
        scene: &Scene,
        port: u16,
        (rows, columns): (u16, u16),
        shown: &str,
    ) -> (Self, f64) {
        let door = format!("{}:{port}", lab().get("LAB_SENTINEL_ADDRESS"));
        // What she has not taken yet waits here, as in OpenSSH's buffers.
        let config = Config { channel_buffer_size: 10_000, ..Config::default() };
        let mut connection = client::connect(Arc::new(config), door, AnyKey).await.unwrap();
        let key = load_secret_key(scene.dir.join("admin"), None).unwrap();
        let key = PrivateKeyWithHashAlg::new(Arc::new(key), None);
        assert!(connection.authenticate_publickey("admin", key).await.unwrap().success(), "login");
        let begun = Instant::now();
        let channel = connection.channel_open_session().await.unwrap();
        let (columns_asked, rows_asked) = (u32::from(columns), u32::from(rows));
        let term = "xterm-256color";
        channel.request_pty(false, term, columns_asked, rows_asked, 0, 0, &[]).await.unwrap();
        channel.request_shell(false).await.unwrap();
        let mut seat = Self {
            channel,
            _connection: connection,
            emulator: Parser::new(cells(rows), cells(columns), 0),
            taken: 0,
            slow: None,
            ready: begun,
            asked: 0,
        };
        let seen = seat.until(|screen| screen.contents().contains(shown)).await;
        (seat, millis(seen - begun))
    }

    /// From now on she takes so many bytes a second.
    pub fn slow_down(&mut self, bytes: usize) {
        self.slow = Some(bytes);
    }

    /// Presses keys, and does not wait.
    pub async fn type_ahead(&self, keys: &str) {
        self.channel.data(keys.as_bytes()).await.unwrap();
    }

    /// Presses keys; milliseconds until `shown`.
    pub async fn press(&mut self, keys: &str, shown: impl Fn(&Screen) -> bool) -> f64 {
        let begun = Instant::now();
        self.type_ahead(keys).await;
        millis(self.until(shown).await - begun)
    }

    /// Bytes for the terminal so far.
    pub fn taken(&self) -> usize {
        self.taken
    }

    /// Looks on for some time.
    pub async fn look(&mut self, time: Duration) -> Traffic {
        let (taken, wire, begun) = (self.taken, on_wire(), Instant::now());
        while let Some(left) = time.checked_sub(begun.elapsed()) {
            let _ = timeout(left, self.next()).await;
        }
        Traffic {
            shown: (self.taken - taken) as f64,
            wire: on_wire() - wire,
            seconds: begun.elapsed().as_secs_f64(),
        }
    }

    /// What she sees.
    pub fn screen(&self) -> &Screen {
        self.emulator.screen()
    }

    /// When it was seen: reading what was shown is not counted.
    async fn until(&mut self, shown: impl Fn(&Screen) -> bool) -> Instant {
        let mut seen = Instant::now();
        let waited = timeout(PATIENCE, async {
            while !shown(self.emulator.screen()) {
                seen = self.next().await;
            }
        });
        assert!(waited.await.is_ok(), "not seen on\n{}", self.emulator.screen().contents());
        seen
    }

    async fn next(&mut self) -> Instant {
        loop {
            sleep_until(self.ready.into()).await;
            self.answer().await;
            match self.channel.wait().await {
                Some(ChannelMsg::Data { data }) => {
                    let seen = Instant::now();
                    self.taken += data.len();
                    self.emulator.process(&data);
                    self.asked += data.windows(ASK.len()).filter(|bytes| *bytes == ASK).count();
                    match self.slow {
                        Some(bytes) => {
                            let time = data.len() as f64 / bytes as f64;
                            self.ready = seen + Duration::from_secs_f64(time);
                        }
                        None => self.answer().await,
                    }
                    return seen;
                }
                Some(_) => {}
                None => panic!("the screen ended\n{}", self.emulator.screen().contents()),
            }
        }
    }

    /// As a terminal does that has come to such a question.
    async fn answer(&mut self) {
        for _ in 0..std::mem::take(&mut self.asked) {
            self.type_ahead("\x1b[0n").await;
        }
    }
}

pub fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// Bytes so far of all interfaces but the loopback of the network that this thread is in.
fn on_wire() -> f64 {
    let table = fs::read_to_string("/proc/thread-self/net/dev").unwrap();
    let interfaces = table.lines().filter_map(|line| line.split_once(':'));
    let interfaces = interfaces.filter(|(name, _)| name.trim() != "lo");
    // proc(5): received bytes are the first column, sent ones the ninth.
    let bytes = interfaces.flat_map(|(_, columns)| {
        let columns: Vec<_> = columns.split_whitespace().collect();
        [columns[0], columns[8]].map(|column| column.parse::<f64>().unwrap())
    });
    bytes.sum()
}

fn cells(count: u16) -> NonZero<u16> {
    NonZero::new(count).unwrap()
}
