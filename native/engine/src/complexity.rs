//! What compiling a function costs beyond its size.
//!
//! The compiler's time and memory grow with the square of some properties of a function, so that a few kilobytes may keep
//! it busy for minutes. These properties are estimated from the function alone, and with it the same on every node:
//!
//! - **Merged values**: what a block yields, what a loop takes, and each local that is assigned within one has to be
//!   merged at its edge. Memory grows with their number times that of blocks.
//! - **Distances**: a value that is used blocks after it was made stays in registers or on the stack in all of them, and
//!   the register allocator looks at it in each. The optimizer moves calculations that have no effect to where they are
//!   used; so a long sum, used at the end, keeps all that it adds up alive until then.
//! - **Wide calls**: two bytes of code move up to a thousand arguments and a thousand results.
//!
//! Numbers are measured on one core of 2025: at the bounds a function compiles within a few seconds and a gigabyte.

use crate::error::Error;
use std::collections::HashSet;
use wasmparser::Operator;

/// Merged values times blocks of a function that is compiled at all.
const MERGED: u64 = 1_000_000_000;

/// What a parameter or a result of a block costs more than a local.
const EXPLICIT: u64 = 10;

/// Distances in a function that is compiled at all.
const DISTANCES: u64 = 100_000_000;

/// Values that wide calls of a function that is compiled at all may move.
const WIDE: u64 = 400_000;

/// Distances after optimization in a function that is optimized. The largest functions of SQLite have a tenth of that, those
/// of a model's runtime a quarter.
const OPTIMIZED_DISTANCES: u64 = 4_000_000;

/// Values that are followed in a function. Each block has a new one for each local that it assigns.
const VALUES: u64 = 10_000_000;

/// Values that any instruction may move without being counted as wide.
const NARROW: u32 = 16;

/// What is known of a value.
#[derive(Clone, Copy)]
struct Value {
    /// The block in which it was made.
    made: u32,
    /// The block in which it was last used, or made.
    last: u32,
    /// The same after optimization, unless it has yet to be calculated.
    optimized: Option<u32>,
    /// How often it has to be merged if it is used: it is a local that a block or loop has assigned.
    merges: u8,
    operands: [u32; 2],
}

/// A use of a value in a block.
#[derive(Clone, Copy)]
struct Use {
    value: u32,
    block: u32,
    /// The function says so where it stands, and not only after optimization.
    is_written: bool,
    /// It is by an effect, which stays where it is.
    is_effect: bool,
}

/// No value: an operand that is not there.
const NONE: u32 = u32::MAX;

#[derive(Default)]
struct Frame {
    /// Values on the operand stack below those of the frame.
    height: usize,
    is_loop: bool,
    assigned: HashSet<u32>,
}

/// A function as it is read.
#[derive(Default)]
pub(crate) struct Complexity {
    values: Vec<Value>,
    stack: Vec<u32>,
    locals: Vec<u32>,
    frames: Vec<Frame>,
    pending: Vec<Use>,
    block: u32,
    merged: u64,
    distances: u64,
    optimized_distances: u64,
    wide: u64,
}

impl Complexity {
    /// A function with so many parameters and locals. Keeps the allocations of the one before.
    pub(crate) fn begin(&mut self, locals: u32) {
        self.values.clear();
        self.stack.clear();
        self.locals.clear();
        self.frames.clear();
        (self.block, self.merged, self.distances, self.optimized_distances, self.wide) = (0, 0, 0, 0, 0);
        for _ in 0..locals {
            let root = self.root();
            self.locals.push(root);
        }
        self.frames.push(Frame::default());
    }

    /// Whether the function is too much for the optimizer.
    pub(crate) fn is_too_much_to_optimize(&self) -> bool {
        self.optimized_distances > OPTIMIZED_DISTANCES
    }

