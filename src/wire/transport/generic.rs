//! Messages that are a transport's own business outside of key exchange: which may come when, and
//! what is answered (RFC 4253, sections 7.1 and 11; RFC 8308; OpenSSH PROTOCOL, ping facility).

use std::time::Instant;

use super::Transport;
use crate::{
    model::text,
    wire::{
        codec::{Reader, Write},
        error::Error,
        message,
        packet::Opened,
    },
};

/// Refusals kept for an owner that asks for them: more than it passes on in one go is a peer's play.
pub(super) const MAX_REFUSALS: usize = 64;

impl Transport {
    /// Handles transport messages; false leaves the packet to the owner.
    pub(super) fn is_own_business(&mut self, opened: &Opened, now: Instant) -> Result<bool, Error> {
        let payload = &self.input.filled()[opened.payload.clone()];
        let Some(number) = payload.first().copied() else { return Err(Error::Malformed) };
        self.check_order(number)?;
        match number {
            message::DISCONNECT => Err(disconnected(payload)),
            message::IGNORE | message::DEBUG | message::PONG => Ok(true),
            message::UNIMPLEMENTED => {
                let refused = payload.get(1..5).and_then(|bytes| bytes.try_into().ok());
                if self.refusals.len() < MAX_REFUSALS {
                    self.refusals.extend(refused.map(u32::from_be_bytes));
                }
                Ok(true)
            }
            message::EXT_INFO => self.on_ext_info(opened).map(|()| true),
            message::KEXINIT | message::NEWKEYS | 30..=49 => {
                let payload = payload.to_vec();
                self.on_exchange_message(&payload, opened.seq, now).map(|()| true)
            }
            message::PING => self.on_ping(opened).map(|()| true),
            message::SERVICE_REQUEST | message::SERVICE_ACCEPT | 50..=u8::MAX => Ok(false),
            0 | 8..=19 | 22..=29 => self.unimplemented(opened.seq).map(|()| true),
        }
    }

    /// Which messages a key exchange allows (RFC 4253, section 7.1; strict key exchange).
    fn check_order(&self, number: u8) -> Result<(), Error> {
        let Some(exchange) = &self.exchange else { return Ok(()) };
        let is_kex = matches!(number, message::KEXINIT | message::NEWKEYS | 30..=49);
        let first = self.session_id.is_none();
        if is_kex || number == message::DISCONNECT {
            return Ok(());
        }
        // A rekey that we started: until the peer's KEXINIT comes, its packets are in flight.
        if !first && !exchange.has_peer_kexinit() {
            return Ok(());
        }
        let generic = matches!(number, message::IGNORE | message::DEBUG | message::UNIMPLEMENTED);
        // Later on, what nobody knows yet is refused like anywhere else.
        let unknown = !first && matches!(number, 8..=19 | 22..=29);
        if (generic || unknown) && !(self.strict && self.exchanges == 0) {
            return Ok(());
        }
        Err(Error::Protocol("unexpected message in key exchange"))
    }

    fn on_ext_info(&mut self, opened: &Opened) -> Result<(), Error> {
        // One after NEWKEYS and one before USERAUTH_SUCCESS (RFC 8308, section 2.4).
        self.ext_infos += 1;
        if self.ext_infos > 2 {
            return Err(Error::Protocol("too many EXT_INFO messages"));
        }
        let mut r = Reader::new(&self.input.filled()[opened.payload.clone()]);
        r.byte()?;
        let mut sig_algs = None;
        for _ in 0..r.uint32()? {
            let (name, value) = (r.string()?, r.string()?);
            if name == b"server-sig-algs" {
                sig_algs = std::str::from_utf8(value).ok().map(str::to_owned);
            }
        }
        r.end()?;
        self.peer_sig_algs = sig_algs.or_else(|| self.peer_sig_algs.take());
        Ok(())
    }

    /// Answers only where that grants nothing to a stranger (OpenSSH's CVE-2025-26466).
    fn on_ping(&mut self, opened: &Opened) -> Result<(), Error> {
        if !self.authenticated {
            return Ok(());
        }
        let mut r = Reader::new(&self.input.filled()[opened.payload.clone()]);
        r.byte()?;
        let mut pong = vec![message::PONG];
        pong.put_string(r.string()?);
        r.end()?;
        self.answer(&pong)
    }

    pub(super) fn unimplemented(&mut self, seq: u32) -> Result<(), Error> {
        let mut payload = vec![message::UNIMPLEMENTED];
        payload.put_uint32(seq);
        self.answer(&payload)
    }
}

fn disconnected(payload: &[u8]) -> Error {
    let mut r = Reader::new(payload);
    let parsed = r.byte().and_then(|_| Ok((r.uint32()?, r.string()?)));
    let (reason, text) = parsed.unwrap_or((0, b""));
    // Long enough for a sentence of ours coming back, short enough for a log line.
    Error::Disconnected { reason, text: text::printable_bytes(text, 200) }
}
