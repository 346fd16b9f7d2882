//! The one decision: may this key, from there, now, go where the login name asks?

mod container;

use std::{net::IpAddr, sync::Arc};

use super::login::Intent;
use crate::{
    config::{self, Backend, BackendAddress, Route, SshAddress},
    model::{
        authorized_keys::{AuthorizedKey, KeyOptions},
        container::Container,
        inventory::Inventory,
        key::PublicKey,
        name::{Account, ContainerName},
        principal::{Principal, Role},
        text::printable,
    },
    wire::{
        certificate::{Certificate, CertificateError},
        signature::SkPolicy,
    },
};

/// Longest name or key id kept of a principal, in characters.
const MAX_SHOWN: usize = 128;

/// Everything that decides, as of one moment.
#[derive(Debug, Clone, Copy)]
pub struct Policy<'a> {
    /// The administrators.
    pub admin: &'a config::Admin,
    /// The fixed routes.
    pub routes: &'a [Arc<Route>],
    /// The backends, some of whose hosts have a node key.
    pub backends: &'a [Arc<Backend>],
    /// CAs of users who log in to containers.
    pub user_ca_keys: &'a [PublicKey],
    /// The containers.
    pub inventory: &'a Inventory,
}

/// What the client showed.
#[derive(Debug, Clone, Copy)]
pub enum Credential<'a> {
    /// A plain key.
    Key(&'a PublicKey),
    /// A certificate; the key in it is the one that signs.
    Certificate(&'a Certificate),
}

impl<'a> Credential<'a> {
    /// The key that signs the login.
    #[must_use]
    pub fn key(&self) -> &'a PublicKey {
        match self {
            Self::Key(key) => key,
            Self::Certificate(certificate) => certificate.key(),
        }
    }
}

/// The credential that is about to be, or was, proven by a signature, and its circumstances.
#[derive(Debug, Clone, Copy)]
pub struct Proof<'a> {
    /// What the client showed.
    pub credential: Credential<'a>,
    /// Where it connects from.
    pub source: IpAddr,
    /// Seconds since 1970.
    pub now_unix: u64,
    /// For a container by name: lines of `~/.ssh/authorized_keys` of the intended account (the
    /// owner if none was typed) in that container. Otherwise empty, and ignored.
    pub file_keys: &'a [AuthorizedKey],
}

/// Where a permit leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// A container, as one account in it.
    Container {
        /// The container.
        container: Arc<Container>,
        /// The account.
        account: Account,
    },
    /// The console, as an administrator.
    Console,
    /// The person's own containers, one of which is to be chosen and then authorised by name.
    Choice(Vec<ContainerName>),
    /// A fixed route.
    Route(Arc<Route>),
    /// The tunnel of a backend, whose host this is.
    Tunnel(Arc<Backend>),
}

/// The permission to go to one target. Only [`authorize`] makes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Permit {
    principal: Principal,
    target: Target,
    restrictions: KeyOptions,
}

impl Permit {
    /// Who.
    #[must_use]
    pub fn principal(&self) -> &Principal {
        &self.principal
    }

    /// Where.
    #[must_use]
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// What the key's line, or the certificate, withholds or forces.
    #[must_use]
    pub fn restrictions(&self) -> &KeyOptions {
        &self.restrictions
    }

    /// What the login's signature must show if the key is a security key.
    #[must_use]
    pub fn sk_policy(&self) -> SkPolicy {
        SkPolicy::from(&self.restrictions)
    }
}

/// Refused. The client learns no more than that; the log learns the reason.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("permission denied")]
pub struct Denied {
    /// For the log.
    pub reason: Reason,
}

impl From<Reason> for Denied {
    fn from(reason: Reason) -> Self {
        Self { reason }
    }
}

/// Why a login was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// No line lists the key for this target.
    #[error("key is not listed")]
    UnknownKey,
    /// Lines list the key, but none of them for this source (`from`) and time (`expiry-time`).
    #[error("key is listed, but not for this address or time")]
    Restricted,
    /// The container has no such account.
    #[error("container has no such account")]
    NoAccount,
    /// The configuration no longer has the route.
    #[error("no such route")]
    NoRoute,
    /// Certificates do not open this.
    #[error("certificates are not accepted for this login name")]
    CertificateNotAccepted,
    /// The certificate was refused.
    #[error("{0}")]
    Certificate(#[from] CertificateError),
}

/// Decides. Whether the client holds the key is for the caller to check, before the permit is
/// used: [`crate::wire::signature::verify`] with [`Permit::sk_policy`].
///
/// # Errors
/// Nothing allows it.
pub fn authorize(
    policy: &Policy<'_>,
    proof: &Proof<'_>,
    intent: &Intent,
) -> Result<Permit, Denied> {
    if let Some((backend, line)) = node(policy, proof.credential.key()) {
        return Ok(tunnel(backend, line, proof)?);
    }
    let decided = match (intent, proof.credential) {
        (Intent::Container { name, account }, credential) => {
            match (policy.inventory.container(name), credential) {
                (Some(container), Credential::Key(key)) => {
                    container::by_key(container, account.as_ref(), key, proof)
                }
                (Some(container), Credential::Certificate(certificate)) => {
                    let account = container::existing(container, account.as_ref())?;
                    let target = Target::Container { container: Arc::clone(container), account };
                    by_certificate(
                        policy,
                        policy.user_ca_keys,
                        (certificate, proof),
                        intent,
                        target,
                    )
                }
                (None, _) => anywhere(policy, proof),
            }
        }
        (Intent::Other, _) => anywhere(policy, proof),
        (Intent::Admin, Credential::Key(key)) => console(policy, proof, key),
        (Intent::Admin, Credential::Certificate(certificate)) => {
            let cas = &policy.admin.user_ca_keys;
            by_certificate(policy, cas, (certificate, proof), intent, Target::Console)
        }
        (Intent::Route(login), Credential::Key(key)) => {
            let route = policy.routes.iter().find(|r| r.login == *login);
            let route = route.ok_or(Reason::NoRoute)?;
            let line = admit(&route.keys, key, proof)?;
            let target = Target::Route(Arc::clone(route));
            Ok(by_line(line, proof, (login.as_str(), Role::Member), target))
        }
        (Intent::Route(_), Credential::Certificate(_)) => Err(Reason::CertificateNotAccepted),
    };
    Ok(decided?)
}

