//! Both ends of an SSH connection in memory, for tests of what runs on one.

use tokio::io::duplex;

use super::{
    connection::{Connection, ConnectionError},
    socket::Socket,
};
use crate::wire::{
    identity::Identity,
    negotiate::Offer,
    transport::{Params, RekeyLimits, Role},
};

/// Client and server after the first key exchange, authenticated: with `room` bytes on the way
/// between them, `cipher` or all of them, and each side's own limits.
pub(crate) async fn neighbours(
    room: usize,
    cipher: Option<&'static str>,
    limits: [RekeyLimits; 2],
) -> [Connection; 2] {
    let (a, b) = duplex(room);
    let host = Identity::generate_ed25519().unwrap();
    let pinned = vec![host.public_key().clone()];
    let make = |stream, role, rekey| {
        let all = Offer { mac: vec!["hmac-sha2-256"], ..Offer::front(vec!["ssh-ed25519"]) };
        let cipher = cipher.map_or_else(|| all.cipher.clone(), |name| vec![name]);
        let offer = Offer { cipher, ..all };
        let params = Params { ident: "SSH-2.0-OpenSSH_9.9".into(), offer, rekey, role };
        Connection::new(Socket::Other(Box::new(stream)), params).unwrap()
    };
    let mut client = make(a, Role::Client(pinned), limits[0]);
    let mut server = make(b, Role::Server([host].into()), limits[1]);
    let (left, right) = tokio::join!(handshake(&mut client), handshake(&mut server));
    left.and(right).unwrap();
    client.transport.set_authenticated();
    server.transport.set_authenticated();
    [client, server]
}

/// What one side says last in the handshake, the other waits for.
async fn handshake(connection: &mut Connection) -> Result<(), ConnectionError> {
    connection.establish().await?;
    connection.drain().await
}

/// Sends packets, each as soon as a key exchange lets it.
pub(crate) async fn say(side: &mut Connection, packets: &[&[u8]]) {
    for packet in packets {
        side.sendable().await.unwrap();
        side.transport.send(&[packet]).unwrap();
    }
    side.drain().await.unwrap();
}

/// The next packet.
pub(crate) async fn hear(side: &mut Connection) -> Vec<u8> {
    side.next_packet().await.unwrap();
    let packet = side.transport.packet().unwrap().to_vec();
    side.transport.consume();
    packet
}
