//! The state of a WebAssembly instance as bytes, and back.
//!
//! The format, and nothing of an engine: whoever captures a state hands over the bytes of its memories and a [`Skeleton`],
//! and whoever applies one gets them back. `docs/snapshot.md` describes the format byte by byte.
//!
//! ```text
//! capture:  memories + Skeleton ── Plan::new ── size ── write into a buffer of that size ──► file
//! apply:    files ── Snapshot::parse each ── resolve the chain ── skeleton(), restore_into each memory
//! ```
//!
//! Memory for what the bytes say is asked for first: where there is no room that is an error, and not the end of the
//! process.

#![deny(missing_docs)]

mod cancellation;
mod chain;
mod decode;
mod encode;
mod entries;
mod error;
mod frame;
mod layout;
mod merge;
mod output;
mod pages;
mod patch;
mod records;
pub mod room;
mod skeleton;

pub use cancellation::Cancellation;
pub use chain::{Resolved, resolve};
pub use decode::{Snapshot, work_bytes};
pub use encode::{Kind, Memory, Plan};
pub use entries::Entries;
pub use error::{Code, SnapshotError};
pub use layout::VERSION;
pub use output::Output;
pub use skeleton::Limits;

/// A SHA-256 hash: of an image, which names the image, or of what makes a [`StateId`].
pub type Hash = [u8; 32];

/// Bytes of a page: the unit in which the contents of a memory are stored, compared and hashed.
pub const PAGE: usize = 4096;

/// The name of a state. Equal states of one image have equal ids, however they are stored. Different states have
/// different ids unless someone made them not to: page hashes, which ids are made of, withstand accidents only.
pub type StateId = Hash;

/// Everything of a state but the contents of its memories.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Skeleton {
    /// Bytes of each memory, in index order.
    pub memories: Vec<u64>,
    /// All mutable globals, by ascending index.
    pub globals: Vec<(u32, GlobalValue)>,
    /// The tables that differ from those of a fresh instance, by ascending index.
    pub tables: Vec<(u32, Entries)>,
    /// The passive segments that have been dropped, data segments first, by ascending index.
    pub dropped: Vec<Segment>,
}

/// The value of a global. Floats are bits, so that a NaN arrives as it left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GlobalValue {
    /// The bits of a 32-bit integer.
    I32(u32),
    /// The bits of a 64-bit integer.
    I64(u64),
    /// The bits of a 32-bit float.
    F32(u32),
    /// The bits of a 64-bit float.
    F64(u64),
    /// A vector; its lane 0 holds the least significant bits.
    V128(u128),
    /// A reference to a function, by its index in the module, or the null one.
    Func(Option<u32>),
    /// The null reference of any other reference type. References that are not null cannot be stored.
    Null,
}

/// A passive segment of a module.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Segment {
    /// A data segment, by its index.
    Data(u32),
    /// An element segment, by its index.
    Elem(u32),
}
