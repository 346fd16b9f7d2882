//! A new container: from an order to one that is ready, or to nothing.

use std::time::Duration;

use tokio::time::sleep;

use super::{
    CREATING, Made, Owned, ProvisionError, Site,
    inside::{self, Ready, make_ready, wait_for_network},
    label,
    order::{Order, Safety},
    set_labels, taken,
};
use crate::{
    clock::{self, timestamp},
    fleet::{Fleet, Reserved, job::Job},
    incus::{IncusError, change::Action, host::Card},
    model::{image::ImageName, key::PublicKey, name::BackendName},
};

/// For Incus to make an instance of an image that it has, and to start it.
const MAKE: Duration = Duration::from_secs(120);
/// The same with an image that it fetches first: some hundred megabytes.
const FETCH: Duration = Duration::from_secs(1800);
const START: Duration = Duration::from_secs(60);
/// For the removal of what failed: Incus may still be busy with making it.
const UNDO: Duration = Duration::from_secs(120);
const STOP: Duration = Duration::from_secs(30);
/// How long a connection that is refused is tried again when something is removed.
const RESTART: Duration = Duration::from_secs(10);
/// Pause between two attempts to remove what Incus is busy with.
const PAUSE: Duration = Duration::from_millis(200);

/// Where sshd has its host keys.
const SSH: &str = "/etc/ssh";

/// Place, make, start, and set labels, beside what is done inside.
const STEPS: usize = 4 + inside::STEPS;

/// Makes a container and makes it ready. Whatever fails is undone, unless the order says otherwise.
/// `more` further steps come afterwards.
///
/// # Errors
/// There is no place, the name is taken, a step failed, or it was interrupted.
pub async fn create(
    fleet: &Fleet,
    order: &Order,
    more: usize,
    job: &Job,
) -> Result<Made, ProvisionError> {
    job.plan(STEPS + more);
    job.step(&format!("find a place for {}", order.name));
    let mut reserved = fleet.reserve(&order.name, &order.wish)?;
    let card = choose(fleet, order, &mut reserved).await?;
    let site = Site::open(fleet, reserved.backend(), &order.name)?;
    clear_leftovers(fleet, order, job).await?;
    go_on(job)?;
    let attempt = Attempt::new(order);
    match attempt.make(&site, order, card.as_ref(), job).await {
        Ok(made) => Ok(made),
        Err(error @ ProvisionError::Taken(_)) => Err(error),
        Err(error) => {
            attempt.undo(&site, order, job).await;
            Err(error)
        }
    }
}

/// Removes a container that was made a moment ago, as what was to follow failed.
pub async fn undo(fleet: &Fleet, order: &Order, made: &Made, job: &Job) {
    if order.keep_failed {
        return job.note(&format!("{} on {} is kept as it is", order.name, made.backend));
    }
    let Some(container) = &made.container else { return };
    let created_at = container.label("created-at").unwrap_or_default().to_owned();
    let attempt = Attempt { created_at, mark: String::new() };
    if let Ok(site) = Site::open(fleet, &made.backend, &order.name) {
        attempt.undo(&site, order, job).await;
    }
}

/// One try. What it made is known by its mark, and later by the time of its creation.
struct Attempt {
    created_at: String,
    mark: String,
}

/// Who makes it: the same sentinel has the same CA, also after a restart.
fn sentinel(order: &Order) -> String {
    order.maker.ca.first().map_or_else(|| "-".to_owned(), PublicKey::fingerprint)
}

impl Attempt {
    fn new(order: &Order) -> Self {
        let created_at = timestamp().to_string();
        let mark = format!("{} {created_at}", sentinel(order));
        Self { created_at, mark }
    }

