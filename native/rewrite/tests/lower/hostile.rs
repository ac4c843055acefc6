//! Input that is broken or made to exhaust.

use hb_wasm64_rewrite::Error;
use hb_wasm64_rewrite::lower::lower;
use proptest::prelude::*;
use wasm_encoder::{
    BlockType, CodeSection, Function, FunctionSection, Instruction, Module, Section, TagKind, TagSection, TagType,
    TypeSection,
};

use crate::cases::ALL;
use crate::support::{assemble, lowered};

const DEPTH: u32 = 50_000;

/// A module with a tag without values and a function of these instructions.
fn module(instructions: impl IntoIterator<Item = Instruction<'static>>) -> Vec<u8> {
    let mut types = TypeSection::new();
    types.ty().function([], []);
    let mut functions = FunctionSection::new();
    functions.function(0);
    let mut tags = TagSection::new();
    tags.tag(TagType { kind: TagKind::Exception, func_type_idx: 0 });
    let mut body = Function::new([]);
    for instruction in instructions {
        body.instruction(&instruction);
    }
    body.instruction(&Instruction::End);
    let mut code = CodeSection::new();
    code.function(&body);
    let mut module = Module::new();
    module.section(&types).section(&functions).section(&tags).section(&code);
    module.finish()
}

fn repeated<const N: usize>(part: [Instruction<'static>; N]) -> impl Iterator<Item = Instruction<'static>> {
    (0..DEPTH).flat_map(move |_| part.clone())
}

#[test]
fn deeply_nested_bodies_lower() {
    let opening = repeated([Instruction::Try(BlockType::Empty)]);
    let closing = repeated([Instruction::CatchAll, Instruction::Rethrow(0), Instruction::End]);
    lowered(&module(opening.chain(closing)));
}

#[test]
fn deeply_nested_clauses_lower() {
    let opening = repeated([Instruction::Try(BlockType::Empty), Instruction::CatchAll]);
    let rethrow = [Instruction::Rethrow(DEPTH / 2)];
    lowered(&module(opening.chain(rethrow).chain(repeated([Instruction::End]))));
}

#[test]
fn deeply_nested_delegates_lower() {
    let opening = repeated([Instruction::Try(BlockType::Empty), Instruction::Try(BlockType::Empty)]);
    let closing = (0..DEPTH).flat_map(|level| {
        let around = 2 * (DEPTH - 1 - level);
        [Instruction::CatchAll, Instruction::End, Instruction::Delegate((3 * level).min(around))]
    });
    lowered(&module(opening.chain(closing)));
}

#[test]
fn many_clauses_on_one_try_lower() {
    let opening = [Instruction::Try(BlockType::Empty)];
    let clauses = (1..10_000).map(|_| Instruction::Catch(0));
    let closing = [Instruction::CatchAll, Instruction::End];
    lowered(&module(opening.into_iter().chain(clauses).chain(closing)));
}

#[test]
fn component_is_refused() {
    let error = lower(b"\0asm\x0d\0\x01\0").expect_err("a component is no module");
    assert_eq!(error.to_string(), "a component is not a core module (at offset 0x0)");
}

#[test]
fn error_names_the_place() {
    let wasm = assemble("(module (func try catch_all rethrow 0 end))");
    let rethrow = wasm.windows(2).rposition(|bytes| bytes == [0x09, 0x00]).expect("the module has a rethrow");
    let mut broken = wasm.clone();
    broken[rethrow + 1] = 9;
    let error = lower(&broken).expect_err("the label does not exist");
    assert!(matches!(&error, Error::Malformed { offset, .. } if *offset == rethrow), "{error}");
}

#[test]
fn truncated_modules_are_errors_or_pass() {
    for case in ALL {
        let wasm = assemble(case.wat);
        for length in 0..wasm.len() {
            drop(lower(&wasm[..length]));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn damaged_modules_do_not_panic(
        case in proptest::sample::select(ALL.iter().map(|case| case.wat).collect::<Vec<_>>()),
        damage in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let mut wasm = assemble(case);
        for (place, byte) in damage {
            let place = place.index(wasm.len());
            wasm[place] = byte;
        }
        drop(lower(&wasm));
    }

    #[test]
    fn arbitrary_instructions_do_not_panic(
        body in proptest::collection::vec(
            prop_oneof![
                3 => 0x00u8..0x1a,
                1 => any::<u8>(),
                2 => Just(0x40u8),
                3 => 0u8..4,
            ],
            0..60,
        ),
    ) {
        let function = [&[0, 0x06, 0x40], &body[..], &[0x0b, 0x0b]].concat();
        let mut code = CodeSection::new();
        code.raw(&function);
        let mut wasm = module([]);
        // Takes the place of the empty function, whose section is the last one.
        wasm.truncate(wasm.len() - 6);
        code.append_to(&mut wasm);
        drop(lower(&wasm));
    }
}
