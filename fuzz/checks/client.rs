//! Our client half against a hostile server: login, then a tunnel. The server says any bytes, or is
//! honest behind a bad wire, or keeps to the packet protocol and to nothing else.

use std::time::Duration;

use containarium::{
    link::{
        connection::ConnectionError,
        login::{IDENT, Login, LoginError, log_in},
        socket::Socket,
        tunnel::{Destination, Tunnel, TunnelError},
    },
    wire::{error::Error, negotiate::Offer, transport::Role, userauth::Credential},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream},
    runtime::Builder,
    time::timeout,
};

use super::{
    choices::Choices,
    keys,
    server::{PAUSE, Sent, Server},
    shown, stream,
};

/// Most steps of one input.
const MAX_STEPS: usize = 40;

/// Callers bound a login and a tunnel in time; a server that says goodbye ends them sooner.
const PATIENCE: Duration = Duration::from_secs(8);

/// What our half asks to have written.
const WRITTEN: [u8; 4096] = [b'w'; 4096];

/// Reads `input` as what a server does.
pub fn check(input: &[u8]) {
    let mut choices = Choices::new(input);
    let runtime = Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        match choices.byte() % 4 {
            0 => bytes(choices.rest()).await,
            1 => honest(&mut choices).await,
            _ => hostile(&mut choices).await,
        }
    });
}

/// How far our half came.
#[derive(Default)]
struct Found {
    entered: bool,
    opened: bool,
    received: Vec<u8>,
}

/// Our half: logs in, opens a tunnel, writes a little and reads to the end.
async fn ours(far: DuplexStream) -> Found {
    let mut found = Found::default();
    let pinned = [keys::first().public_key().clone()];
    let credential = Credential::Key { identity: keys::USER.clone(), certificate: None };
    let login = Login { ident: IDENT, pinned: &pinned, user: "alice", credential };
    let connection = match timeout(PATIENCE, log_in(Socket::Other(Box::new(far)), login)).await {
        Ok(Ok(connection)) => connection,
        Ok(Err(error)) => {
            assert_shown(&error);
            return found;
        }
        Err(_) => return found,
    };
    found.entered = true;
    let destination = Destination::Tcp { host: "10.0.3.9".into(), port: 22 };
    let mut tunnel = match timeout(PATIENCE, Tunnel::open(connection, &destination)).await {
        Ok(Ok(tunnel)) => tunnel,
        Ok(Err(TunnelError::Refused(text))) => {
            shown::assert_harmless(&text, 200);
            return found;
        }
        Ok(Err(TunnelError::Connection(_))) | Err(_) => return found,
    };
    found.opened = true;
    let _ = timeout(PATIENCE, tunnel.write_all(&WRITTEN)).await;
    let mut piece = [0; 1500];
    while let Ok(Ok(n @ 1..)) = timeout(PATIENCE, tunnel.read(&mut piece)).await {
        found.received.extend_from_slice(&piece[..n]);
        let _ = timeout(PAUSE, tunnel.write(b"w")).await;
    }
    let _ = timeout(PATIENCE, tunnel.shutdown()).await;
    found
}

fn assert_shown(error: &LoginError) {
    if let LoginError::Connection(ConnectionError::Wire(Error::Disconnected { text, .. })) = error {
        shown::assert_harmless(text, 200);
    }
}

/// Bytes that no host key stands behind.
async fn bytes(input: &[u8]) {
    let (mut near, far, traffic) = stream::pair(Vec::new());
    let (found, ()) = tokio::join!(ours(far), async {
        let _ = near.write_all(input).await;
        let _ = near.shutdown().await;
        let _ = near.read_to_end(&mut Vec::new()).await;
    });
    assert!(!found.entered, "logged in to nobody");
    assert_modest(traffic.counts(), 0);
}

/// A server that talks gets an identification, key exchanges and a login, little beside, and what
/// it asked for, in packets as small as it likes.
fn assert_modest((sent, received): (usize, usize), data: u64) {
    let data = usize::try_from(data).unwrap_or(usize::MAX);
    assert!(received <= 32 * 1024 + 32 * sent + 64 * data, "{received} bytes for {sent}");
}

/// A server that does all that is asked of it, on a bad wire.
async fn honest(choices: &mut Choices<'_>) {
    let (offer, edits) = (offer(choices), stream::edits(choices));
    let (near, far, traffic) = stream::pair(edits);
    let (found, sent) = tokio::join!(ours(far), async {
        let mut server = Server::new(near, offer, Role::Server(keys::HOST.clone()));
        if server.connection.establish().await.is_ok() {
            for plan in [&[0, 0][..], &[0, 2], &[1, 9, 9, 1], &[2, 0, 3, 1, 2, 3]] {
                server.step(&mut Choices::new(plan)).await;
            }
        }
        server.sent
    });
    assert_allowed(&found, &sent);
    assert_modest(traffic.counts(), sent.came);
}

/// A server that says what it likes. It may not be the right one.
async fn hostile(choices: &mut Choices<'_>) {
    let offer = offer(choices);
    let is_right = choices.byte() < 250;
    let host = if is_right { &keys::HOST } else { &keys::STRANGER };
    let role = Role::Server((*host).clone());
    let (near, far, traffic) = stream::pair(Vec::new());
    let (found, sent) = tokio::join!(ours(far), async {
        let mut server = Server::new(near, offer, role);
        if server.connection.establish().await.is_err() {
            return server.sent;
        }
        for _ in 0..MAX_STEPS {
            if choices.is_empty() || !server.lives {
                break;
            }
            server.step(choices).await;
        }
        server.settle().await;
        server.sent
    });
    assert!(is_right || !found.entered, "logged in under a key that is not pinned");
    assert_allowed(&found, &sent);
    assert_modest(traffic.counts(), sent.came);
}

fn offer(choices: &mut Choices<'_>) -> Offer {
    let front = Offer::front(vec!["ssh-ed25519"]);
    let cipher =
        choices.one(&["aes128-gcm@openssh.com", "chacha20-poly1305@openssh.com", "aes256-ctr"]);
    let kex = choices.one(&["curve25519-sha256", "mlkem768x25519-sha256"]);
    Offer { kex: vec![kex], cipher: vec![cipher], ..front }
}

/// Our half came no further than the server allowed.
fn assert_allowed(found: &Found, sent: &Sent) {
    assert!(!found.entered || sent.accepted && sent.success, "in before the server said so");
    assert!(!found.opened || sent.confirmed, "open before the server said so");
    assert!(sent.data.starts_with(&found.received), "other data than was sent");
    assert!(sent.came <= sent.window, "{} bytes into a window of {}", sent.came, sent.window);
}
