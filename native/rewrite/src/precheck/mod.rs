//! Bulk operations that cannot succeed fail before they are charged.
//!
//! The compiler charges `memory.fill`, `memory.copy`, `memory.init`, `table.fill`, `table.copy`, `table.init` and
//! `table.grow` by their last operand, and looks whether that much fuel is left, before it knows whether the operation is
//! possible: `table.grow` by 2^64 - 1 entries, which the standard answers with -1, ends the call for lack of fuel. So each
//! of them gets a comparison in front:
//!
//! ```text
//! (local.set $n) (local.set $value) (local.set $at)
//! (if <$at + $n is beyond the end> (then <the same trap, of a constant length> unreachable))
//! (memory.fill (local.get $at) (local.get $value) (local.get $n))
//!
//! (local.set $n) (local.set $value)
//! (if (result i32) <$n is more than the table may grow by>
//!   (then (i32.const -1))
//!   (else (table.grow $t (local.get $value) (local.get $n))))
//! ```
//!
//! An operation that is possible is charged as before, before it works, and its comparison like any other
//! instructions. One whose length is a small constant stays as it is: the compiler charges it together with the
//! instructions around it and does not look. `memory.grow` is charged as one instruction whatever its operand.
//!
//! The function that traps is the one that has the operation, with the same trap. No index changes meaning; new locals
//! come after the existing ones.

mod bulk;
#[cfg(test)]
mod tests;

use crate::Error;
use crate::body::{Locals, Splice};
use crate::edits::Edits;
use crate::module::{Module, Segment};
use bulk::{Bulk, Writer};
use std::borrow::Cow;
use std::collections::HashSet;
use std::ops::Range;
use wasm_encoder::ValType;
use wasmparser::{FunctionBody, Operator};

/// Puts a comparison in front of each bulk operation of a module.
///
/// The module must be valid, without legacy exception handling. `table_elements` is the number of entries that the tables
/// of an instance may have together. A module without such operations is returned as it is.
///
/// # Errors
/// [`Error::TooLarge`] where the result would exceed a limit of validation, and [`Error::Malformed`].
pub fn precheck(wasm: &[u8], table_elements: u64) -> Result<Cow<'_, [u8]>, Error> {
    run(&Module::parse(wasm)?, table_elements)
}

pub(crate) fn run<'a>(module: &Module<'a>, table_elements: u64) -> Result<Cow<'a, [u8]>, Error> {
    let mut dropped = HashSet::new();
    let mut sites = Vec::with_capacity(module.bodies.len());
    for body in &module.bodies {
        sites.push(scan(body, &mut dropped)?);
    }
    let mut edits = Edits::default();
    let writer = Writer::new(module, dropped, table_elements);
    for (position, (body, sites)) in module.bodies.iter().zip(&sites).enumerate() {
        if !sites.is_empty() {
            let params = module.type_of_body(position).map_or(0, |ty| ty.params().len());
            edits.replace_body(position, with_comparisons(module, body, params, sites, &writer)?)?;
        }
    }
    edits.apply(module)
}

/// A bulk operation that needs a comparison.
struct Site {
    bulk: Bulk,
    /// Where the instruction is in the module.
    at: Range<usize>,
}

/// The operations of a function that need a comparison, in their order. Adds the segments that it drops to `dropped`.
fn scan(body: &FunctionBody<'_>, dropped: &mut HashSet<Segment>) -> Result<Vec<Site>, Error> {
    let mut sites = Vec::new();
    if !may_have_bulk(body.as_bytes()) {
        return Ok(sites);
    }
    let mut operators = body.get_operators_reader()?;
    let mut constant = None;
    while !operators.eof() {
        let start = operators.original_position();
        let operator = operators.read()?;
        let length = std::mem::take(&mut constant);
        match operator {
            Operator::I32Const { value } => constant = Some(u64::from(value.cast_unsigned())),
            Operator::I64Const { value } => constant = Some(value.cast_unsigned()),
            Operator::DataDrop { data_index } => _ = dropped.insert(Segment::Data(data_index)),
            Operator::ElemDrop { elem_index } => _ = dropped.insert(Segment::Element(elem_index)),
            _ => {
                if let Some(bulk) = Bulk::of(&operator)
                    && !length.is_some_and(|length| bulk.is_small(length))
                {
                    sites.push(Site { bulk, at: start..operators.original_position() });
                }
            }
        }
    }
    Ok(sites)
}

/// Whether a bulk operation or a drop can be among the bytes: 0xfc, then 8 to 17, which may be written in any number of
/// bytes. Few functions have any, and the others need not be decoded.
fn may_have_bulk(body: &[u8]) -> bool {
    memchr::memchr_iter(0xfc, body).any(|at| body.get(at + 1).is_some_and(|code| matches!(code & 0x7f, 8..=17)))
}

/// The body of a function, from its locals on, with a comparison in front of each of these operations.
fn with_comparisons(
    module: &Module<'_>,
    body: &FunctionBody<'_>,
    params: usize,
    sites: &[Site],
    writer: &Writer<'_>,
) -> Result<Vec<u8>, Error> {
    let locals = Locals::of(body, params)?;
    let mut slots = Slots { first: locals.count, groups: Vec::new() };
    for site in sites {
        slots.reserve(&site.bulk.operands(module)?);
    }
    let mut output = Splice::new(module.wasm, locals.code_start(), locals.with(module.wasm, &slots.groups)?);
    for Site { bulk, at } in sites {
        output.replace(at)?;
        writer.write(*bulk, &slots.places(&bulk.operands(module)?), &mut output.sink());
    }
    output.finish(body.range().end)
}

/// The locals that hold operands meanwhile, behind the function's own.
struct Slots {
    first: u32,
    /// How many there are of each type.
    groups: Vec<(u32, ValType)>,
}

impl Slots {
    /// Makes room for operands of these types.
    fn reserve(&mut self, operands: &[ValType]) {
        for ty in operands {
            let needed = operands.iter().filter(|operand| *operand == ty).count() as u32;
            match self.groups.iter_mut().find(|(_, known)| known == ty) {
                Some((count, _)) => *count = needed.max(*count),
                None => self.groups.push((needed, *ty)),
            }
        }
    }

    /// A local for each of these operands, with its type.
    fn places(&self, operands: &[ValType]) -> Vec<(u32, ValType)> {
        let place = |(position, ty): (usize, &ValType)| {
            let before = self.groups.iter().take_while(|(_, known)| known != ty).map(|(count, _)| count).sum::<u32>();
            let same = operands.iter().take(position).filter(|operand| *operand == ty).count() as u32;
            (self.first.saturating_add(before).saturating_add(same), *ty)
        };
        operands.iter().enumerate().map(place).collect()
    }
}
