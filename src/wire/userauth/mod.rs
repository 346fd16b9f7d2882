//! User authentication (RFC 4252), both roles. Only `publickey` exists: the server side parses no
//! other method's body, the client side (towards containers) also knows `none`.
//!
//! Nothing is remembered between requests: each stands for itself, so a change of user, service or
//! key carries nothing over.

use std::sync::Arc;

use super::{
    codec::{Reader, Write},
    error::Error,
    identity::Identity,
    message,
    transport::Transport,
};

/// Service and authentication requests on one connection, whatever they are.
const MAX_REQUESTS: u32 = 128;

const SERVICE_USERAUTH: &[u8] = b"ssh-userauth";
const SERVICE_CONNECTION: &[u8] = b"ssh-connection";
const PUBLICKEY: &[u8] = b"publickey";
const NONE: &[u8] = b"none";
/// As `publickey`, and the signature covers the server's host key (OpenSSH PROTOCOL, section 3.1).
const HOSTBOUND: &[u8] = b"publickey-hostbound-v00@openssh.com";

/// What a client asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// Something that was answered at once.
    Answered,
    /// Would this key be good? Grants nothing.
    Query(Attempt),
    /// A signature to check.
    Signed {
        /// Who and with which key.
        attempt: Attempt,
        /// What must have been signed.
        message: Vec<u8>,
        /// The signature blob.
        signature: Vec<u8>,
    },
}

/// User name and key of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// The login name: untrusted bytes.
    pub user: Vec<u8>,
    /// Algorithm name of the request: untrusted text.
    pub algorithm: String,
    /// Key or certificate blob: untrusted.
    pub key: Vec<u8>,
}

/// What a client asked for besides `publickey`, so far; all of it is refused.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Refused {
    /// Which methods there are, by `none`.
    pub none: bool,
    /// Another method, or something that is none.
    pub other: bool,
}

/// The server's side.
#[derive(Debug, Default)]
pub struct ServerAuth {
    service: bool,
    requests: u32,
    /// Of the last request: untrusted bytes.
    user: Vec<u8>,
    refused: Refused,
}

impl ServerAuth {
    /// Handles the packet that waits in `transport`, and consumes it.
    ///
    /// # Errors
    /// It is malformed, out of order, or one too many.
    pub fn on_packet(&mut self, transport: &mut Transport) -> Result<Request, Error> {
        let packet = transport.packet().unwrap_or_default().to_vec();
        transport.consume();
        match packet.first().copied() {
            Some(message::SERVICE_REQUEST) => self.on_service(transport, &packet),
            Some(message::USERAUTH_REQUEST) if self.service => self.on_request(transport, &packet),
            Some(_) | None => Err(Error::Protocol("unexpected message before authentication")),
        }
    }

    /// The login name of the last request, whatever its method: untrusted bytes.
    #[must_use]
    pub fn user(&self) -> Option<&[u8]> {
        (!self.user.is_empty()).then_some(&self.user)
    }

    /// What was refused without anybody else's doing.
    #[must_use]
    pub fn refused(&self) -> Refused {
        self.refused
    }

    /// Answers a query: a signature with this key would be good.
    ///
    /// # Errors
    /// As [`Transport::send`].
    pub fn accept_query(transport: &mut Transport, attempt: &Attempt) -> Result<(), Error> {
        let mut out = vec![message::USERAUTH_PK_OK];
        out.put_string(attempt.algorithm.as_bytes());
        out.put_string(&attempt.key);
        transport.send(&[&out])
    }

    /// Answers that this did not authenticate.
    ///
    /// # Errors
    /// As [`Transport::send`].
    pub fn fail(transport: &mut Transport) -> Result<(), Error> {
        let mut out = vec![message::USERAUTH_FAILURE];
        out.put_string(PUBLICKEY);
        out.put_boolean(false);
        transport.send(&[&out])
    }

    /// Answers that the user is in.
    ///
    /// # Errors
    /// As [`Transport::send`].
    pub fn succeed(transport: &mut Transport) -> Result<(), Error> {
        transport.send(&[&[message::USERAUTH_SUCCESS]])
    }

    /// Shows a line to the user before authentication is answered.
    ///
    /// # Errors
    /// As [`Transport::send`].
    pub fn banner(transport: &mut Transport, text: &str) -> Result<(), Error> {
        let mut out = vec![message::USERAUTH_BANNER];
        out.put_string(text.as_bytes());
        out.put_string(b"");
        transport.send(&[&out])
    }

