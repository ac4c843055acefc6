//! Segments that are dropped: which, whether, and how to do the same from outside.

use super::{Segment, malformed, too_large};
use crate::error::Error;
use std::collections::BTreeSet;
use std::ops::Range;
use wasm_encoder::{BlockType, Encode, Function, InstructionSink};
use wasmparser::{BinaryReader, CodeSectionReader, FunctionBody, Operator};

/// The type of the function that drops: it takes an i32 and gives nothing.
pub(super) const TYPE: [u8; 4] = [0x60, 1, 0x7f, 0];

/// Bytes that validation allows a function body.
const MAX_BODY: usize = 7_654_321;

/// Segments that one function drops: compiling a function that is twice as long takes more than twice as long.
const GROUP: usize = 512;

/// The segments that some instruction in a code section drops, ascending.
pub(super) fn segments(code: &[u8]) -> Result<Vec<Segment>, Error> {
    let mut segments = BTreeSet::new();
    if !code.is_empty() {
        for body in CodeSectionReader::new(BinaryReader::new(code, 0)).map_err(malformed)? {
            each_drop(&body.map_err(malformed)?, |segment, _| {
                segments.insert(segment);
            })?;
        }
    }
    Ok(segments.into_iter().collect())
}

/// The functions of a code section, each setting the flag of what it drops. The flag of `segments[k]` is the global
/// `first_flag + k`.
pub(super) fn rewrite(code: &[u8], segments: &[Segment], first_flag: u32) -> Result<Vec<u8>, Error> {
    let bodies = CodeSectionReader::new(BinaryReader::new(code, 0)).map_err(malformed)?;
    let mut output = Vec::with_capacity(code.len());
    // The input before this position is in the output.
    let mut copied = bodies.original_position();
    // Where the function before ended: its length comes before the range of a body.
    let mut end = copied;
    for body in bodies {
        let body = body.map_err(malformed)?;
        let range = body.range();
        let mut rewritten = Vec::new();
        let mut rest = range.start;
        each_drop(&body, |segment, end| {
            if let Ok(position) = segments.binary_search(&segment) {
                rewritten.extend_from_slice(code.get(rest..end).unwrap_or_default());
                set_flag(&mut InstructionSink::new(&mut rewritten), position, first_flag);
                rest = end;
            }
        })?;
        if rest != range.start {
            rewritten.extend_from_slice(code.get(rest..range.end).unwrap_or_default());
            fits(rewritten.len())?;
            output.extend_from_slice(code.get(copied..end).unwrap_or_default());
            rewritten.encode(&mut output);
            copied = range.end;
        }
        end = range.end;
    }
    output.extend_from_slice(code.get(copied..).unwrap_or_default());
    Ok(output)
}

/// Functions of which the last drops the segment at a position and sets its flag, with the help of those before it. The
/// index of the first is `first_function`.
pub(super) fn functions(segments: &[Segment], first_flag: u32, first_function: u32) -> Vec<Function> {
    let groups = segments.chunks(GROUP).zip((0..).step_by(GROUP));
    let mut functions: Vec<Function> = groups.map(|(group, first)| of_group(group, first, first_flag)).collect();
    let mut function = Function::new([]);
    let mut sink = function.instructions();
    sink.local_get(0).i32_const(signed(segments.len())).i32_ge_u();
    sink.if_(BlockType::Empty).unreachable().end();
    choose(&mut sink, 0..functions.len(), GROUP, &mut |sink, group| {
        sink.local_get(0).call(first_function.wrapping_add(signed(group).cast_unsigned()));
    });
    sink.end();
    functions.push(function);
    functions
}

/// Drops one of a group, whose first segment is at a position.
fn of_group(group: &[Segment], first: usize, first_flag: u32) -> Function {
    let mut function = Function::new([]);
    let mut sink = function.instructions();
    choose(&mut sink, first..first + group.len(), 1, &mut |sink, position| {
        match group.get(position - first) {
            Some(Segment::Data(index)) => sink.data_drop(*index),
            Some(Segment::Element(index)) => sink.elem_drop(*index),
            None => sink,
        };
        set_flag(sink, position, first_flag);
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

fn set_flag(sink: &mut InstructionSink<'_>, position: usize, first_flag: u32) {
    sink.i32_const(1).global_set(first_flag.wrapping_add(signed(position).cast_unsigned()));
}

/// A position as an immediate. There are at most 100,000 data and as many element segments.
fn signed(position: usize) -> i32 {
    i32::try_from(position).unwrap_or(i32::MAX)
}

/// Calls `found` with the segment of each instruction that drops one, and with where the instruction ends.
fn each_drop(body: &FunctionBody<'_>, mut found: impl FnMut(Segment, usize)) -> Result<(), Error> {
    if !may_drop(body.as_bytes()) {
        return Ok(());
    }
    let mut operators = body.get_operators_reader().map_err(malformed)?;
    while !operators.eof() {
        match operators.read().map_err(malformed)? {
            Operator::DataDrop { data_index } => found(Segment::Data(data_index), operators.original_position()),
            Operator::ElemDrop { elem_index } => found(Segment::Element(elem_index), operators.original_position()),
            _ => {}
        }
    }
    Ok(())
}

/// Whether the opcode of a drop is among the bytes: 0xfc, then 9 or 13 in as many bytes as one likes. Few bodies have
/// it, and the others need not be decoded.
fn may_drop(body: &[u8]) -> bool {
    body.windows(2).any(|pair| matches!(pair, [0xfc, code] if matches!(code & 0x7f, 9 | 13)))
}

fn fits(bytes: usize) -> Result<(), Error> {
    if bytes > MAX_BODY { Err(too_large("a function has more bytes than it may")) } else { Ok(()) }
}
