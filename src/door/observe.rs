//! What passes through a connection, as far as it is looked at: counts, and what is asked for, for the
//! ledger; never contents. Only packets that are few are read, and only what is kept of them.

use crate::{
    audit::Channel,
    model::text,
    wire::{
        codec::{Malformed, Reader},
        message,
    },
};

/// Longest channel type kept for the log, in characters.
const MAX_TEXT: usize = 200;

/// Longest text kept for the ledger, in bytes.
const MAX_KEPT: usize = 800;

/// Channels, and things listened for, that are kept; what follows is counted.
const MAX_CHANNELS: usize = 256;

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
    /// Command lines are not kept.
    pub without_commands: bool,
    seen: Vec<Seen>,
}

/// A channel, and the numbers that both sides know it by while it lives.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Seen {
    channel: Channel,
    near: Option<u32>,
    far: Option<u32>,
}

impl Observed {
    /// One that keeps command lines, or does not.
    #[must_use]
    pub fn new(without_commands: bool) -> Self {
        Self { without_commands, ..Self::default() }
    }

    /// The channels that were kept, in the order in which they were opened.
    #[must_use]
    pub fn into_channels(self) -> Vec<Channel> {
        self.seen.into_iter().map(|seen| seen.channel).collect()
    }

    /// A packet from the client passes.
    pub fn from_client(&mut self, packet: &[u8]) {
        // What is cut off or malformed is the far side's to refuse.
        let _ = match packet.first().copied() {
            Some(message::CHANNEL_DATA | message::CHANNEL_EXTENDED_DATA) => {
                self.up += packet.len().saturating_sub(9) as u64;
                Ok(())
            }
            Some(message::CHANNEL_OPEN) => self.on_open(&packet[1..]),
            Some(message::CHANNEL_REQUEST) => self.on_request(&packet[1..]),
            Some(message::GLOBAL_REQUEST) => self.on_global(&packet[1..]),
            Some(_) | None => Ok(()),
        };
    }

    /// A packet from the container passes.
    pub fn from_upstream(&mut self, packet: &[u8]) {
        let _ = match packet.first().copied() {
            Some(message::CHANNEL_DATA | message::CHANNEL_EXTENDED_DATA) => {
                self.down += packet.len().saturating_sub(9) as u64;
                Ok(())
            }
            Some(message::CHANNEL_OPEN_CONFIRMATION) => self.on_confirmation(&packet[1..]),
            Some(message::CHANNEL_OPEN_FAILURE) => self.on_failure(&packet[1..]),
            Some(message::CHANNEL_REQUEST) => self.on_exit(&packet[1..]),
            Some(_) | None => Ok(()),
        };
    }

    fn on_open(&mut self, body: &[u8]) -> Result<(), Malformed> {
        self.channels += 1;
        let mut r = Reader::new(body);
        let kind = r.string().unwrap_or_default();
        self.note(kind);
        let near = r.uint32()?;
        // A number that is used again means the new channel from here on.
        for seen in self.seen.iter_mut().filter(|seen| seen.near == Some(near)) {
            (seen.near, seen.far) = (None, None);
        }
        let mut channel = Channel { kind: kept(kind), ..Channel::default() };
        let (_window, _packet) = (r.uint32()?, r.uint32()?);
        match kind {
            b"direct-tcpip" => channel.what = Some(address(&mut r)?),
            b"direct-streamlocal@openssh.com" => channel.what = Some(kept(r.string()?)),
            _ => {}
        }
        self.keep(Seen { channel, near: Some(near), far: None });
        Ok(())
    }

    fn on_request(&mut self, body: &[u8]) -> Result<(), Malformed> {
        let mut r = Reader::new(body);
        let (far, kind) = (r.uint32()?, r.string()?);
        let request = match kind {
            b"shell" => "shell",
            b"exec" => "exec",
            b"subsystem" => "subsystem",
            _ => return Ok(()),
        };
        // What is run may hold secrets: only the ledger has it.
        self.note(kind);
        let without_commands = self.without_commands;
        let mut seen = self.seen.iter_mut().rev();
        let Some(seen) = seen.find(|seen| seen.far == Some(far) && seen.channel.request.is_none())
        else {
            return Ok(());
        };
        seen.channel.request = Some(request);
        r.boolean()?;
        match request {
            "exec" if without_commands => {}
            "exec" | "subsystem" => seen.channel.what = Some(kept(r.string()?)),
            _ => {}
        }
        Ok(())
    }

