//! What images and instances may have at most.

/// Bytes that an image may have.
pub(crate) const IMAGE_BYTES: usize = 256 << 20;

/// Bytes that the memories of an instance may have together. Growth beyond is refused (`-1`), on every node.
pub(crate) const MEMORY_BYTES: u64 = 16 << 30;

/// Bytes that a memory with 32-bit addresses can have.
pub(crate) const MEMORY32_BYTES: u64 = 4 << 30;

/// Elements that the tables of an instance may have together. Growth beyond is refused (`-1`), on every node.
pub(crate) const TABLE_ELEMENTS: u64 = 10_000_000;

/// Memory that one instruction (`memory.fill`, `memory.copy`) may have to walk through while a normal scheduler waits.
pub(crate) const SMALL_MEMORY_BYTES: usize = 16 << 20;

/// The same for `table.fill` and its like.
pub(crate) const SMALL_TABLE_ELEMENTS: usize = 1 << 20;

/// Address space that the memories of all instances may reserve together, in bytes. Processors give a process 128 TiB,
/// and one that has none left cannot even end in order.
pub(crate) const ADDRESS_SPACE_BYTES: u64 = 96 << 40;
