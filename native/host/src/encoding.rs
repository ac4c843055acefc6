//! The host's state as bytes: where they go, and why some are refused.

use crate::limits::PAGE;

/// Why no state is made of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecodeError {
    /// They are not the encoding of a state, and why.
    Invalid(&'static str),
    /// This computer has no room for the state.
    NoRoom,
}

impl From<&'static str> for DecodeError {
    fn from(text: &'static str) -> DecodeError {
        DecodeError::Invalid(text)
    }
}

/// Takes bytes, one part after the other.
pub(crate) trait Sink {
    fn put(&mut self, bytes: &[u8]);
}

impl Sink for Vec<u8> {
    fn put(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

/// A sink that counts what goes there. Numbers go little endian.
pub(crate) struct Counted<'a, S> {
    sink: &'a mut S,
    size: usize,
}

impl<'a, S: Sink> Counted<'a, S> {
    pub(crate) fn new(sink: &'a mut S) -> Counted<'a, S> {
        Counted { sink, size: 0 }
    }

    pub(crate) fn u16(&mut self, number: u16) {
        self.put(&number.to_le_bytes());
    }

    pub(crate) fn u32(&mut self, number: u32) {
        self.put(&number.to_le_bytes());
    }

    pub(crate) fn u64(&mut self, number: u64) {
        self.put(&number.to_le_bytes());
    }

    /// Zeros up to the next multiple of a size.
    pub(crate) fn pad(&mut self, multiple: usize) {
        const ZEROS: [u8; PAGE] = [0; PAGE];

        let mut missing = self.size.next_multiple_of(multiple) - self.size;
        while missing > 0 {
            let zeros = ZEROS.get(..missing).unwrap_or(&ZEROS);
            self.put(zeros);
            missing -= zeros.len();
        }
    }
}

impl<S: Sink> Sink for Counted<'_, S> {
    fn put(&mut self, bytes: &[u8]) {
        self.sink.put(bytes);
        self.size += bytes.len();
    }
}

/// A sink that knows what should come.
pub(crate) struct Expected<'a> {
    rest: &'a [u8],
    is_other: bool,
}

impl<'a> Expected<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Expected<'a> {
        Expected { rest: bytes, is_other: false }
    }

    /// Whether that has come, and nothing else.
    pub(crate) fn is_met(&self) -> bool {
        !self.is_other && self.rest.is_empty()
    }
}

impl Sink for Expected<'_> {
    fn put(&mut self, bytes: &[u8]) {
        match self.rest.strip_prefix(bytes) {
            Some(rest) => self.rest = rest,
            None => self.is_other = true,
        }
    }
}
