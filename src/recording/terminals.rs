//! The terminals of one connection, as its packets tell of them. Pure. Whatever numbers a client gives
//! to its channels: what is shown on a terminal is never taken for something else.

use crate::{
    model::text,
    wire::{
        codec::{Malformed, Reader},
        message,
    },
};

/// Session channels of one connection that are followed at a time. OpenSSH's server allows ten.
const MAX_CHANNELS: usize = 1024;

/// Longest name of a kind of terminal, in characters.
const MAX_TERM: usize = 64;

/// How a terminal was asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Shape {
    /// The value of `TERM`: printable.
    pub(super) term: String,
    /// Columns and rows; 0 where the client does not know.
    pub(super) size: (u32, u32),
}

/// What happens on a terminal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Seen<'a> {
    /// A shell or a command begins on it.
    Began(Shape),
    Output(&'a [u8]),
    Input(&'a [u8]),
    Resized((u32, u32)),
    Ended,
}

/// A session channel, and the numbers that both sides know it by.
#[derive(Debug)]
struct Channel {
    near: u32,
    far: Option<u32>,
    /// The terminal that was asked for.
    shape: Option<Shape>,
    /// Its number in the connection, once something runs on it.
    running: Option<u32>,
}

/// A terminal on which something runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Running {
    /// Its number in the connection, from 1.
    pub(super) number: u32,
    /// The client's number for its channel.
    pub(super) near: u32,
    /// Columns and rows.
    pub(super) size: (u32, u32),
}

/// The terminals of one connection.
#[derive(Debug, Default)]
pub(super) struct Terminals {
    channels: Vec<Channel>,
    began: u32,
    running: usize,
}

impl Terminals {
    /// Those on which something runs.
    pub(super) fn running(&self) -> impl Iterator<Item = Running> {
        self.channels.iter().filter_map(|channel| {
            let size = channel.shape.as_ref().map_or((0, 0), |shape| shape.size);
            Some(Running { number: channel.running?, near: channel.near, size })
        })
    }

    /// How many have begun.
    pub(super) fn began(&self) -> u32 {
        self.began
    }

    /// A packet from the client passes; tells what it does to which terminal, by number.
    pub(super) fn client_sent<'a>(&mut self, packet: &'a [u8], seen: impl FnMut(u32, Seen<'a>)) {
        let Some((kind, body)) = packet.split_first() else { return };
        // What is malformed is the far side's to refuse.
        let _ = match *kind {
            message::CHANNEL_DATA if self.running > 0 => self.on_input(body, seen),
            message::CHANNEL_OPEN => self.on_open(body),
            message::CHANNEL_REQUEST => self.on_request(body, seen),
            _ => Ok(()),
        };
    }

    /// A packet from the container passes.
    pub(super) fn upstream_sent<'a>(&mut self, packet: &'a [u8], seen: impl FnMut(u32, Seen<'a>)) {
        let Some((kind, body)) = packet.split_first() else { return };
        let _ = match *kind {
            message::CHANNEL_DATA if self.running > 0 => self.on_output(body, false, seen),
            message::CHANNEL_EXTENDED_DATA if self.running > 0 => self.on_output(body, true, seen),
            message::CHANNEL_OPEN_CONFIRMATION => self.on_confirmation(body),
            message::CHANNEL_OPEN_FAILURE | message::CHANNEL_CLOSE => self.on_close(body, seen),
            _ => Ok(()),
        };
    }

