//! Room for lines of the door's own on terminals. Pure.
//!
//! What is sent on a channel takes of the window that the client allowed for it (RFC 4254, section
//! 5.2), ours as the container's. So a little of each window is kept back from the container, and a
//! line is sent when there is as much. At any time, in bytes:
//!
//! window of the client = window that the container knows + what is kept back
//!
//! A container that has used up its window gets what is kept back, too: a client may wait for the
//! last byte of its window before it allows more.

use std::collections::VecDeque;

use super::Verdict;
use crate::wire::{
    codec::{Malformed, Reader, Write},
    message,
};

/// Kept back of a window at most, in bytes: thirty lines, and OpenSSH's client allows more after 48 KiB.
const MOST: u32 = 4096;

/// The part of a window that is kept back at most.
const PART: u32 = 16;

/// Lines of a channel that wait: those of all watchers, coming and going.
const MAX_LINES: usize = 16;

/// Session channels of one connection that are looked after. OpenSSH's server allows ten.
const MAX_CHANNELS: usize = 64;

/// A session channel whose window the container does not know the whole of.
#[derive(Debug)]
struct Channel {
    near: u32,
    far: Option<u32>,
    /// Longest packet that the client takes, in bytes of data.
    max_packet: u32,
    /// How much is kept back when nothing is used.
    share: u32,
    kept: u32,
    /// What the container may send still.
    left: u64,
    has_terminal: bool,
    /// The container has sent something: the client knows that it is a terminal.
    has_spoken: bool,
    /// Nothing is kept back any more.
    is_over: bool,
    lines: VecDeque<Vec<u8>>,
}

/// What is kept back of the windows of one connection, and lines for its terminals.
#[derive(Debug, Default)]
pub struct Reserve {
    channels: Vec<Channel>,
    is_due: bool,
}

impl Reserve {
    /// A packet from the client passes, or what is told instead.
    pub fn from_client(&mut self, packet: &[u8]) -> Verdict {
        let verdict = match packet.first() {
            Some(&message::CHANNEL_OPEN) => self.on_open(packet),
            Some(&message::CHANNEL_WINDOW_ADJUST) => self.on_adjust(&packet[1..]),
            Some(&message::CHANNEL_REQUEST) => self.on_request(&packet[1..]),
            Some(&message::CHANNEL_CLOSE) => self.on_client_close(&packet[1..]),
            Some(_) | None => Ok(Verdict::Forward),
        };
        // What is malformed is the far side's to refuse.
        verdict.unwrap_or(Verdict::Forward)
    }

    /// A packet from the container passes.
    pub fn from_upstream(&mut self, packet: &[u8]) {
        let _ = match packet.first() {
            Some(&message::CHANNEL_DATA) => self.on_data(packet, 9),
            Some(&message::CHANNEL_EXTENDED_DATA) => self.on_data(packet, 13),
            Some(&message::CHANNEL_OPEN_CONFIRMATION) => self.on_confirmation(&packet[1..]),
            // After its end nothing more may be sent.
            Some(
                &(message::CHANNEL_OPEN_FAILURE | message::CHANNEL_EOF | message::CHANNEL_CLOSE),
            ) => self.on_end(&packet[1..]),
            Some(_) | None => Ok(()),
        };
    }

    /// Shows a line on the terminal whose channel the client knows by this number.
    pub fn say(&mut self, near: u32, line: &str) {
        let of_it = self.channels.iter_mut().find(|c| c.near == near && c.has_terminal);
        if let Some(channel) = of_it.filter(|c| c.lines.len() < MAX_LINES) {
            channel.lines.push_back(line.as_bytes().to_vec());
            self.is_due = true;
        }
    }

    /// Whether one of the two that follow may have something.
    #[must_use]
    pub fn is_due(&self) -> bool {
        self.is_due
    }

    /// The next packet for the client.
    pub fn next_for_client(&mut self) -> Option<Vec<u8>> {
        self.channels.iter_mut().find_map(Channel::next_line)
    }

    /// The next packet for the container.
    pub fn next_for_upstream(&mut self) -> Option<Vec<u8>> {
        let packet = self.channels.iter_mut().find_map(Channel::next_release);
        self.channels.retain(|channel| !channel.is_over || channel.kept > 0);
        packet
    }

    /// Both were asked until they had nothing.
    pub fn settled(&mut self) {
        self.is_due = false;
    }

    fn on_open(&mut self, packet: &[u8]) -> Result<Verdict, Malformed> {
        let mut r = Reader::new(packet);
        r.byte()?;
        let (kind, near) = (r.string()?, r.uint32()?);
        let place = packet.len() - r.rest().len();
        let (window, max_packet) = (r.uint32()?, r.uint32()?);
        self.channels.retain(|channel| channel.near != near);
        let share = (window / PART).min(MOST);
        if kind != b"session" || share == 0 || self.channels.len() == MAX_CHANNELS {
            return Ok(Verdict::Forward);
        }
        let left = window - share;
        let mut out = packet[..place].to_vec();
        out.put_uint32(left);
        out.extend_from_slice(&packet[place + 4..]);
        if self.channels.is_empty() {
            // Most connections have one: what idles keeps no room for four.
            self.channels.reserve_exact(1);
        }
        self.channels.push(Channel {
            near,
            far: None,
            max_packet,
            share,
            kept: share,
            left: left.into(),
            has_terminal: false,
            has_spoken: false,
            is_over: false,
            lines: VecDeque::new(),
        });
        Ok(Verdict::Replace(out))
    }

