//! Where things stand in a file, and what the id of a state is made of.

use crate::error::{Result, SnapshotError};
use crate::{Hash, PAGE, StateId};
use sha2::{Digest, Sha256};
use twox_hash::xxhash3_128;

/// The version of the format that is written, and the only one that is read.
pub const VERSION: u16 = 1;

/// Not ASCII at first, line ends after it: a transport that takes the file for text shows.
const MAGIC: [u8; 8] = *b"\x89HBW\r\n\x1a\n";

pub(crate) const HEADER: usize = 128;
pub(crate) const HASH: usize = 32;

pub(crate) const PAGE_HASH: usize = 16;

/// Finds damage. Whoever makes the contents of a page can give two the same on purpose, or one any that there is: no
/// hash of a page means anything but itself, and equal hashes never mean equal pages.
pub(crate) type PageHash = [u8; PAGE_HASH];

/// Bytes of an entry of the page table.
pub(crate) const ENTRY: usize = 8 + 2 + PAGE_HASH;

/// An entry of the page table.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PageEntry<'a> {
    /// The index of the page.
    pub(crate) page: u64,
    /// Bytes of its record in the page data: none if the page has become zero, those of a page if it stands there
    /// whole, fewer if it is a patch.
    pub(crate) length: u16,
    /// The hash of its contents; zeros if it has become zero.
    pub(crate) hash: &'a PageHash,
}

/// The length of the record of a page that has become zero.
pub(crate) const ZEROED: u16 = 0;

/// The length of the record of a page that stands there whole.
pub(crate) const WHOLE: u16 = PAGE as u16;

impl<'a> PageEntry<'a> {
    pub(crate) fn decode(input: &mut Reader<'a>) -> Result<PageEntry<'a>> {
        Ok(PageEntry { page: input.u64()?, length: u16::from_le_bytes(input.array()?), hash: input.chunk()? })
    }

    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.page.to_le_bytes());
        out.extend_from_slice(&self.length.to_le_bytes());
        out.extend_from_slice(self.hash);
    }
}

const FLAG_DELTA: u16 = 1;
const FLAG_ZSTD: u16 = 2;
const FLAG_PARTIAL: u16 = 4;

/// The first bytes of a file, magic and version apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) compressed: bool,
    pub(crate) partial: bool,
    pub(crate) image: Hash,
    pub(crate) id: StateId,
    /// The state that a delta was made against.
    pub(crate) base: Option<StateId>,
    pub(crate) skeleton: u32,
    pub(crate) table: u64,
    pub(crate) data: u64,
}

impl Header {
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        let flag = |set: bool, flag: u16| if set { flag } else { 0 };
        let flags =
            flag(self.base.is_some(), FLAG_DELTA) | flag(self.compressed, FLAG_ZSTD) | flag(self.partial, FLAG_PARTIAL);
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&VERSION.to_le_bytes());
        out.extend_from_slice(&flags.to_le_bytes());
        out.extend_from_slice(&self.skeleton.to_le_bytes());
        out.extend_from_slice(&self.table.to_le_bytes());
        out.extend_from_slice(&self.data.to_le_bytes());
        out.extend_from_slice(&self.image);
        out.extend_from_slice(&self.id);
        out.extend_from_slice(&self.base.unwrap_or_default());
    }

    pub(crate) fn decode(file: &[u8]) -> Result<Header> {
        let found = file.len() as u64;
        if !file.iter().zip(&MAGIC).all(|(a, b)| a == b) {
            return Err(SnapshotError::NotASnapshot);
        }
        let mut input = Reader(file);
        let short = |_| SnapshotError::CutShort { wanted: HEADER as u64, found };
        input.take(MAGIC.len()).map_err(short)?;
        let version = u16::from_le_bytes(input.array().map_err(short)?);
        if version != VERSION {
            return Err(SnapshotError::Version(version));
        }
        let mut input = Reader(input.take(HEADER - MAGIC.len() - 2).map_err(short)?);
        let flags = u16::from_le_bytes(input.array()?);
        if flags & !(FLAG_DELTA | FLAG_ZSTD | FLAG_PARTIAL) != 0 {
            return Err(SnapshotError::Flags(flags));
        }
        let (skeleton, table, data) = (input.u32()?, input.u64()?, input.u64()?);
        let (image, id, base) = (input.array()?, input.array()?, input.array::<HASH>()?);
        let delta = flags & FLAG_DELTA != 0;
        if !delta && base != [0; HASH] {
            return Err(SnapshotError::Malformed("a base that no delta was made against"));
        }
        let (compressed, partial) = (flags & FLAG_ZSTD != 0, flags & FLAG_PARTIAL != 0);
        Ok(Header { compressed, partial, image, id, base: delta.then_some(base), skeleton, table, data })
    }
}

/// The id of a state: fed with everything that is not zero in it, in one order.
pub(crate) struct IdHasher(Sha256);

impl IdHasher {
    pub(crate) fn new(partial: bool, image: &Hash, skeleton: &[u8]) -> IdHasher {
        let mut hasher = Sha256::new();
        hasher.update(b"hb_wasm64 state");
        hasher.update([u8::from(partial)]);
        hasher.update(image);
        hasher.update((skeleton.len() as u64).to_le_bytes());
        hasher.update(skeleton);
        IdHasher(hasher)
    }

    pub(crate) fn page(&mut self, memory: usize, page: u64, hash: &PageHash) {
        let mut entry = [0; 4 + 8 + PAGE_HASH];
        let (index, behind) = entry.split_at_mut(4);
        let (number, name) = behind.split_at_mut(8);
        index.copy_from_slice(&(memory as u32).to_le_bytes());
        number.copy_from_slice(&page.to_le_bytes());
        name.copy_from_slice(hash);
        self.0.update(entry);
    }

    pub(crate) fn finish(self) -> StateId {
        self.0.finalize().into()
    }
}

/// XXH3 with 128 bits and seed 0, in the order of bytes in which its tools show it.
pub(crate) fn hash_page(page: &[u8; PAGE]) -> PageHash {
    xxhash3_128::Hasher::oneshot(page).to_be_bytes()
}

/// Bytes that are read from the front.
pub(crate) struct Reader<'a>(pub(crate) &'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn take(&mut self, count: usize) -> Result<&'a [u8]> {
        let (taken, left) = self.0.split_at_checked(count).ok_or(OUT_OF_BYTES)?;
        self.0 = left;
        Ok(taken)
    }

    pub(crate) fn chunk<const N: usize>(&mut self) -> Result<&'a [u8; N]> {
        let (taken, left) = self.0.split_first_chunk().ok_or(OUT_OF_BYTES)?;
        self.0 = left;
        Ok(taken)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        self.chunk().copied()
    }

    pub(crate) fn u8(&mut self) -> Result<u8> {
        self.array().map(u8::from_le_bytes)
    }

    pub(crate) fn u32(&mut self) -> Result<u32> {
        self.array().map(u32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self) -> Result<u64> {
        self.array().map(u64::from_le_bytes)
    }
}

const OUT_OF_BYTES: SnapshotError = SnapshotError::Malformed("a list is longer than the part that it stands in");