    fn on_open(&mut self, body: &[u8]) -> Result<(), Malformed> {
        let mut r = Reader::new(body);
        let (kind, near) = (r.string()?, r.uint32()?);
        if kind == b"session" {
            if self.channels.len() == MAX_CHANNELS {
                // One on which nothing runs gives way: of more than the far side allows.
                let idle = self.channels.iter().position(|c| c.running.is_none());
                self.channels.remove(idle.unwrap_or(0));
            }
            if self.channels.is_empty() {
                // Most connections have one: what idles keeps no room for four.
                self.channels.reserve_exact(1);
            }
            self.channels.push(Channel { near, far: None, shape: None, running: None });
        }
        Ok(())
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

    fn on_request<'a>(
        &mut self,
        body: &'a [u8],
        mut seen: impl FnMut(u32, Seen<'a>),
    ) -> Result<(), Malformed> {
        let mut r = Reader::new(body);
        let (far, kind, _wants_reply) = (r.uint32()?, r.string()?, r.boolean()?);
        let known = self.channels.iter_mut().rev().find(|c| c.far == Some(far));
        let Some(channel) = known else { return Ok(()) };
        match kind {
            b"pty-req" if channel.running.is_none() => {
                let term = text::printable_bytes(r.string()?, MAX_TERM);
                channel.shape = Some(Shape { term, size: (r.uint32()?, r.uint32()?) });
            }
            b"window-change" => {
                let size = (r.uint32()?, r.uint32()?);
                if let Some(shape) = &mut channel.shape {
                    shape.size = size;
                }
                if let Some(number) = channel.running {
                    seen(number, Seen::Resized(size));
                }
            }
            b"shell" | b"exec" if channel.running.is_none() => {
                if let Some(shape) = channel.shape.clone() {
                    self.began += 1;
                    self.running += 1;
                    channel.running = Some(self.began);
                    seen(self.began, Seen::Began(shape));
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn on_input<'a>(
        &mut self,
        body: &'a [u8],
        mut seen: impl FnMut(u32, Seen<'a>),
    ) -> Result<(), Malformed> {
        let mut r = Reader::new(body);
        let (far, data) = (r.uint32()?, r.string()?);
        let on_it = self.channels.iter().rev().find(|c| c.far == Some(far));
        if let Some(number) = on_it.and_then(|c| c.running) {
            seen(number, Seen::Input(data));
        }
        Ok(())
    }

    fn on_output<'a>(
        &mut self,
        body: &'a [u8],
        is_extended: bool,
        mut seen: impl FnMut(u32, Seen<'a>),
    ) -> Result<(), Malformed> {
        let mut r = Reader::new(body);
        let near = r.uint32()?;
        if is_extended {
            r.uint32()?;
        }
        let data = r.string()?;
        // A client that gives one number to two channels is shown the output of both on both.
        let shown = self.channels.iter().filter(|c| c.near == near);
        shown.filter_map(|c| c.running).for_each(|number| seen(number, Seen::Output(data)));
        Ok(())
    }

    fn on_close<'a>(
        &mut self,
        body: &[u8],
        mut seen: impl FnMut(u32, Seen<'a>),
    ) -> Result<(), Malformed> {
        let near = Reader::new(body).uint32()?;
        let mut of_it = self.channels.iter().enumerate().filter(|(_, c)| c.near == near);
        // Of two with one number first the one on which nothing runs.
        let idle = of_it.clone().find(|(_, c)| c.running.is_none());
        let Some((place, _)) = idle.or_else(|| of_it.next()) else { return Ok(()) };
        if let Some(number) = self.channels.remove(place).running {
            self.running -= 1;
            seen(number, Seen::Ended);
        }
        Ok(())
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::wire::codec::Write;

    pub(in super::super) fn numbers(kind: u8, numbers: &[u32]) -> Vec<u8> {
        let mut packet = vec![kind];
        for number in numbers {
            packet.put_uint32(*number);
        }
        packet
    }

    pub(in super::super) fn open(kind: &[u8], near: u32) -> Vec<u8> {
        let mut packet = vec![message::CHANNEL_OPEN];
        packet.put_string(kind);
        for number in [near, 1 << 20, 1 << 15] {
            packet.put_uint32(number);
        }
        packet
    }

    pub(in super::super) fn confirm(near: u32, far: u32) -> Vec<u8> {
        numbers(message::CHANNEL_OPEN_CONFIRMATION, &[near, far, 1 << 20, 1 << 15])
    }

    pub(in super::super) fn request(far: u32, kind: &[u8], texts: &[&[u8]]) -> Vec<u8> {
        let mut packet = numbers(message::CHANNEL_REQUEST, &[far]);
        packet.put_string(kind);
        packet.put_boolean(true);
        for text in texts {
            packet.put_string(text);
        }
        packet
    }

    pub(in super::super) fn pty(far: u32) -> Vec<u8> {
        let mut packet = request(far, b"pty-req", &[b"xterm\x1b"]);
        for number in [100, 40, 0, 0] {
            packet.put_uint32(number);
        }
        packet.put_string(b"");
        packet
    }

    pub(in super::super) fn data(to: u32, bytes: &[u8]) -> Vec<u8> {
        let mut packet = numbers(message::CHANNEL_DATA, &[to]);
        packet.put_string(bytes);
        packet
    }

    /// What is told of packets from the client (`true`) and from the container.
    fn told(terminals: &mut Terminals, packets: &[(bool, Vec<u8>)]) -> Vec<String> {
        let mut all = Vec::new();
        for (is_clients, packet) in packets {
            let tell = |n, seen: Seen<'_>| {
                all.push(match seen {
                    Seen::Began(Shape { term, size }) => format!("{n} began {term} {size:?}"),
                    Seen::Output(bytes) => format!("{n} o {}", String::from_utf8_lossy(bytes)),
                    Seen::Input(bytes) => format!("{n} i {}", String::from_utf8_lossy(bytes)),
                    Seen::Resized(size) => format!("{n} r {size:?}"),
                    Seen::Ended => format!("{n} ended"),
                });
            };
            if *is_clients {
                terminals.client_sent(packet, tell);
            } else {
                terminals.upstream_sent(packet, tell);
            }
        }
        all
    }

    fn opened(near: u32, far: u32) -> [(bool, Vec<u8>); 2] {
        [(true, open(b"session", near)), (false, confirm(near, far))]
    }

    #[test]
    fn what_runs_on_a_terminal_is_told_and_nothing_else() {
        let mut resize = request(5, b"window-change", &[]);
        for number in [80, 25, 0, 0] {
            resize.put_uint32(number);
        }
        let mut errors = numbers(message::CHANNEL_EXTENDED_DATA, &[0, 1]);
        errors.put_string(b"err");
        let close = |near| (false, numbers(message::CHANNEL_CLOSE, &[near]));
        let mut packets = opened(0, 5).to_vec();
        packets.extend([
            (true, pty(5)),
            (true, request(5, b"shell", &[])),
            (true, pty(5)),
            (true, data(5, b"ls\r")),
            (false, data(0, b"file")),
            (false, errors),
            (true, resize),
        ]);
        // Bulk beside it.
        packets.extend(opened(1, 6));
        packets.extend([
            (true, request(6, b"subsystem", &[b"sftp"])),
            (true, data(6, b"bulk")),
            (false, data(1, b"bulk")),
            close(1),
            close(0),
            (false, data(0, b"late")),
        ]);
        packets.extend(opened(0, 5));
        packets.extend([(true, request(5, b"exec", &[b"cat file"])), (false, data(0, b"bulk"))]);
        let mut terminals = Terminals::default();
        assert_eq!(
            told(&mut terminals, &packets),
            [
                "1 began xterm\\u{1b} (100, 40)",
                "1 i ls\r",
                "1 o file",
                "1 o err",
                "1 r (80, 25)",
                "1 ended"
            ]
        );
        assert_eq!((terminals.running, terminals.channels.len()), (0, 1));
    }

    #[test]
    fn a_client_that_gives_its_numbers_twice_hides_nothing() {
        let mut terminals = Terminals::default();
        let mut packets = opened(0, 5).to_vec();
        packets.extend([(true, pty(5)), (true, request(5, b"shell", &[]))]);
        packets.extend(opened(0, 6));
        packets.extend([
            (false, data(0, b"one")),
            (false, numbers(message::CHANNEL_CLOSE, &[0])),
            (false, data(0, b"two")),
        ]);
        let said = told(&mut terminals, &packets);
        assert_eq!(said[1..], ["1 o one", "1 o two"]);
        // Nor does one that opens thousands.
        let many: Vec<_> = (10..3000).map(|n| (true, open(b"session", n))).collect();
        told(&mut terminals, &many);
        assert_eq!(terminals.channels.len(), MAX_CHANNELS);
        assert_eq!(told(&mut terminals, &[(false, data(0, b"three"))]), ["1 o three"]);
    }

    #[test]
    fn cut_packets_do_no_harm() {
        let whole = [open(b"session", 0), confirm(0, 5), pty(5), request(5, b"exec", &[b"x"])];
        for packet in whole.iter().chain([&data(5, b"abc")]) {
            for cut in 0..packet.len() {
                let mut terminals = Terminals::default();
                terminals.client_sent(&packet[..cut], |_, _| {});
                terminals.upstream_sent(&packet[..cut], |_, _| {});
            }
        }
    }
}
