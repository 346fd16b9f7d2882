//! The console over an in-memory stream, with a real SSH client.
#![expect(clippy::wildcard_enum_match_arm, reason = "a client leaves most messages unread")]

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use russh::{
    Channel, ChannelMsg,
    ChannelOpenFailure::{self, AdministrativelyProhibited, ConnectFailed},
    Sig,
    client::{self, DisconnectReason, Handle, Handler, Msg},
};
use tokio::{
    io::{AsyncWriteExt, duplex, split},
    sync::watch,
    task::JoinSet,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{
    Console, Enter, Leave, OpenPort, Services, Stream, Turned, Visit,
    control::{Control, ControlError, Stdio, run_remote},
};
use crate::{
    command::{context::Environment, testing::*},
    fleet::Fleet,
    model::inventory::{Inventory, Presence},
    tui,
};

/// One visitor: her client, and the task that serves her.
struct Visitor {
    client: Handle<Peer>,
    parted: Arc<Mutex<Option<String>>>,
    server: JoinSet<()>,
    leave: Leave,
}

struct Peer {
    pinned: String,
    parted: Arc<Mutex<Option<String>>>,
}

impl Handler for Peer {
    type Error = russh::Error;

    async fn check_server_key(
        &mut self,
        key: &russh::keys::PublicKeyOrCertificate,
    ) -> Result<bool, Self::Error> {
        let russh::keys::PublicKeyOrCertificate::PublicKey { key, .. } = key else {
            return Ok(false);
        };
        Ok(key.fingerprint(ssh_key::HashAlg::Sha256).to_string() == self.pinned)
    }

    async fn disconnected(
        &mut self,
        reason: DisconnectReason<Self::Error>,
    ) -> Result<(), Self::Error> {
        if let DisconnectReason::ReceivedDisconnect(info) = reason {
            *self.parted.lock().unwrap() = Some(info.message);
        }
        Ok(())
    }
}

/// What came back on a session, and the order in which its end was told.
#[derive(Debug, Default, PartialEq)]
struct Answer {
    stdout: String,
    stderr: String,
    status: Option<u32>,
    end: Vec<&'static str>,
}

fn services(inventory: Inventory, open_port: OpenPort) -> Services {
    let fleet = Fleet::fixed(watch::channel(Arc::new(inventory)).1);
    let environment =
        Environment { version: "0.0.0-test", ..Environment::new(fleet, config(), at(0)) };
    Services { environment: Arc::new(environment), open_port }
}

fn nothing_opens() -> OpenPort {
    Arc::new(|_, _| Box::pin(async { Err("connection refused".to_owned()) }))
}

fn console() -> Arc<Console> {
    Arc::new(Console::new(services(fleet(), nothing_opens())).unwrap())
}

async fn enter(console: &Arc<Console>, visit: Visit) -> Visitor {
    // russh reads nothing while it writes: with a client that does so, too, neither may ever have to
    // wait. The door always reads.
    let (ours, theirs) = duplex(1 << 20);
    let mut server = JoinSet::new();
    let pinned = console.host_key().fingerprint();
    let console = Arc::clone(console);
    let leave = Leave::default();
    let wanted = leave.clone();
    server.spawn(async move { console.serve(theirs, visit, wanted).await.unwrap() });
    // A channel that is not read holds two messages, then the whole client stops reading.
    let config = client::Config {
        channel_buffer_size: 2,
        window_size: 128 * 1024,
        ..client::Config::default()
    };
    let parted = Arc::new(Mutex::new(None));
    let peer = Peer { pinned, parted: Arc::clone(&parted) };
    let mut client = client::connect_stream(Arc::new(config), ours, peer).await.unwrap();
    assert!(client.authenticate_none("anybody").await.unwrap().success());
    Visitor { client, parted, server, leave }
}

async fn exec(visitor: &Visitor, line: &str) -> Answer {
    let channel = visitor.client.channel_open_session().await.unwrap();
    channel.exec(true, line).await.unwrap();
    answer(channel).await
}

async fn answer(mut channel: Channel<Msg>) -> Answer {
    let (mut answer, mut stdout, mut stderr) = (Answer::default(), Vec::new(), Vec::new());
    while let Some(message) = channel.wait().await {
        match message {
            ChannelMsg::Data { data } => stdout.extend_from_slice(&data),
            ChannelMsg::ExtendedData { data, ext: 1 } => stderr.extend_from_slice(&data),
            ChannelMsg::ExitStatus { exit_status } => {
                answer.status = Some(exit_status);
                answer.end.push("status");
            }
            ChannelMsg::Eof => answer.end.push("eof"),
            ChannelMsg::Close => answer.end.push("close"),
            ChannelMsg::Failure => answer.end.push("failure"),
            _ => {}
        }
    }
    answer.stdout = String::from_utf8(stdout).unwrap();
    answer.stderr = String::from_utf8(stderr).unwrap();
    answer
}

fn apology() -> Visit {
    Visit::Apology { sentence: "spot-1 has been away for 10m; try later".to_owned(), status: 75 }
}

#[tokio::test]
async fn a_command_runs_with_its_outputs_apart_and_its_end_in_order() {
    let visitor = enter(&console(), Visit::Console(admin(), None)).await;
    let list = exec(&visitor, "list --json").await;
    let json: serde_json::Value = serde_json::from_str(&list.stdout).unwrap();
    assert_eq!(json.as_array().unwrap().len(), 3);
    assert_eq!((list.stderr.as_str(), list.status), ("", Some(0)));
    assert_eq!(list.end, ["status", "eof", "close"]);
    let plain = exec(&visitor, "list").await;
    assert!(plain.stdout.starts_with("NAME "), "{plain:?}");
    assert!(plain.stderr.starts_with("note: 1 more hidden"), "{plain:?}");
    let unknown = exec(&visitor, "frobnicate 'a b'").await;
    assert_eq!(unknown.status, Some(2));
    assert_eq!(unknown.stdout, "");
    assert!(unknown.stderr.starts_with("error: unrecognized subcommand 'frobnicate'\nhint: "));
}

#[tokio::test]
async fn an_administrator_with_a_terminal_has_screens_until_she_leaves() {
    let visitor = enter(&console(), Visit::Console(admin(), None)).await;
    for (command, keys) in [(None, "q"), (None, "\x03"), (Some("alice"), "?\x1b[Aq")] {
        let channel = visitor.client.channel_open_session().await.unwrap();
        channel.request_pty(true, "xterm", 80, 24, 0, 0, &[]).await.unwrap();
        match command {
            None => channel.request_shell(true).await.unwrap(),
            Some(name) => channel.exec(true, name).await.unwrap(),
        }
        channel.data(keys.as_bytes()).await.unwrap();
        let screen = answer(channel).await;
        assert_eq!((screen.stderr.as_str(), screen.status), ("", Some(0)));
        let (enters, leaves) = ("\x1b[?1049h", "\x1b[?1049l");
        assert!(screen.stdout.starts_with(enters) || screen.stdout == tui::surface::LEAVE);
        assert!(screen.stdout.ends_with(leaves), "{:?}", screen.stdout);
    }
    let visitor = enter(&console(), Visit::Console(member("alice"), None)).await;
    let channel = visitor.client.channel_open_session().await.unwrap();
    channel.request_pty(true, "xterm", 80, 24, 0, 0, &[]).await.unwrap();
    channel.request_shell(true).await.unwrap();
    let help = answer(channel).await;
    assert!(help.stdout.contains("\r\nCommands:\r\n"), "{:?}", help.stdout);
}

#[tokio::test]
async fn a_connection_that_has_to_end_takes_its_screens_back_and_tells_no_status() {
    let mut visitor = enter(&console(), Visit::Console(admin(), None)).await;
    let mut channel = visitor.client.channel_open_session().await.unwrap();
    channel.request_pty(true, "xterm", 80, 24, 0, 0, &[]).await.unwrap();
    channel.request_shell(true).await.unwrap();
    let is_data = |message: &ChannelMsg| matches!(message, ChannelMsg::Data { .. });
    while !channel.wait().await.as_ref().is_some_and(is_data) {}
    let idle = visitor.client.channel_open_session().await.unwrap();
    visitor.leave.end("she is sent away");
    let screen = answer(channel).await;
    assert!(screen.stdout.ends_with(tui::surface::LEAVE), "{screen:?}");
    assert_eq!(screen.stderr, "error: she is sent away\r\n", "{screen:?}");
    assert_eq!((screen.status, screen.end.as_slice()), (None, &["eof", "close"][..]), "{screen:?}");
    drop(idle);
    visitor.server.join_next().await.unwrap().unwrap();
    assert_eq!(visitor.parted.lock().unwrap().as_deref(), Some("ended"));
}

#[tokio::test]
async fn a_member_cannot_see_others() {
    let visitor = enter(&console(), Visit::Console(member("alice"), None)).await;
    assert_eq!(exec(&visitor, "list -q").await.stdout, "alice\n");
    assert_eq!(exec(&visitor, "info bob").await.status, Some(3));
    assert_eq!(exec(&visitor, "status").await.status, Some(77));
}

#[tokio::test]
async fn shells_and_subsystems_and_second_requests_end_politely() {
    let visitor = enter(&console(), Visit::Console(admin(), None)).await;
    let channel = visitor.client.channel_open_session().await.unwrap();
    channel.set_env(true, "LANG", "C").await.unwrap();
    channel.request_shell(true).await.unwrap();
    let bare = answer(channel).await;
    assert_eq!((bare.stdout.as_str(), bare.status), ("", Some(2)));
    assert!(bare.stderr.contains("\nCommands:\n  create "), "{}", bare.stderr);

    let channel = visitor.client.channel_open_session().await.unwrap();
    channel.request_pty(true, "dumb", 80, 24, 0, 0, &[]).await.unwrap();
    channel.window_change(100, 30, 0, 0).await.unwrap();
    channel.request_shell(true).await.unwrap();
    let shell = answer(channel).await;
    assert_eq!((shell.stderr.as_str(), shell.status), ("", Some(0)));
    assert!(shell.stdout.contains("\r\nCommands:\r\n  create "), "{:?}", shell.stdout);

    let channel = visitor.client.channel_open_session().await.unwrap();
    channel.request_subsystem(true, "sftp").await.unwrap();
    channel.exec(true, "version").await.unwrap();
    channel.exec(true, "whoami").await.unwrap();
    let version = answer(channel).await;
    assert_eq!(version.stdout, "containarium 0.0.0-test\n");
    assert_eq!(version.end.first(), Some(&"failure"), "sftp is refused, then the exec runs");
}

#[tokio::test]
async fn an_apology_is_one_sentence_whatever_was_asked() {
    let visitor = enter(&console(), apology()).await;
    for request in ["exec", "shell", "sftp", "pty"] {
        let channel = visitor.client.channel_open_session().await.unwrap();
        match request {
            "exec" => channel.exec(true, "rsync --server").await.unwrap(),
            "sftp" => channel.request_subsystem(true, "sftp").await.unwrap(),
            _ => {
                if request == "pty" {
                    channel.request_pty(true, "xterm", 80, 24, 0, 0, &[]).await.unwrap();
                }
                channel.request_shell(true).await.unwrap();
            }
        }
        let answer = answer(channel).await;
        assert_eq!((answer.stdout.as_str(), answer.status), ("", Some(75)), "{request}");
        let end = if request == "pty" { "\r\n" } else { "\n" };
        let sentence = format!("error: spot-1 has been away for 10m; try later{end}");
        assert_eq!(answer.stderr, sentence, "{request}");
    }
    assert!(matches!(refusal(&visitor, "alice", 22).await, AdministrativelyProhibited));
    assert!(visitor.client.tcpip_forward("localhost", 8080).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn an_apology_without_a_session_ends_after_a_while_and_a_console_does_not() {
    let mut sorry = enter(&console(), apology()).await;
    let mut admin = enter(&console(), Visit::Console(admin(), None)).await;
    assert!(timeout(Duration::from_secs(9), sorry.server.join_next()).await.is_err());
    timeout(Duration::from_secs(6), sorry.server.join_next()).await.unwrap().unwrap().unwrap();
    let parted = sorry.parted.lock().unwrap().clone();
    assert_eq!(parted.as_deref(), Some("spot-1 has been away for 10m; try later"));
    assert!(timeout(Duration::from_secs(86_400), admin.server.join_next()).await.is_err());
    assert_eq!(exec(&admin, "version").await.status, Some(0));
}

#[tokio::test]
async fn a_choice_lists_the_containers_and_lets_jump() {
    let containers = vec!["alice".parse().unwrap(), "bob".parse().unwrap()];
    let enter_none = Enter::new(|name, _| {
        let turned = Turned { sentence: format!("{name} is shut"), status: 75 };
        Box::pin(async { Err(turned) })
    });
    let visit = Visit::Choice { principal: member("dave"), containers, enter: enter_none };
    let visitor = enter(&console(), visit).await;
    let answer = exec(&visitor, "hostname").await;
    assert_eq!((answer.stdout.as_str(), answer.status), ("", Some(2)));
    assert_eq!(
        answer.stderr,
        "error: several containers know this key: alice, bob\n\
         hint: log in as the one you mean: ssh -l alice HOST\n"
    );
    assert!(matches!(refusal(&visitor, "alice", 22).await, ConnectFailed));
    assert!(matches!(refusal(&visitor, "bob", 22).await, AdministrativelyProhibited));
}

/// A fleet whose list is well over 1 MiB.
fn large_fleet() -> Inventory {
    let containers = (0..20_000).map(|i| container(&format!("c{i}"), "spot-1", Some("10.0.3.1")));
    let up = Presence::Up { since: at(0) };
    Inventory::new(vec![backend("spot-1", up, containers.collect())])
}

#[tokio::test(start_paused = true)]
async fn a_slow_reader_gets_all_of_a_long_output() {
    let console = Arc::new(Console::new(services(large_fleet(), nothing_opens())).unwrap());
    let visitor = enter(&console, Visit::Console(admin(), None)).await;
    let mut channel = visitor.client.channel_open_session().await.unwrap();
    channel.exec(true, "list").await.unwrap();
    let (mut length, mut status) = (0, None);
    while let Some(message) = channel.wait().await {
        match message {
            ChannelMsg::Data { data } => length += data.len(),
            ChannelMsg::ExitStatus { exit_status } => status = Some(exit_status),
            _ => {}
        }
        sleep(Duration::from_secs(1)).await;
    }
    assert_eq!(status, Some(0));
    assert!(length > 1 << 20, "{length}");
    assert_eq!(length, exec(&visitor, "list").await.stdout.len());
}

#[tokio::test]
async fn an_interrupted_command_ends_with_130() {
    let console = Arc::new(Console::new(services(large_fleet(), nothing_opens())).unwrap());
    let visitor = enter(&console, Visit::Console(admin(), None)).await;
    let channel = visitor.client.channel_open_session().await.unwrap();
    channel.exec(true, "list").await.unwrap();
    channel.signal(Sig::INT).await.unwrap();
    assert_eq!(answer(channel).await.status, Some(130));
    assert_eq!(exec(&visitor, "version").await.status, Some(0));
}

#[tokio::test]
async fn dropping_the_server_ends_the_connection() {
    let mut visitor = enter(&console(), Visit::Console(admin(), None)).await;
    let _session = visitor.client.channel_open_session().await.unwrap();
    visitor.server.shutdown().await;
    timeout(Duration::from_secs(5), async {
        while !visitor.client.is_closed() {
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap();
}

/// The code of a refused jump; russh's client drops the reason that was sent with it.
async fn refusal(visitor: &Visitor, host: &str, port: u32) -> ChannelOpenFailure {
    match visitor.client.channel_open_direct_tcpip(host, port, "127.0.0.1", 1).await {
        Err(russh::Error::ChannelOpenFailure(code)) => code,
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("{host} opened"),
    }
}

/// Ports that send back what they get, and how many were opened.
fn echo() -> (OpenPort, Arc<AtomicUsize>) {
    let opened = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&opened);
    let open: OpenPort = Arc::new(move |container, port| {
        count.fetch_add(1, Ordering::Relaxed);
        Box::pin(async move {
            assert_eq!((container.name.as_str(), port), ("alice", 22));
            let (ours, theirs) = duplex(1024);
            let tasks = tokio_util::task::TaskTracker::new();
            tasks.spawn(async move {
                let (mut from, mut to) = split(theirs);
                let _ = tokio::io::copy(&mut from, &mut to).await;
                let _ = to.shutdown().await;
            });
            Ok(Box::new(ours) as Stream)
        })
    });
    (open, opened)
}

#[tokio::test]
async fn a_jump_reaches_the_container_and_half_closes() {
    let (open, opened) = echo();
    let console = Arc::new(Console::new(services(fleet(), open)).unwrap());
    let visitor = enter(&console, Visit::Console(admin(), None)).await;
    for host in ["carolina", "10.0.3.100", "localhost", "169.254.169.254", "fd00::1"] {
        let refused = refusal(&visitor, host, 22).await;
        assert!(matches!(refused, AdministrativelyProhibited), "{host}");
    }
    assert!(matches!(refusal(&visitor, "alice", 65_558).await, AdministrativelyProhibited));
    assert_eq!(opened.load(Ordering::Relaxed), 0, "what is refused is never opened");

    let channel = visitor.client.channel_open_direct_tcpip("alice", 22, "127.0.0.1", 1).await;
    // More than all buffers hold, sent before anything is read: the client must not be stopped.
    let sent: Vec<u8> = (0..2_000_000_u32).map(|i| (i % 251) as u8).collect();
    let (mut read, write) = channel.unwrap().split();
    let upload = async {
        write.data_bytes(sent.clone()).await.unwrap();
        write.eof().await.unwrap();
    };
    let download = async {
        let mut got = Vec::new();
        let mut end = Vec::new();
        while let Some(message) = read.wait().await {
            match message {
                ChannelMsg::Data { data } => got.extend_from_slice(&data),
                ChannelMsg::Eof => end.push("eof"),
                ChannelMsg::Close => end.push("close"),
                _ => {}
            }
        }
        (got, end)
    };
    let ((), (got, end)) =
        timeout(Duration::from_secs(30), async { tokio::join!(upload, download) }).await.unwrap();
    assert!(got == sent, "{} of {} bytes", got.len(), sent.len());
    assert_eq!(end, ["eof", "close"]);
    assert_eq!(opened.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn the_control_socket_answers_like_the_door() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("run/control.sock");
    let (status, _, stderr) = remote(&path, &["list"], b"").await;
    assert_eq!(status, 69);
    assert!(stderr.starts_with("error: no sentinel is running here\nhint: "), "{stderr}");
    let (_, stdout, _) = remote(&path, &["list", "--json"], b"").await;
    assert!(stdout.starts_with("{\"error\":{\"code\":\"unavailable\""), "{stdout}");

    let control = Control::bind(&path).await.unwrap();
    let mode = |path: &std::path::Path| {
        std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(path).unwrap().permissions())
    };
    assert_eq!((mode(&path) & 0o777, mode(path.parent().unwrap()) & 0o777), (0o600, 0o700));
    assert!(matches!(Control::bind(&path).await, Err(ControlError::Running(_))));

    let (stop, mut server) = (CancellationToken::new(), JoinSet::new());
    server.spawn(control.serve(console(), stop.clone()));
    let (status, stdout, stderr) = remote(&path, &["list", "-q"], b"ignored").await;
    assert_eq!((status, stdout.as_str(), stderr.as_str()), (0, "alice\nbob\ncarol\n", ""));
    let (status, stdout, _) = remote(&path, &["whoami", "--json"], b"").await;
    assert_eq!(status, 0);
    assert!(stdout.contains("\"name\":\"local root\""), "{stdout}");
    let (status, stdout, stderr) = remote(&path, &["info", "no body's"], b"").await;
    assert_eq!((status, stdout.as_str()), (3, ""));
    assert!(stderr.starts_with("error: no container named \"no body's\"\n"), "{stderr}");

    stop.cancel();
    server.join_next().await.unwrap().unwrap();
    assert!(!path.exists(), "the socket goes with its sentinel");
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    assert!(path.exists(), "a stale socket stays behind");
    drop(Control::bind(&path).await.unwrap());
    std::fs::write(&path, "precious").unwrap();
    assert!(matches!(Control::bind(&path).await, Err(ControlError::NoSocket(_))));
}

async fn remote(path: &std::path::Path, words: &[&str], stdin: &[u8]) -> (u8, String, String) {
    let words: Vec<String> = words.iter().map(|w| (*w).to_owned()).collect();
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    let io = Stdio { stdin, stdout: &mut stdout, stderr: &mut stderr, person: None };
    let status = run_remote(path, &words, io).await;
    (status, String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}
