//! One function, lowered by its plan.
//!
//! Instructions are copied in runs of input bytes. A run is interrupted only by an instruction that is replaced: a
//! legacy one, or one that names a label whose depth is another in the output.

use std::iter::Enumerate;
use std::ops::Range;
use std::slice;

use wasm_encoder::reencode::{Reencode, RoundtripReencoder};
use wasm_encoder::{BlockType, Catch, ValType};
use wasmparser::{FunctionBody, Handle, Operator, ResumeTable, TryTable};

use super::output::{Label, Output};
use super::plan::{Clause, Guard, GuardId, GuardKind, Plan};
use super::types::Types;
use crate::Error;
use crate::body::{Locals, Splice};

/// The body of the lowered function, from its locals on. `params` is how many parameters the function has.
pub(super) fn lower(
    wasm: &[u8],
    body: &FunctionBody<'_>,
    plan: &Plan,
    params: usize,
    types: &mut Types,
) -> Result<Vec<u8>, Error> {
    let locals = Locals::of(body, params)?;
    let mut operators = body.get_operators_reader()?;
    let mut rewriter = Rewriter {
        guards: plan.guards.iter().enumerate(),
        landings: vec![None; plan.guards.len()],
        types,
        output: Output::new(Splice::new(wasm, locals.code_start(), Vec::new())),
        open: Vec::new(),
        exceptions: ExceptionLocals { first: locals.count, used: 0, needed: 0 },
    };
    rewriter.enter_function(plan.caller_landing);
    while !operators.eof() {
        let at = operators.original_position();
        let operator = operators.read()?;
        rewriter.operator(operator, at..operators.original_position())?;
    }
    operators.finish()?;

    let added = match rewriter.exceptions.needed {
        0 => Vec::new(),
        needed => vec![(needed, ValType::EXNREF)],
    };
    let mut lowered = locals.with(wasm, &added)?;
    lowered.append(&mut rewriter.output.finish(body.range().end)?);
    Ok(lowered)
}

/// A construct that is open in the input, the function included.
struct OpenConstruct<'p> {
    label: Label,
    shape: Shape<'p>,
}

enum Shape<'p> {
    /// Lowered to one construct.
    Plain,
    /// Lowered to a construct with its contents in a landing.
    Landed,
    /// The body of a `try`, with the clauses to come.
    Body { clauses: slice::Iter<'p, Clause>, landed: bool },
    /// A clause, with those still to come.
    Clause {
        clauses: slice::Iter<'p, Clause>,
        /// The local that holds the exception.
        exception: Option<u32>,
    },
}

/// The locals for caught exceptions, taken and released like a stack.
struct ExceptionLocals {
    first: u32,
    used: u32,
    needed: u32,
}

impl ExceptionLocals {
    fn take(&mut self) -> Option<u32> {
        let local = self.first.checked_add(self.used)?;
        self.used += 1;
        self.needed = self.needed.max(self.used);
        Some(local)
    }

    fn release(&mut self) {
        self.used = self.used.saturating_sub(1);
    }
}

struct Rewriter<'a, 'p> {
    /// The guards still to open.
    guards: Enumerate<slice::Iter<'p, Guard>>,
    /// The landings of the guards.
    landings: Vec<Option<Label>>,
    types: &'a mut Types,
    output: Output<'a>,
    open: Vec<OpenConstruct<'p>>,
    exceptions: ExceptionLocals,
}

