//! The calls: one method an endpoint.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use bytes::Bytes;
use hyper::{Method, StatusCode};
use serde_json::Value;
use tokio::time::sleep;

use super::{
    Events, IncusError,
    api::{Envelope, Instance, Resources, Server, decode},
    events, exec,
    http::{Answer, Call},
    operation::{self, Operation},
};
use crate::link::{Dial, Stream};

/// Largest answer, in bytes: some thousand instances.
pub(super) const MAX_BODY: usize = 8 * 1024 * 1024;
/// For a call that only reads. A host that boots fifty containers keeps one waiting for seconds;
/// who cannot wait that long has a bound of her own. That a host is gone is for health to find.
pub(super) const CALL_DEADLINE: Duration = Duration::from_secs(10);
/// For a call that makes an operation, or lists everything (5 ms for each running instance).
const LONG_DEADLINE: Duration = Duration::from_secs(20);
/// Before an operation is asked for again whose connection was lost.
const PAUSE: Duration = Duration::from_millis(300);

/// Status of an instance that runs.
const RUNNING: u16 = 103;

/// A client of one Incus. Clones share nothing but the way there.
#[derive(Clone)]
pub struct Client {
    pub(super) dial: Arc<dyn Dial>,
    pub(super) bulk: Arc<dyn Dial>,
}

impl Client {
    /// A client of the Incus that `dial` leads to.
    #[must_use]
    pub fn new(dial: Arc<dyn Dial>) -> Self {
        Self { bulk: Arc::clone(&dial), dial }
    }

    /// The same client, but the data of [`Self::exec`] and [`Self::attach`] goes over connections
    /// that `bulk` dials to the same Incus as the same user: so that users' bytes do not share one
    /// with calls.
    #[must_use]
    pub fn with_bulk(self, bulk: Arc<dyn Dial>) -> Self {
        Self { bulk, ..self }
    }

    /// About the server.
    ///
    /// # Errors
    /// As [`IncusError`] tells; nothing is retried.
    pub async fn server(&self) -> Result<Server, IncusError> {
        self.get("/1.0", CALL_DEADLINE).await
    }

    /// What the host has.
    ///
    /// # Errors
    /// As [`IncusError`] tells; nothing is retried.
    pub async fn resources(&self) -> Result<Resources, IncusError> {
        self.get("/1.0/resources", CALL_DEADLINE).await
    }

    /// Every container (no virtual machines) of the default project, with state.
    ///
    /// # Errors
    /// As [`IncusError`] tells; nothing is retried.
    pub async fn instances(&self) -> Result<Vec<Instance>, IncusError> {
        let all: Result<Vec<Instance>, _> =
            self.get("/1.0/instances?recursion=2", LONG_DEADLINE).await;
        match all {
            // It holds all snapshots, too, of which there can be thousands.
            Err(IncusError::TooLarge { .. }) => self.instances_one_by_one().await,
            all => Ok(all?.into_iter().filter(|i| i.kind == "container").collect()),
        }
    }

    /// One instance with state.
    ///
    /// # Errors
    /// As [`IncusError`] tells; nothing is retried.
    pub async fn instance(&self, name: &str) -> Result<Instance, IncusError> {
        self.get(&format!("/1.0/instances/{}?recursion=1", escape(name)), CALL_DEADLINE).await
    }

    /// One instance as it is configured, without its state: that of one whose start failed cannot
    /// always be told.
    ///
    /// # Errors
    /// As [`IncusError`] tells; nothing is retried.
    pub async fn configured(&self, name: &str) -> Result<Instance, IncusError> {
        self.get(&format!("/1.0/instances/{}", escape(name)), CALL_DEADLINE).await
    }

    /// What happens from now on.
    ///
    /// # Errors
    /// As [`IncusError`] tells; nothing is retried.
    pub async fn events(&self) -> Result<Events, IncusError> {
        events::open(&self.dial).await
    }

    /// Runs a command without a terminal. The stream is its standard input and output; what it
    /// says on standard error is logged. Dropping the stream kills it. A command that is not
    /// there looks like one that ends at once without a word.
    ///
    /// # Errors
    /// As [`IncusError`] tells; [`IncusError::Api`] when the instance is not running.
    pub async fn exec(
        &self,
        instance: &str,
        argv: &[&str],
        env: &BTreeMap<String, String>,
    ) -> Result<Stream, IncusError> {
        exec::run(self, (&self.dial, &self.bulk), instance, argv, env).await
    }

