//! SSH data types (RFC 4251, section 5). Reading borrows and checks every length before use;
//! nothing is allocated for what a peer merely claims.

/// The input ended early, or a value is outside what this door accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("malformed message")]
pub struct Malformed;

/// Reads SSH data types from a slice.
#[derive(Debug, Clone, Copy)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Reads from the start of `bytes`.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// What is still unread.
    #[must_use]
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Exactly `n` bytes.
    ///
    /// # Errors
    /// Fewer are left.
    pub fn bytes(&mut self, n: usize) -> Result<&'a [u8], Malformed> {
        let (head, tail) = self.rest.split_at_checked(n).ok_or(Malformed)?;
        self.rest = tail;
        Ok(head)
    }

    /// A `byte`.
    ///
    /// # Errors
    /// Nothing is left.
    pub fn byte(&mut self) -> Result<u8, Malformed> {
        Ok(self.bytes(1)?[0])
    }

    /// A `boolean`: any non-zero value is true.
    ///
    /// # Errors
    /// Nothing is left.
    pub fn boolean(&mut self) -> Result<bool, Malformed> {
        Ok(self.byte()? != 0)
    }

    /// A `uint32`.
    ///
    /// # Errors
    /// Fewer than four bytes are left.
    pub fn uint32(&mut self) -> Result<u32, Malformed> {
        let bytes = self.bytes(4)?.try_into().map_err(|_| Malformed)?;
        Ok(u32::from_be_bytes(bytes))
    }

    /// A `uint64`.
    ///
    /// # Errors
    /// Fewer than eight bytes are left.
    pub fn uint64(&mut self) -> Result<u64, Malformed> {
        let bytes = self.bytes(8)?.try_into().map_err(|_| Malformed)?;
        Ok(u64::from_be_bytes(bytes))
    }

    /// A `string`.
    ///
    /// # Errors
    /// The input is shorter than the length says.
    pub fn string(&mut self) -> Result<&'a [u8], Malformed> {
        let len = usize::try_from(self.uint32()?).map_err(|_| Malformed)?;
        self.bytes(len)
    }

    /// A `string` that must be UTF-8.
    ///
    /// # Errors
    /// As [`Self::string`], or it is not UTF-8.
    pub fn text(&mut self) -> Result<&'a str, Malformed> {
        std::str::from_utf8(self.string()?).map_err(|_| Malformed)
    }

    /// A non-negative `mpint`, as big-endian bytes without leading zeros.
    ///
    /// # Errors
    /// It is negative or not in the shortest form.
    pub fn mpint(&mut self) -> Result<&'a [u8], Malformed> {
        match self.string()? {
            [0, rest @ ..] if rest.first().is_some_and(|b| b & 0x80 != 0) => Ok(rest),
            [b, ..] if *b == 0 || b & 0x80 != 0 => Err(Malformed),
            bytes => Ok(bytes),
        }
    }

    /// Nothing may follow.
    ///
    /// # Errors
    /// Something does.
    pub fn end(self) -> Result<(), Malformed> {
        if self.rest.is_empty() { Ok(()) } else { Err(Malformed) }
    }
}

/// Writes SSH data types to the end of a buffer.
pub trait Write {
    /// A `byte`.
    fn put_byte(&mut self, value: u8);
    /// A `boolean`.
    fn put_boolean(&mut self, value: bool);
    /// A `uint32`.
    fn put_uint32(&mut self, value: u32);
    /// A `uint64`.
    fn put_uint64(&mut self, value: u64);
    /// A `string`.
    fn put_string(&mut self, value: &[u8]);
    /// A non-negative `mpint` from big-endian bytes.
    fn put_mpint(&mut self, value: &[u8]);
}

impl Write for Vec<u8> {
    fn put_byte(&mut self, value: u8) {
        self.push(value);
    }

    fn put_boolean(&mut self, value: bool) {
        self.push(u8::from(value));
    }

    fn put_uint32(&mut self, value: u32) {
        self.extend_from_slice(&value.to_be_bytes());
    }

    fn put_uint64(&mut self, value: u64) {
        self.extend_from_slice(&value.to_be_bytes());
    }

