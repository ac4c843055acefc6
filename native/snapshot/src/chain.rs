//! From files to a state: a full snapshot, the deltas after it, and what comes of them.

use crate::decode::Snapshot;
use crate::error::{Result, SnapshotError};
use crate::layout::{IdHasher, PageEntry, PageHash, WHOLE, ZEROED};
use crate::pages::{is_zero, touched};
use crate::records::{File, InOrder, PageRef, Place, Record};
use crate::{Cancellation, Hash, PAGE, Skeleton, StateId, room};
use std::ops::Range;
use std::sync::Arc;

/// A state, spread over the files of a chain. It borrows their bytes and copies none of their pages.
pub struct Resolved<'a> {
    image: Hash,
    id: StateId,
    partial: bool,
    skeleton: Arc<Skeleton>,
    skeleton_bytes: &'a [u8],
    files: Vec<File<'a>>,
    memories: Vec<Vec<PageRef<'a>>>,
    /// What the patches among the records are patches of.
    under: Vec<Record>,
    cancellation: Cancellation<'a>,
}

/// Puts a chain together: a snapshot that stands by itself, then deltas, each made against the state before it.
///
/// # Errors
/// [`SnapshotError`] says which files do not belong together, or that the state is not the one named by the last. Here and
/// in everything that is done with the state [`SnapshotError::Cancelled`] once `cancellation` says so.
pub fn resolve<'a>(chain: &[Snapshot<'a>], cancellation: Cancellation<'a>) -> Result<Resolved<'a>> {
    let last = chain.last().ok_or(SnapshotError::NoSnapshot)?;
    let mut memories: Vec<Vec<PageRef<'a>>> =
        room::empty(chain.iter().map(|file| file.tables.len()).max().unwrap_or(0))?;
    let mut under = Vec::new();
    for (number, snapshot) in chain.iter().enumerate() {
        let before = number.checked_sub(1).and_then(|before| chain.get(before));
        check_order(before, snapshot)?;
        let sizes = snapshot.skeleton.memories.iter();
        let mut start = 0;
        // A memory that the base lacks had nothing but zeros, and one that the delta lacks is gone.
        memories.resize_with(snapshot.tables.len(), Vec::new);
        for (memory, ((pages, entries), size)) in memories.iter_mut().zip(&snapshot.tables).zip(sizes).enumerate() {
            let before = std::mem::take(pages);
            let end = size / PAGE as u64;
            let at = At { file: number, start: &mut start, under: &mut under };
            *pages = overlay(before, entries, end, at, memory, cancellation)?;
        }
    }
    let (image, partial) = (*last.image(), last.is_partial());
    let mut id = IdHasher::new(partial, &image, last.skeleton_bytes);
    for (memory, pages) in memories.iter().enumerate() {
        for page in pages {
            cancellation.check()?;
            id.page(memory, page.page, page.hash);
        }
    }
    let id = id.finish();
    if id != *last.id() {
        return Err(SnapshotError::OtherState);
    }
    let file = |file: &Snapshot<'a>| File { data: file.data, compressed: file.is_compressed(), plain: file.plain };
    let mut files = room::empty(chain.len())?;
    files.extend(chain.iter().map(file));
    let (skeleton, skeleton_bytes) = (last.skeleton.clone(), last.skeleton_bytes);
    Ok(Resolved { image, id, partial, skeleton, skeleton_bytes, files, memories, under, cancellation })
}

fn check_order(before: Option<&Snapshot>, snapshot: &Snapshot) -> Result<()> {
    match (before, snapshot.base()) {
        (None, None) => Ok(()),
        (None, Some(_)) => Err(SnapshotError::NoBase),
        (Some(_), None) => Err(SnapshotError::NoDelta),
        (Some(before), Some(_)) if before.image() != snapshot.image() => Err(SnapshotError::OtherImage),
        (Some(before), Some(base)) if before.id() != base => Err(SnapshotError::OtherBase),
        (Some(before), Some(_)) if before.is_partial() != snapshot.is_partial() => Err(SnapshotError::OtherBase),
        (Some(_), Some(_)) => Ok(()),
    }
}

/// Where the next record is, and those that patches lie on.
struct At<'s> {
    file: usize,
    start: &'s mut u64,
    under: &'s mut Vec<Record>,
}

/// Lays the entries of a file over the pages before it.
fn overlay<'a>(
    before: Vec<PageRef<'a>>,
    entries: &[PageEntry<'a>],
    end: u64,
    at: At,
    memory: usize,
    cancellation: Cancellation,
) -> Result<Vec<PageRef<'a>>> {
    let mut pages = room::empty(before.len().saturating_add(entries.len()))?;
    let mut before = before.into_iter().take_while(|page| page.page < end).peekable();
    for PageEntry { page, length, hash } in entries.iter().copied() {
        cancellation.check()?;
        while let Some(kept) = before.next_if(|kept| kept.page < page) {
            pages.push(kept);
        }
        let replaced = before.next_if(|before| before.page == page);
        if length == ZEROED && replaced.is_none() {
            return Err(SnapshotError::MalformedPage { memory, page, what: "is marked as zero, but was so before" });
        }
        if length != ZEROED {
            let patched = match replaced.filter(|_| length < WHOLE) {
                Some(before) => {
                    room::push(at.under, before.record)?;
                    Some(at.under.len() - 1)
                }
                None => None,
            };
            let record = Record { file: at.file, start: *at.start, length, under: patched };
            pages.push(PageRef { page, hash, record });
            *at.start += u64::from(length);
        }
    }
    pages.extend(before);
    Ok(pages)
}

impl<'a> Resolved<'a> {
    /// The hash of the image that the state belongs to.
    pub fn image(&self) -> &Hash {
        &self.image
    }

