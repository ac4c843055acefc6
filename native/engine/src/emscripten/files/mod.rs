//! The file system of an instance: in memory, as Linux would have it, with the tree that Emscripten's programs find.
//!
//! | file | what |
//! |---|---|
//! | `tree`, `node`, `directory` | the nodes, and how they hang together |
//! | `descriptors` | descriptors and open file descriptions |
//! | `path` | from paths to nodes |
//! | `sparse` | what a file holds |
//! | `open`, `contents`, `listing` | what is done with descriptors |
//! | `names`, `metadata` | what is done with paths |
//! | `standard` | what a new instance finds |
//! | `encode`, `decode` | all of it as bytes |
//! | `output` | what was printed |
//! | `work` | what it has taken |
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

pub(crate) use descriptors::MOST_DESCRIPTORS;
pub(crate) use errno::Errno;
pub(crate) use metadata::{SetTime, Space};
pub(crate) use node::{Stat, Time};
pub(crate) use tree::MOST_BYTES;

use descriptors::Descriptors;
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
    output: [Output; 2],
    work: Work,
}

impl PartialEq for Files {
    fn eq(&self, other: &Files) -> bool {
        self.tree == other.tree
            && self.descriptors == other.descriptors
            && self.working_directory == other.working_directory
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

    /// Bytes that have been looked at or moved inside of the file system since this was last asked.
    pub(crate) fn take_work(&mut self) -> u64 {
        self.work.take()
    }

    /// Whether the host has had no room since this was last asked. What failed for that has changed nothing, and the
    /// program must not see it: another host has the room.
    pub(crate) fn take_shortage(&mut self) -> bool {
        self.work.take_shortage()
    }

    /// Notes a shortage where the host has no room for so many bytes.
    ///
    /// # Errors
    /// Any: [`take_shortage`](Self::take_shortage) is asked before it is told.
    fn expect_host(&self, bytes: u64) -> Result<(), Errno> {
        if usize::try_from(bytes).is_ok_and(|size| Vec::<u8>::new().try_reserve_exact(size).is_ok()) {
            return Ok(());
        }
        self.work.note_shortage();
        Err(Errno::NOMEM)
    }

    pub(crate) fn clear_output(&mut self) {
        self.output.iter_mut().for_each(Output::clear);
    }
}
