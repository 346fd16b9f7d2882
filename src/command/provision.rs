//! What `create` and `adopt` share: how their failures are told, and what they say at the end.

use std::net::IpAddr;

use serde::Serialize;

use super::{
    context::Context,
    explain,
    failure::{Failure, Kind},
    report::{Part, Report},
    view::{KeyView, size},
};
use crate::{
    config::Advertise,
    fleet::{
        guest::{GuestError, account::AccountError},
        placement::PlacementError,
        provision::{Made, ProvisionError, Taken, order::Maker},
    },
    model::{
        authorized_keys::AuthorizedKey,
        name::{Account, BackendName, ContainerName, RESERVED},
        text::printable,
    },
};

/// Accounts that distributions have themselves, or that come with packages.
const SYSTEM: [&str; 36] = [
    "root",
    "daemon",
    "bin",
    "sys",
    "sync",
    "games",
    "man",
    "lp",
    "mail",
    "news",
    "uucp",
    "proxy",
    "backup",
    "list",
    "irc",
    "nobody",
    "sshd",
    "adm",
    "shutdown",
    "halt",
    "operator",
    "ftp",
    "cron",
    "at",
    "smmsp",
    "guest",
    "messagebus",
    "systemd-network",
    "sudo",
    "wheel",
    "docker",
    "podman",
    "incus",
    "lxd",
    "www-data",
    "dbus",
];

/// Longest name of a person in a label, in characters.
const MAX_PERSON: usize = 64;

/// A container that is ready, as scripts see it.
#[derive(Debug, Serialize)]
pub(super) struct Ready {
    pub(super) name: String,
    pub(super) owner: String,
    pub(super) backend: String,
    pub(super) addresses: Vec<IpAddr>,
    /// The owner's keys.
    pub(super) keys: Vec<KeyView>,
    /// Those of the container's sshd.
    pub(super) host_keys: Vec<KeyView>,
    /// Where people reach the door.
    pub(super) host: String,
    pub(super) port: u16,
    /// The line to log in with.
    pub(super) ssh: String,
}

impl Ready {
    pub(super) fn new(
        (name, owner): (&ContainerName, &Account),
        keys: &[AuthorizedKey],
        made: &Made,
        door: &Advertise,
    ) -> Self {
        Self {
            name: name.to_string(),
            owner: owner.to_string(),
            backend: made.backend.to_string(),
            addresses: made.addresses.clone(),
            keys: keys.iter().map(|k| KeyView::new(&k.key)).collect(),
            host_keys: made.host_keys.iter().map(KeyView::new).collect(),
            host: door.host.clone(),
            port: door.port,
            ssh: login_line(name, door),
        }
    }
}

/// What people see of it: the last line is what to type.
pub(super) fn report(value: impl Serialize, ready: &Ready) -> Result<Report, Failure> {
    let text = format!("{} is ready on {}\n{}", ready.name, ready.backend, ready.ssh);
    Ok(Report::of(value)?.names(vec![ready.name.clone()]).part(Part::Text(text)))
}

/// The line that logs in.
fn login_line(name: &ContainerName, door: &Advertise) -> String {
    match door.port {
        22 => format!("ssh {name}@{}", door.host),
        port => format!("ssh -p {port} {name}@{}", door.host),
    }
}

/// Who makes the container, and whom it is to trust.
pub(super) fn maker(context: &Context) -> Maker {
    Maker { person: printable(&context.principal.name, MAX_PERSON), ca: context.keys.ca.clone() }
}

/// Refuses an owner's account that the container has for itself.
pub(super) fn check_owner(owner: &Account) -> Result<(), Failure> {
    if SYSTEM.contains(&owner.as_str()) || RESERVED.contains(&owner.as_str()) {
        let message =
            format!("{owner} is no name for an owner: systems have that account themselves");
        return Err(Failure::new(Kind::Usage, message).hint("name another with --owner"));
    }
    Ok(())
}

/// Refuses a name that logins would never reach.
pub(super) fn check_name(name: &ContainerName, context: &Context) -> Result<(), Failure> {
    let config = context.config.borrow();
    let taken = |what: &str| {
        let message = format!("{name} is the login {what}, so that no login would reach it");
        Err(Failure::new(Kind::Conflict, message).hint("take another name"))
    };
    if config.admin.login.as_str() == name.as_str() {
        return taken("of the console");
    }
    if config.routes.iter().any(|route| route.login.as_str() == name.as_str()) {
        return taken("of a route");
    }
    let inventory = context.snapshot();
    if let Some(container) = inventory.container(name) {
        return Err(exists(name, container.backend.as_str()));
    }
    Ok(())
}

