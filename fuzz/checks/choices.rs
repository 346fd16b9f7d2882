//! Decisions read from an input: which step comes next, how long a field is, where a byte changes.

/// Reads decisions from the front of an input. At its end every decision is 0.
pub struct Choices<'a> {
    rest: &'a [u8],
}

/// Numbers at which limits break.
const EDGES: [u32; 12] =
    [0, 1, 3, 4, 5, 0x7f, 0xff, 0x8000, 35_000, 0x0004_0001, 0x7fff_ffff, u32::MAX];

impl<'a> Choices<'a> {
    /// Decides by `input`.
    pub fn new(input: &'a [u8]) -> Self {
        Self { rest: input }
    }

    /// Whether every decision from here on is 0.
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// A byte.
    pub fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.rest.split_first() else { return 0 };
        self.rest = rest;
        *first
    }

    /// Yes or no.
    pub fn flag(&mut self) -> bool {
        self.byte() & 1 == 1
    }

    /// A number below `n`, which is at least 1.
    pub fn below(&mut self, n: usize) -> usize {
        let number = if n > 256 { self.uint16() } else { usize::from(self.byte()) };
        number % n.max(1)
    }

    /// One of `items`.
    pub fn one<T: Copy>(&mut self, items: &[T]) -> T {
        items[self.below(items.len())]
    }

    /// A number below 65536.
    pub fn uint16(&mut self) -> usize {
        usize::from(self.byte()) << 8 | usize::from(self.byte())
    }

    /// Bytes, as many as a length in front says: below 192 in one byte, below 16384 in two.
    pub fn bytes(&mut self) -> &'a [u8] {
        let first = usize::from(self.byte());
        let len = if first < 192 { first } else { (first - 192) << 8 | usize::from(self.byte()) };
        let (head, rest) = self.rest.split_at(len.min(self.rest.len()));
        self.rest = rest;
        head
    }

    /// Everything that is left.
    pub fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.rest)
    }

    /// Changes `bytes` as an attacker would. Whether they are other bytes than before.
    pub fn mutate(&mut self, bytes: &mut Vec<u8>) -> bool {
        let before = bytes.clone();
        let at = self.uint16() % (bytes.len() + 1);
        match self.byte() % 8 {
            0 => {}
            1 => bytes.truncate(at),
            2 => bytes.splice(at..at, self.bytes().iter().copied()).for_each(drop),
            3 => bytes.extend_from_slice(self.bytes()),
            4 => {
                let end = (at + 4).min(bytes.len());
                let edge = self.one(&EDGES).to_be_bytes();
                bytes.splice(at..end, edge).for_each(drop);
            }
            5 => {
                let end = (at + self.below(64)).min(bytes.len());
                bytes.drain(at..end).for_each(drop);
            }
            6 => {
                let end = (at + self.below(64)).min(bytes.len());
                bytes.extend_from_within(at..end);
            }
            _ => {
                let bit = self.below(8);
                bytes.get_mut(at).into_iter().for_each(|byte| *byte ^= 1 << bit);
            }
        }
        *bytes != before
    }
}
