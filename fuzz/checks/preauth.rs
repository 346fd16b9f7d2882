//! The whole door before authentication, and a little of what comes behind it, on a stream in
//! memory: any bytes, an honest client with a bad wire, and a client that says what it likes.

use std::{cell::LazyCell, sync::Arc, time::Duration};

use containarium::{
    door::{self, Admitted},
    link::socket::Socket,
    model::authorized_keys::KeyOptions,
    wire::{
        certificate::{Parameters, issue},
        identity::Identity,
        negotiate::Offer,
    },
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::timeout,
};

use super::{
    choices::Choices,
    keys,
    request::{self, Certified},
    stream,
    visitor::Client,
    world::World,
};

/// Most steps of one input.
const MAX_STEPS: usize = 40;

/// Longer than any connection lasts whose client has gone: grace time and goodbyes together.
const END: Duration = Duration::from_secs(120);

thread_local! {
    static WORLD: LazyCell<World> = LazyCell::new(World::new);
}

/// Reads `input` as what a client does.
pub fn check(input: &[u8]) {
    let mut choices = Choices::new(input);
    WORLD.with(|world| {
        world.runtime.block_on(async {
            match choices.byte() % 4 {
                0 => bytes(world, choices.rest()).await,
                1 => bad_wire(world, &mut choices).await,
                _ => steps(world, &mut choices).await,
            }
        });
    });
}

/// Serves `far` to its end beside `client`; what the client found.
async fn beside<T>(
    world: &World,
    far: tokio::io::DuplexStream,
    client: impl Future<Output = T>,
) -> T {
    let shared = &world.shared;
    let peer = "192.0.2.7:4711".parse().unwrap();
    let starting = shared.registry.start([192, 0, 2, 7].into(), 1, 1).unwrap();
    let admitted = Admitted { starting, knock: shared.guard.unwatched(), greeted: None };
    let serve = door::serve(shared, Socket::Other(Box::new(far)), peer, admitted);
    let (served, found) = tokio::join!(timeout(END, serve), client);
    assert!(served.is_ok(), "the connection never ends");
    assert_eq!(shared.registry.connections(), 0, "a place is lost");
    found
}

/// Bytes that no key exchange stands behind.
async fn bytes(world: &World, input: &[u8]) {
    let (mut near, far, traffic) = stream::pair(Vec::new());
    beside(world, far, async {
        let _ = near.write_all(input).await;
        let _ = near.shutdown().await;
        let _ = near.read_to_end(&mut Vec::new()).await;
    })
    .await;
    assert_modest(traffic.counts());
}

/// An answer is never much more than what was asked: at most an identification, a KEXINIT, a
/// host key with signature for a short value, the same again for a few short ones.
fn assert_modest((sent, received): (usize, usize)) {
    assert!(received <= 16 * 1024 + 32 * sent, "{received} bytes for {sent}");
}

/// A login that would succeed, if the wire were good.
async fn bad_wire(world: &World, choices: &mut Choices<'_>) {
    let (offer, edits) = (offer(choices), stream::edits(choices));
    let (near, far, traffic) = stream::pair(edits);
    beside(world, far, async {
        let mut client = Client::new(near, offer);
        if client.connection.establish().await.is_err() {
            return;
        }
        // Whether it succeeds depends on where the wire is bad; who succeeds does not.
        let session = *client.connection.transport.session_id().unwrap();
        let plan: &[&[u8]] = &[&[0, 0, 0], &[2, 0, 0, 0, 0, 0, 0], &[2, 0, 0, 0, 1, 0, 0, 0]];
        for plan in plan {
            let made = request::any(&mut Choices::new(plan), &session, &[]);
            client.prove(&made);
            client.send(&made.bytes).await;
            client.settle().await;
        }
    })
    .await;
    assert_modest(traffic.counts());
}

fn offer(choices: &mut Choices<'_>) -> Offer {
    let front = Offer::front(vec![choices.one(&["ssh-ed25519", "ecdsa-sha2-nistp256"])]);
    let kex = choices.one(&["curve25519-sha256", "mlkem768x25519-sha256"]);
    let cipher = choices.one(&front.cipher);
    let mac = choices.one(&front.mac);
    Offer { kex: vec![kex], cipher: vec![cipher], mac: vec![mac], ..front }
}

/// A client that keeps to the packet protocol, and to nothing else.
async fn steps(world: &World, choices: &mut Choices<'_>) {
    let offer = offer(choices);
    let certificates = [certificate(&keys::USER), certificate(&keys::OTHER)];
    let (near, far, traffic) = stream::pair(Vec::new());
    beside(world, far, async {
        let mut client = Client::new(near, offer);
        client.connection.establish().await.expect("an honest key exchange");
        for _ in 0..MAX_STEPS {
            if choices.is_empty() || !client.lives {
                break;
            }
            client.step(choices, &certificates).await;
        }
        client.settle().await;
    })
    .await;
    assert_modest(traffic.counts());
}

/// A certificate for `identity`, with which `alice` logs in and `ops` does not.
fn certificate(identity: &Arc<Identity>) -> Certified {
    let parameters = Parameters {
        serial: 1,
        key_id: "alice",
        principals: &["alice"],
        valid_after: 0,
        valid_before: u64::MAX,
        restrictions: &KeyOptions::default(),
    };
    (identity.clone(), issue(keys::first(), identity.public_key(), &parameters).unwrap())
}
