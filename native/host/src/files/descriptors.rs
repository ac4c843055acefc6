//! Descriptors, and the open file descriptions that they share.

use super::flags::{O_ACCMODE, O_APPEND, O_PATH, O_RDWR, O_WRONLY};
use crate::errno::Errno;
use crate::limits::DESCRIPTORS;
use std::collections::BTreeMap;
use std::sync::Arc;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Descriptor {
    pub(super) description: u32,
    pub(super) close_on_exec: bool,
    /// What the program calls the directory, if it was given this descriptor at its start.
    pub(super) preopen: Option<Arc<[u8]>>,
}

/// What is opened once and may have several descriptors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Description {
    pub(super) inode: u64,
    /// What is kept of the flags of `open`.
    pub(super) flags: i32,
    /// Where reading and writing go on; in a directory, the position of the last entry that was listed. It fits an
    /// `i64`.
    pub(super) offset: u64,
    /// Descriptors that share it.
    pub(super) descriptors: u32,
}

impl Description {
    pub(super) fn is_readable(&self) -> bool {
        self.flags & O_PATH == 0 && matches!(self.flags & O_ACCMODE, 0 | O_RDWR)
    }

    pub(super) fn is_writable(&self) -> bool {
        self.flags & O_PATH == 0 && matches!(self.flags & O_ACCMODE, O_WRONLY | O_RDWR)
    }

    pub(super) fn appends(&self) -> bool {
        self.flags & O_APPEND != 0
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Descriptors {
    pub(super) open: BTreeMap<i32, Descriptor>,
    pub(super) descriptions: BTreeMap<u32, Description>,
}

impl Descriptors {
    pub(super) fn descriptor(&self, fd: i32) -> Result<&Descriptor, Errno> {
        self.open.get(&fd).ok_or(Errno::BADF)
    }

    pub(super) fn get(&self, fd: i32) -> Result<&Description, Errno> {
        self.descriptions.get(&self.descriptor(fd)?.description).ok_or(Errno::BADF)
    }

    pub(super) fn get_mut(&mut self, fd: i32) -> Result<&mut Description, Errno> {
        let description = self.descriptor(fd)?.description;
        self.descriptions.get_mut(&description).ok_or(Errno::BADF)
    }

    /// The one of a descriptor that is more than a path.
    pub(super) fn opened(&self, fd: i32) -> Result<&Description, Errno> {
        self.get(fd).and_then(|found| if found.flags & O_PATH == 0 { Ok(found) } else { Err(Errno::BADF) })
    }

    /// The lowest descriptor that is free, and not below `least`.
    pub(super) fn free(&self, least: i32) -> Result<i32, Errno> {
        let mut taken = self.open.range(least..).map(|(fd, _)| *fd);
        let free = (least..DESCRIPTORS).find(|fd| taken.next() != Some(*fd));
        free.ok_or(Errno::MFILE)
    }

    /// Opens something that has been held for this: its descriptor.
    pub(super) fn insert(&mut self, inode: u64, flags: i32, close_on_exec: bool) -> Result<i32, Errno> {
        let fd = self.free(0)?;
        let mut taken = self.descriptions.keys();
        let free = (0..=u32::MAX).find(|description| taken.next() != Some(description));
        let description = free.ok_or(Errno::MFILE)?;
        self.descriptions.insert(description, Description { inode, flags, offset: 0, descriptors: 1 });
        self.open.insert(fd, Descriptor { description, close_on_exec, preopen: None });
        Ok(fd)
    }

    /// Gives a description another descriptor, which is free.
    pub(super) fn share(&mut self, fd: i32, as_fd: i32, close_on_exec: bool) -> Result<(), Errno> {
        let description = self.descriptor(fd)?.description;
        self.get_mut(fd)?.descriptors += 1;
        self.open.insert(as_fd, Descriptor { description, close_on_exec, preopen: None });
        Ok(())
    }

    /// Closes a descriptor: its description, the node of which is to be released, where it was the last one of that.
    pub(super) fn remove(&mut self, fd: i32) -> Result<Option<Description>, Errno> {
        let Descriptor { description, .. } = self.open.remove(&fd).ok_or(Errno::BADF)?;
        let shared = self.descriptions.get_mut(&description).ok_or(Errno::BADF)?;
        shared.descriptors = shared.descriptors.saturating_sub(1);
        if shared.descriptors > 0 {
            return Ok(None);
        }
        Ok(self.descriptions.remove(&description))
    }
}
