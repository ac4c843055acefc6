//! Compiled code that leaves the process.
//!
//! Whoever can make a process load compiled code can make it do anything. So what is written is sealed with a key, and only
//! what has the right seal is loaded: see [`Sealed`]. What can be written where code is kept does not matter then, as long as the
//! key cannot be read.
//!
//! | module | |
//! |---|---|
//! | `key` | the key, and the file that it is in |
//! | `sealed` | code, what is known of it, and the seal of both, as bytes |
//! | `directory` | the same in files of a directory, of which those that were not used for the longest make room |
//! | `code` | from bytes with the right seal to a module |
//!
//! No engine, image or instance is known here: what is known of code is bytes.

#![deny(missing_docs)]

mod code;
mod directory;
mod key;
mod sealed;

pub use directory::Directory;
pub use key::Key;
pub use sealed::{Refused, Sealed, SealedFile, seal};
