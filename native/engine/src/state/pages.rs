//! Memories page by page: what is zeros, or there already, is not written.

use crate::ranges::merged;
use crate::snapshot::PAGE;
use std::ops::Range;

/// Puts pages to their place in the memory of a fresh instance, which is zeros outside of `initial`; `start` is where the
/// place is. A page that is there already is not written, and so stays shared with other instances.
pub(super) fn put_pages(place: &mut [u8], pages: &[u8], start: usize, initial: &[Range<usize>]) {
    let mut at = start;
    for (place, page) in place.chunks_mut(PAGE).zip(pages.chunks(PAGE)) {
        let first = initial.partition_point(|range| range.end <= at);
        let is_initial = initial.get(first).is_some_and(|range| range.start < at + PAGE);
        at += PAGE;
        // Reading a page that nobody has touched costs as much as a look at what is to be put there.
        let differs = if is_initial { *place != *page } else { page.iter().fold(0, |all, byte| all | byte) != 0 };
        if differs {
            place.copy_from_slice(page);
        }
    }
}

/// Makes `raw` the memory of a fresh instance, with zeros behind it. Outside of `initial` that memory is zeros.
pub(super) fn put_raw(memory: &mut [u8], raw: &[u8], initial: &[Range<usize>]) {
    for range in initial {
        if let Some(behind) = memory.get_mut(range.start.max(raw.len()).min(range.end)..range.end) {
            behind.fill(0);
        }
    }
    let (whole, last) = raw.split_at(raw.len() / PAGE * PAGE);
    put_pages(memory, whole, 0, initial);
    if let Some(place) = memory.get_mut(whole.len()..raw.len()) {
        place.copy_from_slice(last);
    }
}

pub(super) fn whole(bytes: usize) -> Vec<Range<usize>> {
    if bytes == 0 { Vec::new() } else { std::iter::once(0..bytes).collect() }
}

/// Both lists of ranges as one, ascending, in which none touch.
pub(super) fn union(one: Vec<Range<usize>>, other: &[Range<usize>]) -> Vec<Range<usize>> {
    merged([one.as_slice(), other].concat())
}
