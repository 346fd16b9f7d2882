//! The server of the maintenance page.

use std::{convert::Infallible, io, net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    Method, Request, Response, StatusCode, body::Incoming, header, server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpListener,
    sync::{Semaphore, watch},
    time::{sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::render::Outage;

/// Connections at once on one port; more wait to be accepted.
const MAX_CONNECTIONS: usize = 512;

/// How long a client may take for its request, and one connection in all.
const HEAD: Duration = Duration::from_secs(5);
const CONNECTION: Duration = Duration::from_secs(15);

/// Bytes of a request's head; what is longer is refused (431).
const MAX_HEAD: usize = 16 * 1024;

/// Pause after an accept that failed, for instance for want of file descriptors.
const RETRY: Duration = Duration::from_millis(100);

/// Connections that the kernel holds before they are accepted.
const BACKLOG: i32 = 1024;

/// What is served, now and later.
pub type Site = watch::Receiver<Outage>;

/// Why there is no page.
#[derive(Debug, thiserror::Error)]
#[error("listen on {address} for the maintenance page: {source}")]
pub struct PageError {
    address: SocketAddr,
    source: io::Error,
}

/// Listens on `address`, on `tasks` and until `stop`; the address with its port.
///
/// # Errors
/// The system refuses the address.
pub fn serve(
    address: SocketAddr,
    site: Site,
    tasks: &TaskTracker,
    stop: CancellationToken,
) -> Result<SocketAddr, PageError> {
    let failed = |source| PageError { address, source };
    let listener = listen(address).map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    let connections = tasks.clone();
    tasks.spawn(async move {
        stop.run_until_cancelled(accept(listener, site, &connections, &stop)).await;
    });
    Ok(bound)
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

async fn accept(
    listener: TcpListener,
    site: Site,
    tasks: &TaskTracker,
    stop: &CancellationToken,
) -> Infallible {
    let slots = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let slot = Arc::clone(&slots).acquire_owned().await;
        let (Ok(slot), Ok((stream, _))) = (slot, listener.accept().await) else {
            sleep(RETRY).await;
            continue;
        };
        let (site, stop) = (site.clone(), stop.clone());
        tasks.spawn(async move {
            stop.run_until_cancelled(timeout(CONNECTION, answer(stream, site))).await;
            drop(slot);
        });
    }
}

/// Answers one request and closes. What goes wrong is the client's own affair.
async fn answer<S: AsyncRead + AsyncWrite + Unpin>(stream: S, site: Site) {
    let service = service_fn(move |request| {
        let outage = *site.borrow();
        async move { respond(&request, outage) }
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_buf_size(MAX_HEAD)
        .keep_alive(false);
    let _ = http.serve_connection(TokioIo::new(stream), service).await;
}

fn respond(
    request: &Request<Incoming>,
    outage: Outage,
) -> Result<Response<Full<Bytes>>, hyper::http::Error> {
    if request.uri().path() == "/healthz" {
        // For load balancers: this is the sentinel's page, and no backend.
        return plain(StatusCode::SERVICE_UNAVAILABLE, outage).body(body(request, "maintenance\n"));
    }
    match *request.method() {
        Method::GET
        | Method::HEAD
        | Method::POST
        | Method::PUT
        | Method::PATCH
        | Method::DELETE
        | Method::OPTIONS => {}
        _ => return plain(StatusCode::METHOD_NOT_ALLOWED, outage).body(body(request, "")),
    }
    let accepts = request.headers().get(header::ACCEPT).and_then(|v| v.to_str().ok());
    let wants_html = accepts.is_some_and(|accept| accept.contains("text/html"));
    let wants_json = accepts.is_some_and(|accept| accept.contains("json"));
    let (kind, text) = if wants_json && !wants_html {
        ("application/json", outage.json())
    } else {
        ("text/html; charset=utf-8", outage.html())
    };
    let head = plain(StatusCode::SERVICE_UNAVAILABLE, outage);
    head.header(header::CONTENT_TYPE, kind).body(body(request, &text))
}

fn plain(status: StatusCode, outage: Outage) -> hyper::http::response::Builder {
    Response::builder()
        .status(status)
        .header(header::RETRY_AFTER, outage.retry_after())
        .header(header::CACHE_CONTROL, "no-store")
        .header(header::CONNECTION, "close")
}

fn body(request: &Request<Incoming>, text: &str) -> Full<Bytes> {
    let text = if *request.method() == Method::HEAD { "" } else { text };
    Full::new(Bytes::copy_from_slice(text.as_bytes()))
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpStream,
    };

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
        let address = serve(any, site, &tasks, stop.clone()).unwrap();
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
        for bad in ["TRACE / HTTP/1.1\r\nHost: a\r\n\r\n", "nonsense\r\n\r\n"] {
            let answer = ask(address, bad).await;
            assert!(answer.starts_with("HTTP/1.1 40"), "{bad}: {answer}");
        }
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
}
