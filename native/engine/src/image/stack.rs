//! Where the stack is that LLVM keeps in the memory of a program.

use wasmparser::{ConstExpr, FunctionBody, Global, KnownCustom, MemoryType, Name, Operator, Parser, Payload};

/// The global that points to the end of the stack: the one that LLVM's linker calls so. Where the names are gone it is the
/// first one of the image, if that begins where a stack can, and the code uses it as LLVM uses a stack and in no other way.
pub(super) fn stack_pointer(bytes: &[u8]) -> Option<u32> {
    by_name(bytes).or_else(|| by_use(bytes))
}

fn by_name(bytes: &[u8]) -> Option<u32> {
    const STACK_POINTER: &str = "__stack_pointer";

    let named = |name: Name<'_>| {
        let Name::Global(globals) = name else { return None };
        globals.into_iter().find_map(|name| name.ok().filter(|name| name.name == STACK_POINTER).map(|name| name.index))
    };
    Parser::new(0).parse_all(bytes).find_map(|payload| {
        let Ok(Payload::CustomSection(section)) = payload else { return None };
        let KnownCustom::Name(names) = section.as_known() else { return None };
        names.into_iter().find_map(|name| named(name.ok()?))
    })
}

/// LLVM keeps the stack at multiples of this.
const ALIGNMENT: u64 = 16;

/// An image that imports globals is refused, so that this is its own.
const FIRST: u32 = 0;

fn by_use(bytes: &[u8]) -> Option<u32> {
    /// Functions that make room on a stack and give it back. A program with fewer is none of a compiler with a library, and
    /// has little to lose.
    const FUNCTIONS: usize = 4;

    let (mut size, mut start, mut functions, mut deepest) = (0, None, 0, 0);
    for payload in Parser::new(0).parse_all(bytes) {
        match payload.ok()? {
            Payload::MemorySection(memories) => size = memory_bytes(&memories.into_iter().next()?.ok()?),
            Payload::GlobalSection(globals) => start = start_of(&globals.into_iter().next()?.ok()?),
            Payload::CodeSectionStart { .. } => {
                start.filter(|start| (1..=size).contains(start) && start % ALIGNMENT == 0)?;
            }
            Payload::CodeSectionEntry(body) => {
                let frame = Frame::of(&body)?;
                deepest = deepest.max(frame.taken);
                functions += usize::from(frame.is_given_back);
            }
            _ => {}
        }
    }
    (functions >= FUNCTIONS && start? >= deepest).then_some(FIRST)
}

fn memory_bytes(memory: &MemoryType) -> u64 {
    memory.initial.saturating_mul(1 << memory.page_size_log2.unwrap_or(16).min(16))
}

/// What a global has at first, where it can change and that is a number.
fn start_of(global: &Global<'_>) -> Option<u64> {
    let number = |value: &ConstExpr<'_>| {
        let mut operators = value.get_operators_reader();
        let number = match operators.read().ok()? {
            Operator::I32Const { value } => u64::from(value as u32),
            Operator::I64Const { value } => value as u64,
            _ => return None,
        };
        matches!(operators.read().ok()?, Operator::End).then_some(number)
    };
    if global.ty.mutable { number(&global.init_expr) } else { None }
}

/// How a function uses the stack.
#[derive(Default)]
struct Frame {
    /// The most bytes that it makes room for at once, as far as code says.
    taken: u64,
    /// Whether it gives back as much, from the local where it has kept the place.
    is_given_back: bool,
}

/// What code does, as far as it may have to do with a stack.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    /// The pointer is read.
    Pointer,
    /// A local is read.
    Local(u32),
    Number(i64),
    Plus,
    Minus,
    And,
    /// A result is kept in a local and used.
    Kept(u32),
    Other,
}

impl Frame {
    /// `None` where the function writes another thing than the end of a stack: what is less than the last by a number or
    /// rounded down, what is more than a local by a number, or a local that has such a thing.
    fn of(body: &FunctionBody<'_>) -> Option<Frame> {
        let (mut frame, mut last) = (Frame::default(), [Step::Other; 4]);
        // Locals that have had a place of the stack, and what was taken by the one that is kept at the start.
        let (mut places, mut start): (Vec<u32>, Option<(u32, i64)>) = (Vec::new(), None);
        let mut operators = body.get_operators_reader().ok()?;
        while !operators.eof() {
            let operator = operators.read().ok()?;
            match operator {
                Operator::GlobalSet { global_index: FIRST } => match last {
                    [Step::Pointer, Step::Number(number), sign @ (Step::Minus | Step::Plus), Step::Kept(local)] => {
                        let taken = if sign == Step::Minus { number } else { number.checked_neg()? };
                        let bytes = u64::try_from(taken).ok()?;
                        if bytes == 0 || bytes % ALIGNMENT != 0 {
                            return None;
                        }
                        frame.taken = frame.taken.max(bytes);
                        start = start.or(Some((local, taken)));
                    }
                    [_, _, Step::Minus | Step::And, Step::Kept(_)] => {}
                    [_, Step::Local(local), Step::Number(number), sign @ (Step::Plus | Step::Minus)]
                    | [_, Step::Number(number), Step::Local(local), sign @ Step::Plus]
                        if places.contains(&local) =>
                    {
                        let given = if sign == Step::Plus { number } else { number.checked_neg()? };
                        frame.is_given_back |= start == Some((local, given));
                    }
                    [.., Step::Local(local)] if places.contains(&local) => {}
                    _ => return None,
                },
                Operator::LocalSet { local_index: local } | Operator::LocalTee { local_index: local } => {
                    let is_place = match last {
                        [.., before] => matches!(before, Step::Pointer | Step::Plus | Step::Minus | Step::And),
                    };
                    if is_place && !places.contains(&local) && places.len() < PLACES {
                        places.push(local);
                    }
                }
                _ => {}
            }
            last = [last[1], last[2], last[3], step(&operator)];
        }
        Some(frame)
    }
}

/// Locals of a function that are looked at: those of a stack come first.
const PLACES: usize = 64;

fn step(operator: &Operator<'_>) -> Step {
    match *operator {
        Operator::GlobalGet { global_index: FIRST } => Step::Pointer,
        Operator::LocalGet { local_index } => Step::Local(local_index),
        Operator::LocalTee { local_index } => Step::Kept(local_index),
        Operator::I32Const { value } => Step::Number(value.into()),
        Operator::I64Const { value } => Step::Number(value),
        Operator::I32Add | Operator::I64Add => Step::Plus,
        Operator::I32Sub | Operator::I64Sub => Step::Minus,
        Operator::I32And | Operator::I64And => Step::And,
        _ => Step::Other,
    }
}

#[cfg(test)]
mod tests;
