//! Segments that are dropped: which, whether, and how to do the same from outside.

use crate::Error;
use crate::body::Splice;
use crate::edits::Edits;
use crate::module::{Module, Segment};
use std::collections::BTreeSet;
use std::ops::Range;
use wasm_encoder::{BlockType, Function, InstructionSink};
use wasmparser::{FunctionBody, Operator};

/// Segments that one function drops: compiling a function that is twice as long takes more than twice as long.
const GROUP: usize = 512;

/// Segments, ascending, and the globals that say which of them have been dropped. That of `segments[k]` is `first + k`.
#[derive(Clone, Copy)]
pub(super) struct Flags<'s> {
    pub(super) segments: &'s [Segment],
    pub(super) first: u32,
}

impl Flags<'_> {
    /// Sets the flag of the segment at a position.
    fn set(self, sink: &mut InstructionSink<'_>, position: usize) {
        sink.i32_const(1).global_set(self.first.wrapping_add(signed(position).cast_unsigned()));
    }
}

/// The segments that some instruction drops, ascending.
pub(super) fn segments(module: &Module<'_>) -> Result<Vec<Segment>, Error> {
    let mut segments = BTreeSet::new();
    for body in &module.bodies {
        each_drop(body, |segment, _| {
            segments.insert(segment);
            Ok(())
        })?;
    }
    Ok(segments.into_iter().collect())
}

/// Has each function set the flags of the segments that it drops.
pub(super) fn set_flags(module: &Module<'_>, flags: Flags<'_>, edits: &mut Edits) -> Result<(), Error> {
    for (position, body) in module.bodies.iter().enumerate() {
        let mut output = None;
        each_drop(body, |segment, end| {
            let Ok(position) = flags.segments.binary_search(&segment) else { return Ok(()) };
            let output = output.get_or_insert_with(|| Splice::new(module.wasm, body.range().start, Vec::new()));
            output.copy_to(end)?;
            flags.set(&mut output.sink(), position);
            Ok(())
        })?;
        if let Some(output) = output {
            edits.replace_body(position, output.finish(body.range().end)?)?;
        }
    }
    Ok(())
}

/// Functions of which the last drops the segment at a position and sets its flag, with the help of those before it. The
/// index of the first is `first_function`.
pub(super) fn functions(flags: Flags<'_>, first_function: u32) -> Vec<Function> {
    let count = flags.segments.len();
    let groups = (0..count).step_by(GROUP).map(|first| first..count.min(first + GROUP));
    let mut functions: Vec<Function> = groups.map(|group| of_group(flags, group)).collect();
    let mut function = Function::new([]);
    let mut sink = function.instructions();
    sink.local_get(0).i32_const(signed(count)).i32_ge_u();
    sink.if_(BlockType::Empty).unreachable().end();
    choose(&mut sink, 0..functions.len(), GROUP, &mut |sink, group| {
        sink.local_get(0).call(first_function.wrapping_add(signed(group).cast_unsigned()));
    });
    sink.end();
    functions.push(function);
    functions
}

/// Drops one of the segments at these positions.
fn of_group(flags: Flags<'_>, group: Range<usize>) -> Function {
    let mut function = Function::new([]);
    let mut sink = function.instructions();
    choose(&mut sink, group, 1, &mut |sink, position| {
        match flags.segments.get(position) {
            Some(Segment::Data(index)) => sink.data_drop(*index),
            Some(Segment::Element(index)) => sink.elem_drop(*index),
            None => sink,
        };
        flags.set(sink, position);
    });
    sink.end();
    function
}

/// Does what `then` says for the number in the range that parameter 0, divided by `step`, is. It halves the choice, as a
/// chain of tests would take as long as there are numbers.
fn choose(
    sink: &mut InstructionSink<'_>,
    range: Range<usize>,
    step: usize,
    then: &mut impl FnMut(&mut InstructionSink<'_>, usize),
) {
    if range.len() < 2 {
        return then(sink, range.start);
    }
    let middle = range.start + range.len() / 2;
    sink.local_get(0).i32_const(signed(middle * step)).i32_lt_u().if_(BlockType::Empty);
    choose(sink, range.start..middle, step, then);
    sink.else_();
    choose(sink, middle..range.end, step, then);
    sink.end();
}

/// A position as an immediate. There are at most 100,000 data and as many element segments.
fn signed(position: usize) -> i32 {
    i32::try_from(position).unwrap_or(i32::MAX)
}

/// Calls `found` with the segment of each instruction that drops one, and with where the instruction ends.
fn each_drop(body: &FunctionBody<'_>, mut found: impl FnMut(Segment, usize) -> Result<(), Error>) -> Result<(), Error> {
    if !may_drop(body.as_bytes()) {
        return Ok(());
    }
    let mut operators = body.get_operators_reader()?;
    while !operators.eof() {
        match operators.read()? {
            Operator::DataDrop { data_index } => found(Segment::Data(data_index), operators.original_position())?,
            Operator::ElemDrop { elem_index } => found(Segment::Element(elem_index), operators.original_position())?,
            _ => {}
        }
    }
    Ok(())
}

/// Whether the opcode of a drop can be among the bytes: 0xfc, then 9 or 13, which may be written in any number of bytes.
/// Few bodies have it, and the others need not be decoded.
fn may_drop(body: &[u8]) -> bool {
    memchr::memchr_iter(0xfc, body).any(|at| body.get(at + 1).is_some_and(|code| matches!(code & 0x7f, 9 | 13)))
}
