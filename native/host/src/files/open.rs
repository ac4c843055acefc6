//! Opening, closing and sharing descriptors.

use super::flags::*;
use super::node::{Kind, Node};
use super::pages::Contents;
use super::path::{At, Follow, Last, Target};
use super::{Errno, Files};
use crate::limits::{DESCRIPTOR_COST, DESCRIPTORS};

impl Files {
    pub(crate) fn is_open(&self, fd: i32) -> bool {
        self.descriptors.open.contains_key(&fd)
    }

    /// Whether the program has opened it: that it is open, and neither on a terminal nor a directory that the program was given.
    pub(crate) fn has_opened(&self, fd: i32) -> bool {
        self.is_open(fd) && self.terminal(fd).is_err() && self.preopened(fd).is_err()
    }

    /// Opens a path, which starts at what `at` has open: the lowest free descriptor.
    pub(crate) fn open(
        &mut self,
        at: impl Into<At>,
        path: &[u8],
        flags: i32,
        mode: u32,
        now: u64,
    ) -> Result<i32, Errno> {
        let at = at.into();
        let flags = if flags & O_PATH == 0 { flags } else { flags & (KEPT_OF_PATH | O_CLOEXEC) };
        if flags & O_TMPFILE_ONLY != 0 {
            return Err(Errno::NOTSUP);
        }
        if flags & O_CREAT != 0 && flags & O_DIRECTORY != 0 {
            return Err(Errno::INVAL);
        }
        // Before anything is made or emptied.
        self.free(0)?;
        let inode = if flags & O_CREAT == 0 {
            let follow = if flags & O_NOFOLLOW == 0 { Follow::Always } else { Follow::WithSlash };
            match self.walk(at, path, follow)?.target {
                Target::Descriptor(_) => return Err(Errno::LOOP),
                target => target.node()?,
            }
        } else {
            match self.create(at, path, flags, mode, now)? {
                // Its permissions hold from the next time on.
                (inode, true) => return self.describe(inode, flags),
                (inode, false) => inode,
            }
        };
        let node = self.tree.node(inode)?;
        if flags & O_DIRECTORY != 0 && !node.is_directory() {
            return Err(Errno::NOTDIR);
        }
        if flags & O_PATH != 0 {
            return self.describe(inode, flags);
        }
        let writes = flags & O_ACCMODE != 0 || flags & O_TRUNC != 0;
        match node.kind {
            Kind::Link(_) => return Err(Errno::LOOP),
            Kind::Directory(_) if writes => return Err(Errno::ISDIR),
            _ => {}
        }
        let reads = flags & O_ACCMODE != O_WRONLY;
        if !node.permits(if reads { R_OK } else { 0 } | if writes { W_OK } else { 0 }) {
            return Err(Errno::ACCES);
        }
        if flags & O_TRUNC != 0 && matches!(node.kind, Kind::File(_)) {
            let result = self.tree.change(inode, |contents, _| contents.resize(0))?;
            self.work.noted(result)?;
            self.tree.node_mut(inode)?.touch(now);
            self.work.stamp();
        }
        self.describe(inode, flags)
    }

    /// What is opened with `O_CREAT`, and whether it is new.
    fn create(&mut self, at: At, path: &[u8], flags: i32, mode: u32, now: u64) -> Result<(u64, bool), Errno> {
        let exclusive = flags & O_EXCL != 0;
        let follow = if exclusive || flags & O_NOFOLLOW != 0 { Follow::Never } else { Follow::Always };
        let found = self.walk(at, path, follow)?;
        let Last::Name(name) = found.last else { return Err(if exclusive { Errno::EXIST } else { Errno::ISDIR }) };
        match found.target {
            _ if found.slash => Err(Errno::ISDIR),
            Target::Missing => {
                let node = Node::new(Kind::File(Contents::default()), mode, now);
                let inode = self.tree.create(found.directory, &name, node, now)?;
                self.work.stamp();
                Ok((inode, true))
            }
            _ if exclusive => Err(Errno::EXIST),
            Target::Descriptor(_) => Err(Errno::LOOP),
            Target::Node(inode) if self.tree.node(inode)?.is_directory() => Err(Errno::ISDIR),
            Target::Node(inode) => Ok((inode, false)),
        }
    }

