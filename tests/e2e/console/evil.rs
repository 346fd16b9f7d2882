//! An Incus that misbehaves when it is told to: a unix socket on the sentinel's host, with two
//! stopped containers `evil-a` and `evil-b` behind it.

use std::{
    fs,
    io::{Read, Write},
    os::unix::net::{UnixListener, UnixStream},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

/// How it behaves when it is asked to do something.
#[derive(Clone)]
pub enum Mode {
    /// It does it.
    Well,
    /// It refuses at once.
    Refuse(u16, &'static str),
    /// It begins, and fails with HTTP 200, as Incus does.
    Fail(&'static str),
    /// These bytes, and the end.
    Say(Vec<u8>),
    /// Nothing, for ever.
    Hang,
    /// A body without end.
    Huge,
}

/// The server; it ends with this.
pub struct Evil {
    /// Where it listens.
    pub socket: PathBuf,
    state: Arc<State>,
}

struct State {
    mode: Mutex<Mode>,
    /// Whether it misbehaves whatever it is asked.
    always: AtomicBool,
    gone: AtomicBool,
}

impl Evil {
    /// Begins to serve, well.
    pub fn new(dir: &Path) -> Self {
        let socket = dir.join("evil.sock");
        let _ = fs::remove_file(&socket);
        let listener = UnixListener::bind(&socket).unwrap();
        let state = Arc::new(State {
            mode: Mutex::new(Mode::Well),
            always: AtomicBool::new(false),
            gone: AtomicBool::new(false),
        });
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            for stream in listener.incoming() {
                if shared.gone.load(Ordering::Relaxed) {
                    return;
                }
                let (stream, shared) = (stream.unwrap(), Arc::clone(&shared));
                // Whoever hangs up is no failure of this side.
                thread::spawn(move || drop(serve(stream, &shared)));
            }
        });
        Self { socket, state }
    }

    /// From now on it behaves so when it is asked to do something.
    pub fn behave(&self, mode: Mode) {
        *self.state.mode.lock().unwrap() = mode;
    }

    /// From now on it behaves so whatever it is asked; those who listened to it hear no more.
    pub fn always(&self, mode: Mode) {
        self.behave(mode);
        self.state.always.store(true, Ordering::Relaxed);
    }
}

impl Drop for Evil {
    fn drop(&mut self) {
        self.state.gone.store(true, Ordering::Relaxed);
        let _ = UnixStream::connect(&self.socket);
    }
}

fn serve(mut stream: UnixStream, state: &State) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let mut words = head.split(' ');
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let header = |name: &str| {
        let mut lines = head.lines().filter_map(|line| line.split_once(": "));
        lines.find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.to_owned())
    };
    let length = header("content-length").and_then(|l| l.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    stream.read_exact(&mut body)?;
    let mode = state.mode.lock().unwrap().clone();
    let always = state.always.load(Ordering::Relaxed);
    if path.starts_with("/1.0/events") && !always {
        return events(stream, &header("sec-websocket-key").unwrap_or_default(), state);
    }
    let waits = path.contains("/wait");
    let mode = if method != "GET" || waits || always { mode } else { Mode::Well };
    match mode {
        Mode::Well => answer(&mut stream, 200, &well(method, path)),
        Mode::Refuse(code, text) => answer(&mut stream, code, &error(code, text)),
        Mode::Fail(text) if waits => answer(&mut stream, 200, &error(500, text)),
        Mode::Fail(_) => answer(&mut stream, 202, &well(method, path)),
        Mode::Say(bytes) => stream.write_all(&bytes),
        Mode::Hang => stream.read_exact(&mut [0]),
        Mode::Huge => {
            write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: 1073741824\r\n\r\n")?;
            // Until whoever asked hangs up.
            loop {
                stream.write_all(&[b' '; 4096])?;
            }
        }
    }
}

fn answer(stream: &mut UnixStream, code: u16, body: &str) -> std::io::Result<()> {
    write!(stream, "HTTP/1.1 {code} X\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

fn error(code: u16, text: &str) -> String {
    serde_json::json!({"type": "error", "error_code": code, "error": text}).to_string()
}

/// What a server that does as it is told says.
fn well(method: &str, path: &str) -> String {
    let instance = |name: &str| {
        serde_json::json!({
            "name": format!("{name}-container"), "type": "container", "status_code": 102,
            "config": {"user.containarium.owner": "alice"}, "state": {},
        })
    };
    let bare = path.split('?').next().unwrap_or_default();
    let metadata = match bare {
        _ if method != "GET" || bare.contains("/operations/") => {
            serde_json::json!({"id": "x", "status_code": 200, "err": ""})
        }
        "/1.0" => serde_json::json!({"auth": "trusted", "environment": {"server_version": "6.6"}}),
        "/1.0/instances" => serde_json::json!([instance("evil-a"), instance("evil-b")]),
        "/1.0/instances/evil-a-container" => instance("evil-a"),
        "/1.0/instances/evil-b-container" => instance("evil-b"),
        _ => serde_json::json!({}),
    };
    serde_json::json!({"type": "sync", "metadata": metadata}).to_string()
}

/// A stream of events in which nothing happens, until everything is bad.
fn events(mut stream: UnixStream, key: &str, state: &State) -> std::io::Result<()> {
    write!(
        stream,
        "HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {}\r\n\r\n",
        derive_accept_key(key.as_bytes())
    )?;
    while !state.always.load(Ordering::Relaxed) && !state.gone.load(Ordering::Relaxed) {
        // An empty ping.
        stream.write_all(&[0x89, 0])?;
        thread::sleep(Duration::from_millis(200));
    }
    Ok(())
}
