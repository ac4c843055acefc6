//! Modules of every kind, exposed, run, and looked into through their layout.

mod drops;
mod guest;
mod random;

use super::*;
use crate::testing::validate;
use guest::{Guest, written};
use std::io::Write;
use std::ops::Range;
use std::path::Path;
use wasmparser::{Parser, Payload};
use wasmtime::Val;

fn assemble(wat: &str) -> Vec<u8> {
    wat::parse_str(wat).unwrap_or_else(|error| panic!("{error}\n{wat}"))
}

/// A valid module as text, exposed; checked for what holds for all modules.
fn exposed(wat: &str) -> (Vec<u8>, Layout) {
    exposed_bytes(&assemble(wat))
}

fn exposed_bytes(wasm: &[u8]) -> (Vec<u8>, Layout) {
    validate(wasm);
    let exposed = expose(wasm, &[]).unwrap();
    validate(&exposed.module);
    only_grows_at_ends(wasm, &exposed.module, !exposed.layout.segments.is_empty());
    (exposed.module.into_owned(), exposed.layout)
}

/// Sections as number, count of items and items; for those without a count, contents.
fn sections(wasm: &[u8]) -> Vec<(u8, u32, Vec<u8>)> {
    let mut sections = Vec::new();
    for payload in Parser::new(0).parse_all(wasm) {
        let Some((id, range)) = payload.unwrap().as_section() else { continue };
        let contents = &wasm[range];
        let mut reader = wasmparser::BinaryReader::new(contents, 0);
        sections.push(match id {
            0 | 8 | 12 => (id, 0, contents.to_vec()),
            _ => (id, reader.read_var_u32().unwrap(), contents[reader.original_position()..].to_vec()),
        });
    }
    sections
}

/// Every section of `before` is in `after`, in the same order, with the same items first. Code may differ within.
fn only_grows_at_ends(before: &[u8], after: &[u8], code_differs: bool) {
    let mut after = sections(after).into_iter();
    for (id, count, items) in sections(before) {
        let same = after.find(|section| section.0 == id).unwrap_or_else(|| panic!("section {id} is missing"));
        assert!(same.1 >= count);
        if same.1 == count && !(code_differs && id == 10) {
            assert_eq!(same.2, items, "section {id}");
        } else if id != 10 {
            assert!(same.2.starts_with(&items), "section {id}");
        }
    }
}

fn export_names(wasm: &[u8]) -> Vec<String> {
    let mut names = Vec::new();
    for payload in Parser::new(0).parse_all(wasm) {
        if let Payload::ExportSection(reader) = payload.unwrap() {
            names.extend(reader.into_iter().map(|export| export.unwrap().name.to_owned()));
        }
    }
    names
}

fn memory(name: &str, data: Option<Vec<Range<u64>>>) -> MemoryAt {
    MemoryAt { name: name.into(), data }
}

fn table(index: u32, name: &str) -> TableAt {
    TableAt { index, name: name.into() }
}

fn global(index: u32, name: &str) -> GlobalAt {
    GlobalAt { index, name: name.into() }
}

#[test]
fn a_module_that_lacks_nothing_is_left_alone() {
    let modules = [
        "(module)",
        r#"(module (global i32 (i32.const 1)) (func (export "f")))"#,
        r#"(module (memory (export "m") 1) (data (i32.const 0) "x") (data "passive"))"#,
        r#"(module (table (export "t") 1 externref) (table (export "u") 1 funcref) (func))"#,
        r#"(module (global (export "g") (mut i64) (i64.const 1)) (global funcref (ref.null func)))"#,
        r#"(module (memory 1) (export "m" (memory 0)) (elem declare func 0) (func (drop (i32.const 1276))))"#,
    ];
    for wat in modules {
        let wasm = assemble(wat);
        assert!(matches!(expose(&wasm, &[]).unwrap().module, Cow::Borrowed(same) if same == wasm), "{wat}");
    }
}

