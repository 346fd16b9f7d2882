//! The maintenance page, from the configuration and what is known of the hosts.

use std::sync::Arc;

use tokio::sync::watch;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{Running, StartError};
use crate::{
    config::{Backend, BackendAddress, Config, GatewayPool, Maintenance},
    gateway::{
        certificate::{Certificates, Expiry, Keystore},
        page::{Effort, Listener, Member, Outage, PageError, Past, Site, Tls},
    },
    health::Health,
    model::inventory::Inventory,
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
        config: &watch::Receiver<Arc<Config>>,
        tasks: &TaskTracker,
        stop: &CancellationToken,
    ) -> Result<watch::Receiver<Arc<Keystore>>, StartError> {
        if self.http.is_none() && self.https.is_none() {
            return Ok(watch::channel(Arc::default()).1);
        }
        let file = config.borrow().state_dir.join("certificates.json");
        let fleet = running.fleet.clone();
        let certificates = Certificates::load(config.clone(), fleet, file, Arc::new(told));
        let keystore = certificates.keystore();
        let (publish, site) = watch::channel(Outage::default());
        self.serve(&site, keystore.clone(), tasks, stop)?;
        let (following, reading) = (stop.clone(), stop.clone());
        let follow =
            follow(running.monitor.health(), config.clone(), running.fleet.inventory(), publish);
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

/// Says on the page what is known of the hosts.
async fn follow(
    mut health: watch::Receiver<Arc<Health>>,
    mut config: watch::Receiver<Arc<Config>>,
    mut inventory: watch::Receiver<Arc<Inventory>>,
    publish: watch::Sender<Outage>,
) {
    let mut past = Past::default();
    loop {
        past.observe(&health.borrow_and_update());
        let members = members(&config.borrow_and_update(), &inventory.borrow_and_update());
        let outage = past.outage(&members);
        publish.send_if_modified(|told| std::mem::replace(told, outage) != outage);
        tokio::select! {
            changed = health.changed() => if changed.is_err() { return },
            changed = config.changed() => if changed.is_err() { return },
            changed = inventory.changed() => if changed.is_err() { return },
        }
    }
}

/// The hosts that public ports may lead to; without a gateway, whoever leads them is not known, and
/// it may be any.
fn members(config: &Config, inventory: &Inventory) -> Vec<Member> {
    let member = |backend: &Arc<Backend>| Member {
        backend: backend.name.clone(),
        pool: backend.pool.clone(),
        drained: inventory.backend(&backend.name).is_some_and(|b| b.drained),
        effort: Effort::Watched,
    };
    let Some(gateway) = &config.gateway else {
        return config.backends.iter().map(member).collect();
    };
    let of = |pool: &GatewayPool| {
        // Without failover its ports lead to the first of them, or nowhere.
        let candidates = if pool.failover { usize::MAX } else { 1 };
        let leads = |b: &&Arc<Backend>| b.pool == pool.pool && b.address != BackendAddress::Local;
        let hosts = config.backends.iter().filter(leads);
        hosts.take(candidates).map(member).collect::<Vec<_>>()
    };
    gateway.pools.iter().flat_map(of).collect()
}

/// What follows when a certificate was not renewed: the one place for whoever is to be told.
fn told(expiry: &Expiry) {
    let Expiry { names, source, until, days } = expiry;
    let names = names.join(" ");
    if *days < 0 {
        tracing::error!(%names, %source, %until, "certificate has expired");
    } else {
        tracing::warn!(%names, %source, %until, days, "certificate expires soon");
    }
}
