//! What `key` and `collaborator` share: labels that change by what they are, accounts inside, and
//! the end of sessions.

use std::sync::Arc;

use super::{
    context::{Context, EndSessions},
    explain,
    failure::{Failure, Kind},
};
use crate::{
    fleet::{Fleet, guest::account::AccountError},
    incus::{Client, IncusError, api::Instance, change::Patch},
    model::{
        authorized_keys::AuthorizedKey,
        container::{Container, LABEL_PREFIX, MAX_LABEL, Status},
        key::PublicKey,
    },
};

/// Why a label did not change.
enum Refused {
    Incus(IncusError),
    Failure(Failure),
}

impl From<IncusError> for Refused {
    fn from(error: IncusError) -> Self {
        Self::Incus(error)
    }
}

/// What a change of who may log in to a container needs.
#[derive(Clone)]
pub(super) struct Change {
    pub(super) container: Arc<Container>,
    pub(super) client: Client,
    pub(super) fleet: Fleet,
    pub(super) end_sessions: EndSessions,
}

impl Change {
    /// # Errors
    /// The container's backend is away.
    pub(super) fn new(container: &Arc<Container>, context: &Context) -> Result<Self, Failure> {
        Ok(Self {
            container: Arc::clone(container),
            client: context.incus(container)?,
            fleet: context.fleet.clone(),
            end_sessions: Arc::clone(&context.end_sessions),
        })
    }
}

/// Changes a label by what it is: `edit` is asked again when somebody else was quicker. `what` is
/// a fragment for errors.
///
/// # Errors
/// What `edit` refused, the container is another one by now, or Incus refused.
pub(super) async fn change_label(
    client: &Client,
    container: &Container,
    (what, label): (&str, &str),
    mut edit: impl FnMut(&str) -> Result<String, Failure>,
) -> Result<(), Failure> {
    let key = format!("{LABEL_PREFIX}{label}");
    let edit = |seen: &Instance| {
        if Container::owner_label(&seen.config).ok().flatten().as_ref() != Some(&container.owner) {
            let message = format!("{what}: the container has another owner by now");
            return Err(Refused::Failure(Failure::new(Kind::Conflict, message)));
        }
        let before = seen.config.get(&key).map_or("", String::as_str);
        let after = edit(before).map_err(Refused::Failure)?;
        if after.len() > MAX_LABEL {
            let message = format!("{what}: label {label} would be longer than {MAX_LABEL} bytes");
            return Err(Refused::Failure(Failure::new(Kind::Conflict, message)));
        }
        if after == before {
            return Ok(None);
        }
        let mut patch = Patch::default();
        patch.config.insert(key.clone(), after);
        Ok(Some(patch))
    };
    match client.change(&container.name.instance(), edit).await {
        Ok(()) => Ok(()),
        Err(Refused::Failure(failure)) => Err(failure),
        Err(Refused::Incus(error)) => Err(explain::incus(what, &container.backend, &error)),
    }
}

/// What the sentence says of an account that is not as it should be.
pub(super) fn explain_account(what: &str, container: &Container, error: &AccountError) -> Failure {
    match error {
        AccountError::System(_) => Failure::new(Kind::Conflict, format!("{what}: {error}"))
            .hint("choose another login name"),
        AccountError::Missing(_) => Failure::new(Kind::NotFound, format!("{what}: {error}")),
        AccountError::Guest(error) => explain::guest(what, &container.backend, error),
    }
}

/// Refuses what needs a container that runs.
pub(super) fn need_running(container: &Container, why: &str) -> Result<(), Failure> {
    let name = &container.name;
    if container.status == Status::Running {
        return Ok(());
    }
    let message = format!("{name} is not running, and {why}; nothing was changed");
    Err(Failure::new(Kind::Conflict, message).hint(format!("type `start {name}` first")))
}

/// Refuses keys that open this container for somebody else: one key is one person.
pub(super) fn refuse_keys_of_others(
    container: &Container,
    keys: &[AuthorizedKey],
    login: &crate::model::name::Account,
) -> Result<(), Failure> {
    let mut others = container
        .collaborators
        .iter()
        .map(|c| (&c.login, c.keys.as_slice()))
        .chain(std::iter::once((&container.owner, container.keys.as_slice())))
        .filter(|(whose, _)| *whose != login);
    let taken = others.find_map(|(whose, theirs)| {
        let same = keys.iter().find(|k| theirs.iter().any(|t| t.key == k.key))?;
        Some((whose, same.key.fingerprint()))
    });
    let Some((whose, fingerprint)) = taken else { return Ok(()) };
    let message = format!("{fingerprint} opens {} as {whose} already", container.name);
    Err(Failure::new(Kind::Conflict, message).hint("give each person a key of her own"))
}

/// When a key last opened this very container, not one of the same name before it.
pub(super) fn last_use(
    context: &Context,
    container: &Container,
    key: &PublicKey,
) -> Option<jiff::Timestamp> {
    let created = container.label("created-at").and_then(|at| at.parse().ok());
    (context.last_use)(&container.name, key).filter(|at| created.is_none_or(|c| *at >= c))
}
