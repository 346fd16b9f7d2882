//! Key exchanges, whole or step by step, in both roles.

use containarium::wire::{
    codec::Reader,
    identity::Identity,
    kex::{self, ClientKex, Direction, Keys, Secret, Transcript},
    message,
    negotiate::{Algorithms, KexInit, Offer, Side, negotiate},
};

use super::{Payload, Peer};

/// What both sides said they can.
pub struct Kexinits {
    side: Side,
    own: Vec<u8>,
    theirs: Vec<u8>,
    /// What follows from it.
    pub agreed: Algorithms,
}

impl Peer {
    /// Identifications and the first key exchange, as the client. `strict`: as OpenSSH does it.
    pub fn establish(&mut self, offer: &Offer, strict: bool) {
        self.greet(super::IDENT);
        let own = offer.kexinit(Side::Client, strict).unwrap();
        self.exchange(Side::Client, &own, None);
    }

    /// A whole key exchange. As the server it proves `host_key`.
    pub fn exchange(&mut self, side: Side, own: &[u8], host_key: Option<&Identity>) {
        let kexinits = self.kexinits(side, own);
        match host_key {
            None => self.finish_as_client(&kexinits),
            Some(identity) => self.finish_as_server(&kexinits, identity),
        }
    }

    /// Sends a KEXINIT and waits for the other's; what comes before that is dropped.
    pub fn kexinits(&mut self, side: Side, own: &[u8]) -> Kexinits {
        self.send(own);
        let theirs = self.next_number(message::KEXINIT);
        let (ours, other) = (KexInit::parse(own).unwrap(), KexInit::parse(&theirs).unwrap());
        let (client, server) = match side {
            Side::Client => (&ours, &other),
            Side::Server => (&other, &ours),
        };
        let agreed = negotiate(client, server).expect("algorithms");
        if self.session_id.is_none() {
            self.strict = client.strict(Side::Client) && server.strict(Side::Server);
        }
        Kexinits { side, own: own.to_vec(), theirs, agreed }
    }

    /// The rest of a key exchange, as the client.
    pub fn finish_as_client(&mut self, kexinits: &Kexinits) {
        let client = ClientKex::new(kexinits.agreed.kex).unwrap();
        let init = client.init.clone();
        self.send(&Payload::new(message::KEX_ECDH_INIT).string(&init).0);
        let answer = self.next_number(message::KEX_ECDH_REPLY);
        let mut r = Reader::new(&answer[1..]);
        let (blob, reply) = (r.string().unwrap(), r.string().unwrap());
        let secret = client.finish(reply).expect("reply");
        let hash = self.hash(kexinits, blob, &init, reply, &secret);
        self.new_keys(kexinits, secret, hash);
    }

    /// The rest of a key exchange, as the server.
    pub fn finish_as_server(&mut self, kexinits: &Kexinits, identity: &Identity) {
        let question = self.next_number(message::KEX_ECDH_INIT);
        let init = Reader::new(&question[1..]).string().unwrap().to_vec();
        let (reply, secret) = kex::respond(kexinits.agreed.kex, &init).unwrap();
        let blob = identity.public_key().blob().to_vec();
        let hash = self.hash(kexinits, &blob, &init, &reply, &secret);
        let signature = identity.sign(&kexinits.agreed.host_key, &hash).unwrap();
        let answer = Payload::new(message::KEX_ECDH_REPLY).string(&blob).string(&reply);
        self.send(&answer.string(&signature).0);
        self.new_keys(kexinits, secret, hash);
    }

    fn hash(
        &self,
        kexinits: &Kexinits,
        host_key: &[u8],
        init: &[u8],
        reply: &[u8],
        secret: &Secret,
    ) -> [u8; 32] {
        let own = (&self.own_ident, &kexinits.own);
        let theirs = (&self.peer_ident, &kexinits.theirs);
        let (client, server) =
            if kexinits.side == Side::Client { (own, theirs) } else { (theirs, own) };
        let transcript = Transcript {
            client_ident: client.0,
            server_ident: server.0,
            client_kexinit: client.1,
            server_kexinit: server.1,
            host_key,
            init,
            reply,
        };
        transcript.hash(secret)
    }

    /// NEWKEYS both ways.
    fn new_keys(&mut self, kexinits: &Kexinits, secret: Secret, hash: [u8; 32]) {
        let session_id = *self.session_id.get_or_insert(hash);
        let keys = Keys::new(secret, hash, session_id);
        let agreed = &kexinits.agreed;
        let (up, down) = ((Direction::Up, agreed.up), (Direction::Down, agreed.down));
        let (out, back) = if kexinits.side == Side::Client { (up, down) } else { (down, up) };
        self.send(&[message::NEWKEYS]);
        self.tx.rekey(keys.sealing(out.0, out.1).unwrap(), self.strict);
        self.next_number(message::NEWKEYS);
        self.rx.rekey(keys.opening(back.0, back.1).unwrap(), self.strict);
    }

    /// The next message with this number; drops what comes before it.
    #[track_caller]
    pub fn next_number(&mut self, number: u8) -> Vec<u8> {
        let mut seen = Vec::new();
        while let Some(payload) = self.next() {
            if payload[0] == number {
                return payload;
            }
            seen.push(payload);
        }
        panic!("no message {number} but {:?}", seen.iter().map(|p| p[0]).collect::<Vec<_>>());
    }
}
