//! Random modules of structured functions with exceptions, which always end.
//!
//! Every choice is taken from a tape of numbers. At its end only zeros are drawn, and zero is the simplest choice
//! everywhere, so that a shorter tape with smaller numbers is a simpler module.
//!
//! A module exports `run`, its tags, and a global `trace` in which everything that happens leaves a mark. Loops and
//! calls draw on a common supply of fuel and go no further when it is used up.

use wasm_encoder::{
    BlockType, Catch, CodeSection, ConstExpr, ExportKind, ExportSection, Function, FunctionSection, GlobalSection,
    GlobalType, Instruction, Module, TagKind, TagSection, TagType, TypeSection, ValType,
};

use Instruction as I;

/// Which exception handling the modules use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    Legacy,
    Final,
    Mixed,
}

const I32: ValType = ValType::I32;
const I64: ValType = ValType::I64;

/// What tags carry, what blocks take, and what blocks give.
const SHAPES: [&[ValType]; 4] = [&[], &[I32], &[I64, I32], &[I32, I64, I64]];

const FUNCTIONS: u32 = 3;
const FUEL: i32 = 300;
const DEPTH: u32 = 7;

const TRACE: u32 = 0;
const FUEL_GLOBAL: u32 = 1;

/// The parameter, which only changes by assignments, and further locals.
const I32_LOCALS: [u32; 2] = [0, 1];
const I64_LOCALS: [u32; 2] = [2, 3];

/// The type of functions, behind those of blocks.
const FUNCTION_TYPE: u32 = (SHAPES.len() * SHAPES.len()) as u32;

pub fn generate(tape: &[u16], dialect: Dialect) -> Vec<u8> {
    let mut tape = Tape { rest: tape.iter() };

    let mut types = TypeSection::new();
    for params in SHAPES {
        for results in SHAPES {
            types.ty().function(params.iter().copied(), results.iter().copied());
        }
    }
    types.ty().function([I32], [I32]);

    let mut functions = FunctionSection::new();
    let mut code = CodeSection::new();
    for index in 0..FUNCTIONS {
        functions.function(FUNCTION_TYPE);
        code.function(&Body::generate(&mut tape, dialect, index));
    }

    let mut tags = TagSection::new();
    let mut exports = ExportSection::new();
    for (tag, _) in (0..).zip(SHAPES) {
        tags.tag(TagType { kind: TagKind::Exception, func_type_idx: shape(tag, 0) });
        exports.export(&format!("tag{tag}"), ExportKind::Tag, tag);
    }
    exports.export("run", ExportKind::Func, FUNCTIONS - 1);
    exports.export("trace", ExportKind::Global, TRACE);

    let mut globals = GlobalSection::new();
    let global = |val_type| GlobalType { val_type, mutable: true, shared: false };
    globals.global(global(I64), &ConstExpr::i64_const(0));
    globals.global(global(I32), &ConstExpr::i32_const(FUEL));

    let mut module = Module::new();
    module.section(&types).section(&functions).section(&tags).section(&globals).section(&exports).section(&code);
    module.finish()
}

/// The index of the type from one shape to another.
fn shape(params: u32, results: u32) -> u32 {
    params * SHAPES.len() as u32 + results
}

fn values(shape: u32) -> &'static [ValType] {
    SHAPES[shape as usize]
}

struct Tape<'a> {
    rest: std::slice::Iter<'a, u16>,
}

impl Tape<'_> {
    fn below(&mut self, bound: usize) -> usize {
        usize::from(self.rest.next().copied().unwrap_or(0)) % bound
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    fn shape(&mut self) -> u32 {
        self.below(SHAPES.len()) as u32
    }

    fn is_over(&self) -> bool {
        self.rest.len() == 0
    }
}

/// An open construct.
#[derive(Clone, Copy)]
struct Label {
    /// What a branch to it carries.
    values: &'static [ValType],
    is_clause: bool,
}

struct Body<'t, 'a> {
    tape: &'t mut Tape<'a>,
    dialect: Dialect,
    code: Function,
    labels: Vec<Label>,
    /// The function's own index; it calls only those before it.
    index: u32,
}

