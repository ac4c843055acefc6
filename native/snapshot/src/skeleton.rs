//! [`Skeleton`] as bytes: one encoding for each state, so that equal states have equal hashes.

use crate::entries::Entries;
use crate::error::{Result, SnapshotError};
use crate::layout::Reader;
use crate::{GlobalValue, Segment, Skeleton, room};

/// What a reader is willing to hold. Pages need no limit of their own: they are no more than fit into the memories,
/// whose sizes ([`Skeleton::memories`]) the caller compares with its limits before it makes room for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Entries of all stored tables together.
    pub table_entries: u64,
}

/// Memories grow in pages of this size; custom page sizes are off.
const WASM_PAGE: u64 = 65_536;

/// Stands for the null reference where the index of a function is wanted. No module has that many functions: their
/// count is 32 bits wide.
const NULL: u32 = u32::MAX;

const TAG_NULL: u8 = 0;
const TAG_I32: u8 = 1;
const TAG_I64: u8 = 2;
const TAG_F32: u8 = 3;
const TAG_F64: u8 = 4;
const TAG_V128: u8 = 5;
const TAG_FUNC: u8 = 6;

const MEMORY_SIZE: &str = "the size of a memory is no multiple of 64 KiB";
const GLOBAL_ORDER: &str = "globals are not in ascending order";
const TABLE_ORDER: &str = "tables are not in ascending order";
const SEGMENT_ORDER: &str = "dropped segments are not in ascending order";

pub(crate) fn encode(skeleton: &Skeleton) -> Result<Vec<u8>> {
    let mut out = room::empty(64 + 21 * skeleton.globals.len())?;
    count(&mut out, skeleton.memories.len())?;
    for size in &skeleton.memories {
        require(size % WASM_PAGE == 0, MEMORY_SIZE)?;
        room::append(&mut out, &size.to_le_bytes())?;
    }
    count(&mut out, skeleton.globals.len())?;
    require(skeleton.globals.is_sorted_by(|(a, _), (b, _)| a < b), GLOBAL_ORDER)?;
    for (index, value) in &skeleton.globals {
        room::append(&mut out, &index.to_le_bytes())?;
        encode_global(&mut out, *value)?;
    }
    count(&mut out, skeleton.tables.len())?;
    require(skeleton.tables.is_sorted_by(|(a, _), (b, _)| a < b), TABLE_ORDER)?;
    for (index, entries) in &skeleton.tables {
        room::append(&mut out, &index.to_le_bytes())?;
        let length = u32::try_from(entries.len()).map_err(|_| SnapshotError::Unencodable("a table is too large"))?;
        room::append(&mut out, &length.to_le_bytes())?;
        for (times, entry) in entries.runs() {
            room::append(&mut out, &times.to_le_bytes())?;
            room::append(&mut out, &func(entry)?.to_le_bytes())?;
        }
    }
    require(skeleton.dropped.is_sorted_by(|a, b| a < b), SEGMENT_ORDER)?;
    let data = |segment: &Segment| if let Segment::Data(index) = segment { Some(*index) } else { None };
    let elem = |segment: &Segment| if let Segment::Elem(index) = segment { Some(*index) } else { None };
    segments(&mut out, skeleton.dropped.iter().filter_map(data))?;
    segments(&mut out, skeleton.dropped.iter().filter_map(elem))?;
    Ok(out)
}

fn require(holds: bool, otherwise: &'static str) -> Result<()> {
    if holds { Ok(()) } else { Err(SnapshotError::Unencodable(otherwise)) }
}

fn count(out: &mut Vec<u8>, count: usize) -> Result<()> {
    let count = u32::try_from(count).map_err(|_| SnapshotError::Unencodable("a list is too long"))?;
    Ok(room::append(out, &count.to_le_bytes())?)
}

fn segments(out: &mut Vec<u8>, indices: impl Iterator<Item = u32> + Clone) -> Result<()> {
    count(out, indices.clone().count())?;
    for index in indices {
        room::append(out, &index.to_le_bytes())?;
    }
    Ok(())
}

fn func(entry: Option<u32>) -> Result<u32> {
    require(entry != Some(NULL), "no function has the index 4294967295")?;
    Ok(entry.unwrap_or(NULL))
}

