//! The client while its far side is opened: its key has signed, `SSH_MSG_USERAUTH_SUCCESS` has not
//! been sent. It is told what happens, and what it says too soon is kept for the far side.

use std::{future::poll_fn, task::Poll, time::Duration};

use tokio::{sync::mpsc, time::timeout};

use crate::{
    link::connection::{Connection, ConnectionError},
    wire::{error::Error as WireError, message, userauth::ServerAuth},
};

/// How often a client that is not read is looked at for its death.
const WATCH: Duration = Duration::from_secs(5);

/// How long a key exchange that the client began may hold up the end of its login.
const KEX_PATIENCE: Duration = Duration::from_secs(30);

/// Shows the person `lines`, which come without their ends, until the connection ends, which is the only way this returns.
pub(super) async fn attend(
    connection: &mut Connection,
    lines: &mut mpsc::Receiver<String>,
) -> ConnectionError {
    loop {
        let line = tokio::select! {
            error = listen(connection) => return error,
            Some(line) = lines.recv() => line,
        };
        // A line is not worth waiting for the end of a key exchange.
        if connection.transport.can_send()
            && let Err(error) =
                ServerAuth::banner(&mut connection.transport, &format!("{line}\r\n"))
        {
            return error.into();
        }
    }
}

/// Lets the person in, as soon as no key exchange of the client's is in the way.
///
/// # Errors
/// The connection is over.
pub(super) async fn succeed(connection: &mut Connection) -> Result<(), ConnectionError> {
    let sendable = timeout(KEX_PATIENCE, connection.sendable()).await;
    sendable.map_err(|_| WireError::KexTimeout)??;
    Ok(ServerAuth::succeed(&mut connection.transport)?)
}

/// Reads until the first packet for the far side is there, which stays in the transport; writes all
/// the time.
async fn listen(connection: &mut Connection) -> ConnectionError {
    loop {
        if let Err(error) = connection.next_packet().await {
            return error;
        }
        match connection.transport.packet().and_then(|packet| packet.first().copied()) {
            // RFC 4252, section 5.1: requests after the one that succeeded are ignored, and other
            // messages are passed to the service.
            Some(message::USERAUTH_REQUEST) => connection.transport.consume(),
            Some(message::GLOBAL_REQUEST..) => break,
            Some(_) | None => {
                return WireError::Protocol("unexpected message in authentication").into();
            }
        }
    }
    loop {
        let writing = poll_fn(|cx| match connection.poll_drain(cx) {
            Poll::Ready(Err(error)) => Poll::Ready(ConnectionError::Io(error)),
            Poll::Ready(Ok(())) | Poll::Pending => Poll::Pending,
        });
        if let Ok(error) = timeout(WATCH, writing).await {
            return error;
        }
        if connection.socket.is_dead() {
            return ConnectionError::Closed;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        clock::now,
        link::neighbours::{hear, neighbours, say},
        wire::transport::RekeyLimits,
    };

    /// A client, which changes keys whenever it is asked, and a door.
    async fn client_and_door() -> [Connection; 2] {
        let always = RekeyLimits { age: Duration::ZERO, ..RekeyLimits::default() };
        neighbours(100_000, None, [always, RekeyLimits::default()]).await
    }

    const OPEN: &[u8] = &[message::CHANNEL_OPEN, 1, 2, 3];

    #[tokio::test]
    async fn what_follows_the_request_that_succeeds_is_kept_for_the_far_side() {
        let [mut client, mut door] = client_and_door().await;
        let (told, mut lines) = mpsc::channel(8);
        say(&mut client, &[&[message::USERAUTH_REQUEST, 7], OPEN, &[message::CHANNEL_DATA]]).await;
        told.send("waiting".to_owned()).await.unwrap();
        tokio::select! {
            error = attend(&mut door, &mut lines) => panic!("{error}"),
            line = hear(&mut client) => assert_eq!(line[0], message::USERAUTH_BANNER),
        }
        // Lines reach the client, too, while its packet waits.
        told.send("still waiting".to_owned()).await.unwrap();
        tokio::select! {
            error = attend(&mut door, &mut lines) => panic!("{error}"),
            line = hear(&mut client) => assert_eq!(line[0], message::USERAUTH_BANNER),
        }
        succeed(&mut door).await.unwrap();
        door.drain().await.unwrap();
        assert_eq!(hear(&mut client).await, [message::USERAUTH_SUCCESS]);
        assert_eq!(hear(&mut door).await, OPEN);
        assert_eq!(hear(&mut door).await, [message::CHANNEL_DATA]);
    }

    #[tokio::test]
    async fn other_messages_of_authentication_end_the_connection() {
        for number in [5, 6, 51, 52, 53, 60, 61, 79] {
            let [mut client, mut door] = client_and_door().await;
            let (_told, mut lines) = mpsc::channel(8);
            say(&mut client, &[&[number, 0, 0, 0, 0]]).await;
            let error = attend(&mut door, &mut lines).await;
            assert!(matches!(error, ConnectionError::Wire(WireError::Protocol(_))), "{number}");
        }
    }

    #[tokio::test]
    async fn a_key_exchange_of_the_client_does_not_end_its_login() {
        let [mut client, mut door] = client_and_door().await;
        assert!(client.transport.rekey_if_due(now()).unwrap());
        client.drain().await.unwrap();
        let (told, mut lines) = mpsc::channel(8);
        let begun = poll_fn(|cx| door.poll_packet(cx).map(drop).map(|()| panic!("a packet")));
        let begun: Result<(), _> = timeout(Duration::from_millis(1), begun).await;
        assert!(begun.is_err() && !door.transport.can_send(), "the door is in key exchange");
        told.send("lost".to_owned()).await.unwrap();
        tokio::select! {
            biased;
            error = attend(&mut door, &mut lines) => panic!("{error}"),
            () = tokio::task::yield_now() => {}
        }
        assert!(!door.transport.can_send() && lines.is_empty());
        let (granted, heard) = tokio::join!(
            async {
                succeed(&mut door).await.unwrap();
                door.drain().await
            },
            hear(&mut client),
        );
        granted.unwrap();
        assert_eq!(heard, [message::USERAUTH_SUCCESS]);
        assert_eq!(client.transport.exchanges(), 2);
    }
}
