//! From a state to a file.

use crate::chain::Resolved;
use crate::error::{Result, SnapshotError};
use crate::frame::Compressor;
use crate::layout::{ENTRY, HASH, HEADER, Header, IdHasher, PAGE_HASH, PageEntry, PageHash, WHOLE, ZEROED, hash_page};
use crate::output::Output;
use crate::pages::{is_zero, touched};
use crate::records::{InOrder, Place};
use crate::{Cancellation, Hash, PAGE, Skeleton, StateId, patch, room, skeleton};
use sha2::{Digest, Sha256};
use std::ops::Range;

/// A memory, and where in it something may be.
#[derive(Clone, Copy, Debug)]
pub struct Memory<'a> {
    /// All its bytes.
    pub bytes: &'a [u8],
    /// Ascending ranges of bytes that may differ from zero: everything outside is known to be zero.
    pub candidates: &'a [Range<usize>],
}

/// What is to be written.
#[derive(Clone, Copy)]
pub enum Kind<'a> {
    /// Everything.
    Full,
    /// Everything but the contents of memory 0. What is passed as that memory is not looked at.
    Partial,
    /// What differs from a state; partial if that one is. The pages of that state must be sound: a page that equals
    /// damaged contents of the base is taken for unchanged, and a patch of damaged contents is one of nothing else.
    /// Both are found damaged when they are restored. Whoever restored from these files, or
    /// [verified](Resolved::verify) them, is safe.
    Delta(&'a Resolved<'a>),
}

/// A state that has been looked at, ready to be written.
pub struct Plan<'a> {
    image: Hash,
    base: Option<StateId>,
    partial: bool,
    skeleton: Vec<u8>,
    memories: Vec<Pages<'a>>,
    patches: Vec<u8>,
    sizes: Sizes,
    stored: usize,
    cancellation: Cancellation<'a>,
}

struct Pages<'a> {
    bytes: &'a [u8],
    planned: Vec<(u64, Planned<'a>)>,
}

enum Planned<'a> {
    /// As in the base.
    Unchanged(&'a PageHash),
    /// Not zero, and without a base.
    Fresh,
    /// Not as in the base: whole, or where there is a patch.
    Changed { hash: PageHash, patch: Option<Range<usize>> },
    /// Not zero in the base, but now.
    Zeroed,
}

impl Planned<'_> {
    /// Bytes of its record, if there is an entry for it.
    fn length(&self) -> Option<u16> {
        match self {
            Planned::Unchanged(_) => None,
            Planned::Zeroed => Some(ZEROED),
            Planned::Changed { patch: Some(patch), .. } => Some(patch.len() as u16),
            Planned::Changed { patch: None, .. } | Planned::Fresh => Some(WHOLE),
        }
    }
}

/// How many bytes the parts of a file take.
#[derive(Clone, Copy)]
pub(crate) struct Sizes {
    pub(crate) skeleton: u32,
    pub(crate) table: usize,
    /// The page data without compression.
    pub(crate) data: usize,
}

impl Sizes {
    pub(crate) fn new(skeleton: &[u8], memories: usize, entries: usize, data: Option<usize>) -> Result<Sizes> {
        let skeleton = u32::try_from(skeleton.len()).map_err(|_| TOO_LARGE)?;
        let table = entries.checked_mul(ENTRY).and_then(|bytes| bytes.checked_add(8 * memories));
        let table = table.zip(data).filter(|(table, data)| table.checked_add(*data).is_some_and(|sum| sum < LARGEST));
        let (table, data) = table.ok_or(TOO_LARGE)?;
        Ok(Sizes { skeleton, table, data })
    }

    /// Everything before the page data.
    pub(crate) fn head(&self) -> usize {
        HEADER + self.skeleton as usize + self.table + HASH
    }

    pub(crate) fn file(&self) -> usize {
        self.head() + self.data
    }
}

/// Far beyond any file, and far from where sums of sizes overflow.
const LARGEST: usize = usize::MAX / 2;

const TOO_LARGE: SnapshotError = SnapshotError::Unencodable("the state is too large");

