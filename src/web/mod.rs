//! Requests to servers that are not ours: a cloud's API, a chat. Bounded in time and size, verified
//! against the system's certificates, one connection for each; redirects are not followed. Nothing
//! of path, headers and bodies is in an error, as they hold secrets.

use std::{io, sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt, Full};
use hyper::{
    HeaderMap, Method, Request as Head, StatusCode,
    client::conn::http1,
    header::{self, HeaderName, HeaderValue},
};
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, RootCertStore, crypto::aws_lc_rs, pki_types::ServerName};
use tokio::{
    net::{TcpStream, lookup_host},
    time::timeout,
};
use tokio_rustls::TlsConnector;

use crate::{
    clock::timestamp,
    link::Stream,
    model::{text::printable, url::Url},
};

/// Most addresses of a name that are tried.
const MAX_ADDRESSES: usize = 8;

/// For one of them, so that a dead one leaves time for the next.
const CONNECT: Duration = Duration::from_secs(4);

/// Longest pause that a server may ask for.
const LONGEST_RETRY: Duration = Duration::from_secs(3600);

/// Longest reason shown, in characters.
const MAX_REASON: usize = 200;

/// What is asked.
#[derive(Clone)]
pub struct Request {
    /// How.
    pub method: Method,
    /// Of whom, and what.
    pub url: Url,
    /// Headers beyond those of every request.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// What is sent along.
    pub body: Bytes,
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// All of its body.
    pub body: Bytes,
}

/// Why there is no answer. Fit for people.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WebError {
    /// Nobody there, or somebody else.
    #[error("connect to {0}: {1}")]
    Connect(String, String),
    /// Cut off, or not HTTP.
    #[error("talk to {0}: {1}")]
    Broken(String, String),
    /// Too slow.
    #[error("{0} did not answer within {1} s")]
    Timeout(String, u64),
    /// Too much.
    #[error("the answer of {0} has more than {1} bytes")]
    TooLarge(String, usize),
}

/// Sends requests.
#[derive(Clone, Default)]
pub struct Web {
    /// Whom to believe; `None`: whom the system believes at that moment.
    roots: Option<Arc<RootCertStore>>,
}

impl Answer {
    /// How long the server asks to be left alone, at most an hour.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        let text = self.headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
        let pause = if let Ok(seconds) = text.parse() {
            Duration::from_secs(seconds)
        } else {
            let at = jiff::fmt::rfc2822::parse(text).ok()?.timestamp();
            Duration::try_from(at.duration_since(timestamp())).unwrap_or_default()
        };
        Some(pause.min(LONGEST_RETRY))
    }
}

impl Web {
    /// Believes whom the system believes.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Believes those alone whom `certificate` signed, and itself.
    #[cfg(test)]
    pub(crate) fn believing(certificate: rustls::pki_types::CertificateDer<'static>) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(certificate).unwrap();
        Self { roots: Some(Arc::new(roots)) }
    }

    /// Asks, and reads an answer of at most `limit` bytes, all within `deadline`.
    ///
    /// # Errors
    /// As [`WebError`] tells. Any status is an answer.
    pub async fn send(
        &self,
        request: Request,
        limit: usize,
        deadline: Duration,
    ) -> Result<Answer, WebError> {
        let host = request.url.authority();
        let late = WebError::Timeout(host.clone(), deadline.as_secs());
        let answer = timeout(deadline, self.exchange(request, &host, limit)).await;
        answer.unwrap_or(Err(late))
    }

    async fn exchange(
        &self,
        request: Request,
        host: &str,
        limit: usize,
    ) -> Result<Answer, WebError> {
        let broken = |e: &dyn std::fmt::Display| {
            WebError::Broken(host.to_owned(), printable(&e.to_string(), MAX_REASON))
        };
        let head = head(&request, host).map_err(|e| broken(&e))?;
        let stream = self.connect(&request.url).await.map_err(|e| {
            WebError::Connect(host.to_owned(), printable(&e.to_string(), MAX_REASON))
        })?;
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(|e| broken(&e))?;
        let answer = async {
            let response = sender.send_request(head).await.map_err(|e| broken(&e))?;
            let (head, mut body) = response.into_parts();
            let mut all = BytesMut::new();
            while let Some(frame) = body.frame().await {
                let Ok(data) = frame.map_err(|e| broken(&e))?.into_data() else { continue };
                if all.len() + data.len() > limit {
                    return Err(WebError::TooLarge(host.to_owned(), limit));
                }
                all.extend_from_slice(&data);
            }
            Ok(Answer { status: head.status, headers: head.headers, body: all.freeze() })
        };
        tokio::pin!(answer, connection);
        tokio::select! {
            biased;
            answer = &mut answer => answer,
            // The server hung up: what it had said before is still to be read.
            _ = &mut connection => answer.await,
        }
    }

    async fn connect(&self, url: &Url) -> io::Result<Stream> {
        let socket = connect_tcp(url).await?;
        socket.set_nodelay(true)?;
        if !url.secure {
            return Ok(Box::new(socket));
        }
        let connector = self.connector().await?;
        let name = ServerName::try_from(url.host.clone()).map_err(io::Error::other)?;
        Ok(Box::new(connector.connect(name, socket).await?))
    }

    async fn connector(&self) -> io::Result<TlsConnector> {
        let roots = match &self.roots {
            Some(roots) => Arc::clone(roots),
            // Read anew each time, as requests are rare and certificates are updated.
            None => Arc::new(tokio::task::spawn_blocking(system_roots).await??),
        };
        let mut config =
            ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
                .with_safe_default_protocol_versions()
                .map_err(io::Error::other)?
                .with_root_certificates(roots)
                .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(TlsConnector::from(Arc::new(config)))
    }
}

async fn connect_tcp(url: &Url) -> io::Result<TcpStream> {
    let mut last = io::Error::other("the name has no address");
    for address in lookup_host((url.host.as_str(), url.port)).await?.take(MAX_ADDRESSES) {
        match timeout(CONNECT, TcpStream::connect(address)).await {
            Ok(Ok(socket)) => return Ok(socket),
            Ok(Err(error)) => last = error,
            Err(_) => last = io::ErrorKind::TimedOut.into(),
        }
    }
    Err(last)
}

fn system_roots() -> io::Result<RootCertStore> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        let why = found.errors.first().map_or_else(String::new, |e| format!(": {e}"));
        let text =
            format!("no certificates to believe on this machine{why}; install ca-certificates");
        return Err(io::Error::other(text));
    }
    Ok(roots)
}

fn head(request: &Request, host: &str) -> Result<Head<Full<Bytes>>, hyper::http::Error> {
    let mut head = Head::builder()
        .method(&request.method)
        .uri(&request.url.path)
        .header(header::HOST, host)
        .header(header::USER_AGENT, concat!("containarium/", env!("CARGO_PKG_VERSION")))
        .header(header::CONNECTION, "close");
    for (name, value) in &request.headers {
        head = head.header(name, value);
    }
    head.body(Full::new(request.body.clone()))
}

#[cfg(test)]
pub(crate) mod tests;
