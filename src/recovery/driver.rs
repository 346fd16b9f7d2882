//! The one task that owns all plans: it tells them what is known, does what they say, and publishes
//! what comes of it.

use std::{
    collections::{BTreeMap, BTreeSet},
    convert::Infallible,
    future::pending,
    sync::Arc,
    time::Duration,
};

use futures_util::{StreamExt, future::BoxFuture, stream::FuturesUnordered};
use jiff::Timestamp;
use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};

use super::{
    Recoveries, Recovery, State, Surroundings,
    plan::{Alarm, Instance, Outcome, Plan, Policy, Step},
    provider::{Fault, Provider},
    record::Record,
    returned,
};
use crate::{
    clock::timestamp,
    config::{self, Topic},
    link::backoff::chance,
    model::name::BackendName,
    webhook::{Event, Severity},
};

/// A request that ended.
enum Ended {
    Looked(Result<Instance, Fault>),
    Acted(Step, Result<(), Fault>),
}

pub(super) struct Driver {
    with: Surroundings,
    record: Record,
    publish: watch::Sender<Arc<Recoveries>>,
    hosts: BTreeMap<BackendName, Host>,
    requests: FuturesUnordered<BoxFuture<'static, (BackendName, Ended)>>,
    /// Hosts that were down and whose containers have not been seen to since.
    was_down: BTreeSet<BackendName>,
    returns: FuturesUnordered<BoxFuture<'static, ()>>,
}

/// A host that somebody starts.
struct Host {
    config: config::Recovery,
    provider: Arc<Provider>,
    plan: Plan,
    /// Out of the configuration, with a request under way still.
    is_gone: bool,
    /// When the request that is under way began.
    since: Timestamp,
    error: Option<String>,
    told: Option<Alarm>,
}

impl Driver {
    pub(super) fn new(with: Surroundings, publish: watch::Sender<Arc<Recoveries>>) -> Self {
        let record = Record::load(with.record.clone());
        let mut driver = Self {
            with,
            record,
            publish,
            hosts: BTreeMap::new(),
            requests: FuturesUnordered::new(),
            was_down: BTreeSet::new(),
            returns: FuturesUnordered::new(),
        };
        driver.configure();
        driver
    }

    pub(super) async fn run(mut self) -> Infallible {
        let mut inventory = self.with.fleet.inventory();
        loop {
            self.observe();
            self.request_due();
            self.report();
            let next = self.hosts.values().filter_map(|host| host.plan.next_deadline()).min();
            let due = async move {
                match next {
                    Some(at) => sleep_until(at).await,
                    None => pending().await,
                }
            };
            let changed = tokio::select! {
                Some((backend, ended)) = self.requests.next() => {
                    self.end(&backend, ended);
                    Ok(())
                }
                Some(()) = self.returns.next() => Ok(()),
                () = due => Ok(()),
                changed = self.with.health.changed() => changed,
                changed = inventory.changed() => changed,
                changed = self.with.config.changed() => {
                    self.configure();
                    changed
                }
            };
            if changed.is_err() {
                // The sentinel ends.
                return pending().await;
            }
        }
    }

    /// Keeps what is known of hosts that stay. One that is gone, or whose provider is another now,
    /// stays as long as its request is under way: there are never two.
    fn configure(&mut self) {
        let config = Arc::clone(&self.with.config.borrow_and_update());
        for host in self.hosts.values_mut() {
            host.is_gone = true;
        }
        for backend in &config.backends {
            let Some(recovery) = &backend.recovery else { continue };
            let name = backend.name.clone();
            let host = self.hosts.entry(name).or_insert_with(|| Host {
                config: recovery.clone(),
                provider: Arc::new(Provider::new(&backend.name, recovery, &self.with.web)),
                plan: Plan::after(policy(recovery), &self.record.ages(&backend.name), now()),
                is_gone: false,
                since: timestamp(),
                error: None,
                told: None,
            });
            host.is_gone = false;
            if host.config != *recovery {
                host.provider = Arc::new(Provider::new(&backend.name, recovery, &self.with.web));
                host.plan.set_policy(policy(recovery));
                host.config = recovery.clone();
            }
        }
    }

    /// Tells the plans what is known, and sees to the containers of hosts that are back.
    fn observe(&mut self) {
        let health = Arc::clone(&self.with.health.borrow_and_update());
        let inventory = Arc::clone(&self.with.fleet.inventory().borrow());
        let is_drained = |name: &BackendName| inventory.backend(name).is_some_and(|b| b.drained);
        for (name, host) in &mut self.hosts {
            let is_down = health.is_down(name) && !host.is_gone;
            host.plan.observe(is_down, is_drained(name), now());
            if !is_down {
                host.error = None;
            }
        }
        self.hosts.retain(|_, host| !host.is_gone || host.plan.under_way().is_some());
        let down = health.hosts.keys().filter(|name| health.is_down(name)).cloned();
        let down: BTreeSet<_> = down.collect();
        for name in self.was_down.difference(&down) {
            let (fleet, webhooks) = (self.with.fleet.clone(), self.with.webhooks.clone());
            let health = self.with.health.clone();
            if health.borrow().hosts.contains_key(name) && !is_drained(name) {
                self.returns.push(Box::pin(returned::see_to(
                    name.clone(),
                    fleet,
                    health,
                    webhooks,
                )));
            }
        }
        self.was_down = down;
    }

    fn request_due(&mut self) {
        let now = now();
        for (name, host) in &mut self.hosts {
            if host.plan.poll(now).is_none() {
                continue;
            }
            host.since = timestamp();
            let (name, provider) = (name.clone(), Arc::clone(&host.provider));
            let look = async move { (name, Ended::Looked(provider.look().await)) };
            self.requests.push(Box::pin(look));
        }
    }

