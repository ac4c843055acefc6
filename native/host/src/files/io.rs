//! Reading and writing what is open.

use super::flags::{SEEK_CUR, SEEK_DATA, SEEK_END, SEEK_HOLE, SEEK_SET};
use super::node::{Device, Kind};
use super::pages::NoRoom;
use super::{Errno, Files};
use crate::limits::FILE_BYTES;
use crate::stream::Standard;

/// The greatest offset.
const MOST_OFFSET: u64 = i64::MAX as u64;

/// What was read from, and what becomes of it.
enum From {
    /// Reading goes on behind it.
    Contents,
    /// It is gone.
    Input,
    /// It is gone from the pipe of this number.
    Pipe(u64),
    Nothing,
}

impl Files {
    /// Reads on from where a descriptor is: how much was read, 0 at the end.
    pub(crate) fn read(&mut self, fd: i32, into: &mut [u8]) -> Result<usize, Errno> {
        let (read, from) = self.read_at(fd, None, into)?;
        match from {
            From::Contents => {
                let description = self.descriptors.get_mut(fd)?;
                description.offset = description.offset.saturating_add(read as u64).min(MOST_OFFSET);
            }
            From::Input => self.input.skip(read),
            From::Pipe(inode) => self.skip_in_pipe(inode, read)?,
            From::Nothing => {}
        }
        Ok(read)
    }

    /// Reads at an offset.
    pub(crate) fn pread(&self, fd: i32, offset: i64, into: &mut [u8]) -> Result<usize, Errno> {
        let offset = u64::try_from(offset).map_err(|_| Errno::INVAL)?;
        self.read_at(fd, Some(offset), into).map(|(read, _)| read)
    }

    /// How many bytes would be read, of `most`, and where.
    pub(crate) fn count(&self, fd: i32, offset: Option<i64>, most: u64) -> Result<u64, Errno> {
        let offset = offset.map(u64::try_from).transpose().map_err(|_| Errno::INVAL)?;
        self.read_at(fd, offset, &mut [])?;
        let description = self.descriptors.get(fd)?;
        Ok(match &self.tree.node(description.inode)?.kind {
            Kind::File(contents) => contents.count(offset.unwrap_or(description.offset), most),
            Kind::Device(Device::Terminal) => most.min(self.input.rest().len() as u64),
            Kind::Pipe(pipe) => pipe.count(most)?,
            _ => 0,
        })
    }

    /// How much was read, and from what.
    fn read_at(&self, fd: i32, offset: Option<u64>, into: &mut [u8]) -> Result<(usize, From), Errno> {
        let description = self.descriptors.get(fd)?;
        if !description.is_readable() {
            return Err(Errno::BADF);
        }
        let node = self.tree.node(description.inode)?;
        self.expect_known(description.inode, node, offset.unwrap_or(description.offset), into.len())?;
        match &node.kind {
            Kind::File(contents) => Ok((contents.read(offset.unwrap_or(description.offset), into), From::Contents)),
            Kind::Directory(_) => Err(Errno::ISDIR),
            Kind::Link(_) => Err(Errno::INVAL),
            Kind::Device(Device::Null) => Ok((0, From::Nothing)),
            Kind::Device(_) | Kind::Pipe(_) if offset.is_some() => Err(Errno::SPIPE),
            Kind::Device(Device::Terminal) => Ok((self.input.copy(into), From::Input)),
            Kind::Device(Device::ErrorTerminal) => Err(Errno::NXIO),
            Kind::Pipe(pipe) => Ok((pipe.copy(into)?, From::Pipe(description.inode))),
        }
    }

    /// Writes where a descriptor is, or at the end: how much was written, which is less where space runs out.
    pub(crate) fn write(&mut self, fd: i32, bytes: &[u8], now: u64) -> Result<usize, Errno> {
        self.write_at(fd, None, bytes, now)
    }

    /// Writes at an offset; to what was opened with `O_APPEND` at the end nevertheless, as on Linux.
    pub(crate) fn pwrite(&mut self, fd: i32, offset: i64, bytes: &[u8], now: u64) -> Result<usize, Errno> {
        let offset = u64::try_from(offset).map_err(|_| Errno::INVAL)?;
        self.write_at(fd, Some(offset), bytes, now)
    }

