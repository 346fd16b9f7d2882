//! A pipe between two endpoints over small buffers, with key exchanges from every side at once.

mod clock;
mod lines;

use std::{cell::Cell, sync::Arc, time::Duration};

use super::*;
use crate::{
    link::neighbours::neighbours,
    wire::{identity::Identity, transport::RekeyLimits},
};

/// Longest a test may take; they take a second or two.
const PATIENCE: Duration = Duration::from_secs(60);

struct Setup {
    cipher: &'static str,
    /// Bytes after which each side changes keys: client, door twice, server.
    limits: [u64; 4],
    /// Bytes in flight between two neighbours.
    buffer: usize,
}

const NEVER: u64 = u64::MAX;

/// Client and server with these limits in bytes.
async fn pair(cipher: &'static str, limits: [u64; 2], buffer: usize) -> [Connection; 2] {
    let limits = limits.map(|bytes| RekeyLimits { bytes, ..RekeyLimits::default() });
    neighbours(buffer, Some(cipher), limits).await
}

async fn pipe(setup: &Setup) -> (Connection, Pipe, Connection) {
    let [l0, l1, l2, l3] = setup.limits;
    let [client, front] = pair(setup.cipher, [l0, l1], setup.buffer).await;
    let [back, server] = pair(setup.cipher, [l2, l3], setup.buffer).await;
    let identities: Arc<[Identity]> = [Identity::generate_ed25519().unwrap()].into();
    let intercept = Intercept::new(identities, [0; 32], None);
    let (observed, tap) = (Observed::default(), Tap::default());
    let pipe = Pipe { client: front, upstream: back, intercept, observed, tap };
    (client, pipe, server)
}

/// Packets of this many bytes, numbered, so that a lost, doubled or mixed-up one is noticed.
const SIZE: usize = 8000;

fn packet(number: u32) -> Vec<u8> {
    let mut out = vec![94];
    out.extend_from_slice(&number.to_be_bytes());
    out.resize(SIZE, number.to_be_bytes()[3]);
    out
}

/// Sends `total` packets and receives as many, reading nothing before `pause` is over. An endpoint
/// that is done goes on serving key exchanges; the one that is done last ends the exchange.
async fn exchange(connection: &mut Connection, total: u32, pause: Duration, done: &Cell<u8>) {
    let mut own_part = false;
    let (mut sent, mut received) = (0, 0);
    let mut waiting = Box::pin(tokio::time::sleep(pause));
    poll_fn(|cx| {
        loop {
            while sent < total && connection.can_take() {
                connection.transport.send(&[&packet(sent)]).unwrap();
                sent += 1;
            }
            let drained = connection.poll_drain(cx).map(Result::unwrap).is_ready();
            let before = connection.transport.output.len();
            let mut progress = sent < total && connection.can_take();
            if waiting.is_elapsed() || waiting.as_mut().poll(cx).is_ready() {
                while let Some(got) = connection.transport.next(now()).unwrap() {
                    assert_eq!(got, packet(received));
                    received += 1;
                    connection.transport.consume();
                }
                if !connection.transport.in_exchange() {
                    connection.transport.rekey_if_due(now()).unwrap();
                }
                if received == total && sent == total && drained && !own_part {
                    own_part = true;
                    done.set(done.get() + 1);
                }
                if done.get() == 2 {
                    return Poll::Ready(());
                }
                match connection.poll_fill(cx) {
                    Poll::Ready(n) => {
                        assert_ne!(n.unwrap(), 0, "closed too early");
                        progress = true;
                    }
                    Poll::Pending => {}
                }
                // Answers of a key exchange want to get out.
                progress |= connection.transport.output.len() > before;
            }
            if !progress {
                return Poll::Pending;
            }
        }
    })
    .await;
}

