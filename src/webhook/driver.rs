//! The one task that sends. A webhook that does not answer holds up no other.

use std::{
    collections::BTreeSet, convert::Infallible, future::pending, mem, path::Path, sync::Arc,
    time::Duration,
};

use futures_util::{StreamExt, future::BoxFuture, stream::FuturesUnordered};
use hyper::StatusCode;
use tokio::{
    io::AsyncReadExt,
    sync::{mpsc, watch},
    time::{Instant, sleep_until, timeout},
};
use tokio_util::sync::CancellationToken;
use zeroize::Zeroizing;

use super::{
    Event,
    form::{Envelope, request},
    outbox::{Outbox, Verdict},
};
use crate::{
    clock,
    config::{Config, Webhook},
    link::backoff::chance,
    process::host_name,
    web::Web,
};

/// For one attempt.
const DEADLINE: Duration = Duration::from_secs(10);

/// For all that is left when the sentinel stops: a restart is not to wait for a server that is slow.
const LAST: Duration = Duration::from_secs(5);

/// Most of an answer that is read, in bytes: nobody looks at it.
const MAX_ANSWER: usize = 64 * 1024;

/// Largest file of headers or of a secret, in bytes.
const MAX_FILE: u64 = 16 * 1024;

/// What is sent: an event and its number.
type Numbered = (u64, Event);

pub(super) struct Driver {
    config: watch::Receiver<Arc<Config>>,
    web: Web,
    told: mpsc::Receiver<Event>,
    hooks: Vec<Hook>,
    flights: FuturesUnordered<BoxFuture<'static, (u64, Verdict)>>,
    /// Of hooks, and of events.
    numbers: u64,
    /// What makes the numbers of events unique.
    started: i64,
    sentinel: Arc<str>,
}

struct Hook {
    number: u64,
    config: Arc<Webhook>,
    outbox: Outbox<Numbered>,
}

impl Driver {
    pub(super) fn new(
        config: watch::Receiver<Arc<Config>>,
        web: Web,
        told: mpsc::Receiver<Event>,
    ) -> Self {
        let mut driver = Self {
            config,
            web,
            told,
            hooks: Vec::new(),
            flights: FuturesUnordered::new(),
            numbers: 0,
            started: clock::timestamp().as_microsecond(),
            sentinel: host_name().into(),
        };
        driver.configure();
        driver
    }

