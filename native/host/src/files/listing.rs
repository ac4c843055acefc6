//! The entries of an open directory, one after the other.

use super::directory::FIRST_POSITION;
use super::flags::{S_IFDIR, S_IFLNK};
use super::tree::FD_DIRECTORY;
use super::{Errno, Files};
use crate::limits::DESCRIPTOR_COST;

/// An entry as it is listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Listed<'a> {
    pub(crate) inode: u64,
    /// From here the listing goes on behind this entry.
    pub(crate) position: u64,
    /// The bits of the mode that tell what it is.
    pub(crate) format: u32,
    pub(crate) name: &'a [u8],
}

impl Files {
    /// Lists on from where a descriptor is. `take` says whether it takes an entry; the listing stops at the first that
    /// it does not, and goes on with that one the next time.
    ///
    /// Entries come in the order in which they were made, behind "." and "..". One that stays while the listing goes on
    /// is listed once.
    pub(crate) fn list(&mut self, fd: i32, mut take: impl FnMut(&Listed<'_>) -> bool) -> Result<(), Errno> {
        let mut taken = self.descriptors.opened(fd)?.offset;
        self.list_behind(fd, taken, |entry| {
            let goes_on = take(entry);
            if goes_on {
                taken = entry.position;
            }
            goes_on
        })?;
        self.descriptors.get_mut(fd)?.offset = taken;
        Ok(())
    }

    /// Lists the entries of an open directory behind a position, as long as `take` takes them.
    pub(crate) fn list_behind(
        &self,
        fd: i32,
        start: u64,
        mut take: impl FnMut(&Listed<'_>) -> bool,
    ) -> Result<(), Errno> {
        let description = self.descriptors.opened(fd)?;
        let node = self.tree.node(description.inode)?;
        let directory = node.directory().ok_or(Errno::NOTDIR)?;
        if !description.is_readable() {
            return Err(Errno::BADF);
        }
        if node.names == 0 {
            return Err(Errno::NOENT);
        }
        let itself = Listed { inode: description.inode, position: 1, format: S_IFDIR, name: b"." };
        let parent = Listed { inode: node.place.directory, position: 2, format: S_IFDIR, name: b".." };
        let mut goes_on = [itself, parent].iter().filter(|entry| entry.position > start).all(&mut take);
        if description.inode == FD_DIRECTORY {
            self.work.pay(DESCRIPTOR_COST * self.descriptors.open.len() as u64)?;
            for fd in self.descriptors.open.keys() {
                let position = FIRST_POSITION + u64::from(fd.unsigned_abs());
                if goes_on && position > start {
                    let name = fd.to_string();
                    let (inode, name) = (descriptor_inode(*fd), name.as_bytes());
                    goes_on = take(&Listed { inode, position, format: S_IFLNK, name });
                }
            }
        } else if goes_on {
            for (position, name, inode) in directory.behind(start) {
                let format = self.tree.node(inode)?.kind.format();
                if !take(&Listed { inode, position, format, name }) {
                    break;
                }
            }
        }
        Ok(())
    }
}

/// The inode number of an entry of `/proc/self/fd`. Those of nodes are below.
pub(super) fn descriptor_inode(fd: i32) -> u64 {
    1 << 62 | u64::from(fd.unsigned_abs())
}
