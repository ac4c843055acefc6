//! The file system of an instance: in memory, as Linux would have it, with the tree that Emscripten's programs find.
//!
//! | file | what |
//! |---|---|
//! | `tree`, `node`, `directory` | the nodes, and how they hang together |
//! | `descriptors` | descriptors and open file descriptions |
//! | `path` | from paths to nodes |
//! | `sparse` | what a file holds |
//! | `open`, `contents`, `listing` | what is done with descriptors |
//! | `mappings` | files in the memory of the program |
//! | `names`, `metadata` | what is done with paths |
//! | `standard` | what a new instance finds |
//! | `encode`, `decode` | all of it as bytes |
//! | `output` | what was printed |
//! | `work` | what it costs |
//! | `errno`, `flags` | numbers that programs know |
//!
//! Whatever has a time takes `now`, the caller's clock in milliseconds since 1970. Operations that fail change nothing.

mod contents;
mod decode;
mod descriptors;
mod directory;
mod encode;
mod errno;
pub(crate) mod flags;
mod listing;
mod mappings;
mod metadata;
mod names;
mod node;
mod open;
mod output;
mod path;
mod sparse;
mod standard;
mod tree;
mod work;

#[cfg(test)]
mod tests;

pub(crate) use decode::DecodeError;
pub(crate) use descriptors::MOST_DESCRIPTORS;
pub(crate) use errno::Errno;
pub(crate) use mappings::Place;
pub(crate) use metadata::{SetTime, Space};
pub(crate) use node::{Stat, Time};
pub(crate) use tree::MOST_BYTES;
pub(crate) use work::GivenUp;

use descriptors::Descriptors;
use mappings::Mappings;
use output::Output;
use tree::Tree;
use work::Work;

/// A file system, its descriptors, and what was printed. Output and work are no state: two are equal whatever they printed.
#[derive(Clone, Debug)]
pub(crate) struct Files {
    tree: Tree,
    descriptors: Descriptors,
    /// The inode number of the working directory.
    working_directory: u64,
    mappings: Mappings,
    output: [Output; 2],
    work: Work,
}

impl PartialEq for Files {
    fn eq(&self, other: &Files) -> bool {
        self.tree == other.tree
            && self.descriptors == other.descriptors
            && self.working_directory == other.working_directory
            && self.mappings == other.mappings
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

    /// From here on at most so many bytes are looked at inside of the file system.
    pub(crate) fn begin_work(&mut self, budget: u64) {
        self.work.begin(budget);
    }

    /// Bytes that have been looked at inside of the file system since then.
    pub(crate) fn paid(&self) -> u64 {
        self.work.paid()
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
        Ok(self.clone())
    }

    pub(crate) fn clear_output(&mut self) {
        self.output.iter_mut().for_each(Output::clear);
    }
}