    /// Makes a request that starts an operation, and waits for at most `patience` for its end.
    ///
    /// # Errors
    /// As [`IncusError`] tells; [`IncusError::Timeout`] when it is still running.
    pub async fn operate(
        &self,
        method: Method,
        path: &str,
        body: &Value,
        patience: Duration,
    ) -> Result<Operation, IncusError> {
        let operation = self.start(method, path, body).await?;
        self.wait(&operation.id, patience).await
    }

    /// Waits for at most `patience` until an operation has ended. It goes on when a connection is
    /// lost, and is asked for once more over another.
    ///
    /// # Errors
    /// As [`IncusError`] tells; [`IncusError::Timeout`] when it is still running.
    pub async fn wait(&self, id: &str, patience: Duration) -> Result<Operation, IncusError> {
        let path = format!("/1.0/operations/{}/wait?timeout={}", escape(id), patience.as_secs());
        let deadline = patience + CALL_DEADLINE;
        let mut asked = self.send(Method::GET, &path, None, MAX_BODY, deadline).await;
        if let Err(lost @ IncusError::Broken(_)) = asked {
            sleep(PAUSE).await;
            asked = match self.send(Method::GET, &path, None, MAX_BODY, deadline).await {
                // Incus forgets an operation 5 s after its end.
                Ok(answer) if answer.status == StatusCode::NOT_FOUND => Err(lost),
                asked => asked,
            };
        }
        operation::ended(&path, &asked?.body)
    }

    async fn instances_one_by_one(&self) -> Result<Vec<Instance>, IncusError> {
        let mut all: Vec<Instance> = self.get("/1.0/instances?recursion=1", LONG_DEADLINE).await?;
        all.retain(|i| i.kind == "container");
        for instance in all.iter_mut().filter(|i| i.status_code == RUNNING) {
            let path = format!("/1.0/instances/{}/state", escape(&instance.name));
            instance.state = match self.get(&path, CALL_DEADLINE).await {
                Err(error) if error.is_unavailable() => return Err(error),
                // Stopped or deleted meanwhile: an event tells.
                state => state.ok(),
            };
        }
        Ok(all)
    }

    /// Makes a request that starts an operation.
    pub(super) async fn start(
        &self,
        method: Method,
        path: &str,
        body: &Value,
    ) -> Result<Operation, IncusError> {
        let answer = self.call(method, path, Some(body)).await?;
        Envelope::open(path, &answer.body)?.metadata(path)
    }

    /// Makes a request whose answer is JSON.
    pub(super) async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Answer, IncusError> {
        self.call_if(method, path, body, None).await
    }

    /// The same; refused with 412 if what is at `path` has another `ETag` by now.
    pub(super) async fn call_if(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        etag: Option<&str>,
    ) -> Result<Answer, IncusError> {
        let body = body.map(serde_json::to_vec).transpose().map_err(|e| decode(path, &e))?;
        let (body, headers) = (body.map(Bytes::from), etag.map(|tag| ("If-Match", tag.to_owned())));
        let headers = headers.into_iter().collect();
        let call = Call {
            method,
            path: path.to_owned(),
            body,
            headers,
            limit: MAX_BODY,
            deadline: LONG_DEADLINE,
        };
        let answer = call.send(&self.dial).await?;
        if answer.status.is_success() { Ok(answer) } else { Err(failed(path, &answer)) }
    }

    pub(super) async fn get<T>(&self, path: &str, deadline: Duration) -> Result<T, IncusError>
    where
        T: serde::de::DeserializeOwned,
    {
        let answer = self.send(Method::GET, path, None, MAX_BODY, deadline).await?;
        Envelope::open(path, &answer.body)?.metadata(path)
    }

    pub(super) async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<Bytes>,
        limit: usize,
        deadline: Duration,
    ) -> Result<Answer, IncusError> {
        let headers = Vec::new();
        let call = Call { method, path: path.to_owned(), body, headers, limit, deadline };
        call.send(&self.dial).await
    }
}

/// Text as part of a URL's path or query.
pub(super) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push('%');
            out.extend(
                [byte >> 4, byte & 15].map(|d| char::from(b"0123456789ABCDEF"[usize::from(d)])),
            );
        }
    }
    out
}

pub(super) fn failed(path: &str, answer: &Answer) -> IncusError {
    let status = answer.status.as_u16();
    match Envelope::open(path, &answer.body) {
        Err(error @ IncusError::Api { .. }) => error,
        Ok(_) | Err(_) => IncusError::api(status, &String::from_utf8_lossy(&answer.body)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_leaves_its_part_of_a_url() {
        assert_eq!(escape("/home/a b/.ssh"), "/home/a%20b/.ssh");
        assert_eq!(escape("/x?y&z#%é"), "/x%3Fy%26z%23%25%C3%A9");
    }
}
