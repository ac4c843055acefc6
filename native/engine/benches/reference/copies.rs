//! The least that reading and writing memory can cost.

use crate::Result;
use std::hint::black_box;

pub fn source(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|index| index as u8).collect()
}

/// Into a buffer that is made for it, as each read makes a binary.
pub fn fresh(from: &[u8]) -> Result<()> {
    let mut to = Vec::with_capacity(from.len());
    to.extend_from_slice(black_box(from));
    black_box(to);
    Ok(())
}

/// Into a buffer that is there, as a memory is.
pub fn over(from: &[u8], to: &mut [u8]) -> Result<()> {
    to.copy_from_slice(black_box(from));
    black_box(to);
    Ok(())
}
