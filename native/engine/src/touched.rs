//! Which pages of a memory have been written.
//!
//! A linear memory starts as zeros and a copy-on-write mapping of the image's data, and most of it is never written. The
//! kernel knows which pages are: asking it costs microseconds where looking at every byte costs milliseconds, and makes
//! pages present that were not. The answer only says where to look; what is there decides.

use std::collections::TryReserveError;
use std::ops::Range;

/// The ranges of `memory` that may differ from what it started as, in bytes, ascending. All of it where the host does not
/// tell.
///
/// # Errors
/// Where there is no room for them: a guest that writes every other page makes as many as there can be.
pub(crate) fn touched(memory: &[u8]) -> Result<Vec<Range<usize>>, TryReserveError> {
    #[cfg(target_os = "linux")]
    if let Some(ranges) = linux::touched(memory)? {
        return Ok(ranges);
    }
    Ok(if memory.is_empty() { Vec::new() } else { std::iter::once(0..memory.len()).collect() })
}

#[cfg(target_os = "linux")]
mod linux {
    use hb_wasm64_snapshot::room;
    use once_cell::sync::Lazy;
    use std::collections::TryReserveError;
    use std::fs::File;
    use std::ops::Range;
    use std::os::unix::fs::FileExt;

    /// An entry of `/proc/self/pagemap`, see the kernel's `Documentation/admin-guide/mm/pagemap.rst`.
    const ENTRY_BYTES: usize = 8;
    const PRESENT: u64 = 1 << 63;
    const SWAPPED: u64 = 1 << 62;
    /// The page is one of a file, or shared: it is the image's own and was not written.
    const FILE: u64 = 1 << 61;

    /// Entries read at a time: a MiB of them stands for 512 MiB of memory.
    const ENTRIES: usize = 1 << 17;

    /// Whether the kernel tells what it should. A sandbox that shows something else under this name would make snapshots
    /// lose what was written: so a page is written, and looked for.
    static TELLS: Lazy<bool> = Lazy::new(|| {
        let page = rustix::param::page_size();
        let mut memory = vec![0_u8; 4 * page];
        let start = memory.as_ptr().align_offset(page);
        let Some(probe) = memory.get_mut(start..start + 2 * page) else { return false };
        probe.fill(1);
        let whole = 0..2 * page;
        let tells =
            read(probe).ok().flatten().is_some_and(|ranges| matches!(ranges.as_slice(), [only] if *only == whole));
        if !tells {
            log::info!("the kernel does not tell which pages were written; snapshots look at all of them");
        }
        tells
    });

    /// `None` where the kernel does not tell.
    pub(super) fn touched(memory: &[u8]) -> Result<Option<Vec<Range<usize>>>, TryReserveError> {
        if *TELLS { read(memory) } else { Ok(None) }
    }

    fn read(memory: &[u8]) -> Result<Option<Vec<Range<usize>>>, TryReserveError> {
        let page = rustix::param::page_size();
        let start = memory.as_ptr() as usize;
        if !start.is_multiple_of(page) || memory.is_empty() {
            return Ok(None);
        }
        let Ok(pagemap) = File::open("/proc/self/pagemap") else { return Ok(None) };
        let pages = memory.len().div_ceil(page);
        let mut entries = room::zeros(ENTRY_BYTES * pages.min(ENTRIES))?;
        let mut ranges: Vec<Range<usize>> = Vec::new();
        let mut first = 0;
        while first < pages {
            let count = (pages - first).min(ENTRIES);
            let at = ((start / page + first) * ENTRY_BYTES) as u64;
            let Some(chunk) = entries.get_mut(..count * ENTRY_BYTES) else { return Ok(None) };
            if pagemap.read_exact_at(chunk, at).is_err() {
                return Ok(None);
            }
            for (index, entry) in chunk.as_chunks::<ENTRY_BYTES>().0.iter().enumerate() {
                let entry = u64::from_ne_bytes(*entry);
                if entry & (PRESENT | SWAPPED) == 0 || entry & FILE != 0 {
                    continue;
                }
                let begin = (first + index) * page;
                let end = (begin + page).min(memory.len());
                match ranges.last_mut() {
                    Some(last) if last.end == begin => last.end = end,
                    _ => room::push(&mut ranges, begin..end)?,
                }
            }
            first += count;
        }
        Ok(Some(ranges))
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        /// Larger than what any allocator keeps for itself: mapped anew, so zeros that nobody has touched.
        #[test]
        fn what_was_written_is_found_and_what_was_not_is_left_out() {
            let page = rustix::param::page_size();
            let mut memory = vec![0_u8; 40_000 * page];
            let offset = memory.as_ptr().align_offset(page);
            let memory = &mut memory[offset..offset + 39_000 * page];
            for index in [0, 7, 8, 1234, 38_999] {
                memory[index * page + 5] = 1;
            }
            let ranges = touched(memory).unwrap().expect("a kernel that tells");
            for index in [0, 7, 8, 1234, 38_999] {
                let at = index * page + 5;
                assert!(ranges.iter().any(|range| range.contains(&at)), "page {index} in {ranges:?}");
            }
            let bytes: usize = ranges.iter().map(ExactSizeIterator::len).sum();
            assert!(bytes < memory.len() / 2, "{bytes} bytes");
        }

        #[test]
        fn a_memory_that_starts_within_a_page_is_not_told() {
            let memory = vec![1_u8; 10 * rustix::param::page_size()];
            let offset = memory.as_ptr().align_offset(rustix::param::page_size());
            assert_eq!(touched(&memory[offset + 1..]), Ok(None));
        }
    }
}
