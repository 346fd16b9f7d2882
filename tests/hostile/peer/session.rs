//! A session as an honest client has it.

use containarium::wire::{codec::Reader, message};

use super::{Payload, Peer};

/// What a command did.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Told {
    pub out: String,
    pub err: String,
    pub status: Option<u32>,
}

impl Peer {
    /// Opens a session, our number of which is `channel`; the other side's number of it.
    pub fn open_session(&mut self, channel: u32) -> u32 {
        self.send(&Payload::session(channel, 1 << 20, 1 << 15));
        let confirmed = self.next_number(message::CHANNEL_OPEN_CONFIRMATION);
        Reader::new(&confirmed[5..]).uint32().unwrap()
    }

    /// Runs a command in a new session.
    pub fn run(&mut self, command: &str) -> Told {
        let theirs = self.open_session(7);
        self.send(&Payload::exec(theirs, command));
        let mut told = Told::default();
        while let Some(payload) = self.next() {
            let mut r = Reader::new(&payload[1..]);
            match payload[0] {
                message::CHANNEL_DATA => {
                    r.bytes(4).unwrap();
                    told.out += &String::from_utf8_lossy(r.string().unwrap());
                }
                message::CHANNEL_EXTENDED_DATA => {
                    r.bytes(8).unwrap();
                    told.err += &String::from_utf8_lossy(r.string().unwrap());
                }
                message::CHANNEL_REQUEST => {
                    r.bytes(4).unwrap();
                    if r.string().unwrap() == b"exit-status" {
                        r.byte().unwrap();
                        told.status = r.uint32().ok();
                    }
                }
                message::CHANNEL_CLOSE => break,
                _ => {}
            }
        }
        told
    }
}
