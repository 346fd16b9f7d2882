//! Containers made and adopted: from an order to a container that is ready to log in. The `create`
//! and `adopt` commands call it inside a job.
//!
//! Labels come last, in one change: until then an instance is nobody's container, and carries a mark
//! of who makes it. Whatever fails is undone; what a sentinel that was killed left behind is known
//! by the mark, and removed by the next try.

mod adopt;
mod inside;
mod make;
pub mod order;

use std::{net::IpAddr, sync::Arc};

pub use self::{
    adopt::{Adoption, adopt},
    make::{create, undo},
};
use super::{
    Fleet,
    guest::{GuestError, account::AccountError},
    placement::PlacementError,
};
use crate::{
    incus::{Client, IncusError, api::Instance, change::Patch},
    model::{
        authorized_keys::AuthorizedKey,
        container::{Container, LABEL_PREFIX},
        key::PublicKey,
        name::{Account, BackendName, ContainerName},
        text::printable,
    },
};

/// The label of an instance that is being made, without prefix.
pub(super) const CREATING: &str = "creating";

/// How often a question is asked that is not answered in time (10 s each).
const LOOKS: usize = 3;

/// A container that is ready.
#[derive(Debug, Clone)]
pub struct Made {
    /// Where it is.
    pub backend: BackendName,
    /// Its addresses, IPv4 first.
    pub addresses: Vec<IpAddr>,
    /// The host keys of its sshd.
    pub host_keys: Vec<PublicKey>,
    /// As the inventory has it; `None`: the backend went away this very moment.
    pub container: Option<Arc<Container>>,
}

/// Why there is no container.
#[derive(Debug, thiserror::Error)]
pub enum ProvisionError {
    /// There is no place for it.
    #[error(transparent)]
    Placement(#[from] PlacementError),
    /// No backend that could take it has such a graphics card; what they have.
    #[error("no backend has that graphics card: {0}")]
    NoCard(String),
    /// The backend was removed from the configuration.
    #[error("backend {0} is gone")]
    Gone(BackendName),
    /// Incus refused, or failed.
    #[error("{what}: {source}")]
    Incus {
        /// What was done.
        what: String,
        /// Where.
        backend: BackendName,
        /// Why it failed.
        source: IncusError,
    },
    /// What was run inside failed.
    #[error("{what}: {source}")]
    Guest {
        /// What was done.
        what: String,
        /// Where.
        backend: BackendName,
        /// Why it failed.
        source: GuestError,
    },
    /// The owner's account is not as it should be.
    #[error("{what}: {source}")]
    Account {
        /// What was done.
        what: String,
        /// Where.
        backend: BackendName,
        /// Why it failed.
        source: AccountError,
    },
    /// The name is taken.
    #[error("{0}")]
    Taken(#[from] Taken),
    /// There is no such instance, on the backends that answer.
    #[error("no instance {instance}{}", if .away.is_empty() { String::new() } else { format!("; away: {away}") })]
    Missing {
        /// Its name in Incus.
        instance: String,
        /// The backends that do not answer.
        away: String,
    },
    /// Several backends have one.
    #[error("there is an instance {instance} on each of {backends}")]
    Several {
        /// Its name in Incus.
        instance: String,
        /// Which.
        backends: String,
    },
    /// It is not as it must be.
    #[error("{0}")]
    Unfit(String),
    /// Somebody stopped it.
    #[error("interrupted")]
    Interrupted,
}

/// What has the name already.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Taken {
    /// A container of ours.
    #[error("{name} exists already, on {backend}")]
    Container {
        /// Its name.
        name: ContainerName,
        /// Where it is.
        backend: BackendName,
    },
    /// An instance that is nobody's.
    #[error("an instance {}, which is no container of this sentinel, is on {backend}", .name.instance())]
    Instance {
        /// The name that was wanted.
        name: ContainerName,
        /// Where it is.
        backend: BackendName,
    },
    /// Another sentinel makes it.
    #[error("another sentinel is making {name} on {backend} ({mark})")]
    Other {
        /// The name that was wanted.
        name: ContainerName,
        /// Where it is.
        backend: BackendName,
        /// What the other wrote, printable.
        mark: String,
    },
}

/// One backend, and the instance that is worked on there.
struct Site {
    fleet: Fleet,
    backend: BackendName,
    client: Client,
    name: ContainerName,
    /// What Incus calls it.
    instance: String,
}

impl Site {
    fn open(
        fleet: &Fleet,
        backend: &BackendName,
        name: &ContainerName,
    ) -> Result<Self, ProvisionError> {
        let client = fleet.incus(backend).ok_or_else(|| ProvisionError::Gone(backend.clone()))?;
        let (fleet, backend, name) = (fleet.clone(), backend.clone(), name.clone());
        let instance = name.instance();
        Ok(Self { fleet, backend, client, name, instance })
    }

