//! From a file to what it says, checked as far as one file can be checked by itself.

use crate::error::{Result, SnapshotError};
use crate::layout::{ENTRY, HASH, HEADER, Header, PAGE_HASH, PageEntry, Reader, WHOLE, ZEROED};
use crate::skeleton::Limits;
use crate::{Hash, PAGE, Skeleton, StateId, frame, room, skeleton};
use sha2::{Digest, Sha256};
use std::sync::Arc;

/// One file. It borrows the bytes; nothing in it is larger than they are.
#[derive(Clone, Debug)]
pub struct Snapshot<'a> {
    pub(crate) header: Header,
    pub(crate) skeleton: Arc<Skeleton>,
    pub(crate) skeleton_bytes: &'a [u8],
    /// The page table, by memory.
    pub(crate) tables: Vec<Vec<PageEntry<'a>>>,
    pub(crate) data: &'a [u8],
    /// Bytes of the page data without compression.
    pub(crate) plain: u64,
}

impl<'a> Snapshot<'a> {
    /// Reads everything but the contents of pages, which are checked as they are used.
    ///
    /// # Errors
    /// [`SnapshotError`] says what is wrong with the bytes, or which limit they exceed.
    pub fn parse(file: &'a [u8], limits: &Limits) -> Result<Snapshot<'a>> {
        let header = Header::decode(file)?;
        let found = file.len() as u64;
        let parts = [HEADER as u64, u64::from(header.skeleton), header.table, HASH as u64, header.data];
        // A sum beyond all numbers is certainly beyond the end.
        let wanted = parts.iter().fold(0_u64, |sum, part| sum.saturating_add(*part));
        if found < wanted {
            return Err(SnapshotError::CutShort { wanted, found });
        }
        if found > wanted {
            return Err(SnapshotError::TooLong { wanted, found });
        }
        let mut input = Reader(file);
        let [_, skeleton_bytes, table, check, data] = parts.map(|part| input.take(part as usize));
        let (skeleton_bytes, table, check, data) = (skeleton_bytes?, table?, check?, data?);
        let head = file.get(..file.len() - data.len() - HASH).unwrap_or_default();
        if Sha256::digest(head).as_slice() != check {
            return Err(SnapshotError::Check);
        }
        let skeleton = skeleton::decode(skeleton_bytes, limits)?;
        let tables = decode_table(table, &skeleton, &header)?;
        // Each entry is here: their lengths are far from overflowing.
        let plain = tables.iter().flatten().map(|entry| u64::from(entry.length)).sum();
        check_data(data, plain, header.compressed)?;
        Ok(Snapshot { header, skeleton: Arc::new(skeleton), skeleton_bytes, tables, data, plain })
    }

    /// The hash of the image that the state belongs to.
    pub fn image(&self) -> &Hash {
        &self.header.image
    }

    /// The id of the state that restoring gives, as the file says: [`resolve`](super::resolve) checks it.
    pub fn id(&self) -> &StateId {
        &self.header.id
    }

    /// The id of the state that a delta was made against; `None` for one that stands by itself.
    pub fn base(&self) -> Option<&StateId> {
        self.header.base.as_ref()
    }

    /// Whether the contents of memory 0 are kept elsewhere.
    pub fn is_partial(&self) -> bool {
        self.header.partial
    }

    /// Whether the pages are compressed.
    pub fn is_compressed(&self) -> bool {
        self.header.compressed
    }

    /// Everything but the contents of memories.
    pub fn skeleton(&self) -> &Skeleton {
        &self.skeleton
    }

    /// How many pages the file holds.
    pub fn stored_pages(&self) -> usize {
        self.tables.iter().flatten().filter(|entry| entry.length != ZEROED).count()
    }
}

/// Bytes that are handled to read a file, its pages decompressed, as far as its header tells; its own where that tells
/// nothing.
pub fn work_bytes(file: &[u8]) -> u64 {
    let own = file.len() as u64;
    match Header::decode(file) {
        // There is an entry for each page.
        Ok(header) if header.compressed => own.saturating_add(header.table.min(own) / ENTRY as u64 * PAGE as u64),
        _ => own,
    }
}

fn decode_table<'a>(table: &'a [u8], skeleton: &Skeleton, header: &Header) -> Result<Vec<Vec<PageEntry<'a>>>> {
    let mut input = Reader(table);
    let mut tables = room::empty(skeleton.memories.len())?;
    for (memory, size) in skeleton.memories.iter().enumerate() {
        let bytes = input.u64()?.checked_mul(ENTRY as u64).and_then(|bytes| usize::try_from(bytes).ok());
        let mut bytes = Reader(input.take(bytes.unwrap_or(usize::MAX))?);
        if header.partial && memory == 0 && !bytes.0.is_empty() {
            return Err(SnapshotError::Malformed("pages of memory 0 in a partial snapshot"));
        }
        let mut entries = room::empty(bytes.0.len() / ENTRY)?;
        let mut least = 0;
        while !bytes.0.is_empty() {
            let entry = PageEntry::decode(&mut bytes)?;
            let page = entry.page;
            let refuse = |what| Err(SnapshotError::MalformedPage { memory, page, what });
            if page < least {
                return refuse("is out of order");
            }
            if page >= size / PAGE as u64 {
                return refuse("lies beyond the end of the memory");
            }
            match entry.length {
                WHOLE => {}
                ZEROED if header.base.is_none() => return refuse("is marked as zero, but not in a delta"),
                ZEROED if *entry.hash != [0; PAGE_HASH] => return refuse("is marked as zero, but has a hash"),
                ZEROED => {}
                length if length > WHOLE => return refuse("has a record that is longer than a page"),
                _ if header.base.is_none() => return refuse("is a patch, but not in a delta"),
                _ => {}
            }
            least = page + 1;
            entries.push(entry);
        }
        tables.push(entries);
    }
    if input.0.is_empty() { Ok(tables) } else { Err(SnapshotError::Malformed("bytes after the page table")) }
}

fn check_data(data: &[u8], plain: u64, compressed: bool) -> Result<()> {
    if compressed && plain > 0 {
        return frame::check(data, plain);
    }
    if plain == data.len() as u64 {
        Ok(())
    } else {
        Err(SnapshotError::Malformed("more or less page data than the page table wants"))
    }
}
