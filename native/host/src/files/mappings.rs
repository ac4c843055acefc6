//! Files that are mapped into the memory of the program, to be written back. A mapping is of its file: what has become of
//! the descriptor that it was made with does not matter.

use super::flags::{O_ACCMODE, O_RDWR};
use super::node::Kind;
use super::{Errno, Files};
use crate::limits::MAPPINGS;
use std::collections::BTreeMap;

/// A part of the memory that goes into a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mapping {
    /// Bytes.
    pub(super) size: u64,
    pub(super) inode: u64,
    /// Where in the file it begins.
    pub(super) offset: u64,
}

/// Mappings by the address at which they begin. Each holds its file.
pub(super) type Mappings = BTreeMap<u64, Mapping>;

/// A place in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    inode: u64,
    offset: u64,
}

impl Place {
    /// So many bytes further on.
    pub(crate) fn behind(self, bytes: u64) -> Place {
        Place { offset: self.offset.saturating_add(bytes), ..self }
    }
}

impl Files {
    /// The place in the file of a descriptor that is to be mapped, to be written back where it is `shared`.
    ///
    /// # Errors
    /// `EACCES`; `ENODEV` for what is no file, or a lazy one; `ENOMEM` where there are too many mappings.
    pub(crate) fn to_map(&self, fd: i32, offset: i64, shared: bool) -> Result<Place, Errno> {
        let description = self.descriptors.opened(fd)?;
        if !description.is_readable() || shared && description.flags & O_ACCMODE != O_RDWR {
            return Err(Errno::ACCES);
        }
        let is_lazy = self.tree.unknown.contains_key(&description.inode);
        if is_lazy || !matches!(self.tree.node(description.inode)?.kind, Kind::File(_)) {
            return Err(Errno::NODEV);
        }
        if shared && self.mappings.len() >= MAPPINGS {
            return Err(Errno::NOMEM);
        }
        Ok(Place { inode: description.inode, offset: u64::try_from(offset).map_err(|_| Errno::INVAL)? })
    }

    /// Notes that `size` bytes at an address are to be written back to a place.
    pub(crate) fn map(&mut self, address: u64, size: u64, place: Place) -> Result<(), Errno> {
        if size > 0 {
            self.tree.hold(place.inode)?;
            // Where the program has allocated the same memory twice, the mapping that was there is none any more.
            self.unmap(address);
            self.mappings.insert(address, Mapping { size, inode: place.inode, offset: place.offset });
        }
        Ok(())
    }

    /// What is mapped at an address: the place, and how many bytes from there on.
    pub(crate) fn mapped(&self, address: u64) -> Option<(Place, u64)> {
        let (start, mapping) = self.mappings.range(..=address).next_back()?;
        let before = address - start;
        let left = mapping.size.checked_sub(before).filter(|left| *left > 0)?;
        Some((Place { inode: mapping.inode, offset: mapping.offset.saturating_add(before) }, left))
    }

    /// Forgets the mapping that begins at an address, if there is one.
    pub(crate) fn unmap(&mut self, address: u64) {
        if let Some(mapping) = self.mappings.remove(&address) {
            self.tree.release(mapping.inode);
        }
    }

    /// Copies what a file has at a place into memory that is all zeros.
    pub(crate) fn read_mapped(&self, place: Place, into: &mut [u8]) -> Result<(), Errno> {
        // Nobody holds the file yet: the program may have closed and removed it meanwhile.
        match &self.tree.node(place.inode).map_err(|_| Errno::BADF)?.kind {
            Kind::File(contents) => {
                contents.read_over_zeros(place.offset, into);
                Ok(())
            }
            _ => Err(Errno::NODEV),
        }
    }

    /// How many of `most` bytes at a place are before the end of the file: what is behind it is lost.
    pub(crate) fn within_file(&self, place: Place, most: u64) -> Result<u64, Errno> {
        match &self.tree.node(place.inode)?.kind {
            Kind::File(contents) => Ok(contents.count(place.offset, most)),
            _ => Err(Errno::NODEV),
        }
    }

    /// Writes back to a place.
    pub(crate) fn write_mapped(&mut self, place: Place, bytes: &[u8], now: u64) -> Result<(), Errno> {
        let written = self.put(place.inode, place.offset, bytes)?;
        self.tree.node_mut(place.inode)?.touch(now);
        if written < bytes.len() { Err(Errno::NOSPC) } else { Ok(()) }
    }
}
