//! One side of an SSH connection without its socket (RFC 4253).
//!
//! The owner moves bytes between the socket and [`Transport::input`] and [`Transport::output`],
//! calls [`Transport::next`] for the packets that are not the transport's own business, and sends
//! with [`Transport::send`]. Key exchanges, whoever starts them, happen inside.
//!
//! ```text
//!             peer's ident            NEWKEYS both ways            KEXINIT, either side
//!   Ident ------------------> Kex ------------------------> Open <----------------------> Kex
//! ```
//!
//! At most one packet is open at a time: [`Transport::next`] opens it in place and leaves it there
//! until [`Transport::consume`]. What follows it stays encrypted in the input.

mod exchange;
mod generic;
mod ident;
#[cfg(test)]
mod rules;
#[cfg(test)]
mod tests;

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};

use self::exchange::Exchange;
use super::{
    buffer::Buffer,
    codec::Write,
    error::Error,
    identity::Identity,
    message::{self, Reason},
    negotiate::{Offer, Side},
    packet::{Opened, PacketReader, PacketWriter},
};
use crate::model::key::PublicKey;

/// Output above which no more application packets should be sent, in bytes: more than what one
/// read brings on average, so that it leaves in one write.
pub const OUTPUT_MARK: usize = 160 * 1024;

/// Output above which nothing more is read: only the transport's own answers (PONG,
/// UNIMPLEMENTED) can bring it there, and a peer that takes none of them gets no more. It leaves
/// room for one largest packet above the mark.
const OUTPUT_LIMIT: usize = 512 * 1024;

/// The same before authentication, where answers are few and peers are strangers.
const OUTPUT_LIMIT_UNAUTHENTICATED: usize = 64 * 1024;

/// Packets that a peer may send between the first key exchange and its authentication. Some 128
/// requests and a keepalive now and then need no more; a flood of what is ignored ends here.
const MAX_PACKETS_UNAUTHENTICATED: u64 = 1024;

/// A key exchange that lasts longer ends the connection.
const KEX_TIMEOUT: Duration = Duration::from_secs(30);

/// When to change keys of one's own accord (RFC 4253, section 9; RFC 4344, section 3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RekeyLimits {
    /// Bytes in either direction.
    pub bytes: u64,
    /// Packets in either direction.
    pub packets: u64,
    /// Age of the keys.
    pub age: Duration,
}

impl Default for RekeyLimits {
    fn default() -> Self {
        // RFC 4253 recommends 1 GB or an hour; 2^31 packets is RFC 4344's recommendation.
        Self { bytes: 1 << 30, packets: 1 << 31, age: Duration::from_secs(3600) }
    }
}

/// Who this side is, and whom it expects.
#[derive(Debug, Clone)]
pub enum Role {
    /// Connected to. Proves one of these host keys.
    Server(Arc<[Identity]>),
    /// Connected. The peer must prove one of these host keys.
    Client(Vec<PublicKey>),
}

/// What a transport is made with.
#[derive(Debug, Clone)]
pub struct Params {
    /// Own identification line, without line end.
    pub ident: String,
    /// Algorithms.
    pub offer: Offer,
    /// When to change keys.
    pub rekey: RekeyLimits,
    /// Who this side is.
    pub role: Role,
}

/// One side of a connection.
pub struct Transport {
    /// Bytes from the peer.
    pub input: Buffer,
    /// Bytes for the peer.
    pub output: Buffer,
    params: Params,
    reader: PacketReader,
    writer: PacketWriter,
    peer_ident: Option<Vec<u8>>,
    exchange: Option<Box<Exchange>>,
    session_id: Option<[u8; 32]>,
    strict: bool,
    wants_ext_info: bool,
    peer_sig_algs: Option<String>,
    ext_infos: u8,
    held: Option<Opened>,
    authenticated: bool,
    keyed_at: Instant,
    host_key_used: Option<(PublicKey, String)>,
    exchanges: u64,
    refusals: VecDeque<u32>,
}

impl Transport {
    /// A new connection: identification and KEXINIT are in the output at once.
    ///
    /// # Errors
    /// No random bytes are to be had.
    pub fn new(params: Params, now: Instant) -> Result<Self, Error> {
        let mut transport = Self {
            input: Buffer::default(),
            output: Buffer::default(),
            params,
            reader: PacketReader::new(),
            writer: PacketWriter::new(),
            peer_ident: None,
            exchange: None,
            session_id: None,
            strict: false,
            wants_ext_info: false,
            peer_sig_algs: None,
            ext_infos: 0,
            held: None,
            authenticated: false,
            keyed_at: now,
            host_key_used: None,
            exchanges: 0,
            refusals: VecDeque::new(),
        };
        transport.output.extend(transport.params.ident.as_bytes());
        transport.output.extend(b"\r\n");
        transport.start_exchange(now)?;
        Ok(transport)
    }