async fn both_ways(setup: Setup, total: u32, pauses: [u64; 2]) -> u64 {
    let (mut client, mut pipe, mut server) = pipe(&setup).await;
    let [left, right] = pauses.map(Duration::from_millis);
    let work = async {
        let done = Cell::new(0);
        tokio::select! {
            ended = pipe.run() => panic!("{ended:?}"),
            () = exchange(&mut client, total, left, &done) => {}
            () = exchange(&mut server, total, right, &done) => {}
        }
        client.transport.exchanges() + server.transport.exchanges()
    };
    let result = tokio::time::timeout(PATIENCE, work).await;
    result.unwrap_or_else(|_| {
        let side = |c: &Connection| {
            let t = &c.transport;
            (t.packet().is_some(), t.in_exchange(), t.can_send(), t.input.len(), t.output.len())
        };
        let all = [&client, &pipe.client, &pipe.upstream, &server].map(side);
        panic!("hangs: (held, in exchange, can send, input, output) {all:?}")
    })
}

const CIPHERS: [&str; 2] = ["chacha20-poly1305@openssh.com", "aes128-gcm@openssh.com"];

#[tokio::test]
async fn traffic_both_ways_survives_key_exchanges_from_every_side() {
    for cipher in CIPHERS {
        for limits in [
            [NEVER; 4],
            [100_000, NEVER, NEVER, NEVER],
            [NEVER, 100_000, NEVER, NEVER],
            [NEVER, NEVER, 100_000, NEVER],
            [100_000, NEVER, NEVER, 100_000],
            [NEVER, 100_000, 100_000, NEVER],
            [90_000, 110_000, 120_000, 100_000],
            [20_000, NEVER, NEVER, 20_000],
        ] {
            for buffer in [3000, 200_000] {
                let exchanges = both_ways(Setup { cipher, limits, buffer }, 200, [0, 0]).await;
                let expected = if limits == [NEVER; 4] { 2 } else { 4 };
                assert!(exchanges >= expected, "{limits:?}: {exchanges} key exchanges");
            }
        }
    }
}

#[tokio::test]
async fn a_reader_that_pauses_gets_everything_later() {
    for pauses in [[300, 0], [0, 300], [300, 300]] {
        let limits = [150_000, NEVER, NEVER, 150_000];
        let setup = Setup { cipher: CIPHERS[0], limits, buffer: 10_000 };
        both_ways(setup, 300, pauses).await;
    }
}

#[tokio::test]
async fn a_stalled_reader_costs_one_buffer() {
    let setup = Setup { cipher: CIPHERS[1], limits: [NEVER; 4], buffer: 10_000 };
    let (client, mut pipe, mut server) = pipe(&setup).await;
    let flood = async {
        let mut number = 0;
        loop {
            poll_fn(|cx| {
                let _ = server.poll_drain(cx);
                if server.can_take() { Poll::Ready(()) } else { Poll::Pending }
            })
            .await;
            server.transport.send(&[&packet(number)]).unwrap();
            number += 1;
        }
    };
    let stalled = tokio::time::timeout(Duration::from_millis(300), async {
        tokio::select! {
            ended = pipe.run() => panic!("{ended:?}"),
            () = flood => {}
        }
    });
    assert!(stalled.await.is_err(), "the flood is stopped, nothing else ends");
    assert!(pipe.client.transport.output.len() < OUTPUT_MARK + 2 * SIZE);
    assert!(pipe.upstream.transport.input.len() <= 256 * 1024);
    drop(client);
}

#[tokio::test]
async fn a_peer_that_takes_no_answers_is_read_no_further() {
    let setup = Setup { cipher: CIPHERS[0], limits: [NEVER; 4], buffer: 10_000 };
    let (mut client, mut pipe, _server) = pipe(&setup).await;
    let mut ping = vec![crate::wire::message::PING, 0, 0, 1, 0];
    ping.resize(5 + 256, 7);
    let flood = poll_fn(|cx| {
        loop {
            while client.transport.output.len() < OUTPUT_MARK {
                client.transport.send(&[&ping]).unwrap();
            }
            if client.poll_drain(cx).map(Result::unwrap).is_pending() {
                return Poll::<()>::Pending;
            }
        }
    });
    let flooded = tokio::time::timeout(Duration::from_millis(500), async {
        tokio::select! {
            ended = pipe.run() => panic!("{ended:?}"),
            () = flood => {}
        }
    });
    assert!(flooded.await.is_err(), "the flood is stopped, nothing else ends");
    let transport = &pipe.client.transport;
    assert!(transport.is_choked(), "the test floods enough: {}", transport.output.len());
    assert!(transport.output.len() < 1024 * 1024 && transport.input.len() < 1024 * 1024);
}

