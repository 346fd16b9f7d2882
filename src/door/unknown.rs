//! Messages that the far side may not know. Its refusal (`SSH_MSG_UNIMPLEMENTED`, RFC 4253, section
//! 11.4) names a packet by its sequence number on that connection; here it becomes the number that
//! the sender knows. Pure.

use std::collections::VecDeque;

use crate::wire::{
    codec::Write,
    message::{CHANNEL_FAILURE, CHANNEL_OPEN, GLOBAL_REQUEST, REQUEST_FAILURE, UNIMPLEMENTED},
};

/// Packets remembered: a message that is neither refused nor followed by a refusal within so many
/// others is known to the far side.
const MAX_PASSED: usize = 64;

/// What passed in one direction and may come back refused, oldest first.
#[derive(Debug, Default)]
pub struct Unknown {
    passed: VecDeque<Passed>,
}

#[derive(Debug)]
struct Passed {
    /// Its number where it came from.
    from: u32,
    /// Its number where it went.
    to: u32,
}

impl Unknown {
    /// A packet that begins with `message` came as packet `from` and went on as packet `to`.
    pub fn pass(&mut self, message: u8, from: u32, to: u32) {
        // RFC 4254 is known to everybody.
        if matches!(message, GLOBAL_REQUEST..=REQUEST_FAILURE | CHANNEL_OPEN..=CHANNEL_FAILURE) {
            return;
        }
        if self.passed.len() == MAX_PASSED {
            self.passed.pop_front();
        }
        self.passed.push_back(Passed { from, to });
    }

    /// The refusal for the sender, of packet `to`; `None`: it was not one of these.
    pub fn refuse(&mut self, to: u32) -> Option<Vec<u8>> {
        let at = self.passed.iter().position(|passed| passed.to == to)?;
        // Refusals come in order: what went before is known over there.
        let passed = self.passed.drain(..=at).next_back()?;
        let mut refusal = vec![UNIMPLEMENTED];
        refusal.put_uint32(passed.from);
        Some(refusal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(number: u8) -> Vec<u8> {
        vec![UNIMPLEMENTED, 0, 0, 0, number]
    }

    #[test]
    fn a_refusal_names_the_packet_as_its_sender_knows_it() {
        let mut unknown = Unknown::default();
        for (i, message) in [(1, 101), (2, 94), (3, 200), (4, 255)] {
            unknown.pass(message, i, i + 10);
        }
        assert_eq!(unknown.refuse(12), None, "channel data is never unknown");
        assert_eq!(unknown.refuse(13), Some(refusal(3)));
        assert_eq!(unknown.refuse(13), None, "once");
        assert_eq!(unknown.refuse(11), None, "refusals come in order");
        assert_eq!(unknown.refuse(14), Some(refusal(4)));
    }

    #[test]
    fn little_is_remembered() {
        let mut unknown = Unknown::default();
        for i in 0..1000 {
            unknown.pass(200, i, i);
        }
        assert_eq!(unknown.passed.len(), MAX_PASSED);
        assert_eq!(unknown.refuse(0), None);
        assert!(unknown.refuse(999).is_some());
    }
}