    /// Declares our identification sent, before anything else is done: somebody has said it already.
    pub fn greeted(&mut self) {
        self.output.consume(self.params.ident.len() + "\r\n".len());
    }

    /// Works off the input up to the next packet that is the owner's business (message number 5,
    /// 6, or 50 and above). `Ok(None)`: more input is needed.
    ///
    /// # Errors
    /// The connection is over; see [`Error::reason`] for what to tell the peer.
    pub fn next(&mut self, now: Instant) -> Result<Option<&[u8]>, Error> {
        if self.peer_ident.is_none() && !self.read_ident()? {
            return Ok(None);
        }
        while self.held.is_none() && !self.is_choked() {
            let Some(opened) = self.reader.open(self.input.filled_mut())? else { break };
            if !self.authenticated && self.reader.used().packets > MAX_PACKETS_UNAUTHENTICATED {
                return Err(Error::Protocol("too many packets before authentication"));
            }
            if self.is_own_business(&opened, now)? {
                self.input.consume(opened.total);
            } else {
                self.held = Some(opened);
            }
        }
        Ok(self.packet())
    }

    /// The packet that waits, if one does.
    #[must_use]
    pub fn packet(&self) -> Option<&[u8]> {
        self.held.as_ref().map(|held| &self.input.filled()[held.payload.clone()])
    }

    /// Declares the packet that waits used.
    pub fn consume(&mut self) {
        if let Some(held) = self.held.take() {
            self.input.consume(held.total);
        }
    }

    /// Whether packets of the owner may be sent: not between our KEXINIT and our NEWKEYS.
    #[must_use]
    pub fn can_send(&self) -> bool {
        self.exchange.as_ref().is_none_or(|exchange| exchange.sent_newkeys)
    }

    /// Whether a key exchange is under way, on either side's initiative.
    #[must_use]
    pub fn in_exchange(&self) -> bool {
        self.exchange.is_some()
    }