    fn end(&mut self, backend: &BackendName, ended: Ended) {
        let Some(host) = self.hosts.get_mut(backend) else { return };
        let (step, result) = match ended {
            Ended::Looked(Ok(instance)) => {
                tracing::debug!(%backend, ?instance, "recovery: looked");
                host.error = None;
                if let Some(step) = host.plan.on_look(instance, now()) {
                    self.act(backend, step);
                }
                return;
            }
            Ended::Looked(Err(fault)) => (Step::Look, Err(fault)),
            Ended::Acted(step, result) => (step, result),
        };
        let outcome = result.as_ref().map_or_else(|fault| fault.outcome, |()| Outcome::Done);
        host.plan.on_done(outcome, chance(), now());
        let verb = verb(step);
        let (name, severity, text) = match result {
            Ok(()) => {
                tracing::info!(%backend, "recovery: {verb} is done; waiting for the host");
                return;
            }
            Err(fault) => {
                tracing::warn!(%backend, error = %fault, "recovery: {verb} failed");
                let text = format!("backend {backend}: {verb} failed: {fault}");
                // The same again is no news.
                let is_news = host.error.replace(fault.to_string()) != host.error;
                if !is_news {
                    return;
                }
                ("recovery.failed", Severity::Warning, text)
            }
        };
        let texts = (backend.as_str(), text.as_str());
        self.with.webhooks.tell(Event::new(Topic::Recovery, name, severity, texts, timestamp()));
    }

    fn act(&mut self, backend: &BackendName, step: Step) {
        let Some(host) = self.hosts.get_mut(backend) else { return };
        let verb = verb(step);
        let attempt = host.plan.actions(now());
        tracing::warn!(%backend, kind = host.provider.kind(), attempt, "recovery: {verb}");
        host.since = timestamp();
        let (name, provider) = (backend.clone(), Arc::clone(&host.provider));
        let record = self.record.clone();
        let act = async move {
            // Before it is done: whatever ends the sentinel meanwhile, it counts.
            if let Err(error) = record.note(&name).await {
                tracing::warn!(%error, "recovery: what is done is forgotten at a restart");
            }
            (name, Ended::Acted(step, provider.act(step, attempt).await))
        };
        self.requests.push(Box::pin(act));
        let text = format!("backend {backend}: {verb} of its host, number {attempt} in an hour");
        let texts = (backend.as_str(), text.as_str());
        let event =
            Event::new(Topic::Recovery, "recovery.started", Severity::Info, texts, timestamp());
        self.with.webhooks.tell(event);
    }

    /// Publishes what is done, and raises alarms once.
    fn report(&mut self) {
        let now = now();
        for (backend, host) in &mut self.hosts {
            let alarm = host.plan.alarm();
            if let Some(alarm) = alarm.filter(|_| alarm != host.told) {
                let sentence = alarm.sentence();
                tracing::error!(%backend, alarm = alarm.as_str(), "recovery: {sentence}");
                let text = format!("backend {backend}: {sentence}");
                let texts = (backend.as_str(), text.as_str());
                let (name, severity) = ("recovery.alarm", Severity::Alarm);
                let event = Event::new(Topic::Recovery, name, severity, texts, timestamp());
                self.with.webhooks.tell(event);
            }
            host.told = alarm;
        }
        let hosts = self.hosts.iter().filter(|(_, host)| !host.is_gone);
        let shown: Recoveries = hosts
            .map(|(name, host)| (name.clone(), host.shown(now, &self.publish.borrow(), name)))
            .collect();
        self.publish.send_if_modified(|current| {
            let is_news = **current != shown;
            if is_news {
                *current = Arc::new(shown);
            }
            is_news
        });
    }
}

impl Host {
    /// As it is published; the time of the next request stays what it was, so that it is not news
    /// each time that the clocks are read.
    fn shown(&self, now: Instant, before: &Recoveries, name: &BackendName) -> Recovery {
        let waits = |until: Timestamp| match before.get(name).map(|r| r.state) {
            Some(State::Waiting(at)) if until.duration_since(at).abs().as_secs() < 1 => at,
            _ => until,
        };
        let state = match (self.plan.under_way(), self.plan.next_request()) {
            (Some(Step::Look), _) => State::Asking,
            (Some(Step::Start), _) => State::Starting(self.since),
            (Some(Step::Reset), _) => State::Resetting(self.since),
            (None, Some(at)) => State::Waiting(waits(later(at.saturating_duration_since(now)))),
            (None, None) if self.plan.is_held() => State::Held,
            (None, None) => State::Idle,
        };
        Recovery {
            kind: self.provider.kind(),
            state,
            alarm: self.plan.alarm(),
            actions: self.plan.actions(now),
            error: self.error.clone(),
        }
    }
}

fn policy(config: &config::Recovery) -> Policy {
    Policy {
        grace: config.grace,
        may_reset: config.may_reset,
        hourly: config.hourly,
        ..Policy::default()
    }
}

fn verb(step: Step) -> &'static str {
    match step {
        Step::Look => "look",
        Step::Start => "start",
        Step::Reset => "reset",
    }
}

fn later(pause: Duration) -> Timestamp {
    let now = timestamp();
    now.checked_add(jiff::SignedDuration::try_from(pause).unwrap_or_default()).unwrap_or(now)
}

#[expect(clippy::disallowed_methods, reason = "driver of the plans")]
fn now() -> Instant {
    Instant::now()
}
