//! Why a snapshot cannot be written, read or applied.

use thiserror::Error;

/// What is wrong with a snapshot, or with what was to become one.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum SnapshotError {
    /// The bytes begin differently.
    #[error("not a snapshot")]
    NotASnapshot,
    /// Of a version that is not known here.
    #[error("a snapshot of version {0}, which is not known here")]
    Version(u16),
    /// Flags that are not known here.
    #[error("a snapshot with unknown flags {0:#06x}")]
    Flags(u16),
    /// Bytes are missing at the end.
    #[error("cut short: {wanted} bytes announced, {found} there")]
    CutShort {
        /// Bytes that there should be, as far as that can be told.
        wanted: u64,
        /// Bytes that there are.
        found: u64,
    },
    /// There are bytes after the end.
    #[error("too long: {wanted} bytes announced, {found} there")]
    TooLong {
        /// Bytes that there should be.
        wanted: u64,
        /// Bytes that there are.
        found: u64,
    },
    /// Header, rest and page table do not have the hash that is written after them.
    #[error("damaged: the check of header and tables fails")]
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
    /// More than the reader wants to hold.
    #[error("more than {limit} {what}")]
    Limit {
        /// What there is too much of.
        what: &'static str,
        /// How much there may be.
        limit: u64,
    },
    /// The state is not the one that its id names.
    #[error("the restored state would not be the one that the snapshot is named for")]
    OtherState,
    /// The snapshots of a chain, or a base and what builds on it, belong to different images.
    #[error("made from another image")]
    OtherImage,
    /// A delta does not follow the state that it was made against.
    #[error("delta of another state")]
    OtherBase,
    /// A chain begins with a delta.
    #[error("a delta without the state that it was made against")]
    NoBase,
    /// A chain goes on with a snapshot that is no delta.
    #[error("a snapshot that is no delta cannot follow another")]
    NoDelta,
    /// A chain of no snapshots.
    #[error("no snapshot")]
    NoSnapshot,
    /// The contents of memory 0 are wanted of a partial snapshot.
    #[error("the contents of memory 0 are kept elsewhere")]
    MemoryElsewhere,
    /// There is no memory with that index.
    #[error("there is no memory {0}")]
    NoMemory(usize),
    /// A buffer or a memory of the caller does not have the size that it must have.
    #[error("{found} bytes where {wanted} are wanted")]
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
}

pub(super) type Result<T> = std::result::Result<T, SnapshotError>;
