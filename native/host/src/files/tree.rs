//! All nodes of the file system, how they hang together, and what they may take.

use super::directory::Directory;
use super::flags::{W_OK, X_OK};
use super::lazy::Unknown;
use super::node::{Kind, Node, Place};
use super::pages::Contents;
use crate::errno::Errno;
use crate::limits::{FILE_COST, FILES, FILES_BYTES, NAME_COST, PAGE, PATH_BYTES};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The inode number of the root.
pub(super) const ROOT: u64 = 1;

/// The inode number of `/proc/self/fd`, whose entries are the open descriptors. It stays where it is.
pub(super) const FD_DIRECTORY: u64 = 12;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Tree {
    pub(super) nodes: BTreeMap<u64, Node>,
    /// The number of the next node. Numbers are not used again.
    pub(super) next_inode: u64,
    /// What of [`FILES_BYTES`] is taken.
    pub(super) bytes: u64,
    /// Entries of all directories.
    pub(super) names: usize,
    /// What is not known of lazy files, by inode number: something, of each of them.
    pub(super) unknown: BTreeMap<u64, Unknown>,
}

impl Tree {
    /// A tree that has only a root.
    pub(super) fn new() -> Tree {
        let mut root = Node::new(Kind::Directory(Directory::default()), 0o777, 0);
        root.names = 1;
        root.place = Place { directory: ROOT, position: 0 };
        let bytes = cost(&root);
        Tree { nodes: BTreeMap::from([(ROOT, root)]), next_inode: ROOT + 1, bytes, names: 0, unknown: BTreeMap::new() }
    }

    pub(super) fn node(&self, inode: u64) -> Result<&Node, Errno> {
        self.nodes.get(&inode).ok_or(Errno::NOENT)
    }

    pub(super) fn node_mut(&mut self, inode: u64) -> Result<&mut Node, Errno> {
        self.nodes.get_mut(&inode).ok_or(Errno::NOENT)
    }

    pub(super) fn directory(&self, inode: u64) -> Result<&Directory, Errno> {
        self.node(inode)?.directory().ok_or(Errno::NOTDIR)
    }

    fn directory_mut(&mut self, inode: u64) -> Result<&mut Directory, Errno> {
        match &mut self.node_mut(inode)?.kind {
            Kind::Directory(directory) => Ok(directory),
            _ => Err(Errno::NOTDIR),
        }
    }

    /// Bytes that may still be taken.
    pub(super) fn room(&self) -> u64 {
        FILES_BYTES.saturating_sub(self.bytes)
    }

    /// Whether entries of a directory may be made and removed.
    pub(super) fn may_change(&self, directory: u64) -> Result<(), Errno> {
        let node = self.node(directory)?;
        if directory == FD_DIRECTORY {
            return Err(Errno::PERM);
        }
        if node.permits(W_OK | X_OK) { Ok(()) } else { Err(Errno::ACCES) }
    }

    /// Whether an entry may be added to a directory: that it still has a place itself, and that there is room.
    pub(super) fn may_add(&self, directory: u64, name: &[u8]) -> Result<(), Errno> {
        if self.node(directory)?.names == 0 {
            return Err(Errno::NOENT);
        }
        self.may_change(directory)?;
        if self.names >= FILES || name_cost(name) > self.room() { Err(Errno::NOSPC) } else { Ok(()) }
    }

    /// Whether a directory may take over an entry from another one.
    pub(super) fn may_take(&self, directory: u64, name: &[u8]) -> Result<(), Errno> {
        match self.may_add(directory, name) {
            // An entry goes where this one comes; at most the name is longer.
            Err(Errno::NOSPC) if name_cost(name) <= self.room() => Ok(()),
            result => result,
        }
    }

    /// Makes a node and an entry for it: its inode number.
    pub(super) fn create(&mut self, directory: u64, name: &[u8], node: Node, now: u64) -> Result<u64, Errno> {
        self.may_add(directory, name)?;
        if name_cost(name) + cost(&node) > self.room() {
            return Err(Errno::NOSPC);
        }
        let inode = self.add(node)?;
        self.attach(directory, name, inode, now)?;
        Ok(inode)
    }

    /// Makes a node that nothing leads to yet: its inode number.
    pub(super) fn add(&mut self, node: Node) -> Result<u64, Errno> {
        let cost = cost(&node);
        if self.nodes.len() >= FILES || cost > self.room() {
            return Err(Errno::NOSPC);
        }
        let inode = self.next_inode;
        self.next_inode += 1;
        self.bytes += cost;
        self.nodes.insert(inode, node);
        Ok(inode)
    }

    /// Adds an entry under a name that is free. [`may_add`](Self::may_add) has been asked.
    pub(super) fn attach(&mut self, directory: u64, name: &[u8], inode: u64, now: u64) -> Result<(), Errno> {
        let is_directory = self.node(inode)?.is_directory();
        let position = self.directory_mut(directory)?.insert(Arc::from(name), inode, is_directory);
        self.node_mut(directory)?.touch(now);
        let node = self.node_mut(inode)?;
        node.names += 1;
        node.place = Place { directory, position };
        node.alter(now);
        self.bytes += name_cost(name);
        self.names += 1;
        Ok(())
    }

    /// Removes an entry, and with the last one the node that nobody has open.
    pub(super) fn remove(&mut self, directory: u64, name: &[u8], now: u64) -> Result<(), Errno> {
        let inode = self.detach(directory, name, now)?;
        self.collect(inode);
        Ok(())
    }

