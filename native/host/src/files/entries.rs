//! Making, moving and removing entries of directories.

use super::flags::{AT_EMPTY_PATH, AT_FDCWD, AT_SYMLINK_FOLLOW, S_IFCHR, S_IFMT, S_IFREG, X_OK};
use super::node::{Device, Kind, Node};
use super::pages::Contents;
use super::path::{At, Follow, Found, Last, Target};
use super::tree::FD_DIRECTORY;
use super::{Errno, Files};
use crate::limits::{PATH_BYTES, PATH_STEP_COST};

impl Files {
    /// Where an entry is to be made: the directory and the name.
    fn vacancy(&self, at: impl Into<At>, path: &[u8], as_directory: bool) -> Result<(u64, Vec<u8>), Errno> {
        let found = self.walk(at, path, Follow::Never)?;
        match found.last {
            _ if found.target.exists() => Err(Errno::EXIST),
            _ if found.slash && !as_directory => Err(Errno::NOENT),
            Last::Name(name) => Ok((found.directory, name)),
            _ => Err(Errno::EXIST),
        }
    }

    pub(crate) fn make_directory(&mut self, at: impl Into<At>, path: &[u8], mode: u32, now: u64) -> Result<(), Errno> {
        let (directory, name) = self.vacancy(at, path, true)?;
        let node = Node::new(Kind::Directory(Default::default()), mode & 0o1777, now);
        self.tree.create(directory, &name, node, now).map(|_| self.work.stamp())
    }

    /// Makes a file, or one of the devices that there are.
    pub(crate) fn make_node(&mut self, at: i32, path: &[u8], mode: u32, device: u32, now: u64) -> Result<(), Errno> {
        let (directory, name) = self.vacancy(at, path, false)?;
        let kind = match mode & S_IFMT {
            0 | S_IFREG => Kind::File(Contents::default()),
            S_IFCHR => Kind::Device(Device::from_number(u64::from(device)).ok_or(Errno::PERM)?),
            _ => return Err(Errno::PERM),
        };
        self.tree.create(directory, &name, Node::new(kind, mode, now), now).map(|_| self.work.stamp())
    }

    pub(crate) fn make_symlink(
        &mut self,
        target: &[u8],
        at: impl Into<At>,
        path: &[u8],
        now: u64,
    ) -> Result<(), Errno> {
        if target.is_empty() {
            return Err(Errno::NOENT);
        }
        if target.len() > PATH_BYTES {
            return Err(Errno::NAMETOOLONG);
        }
        let (directory, name) = self.vacancy(at, path, false)?;
        let node = Node::new(Kind::Link(target.into()), 0o777, now);
        self.tree.create(directory, &name, node, now).map(|_| self.work.stamp())
    }

    /// What a symbolic link holds. With an empty path, that of the link that `at` has open.
    pub(crate) fn read_link(&self, at: impl Into<At>, path: &[u8]) -> Result<Vec<u8>, Errno> {
        let at = at.into();
        let target = if path.is_empty() {
            match at {
                At::Anywhere(AT_FDCWD) | At::Beneath(_) => return Err(Errno::NOENT),
                At::Anywhere(fd) => Target::Node(self.descriptors.get(fd)?.inode),
            }
        } else {
            self.walk(at, path, Follow::WithSlash)?.target
        };
        match target {
            Target::Descriptor(fd) => self.tree.path(self.descriptors.get(fd)?.inode, || self.work.pay(PATH_STEP_COST)),
            target => match &self.tree.node(target.node()?)?.kind {
                Kind::Link(target) => Ok(target.to_vec()),
                // An open file that is no link has no link's path.
                _ if path.is_empty() => Err(Errno::NOENT),
                _ => Err(Errno::INVAL),
            },
        }
    }

    /// Gives a node that is no directory a second name.
    pub(crate) fn link(
        &mut self,
        from: (impl Into<At>, &[u8]),
        to: (impl Into<At>, &[u8]),
        flags: i32,
        now: u64,
    ) -> Result<(), Errno> {
        if flags & !(AT_SYMLINK_FOLLOW | AT_EMPTY_PATH) != 0 {
            return Err(Errno::INVAL);
        }
        let inode = if from.1.is_empty() && flags & AT_EMPTY_PATH != 0 {
            self.target(from.0, b"", AT_EMPTY_PATH)?.node()?
        } else {
            let follow = if flags & AT_SYMLINK_FOLLOW == 0 { Follow::WithSlash } else { Follow::Always };
            self.walk(from.0, from.1, follow)?.target.node()?
        };
        let (directory, name) = self.vacancy(to.0, to.1, false)?;
        let node = self.tree.node(inode)?;
        if node.is_directory() {
            return Err(Errno::PERM);
        }
        if node.names == 0 {
            return Err(Errno::NOENT);
        }
        self.tree.may_add(directory, &name)?;
        self.tree.attach(directory, &name, inode, now)
    }

