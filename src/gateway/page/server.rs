//! The server of the maintenance page.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    Method, Request, Response, StatusCode, body::Incoming, header, server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
    time::{sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    crowd::{Crowd, Id},
    outage::Outage,
    tls::Tls,
};
use crate::{clock, link::listen::listen};

/// How long a client may take for its handshake, for its request, and for everything.
const HANDSHAKE: Duration = Duration::from_secs(5);
const HEAD: Duration = Duration::from_secs(5);
const CONNECTION: Duration = Duration::from_secs(15);

/// How long, and for how many bytes, it is waited until a client has read its answer: closed at
/// once, what it still sends would make the kernel throw the answer away.
const LINGER: Duration = Duration::from_secs(2);
const MAX_LINGER: u64 = 1024 * 1024;

/// Bytes of a request's head; what is longer is refused (431).
const MAX_HEAD: usize = 16 * 1024;

/// Pause after an accept that failed, for instance for want of file descriptors.
const RETRY: Duration = Duration::from_millis(100);

/// Nothing is loaded, and nobody shows this page inside another.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'";

/// What is served, now and later.
pub type Site = watch::Receiver<Outage>;

/// Why there is no page.
#[derive(Debug, thiserror::Error)]
#[error("listen on {address} for the maintenance page: {source}")]
pub struct PageError {
    address: SocketAddr,
    source: io::Error,
}

/// A port that is taken, and not served yet.
pub struct Listener {
    listener: TcpListener,
    address: SocketAddr,
}

impl Listener {
    /// Listens on `address`; `[::]` takes IPv4 as well. Call it inside a runtime.
    ///
    /// # Errors
    /// The system refuses the address.
    pub fn bind(address: SocketAddr) -> Result<Self, PageError> {
        let failed = |source| PageError { address, source };
        let listener = listen(address).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok(Self { listener, address })
    }

    /// The address with its port.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves the page, by HTTPS with `tls`, on `tasks` and until `stop`.
    pub fn serve(self, site: Site, tls: Option<Tls>, tasks: &TaskTracker, stop: CancellationToken) {
        let guests = Guests { tasks: tasks.clone(), stop: stop.clone(), open: Arc::default() };
        tasks.spawn(async move {
            stop.run_until_cancelled(accept(self.listener, site, tls, guests)).await;
        });
    }
}

async fn accept(listener: TcpListener, site: Site, tls: Option<Tls>, guests: Guests) -> Infallible {
    loop {
        let Ok((stream, from)) = listener.accept().await else {
            sleep(RETRY).await;
            continue;
        };
        let (site, tls) = (site.clone(), tls.clone());
        guests.receive(from, async move {
            // What goes wrong is the client's own affair.
            let _ = timeout(CONNECTION, welcome(stream, tls, site)).await;
        });
    }
}

/// The connections of one port.
struct Guests {
    tasks: TaskTracker,
    stop: CancellationToken,
    open: Arc<Mutex<Open>>,
}

#[derive(Default)]
struct Open {
    crowd: Crowd,
    ends: BTreeMap<Id, CancellationToken>,
}

impl Guests {
    /// Serves a client; another may have to go for it.
    fn receive(&self, from: SocketAddr, serve: impl Future<Output = ()> + Send + 'static) {
        let end = self.stop.child_token();
        let id = {
            let mut open = lock(&self.open);
            let (id, leaves) = open.crowd.enter(from.ip());
            open.ends.insert(id, end.clone());
            if let Some(other) = leaves.and_then(|other| open.ends.remove(&other)) {
                other.cancel();
            }
            id
        };
        let open = Arc::clone(&self.open);
        self.tasks.spawn(async move {
            end.run_until_cancelled(serve).await;
            let mut open = lock(&open);
            open.crowd.leave(id);
            open.ends.remove(&id);
        });
    }
}

fn lock(open: &Mutex<Open>) -> MutexGuard<'_, Open> {
    open.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn welcome(stream: TcpStream, tls: Option<Tls>, site: Site) {
    match tls {
        None => answer(stream, site).await,
        Some(Tls(acceptor)) => {
            if let Ok(Ok(stream)) = timeout(HANDSHAKE, acceptor.accept(stream)).await {
                answer(stream, site).await;
            }
        }
    }
}