    /// The id of the state.
    pub fn id(&self) -> &StateId {
        &self.id
    }

    /// Whether the contents of memory 0 are kept elsewhere.
    pub fn is_partial(&self) -> bool {
        self.partial
    }

    /// Everything but the contents of memories.
    pub fn skeleton(&self) -> &Arc<Skeleton> {
        &self.skeleton
    }

    /// How many pages of a memory are not zero; 0 for a memory that does not exist or is kept elsewhere.
    pub fn page_count(&self, memory: usize) -> usize {
        self.pages(memory).len()
    }

    /// Makes `bytes` the contents of a memory. `dirty` are the ascending ranges of it that may differ from zero before:
    /// pages there that are zero in the state become so, and everything else outside of the stored pages stays.
    ///
    /// Each page is checked when it is complete. After an error the memory is neither what it was nor what it
    /// should be.
    ///
    /// # Errors
    /// [`SnapshotError::DamagedPage`] at the first page that is not what its hash says; [`SnapshotError::NoMemory`],
    /// [`SnapshotError::MemoryElsewhere`] or [`SnapshotError::WrongSize`] where these bytes cannot be that memory.
    pub fn restore_into(&self, memory: usize, bytes: &mut [u8], dirty: &[Range<usize>]) -> Result<()> {
        let (wanted, found) = (self.size_of(memory)?, bytes.len() as u64);
        if wanted != found {
            return Err(SnapshotError::WrongSize { wanted, found });
        }
        let dirty = touched(dirty, bytes.len())?;
        let (places, _) = bytes.as_chunks_mut::<PAGE>();
        let mut stored = self.pages(memory).iter().peekable();
        for page in dirty {
            self.cancellation.check()?;
            while stored.next_if(|stored| stored.page < page as u64).is_some() {}
            let is_stored = stored.peek().is_some_and(|stored| stored.page == page as u64);
            // Looking costs less than writing: a page that was never written may have no memory of its own yet.
            if let Some(place) = places.get_mut(page).filter(|place| !is_stored && !is_zero(place)) {
                *place = [0; PAGE];
            }
        }
        self.put_pages(Some(memory), places, |place| usize::try_from(place.page).unwrap_or(usize::MAX))
    }

    /// Checks the pages of the state that the files hold.
    ///
    /// # Errors
    /// [`SnapshotError::DamagedPage`] at the first page that is not what its hash says.
    pub fn verify(&self) -> Result<()> {
        self.for_each_page(|_| Ok(()))
    }

    fn size_of(&self, memory: usize) -> Result<u64> {
        let size = self.skeleton.memories.get(memory).ok_or(SnapshotError::NoMemory(memory))?;
        if self.partial && memory == 0 { Err(SnapshotError::MemoryElsewhere) } else { Ok(*size) }
    }

    pub(crate) fn skeleton_bytes(&self) -> &'a [u8] {
        self.skeleton_bytes
    }

    pub(crate) fn memories(&self) -> &[Vec<PageRef<'a>>] {
        &self.memories
    }

    pub(crate) fn pages(&self, memory: usize) -> &[PageRef<'a>] {
        self.memories.get(memory).map_or(&[], Vec::as_slice)
    }

    /// Its pages, to be read in their order.
    pub(crate) fn in_order(&self) -> Result<InOrder<'_, 'a>> {
        InOrder::new(&self.files, &self.under)
    }

    fn places(&self) -> impl Iterator<Item = (Place, &PageRef<'a>)> {
        let pages =
            self.memories.iter().enumerate().flat_map(|(memory, pages)| pages.iter().map(move |page| (memory, page)));
        pages.enumerate().map(|(number, (memory, page))| (Place { memory, page: page.page, number }, page))
    }

    /// Hands on every page in order, checked.
    pub(crate) fn for_each_page(&self, mut take: impl FnMut(&[u8; PAGE]) -> Result<()>) -> Result<()> {
        let mut pages = self.in_order()?;
        self.places().try_for_each(|(place, page)| {
            self.cancellation.check()?;
            let contents = pages.page(place, page)?;
            place.check(contents, page.hash)?;
            take(contents)
        })
    }

    /// Makes pages, all or those of one memory, where `index` says that they are in `out`, and checks them. One file
    /// comes after the other, so that one decompressor at a time is enough.
    pub(crate) fn put_pages(
        &self,
        only: Option<usize>,
        out: &mut [[u8; PAGE]],
        index: impl Fn(Place) -> usize,
    ) -> Result<()> {
        let mut steps: Vec<Vec<(Place, Record, Option<&PageHash>)>> = room::empty(self.files.len())?;
        steps.resize_with(self.files.len(), Vec::new);
        for (place, page) in self.places().filter(|(place, _)| only.is_none_or(|only| only == place.memory)) {
            // With the last record the page is what it was hashed as.
            let hashes = std::iter::once(Some(page.hash)).chain(std::iter::repeat(None));
            for (record, hash) in page.record.layers(&self.under).zip(hashes) {
                room::push(steps.get_mut(record.file).ok_or(place.damaged())?, (place, record, hash))?;
            }
        }
        for (file, steps) in self.files.iter().zip(steps).filter(|(_, steps)| !steps.is_empty()) {
            let mut file = file.open()?;
            for (place, record, hash) in steps {
                self.cancellation.check()?;
                let bytes = file.read(&record, place)?;
                let target = out.get_mut(index(place)).ok_or(place.damaged())?;
                record.put(bytes, target).ok_or(place.damaged())?;
                hash.map_or(Ok(()), |hash| place.check(target, hash))?;
            }
        }
        Ok(())
    }
}