    /// Removes an entry but not the node: its inode number.
    pub(super) fn detach(&mut self, directory: u64, name: &[u8], now: u64) -> Result<u64, Errno> {
        let inode = self.directory(directory)?.get(name).ok_or(Errno::NOENT)?.inode;
        let is_directory = self.node(inode)?.is_directory();
        let entry = self.directory_mut(directory)?.remove(name, is_directory).ok_or(Errno::NOENT)?;
        self.node_mut(directory)?.touch(now);
        self.bytes = self.bytes.saturating_sub(name_cost(name));
        self.names = self.names.saturating_sub(1);
        let node = self.node_mut(inode)?;
        node.names = node.names.saturating_sub(1);
        node.alter(now);
        if is_directory {
            node.place.position = 0;
        } else if node.place == (Place { directory, position: entry.position }) {
            node.place = Place::default();
        }
        Ok(inode)
    }

    /// Keeps a node even without names.
    pub(super) fn hold(&mut self, inode: u64) -> Result<(), Errno> {
        self.node_mut(inode)?.holders += 1;
        Ok(())
    }

    pub(super) fn release(&mut self, inode: u64) {
        if let Some(node) = self.nodes.get_mut(&inode) {
            node.holders = node.holders.saturating_sub(1);
            self.collect(inode);
        }
    }

    /// Drops a node that has neither names nor holders.
    fn collect(&mut self, inode: u64) {
        let is_unused = |node: &Node| node.names == 0 && node.holders == 0;
        if self.nodes.get(&inode).is_some_and(is_unused)
            && let Some(node) = self.nodes.remove(&inode)
        {
            self.bytes = self.bytes.saturating_sub(cost(&node));
            self.unknown.remove(&inode);
        }
    }

    /// Whether there is something that is not known of a file.
    pub(super) fn has_unknown(&self) -> bool {
        !self.unknown.is_empty()
    }

    /// What is not known of files, which are there and hold zeros where it says so: nothing where that is not so.
    pub(super) fn set_unknown(&mut self, unknown: BTreeMap<u64, Unknown>) -> Option<()> {
        for (inode, unknown) in &unknown {
            let Kind::File(contents) = &self.nodes.get(inode)?.kind else { return None };
            let pages = contents.size().div_ceil(PAGE as u64);
            let mut runs = unknown.runs();
            let is_unknown = runs.all(|run| run.end <= pages && contents.pages().range(run).next().is_none());
            is_unknown.then_some(())?;
        }
        self.unknown = unknown;
        Some(())
    }

    /// Lets `change` have the contents of a file, and the bytes that they may take more.
    ///
    /// # Errors
    /// `EPERM` for a lazy file, which programs only read; `EINVAL` for what is no file.
    pub(super) fn change<T>(&mut self, inode: u64, change: impl FnOnce(&mut Contents, u64) -> T) -> Result<T, Errno> {
        if self.unknown.contains_key(&inode) { Err(Errno::PERM) } else { self.fill(inode, change) }
    }

    /// The same for any file.
    pub(super) fn fill<T>(&mut self, inode: u64, change: impl FnOnce(&mut Contents, u64) -> T) -> Result<T, Errno> {
        let room = self.room();
        let Kind::File(contents) = &mut self.node_mut(inode)?.kind else { return Err(Errno::INVAL) };
        let before = contents.taken();
        let result = change(contents, room);
        let after = contents.taken();
        self.bytes = self.bytes.saturating_sub(before).saturating_add(after);
        Ok(result)
    }

    /// Whether a directory is another one or below it. Takes as many steps, which `each` pays for, as it is deep.
    pub(super) fn is_within(
        &self,
        directory: u64,
        other: u64,
        mut each: impl FnMut() -> Result<(), Errno>,
    ) -> Result<bool, Errno> {
        let mut at = directory;
        while at != other {
            each()?;
            if at == ROOT {
                return Ok(false);
            }
            at = self.node(at)?.place.directory;
        }
        Ok(true)
    }

    /// The path of a place from the root on. `each` pays for each step.
    ///
    /// # Errors
    /// `ENOENT` where there is none any longer, `ENAMETOOLONG` for what no path can say.
    pub(super) fn path(&self, inode: u64, mut each: impl FnMut() -> Result<(), Errno>) -> Result<Vec<u8>, Errno> {
        let mut names: Vec<&[u8]> = Vec::new();
        let (mut at, mut size) = (inode, 0);
        while at != ROOT {
            each()?;
            let Place { directory, position } = self.node(at)?.place;
            let (name, _) = self.directory(directory)?.at(position).ok_or(Errno::NOENT)?;
            size += name.len() + 1;
            if size > PATH_BYTES {
                return Err(Errno::NAMETOOLONG);
            }
            names.push(name);
            at = directory;
        }
        if names.is_empty() {
            return Ok(b"/".to_vec());
        }
        let mut path = Vec::with_capacity(size);
        for name in names.into_iter().rev() {
            path.push(b'/');
            path.extend_from_slice(name);
        }
        Ok(path)
    }
}

/// What a node takes of [`FILES_BYTES`].
pub(super) fn cost(node: &Node) -> u64 {
    FILE_COST
        + match &node.kind {
            Kind::File(contents) => contents.taken(),
            Kind::Pipe(pipe) => pipe.contents().taken(),
            Kind::Link(target) => target.len() as u64,
            Kind::Directory(_) | Kind::Device(_) => 0,
        }
}

/// What a name takes of it.
pub(super) fn name_cost(name: &[u8]) -> u64 {
    NAME_COST + name.len() as u64
}