/// Answers one request and closes.
async fn answer<S: AsyncRead + AsyncWrite + Unpin>(stream: S, site: Site) {
    let service = service_fn(move |request| {
        let outage = *site.borrow();
        async move { respond(&request, &outage) }
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_buf_size(MAX_HEAD)
        .keep_alive(false);
    let connection = http.serve_connection(TokioIo::new(stream), service);
    if let Ok(parts) = connection.without_shutdown().await {
        let mut stream = parts.io.into_inner();
        if stream.shutdown().await.is_ok() {
            let mut rest = stream.take(MAX_LINGER);
            let _ = timeout(LINGER, tokio::io::copy(&mut rest, &mut tokio::io::sink())).await;
        }
    }
}

/// The same to every path and method: whatever was asked for cannot be had now.
fn respond(
    request: &Request<Incoming>,
    outage: &Outage,
) -> Result<Response<Full<Bytes>>, hyper::http::Error> {
    let now = clock::timestamp();
    let accepts = request.headers().get(header::ACCEPT).and_then(|v| v.to_str().ok());
    let wants_html = accepts.is_some_and(|accept| accept.contains("text/html"));
    let wants_json = accepts.is_some_and(|accept| accept.contains("json"));
    let (kind, text) = if request.uri().path() == "/healthz" {
        // For load balancers: this is the sentinel's page, and no backend.
        ("text/plain; charset=utf-8", "maintenance\n".to_owned())
    } else if wants_json && !wants_html {
        ("application/json", outage.json(now))
    } else {
        ("text/html; charset=utf-8", outage.html(now))
    };
    let length = text.len();
    let body = if *request.method() == Method::HEAD { Bytes::new() } else { Bytes::from(text) };
    Response::builder()
        .status(StatusCode::SERVICE_UNAVAILABLE)
        .header(header::CONTENT_TYPE, kind)
        .header(header::CONTENT_LENGTH, length)
        .header(header::RETRY_AFTER, outage.retry_after(now))
        .header(header::CACHE_CONTROL, "no-store")
        .header(header::VARY, "accept")
        .header(header::CONTENT_SECURITY_POLICY, POLICY)
        .header(header::X_CONTENT_TYPE_OPTIONS, "nosniff")
        .header(header::CONNECTION, "close")
        .body(Full::new(body))
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn ask(address: SocketAddr, request: &str) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        let read = timeout(Duration::from_secs(60), stream.read_to_end(&mut answer));
        // A reset after the answer is the end of it, too.
        let _ = read.await.expect("it closes the connection");
        String::from_utf8(answer).unwrap()
    }

    #[tokio::test]
    async fn browsers_programs_and_load_balancers_each_get_theirs() {
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        let (outage, site) = watch::channel(Outage::default());
        let any = "127.0.0.1:0".parse().unwrap();
        let listener = Listener::bind(any).unwrap();
        let address = listener.address();
        listener.serve(site, None, &tasks, stop.clone());
        let page =
            ask(address, "GET /any?x=1 HTTP/1.1\r\nHost: a\r\nAccept: text/html\r\n\r\n").await;
        assert!(page.starts_with("HTTP/1.1 503 ") && page.contains("retry-after: 5"), "{page}");
        assert!(page.contains("Back in a moment"), "{page}");
        outage.send_replace(Outage { planned: true, ..Outage::default() });
        let json = ask(address, "GET / HTTP/1.0\r\nAccept: application/json\r\n\r\n").await;
        assert!(json.contains("\"planned\":true") && !json.contains("<html"), "{json}");
        let health = ask(address, "GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n").await;
        assert!(
            health.starts_with("HTTP/1.1 503 ") && health.ends_with("maintenance\n"),
            "{health}"
        );
        let head = ask(address, "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n").await;
        assert!(head.starts_with("HTTP/1.1 503 ") && head.ends_with("\r\n\r\n"), "{head}");
        assert!(head.contains("content-length: ") && !head.contains("length: 0"), "{head}");
        for method in ["PROPFIND", "TRACE", "POST", "OPTIONS"] {
            let answer = ask(address, &format!("{method} / HTTP/1.1\r\nHost: a\r\n\r\n")).await;
            assert!(answer.starts_with("HTTP/1.1 503 "), "{method}: {answer}");
        }
        let big =
            format!("POST / HTTP/1.1\r\nContent-Length: 400000\r\n\r\n{}", "x".repeat(400_000));
        assert!(ask(address, &big).await.contains("Down for maintenance"));
        let bad = ask(address, "nonsense\r\n\r\n").await;
        assert!(bad.starts_with("HTTP/1.1 400 "), "{bad}");
        let long = format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(2 * MAX_HEAD));
        assert!(!ask(address, &long).await.contains(" 200 "));
        stop.cancel();
        tasks.close();
        timeout(Duration::from_secs(60), tasks.wait()).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_says_nothing_is_dropped() {
        let (near, far) = tokio::io::duplex(64);
        let (_outage, site) = watch::channel(Outage::default());
        let served = timeout(HEAD + HEAD, answer(far, site)).await;
        assert!(served.is_ok());
        drop(near);
    }

    #[tokio::test]
    async fn silent_clients_keep_nobody_out() {
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        let (_outage, site) = watch::channel(Outage::default());
        let listener = Listener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = listener.address();
        listener.serve(site, None, &tasks, stop.clone());
        let mut silent = Vec::new();
        for _ in 0..super::super::crowd::MAX_CONNECTIONS + 50 {
            silent.push(TcpStream::connect(address).await.unwrap());
        }
        let page = ask(address, "GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
        assert!(page.starts_with("HTTP/1.1 503 "), "{page}");
        // The first of them had to go.
        let gone = silent[0].read(&mut [0]).await;
        assert!(matches!(gone, Ok(0) | Err(_)), "{gone:?}");
        stop.cancel();
        tasks.close();
        timeout(Duration::from_secs(60), tasks.wait()).await.unwrap();
    }
}
