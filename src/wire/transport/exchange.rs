//! The key exchange inside a transport, first and later ones, started by either side.

use std::time::Instant;

use super::{KEX_TIMEOUT, Role, Transport};
use crate::{
    model::key::PublicKey,
    wire::{
        cipher::{Opening, Sealing},
        codec::{Reader, Write},
        error::Error,
        kex::{self, ClientKex, Direction, Keys, Secret, Transcript},
        message,
        negotiate::{Algorithms, KexInit, Side, negotiate},
        signature::{self, SkPolicy},
    },
};

/// Answers that wait for the end of a key exchange, in bytes: many more than an honest peer asks
/// for in the round trip before it sees our KEXINIT.
const MAX_HELD: usize = 64 * 1024;

/// A key exchange under way.
pub(super) struct Exchange {
    pub(super) own_kexinit: Vec<u8>,
    peer_kexinit: Option<Vec<u8>>,
    step: Step,
    pub(super) sent_newkeys: bool,
    pub(super) deadline: Instant,
    skip_guess: bool,
    /// What may be sent only after our NEWKEYS.
    pub(super) held: Vec<Vec<u8>>,
}

/// What the peer has to say next.
enum Step {
    /// KEXINIT.
    KexInit,
    /// Its value: we are the server.
    Init(Algorithms),
    /// Its value and signature: we are the client.
    Reply(Algorithms, Box<ClientKex>),
    /// NEWKEYS, after which this opens its packets.
    NewKeys(Box<Opening>),
}

impl Exchange {
    pub(super) fn has_peer_kexinit(&self) -> bool {
        self.peer_kexinit.is_some()
    }

    /// Keeps an answer for later.
    pub(super) fn hold(&mut self, payload: &[u8]) -> Result<(), Error> {
        let size: usize = self.held.iter().map(Vec::len).sum();
        if size + payload.len() > MAX_HELD {
            return Err(Error::Protocol("too many requests in key exchange"));
        }
        self.held.push(payload.to_vec());
        Ok(())
    }
}

impl Transport {
    /// Sends our KEXINIT.
    pub(super) fn start_exchange(&mut self, now: Instant) -> Result<(), Error> {
        let first = self.session_id.is_none();
        let own_kexinit = self.params.offer.kexinit(self.side(), first)?;
        self.writer.seal(&[&own_kexinit], &mut self.output)?;
        self.exchange = Some(Box::new(Exchange {
            own_kexinit,
            peer_kexinit: None,
            step: Step::KexInit,
            sent_newkeys: false,
            deadline: now + KEX_TIMEOUT,
            skip_guess: false,
            held: Vec::new(),
        }));
        Ok(())
    }

    /// Handles messages 20, 21 and 30 to 49.
    pub(super) fn on_exchange_message(
        &mut self,
        payload: &[u8],
        seq: u32,
        now: Instant,
    ) -> Result<(), Error> {
        if payload[0] == message::KEXINIT && self.exchange.is_none() {
            // Like OpenSSH: nobody honest needs it, and each one costs us a signature.
            if !self.authenticated {
                return Err(Error::Protocol("key exchange again before authentication"));
            }
            self.start_exchange(now)?;
        }
        let Some(mut exchange) = self.exchange.take() else {
            return Err(Error::Protocol("key exchange message out of place"));
        };
        // Whatever number it has: it may belong to a method that is not ours.
        if std::mem::take(&mut exchange.skip_guess) && matches!(payload[0], 30..=49) {
            self.exchange = Some(exchange);
            return Ok(());
        }
        let step = std::mem::replace(&mut exchange.step, Step::KexInit);
        exchange.step = match (step, payload[0]) {
            (Step::KexInit, message::KEXINIT) if exchange.peer_kexinit.is_none() => {
                self.on_kexinit(&mut exchange, payload, seq)?
            }
            (Step::Init(agreed), message::KEX_ECDH_INIT) => {
                self.on_init(&mut exchange, &agreed, payload)?
            }
            (Step::Reply(agreed, client), message::KEX_ECDH_REPLY) => {
                self.on_reply(&mut exchange, &agreed, *client, payload)?
            }
            (Step::NewKeys(opening), message::NEWKEYS) if payload.len() == 1 => {
                self.reader.rekey(*opening, self.strict);
                self.keyed_at = now;
                self.exchanges += 1;
                return Ok(());
            }
            (Step::KexInit | Step::Init(_) | Step::Reply(..) | Step::NewKeys(_), _) => {
                return Err(Error::Protocol("key exchange message out of place"));
            }
        };
        self.exchange = Some(exchange);
        Ok(())
    }

    fn on_kexinit(
        &mut self,
        exchange: &mut Exchange,
        payload: &[u8],
        seq: u32,
    ) -> Result<Step, Error> {
        let own = KexInit::parse(&exchange.own_kexinit)?;
        let peer = KexInit::parse(payload)?;
        let (client, server) = match self.side() {
            Side::Server => (&peer, &own),
            Side::Client => (&own, &peer),
        };
        let agreed = negotiate(client, server)?;
        if self.session_id.is_none() {
            // The first KEXINIT alone decides, for the life of the connection.
            self.strict = client.strict(Side::Client) && server.strict(Side::Server);
            self.wants_ext_info = self.side() == Side::Server && client.wants_ext_info();
            if self.strict && seq != 0 {
                return Err(Error::Protocol("KEXINIT is not the first packet"));
            }
        }
        exchange.skip_guess = peer.first_kex_packet_follows && agreed.guess_wrong;
        exchange.peer_kexinit = Some(payload.to_vec());
        match self.side() {
            Side::Server => Ok(Step::Init(agreed)),
            Side::Client => {
                let kex = ClientKex::new(agreed.kex)?;
                let mut init = vec![message::KEX_ECDH_INIT];
                init.put_string(&kex.init);
                self.writer.seal(&[&init], &mut self.output)?;
                Ok(Step::Reply(agreed, Box::new(kex)))
            }
        }
    }

