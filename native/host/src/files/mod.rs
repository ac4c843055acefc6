//! The file system of an instance: in memory, as Linux would have it, with the tree that Emscripten's programs find.
//!
//! | file | responsibility |
//! |---|---|
//! | `tree`, `node`, `directory` | files, directories, links and devices, and how they hang together |
//! | `pages` | the contents of a file |
//! | `path` | from paths to nodes |
//! | `descriptors` | descriptors and open file descriptions |
//! | `open`, `io`, `listing` | operations on descriptors |
//! | `entries`, `metadata` | operations on paths |
//! | `preopens` | directories that a program is given at its start |
//! | `pipe` | what one descriptor writes and another one reads |
//! | `mappings` | files in the memory of the program |
//! | `outside`, `lazy` | what callers do with files, and files that they give piece by piece |
//! | `skeleton` | the tree of a new instance |
//! | `encode`, `decode` | all of it as bytes |
//! | `input`, `output` | what can be read, and what was printed |
//! | `accounting` | what operations cost |
//! | `flags` | numbers that programs know |
//!
//! Whatever has a time takes `now`, the caller's clock in milliseconds since 1970. Operations that fail change nothing.

mod accounting;
mod decode;
mod descriptors;
mod directory;
mod encode;
mod entries;
pub(crate) mod flags;
mod input;
mod io;
mod lazy;
mod listing;
mod mappings;
mod metadata;
mod node;
mod open;
mod output;
mod outside;
mod pages;
mod path;
mod pipe;
mod preopens;
mod skeleton;
mod tree;

#[cfg(test)]
pub(crate) mod tests;

pub(crate) use accounting::GivenUp;
pub(crate) use mappings::Place;
pub(crate) use metadata::{SetTime, Space};
pub(crate) use node::{Stat, Time};
pub use outside::{FileKind, Named};
pub(crate) use path::At;

use crate::encoding::DecodeError;
use crate::errno::Errno;
use crate::limits::SHORT_FILES_BYTES;
use crate::stream::Stream;
use accounting::Work;
use descriptors::Descriptors;
use input::Input;
use mappings::Mappings;
use output::Output;
use std::sync::Arc;
use tree::Tree;

/// A file system, its descriptors, and what was printed. Output and work are no state: two are equal whatever they printed.
#[derive(Clone, Debug)]
pub(crate) struct Files {
    tree: Tree,
    descriptors: Descriptors,
    /// The inode number of the working directory.
    working_directory: u64,
    mappings: Mappings,
    /// What can be read from the terminal. It is not among the bytes of the file system.
    input: Input,
    output: [Output; 2],
    /// Where what is printed goes as well, while that is wanted.
    stream: Option<Arc<Stream>>,
    work: Work,
}

impl PartialEq for Files {
    fn eq(&self, other: &Files) -> bool {
        self.tree == other.tree
            && self.descriptors == other.descriptors
            && self.working_directory == other.working_directory
            && self.mappings == other.mappings
            && self.input == other.input
    }
}

impl Eq for Files {}

impl Files {
    /// What was printed to the standard output and the error output since they were last cleared: of each the first
    /// MiB.
    pub(crate) fn output(&self) -> (&[u8], &[u8]) {
        let [output, errors] = &self.output;
        (output.bytes(), errors.bytes())
    }

    /// What a program can read from its standard input.
    pub(crate) fn input(&self) -> &[u8] {
        self.input.rest()
    }

    /// Has a program read these bytes from its standard input.
    pub(crate) fn set_input(&mut self, bytes: Vec<u8>) {
        self.input = Input::new(bytes);
    }

    /// Whether there is so little in all files that nothing that is done with them takes long.
    pub(crate) fn are_small(&self) -> bool {
        self.tree.bytes <= SHORT_FILES_BYTES
    }

    /// From here on at most so many bytes are looked at inside of the file system.
    pub(crate) fn begin_work(&mut self, budget: u64) {
        self.work.begin(budget);
    }

    /// Bytes that have been looked at inside of the file system since then.
    pub(crate) fn paid(&self) -> u64 {
        self.work.paid()
    }

    /// How often something was given the time since then: as often as a program of Emscripten's looks at the clock for it.
    pub(crate) fn stamps(&self) -> u64 {
        self.work.stamps()
    }

    /// Why an operation was given up since then, if one was. The program must not see that: another computer has the room,
    /// and another call the fuel.
    pub(crate) fn given_up(&self) -> Option<GivenUp> {
        self.work.given_up()
    }

    /// A copy, which shares the contents of files.
    ///
    /// # Errors
    /// [`DecodeError::NoRoom`].
    pub(crate) fn copy(&self) -> Result<Files, DecodeError> {
        let pages: usize = self.tree.nodes.values().map(|node| node.pages()).sum();
        decode::expect_room(self.tree.nodes.len() + pages / 8)?;
        Ok(Files { stream: None, ..self.clone() })
    }

    /// Has what is printed go to a stream as well, or to none; and where it went before.
    pub(crate) fn stream_to(&mut self, stream: Option<Arc<Stream>>) -> Option<Arc<Stream>> {
        std::mem::replace(&mut self.stream, stream)
    }

    /// Whether an operation may have to wait for somebody outside: who has a part of a lazy file, or reads what is printed.
    pub(crate) fn may_wait(&self) -> bool {
        self.tree.has_unknown() || self.stream.is_some()
    }

    /// The stream to which it goes.
    pub(crate) fn stream(&self) -> Option<&Arc<Stream>> {
        self.stream.as_ref()
    }

    pub(crate) fn clear_output(&mut self) {
        self.output.iter_mut().for_each(Output::clear);
    }
}
