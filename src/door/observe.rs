//! What passes through a connection, as far as it is looked at: counts, never contents.

use crate::{
    model::text,
    wire::{codec::Reader, message},
};

/// Longest channel type kept, in characters.
const MAX_TEXT: usize = 200;

/// What one connection carried.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Observed {
    /// Bytes of channel data from client to container.
    pub up: u64,
    /// Bytes of channel data from container to client.
    pub down: u64,
    /// Channels that the client opened.
    pub channels: u64,
    /// The last thing asked for: a channel type, or a kind of request. Printable.
    pub last: String,
}

impl Observed {
    /// A packet from the client passes.
    pub fn from_client(&mut self, packet: &[u8]) {
        match packet.first().copied() {
            Some(message::CHANNEL_DATA | message::CHANNEL_EXTENDED_DATA) => {
                self.up += packet.len().saturating_sub(9) as u64;
            }
            Some(message::CHANNEL_OPEN) => {
                self.channels += 1;
                let mut r = Reader::new(&packet[1..]);
                self.note(r.string().unwrap_or_default());
            }
            Some(message::CHANNEL_REQUEST) => self.on_request(packet),
            Some(_) | None => {}
        }
    }

    /// A packet from the container passes.
    pub fn from_upstream(&mut self, packet: &[u8]) {
        if matches!(packet.first(), Some(&(message::CHANNEL_DATA | message::CHANNEL_EXTENDED_DATA)))
        {
            self.down += packet.len().saturating_sub(9) as u64;
        }
    }

    fn on_request(&mut self, packet: &[u8]) {
        let mut r = Reader::new(&packet[1..]);
        let kind = r.uint32().and_then(|_| r.string());
        // What is run or said may hold secrets: only the kind of request is kept.
        if let Ok(kind @ (b"shell" | b"exec" | b"subsystem")) = kind {
            self.note(kind);
        }
    }

    fn note(&mut self, bytes: &[u8]) {
        self.last = text::printable_bytes(bytes, MAX_TEXT);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::codec::Write;

    #[test]
    fn data_is_counted_and_commands_are_not_kept() {
        let mut observed = Observed::default();
        let mut data = vec![message::CHANNEL_DATA];
        data.put_uint32(0);
        data.put_string(&[1; 1000]);
        observed.from_client(&data);
        observed.from_upstream(&data);
        observed.from_upstream(&data);
        let mut exec = vec![message::CHANNEL_REQUEST];
        exec.put_uint32(0);
        exec.put_string(b"exec");
        exec.put_boolean(true);
        exec.put_string(b"mysql -pSECRET");
        observed.from_client(&exec);
        let mut open = vec![message::CHANNEL_OPEN];
        open.put_string(b"x11\x1b[2J");
        let last = "exec".to_owned();
        assert_eq!(observed, Observed { up: 1000, down: 2000, channels: 0, last });
        observed.from_client(&open);
        assert_eq!(observed.last, "x11\\u{1b}[2J");
        for end in 0..exec.len() {
            observed.from_client(&exec[..end]);
        }
    }
}
