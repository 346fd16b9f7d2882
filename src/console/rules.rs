//! What RFC 4254 asks of the console, packet by packet. `docs/conformance.md` names these tests.

use std::{sync::Arc, time::Duration};

use tokio::{io::duplex, sync::watch, task::JoinSet, time::timeout};

use super::{Console, Leave, Services, Visit};
use crate::{
    command::{
        context::Environment,
        testing::{admin, at, config, fleet},
    },
    fleet::Fleet,
    link::{
        connection::Connection,
        login::{Login, log_in},
        socket::Socket,
    },
    wire::{
        codec::{Reader, Write},
        message::{
            CHANNEL_CLOSE, CHANNEL_DATA, CHANNEL_EOF, CHANNEL_FAILURE, CHANNEL_OPEN,
            CHANNEL_OPEN_CONFIRMATION, CHANNEL_OPEN_FAILURE, CHANNEL_REQUEST, CHANNEL_SUCCESS,
            CHANNEL_WINDOW_ADJUST, GLOBAL_REQUEST, REQUEST_FAILURE,
        },
        userauth::Credential,
    },
};

/// Longest a test may take; they take far less.
const PATIENCE: Duration = Duration::from_secs(60);

/// A connection as the door makes it, and the task that serves it.
async fn enter() -> (Connection, JoinSet<()>) {
    let fleet = Fleet::fixed(watch::channel(Arc::new(fleet())).1);
    let services = Services {
        environment: Arc::new(Environment::new(fleet, config(), at(0))),
        open_port: Arc::new(|_, _| Box::pin(async { Err("closed".to_owned()) })),
    };
    let console = Console::new(services).unwrap();
    let (near, far) = duplex(64 * 1024);
    let pinned = [console.host_key().clone()];
    let mut server = JoinSet::new();
    server.spawn(async move {
        console.serve(far, Visit::Console(admin(), None), Leave::default()).await.unwrap();
    });
    let credential = Credential::None;
    let login = Login { ident: "SSH-2.0-x", pinned: &pinned, user: "console", credential };
    (log_in(Socket::Other(Box::new(near)), login).await.unwrap(), server)
}

async fn say(connection: &mut Connection, packet: &[u8]) {
    connection.transport.send(&[packet]).unwrap();
    connection.drain().await.unwrap();
}

async fn hear(connection: &mut Connection) -> Vec<u8> {
    timeout(PATIENCE, connection.next_packet()).await.unwrap().unwrap();
    let packet = connection.transport.packet().unwrap().to_vec();
    connection.transport.consume();
    packet
}

fn open(kind: &str, window: u32, max: u32) -> Vec<u8> {
    let mut out = vec![CHANNEL_OPEN];
    out.put_string(kind.as_bytes());
    for number in [5, window, max] {
        out.put_uint32(number);
    }
    out
}

/// Opens a session as our channel 5; its number there.
async fn session(connection: &mut Connection, window: u32, max: u32) -> u32 {
    say(connection, &open("session", window, max)).await;
    let packet = hear(connection).await;
    let mut r = Reader::new(&packet);
    assert_eq!((r.byte(), r.uint32()), (Ok(CHANNEL_OPEN_CONFIRMATION), Ok(5)));
    r.uint32().unwrap()
}

fn request(channel: u32, kind: &str, want_reply: bool, rest: &[u8]) -> Vec<u8> {
    let mut out = vec![CHANNEL_REQUEST];
    out.put_uint32(channel);
    out.put_string(kind.as_bytes());
    out.put_boolean(want_reply);
    out.extend_from_slice(rest);
    out
}

fn strings(texts: &[&str]) -> Vec<u8> {
    let mut out = Vec::new();
    for text in texts {
        out.put_string(text.as_bytes());
    }
    out
}

const FIVE: [u8; 4] = [0, 0, 0, 5];

fn about(number: u8) -> Vec<u8> {
    [&[number][..], &FIVE].concat()
}

