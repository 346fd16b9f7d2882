//! Byte buffers whose storage comes from a pool of the thread and goes back when they are empty,
//! so that an idle connection owns none.

use std::cell::RefCell;

/// Size of a pooled storage block, in bytes: room for full output
/// ([`OUTPUT_MARK`](super::transport::OUTPUT_MARK)) and two of OpenSSH's largest packets, so that a
/// bulk transfer stays in pooled blocks.
const BLOCK: usize = 256 * 1024;

/// Blocks kept per thread; more are returned to the allocator.
const POOL: usize = 16;

thread_local! {
    static FREE: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// A queue of bytes: written at the end, consumed at the front, contiguous in between.
#[derive(Debug, Default)]
pub struct Buffer {
    storage: Vec<u8>,
    start: usize,
    end: usize,
}

impl Buffer {
    /// The bytes inside.
    #[must_use]
    pub fn filled(&self) -> &[u8] {
        &self.storage[self.start..self.end]
    }

    /// The bytes inside, for work in place.
    pub fn filled_mut(&mut self) -> &mut [u8] {
        &mut self.storage[self.start..self.end]
    }

    /// How many bytes are inside.
    #[must_use]
    pub fn len(&self) -> usize {
        self.end - self.start
    }

    /// Whether nothing is inside.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// Removes `n` bytes at the front (at most what is inside).
    pub fn consume(&mut self, n: usize) {
        self.start = (self.start + n).min(self.end);
        if self.start == self.end {
            self.start = 0;
            self.end = 0;
        }
    }

    /// Room at the end, `at_least` bytes long and as long as the storage allows.
    pub fn space(&mut self, at_least: usize) -> &mut [u8] {
        if self.storage.len() - self.end < at_least {
            self.make_room(at_least);
        }
        &mut self.storage[self.end..]
    }

    /// Declares the first `n` bytes of [`Self::space`] filled.
    pub fn advance(&mut self, n: usize) {
        self.end = (self.end + n).min(self.storage.len());
    }

    /// Moves what is inside to the beginning of the storage: what is written next touches no more
    /// of it than needed.
    pub fn compact(&mut self) {
        if self.start > 0 {
            self.storage.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
    }

    /// Appends `bytes`.
    pub fn extend(&mut self, bytes: &[u8]) {
        self.space(bytes.len())[..bytes.len()].copy_from_slice(bytes);
        self.advance(bytes.len());
    }

    /// Gives the storage back if the buffer is empty.
    pub fn release(&mut self) {
        if self.is_empty() && !self.storage.is_empty() {
            give(std::mem::take(&mut self.storage));
        }
    }

    fn make_room(&mut self, at_least: usize) {
        self.compact();
        let needed = self.end + at_least;
        if self.storage.is_empty() && needed <= BLOCK {
            self.storage = take();
        } else if self.storage.len() < needed {
            self.storage.resize(needed.next_multiple_of(BLOCK), 0);
        }
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        if !self.storage.is_empty() {
            give(std::mem::take(&mut self.storage));
        }
    }
}

fn take() -> Vec<u8> {
    let pooled = FREE.try_with(|free| free.borrow_mut().pop()).ok().flatten();
    pooled.unwrap_or_else(|| vec![0; BLOCK])
}

fn give(storage: Vec<u8>) {
    // A block that grew for one large packet is not worth keeping.
    if storage.len() == BLOCK {
        let _ = FREE.try_with(|free| {
            let mut free = free.borrow_mut();
            if free.len() < POOL {
                free.push(storage);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn behaves_like_a_queue(steps in prop::collection::vec((0_usize..3000, 0_usize..3000), 1..80)) {
            let mut buffer = Buffer::default();
            let mut model = std::collections::VecDeque::new();
            let mut next = 0_u8;
            for (write, read) in steps {
                let bytes: Vec<u8> = (0..write).map(|_| { next = next.wrapping_add(1); next }).collect();
                buffer.extend(&bytes);
                model.extend(bytes);
                let n = read.min(model.len());
                buffer.consume(n);
                model.drain(..n);
                buffer.release();
                if n % 2 == 0 {
                    buffer.compact();
                    prop_assert_eq!(buffer.start, 0);
                }
                prop_assert_eq!(buffer.filled(), &*model.make_contiguous());
            }
        }
    }

    #[test]
    fn an_empty_buffer_owns_nothing_and_a_large_one_grows() {
        let mut buffer = Buffer::default();
        buffer.extend(&vec![7; BLOCK * 2 + 1]);
        assert_eq!(buffer.len(), BLOCK * 2 + 1);
        buffer.consume(usize::MAX / 2);
        buffer.release();
        assert_eq!(buffer.storage.capacity(), 0);
    }
}
