//! The entries of a directory, by name and in the order in which they were made.

use crate::limits::NAME_BYTES;
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

/// Where the first entry is: "." and ".." come before it.
pub(super) const FIRST_POSITION: u64 = 3;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) inode: u64,
    /// Where the entry is in a listing. Entries keep their positions, and positions are not used again: a listing that
    /// goes on after others came or went sees each that stayed once.
    pub(super) position: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Directory {
    entries: BTreeMap<Arc<[u8]>, Entry>,
    order: BTreeMap<u64, Arc<[u8]>>,
    /// The position of the next entry.
    next: u64,
    subdirectories: u32,
}

impl Default for Directory {
    fn default() -> Directory {
        Directory { entries: BTreeMap::new(), order: BTreeMap::new(), next: FIRST_POSITION, subdirectories: 0 }
    }
}

impl Directory {
    /// An empty one whose next entry comes at a position.
    pub(super) fn starting_at(next: u64) -> Directory {
        Directory { next, ..Directory::default() }
    }

    pub(super) fn get(&self, name: &[u8]) -> Option<Entry> {
        self.entries.get(name).copied()
    }

    /// Whose name is at a position, and which.
    pub(super) fn at(&self, position: u64) -> Option<(&Arc<[u8]>, u64)> {
        let name = self.order.get(&position)?;
        Some((name, self.entries.get(name)?.inode))
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(super) fn next(&self) -> u64 {
        self.next
    }

    pub(super) fn subdirectories(&self) -> u32 {
        self.subdirectories
    }

    pub(super) fn set_subdirectories(&mut self, count: u32) {
        self.subdirectories = count;
    }

    /// Adds an entry under a name that is free: its position.
    pub(super) fn insert(&mut self, name: Arc<[u8]>, inode: u64, is_directory: bool) -> u64 {
        let position = self.next;
        self.next += 1;
        self.place(name, Entry { inode, position }, is_directory);
        position
    }

    /// Adds an entry at a position: whether both its name and its position were free.
    pub(super) fn place(&mut self, name: Arc<[u8]>, entry: Entry, is_directory: bool) -> bool {
        if is_directory {
            self.subdirectories += 1;
        }
        let is_new = self.order.insert(entry.position, Arc::clone(&name)).is_none();
        self.entries.insert(name, entry).is_none() && is_new
    }

    pub(super) fn remove(&mut self, name: &[u8], is_directory: bool) -> Option<Entry> {
        let entry = self.entries.remove(name)?;
        self.order.remove(&entry.position);
        if is_directory {
            self.subdirectories = self.subdirectories.saturating_sub(1);
        }
        Some(entry)
    }

    /// The entries by name.
    pub(super) fn by_name(&self) -> impl Iterator<Item = (&Arc<[u8]>, Entry)> {
        self.entries.iter().map(|(name, entry)| (name, *entry))
    }

    /// Positions, names and inode numbers of the entries behind a position.
    pub(super) fn behind(&self, position: u64) -> impl Iterator<Item = (u64, &Arc<[u8]>, u64)> {
        let behind = self.order.range((Bound::Excluded(position), Bound::Unbounded));
        behind.filter_map(|(position, name)| Some((*position, name, self.entries.get(name)?.inode)))
    }
}

/// Whether an entry may have a name.
pub(super) fn is_name(name: &[u8]) -> bool {
    !name.is_empty()
        && name.len() <= NAME_BYTES
        && name != b"."
        && name != b".."
        && !name.iter().any(|byte| matches!(byte, b'/' | 0))
}