#[test]
fn a_reserved_name_is_refused() {
    for kind in ["func", "memory", "global"] {
        let item = format!(r#"(export "hb_wasm64:{kind}:0" ({kind} 0))"#);
        let wasm = assemble(&format!("(module (func) (memory 1) (global i32 (i32.const 0)) {item})"));
        assert!(matches!(expose(&wasm, &[]), Err(Error::ReservedName(_))));
    }
}

#[test]
fn a_module_full_to_the_limits_of_validation_is_refused() {
    let mut wat = "(module (func) (elem (table 0) (i32.const 0) func 0)".to_owned();
    (0..100).for_each(|_| wat.push_str("(table 1 funcref)"));
    wat.push(')');
    let wasm = assemble(&wat);
    validate(&wasm);
    let error = expose(&wasm, &[]).unwrap_err();
    assert!(matches!(&error, Error::TooLarge(text) if text.contains("tables count")), "{error}");
}

#[test]
fn what_is_not_exported_becomes_so_and_what_is_keeps_its_first_name() {
    let (wasm, layout) = exposed(
        r#"(module
            (memory 1) (memory 2) (memory 3)
            (table 1 externref) (table 2 externref)
            (global i32 (i32.const 0)) (global (mut i32) (i32.const 1)) (global (mut i64) (i64.const 2))
            (global (mut f32) (f32.const 3)) (global (mut f64) (f64.const 4)) (global (mut v128) (v128.const i64x2 5 6))
            (global (mut externref) (ref.null extern)) (global (mut exnref) (ref.null exn)) (global f32 (f32.const 7))
            (export "one" (memory 1)) (export "eins" (memory 1)) (export "t" (table 0)) (export "g" (global 2)))"#,
    );
    let empty = || Some(Vec::new());
    assert_eq!(
        layout,
        Layout {
            memories: vec![
                memory("hb_wasm64:memory:0", empty()),
                memory("one", empty()),
                memory("hb_wasm64:memory:2", empty())
            ],
            tables: vec![table(0, "t"), table(1, "hb_wasm64:table:1")],
            globals: vec![
                global(1, "hb_wasm64:global:1"),
                global(2, "g"),
                global(3, "hb_wasm64:global:3"),
                global(4, "hb_wasm64:global:4"),
                global(5, "hb_wasm64:global:5"),
                global(6, "hb_wasm64:global:6"),
                global(7, "hb_wasm64:global:7"),
            ],
            functions: vec![],
            constant_objects: false,
            segments: vec![],
            has_start: false,
        }
    );
    let mut guest = Guest::of(&wasm);
    let pages: Vec<usize> = layout.memories.iter().map(|memory| guest.memory(&memory.name).len() >> 16).collect();
    assert_eq!(pages, [1, 2, 3]);
    let sizes: Vec<u64> = layout.tables.iter().map(|at| guest.table(&at.name).size(&guest.store)).collect();
    assert_eq!(sizes, [1, 2]);
    let values: Vec<Val> = layout.globals.iter().map(|at| guest.global(&at.name)).collect();
    assert!(matches!(
        values.as_slice(),
        [Val::I32(1), Val::I64(2), Val::F32(_), Val::F64(_), Val::V128(_), Val::ExternRef(None), Val::ExnRef(None)]
    ));
    assert_eq!((values[2].unwrap_f32(), values[3].unwrap_f64()), (3.0, 4.0));
    assert_eq!(u128::from(values[4].unwrap_v128()), (6 << 64) | 5);
}

#[test]
fn sections_that_are_missing_are_created_in_their_place() {
    let order = |wat: &str| -> Vec<u8> { sections(&exposed(wat).0).into_iter().map(|section| section.0).collect() };
    assert_eq!(order("(module (memory 1))"), [5, 7]);
    assert_eq!(order("(module (tag) (memory 1) (func) (start 0))"), [1, 3, 5, 13, 7, 8, 10]);
    assert_eq!(order("(module (tag) (global (mut i32) (i32.const 1)))"), [1, 13, 6, 7]);
    // The table of functions needs tables, exports and elements; flags need globals, dropping needs a type.
    let full = r#"(module (memory 1) (tag) (func (data.drop 0)) (start 0) (data "x"))"#;
    assert_eq!(order(full), [1, 3, 5, 13, 6, 7, 8, 12, 10, 11]);
    let functions = r#"(module (import "e" "f" (func)) (global (mut funcref) (ref.func 0)) (data "x"))"#;
    assert_eq!(order(functions), [1, 2, 4, 6, 7, 9, 11]);
    let both = r#"(module (memory 1) (global (mut funcref) (ref.func 0)) (func (data.drop 0)) (data "x"))"#;
    assert_eq!(order(both), [1, 3, 4, 5, 6, 7, 9, 12, 10, 11]);
}

