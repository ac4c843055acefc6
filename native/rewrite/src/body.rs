//! The code of one function, written again.

use crate::Error;
use std::ops::Range;
use wasm_encoder::{Encode, Instruction, InstructionSink, ValType};
use wasmparser::FunctionBody;

/// The locals that validation allows a function, parameters included.
const MAX_LOCALS: u32 = 50_000;

/// Code copied from the input in runs, with other instructions between the runs.
pub(crate) struct Splice<'a> {
    wasm: &'a [u8],
    /// The input before this position has been copied or replaced.
    copied: usize,
    code: Vec<u8>,
}

impl<'a> Splice<'a> {
    /// Nothing yet, for the input from a position on, behind a function's locals if those are given.
    pub(crate) fn new(wasm: &'a [u8], start: usize, locals: Vec<u8>) -> Splice<'a> {
        Splice { wasm, copied: start, code: locals }
    }

    /// The code, with all input up to a position copied.
    pub(crate) fn finish(mut self, end: usize) -> Result<Vec<u8>, Error> {
        self.copy_to(end)?;
        Ok(self.code)
    }

    /// Copies the input up to a position.
    pub(crate) fn copy_to(&mut self, position: usize) -> Result<(), Error> {
        let run = self.wasm.get(self.copied..position);
        self.code.extend_from_slice(run.ok_or_else(|| Error::malformed("the code exceeds the module", position))?);
        self.copied = position;
        Ok(())
    }

    /// Copies the input up to an instruction, and skips that.
    pub(crate) fn replace(&mut self, instruction: &Range<usize>) -> Result<(), Error> {
        self.copy_to(instruction.start)?;
        self.copied = instruction.end;
        Ok(())
    }

    /// Writes an instruction behind what is there.
    pub(crate) fn instruction(&mut self, instruction: &Instruction<'_>) {
        instruction.encode(&mut self.code);
    }

    /// Writes behind what is there.
    pub(crate) fn sink(&mut self) -> InstructionSink<'_> {
        InstructionSink::new(&mut self.code)
    }
}

/// The locals of a function.
pub(crate) struct Locals {
    /// How many there are, parameters included.
    pub(crate) count: u32,
    /// The declarations as they are in the module, without their number.
    declared: Range<usize>,
    /// The number of declarations.
    groups: u32,
}

impl Locals {
    pub(crate) fn of(body: &FunctionBody<'_>, params: usize) -> Result<Locals, Error> {
        let mut reader = body.get_locals_reader()?;
        let groups = reader.get_count();
        let start = reader.original_position();
        let mut count = u32::try_from(params).ok();
        for _ in 0..groups {
            let (more, _) = reader.read()?;
            count = count.and_then(|count| count.checked_add(more));
        }
        let count = count.ok_or_else(|| Error::malformed("too many locals", body.range().start))?;
        Ok(Locals { count, declared: start..reader.original_position(), groups })
    }

    /// Where the code behind the declarations starts.
    pub(crate) fn code_start(&self) -> usize {
        self.declared.end
    }

    /// The declarations with more behind them.
    pub(crate) fn with(&self, wasm: &[u8], added: &[(u32, ValType)]) -> Result<Vec<u8>, Error> {
        let all = added.iter().fold(self.count, |all, (count, _)| all.saturating_add(*count));
        if !added.is_empty() && all > MAX_LOCALS {
            return Err(Error::TooLarge(format!("a function would have {all} locals")));
        }
        let declared = wasm.get(self.declared.clone());
        let declared = declared.ok_or_else(|| Error::malformed("the locals exceed the module", self.declared.start))?;
        let mut locals = Vec::new();
        self.groups.saturating_add(added.len() as u32).encode(&mut locals);
        locals.extend_from_slice(declared);
        for (count, ty) in added {
            count.encode(&mut locals);
            ty.encode(&mut locals);
        }
        Ok(locals)
    }
}