    /// Reads the next instruction, with its arity where it stands. Of one that is not valid nothing follows.
    ///
    /// # Errors
    /// [`Error::Unsupported`] where the function is beyond what is compiled.
    pub(crate) fn read(&mut self, operator: &Operator<'_>, arity: Option<(u32, u32)>) -> Result<(), Error> {
        let (pops, pushes) = arity.unwrap_or((0, 0));
        let edges = if let Operator::BrTable { targets } = operator { u64::from(targets.len()) + 1 } else { 1 };
        self.wide += edges * u64::from((pops + pushes).saturating_sub(NARROW));
        match operator {
            Operator::LocalGet { local_index } => {
                let value = self.local(*local_index);
                self.stack.push(value);
            }
            Operator::LocalSet { local_index } => {
                let value = self.pop();
                self.assign(*local_index, value);
            }
            Operator::LocalTee { local_index } => {
                let value = self.stack.last().copied().unwrap_or(NONE);
                self.assign(*local_index, value);
            }
            Operator::Drop => {
                self.pop();
            }
            Operator::Block { .. }
            | Operator::Loop { .. }
            | Operator::If { .. }
            | Operator::TryTable { .. }
            | Operator::Try { .. } => {
                self.use_all(pops);
                let is_loop = matches!(operator, Operator::Loop { .. });
                self.merged += if is_loop { u64::from(pushes) * EXPLICIT } else { 0 };
                self.frames.push(Frame { height: self.stack.len(), is_loop, assigned: HashSet::new() });
                self.next_block();
                self.push_roots(pushes);
            }
            Operator::Else | Operator::Catch { .. } | Operator::CatchAll => {
                self.use_all(pops);
                self.merge(false);
                self.next_block();
                self.push_roots(pushes);
            }
            Operator::End | Operator::Delegate { .. } => {
                self.use_all(pops);
                self.merged += u64::from(pushes) * EXPLICIT;
                self.merge(true);
                self.next_block();
                self.push_roots(pushes);
            }
            _ if pushes == 1 && pops <= 3 && is_calculated(operator) => {
                let operands = [self.pop_if(pops > 0), self.pop_if(pops > 1)];
                let third = self.pop_if(pops > 2);
                for operand in [operands[0], operands[1], third] {
                    self.use_value(operand, false);
                }
                let mut value = self.value(None, 0, operands);
                if third != NONE {
                    value = self.value(None, 0, [value, third]);
                }
                self.stack.push(value);
            }
            _ => {
                self.use_all(pops);
                if is_branch(operator) {
                    self.next_block();
                }
                self.push_roots(pushes);
            }
        }
        let merged = self.merged.saturating_mul(u64::from(self.block));
        let bounds = [
            (merged, MERGED, "values that are merged where its blocks meet"),
            (self.values.len() as u64, VALUES, "values that are merged where its blocks meet"),
            (self.distances, DISTANCES, "values that are used far from where they are made"),
            (self.wide, WIDE, "arguments and results of its calls"),
        ];
        match bounds.into_iter().find(|(value, most, _)| value > most) {
            Some((_, _, what)) => Err(Error::Unsupported(format!("too complex to be compiled: too many {what}"))),
            None => Ok(()),
        }
    }

    fn value(&mut self, optimized: Option<u32>, merges: u8, operands: [u32; 2]) -> u32 {
        let Ok(number) = u32::try_from(self.values.len()) else { return NONE };
        self.values.push(Value { made: self.block, last: self.block, optimized, merges, operands });
        number
    }

    /// A value that is made here whatever becomes of it.
    fn root(&mut self) -> u32 {
        self.value(Some(self.block), 0, [NONE; 2])
    }

    fn push_roots(&mut self, count: u32) {
        for _ in 0..count {
            let root = self.root();
            self.stack.push(root);
        }
    }

    /// Pops a value. Code that is never reached may pop what is not there.
    fn pop(&mut self) -> u32 {
        let height = self.frames.last().map_or(0, |frame| frame.height);
        if self.stack.len() > height { self.stack.pop().unwrap_or(NONE) } else { NONE }
    }

    fn pop_if(&mut self, there: bool) -> u32 {
        if there { self.pop() } else { NONE }
    }

    fn local(&self, index: u32) -> u32 {
        self.locals.get(index as usize).copied().unwrap_or(NONE)
    }

    fn assign(&mut self, index: u32, value: u32) {
        if let Some(local) = self.locals.get_mut(index as usize) {
            *local = value;
        }
        if let Some(frame) = self.frames.last_mut() {
            frame.assigned.insert(index);
        }
    }

    fn next_block(&mut self) {
        self.block = self.block.saturating_add(1);
    }

    /// Pops values that an effect uses here.
    fn use_all(&mut self, count: u32) {
        for _ in 0..count {
            let value = self.pop();
            self.use_value(value, true);
        }
    }