#[tokio::test]
async fn each_end_is_told_apart() {
    let setup = Setup { cipher: CIPHERS[1], limits: [NEVER; 4], buffer: 10_000 };
    let (client, mut pipe_a, _server) = pipe(&setup).await;
    drop(client);
    let ended = tokio::time::timeout(PATIENCE, pipe_a.run()).await.unwrap();
    assert!(matches!(ended, Ended { by: End::Client, how: ConnectionError::Closed }), "{ended:?}");
    let (_client, mut pipe_b, mut server) = pipe(&setup).await;
    server.transport.disconnect(crate::wire::message::Reason::ByApplication, "enough");
    server.drain().await.unwrap();
    let ended = tokio::time::timeout(PATIENCE, pipe_b.run()).await.unwrap();
    assert_eq!(ended.by, End::Upstream);
    assert!(ended.how.to_string().contains("disconnected"), "{ended:?}");
}

async fn arrived(connection: &mut Connection) -> Vec<u8> {
    connection.next_packet().await.unwrap();
    connection.transport.packet().unwrap().to_vec()
}

#[tokio::test]
async fn a_refusal_comes_back_under_the_senders_number() {
    use crate::wire::message::PING;
    let setup = Setup { cipher: CIPHERS[0], limits: [NEVER; 4], buffer: 10_000 };
    let (mut client, mut pipe, mut server) = pipe(&setup).await;
    let talk = async {
        // A ping ends at the door: from here on, the two connections count differently.
        client.transport.send(&[&[PING, 0, 0, 0, 0]]).unwrap();
        for client_asks in [true, false] {
            let (asks, refuses) =
                if client_asks { (&mut client, &mut server) } else { (&mut server, &mut client) };
            for message in [&[94, 1][..], &[200, 1], &[201, 1]] {
                asks.transport.send(&[message]).unwrap();
            }
            let number = asks.transport.sent_number();
            asks.drain().await.unwrap();
            for known in [94, 200] {
                assert_eq!(arrived(refuses).await, [known, 1]);
                refuses.transport.consume();
            }
            assert_eq!(arrived(refuses).await, [201, 1]);
            assert_ne!(refuses.transport.packet_number(), Some(number));
            refuses.transport.refuse().unwrap();
            refuses.transport.send(&[&[94, 2]]).unwrap();
            refuses.drain().await.unwrap();
            assert_eq!(arrived(asks).await, [94, 2]);
            asks.transport.consume();
            assert_eq!(asks.transport.next_refusal(), Some(number));
            assert_eq!(asks.transport.next_refusal(), None);
        }
    };
    tokio::select! {
        ended = pipe.run() => panic!("{ended:?}"),
        done = tokio::time::timeout(PATIENCE, talk) => done.unwrap(),
    }
}

#[tokio::test]
async fn what_fits_one_connection_but_not_the_other_ends_its_sender() {
    // Lengths are multiples of 8 with one cipher and 4 less than one of 16 with the other.
    let largest = crate::wire::packet::MAX_PACKET - 5;
    for (size, fits) in [(largest - 12, true), (largest, false)] {
        let setup = Setup { cipher: CIPHERS[0], limits: [NEVER; 4], buffer: 10_000 };
        let (_, mut pipe, _) = pipe(&setup).await;
        let [mut client, front] = pair(CIPHERS[0], [NEVER; 2], 1 << 20).await;
        let [back, mut server] = pair("aes128-ctr", [NEVER; 2], 1 << 20).await;
        (pipe.client, pipe.upstream) = (front, back);
        client.transport.send(&[&vec![94; size]]).unwrap();
        client.drain().await.unwrap();
        tokio::select! {
            ended = pipe.run() => {
                assert!(!fits && ended.by == End::Client, "{ended:?}");
            }
            got = arrived(&mut server) => assert!(fits && got.len() == size),
        }
    }
}