/// Whether an offered key would be accepted if it signed (`SSH_MSG_USERAUTH_PK_OK`, RFC 4252,
/// section 7). Grants nothing.
#[must_use]
pub fn could_accept(policy: &Policy<'_>, offer: &Proof<'_>, intent: &Intent) -> bool {
    authorize(policy, offer, intent).is_ok()
}

/// The backend whose host has this key. It is nobody else's key, whatever lists it.
fn node<'a>(policy: &Policy<'a>, key: &PublicKey) -> Option<(&'a Arc<Backend>, &'a AuthorizedKey)> {
    policy.backends.iter().find_map(|backend| match &backend.address {
        BackendAddress::Ssh { address: SshAddress::Tunnel(line), .. } if line.key == *key => {
            Some((backend, line))
        }
        BackendAddress::Ssh { .. } | BackendAddress::Local | BackendAddress::Https { .. } => None,
    })
}

/// Whatever name it typed, a host is who its key says, and gets its tunnel.
fn tunnel(
    backend: &Arc<Backend>,
    line: &AuthorizedKey,
    proof: &Proof<'_>,
) -> Result<Permit, Reason> {
    let Credential::Key(key) = proof.credential else {
        return Err(Reason::CertificateNotAccepted);
    };
    let line = admit([line], key, proof)?;
    let target = Target::Tunnel(Arc::clone(backend));
    let permit = by_line(line, proof, (backend.name.as_str(), Role::Node), target);
    let name = format!("node {}", backend.name);
    Ok(Permit { principal: Principal { name, ..permit.principal }, ..permit })
}

fn console(policy: &Policy<'_>, proof: &Proof<'_>, key: &PublicKey) -> Result<Permit, Reason> {
    let line = admit(&policy.admin.keys, key, proof)?;
    Ok(by_line(line, proof, (policy.admin.login.as_str(), Role::Admin), Target::Console))
}

/// Any other name: an administrator's console, or what the key's labels lead to.
fn anywhere(policy: &Policy<'_>, proof: &Proof<'_>) -> Result<Permit, Reason> {
    let Credential::Key(key) = proof.credential else {
        return Err(Reason::CertificateNotAccepted);
    };
    match console(policy, proof, key) {
        Err(Reason::UnknownKey) => container::by_labels(policy.inventory, key, proof),
        Err(reason) => container::by_labels(policy.inventory, key, proof).map_err(|_| reason),
        permit @ Ok(_) => permit,
    }
}

/// The first of the lines that lists the key and allows this source and time.
fn admit<'l>(
    lines: impl IntoIterator<Item = &'l AuthorizedKey>,
    key: &PublicKey,
    proof: &Proof<'_>,
) -> Result<&'l AuthorizedKey, Reason> {
    let mut reason = Reason::UnknownKey;
    for line in lines.into_iter().filter(|l| l.key == *key) {
        if line.options.allows_source(proof.source) && line.options.valid_at(proof.now_unix) {
            return Ok(line);
        }
        reason = Reason::Restricted;
    }
    Err(reason)
}

/// The permit of an admitted line. A person is called by her key's comment, or `login` if there is
/// none or if it comes from inside a container, whose owner could write anybody's name there.
fn by_line(
    line: &AuthorizedKey,
    proof: &Proof<'_>,
    (login, role): (&str, Role),
    target: Target,
) -> Permit {
    let inside = proof.file_keys.iter().any(|l| std::ptr::eq(l, line));
    let name = match line.key.comment() {
        comment if !inside && !comment.is_empty() => printable(comment, MAX_SHOWN),
        _ => login.to_owned(),
    };
    let principal = Principal { name, role, key: Some(line.key.clone()), certificate: None };
    Permit { principal, target, restrictions: line.options.clone() }
}

fn by_certificate(
    policy: &Policy<'_>,
    cas: &[PublicKey],
    (certificate, proof): (&Certificate, &Proof<'_>),
    intent: &Intent,
    target: Target,
) -> Result<Permit, Reason> {
    let login = intent.principal(&policy.admin.login).ok_or(Reason::CertificateNotAccepted)?;
    let granted = certificate.validate(cas, &login, proof.source, proof.now_unix)?;
    let role = match target {
        Target::Console => Role::Admin,
        Target::Container { .. } | Target::Choice(_) | Target::Route(_) => Role::Member,
        Target::Tunnel(_) => Role::Node,
    };
    let key_id = printable(&granted.key_id, MAX_SHOWN);
    let principal = Principal {
        name: if key_id.is_empty() { login } else { key_id.clone() },
        role,
        key: Some(certificate.key().clone()),
        certificate: Some(key_id),
    };
    Ok(Permit { principal, target, restrictions: granted.restrictions })
}

#[cfg(test)]
mod tests;
