//! Messages, as they are written.

use containarium::wire::{
    codec::{Reader, Write},
    message,
};

/// Writes a message field by field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payload(pub Vec<u8>);

impl Payload {
    /// A message with this number.
    pub fn new(number: u8) -> Self {
        Self(vec![number])
    }

    /// A `string`.
    pub fn string(mut self, value: impl AsRef<[u8]>) -> Self {
        self.0.put_string(value.as_ref());
        self
    }

    /// A `uint32`.
    pub fn uint32(mut self, value: u32) -> Self {
        self.0.put_uint32(value);
        self
    }

    /// A `boolean`.
    pub fn boolean(mut self, value: bool) -> Self {
        self.0.put_boolean(value);
        self
    }

    /// Bytes as they are.
    pub fn bytes(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }

    /// `SSH_MSG_CHANNEL_OPEN` of a session.
    pub fn session(channel: u32, window: u32, max_packet: u32) -> Vec<u8> {
        let open = Self::new(message::CHANNEL_OPEN).string("session");
        open.uint32(channel).uint32(window).uint32(max_packet).0
    }

    /// `SSH_MSG_CHANNEL_REQUEST`, with what belongs to the request behind it.
    pub fn request(channel: u32, kind: &str, want_reply: bool, rest: &[u8]) -> Vec<u8> {
        let request = Self::new(message::CHANNEL_REQUEST).uint32(channel).string(kind);
        request.boolean(want_reply).bytes(rest).0
    }

    /// An `exec` request that wants a reply.
    pub fn exec(channel: u32, command: &str) -> Vec<u8> {
        let rest = Self(Vec::new()).string(command).0;
        Self::request(channel, "exec", true, &rest)
    }

    /// A message that has only a channel's number.
    pub fn channel(number: u8, channel: u32) -> Vec<u8> {
        Self::new(number).uint32(channel).0
    }

    /// `SSH_MSG_CHANNEL_DATA`
    pub fn data(channel: u32, data: &[u8]) -> Vec<u8> {
        Self::new(message::CHANNEL_DATA).uint32(channel).string(data).0
    }

    /// `SSH_MSG_GLOBAL_REQUEST`
    pub fn global(name: &str, want_reply: bool) -> Vec<u8> {
        Self::new(message::GLOBAL_REQUEST).string(name).boolean(want_reply).0
    }
}

/// Reason and words, if the message is a DISCONNECT.
pub(super) fn disconnect(payload: &[u8]) -> Option<(u32, String)> {
    let mut r = Reader::new(payload);
    let number = r.byte().ok()?;
    let (reason, words) = (r.uint32().ok()?, r.text().ok()?.to_owned());
    (number == message::DISCONNECT).then_some((reason, words))
}
