//! What a file holds: pages, of which those that are all zeros take nothing.
//!
//! So no operation takes longer than the bytes that it is given, or the pages that it lets go; a size is only a number, and
//! a copy shares all pages until one side writes.

use crate::limits::PAGE;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::ops::{Deref, Range};
use std::sync::Arc;

/// This computer has no room for another page. What was being written may have been written in part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NoRoom;

/// A page, which copies share until one of them is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Page(Arc<Vec<u8>>);

impl Page {
    /// One with these bytes, as many as a page has. It is allocated by itself, as only that can fail without ending the
    /// process.
    pub(super) fn new(bytes: &[u8]) -> Result<Page, NoRoom> {
        Page::with(0, bytes)
    }

    /// One of zeros, but for these bytes at a place.
    fn with(start: usize, bytes: &[u8]) -> Result<Page, NoRoom> {
        let mut page = Vec::new();
        page.try_reserve_exact(PAGE).map_err(|_| NoRoom)?;
        page.resize(start.min(PAGE), 0);
        page.extend_from_slice(bytes);
        page.resize(PAGE, 0);
        Ok(Page(Arc::new(page)))
    }

    fn get_mut(&mut self) -> Result<&mut [u8], NoRoom> {
        if Arc::get_mut(&mut self.0).is_none() {
            *self = Page::new(self)?;
        }
        Arc::get_mut(&mut self.0).map(Vec::as_mut_slice).ok_or(NoRoom)
    }
}

impl Deref for Page {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

/// The contents of a file. Two that read the same are equal, and take the same.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Contents {
    size: u64,
    /// By number. None is all zeros, and behind the end all of the last one are.
    pages: BTreeMap<u64, Page>,
}

/// A part of a page.
struct Part {
    page: u64,
    /// Where in the page it is.
    place: Range<usize>,
    /// Where in the bytes that are read or written.
    bytes: Range<usize>,
}

impl Contents {
    /// Contents of `size` bytes with these pages, which [`pages`](Self::pages) has told; nothing where it would tell
    /// others.
    pub(super) fn of(size: u64, pages: BTreeMap<u64, Page>) -> Option<Contents> {
        let are_some = pages.values().all(|page| page.len() == PAGE && !is_zero(page));
        let end = pages.last_key_value().map_or(0, |(last, page)| {
            let used = page.iter().rposition(|byte| *byte != 0).map_or(0, |last| last as u64 + 1);
            last.saturating_mul(PAGE as u64).saturating_add(used)
        });
        (are_some && end <= size).then_some(Contents { size, pages })
    }

    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// Bytes that the pages take.
    pub(super) fn taken(&self) -> u64 {
        self.pages.len() as u64 * PAGE as u64
    }

    /// The pages that are not all zeros.
    pub(super) fn pages(&self) -> &BTreeMap<u64, Page> {
        &self.pages
    }

    /// How many of `most` bytes from an offset on there are.
    pub(super) fn count(&self, offset: u64, most: u64) -> u64 {
        self.size.saturating_sub(offset).min(most)
    }

    /// Copies from an offset on: how much there was.
    pub(super) fn read(&self, offset: u64, into: &mut [u8]) -> usize {
        self.copy(offset, into, |into| into.fill(0))
    }

    /// The same into what is all zeros.
    pub(super) fn read_over_zeros(&self, offset: u64, into: &mut [u8]) -> usize {
        self.copy(offset, into, |_| ())
    }

    /// Copies from an offset on, and has `hole` do the parts that are zeros.
    fn copy(&self, offset: u64, into: &mut [u8], hole: impl Fn(&mut [u8])) -> usize {
        let count = self.count(offset, into.len() as u64) as usize;
        for part in parts(offset, count) {
            let Some(into) = into.get_mut(part.bytes) else { continue };
            match self.pages.get(&part.page).and_then(|page| page.get(part.place)) {
                Some(from) => into.copy_from_slice(from),
                None => hole(into),
            }
        }
        count
    }

