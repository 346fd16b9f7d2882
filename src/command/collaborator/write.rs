//! `collaborator add` and `collaborator remove`. Adding makes the account first, so that the door
//! leads nowhere else; removing closes the door first. What fails in between is said, and the same
//! again finishes it.

use std::sync::Arc;

use serde::Serialize;

use super::{AddArgs, list::rights};
use crate::{
    command::{
        context::Context,
        failure::{Failure, Kind},
        people::{Change, change_label, explain_account, need_running, refuse_keys_of_others},
        report::{Part, Report},
        terminal::Terminal,
        view::KeyView,
        work,
    },
    fleet::{
        guest::{
            Guest,
            account::{self, KeyChange, Power, Wanted},
        },
        job::Job,
    },
    model::{
        authorized_keys::AuthorizedKey,
        container::{Collaborator, Container, Status},
        inventory::Inventory,
        key::PublicKey,
        label::{Broken, with_collaborator, without_collaborator},
        name::Account,
        principal::Whose,
    },
};

/// Collaborators of one container: more than share one, and few enough for a label.
const MAX_COLLABORATORS: usize = 100;

#[derive(Serialize)]
struct Added {
    name: String,
    login: String,
    sudo: bool,
    container_runtime: bool,
    keys: Vec<KeyView>,
    /// The names that lead to her account at the door.
    logins: Vec<String>,
}

#[derive(Serialize)]
struct Removed {
    name: String,
    login: String,
    /// Whether her account inside is locked.
    locked: bool,
}

pub(super) async fn add(
    container: &Arc<Container>,
    args: &AddArgs,
    keys: Vec<AuthorizedKey>,
    context: &Context,
    terminal: &Terminal,
) -> Result<Report, Failure> {
    let before = container.collaborators.iter().find(|c| c.login == args.login).cloned();
    let keys = match &before {
        Some(before) if keys.is_empty() => before.keys.clone(),
        None if keys.is_empty() => {
            let message = format!("{} needs a key to log in with", args.login);
            return Err(Failure::new(Kind::Usage, message).hint("give one with --ssh-key"));
        }
        Some(_) | None => keys,
    };
    refuse_keys_of_others(container, &keys, &args.login)?;
    if before.is_none() && container.collaborators.len() >= MAX_COLLABORATORS {
        let message = format!("{} has {MAX_COLLABORATORS} collaborators", container.name);
        return Err(Failure::new(Kind::Conflict, message).hint("remove one who is gone"));
    }
    need_running(container, "the account is made inside")?;
    let after = Collaborator {
        login: args.login.clone(),
        keys,
        sudo: args.sudo,
        container_runtime: args.container_runtime,
    };
    let change = Change::new(container, context)?;
    let task = {
        let after = after.clone();
        move |job: Arc<Job>| async move {
            // It may have waited for its turn.
            let now = change.fleet.refresh(&change.container).await;
            let now = now.unwrap_or_else(|| Arc::clone(&change.container));
            let before = now.collaborators.iter().find(|c| c.login == after.login).cloned();
            let done = change.share(before.as_ref(), &after, &job).await;
            change.fleet.forget_keys(&change.container, &after.login);
            change.fleet.refresh(&change.container).await;
            if done.is_ok() {
                change.end_what_was(before.as_ref(), &after);
            }
            done
        }
    };
    work::run_in_turn((&container.name, "collaborator add"), context, terminal, task).await?;
    let logins = logins(&context.snapshot(), container, &after);
    let rights = rights(after.sudo, after.container_runtime);
    let text = format!(
        "{} shares {} ({rights}), and logs in as {}",
        after.login,
        container.name,
        logins.join(" or ")
    );
    let added = Added {
        name: container.name.to_string(),
        login: after.login.to_string(),
        sudo: after.sudo,
        container_runtime: after.container_runtime,
        keys: after.keys.iter().map(|k| KeyView::new(&k.key)).collect(),
        logins,
    };
    Ok(Report::of(added)?.names(vec![after.login.to_string()]).part(Part::Text(text)))
}

pub(super) async fn remove(
    container: &Arc<Container>,
    login: &Account,
    context: &Context,
    terminal: &Terminal,
) -> Result<Report, Failure> {
    let change = Change::new(container, context)?;
    let task = {
        let login = login.clone();
        move |job: Arc<Job>| async move { change.unshare(&login, &job).await }
    };
    let whose = (&container.name, "collaborator remove");
    let ended = work::run_in_turn(whose, context, terminal, task).await?;
    let removed =
        Removed { name: container.name.to_string(), login: login.to_string(), locked: true };
    let text = format!(
        "{login} does not share {} any more; her account is locked, and her files stay",
        container.name
    );
    let report = Report::of(removed)?.names(vec![login.to_string()]).part(Part::Text(text));
    Ok(match ended {
        0 => report,
        1 => report.note("her session was ended"),
        n => report.note(format!("her {n} sessions were ended")),
    })
}

