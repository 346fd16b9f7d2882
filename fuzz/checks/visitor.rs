//! A client that says what an input decides, behind a true key exchange, and knows what it may expect
//! and what it must get.

use std::{sync::Arc, time::Duration};

use containarium::{
    clock,
    link::{connection::Connection, socket::Socket},
    model::key::PublicKey,
    wire::{
        identity::Identity,
        message::{GLOBAL_REQUEST, USERAUTH_SUCCESS},
        negotiate::Offer,
        transport::{Params, RekeyLimits, Role},
    },
};
use tokio::time::timeout;

use super::{
    choices::Choices,
    keys,
    request::{self, Certified, Made},
    stream::Near,
};

/// Most repetitions of a request: more than are heard out.
const MANY: usize = 140;

/// Longer than the door takes for any answer: a refusal takes 400 ms at most. So short that all
/// steps together end before the grace time.
const ANSWER: Duration = Duration::from_millis(500);

/// The client, and what it may expect by what it did.
pub struct Client {
    /// Its connection.
    pub connection: Connection,
    /// Whether that is still there.
    pub lives: bool,
    /// The service was asked for.
    service: bool,
    /// It sent nothing yet that ends a connection or uses up a limit.
    proper: bool,
    requests: usize,
    login: Progress,
}

/// How far a login is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    /// It may not succeed.
    Unproved,
    /// It may succeed: a key was proved, among other things.
    Proved,
    /// It must succeed: nothing but the proof of a key stands behind it.
    Due,
    /// It has.
    Entered,
}

impl Client {
    /// On `near`, with these algorithms.
    pub fn new(near: Near, offer: Offer) -> Self {
        let pinned = keys::HOST.iter().map(|identity| identity.public_key().clone()).collect();
        let params = Params {
            ident: "SSH-2.0-OpenSSH_9.9".into(),
            offer,
            // A key exchange is due whenever a step asks for one.
            rekey: RekeyLimits { bytes: 1, ..RekeyLimits::default() },
            role: Role::Client(pinned),
        };
        let connection = Connection::new(Socket::Other(Box::new(near)), params).unwrap();
        Self {
            connection,
            lives: true,
            service: false,
            proper: true,
            requests: 0,
            login: Progress::Unproved,
        }
    }

    /// Does one thing.
    pub async fn step(&mut self, choices: &mut Choices<'_>, certificates: &[Certified]) {
        match choices.byte() % 8 {
            0..=4 => self.request(choices, certificates).await,
            5 => {
                self.settle().await;
                // Before the login it is refused.
                self.proper = false;
                let rekeyed = self.connection.transport.rekey_if_due(clock::now());
                self.lives &= rekeyed.is_ok();
                self.settle().await;
            }
            6 => self.settle().await,
            _ => {
                // Bytes that no key sealed.
                self.proper = false;
                self.connection.transport.output.extend(choices.bytes());
                self.settle().await;
            }
        }
    }

    async fn request(&mut self, choices: &mut Choices<'_>, certificates: &[Certified]) {
        let session = *self.connection.transport.session_id().unwrap();
        let made = request::any(choices, &session, certificates);
        let times = choices.one(&[1, 1, 1, 2, 7, MANY]);
        if made.bytes.is_empty() {
            return;
        }
        let is_service = made.bytes[0] == 5;
        self.requests += times;
        // In time: a service first, and fewer requests than would be too many.
        let in_time = is_service || self.service;
        self.proper &= made.is_proper && in_time && self.requests < 6;
        // An unknown service ends the connection as well.
        self.proper &= !is_service || made.bytes.ends_with(b"ssh-userauth");
        self.service |= is_service && self.proper;
        // A signature that is bound to a host key ends the connection if it is not this one.
        self.proper &= !made.bound || self.connection.transport.host_key() == Some(first_host());
        let due = self.prove(&made);
        for _ in 0..times {
            self.send(&made.bytes).await;
        }
        if due && self.login == Progress::Proved {
            self.login = Progress::Due;
        }
        if due || choices.flag() {
            self.settle().await;
        }
    }

    /// Whether `made`, which is about to be sent, must lead to success. Notes that it may.
    pub fn prove(&mut self, made: &Made) -> bool {
        let opens = made.signed_by().map(|signer| opens(made.user, signer, made.certified));
        if self.login != Progress::Unproved || matches!(opens, None | Some(Some(false))) {
            return false;
        }
        self.login = Progress::Proved;
        // Nothing else is proper behind it.
        std::mem::take(&mut self.proper) && opens == Some(Some(true))
    }

    /// Sends a packet, as soon as it may be sent.
    pub async fn send(&mut self, packet: &[u8]) {
        if self.lives && self.connection.transport.send(&[packet]).is_err() {
            self.settle().await;
            self.lives &= self.connection.transport.send(&[packet]).is_ok();
        }
        if self.connection.transport.output.len() > 32 * 1024 {
            self.settle().await;
        }
    }

    /// Hears what the door says, until it says nothing more.
    pub async fn settle(&mut self) {
        while self.lives {
            let heard = timeout(ANSWER, self.connection.next_packet()).await;
            match heard {
                Err(_) => break,
                Ok(Err(_)) => self.lives = false,
                Ok(Ok(())) => {
                    let packet = self.connection.transport.packet().unwrap_or_default();
                    self.on_answer(packet[0]);
                    self.connection.transport.consume();
                }
            }
        }
        assert_ne!(self.login, Progress::Due, "a good login was refused");
    }

    fn on_answer(&mut self, number: u8) {
        if number == USERAUTH_SUCCESS {
            assert!(matches!(self.login, Progress::Proved | Progress::Due), "let in unproved");
            self.login = Progress::Entered;
        }
        assert!(number < GLOBAL_REQUEST || self.login == Progress::Entered, "{number} too early");
    }
}

fn first_host() -> &'static PublicKey {
    keys::first().public_key()
}

/// Whether `signer` opens what `user` names; `None`: it depends on more than this model knows.
fn opens(user: &str, signer: &Arc<Identity>, certified: bool) -> Option<bool> {
    let is = |key: &Arc<Identity>| signer.public_key() == key.public_key();
    match (user, certified) {
        // The CA signed it: for alice.
        ("alice", true) => Some(true),
        ("alice", false) if is(&keys::USER) => Some(true),
        ("ops", false) => Some(is(&keys::EVERY[1])),
        (name, false) if name != "git" && (is(&keys::USER) || is(&keys::EVERY[1])) => None,
        (_, _) => Some(false),
    }
}