impl<'p> Rewriter<'_, 'p> {
    fn operator(&mut self, operator: Operator<'_>, at: Range<usize>) -> Result<(), Error> {
        match operator {
            Operator::Block { .. } | Operator::Loop { .. } | Operator::If { .. } => {
                let label = self.output.opened();
                self.enter(label, Shape::Plain);
                Ok(())
            }
            Operator::End => self.end(at.start),
            Operator::Try { blockty } => {
                self.output.replace(&at)?;
                let ty = block_type(blockty, at.start)?;
                self.open_try(ty, at.start)
            }
            Operator::Catch { .. } | Operator::CatchAll => {
                self.output.replace(&at)?;
                self.next_clause(at.start)
            }
            Operator::Delegate { .. } => {
                self.output.replace(&at)?;
                self.leave(at.start)?;
                self.output.end();
                Ok(())
            }
            Operator::Rethrow { relative_depth } => {
                self.output.replace(&at)?;
                self.rethrow(relative_depth, at.start)
            }
            Operator::TryTable { try_table } => self.open_try_table(try_table, at),
            labelled => self.relabel(labelled, &at),
        }
    }

    fn enter_function(&mut self, landed: bool) {
        let label = self.output.opened();
        if landed {
            self.output.plain_landing();
            self.enter(label, Shape::Landed);
        } else {
            self.enter(label, Shape::Plain);
        }
    }

    fn open_try(&mut self, ty: BlockType, offset: usize) -> Result<(), Error> {
        let (id, guard) = self.next_guard(offset)?;
        match &guard.kind {
            GuardKind::Try(clauses) if clauses.is_empty() => {
                let label = self.output.block(ty);
                self.enter(label, Shape::Plain);
                Ok(())
            }
            GuardKind::Try(clauses) => self.open_clauses(id, guard, clauses, ty, offset),
            GuardKind::Delegate(target) => {
                let landing = match target {
                    Some(target) => self.landings.get(*target).copied().flatten(),
                    None => Some(Label::CALLER_LANDING),
                };
                let landing = landing.ok_or_else(|| Error::malformed("a delegate that leads nowhere", offset))?;
                let catch = Catch::AllRef { label: self.output.depth(landing) };
                let label = self.output.try_table(ty, [catch]);
                self.enter(label, Shape::Plain);
                Ok(())
            }
            GuardKind::TryTable { .. } => Err(off_plan(offset)),
        }
    }

    /// Opens a `try` with clauses up to the start of its body.
    fn open_clauses(
        &mut self,
        id: GuardId,
        guard: &Guard,
        clauses: &'p [Clause],
        ty: BlockType,
        offset: usize,
    ) -> Result<(), Error> {
        let label = self.output.block(ty);
        // The first clause is behind the innermost block.
        for clause in clauses.iter().rev() {
            let ty = self.types.catching(ty, clause.tag, clause.rethrown, offset)?;
            self.output.block(ty);
        }
        let catches: Vec<Catch> = clauses
            .iter()
            .zip(0..)
            .map(|(clause, label)| match (clause.tag, clause.rethrown) {
                (Some(tag), false) => Catch::One { tag, label },
                (Some(tag), true) => Catch::OneRef { tag, label },
                (None, false) => Catch::All { label },
                (None, true) => Catch::AllRef { label },
            })
            .collect();
        self.output.try_table(ty, catches);
        if guard.landing {
            self.open_landing(id, ty, offset)?;
        }
        self.enter(label, Shape::Body { clauses: clauses.iter(), landed: guard.landing });
        Ok(())
    }

    fn open_try_table(&mut self, mut try_table: TryTable, at: Range<usize>) -> Result<(), Error> {
        let (id, guard) = self.next_guard(at.start)?;
        for catch in &mut try_table.catches {
            use wasmparser::Catch::{All, AllRef, One, OneRef};
            let (One { label, .. } | OneRef { label, .. } | All { label } | AllRef { label }) = catch;
            *label = self.depth(*label, at.start)?;
        }
        let ty = block_type(try_table.ty, at.start)?;
        self.output.replace(&at)?;
        self.emit(Operator::TryTable { try_table }, at.start)?;
        let label = self.output.opened();
        if guard.landing {
            self.open_landing(id, ty, at.start)?;
            self.enter(label, Shape::Landed);
        } else {
            self.enter(label, Shape::Plain);
        }
        Ok(())
    }

    /// Opens the landing in the body of a guard of this type.
    fn open_landing(&mut self, id: GuardId, ty: BlockType, offset: usize) -> Result<(), Error> {
        let ty = self.types.catching(ty, None, true, offset)?;
        let label = self.output.block(ty);
        if let Some(landing) = self.landings.get_mut(id) {
            *landing = Some(label);
        }
        Ok(())
    }

    /// Ends the body of a `try`, or one of its clauses, and starts the next clause.
    fn next_clause(&mut self, offset: usize) -> Result<(), Error> {
        let OpenConstruct { label, shape } = self.leave(offset)?;
        let mut clauses = match shape {
            Shape::Body { clauses, landed } => {
                if landed {
                    self.output.end_landing(label);
                }
                self.output.end();
                clauses
            }
            Shape::Clause { clauses, .. } => clauses,
            Shape::Plain | Shape::Landed => return Err(off_plan(offset)),
        };
        self.output.branch(label);
        self.output.end();
        let clause = clauses.next().ok_or_else(|| off_plan(offset))?;
        let exception = if clause.rethrown {
            let local = self
                .exceptions
                .take()
                .ok_or_else(|| Error::TooLarge("a function would have too many locals".into()))?;
            self.output.sink().local_set(local);
            Some(local)
        } else {
            None
        };
        self.enter(label, Shape::Clause { clauses, exception });
        Ok(())
    }

    fn rethrow(&mut self, depth: u32, offset: usize) -> Result<(), Error> {
        match self.labelled(depth, offset)?.shape {
            Shape::Clause { exception: Some(local), .. } => {
                self.output.sink().local_get(local).throw_ref();
                Ok(())
            }
            _ => Err(off_plan(offset)),
        }
    }

    /// Closes a construct; its `end` is left to be copied.
    fn end(&mut self, offset: usize) -> Result<(), Error> {
        let OpenConstruct { label, shape } = self.leave(offset)?;
        if let Shape::Landed = shape {
            self.output.copy_to(offset)?;
            self.output.end_landing(label);
        }
        self.output.closed();
        Ok(())
    }

    /// Adjusts an instruction that names labels and opens nothing.
    fn relabel(&mut self, mut operator: Operator<'_>, at: &Range<usize>) -> Result<(), Error> {
        match &mut operator {
            Operator::Br { relative_depth }
            | Operator::BrIf { relative_depth }
            | Operator::BrOnNull { relative_depth }
            | Operator::BrOnNonNull { relative_depth }
            | Operator::BrOnCast { relative_depth, .. }
            | Operator::BrOnCastFail { relative_depth, .. }
            | Operator::BrOnCastDescEq { relative_depth, .. }
            | Operator::BrOnCastDescEqFail { relative_depth, .. } => {
                let depth = self.depth(*relative_depth, at.start)?;
                if depth == *relative_depth {
                    return Ok(());
                }
                *relative_depth = depth;
            }
            Operator::BrTable { targets } => {
                let depths =
                    targets.targets().map(|target| self.depth(target?, at.start)).collect::<Result<Vec<_>, _>>()?;
                let default = self.depth(targets.default(), at.start)?;
                self.output.replace(at)?;
                self.output.sink().br_table(depths, default);
                return Ok(());
            }
            Operator::Resume { resume_table, .. }
            | Operator::ResumeThrow { resume_table, .. }
            | Operator::ResumeThrowRef { resume_table, .. } => {
                self.relabel_handlers(resume_table, at.start)?;
            }
            _ => return Ok(()),
        }
        self.output.replace(at)?;
        self.emit(operator, at.start)
    }

    fn relabel_handlers(&self, table: &mut ResumeTable, offset: usize) -> Result<(), Error> {
        for handle in &mut table.handlers {
            if let Handle::OnLabel { label, .. } = handle {
                *label = self.depth(*label, offset)?;
            }
        }
        Ok(())
    }

    fn emit(&mut self, operator: Operator<'_>, offset: usize) -> Result<(), Error> {
        let instruction =
            RoundtripReencoder.instruction(operator).map_err(|error| Error::from_reencode(error, offset))?;
        self.output.instruction(&instruction);
        Ok(())
    }

    fn next_guard(&mut self, offset: usize) -> Result<(GuardId, &'p Guard), Error> {
        self.guards.next().ok_or_else(|| off_plan(offset))
    }

    fn enter(&mut self, label: Label, shape: Shape<'p>) {
        self.open.push(OpenConstruct { label, shape });
    }

    fn leave(&mut self, offset: usize) -> Result<OpenConstruct<'p>, Error> {
        let construct = self.open.pop().ok_or_else(|| Error::malformed("an end without a start", offset))?;
        if let Shape::Clause { exception: Some(_), .. } = construct.shape {
            self.exceptions.release();
        }
        Ok(construct)
    }

    /// What a depth in the input refers to.
    fn labelled(&self, depth: u32, offset: usize) -> Result<&OpenConstruct<'p>, Error> {
        usize::try_from(depth)
            .ok()
            .and_then(|depth| self.open.iter().nth_back(depth))
            .ok_or_else(|| Error::malformed("a label that is not there", offset))
    }

    /// The depth in the output for one in the input.
    fn depth(&self, depth: u32, offset: usize) -> Result<u32, Error> {
        Ok(self.output.depth(self.labelled(depth, offset)?.label))
    }
}

fn block_type(ty: wasmparser::BlockType, offset: usize) -> Result<BlockType, Error> {
    RoundtripReencoder.block_type(ty).map_err(|error| Error::from_reencode(error, offset))
}

fn off_plan(offset: usize) -> Error {
    Error::malformed("an instruction where it cannot be", offset)
}
