//! Authentication messages, both roles, behind a true key exchange: requests to the server's half,
//! answers to the client's.

use std::{cell::RefCell, sync::Arc};

use containarium::{
    clock,
    model::key::PublicKey,
    wire::{
        identity::Identity,
        message::{SERVICE_ACCEPT, USERAUTH_FAILURE, USERAUTH_SUCCESS},
        negotiate::Offer,
        signature::{SkPolicy, verify},
        transport::{Params, RekeyLimits, Role, Transport},
        userauth::{ClientAuth, Credential, Progress, Request, ServerAuth},
    },
};

use super::{choices::Choices, keys, request};

/// Most messages of one input: more than either half hears out.
const MAX_STEPS: usize = 200;

/// Client and server, open.
type Pair = (Transport, Transport);

thread_local! {
    /// Kept while it lives: a key exchange costs a hundred times what a message does.
    static PAIR: RefCell<Option<Pair>> = const { RefCell::new(None) };
}

/// Reads `input` as requests to our server, or as answers to our client.
pub fn check(input: &[u8]) {
    let mut choices = Choices::new(input);
    let mut pair = PAIR.with_borrow_mut(Option::take).unwrap_or_else(open);
    let lives = if choices.flag() {
        serve(&mut pair, &mut choices)
    } else {
        log_in(&mut pair, &mut choices)
    };
    if lives {
        PAIR.set(Some(pair));
    }
}

/// Our server hears any messages. Whether the connection lives on.
fn serve((client, server): &mut Pair, choices: &mut Choices<'_>) -> bool {
    let mut auth = ServerAuth::default();
    let (mut service, mut requests) = (false, 0);
    for _ in 0..MAX_STEPS {
        if choices.is_empty() {
            return true;
        }
        let session = *client.session_id().unwrap();
        let made = request::any(choices, &session, &[]);
        if made.bytes.is_empty() {
            continue;
        }
        if client.send(&[&made.bytes]).is_err() {
            continue;
        }
        let before = server.output.len();
        let Ok(found) = deliver(client, server) else { return false };
        if !found {
            // The transport's own business, or the start of a key exchange.
            drop_answers(server);
            if !server.is_open() {
                return false;
            }
            continue;
        }
        let number = made.bytes[0];
        requests += 1;
        let Ok(answer) = auth.on_packet(server) else { return false };
        assert!(matches!(number, 5 | 50), "{number} is no message of this time");
        assert!(number == 5 || service, "too early");
        assert!(requests <= 128, "too many");
        service |= number == 5;
        assert!(server.output.len() - before <= 256, "an answer that grows");
        on_answer(&answer, &made, &session);
        drop_answers(server);
    }
    unreachable!("{MAX_STEPS} messages were heard out");
}

/// What is asked of the caller is what was sent, and a signature holds only if it is one.
fn on_answer(answer: &Request, made: &request::Made, session: &[u8; 32]) {
    let Request::Signed { attempt, message, signature } = answer else { return };
    assert_eq!(message[..4], [0, 0, 0, 32]);
    assert_eq!(&message[4..36], session, "another connection's signature would do");
    assert!(made.bytes.starts_with(&message[36..]), "something else was to be signed");
    let Ok(key) = PublicKey::from_blob(&attempt.key) else { return };
    let verdict = verify(&key, &attempt.algorithm, message, signature, SkPolicy::default());
    assert_eq!(verdict.is_ok(), made.signed_by().is_some(), "{verdict:?}");
    if let Some(signer) = made.signed_by() {
        assert_eq!(&key, signer.public_key());
    }
}

/// Our client hears any answers.
fn log_in((client, server): &mut Pair, choices: &mut Choices<'_>) -> bool {
    let credential = if choices.flag() {
        Credential::None
    } else {
        Credential::Key { identity: keys::USER.clone(), certificate: None }
    };
    let mut auth = ClientAuth::start(client, "alice", credential).unwrap();
    drop_answers(client);
    let (mut accepted, mut heard) = (false, 0);
    for _ in 0..MAX_STEPS {
        if choices.is_empty() {
            return true;
        }
        let number = choices.one(&[6, 51, 52, 53, 60, 7, 2, 80, 50, 1, 20]);
        let mut packet = vec![if choices.byte() < 200 { number } else { choices.byte() }];
        packet.extend_from_slice(choices.bytes());
        let number = packet[0];
        if server.send(&[&packet]).is_err() {
            continue;
        }
        let Ok(found) = deliver(server, client) else { return false };
        if !found {
            drop_answers(client);
            if !client.is_open() {
                return false;
            }
            continue;
        }
        heard += 1;
        let Ok(progress) = auth.on_packet(client) else { return false };
        assert!(heard <= 64, "a server that never decides");
        match progress {
            Progress::Waiting => assert!(matches!(number, SERVICE_ACCEPT | 53)),
            Progress::Success => assert!(accepted && number == USERAUTH_SUCCESS),
            Progress::Refused => assert!(accepted && number == USERAUTH_FAILURE),
        }
        accepted |= number == SERVICE_ACCEPT;
        if progress != Progress::Waiting {
            return true;
        }
    }
    unreachable!("{MAX_STEPS} messages were heard out");
}

/// Carries what was sent; whether a packet waits on the other side.
fn deliver(from: &mut Transport, to: &mut Transport) -> Result<bool, ()> {
    to.input.extend(from.output.filled());
    from.output.consume(from.output.len());
    to.next(clock::now()).map(|packet| packet.is_some()).map_err(drop)
}

/// The other side need not hear answers: it is no peer, it says what the input says.
fn drop_answers(side: &mut Transport) {
    side.output.consume(side.output.len());
}

fn open() -> Pair {
    let now = clock::now();
    let params = |role| Params {
        ident: "SSH-2.0-OpenSSH_9.9".into(),
        offer: Offer { kex: vec!["curve25519-sha256"], ..Offer::front(vec!["ssh-ed25519"]) },
        rekey: RekeyLimits::default(),
        role,
    };
    let pinned = Role::Client(vec![keys::first().public_key().clone()]);
    let host: Arc<[Identity]> = keys::HOST.clone();
    let mut client = Transport::new(params(pinned), now).unwrap();
    let mut server = Transport::new(params(Role::Server(host)), now).unwrap();
    for _ in 0..4 {
        assert_eq!(deliver(&mut client, &mut server), Ok(false));
        assert_eq!(deliver(&mut server, &mut client), Ok(false));
    }
    assert!(client.is_open() && server.is_open());
    (client, server)
}
