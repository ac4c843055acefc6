//! Directories that a program is given at its start.

use super::flags::{AT_FDCWD, O_DIRECTORY};
use super::{Errno, Files};
use std::sync::Arc;

impl Files {
    /// Opens a directory that the program is to find under a name: the lowest free descriptor. A name that does not begin
    /// with a slash starts at the root. The directories on the way are made where they are missing.
    ///
    /// # Errors
    /// `ENOTDIR` and others, where no such directory can be.
    pub(crate) fn preopen(&mut self, name: &[u8]) -> Result<(), Errno> {
        let path = [b"/", name.strip_prefix(b"/").unwrap_or(name)].concat();
        let mut ends = memchr::memchr_iter(b'/', &path).skip(1).chain([path.len()]);
        ends.try_for_each(|end| match self.make_directory(AT_FDCWD, path.get(..end).unwrap_or_default(), 0o777, 0) {
            Err(errno) if errno != Errno::EXIST => Err(errno),
            _ => Ok(()),
        })?;
        let fd = self.open(AT_FDCWD, &path, O_DIRECTORY, 0, 0)?;
        if let Some(descriptor) = self.descriptors.open.get_mut(&fd) {
            descriptor.preopen = Some(Arc::from(name));
        }
        Ok(())
    }

    /// What the program calls the directory that it was given with a descriptor.
    ///
    /// # Errors
    /// `EBADF` for any other descriptor.
    pub(crate) fn preopened(&self, fd: i32) -> Result<&[u8], Errno> {
        self.descriptors.open.get(&fd).and_then(|found| found.preopen.as_deref()).ok_or(Errno::BADF)
    }

    /// Makes a descriptor another one, which has to be open and is closed before.
    pub(crate) fn renumber(&mut self, from: i32, to: i32) -> Result<(), Errno> {
        self.descriptors.get(from)?;
        self.descriptors.get(to)?;
        if from != to {
            self.close(to)?;
            let descriptor = self.descriptors.open.remove(&from).ok_or(Errno::BADF)?;
            self.descriptors.open.insert(to, descriptor);
        }
        Ok(())
    }
}
