//! What a certificate grants, once everything about it was checked.

use std::net::IpAddr;

use super::{Certificate, CertificateError, TYPE_USER};
use crate::{
    model::{authorized_keys::KeyOptions, key::PublicKey, source::networks_contain},
    wire::{
        codec::Reader,
        signature::{SkPolicy, verify},
    },
};

/// What a valid certificate says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Granted {
    /// Whom it is about, as the CA wrote it; to be made printable before it is shown.
    pub key_id: String,
    /// The CA's number for it.
    pub serial: u64,
    /// What it restricts: what it does not permit, `force-command`, rules for security keys.
    pub restrictions: KeyOptions,
}

impl Certificate {
    /// Checks everything: user certificate, signed by one of `trusted_cas` with an algorithm that
    /// is accepted, `principal` literally among its principals, valid at `now_unix` (seconds since
    /// 1970), allowed from `source`, and no critical option that is not honoured.
    ///
    /// A CA that is a security key must have been touched when it signed.
    ///
    /// # Errors
    /// The first of these that does not hold.
    pub fn validate(
        &self,
        trusted_cas: &[PublicKey],
        principal: &str,
        source: IpAddr,
        now_unix: u64,
    ) -> Result<Granted, CertificateError> {
        if self.kind != TYPE_USER {
            return Err(CertificateError::NotUser);
        }
        if !trusted_cas.contains(&self.authority) {
            return Err(CertificateError::UnknownAuthority);
        }
        self.verify_signature()?;
        if principal.is_empty() || !self.principals.iter().any(|p| p == principal) {
            return Err(CertificateError::Principal);
        }
        if now_unix < self.valid_after {
            return Err(CertificateError::NotYetValid);
        }
        if now_unix >= self.valid_before {
            return Err(CertificateError::Expired);
        }
        let mut restrictions = self.permitted();
        self.apply_critical(source, &mut restrictions)?;
        Ok(Granted { key_id: self.key_id.clone(), serial: self.serial, restrictions })
    }

    fn verify_signature(&self) -> Result<(), CertificateError> {
        let algorithm = Reader::new(&self.signature).text()?;
        verify(&self.authority, algorithm, &self.signed, &self.signature, SkPolicy::default())
            .map_err(CertificateError::Signature)
    }

    /// What the extensions permit, as what they do not. Unknown extensions permit nothing.
    fn permitted(&self) -> KeyOptions {
        let has = |name: &str| self.extensions.iter().any(|(n, _)| n == name);
        KeyOptions {
            no_port_forwarding: !has("permit-port-forwarding"),
            no_agent_forwarding: !has("permit-agent-forwarding"),
            no_x11_forwarding: !has("permit-X11-forwarding"),
            no_pty: !has("permit-pty"),
            no_user_rc: !has("permit-user-rc"),
            no_touch_required: has("no-touch-required"),
            ..KeyOptions::default()
        }
    }

    fn apply_critical(
        &self,
        source: IpAddr,
        restrictions: &mut KeyOptions,
    ) -> Result<(), CertificateError> {
        for (i, (name, data)) in self.critical.iter().enumerate() {
            if self.critical[..i].iter().any(|(earlier, _)| earlier == name) {
                return Err(CertificateError::CriticalOption);
            }
            match name.as_str() {
                "force-command" => restrictions.command = Some(value(data)?.to_owned()),
                "source-address" => {
                    if !networks_contain(value(data)?, source)? {
                        return Err(CertificateError::Source);
                    }
                }
                "verify-required" if data.is_empty() => restrictions.verify_required = true,
                _ => return Err(CertificateError::CriticalOption),
            }
        }
        Ok(())
    }
}

/// The value of an option: a `string` inside the option's data, and nothing after it.
fn value(data: &[u8]) -> Result<&str, CertificateError> {
    let mut reader = Reader::new(data);
    let value = reader.text()?;
    reader.end()?;
    Ok(value)
}
