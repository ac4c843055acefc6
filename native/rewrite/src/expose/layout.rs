//! Where the state of a module is.

use crate::Segment;
use serde_derive::{Deserialize, Serialize};
use std::ops::Range;

/// Where the state of a module is.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layout {
    /// All memories, by index.
    pub memories: Vec<MemoryAt>,
    /// The mutable globals that the module defines, in the order of their indices.
    pub globals: Vec<GlobalAt>,
    /// All tables, by index. The table of functions is not among them.
    pub tables: Vec<TableAt>,
    /// The functions that a reference in a table or global can lead to, ascending. Empty where the module has neither a
    /// table nor a mutable global of type funcref.
    pub functions: Vec<u32>,
    /// The segments that some instruction of the module drops: data before elements, each ascending.
    pub segments: Vec<SegmentAt>,
    /// Whether constants hold objects, which are state that nothing outside reaches.
    pub constant_objects: bool,
    /// Whether instantiation runs a function, which may write anything.
    pub has_start: bool,
}

/// A memory.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemoryAt {
    /// Name of its export.
    pub name: String,
    /// The bytes that data segments fill at instantiation, in the order of the segments. `None` where the offset of one
    /// is not a constant.
    pub data: Option<Vec<Range<u64>>>,
}

/// A mutable global.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GlobalAt {
    /// Its index in the module.
    pub index: u32,
    /// Name of its export.
    pub name: String,
}

/// A table.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableAt {
    /// Its index in the module.
    pub index: u32,
    /// Name of its export.
    pub name: String,
}

/// A segment that some instruction drops.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SegmentAt {
    /// Which segment.
    pub segment: Segment,
    /// Name of the export of its flag: an i32 global that is 1 once an instruction has dropped the segment, and 0 before.
    pub flag: String,
}