    /// A use of a value here. What an effect uses and has not been calculated yet is calculated for it.
    fn use_value(&mut self, value: u32, is_effect: bool) {
        self.pending.push(Use { value, block: self.block, is_written: true, is_effect });
        while let Some(Use { value, block, is_written, is_effect }) = self.pending.pop() {
            let Some(value) = self.values.get_mut(value as usize) else { continue };
            if is_written {
                self.distances += u64::from(block.saturating_sub(value.last));
                value.last = value.last.max(block);
            }
            let [first, second] = value.operands;
            if value.merges > 0 {
                // Only locals that are used are merged, at the edge of the block that has assigned them.
                self.merged += u64::from(value.merges);
                value.merges = 0;
                self.pending.push(Use { value: first, block: value.made, is_written: true, is_effect: true });
            }
            if !is_effect {
                continue;
            }
            match value.optimized {
                Some(last) => {
                    self.optimized_distances += u64::from(block.saturating_sub(last));
                    value.optimized = Some(last.max(block));
                }
                None => {
                    value.optimized = Some(block);
                    for value in [first, second] {
                        self.pending.push(Use { value, block, is_written: false, is_effect });
                    }
                }
            }
        }
    }

    /// Merges the locals that the innermost frame has assigned.
    fn merge(&mut self, at_end: bool) {
        let Some(mut frame) = self.frames.pop() else { return };
        self.stack.truncate(frame.height);
        let assigned = std::mem::take(&mut frame.assigned);
        let merges = if frame.is_loop { 2 } else { 1 };
        for index in &assigned {
            let value = self.local(*index);
            let merged = self.value(Some(self.block), merges, [value, NONE]);
            if let Some(local) = self.locals.get_mut(*index as usize) {
                *local = merged;
            }
        }
        if at_end {
            if let Some(outer) = self.frames.last_mut() {
                // The smaller set goes into the larger one.
                let (mut into, from) = if outer.assigned.len() < assigned.len() {
                    (assigned, std::mem::take(&mut outer.assigned))
                } else {
                    (std::mem::take(&mut outer.assigned), assigned)
                };
                into.extend(from);
                outer.assigned = into;
            }
        } else {
            frame.assigned = assigned;
            self.frames.push(frame);
        }
    }
}

fn is_branch(operator: &Operator<'_>) -> bool {
    matches!(
        operator,
        Operator::Br { .. }
            | Operator::BrIf { .. }
            | Operator::BrTable { .. }
            | Operator::Return
            | Operator::Unreachable
            | Operator::Throw { .. }
            | Operator::ThrowRef
            | Operator::Rethrow { .. }
    )
}

/// Whether an instruction only calculates, so that the optimizer may move it.
fn is_calculated(operator: &Operator<'_>) -> bool {
    !matches!(
        operator,
        Operator::Call { .. }
            | Operator::CallIndirect { .. }
            | Operator::CallRef { .. }
            | Operator::ReturnCall { .. }
            | Operator::ReturnCallIndirect { .. }
            | Operator::GlobalGet { .. }
            | Operator::TableGet { .. }
            | Operator::TableGrow { .. }
            | Operator::TableSize { .. }
            | Operator::MemoryGrow { .. }
            | Operator::MemorySize { .. }
            | Operator::BrIf { .. }
            | Operator::I32Load { .. }
            | Operator::I64Load { .. }
            | Operator::F32Load { .. }
            | Operator::F64Load { .. }
            | Operator::I32Load8S { .. }
            | Operator::I32Load8U { .. }
            | Operator::I32Load16S { .. }
            | Operator::I32Load16U { .. }
            | Operator::I64Load8S { .. }
            | Operator::I64Load8U { .. }
            | Operator::I64Load16S { .. }
            | Operator::I64Load16U { .. }
            | Operator::I64Load32S { .. }
            | Operator::I64Load32U { .. }
            | Operator::V128Load { .. }
            | Operator::V128Load8x8S { .. }
            | Operator::V128Load8x8U { .. }
            | Operator::V128Load16x4S { .. }
            | Operator::V128Load16x4U { .. }
            | Operator::V128Load32x2S { .. }
            | Operator::V128Load32x2U { .. }
            | Operator::V128Load8Splat { .. }
            | Operator::V128Load16Splat { .. }
            | Operator::V128Load32Splat { .. }
            | Operator::V128Load64Splat { .. }
            | Operator::V128Load32Zero { .. }
            | Operator::V128Load64Zero { .. }
            | Operator::V128Load8Lane { .. }
            | Operator::V128Load16Lane { .. }
            | Operator::V128Load32Lane { .. }
            | Operator::V128Load64Lane { .. }
    )
}