    /// Server: the client's value came.
    fn on_init(
        &mut self,
        exchange: &mut Exchange,
        agreed: &Algorithms,
        payload: &[u8],
    ) -> Result<Step, Error> {
        let mut r = Reader::new(payload);
        r.byte()?;
        let init = r.string()?;
        r.end()?;
        let (reply, secret) = kex::respond(agreed.kex, init)?;
        let Role::Server(identities) = &self.params.role else {
            return Err(Error::Protocol("key exchange message out of place"));
        };
        let name = agreed.host_key.as_str();
        let identity = identities
            .iter()
            .find(|identity| identity.algorithms().contains(&name))
            .ok_or(Error::NoCommon("host key"))?;
        let key = identity.public_key().clone();
        let hash = self.transcript(exchange, key.blob(), init, &reply).hash(&secret);
        let signature = identity.sign(name, &hash).map_err(|_| Error::Crypto)?;
        let mut out = vec![message::KEX_ECDH_REPLY];
        out.put_string(key.blob());
        out.put_string(&reply);
        out.put_string(&signature);
        self.writer.seal(&[&out], &mut self.output)?;
        self.host_key_used.get_or_insert_with(|| (key, agreed.host_key.clone()));
        self.finish(exchange, agreed, secret, hash)
    }

    /// Client: the server's value and signature came.
    fn on_reply(
        &mut self,
        exchange: &mut Exchange,
        agreed: &Algorithms,
        client: ClientKex,
        payload: &[u8],
    ) -> Result<Step, Error> {
        let mut r = Reader::new(payload);
        r.byte()?;
        let (blob, reply, signature) = (r.string()?, r.string()?, r.string()?);
        r.end()?;
        let key = PublicKey::from_blob(blob).map_err(|_| Error::Malformed)?;
        let Role::Client(pinned) = &self.params.role else {
            return Err(Error::Protocol("key exchange message out of place"));
        };
        if !pinned.contains(&key) {
            return Err(Error::HostKey(Box::new(key)));
        }
        let init = client.init.clone();
        let secret = client.finish(reply)?;
        let hash = self.transcript(exchange, blob, &init, reply).hash(&secret);
        signature::verify(&key, &agreed.host_key, &hash, signature, SkPolicy::default())
            .map_err(|_| Error::HostKeySignature)?;
        self.host_key_used.get_or_insert_with(|| (key, agreed.host_key.clone()));
        self.finish(exchange, agreed, secret, hash)
    }

    fn transcript<'a>(
        &'a self,
        exchange: &'a Exchange,
        host_key: &'a [u8],
        init: &'a [u8],
        reply: &'a [u8],
    ) -> Transcript<'a> {
        let own = (self.params.ident.as_bytes(), exchange.own_kexinit.as_slice());
        let peer = (
            self.peer_ident.as_deref().unwrap_or_default(),
            exchange.peer_kexinit.as_deref().unwrap_or_default(),
        );
        let (client, server) = match self.side() {
            Side::Server => (peer, own),
            Side::Client => (own, peer),
        };
        Transcript {
            client_ident: client.0,
            server_ident: server.0,
            client_kexinit: client.1,
            server_kexinit: server.1,
            host_key,
            init,
            reply,
        }
    }

    /// Sends NEWKEYS and takes the new keys for what we send; those for what we receive wait for
    /// the peer's NEWKEYS.
    fn finish(
        &mut self,
        exchange: &mut Exchange,
        agreed: &Algorithms,
        secret: Secret,
        hash: [u8; 32],
    ) -> Result<Step, Error> {
        let first = self.session_id.is_none();
        let session_id = *self.session_id.get_or_insert(hash);
        let keys = Keys::new(secret, hash, session_id);
        let (sealing, opening): (Sealing, Opening) = match self.side() {
            Side::Server => (
                keys.sealing(Direction::Down, agreed.down)?,
                keys.opening(Direction::Up, agreed.up)?,
            ),
            Side::Client => (
                keys.sealing(Direction::Up, agreed.up)?,
                keys.opening(Direction::Down, agreed.down)?,
            ),
        };
        self.writer.seal(&[&[message::NEWKEYS]], &mut self.output)?;
        self.writer.rekey(sealing, self.strict);
        exchange.sent_newkeys = true;
        if first && self.wants_ext_info {
            // The very next packet after the first NEWKEYS (RFC 8308, section 2.4).
            self.writer.seal(&[&ext_info()], &mut self.output)?;
        }
        for answer in std::mem::take(&mut exchange.held) {
            self.writer.seal(&[&answer], &mut self.output)?;
        }
        Ok(Step::NewKeys(Box::new(opening)))
    }
}

/// What the door's side can do (RFC 8308).
pub(super) fn ext_info() -> Vec<u8> {
    let algorithms = signature::SERVER_SIG_ALGS.join(",");
    let extensions: [(&str, &str); 3] = [
        ("server-sig-algs", &algorithms),
        ("publickey-hostbound@openssh.com", "0"),
        ("ping@openssh.com", "0"),
    ];
    let mut out = vec![message::EXT_INFO];
    out.put_uint32(3);
    for (name, value) in extensions {
        out.put_string(name.as_bytes());
        out.put_string(value.as_bytes());
    }
    out
}
