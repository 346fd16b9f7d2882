//! A server that answers as it is told, and what a client makes of it.

use std::sync::Mutex;

use rustls::ServerConfig;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpListener,
    task::JoinSet,
};
use tokio_rustls::TlsAcceptor;

use super::*;

/// Says what to answer to one request: its head and body as they came.
type Script = Box<dyn FnMut(&str) -> Vec<u8> + Send>;

/// A server on the loopback; it ends with its owner.
pub(crate) struct Server {
    pub(crate) url: Url,
    /// What was asked, in order.
    pub(crate) asked: Arc<Mutex<Vec<String>>>,
    _task: JoinSet<()>,
}

/// `STATUS`, headers and body as bytes on the wire.
pub(crate) fn answer(status: &str, headers: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n{headers}\r\n{body}").into_bytes()
}

impl Server {
    pub(crate) async fn start(script: impl FnMut(&str) -> Vec<u8> + Send + 'static) -> Self {
        Self::serve(None, Box::new(script)).await
    }

    /// With TLS, for the name `localhost`; and the client that believes it.
    pub(crate) async fn secure(
        script: impl FnMut(&str) -> Vec<u8> + Send + 'static,
    ) -> (Self, Web) {
        let signed = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let key = rustls::pki_types::PrivateKeyDer::try_from(signed.signing_key.serialize_der());
        let certificate = signed.cert.der().clone();
        let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.clone()], key.unwrap())
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        (Self::serve(Some(acceptor), Box::new(script)).await, Web::believing(certificate))
    }

    async fn serve(tls: Option<TlsAcceptor>, mut script: Script) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let scheme = if tls.is_some() { "https" } else { "http" };
        let url = format!("{scheme}://localhost:{port}").parse().unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (mut task, seen) = (JoinSet::new(), Arc::clone(&asked));
        task.spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let mut stream: Stream = match &tls {
                    None => Box::new(socket),
                    Some(tls) => match tls.accept(socket).await {
                        Ok(stream) => Box::new(stream),
                        Err(_) => continue,
                    },
                };
                let Some(request) = read(&mut stream).await else { continue };
                let answer = script(&request);
                seen.lock().unwrap().push(request);
                // A client may have gone.
                let _ = stream.write_all(&answer).await;
                let _ = stream.flush().await;
                if answer.ends_with(b"...") {
                    // The rest never comes, and nobody hangs up.
                    std::mem::forget(stream);
                } else {
                    let _ = stream.shutdown().await;
                }
            }
        });
        Self { url, asked, _task: task }
    }

    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

async fn read(stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) -> Option<String> {
    let mut text = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let n = stream.read(&mut buffer).await.ok().filter(|n| *n > 0)?;
        text.extend_from_slice(&buffer[..n]);
        let shown = String::from_utf8_lossy(&text).into_owned();
        if let Some((head, body)) = shown.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| {
                let (name, value) = line.split_once(':')?;
                name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().unwrap())
            });
            if body.len() >= length.unwrap_or(0) {
                return Some(shown);
            }
        }
    }
}

fn get(url: &Url) -> Request {
    let (headers, body) = (Vec::new(), Bytes::new());
    Request { method: Method::GET, url: url.join("/secret"), headers, body }
}

const SOON: Duration = Duration::from_secs(20);

#[tokio::test]
async fn answers_are_read_whole_and_bounded() {
    let server = Server::start(|_| answer("200 OK", "", &"x".repeat(1000))).await;
    let web = Web::new();
    let read = |limit| web.send(get(&server.url), limit, SOON);
    assert_eq!(read(1000).await.unwrap().body.len(), 1000);
    let host = server.url.authority();
    assert_eq!(read(999).await.unwrap_err(), WebError::TooLarge(host, 999));
    assert!(server.asked()[0].starts_with("GET /secret HTTP/1.1\r\nhost: localhost:"));
}

#[tokio::test]
async fn a_slow_body_silence_and_garbage_end_without_a_word_of_the_path() {
    let mut answers = vec![
        b"SSH-2.0-OpenSSH_9.2\r\n".to_vec(),
        b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nx...".to_vec(),
        b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nx".to_vec(),
    ];
    let server = Server::start(move |_| answers.pop().unwrap()).await;
    let web = Web::new();
    let ask = || web.send(get(&server.url), 1000, Duration::from_secs(1));
    let host = server.url.authority();
    let cut = ask().await.unwrap_err();
    assert!(matches!(&cut, WebError::Broken(at, _) if *at == host), "{cut}");
    assert_eq!(ask().await.unwrap_err(), WebError::Timeout(host.clone(), 1));
    let garbage = ask().await.unwrap_err();
    assert!(matches!(&garbage, WebError::Broken(at, _) if *at == host), "{garbage}");
    assert!(!garbage.to_string().contains("secret"));
    drop(server);
}

#[tokio::test]
async fn certificates_are_checked() {
    let (server, web) = Server::secure(|_| answer("200 OK", "", "hello")).await;
    assert_eq!(web.send(get(&server.url), 10, SOON).await.unwrap().body, "hello");
    // The system does not know it, and it is not for this name.
    let stranger = Web::new().send(get(&server.url), 10, SOON).await.unwrap_err();
    assert!(matches!(&stranger, WebError::Connect(..)), "{stranger}");
    let other = Url { host: "127.0.0.1".to_owned(), ..server.url.clone() };
    let name = web.send(get(&other), 10, SOON).await.unwrap_err();
    assert!(name.to_string().contains("certificate"), "{name}");
}

#[tokio::test]
async fn a_pause_that_is_asked_for_is_read_and_bounded() {
    let pause = |value: &str| {
        let mut headers = HeaderMap::new();
        headers.insert(header::RETRY_AFTER, value.parse().unwrap());
        Answer { status: StatusCode::TOO_MANY_REQUESTS, headers, body: Bytes::new() }.retry_after()
    };
    assert_eq!(pause("7"), Some(Duration::from_secs(7)));
    assert_eq!(pause("999999999"), Some(LONGEST_RETRY));
    assert_eq!(pause("Wed, 21 Oct 2015 07:28:00 GMT"), Some(Duration::ZERO));
    assert_eq!(pause("soon"), None);
}
