//! C++ exceptions: which is thrown, and which are caught.

use crate::encoding::{DecodeError, Sink};
use crate::failure::Fault;
use crate::limits::CAUGHT_EXCEPTIONS;

/// What is thrown and caught.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Exceptions {
    /// The exception that was thrown last and is on its way; 0 where there is none.
    pub(crate) last: u64,
    /// The ones that handlers are at work on, the innermost last.
    pub(crate) caught: Vec<u64>,
    /// How many are thrown and not caught yet.
    pub(crate) uncaught: i32,
}

impl Exceptions {
    /// Where they stand before a call.
    pub(crate) fn mark(&self) -> Mark {
        Mark { last: self.last, caught: self.caught.len(), uncaught: self.uncaught }
    }

    /// Forgets what a call has left that ended in the middle.
    pub(crate) fn back_to(&mut self, mark: Mark) {
        self.caught.truncate(mark.caught);
        (self.last, self.uncaught) = (mark.last, mark.uncaught);
    }

    /// A copy.
    ///
    /// # Errors
    /// [`DecodeError::NoRoom`].
    pub(crate) fn copy(&self) -> Result<Exceptions, DecodeError> {
        let mut caught = Vec::new();
        caught.try_reserve_exact(self.caught.len()).map_err(|_| DecodeError::NoRoom)?;
        caught.extend_from_slice(&self.caught);
        Ok(Exceptions { last: self.last, caught, uncaught: self.uncaught })
    }

    pub(crate) fn encoded_size(&self) -> usize {
        12 + 8 * self.caught.len()
    }

    pub(crate) fn encode(&self, into: &mut impl Sink) {
        into.put(&self.last.to_le_bytes());
        into.put(&self.uncaught.to_le_bytes());
        self.caught.iter().for_each(|pointer| into.put(&pointer.to_le_bytes()));
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Exceptions, DecodeError> {
        const WRONG: &str = "the exceptions of the host are cut off";
        let (last, rest) = bytes.split_first_chunk().ok_or(WRONG)?;
        let (uncaught, rest) = rest.split_first_chunk().ok_or(WRONG)?;
        if rest.len() / 8 > CAUGHT_EXCEPTIONS {
            return Err("more exceptions are caught than can be".into());
        }
        let mut caught = Vec::new();
        caught.try_reserve_exact(rest.len() / 8).map_err(|_| DecodeError::NoRoom)?;
        for bytes in rest.chunks(8) {
            caught.push(u64::from_le_bytes(bytes.try_into().map_err(|_| WRONG)?));
        }
        Ok(Exceptions { last: u64::from_le_bytes(*last), uncaught: i32::from_le_bytes(*uncaught), caught })
    }

    pub(crate) fn catch(&mut self, pointer: u64) -> Result<(), Fault> {
        if self.caught.len() >= CAUGHT_EXCEPTIONS {
            return Err(Fault::Abort("too many exceptions are caught".into()));
        }
        self.caught.try_reserve(1).map_err(|_| Fault::OutOfMemory)?;
        self.caught.push(pointer);
        Ok(())
    }
}

/// What was thrown and caught before a call.
#[derive(Clone, Copy, Default)]
pub struct Mark {
    last: u64,
    caught: usize,
    uncaught: i32,
}
