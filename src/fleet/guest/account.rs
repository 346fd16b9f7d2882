//! Accounts inside a container: who has one, what it may, and which keys are in its
//! `~/.ssh/authorized_keys`. Each order is one script, and repeating it changes nothing.

use std::time::Duration;

use super::{Guest, GuestError, Script};
use crate::{
    fleet::job::Job,
    model::{authorized_keys::AuthorizedKey, key::PublicKey, name::Account},
};

/// The script.
const TEXT: &str = include_str!("account.sh");

/// For one order. It takes a fraction of a second on an idle machine.
const LIMIT: Duration = Duration::from_secs(30);

/// What the script ends with when it must not touch the account, and when there is none.
const SYSTEM: i32 = 3;
const MISSING: i32 = 4;

/// What an account may become.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Power<'a> {
    /// Anybody, without a password: the container is hers.
    Owner,
    /// The same, although it is not.
    Sudo,
    /// Only this one, by `sudo su - OWNER`, in a session that is logged.
    Become(&'a Account),
}

/// An account as it should be. Groups that give more than it says are left.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// Its name.
    pub login: &'a Account,
    /// What it may become.
    pub power: Power<'a>,
    /// Is in the groups of the container runtimes, which are made if missing.
    pub container_runtime: bool,
    /// How its `authorized_keys` changes.
    pub keys: KeyChange<'a>,
}

/// A change of an account's `authorized_keys`; lines with other keys stay as they are.
#[derive(Debug, Clone, Copy, Default)]
pub struct KeyChange<'a> {
    /// Lines that are to be there. They take the place of what was there of the same key.
    pub add: &'a [AuthorizedKey],
    /// Keys that are to be gone.
    pub remove: &'a [PublicKey],
}

/// Why an account is not as it should be.
#[derive(Debug, thiserror::Error)]
pub enum AccountError {
    /// It is one of the container's own, and is left alone.
    #[error("{0} is an account or group of the system inside the container")]
    System(Account),
    /// There is none.
    #[error("the container has no account {0}")]
    Missing(Account),
    /// The script did not run, or failed.
    #[error(transparent)]
    Guest(#[from] GuestError),
}

/// Makes the account if it is missing, unlocks it if it was locked, and gives it exactly these
/// rights and keys.
///
/// # Errors
/// It is one of the system, or the script failed; repeating it finishes what it began.
pub async fn ensure(guest: &Guest, wanted: &Wanted<'_>, job: &Job) -> Result<(), AccountError> {
    let login = wanted.login.as_str();
    let (power, owner) = match wanted.power {
        Power::Owner => ("owner", login),
        Power::Sudo => ("sudo", login),
        Power::Become(owner) => ("become", owner.as_str()),
    };
    let runtime = if wanted.container_runtime { "true" } else { "false" };
    let arguments = ["ensure", login, power, owner, runtime];
    run(guest, ("make the account", wanted.login), &arguments, wanted.keys, job).await
}

/// Changes the keys of an account that is there.
///
/// # Errors
/// There is none, it is one of the system, or its file is no file that sshd would read.
pub async fn change_keys(
    guest: &Guest,
    login: &Account,
    keys: KeyChange<'_>,
    job: &Job,
) -> Result<(), AccountError> {
    run(guest, ("write the keys", login), &["keys", login.as_str()], keys, job).await
}

/// Ends the access of an account: no login, no sudo, no groups, no processes. Its files stay, and
/// [`ensure`] gives it back. One that is not `known` to be a collaborator's is locked only if
/// [`ensure`] made or unlocked it.
///
/// # Errors
/// There is none, it is one of the system, or the script failed.
pub async fn lock(
    guest: &Guest,
    login: &Account,
    known: bool,
    job: &Job,
) -> Result<(), AccountError> {
    let arguments = ["lock", login.as_str(), if known { "known" } else { "ours" }];
    run(guest, ("lock the account", login), &arguments, KeyChange::default(), job).await
}

async fn run(
    guest: &Guest,
    (what, login): (&'static str, &Account),
    arguments: &[&str],
    keys: KeyChange<'_>,
    job: &Job,
) -> Result<(), AccountError> {
    let input = orders(keys);
    let script = Script { what, text: TEXT, arguments, input: input.as_bytes(), limit: LIMIT };
    match guest.run(script, job).await {
        Ok(_) => Ok(()),
        Err(GuestError::Failed { status: SYSTEM, .. }) => Err(AccountError::System(login.clone())),
        Err(GuestError::Failed { status: MISSING, .. }) => {
            Err(AccountError::Missing(login.clone()))
        }
        Err(error) => Err(error.into()),
    }
}

/// What the script reads of the keys. Pure.
fn orders(keys: KeyChange<'_>) -> String {
    let blob = |key: &PublicKey| key.to_line().split(' ').nth(1).unwrap_or_default().to_owned();
    let removed = keys.remove.iter().map(|key| format!("remove {}\n", blob(key)));
    let added = keys.add.iter().map(|line| format!("add {} {}\n", blob(&line.key), line.to_line()));
    removed.chain(added).collect()
}