    fn on_service(&mut self, transport: &mut Transport, packet: &[u8]) -> Result<Request, Error> {
        self.count()?;
        let mut r = Reader::new(packet);
        r.byte()?;
        let service = r.string()?;
        r.end()?;
        if service != SERVICE_USERAUTH {
            return Err(Error::Service);
        }
        // Again and again, if asked: paramiko asks before each request.
        self.service = true;
        let mut out = vec![message::SERVICE_ACCEPT];
        out.put_string(SERVICE_USERAUTH);
        transport.send(&[&out])?;
        Ok(Request::Answered)
    }

    fn count(&mut self) -> Result<(), Error> {
        self.requests += 1;
        if self.requests > MAX_REQUESTS {
            return Err(Error::Protocol("too many authentication requests"));
        }
        Ok(())
    }

    fn on_request(&mut self, transport: &mut Transport, packet: &[u8]) -> Result<Request, Error> {
        self.count()?;
        let mut r = Reader::new(packet);
        r.byte()?;
        let (user, service, method) = (r.string()?, r.string()?, r.string()?);
        user.clone_into(&mut self.user);
        let hostbound = method == HOSTBOUND;
        if service != SERVICE_CONNECTION || !(hostbound || method == PUBLICKEY) {
            let none = service == SERVICE_CONNECTION && method == NONE;
            let Refused { none: asked, other } = self.refused;
            self.refused = Refused { none: asked || none, other: other || !none };
            Self::fail(transport)?;
            return Ok(Request::Answered);
        }
        let signed = r.boolean()?;
        let (algorithm, key) = (r.string()?, r.string()?);
        let Ok(algorithm) = std::str::from_utf8(algorithm) else {
            self.refused.other = true;
            Self::fail(transport)?;
            return Ok(Request::Answered);
        };
        if hostbound {
            let bound_to = r.string()?;
            if transport.host_key().is_none_or(|key| key.blob() != bound_to) {
                return Err(Error::Protocol("signature bound to another host key"));
            }
        }
        let covered = packet.len() - r.rest().len();
        let attempt =
            Attempt { user: user.to_vec(), algorithm: algorithm.to_owned(), key: key.to_vec() };
        if !signed {
            r.end()?;
            return Ok(Request::Query(attempt));
        }
        let signature = r.string()?.to_vec();
        r.end()?;
        let mut message = Vec::with_capacity(covered + 36);
        message.put_string(transport.session_id().ok_or(Error::Protocol("no session"))?);
        message.extend_from_slice(&packet[..covered]);
        Ok(Request::Signed { attempt, message, signature })
    }
}

/// How the client's side proves itself.
#[derive(Debug, Clone)]
pub enum Credential {
    /// Not at all: the peer is this process.
    None,
    /// By a key, perhaps with a certificate for it.
    Key {
        /// The key.
        identity: Arc<Identity>,
        /// Its certificate blob.
        certificate: Option<Vec<u8>>,
    },
}

/// How far the client's side is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// The peer has not decided.
    Waiting,
    /// In.
    Success,
    /// Not let in.
    Refused,
}

/// Messages a server may send before it decides: banners, mostly.
const MAX_ANSWERS: u32 = 64;

/// The client's side: one attempt.
#[derive(Debug)]
pub struct ClientAuth {
    user: String,
    credential: Credential,
    answers: u32,
    accepted: bool,
}

impl ClientAuth {
    /// Asks for the service and, in the same flight, to be let in as `user`.
    ///
    /// # Errors
    /// As [`Transport::send`], or the key cannot sign.
    pub fn start(
        transport: &mut Transport,
        user: &str,
        credential: Credential,
    ) -> Result<Self, Error> {
        let mut out = vec![message::SERVICE_REQUEST];
        out.put_string(SERVICE_USERAUTH);
        transport.send(&[&out])?;
        let auth = Self { user: user.to_owned(), credential, answers: 0, accepted: false };
        let request = auth.request(transport)?;
        transport.send(&[&request])?;
        Ok(auth)
    }

    /// Handles the packet that waits in `transport`, and consumes it.
    ///
    /// # Errors
    /// It is malformed or not an answer to what was asked.
    pub fn on_packet(&mut self, transport: &mut Transport) -> Result<Progress, Error> {
        let packet = transport.packet().unwrap_or_default();
        let number = packet.first().copied();
        // Some old servers leave the service's name out.
        let grants = matches!(packet.get(5..), None | Some(SERVICE_USERAUTH));
        transport.consume();
        self.answers += 1;
        if self.answers > MAX_ANSWERS {
            return Err(Error::Protocol("too many messages before authentication"));
        }
        match number {
            Some(message::SERVICE_ACCEPT) if !self.accepted && grants => {
                self.accepted = true;
                Ok(Progress::Waiting)
            }
            Some(message::USERAUTH_BANNER) => Ok(Progress::Waiting),
            Some(message::USERAUTH_SUCCESS) if self.accepted => Ok(Progress::Success),
            Some(message::USERAUTH_FAILURE) if self.accepted => Ok(Progress::Refused),
            Some(_) | None => Err(Error::Protocol("unexpected message in authentication")),
        }
    }

