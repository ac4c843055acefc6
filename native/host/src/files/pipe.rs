//! Pipes: what is written to one end is read once from the other.
//!
//! There is one thread, so nobody waits: whatever its flags say, an end that is not ready answers `EAGAIN`, as Emscripten's
//! pipes do.

use super::descriptors::Description;
use super::flags::{O_CLOEXEC, O_NONBLOCK, O_WRONLY};
use super::node::{Kind, Node};
use super::pages::{Contents, NoRoom};
use super::tree::Tree;
use super::{Errno, Files};
use crate::limits::{DESCRIPTOR_COST, DESCRIPTORS, PAGE, PIPE_BYTES};

/// Bytes on their way. A pipe has no name: it is there as long as one of its ends is open.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Pipe {
    /// What has not been read, behind zeros in the place of what has been.
    contents: Contents,
    /// How many bytes of the contents have been read: less than a page, and less than there are where there are any.
    read: u64,
    /// Open descriptions that read. They follow from the descriptions, as do the writers.
    readers: u32,
    writers: u32,
}

impl Pipe {
    /// A pipe with these contents, of which so many bytes have been read; nothing where no pipe is like that. Its ends
    /// are not open yet.
    pub(super) fn of(contents: Contents, read: u64) -> Option<Pipe> {
        let mut gone = [0; PAGE];
        let gone = gone.get_mut(..usize::try_from(read).ok()?)?;
        contents.read(0, gone);
        let is_bounded = contents.size().checked_sub(read)? <= PIPE_BYTES;
        let is_first = read < PAGE as u64 && (read == 0 || read < contents.size());
        let is_gone = gone.iter().all(|byte| *byte == 0);
        (is_bounded && is_first && is_gone).then_some(Pipe { contents, read, readers: 0, writers: 0 })
    }

    pub(super) fn contents(&self) -> &Contents {
        &self.contents
    }

    /// How many bytes of the contents have been read.
    pub(super) fn read(&self) -> u64 {
        self.read
    }

    /// Bytes that can be read.
    pub(super) fn left(&self) -> u64 {
        self.contents.size().saturating_sub(self.read)
    }

    /// How many of `most` bytes can be read.
    ///
    /// # Errors
    /// `EAGAIN` where there are none, but somebody could write some.
    pub(super) fn count(&self, most: u64) -> Result<u64, Errno> {
        match self.left().min(most) {
            0 if most > 0 && self.writers > 0 => Err(Errno::AGAIN),
            count => Ok(count),
        }
    }

    /// Copies what there is room for: how much that is. It stays until it is [skipped](Self::skip).
    pub(super) fn copy(&self, into: &mut [u8]) -> Result<usize, Errno> {
        self.count(into.len() as u64)?;
        Ok(self.contents.read(self.read, into))
    }

    /// Forgets so many bytes, which have been copied.
    fn skip(&mut self, count: u64) -> Result<(), NoRoom> {
        let read = self.read.saturating_add(count);
        if read >= self.contents.size() {
            self.contents = Contents::default();
            self.read = 0;
            return Ok(());
        }
        self.contents.zero(self.read..read)?;
        self.contents.skip_pages(read / PAGE as u64);
        self.read = read % PAGE as u64;
        Ok(())
    }

    /// Bytes that can be written.
    fn room(&self) -> u64 {
        PIPE_BYTES.saturating_sub(self.left())
    }

    /// The counts of descriptions that are like this one.
    fn ends(&mut self, of: &Description) -> impl Iterator<Item = &mut u32> {
        let reads = of.is_readable().then_some(&mut self.readers);
        reads.into_iter().chain(of.is_writable().then_some(&mut self.writers))
    }
}

/// What a descriptor is ready for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ready {
    pub(crate) reads: bool,
    pub(crate) writes: bool,
    /// Nobody can write what it would read.
    pub(crate) hung_up: bool,
    /// Nobody can read what it would write.
    pub(crate) broken: bool,
}

impl Tree {
    /// Keeps the node of an open description.
    pub(super) fn hold_open(&mut self, description: &Description) -> Result<(), Errno> {
        self.hold(description.inode)?;
        if let Kind::Pipe(pipe) = &mut self.node_mut(description.inode)?.kind {
            pipe.ends(description).for_each(|count| *count += 1);
        }
        Ok(())
    }

