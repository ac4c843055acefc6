//! All passes over one module.

// Helpers of tests are tests, too; `clippy.toml` excepts only what is marked as one.
#![allow(clippy::unwrap_used)]

use hb_wasm64_rewrite::expose::tag_name;
use hb_wasm64_rewrite::meter::Meter;
use hb_wasm64_rewrite::unwind::Thrown;
use hb_wasm64_rewrite::{Error, Options, Segment, rewrite};
use std::borrow::Cow;
use wasmparser::{ExternalKind, Parser, Payload, Validator, WasmFeatures};

const OPTIONS: Options = Options { table_elements: 1_000 };

/// Something for each pass, and a custom section that holds positions in code beside one that does not.
const EVERYTHING: &str = r#"(module
    (import "env" "invoke_vi" (func $invoke (param i32 i32)))
    (import "env" "_emscripten_throw_longjmp" (func $longjmp))
    (import "metering" "usegas" (func $usegas (param i32)))
    (memory 1) (table $t 2 funcref) (global $stack (mut i32) (i32.const 1024))
    (data $d "segment") (elem (table $t) (i32.const 0) func $jump)
    (@custom ".debug_info" "positions") (@custom "other" "kept")
    (func (export "emscripten_stack_get_current") (result i32) (call $usegas (i32.const 5)) global.get $stack)
    (func (export "_emscripten_stack_restore") (param i32) (global.set $stack (local.get 0)))
    (func (export "setThrew") (param i32 i32))
    (func $jump (param i32) (call $usegas (i32.const 7)) (call $longjmp))
    (func (export "run") (param i32) (result i32)
        try
            (call $invoke (i32.const 0) (local.get 0))
            (memory.init $d (i32.const 0) (i32.const 0) (local.get 0))
            (data.drop $d)
        catch_all
        end
        (table.grow $t (ref.func $jump) (local.get 0))))"#;

fn validate(wasm: &[u8]) {
    let features = WasmFeatures::all().difference(WasmFeatures::LEGACY_EXCEPTIONS);
    Validator::new_with_features(features).validate_all(wasm).unwrap();
}

/// Custom sections and exports, by their names.
fn names(wasm: &[u8]) -> (Vec<String>, Vec<(String, ExternalKind)>) {
    let (mut custom, mut exports) = (Vec::new(), Vec::new());
    for payload in Parser::new(0).parse_all(wasm) {
        match payload.unwrap() {
            Payload::CustomSection(section) => custom.push(section.name().to_owned()),
            Payload::ExportSection(section) => {
                exports.extend(section.into_iter().map(|export| {
                    let export = export.unwrap();
                    (export.name.to_owned(), export.kind)
                }));
            }
            _ => {}
        }
    }
    (custom, exports)
}

#[test]
fn a_module_goes_through_all_passes_and_comes_out_the_same_each_time() {
    let wasm = wat::parse_str(EVERYTHING).unwrap();
    let rewritten = rewrite(&wasm, OPTIONS).unwrap();
    validate(&rewritten.module);
    assert_eq!(rewrite(&wasm, OPTIONS).unwrap().module, rewritten.module);

    let (custom, exports) = names(&rewritten.module);
    assert_eq!(custom, ["other", "name"]);
    let facts = &rewritten.facts;
    assert_eq!(facts.tags, [(0, Thrown::Longjmp), (1, Thrown::Exception)]);
    assert!(facts.tags.iter().all(|(tag, _)| exports.contains(&(tag_name(*tag), ExternalKind::Tag))));
    assert_eq!((facts.memory, facts.is_64_bit, facts.stack_pointer, facts.can_catch), (0, false, Some(0), false));
    let layout = &rewritten.layout;
    assert_eq!((layout.memories.len(), layout.tables.len(), layout.globals.len()), (1, 1, 2));
    assert_eq!(layout.segments.iter().map(|at| at.segment).collect::<Vec<_>>(), [Segment::Data(0)]);
    assert_eq!(rewritten.meter, Some(Meter { global: 1, imports: vec![2] }));
    // Behind the three imports and the five functions come those that unwind: references lead to them, not to the imports.
    assert!(layout.functions.iter().all(|function| *function >= 3));
}

#[test]
fn a_module_that_needs_nothing_is_returned_as_it_is() {
    let wasm = wat::parse_str(
        r#"(module (import "env" "invoke_vi" (func)) (memory (export "memory") 1) (table (export "t") 1 externref)
            (@custom ".debug_info" "positions")
            (func (export "run") (memory.copy (i32.const 0) (i32.const 8) (i32.const 8))))"#,
    )
    .unwrap();
    let rewritten = rewrite(&wasm, OPTIONS).unwrap();
    assert!(matches!(rewritten.module, Cow::Borrowed(same) if std::ptr::eq(same, wasm.as_slice())));
}

#[test]
fn an_import_that_cannot_be_replaced_is_named_with_what_it_requires() {
    let wasm = wat::parse_str(EVERYTHING.replace(r#"(export "setThrew")"#, "")).unwrap();
    let error = rewrite(&wasm, OPTIONS).unwrap_err();
    assert_eq!(error, Error::MissingExport { import: "invoke_vi".into(), export: "setThrew".into() });
    assert_eq!(error.to_string(), "the import env.invoke_vi requires the export setThrew");
}

#[test]
fn damaged_modules_are_errors_or_pass() {
    let wasm = wat::parse_str(EVERYTHING).unwrap();
    for length in 0..wasm.len() {
        drop(rewrite(&wasm[..length], OPTIONS));
    }
    for position in 8..wasm.len() {
        for byte in [0, 1, 0x7f, 0x80, 0xff] {
            let mut wasm = wasm.clone();
            wasm[position] = byte;
            drop(rewrite(&wasm, OPTIONS));
        }
    }
}
