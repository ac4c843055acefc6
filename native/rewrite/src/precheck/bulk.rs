//! One bulk operation with its comparison.

use crate::Error;
use crate::module::{Module, Segment};
use std::collections::HashSet;
use wasm_encoder::reencode::{Reencode, RoundtripReencoder};
use wasm_encoder::{BlockType, InstructionSink, ValType};
use wasmparser::{DataKind, ElementItems, ElementKind, Operator, RefType};

/// The largest constant length that is charged without a look at what is left (`SMALL_BULK_OP_COST` of wasmtime's
/// compiler).
const SMALL: u64 = 128;

/// The length of an operation that is to trap at position -1, whatever the size of the memory or table. Less than
/// [`SMALL`], so that it traps whatever fuel is left.
const BEYOND: i32 = 2;

/// What an operation works on, by its index.
#[derive(Clone, Copy)]
pub(super) enum Region {
    Memory(u32),
    Table(u32),
    Segment(Segment),
}

impl Region {
    /// Whether positions in it are 64 bits wide.
    fn is_64_bit(self, module: &Module<'_>) -> bool {
        match self {
            Region::Memory(index) => module.memories.get(index as usize).is_some_and(|memory| memory.memory64),
            Region::Table(index) => module.tables.get(index as usize).is_some_and(|table| table.table64),
            Region::Segment(_) => false,
        }
    }
}

/// An instruction whose charge depends on its last operand.
#[derive(Clone, Copy)]
pub(super) enum Bulk {
    /// Part of a memory or table is set to a value.
    Fill(Region),
    /// Part of a memory or table is set to part of something else.
    Copy { to: Region, from: Region },
    /// A table grows.
    Grow(u32),
}

impl Bulk {
    pub(super) fn of(operator: &Operator<'_>) -> Option<Bulk> {
        let copy = |to, from| Bulk::Copy { to, from };
        Some(match *operator {
            Operator::MemoryFill { mem } => Bulk::Fill(Region::Memory(mem)),
            Operator::MemoryCopy { dst_mem, src_mem } => copy(Region::Memory(dst_mem), Region::Memory(src_mem)),
            Operator::MemoryInit { data_index, mem } => {
                copy(Region::Memory(mem), Region::Segment(Segment::Data(data_index)))
            }
            Operator::TableFill { table } => Bulk::Fill(Region::Table(table)),
            Operator::TableCopy { dst_table, src_table } => copy(Region::Table(dst_table), Region::Table(src_table)),
            Operator::TableInit { elem_index, table } => {
                copy(Region::Table(table), Region::Segment(Segment::Element(elem_index)))
            }
            Operator::TableGrow { table } => Bulk::Grow(table),
            _ => return None,
        })
    }

    /// Whether the operation needs no comparison where its length is this constant.
    pub(super) fn is_small(self, length: u64) -> bool {
        match self {
            Bulk::Fill(_) | Bulk::Copy { .. } => length <= SMALL,
            // It goes on when it fails, so that even a small charge would stay.
            Bulk::Grow(_) => length == 0,
        }
    }

    /// The types of its operands.
    pub(super) fn operands(self, module: &Module<'_>) -> Result<Vec<ValType>, Error> {
        let position = |region: Region| if region.is_64_bit(module) { ValType::I64 } else { ValType::I32 };
        let element = |table: u32| {
            let ty = module.tables.get(table as usize).map_or(RefType::FUNCREF, |table| table.element_type);
            let ty = RoundtripReencoder.ref_type(ty).map_err(|error| Error::from_reencode(error, 0))?;
            Ok::<_, Error>(ValType::Ref(ty))
        };
        Ok(match self {
            Bulk::Fill(Region::Table(table)) => {
                let at = position(Region::Table(table));
                vec![at, element(table)?, at]
            }
            Bulk::Fill(region) => vec![position(region), ValType::I32, position(region)],
            Bulk::Copy { to, from } => {
                let is_64_bit = to.is_64_bit(module) && from.is_64_bit(module);
                vec![position(to), position(from), if is_64_bit { ValType::I64 } else { ValType::I32 }]
            }
            Bulk::Grow(table) => vec![element(table)?, position(Region::Table(table))],
        })
    }
}

/// A local that holds an operand, and the type of that.
pub(super) type Operand = (u32, ValType);

/// Writes operations with their comparisons.
pub(super) struct Writer<'m> {
    module: &'m Module<'m>,
    /// The segments that some instruction drops.
    dropped: HashSet<Segment>,
    table_elements: u64,
}

