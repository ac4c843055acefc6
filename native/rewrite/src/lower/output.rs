//! The code of a function as it is written.

use std::ops::Range;

use wasm_encoder::{BlockType, Catch, Instruction, InstructionSink, ValType};

use crate::Error;
use crate::body::Splice;

/// The position of a construct among those open in the output, counted from the function inwards. Unlike a depth it
/// stays the same while the construct is open.
#[derive(Clone, Copy)]
pub(super) struct Label(u32);

impl Label {
    /// The landing around the body of a function, which is the first construct inside the function.
    pub(super) const CALLER_LANDING: Label = Label(1);
}

/// The code of a function, with the constructs that are open in it.
pub(super) struct Output<'a> {
    splice: Splice<'a>,
    /// How many constructs are open, the function included.
    open: u32,
}

impl<'a> Output<'a> {
    pub(super) fn new(splice: Splice<'a>) -> Self {
        Output { splice, open: 0 }
    }

    /// The code, with all input up to a position copied.
    pub(super) fn finish(self, end: usize) -> Result<Vec<u8>, Error> {
        self.splice.finish(end)
    }

    /// Copies the input up to a position.
    pub(super) fn copy_to(&mut self, position: usize) -> Result<(), Error> {
        self.splice.copy_to(position)
    }

    /// Copies the input up to an instruction, and skips that.
    pub(super) fn replace(&mut self, instruction: &Range<usize>) -> Result<(), Error> {
        self.splice.replace(instruction)
    }

    /// For instructions that neither open nor close a construct; see [`opened`](Self::opened) and
    /// [`closed`](Self::closed) for those that do.
    pub(super) fn sink(&mut self) -> InstructionSink<'_> {
        self.splice.sink()
    }

    /// The same for an instruction at hand.
    pub(super) fn instruction(&mut self, instruction: &Instruction<'_>) {
        self.splice.instruction(instruction);
    }

    /// Notes that an instruction opens a construct.
    pub(super) fn opened(&mut self) -> Label {
        let label = Label(self.open);
        self.open += 1;
        label
    }

    /// Notes that an instruction closes the innermost construct.
    pub(super) fn closed(&mut self) {
        self.open = self.open.saturating_sub(1);
    }

    /// The depth by which the next instruction refers to a label.
    pub(super) fn depth(&self, label: Label) -> u32 {
        self.open.saturating_sub(label.0).saturating_sub(1)
    }

    pub(super) fn block(&mut self, ty: BlockType) -> Label {
        self.sink().block(ty);
        self.opened()
    }

    /// The labels in the catches are depths outside of the `try_table`.
    pub(super) fn try_table(
        &mut self,
        ty: BlockType,
        catches: impl IntoIterator<Item = Catch, IntoIter: ExactSizeIterator>,
    ) -> Label {
        self.sink().try_table(ty, catches);
        self.opened()
    }

    pub(super) fn end(&mut self) {
        self.sink().end();
        self.closed();
    }

    pub(super) fn branch(&mut self, label: Label) {
        let depth = self.depth(label);
        self.sink().br(depth);
    }

    /// Ends a landing: its contents go on at the end of `label`, and an exception that was passed to it is thrown
    /// again.
    pub(super) fn end_landing(&mut self, label: Label) {
        self.branch(label);
        self.end();
        self.sink().throw_ref();
    }

    /// Opens a landing without parameters.
    pub(super) fn plain_landing(&mut self) -> Label {
        self.block(BlockType::Result(ValType::EXNREF))
    }
}
