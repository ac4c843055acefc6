//! Files of an instance, as its callers have them.

use crate::errno::Errno;
use crate::files::{GivenUp, Named};
use crate::state::State;

/// Why something could not be done with a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileError {
    /// The name of the error, as POSIX has it: `enoent`.
    Posix(&'static str),
    /// This computer has no room for it.
    NoRoom,
}

impl State {
    /// Makes a file with these contents, or puts them in the place of those that it has. `now` becomes its time, in
    /// milliseconds since 1970. Directories that are missing on the way to it are made.
    ///
    /// # Errors
    /// [`FileError`]: the file is as it was.
    pub fn put_file(&mut self, path: &[u8], bytes: &[u8], now: u64) -> Result<(), FileError> {
        self.with_files(path, |state| state.files.put_file(path, bytes, now))
    }

    /// Makes a lazy file of so many bytes, none of which is known yet: the embedder is asked for those that a program reads.
    ///
    /// # Errors
    /// [`FileError`]: what was there is as it was.
    pub fn put_lazy_file(&mut self, path: &[u8], size: u64, now: u64) -> Result<(), FileError> {
        self.with_files(path, |state| state.files.put_lazy_file(path, size, now))
    }

    /// Gives a lazy file bytes from an offset on: whole pages of 4096, the last one of the file apart. Those that are known
    /// already stay as they are.
    ///
    /// # Errors
    /// [`FileError`], `einval` for bytes that are not that.
    pub fn fill_file(&mut self, path: &[u8], offset: u64, bytes: &[u8]) -> Result<(), FileError> {
        self.with_files(path, |state| state.files.fill_file(path, offset, bytes))
    }

    /// How many bytes a file has.
    ///
    /// # Errors
    /// [`FileError`].
    pub fn file_size(&mut self, path: &[u8]) -> Result<u64, FileError> {
        self.with_files(path, |state| state.files.file_size(path))
    }

    /// Copies a file from an offset on: how many bytes that were.
    ///
    /// # Errors
    /// [`FileError`], `eagain` for a lazy file that is not known whole.
    pub fn read_file(&mut self, path: &[u8], offset: u64, into: &mut [u8]) -> Result<usize, FileError> {
        self.with_files(path, |state| state.files.read_file(path, offset, into))
    }

    /// The entries of a directory, by name.
    ///
    /// # Errors
    /// [`FileError`].
    pub fn list_files(&mut self, path: &[u8]) -> Result<Vec<Named>, FileError> {
        self.with_files(path, |state| state.files.list_files(path))
    }

    /// Removes a file, a link, a device, or an empty directory.
    ///
    /// # Errors
    /// [`FileError`].
    pub fn remove_file(&mut self, path: &[u8], now: u64) -> Result<(), FileError> {
        self.with_files(path, |state| state.files.remove_file(path, now))
    }

    /// Has something done at an absolute path, for nobody's fuel.
    fn with_files<R>(
        &mut self,
        path: &[u8],
        work: impl FnOnce(&mut State) -> Result<R, Errno>,
    ) -> Result<R, FileError> {
        if !path.starts_with(b"/") || path.contains(&0) {
            return Err(FileError::Posix(Errno::INVAL.name()));
        }
        self.files.begin_work(u64::MAX);
        let result = work(self);
        match self.files.given_up() {
            Some(GivenUp::NoRoom) => Err(FileError::NoRoom),
            _ => result.map_err(|errno| FileError::Posix(errno.name())),
        }
    }
}