    /// Opens a node.
    pub(super) fn describe(&mut self, inode: u64, flags: i32) -> Result<i32, Errno> {
        let kept = if flags & O_PATH == 0 { KEPT } else { KEPT_OF_PATH };
        let fd = self.descriptors.insert(inode, flags & kept, flags & O_CLOEXEC != 0)?;
        self.tree.hold_open(self.descriptors.get(fd)?)?;
        Ok(fd)
    }

    /// The lowest descriptor that is free, and not below `least`.
    fn free(&self, least: i32) -> Result<i32, Errno> {
        self.work.pay(DESCRIPTOR_COST * self.descriptors.open.len() as u64)?;
        self.descriptors.free(least)
    }

    pub(crate) fn close(&mut self, fd: i32) -> Result<(), Errno> {
        if let Some(description) = self.descriptors.remove(fd)? {
            self.tree.release_open(&description);
        }
        Ok(())
    }

    /// The lowest free descriptor from `least` on becomes a second one of what `fd` has open.
    pub(crate) fn duplicate(&mut self, fd: i32, least: i32, close_on_exec: bool) -> Result<i32, Errno> {
        self.descriptors.get(fd)?;
        if !(0..DESCRIPTORS).contains(&least) {
            return Err(Errno::INVAL);
        }
        let new = self.free(least)?;
        self.descriptors.share(fd, new, close_on_exec)?;
        Ok(new)
    }

    /// The same with a certain descriptor, which is closed before. `flags` may be `O_CLOEXEC`.
    pub(crate) fn duplicate_as(&mut self, fd: i32, new: i32, flags: i32) -> Result<i32, Errno> {
        if fd == new || flags & !O_CLOEXEC != 0 {
            return Err(Errno::INVAL);
        }
        self.descriptors.get(fd)?;
        if !(0..DESCRIPTORS).contains(&new) {
            return Err(Errno::BADF);
        }
        if self.is_open(new) {
            self.close(new)?;
        }
        self.descriptors.share(fd, new, flags & O_CLOEXEC != 0)?;
        Ok(new)
    }

    pub(crate) fn is_closed_on_exec(&self, fd: i32) -> Result<bool, Errno> {
        self.descriptors.descriptor(fd).map(|descriptor| descriptor.close_on_exec)
    }

    pub(crate) fn set_closed_on_exec(&mut self, fd: i32, close_on_exec: bool) -> Result<(), Errno> {
        self.descriptors.open.get_mut(&fd).ok_or(Errno::BADF)?.close_on_exec = close_on_exec;
        Ok(())
    }

    /// The flags that something was opened with, without those that were only about opening it.
    pub(crate) fn flags(&self, fd: i32) -> Result<i32, Errno> {
        self.descriptors.get(fd).map(|description| description.flags)
    }

    /// Sets those of the flags that may change; others are left alone.
    pub(crate) fn set_flags(&mut self, fd: i32, flags: i32) -> Result<(), Errno> {
        self.descriptors.opened(fd)?;
        let description = self.descriptors.get_mut(fd)?;
        description.flags = description.flags & !CHANGEABLE | flags & CHANGEABLE;
        Ok(())
    }

    /// Whether what is written to a descriptor could be kept on a disk: it is then.
    ///
    /// # Errors
    /// `EINVAL` for a pipe.
    pub(crate) fn sync(&self, fd: i32) -> Result<(), Errno> {
        let inode = self.descriptors.opened(fd)?.inode;
        if matches!(self.tree.node(inode)?.kind, Kind::Pipe(_)) { Err(Errno::INVAL) } else { Ok(()) }
    }

    /// Whether a descriptor is one.
    pub(crate) fn check(&self, fd: i32) -> Result<(), Errno> {
        self.descriptors.opened(fd).map(|_| ())
    }
}