    fn on_adjust(&mut self, body: &[u8]) -> Result<Verdict, Malformed> {
        let mut r = Reader::new(body);
        let (far, more) = (r.uint32()?, r.uint32()?);
        let Some(channel) = self.of_far(far).filter(|channel| !channel.is_over) else {
            return Ok(Verdict::Forward);
        };
        let passed = channel.allow(more);
        let is_due = channel.left == 0 || !channel.lines.is_empty();
        self.is_due |= is_due;
        Ok(match passed {
            0 => Verdict::Drop,
            _ if passed == more => Verdict::Forward,
            _ => Verdict::Replace(adjust(far, passed)),
        })
    }

    fn on_request(&mut self, body: &[u8]) -> Result<Verdict, Malformed> {
        let mut r = Reader::new(body);
        let (far, kind) = (r.uint32()?, r.string()?);
        if let Some(channel) = self.of_far(far) {
            match kind {
                b"pty-req" => channel.has_terminal = true,
                // Nothing of ours gets between what programs say.
                b"shell" | b"exec" | b"subsystem" if !channel.has_terminal => {
                    channel.is_over = true;
                    self.is_due = true;
                }
                _ => {}
            }
        }
        Ok(Verdict::Forward)
    }

    fn on_client_close(&mut self, body: &[u8]) -> Result<Verdict, Malformed> {
        let far = Reader::new(body).uint32()?;
        self.channels.retain(|channel| channel.far != Some(far));
        Ok(Verdict::Forward)
    }

    fn on_confirmation(&mut self, body: &[u8]) -> Result<(), Malformed> {
        let mut r = Reader::new(body);
        let (near, far) = (r.uint32()?, r.uint32()?);
        let waits = |c: &&mut Channel| c.near == near && c.far.is_none();
        if let Some(channel) = self.channels.iter_mut().find(waits) {
            channel.far = Some(far);
        }
        Ok(())
    }

    /// Data with a head of so many bytes.
    fn on_data(&mut self, packet: &[u8], head: usize) -> Result<(), Malformed> {
        let near = Reader::new(packet.get(1..).unwrap_or_default()).uint32()?;
        if let Some(channel) = self.channels.iter_mut().find(|channel| channel.near == near) {
            channel.left = channel.left.saturating_sub(packet.len().saturating_sub(head) as u64);
            let is_first = !std::mem::replace(&mut channel.has_spoken, true);
            self.is_due |= channel.left == 0 || is_first;
        }
        Ok(())
    }

    fn on_end(&mut self, body: &[u8]) -> Result<(), Malformed> {
        let near = Reader::new(body).uint32()?;
        self.channels.retain(|channel| channel.near != near);
        Ok(())
    }

    fn of_far(&mut self, far: u32) -> Option<&mut Channel> {
        self.channels.iter_mut().find(|channel| channel.far == Some(far))
    }
}

impl Channel {
    /// The client allows so many bytes more: how many of them the container is told of.
    fn allow(&mut self, more: u32) -> u32 {
        let kept = more.min(self.share - self.kept);
        self.kept += kept;
        let mut passed = more - kept;
        let speaks = self.has_spoken && !self.lines.is_empty();
        if self.left + u64::from(passed) == 0 && !speaks {
            passed = std::mem::take(&mut self.kept);
        }
        self.left += u64::from(passed);
        passed
    }

    /// A line, or as much of it as there is room for, if no more can be.
    fn next_line(&mut self) -> Option<Vec<u8>> {
        let line = self.lines.front_mut().filter(|_| self.has_spoken)?;
        let length = u32::try_from(line.len()).unwrap_or(u32::MAX);
        if self.kept < length.min(self.share) && self.left > 0 {
            return None;
        }
        let now = length.min(self.kept).min(self.max_packet);
        if now == 0 {
            return None;
        }
        self.kept -= now;
        let rest = line.split_off(now as usize);
        let piece = std::mem::replace(line, rest);
        if line.is_empty() {
            self.lines.pop_front();
        }
        let mut packet = vec![message::CHANNEL_DATA];
        packet.put_uint32(self.near);
        packet.put_string(&piece);
        Some(packet)
    }

    /// What is kept back, for a container that has used up what it knew of.
    fn next_release(&mut self) -> Option<Vec<u8>> {
        let far = self.far.filter(|_| self.kept > 0 && (self.left == 0 || self.is_over))?;
        let passed = std::mem::take(&mut self.kept);
        self.left += u64::from(passed);
        Some(adjust(far, passed))
    }
}

fn adjust(far: u32, bytes: u32) -> Vec<u8> {
    let mut packet = vec![message::CHANNEL_WINDOW_ADJUST];
    packet.put_uint32(far);
    packet.put_uint32(bytes);
    packet
}

#[cfg(test)]
mod tests;
