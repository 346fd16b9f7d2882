//! The few packets of the connection protocol that the door does not pass on as they are.
//!
//! Pure: a packet and its direction go in, a verdict comes out. Everything not named here passes
//! unchanged, known or not. Where a request wants a reply it is never dropped, because replies are
//! matched by order: it travels on under a name that the other side refuses, and the refusal is
//! replaced if the door has the answer.

mod reserve;

use std::sync::Arc;

pub use self::reserve::Reserve;
use super::{pipe::End, unknown::Unknown};
use crate::wire::{
    codec::{Reader, Write},
    error::Error,
    identity::Identity,
    message,
};

/// Announcement of host keys and its proof (OpenSSH PROTOCOL, section 2.5).
const HOSTKEYS: &[u8] = b"hostkeys-00@openssh.com";
const HOSTKEYS_PROVE: &[u8] = b"hostkeys-prove-00@openssh.com";

/// A request name that no sshd knows: it stands under a domain that cannot exist (RFC 2606), where
/// nobody else can define it (RFC 4251, section 6).
const UNKNOWN: &[u8] = b"none@containarium.invalid";

/// Host keys that one proof may ask for.
const MAX_PROOFS: usize = 16;

/// What happens to a packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It passes.
    Forward,
    /// This goes in its place.
    Replace(Vec<u8>),
    /// It ends here.
    Drop,
}

/// The container's own name and where it points.
#[derive(Debug, Clone)]
pub struct OwnName {
    /// Names of the container.
    pub names: Vec<String>,
    /// An address under which its own sshd reaches it.
    pub address: String,
}

/// What one connection's interception knows.
pub struct Intercept {
    identities: Arc<[Identity]>,
    session_id: [u8; 32],
    own: Option<OwnName>,
    /// Signature algorithm of the key exchange: an RSA key proves itself with no other.
    host_key_algorithm: String,
    /// Replies to the client's global requests that the far side still owes.
    owed: u64,
    /// A proof to put in place of one of them: how many come before it, and the message.
    proof: Option<(u64, Vec<u8>)>,
    /// What went on from the client, and from the far side, and may come back refused.
    unknown: [Unknown; 2],
    /// Room for lines of ours on terminals, where there may be some.
    reserve: Option<Box<Reserve>>,
}

impl Intercept {
    /// For a client connection with `session_id`, to a container called `own`.
    #[must_use]
    pub fn new(identities: Arc<[Identity]>, session_id: [u8; 32], own: Option<OwnName>) -> Self {
        Self {
            identities,
            session_id,
            own,
            host_key_algorithm: String::new(),
            owed: 0,
            proof: None,
            unknown: [Unknown::default(), Unknown::default()],
            reserve: None,
        }
    }

    /// Keeps room for lines of ours on terminals.
    #[must_use]
    pub fn with_reserve(mut self) -> Self {
        self.reserve = Some(Box::default());
        self
    }

    /// The room for lines of ours, if any is kept.
    pub fn reserve(&mut self) -> Option<&mut Reserve> {
        self.reserve.as_deref_mut()
    }

    /// Proves RSA keys with `algorithm`, the one agreed on in the key exchange, where that is one of
    /// RSA's: OpenSSH's client accepts no other then.
    #[must_use]
    pub fn with_host_key_algorithm(mut self, algorithm: Option<&str>) -> Self {
        algorithm.unwrap_or_default().clone_into(&mut self.host_key_algorithm);
        self
    }

    /// What went on from one side and may be refused by the other.
    pub fn unknown(&mut self, from: End) -> &mut Unknown {
        let [client, upstream] = &mut self.unknown;
        match from {
            End::Client => client,
            End::Upstream => upstream,
        }
    }

    /// The announcement of the door's own host keys, sent once after authentication.
    #[must_use]
    pub fn announcement(&self) -> Vec<u8> {
        let mut out = vec![message::GLOBAL_REQUEST];
        out.put_string(HOSTKEYS);
        out.put_boolean(false);
        for identity in self.identities.iter() {
            out.put_string(identity.public_key().blob());
        }
        out
    }

    /// A packet from the client.
    ///
    /// # Errors
    /// It may not come after authentication, or is malformed.
    pub fn from_client(&mut self, packet: &[u8]) -> Result<Verdict, Error> {
        match packet.first().copied() {
            // RFC 4252, section 5.1: further requests are silently ignored.
            Some(message::USERAUTH_REQUEST) => Ok(Verdict::Drop),
            Some(0..=79) | None => Err(Error::Protocol("unexpected message after authentication")),
            Some(message::GLOBAL_REQUEST) => self.on_client_request(packet),
            Some(message::CHANNEL_OPEN) => match self.on_open(packet)? {
                Verdict::Forward => Ok(self.reserve_from_client(packet)),
                other @ (Verdict::Replace(_) | Verdict::Drop) => Ok(other),
            },
            Some(_) => Ok(self.reserve_from_client(packet)),
        }
    }