fn exists(name: &ContainerName, backend: &str) -> Failure {
    Failure::new(Kind::Conflict, format!("{name} exists already, on {backend}"))
        .hint(format!("type `info {name}`, or take another name"))
}

/// What people are told.
pub(super) fn failure(what: &str, name: &ContainerName, error: ProvisionError) -> Failure {
    let logs = format!("what happened is in `logs {name}`");
    match error {
        ProvisionError::Placement(error) => placement(what, &error),
        ProvisionError::NoCard(_) => Failure::new(Kind::NotFound, format!("{what}: {error}"))
            .hint("name a card with --gpu NUMBER or --gpu ADDRESS"),
        ProvisionError::Gone(_) => Failure::new(Kind::Unavailable, format!("{what}: {error}"))
            .hint("type `status` to see the backends"),
        ProvisionError::Incus { what, backend, source } => explain::incus(&what, &backend, &source),
        ProvisionError::Guest { what, backend, source } => guest((&what, &backend), &source, logs),
        ProvisionError::Account { what, source, .. } => account(&what, &source),
        ProvisionError::Taken(taken) => self::taken(what, taken),
        ProvisionError::Missing { .. } => Failure::new(Kind::NotFound, format!("{what}: {error}"))
            .hint("`incus list` on a backend shows its instances"),
        ProvisionError::Several { .. } => Failure::new(Kind::Conflict, format!("{what}: {error}"))
            .hint("say which with --backend"),
        ProvisionError::Unfit(_) => {
            Failure::new(Kind::Failed, format!("{what}: {error}")).hint(logs)
        }
        ProvisionError::Interrupted => {
            Failure::new(Kind::Interrupted, format!("{what}: interrupted"))
        }
    }
}

fn placement(what: &str, error: &PlacementError) -> Failure {
    let kind = match error {
        PlacementError::NoBackend(_) | PlacementError::NoPool(_) => Kind::NotFound,
        PlacementError::None | PlacementError::Unavailable(_) => Kind::Unavailable,
        PlacementError::OtherPool(..)
        | PlacementError::Cpu { .. }
        | PlacementError::Memory { .. }
        | PlacementError::Disk { .. } => Kind::Usage,
    };
    let text = match error {
        PlacementError::Memory { wanted, name, has } => {
            format!("{wanted} of memory are more than there is: {name} has {}", size(*has))
        }
        PlacementError::Disk { wanted, name, has } => {
            format!("a disk of {wanted} is larger than any: that of {name} has {}", size(*has))
        }
        PlacementError::NoBackend(_)
        | PlacementError::NoPool(_)
        | PlacementError::None
        | PlacementError::Unavailable(_)
        | PlacementError::OtherPool(..)
        | PlacementError::Cpu { .. } => error.to_string(),
    };
    let hint = "type `status` to see the backends and what they have";
    Failure::new(kind, format!("{what}: {text}")).hint(hint)
}

fn guest((what, backend): (&str, &BackendName), error: &GuestError, logs: String) -> Failure {
    let kind = match error {
        GuestError::Incus(error) => return explain::incus(what, backend, error),
        GuestError::Cancelled(_) => Kind::Interrupted,
        GuestError::Timeout { .. } | GuestError::Failed { .. } => Kind::Failed,
    };
    Failure::new(kind, format!("{what}: {error}")).hint(logs)
}

fn account(what: &str, error: &AccountError) -> Failure {
    let failure = Failure::new(Kind::Conflict, format!("{what}: {error}"));
    match error {
        AccountError::System(_) | AccountError::Missing(_) => {
            failure.hint("name another owner with --owner")
        }
        AccountError::Guest(_) => failure,
    }
}

fn taken(what: &str, taken: Taken) -> Failure {
    let message = format!("{what}: {taken}");
    match taken {
        Taken::Container { name, backend } => exists(&name, backend.as_str()),
        Taken::Instance { name, .. } => Failure::new(Kind::Conflict, message).hint(format!(
            "`adopt {}` makes it a container, `delete` of Incus removes it",
            name.instance()
        )),
        Taken::Other { name, backend, .. } => {
            let remove = format!("incus delete --force {}", name.instance());
            Failure::new(Kind::Conflict, message)
                .hint(format!("if that sentinel is gone, remove it on {backend}: {remove}"))
        }
    }
}

/// A container that is ready, for the reference.
#[cfg(test)]
pub(super) fn example() -> Made {
    Made {
        backend: "spot-1".parse().unwrap(),
        addresses: vec![[10, 0, 3, 100].into()],
        host_keys: vec![super::testing::key("host")],
        container: None,
    }
}