    pub(crate) fn unlink(&mut self, at: impl Into<At>, path: &[u8], now: u64) -> Result<(), Errno> {
        let found = self.walk(at, path, Follow::Never)?;
        let Last::Name(name) = found.last else { return Err(Errno::ISDIR) };
        let inode = found.target.node()?;
        if self.tree.node(inode)?.is_directory() {
            return Err(Errno::ISDIR);
        }
        if found.slash {
            return Err(Errno::NOTDIR);
        }
        self.tree.may_change(found.directory)?;
        self.tree.remove(found.directory, &name, now).map(|()| self.work.stamp())
    }

    pub(crate) fn remove_directory(&mut self, at: impl Into<At>, path: &[u8], now: u64) -> Result<(), Errno> {
        let found = self.walk(at, path, Follow::Never)?;
        let name = match found.last {
            Last::Name(name) => name,
            Last::Dot => return Err(Errno::INVAL),
            Last::DotDot => return Err(Errno::NOTEMPTY),
            Last::Root => return Err(Errno::BUSY),
        };
        let inode = match found.target {
            Target::Descriptor(_) => return Err(Errno::NOTDIR),
            target => target.node()?,
        };
        let is_empty = self.tree.directory(inode)?.is_empty();
        self.tree.may_change(found.directory)?;
        if inode == FD_DIRECTORY {
            return Err(Errno::BUSY);
        }
        if !is_empty {
            return Err(Errno::NOTEMPTY);
        }
        self.tree.remove(found.directory, &name, now).map(|()| self.work.stamp())
    }

    /// Moves an entry, in the place of another one if there is one.
    pub(crate) fn rename(
        &mut self,
        from: (impl Into<At>, &[u8]),
        to: (impl Into<At>, &[u8]),
        now: u64,
    ) -> Result<(), Errno> {
        let old = self.walk(from.0, from.1, Follow::Never)?;
        let new = self.walk(to.0, to.1, Follow::Never)?;
        let (Last::Name(old_name), Last::Name(new_name)) = (&old.last, &new.last) else { return Err(Errno::BUSY) };
        let inode = old.target.node()?;
        let is_directory = self.tree.node(inode)?.is_directory();
        if !is_directory && (old.slash || new.slash) {
            return Err(Errno::NOTDIR);
        }
        // Only what has a place itself has one that can be followed up to the root.
        if self.tree.node(new.directory)?.names == 0 {
            return Err(Errno::NOENT);
        }
        if is_directory
            && old.directory != new.directory
            && self.tree.is_within(new.directory, inode, || self.work.pay(PATH_STEP_COST))?
        {
            return Err(Errno::INVAL);
        }
        if new.target == Target::Node(inode) {
            return Ok(());
        }
        self.may_replace(&old, &new, new_name, is_directory)?;
        if inode == FD_DIRECTORY || new.target == Target::Node(FD_DIRECTORY) {
            return Err(Errno::BUSY);
        }
        if new.target.exists() {
            self.tree.remove(new.directory, new_name, now)?;
        }
        let inode = self.tree.detach(old.directory, old_name, now)?;
        self.tree.attach(new.directory, new_name, inode, now).map(|()| self.work.stamp())
    }

    /// Whether an entry may go and another one come in its place.
    fn may_replace(&self, old: &Found, new: &Found, name: &[u8], is_directory: bool) -> Result<(), Errno> {
        self.tree.may_change(old.directory)?;
        self.tree.may_change(new.directory)?;
        match new.target {
            Target::Missing => self.tree.may_take(new.directory, name),
            target => {
                let replaced = self.tree.node(target.node()?)?;
                match (is_directory, replaced.directory()) {
                    (true, None) => Err(Errno::NOTDIR),
                    (false, Some(_)) => Err(Errno::ISDIR),
                    (true, Some(directory)) if !directory.is_empty() => Err(Errno::NOTEMPTY),
                    _ => Ok(()),
                }
            }
        }
    }

    /// The path of the working directory.
    pub(crate) fn working_directory(&self) -> Result<Vec<u8>, Errno> {
        self.tree.path(self.working_directory, || self.work.pay(PATH_STEP_COST))
    }

    pub(crate) fn change_directory(&mut self, path: &[u8]) -> Result<(), Errno> {
        let inode = self.walk(AT_FDCWD, path, Follow::Always)?.target.node()?;
        self.enter(inode)
    }

    pub(crate) fn change_directory_to(&mut self, fd: i32) -> Result<(), Errno> {
        let inode = self.descriptors.get(fd)?.inode;
        self.enter(inode)
    }

    fn enter(&mut self, inode: u64) -> Result<(), Errno> {
        self.tree.directory(inode)?;
        if !self.tree.node(inode)?.permits(X_OK) {
            return Err(Errno::ACCES);
        }
        self.tree.hold(inode)?;
        let left = std::mem::replace(&mut self.working_directory, inode);
        self.tree.release(left);
        Ok(())
    }
}
