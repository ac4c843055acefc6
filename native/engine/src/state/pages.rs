//! Memories page by page: what is zeros, or there already, is not written.

use crate::error::Error;
use crate::ranges::merged;
use hb_wasm64_snapshot::{Cancellation, PAGE};
use std::collections::TryReserveError;
use std::ops::Range;

/// Puts pages to their place in the memory of a fresh instance, which is zeros outside of `initial`; `start` is where the
/// place is. A page that is there already is not written, and so stays shared with other instances.
///
/// # Errors
/// [`Error::Cancelled`].
pub(super) fn put_pages(
    place: &mut [u8],
    pages: &[u8],
    start: usize,
    initial: &[Range<usize>],
    cancellation: Cancellation,
) -> Result<(), Error> {
    let mut at = start;
    for (place, page) in place.chunks_mut(PAGE).zip(pages.chunks(PAGE)) {
        cancellation.check()?;
        let first = initial.partition_point(|range| range.end <= at);
        let is_initial = initial.get(first).is_some_and(|range| range.start < at + PAGE);
        at += PAGE;
        // Reading a page that nobody has touched costs as much as a look at what is to be put there.
        let differs = if is_initial { *place != *page } else { page.iter().fold(0, |all, byte| all | byte) != 0 };
        if differs {
            place.copy_from_slice(page);
        }
    }
    Ok(())
}

/// Makes `raw` all of a memory, with zeros behind it. Outside of `initial` that memory is zeros.
///
/// # Errors
/// [`Error::Cancelled`]; the memory is neither what it was nor what it should be then.
pub(super) fn put_raw(
    memory: &mut [u8],
    raw: &[u8],
    initial: &[Range<usize>],
    cancellation: Cancellation,
) -> Result<(), Error> {
    for range in initial {
        if let Some(behind) = memory.get_mut(range.start.max(raw.len()).min(range.end)..range.end) {
            clear(behind, cancellation)?;
        }
    }
    let (whole, last) = raw.split_at(raw.len() / PAGE * PAGE);
    put_pages(memory, whole, 0, initial, cancellation)?;
    if let Some(place) = memory.get_mut(whole.len()..raw.len()) {
        place.copy_from_slice(last);
    }
    Ok(())
}

/// Makes `from`, which is zeros outside of `candidates`, all of a memory that is zeros outside of `initial` and at least as large,
/// with zeros behind it.
///
/// # Errors
/// [`Error::Cancelled`]; the memory is neither what it was nor what it should be then.
pub(super) fn put_memory(
    memory: &mut [u8],
    from: &[u8],
    candidates: &[Range<usize>],
    initial: &[Range<usize>],
    cancellation: Cancellation,
) -> Result<(), Error> {
    let mut at = 0;
    let ends = std::iter::once(memory.len()..memory.len());
    for range in candidates.iter().cloned().chain(ends) {
        let (start, end) = (range.start / PAGE * PAGE, range.end.max(at));
        // What is between two of them holds zeros.
        for gap in initial.iter().skip_while(|gap| gap.end <= at).take_while(|gap| gap.start < start) {
            let gap = gap.start.max(at)..gap.end.min(start);
            clear(memory.get_mut(gap).unwrap_or_default(), cancellation)?;
        }
        let pages = from.get(start..end.min(from.len())).unwrap_or_default();
        put_pages(memory.get_mut(start..end).unwrap_or_default(), pages, start, initial, cancellation)?;
        at = end;
    }
    Ok(())
}

/// Zeros memory without writing to pages that are zero already: they may be shared with other instances.
fn clear(memory: &mut [u8], cancellation: Cancellation) -> Result<(), Error> {
    for page in memory.chunks_mut(PAGE) {
        cancellation.check()?;
        if page.iter().fold(0, |all, byte| all | byte) != 0 {
            page.fill(0);
        }
    }
    Ok(())
}

/// Copies a memory that is zeros outside of `initial`. What is not in there is not read: a page that nobody has touched has
/// no memory of its own yet, and would be given some.
///
/// # Errors
/// [`Error::Cancelled`].
pub(super) fn copy(
    memory: &[u8],
    out: &mut [u8],
    initial: &[Range<usize>],
    cancellation: Cancellation,
) -> Result<(), Error> {
    const PIECE: usize = 1 << 20;

    let mut at = 0;
    let ends = std::iter::once(memory.len()..memory.len());
    for Range { start, end } in initial.iter().cloned().chain(ends) {
        for piece in out.get_mut(at..start).unwrap_or_default().chunks_mut(PIECE) {
            cancellation.check()?;
            piece.fill(0);
        }
        let (from, to) = (memory.get(start..end), out.get_mut(start..end));
        for (piece, from) in to.unwrap_or_default().chunks_mut(PIECE).zip(from.unwrap_or_default().chunks(PIECE)) {
            cancellation.check()?;
            piece.copy_from_slice(from);
        }
        at = end;
    }
    Ok(())
}

pub(super) fn whole(bytes: usize) -> Vec<Range<usize>> {
    if bytes == 0 { Vec::new() } else { std::iter::once(0..bytes).collect() }
}

/// Both lists of ranges as one, ascending, in which none touch.
///
/// # Errors
/// Where there is no room for it.
pub(super) fn union(mut one: Vec<Range<usize>>, other: &[Range<usize>]) -> Result<Vec<Range<usize>>, TryReserveError> {
    one.try_reserve(other.len())?;
    one.extend_from_slice(other);
    Ok(merged(one))
}