impl<'a> Plan<'a> {
    /// Looks at the candidates: which are zero, and what differs from the base. They are compared with the bytes of the
    /// base: where its pages are compressed, they are decompressed for that. Patches are made here, and held until the
    /// plan is dropped.
    ///
    /// # Errors
    /// [`SnapshotError::Unencodable`] or [`SnapshotError::WrongSize`] where the parts of the state do not fit together;
    /// [`SnapshotError::OtherImage`] where the base belongs to another image; [`SnapshotError::DamagedPage`] where it
    /// is found to be damaged; [`SnapshotError::Host`] where there is no room for the plan. Here and when it is written
    /// [`SnapshotError::Cancelled`] once `cancellation` says so.
    pub fn new(
        image: &Hash,
        skeleton: &Skeleton,
        memories: &[Memory<'a>],
        kind: Kind<'a>,
        cancellation: Cancellation<'a>,
    ) -> Result<Plan<'a>> {
        let base = if let Kind::Delta(base) = kind { Some(base) } else { None };
        let partial = base.map_or(matches!(kind, Kind::Partial), Resolved::is_partial);
        if base.is_some_and(|base| base.image() != image) {
            return Err(SnapshotError::OtherImage);
        }
        let count = skeleton.memories.len();
        if memories.len() != count {
            return Err(SnapshotError::Unencodable("memories are missing, or too many"));
        }
        let encoded = skeleton::encode(skeleton)?;
        let mut planned = room::empty(count)?;
        let mut patches = Vec::new();
        let mut before = base.map(|base| base.in_order().map(|pages| (base, pages))).transpose()?;
        for (index, (memory, size)) in memories.iter().zip(&skeleton.memories).enumerate() {
            if partial && index == 0 {
                planned.push(Pages { bytes: &[], planned: Vec::new() });
                continue;
            }
            let found = memory.bytes.len() as u64;
            if found != *size {
                return Err(SnapshotError::WrongSize { wanted: *size, found });
            }
            let planned_pages = match &mut before {
                Some((base, before)) => compare(index, memory, base, before, &mut patches, cancellation)?,
                None => scan(memory, cancellation)?,
            };
            planned.push(Pages { bytes: memory.bytes, planned: planned_pages });
        }
        let all = || planned.iter().flat_map(|memory| &memory.planned).filter_map(|(_, planned)| planned.length());
        let (entries, stored) = (all().count(), all().filter(|length| *length != ZEROED).count());
        let data = all().try_fold(0_usize, |sum, length| sum.checked_add(usize::from(length)));
        let sizes = Sizes::new(&encoded, count, entries, data)?;
        let base = base.map(|base| *base.id());
        let (image, skeleton, memories) = (*image, encoded, planned);
        Ok(Plan { image, base, partial, skeleton, memories, patches, sizes, stored, cancellation })
    }

    /// Bytes of the file without compression.
    pub fn size(&self) -> usize {
        self.sizes.file()
    }

    /// How many pages the file will hold.
    pub fn stored_pages(&self) -> usize {
        self.stored
    }

    /// Writes the file into a buffer of [exactly its size](Plan::size), and answers with the id of the state.
    ///
    /// # Errors
    /// [`SnapshotError::WrongSize`] where the buffer has another size.
    pub fn write(&self, out: &mut [u8]) -> Result<StateId> {
        let (wanted, found) = (self.sizes.file() as u64, out.len() as u64);
        let (head, data) = out
            .split_at_mut_checked(self.sizes.head())
            .filter(|_| wanted == found)
            .ok_or(SnapshotError::WrongSize { wanted, found })?;
        let mut left = data;
        let (table, id) = self.pages(|record| {
            let (place, behind) = std::mem::take(&mut left).split_at_mut_checked(record.len()).ok_or(TOO_LARGE)?;
            place.copy_from_slice(record);
            left = behind;
            Ok(())
        })?;
        let data = self.sizes.data as u64;
        write_head(head, &self.header(id, data, false), &self.skeleton, &table)?;
        Ok(id)
    }

    /// Writes the file with its pages compressed to `out`, which is empty, and answers with the id of the state. `level` is
    /// one of zstd's; those above 19 count as 19. The same state, version of zstd and level give the same bytes, the same
    /// state alone does not.
    ///
    /// # Errors
    /// [`SnapshotError::Host`] where there is no room for it.
    pub fn compress(&self, level: i32, out: &mut impl Output) -> Result<StateId> {
        let head = self.sizes.head();
        out.append(&room::zeros(head)?)?;
        let (table, id) = if self.sizes.data == 0 {
            self.pages(|_| Ok(()))?
        } else {
            let mut frame = Compressor::new(out, self.sizes.data as u64, level)?;
            let made = self.pages(|page| frame.record(page))?;
            frame.finish()?;
            made
        };
        let (head, data) = out.bytes().split_at_mut_checked(head).ok_or(TOO_LARGE)?;
        write_head(head, &self.header(id, data.len() as u64, true), &self.skeleton, &table)?;
        Ok(id)
    }

    fn header(&self, id: StateId, data: u64, compressed: bool) -> Header {
        let Sizes { skeleton, table, .. } = self.sizes;
        let (image, base, partial) = (self.image, self.base, self.partial);
        Header { compressed, partial, image, id, base, skeleton, table: table as u64, data }
    }

