//! What a program prints, on its way to somebody who gets it while the program runs.

use crate::limits::STREAM_BYTES;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A stream that a program prints to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standard {
    /// Standard output.
    Output,
    /// Error output.
    Errors,
}

/// This computer has no room for what is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NoRoom;

/// Bytes that have been printed and not been taken yet. It is locked only to add or to take some.
#[derive(Debug, Default)]
pub struct Stream(Mutex<Printed>);

#[derive(Debug, Default)]
struct Printed {
    /// In the order in which it was printed.
    parts: Vec<(Standard, Vec<u8>)>,
    bytes: usize,
}

impl Stream {
    pub(crate) fn print(&self, to: Standard, bytes: &[u8]) -> Result<(), NoRoom> {
        let mut printed = self.lock();
        let is_same = printed.parts.last().is_some_and(|(last, _)| *last == to);
        if !is_same {
            printed.parts.try_reserve(1).map_err(|_| NoRoom)?;
            printed.parts.push((to, Vec::new()));
        }
        if let Some((_, part)) = printed.parts.last_mut() {
            part.try_reserve(bytes.len()).map_err(|_| NoRoom)?;
            part.extend_from_slice(bytes);
        }
        printed.bytes = printed.bytes.saturating_add(bytes.len());
        Ok(())
    }

    /// Whether the program has to wait until some of it has been taken.
    pub(crate) fn is_full(&self) -> bool {
        self.lock().bytes >= STREAM_BYTES
    }

    /// Takes all of it, in the order in which it was printed.
    pub fn take(&self) -> Vec<(Standard, Vec<u8>)> {
        std::mem::take(&mut *self.lock()).parts
    }

    fn lock(&self) -> MutexGuard<'_, Printed> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