    async fn make(
        &self,
        site: &Site,
        order: &Order,
        card: Option<&Card>,
        job: &Job,
    ) -> Result<Made, ProvisionError> {
        let from = match &order.image.server {
            Some(_) => format!("{}, fetched if it is not there yet", order.image.name),
            None => order.image.name.to_string(),
        };
        job.step(&format!("make {} on {} of image {from}", order.name, site.backend));
        self.launch(site, order, card, job).await?;
        go_on(job)?;
        let addresses = wait_for_network(site, job).await?;
        let ready = Ready {
            owner: &order.owner,
            keys: &order.keys,
            docker: order.docker,
            ca: &order.maker.ca,
        };
        let host_keys = make_ready(site, ready, job).await?;
        go_on(job)?;
        job.step("set the labels");
        let owned = Owned {
            owner: &order.owner,
            keys: &order.keys,
            host_keys: &host_keys,
            created_by: &order.maker.person,
            created_at: &self.created_at,
        };
        self.label(site, &owned).await?;
        let container = site.fleet.look(&site.backend, &site.name).await;
        Ok(Made { backend: site.backend.clone(), addresses, host_keys, container })
    }

    /// Makes the instance and starts it, with as much protection as the backend can give.
    async fn launch(
        &self,
        site: &Site,
        order: &Order,
        card: Option<&Card>,
        job: &Job,
    ) -> Result<(), ProvisionError> {
        let devices = site.client.default_devices().await.map_err(site.failed("make"))?;
        let patience = match order.image.name {
            ImageName::Remote { .. } => FETCH,
            ImageName::Local(_) | ImageName::Fingerprint(_) => MAKE,
        };
        let mut safety = Safety::ALL;
        let mut started = false;
        for _ in 0..=Safety::COUNT {
            let body = order.body(&devices, card, safety, &self.mark);
            let done = match site.client.create_instance(&body, patience).await {
                Err(error) if error.is_conflict() => return Err(self.conflict(site, error).await),
                Err(error) => Err((error, "make")),
                Ok(()) => {
                    go_on(job)?;
                    if !std::mem::replace(&mut started, true) {
                        job.step(&format!("start {} and wait for its network", order.name));
                    }
                    forget_host_keys(site).await?;
                    let start = site.client.change_state(&site.instance, Action::Start, START);
                    start.await.map_err(|error| (error, "start"))
                }
            };
            let Err((error, what)) = done else { return Ok(()) };
            let Some(note) = safety.loosen(&error.to_string()) else {
                return Err(site.failed(what)(error));
            };
            job.note(note);
            self.remove(site).await.map_err(site.failed("make"))?;
        }
        Err(ProvisionError::Unfit(format!("{} does not take {}", site.backend, order.name)))
    }

    /// Something has the name already.
    async fn conflict(&self, site: &Site, error: IncusError) -> ProvisionError {
        match site.look().await {
            Ok(instance) => taken(&instance, site).into(),
            Err(_) => site.failed("make")(error),
        }
    }

    /// The labels, all in one change: from now on it is a container.
    async fn label(&self, site: &Site, owned: &Owned<'_>) -> Result<(), ProvisionError> {
        let patch = owned.labels();
        set_labels(site, &patch, |instance| label(instance, CREATING) == self.mark).await
    }

    /// Removes what this try made, or says that it is left.
    async fn undo(&self, site: &Site, order: &Order, job: &Job) {
        let instance = &site.instance;
        let next = format!("the next `create {}` removes it", order.name);
        if order.keep_failed {
            job.note(&format!("{instance} on {} is kept as it is; {next}", site.backend));
            return;
        }
        job.note(&format!("undoing: removing {instance} from {}", site.backend));
        if let Err(error) = self.remove(site).await {
            job.note(&format!("{instance} is left on {} ({error}); {next}", site.backend));
        }
        site.fleet.look(&site.backend, &site.name).await;
    }