    /// Writes at an offset, and over the end, as much as `room` more bytes of pages allow: how much that is.
    pub(super) fn write(&mut self, offset: u64, bytes: &[u8], mut room: u64) -> Result<usize, NoRoom> {
        let mut written = 0;
        for part in parts(offset, bytes.len()) {
            let from = bytes.get(part.bytes.clone()).unwrap_or_default();
            if is_zero(from) {
                self.clear(part.page, part.place)?;
            } else {
                match self.pages.entry(part.page) {
                    Entry::Occupied(mut page) => {
                        if let Some(place) = page.get_mut().get_mut()?.get_mut(part.place) {
                            place.copy_from_slice(from);
                        }
                    }
                    Entry::Vacant(_) if room < PAGE as u64 => break,
                    Entry::Vacant(place) => {
                        place.insert(Page::with(part.place.start, from)?);
                        room -= PAGE as u64;
                    }
                }
            }
            written = part.bytes.end;
            self.size = self.size.max(offset.saturating_add(written as u64));
        }
        Ok(written)
    }

    /// Gives them another size; what they grow by is zeros.
    pub(super) fn resize(&mut self, size: u64) -> Result<(), NoRoom> {
        if size < self.size {
            self.zero(size..self.size)?;
        }
        self.size = size;
        Ok(())
    }

    /// Makes a range zeros, as far as it is in the file.
    pub(super) fn zero(&mut self, range: Range<u64>) -> Result<(), NoRoom> {
        let (start, end) = (range.start, range.end.min(self.size));
        if start >= end {
            return Ok(());
        }
        let page = PAGE as u64;
        let (first, last) = (start / page, end / page);
        let (from, to) = ((start % page) as usize, (end % page) as usize);
        if first == last {
            return self.clear(first, from..to);
        }
        let whole = if from == 0 { first } else { first + 1 };
        self.clear(first, from..PAGE)?;
        self.clear(last, 0..to)?;
        self.pages.extract_if(whole..last, |_, _| true).for_each(drop);
        Ok(())
    }

    /// Forgets so many pages at the beginning: what is behind them moves there.
    pub(super) fn skip_pages(&mut self, count: u64) {
        if count > 0 {
            self.size = self.size.saturating_sub(count.saturating_mul(PAGE as u64));
            let left = std::mem::take(&mut self.pages).into_iter();
            self.pages = left.filter_map(|(number, page)| Some((number.checked_sub(count)?, page))).collect();
        }
    }

    /// Makes a part of a page zeros.
    fn clear(&mut self, page: u64, place: Range<usize>) -> Result<(), NoRoom> {
        let Some(contents) = self.pages.get_mut(&page).filter(|_| !place.is_empty()) else { return Ok(()) };
        let stays = |part: Option<&[u8]>| !is_zero(part.unwrap_or_default());
        if !stays(contents.get(..place.start)) && !stays(contents.get(place.end..)) {
            self.pages.remove(&page);
        } else if let Some(place) = contents.get_mut()?.get_mut(place) {
            place.fill(0);
        }
        Ok(())
    }
}

fn is_zero(bytes: &[u8]) -> bool {
    // Most of what is no zeros shows it soon.
    bytes.chunks(128).all(|chunk| chunk.iter().fold(0, |all, byte| all | byte) == 0)
}