    fn request(&self, transport: &Transport) -> Result<Vec<u8>, Error> {
        let mut out = vec![message::USERAUTH_REQUEST];
        out.put_string(self.user.as_bytes());
        out.put_string(SERVICE_CONNECTION);
        let Credential::Key { identity, certificate } = &self.credential else {
            out.put_string(b"none");
            return Ok(out);
        };
        let algorithm = choose(identity, transport.peer_sig_algs());
        let (name, blob) = match certificate {
            // PROTOCOL.certkeys: the certificate's algorithm is the key's with this ending.
            Some(blob) => (format!("{algorithm}-cert-v01@openssh.com"), blob.as_slice()),
            None => (algorithm.to_owned(), identity.public_key().blob()),
        };
        out.put_string(PUBLICKEY);
        out.put_boolean(true);
        out.put_string(name.as_bytes());
        out.put_string(blob);
        let mut message = Vec::with_capacity(out.len() + 36);
        message.put_string(transport.session_id().ok_or(Error::Protocol("no session"))?);
        message.extend_from_slice(&out);
        out.put_string(&identity.sign(algorithm, &message).map_err(|_| Error::Crypto)?);
        Ok(out)
    }
}

/// The first algorithm of the key that the peer is known to take; the first if nothing is known.
fn choose(identity: &Identity, peer: Option<&str>) -> &'static str {
    let own = identity.algorithms();
    let taken = |name: &&&str| peer.is_some_and(|list| list.split(',').any(|p| p == **name));
    own.iter().find(taken).or(own.first()).copied().unwrap_or("ssh-ed25519")
}

