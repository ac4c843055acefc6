//! What is known about nodes, and their sizes.

use super::flags::{AT_EACCESS, AT_EMPTY_PATH, AT_FDCWD, AT_NO_AUTOMOUNT, AT_SYMLINK_NOFOLLOW, S_IFLNK, W_OK};
use super::node::{Kind, Node, PERMISSIONS, Stat, Time, Times};
use super::path::{At, Target};
use super::{Errno, Files};
use crate::limits::{FILE_BYTES, FILES, FILES_BYTES};

/// A time that is to be set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SetTime {
    Now,
    Leave,
    To(Time),
}

/// What the file system takes and has left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Space {
    pub(crate) most_bytes: u64,
    pub(crate) free_bytes: u64,
    pub(crate) most_nodes: u64,
    pub(crate) free_nodes: u64,
}

/// `fallocate`: the size is left as it is.
const KEEP_SIZE: i32 = 1;
/// `fallocate`: makes a hole, together with [`KEEP_SIZE`].
const PUNCH_HOLE: i32 = 2;
/// `fallocate`: fills with zeros.
const ZERO_RANGE: i32 = 0x10;

impl Files {
    /// What is known about what is under a path. `flags` may be `AT_SYMLINK_NOFOLLOW`, `AT_NO_AUTOMOUNT` and
    /// `AT_EMPTY_PATH`.
    pub(crate) fn stat(&self, at: impl Into<At>, path: &[u8], flags: i32) -> Result<Stat, Errno> {
        allow(flags, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_EMPTY_PATH)?;
        match self.target(at, path, flags)? {
            Target::Descriptor(fd) => Ok(descriptor_stat(fd)),
            target => {
                let inode = target.node()?;
                Ok(self.tree.node(inode)?.stat(inode))
            }
        }
    }

    pub(crate) fn stat_open(&self, fd: i32) -> Result<Stat, Errno> {
        let inode = self.descriptors.get(fd)?.inode;
        Ok(self.tree.node(inode)?.stat(inode))
    }

    /// Whether what is under a path allows all that `mode` asks for.
    pub(crate) fn access(&self, at: i32, path: &[u8], mode: i32, flags: i32) -> Result<(), Errno> {
        allow(flags, AT_SYMLINK_NOFOLLOW | AT_EACCESS | AT_EMPTY_PATH)?;
        let mode = u32::try_from(mode).ok().filter(|mode| *mode <= 7).ok_or(Errno::INVAL)?;
        match self.target(at, path, flags)? {
            Target::Descriptor(_) => Ok(()),
            target if self.tree.node(target.node()?)?.permits(mode) => Ok(()),
            _ => Err(Errno::ACCES),
        }
    }

    pub(crate) fn change_mode(&mut self, at: i32, path: &[u8], mode: u32, flags: i32, now: u64) -> Result<(), Errno> {
        allow(flags, AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH)?;
        set_mode(self.node_mut(at, path, flags)?, mode, now).map(|()| self.work.stamp())
    }

    pub(crate) fn change_mode_of_open(&mut self, fd: i32, mode: u32, now: u64) -> Result<(), Errno> {
        set_mode(self.opened_mut(fd)?, mode, now).map(|()| self.work.stamp())
    }

    /// Sets the user and the group; `u32::MAX` leaves one as it is.
    pub(crate) fn change_owner(
        &mut self,
        at: i32,
        path: &[u8],
        owner: (u32, u32),
        flags: i32,
        now: u64,
    ) -> Result<(), Errno> {
        allow(flags, AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH)?;
        set_owner(self.node_mut(at, path, flags)?, owner, now);
        self.work.stamp();
        Ok(())
    }

    pub(crate) fn change_owner_of_open(&mut self, fd: i32, owner: (u32, u32), now: u64) -> Result<(), Errno> {
        set_owner(self.opened_mut(fd)?, owner, now);
        self.work.stamp();
        Ok(())
    }

    /// Sets when something was last read and last written. Without a path, that of what `at` has open.
    pub(crate) fn set_times(
        &mut self,
        at: impl Into<At>,
        path: Option<&[u8]>,
        times: [SetTime; 2],
        flags: i32,
        now: u64,
    ) -> Result<(), Errno> {
        allow(flags, AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH)?;
        let node = match path {
            Some(path) => self.node_mut(at, path, flags)?,
            None => self.opened_mut(at.into().descriptor())?,
        };
        if times == [SetTime::Leave; 2] {
            return Ok(());
        }
        let [accessed, modified] = times;
        let now = Time::from_milliseconds(now);
        node.times = Times {
            accessed: accessed.or(node.times.accessed, now),
            modified: modified.or(node.times.modified, now),
            changed: now,
        };
        if times.contains(&SetTime::Now) {
            self.work.stamp();
        }
        Ok(())
    }

    /// Gives a file another size.
    pub(crate) fn truncate(&mut self, path: &[u8], size: i64, now: u64) -> Result<(), Errno> {
        let size = u64::try_from(size).map_err(|_| Errno::INVAL)?;
        let inode = self.target(AT_FDCWD, path, 0)?.node()?;
        let node = self.tree.node(inode)?;
        match node.kind {
            Kind::Directory(_) => return Err(Errno::ISDIR),
            Kind::File(_) => {}
            _ => return Err(Errno::INVAL),
        }
        if !node.permits(W_OK) {
            return Err(Errno::ACCES);
        }
        self.resize(inode, size, now)
    }