#[test]
fn custom_sections_stay_between_their_neighbours() {
    let wat = r#"(module $named
        (@custom "dylink.0" (before first) "d")
        (@custom "a" (after memory) "a")
        (memory 1) (func $f (param $p i32) (data.drop $d)) (data $d "x"))"#;
    let (wasm, _) = exposed(wat);
    let names: Vec<String> = Parser::new(0)
        .parse_all(&wasm)
        .filter_map(|payload| match payload.unwrap() {
            Payload::CustomSection(custom) => Some(custom.name().to_owned()),
            payload => payload.as_section().map(|(id, _)| id.to_string()),
        })
        .collect();
    assert_eq!(names, ["dylink.0", "1", "3", "5", "a", "6", "7", "12", "10", "11", "name"]);
    // The names still fit: no index has changed.
    let (_, _, code) = sections(&wasm).into_iter().find(|section| section.0 == 10).unwrap();
    assert_eq!(code[..9], [0x09, 0, 0xfc, 9, 0, 0x41, 1, 0x24, 0]);
}

#[test]
fn bytes_that_instantiation_writes_are_known_where_the_module_tells() {
    let pairs = |ranges: Vec<Range<u64>>| ranges.into_iter().map(|range| (range.start, range.end)).collect();
    let data = |fields: &str| -> Vec<Option<Vec<(u64, u64)>>> {
        let (_, layout) = exposed(&format!("(module {fields})"));
        layout.memories.into_iter().map(|memory| memory.data.map(pairs)).collect()
    };
    assert_eq!(data("(memory 1)"), [Some(vec![])]);
    assert_eq!(
        data(
            r#"(memory 1) (memory i64 1)
            (data (i32.const 20) "abc") (data (i32.const 2) "abc") (data (i32.const 5) "d") (data (i32.const 3) "x")
            (data (i32.const 100) "") (data (memory 1) (i64.const 7) "abc") (data "passive")"#
        ),
        [Some(vec![(20, 23), (2, 5), (5, 6), (3, 4)]), Some(vec![(7, 10)])]
    );
    let computed = r#"(memory 1) (memory 1) (data (i32.const 0) "a")
        (data (offset (i32.add (i32.const 1) (i32.const 2))) "b") (data (i32.const 9) "c")
        (data (memory 1) (i32.const 9) "d")"#;
    assert_eq!(data(computed), [None, Some(vec![(9, 10)])]);
    assert_eq!(data(r#"(memory 1) (func) (start 0) (data (i32.const 0) "a")"#), [Some(vec![(0, 1)])]);
    let beyond = r#"(memory 1) (memory i64 1) (data (i32.const -1) "ab") (data (memory 1) (i64.const -1) "ab")"#;
    let max = u64::from(u32::MAX);
    assert_eq!(data(beyond), [Some(vec![(max, max + 2)]), Some(vec![(u64::MAX, u64::MAX)])]);
}

#[test]
fn functions_are_those_that_are_named_outside_of_code() {
    let wat = r#"(module
        (import "e" "a" (func $i0)) (import "e" "b" (func $i1)) (import "e" "c" (func $i2))
        (table $t 20 funcref) (table $wide i64 3 funcref)
        (global (mut funcref) (ref.func $g0)) (global funcref (ref.func $g1))
        (func $never) (func $g0) (func $g1) (func $exported (export "x")) (func $e0) (func $e1) (func $e2) (func $e3)
        (func $e4) (func $e5) (func $e6) (func $e7) (func $unused)
        (elem (i32.const 1) func $e0 $i1)
        (elem (table $wide) (i64.const 1) func $e1)
        (elem (i32.const 4) funcref (ref.func $e2) (ref.null func))
        (elem (table $wide) (i64.const 0) funcref (ref.func $e3))
        (elem func $e4) (elem funcref (ref.func $e5)) (elem declare func $e6) (elem declare funcref (ref.func $e7))
        (func (export "put") (param i32)
            (table.set $t (i32.const 10) (ref.func $e6))
            (table.init $t 4 (i32.const 11) (i32.const 0) (i32.const 1))
            (global.set 0 (ref.func $e7))
            (table.set $wide (i64.const 2) (ref.func $exported))))"#;
    let (wasm, layout) = exposed(wat);
    assert_eq!(layout.functions, [1, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 16]);
    let mut guest = Guest::of(&wasm);
    let number = |guest: &mut Guest, address: Option<usize>| {
        let numbers = guest.functions(FUNCTIONS);
        address.map(|address| {
            let entry = numbers.iter().position(|entry| *entry == Some(address)).unwrap();
            layout.functions[entry]
        })
    };
    let contents = |guest: &mut Guest, name: &str| -> Vec<Option<u32>> {
        guest.functions(name).into_iter().map(|address| number(guest, address)).collect()
    };
    assert_eq!(guest.functions(FUNCTIONS).len(), layout.functions.len());
    let first = &layout.tables[0].name;
    assert_eq!(contents(&mut guest, first)[..8], [None, Some(7), Some(1), None, Some(9), None, None, None]);
    assert_eq!(contents(&mut guest, &layout.tables[1].name), [Some(10), Some(8), None]);
    guest.call("put", &[0]).unwrap();
    assert_eq!(contents(&mut guest, first)[10..12], [Some(13), Some(11)]);
    assert_eq!(contents(&mut guest, &layout.tables[1].name)[2], Some(6));
    let Val::FuncRef(Some(func)) = guest.global(&layout.globals[0].name) else { panic!("a function") };
    let address = guest.address_of(&func);
    assert_eq!(number(&mut guest, Some(address)), Some(14));
    let exported = guest.instance.get_func(&mut guest.store, "x").unwrap();
    let address = guest.address_of(&exported);
    assert_eq!(number(&mut guest, Some(address)), Some(6));
}

#[test]
fn functions_are_numbered_only_where_a_reference_can_be_kept() {
    let functions = |fields: &str| {
        let (wasm, layout) = exposed(&format!(r#"(module (func (export "f")) (func) {fields})"#));
        assert_eq!(export_names(&wasm).iter().any(|name| name == FUNCTIONS), !layout.functions.is_empty());
        layout.functions
    };
    assert!(functions("(memory 1)").is_empty());
    assert!(functions("(table 1 externref) (global funcref (ref.func 1)) (elem func 1)").is_empty());
    assert_eq!(functions("(table 0 funcref)"), [0]);
    assert_eq!(functions("(global (mut funcref) (ref.null func))"), [0]);
    assert_eq!(functions("(table 0 externref) (table (export \"t\") 0 funcref) (elem declare func 1)"), [0, 1]);
    let (wasm, layout) = exposed("(module (table 1 funcref) (func))");
    assert!(layout.functions.is_empty());
    assert_eq!(export_names(&wasm), ["hb_wasm64:table:0"]);
}

#[test]
fn damaged_modules_are_errors_or_pass() {
    for wat in [
        drops::DROPS,
        "(module (memory 1) (table 2 funcref) (func) (elem (i32.const 0) 0) (global (mut i32) (i32.const 0)))",
    ] {
        let wasm = assemble(wat);
        for length in 0..wasm.len() {
            drop(expose(&wasm[..length], &[]));
        }
        for position in 8..wasm.len() {
            for byte in [0, 1, 0x7f, 0x80, 0xff] {
                let mut wasm = wasm.clone();
                wasm[position] = byte;
                drop(expose(&wasm, &[]));
            }
        }
    }
}

#[test]
fn aos_keeps_its_state_where_the_layout_says() {
    let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data/aos-2-pure-xs.wasm"));
    let Ok(wasm) = std::fs::read(path) else {
        // The test harness shows nothing that a test prints unless the test fails.
        let why = format!("there is no {}", path.display());
        writeln!(std::io::stderr(), "NOT RUN: 1, {why} (aos_keeps_its_state_where_the_layout_says)").unwrap();
        return;
    };
    let lowered = crate::lower::lower(&wasm).unwrap();
    let (exposed, layout) = exposed_bytes(&lowered);
    assert_eq!((layout.memories.len(), layout.tables.len(), layout.segments.len()), (1, 1, 0));
    assert!(layout.memories[0].data.as_ref().is_some_and(|ranges| !ranges.is_empty()));
    let mut guest = Guest::of(&exposed);
    let entries = guest.functions(&layout.tables[0].name);
    let functions = guest.functions(FUNCTIONS);
    assert_eq!(functions.len(), layout.functions.len());
    assert!(entries.iter().flatten().count() > 0);
    assert!(entries.iter().flatten().all(|entry| functions.contains(&Some(*entry))));
    assert!(written(&mut guest, &layout));
}