#[cfg(test)]
mod rules;

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::model::key::PublicKey;
    use crate::wire::{
        negotiate::Offer,
        signature::{self, SkPolicy},
        transport::{Params, RekeyLimits, Role},
    };

    #[expect(clippy::disallowed_methods, reason = "an origin for virtual time")]
    pub(super) fn pair() -> (Transport, Transport, Instant) {
        let now = Instant::now();
        let host = Identity::generate_ed25519().unwrap();
        let make = |role| Params {
            ident: "SSH-2.0-OpenSSH_9.9".into(),
            offer: Offer::front(vec!["ssh-ed25519"]),
            rekey: RekeyLimits::default(),
            role,
        };
        let pinned = vec![host.public_key().clone()];
        let mut client = Transport::new(make(Role::Client(pinned)), now).unwrap();
        let mut server = Transport::new(make(Role::Server([host].into())), now).unwrap();
        for _ in 0..4 {
            carry(&mut client, &mut server);
            assert_eq!(server.next(now), Ok(None));
            carry(&mut server, &mut client);
            assert_eq!(client.next(now), Ok(None));
        }
        assert!(client.is_open() && server.is_open());
        (client, server, now)
    }

    pub(super) fn carry(from: &mut Transport, to: &mut Transport) {
        to.input.extend(from.output.filled());
        from.output.consume(from.output.len());
    }

    pub(super) fn ask(
        client: &mut Transport,
        server: &mut Transport,
        now: Instant,
        payload: &[u8],
    ) {
        client.send(&[payload]).unwrap();
        carry(client, server);
        assert!(server.next(now).unwrap().is_some());
    }

    #[test]
    fn a_signed_request_verifies_and_gets_in() {
        let (mut client, mut server, now) = pair();
        let identity = Arc::new(Identity::generate_ed25519().unwrap());
        let credential = Credential::Key { identity: Arc::clone(&identity), certificate: None };
        let mut auth = ClientAuth::start(&mut client, "alice", credential).unwrap();
        carry(&mut client, &mut server);
        let mut server_auth = ServerAuth::default();
        server.next(now).unwrap();
        assert_eq!(server_auth.on_packet(&mut server), Ok(Request::Answered));
        server.next(now).unwrap();
        let Ok(Request::Signed { attempt, message, signature }) =
            server_auth.on_packet(&mut server)
        else {
            panic!("not signed")
        };
        assert_eq!(attempt.user, b"alice");
        let key = PublicKey::from_blob(&attempt.key).unwrap();
        let check =
            |m: &[u8]| signature::verify(&key, "ssh-ed25519", m, &signature, SkPolicy::default());
        assert!(check(&message).is_ok());
        for i in 0..message.len() {
            let mut other = message.clone();
            other[i] ^= 1;
            assert!(check(&other).is_err(), "byte {i} is covered by the signature");
        }
        ServerAuth::banner(&mut server, "hello\n").unwrap();
        ServerAuth::succeed(&mut server).unwrap();
        carry(&mut server, &mut client);
        for expected in [Progress::Waiting, Progress::Waiting, Progress::Success] {
            client.next(now).unwrap();
            assert_eq!(auth.on_packet(&mut client), Ok(expected));
        }
    }

    pub(super) fn request(user: &str, service: &str, method: &str, rest: &[u8]) -> Vec<u8> {
        let mut out = vec![message::USERAUTH_REQUEST];
        for part in [user, service, method] {
            out.put_string(part.as_bytes());
        }
        out.extend_from_slice(rest);
        out
    }

    pub(super) fn service(name: &str) -> Vec<u8> {
        let mut out = vec![message::SERVICE_REQUEST];
        out.put_string(name.as_bytes());
        out
    }

    #[test]
    fn other_methods_are_refused_without_looking_at_them() {
        let (mut client, mut server, now) = pair();
        let mut auth = ServerAuth::default();
        ask(&mut client, &mut server, now, &service("ssh-userauth"));
        auth.on_packet(&mut server).unwrap();
        assert_eq!(auth.refused(), Refused::default());
        for method in
            ["none", "password", "keyboard-interactive", "hostbased", "gssapi-with-mic", ""]
        {
            for rest in [&b""[..], &[0xff; 64]] {
                ask(&mut client, &mut server, now, &request("a", "ssh-connection", method, rest));
                assert_eq!(auth.on_packet(&mut server), Ok(Request::Answered), "{method}");
                assert_eq!(auth.refused(), Refused { none: true, other: method != "none" });
            }
        }
        ask(&mut client, &mut server, now, &request("a", "ssh-other", "publickey", &[0xff; 9]));
        assert_eq!(auth.on_packet(&mut server), Ok(Request::Answered));
    }

    #[test]
    fn messages_out_of_order_end_the_connection() {
        for number in [6, 51, 52, 53, 60, 61, 63, 80, 90, 94, 98, 200] {
            for after_service in [false, true] {
                let (mut client, mut server, now) = pair();
                let mut auth = ServerAuth::default();
                if after_service {
                    ask(&mut client, &mut server, now, &service("ssh-userauth"));
                    auth.on_packet(&mut server).unwrap();
                }
                ask(&mut client, &mut server, now, &[number, 0, 0, 0, 0]);
                assert!(auth.on_packet(&mut server).is_err(), "{number}");
            }
        }
        let (mut client, mut server, now) = pair();
        ask(&mut client, &mut server, now, &request("a", "ssh-connection", "none", b""));
        assert!(ServerAuth::default().on_packet(&mut server).is_err());
        ask(&mut client, &mut server, now, &service("ssh-connection"));
        assert!(ServerAuth::default().on_packet(&mut server).is_err());
    }

    #[test]
    fn requests_are_counted() {
        let (mut client, mut server, now) = pair();
        let mut auth = ServerAuth::default();
        ask(&mut client, &mut server, now, &service("ssh-userauth"));
        auth.on_packet(&mut server).unwrap();
        for i in 1..=MAX_REQUESTS {
            let again = service("ssh-userauth");
            let none = request("a", "ssh-connection", "none", b"");
            ask(&mut client, &mut server, now, if i % 2 == 0 { &again } else { &none });
            assert_eq!(auth.on_packet(&mut server).is_ok(), i < MAX_REQUESTS);
        }
    }

    #[test]
    fn a_hostile_server_gets_nowhere_with_the_client_half() {
        // 60 with a claimed 2^32-1 prompts is CVE-2026-42189 seen from the other side.
        for bad in
            [&[60, 0xff, 0xff, 0xff, 0xff][..], &[50], &[61], &[90], &[98], &[52], &[51], &[5]]
        {
            let (mut client, mut server, now) = pair();
            let mut auth = ClientAuth::start(&mut client, "a", Credential::None).unwrap();
            ask(&mut server, &mut client, now, bad);
            assert!(auth.on_packet(&mut client).is_err(), "{bad:?}");
        }
    }
}