    fn on_global(&mut self, body: &[u8]) -> Result<(), Malformed> {
        let mut r = Reader::new(body);
        let kind = r.string()?;
        r.boolean()?;
        let what = match kind {
            b"tcpip-forward" => address(&mut r)?,
            b"streamlocal-forward@openssh.com" => kept(r.string()?),
            _ => return Ok(()),
        };
        let channel = Channel { kind: kept(kind), what: Some(what), ..Channel::default() };
        self.keep(Seen { channel, ..Seen::default() });
        Ok(())
    }

    fn on_confirmation(&mut self, body: &[u8]) -> Result<(), Malformed> {
        let mut r = Reader::new(body);
        let (near, far) = (r.uint32()?, r.uint32()?);
        for seen in self.seen.iter_mut().filter(|seen| seen.far == Some(far)) {
            (seen.near, seen.far) = (None, None);
        }
        if let Some(seen) = self.of(near) {
            seen.far = Some(far);
        }
        Ok(())
    }

    fn on_failure(&mut self, body: &[u8]) -> Result<(), Malformed> {
        let near = Reader::new(body).uint32()?;
        if let Some(seen) = self.of(near) {
            seen.channel.refused = true;
        }
        Ok(())
    }

    fn on_exit(&mut self, body: &[u8]) -> Result<(), Malformed> {
        let mut r = Reader::new(body);
        let (near, kind) = (r.uint32()?, r.string()?);
        if !matches!(kind, b"exit-status" | b"exit-signal") {
            return Ok(());
        }
        r.boolean()?;
        let exit = match kind {
            b"exit-status" => r.uint32()?.to_string(),
            _ => text::printable_bytes(r.string()?, 16),
        };
        if let Some(seen) = self.of(near).filter(|seen| seen.channel.exit.is_none()) {
            seen.channel.exit = Some(exit);
        }
        Ok(())
    }

    /// The channel that the client knows by this number now.
    fn of(&mut self, near: u32) -> Option<&mut Seen> {
        self.seen.iter_mut().rev().find(|seen| seen.near == Some(near))
    }

    fn keep(&mut self, seen: Seen) {
        if self.seen.len() < MAX_CHANNELS {
            self.seen.push(seen);
        }
    }

    fn note(&mut self, bytes: &[u8]) {
        self.last = text::printable_bytes(bytes, MAX_TEXT);
    }
}

fn kept(bytes: &[u8]) -> Vec<u8> {
    bytes.iter().take(MAX_KEPT).copied().collect()
}

