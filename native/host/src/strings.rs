//! Strings that a program is given: its arguments and its environment.

use crate::encoding::{Counted, DecodeError, Sink};
use crate::failure::Fault;
use crate::limits::{ARGUMENT_BYTES, ARGUMENTS};
use crate::memory::Memory;

/// Strings one behind the other, each with a NUL behind it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Strings {
    count: usize,
    bytes: Vec<u8>,
}

impl Strings {
    /// Of strings without NULs, no more than a program can be given.
    pub(crate) fn new<T: AsRef<[u8]>>(strings: impl IntoIterator<Item = T>) -> Strings {
        let mut all = Strings::default();
        for string in strings {
            all.count += 1;
            all.bytes.extend_from_slice(string.as_ref());
            all.bytes.push(0);
        }
        all
    }

    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// What a program is passed: these behind the ones that `first` consists of, as many as `count`, each with its NUL.
    pub(crate) fn behind<'a>(&'a self, first: &'a [u8], count: usize) -> Vector<'a> {
        Vector { count: count + self.count, first, rest: &self.bytes }
    }

    /// A copy.
    ///
    /// # Errors
    /// [`DecodeError::NoRoom`].
    pub(crate) fn copy(&self) -> Result<Strings, DecodeError> {
        let mut bytes = Vec::new();
        bytes.try_reserve_exact(self.bytes.len()).map_err(|_| DecodeError::NoRoom)?;
        bytes.extend_from_slice(&self.bytes);
        Ok(Strings { count: self.count, bytes })
    }

    /// Of each its size in a `u32`, and its bytes without the NUL.
    pub(crate) fn encode(&self, out: &mut Counted<'_, impl Sink>) {
        for string in self.bytes.split_inclusive(|byte| *byte == 0) {
            let string = string.strip_suffix(b"\0").unwrap_or(string);
            out.u32(string.len() as u32);
            out.put(string);
        }
    }

    /// So many strings, each of which `next` gives.
    ///
    /// # Errors
    /// Those of `next`; [`DecodeError`] where they are more than a program can be given, or have NULs.
    pub(crate) fn decode<'a>(
        count: u32,
        mut next: impl FnMut() -> Result<&'a [u8], &'static str>,
    ) -> Result<Strings, DecodeError> {
        const WRONG: &str = "invalid arguments or environment of a program";

        let mut all = Strings { count: count as usize, bytes: Vec::new() };
        if all.count > ARGUMENTS {
            return Err(WRONG.into());
        }
        for _ in 0..count {
            let string = next()?;
            if string.len() >= ARGUMENT_BYTES.saturating_sub(all.bytes.len()) || string.contains(&0) {
                return Err(WRONG.into());
            }
            all.bytes.try_reserve(string.len() + 1).map_err(|_| DecodeError::NoRoom)?;
            all.bytes.extend_from_slice(string);
            all.bytes.push(0);
        }
        Ok(all)
    }
}

/// Strings as a program is passed them, each with its NUL.
#[derive(Clone, Copy)]
pub(crate) struct Vector<'a> {
    count: usize,
    first: &'a [u8],
    rest: &'a [u8],
}

impl<'a> Vector<'a> {
    /// So many strings, each with its NUL.
    pub(crate) const fn of(count: usize, strings: &'a [u8]) -> Vector<'a> {
        Vector { count, first: strings, rest: b"" }
    }

    pub(crate) fn count(&self) -> u64 {
        self.count as u64
    }

    /// Bytes of all of them.
    pub(crate) fn bytes(&self) -> u64 {
        (self.first.len() + self.rest.len()) as u64
    }

    /// The string that begins behind so many bytes of those before it.
    pub(crate) fn at(&self, position: usize) -> Option<&'a [u8]> {
        let from = match position.checked_sub(self.first.len()) {
            None => self.first.get(position..),
            Some(position) => self.rest.get(position..),
        };
        from?.split_inclusive(|byte| *byte == 0).next()
    }

    /// Writes where each string is, and the strings one behind the other. It is paid for before.
    ///
    /// # Errors
    /// [`Fault::OutOfBounds`], [`Fault::OutOfFuel`]: nothing is written.
    pub(crate) fn put(&self, memory: &mut Memory<'_>, pointers: u64, text: u64) -> Result<(), Fault> {
        let width = memory.width().bytes();
        memory.check(text, self.bytes())?;
        memory.check(pointers, self.count() * width)?;
        memory.pay(self.bytes() + self.count() * width)?;
        let (first, rest) = memory.room(text, self.bytes())?.split_at_mut(self.first.len());
        first.copy_from_slice(self.first);
        rest.copy_from_slice(self.rest);
        let (mut pointer, mut text) = (pointers, text);
        for string in [self.first, self.rest].into_iter().flat_map(|part| part.split_inclusive(|byte| *byte == 0)) {
            let address = text.to_le_bytes();
            let place = memory.room(pointer, width)?;
            place.copy_from_slice(address.get(..place.len()).unwrap_or(&address));
            pointer += width;
            text += string.len() as u64;
        }
        Ok(())
    }
}
