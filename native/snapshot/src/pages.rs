//! Memories as pages: which to look at, and which are zero.

use crate::PAGE;
use crate::error::{Result, SnapshotError};
use std::ops::Range;

/// The pages that some ranges of bytes touch, each once, ascending.
pub(crate) struct Touched<'a> {
    ranges: std::slice::Iter<'a, Range<usize>>,
    next: usize,
    end: usize,
}

/// Checks the ranges, which must be ascending and within `length` bytes; they may overlap.
pub(crate) fn touched(ranges: &[Range<usize>], length: usize) -> Result<Touched<'_>> {
    let ascending = ranges.is_sorted_by_key(|range| range.start);
    if !ascending || ranges.iter().any(|range| range.start > range.end || range.end > length) {
        return Err(SnapshotError::Unencodable("ranges of a memory are not ascending, or not within it"));
    }
    Ok(Touched { ranges: ranges.iter(), next: 0, end: 0 })
}

impl Iterator for Touched<'_> {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        while self.next >= self.end {
            let range = self.ranges.by_ref().find(|range| !range.is_empty())?;
            self.next = self.next.max(range.start / PAGE);
            self.end = self.end.max(range.end.div_ceil(PAGE));
        }
        let page = self.next;
        self.next = page.saturating_add(1);
        Some(page)
    }
}

/// Whole words without a branch, so that the compiler makes vectors of them; a branch after each block, so that a page
/// that holds something is soon known.
pub(crate) fn is_zero(page: &[u8; PAGE]) -> bool {
    let (blocks, _) = page.as_chunks::<256>();
    blocks.iter().all(|block| {
        let (words, _) = block.as_chunks::<8>();
        words.iter().fold(0, |all, word| all | u64::from_ne_bytes(*word)) == 0
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pages(ranges: &[Range<usize>]) -> Vec<usize> {
        touched(ranges, 16 * PAGE).unwrap().collect()
    }

    #[test]
    fn every_page_that_a_range_touches_is_named_once() {
        assert!(pages(&[]).is_empty());
        assert_eq!(pages(&[5..5, 4095..4097, 4097..4098, 8191..8192]), [0, 1]);
        assert_eq!(pages(&[0..3 * PAGE, PAGE..2 * PAGE, PAGE + 1..4 * PAGE, 9 * PAGE..16 * PAGE - 1]), {
            let mut wanted: Vec<usize> = (0..4).collect();
            wanted.extend(9..16);
            wanted
        });
    }

    #[test]
    fn ranges_out_of_order_or_out_of_the_memory_are_refused() {
        let wrong: [&[Range<usize>]; 3] =
            [&[8..9, 7..9], std::slice::from_ref(&(0..65_537)), &[Range { start: 2, end: 1 }]];
        assert!(wrong.iter().all(|ranges| touched(ranges, 65_536).is_err()));
    }

    #[test]
    fn one_bit_anywhere_makes_a_page_differ_from_zero() {
        let mut page = [0; PAGE];
        assert!(is_zero(&page));
        for at in 0..PAGE {
            page[at] = 0x10;
            assert!(!is_zero(&page), "{at}");
            page[at] = 0;
        }
    }
}
