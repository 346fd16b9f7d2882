//! User authentication: as the client, any request; as the server, anybody is let in.

use containarium::wire::{
    codec::Write,
    identity::Identity,
    message,
    negotiate::{Offer, Side},
};

use super::{Payload, Peer};

/// What a server says to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// In.
    Success,
    /// Not by this.
    Failure,
    /// A signature with this key would be good.
    PkOk,
    /// The connection ended.
    Ended,
}

/// A signed `publickey` request, as it should be; tests change what they like.
#[derive(Debug, Clone)]
pub struct Signed {
    /// Session identifier in the signed data.
    pub session_id: Vec<u8>,
    /// Login name in the request.
    pub user: Vec<u8>,
    /// Login name in the signed data.
    pub signed_user: Vec<u8>,
    /// Service in the request.
    pub service: String,
    /// Service in the signed data.
    pub signed_service: String,
    /// Algorithm in the request.
    pub algorithm: String,
    /// Algorithm in the signed data.
    pub signed_algorithm: String,
    /// Key blob in the request.
    pub key: Vec<u8>,
    /// Key blob in the signed data.
    pub signed_key: Vec<u8>,
    /// The boolean in the signed data.
    pub signed_flag: bool,
}

/// The request of `user` with `identity`'s key, on the connection of `peer`.
pub fn signed(peer: &Peer, user: impl AsRef<[u8]>, identity: &Identity) -> Signed {
    let (user, key) = (user.as_ref().to_vec(), identity.public_key().blob().to_vec());
    let algorithm = identity.algorithms()[0].to_owned();
    Signed {
        session_id: peer.session_id.unwrap().to_vec(),
        signed_user: user.clone(),
        user,
        service: "ssh-connection".into(),
        signed_service: "ssh-connection".into(),
        signed_algorithm: algorithm.clone(),
        algorithm,
        signed_key: key.clone(),
        key,
        signed_flag: true,
    }
}

impl Signed {
    /// The request without its signature, and what is signed.
    pub fn parts(&self) -> (Vec<u8>, Vec<u8>) {
        let request = Payload::new(message::USERAUTH_REQUEST).string(&self.user);
        let request = request.string(&self.service).string("publickey").boolean(true);
        let request = request.string(&self.algorithm).string(&self.key).0;
        let mut data = Vec::new();
        data.put_string(&self.session_id);
        let covered = Payload::new(message::USERAUTH_REQUEST).string(&self.signed_user);
        let covered = covered.string(&self.signed_service).string("publickey");
        let covered = covered.boolean(self.signed_flag);
        data.extend(covered.string(&self.signed_algorithm).string(&self.signed_key).0);
        (request, data)
    }

    /// The request, signed by `identity` with `algorithm`.
    pub fn by(&self, identity: &Identity, algorithm: &str) -> Vec<u8> {
        let (request, data) = self.parts();
        Payload(request).string(identity.sign(algorithm, &data).unwrap()).0
    }

    /// The request, signed as it says.
    pub fn payload(&self, identity: &Identity) -> Vec<u8> {
        self.by(identity, identity.algorithms()[0])
    }

    /// The question whether this key would do.
    pub fn query(&self) -> Vec<u8> {
        let request = Payload::new(message::USERAUTH_REQUEST).string(&self.user);
        let request = request.string(&self.service).string("publickey").boolean(false);
        request.string(&self.algorithm).string(&self.key).0
    }
}

impl Peer {
    /// Asks for `ssh-userauth`.
    pub fn ask_for_service(&mut self) {
        self.send(&Payload::new(message::SERVICE_REQUEST).string("ssh-userauth").0);
        self.next_number(message::SERVICE_ACCEPT);
    }

    /// The answer to the next unanswered request. Banners are not for us.
    pub fn answer(&mut self) -> Answer {
        loop {
            match self.next().as_deref() {
                Some([message::USERAUTH_SUCCESS]) => return Answer::Success,
                Some([message::USERAUTH_FAILURE, ..]) => return Answer::Failure,
                Some([message::USERAUTH_PK_OK, ..]) => return Answer::PkOk,
                Some([message::USERAUTH_BANNER, ..]) => {}
                Some([message::DISCONNECT, ..]) | None => return Answer::Ended,
                Some(other) => panic!("unexpected answer {other:?}"),
            }
        }
    }

    /// Sends a request and waits for its answer.
    pub fn ask(&mut self, request: &[u8]) -> Answer {
        self.send(request);
        self.answer()
    }

    /// Tries to log in as `user`.
    pub fn try_log_in(&mut self, user: &str, identity: &Identity) -> Answer {
        let request = signed(self, user, identity).payload(identity);
        self.ask(&request)
    }

    /// As the server: identifications, a key exchange that proves `host_key`, and in.
    pub fn let_in(&mut self, host_key: &Identity) {
        self.greet("SSH-2.0-OpenSSH_9.2p1 evil");
        self.shake_hands(host_key);
        self.next_number(message::SERVICE_REQUEST);
        self.send(&Payload::new(message::SERVICE_ACCEPT).string("ssh-userauth").0);
        self.next_number(message::USERAUTH_REQUEST);
        self.send(&[message::USERAUTH_SUCCESS]);
    }

    /// As the server: a key exchange that proves `host_key`.
    pub fn shake_hands(&mut self, host_key: &Identity) {
        let own = Offer::front(host_key.algorithms().to_vec());
        let own = own.kexinit(Side::Server, true).unwrap();
        self.exchange(Side::Server, &own, Some(host_key));
    }
}