fn encode_global(out: &mut Vec<u8>, value: GlobalValue) -> Result<()> {
    let mut put = |tag: u8, bytes: &[u8]| {
        room::push(out, tag)?;
        room::append(out, bytes)
    };
    match value {
        GlobalValue::Null => put(TAG_NULL, &[]),
        GlobalValue::I32(bits) => put(TAG_I32, &bits.to_le_bytes()),
        GlobalValue::I64(bits) => put(TAG_I64, &bits.to_le_bytes()),
        GlobalValue::F32(bits) => put(TAG_F32, &bits.to_le_bytes()),
        GlobalValue::F64(bits) => put(TAG_F64, &bits.to_le_bytes()),
        GlobalValue::V128(bits) => put(TAG_V128, &bits.to_le_bytes()),
        GlobalValue::Func(entry) => put(TAG_FUNC, &func(entry)?.to_le_bytes()),
    }
    .map_err(SnapshotError::from)
}

/// Lists grow with the bytes that are read, never by the count that announces them.
pub(crate) fn decode(bytes: &[u8], limits: &Limits) -> Result<Skeleton> {
    let mut input = Reader(bytes);
    let mut skeleton = Skeleton::default();
    for _ in 0..input.u32()? {
        let size = input.u64()?;
        ensure(size % WASM_PAGE == 0, MEMORY_SIZE)?;
        room::push(&mut skeleton.memories, size)?;
    }
    for _ in 0..input.u32()? {
        let index = input.u32()?;
        ensure(skeleton.globals.last().is_none_or(|(last, _)| *last < index), GLOBAL_ORDER)?;
        room::push(&mut skeleton.globals, (index, decode_global(&mut input)?))?;
    }
    let mut left = limits.table_entries;
    for _ in 0..input.u32()? {
        let index = input.u32()?;
        ensure(skeleton.tables.last().is_none_or(|(last, _)| *last < index), TABLE_ORDER)?;
        let length = input.u32()?;
        left = left
            .checked_sub(u64::from(length))
            .ok_or(SnapshotError::Limit { what: "entries in tables", limit: limits.table_entries })?;
        room::push(&mut skeleton.tables, (index, decode_entries(&mut input, length)?))?;
    }
    decode_segments(&mut input, &mut skeleton.dropped, Segment::Data)?;
    decode_segments(&mut input, &mut skeleton.dropped, Segment::Elem)?;
    ensure(input.0.is_empty(), "bytes after the dropped segments")?;
    Ok(skeleton)
}

fn ensure(holds: bool, otherwise: &'static str) -> Result<()> {
    if holds { Ok(()) } else { Err(SnapshotError::Malformed(otherwise)) }
}

fn decode_global(input: &mut Reader) -> Result<GlobalValue> {
    Ok(match input.u8()? {
        TAG_NULL => GlobalValue::Null,
        TAG_I32 => GlobalValue::I32(input.u32()?),
        TAG_I64 => GlobalValue::I64(input.u64()?),
        TAG_F32 => GlobalValue::F32(input.u32()?),
        TAG_F64 => GlobalValue::F64(input.u64()?),
        TAG_V128 => GlobalValue::V128(u128::from_le_bytes(input.array()?)),
        TAG_FUNC => GlobalValue::Func(decode_func(input)?),
        _ => return Err(SnapshotError::Malformed("a global of an unknown type")),
    })
}

fn decode_func(input: &mut Reader) -> Result<Option<u32>> {
    Ok(Some(input.u32()?).filter(|index| *index != NULL))
}

fn decode_entries(input: &mut Reader, length: u32) -> Result<Entries> {
    let mut entries = Entries::new();
    let (mut left, mut last) = (length, None);
    while left > 0 {
        let (times, entry) = (input.u32()?, decode_func(input)?);
        ensure(times > 0, "an empty run of table entries")?;
        ensure(last != Some(entry), "two runs of the same table entry side by side")?;
        left = left.checked_sub(times).ok_or(SnapshotError::Malformed("more table entries than announced"))?;
        last = Some(entry);
        entries.push_run(times, entry)?;
    }
    Ok(entries)
}

fn decode_segments(input: &mut Reader, dropped: &mut Vec<Segment>, kind: fn(u32) -> Segment) -> Result<()> {
    for _ in 0..input.u32()? {
        let segment = kind(input.u32()?);
        ensure(dropped.last().is_none_or(|last| *last < segment), SEGMENT_ORDER)?;
        room::push(dropped, segment)?;
    }
    Ok(())
}
