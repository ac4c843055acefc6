//! Where things stand in a file, and what the id of a state is made of.

use super::error::{Result, SnapshotError};
use super::{PAGE, StateId};
use crate::image::Hash;
use sha2::{Digest, Sha256};
use twox_hash::xxhash3_128;

/// The version of the format that is written, and the only one that is read.
pub const VERSION: u16 = 1;

/// Not ASCII at first, line ends after it: a transport that takes the file for text shows.
const MAGIC: [u8; 8] = *b"\x89HBW\r\n\x1a\n";

pub(super) const HEADER: usize = 128;
pub(super) const HASH: usize = 32;

pub(super) const PAGE_HASH: usize = 16;

/// Finds damage. Whoever makes the contents of a page can give two the same on purpose, or one any that there is: no
/// hash of a page means anything but itself, and equal hashes never mean equal pages.
pub(super) type PageHash = [u8; PAGE_HASH];

/// Bytes of an entry of the page table.
pub(super) const ENTRY: usize = 8 + 2 + PAGE_HASH;

/// An entry of the page table.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry<'a> {
    /// The index of the page.
    pub(super) page: u64,
    /// Bytes of its record in the page data: none if the page has become zero, those of a page if it stands there
    /// whole, fewer if it is a patch.
    pub(super) length: u16,
    /// The hash of its contents; zeros if it has become zero.
    pub(super) hash: &'a PageHash,
}

/// The length of the record of a page that has become zero.
pub(super) const ZEROED: u16 = 0;

/// The length of the record of a page that stands there whole.
pub(super) const WHOLE: u16 = PAGE as u16;

impl<'a> Entry<'a> {
    pub(super) fn decode(input: &mut Reader<'a>) -> Result<Entry<'a>> {
        Ok(Entry { page: input.u64()?, length: u16::from_le_bytes(input.array()?), hash: input.chunk()? })
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
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
pub(super) struct Header {
    pub(super) compressed: bool,
    pub(super) partial: bool,
    pub(super) image: Hash,
    pub(super) id: StateId,
    /// The state that a delta was made against.
    pub(super) base: Option<StateId>,
    pub(super) rest: u32,
    pub(super) table: u64,
    pub(super) data: u64,
}

impl Header {
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        let flag = |set: bool, flag: u16| if set { flag } else { 0 };
        let flags =
            flag(self.base.is_some(), FLAG_DELTA) | flag(self.compressed, FLAG_ZSTD) | flag(self.partial, FLAG_PARTIAL);
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&VERSION.to_le_bytes());
        out.extend_from_slice(&flags.to_le_bytes());
        out.extend_from_slice(&self.rest.to_le_bytes());
        out.extend_from_slice(&self.table.to_le_bytes());
        out.extend_from_slice(&self.data.to_le_bytes());
        out.extend_from_slice(&self.image);
        out.extend_from_slice(&self.id);
        out.extend_from_slice(&self.base.unwrap_or_default());
    }

    pub(super) fn decode(file: &[u8]) -> Result<Header> {
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
        let (rest, table, data) = (input.u32()?, input.u64()?, input.u64()?);
        let (image, id, base) = (input.array()?, input.array()?, input.array::<HASH>()?);
        let delta = flags & FLAG_DELTA != 0;
        if !delta && base != [0; HASH] {
            return Err(SnapshotError::Malformed("a base that no delta was made against"));
        }
        let (compressed, partial) = (flags & FLAG_ZSTD != 0, flags & FLAG_PARTIAL != 0);
        Ok(Header { compressed, partial, image, id, base: delta.then_some(base), rest, table, data })
    }
}

/// The id of a state: fed with everything that is not zero in it, in one order.
pub(super) struct IdHasher(Sha256);

impl IdHasher {
    pub(super) fn new(partial: bool, image: &Hash, rest: &[u8]) -> IdHasher {
        let mut hasher = Sha256::new();
        hasher.update(b"hb_wasm64 state");
        hasher.update([u8::from(partial)]);
        hasher.update(image);
        hasher.update((rest.len() as u64).to_le_bytes());
        hasher.update(rest);
        IdHasher(hasher)
    }

    pub(super) fn page(&mut self, memory: usize, page: u64, hash: &PageHash) {
        let mut entry = [0; 4 + 8 + PAGE_HASH];
        let (index, rest) = entry.split_at_mut(4);
        let (number, name) = rest.split_at_mut(8);
        index.copy_from_slice(&(memory as u32).to_le_bytes());
        number.copy_from_slice(&page.to_le_bytes());
        name.copy_from_slice(hash);
        self.0.update(entry);
    }

    pub(super) fn finish(self) -> StateId {
        self.0.finalize().into()
    }
}

/// XXH3 with 128 bits and seed 0, in the order of bytes in which its tools show it.
pub(super) fn hash_page(page: &[u8; PAGE]) -> PageHash {
    xxhash3_128::Hasher::oneshot(page).to_be_bytes()
}

/// Bytes that are read from the front.
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn take(&mut self, count: usize) -> Result<&'a [u8]> {
        let (taken, left) = self.0.split_at_checked(count).ok_or(OUT_OF_BYTES)?;
        self.0 = left;
        Ok(taken)
    }

    pub(super) fn chunk<const N: usize>(&mut self) -> Result<&'a [u8; N]> {
        let (taken, left) = self.0.split_first_chunk().ok_or(OUT_OF_BYTES)?;
        self.0 = left;
        Ok(taken)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        self.chunk().copied()
    }

    pub(super) fn u8(&mut self) -> Result<u8> {
        self.array().map(u8::from_le_bytes)
    }

    pub(super) fn u32(&mut self) -> Result<u32> {
        self.array().map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Result<u64> {
        self.array().map(u64::from_le_bytes)
    }
}

const OUT_OF_BYTES: SnapshotError = SnapshotError::Malformed("a list is longer than the part that it stands in");
