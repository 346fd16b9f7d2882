//! What passes through a connection, as far as it is looked at: counts, never contents.

use crate::{
    model::text,
    wire::{codec::Reader, message},
};

/// Longest channel type or command kept, in characters.
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
    /// The last thing asked for: a channel type, or the command of an exec. Printable.
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
        let parsed = r.uint32().and_then(|_| {
            let kind = r.string()?;
            r.boolean()?;
            Ok((kind, r))
        });
        let Ok((kind, mut rest)) = parsed else { return };
        match kind {
            b"shell" => self.note(kind),
            b"exec" | b"subsystem" => self.note(rest.string().unwrap_or_default()),
            _ => {}
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
    fn data_is_counted_and_commands_are_printable() {
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
        exec.put_string(b"echo \x1b[2J");
        observed.from_client(&exec);
        let last = "echo \\u{1b}[2J".to_owned();
        assert_eq!(observed, Observed { up: 1000, down: 2000, channels: 0, last });
        for end in 0..exec.len() {
            observed.from_client(&exec[..end]);
        }
    }
}