    pub(crate) fn truncate_open(&mut self, fd: i32, size: i64, now: u64) -> Result<(), Errno> {
        let size = u64::try_from(size).map_err(|_| Errno::INVAL)?;
        let description = *self.descriptors.opened(fd)?;
        if !description.is_writable() {
            return Err(Errno::INVAL);
        }
        self.resize(description.inode, size, now)
    }

    fn resize(&mut self, inode: u64, size: u64, now: u64) -> Result<(), Errno> {
        if size > FILE_BYTES {
            return Err(Errno::FBIG);
        }
        let result = self.tree.change(inode, |contents, _| contents.resize(size))?;
        self.work.noted(result)?;
        self.tree.node_mut(inode)?.touch(now);
        self.work.stamp();
        Ok(())
    }

    /// Sees to it that a range of a file can be written, or, as `mode` says, makes zeros of it.
    pub(crate) fn allocate(&mut self, fd: i32, mode: i32, offset: i64, size: i64, now: u64) -> Result<(), Errno> {
        const HOLE: i32 = PUNCH_HOLE | KEEP_SIZE;
        const KEPT_ZEROS: i32 = ZERO_RANGE | KEEP_SIZE;

        let description = *self.descriptors.opened(fd)?;
        let start = u64::try_from(offset).map_err(|_| Errno::INVAL)?;
        let size = u64::try_from(size).ok().filter(|size| *size > 0).ok_or(Errno::INVAL)?;
        if !matches!(mode, 0 | KEEP_SIZE | HOLE | ZERO_RANGE | KEPT_ZEROS) {
            return Err(Errno::NOTSUP);
        }
        if !description.is_writable() {
            return Err(Errno::BADF);
        }
        let contents = match &self.tree.node(description.inode)?.kind {
            Kind::File(contents) => contents,
            Kind::Pipe(_) => return Err(Errno::SPIPE),
            _ => return Err(Errno::NODEV),
        };
        let old = contents.size();
        let end = Some(start + size).filter(|end| *end <= FILE_BYTES).ok_or(Errno::FBIG)?;
        if end > old && mode != HOLE {
            if end - old > self.tree.room() {
                return Err(Errno::NOSPC);
            }
            if mode & KEEP_SIZE == 0 {
                let result = self.tree.change(description.inode, |contents, _| contents.resize(end))?;
                self.work.noted(result)?;
            }
        }
        if mode & (PUNCH_HOLE | ZERO_RANGE) != 0 {
            let result = self.tree.change(description.inode, |contents, _| contents.zero(start..end))?;
            self.work.noted(result)?;
        }
        self.tree.node_mut(description.inode)?.touch(now);
        Ok(())
    }

    /// What there is on the file system that a path is on, of which there is one.
    pub(crate) fn space(&self, path: &[u8]) -> Result<Space, Errno> {
        self.target(AT_FDCWD, path, 0)?;
        Ok(self.whole_space())
    }

    pub(crate) fn space_of_open(&self, fd: i32) -> Result<Space, Errno> {
        self.descriptors.get(fd)?;
        Ok(self.whole_space())
    }

    fn whole_space(&self) -> Space {
        Space {
            most_bytes: FILES_BYTES,
            free_bytes: self.tree.room(),
            most_nodes: FILES as u64,
            free_nodes: FILES.saturating_sub(self.tree.nodes.len()) as u64,
        }
    }

    fn opened_mut(&mut self, fd: i32) -> Result<&mut Node, Errno> {
        let inode = self.descriptors.opened(fd)?.inode;
        self.tree.node_mut(inode)
    }
}

impl SetTime {
    fn or(self, old: Time, now: Time) -> Time {
        match self {
            SetTime::Now => now,
            SetTime::Leave => old,
            SetTime::To(time) => time,
        }
    }
}

/// `EINVAL` for flags that a call does not have.
fn allow(flags: i32, allowed: i32) -> Result<(), Errno> {
    if flags & !allowed == 0 { Ok(()) } else { Err(Errno::INVAL) }
}

fn set_mode(node: &mut Node, mode: u32, now: u64) -> Result<(), Errno> {
    // The permissions of a symbolic link mean nothing, and Linux leaves them alone.
    if matches!(node.kind, Kind::Link(_)) {
        return Err(Errno::NOTSUP);
    }
    node.permissions = mode & PERMISSIONS;
    node.alter(now);
    Ok(())
}

fn set_owner(node: &mut Node, (user, group): (u32, u32), now: u64) {
    if user != u32::MAX {
        node.user = user;
    }
    if group != u32::MAX {
        node.group = group;
    }
    node.alter(now);
}

/// What `lstat` tells of an entry of `/proc/self/fd`. Its inode number is above those of nodes.
fn descriptor_stat(fd: i32) -> Stat {
    Stat {
        inode: super::listing::descriptor_inode(fd),
        mode: S_IFLNK | 0o777,
        links: 1,
        user: 0,
        group: 0,
        device: 0,
        size: 64,
        times: Times::default(),
    }
}
