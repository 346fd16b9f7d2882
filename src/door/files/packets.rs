//! The packets of SFTP, cut out of a stream that comes in any pieces. Pure. Of each only the head is
//! held, as long as its reader wants it; the rest is passed over where it stands.

use super::Lost;

/// Longest packet, in bytes: OpenSSH ends at 256 KiB, others at 4 MiB, and a text that is no packet
/// reads as a longer one.
const MAX_PACKET: u32 = 16 << 20;

/// Length and kind, in bytes: what is held of every packet.
const LEAST: usize = 5;

/// One direction of a stream.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Packets {
    /// The length and the beginning of the packet that is coming.
    head: Vec<u8>,
    /// Bytes of the last packet that are still to come.
    rest: usize,
}

impl Packets {
    /// Takes more of the stream. For each packet: its kind, what follows the kind, and how long that
    /// is as a whole. `wanted` says how much of it is to be held, from what is there of it.
    pub(super) fn feed(
        &mut self,
        mut data: &[u8],
        wanted: fn(u8, &[u8]) -> usize,
        mut seen: impl FnMut(u8, &[u8], usize) -> Result<(), Lost>,
    ) -> Result<(), Lost> {
        while !data.is_empty() {
            let passed = self.rest.min(data.len());
            (self.rest, data) = (self.rest - passed, &data[passed..]);
            let Some(length) = self.grow(&mut data, wanted)? else { continue };
            if let [_, _, _, _, kind, body @ ..] = self.head.as_slice() {
                seen(*kind, body, length - 1)?;
            }
            self.rest = 4 + length - self.head.len();
            self.head.clear();
        }
        Ok(())
    }

    /// Adds to the head; its packet's length once the head is there.
    fn grow(
        &mut self,
        data: &mut &[u8],
        wanted: fn(u8, &[u8]) -> usize,
    ) -> Result<Option<usize>, Lost> {
        loop {
            let (length, want) = match self.head.as_slice() {
                [a, b, c, d, kind, body @ ..] => {
                    let length = u32::from_be_bytes([*a, *b, *c, *d]);
                    if !(1..=MAX_PACKET).contains(&length) {
                        return Err(Lost);
                    }
                    let length = usize::try_from(length).map_err(|_| Lost)?;
                    (length, (LEAST + wanted(*kind, body)).min(4 + length))
                }
                _ => (0, LEAST),
            };
            if self.head.len() >= want {
                return Ok(Some(length));
            }
            if data.is_empty() {
                return Ok(None);
            }
            let (more, others) = data.split_at((want - self.head.len()).min(data.len()));
            self.head.extend_from_slice(more);
            *data = others;
        }
    }
}
