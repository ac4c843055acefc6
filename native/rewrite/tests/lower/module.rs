//! What lowering leaves alone in a module, and what it drops or adds.

use std::borrow::Cow;

use hb_wasm64_rewrite::lower::lower;
use wasm_encoder::{CustomSection, RawSection, Section};
use wasmparser::{Parser, Payload};

use crate::support::{assemble, lowered, run};

/// The sections with their contents; custom ones by their names.
fn sections(wasm: &[u8]) -> Vec<(String, Vec<u8>)> {
    Parser::new(0)
        .parse_all(wasm)
        .filter_map(|payload| {
            let payload = payload.expect("the module is well formed");
            let (id, range) = payload.as_section()?;
            let name = match &payload {
                Payload::CustomSection(custom) => custom.name().to_owned(),
                _ => format!("#{id}"),
            };
            Some((name, wasm[range].to_vec()))
        })
        .collect()
}

fn section<'a>(sections: &'a [(String, Vec<u8>)], name: &str) -> Option<&'a [u8]> {
    sections.iter().find(|section| section.0 == name).map(|section| section.1.as_slice())
}

fn names(sections: &[(String, Vec<u8>)]) -> Vec<&str> {
    sections.iter().map(|section| section.0.as_str()).collect()
}

fn bodies(wasm: &[u8]) -> Vec<Vec<u8>> {
    Parser::new(0)
        .parse_all(wasm)
        .filter_map(|payload| match payload.expect("the module is well formed") {
            Payload::CodeSectionEntry(body) => Some(body.as_bytes().to_vec()),
            _ => None,
        })
        .collect()
}

/// How many types a module declares.
fn types(wasm: &[u8]) -> usize {
    Parser::new(0)
        .parse_all(wasm)
        .filter_map(|payload| match payload.expect("the module is well formed") {
            Payload::TypeSection(types) => Some(
                types.into_iter().map(|group| group.expect("the type is well formed").types().len()).sum::<usize>(),
            ),
            _ => None,
        })
        .sum()
}

fn with_custom_sections(mut wasm: Vec<u8>, names: &[&str]) -> Vec<u8> {
    for name in names {
        CustomSection { name: (*name).into(), data: Cow::Borrowed(b"data") }.append_to(&mut wasm);
    }
    wasm
}

#[test]
fn module_without_legacy_instructions_is_returned_as_it_is() {
    // The constant has the byte of a `try` in it.
    let wasm = assemble(
        r#"(module
            (tag $a)
            (func (export "run") (result i32)
                block $caught
                    try_table (catch $a $caught) throw $a end
                end
                i32.const 6))"#,
    );
    let wasm = with_custom_sections(wasm, &[".debug_info", "other"]);
    assert!(matches!(lower(&wasm), Ok(Cow::Borrowed(same)) if same == wasm));
}

#[test]
fn lowered_module_is_not_lowered_again() {
    let module = lowered(&assemble("(module (func try catch_all rethrow 0 end))"));
    assert!(matches!(lower(&module), Ok(Cow::Borrowed(_))));
}

#[test]
fn functions_without_legacy_instructions_are_copied() {
    let wasm = assemble(
        r#"(module
            (func $plain (param i32) (local i64 i64 f32) block local.get 0 br_if 0 end)
            (func try call $other catch_all end)
            (func $other (local i32) i32.const 6 local.set 0))"#,
    );
    let before = bodies(&wasm);
    let after = bodies(&lowered(&wasm));
    assert_eq!(after.len(), 3);
    assert_eq!(before[0], after[0]);
    assert_ne!(before[1], after[1]);
    assert_eq!(before[2], after[2]);
}

#[test]
fn other_sections_and_their_order_stay() {
    let wasm = assemble(
        r#"(module $named
            (import "m" "f" (func $imported (param i32)))
            (import "m" "t" (tag $imported_tag (param i32)))
            (table 1 funcref) (memory 1) (tag $own) (global i32 (i32.const 6))
            (export "f" (func $f)) (start $start) (elem (i32.const 0) $f)
            (func $f (local $x i32) try $label i32.const 1 throw $imported_tag catch $imported_tag local.set $x end)
            (func $start)
            (data (i32.const 0) "data"))"#,
    );
    let before = sections(&wasm);
    let after = sections(&lowered(&wasm));
    assert_eq!(names(&before), names(&after));
    assert!(section(&after, "name").is_some());
    for (before, after) in before.iter().zip(&after) {
        assert_eq!(before.1 == after.1, before.0 != "#10", "section {}", before.0);
    }
}

