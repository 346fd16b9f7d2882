//! One probe: a connection, and the first bytes of an answer.
//!
//! A host that is dead accepts nothing. One that accepts and is silent may only be busy: its sshd waits
//! for a disk, or for a processor. So silence is waited out, as long as connections are accepted.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    path::Path,
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, UnixStream},
    time::timeout,
};

use crate::{
    link::{Stream, reverse::Tunnels},
    model::{check::Check, name::BackendName},
};

/// Longest text before an SSH server's identification, in bytes (RFC 4253, section 4.2 sets no
/// limit).
const MAX_BANNER: usize = 4096;

/// Where an sshd listens.
const SSH_PORT: u16 = 22;

/// How many times the time for a connection its answer may take. On a machine whose disks were kept
/// busy an sshd took 1.6 s to say who it is, and connections less than 0.1 s.
const SILENCE: u32 = 5;

/// How long a probe takes at most that may take so long to connect.
pub(super) fn longest(check: &Check, patience: Duration) -> Duration {
    match check {
        Check::Tcp(_) | Check::Incus => patience,
        // And the connection that was asked for last.
        Check::Ssh(_) | Check::Http(_) | Check::Tunnel => patience.saturating_mul(SILENCE + 2),
    }
}

/// Where a host is.
#[derive(Clone, Copy)]
pub(super) enum Place<'a> {
    /// A name or an address: what has to be looked up may take long.
    Name(&'a str),
    /// Its addresses, one at least.
    Addresses(&'a [IpAddr]),
    /// At the end of this backend's tunnel, which leads to its sshd whatever the port.
    Tunnel(&'a Tunnels, &'a BackendName),
}

impl Place<'_> {
    /// # Errors
    /// Nobody accepts, or not in time.
    async fn connect(self, port: u16, patience: Duration) -> io::Result<Stream> {
        let connected = timeout(patience, async {
            Ok(match self {
                Self::Name(host) => Box::new(TcpStream::connect((host, port)).await?) as Stream,
                Self::Addresses(all) => {
                    let all: Vec<_> = all.iter().map(|ip| SocketAddr::new(*ip, port)).collect();
                    Box::new(TcpStream::connect(&*all).await?)
                }
                Self::Tunnel(tunnels, backend) => tunnels.open(backend).await?,
            })
        });
        connected.await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }
}

/// Asks a host, or the Incus socket of this machine; connecting may take as long as `patience`.
///
/// # Errors
/// Nobody accepts, or what answers is something else.
pub(super) async fn probe(
    check: &Check,
    place: Place<'_>,
    incus_socket: &Path,
    patience: Duration,
) -> io::Result<()> {
    let (port, request, sought, later) = match check {
        Check::Tcp(port) => return place.connect(*port, patience).await.map(drop),
        Check::Incus => return UnixStream::connect(incus_socket).await.map(drop),
        Check::Tunnel => (SSH_PORT, "", "SSH-", true),
        Check::Ssh(port) => (*port, "", "SSH-", true),
        Check::Http(port) => {
            let request = "HEAD / HTTP/1.1\r\nHost: health\r\nConnection: close\r\n\r\n";
            (*port, request, "HTTP/1.", false)
        }
    };
    let mut stream = place.connect(port, patience).await?;
    stream.write_all(request.as_bytes()).await?;
    let answer = expect(&mut stream, sought, later);
    tokio::pin!(answer);
    for _ in 0..SILENCE {
        if let Ok(answer) = timeout(patience, &mut answer).await {
            return answer;
        }
        place.connect(port, patience).await?;
    }
    Err(io::ErrorKind::TimedOut.into())
}

/// Reads until a line has ended that begins with what is `sought`; only the first line counts unless
/// `later` ones do, too. The whole line, as a host that crawls says the start of one in time.
async fn expect(stream: &mut Stream, sought: &str, later: bool) -> io::Result<()> {
    let mut heard = Vec::new();
    while heard.len() < MAX_BANNER && stream.read_buf(&mut heard).await? != 0 {
        let mut lines = heard.split_inclusive(|byte| *byte == b'\n').filter(|l| l.ends_with(b"\n"));
        let first = lines.next();
        if first.is_some_and(|line| line.starts_with(sought.as_bytes()))
            || later && lines.any(|line| line.starts_with(sought.as_bytes()))
        {
            return Ok(());
        }
        if first.is_some() && !later {
            break;
        }
    }
    Err(io::Error::new(io::ErrorKind::InvalidData, "something else answers"))
}

#[cfg(test)]
mod tests {
    use tokio::{net::TcpListener, task::JoinSet};

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(30);

    /// Whether `check` takes a server that says `answer` for what it looks for.
    async fn is_alive(check: fn(u16) -> Check, answer: &'static str) -> bool {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let mut server = JoinSet::new();
        server.spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.write_all(answer.as_bytes()).await.unwrap();
        });
        let place = Place::Name("127.0.0.1");
        let alive = probe(&check(port), place, Path::new("/"), PATIENCE).await.is_ok();
        server.join_next().await.unwrap().unwrap();
        alive
    }

    #[tokio::test]
    async fn each_check_knows_its_server() {
        assert!(is_alive(Check::Tcp, "").await);
        assert!(is_alive(Check::Ssh, "SSH-2.0-x\r\n").await);
        assert!(is_alive(Check::Ssh, "welcome\r\nto us\r\nSSH-2.0-x\r\n").await);
        assert!(!is_alive(Check::Ssh, "HTTP/1.1 200 OK\r\n").await);
        assert!(!is_alive(Check::Ssh, "SSH-2.0-not whole").await);
        assert!(is_alive(Check::Http, "HTTP/1.1 503 Busy\r\n\r\n").await);
        assert!(!is_alive(Check::Http, "SSH-2.0-x\r\n").await);
        assert!(!is_alive(Check::Http, "").await);
    }

    #[tokio::test]
    async fn nobody_there_is_no_answer() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        let all = ["::1".parse().unwrap(), "127.0.0.1".parse().unwrap()];
        for place in [Place::Name("127.0.0.1"), Place::Addresses(&all)] {
            assert!(probe(&Check::Tcp(port), place, Path::new("/"), PATIENCE).await.is_err());
        }
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("s");
        assert!(probe(&Check::Incus, Place::Name(""), &socket, PATIENCE).await.is_err());
        let _listener = tokio::net::UnixListener::bind(&socket).unwrap();
        assert!(probe(&Check::Incus, Place::Name(""), &socket, PATIENCE).await.is_ok());
    }

    /// How a host that says `answer` so many times the patience after a connection is judged, and
    /// whether it accepts others meanwhile.
    async fn judge(answer: Option<u32>, accepts: bool) -> io::Result<()> {
        let patience = Duration::from_secs(1);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let mut server = JoinSet::new();
        server.spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let _listener = accepts.then_some(listener);
            match answer {
                Some(times) => tokio::time::sleep(patience * times + patience / 2).await,
                None => std::future::pending().await,
            }
            let _ = stream.write_all(b"SSH-2.0-x\r\n").await;
        });
        probe(&Check::Ssh(port), Place::Name("127.0.0.1"), Path::new("/"), patience).await
    }

    #[tokio::test]
    async fn silence_is_waited_out_while_connections_are_accepted() {
        let (late, never, gone) =
            tokio::join!(judge(Some(2), true), judge(None, true), judge(None, false));
        assert!(late.is_ok(), "{late:?}");
        assert_eq!(never.unwrap_err().kind(), io::ErrorKind::TimedOut);
        let gone = gone.unwrap_err();
        assert_eq!(gone.kind(), io::ErrorKind::ConnectionRefused);
    }
}