#[cfg(test)]
mod tests {
    use crate::config;
    use crate::error::Error;
    use crate::image::hash;
    use crate::task::LinkedImage;

    fn compile(wat: &str) -> Result<bool, String> {
        let bytes = wat::parse_str(wat).unwrap();
        match LinkedImage::compile(hash(&bytes), &bytes) {
            Ok(image) => Ok(config::is_optimized(image.module().engine())),
            Err(Error::Unsupported(text)) => Err(text),
            Err(other) => panic!("{other:?}"),
        }
    }

    fn function(body: &str) -> String {
        format!(r#"(module (func (export "f") (param i32) (result i32) (local $s i32) {body} (local.get $s)))"#)
    }

    #[test]
    fn a_long_sum_over_many_blocks_is_compiled_without_the_optimizer() {
        let step = "(local.set $s (i32.add (local.get $s)
            (if (result i32) (local.get 0) (then (i32.const 3)) (else (i32.const 0)))))";
        assert_eq!(compile(&function(&step.repeat(100))), Ok(true));
        assert_eq!(compile(&function(&step.repeat(4000))), Ok(false));
    }

    #[test]
    fn blocks_that_pass_on_many_values_are_refused_before_they_fill_the_memory() {
        let wide = format!("(param {0}) (result {0})", "i32 ".repeat(500));
        let push = "(local.get 0)".repeat(500);
        let passed_on = format!("(loop {wide})").repeat(3000);
        let refused = compile(&function(&format!("{push} {passed_on} {}", "drop ".repeat(500)))).unwrap_err();
        assert!(refused.starts_with("function 0 is too complex"), "{refused}");
        let narrow = "(loop (param i32) (result i32))";
        let refused = compile(&function(&format!("(local.get 0) {} drop", narrow.repeat(12_000)))).unwrap_err();
        assert!(refused.contains("merged"), "{refused}");
        assert!(compile(&function(&format!("(local.get 0) {} drop", narrow.repeat(100)))).is_ok());
    }

    #[test]
    fn locals_of_many_nested_loops_are_refused_before_they_fill_the_memory() {
        let locals = "(local i32)".repeat(1000);
        let change: String =
            (1..1000).map(|local| format!("(local.set {local} (i32.add (local.get {local}) (i32.const 1)))")).collect();
        let uses: String = (1..1000).map(|local| format!("local.get {local} i32.add ")).collect();
        let nested = |depth| {
            let (loops, ends) = ("loop ".repeat(depth), "local.get 0 br_if 0 end ".repeat(depth));
            format!(r#"(module (func (param i32) (result i32) {locals} {loops} {change} {ends} local.get 0 {uses}))"#)
        };
        assert!(compile(&nested(4)).is_ok());
        assert!(compile(&nested(1200)).unwrap_err().contains("merged"));
    }

    #[test]
    fn calls_that_move_a_thousand_values_each_are_refused_where_they_are_many() {
        let types = format!("(type $t (func (param {0}) (result {0})))", "i32 ".repeat(1000));
        let module = |calls| {
            let body =
                format!("{} {} {}", "(i32.const 1)".repeat(1000), "(call $g)".repeat(calls), "drop ".repeat(1000));
            format!(r#"(module {types} (func $g (type $t) unreachable) (func (export "f") {body}))"#)
        };
        assert!(compile(&module(10)).is_ok());
        assert!(compile(&module(1000)).unwrap_err().contains("arguments"));
    }

    #[test]
    fn a_branch_table_beyond_the_bound_of_the_compiler_is_unsupported() {
        let table = |targets| function(&format!("(block (br_table {} (local.get 0)))", "0 ".repeat(targets)));
        assert_eq!(compile(&table(60_000)), Ok(true));
        assert!(compile(&table(70_000)).unwrap_err().contains("br_table"));
    }
}