    fn put_string(&mut self, value: &[u8]) {
        // Everything we write is bounded far below 4 GiB; saturating keeps a bug visible.
        self.put_uint32(u32::try_from(value.len()).unwrap_or(u32::MAX));
        self.extend_from_slice(value);
    }

    fn put_mpint(&mut self, value: &[u8]) {
        let start = value.iter().position(|b| *b != 0).unwrap_or(value.len());
        let value = &value[start..];
        let pad = value.first().is_some_and(|b| b & 0x80 != 0);
        self.put_uint32(u32::try_from(value.len() + usize::from(pad)).unwrap_or(u32::MAX));
        if pad {
            self.push(0);
        }
        self.extend_from_slice(value);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn strings_and_numbers_round_trip(a: u8, b: u32, c: u64, s: Vec<u8>, rest: Vec<u8>) {
            let mut out = Vec::new();
            out.put_byte(a);
            out.put_uint32(b);
            out.put_uint64(c);
            out.put_string(&s);
            out.extend_from_slice(&rest);
            let mut r = Reader::new(&out);
            prop_assert_eq!(r.byte(), Ok(a));
            prop_assert_eq!(r.uint32(), Ok(b));
            prop_assert_eq!(r.uint64(), Ok(c));
            prop_assert_eq!(r.string(), Ok(&s[..]));
            prop_assert_eq!(r.rest(), &rest[..]);
        }

        #[test]
        fn any_input_is_read_or_refused(bytes: Vec<u8>) {
            let mut r = Reader::new(&bytes);
            while r.string().is_ok() {}
            let mut r = Reader::new(&bytes);
            while r.mpint().is_ok() {}
        }
    }

    #[test]
    fn mpints_are_in_shortest_form() {
        // Examples of RFC 4251, section 5.
        let mut out = Vec::new();
        out.put_mpint(&[]);
        assert_eq!(out, [0, 0, 0, 0]);
        out.clear();
        out.put_mpint(&[0, 0, 0x80]);
        assert_eq!(out, [0, 0, 0, 2, 0, 0x80]);
        assert_eq!(Reader::new(&out).mpint(), Ok(&[0x80][..]));
        for bad in [&[0, 0, 0, 1, 0x80][..], &[0, 0, 0, 2, 0, 0x7f], &[0, 0, 0, 1, 0]] {
            assert_eq!(Reader::new(bad).mpint(), Err(Malformed));
        }
    }

    #[test]
    fn the_examples_of_rfc_4251_are_written_and_read_as_they_stand() {
        for (value, wire) in [
            (&b""[..], &b"\0\0\0\0"[..]),
            (b"\x09\xa3\x78\xf9\xb2\xe3\x32\xa7", b"\0\0\0\x08\x09\xa3\x78\xf9\xb2\xe3\x32\xa7"),
            (b"\x80", b"\0\0\0\x02\0\x80"),
        ] {
            let mut out = Vec::new();
            out.put_mpint(value);
            assert_eq!(out, wire);
            assert_eq!(Reader::new(wire).mpint(), Ok(value));
        }
        // Negative numbers, which SSH never has to read, are refused: -1234 and -deadbeef.
        for negative in [&b"\0\0\0\x02\xed\xcc"[..], b"\0\0\0\x05\xff\x21\x52\x41\x11"] {
            assert_eq!(Reader::new(negative).mpint(), Err(Malformed));
        }
        let mut out = Vec::new();
        out.put_uint32(699_921_578);
        out.put_string(b"testing");
        assert_eq!(out, b"\x29\xb7\xf4\xaa\0\0\0\x07testing");
    }

    #[test]
    fn booleans_are_written_as_0_and_1_and_any_other_value_is_true() {
        let mut out = Vec::new();
        out.put_boolean(false);
        out.put_boolean(true);
        assert_eq!(out, [0, 1]);
        for byte in 0..=255 {
            assert_eq!(Reader::new(&[byte]).boolean(), Ok(byte != 0));
        }
        assert_eq!(Reader::new(b"\0\0\0\x01\xff").text(), Err(Malformed), "text is UTF-8");
    }

    #[test]
    fn a_claimed_length_is_not_believed() {
        assert_eq!(Reader::new(&[0xff; 8]).string(), Err(Malformed));
    }
}
