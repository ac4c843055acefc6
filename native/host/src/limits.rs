//! Every number that bounds what a guest can take of the host, and what the host counts with.
//!
//! Programs see most of them, in results or in the fuel that they have left. So they are the same on every node, and
//! nobody can set them.

// Sizes.

/// Bytes of a page of a file, and of a snapshot.
pub const PAGE: usize = 4096;

/// Bytes of a page of linear memory. Memories of a snapshot are multiples of it.
pub const WASM_PAGE: u64 = 65_536;

// Work.

/// Bytes that a function of the host may read, write or look at for a unit of fuel: about as many as instructions of a
/// guest would.
pub const BYTES_PER_FUEL: u64 = 8;

/// Bytes that a function of the host moves without a pause. A read or write of a file moves no more than that and reports
/// how much it was. Some 10 ms.
pub const STEP_BYTES: u64 = 64 << 20;

/// Bytes that a function of the host makes without a pause: random ones, and entries of directories. Some 5 ms.
pub(crate) const WORK_STEP_BYTES: u64 = 1 << 20;

/// Bytes that all files may take so that no function on them takes long, and a function may read or write: fractions of a
/// millisecond.
pub(crate) const SHORT_FILES_BYTES: u64 = 4 << 20;
/// The same of a read or write in parts.
pub(crate) const SHORT_PARTS_BYTES: u64 = 64 << 10;
/// Parts of such a read or write.
pub(crate) const SHORT_PARTS: u64 = 16;

/// Bytes that a step along a path counts as.
pub(crate) const PATH_STEP_COST: u64 = 64;

/// Bytes that a descriptor counts as that is passed over.
pub(crate) const DESCRIPTOR_COST: u64 = 8;

/// Functions of the host that call the guest, each within a call of the one before. Each has a stack of its own.
pub const GUEST_CALLS: usize = 16;

/// Buffers of one call that reads or writes several: as many as Linux allows.
pub(crate) const BUFFERS: u64 = 1024;

// Files.

/// Bytes that all files, directories, links and names of an instance may take: what they take of the computer.
pub const FILES_BYTES: u64 = 1 << 30;

/// Files, directories and links of an instance, and names of them.
pub const FILES: usize = 1_000_000;

/// Bytes of [`FILES_BYTES`] that a file, directory or link takes beside its contents: about as many as of the computer.
pub(crate) const FILE_COST: u64 = 1024;

/// Bytes of them that a name takes beside its letters.
pub(crate) const NAME_COST: u64 = 128;

/// The greatest size of a file, in bytes: its blocks can be counted in 32 bits.
pub const FILE_BYTES: u64 = 1 << 40;

/// Bytes that are on their way in a pipe, at most; as on Linux.
pub const PIPE_BYTES: u64 = 65_536;

/// Descriptors of an instance are below this.
pub const DESCRIPTORS: i32 = 4096;

/// Runs of pages that nobody has given yet, of a lazy file.
pub(crate) const UNKNOWN_RUNS: usize = 65_536;

/// Parts of files that are mapped to be written back: about as many as Linux allows.
pub const MAPPINGS: usize = 65_536;

/// The longest name in a directory, in bytes; as on Linux.
pub(crate) const NAME_BYTES: usize = 255;

/// The longest path, in bytes and without its NUL; as on Linux.
pub(crate) const PATH_BYTES: usize = 4095;

/// Symbolic links that are followed for one path; as on Linux.
pub(crate) const LINKS: u32 = 40;

// Output.

/// Bytes that are kept of what is written to standard output, and to error output, in one call.
pub const OUTPUT_BYTES: usize = 1 << 20;

/// Bytes that a program prints before it makes way for whoever gets them while it runs.
pub const STREAM_BYTES: usize = 256 << 10;

/// Bytes of a line that is printed by a function of Emscripten.
pub(crate) const LINE_BYTES: usize = 64 << 10;

/// Bytes that are kept of each text of a failed assertion.
pub(crate) const MESSAGE_BYTES: usize = 1024;

// Programs.

/// Bytes that the arguments of a program may have together, each with its NUL; and so its environment.
pub const ARGUMENT_BYTES: usize = 1 << 20;

/// Arguments of a program, and variables of its environment.
pub const ARGUMENTS: usize = 65_536;

/// Bytes of a program's standard input.
pub const INPUT_BYTES: usize = 16 << 20;

/// Files that a program can be given at its start; their contents have [`INPUT_BYTES`] together.
pub const GIVEN_FILES: usize = 1024;

/// Bytes of a seed.
pub const SEED_BYTES: usize = 65_536;

/// Directories that a program finds open.
pub const PREOPENS: usize = 64;

/// Events that a program may wait for at once.
pub(crate) const SUBSCRIPTIONS: u64 = 4096;

/// C++ exceptions that may be caught at a time, each in a handler of the one before.
pub const CAUGHT_EXCEPTIONS: usize = 100_000;

/// Bytes of the text of a time, and of a format for one.
pub(crate) const TIME_BYTES: usize = 16 << 10;

/// Bytes that a heap grows by beyond what is asked for: as in Emscripten's JavaScript.
pub(crate) const HEAP_SPARE_BYTES: u64 = 96 << 20;

/// Bytes of a state in a snapshot: the files, and what there is beside them.
pub(crate) const STATE_BYTES: u64 = FILES_BYTES + (64 << 20);
