//! What a guest finds in place of an operating system: files, descriptors, a clock, output; and on them the functions that
//! programs import.
//!
//! The crate knows wasmtime, and of the one who embeds it no more than [`Embedder`] says. Nothing here reaches the files,
//! the clock or the randomness of the computer: results depend on the guest and its calls alone.
//!
//! | module | responsibility |
//! |---|---|
//! | [`embedder`](Embedder) | what the host requires of its surroundings |
//! | `emscripten/` | the functions that images built with Emscripten import |
//! | [`unserved`](Unserved) | what an import returns that nobody serves |
//! | `files/` | the file system, without wasmtime |
//! | `exceptions` | C++ exceptions that are thrown and caught |
//! | `state`, `encoding` | what of all this is state of an instance, and that as bytes |
//! | `context`, `memory`, `guest` | the guest as functions of the host see it |
//! | `failure`, `errno` | what can go wrong |
//! | `limits` | every number |

#![deny(missing_docs)]

mod context;
mod embedder;
pub mod emscripten;
mod encoding;
mod errno;
mod exceptions;
mod failure;
mod files;
mod guest;
pub mod limits;
mod memory;
mod state;
mod unserved;

pub use embedder::{Embedder, Intercepted};
pub use encoding::DecodeError;
pub use exceptions::Mark;
pub use failure::Failure;
pub use memory::Width;
pub use state::State;
pub use unserved::Unserved;
