//! Which files a channel moves: SFTP and the old protocol of `scp`, read from the data that passes, for
//! the ledger. Pure; `observe` feeds it. It never holds contents, never changes or delays a byte, and
//! what it does not understand ends the following of that channel, and is told.

mod channels;
mod notes;
mod packets;
mod scp;
mod sftp;
#[cfg(test)]
mod tests;

pub(super) use self::channels::Channels;
use self::{notes::Notes, scp::Scp, sftp::Sftp};
use crate::audit::Files;

/// What one connection may have kept of files, with their names, in bytes: some hundreds of them.
pub const ROOM: usize = 64 << 10;

/// The stream is none of the protocol, or has more open at once than is followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Lost;

/// Follows one channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Follower {
    /// `None`: nothing more is known.
    protocol: Option<Protocol>,
    notes: Notes,
    fresh: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Protocol {
    Sftp(Box<Sftp>),
    Scp(Box<Scp>),
}

impl Follower {
    /// Of a channel on which this subsystem was asked for; `None`: it is not followed. Without
    /// `names` files are only counted.
    #[must_use]
    pub fn of_subsystem(subsystem: &[u8], names: bool) -> Option<Self> {
        (subsystem == b"sftp").then(|| Self::new(Protocol::Sftp(Box::default()), names))
    }

    /// The same, of one on which this command was asked for.
    #[must_use]
    pub fn of_command(command: &[u8], names: bool) -> Option<Self> {
        let mut words = command.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
        let program = words.next()?;
        let protocol = match program.rsplit(|byte| *byte == b'/').next()? {
            b"sftp-server" => Protocol::Sftp(Box::default()),
            b"scp" => Protocol::Scp(Box::new(Scp::of_arguments(words)?)),
            _ => return None,
        };
        Some(Self::new(protocol, names))
    }

    fn new(protocol: Protocol, names: bool) -> Self {
        Self { protocol: Some(protocol), notes: Notes::new(names), fresh: true }
    }

    /// Whether no data has passed yet.
    #[must_use]
    pub fn is_fresh(&self) -> bool {
        self.fresh
    }

    /// Data from the client passes. `room` is what is left for names, in bytes.
    pub fn client_sent(&mut self, data: &[u8], room: &mut usize) {
        let Self { protocol, notes, fresh } = self;
        *fresh = false;
        let followed = match protocol {
            Some(Protocol::Sftp(sftp)) => sftp.client_sent(data, notes, room),
            Some(Protocol::Scp(scp)) => scp.client_sent(data, notes, room),
            None => Ok(()),
        };
        if followed == Err(Lost) {
            self.give_up();
        }
    }

    /// Data from the container passes.
    pub fn container_sent(&mut self, data: &[u8], room: &mut usize) {
        let Self { protocol, notes, fresh } = self;
        *fresh = false;
        let followed = match protocol {
            Some(Protocol::Sftp(sftp)) => sftp.container_sent(data, notes),
            Some(Protocol::Scp(scp)) => scp.container_sent(data, notes, room),
            None => Ok(()),
        };
        if followed == Err(Lost) {
            self.give_up();
        }
    }

    /// What the channel did; `None`: nothing with files.
    #[must_use]
    pub fn into_files(self) -> Option<Files> {
        Some(self.notes.into_files()).filter(|files| !files.is_empty())
    }

    fn give_up(&mut self) {
        self.protocol = None;
        self.notes.unfollowed();
    }
}
