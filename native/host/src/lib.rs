//! What a guest finds in place of an operating system: files, descriptors, a clock, output; and on them the functions that
//! programs import.
//!
//! The crate knows wasmtime, and of the one who embeds it no more than [`Embedder`] says. Nothing here reaches the files,
//! the clock or the randomness of the computer: results depend on the guest and its calls alone.
//!
//! | module | responsibility |
//! |---|---|
//! | [`embedder`](Embedder) | what the host requires of its surroundings |
//! | [`runtime`](Runtime), `recognize` | which runtime an image was built for, and how to tell |
//! | [`abi`](Abi) | which Emscripten has built an image |
//! | `emscripten/` | the functions that images built with Emscripten import |
//! | `assemblyscript` | the functions that AssemblyScript's compiler imports |
//! | `wasi/` | the functions of WASI preview 1 |
//! | `function` | what is known of a function: a row |
//! | [`bind`](Functions) | which function serves an import, and how arguments are passed |
//! | [`serve`] | one call of a function |
//! | [`program`](Given), [`startup`](initialize) | what a program is given as it starts, and what of it runs |
//! | `random` | random bytes that follow from a seed |
//! | [`unserved`](Unserved) | what an import returns that nobody serves |
//! | `files/` | the file system, without wasmtime |
//! | [`outside`](FileError) | files, as callers have them |
//! | [`stream`](Stream) | what is printed, on its way to somebody who gets it meanwhile |
//! | `exceptions` | C++ exceptions that are thrown and caught |
//! | `state`, `encoding` | what of all this is state of an instance, and that as bytes |
//! | `context`, `memory`, `guest` | the guest as functions of the host see it |
//! | `failure`, `errno` | what can go wrong |
//! | `limits` | every number |

#![deny(missing_docs)]

mod abi;
mod assemblyscript;
mod bind;
mod context;
mod embedder;
mod emscripten;
mod encoding;
mod errno;
mod exceptions;
mod failure;
mod files;
mod function;
mod guest;
pub mod limits;
mod memory;
mod outside;
mod program;
mod random;
mod recognize;
mod runtime;
mod serve;
mod startup;
mod state;
mod stream;
mod strings;
mod unserved;
mod wasi;

pub use abi::{Abi, Imported, Shown};
pub use bind::{Binding, Functions};
pub use embedder::{Embedder, Intercepted};
pub use encoding::DecodeError;
pub use exceptions::Mark;
pub use failure::Failure;
pub use files::FileKind;
pub use memory::Width;
pub use outside::FileError;
pub use program::{Clock, Given, Initialize, NotGiven};
pub use random::Random;
pub use runtime::Runtime;
pub use serve::{serve, serve_at_once};
pub use startup::initialize;
pub use state::State;
pub use stream::{Standard, Stream};
pub use unserved::Unserved;