impl<'m> Writer<'m> {
    pub(super) fn new(module: &'m Module<'m>, dropped: HashSet<Segment>, table_elements: u64) -> Writer<'m> {
        Writer { module, dropped, table_elements }
    }

    /// Writes an operation whose operands are on the stack, if it is possible. These locals hold the operands meanwhile.
    pub(super) fn write(&self, bulk: Bulk, operands: &[Operand], sink: &mut InstructionSink<'_>) {
        for (local, _) in operands.iter().rev() {
            sink.local_set(*local);
        }
        match (bulk, operands) {
            (Bulk::Grow(table), [value, count]) => self.grow(table, *value, *count, sink),
            (Bulk::Fill(to), [at, value, length]) => {
                self.beyond(to, *at, *length, sink);
                self.trap(to, sink);
                get(&[*at, *value, *length], sink);
                fill(to, sink);
            }
            (Bulk::Copy { to, from }, [at, start, length]) => {
                self.beyond(to, *at, *length, sink);
                self.beyond(from, *start, *length, sink);
                sink.i32_or();
                self.trap(to, sink);
                if let Region::Segment(segment) = from
                    && self.dropped.contains(&segment)
                {
                    // Traps where the segment has been dropped; both positions are within their regions.
                    get(&[*at, *start, *length], sink);
                    sink.i32_add().i32_const(0);
                    copy(to, from, sink);
                }
                get(&[*at, *start, *length], sink);
                copy(to, from, sink);
            }
            _ => {}
        }
    }

    /// Grows a table by a count of entries, or answers -1 where the table may not have so many.
    fn grow(&self, table: u32, value: Operand, count: Operand, sink: &mut InstructionSink<'_>) {
        // What all tables may have together, less what they have.
        get_i64(count, sink);
        sink.i64_const(self.table_elements.cast_signed());
        for table in 0..self.module.tables.len() as u32 {
            self.size(Region::Table(table), sink);
            sink.i64_sub();
        }
        sink.i64_gt_u();
        if let Some(maximum) = self.module.tables.get(table as usize).and_then(|table| table.maximum) {
            get_i64(count, sink);
            sink.i64_const(maximum.cast_signed());
            self.size(Region::Table(table), sink);
            sink.i64_sub().i64_gt_u().i32_or();
        }
        sink.if_(BlockType::Result(count.1));
        match count.1 {
            ValType::I64 => sink.i64_const(-1),
            _ => sink.i32_const(-1),
        };
        sink.else_();
        get(&[value, count], sink);
        sink.table_grow(table).end();
    }

    /// Puts on the stack whether so much from a position on goes beyond the end of a region.
    fn beyond(&self, region: Region, at: Operand, length: Operand, sink: &mut InstructionSink<'_>) {
        if region.is_64_bit(self.module) {
            // The sum could overflow.
            get_i64(length, sink);
            self.size(region, sink);
            sink.i64_gt_u();
            get_i64(at, sink);
            self.size(region, sink);
            get_i64(length, sink);
            sink.i64_sub().i64_gt_u().i32_or();
        } else {
            get_i64(at, sink);
            get_i64(length, sink);
            sink.i64_add();
            self.size(region, sink);
            sink.i64_gt_u();
        }
    }

    /// Puts the size of a region on the stack, as an i64 in the unit of its positions. Of a segment that is the size
    /// before it was dropped.
    fn size(&self, region: Region, sink: &mut InstructionSink<'_>) {
        match region {
            Region::Memory(index) => sink.memory_size(index),
            Region::Table(index) => sink.table_size(index),
            Region::Segment(segment) => {
                sink.i64_const(self.length(segment).into());
                return;
            }
        };
        if !region.is_64_bit(self.module) {
            sink.i64_extend_i32_u();
        }
        if let Region::Memory(_) = region {
            sink.i64_const(16).i64_shl();
        }
    }

    /// The length that a segment has until it is dropped: 0 unless it is passive, as the others are dropped at the start.
    fn length(&self, segment: Segment) -> u32 {
        match segment {
            Segment::Data(index) => match self.module.data.get(index as usize) {
                Some(data) if matches!(data.kind, DataKind::Passive) => data.data.len() as u32,
                _ => 0,
            },
            Segment::Element(index) => match self.module.elements.get(index as usize) {
                Some(element) if matches!(element.kind, ElementKind::Passive) => match &element.items {
                    ElementItems::Functions(items) => items.count(),
                    ElementItems::Expressions(_, items) => items.count(),
                },
                _ => 0,
            },
        }
    }

    /// Traps as an operation on a region does, if the value on the stack is not 0.
    fn trap(&self, region: Region, sink: &mut InstructionSink<'_>) {
        sink.if_(BlockType::Empty);
        for number in [-1, -1, BEYOND] {
            match region.is_64_bit(self.module) {
                true => sink.i64_const(number.into()),
                false => sink.i32_const(number),
            };
        }
        copy(region, region, sink);
        sink.unreachable().end();
    }
}

fn fill(to: Region, sink: &mut InstructionSink<'_>) {
    match to {
        Region::Memory(index) => _ = sink.memory_fill(index),
        Region::Table(index) => _ = sink.table_fill(index),
        Region::Segment(_) => {}
    }
}

fn copy(to: Region, from: Region, sink: &mut InstructionSink<'_>) {
    match (to, from) {
        (Region::Memory(to), Region::Memory(from)) => _ = sink.memory_copy(to, from),
        (Region::Memory(to), Region::Segment(Segment::Data(from))) => _ = sink.memory_init(to, from),
        (Region::Table(to), Region::Table(from)) => _ = sink.table_copy(to, from),
        (Region::Table(to), Region::Segment(Segment::Element(from))) => _ = sink.table_init(to, from),
        _ => {}
    }
}

fn get(operands: &[Operand], sink: &mut InstructionSink<'_>) {
    for (local, _) in operands {
        sink.local_get(*local);
    }
}

/// Puts a position or length on the stack as an i64.
fn get_i64((local, ty): Operand, sink: &mut InstructionSink<'_>) {
    sink.local_get(local);
    if ty == ValType::I32 {
        sink.i64_extend_i32_u();
    }
}