/// `HOST:PORT` as it stands in forwards.
fn address(r: &mut Reader<'_>) -> Result<Vec<u8>, Malformed> {
    let mut address = kept(r.string()?);
    address.extend(format!(":{}", r.uint32()?).as_bytes());
    Ok(address)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::codec::Write;

    fn open(kind: &[u8], near: u32) -> Vec<u8> {
        let mut packet = vec![message::CHANNEL_OPEN];
        packet.put_string(kind);
        for number in [near, 1 << 20, 1 << 15] {
            packet.put_uint32(number);
        }
        packet
    }

    fn confirm(near: u32, far: u32) -> Vec<u8> {
        let mut packet = vec![message::CHANNEL_OPEN_CONFIRMATION];
        for number in [near, far, 1 << 20, 1 << 15] {
            packet.put_uint32(number);
        }
        packet
    }

    fn request(channel: u32, kind: &[u8], text: Option<&[u8]>) -> Vec<u8> {
        let mut packet = vec![message::CHANNEL_REQUEST];
        packet.put_uint32(channel);
        packet.put_string(kind);
        packet.put_boolean(true);
        if let Some(text) = text {
            packet.put_string(text);
        }
        packet
    }

    fn exit(near: u32, status: u32) -> Vec<u8> {
        let mut packet = request(near, b"exit-status", None);
        packet.put_uint32(status);
        packet
    }

    fn shown(observed: Observed) -> Vec<String> {
        let text = |bytes: Option<Vec<u8>>| String::from_utf8(bytes.unwrap_or_default()).unwrap();
        let channels = observed.into_channels().into_iter();
        channels
            .map(|c| {
                let (kind, what) = (text(Some(c.kind)), text(c.what));
                let refused = if c.refused { " refused" } else { "" };
                let (request, exit) = (c.request.unwrap_or("-"), c.exit.unwrap_or("-".to_owned()));
                format!("{kind} {request} {what} {exit}{refused}")
            })
            .collect()
    }

    #[test]
    fn data_is_counted_and_commands_are_not_for_the_log() {
        let mut observed = Observed::default();
        let mut data = vec![message::CHANNEL_DATA];
        data.put_uint32(0);
        data.put_string(&[1; 1000]);
        observed.from_client(&data);
        observed.from_upstream(&data);
        observed.from_upstream(&data);
        let exec = request(0, b"exec", Some(b"mysql -pSECRET"));
        observed.from_client(&exec);
        let last = "exec".to_owned();
        assert_eq!(observed, Observed { up: 1000, down: 2000, last, ..Observed::default() });
        observed.from_client(&open(b"x11\x1b[2J", 0));
        assert_eq!((observed.last.as_str(), observed.channels), ("x11\\u{1b}[2J", 1));
    }

    #[test]
    fn channels_are_known_by_what_was_asked_for_and_how_it_ended() {
        let mut observed = Observed::default();
        // Numbers differ on both sides, and are used again.
        for (near, far, command, status) in [(0, 5, &b"true"[..], 0), (5, 0, b"false", 1)] {
            observed.from_client(&open(b"session", near));
            observed.from_upstream(&confirm(near, far));
            observed.from_client(&request(far, b"pty-req", Some(b"xterm")));
            observed.from_client(&request(far, b"exec", Some(command)));
            observed.from_client(&request(far, b"exec", Some(b"a second one is refused")));
            observed.from_upstream(&exit(near, status));
            observed.from_upstream(&exit(near, 99));
        }
        observed.from_client(&open(b"session", 0));
        observed.from_upstream(&confirm(0, 5));
        observed.from_client(&request(5, b"subsystem", Some(b"sftp")));
        let mut signal = request(0, b"exit-signal", Some(b"KILL"));
        signal.put_boolean(false);
        observed.from_upstream(&signal);
        let mut direct = open(b"direct-tcpip", 7);
        direct.put_string(b"db.internal");
        direct.put_uint32(5432);
        observed.from_client(&direct);
        let mut failure = vec![message::CHANNEL_OPEN_FAILURE];
        failure.put_uint32(7);
        observed.from_upstream(&failure);
        let mut listen = vec![message::GLOBAL_REQUEST];
        listen.put_string(b"tcpip-forward");
        listen.put_boolean(true);
        listen.put_string(b"0.0.0.0");
        listen.put_uint32(8080);
        observed.from_client(&listen);
        assert_eq!(
            shown(observed),
            [
                "session exec true 0",
                "session exec false 1",
                "session subsystem sftp KILL",
                "direct-tcpip - db.internal:5432 - refused",
                "tcpip-forward - 0.0.0.0:8080 -",
            ]
        );
    }

    #[test]
    fn commands_are_left_out_where_that_is_wanted() {
        let mut observed = Observed::new(true);
        observed.from_client(&open(b"session", 0));
        observed.from_upstream(&confirm(0, 0));
        observed.from_client(&request(0, b"exec", Some(b"mysql -pSECRET")));
        assert_eq!(shown(observed), ["session exec  -"]);
    }

    #[test]
    fn what_is_kept_has_a_limit_and_cut_packets_do_no_harm() {
        let mut observed = Observed::default();
        for near in 0..10_000 {
            observed.from_client(&open(b"session", near));
            observed.from_upstream(&confirm(near, near));
            observed.from_client(&request(near, b"exec", Some(&vec![b'x'; 30_000])));
        }
        assert_eq!(observed.channels, 10_000);
        let channels = observed.into_channels();
        assert_eq!(channels.len(), MAX_CHANNELS);
        assert!(channels.iter().all(|c| c.what.as_ref().unwrap().len() == MAX_KEPT));

        let mut direct = open(b"direct-tcpip", 7);
        direct.put_string(b"host");
        direct.put_uint32(1);
        let mut observed = Observed::default();
        let packets = [direct, confirm(7, 7), request(7, b"exec", Some(b"x")), exit(7, 0)];
        for packet in &packets {
            for end in 0..packet.len() {
                observed.from_client(&packet[..end]);
                observed.from_upstream(&packet[..end]);
            }
        }
    }
}
