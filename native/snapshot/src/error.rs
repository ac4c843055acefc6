//! Why a snapshot cannot be written, read or applied.

use std::collections::TryReserveError;
use thiserror::Error;

/// What is wrong with a snapshot, or with what was to become one.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum SnapshotError {
    /// The bytes begin differently.
    #[error("not a snapshot")]
    NotASnapshot,
    /// Of a version that is not known here.
    #[error("version {0} of the format is not supported")]
    Version(u16),
    /// Flags that are not known here.
    #[error("flags {0:#06x} are not supported")]
    Flags(u16),
    /// Bytes are missing at the end.
    #[error("truncated: the header announces {wanted} bytes, {found} are there")]
    CutShort {
        /// Bytes that there should be, as far as that can be told.
        wanted: u64,
        /// Bytes that there are.
        found: u64,
    },
    /// There are bytes after the end.
    #[error("too long: the header announces {wanted} bytes, {found} are there")]
    TooLong {
        /// Bytes that there should be.
        wanted: u64,
        /// Bytes that there are.
        found: u64,
    },
    /// Header, skeleton and page table do not have the hash that is written after them.
    #[error("checksum mismatch of header, skeleton or page table")]
    Check,
    /// A rule of the format is broken; no writer that keeps to it makes such bytes.
    #[error("malformed: {0}")]
    Malformed(&'static str),
    /// An entry of the page table breaks a rule of the format.
    #[error("malformed: page {page} of memory {memory} {what}")]
    MalformedPage {
        /// Index of the memory.
        memory: usize,
        /// Index of the page in it.
        page: u64,
        /// What is wrong with it.
        what: &'static str,
    },
    /// The contents of a page do not have its hash, or cannot be decompressed.
    #[error("page {page} of memory {memory} is damaged")]
    DamagedPage {
        /// Index of the memory.
        memory: usize,
        /// Index of the page in it.
        page: u64,
    },
    /// More than the reader allows.
    #[error("more than {limit} {what}")]
    Limit {
        /// What there is too much of.
        what: &'static str,
        /// How much there may be.
        limit: u64,
    },
    /// The state is not the one that its id names.
    #[error("state id mismatch")]
    OtherState,
    /// The snapshots of a chain, or a base and what builds on it, belong to different images.
    #[error("made from another image")]
    OtherImage,
    /// A delta does not follow the state that it was made against.
    #[error("a delta against another state")]
    OtherBase,
    /// A chain begins with a delta.
    #[error("a delta without its base")]
    NoBase,
    /// A chain goes on with a snapshot that is no delta.
    #[error("only deltas can follow a snapshot")]
    NoDelta,
    /// A chain of no snapshots.
    #[error("no snapshot")]
    NoSnapshot,
    /// The contents of memory 0 are wanted of a partial snapshot.
    #[error("a partial snapshot without the contents of memory 0")]
    MemoryElsewhere,
    /// There is no memory with that index.
    #[error("there is no memory {0}")]
    NoMemory(usize),
    /// A buffer or a memory of the caller does not have the size that it must have.
    #[error("{found} bytes where {wanted} are required")]
    WrongSize {
        /// Bytes that there should be.
        wanted: u64,
        /// Bytes that there are.
        found: u64,
    },
    /// The state to be written breaks a rule of the format.
    #[error("cannot be stored: {0}")]
    Unencodable(&'static str),
    /// The host could not do its part.
    #[error("host: {0}")]
    Host(String),
    /// The work was cancelled.
    #[error("cancelled")]
    Cancelled,
}

impl From<TryReserveError> for SnapshotError {
    fn from(_: TryReserveError) -> SnapshotError {
        SnapshotError::Host("no room in memory".into())
    }
}

/// What kind of thing is wrong with a snapshot: names that stay, for those who decide by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// The bytes are something else.
    NotASnapshot,
    /// A snapshot of a later version of the format.
    UnsupportedVersion,
    /// Bytes are missing, were added or have changed since it was written.
    Damaged,
    /// A rule of the format is broken, or the state is one that no instance can be in. No writer makes such a snapshot.
    Malformed,
    /// It is larger than a limit allows.
    TooLarge,
    /// It was made from another image.
    OtherImage,
    /// A delta does not follow the state that it was made against.
    OtherBase,
    /// A delta comes first, without the state that it was made against.
    MissingBase,
    /// What follows the first snapshot is not a delta.
    NotADelta,
    /// A list of no snapshots.
    Empty,
    /// A partial snapshot is used without its memory, or with another one.
    OtherMemory,
}

impl SnapshotError {
    /// Its kind.
    pub fn code(&self) -> Code {
        match self {
            SnapshotError::NotASnapshot => Code::NotASnapshot,
            SnapshotError::Version(_) | SnapshotError::Flags(_) => Code::UnsupportedVersion,
            SnapshotError::CutShort { .. }
            | SnapshotError::TooLong { .. }
            | SnapshotError::Check
            | SnapshotError::DamagedPage { .. }
            | SnapshotError::OtherState => Code::Damaged,
            SnapshotError::Limit { .. } | SnapshotError::Unencodable(_) => Code::TooLarge,
            SnapshotError::OtherImage => Code::OtherImage,
            SnapshotError::OtherBase => Code::OtherBase,
            SnapshotError::NoBase => Code::MissingBase,
            SnapshotError::NoDelta => Code::NotADelta,
            SnapshotError::NoSnapshot => Code::Empty,
            SnapshotError::MemoryElsewhere => Code::OtherMemory,
            SnapshotError::Malformed(_)
            | SnapshotError::MalformedPage { .. }
            | SnapshotError::NoMemory(_)
            | SnapshotError::WrongSize { .. }
            | SnapshotError::Host(_)
            | SnapshotError::Cancelled => Code::Malformed,
        }
    }
}

pub(crate) type Result<T> = std::result::Result<T, SnapshotError>;