#[tokio::test]
async fn requests_are_answered_if_they_want_and_in_their_order() {
    let (mut connection, _server) = enter().await;
    let channel = session(&mut connection, 100_000, 10_000).await;
    let sizes = [80_u32, 24, 0, 0].map(u32::to_be_bytes).concat();
    let pty = [&strings(&["xterm"])[..], &sizes, &strings(&["\0"])].concat();
    let x11 = [&[0][..], &strings(&["MIT-MAGIC-COOKIE-1", "00"]), &[0; 4]].concat();
    for want_reply in [false, true] {
        for (kind, rest, success) in [
            ("pty-req", &pty, true),
            ("env", &strings(&["LANG", "C"]), false),
            ("x11-req", &x11, false),
            ("auth-agent-req@openssh.com", &vec![], false),
            ("window-change", &sizes, true),
            ("signal", &strings(&["USR1"]), true),
            ("break", &vec![0; 4], false),
            ("xon-xoff", &vec![1], false),
            ("eow@openssh.com", &vec![], false),
            ("keepalive@openssh.com", &vec![], false),
            ("what comes next", &vec![1, 2, 3], false),
        ] {
            say(&mut connection, &request(channel, kind, want_reply, rest)).await;
            if want_reply {
                let expected = about(if success { CHANNEL_SUCCESS } else { CHANNEL_FAILURE });
                assert_eq!(hear(&mut connection).await, expected, "{kind}");
            }
        }
    }
    // Had one of the first round been answered, this would come later.
    say(&mut connection, &request(channel, "shell", true, &[])).await;
    assert_eq!(hear(&mut connection).await, about(CHANNEL_SUCCESS));
}

#[tokio::test]
async fn global_requests_are_refused_if_they_want_an_answer() {
    let (mut connection, _server) = enter().await;
    for want_reply in [0, 1] {
        for (name, rest) in [
            ("keepalive@openssh.com", vec![]),
            ("no-more-sessions@openssh.com", vec![]),
            ("tcpip-forward", [&strings(&["localhost"])[..], &[0; 4]].concat()),
            ("cancel-tcpip-forward", [&strings(&["localhost"])[..], &[0; 4]].concat()),
            ("streamlocal-forward@openssh.com", strings(&["/x"])),
            ("none@containarium.invalid", vec![]),
        ] {
            let packet = [&[GLOBAL_REQUEST][..], &strings(&[name]), &[want_reply], &rest].concat();
            say(&mut connection, &packet).await;
            if want_reply == 1 {
                assert_eq!(hear(&mut connection).await, [REQUEST_FAILURE], "{name}");
            }
        }
    }
}

#[tokio::test]
async fn channels_of_other_types_are_refused_by_their_number() {
    let (mut connection, _server) = enter().await;
    let forwarded = [&strings(&["h"])[..], &[0; 4], &strings(&["o"]), &[0; 4]].concat();
    for (kind, rest) in [
        ("x11", [&strings(&["o"])[..], &[0; 4]].concat()),
        ("forwarded-tcpip", forwarded.clone()),
        ("direct-tcpip", forwarded),
        ("direct-streamlocal@openssh.com", [&strings(&["/x", ""])[..], &[0; 4]].concat()),
        ("tun@openssh.com", vec![0; 8]),
        ("what comes next", vec![]),
    ] {
        say(&mut connection, &[open(kind, 1000, 1000), rest].concat()).await;
        let packet = hear(&mut connection).await;
        assert!(packet.starts_with(&about(CHANNEL_OPEN_FAILURE)), "{kind} {packet:?}");
    }
}

#[tokio::test]
async fn a_session_keeps_the_window_and_ends_in_order() {
    let (mut connection, _server) = enter().await;
    let (mut window, max) = (300_usize, 100);
    let channel = session(&mut connection, 300, 100).await;
    say(&mut connection, &request(channel, "exec", true, &strings(&["help"]))).await;
    assert_eq!(hear(&mut connection).await, about(CHANNEL_SUCCESS));
    let mut length = 0;
    let status = loop {
        let packet = hear(&mut connection).await;
        if packet[0] != CHANNEL_DATA {
            break packet;
        }
        let data = Reader::new(&packet[5..]).string().unwrap().len();
        assert!(data <= max && data <= window, "{data} bytes");
        (length, window) = (length + data, window - data);
        if window == 0 {
            window = 250;
            let adjust = [&[CHANNEL_WINDOW_ADJUST][..], &channel.to_be_bytes(), &[0, 0, 0, 250]];
            say(&mut connection, &adjust.concat()).await;
        }
    };
    assert!(length > 600, "the test needs several windows: {length}");
    assert_eq!(status, request(5, "exit-status", false, &[0; 4]));
    assert_eq!(hear(&mut connection).await, about(CHANNEL_EOF));
    assert_eq!(hear(&mut connection).await, about(CHANNEL_CLOSE));
    let close = [&[CHANNEL_CLOSE][..], &channel.to_be_bytes()].concat();
    say(&mut connection, &close).await;
    // The number is free again, and the connection lives.
    session(&mut connection, 300, 100).await;
}