    /// Removes the instance, if it is the one that this try made.
    async fn remove(&self, site: &Site) -> Result<(), IncusError> {
        let begun = clock::now();
        loop {
            let Err(error) = self.remove_now(site).await else { return Ok(()) };
            let patience = match &error {
                // It stops, is still being made, or Incus is busy with its disk.
                IncusError::Api { .. } | IncusError::Timeout(_) => UNDO,
                // Incus may be starting over, which takes a second or two.
                IncusError::Connect(_)
                | IncusError::Broken(_)
                | IncusError::TooLarge { .. }
                | IncusError::Decode { .. } => RESTART,
            };
            if begun.elapsed() >= patience {
                return Err(error);
            }
            sleep(PAUSE).await;
        }
    }

    async fn remove_now(&self, site: &Site) -> Result<(), IncusError> {
        let seen = match site.client.configured(&site.instance).await {
            Err(error) if error.is_not_found() => return Ok(()),
            seen => seen?,
        };
        let marked = !self.mark.is_empty() && label(&seen, CREATING) == self.mark;
        if !marked && label(&seen, "created-at") != self.created_at {
            return Ok(());
        }
        site.client.change_state(&site.instance, Action::Stop { force: true }, STOP).await?;
        site.client.delete_instance(&site.instance, UNDO).await
    }
}

/// Host keys that came with the image are those of every container made of it: whoever has one
/// could pass for all others. Without them the first start makes new ones.
async fn forget_host_keys(site: &Site) -> Result<(), ProvisionError> {
    let what = "look for host keys in the image of";
    let names = site.client.names_in(&site.instance, SSH).await.map_err(site.failed(what))?;
    for name in names.iter().filter(|name| name.starts_with("ssh_host_")) {
        let path = format!("{SSH}/{name}");
        site.client.remove_file(&site.instance, &path).await.map_err(site.failed(what))?;
    }
    Ok(())
}

/// Removes what earlier tries of this sentinel left under this name, wherever that is; what is
/// another's is a conflict.
async fn clear_leftovers(fleet: &Fleet, order: &Order, job: &Job) -> Result<(), ProvisionError> {
    let inventory = std::sync::Arc::clone(&fleet.inventory().borrow());
    let instance = order.name.instance();
    let left = inventory.backends.iter().filter(|b| b.unfinished.contains(&instance));
    for backend in left {
        let site = Site::open(fleet, &backend.name, &order.name)?;
        let seen = match site.look().await {
            Err(error) if error.is_not_found() => continue,
            seen => seen.map_err(site.failed("look for"))?,
        };
        let mark = label(&seen, CREATING).to_owned();
        if mark.is_empty() || !mark.starts_with(&format!("{} ", sentinel(order))) {
            return Err(taken(&seen, &site).into());
        }
        job.note(&format!("removing what an earlier try left on {}", backend.name));
        let attempt = Attempt { created_at: "-".to_owned(), mark };
        attempt.remove(&site).await.map_err(site.failed("remove what was left of"))?;
    }
    Ok(())
}

/// The backend that has the graphics card, and the card.
async fn choose(
    fleet: &Fleet,
    order: &Order,
    reserved: &mut Reserved,
) -> Result<Option<Card>, ProvisionError> {
    let Some(gpu) = &order.gpu else { return Ok(None) };
    let mut seen = Vec::new();
    for backend in reserved.candidates() {
        let site = Site::open(fleet, &backend, &order.name)?;
        let cards = site.client.graphics().await.map_err(site.failed("find a place for"))?;
        if let Some(card) = gpu.among(&cards) {
            reserved.choose(&backend);
            return Ok(Some(card.clone()));
        }
        seen.push(described(&backend, &cards));
    }
    Err(ProvisionError::NoCard(seen.join(", ")))
}

fn described(backend: &BackendName, cards: &[Card]) -> String {
    let cards: Vec<_> = cards.iter().map(|c| c.pci_address.as_str()).collect();
    match cards.as_slice() {
        [] => format!("{backend} has none"),
        cards => format!("{backend} has {}", cards.join(" and ")),
    }
}

fn go_on(job: &Job) -> Result<(), ProvisionError> {
    if job.cancelled().is_cancelled() { Err(ProvisionError::Interrupted) } else { Ok(()) }
}