    fn write_at(&mut self, fd: i32, offset: Option<u64>, bytes: &[u8], now: u64) -> Result<usize, Errno> {
        let description = *self.descriptors.get(fd)?;
        if !description.is_writable() {
            return Err(Errno::BADF);
        }
        let size = match &self.tree.node(description.inode)?.kind {
            Kind::File(contents) => contents.size(),
            Kind::Directory(_) => return Err(Errno::ISDIR),
            Kind::Link(_) => return Err(Errno::INVAL),
            Kind::Device(Device::Null) => return Ok(bytes.len()),
            Kind::Device(_) | Kind::Pipe(_) if offset.is_some() => return Err(Errno::SPIPE),
            Kind::Pipe(_) => return self.write_to_pipe(description.inode, bytes, now),
            Kind::Device(device) => {
                let [output, errors] = &mut self.output;
                let (output, to) = match device {
                    Device::Terminal => (output, Standard::Output),
                    _ => (errors, Standard::Errors),
                };
                self.work.noted(output.append(bytes))?;
                if let Some(stream) = &self.stream {
                    self.work.noted(stream.print(to, bytes).map_err(|_| NoRoom))?;
                }
                if !bytes.is_empty() {
                    self.work.stamp();
                }
                return Ok(bytes.len());
            }
        };
        if bytes.is_empty() {
            return Ok(0);
        }
        let start = if description.appends() { size } else { offset.unwrap_or(description.offset) };
        if start >= FILE_BYTES {
            return Err(Errno::FBIG);
        }
        let most = usize::try_from(FILE_BYTES - start).unwrap_or(usize::MAX);
        let count = self.put(description.inode, start, bytes.get(..most).unwrap_or(bytes))?;
        self.tree.node_mut(description.inode)?.touch(now);
        self.work.stamp();
        if offset.is_none() {
            self.descriptors.get_mut(fd)?.offset = start + count as u64;
        }
        Ok(count)
    }

    /// Writes to a file, as much as there is space for: how much that is, and at least something.
    pub(super) fn put(&mut self, inode: u64, offset: u64, bytes: &[u8]) -> Result<usize, Errno> {
        let result = self.tree.change(inode, |contents, room| contents.write(offset, bytes, room))?;
        match self.work.noted(result)? {
            0 if !bytes.is_empty() => Err(Errno::NOSPC),
            count => Ok(count),
        }
    }

    /// Moves to an offset: where that is. In a directory, an offset is one that a listing has told, or 0.
    pub(crate) fn seek(&mut self, fd: i32, offset: i64, whence: i32) -> Result<u64, Errno> {
        let description = self.descriptors.opened(fd)?;
        let size = match &self.tree.node(description.inode)?.kind {
            // A size is never greater than an offset.
            Kind::File(contents) => Some(contents.size() as i64),
            Kind::Device(Device::Null) => return Ok(0),
            Kind::Device(_) | Kind::Link(_) | Kind::Pipe(_) => return Err(Errno::SPIPE),
            Kind::Directory(_) => None,
        };
        let at = description.offset as i64;
        let new = match (whence, size) {
            (SEEK_SET, _) => offset,
            (SEEK_CUR, _) => at.checked_add(offset).ok_or(Errno::OVERFLOW)?,
            (SEEK_END, Some(size)) => size.checked_add(offset).ok_or(Errno::OVERFLOW)?,
            // As a file system may have it that tells of no holes but the one behind the end.
            (SEEK_DATA | SEEK_HOLE, Some(size)) if !(0..size).contains(&offset) => return Err(Errno::NXIO),
            (SEEK_DATA, Some(_)) => offset,
            (SEEK_HOLE, Some(size)) => size,
            _ => return Err(Errno::INVAL),
        };
        let new = u64::try_from(new).map_err(|_| Errno::INVAL)?;
        self.descriptors.get_mut(fd)?.offset = new;
        Ok(new)
    }

    /// Bytes that can be read without waiting.
    pub(crate) fn readable(&self, fd: i32) -> Result<u64, Errno> {
        let description = self.descriptors.opened(fd)?;
        match &self.tree.node(description.inode)?.kind {
            Kind::File(contents) => Ok(contents.size().saturating_sub(description.offset)),
            Kind::Device(Device::Terminal) => Ok(self.input.rest().len() as u64),
            Kind::Device(Device::ErrorTerminal) => Ok(0),
            Kind::Pipe(pipe) => Ok(pipe.left()),
            _ => Err(Errno::NOTTY),
        }
    }

    /// The terminal that a descriptor has open.
    ///
    /// # Errors
    /// `ENOTTY` for anything else.
    pub(crate) fn terminal(&self, fd: i32) -> Result<Device, Errno> {
        let description = self.descriptors.opened(fd)?;
        match &self.tree.node(description.inode)?.kind {
            Kind::Device(device @ (Device::Terminal | Device::ErrorTerminal)) => Ok(*device),
            _ => Err(Errno::NOTTY),
        }
    }
}
