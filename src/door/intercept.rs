//! The few packets of the connection protocol that the door does not pass on as they are.
//!
//! Pure: a packet and its direction go in, a verdict comes out. Everything not named here passes
//! unchanged, known or not. Where a request wants a reply it is never dropped, because replies are
//! matched by order: it travels on under a name that the other side refuses, and the refusal is
//! replaced if the door has the answer.

use std::sync::Arc;

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
        }
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
            Some(message::CHANNEL_OPEN) => self.on_open(packet),
            Some(_) => Ok(Verdict::Forward),
        }
    }

    /// A packet from the container's sshd.
    ///
    /// # Errors
    /// It may not come after authentication, or is malformed.
    pub fn from_upstream(&mut self, packet: &[u8]) -> Result<Verdict, Error> {
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
mod tests {
    use super::*;
    use crate::wire::signature::{SkPolicy, verify};

    fn intercept() -> Intercept {
        let identity = Identity::generate_ed25519().unwrap();
        let own = OwnName {
            names: vec!["alice".into(), "alice-container".into()],
            address: "10.0.3.9".into(),
        };
        Intercept::new([identity].into(), [7; 32], Some(own))
    }

    fn open(kind: &str, host: &str) -> Vec<u8> {
        let mut out = vec![message::CHANNEL_OPEN];
        out.put_string(kind.as_bytes());
        out.extend_from_slice(&[1; 12]);
        out.put_string(host.as_bytes());
        out.put_uint32(80);
        out.put_string(b"127.0.0.1");
        out.put_uint32(1);
        out
    }

    #[test]
    fn the_containers_own_name_means_its_address() {
        let mut intercept = intercept();
        let expected = Verdict::Replace(open("direct-tcpip", "10.0.3.9"));
        for host in ["alice", "Alice", "alice-container"] {
            assert_eq!(intercept.from_client(&open("direct-tcpip", host)), Ok(expected.clone()));
        }
        for (kind, host) in
            [("direct-tcpip", "localhost"), ("direct-tcpip", "bob"), ("session", "alice")]
        {
            assert_eq!(intercept.from_client(&open(kind, host)), Ok(Verdict::Forward));
        }
        let cut = open("direct-tcpip", "alice");
        for end in 1..30 {
            assert!(intercept.from_client(&cut[..end]).is_err());
        }
    }

    #[test]
    fn the_containers_host_keys_stay_behind() {
        let mut intercept = intercept();
        assert_eq!(intercept.from_upstream(&request(HOSTKEYS, false)), Ok(Verdict::Drop));
        let renamed = Verdict::Replace(request(UNKNOWN, true));
        assert_eq!(intercept.from_upstream(&request(HOSTKEYS, true)), Ok(renamed));
        let keepalive = request(b"keepalive@openssh.com", true);
        assert_eq!(intercept.from_upstream(&keepalive), Ok(Verdict::Forward));
    }

    #[test]
    fn a_proof_takes_its_own_place_among_the_replies() {
        let mut intercept = intercept();
        let key = intercept.identities[0].public_key().clone();
        let mut prove = request(HOSTKEYS_PROVE, true);
        prove.put_string(key.blob());
        let forward = request(b"tcpip-forward", true);
        assert_eq!(intercept.from_client(&forward), Ok(Verdict::Forward));
        let renamed = Verdict::Replace(request(UNKNOWN, true));
        assert_eq!(intercept.from_client(&prove), Ok(renamed));
        assert_eq!(intercept.from_client(&forward), Ok(Verdict::Forward));
        let success = [message::REQUEST_SUCCESS];
        assert_eq!(intercept.from_upstream(&success), Ok(Verdict::Forward));
        let Ok(Verdict::Replace(proof)) = intercept.from_upstream(&[message::REQUEST_FAILURE])
        else {
            panic!("no proof")
        };
        let mut r = Reader::new(&proof[1..]);
        let mut signed = Vec::new();
        signed.put_string(HOSTKEYS_PROVE);
        signed.put_string(&[7; 32]);
        signed.put_string(key.blob());
        let signature = r.string().unwrap();
        assert!(verify(&key, "ssh-ed25519", &signed, signature, SkPolicy::default()).is_ok());
        assert_eq!(intercept.from_upstream(&success), Ok(Verdict::Forward));
    }

    #[test]
    fn an_rsa_key_is_proved_with_the_algorithm_of_the_key_exchange() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/keys/rsa");
        let file = std::fs::read_to_string(path).unwrap();
        let file = ssh_key::PrivateKey::from_openssh(file).unwrap();
        for (agreed, expected) in [
            (Some("rsa-sha2-256"), "rsa-sha2-256"),
            (Some("rsa-sha2-512"), "rsa-sha2-512"),
            (Some("ssh-ed25519"), "rsa-sha2-512"),
            (None, "rsa-sha2-512"),
        ] {
            let identity = Identity::from_private_key(&file).unwrap();
            let key = identity.public_key().clone();
            let intercept = Intercept::new([identity].into(), [7; 32], None);
            let mut intercept = intercept.with_host_key_algorithm(agreed);
            let mut prove = request(HOSTKEYS_PROVE, true);
            prove.put_string(key.blob());
            intercept.from_client(&prove).unwrap();
            let answer = intercept.from_upstream(&[message::REQUEST_FAILURE]);
            let Ok(Verdict::Replace(proof)) = answer else { panic!("no proof") };
            let mut proof = Reader::new(&proof[1..]);
            let mut signature = Reader::new(proof.string().unwrap());
            assert_eq!(signature.text(), Ok(expected));
        }
    }

    #[test]
    fn a_proof_for_a_foreign_key_is_left_refused() {
        let mut intercept = intercept();
        let mut prove = request(HOSTKEYS_PROVE, true);
        prove.put_string(b"not a key of ours");
        assert!(intercept.from_client(&prove).is_ok());
        let refusal = [message::REQUEST_FAILURE];
        assert_eq!(intercept.from_upstream(&refusal), Ok(Verdict::Forward));
    }

    #[test]
    fn the_refused_name_is_one_that_a_program_may_define_for_itself() {
        let name = std::str::from_utf8(UNKNOWN).unwrap();
        assert!(name.len() <= 64 && name.bytes().all(|b| b.is_ascii_graphic() && b != b','));
        let (local, domain) = name.split_once('@').unwrap();
        assert!(!local.is_empty() && !domain.contains('@') && domain.contains('.'));
    }

    #[test]
    fn authentication_messages_are_over() {
        let mut intercept = intercept();
        assert_eq!(intercept.from_client(&[50, 1, 2]), Ok(Verdict::Drop));
        for number in [5, 6, 51, 52, 53, 60, 79] {
            assert!(intercept.from_client(&[number]).is_err());
            assert!(intercept.from_upstream(&[number]).is_err());
        }
        assert!(intercept.from_upstream(&[50]).is_err());
    }
}
