//! A tunnel whose other end is played packet by packet.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;
use crate::{
    link::neighbours::{hear, neighbours, say},
    wire::{
        codec::Reader,
        message::{
            CHANNEL_EXTENDED_DATA, CHANNEL_FAILURE, CHANNEL_OPEN, CHANNEL_OPEN_CONFIRMATION,
            CHANNEL_OPEN_FAILURE, CHANNEL_REQUEST, GLOBAL_REQUEST, REQUEST_FAILURE,
        },
        transport::RekeyLimits,
    },
};

/// The channel's number at the backend.
const THERE: u32 = 7;

/// Longest a test may take; they take far less.
const PATIENCE: Duration = Duration::from_secs(60);

/// Keys are as old as a connection of this test never gets.
const HOUR: Duration = Duration::from_secs(3600);

/// The tunnel's side, which changes keys when they are `age` old, and the backend's.
async fn sides(age: Duration) -> [Connection; 2] {
    let limits = [age, HOUR].map(|age| RekeyLimits { age, ..RekeyLimits::default() });
    neighbours(1 << 20, None, limits).await
}

/// A message about our channel.
fn of(number: u8, rest: &[u8]) -> Vec<u8> {
    [&[number, 0, 0, 0, 0][..], rest].concat()
}

fn data(bytes: &[u8]) -> Vec<u8> {
    let mut rest = Vec::new();
    rest.put_string(bytes);
    of(CHANNEL_DATA, &rest)
}

fn confirmation(window: u32, max: u32) -> Vec<u8> {
    let numbers = [THERE, window, max].map(u32::to_be_bytes).concat();
    of(CHANNEL_OPEN_CONFIRMATION, &numbers)
}

/// An open tunnel and its other end.
async fn open_tunnel(window: u32, max: u32, age: Duration) -> (Tunnel, Connection) {
    let [near, mut far] = sides(age).await;
    let destination = Destination::Tcp { host: "h".into(), port: 22 };
    let (tunnel, ()) = tokio::join!(Tunnel::open(near, &destination), async {
        assert_eq!(hear(&mut far).await[0], CHANNEL_OPEN);
        say(&mut far, &[&confirmation(window, max)]).await;
    });
    (tunnel.unwrap(), far)
}

/// Runs both halves of a test.
async fn both<A, B>(near: impl Future<Output = A>, far: impl Future<Output = B>) -> (A, B) {
    let both = async { tokio::join!(near, far) };
    tokio::time::timeout(PATIENCE, both).await.unwrap()
}

#[tokio::test]
async fn what_a_backend_asks_is_refused_in_order_before_and_after_opening() {
    let requests: [&[u8]; 4] = [
        &[&[GLOBAL_REQUEST][..], b"\0\0\0\x01k\x01"].concat(),
        &[&[CHANNEL_OPEN][..], b"\0\0\0\x03x11\0\0\0\x05\0\0\0\0\0\0\0\0"].concat(),
        &[&[GLOBAL_REQUEST][..], b"\0\0\0\x01k\0"].concat(),
        &[83],
    ];
    let [near, mut far] = sides(HOUR).await;
    let destination = Destination::Unix { path: "/x".into() };
    let (tunnel, ()) = both(Tunnel::open(near, &destination), async {
        assert_eq!(hear(&mut far).await[0], CHANNEL_OPEN);
        say(&mut far, &requests).await;
        say(&mut far, &[&confirmation(100, 100)]).await;
    })
    .await;
    let mut tunnel = tunnel.unwrap();
    let (read, ()) = both(
        async {
            let mut byte = [0];
            tunnel.read_exact(&mut byte).await.unwrap();
            byte
        },
        async {
            let unknown = far.transport.sent_number() - 1;
            let twice = [REQUEST_FAILURE, CHANNEL_OPEN_FAILURE];
            assert_eq!([hear(&mut far).await[0], hear(&mut far).await[0]], twice);
            say(&mut far, &requests[..3]).await;
            say(&mut far, &[&of(CHANNEL_REQUEST, b"\0\0\0\x01k\x01"), &data(b"!")]).await;
            assert_eq!([hear(&mut far).await[0], hear(&mut far).await[0]], twice);
            assert_eq!(hear(&mut far).await, about(CHANNEL_FAILURE, THERE, None));
            assert_eq!(far.transport.next_refusal(), Some(unknown));
        },
    )
    .await;
    assert_eq!(&read, b"!");
}

#[tokio::test]
async fn a_backend_that_is_done_still_takes_data() {
    let (mut tunnel, mut far) = open_tunnel(1000, 100, HOUR).await;
    let sent: Vec<u8> = (0..5000_u32).map(|i| (i % 251) as u8).collect();
    let ((), got) = both(
        async {
            assert_eq!(tunnel.read(&mut [0; 10]).await.unwrap(), 0);
            tunnel.write_all(&sent).await.unwrap();
            tunnel.shutdown().await.unwrap();
        },
        async {
            say(&mut far, &[&of(CHANNEL_EOF, b"")]).await;
            let (mut got, mut window) = (Vec::new(), 1000);
            loop {
                let packet = hear(&mut far).await;
                if packet == about(CHANNEL_EOF, THERE, None) {
                    return got;
                }
                let mut r = Reader::new(&packet);
                assert_eq!((r.byte(), r.uint32()), (Ok(CHANNEL_DATA), Ok(THERE)));
                let piece = r.string().unwrap();
                assert!(piece.len() <= 100 && piece.len() <= window, "{} bytes", piece.len());
                got.extend_from_slice(piece);
                window -= piece.len();
                if window == 0 {
                    window = 700;
                    say(&mut far, &[&of(CHANNEL_WINDOW_ADJUST, &700_u32.to_be_bytes())]).await;
                }
            }
        },
    )
    .await;
    assert_eq!(got, sent);
}

