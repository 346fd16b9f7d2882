//! A server that says what an input decides, behind a true key exchange, and keeps account of what
//! it said.

use std::time::Duration;

use containarium::{
    clock,
    link::{connection::Connection, socket::Socket},
    wire::{
        codec::{Reader, Write},
        message::{SERVICE_ACCEPT, USERAUTH_SUCCESS},
        negotiate::Offer,
        transport::{Params, RekeyLimits, Role},
    },
};
use tokio::time::timeout;

use super::{choices::Choices, stream::Near};

/// Most repetitions of a step.
const MANY: usize = 100;

/// A pause in which the other side does whatever it can do.
pub const PAUSE: Duration = Duration::from_millis(10);

/// What a server sent that allows our half to go on.
#[derive(Default)]
pub struct Sent {
    /// The service was accepted.
    pub accepted: bool,
    /// The login succeeded.
    pub success: bool,
    /// The channel was opened.
    pub confirmed: bool,
    /// Data of the channel.
    pub data: Vec<u8>,
    /// Bytes that it allowed us to send.
    pub window: u64,
    /// Bytes that came.
    pub came: u64,
}

impl Sent {
    /// What the next packet allows. `None`: it is malformed, or about another channel.
    fn note(&mut self, packet: &[u8]) -> Option<()> {
        let mut r = Reader::new(packet);
        let number = r.byte().ok()?;
        self.accepted |= number == SERVICE_ACCEPT;
        self.success |= number == USERAUTH_SUCCESS;
        if !(91..=94).contains(&number) || r.uint32().ok()? != 0 {
            return None;
        }
        match number {
            91 => {
                r.uint32().ok()?;
                self.window += u64::from(r.uint32().ok()?);
                self.confirmed = true;
            }
            93 => self.window += u64::from(r.uint32().ok()?),
            94 if self.confirmed => {
                let data = r.string().ok()?;
                r.end().ok()?;
                self.data.extend_from_slice(data);
            }
            _ => {}
        }
        Some(())
    }
}

/// The server's half.
pub struct Server {
    /// Its connection.
    pub connection: Connection,
    /// Whether that is still there.
    pub lives: bool,
    /// What it sent.
    pub sent: Sent,
}

impl Server {
    /// On `near`, with these algorithms, as `role`.
    pub fn new(near: Near, offer: Offer, role: Role) -> Self {
        let params = Params {
            ident: "SSH-2.0-OpenSSH_9.2p1".into(),
            offer,
            // A key exchange is due whenever a step asks for one.
            rekey: RekeyLimits { bytes: 1, ..RekeyLimits::default() },
            role,
        };
        let connection = Connection::new(Socket::Other(Box::new(near)), params).unwrap();
        Self { connection, lives: true, sent: Sent::default() }
    }

    /// Says one thing.
    pub async fn step(&mut self, choices: &mut Choices<'_>) {
        match choices.byte() % 8 {
            0 => {
                let number = choices.one(&[SERVICE_ACCEPT, 53, USERAUTH_SUCCESS, 51, 60]);
                self.send(&[number], 1).await;
            }
            1 => self.confirm(choices).await,
            2 => self.data(choices).await,
            3 => self.other(choices).await,
            4 => {
                let mut packet = vec![choices.byte()];
                packet.extend_from_slice(choices.bytes());
                self.send(&packet, choices.one(&[1, 1, 2, MANY])).await;
            }
            5 => {
                self.settle().await;
                self.lives &= self.connection.transport.rekey_if_due(clock::now()).is_ok();
                self.settle().await;
            }
            6 => {
                self.lives = false;
                self.connection.transport.output.extend(choices.bytes());
                let _ = self.connection.drain().await;
            }
            _ => self.settle().await,
        }
    }

    async fn confirm(&mut self, choices: &mut Choices<'_>) {
        let mut packet = vec![91];
        packet.put_uint32(0);
        packet.put_uint32(u32::from(choices.byte()));
        packet.put_uint32(choices.one(&[0, 1, 100, 5000, 0x20_0000, u32::MAX]));
        packet.put_uint32(choices.one(&[0, 1, 1000, 32_768, u32::MAX]));
        if choices.byte() > 200 {
            choices.mutate(&mut packet);
        }
        self.settle().await;
        self.send(&packet, 1).await;
    }

    async fn data(&mut self, choices: &mut Choices<'_>) {
        let mut packet = vec![94];
        packet.put_uint32(u32::from(choices.byte() > 250));
        packet.put_string(choices.bytes());
        if choices.byte() > 200 {
            choices.mutate(&mut packet);
        }
        self.send(&packet, choices.one(&[1, 1, 2, MANY])).await;
    }

    async fn other(&mut self, choices: &mut Choices<'_>) {
        let mut packet = vec![choices.one(&[93, 96, 97, 80, 98, 90, 92, 95, 7, 1, 192])];
        match packet[0] {
            93 => {
                packet.put_uint32(0);
                packet.put_uint32(choices.one(&[1, 100, 0, 0x7fff_ffff, u32::MAX]));
            }
            96 | 97 => packet.put_uint32(0),
            80 => {
                packet.put_string(choices.bytes());
                packet.put_boolean(choices.flag());
            }
            98 => {
                packet.put_uint32(0);
                packet.put_string(choices.bytes());
                packet.put_boolean(choices.flag());
            }
            90 => {
                packet.put_string(choices.bytes());
                (0..3).for_each(|_| packet.put_uint32(0));
            }
            _ => {
                (0..2).for_each(|_| packet.put_uint32(u32::from(choices.byte())));
                packet.put_string(choices.bytes());
            }
        }
        if choices.byte() > 200 {
            choices.mutate(&mut packet);
        }
        self.send(&packet, choices.one(&[1, 1, 2, MANY])).await;
    }

    async fn send(&mut self, packet: &[u8], times: usize) {
        for _ in 0..times {
            if !self.connection.transport.can_send() {
                self.settle().await;
            }
            if self.lives && !packet.is_empty() && self.connection.transport.send(&[packet]).is_ok()
            {
                let _ = self.sent.note(packet);
            }
        }
        self.settle().await;
    }

    /// Hears what our half says, until it says nothing more.
    pub async fn settle(&mut self) {
        while self.lives {
            match timeout(PAUSE, self.connection.next_packet()).await {
                Err(_) => break,
                Ok(Err(_)) => self.lives = false,
                Ok(Ok(())) => {
                    let packet = self.connection.transport.packet().unwrap_or_default();
                    if packet[0] == 94 {
                        self.sent.came += packet.len().saturating_sub(9) as u64;
                    }
                    self.connection.transport.consume();
                }
            }
        }
    }
}