    /// Makes the page table and the id. Each record is handed on; a page right after it was hashed, while it is in the
    /// cache.
    fn pages(&self, mut store: impl FnMut(&[u8]) -> Result<()>) -> Result<(Vec<u8>, StateId)> {
        let mut id = IdHasher::new(self.partial, &self.image, &self.skeleton);
        let mut table = room::empty(self.sizes.table)?;
        for (memory, Pages { bytes, planned }) in self.memories.iter().enumerate() {
            let (contents, _) = bytes.as_chunks::<PAGE>();
            let entries = planned.iter().filter(|(_, planned)| planned.length().is_some()).count();
            table.extend_from_slice(&(entries as u64).to_le_bytes());
            for (page, planned) in planned {
                self.cancellation.check()?;
                let page = *page;
                let contents = || {
                    let contents = usize::try_from(page).ok().and_then(|page| contents.get(page));
                    contents.ok_or(TOO_LARGE)
                };
                let hash = match planned {
                    Planned::Zeroed => [0; PAGE_HASH],
                    Planned::Unchanged(hash) => **hash,
                    Planned::Changed { hash, .. } => *hash,
                    Planned::Fresh => hash_page(contents()?),
                };
                if !matches!(planned, Planned::Zeroed) {
                    id.page(memory, page, &hash);
                }
                match planned {
                    Planned::Zeroed | Planned::Unchanged(_) => {}
                    Planned::Changed { patch: Some(patch), .. } => {
                        store(self.patches.get(patch.clone()).ok_or(TOO_LARGE)?)?;
                    }
                    Planned::Changed { patch: None, .. } | Planned::Fresh => store(contents()?)?,
                }
                if let Some(length) = planned.length() {
                    PageEntry { page, length, hash: &hash }.encode(&mut table);
                }
            }
        }
        Ok((table, id.finish()))
    }
}

/// Fills the part of a file that stands before the page data.
pub(crate) fn write_head(out: &mut [u8], header: &Header, skeleton: &[u8], table: &[u8]) -> Result<()> {
    let (wanted, found) = ((HEADER + skeleton.len() + table.len() + HASH) as u64, out.len() as u64);
    let (head, check) = out
        .split_last_chunk_mut::<HASH>()
        .filter(|_| wanted == found)
        .ok_or(SnapshotError::WrongSize { wanted, found })?;
    let mut encoded = room::empty(HEADER)?;
    header.encode(&mut encoded);
    let mut left = &mut *head;
    for part in [encoded.as_slice(), skeleton, table] {
        let (place, behind) = left.split_at_mut_checked(part.len()).ok_or(TOO_LARGE)?;
        place.copy_from_slice(part);
        left = behind;
    }
    *check = Sha256::digest(&*head).into();
    Ok(())
}

fn scan<'a>(memory: &Memory<'a>, cancellation: Cancellation) -> Result<Vec<(u64, Planned<'a>)>> {
    let (contents, _) = memory.bytes.as_chunks::<PAGE>();
    let mut planned = Vec::new();
    for page in touched(memory.candidates, memory.bytes.len())? {
        cancellation.check()?;
        if contents.get(page).is_some_and(|contents| !is_zero(contents)) {
            room::push(&mut planned, (page as u64, Planned::Fresh))?;
        }
    }
    Ok(planned)
}

/// Pages of the base that lie beyond the end of the memory are gone with the bytes that they were: nothing is planned.
fn compare<'a>(
    index: usize,
    memory: &Memory<'a>,
    base: &'a Resolved,
    in_order: &mut InOrder,
    patches: &mut Vec<u8>,
    cancellation: Cancellation,
) -> Result<Vec<(u64, Planned<'a>)>> {
    let (contents, _) = memory.bytes.as_chunks::<PAGE>();
    let pages = base.pages(index);
    let mut planned = room::empty(pages.len())?;
    let mut before = pages.iter().take_while(|before| before.page < contents.len() as u64).peekable();
    for page in touched(memory.candidates, memory.bytes.len())? {
        cancellation.check()?;
        let (Some(now), page) = (contents.get(page), page as u64) else { continue };
        while let Some(gone) = before.next_if(|before| before.page < page) {
            room::push(&mut planned, (gone.page, Planned::Zeroed))?;
        }
        let next = match before.next_if(|before| before.page == page) {
            Some(before) => {
                let place = Place { memory: index, page, number: 0 };
                (page, compare_page(now, in_order.page(place, before)?, before.hash, place, patches)?)
            }
            None if is_zero(now) => continue,
            None => (page, change(now, &[0; PAGE], hash_page(now), patches)?),
        };
        room::push(&mut planned, next)?;
    }
    for gone in before {
        room::push(&mut planned, (gone.page, Planned::Zeroed))?;
    }
    Ok(planned)
}

/// Bytes alone decide. Different pages with the same hash may have been made so on purpose; more likely, the base is
/// damaged.
fn compare_page<'a>(
    now: &[u8; PAGE],
    before: &[u8; PAGE],
    hash_before: &'a PageHash,
    place: Place,
    patches: &mut Vec<u8>,
) -> Result<Planned<'a>> {
    if now == before {
        return Ok(Planned::Unchanged(hash_before));
    }
    if is_zero(now) {
        return Ok(Planned::Zeroed);
    }
    let hash = hash_page(now);
    if hash == *hash_before && hash_page(before) != hash {
        return Err(place.damaged());
    }
    change(now, before, hash, patches)
}

fn change<'a>(now: &[u8; PAGE], before: &[u8; PAGE], hash: PageHash, patches: &mut Vec<u8>) -> Result<Planned<'a>> {
    patches.try_reserve(patch::MOST)?;
    let start = patches.len();
    let patch = patch::diff(before, now, patches).map(|()| start..patches.len());
    if patch.is_none() {
        patches.truncate(start);
    }
    Ok(Planned::Changed { hash, patch })
}
