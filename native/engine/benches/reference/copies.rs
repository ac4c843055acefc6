//! The least that reading and writing memory can cost.

use crate::Result;
use std::collections::BTreeMap;
use std::hint::black_box;
use std::sync::Arc;

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

/// Into a file in memory that is made anew, in pieces of a page: what there is to do for each with no guest around.
pub fn pages(from: &[u8]) -> Result<usize> {
    const PAGE: usize = 4096;

    let (mut file, mut written) = (BTreeMap::new(), 0);
    for (number, piece) in from.chunks(PAGE).enumerate() {
        let piece = black_box(piece);
        // Pages of zeros are left out.
        if piece.iter().fold(0, |all, byte| all | byte) != 0 {
            let mut page = Vec::with_capacity(PAGE);
            page.extend_from_slice(piece);
            file.insert(number, Arc::new(page));
        }
        written += piece.len();
    }
    black_box(file);
    Ok(written)
}