impl<'t, 'a> Body<'t, 'a> {
    fn generate(tape: &'t mut Tape<'a>, dialect: Dialect, index: u32) -> Function {
        let code = Function::new([(1, I32), (2, I64)]);
        let mut body = Body { tape, dialect, code, labels: Vec::new(), index };
        body.labels.push(Label { values: &[I32], is_clause: false });
        body.burn();
        body.contents(&[], &[I32]);
        body.put(I::End);
        body.code
    }

    fn put(&mut self, instruction: I<'_>) {
        self.code.instruction(&instruction);
    }

    /// Returns when the fuel is used up.
    fn burn(&mut self) {
        for instruction in [
            I::GlobalGet(FUEL_GLOBAL),
            I::I32Const(1),
            I::I32Sub,
            I::GlobalSet(FUEL_GLOBAL),
            I::GlobalGet(FUEL_GLOBAL),
            I::I32Const(0),
            I::I32LtS,
            I::If(BlockType::Empty),
            I::I32Const(-1),
            I::Return,
            I::End,
        ] {
            self.put(instruction);
        }
    }

    /// Marks the trace with values from the stack.
    fn mark(&mut self, values: &[ValType]) {
        for &value in values.iter().rev() {
            if value == I32 {
                self.put(I::I64ExtendI32S);
            }
            for instruction in [I::GlobalGet(TRACE), I::I64Const(31), I::I64Mul, I::I64Add, I::GlobalSet(TRACE)] {
                self.put(instruction);
            }
        }
    }

    /// What is in a construct that takes and gives these values.
    fn contents(&mut self, params: &[ValType], results: &[ValType]) {
        let keep_params = params == results && self.tape.below(3) == 1;
        if !keep_params {
            self.mark(params);
        }
        for _ in 0..self.tape.below(4) {
            self.statement();
        }
        if !keep_params {
            self.expressions(results);
        }
    }

    fn is_deep(&self) -> bool {
        self.tape.is_over() || self.labels.len() as u32 > DEPTH
    }

    fn statement(&mut self) {
        let choices = if self.is_deep() { 7 } else { 14 };
        match self.tape.below(choices) {
            0 => {
                let mark = self.tape.below(100) as i32;
                self.put(I::I32Const(mark));
                self.mark(&[I32]);
            }
            1 => {
                self.expression(I32);
                let local = self.tape.pick(&I32_LOCALS);
                self.put(I::LocalSet(local));
            }
            2 => {
                self.expression(I64);
                let local = self.tape.pick(&I64_LOCALS);
                self.put(I::LocalSet(local));
            }
            3 => self.only_if(Self::throw),
            4 => self.only_if(Self::rethrow),
            5 => self.branch(),
            6 => self.only_if(Self::leave),
            _ => {
                let (params, results) = (self.tape.shape(), self.tape.shape());
                self.expressions(values(params));
                self.construct(params, results);
                self.mark(values(results));
            }
        }
    }

    /// Mostly on a condition, since what follows would be dead.
    fn only_if(&mut self, part: fn(&mut Self)) {
        if self.tape.below(4) == 3 {
            return part(self);
        }
        self.expression(I32);
        self.put(I::I32Const(1));
        self.put(I::I32And);
        self.put(I::If(BlockType::Empty));
        self.labels.push(Label { values: &[], is_clause: false });
        part(self);
        self.labels.pop();
        self.put(I::End);
    }

    fn throw(&mut self) {
        let tag = self.tape.shape();
        self.expressions(values(tag));
        self.put(I::Throw(tag));
    }

    fn rethrow(&mut self) {
        let clauses: Vec<u32> =
            (0..).zip(self.labels.iter().rev()).filter(|(_, label)| label.is_clause).map(|(depth, _)| depth).collect();
        if clauses.is_empty() {
            self.throw();
        } else {
            let depth = self.tape.pick(&clauses);
            self.put(I::Rethrow(depth));
        }
    }

    fn leave(&mut self) {
        self.expression(I32);
        self.put(I::Return);
    }

    fn branch(&mut self) {
        let depth = self.tape.below(self.labels.len()) as u32;
        let label = self.label(depth);
        self.expressions(label.values);
        match self.tape.below(3) {
            0 => {
                self.expression(I32);
                self.put(I::I32Const(2));
                self.put(I::I32And);
                self.put(I::BrIf(depth));
                self.mark(label.values);
            }
            1 => self.put(I::Br(depth)),
            _ => {
                let alike: Vec<u32> =
                    (0..self.labels.len() as u32).filter(|&depth| self.label(depth).values == label.values).collect();
                let targets: Vec<u32> = (0..self.tape.below(4)).map(|_| self.tape.pick(&alike)).collect();
                self.expression(I32);
                self.put(I::BrTable(targets.into(), depth));
            }
        }
    }