    /// Sends until `stop`; then what is left, and gives up what is not taken in 5 s.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        let _ = stop.run_until_cancelled(self.follow()).await;
        let _ = timeout(LAST, self.finish()).await;
        self.give_up(|_| true);
    }

    async fn follow(&mut self) -> Infallible {
        loop {
            self.send_due();
            let next = self.hooks.iter().filter_map(|hook| hook.outbox.next_deadline()).min();
            let due = async move {
                match next {
                    Some(at) => sleep_until(at).await,
                    None => pending().await,
                }
            };
            tokio::select! {
                Some((hook, verdict)) = self.flights.next() => self.end(hook, verdict),
                () = due => {}
                Some(event) = self.told.recv() => self.take(event),
                changed = self.config.changed() => match changed {
                    Ok(()) => self.configure(),
                    Err(_) => return pending().await,
                },
            }
        }
    }

    /// Tries to send all that was told; what is on its way now is tried once more if that fails.
    async fn finish(&mut self) {
        while let Ok(event) = self.told.try_recv() {
            self.take(event);
        }
        let mut last = BTreeSet::new();
        loop {
            for Hook { number, outbox, .. } in &mut self.hooks {
                if !outbox.is_on_its_way() && last.insert(*number) {
                    outbox.hurry(now());
                }
            }
            self.send_due();
            if self.hooks.iter().all(|hook| hook.outbox.is_empty()) {
                return;
            }
            let Some((number, verdict)) = self.flights.next().await else { return };
            self.end(number, verdict);
            if matches!(verdict, Verdict::Later(_)) && last.contains(&number) {
                self.give_up(|hook| hook.number == number);
            }
        }
    }

    fn give_up(&mut self, which: impl Fn(&Hook) -> bool) {
        for hook in self.hooks.iter_mut().filter(|hook| which(hook)) {
            for event in hook.outbox.give_up() {
                given_up(&hook.config, &event.1, "the sentinel stops");
            }
        }
    }

    /// Keeps what is still to be told to webhooks that stay as they are.
    fn configure(&mut self) {
        let config = Arc::clone(&self.config.borrow_and_update());
        let mut before = mem::take(&mut self.hooks);
        for webhook in &config.webhooks {
            let same = before.iter().position(|hook| hook.config == *webhook);
            let hook = if let Some(i) = same {
                before.swap_remove(i)
            } else {
                self.numbers += 1;
                let (config, outbox) = (Arc::clone(webhook), Outbox::new(now()));
                Hook { number: self.numbers, config, outbox }
            };
            self.hooks.push(hook);
        }
    }

    fn take(&mut self, event: Event) {
        self.numbers += 1;
        let event = Arc::new((self.numbers, event));
        for hook in self.hooks.iter_mut().filter(|h| h.config.events.contains(&event.1.topic)) {
            if let Some(dropped) = hook.outbox.push(Arc::clone(&event), now()) {
                given_up(&hook.config, &dropped.1, "too many wait before it");
            }
        }
    }

    fn send_due(&mut self) {
        for hook in &mut self.hooks {
            let Some(event) = hook.outbox.poll(now()) else { continue };
            let (webhook, web) = (Arc::clone(&hook.config), self.web.clone());
            let (number, started) = (hook.number, self.started);
            let sentinel = Arc::clone(&self.sentinel);
            self.flights.push(Box::pin(async move {
                let id = format!("{started}-{}", event.0);
                let envelope = Envelope { id: &id, sentinel: &sentinel };
                (number, send(&web, &webhook, &event.1, &envelope).await)
            }));
        }
    }

    fn end(&mut self, number: u64, verdict: Verdict) {
        // One that was configured away meanwhile is nobody's any more.
        let Some(hook) = self.hooks.iter_mut().find(|h| h.number == number) else { return };
        if let Some(event) = hook.outbox.on_end(verdict, chance(), now()) {
            given_up(&hook.config, &event.1, "it is not taken");
        }
    }
}

fn given_up(webhook: &Webhook, event: &Event, why: &str) {
    tracing::warn!(to = %webhook.url, event = event.name, subject = event.subject, why, "webhook given up");
}

async fn send(web: &Web, webhook: &Webhook, event: &Event, envelope: &Envelope<'_>) -> Verdict {
    let to = &webhook.url;
    let files =
        (content(webhook.secret.as_deref()).await, content(webhook.headers.as_deref()).await);
    let (secret, headers) = match files {
        (Ok(secret), Ok(headers)) => (secret, headers),
        (Err(error), _) | (_, Err(error)) => {
            tracing::warn!(%to, %error, "webhook: its file of secrets cannot be read");
            return Verdict::Later(None);
        }
    };
    let secret = webhook.secret.is_some().then(|| secret.trim());
    let request = request(webhook, event, envelope, (secret, &headers));
    match web.send(request, MAX_ANSWER, DEADLINE).await {
        Ok(answer) if answer.status.is_success() => Verdict::Sent,
        Ok(answer) => {
            let status = answer.status;
            tracing::warn!(%to, status = status.as_u16(), event = event.name, "webhook is not taken");
            let later = status.is_server_error()
                || [StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_EARLY].contains(&status)
                || status == StatusCode::TOO_MANY_REQUESTS;
            if later { Verdict::Later(answer.retry_after()) } else { Verdict::Never }
        }
        Err(error) => {
            tracing::warn!(%to, %error, event = event.name, "webhook is not sent");
            Verdict::Later(None)
        }
    }
}

/// A file as it is now, so that a secret can be changed without a reload.
async fn content(path: Option<&Path>) -> std::io::Result<Zeroizing<String>> {
    let mut text = Zeroizing::new(String::new());
    if let Some(path) = path {
        tokio::fs::File::open(path).await?.take(MAX_FILE).read_to_string(&mut text).await?;
    }
    Ok(text)
}

#[expect(clippy::disallowed_methods, reason = "driver of the webhooks")]
fn now() -> Instant {
    Instant::now()
}
