//! What callers do with files, by absolute paths: without a program and its descriptors.

use super::flags::AT_FDCWD;
use super::node::{Kind, Node};
use super::pages::{Contents, NoRoom};
use super::path::{Follow, Last, Target};
use super::{Errno, Files};
use crate::limits::{NAME_BYTES, PATH_BYTES};
use std::sync::Arc;

/// What there is under a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    /// A file of so many bytes.
    File(u64),
    /// A directory.
    Directory,
    /// A symbolic link.
    Link,
    /// A device.
    Device,
}

/// An entry of a directory: its name, and what it is.
pub type Named = (Arc<[u8]>, FileKind);

impl Files {
    /// Makes a file with these contents, or puts them in the place of those that it has. Directories that are missing on
    /// the way are made.
    pub(crate) fn put_file(&mut self, path: &[u8], bytes: &[u8], now: u64) -> Result<(), Errno> {
        let known = self.known_file(path)?;
        let taken = known.map_or(Ok(0), |inode| self.contents_of(inode).map(Contents::taken))?;
        let mut new = Contents::default();
        let count = self.work.noted(new.write(0, bytes, self.tree.room().saturating_add(taken)))?;
        if count < bytes.len() {
            return Err(Errno::NOSPC);
        }
        let inode = known.map_or_else(|| self.make_file(path, now), Ok)?;
        self.tree.unknown.remove(&inode);
        self.tree.change(inode, |contents, room| {
            // What has been made meanwhile takes some of it.
            if new.taken() > room.saturating_add(contents.taken()) {
                return Err(Errno::NOSPC);
            }
            *contents = new;
            Ok(())
        })??;
        self.tree.node_mut(inode)?.touch(now);
        Ok(())
    }

    /// The file under a path, if there is one.
    ///
    /// # Errors
    /// That of something else under that path.
    fn known_file(&self, path: &[u8]) -> Result<Option<u64>, Errno> {
        match self.walk(AT_FDCWD, path, Follow::Always).map(|found| found.target) {
            Ok(Target::Missing) | Err(Errno::NOENT) => Ok(None),
            Ok(target) => {
                let inode = target.node()?;
                self.contents_of(inode).map(|_| Some(inode))
            }
            Err(errno) => Err(errno),
        }
    }

    fn contents_of(&self, inode: u64) -> Result<&Contents, Errno> {
        match &self.tree.node(inode)?.kind {
            Kind::File(contents) => Ok(contents),
            Kind::Directory(_) => Err(Errno::ISDIR),
            _ => Err(Errno::NOTSUP),
        }
    }

    fn make_file(&mut self, path: &[u8], now: u64) -> Result<u64, Errno> {
        // Before anything is made.
        if path.ends_with(b"/") {
            return Err(Errno::ISDIR);
        }
        if path.len() > PATH_BYTES || path.split(|byte| *byte == b'/').any(|name| name.len() > NAME_BYTES) {
            return Err(Errno::NAMETOOLONG);
        }
        self.make_parents(path, now)?;
        let found = self.walk(AT_FDCWD, path, Follow::Always)?;
        let Last::Name(name) = found.last else { return Err(Errno::ISDIR) };
        self.tree.create(found.directory, &name, Node::new(Kind::File(Contents::default()), 0o666, now), now)
    }

    /// Makes the directories that are missing on the way to a path.
    fn make_parents(&mut self, path: &[u8], now: u64) -> Result<(), Errno> {
        let ends = path.iter().enumerate().skip(1).filter(|(_, byte)| **byte == b'/').map(|(at, _)| at);
        for end in ends {
            let parent = path.get(..end).unwrap_or_default();
            match self.walk(AT_FDCWD, parent, Follow::Always)?.target {
                Target::Missing => self.make_directory(AT_FDCWD, parent, 0o777, now)?,
                target => self.expect_directory(target)?,
            }
        }
        Ok(())
    }

    /// How many bytes a file has.
    pub(crate) fn file_size(&self, path: &[u8]) -> Result<u64, Errno> {
        self.file_contents(path).map(Contents::size)
    }

    /// Copies a file from an offset on: how many bytes that were.
    pub(crate) fn read_file(&self, path: &[u8], offset: u64, into: &mut [u8]) -> Result<usize, Errno> {
        Ok(self.known_contents(path)?.read(offset, into))
    }

    /// The same of one that is known.
    ///
    /// # Errors
    /// `EAGAIN` for a lazy file of which a part is not.
    fn known_contents(&self, path: &[u8]) -> Result<&Contents, Errno> {
        let inode = self.walk(AT_FDCWD, path, Follow::Always)?.target.node()?;
        if self.tree.unknown.contains_key(&inode) { Err(Errno::AGAIN) } else { self.contents_of(inode) }
    }

    fn file_contents(&self, path: &[u8]) -> Result<&Contents, Errno> {
        self.contents_of(self.walk(AT_FDCWD, path, Follow::Always)?.target.node()?)
    }

    /// The entries of a directory by name, without "." and "..".
    pub(crate) fn list_files(&self, path: &[u8]) -> Result<Vec<Named>, Errno> {
        let inode = self.walk(AT_FDCWD, path, Follow::Always)?.target.node()?;
        let directory = self.tree.directory(inode)?;
        let mut listed = Vec::new();
        let room = listed.try_reserve_exact(directory.len());
        self.work.noted(room.map_err(|_| NoRoom))?;
        for (name, entry) in directory.by_name() {
            let kind = match &self.tree.node(entry.inode)?.kind {
                Kind::File(contents) => FileKind::File(contents.size()),
                Kind::Directory(_) => FileKind::Directory,
                Kind::Link(_) => FileKind::Link,
                // A pipe has no name.
                Kind::Device(_) | Kind::Pipe(_) => FileKind::Device,
            };
            listed.push((name.clone(), kind));
        }
        Ok(listed)
    }

    /// Removes a file, a link, a device or an empty directory.
    pub(crate) fn remove_file(&mut self, path: &[u8], now: u64) -> Result<(), Errno> {
        match self.unlink(AT_FDCWD, path, now) {
            Err(Errno::ISDIR) => self.remove_directory(AT_FDCWD, path, now),
            result => result,
        }
    }
}