    /// Whether the first key exchange is done and no other is under way.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.session_id.is_some() && self.exchange.is_none()
    }

    /// Whether the peer takes so little of what we answer that it is neither read nor heard.
    #[must_use]
    pub fn is_choked(&self) -> bool {
        let limit = if self.authenticated { OUTPUT_LIMIT } else { OUTPUT_LIMIT_UNAUTHENTICATED };
        self.output.len() >= limit
    }

    /// Sends one packet, given in parts.
    ///
    /// # Errors
    /// [`Self::can_send`] is false, or the packet is too long.
    pub fn send(&mut self, parts: &[&[u8]]) -> Result<(), Error> {
        if !self.can_send() {
            return Err(Error::Protocol("sending during key exchange"));
        }
        self.writer.seal(parts, &mut self.output)
    }

    /// Sends one packet as an answer: now, or right after the key exchange that forbids it, in the
    /// order of these calls.
    ///
    /// # Errors
    /// Too much waits for the end of a key exchange, or the packet is too long.
    pub fn answer(&mut self, payload: &[u8]) -> Result<(), Error> {
        match &mut self.exchange {
            Some(exchange) if !exchange.sent_newkeys => exchange.hold(payload),
            Some(_) | None => self.writer.seal(&[payload], &mut self.output),
        }
    }

    /// Refuses the packet that waits as unknown (RFC 4253, section 11.4), and consumes it.
    ///
    /// # Errors
    /// As [`Self::answer`].
    pub fn refuse(&mut self) -> Result<(), Error> {
        if let Some(seq) = self.packet_number() {
            self.unimplemented(seq)?;
        }
        self.consume();
        Ok(())
    }

    /// The sequence number of the packet that waits.
    #[must_use]
    pub fn packet_number(&self) -> Option<u32> {
        self.held.as_ref().map(|held| held.seq)
    }

    /// The sequence number of the packet that was sent last.
    #[must_use]
    pub fn sent_number(&self) -> u32 {
        self.writer.last_seq()
    }

    /// The sequence number of a packet that the peer refused as unknown, each told once.
    pub fn next_refusal(&mut self) -> Option<u32> {
        self.refusals.pop_front()
    }

    /// Says goodbye; nothing should be sent after it. `text` reaches the person at the other end.
    pub fn disconnect(&mut self, reason: Reason, text: &str) {
        let mut payload = vec![message::DISCONNECT];
        payload.put_uint32(reason as u32);
        payload.put_string(text.as_bytes());
        payload.put_string(b"en");
        // A connection that cannot even say goodbye just ends.
        let _ = self.writer.seal(&[&payload], &mut self.output);
    }

    /// Lifts the limits that hold before authentication.
    pub fn set_authenticated(&mut self) {
        self.authenticated = true;
        self.reader.allow_large();
    }

    /// Starts a key exchange if the keys have done their work. Only while nothing else waits for
    /// this side: the caller sees to it (`docs/decisions/0003-who-starts-a-rekey.md`).
    ///
    /// # Errors
    /// No random bytes are to be had.
    pub fn rekey_if_due(&mut self, now: Instant) -> Result<bool, Error> {
        let limits = self.params.rekey;
        let used = [self.reader.used(), self.writer.used()];
        let due = used.iter().any(|u| u.bytes >= limits.bytes || u.packets >= limits.packets)
            || now.saturating_duration_since(self.keyed_at) >= limits.age;
        if !due || !self.is_open() {
            return Ok(false);
        }
        self.start_exchange(now)?;
        Ok(true)
    }

    /// When [`Self::handle_timeout`] or [`Self::rekey_if_due`] wants to be called next.
    #[must_use]
    pub fn next_deadline(&self) -> Instant {
        match &self.exchange {
            Some(exchange) => exchange.deadline,
            None => self.keyed_at + self.params.rekey.age,
        }
    }

    /// Notices that time has passed.
    ///
    /// # Errors
    /// A key exchange was not finished in time.
    pub fn handle_timeout(&mut self, now: Instant) -> Result<(), Error> {
        match &self.exchange {
            Some(exchange) if now >= exchange.deadline => Err(Error::KexTimeout),
            Some(_) | None => Ok(()),
        }
    }

    /// Gives a key exchange its full time anew: the peer could not be heard meanwhile.
    pub fn defer_timeout(&mut self, now: Instant) {
        if let Some(exchange) = &mut self.exchange {
            exchange.deadline = now + KEX_TIMEOUT;
        }
    }

    /// The session identifier, once the first key exchange is done.
    #[must_use]
    pub fn session_id(&self) -> Option<&[u8; 32]> {
        self.session_id.as_ref()
    }

    /// The peer's identification line: printable ASCII.
    #[must_use]
    pub fn peer_ident(&self) -> Option<&str> {
        self.peer_ident.as_deref().and_then(|ident| std::str::from_utf8(ident).ok())
    }

    /// `server-sig-algs` of the peer, if it sent them (RFC 8308, section 3.1).
    #[must_use]
    pub fn peer_sig_algs(&self) -> Option<&str> {
        self.peer_sig_algs.as_deref()
    }

    /// The host key of the first key exchange, once that is done: later ones may use another, but
    /// signatures are bound to this one (OpenSSH PROTOCOL, section 3.1).
    #[must_use]
    pub fn host_key(&self) -> Option<&PublicKey> {
        self.host_key_used.as_ref().map(|(key, _)| key)
    }

    /// The signature algorithm that the first key exchange agreed on for [`Self::host_key`].
    #[must_use]
    pub fn host_key_algorithm(&self) -> Option<&str> {
        self.host_key_used.as_ref().map(|(_, algorithm)| algorithm.as_str())
    }

    /// Key exchanges finished so far.
    #[must_use]
    pub fn exchanges(&self) -> u64 {
        self.exchanges
    }

    /// How many more input bytes the next packet needs at least; 0 when unknown.
    #[must_use]
    pub fn wanted(&self) -> usize {
        self.reader.wanted(self.input.len())
    }

    /// Room at the end of the input, `at_least` bytes long. Before authentication it is not longer
    /// and lies close to what is there, so that a stranger holds little more than one packet.
    pub fn input_space(&mut self, at_least: usize) -> &mut [u8] {
        if self.authenticated {
            return self.input.space(at_least);
        }
        self.input.compact();
        &mut self.input.space(at_least)[..at_least]
    }

    fn side(&self) -> Side {
        match self.params.role {
            Role::Server(_) => Side::Server,
            Role::Client(_) => Side::Client,
        }
    }

    fn read_ident(&mut self) -> Result<bool, Error> {
        let peer = match self.side() {
            Side::Server => Side::Client,
            Side::Client => Side::Server,
        };
        let Some((line, total)) = ident::parse(self.input.filled(), peer)? else {
            return Ok(false);
        };
        self.input.consume(total);
        self.peer_ident = Some(line);
        Ok(true)
    }
}
