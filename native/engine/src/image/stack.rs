//! Where the stack is that LLVM keeps in the memory of a program.

use wasmparser::{FunctionBody, KnownCustom, Name, Operator, Parser, Payload};

/// The global that points to the end of the stack: the one that LLVM's linker calls so. Where the names are gone it is the
/// first one of the image, if a function begins as LLVM makes room on the stack.
pub(super) fn stack_pointer(bytes: &[u8]) -> Option<u32> {
    const FIRST: u32 = 0;

    let mut makes_room = false;
    for payload in Parser::new(0).parse_all(bytes) {
        match payload {
            Ok(Payload::CustomSection(section)) => {
                if let KnownCustom::Name(names) = section.as_known()
                    && let Some(global) = names.into_iter().find_map(|name| named(name.ok()?))
                {
                    return Some(global);
                }
            }
            // An image that imports globals is refused.
            Ok(Payload::CodeSectionEntry(body)) if !makes_room => {
                makes_room = makes_room_at(&body, FIRST) == Some(true)
            }
            _ => {}
        }
    }
    makes_room.then_some(FIRST)
}

fn named(name: Name<'_>) -> Option<u32> {
    const STACK_POINTER: &str = "__stack_pointer";

    let Name::Global(globals) = name else { return None };
    globals.into_iter().find_map(|name| name.ok().filter(|name| name.name == STACK_POINTER).map(|name| name.index))
}

/// Whether a function begins by taking a number off a global, and keeping the result both there and for itself.
fn makes_room_at(body: &FunctionBody<'_>, global: u32) -> Option<bool> {
    let mut operators = body.get_operators_reader().ok()?;
    let mut next = || operators.read().ok();
    Some(
        matches!(next()?, Operator::GlobalGet { global_index } if global_index == global)
            && matches!(next()?, Operator::I32Const { value: 1.. } | Operator::I64Const { value: 1.. })
            && matches!(next()?, Operator::I32Sub | Operator::I64Sub)
            && matches!(next()?, Operator::LocalTee { .. })
            && matches!(next()?, Operator::GlobalSet { global_index } if global_index == global),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stack_pointer_is_told_by_its_name_or_by_its_use() {
        const ROOM: &str = "(global.get $g) (i32.const 16) (i32.sub) (local.tee 0) (global.set $g)";
        const BACK: &str = "(global.set $g (i32.add (local.get 0) (i32.const 16)))";
        let cases = [
            ("(global $__stack_pointer (mut i32) (i32.const 9))", "", Some(0)),
            ("(global (mut i32) (i32.const 9)) (global $__stack_pointer (mut i32) (i32.const 9))", "", Some(1)),
            ("(global $g (mut i32) (i32.const 9))", ROOM, Some(0)),
            ("(global (mut i32) (i32.const 9)) (global $g (mut i32) (i32.const 9))", ROOM, None),
            // A counter, and what only gives room back.
            ("(global $g (mut i32) (i32.const 9))", "(global.set $g (i32.sub (global.get $g) (i32.const 1)))", None),
            ("(global $g (mut i32) (i32.const 9))", BACK, None),
            ("(global $g (mut i32) (i32.const 9))", "", None),
        ];
        for (globals, code, found) in cases {
            let bytes = wat::parse_str(format!("(module {globals} (func) (func (local i32) {code}))")).unwrap();
            // Without the names that the text gives.
            let bytes = if code.is_empty() { bytes } else { without_names(&bytes) };
            assert_eq!(stack_pointer(&bytes), found, "{globals} {code}");
        }
    }

    fn without_names(bytes: &[u8]) -> Vec<u8> {
        let names = Parser::new(0).parse_all(bytes).find_map(|payload| match payload.unwrap() {
            Payload::CustomSection(section) => Some(section.range().start),
            _ => None,
        });
        // Its header: the number of the section and its size.
        bytes[..names.unwrap() - 2].to_vec()
    }
}