impl Change {
    async fn share(
        &self,
        before: Option<&Collaborator>,
        after: &Collaborator,
        job: &Job,
    ) -> Result<(), Failure> {
        let (name, login) = (&self.container.name, &after.login);
        let what = format!("collaborator add {name} {login}");
        job.plan(2);
        job.step(&format!("make the account {login} inside"));
        let gone = gone(before, after);
        let wanted = Wanted {
            login,
            power: if after.sudo { Power::Sudo } else { Power::Become(&self.container.owner) },
            container_runtime: after.container_runtime,
            keys: KeyChange { add: &after.keys, remove: &gone },
        };
        let guest = Guest::of(self.client.clone(), &self.container);
        let made = account::ensure(&guest, &wanted, job).await;
        made.map_err(|e| explain_account(&what, &self.container, &e))?;
        job.step(&format!("write the label of {name}"));
        let label = (what.as_str(), "collaborators");
        let edit = |text: &str| with_collaborator(text, after).map_err(|e| broken(&what, e));
        change_label(&self.client, &self.container, label, edit).await.map_err(|failure| {
            let message = format!("{}; the account {login} inside is made", failure.message);
            let hint = failure.hint.unwrap_or_else(|| "type the same again".to_owned());
            Failure::new(failure.kind, message).hint(hint)
        })
    }

    /// Ends the sessions of keys that are hers no more, and all of hers when she may less.
    fn end_what_was(&self, before: Option<&Collaborator>, after: &Collaborator) {
        let Some(before) = before else { return };
        let name = &self.container.name;
        for key in gone(Some(before), after) {
            let sentence = format!("your key for {name} was taken away");
            (self.end_sessions)(name, &Whose::Key(key), &sentence);
        }
        let less =
            (before.sudo && !after.sudo) || (before.container_runtime && !after.container_runtime);
        if less {
            let sentence = format!("what you may on {name} was changed; log in again");
            (self.end_sessions)(name, &Whose::Account(after.login.clone()), &sentence);
        }
    }

    /// How many sessions were ended.
    async fn unshare(&self, login: &Account, job: &Job) -> Result<usize, Failure> {
        let name = &self.container.name;
        let what = format!("collaborator remove {name} {login}");
        job.plan(2);
        job.step(&format!("write the label of {name}"));
        let mut known = false;
        let edit = |text: &str| {
            let after = without_collaborator(text, login).map_err(|e| broken(&what, e))?;
            known |= after != text;
            Ok(after)
        };
        change_label(&self.client, &self.container, (&what, "collaborators"), edit).await?;
        self.fleet.forget_keys(&self.container, login);
        self.fleet.refresh(&self.container).await;
        let ended = self.end_sessions_of(login);
        job.step(&format!("lock the account {login} inside"));
        if self.container.status != Status::Running {
            if !known {
                return Err(nobody(&self.container, login));
            }
            let message = format!(
                "{login} cannot log in to {name} any more, but her account inside is not locked, \
                 as {name} does not run"
            );
            let hint = format!("`start {name}`, and type the same again");
            return Err(Failure::new(Kind::Conflict, message).hint(hint));
        }
        let guest = Guest::of(self.client.clone(), &self.container);
        match account::lock(&guest, login, known, job).await {
            Ok(()) => Ok(ended),
            Err(account::AccountError::Missing(_)) if known => Ok(ended),
            Err(account::AccountError::Missing(_)) => Err(nobody(&self.container, login)),
            Err(error) => {
                let done = format!(
                    "{login} cannot log in to {name} any more, but her account inside is not locked"
                );
                let failure = explain_account(&done, &self.container, &error);
                Err(failure.hint("mend what is wrong, and type the same again"))
            }
        }
    }

    fn end_sessions_of(&self, login: &Account) -> usize {
        let name = &self.container.name;
        let sentence = format!("you do not share {name} any more");
        let hers = self.container.collaborators.iter().find(|c| c.login == *login);
        let keys = hers.into_iter().flat_map(|c| &c.keys).map(|k| Whose::Key(k.key.clone()));
        let account = (self.end_sessions)(name, &Whose::Account(login.clone()), &sentence);
        // Where she was still choosing a container.
        account.max(keys.map(|key| (self.end_sessions)(name, &key, &sentence)).sum())
    }
}

/// The keys that were hers.
fn gone(before: Option<&Collaborator>, after: &Collaborator) -> Vec<PublicKey> {
    let before = before.into_iter().flat_map(|c| &c.keys).map(|k| &k.key);
    before.filter(|key| after.keys.iter().all(|k| k.key != **key)).cloned().collect()
}

/// The login names that lead to her account with her keys.
fn logins(inventory: &Inventory, container: &Container, her: &Collaborator) -> Vec<String> {
    let long = format!("{}+{}", container.name, her.login);
    let is_container = inventory.containers().any(|c| c.name.as_str() == her.login.as_str());
    let leads_here = |k: &AuthorizedKey| inventory.opened_by(&k.key).count() <= 1;
    if !is_container && her.keys.iter().all(leads_here) {
        vec![her.login.to_string(), long]
    } else {
        vec![long]
    }
}

fn nobody(container: &Container, login: &Account) -> Failure {
    let message = format!("{} has no collaborator {login}", container.name);
    Failure::new(Kind::NotFound, message)
        .hint(format!("type `collaborator list {}` to see them", container.name))
}

fn broken(what: &str, error: Broken) -> Failure {
    Failure::new(Kind::Conflict, format!("{what}: {error}"))
        .hint("mend the label on the backend: incus config edit INSTANCE")
}
