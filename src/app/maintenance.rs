//! The maintenance page, from the configuration and what is known of the hosts.

use std::sync::Arc;

use tokio::sync::watch;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{Running, StartError};
use crate::{
    clock,
    config::{Backend, Config, GatewayPool, Maintenance, Topic},
    gateway::{
        certificate::{Certificates, Expiry, Keystore, Tell},
        page::{Effort, Known, Listener, Member, Outage, PageError, Site, Tls},
    },
    health::Health,
    model::inventory::Inventory,
    recovery::{Recoveries, Recovery, State},
    store::outages::Outages,
    webhook::{self, Event, Severity},
};

/// The ports of the page, taken and not served yet.
pub(super) struct Page {
    http: Option<Listener>,
    https: Option<Listener>,
}

impl Page {
    /// Takes the ports; none without a configuration.
    ///
    /// # Errors
    /// The system refuses one of them.
    pub(super) fn bind(config: Option<&Maintenance>) -> Result<Self, PageError> {
        let bind = |address: Option<_>| address.map(Listener::bind).transpose();
        let (http, https) = config.map_or((None, None), |page| (page.http, page.https));
        Ok(Self { http: bind(http)?, https: bind(https)? })
    }

    /// Serves the page, on `tasks` and until `stop`; its certificates. Without ports nothing is read.
    ///
    /// # Errors
    /// The cryptographic library fails.
    pub(super) fn open(
        self,
        running: &Running,
        (config, outages): (&watch::Receiver<Arc<Config>>, watch::Receiver<Arc<Outages>>),
        webhooks: webhook::Sender,
        tasks: &TaskTracker,
        stop: &CancellationToken,
    ) -> Result<watch::Receiver<Arc<Keystore>>, StartError> {
        if self.http.is_none() && self.https.is_none() {
            return Ok(watch::channel(Arc::default()).1);
        }
        let file = config.borrow().state_dir.join("certificates.json");
        let fleet = running.fleet.clone();
        let tell: Tell = Arc::new(move |expiry| webhooks.tell(told(expiry)));
        let certificates = Certificates::load(config.clone(), fleet, file, tell);
        let keystore = certificates.keystore();
        let (publish, site) = watch::channel(Outage::default());
        self.serve(&site, keystore.clone(), tasks, stop)?;
        let (following, reading) = (stop.clone(), stop.clone());
        let follow = follow(config.clone(), Hosts::of(running, outages), publish);
        tasks.spawn(async move {
            following.run_until_cancelled(follow).await;
        });
        tasks.spawn(async move { reading.run_until_cancelled(certificates.run()).await });
        Ok(keystore)
    }

    fn serve(
        self,
        site: &Site,
        keystore: watch::Receiver<Arc<Keystore>>,
        tasks: &TaskTracker,
        stop: &CancellationToken,
    ) -> Result<(), StartError> {
        let tls = Tls::new(keystore).map_err(StartError::Tls)?;
        for (listener, tls) in [(self.http, None), (self.https, Some(tls))] {
            if let Some(listener) = listener {
                let (address, https) = (listener.address(), tls.is_some());
                tracing::info!(%address, https, "maintenance page");
                listener.serve(site.clone(), tls, tasks, stop.clone());
            }
        }
        Ok(())
    }
}

/// What is known of hosts.
struct Hosts {
    health: watch::Receiver<Arc<Health>>,
    inventory: watch::Receiver<Arc<Inventory>>,
    recoveries: watch::Receiver<Arc<Recoveries>>,
    outages: watch::Receiver<Arc<Outages>>,
}

impl Hosts {
    fn of(running: &Running, outages: watch::Receiver<Arc<Outages>>) -> Self {
        Self {
            outages,
            health: running.monitor.health(),
            inventory: running.fleet.inventory(),
            recoveries: running.recoveries.clone(),
        }
    }

    fn member(&self, backend: &Backend) -> Member {
        let inventory = self.inventory.borrow();
        Member {
            backend: backend.name.clone(),
            pool: backend.pool.clone(),
            drained: inventory.backend(&backend.name).is_some_and(|b| b.drained),
            effort: self.recoveries.borrow().get(&backend.name).map_or(Effort::Watched, effort),
        }
    }
}

/// What recovery does, for visitors.
fn effort(recovery: &Recovery) -> Effort {
    if recovery.alarm.is_some() {
        return Effort::Told;
    }
    match recovery.state {
        State::Starting(_) | State::Resetting(_) => Effort::Started,
        State::Waiting(_) if recovery.actions > 0 => Effort::Started,
        State::Idle | State::Held | State::Asking | State::Waiting(_) => Effort::Watched,
    }
}

/// Says on the page what is known of the hosts.
async fn follow(
    mut config: watch::Receiver<Arc<Config>>,
    mut hosts: Hosts,
    publish: watch::Sender<Outage>,
) {
    loop {
        let health = Arc::clone(&hosts.health.borrow_and_update());
        let outages = Arc::clone(&hosts.outages.borrow_and_update());
        hosts.inventory.mark_unchanged();
        hosts.recoveries.mark_unchanged();
        let known = Known { health: &health, outages: &outages };
        let outage = known.outage(&members(&config.borrow_and_update(), &hosts));
        publish.send_if_modified(|told| std::mem::replace(told, outage) != outage);
        tokio::select! {
            changed = config.changed() => if changed.is_err() { return },
            changed = hosts.health.changed() => if changed.is_err() { return },
            changed = hosts.inventory.changed() => if changed.is_err() { return },
            changed = hosts.recoveries.changed() => if changed.is_err() { return },
            changed = hosts.outages.changed() => if changed.is_err() { return },
        }
    }
}

/// The hosts that public ports may lead to; without a gateway, whoever leads them is not known, and
/// it may be any.
fn members(config: &Config, known: &Hosts) -> Vec<Member> {
    let member = |backend: &Arc<Backend>| known.member(backend);
    let Some(gateway) = &config.gateway else {
        return config.backends.iter().map(member).collect();
    };
    let of = |pool: &GatewayPool| {
        // Without failover its ports lead to the first of them, or nowhere.
        let candidates = if pool.failover { usize::MAX } else { 1 };
        let leads = |b: &&Arc<Backend>| b.pool == pool.pool && b.address.takes_ports();
        let hosts = config.backends.iter().filter(leads);
        hosts.take(candidates).map(member).collect::<Vec<_>>()
    };
    gateway.pools.iter().flat_map(of).collect()
}

/// What follows when a certificate was not renewed: a line in the log, and this for webhooks.
fn told(expiry: &Expiry) -> Event {
    let Expiry { names, source, until, days } = expiry;
    let names = names.join(" ");
    let (name, severity, what) = if *days < 0 {
        tracing::error!(%names, %source, %until, "certificate has expired");
        ("certificate.expired", Severity::Alarm, "has expired: it was valid until")
    } else {
        tracing::warn!(%names, %source, %until, days, "certificate expires soon");
        ("certificate.expires", Severity::Warning, "was not renewed: it is valid until")
    };
    let day = until.strftime("%F %H:%M UTC");
    let text = format!("the certificate of {names} ({source}) {what} {day}");
    Event::new(Topic::Certificate, name, severity, (&names, &text), clock::timestamp())
}
