//! Certificates that we sign ourselves.

use super::{CertificateError, SUFFIX, TYPE_USER};
use crate::{
    model::{authorized_keys::KeyOptions, key::PublicKey},
    wire::{
        codec::{Reader, Write},
        identity::Identity,
    },
};

/// What a certificate of ours says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameters<'a> {
    /// Our number for it.
    pub serial: u64,
    /// Whom it is about: what the container's sshd logs.
    pub key_id: &'a str,
    /// Accounts that it opens; must not be empty, which to older sshd would mean any.
    pub principals: &'a [&'a str],
    /// First second of its validity, since 1970.
    pub valid_after: u64,
    /// First second after its validity, since 1970.
    pub valid_before: u64,
    /// What it withholds. `from`, `expires` and the rules for security keys are not written: they
    /// were enforced at the door and mean nothing to a key of ours.
    pub restrictions: &'a KeyOptions,
}

/// Signs a user certificate for an Ed25519 `subject` key.
///
/// # Errors
/// The subject is no Ed25519 key, there are no principals, or signing fails.
pub fn issue(
    ca: &Identity,
    subject: &PublicKey,
    parameters: &Parameters<'_>,
) -> Result<Vec<u8>, CertificateError> {
    const SUBJECT: &str = "ssh-ed25519";
    if subject.algorithm() != SUBJECT {
        return Err(CertificateError::Type);
    }
    if parameters.principals.is_empty() {
        return Err(CertificateError::Principal);
    }
    let mut fields = Reader::new(subject.blob());
    fields.string()?;
    let mut nonce = [0; 32];
    aws_lc_rs::rand::fill(&mut nonce).map_err(|_| CertificateError::Sign)?;

    let mut blob = Vec::with_capacity(1024);
    blob.put_string(format!("{SUBJECT}{SUFFIX}").as_bytes());
    blob.put_string(&nonce);
    blob.put_string(fields.string()?);
    blob.put_uint64(parameters.serial);
    blob.put_uint32(TYPE_USER);
    blob.put_string(parameters.key_id.as_bytes());
    let mut principals = Vec::new();
    for principal in parameters.principals {
        principals.put_string(principal.as_bytes());
    }
    blob.put_string(&principals);
    blob.put_uint64(parameters.valid_after);
    blob.put_uint64(parameters.valid_before);
    blob.put_string(&critical(parameters.restrictions));
    blob.put_string(&extensions(parameters.restrictions));
    blob.put_string(b"");
    blob.put_string(ca.public_key().blob());
    let algorithm = ca.algorithms().first().ok_or(CertificateError::Sign)?;
    let signature = ca.sign(algorithm, &blob).map_err(|_| CertificateError::Sign)?;
    blob.put_string(&signature);
    Ok(blob)
}

fn critical(restrictions: &KeyOptions) -> Vec<u8> {
    let mut options = Vec::new();
    if let Some(command) = &restrictions.command {
        let mut value = Vec::new();
        value.put_string(command.as_bytes());
        options.put_string(b"force-command");
        options.put_string(&value);
    }
    options
}

/// In lexical order, as PROTOCOL.certkeys demands.
fn extensions(restrictions: &KeyOptions) -> Vec<u8> {
    let mut options = Vec::new();
    for (name, withheld) in [
        ("permit-X11-forwarding", restrictions.no_x11_forwarding),
        ("permit-agent-forwarding", restrictions.no_agent_forwarding),
        ("permit-port-forwarding", restrictions.no_port_forwarding),
        ("permit-pty", restrictions.no_pty),
        ("permit-user-rc", restrictions.no_user_rc),
    ] {
        if !withheld {
            options.put_string(name.as_bytes());
            options.put_string(b"");
        }
    }
    options
}