    /// Lets the node of a description go that is closed.
    pub(super) fn release_open(&mut self, description: &Description) {
        if let Ok(Node { kind: Kind::Pipe(pipe), .. }) = self.node_mut(description.inode) {
            pipe.ends(description).for_each(|count| *count = count.saturating_sub(1));
        }
        self.release(description.inode);
    }

    /// Lets `change` have a pipe, and the bytes that it may take more.
    fn change_pipe<T>(&mut self, inode: u64, change: impl FnOnce(&mut Pipe, u64) -> T) -> Result<T, Errno> {
        let room = self.room();
        let Kind::Pipe(pipe) = &mut self.node_mut(inode)?.kind else { return Err(Errno::INVAL) };
        let before = pipe.contents.taken();
        let result = change(pipe, room);
        let after = pipe.contents.taken();
        self.bytes = self.bytes.saturating_sub(before).saturating_add(after);
        Ok(result)
    }
}

impl Files {
    /// Opens both ends of a new pipe: the descriptors that read and write. `flags` may be `O_CLOEXEC` and `O_NONBLOCK`.
    ///
    /// # Errors
    /// `EMFILE` where there are no two descriptors, `ENFILE` where there is no space.
    pub(crate) fn make_pipe(&mut self, flags: i32, now: u64) -> Result<[i32; 2], Errno> {
        if flags & !(O_CLOEXEC | O_NONBLOCK) != 0 {
            return Err(Errno::INVAL);
        }
        let open = self.descriptors.open.len();
        // They are passed over for each of both.
        self.work.pay(2 * DESCRIPTOR_COST * open as u64)?;
        if open + 2 > DESCRIPTORS as usize {
            return Err(Errno::MFILE);
        }
        let pipe = Node::new(Kind::Pipe(Pipe::default()), 0o600, now);
        let inode = self.tree.add(pipe).map_err(|_| Errno::NFILE)?;
        Ok([self.describe(inode, flags)?, self.describe(inode, flags | O_WRONLY)?])
    }

    /// Forgets what has been read from a pipe.
    pub(super) fn skip_in_pipe(&mut self, inode: u64, count: usize) -> Result<(), Errno> {
        let result = self.tree.change_pipe(inode, |pipe, _| pipe.skip(count as u64))?;
        self.work.noted(result)
    }

    /// Writes what there is space for: how much that is.
    ///
    /// # Errors
    /// `EPIPE` where nobody can read it, `EAGAIN` for a full pipe, `ENOSPC` where the file system is full.
    pub(super) fn write_to_pipe(&mut self, inode: u64, bytes: &[u8], now: u64) -> Result<usize, Errno> {
        if bytes.is_empty() {
            return Ok(0);
        }
        let result = self.tree.change_pipe(inode, |pipe, room| {
            if pipe.readers == 0 {
                return Err(Errno::PIPE);
            }
            let most = pipe.room() as usize;
            if most == 0 {
                return Err(Errno::AGAIN);
            }
            Ok(pipe.contents.write(pipe.contents.size(), bytes.get(..most).unwrap_or(bytes), room))
        })??;
        match self.work.noted(result)? {
            0 => Err(Errno::NOSPC),
            count => {
                self.tree.node_mut(inode)?.touch(now);
                Ok(count)
            }
        }
    }

    /// What a descriptor is ready for. All but pipes always are, for both.
    pub(crate) fn ready(&self, fd: i32) -> Result<Ready, Errno> {
        let description = self.descriptors.get(fd)?;
        Ok(match &self.tree.node(description.inode)?.kind {
            Kind::Pipe(pipe) => Ready {
                reads: description.is_readable() && pipe.left() > 0,
                writes: description.is_writable() && pipe.room() > 0,
                hung_up: description.is_readable() && pipe.writers == 0,
                broken: description.is_writable() && pipe.readers == 0,
            },
            _ => Ready { reads: true, writes: true, hung_up: false, broken: false },
        })
    }
}
