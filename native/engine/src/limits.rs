//! Numbers: what images and instances may have at most, and why.
//!
//! Those that decide what a guest sees are the same on every node, and nobody can set them. What an operator may lower for
//! a node, or a caller for one instance, ends calls and changes no result; see [`Setting`].

use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicU64, Ordering};

/// Bytes that an image may have: to compile it takes ten times as much of the host.
pub(crate) const IMAGE_BYTES: usize = 256 << 20;

/// Bytes that the name of an import or export may have: Erlang gets them as lists.
pub(crate) const NAME_BYTES: usize = 8 << 10;

/// Bytes of all of them together: as lists they take sixteen times as many.
pub(crate) const NAMES_BYTES: usize = 16 << 20;

/// Bytes of a function's name in a backtrace; longer names are cut off.
pub(crate) const FRAME_NAME_BYTES: usize = 256;

/// Bytes that the memories of an instance may have together. Growth beyond is refused (`-1`), on every node.
pub const MEMORY_BYTES: u64 = 16 << 30;

/// Bytes that a memory with 32-bit addresses can have.
pub(crate) const MEMORY32_BYTES: u64 = 4 << 30;

/// Bytes that the heap of an instance's objects and exceptions may have: what its references can reach.
pub(crate) const OBJECTS_BYTES: u64 = 4 << 30;

/// Elements that the tables of an instance may have together. Growth beyond is refused (`-1`), on every node.
pub const TABLE_ELEMENTS: u64 = 10_000_000;

/// Address space that the memories of all instances may reserve together, in bytes. Processors give a process 128 TiB,
/// and one that has none left cannot even end in order.
pub(crate) const ADDRESS_SPACE_BYTES: u64 = 96 << 40;

/// Memory that one instruction (`memory.fill`, `memory.copy`) may have to walk through while a normal scheduler waits, in
/// bytes: 10 ms at worst. AO's images, of 12 MiB and more, begin their calls there.
pub(crate) const SMALL_MEMORY_BYTES: usize = 16 << 20;

/// The same for `table.fill` and its like, in elements.
pub(crate) const SMALL_TABLE_ELEMENTS: usize = 1 << 20;

/// Stack that the frames of a guest may use, in bytes, from the entry of one call to its deepest frame.
///
/// The same number everywhere, so that runaway recursion ends at the same point on machines that run the same code. Four
/// times what V8 has by default, as images are built for that, and frames here are up to twice as large as there. Only
/// pages that are touched cost memory.
pub const GUEST_STACK_BYTES: usize = 4 << 20;

/// Stack beyond [`GUEST_STACK_BYTES`] that host functions and the runtime have on the same fiber, in bytes.
pub(crate) const HOST_STACK_BYTES: usize = 1 << 20;

/// Frames kept in the backtrace of a trap: interpreters inside guests are deep, and a message must not be.
pub(crate) const BACKTRACE_FRAMES: usize = 32;

/// Calls that may be nested in each other's imports. Each has a stack of its own.
pub(crate) const NESTED_CALLS: usize = 64;

/// Fuel of constructors that run only to find out what they do: a bound for those of images that are started without.
pub(crate) const SURVEY_FUEL: u64 = 1 << 28;

/// A number that the operator of a node may set. Instances have what it is as they start.
#[derive(Debug)]
pub struct Setting {
    value: AtomicU64,
    range: RangeInclusive<u64>,
}

impl Setting {
    const fn new(default: u64, range: RangeInclusive<u64>) -> Setting {
        Setting { value: AtomicU64::new(default), range }
    }

    /// The value.
    pub fn get(&self) -> u64 {
        self.value.load(Ordering::Relaxed)
    }

    /// Whether it is less than what it is where nobody has set it: then it may show on which node a guest runs.
    pub fn is_lowered(&self) -> bool {
        self.get() < *self.range.end()
    }

    /// Sets the value. `false`: it is out of range, and nothing has changed.
    pub fn set(&self, value: u64) -> bool {
        let is_valid = self.range.contains(&value);
        if is_valid {
            self.value.store(value, Ordering::Relaxed);
        }
        is_valid
    }
}

/// Bytes that the memories of an instance may have together, the heap of its exceptions included; what exceeds them ends
/// the call.
pub static NODE_MEMORY_BYTES: Setting = Setting::new(MEMORY_BYTES, 0..=MEMORY_BYTES);

/// Elements that the tables of an instance may have together; what exceeds them ends the call.
pub static NODE_TABLE_ELEMENTS: Setting = Setting::new(TABLE_ELEMENTS, 0..=TABLE_ELEMENTS);

/// Bytes that an image may have; larger ones are refused.
pub static NODE_IMAGE_BYTES: Setting = Setting::new(IMAGE_BYTES as u64, 0..=IMAGE_BYTES as u64);

/// Images that are kept for those who ask again.
pub static CACHED_IMAGES: Setting = Setting::new(256, 1..=1_000_000);

/// Memory that they may take together, in bytes. The newest is kept, however large.
pub static CACHED_BYTES: Setting = Setting::new(512 << 20, 0..=1 << 40);

/// What one instance may have: an operator's or a caller's limits, beside those that the guest can see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Bytes of its memories together.
    pub memory: u64,
    /// Elements of its tables together.
    pub table: u64,
}

impl Default for Bounds {
    /// None.
    fn default() -> Bounds {
        Bounds { memory: u64::MAX, table: u64::MAX }
    }
}

impl Bounds {
    /// Those of the node.
    pub(crate) fn of_node() -> Bounds {
        let memory = NODE_MEMORY_BYTES.get();
        // The heap of exceptions does not count among what a guest may have.
        let memory = if memory == MEMORY_BYTES { u64::MAX } else { memory };
        Bounds { memory, table: NODE_TABLE_ELEMENTS.get() }
    }

    pub(crate) fn min(self, other: Bounds) -> Bounds {
        Bounds { memory: self.memory.min(other.memory), table: self.table.min(other.table) }
    }
}
