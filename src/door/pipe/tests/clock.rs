//! What a pipe does when time passes: keys grow old, and peers fall silent in a key exchange. Time is
//! virtual.

use super::*;

/// A peer that does not answer in a key exchange is given up after 30 s; the pipe looks up at
/// least that often.
const GIVEN_UP: std::ops::Range<Duration> = Duration::from_secs(30)..Duration::from_secs(36);

const QUIET: Setup = Setup { cipher: CIPHERS[0], limits: [NEVER; 4], buffer: 10_000 };

/// Answers key exchanges, and throws away what comes.
async fn serve(connection: &mut Connection) {
    loop {
        connection.next_packet().await.unwrap();
        connection.transport.consume();
    }
}

/// Floods until nothing more goes out; does not read.
async fn flood(connection: &mut Connection) {
    let mut number = 0;
    poll_fn(|cx| {
        while connection.can_take() {
            connection.transport.send(&[&packet(number)]).unwrap();
            number += 1;
            let _ = connection.poll_drain(cx);
        }
        let _ = connection.poll_drain(cx);
        if connection.can_take() {
            cx.waker().wake_by_ref();
        }
        Poll::<()>::Pending
    })
    .await;
}

/// An hour later.
async fn grow_old() {
    tokio::time::sleep(RekeyLimits::default().age).await;
}

#[tokio::test(start_paused = true)]
async fn old_keys_are_changed_when_they_are_used_and_not_before() {
    let (mut client, mut pipe, mut server) = pipe(&QUIET).await;
    for hour in 0..4 {
        let idle = async {
            tokio::select! {
                () = grow_old() => {}
                () = serve(&mut client) => {}
                () = serve(&mut server) => {}
            }
        };
        tokio::select! {
            ended = pipe.run() => panic!("{ended:?}"),
            () = idle => {}
        }
        let exchanges = [&client, &server].map(|c| c.transport.exchanges());
        assert_eq!(exchanges, [1 + hour; 2], "a suspended client must not be asked");
        client.transport.send(&[&packet(0)]).unwrap();
        server.transport.send(&[&packet(0)]).unwrap();
        let used = async {
            tokio::select! {
                () = tokio::time::sleep(Duration::from_secs(1)) => {}
                () = serve(&mut client) => {}
                () = serve(&mut server) => {}
            }
        };
        tokio::select! {
            ended = pipe.run() => panic!("{ended:?}"),
            () = used => {}
        }
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_is_silent_in_a_key_exchange_that_we_began_is_given_up() {
    for silent in [End::Client, End::Upstream] {
        let (client, mut pipe, server) = pipe(&QUIET).await;
        let (mut patient, mut peer) = match silent {
            End::Client => (server, client),
            End::Upstream => (client, server),
        };
        let due = now() + RekeyLimits::default().age;
        let last_word = async {
            grow_old().await;
            peer.transport.send(&[&packet(0)]).unwrap();
            peer.drain().await.unwrap();
            serve(&mut patient).await;
        };
        let ended = tokio::select! {
            ended = pipe.run() => ended,
            () = last_word => unreachable!(),
        };
        assert!(matches!(ended.how, ConnectionError::Wire(WireError::KexTimeout)), "{ended:?}");
        assert_eq!(ended.by, silent);
        let after = now().saturating_duration_since(due);
        assert!(GIVEN_UP.contains(&after), "{silent:?}: {after:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_begins_a_key_exchange_and_is_silent_is_given_up() {
    for silent in [End::Client, End::Upstream] {
        for busy in [false, true] {
            let limits = match silent {
                End::Client => [0, NEVER, NEVER, NEVER],
                End::Upstream => [NEVER, NEVER, NEVER, 0],
            };
            let (client, mut pipe, server) = pipe(&Setup { limits, ..QUIET }).await;
            let (mut other, mut peer) = match silent {
                End::Client => (server, client),
                End::Upstream => (client, server),
            };
            assert!(peer.transport.rekey_if_due(now()).unwrap());
            peer.drain().await.unwrap();
            let began = now();
            let ended = tokio::select! {
                ended = pipe.run() => ended,
                () = async { if busy { flood(&mut other).await } else { serve(&mut other).await } } => {
                    unreachable!()
                }
            };
            assert!(matches!(ended.how, ConnectionError::Wire(WireError::KexTimeout)), "{ended:?}");
            assert_eq!(ended.by, silent);
            let after = now() - began;
            assert!(GIVEN_UP.contains(&after), "{silent:?}, busy {busy}: {after:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_reader_may_pause_longer_than_a_key_exchange_on_the_other_side_may_take() {
    let pause = 45_000;
    for (limits, pauses) in [
        ([NEVER, NEVER, NEVER, 150_000], [pause, 0]),
        ([150_000, NEVER, NEVER, NEVER], [0, pause]),
        ([NEVER, NEVER, 150_000, NEVER], [pause, 0]),
        ([NEVER, 150_000, NEVER, NEVER], [0, pause]),
    ] {
        for buffer in [10_000, 1 << 20] {
            let setup = Setup { cipher: CIPHERS[0], limits, buffer };
            both_ways(setup, 300, pauses).await;
        }
    }
}