/// The parts of pages that `count` bytes from an offset on are in.
fn parts(offset: u64, count: usize) -> impl Iterator<Item = Part> {
    let mut done = 0;
    std::iter::from_fn(move || {
        if done >= count {
            return None;
        }
        let at = offset.checked_add(done as u64)?;
        let start = (at % PAGE as u64) as usize;
        let size = (PAGE - start).min(count - done);
        let bytes = done..done + size;
        done += size;
        Some(Part { page: at / PAGE as u64, place: start..start + size, bytes })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(Clone, Debug)]
    enum Step {
        Write(u64, Vec<u8>),
        Resize(u64),
        Zero(u64, u64),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let at = || prop_oneof![0_u64..20_000, (0_u64..5).prop_map(|page| page * PAGE as u64)];
        let bytes = (prop_oneof![Just(0_u8), any::<u8>()], 0_usize..9000)
            .prop_map(|(value, size)| std::iter::repeat_n(value, size).collect());
        let step = prop_oneof![
            3 => (at(), bytes).prop_map(|(at, bytes)| Step::Write(at, bytes)),
            1 => at().prop_map(Step::Resize),
            1 => (at(), at()).prop_map(|(start, size)| Step::Zero(start, start + size)),
        ];
        proptest::collection::vec(step, 1..20)
    }

    proptest! {
        #[test]
        fn contents_are_those_of_plain_bytes(steps in steps()) {
            let (mut contents, mut plain) = (Contents::default(), Vec::<u8>::new());
            for step in steps {
                match step {
                    Step::Write(at, bytes) => {
                        prop_assert_eq!(contents.write(at, &bytes, u64::MAX), Ok(bytes.len()));
                        let (at, end) = (at as usize, at as usize + bytes.len());
                        plain.resize(plain.len().max(if bytes.is_empty() { 0 } else { end }), 0);
                        if !bytes.is_empty() {
                            plain[at..end].copy_from_slice(&bytes);
                        }
                    }
                    Step::Resize(size) => {
                        contents.resize(size).unwrap();
                        plain.resize(size as usize, 0);
                    }
                    Step::Zero(start, end) => {
                        contents.zero(start..end).unwrap();
                        let end = plain.len().min(end as usize);
                        if let Some(range) = plain.get_mut(start as usize..end) {
                            range.fill(0);
                        }
                    }
                }
                prop_assert_eq!(contents.size(), plain.len() as u64);
                let mut read = vec![1; plain.len() + 10];
                prop_assert_eq!(contents.read(0, &mut read), plain.len());
                prop_assert_eq!(&read[..plain.len()], &plain[..]);
                let full = plain.chunks(PAGE).filter(|page| !is_zero(page)).count();
                prop_assert_eq!(contents.taken(), (full * PAGE) as u64);
                prop_assert_eq!(Contents::of(contents.size(), contents.pages().clone()), Some(contents.clone()));
            }
        }
    }

    #[test]
    fn a_size_takes_nothing() {
        let mut contents = Contents::default();
        contents.resize(1 << 60).unwrap();
        assert_eq!((contents.size(), contents.taken()), (1 << 60, 0));
        assert_eq!(contents.write(1 << 58, b"\0", 0), Ok(1));
        assert_eq!(contents.write(1 << 59, b"x", PAGE as u64), Ok(1));
        let mut read = [1; 3];
        assert_eq!(contents.read((1 << 59) - 1, &mut read), 3);
        assert_eq!(read, *b"\0x\0");
        contents.zero(0..u64::MAX).unwrap();
        assert_eq!(contents.taken(), 0);
    }

    #[test]
    fn writing_stops_where_the_room_ends() {
        let mut contents = Contents::default();
        let bytes = [1; 3 * PAGE];
        assert_eq!(contents.write(100, &bytes, 2 * PAGE as u64), Ok(2 * PAGE - 100));
        assert_eq!(contents.size(), 2 * PAGE as u64);
        assert_eq!(contents.write(2 * PAGE as u64, &bytes, 0), Ok(0));
        // What is overwritten, and zeros, take no room.
        assert_eq!(contents.write(0, &bytes, 0), Ok(2 * PAGE));
        assert_eq!(contents.write(5 * PAGE as u64, &[0; 10], 0), Ok(10));
    }

    #[test]
    fn a_copy_keeps_what_it_has() {
        let mut contents = Contents::default();
        contents.write(0, b"before", u64::MAX).unwrap();
        let copy = contents.clone();
        contents.write(0, b"after ", u64::MAX).unwrap();
        let mut read = [0; 6];
        copy.read(0, &mut read);
        assert_eq!(&read, b"before");
    }
}
