//! An instance that is there already becomes a container: what is in it stays as it is, what is
//! missing is added.

use std::time::Duration;

use super::{
    CREATING, Made, Owned, ProvisionError, Site,
    inside::{self, Ready, make_ready, wait_for_network},
    label,
    order::Maker,
    set_labels, taken,
};
use crate::{
    clock::timestamp,
    fleet::{Fleet, job::Job},
    incus::{api::Instance, change::Action},
    model::{
        authorized_keys::AuthorizedKey,
        inventory::Presence,
        name::{Account, BackendName, ContainerName},
    },
};

/// For an instance that is stopped to start.
const START: Duration = Duration::from_secs(60);

/// Numbers of the states of an instance.
const STOPPED: u16 = 102;
const RUNNING: u16 = 103;

/// Find, start, and set labels, beside what is done inside.
const STEPS: usize = 3 + inside::STEPS;

/// An instance to adopt.
#[derive(Debug, Clone)]
pub struct Adoption {
    /// What it will be called at the door.
    pub name: ContainerName,
    /// The owner's account inside; made if it is missing.
    pub owner: Account,
    /// The owner's keys; others in her `authorized_keys` stay.
    pub keys: Vec<AuthorizedKey>,
    /// On this backend; else it is looked for.
    pub backend: Option<BackendName>,
    /// Who adopts it, and what it is to trust.
    pub maker: Maker,
}

/// Makes a container of an instance. What fails is not undone: nothing inside was taken away, the
/// labels were not set, and the next try goes on from there.
///
/// # Errors
/// There is no such instance, it is managed already, or a step failed.
pub async fn adopt(fleet: &Fleet, adoption: &Adoption, job: &Job) -> Result<Made, ProvisionError> {
    job.plan(STEPS);
    let Adoption { name, owner, keys, maker, .. } = adoption;
    job.step(&format!("find {}", name.instance()));
    let (site, instance) = find(fleet, adoption).await?;
    if !label(&instance, "owner").is_empty() || !label(&instance, CREATING).is_empty() {
        return Err(taken(&instance, &site).into());
    }
    if instance.kind != "container" {
        let message = format!("{} is a virtual machine, and no container", instance.name);
        return Err(ProvisionError::Unfit(message));
    }
    job.step(&format!("have {} run on {}", name.instance(), site.backend));
    start(&site, &instance).await?;
    let addresses = wait_for_network(&site, job).await?;
    let ready = Ready { owner, keys, docker: false, ca: &maker.ca };
    let host_keys = make_ready(&site, ready, job).await?;
    job.step("set the labels");
    let created_at = timestamp().to_string();
    let created_by = maker.person.as_str();
    let host = &host_keys;
    let owned = Owned { owner, keys, host_keys: host, created_by, created_at: &created_at };
    set_labels(&site, &owned.labels(), |i| label(i, "owner").is_empty()).await?;
    let container = site.fleet.look(&site.backend, name).await;
    Ok(Made { backend: site.backend, addresses, host_keys, container })
}

/// The one instance of that name.
async fn find(fleet: &Fleet, adoption: &Adoption) -> Result<(Site, Instance), ProvisionError> {
    let inventory = std::sync::Arc::clone(&fleet.inventory().borrow());
    let meant = |name: &BackendName| adoption.backend.as_ref().is_none_or(|wanted| wanted == name);
    let (mut found, mut away) = (Vec::new(), Vec::new());
    for backend in inventory.backends.iter().filter(|b| meant(&b.name)) {
        match backend.presence {
            Presence::Up { .. } => {}
            Presence::Away { .. } | Presence::Unknown => {
                away.push(backend.name.to_string());
                continue;
            }
        }
        let site = Site::open(fleet, &backend.name, &adoption.name)?;
        match site.client.configured(&site.instance).await {
            Err(error) if error.is_not_found() => {}
            seen => found.push((seen.map_err(site.failed("find"))?, site)),
        }
    }
    let instance = adoption.name.instance();
    if found.len() > 1 {
        let backends: Vec<_> = found.iter().map(|(_, site)| site.backend.as_str()).collect();
        return Err(ProvisionError::Several { instance, backends: backends.join(", ") });
    }
    let missing = ProvisionError::Missing { instance, away: away.join(", ") };
    found.pop().map(|(instance, site)| (site, instance)).ok_or(missing)
}

async fn start(site: &Site, instance: &Instance) -> Result<(), ProvisionError> {
    match instance.status_code {
        RUNNING => Ok(()),
        STOPPED => {
            let start = site.client.change_state(&site.instance, Action::Start, START);
            start.await.map_err(site.failed("start"))
        }
        _ => {
            Err(ProvisionError::Unfit(format!("{} is neither running nor stopped", instance.name)))
        }
    }
}
