//! What a function of the host is given.

use crate::memory::Memory;
use crate::state::State;

/// What a function of the host works on.
pub(crate) struct HostCtx<'a> {
    pub(crate) memory: Memory<'a>,
    pub(crate) state: &'a mut State,
    /// The caller's clock: milliseconds since 1970.
    pub(crate) now: u64,
}

/// The arguments of a call, each 64 bits wide: an `i32` with its sign extended, a pointer with zeros, a float as bits.
#[derive(Clone, Copy)]
pub(crate) struct Args<'a>(pub(crate) &'a [u64]);

impl Args<'_> {
    /// An argument; the shape of the function says how many there are.
    fn at(&self, index: usize) -> u64 {
        self.0.get(index).copied().unwrap_or_default()
    }

    pub(crate) fn int(&self, index: usize) -> i32 {
        self.at(index) as i32
    }

    pub(crate) fn wide(&self, index: usize) -> i64 {
        self.at(index) as i64
    }

    pub(crate) fn pointer(&self, index: usize) -> u64 {
        self.at(index)
    }
}

/// The result of a function that gives an `i32`.
pub(crate) fn int(value: i32) -> u64 {
    i64::from(value) as u64
}
