//! What passes through a connection, as far as it is looked at: counts, and what is asked for, for the
//! ledger; never contents. Only packets that are few are read, and only what is kept of them; of the
//! data of channels that move files, what says which (`files`).

#[cfg(test)]
mod tests;

use super::files::{Channels, Follower};
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
    followed: Channels,
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

    /// The same, which also keeps what is done with files; without command lines by number alone.
    #[must_use]
    pub fn with_files(self) -> Self {
        Self { followed: Channels::new(!self.without_commands), ..self }
    }

    /// The channels that were kept, in the order in which they were opened.
    #[must_use]
    pub fn into_channels(mut self) -> Vec<Channel> {
        self.settle(|_, _| true);
        self.seen.into_iter().map(|seen| seen.channel).collect()
    }

    /// A packet from the client passes.
    pub fn from_client(&mut self, packet: &[u8]) {
        // What is cut off or malformed is the far side's to refuse.
        let _ = match packet.first().copied() {
            Some(message::CHANNEL_DATA | message::CHANNEL_EXTENDED_DATA) => {
                self.up += packet.len().saturating_sub(9) as u64;
                if self.followed.is_empty() { Ok(()) } else { self.followed.client_sent(packet) }
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
                if self.followed.is_empty() { Ok(()) } else { self.followed.container_sent(packet) }
            }
            Some(message::CHANNEL_OPEN_CONFIRMATION) => self.on_confirmation(&packet[1..]),
            Some(message::CHANNEL_OPEN_FAILURE) => self.on_failure(&packet[1..]),
            Some(message::CHANNEL_REQUEST) => self.on_exit(&packet[1..]),
            // The container closes last, or says nothing more to anybody.
            Some(message::CHANNEL_CLOSE) if !self.followed.is_empty() => {
                self.on_close(&packet[1..])
            }
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
        self.settle(|one, _| one == near);
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
        let mut seen = self.seen.iter_mut().enumerate().rev();
        let Some((place, seen)) = seen.find(|(_, seen)| seen.far == Some(far)) else {
            return Ok(());
        };
        let first = seen.channel.request.is_none();
        seen.channel.request.get_or_insert(request);
        r.boolean()?;
        if request == "shell" {
            return Ok(());
        }
        let asked = r.string()?;
        if first && !(request == "exec" && without_commands) {
            seen.channel.what = Some(kept(asked));
        }
        // A subsystem may have been refused before: what is spoken is what counts.
        let follower = match request {
            "exec" => Follower::of_command(asked, !without_commands),
            _ => Follower::of_subsystem(asked, !without_commands),
        };
        if let (Some(near), Some(follower), None) = (seen.near, follower, &seen.channel.files) {
            seen.channel.files = self.followed.begin((near, far), place, follower);
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
        self.settle(|_, one| one == far);
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

    fn on_close(&mut self, body: &[u8]) -> Result<(), Malformed> {
        let near = Reader::new(body).uint32()?;
        self.settle(|one, _| one == near);
        Ok(())
    }

    /// What was followed in the channels that the two sides know by these numbers is told.
    fn settle(&mut self, which: impl Fn(u32, u32) -> bool) {
        for (place, files) in self.followed.end(which) {
            if let Some(seen) = self.seen.get_mut(place) {
                seen.channel.files = files;
            }
        }
    }

    /// The channel that the client knows by this number now.
    fn of(&mut self, near: u32) -> Option<&mut Seen> {
        self.seen.iter_mut().rev().find(|seen| seen.near == Some(near))
    }

    fn keep(&mut self, seen: Seen) {
        if self.seen.len() < MAX_CHANNELS {
            if self.seen.is_empty() {
                // Most connections have one: what idles keeps no room for four.
                self.seen.reserve_exact(1);
            }
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
