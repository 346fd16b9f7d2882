//! Lines of the door's own, between packets that flow while keys are exchanged.

use super::*;
use crate::{
    recording::watch,
    wire::{
        codec::{Reader, Write},
        message,
    },
};

/// What the container sends, in bytes.
const TOTAL: u64 = 600_000;

/// The client's window, and how much of it is used before it allows more.
const WINDOW: u32 = 40_000;
const STEP: u32 = 10_000;

fn numbers(kind: u8, numbers: &[u32]) -> Vec<u8> {
    let mut packet = vec![kind];
    for number in numbers {
        packet.put_uint32(*number);
    }
    packet
}

/// The next packet, all before it sent.
async fn next(connection: &mut Connection) -> Vec<u8> {
    connection.sendable().await.unwrap();
    connection.drain().await.unwrap();
    connection.next_packet().await.unwrap();
    let packet = connection.transport.packet().unwrap().to_vec();
    connection.transport.consume();
    packet
}

async fn send(connection: &mut Connection, packet: &[u8]) {
    connection.sendable().await.unwrap();
    connection.transport.send(&[packet]).unwrap();
}

/// Opens a shell on a terminal and reads all that it shows: what the container sent, and the rest.
async fn read(connection: &mut Connection) -> (u64, String) {
    let mut open = vec![message::CHANNEL_OPEN];
    open.put_string(b"session");
    open.extend(numbers(0, &[0, WINDOW, 1 << 15]).split_off(1));
    send(connection, &open).await;
    assert_eq!(next(connection).await[0], message::CHANNEL_OPEN_CONFIRMATION);
    for kind in [&b"pty-req"[..], b"shell"] {
        let mut request = numbers(message::CHANNEL_REQUEST, &[9]);
        request.put_string(kind);
        request.put_boolean(false);
        request.put_string(b"xterm");
        request.extend([0; 16]);
        send(connection, &request).await;
    }
    let (mut may, mut used, mut count, mut lines) = (WINDOW, 0, 0, String::new());
    while count < TOTAL {
        let packet = next(connection).await;
        let mut r = Reader::new(&packet);
        assert_eq!((r.byte(), r.uint32()), (Ok(message::CHANNEL_DATA), Ok(0)));
        let data = r.string().unwrap();
        let length = u32::try_from(data.len()).unwrap();
        assert!(length <= may, "{length} bytes, and {may} may come");
        (may, used) = (may - length, used + length);
        if data.iter().all(|byte| *byte == 0) {
            count += u64::from(length);
        } else {
            lines += std::str::from_utf8(data).unwrap();
        }
        if used >= STEP {
            send(connection, &numbers(message::CHANNEL_WINDOW_ADJUST, &[9, used])).await;
            (may, used) = (may + used, 0);
        }
    }
    (count, lines)
}

/// Confirms the channel and sends as fast as it may.
async fn write(connection: &mut Connection) {
    let open = next(connection).await;
    let mut r = Reader::new(&open[1..]);
    assert_eq!((r.string(), r.uint32()), (Ok(&b"session"[..]), Ok(0)));
    let mut may = r.uint32().unwrap();
    assert!(may < WINDOW, "a little is kept back");
    let confirmation = [0, 9, 1 << 20, 1 << 15];
    send(connection, &numbers(message::CHANNEL_OPEN_CONFIRMATION, &confirmation)).await;
    let (mut sent, mut has_begun) = (0, false);
    loop {
        while has_begun && may > 0 && sent < TOTAL {
            let length = may.min(1111).min(u32::try_from(TOTAL - sent).unwrap());
            let mut data = numbers(message::CHANNEL_DATA, &[0]);
            data.put_string(&vec![0; length as usize]);
            send(connection, &data).await;
            connection.drain().await.unwrap();
            (may, sent) = (may - length, sent + u64::from(length));
        }
        let packet = next(connection).await;
        let mut r = Reader::new(&packet[1..]);
        assert_eq!(r.uint32(), Ok(9));
        match packet[0] {
            message::CHANNEL_WINDOW_ADJUST => may += r.uint32().unwrap(),
            _ => has_begun |= r.string() == Ok(b"shell"),
        }
    }
}

#[tokio::test]
async fn lines_come_between_what_the_container_sends_and_take_no_window_of_its_own() {
    for buffer in [3000, 200_000] {
        let limits = [NEVER, 30_000, 50_000, NEVER];
        let (mut client, mut pipe, mut server) =
            pipe(&Setup { cipher: CIPHERS[0], limits, buffer }).await;
        let identities: Arc<[Identity]> = [Identity::generate_ed25519().unwrap()].into();
        pipe.intercept = Intercept::new(identities, [0; 32], None).with_reserve();
        pipe.tap = Tap::unrecorded();
        let watched = async {
            let mut number = 0;
            let mut watching = None;
            loop {
                tokio::select! {
                    ended = pipe.run() => break ended,
                    () = tokio::time::sleep(Duration::from_millis(3)) => {}
                }
                drop(watching.take());
                let (watcher, watch) = watch::pair(format!("w{number}"), None, Arc::default());
                pipe.tap.join(vec![watcher]);
                (watching, number) = (Some(watch), number + 1);
            }
        };
        let work = async {
            tokio::select! {
                ended = watched => panic!("{ended:?}"),
                () = write(&mut server) => unreachable!(),
                read = read(&mut client) => read,
            }
        };
        let (count, lines) = tokio::time::timeout(PATIENCE, work).await.unwrap();
        assert_eq!(count, TOTAL);
        let told: Vec<_> = lines.split("\r\n").filter(|line| !line.is_empty()).collect();
        let is_whole = |line: &&str| line.starts_with("[w") && line.ends_with(" this terminal]");
        assert!(!told.is_empty() && told.iter().all(is_whole), "{told:?}");
        assert!(pipe.client.transport.exchanges() > 5, "keys were exchanged");
    }
}