    fn label(&self, depth: u32) -> Label {
        self.labels[self.labels.len() - 1 - depth as usize]
    }

    fn construct(&mut self, params: u32, results: u32) {
        let ty = match (values(params), values(results)) {
            ([], []) => BlockType::Empty,
            ([], [result]) if self.tape.below(2) == 0 => BlockType::Result(*result),
            _ => BlockType::FunctionType(shape(params, results)),
        };
        let (params, results) = (values(params), values(results));
        let inside = Label { values: results, is_clause: false };
        match self.tape.below(9) {
            0 => {
                self.put(I::Block(ty));
                self.part(inside, params, results);
            }
            1 => {
                self.put(I::Loop(ty));
                self.burn();
                self.part(Label { values: params, ..inside }, params, results);
            }
            2 => {
                self.expression(I32);
                self.put(I::If(ty));
                self.part(inside, params, results);
                self.put(I::Else);
                self.part(inside, params, results);
            }
            3 | 4 if self.dialect != Dialect::Legacy => {
                let catches = self.catches();
                self.put(I::TryTable(ty, catches.into()));
                self.part(inside, params, results);
            }
            _ if self.dialect == Dialect::Final => {
                self.put(I::Block(ty));
                self.part(inside, params, results);
            }
            3..6 => {
                self.put(I::Try(ty));
                self.part(inside, params, results);
                let depth = self.tape.below(self.labels.len()) as u32;
                self.put(I::Delegate(depth));
                return;
            }
            _ => {
                self.put(I::Try(ty));
                self.part(inside, params, results);
                let clause = Label { is_clause: true, ..inside };
                for _ in 0..self.tape.below(4) {
                    let tag = self.tape.shape();
                    self.put(I::Catch(tag));
                    self.part(clause, values(tag), results);
                }
                if self.tape.below(3) != 0 {
                    self.put(I::CatchAll);
                    self.part(clause, &[], results);
                }
            }
        }
        self.put(I::End);
    }

    fn part(&mut self, label: Label, params: &[ValType], results: &[ValType]) {
        self.labels.push(label);
        self.contents(params, results);
        self.labels.pop();
    }

    /// Clauses of a `try_table` to labels that happen to fit.
    fn catches(&mut self) -> Vec<Catch> {
        let mut catches = Vec::new();
        for _ in 0..self.tape.below(3) {
            let label = self.tape.below(self.labels.len()) as u32;
            let carried = self.label(label).values;
            if let Some(tag) = (0..).zip(SHAPES).find_map(|(tag, shape)| (shape == carried).then_some(tag)) {
                let all = carried.is_empty() && self.tape.below(2) == 1;
                catches.push(if all { Catch::All { label } } else { Catch::One { tag, label } });
            }
        }
        catches
    }

    fn expressions(&mut self, types: &[ValType]) {
        for &ty in types {
            self.expression(ty);
        }
    }

    fn expression(&mut self, ty: ValType) {
        let is_i32 = ty == I32;
        let choices = if self.is_deep() { 3 } else { 6 };
        match self.tape.below(choices) {
            0 => {
                let value = self.tape.below(9);
                self.put(if is_i32 { I::I32Const(value as i32) } else { I::I64Const(value as i64) });
            }
            1 => {
                let local = self.tape.pick(if is_i32 { &I32_LOCALS } else { &I64_LOCALS });
                self.put(I::LocalGet(local));
            }
            2 => {
                self.put(I::GlobalGet(TRACE));
                if is_i32 {
                    self.put(I::I32WrapI64);
                }
            }
            3 => {
                self.expression(ty);
                self.expression(ty);
                self.put(if is_i32 { I::I32Xor } else { I::I64Sub });
            }
            4 if is_i32 => {
                self.construct(0, 1);
            }
            5 if is_i32 && self.index > 0 => {
                self.expression(I32);
                let callee = self.tape.below(self.index as usize) as u32;
                self.put(I::Call(callee));
            }
            _ => {
                self.expression(if is_i32 { I64 } else { I32 });
                self.put(if is_i32 { I::I32WrapI64 } else { I::I64ExtendI32U });
            }
        }
    }
}