#[tokio::test]
async fn a_close_is_answered_once_and_ends_both_directions() {
    let (mut tunnel, mut far) = open_tunnel(1000, 100, HOUR).await;
    let ((), heard) = both(
        async {
            let mut all = Vec::new();
            tunnel.read_to_end(&mut all).await.unwrap();
            assert_eq!(all, b"last");
            // The close lies behind the end of the data: a writer comes upon it.
            let full = vec![0; 2000];
            let refused = tunnel.write_all(&full).await.unwrap_err();
            assert_eq!(refused.kind(), io::ErrorKind::BrokenPipe);
            tunnel.flush().await.unwrap();
        },
        async {
            say(&mut far, &[&data(b"last"), &of(CHANNEL_EOF, b""), &of(CHANNEL_CLOSE, b"")]).await;
            loop {
                let packet = hear(&mut far).await;
                if packet[0] != CHANNEL_DATA {
                    return packet;
                }
            }
        },
    )
    .await;
    assert_eq!(heard, about(CHANNEL_CLOSE, THERE, None));
}

#[tokio::test]
async fn the_window_is_kept_and_given_back_for_every_kind_of_data() {
    let piece = vec![1; MAX_DATA as usize];
    let mut extended = 1_u32.to_be_bytes().to_vec();
    extended.put_string(&piece);
    let extended = of(CHANNEL_EXTENDED_DATA, &extended);
    let (mut tunnel, mut far) = open_tunnel(1000, 100, HOUR).await;
    let ((), given) = both(
        async {
            // Three windows come, two of them as data that nobody reads.
            let mut got = vec![0; WINDOW as usize];
            tunnel.read_exact(&mut got).await.unwrap();
        },
        async {
            let (mut window, mut given) = (WINDOW, 0);
            for _ in 0..WINDOW / MAX_DATA {
                for packet in [&extended, &extended, &data(&piece)] {
                    while window < MAX_DATA {
                        let adjust = hear(&mut far).await;
                        let mut r = Reader::new(&adjust);
                        assert_eq!((r.byte(), r.uint32()), (Ok(CHANNEL_WINDOW_ADJUST), Ok(THERE)));
                        let more = r.uint32().unwrap();
                        (window, given) = (window + more, given + more);
                        assert!(window <= WINDOW, "{window}");
                    }
                    say(&mut far, &[packet]).await;
                    window -= MAX_DATA;
                }
            }
            given
        },
    )
    .await;
    assert!(given >= 2 * WINDOW, "{given}");
}

#[tokio::test]
async fn a_backend_that_breaks_the_rules_loses_its_tunnel() {
    // One packet short of a full window there is room, but not for this one.
    let whole = data(&vec![1; MAX_DATA as usize - 1]);
    let too_much = vec![&whole[..]; (WINDOW / MAX_DATA) as usize + 1];
    let most = of(CHANNEL_WINDOW_ADJUST, &u32::MAX.to_be_bytes());
    let stranger = about(CHANNEL_DATA, 1, Some(0));
    let again = confirmation(1, 1);
    for packets in [&too_much[..], &[&most], &[&stranger], &[&again], &[&[CHANNEL_EOF]]] {
        let (mut tunnel, mut far) = open_tunnel(1000, 100, HOUR).await;
        let (failed, ()) = both(
            async {
                if packets.len() > 1 {
                    // Nothing is read, but a writer makes all of it come in.
                    tunnel.write_all(&[0; 2000]).await
                } else {
                    tunnel.read(&mut [0]).await.map(drop)
                }
            },
            say(&mut far, packets),
        )
        .await;
        let error = failed.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::Other, "{error}");
    }
}

#[tokio::test]
async fn a_request_that_crosses_a_key_exchange_is_answered_after_it() {
    // The tunnel changes keys whenever data is read.
    let (mut tunnel, mut far) = open_tunnel(1000, 100, Duration::ZERO).await;
    let keepalive = [&[GLOBAL_REQUEST][..], b"\0\0\0\x01k\x01"].concat();
    say(&mut far, &[&data(b"a"), &keepalive, &data(b"b")]).await;
    let mut one = [0];
    tunnel.read_exact(&mut one).await.unwrap();
    assert!(!tunnel.connection.transport.can_send(), "in key exchange");
    let ((), heard) = both(
        async {
            tunnel.read_exact(&mut one).await.unwrap();
            // The end is sent after the key exchange, too.
            tunnel.shutdown().await.unwrap();
        },
        async { [hear(&mut far).await, hear(&mut far).await] },
    )
    .await;
    assert_eq!(&one, b"b");
    assert_eq!(heard, [vec![REQUEST_FAILURE], about(CHANNEL_EOF, THERE, None)]);
}

#[tokio::test]
async fn what_a_writer_found_malformed_is_not_read_either() {
    let trailing = [data(b"good"), b"bad".to_vec()].concat();
    let elsewhere = [&[CHANNEL_DATA, 0, 0, 0, 1], &data(b"bad")[5..]].concat();
    for bad in [trailing, elsewhere] {
        let (mut tunnel, mut far) = open_tunnel(0, 100, HOUR).await;
        say(&mut far, &[&bad]).await;
        // Without a window the writer reads on.
        assert!(tunnel.write(b"x").await.is_err());
        let mut byte = [0];
        assert!(tunnel.read(&mut byte).await.is_err(), "read {byte:?}");
    }
}