#[test]
fn custom_sections_with_code_positions_are_dropped_and_others_kept() {
    let dropped = [
        ".debug_info",
        ".debug_line",
        "linking",
        "reloc.CODE",
        "sourceMappingURL",
        "external_debug_info",
        "metadata.code.branch_hint",
    ];
    let kept = ["producers", "target_features", "debug", "dylink.0"];
    let mut wasm = assemble("(module (func try catch_all end))");
    wasm = with_custom_sections(wasm, &dropped);
    wasm = with_custom_sections(wasm, &kept);
    let after = sections(&lowered(&wasm));
    assert_eq!(names(&after), ["#1", "#3", "#10", "producers", "target_features", "debug", "dylink.0"]);
    assert!(section(&after, "debug").is_some_and(|contents| contents.ends_with(b"data")));
}

#[test]
fn exception_locals_come_after_the_functions_own() {
    let wasm = assemble(
        r#"(module
            (tag $a)
            (func (export "run") (param i32) (result i32)
                (local i32 i64 i32)
                i32.const 40 local.set 3
                try
                    throw $a
                catch_all
                    try
                        rethrow 1
                    catch_all
                        block br 0 end
                        local.get 0 if rethrow 1 end
                    end
                end
                local.get 3 local.get 1 i32.add local.get 0 i32.sub))"#,
    );
    let module = lowered(&wasm);
    assert_eq!(run(&module, &[0]), "returns 40");
    assert_eq!(run(&module, &[1]), "throws");
    // Four groups: the three of the function and one of two exceptions.
    assert_eq!(bodies(&module)[0][..9], [4, 1, 0x7f, 1, 0x7e, 1, 0x7f, 2, 0x69]);
}

#[test]
fn clauses_that_are_not_nested_share_a_local() {
    let wasm = assemble(
        r#"(module
            (tag $a)
            (func
                try
                    try catch $a rethrow 0 catch_all rethrow 0 end
                catch_all
                    rethrow 0
                end))"#,
    );
    assert_eq!(bodies(&lowered(&wasm))[0][..3], [1, 1, 0x69]);
}

#[test]
fn types_are_added_only_when_the_module_lacks_them() {
    let with = assemble(
        r#"(module
            (type (func)) (type $tag (func (param i32 i64))) (type $caught (func (result i32 i64)))
            (tag $a (type $tag))
            (func (type 0) try catch $a drop drop end))"#,
    );
    assert_eq!(types(&lowered(&with)), 3);

    let without = assemble(
        r#"(module
            (type (func)) (type $tag (func (param i32 i64)))
            (tag $a (type $tag))
            (func (type 0) try catch $a drop drop catch $a drop drop end)
            (func (type 0) try catch $a drop drop end))"#,
    );
    assert_eq!(types(&without), 2);
    assert_eq!(types(&lowered(&without)), 3);
}

#[test]
fn added_types_count_from_behind_the_recursion_groups() {
    let wasm = assemble(
        r#"(module
            (rec (type $s (struct (field (ref null $f)))) (type $f (func (param (ref null $s)))))
            (type $array (array i8))
            (rec)
            (rec (type $tag (sub (func (param i32 i32)))))
            (tag $a (type $tag))
            (func (export "run") (result i32 i32)
                try (result i32 i32)
                    i32.const 1 i32.const 2 throw $a
                catch $a
                    br 0
                catch_all
                    rethrow 0
                end))"#,
    );
    let module = lowered(&wasm);
    assert_eq!(run(&module, &[]), "returns 1 2");
    assert_eq!(types(&module), types(&wasm), "the function's own type serves the clause");
}

#[test]
fn integers_in_long_form_are_understood() {
    // The tag of the clause and the depth of the rethrow in five bytes each, as linkers write what they may patch.
    let body = [0x00, 0x06, 0x40, 0x07, 0x80, 0x80, 0x80, 0x80, 0x00, 0x09, 0x80, 0x80, 0x80, 0x80, 0x00, 0x0b, 0x0b];
    let code = [&[1, body.len() as u8], &body[..]].concat();
    let mut wasm = wasm_encoder::Module::new();
    for (id, data) in [(1, &[1, 0x60, 0, 0][..]), (3, &[1, 0]), (13, &[1, 0, 0]), (10, &code)] {
        wasm.section(&RawSection { id, data });
    }
    lowered(wasm.as_slice());
}