    fn reserve_from_client(&mut self, packet: &[u8]) -> Verdict {
        self.reserve.as_deref_mut().map_or(Verdict::Forward, |r| r.from_client(packet))
    }

    /// A packet from the container's sshd.
    ///
    /// # Errors
    /// It may not come after authentication, or is malformed.
    pub fn from_upstream(&mut self, packet: &[u8]) -> Result<Verdict, Error> {
        if let Some(reserve) = &mut self.reserve {
            reserve.from_upstream(packet);
        }
        match packet.first().copied() {
            Some(0..=79) | None => Err(Error::Protocol("unexpected message after authentication")),
            Some(message::GLOBAL_REQUEST) => on_upstream_request(packet),
            Some(message::REQUEST_SUCCESS | message::REQUEST_FAILURE) => Ok(self.on_reply()),
            Some(_) => Ok(Verdict::Forward),
        }
    }

    fn on_client_request(&mut self, packet: &[u8]) -> Result<Verdict, Error> {
        let mut r = Reader::new(packet);
        r.byte()?;
        let (name, want_reply) = (r.string()?, r.boolean()?);
        let before = self.owed;
        self.owed += u64::from(want_reply);
        if name != HOSTKEYS_PROVE {
            return Ok(Verdict::Forward);
        }
        if want_reply && self.proof.is_none() {
            self.proof = self.prove(r).map(|proof| (before, proof));
        }
        Ok(Verdict::Replace(request(UNKNOWN, want_reply)))
    }

    /// The proof for the host keys listed in `r`; `None` if one of them is not ours.
    fn prove(&self, mut r: Reader<'_>) -> Option<Vec<u8>> {
        let mut out = vec![message::REQUEST_SUCCESS];
        for _ in 0..MAX_PROOFS {
            if r.rest().is_empty() {
                break;
            }
            let blob = r.string().ok()?;
            let identity = self.identities.iter().find(|i| i.public_key().blob() == blob)?;
            let mut signed = Vec::new();
            signed.put_string(HOSTKEYS_PROVE);
            signed.put_string(&self.session_id);
            signed.put_string(blob);
            let algorithms = identity.algorithms();
            let agreed = algorithms.iter().find(|name| **name == self.host_key_algorithm);
            out.put_string(&identity.sign(agreed.or(algorithms.first())?, &signed).ok()?);
        }
        r.end().ok()?;
        Some(out)
    }

    fn on_reply(&mut self) -> Verdict {
        self.owed = self.owed.saturating_sub(1);
        match self.proof.take() {
            Some((0, proof)) => Verdict::Replace(proof),
            Some((before, proof)) => {
                self.proof = Some((before - 1, proof));
                Verdict::Forward
            }
            None => Verdict::Forward,
        }
    }

    /// Points a `direct-tcpip` to the container's own name at its address.
    fn on_open(&self, packet: &[u8]) -> Result<Verdict, Error> {
        let Some(own) = &self.own else { return Ok(Verdict::Forward) };
        let mut r = Reader::new(packet);
        r.byte()?;
        if r.string()? != b"direct-tcpip" {
            return Ok(Verdict::Forward);
        }
        r.bytes(12)?;
        let head = packet.len() - r.rest().len();
        let host = r.string()?;
        let is_own = |name: &String| host.eq_ignore_ascii_case(name.as_bytes());
        if !own.names.iter().any(is_own) {
            return Ok(Verdict::Forward);
        }
        let mut out = packet[..head].to_vec();
        out.put_string(own.address.as_bytes());
        out.extend_from_slice(r.rest());
        Ok(Verdict::Replace(out))
    }
}

/// The container's host keys are not ours to announce: the client would remember them for the door.
fn on_upstream_request(packet: &[u8]) -> Result<Verdict, Error> {
    let mut r = Reader::new(packet);
    r.byte()?;
    let (name, want_reply) = (r.string()?, r.boolean()?);
    Ok(match (name == HOSTKEYS, want_reply) {
        (false, _) => Verdict::Forward,
        (true, false) => Verdict::Drop,
        (true, true) => Verdict::Replace(request(UNKNOWN, true)),
    })
}

fn request(name: &[u8], want_reply: bool) -> Vec<u8> {
    let mut out = vec![message::GLOBAL_REQUEST];
    out.put_string(name);
    out.put_boolean(want_reply);
    out
}

#[cfg(test)]
mod tests;
