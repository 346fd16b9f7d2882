//! Memory of a sentinel that holds idle sessions.

use std::{
    io::{self, BufRead, BufReader, Write},
    process::{Child, ChildStdin, ChildStdout, Stdio},
    sync::Arc,
    thread,
    time::Duration,
};

use futures_util::future::try_join_all;
use russh::{
    Channel,
    client::{self, Handle, Msg},
    keys::{PrivateKeyWithHashAlg, PublicKeyOrCertificate, load_secret_key},
};

use crate::{
    Effort,
    harness::lab,
    scene::{Scene, Way, anonymous_kib, on_host, resident_kib},
};

/// The argument that makes this program the client that holds sessions.
pub const HOLD: &str = "hold-sessions";

/// Sessions opened at a time: the container's sshd refuses some beyond 10 (`MaxStartups`).
const AT_A_TIME: usize = 8;

/// Memory of one sentinel.
pub struct Idle {
    pub way: Way,
    /// Before the first session.
    pub empty: Kib,
    /// Sessions, and what there is with them.
    pub held: Vec<(usize, Kib)>,
}

/// Memory in KiB.
#[derive(Clone, Copy)]
pub struct Kib {
    /// All that is resident.
    pub resident: f64,
    /// What of it is the process's own.
    pub anonymous: f64,
}

impl Idle {
    /// KiB per session at the largest number of sessions.
    pub fn per_session(&self) -> f64 {
        self.held.last().map_or(0.0, |(n, kib)| (kib.resident - self.empty.resident) / *n as f64)
    }
}

/// Holds sessions through sentinels that have just started.
pub fn measure(scene: &Scene, effort: &Effort) -> Vec<Idle> {
    // By link a session is two more processes on the backend: the larger numbers would measure it.
    let (few, all) = (&effort.idle[..1], effort.idle);
    [(Way::Door, all, 2211), (Way::Link, few, 2212)]
        .map(|(way, counts, port)| {
            let sentinel = scene.fresh_door(way, port);
            let empty = settled(sentinel.pid());
            let mut holder = Holder::start(scene, port);
            let mut held = Vec::new();
            for count in counts {
                eprintln!("{count} idle sessions, {}", way.title());
                holder.grow_to(*count);
                held.push((*count, settled(sentinel.pid())));
            }
            Idle { way, empty, held }
        })
        .into()
}

/// Its memory, once it has stopped growing.
fn settled(pid: u32) -> Kib {
    let mut last = 0.0;
    for _ in 0..40 {
        thread::sleep(Duration::from_millis(500));
        let resident = resident_kib(pid);
        if resident <= last {
            break;
        }
        last = resident;
    }
    Kib { resident: resident_kib(pid), anonymous: anonymous_kib(pid) }
}

/// The process that holds sessions, on the client's host.
struct Holder {
    child: Child,
    ask: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Holder {
    fn start(scene: &Scene, port: u16) -> Self {
        let door = format!("{}:{port}", lab().get("LAB_SENTINEL_ADDRESS"));
        let program = std::env::current_exe().unwrap();
        let mut child = on_host("client", program.to_str().unwrap())
            .args([HOLD, &door])
            .arg(scene.dir.join("alice"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let answers = BufReader::new(child.stdout.take().unwrap());
        Self { ask: child.stdin.take().unwrap(), answers, child }
    }

    fn grow_to(&mut self, count: usize) {
        writeln!(self.ask, "{count}").unwrap();
        let mut line = String::new();
        self.answers.read_line(&mut line).unwrap();
        assert_eq!(line.trim(), count.to_string(), "sessions are held");
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

struct Session {
    _connection: Handle<AnyKey>,
    _channel: Channel<Msg>,
}

/// Takes every host key: recognising them is the business of tests.
pub struct AnyKey;

impl client::Handler for AnyKey {
    type Error = russh::Error;

    async fn check_server_key(&mut self, _: &PublicKeyOrCertificate) -> Result<bool, Self::Error> {
        Ok(true)
    }
}

/// Reads numbers from standard input; has that many sessions open when it repeats the number.
/// Each is an authenticated connection with a session channel in which nothing was started.
pub fn hold(arguments: &[String]) {
    let [door, key] = arguments else { panic!("{HOLD} ADDRESS KEY") };
    let key = Arc::new(load_secret_key(key, None).unwrap());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let config = Arc::new(client::Config::default());
    // Lines are read in a thread of their own, for the sessions need the runtime meanwhile.
    let (send, mut lines) = tokio::sync::mpsc::channel(1);
    thread::spawn(move || {
        for line in io::stdin().lock().lines().map_while(Result::ok) {
            if send.blocking_send(line).is_err() {
                break;
            }
        }
    });
    runtime.block_on(async {
        let mut sessions: Vec<Session> = Vec::new();
        while let Some(line) = lines.recv().await {
            let wanted: usize = line.trim().parse().unwrap();
            while sessions.len() < wanted {
                let n = AT_A_TIME.min(wanted - sessions.len());
                let opening = (0..n).map(|_| open(&config, door, &key));
                sessions.extend(try_join_all(opening).await.expect("sessions"));
            }
            println!("{wanted}");
        }
    });
}

async fn open(
    config: &Arc<client::Config>,
    door: &str,
    key: &Arc<russh::keys::PrivateKey>,
) -> Result<Session, russh::Error> {
    let mut connection = client::connect(Arc::clone(config), door, AnyKey).await?;
    let key = PrivateKeyWithHashAlg::new(Arc::clone(key), None);
    let done = connection.authenticate_publickey("bench", key).await?;
    assert!(done.success(), "login");
    let channel = connection.channel_open_session().await?;
    Ok(Session { _connection: connection, _channel: channel })
}
