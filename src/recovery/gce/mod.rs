//! Google's Compute Engine starts the host: `instances.get`, `.start`, `.resume` and `.reset`, and
//! `zoneOperations.get` until what was begun is done.

mod token;

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use bytes::Bytes;
use hyper::{
    Method, StatusCode,
    header::{AUTHORIZATION, HeaderValue},
};
use serde::Deserialize;
use tokio::time::{sleep, timeout};
use zeroize::Zeroizing;

use self::token::Tokens;
use super::{
    plan::{Instance, Step},
    provider::Fault,
};
use crate::{
    config,
    web::{Answer, Request, Web},
};

/// For one call.
const CALL: Duration = Duration::from_secs(10);

/// Largest answer, in bytes.
const MAX_ANSWER: usize = 1024 * 1024;

/// For what was begun to be done, and how often that is asked. Longer, and a look tells more.
const OPERATION: Duration = Duration::from_secs(180);
const POLL: Duration = Duration::from_secs(2);

pub(super) struct Gce {
    config: config::Gce,
    web: Web,
    tokens: Tokens,
    /// It was suspended when it was last looked at: it is resumed then, not started.
    is_suspended: AtomicBool,
}

#[derive(Deserialize)]
struct Described {
    status: String,
}

#[derive(Deserialize)]
struct Operation {
    name: String,
    #[serde(default)]
    status: String,
    #[serde(default)]
    error: Option<Errors>,
}

#[derive(Deserialize)]
struct Errors {
    #[serde(default)]
    errors: Vec<Detail>,
}

#[derive(Deserialize)]
struct Refusal {
    error: RefusalBody,
}

#[derive(Deserialize)]
struct RefusalBody {
    #[serde(default)]
    message: String,
    #[serde(default)]
    errors: Vec<Detail>,
}

#[derive(Deserialize)]
struct Detail {
    /// Of operations.
    #[serde(default)]
    code: String,
    /// Of refusals.
    #[serde(default)]
    reason: String,
    #[serde(default)]
    message: String,
}

impl Gce {
    pub(super) fn new(config: config::Gce, web: Web) -> Self {
        let tokens = Tokens::new(&config, web.clone());
        Self { config, web, tokens, is_suspended: AtomicBool::new(false) }
    }

    pub(super) async fn look(&self) -> Result<Instance, Fault> {
        let path = format!("instances/{}?fields=status", self.config.instance);
        let answer = self.call(Method::GET, &path).await?;
        if answer.status == StatusCode::NOT_FOUND {
            return Ok(Instance::Missing);
        }
        let Described { status } = decode(&granted(&answer)?.body)?;
        self.is_suspended.store(status == "SUSPENDED", Ordering::Relaxed);
        Ok(match status.as_str() {
            "TERMINATED" | "STOPPED" | "SUSPENDED" => Instance::Stopped,
            "RUNNING" => Instance::Running,
            // PROVISIONING, STAGING, STOPPING, SUSPENDING, REPAIRING, and what is yet to be thought of.
            _ => Instance::Changing,
        })
    }

    pub(super) async fn act(&self, step: Step) -> Result<(), Fault> {
        let verb = match step {
            Step::Look => return Ok(()),
            Step::Start if self.is_suspended.load(Ordering::Relaxed) => "resume",
            Step::Start => "start",
            Step::Reset => "reset",
        };
        let path = format!("instances/{}/{verb}", self.config.instance);
        let answer = self.call(Method::POST, &path).await?;
        if answer.status == StatusCode::CONFLICT {
            // Somebody else acts on it: the next look tells what came of that.
            return Ok(());
        }
        let operation: Operation = decode(&granted(&answer)?.body)?;
        let done = timeout(OPERATION, self.follow(operation)).await;
        // It goes on by itself.
        done.unwrap_or(Ok(()))
    }

    /// Waits until an operation is done. One that cannot be asked for any more is left: the next
    /// look tells.
    async fn follow(&self, mut operation: Operation) -> Result<(), Fault> {
        while operation.status != "DONE" {
            sleep(POLL).await;
            let path = format!("operations/{}?fields=name,status,error", escaped(&operation.name));
            let Ok(answer) = self.call(Method::GET, &path).await else { return Ok(()) };
            let Ok(next) = granted(&answer).and_then(|answer| decode(&answer.body)) else {
                return Ok(());
            };
            operation = next;
        }
        let error = operation.error.and_then(|error| error.errors.into_iter().next());
        match error {
            None => Ok(()),
            Some(Detail { code, message, .. }) => {
                Err(Fault::passing(&format!("{code}: {message}")))
            }
        }
    }

    /// Asks for something in the zone; with another token if this one is not good any more.
    async fn call(&self, method: Method, path: &str) -> Result<Answer, Fault> {
        let answer = self.send(&method, path).await?;
        if answer.status != StatusCode::UNAUTHORIZED {
            return Ok(answer);
        }
        self.tokens.forget();
        self.send(&method, path).await
    }

    async fn send(&self, method: &Method, path: &str) -> Result<Answer, Fault> {
        let token = self.tokens.get().await?;
        let bearer = Zeroizing::new(format!("Bearer {}", token.as_str()));
        let mut bearer = HeaderValue::from_str(&bearer)
            .map_err(|_| Fault::passing("the access token is not one"))?;
        bearer.set_sensitive(true);
        let config::Gce { endpoint, project, zone, .. } = &self.config;
        let path = format!("/compute/v1/projects/{project}/zones/{zone}/{path}");
        let request = Request {
            method: method.clone(),
            url: endpoint.join(&path),
            headers: vec![(AUTHORIZATION, bearer)],
            body: Bytes::new(),
        };
        let sent = self.web.send(request, MAX_ANSWER, CALL).await;
        sent.map_err(|e| Fault::passing(&e.to_string()))
    }
}

/// An answer that grants what was asked.
fn granted(answer: &Answer) -> Result<&Answer, Fault> {
    let status = answer.status;
    if status.is_success() {
        return Ok(answer);
    }
    let refusal = serde_json::from_slice::<Refusal>(&answer.body).ok().map(|r| r.error);
    let message = refusal.as_ref().map_or("", |r| r.message.as_str());
    let text = format!("the API says {}: {message}", status.as_u16());
    let text = text.trim_end_matches([' ', ':']);
    let is_quota = refusal.iter().flat_map(|r| &r.errors).any(|e| {
        ["rateLimitExceeded", "userRateLimitExceeded", "quotaExceeded"].contains(&e.reason.as_str())
    });
    Err(match status {
        StatusCode::UNAUTHORIZED | StatusCode::NOT_FOUND => Fault::refused(text),
        StatusCode::FORBIDDEN if !is_quota => Fault::refused(text),
        _ => Fault::after(text, answer.retry_after().unwrap_or_default()),
    })
}

fn decode<T: serde::de::DeserializeOwned>(body: &[u8]) -> Result<T, Fault> {
    // Nothing of the body, as it may hold a token.
    serde_json::from_slice(body).map_err(|_| Fault::passing("the answer is not what is documented"))
}

/// The name of an operation, which comes from the API, as one part of a path.
fn escaped(name: &str) -> String {
    name.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').take(100).collect()
}

#[cfg(test)]
mod tests;