    /// The instance as it is configured. Incus may be busy with a disk, so it is asked again.
    async fn look(&self) -> Result<Instance, IncusError> {
        let mut seen = self.client.configured(&self.instance).await;
        for _ in 1..LOOKS {
            if !matches!(seen, Err(IncusError::Timeout(_))) {
                break;
            }
            seen = self.client.configured(&self.instance).await;
        }
        seen
    }

    /// An error of Incus with what was being done.
    fn failed(&self, what: &str) -> impl FnOnce(IncusError) -> ProvisionError {
        let (what, backend) = (format!("{what} {}", self.name), self.backend.clone());
        move |source| ProvisionError::Incus { what, backend, source }
    }

    /// An error of what was run inside.
    fn failed_inside(&self, what: &str) -> impl FnOnce(GuestError) -> ProvisionError {
        let (what, backend) = (format!("{what} {}", self.name), self.backend.clone());
        move |source| match source {
            GuestError::Cancelled(_) => ProvisionError::Interrupted,
            source @ (GuestError::Incus(_)
            | GuestError::Timeout { .. }
            | GuestError::Failed { .. }) => ProvisionError::Guest { what, backend, source },
        }
    }
}

/// What the labels of a container say.
struct Owned<'a> {
    owner: &'a Account,
    keys: &'a [AuthorizedKey],
    host_keys: &'a [PublicKey],
    created_by: &'a str,
    created_at: &'a str,
}

impl Owned<'_> {
    fn labels(&self) -> Patch {
        let keys: Vec<_> = self.keys.iter().map(AuthorizedKey::to_line).collect();
        let host_keys: Vec<_> = self.host_keys.iter().map(PublicKey::to_line).collect();
        let labels = [
            ("owner", self.owner.to_string()),
            ("authorized-keys", keys.join("\n")),
            ("host-keys", host_keys.join("\n")),
            ("created-by", self.created_by.to_owned()),
            ("created-at", self.created_at.to_owned()),
            (CREATING, String::new()),
        ];
        let mut patch = Patch::default();
        patch.config.extend(labels.map(|(key, value)| (format!("{LABEL_PREFIX}{key}"), value)));
        patch
    }
}

/// Sets labels, all in one change, if the instance is still as `expected`.
async fn set_labels(
    site: &Site,
    labels: &Patch,
    expected: impl Fn(&Instance) -> bool,
) -> Result<(), ProvisionError> {
    for left in (0..LOOKS).rev() {
        let set = site.client.change(&site.instance, |instance| {
            if labels.config.iter().all(|(key, value)| is_set(instance, key, value)) {
                // By the try before this one, which was not answered.
                return Ok(None);
            }
            if expected(instance) { Ok(Some(labels.clone())) } else { Err(NotSet::Changed) }
        });
        match set.await {
            Ok(()) => return Ok(()),
            Err(NotSet::Incus(IncusError::Timeout(_))) if left > 0 => {}
            Err(NotSet::Incus(error)) => return Err(site.failed("set the labels of")(error)),
            Err(NotSet::Changed) => break,
        }
    }
    Err(ProvisionError::Unfit(format!("somebody else changed {} meanwhile", site.name)))
}

fn is_set(instance: &Instance, key: &str, value: &str) -> bool {
    instance.config.get(key).map_or("", String::as_str) == value
}

/// Why labels were not set.
enum NotSet {
    Changed,
    Incus(IncusError),
}

impl From<IncusError> for NotSet {
    fn from(error: IncusError) -> Self {
        Self::Incus(error)
    }
}

/// The value of a label; empty if it is not there.
fn label<'a>(instance: &'a Instance, key: &str) -> &'a str {
    instance.config.get(&format!("{LABEL_PREFIX}{key}")).map_or("", String::as_str)
}

/// What has the name of `instance`, as the answer to whoever wants it.
fn taken(instance: &Instance, site: &Site) -> Taken {
    let (name, backend) = (site.name.clone(), site.backend.clone());
    match (label(instance, "owner"), label(instance, CREATING)) {
        ("", "") => Taken::Instance { name, backend },
        ("", mark) => Taken::Other { name, backend, mark: printable(mark, 120) },
        _ => Taken::Container { name, backend },
    }
}
