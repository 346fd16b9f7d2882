//! Which account of which container a plain key opens.

use std::sync::Arc;

use super::{Permit, Proof, Reason, Target, admit, by_line};
use crate::model::{
    authorized_keys::{AuthorizedKey, KeyOptions},
    container::Container,
    inventory::Inventory,
    key::PublicKey,
    name::Account,
    principal::Role,
};

/// A container by its name, as the account typed or else as the account the key belongs to.
pub(super) fn by_key(
    container: &Arc<Container>,
    account: Option<&Account>,
    key: &PublicKey,
    proof: &Proof<'_>,
) -> Result<Permit, Reason> {
    let Some(typed) = account else {
        let (account, line) = own(container, proof.file_keys, key, proof)?;
        return Ok(enter(container, account, line, proof));
    };
    let account = existing(container, Some(typed))?;
    let others = container.collaborators.iter().filter(|c| c.login == account);
    let lines = others.flat_map(|c| &c.keys).chain(proof.file_keys).chain(&container.keys);
    let line = admit(lines, key, proof)?;
    Ok(enter(container, &account, line, proof))
}

/// The account typed, or the owner's if none was.
pub(super) fn existing(container: &Container, typed: Option<&Account>) -> Result<Account, Reason> {
    let Some(typed) = typed else { return Ok(container.owner.clone()) };
    let exists =
        container.owner == *typed || container.collaborators.iter().any(|c| c.login == *typed);
    if exists { Ok(typed.clone()) } else { Err(Reason::NoAccount) }
}

/// Where labels lead a key when the login name says nothing: one container, or a choice.
pub(super) fn by_labels(
    inventory: &Inventory,
    key: &PublicKey,
    proof: &Proof<'_>,
) -> Result<Permit, Reason> {
    let mut reason = Reason::UnknownKey;
    let mut found = Vec::new();
    for container in inventory.containers() {
        match own(container, &[], key, proof) {
            Ok((account, line)) => found.push((container, account, line)),
            Err(Reason::UnknownKey) => {}
            Err(restricted) => reason = restricted,
        }
    }
    match found.as_slice() {
        [] => Err(reason),
        [(container, account, line)] => Ok(enter(container, account, line, proof)),
        [(_, account, line), ..] => {
            let names = found.iter().map(|(c, _, _)| c.name.clone()).collect();
            let first =
                by_line(line, proof, (account.as_str(), Role::Member), Target::Choice(names));
            let restrictions = strictest(found.iter().map(|(_, _, line)| &line.options));
            Ok(Permit { restrictions, ..first })
        }
    }
}

/// The account that is the key's own: the owner's by label or file, or else a collaborator's.
fn own<'c>(
    container: &'c Container,
    file_keys: &'c [AuthorizedKey],
    key: &PublicKey,
    proof: &Proof<'_>,
) -> Result<(&'c Account, &'c AuthorizedKey), Reason> {
    let mut reason = match admit(container.keys.iter().chain(file_keys), key, proof) {
        Ok(line) => return Ok((&container.owner, line)),
        Err(reason) => reason,
    };
    for collaborator in &container.collaborators {
        match admit(&collaborator.keys, key, proof) {
            Ok(line) => return Ok((&collaborator.login, line)),
            Err(Reason::UnknownKey) => {}
            Err(restricted) => reason = restricted,
        }
    }
    Err(reason)
}

fn enter(
    container: &Arc<Container>,
    account: &Account,
    line: &AuthorizedKey,
    proof: &Proof<'_>,
) -> Permit {
    let target = Target::Container { container: Arc::clone(container), account: account.clone() };
    by_line(line, proof, (account.as_str(), Role::Member), target)
}

/// What holds while a container is being chosen. Forced commands come with the chosen one.
fn strictest<'o>(all: impl Iterator<Item = &'o KeyOptions>) -> KeyOptions {
    let start = KeyOptions { no_touch_required: true, ..KeyOptions::default() };
    all.fold(start, |sum, o| KeyOptions {
        no_port_forwarding: sum.no_port_forwarding || o.no_port_forwarding,
        no_agent_forwarding: sum.no_agent_forwarding || o.no_agent_forwarding,
        no_x11_forwarding: sum.no_x11_forwarding || o.no_x11_forwarding,
        no_pty: sum.no_pty || o.no_pty,
        no_user_rc: sum.no_user_rc || o.no_user_rc,
        no_touch_required: sum.no_touch_required && o.no_touch_required,
        verify_required: sum.verify_required || o.verify_required,
        ..KeyOptions::default()
    })
}
