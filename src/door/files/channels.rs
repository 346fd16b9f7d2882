//! The channels of one connection whose files are followed, by the numbers that both sides know them
//! by. Pure.

use super::{Follower, ROOM};
use crate::{
    audit::Files,
    wire::{
        codec::{Malformed, Reader},
        message,
    },
};

/// Channels that are followed at a time. OpenSSH's server allows ten.
const MAX_CHANNELS: usize = 16;

/// Those of one connection.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::door) struct Channels {
    follows: bool,
    live: Vec<Live>,
    /// Bytes that are left for names.
    room: usize,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Live {
    near: u32,
    far: u32,
    /// Which of the connection's channels it is.
    place: usize,
    follower: Follower,
}

impl Channels {
    /// Follows, and keeps names or only counts.
    pub(in crate::door) fn new(names: bool) -> Self {
        Self { follows: true, live: Vec::new(), room: if names { ROOM } else { 0 } }
    }

    /// Whether none is followed now: data need not be shown.
    pub(in crate::door) fn is_empty(&self) -> bool {
        self.live.is_empty()
    }

    /// From here on the channel with these numbers is followed. What there is to tell of it at once.
    pub(in crate::door) fn begin(
        &mut self,
        (near, far): (u32, u32),
        place: usize,
        follower: Follower,
    ) -> Option<Files> {
        let live = Live { near, far, place, follower };
        if !self.follows {
            return None;
        }
        let full = self.live.len() == MAX_CHANNELS;
        match self.live.iter_mut().find(|live| live.place == place) {
            // Once something is spoken in a channel, it runs what it was asked for.
            Some(known) if known.follower.is_fresh() => *known = live,
            Some(_) => {}
            None if full => {
                return Some(Files { unfollowed: true, ..Files::default() });
            }
            None => self.live.push(live),
        }
        None
    }

    /// A packet with data from the client passes.
    pub(in crate::door) fn client_sent(&mut self, packet: &[u8]) -> Result<(), Malformed> {
        let Some((number, data)) = contents(packet)? else { return Ok(()) };
        if let Some(live) = self.live.iter_mut().find(|live| live.far == number) {
            live.follower.client_sent(data, &mut self.room);
        }
        Ok(())
    }

    /// A packet with data from the container passes.
    pub(in crate::door) fn container_sent(&mut self, packet: &[u8]) -> Result<(), Malformed> {
        let Some((number, data)) = contents(packet)? else { return Ok(()) };
        if let Some(live) = self.live.iter_mut().find(|live| live.near == number) {
            live.follower.container_sent(data, &mut self.room);
        }
        Ok(())
    }

    /// Those that `which` means by their numbers are followed no longer: their places, and what they
    /// did.
    pub(in crate::door) fn end(
        &mut self,
        which: impl Fn(u32, u32) -> bool,
    ) -> Vec<(usize, Option<Files>)> {
        let ended = self.live.extract_if(.., |live| which(live.near, live.far));
        ended.map(|live| (live.place, live.follower.into_files())).collect()
    }
}

/// Channel and data of a packet; `None`: it is not what a program says, but beside it.
fn contents(packet: &[u8]) -> Result<Option<(u32, &[u8])>, Malformed> {
    let mut r = Reader::new(packet);
    if r.byte()? != message::CHANNEL_DATA {
        return Ok(None);
    }
    Ok(Some((r.uint32()?, r.string()?)))
}
