//! One probe: a connection, and the first bytes of an answer. Whoever asks has the deadline.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    path::Path,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, UnixStream},
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
    async fn connect(self, port: u16) -> io::Result<Stream> {
        match self {
            Self::Name(host) => Ok(Box::new(TcpStream::connect((host, port)).await?)),
            Self::Addresses(all) => {
                let all: Vec<_> = all.iter().map(|ip| SocketAddr::new(*ip, port)).collect();
                Ok(Box::new(TcpStream::connect(&*all).await?))
            }
            Self::Tunnel(tunnels, backend) => tunnels.open(backend).await,
        }
    }
}

/// Asks a host, or the Incus socket of this machine.
///
/// # Errors
/// Nobody accepts, or what answers is something else.
pub(super) async fn probe(check: &Check, place: Place<'_>, incus_socket: &Path) -> io::Result<()> {
    match check {
        Check::Tcp(port) => place.connect(*port).await.map(drop),
        Check::Tunnel => expect(&mut place.connect(SSH_PORT).await?, "\nSSH-", true).await,
        Check::Ssh(port) => {
            let mut stream = place.connect(*port).await?;
            expect(&mut stream, "\nSSH-", true).await
        }
        Check::Http(port) => {
            let mut stream = place.connect(*port).await?;
            let request = "HEAD / HTTP/1.1\r\nHost: health\r\nConnection: close\r\n\r\n";
            stream.write_all(request.as_bytes()).await?;
            expect(&mut stream, "\nHTTP/1.", false).await
        }
        Check::Incus => UnixStream::connect(incus_socket).await.map(drop),
    }
}

/// Reads until a line begins with what is `sought`; only the first line counts unless `later` ones
/// do, too.
async fn expect(stream: &mut Stream, sought: &str, later: bool) -> io::Result<()> {
    let mut heard = vec![b'\n'];
    while heard.len() < MAX_BANNER {
        let known = heard.windows(sought.len()).position(|w| w == sought.as_bytes());
        match known {
            Some(at) if later || at == 0 => return Ok(()),
            _ if !later && heard.len() >= sought.len() => break,
            _ => {}
        }
        if stream.read_buf(&mut heard).await? == 0 {
            break;
        }
    }
    Err(io::Error::new(io::ErrorKind::InvalidData, "something else answers"))
}

#[cfg(test)]
mod tests {
    use tokio::{net::TcpListener, task::JoinSet};

    use super::*;

    /// Whether `check` takes a server that says `answer` for what it looks for.
    async fn is_alive(check: fn(u16) -> Check, answer: &'static str) -> bool {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let mut server = JoinSet::new();
        server.spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.write_all(answer.as_bytes()).await.unwrap();
        });
        let alive = probe(&check(port), Place::Name("127.0.0.1"), Path::new("/")).await.is_ok();
        server.join_next().await.unwrap().unwrap();
        alive
    }

    #[tokio::test]
    async fn each_check_knows_its_server() {
        assert!(is_alive(Check::Tcp, "").await);
        assert!(is_alive(Check::Ssh, "SSH-2.0-x\r\n").await);
        assert!(is_alive(Check::Ssh, "welcome\r\nto us\r\nSSH-2.0-x\r\n").await);
        assert!(!is_alive(Check::Ssh, "HTTP/1.1 200 OK\r\n").await);
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
            assert!(probe(&Check::Tcp(port), place, Path::new("/")).await.is_err());
        }
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("s");
        assert!(probe(&Check::Incus, Place::Name(""), &socket).await.is_err());
        let _listener = tokio::net::UnixListener::bind(&socket).unwrap();
        assert!(probe(&Check::Incus, Place::Name(""), &socket).await.is_ok());
    }
}
