//! One HTTP request on a connection of its own. Used by `client` alone.

use std::{sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt, Full};
use hyper::{HeaderMap, Method, Request, StatusCode, body::Incoming, client::conn::http1, header};
use hyper_util::rt::TokioIo;
use tokio::time::timeout;

use super::IncusError;
use crate::link::Dial;

/// Largest refusal read, in bytes: whatever the limit of what was asked for.
const MAX_REFUSAL: usize = 64 * 1024;

/// What is asked.
pub(super) struct Call {
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) body: Option<Bytes>,
    /// Headers beyond those of every request.
    pub(super) headers: Vec<(&'static str, String)>,
    /// Largest answer, in bytes.
    pub(super) limit: usize,
    /// From dialling to the last byte.
    pub(super) deadline: Duration,
}

/// What came back.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Call {
    pub(super) fn name(&self) -> String {
        let path = self.path.split('?').next().unwrap_or_default();
        format!("{} {path}", self.method)
    }

    /// Dials, asks, reads all of the answer and hangs up.
    pub(super) async fn send(self, dial: &Arc<dyn Dial>) -> Result<Answer, IncusError> {
        let (name, deadline) = (self.name(), self.deadline);
        timeout(deadline, self.exchange(dial)).await.unwrap_or(Err(IncusError::Timeout(name)))
    }

    async fn exchange(self, dial: &Arc<dyn Dial>) -> Result<Answer, IncusError> {
        let request = self.request()?;
        let stream = dial.dial().await.map_err(IncusError::Connect)?;
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
        let answer = async {
            let response = sender.send_request(request).await.map_err(broken)?;
            let (head, body) = response.into_parts();
            let limit =
                if head.status.is_success() { self.limit } else { self.limit.max(MAX_REFUSAL) };
            let body = collect(body, limit, || self.name()).await?;
            Ok(Answer { status: head.status, headers: head.headers, body })
        };
        tokio::pin!(answer, connection);
        tokio::select! {
            biased;
            answer = &mut answer => answer,
            // The server hung up: what it had said before is still to be read.
            _ = &mut connection => answer.await,
        }
    }

    fn request(&self) -> Result<Request<Full<Bytes>>, IncusError> {
        let body = self.body.clone().unwrap_or_default();
        let request = Request::builder()
            .method(&self.method)
            .uri(&self.path)
            .header(header::HOST, "incus")
            .header(header::CONNECTION, "close")
            .header(header::CONTENT_TYPE, "application/json");
        let more = self.headers.iter();
        more.fold(request, |request, (name, value)| request.header(*name, value))
            .body(Full::new(body))
            .map_err(|e| IncusError::Decode { request: self.name(), reason: e.to_string() })
    }
}

async fn collect(
    mut body: Incoming,
    limit: usize,
    name: impl Fn() -> String,
) -> Result<Bytes, IncusError> {
    let mut all = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(broken)?.into_data() else { continue };
        if all.len() + data.len() > limit {
            return Err(IncusError::TooLarge { request: name(), limit });
        }
        all.extend_from_slice(&data);
    }
    Ok(all.freeze())
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn broken(error: hyper::Error) -> IncusError {
    IncusError::Broken(error.to_string())
}
