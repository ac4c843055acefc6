//! Modules of every kind, exposed, run, and looked into through their layout.

use super::*;
use crate::image::{Image, hash};
use proptest::prelude::*;
use std::fmt::Write;
use std::path::Path;
use wasmtime::{ExternType, Func, Instance, Linker, Module, Ref, Store, Table, Val};

fn assemble(wat: &str) -> Vec<u8> {
    wat::parse_str(wat).unwrap_or_else(|error| panic!("{error}\n{wat}"))
}

fn validate(wasm: &[u8]) {
    Validator::new_with_features(config::features()).validate_all(wasm).unwrap();
}

/// A valid module as text, exposed; checked for what holds for all modules.
fn exposed(wat: &str) -> (Vec<u8>, Layout) {
    exposed_bytes(&assemble(wat))
}

fn exposed_bytes(wasm: &[u8]) -> (Vec<u8>, Layout) {
    validate(wasm);
    let exposed = expose(wasm).unwrap();
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

fn memory(name: &str, initial: Option<Vec<Range<u64>>>) -> MemoryAt {
    MemoryAt { name: name.into(), initial }
}

fn table(index: u32, name: &str) -> TableAt {
    TableAt { index, name: name.into() }
}

fn global(index: u32, name: &str) -> GlobalAt {
    GlobalAt { index, name: name.into() }
}

/// An instance of a module, whose imports all do nothing.
struct Guest {
    store: Store<()>,
    instance: Instance,
}

impl Guest {
    fn new(module: &Module) -> Result<Guest, String> {
        let engine = config::engine().unwrap();
        let mut store = Store::new(engine, ());
        store.set_fuel(u64::MAX).unwrap();
        store.set_epoch_deadline(1 << 40);
        let mut linker = Linker::new(engine);
        for import in module.imports() {
            let ExternType::Func(ty) = import.ty() else { panic!("imports are functions") };
            linker.func_new(import.module(), import.name(), ty, |_, _, _| Ok(())).unwrap();
        }
        let instance = linker.instantiate(&mut store, module).map_err(trap)?;
        Ok(Guest { store, instance })
    }

    fn of(wasm: &[u8]) -> Guest {
        Guest::new(&compiled(wasm)).unwrap()
    }

    fn call(&mut self, name: &str, args: &[i32]) -> Result<Option<i32>, String> {
        let func = self.instance.get_func(&mut self.store, name).unwrap();
        let args: Vec<Val> = args.iter().map(|arg| Val::I32(*arg)).collect();
        let mut results = vec![Val::I32(0); func.ty(&self.store).results().len()];
        func.call(&mut self.store, &args, &mut results).map_err(trap)?;
        Ok(results.first().map(Val::unwrap_i32))
    }

    fn memory(&mut self, name: &str) -> &mut [u8] {
        self.instance.get_memory(&mut self.store, name).unwrap().data_mut(&mut self.store)
    }

    fn global(&mut self, name: &str) -> Val {
        self.instance.get_global(&mut self.store, name).unwrap().get(&mut self.store)
    }

    fn table(&mut self, name: &str) -> Table {
        self.instance.get_table(&mut self.store, name).unwrap()
    }

    /// The functions in a table, by their addresses, which are as good as identities within a store.
    fn functions(&mut self, name: &str) -> Vec<Option<usize>> {
        let table = self.table(name);
        let entries = (0..table.size(&self.store)).map(|index| match table.get(&mut self.store, index) {
            Some(Ref::Func(Some(func))) => Some(func.to_raw(&mut self.store) as usize),
            _ => None,
        });
        entries.collect()
    }

    fn address_of(&mut self, func: &Func) -> usize {
        func.to_raw(&mut self.store) as usize
    }

    /// The flags of a layout, in its order.
    fn flags(&mut self, layout: &Layout) -> Vec<i32> {
        layout.segments.iter().map(|segment| self.global(&segment.flag).unwrap_i32()).collect()
    }
}

fn compiled(wasm: &[u8]) -> Module {
    Module::new(config::engine().unwrap(), wasm).unwrap()
}

fn trap(error: wasmtime::Error) -> String {
    error.downcast_ref::<wasmtime::Trap>().map_or_else(|| format!("{error:#}"), |trap| trap.to_string())
}

#[test]
fn a_module_that_lacks_nothing_is_left_alone() {
    let modules = [
        "(module)",
        r#"(module (global i32 (i32.const 1)) (func (export "f")))"#,
        r#"(module (memory (export "m") 1) (data (i32.const 0) "x") (data "passive"))"#,
        r#"(module (table (export "t") 1 externref) (table (export "u") 1 funcref) (func))"#,
        r#"(module (global (export "g") (mut i64) (i64.const 1)) (global funcref (ref.null func)))"#,
        r#"(module (memory 1) (export "m" (memory 0)) (elem declare func 0) (func (result f32) f32.const 0x1.12f8fcp1))"#,
    ];
    for wat in modules {
        let wasm = assemble(wat);
        assert!(matches!(expose(&wasm).unwrap().module, Cow::Borrowed(same) if same == wasm), "{wat}");
    }
}

#[test]
fn a_reserved_name_is_refused() {
    for kind in ["func", "memory", "global"] {
        let item = format!(r#"(export "hb_wasm64:{kind}:0" ({kind} 0))"#);
        let wasm = assemble(&format!("(module (func) (memory 1) (global i32 (i32.const 0)) {item})"));
        assert!(matches!(expose(&wasm), Err(Error::Unsupported(_))));
    }
}

#[test]
fn a_module_full_to_the_limits_of_validation_is_refused() {
    let mut wat = "(module (func) (elem (table 0) (i32.const 0) func 0)".to_owned();
    (0..100).for_each(|_| wat.push_str("(table 1 funcref)"));
    wat.push(')');
    let wasm = assemble(&wat);
    validate(&wasm);
    let error = expose(&wasm).unwrap_err();
    assert!(matches!(&error, Error::Unsupported(text) if text.contains("tables count")), "{error}");
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
            segments: vec![],
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
    assert_eq!(names, ["dylink.0", "1", "3", "5", "6", "7", "a", "12", "10", "11", "name"]);
    // The names still fit: no index has changed.
    let (_, _, code) = sections(&wasm).into_iter().find(|section| section.0 == 10).unwrap();
    assert_eq!(code[..9], [0x09, 0, 0xfc, 9, 0, 0x41, 1, 0x24, 0]);
}

#[test]
fn bytes_that_instantiation_writes_are_known_where_the_module_tells() {
    let initial = |fields: &str| -> Vec<Option<Vec<Range<u64>>>> {
        exposed(&format!("(module {fields})")).1.memories.into_iter().map(|memory| memory.initial).collect()
    };
    assert_eq!(initial("(memory 1)"), [Some(vec![])]);
    assert_eq!(
        initial(
            r#"(memory 1) (memory i64 1)
            (data (i32.const 20) "abc") (data (i32.const 2) "abc") (data (i32.const 5) "d") (data (i32.const 3) "x")
            (data (i32.const 100) "") (data (memory 1) (i64.const 7) "abc") (data "passive")"#
        ),
        [Some(vec![2..6, 20..23]), Some(vec![7..10])]
    );
    let computed = r#"(memory 1) (memory 1) (data (i32.const 0) "a")
        (data (offset (i32.add (i32.const 1) (i32.const 2))) "b") (data (i32.const 9) "c")
        (data (memory 1) (i32.const 9) "d")"#;
    assert_eq!(initial(computed), [None, Some(vec![9..10])]);
    assert_eq!(initial(r#"(memory 1) (func) (start 0) (data (i32.const 0) "a")"#), [None]);
    let beyond = r#"(memory 1) (memory i64 1) (data (i32.const -1) "ab") (data (memory 1) (i64.const -1) "ab")"#;
    let max = u64::from(u32::MAX);
    assert_eq!(initial(beyond), [Some(vec![max..max + 2]), Some(vec![u64::MAX..u64::MAX])]);
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

/// Drops in blocks, in several functions, of all kinds of segments, in an encoding longer than needed, and bytes that
/// look like drops. `data` and `elem` probe: they trap where a segment was dropped.
const DROPS: &str = r#"(module
    (memory (export "memory") 1) (table $t 4 funcref)
    (global $own (mut i32) (i32.const 5))
    (func $plain (export "plain") (result i32) (i32.add (i32.const -515) (global.get $own)))
    (func (export "nested") (param i32) (result i32)
        (block
            (loop
                (br_if 1 (i32.eqz (local.get 0)))
                (if (i32.eq (local.get 0) (i32.const 1)) (then data.drop $d1) (else elem.drop $e1))))
        (i32.const 7))
    (func (export "again") (param i32) (data.drop $d1) (data.drop $d3) (data.drop $d1))
    (func (export "active") (data.drop $d0) (elem.drop $e0) (elem.drop $e2))
    (func (export "late") (unreachable) (elem.drop $e1))
    (func (export "data1") (memory.init $d1 (i32.const 8) (i32.const 0) (i32.const 1)))
    (func (export "data2") (memory.init $d2 (i32.const 8) (i32.const 0) (i32.const 1)))
    (func (export "data3") (memory.init $d3 (i32.const 8) (i32.const 0) (i32.const 1)))
    (func (export "elem1") (table.init $t $e1 (i32.const 0) (i32.const 0) (i32.const 1)))
    (elem $e0 (i32.const 0) func $plain) (elem $e1 func $plain) (elem $e2 declare func $plain)
    (data $d0 (i32.const 0) "zero") (data $d1 "one") (data $d2 "two") (data $d3 "three"))"#;

#[test]
fn a_flag_is_up_exactly_when_an_instruction_has_dropped_the_segment() {
    let (wasm, layout) = exposed(DROPS);
    let segments: Vec<Segment> = layout.segments.iter().map(|at| at.segment).collect();
    use Segment::{Data, Element};
    assert_eq!(segments, [Data(0), Data(1), Data(3), Element(0), Element(1), Element(2)]);
    assert_eq!(layout.segments[1].flag, "hb_wasm64:dropped:data:1");
    assert_eq!(layout.segments[4].flag, "hb_wasm64:dropped:elem:1");

    let module = compiled(&wasm);
    let start = || Guest::new(&module).unwrap();
    let mut guest = start();
    assert_eq!(guest.flags(&layout), [0; 6]);
    assert_eq!(guest.call("plain", &[]), Ok(Some(-510)));
    assert_eq!(guest.call("nested", &[0]), Ok(Some(7)));
    assert!(guest.call("late", &[]).is_err());
    assert_eq!(guest.flags(&layout), [0; 6]);
    for probe in ["data1", "data2", "data3", "elem1"] {
        assert_eq!(guest.call(probe, &[]), Ok(None));
    }
    assert_eq!(guest.call("nested", &[1]), Ok(Some(7)));
    assert_eq!(guest.flags(&layout), [0, 1, 0, 0, 0, 0]);
    assert!(guest.call("data1", &[]).is_err());
    assert_eq!(guest.call("nested", &[2]), Ok(Some(7)));
    assert_eq!(guest.flags(&layout), [0, 1, 0, 0, 1, 0]);
    assert!(guest.call("elem1", &[]).is_err());
    assert_eq!(guest.call("again", &[0]), Ok(None));
    assert_eq!(guest.flags(&layout), [0, 1, 1, 0, 1, 0]);
    assert!(guest.call("data3", &[]).is_err());
    assert_eq!(guest.call("active", &[]), Ok(None));
    assert_eq!(guest.flags(&layout), [1; 6]);
    assert_eq!(guest.call("data2", &[]), Ok(None));
}

#[test]
fn a_flag_is_up_after_a_start_that_drops() {
    let (wasm, layout) = exposed(r#"(module (memory 1) (func (data.drop 1)) (start 0) (data "a") (data "b"))"#);
    assert_eq!(Guest::of(&wasm).flags(&layout), [1]);
}

#[test]
fn segments_can_be_dropped_from_outside() {
    let (wasm, layout) = exposed(DROPS);
    let module = compiled(&wasm);
    let start = || Guest::new(&module).unwrap();
    for position in 0..layout.segments.len() {
        let mut guest = start();
        guest.call(DROP, &[position as i32]).unwrap();
        let flags: Vec<i32> = (0..layout.segments.len()).map(|other| i32::from(other == position)).collect();
        assert_eq!(guest.flags(&layout), flags);
        for (probe, segment) in
            [("data1", Segment::Data(1)), ("data3", Segment::Data(3)), ("elem1", Segment::Element(1))]
        {
            assert_eq!(guest.call(probe, &[]).is_err(), layout.segments[position].segment == segment);
        }
        assert_eq!(guest.call("data2", &[]), Ok(None));
    }
    let mut guest = start();
    for position in [6, 7, -1, i32::MIN, i32::MAX] {
        assert!(guest.call(DROP, &[position]).is_err());
    }
    assert_eq!(guest.flags(&layout), [0; 6]);
}

#[test]
fn many_segments_can_be_dropped() {
    const SEGMENTS: usize = 20_000;
    let mut wat = r#"(module (memory 1) (func (export "f")"#.to_owned();
    (0..SEGMENTS).for_each(|index| write!(wat, "data.drop {index} ").unwrap());
    wat.push(')');
    (0..SEGMENTS).for_each(|_| wat.push_str(r#"(data "x")"#));
    wat.push(')');
    let (wasm, layout) = exposed(&wat);
    assert_eq!(layout.segments.len(), SEGMENTS);
    let mut guest = Guest::of(&wasm);
    for position in [0, 1, SEGMENTS / 3, SEGMENTS - 1] {
        guest.call(DROP, &[position as i32]).unwrap();
        assert_eq!(guest.global(&layout.segments[position].flag).unwrap_i32(), 1);
    }
    assert_eq!(guest.flags(&layout).iter().sum::<i32>(), 4);
    guest.call("f", &[]).unwrap();
    assert_eq!(guest.flags(&layout).iter().sum::<i32>(), SEGMENTS as i32);
}

#[test]
fn a_drop_in_long_form_is_seen() {
    let wasm = assemble(r#"(module (memory 1) (func (export "f") (param i32) (data.drop 0)) (data "x"))"#);
    let mut long = wasm_encoder::Module::new();
    for (id, count, items) in sections(&wasm) {
        // The opcode in four bytes, the index in two.
        let code = [0x0a, 0, 0xfc, 0x89, 0x80, 0x80, 0x00, 0x80, 0x00, 0x0b];
        let contents = match id {
            10 => [&[1][..], &code].concat(),
            12 => items,
            _ => [&[count as u8][..], &items].concat(),
        };
        long.section(&wasm_encoder::RawSection { id, data: &contents });
    }
    let long = {
        let mut bytes = long.finish();
        // The length of the body is that of what follows it.
        let body = bytes.windows(3).position(|window| window == [0x0a, 0, 0xfc]).unwrap();
        bytes[body] = 9;
        bytes
    };
    let (rewritten, layout) = exposed_bytes(&long);
    let mut guest = Guest::of(&rewritten);
    guest.call("f", &[0]).unwrap();
    assert_eq!(guest.flags(&layout), [1]);
}

#[test]
fn bodies_that_drop_nothing_are_copied() {
    let bodies = |wasm: &[u8]| -> Vec<Vec<u8>> {
        let bodies = Parser::new(0).parse_all(wasm).filter_map(|payload| match payload.unwrap() {
            Payload::CodeSectionEntry(body) => Some(body.as_bytes().to_vec()),
            _ => None,
        });
        bodies.collect()
    };
    let wasm = assemble(DROPS);
    let before = bodies(&wasm);
    let after = bodies(&exposed_bytes(&wasm).0);
    let changed: Vec<usize> = (0..before.len()).filter(|index| before[*index] != after[*index]).collect();
    assert_eq!(changed, [1, 2, 3, 4]);
    assert_eq!(after.len(), before.len() + 1);
}

#[test]
fn the_default_memory_and_table_are_what_they_are_without_reserved_exports() {
    // The memory with so many pages, the table with so many entries.
    let cases = [
        ("(memory 1) (memory 2)", Some(1), None),
        (r#"(memory 1) (memory 2) (export "b" (memory 1))"#, Some(2), None),
        (r#"(memory 1) (memory 2) (export "b" (memory 1)) (export "memory" (memory 0))"#, Some(1), None),
        ("(table 3 funcref)", None, Some(3)),
        ("(table 3 funcref) (table 4 funcref)", None, None),
        (r#"(table 3 funcref) (table 4 funcref) (export "x" (table 1))"#, None, Some(4)),
        (r#"(table 3 funcref) (export "x" (table 0)) (export "y" (table 0))"#, None, None),
        (
            r#"(table 3 funcref) (table 4 funcref) (export "x" (table 1)) (export "__indirect_function_table" (table 0))"#,
            None,
            Some(3),
        ),
    ];
    for (fields, pages, entries) in cases {
        let bytes = assemble(&format!("(module {fields} (func) (elem declare func 0))"));
        let image = Image::compile(hash(&bytes), &bytes).unwrap();
        let mut guest = Guest::new(image.pre().module()).unwrap();
        let memory = image.memory().and_then(|export| guest.instance.get_module_export(&mut guest.store, export));
        let table = image.table().and_then(|export| guest.instance.get_module_export(&mut guest.store, export));
        assert_eq!(memory.map(|memory| memory.into_memory().unwrap().size(&guest.store)), pages, "{fields}");
        assert_eq!(table.map(|table| table.into_table().unwrap().size(&guest.store)), entries, "{fields}");
        assert!(image.exports().iter().all(|export| !export.name.starts_with(RESERVED)));
    }
}

#[test]
fn damaged_modules_are_errors_or_pass() {
    for wat in
        [DROPS, "(module (memory 1) (table 2 funcref) (func) (elem (i32.const 0) 0) (global (mut i32) (i32.const 0)))"]
    {
        let wasm = assemble(wat);
        for length in 0..wasm.len() {
            drop(expose(&wasm[..length]));
        }
        for position in 8..wasm.len() {
            for byte in [0, 1, 0x7f, 0x80, 0xff] {
                let mut wasm = wasm.clone();
                wasm[position] = byte;
                drop(expose(&wasm));
            }
        }
    }
}

#[test]
fn aos_keeps_its_state_where_the_layout_says() {
    let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data/aos-2-pure-xs.wasm"));
    let Ok(wasm) = std::fs::read(path) else {
        println!("NOT RUN: {} is not there", path.display());
        return;
    };
    let lowered = crate::lower::lower(&wasm).unwrap();
    let (exposed, layout) = exposed_bytes(&lowered);
    assert_eq!((layout.memories.len(), layout.tables.len(), layout.segments.len()), (1, 1, 0));
    assert!(layout.memories[0].initial.as_ref().is_some_and(|ranges| !ranges.is_empty()));
    let mut guest = Guest::of(&exposed);
    let entries = guest.functions(&layout.tables[0].name);
    let functions = guest.functions(FUNCTIONS);
    assert_eq!(functions.len(), layout.functions.len());
    assert!(entries.iter().flatten().count() > 0);
    assert!(entries.iter().flatten().all(|entry| functions.contains(&Some(*entry))));
    assert!(written(&mut guest, &layout));
}

/// Whether a fresh memory holds nothing outside of its initial ranges.
fn written(guest: &mut Guest, layout: &Layout) -> bool {
    layout.memories.iter().all(|at| {
        let Some(ranges) = &at.initial else { return true };
        let mut bytes = guest.memory(&at.name).to_vec();
        for range in ranges {
            bytes[range.start as usize..range.end as usize].fill(0);
        }
        bytes.iter().all(|byte| *byte == 0)
    })
}

/// A random module: what it has, and what its functions do.
#[derive(Clone, Debug)]
struct Random {
    imports: u8,
    /// For each: whether it has 64-bit addresses, and whether it is exported.
    memories: Vec<(bool, bool)>,
    /// For each: whether it is of functions, has 64-bit indices, is exported.
    tables: Vec<(bool, bool, bool)>,
    /// For each: its type, whether it is mutable, whether it is exported.
    globals: Vec<(u8, bool, bool)>,
    /// For each: how it is encoded, and a number to choose by.
    elements: Vec<(u8, u8)>,
    data: Vec<(u8, u8)>,
    start: bool,
    /// For each function its steps: what to do, and numbers to choose by.
    functions: Vec<Vec<(u8, u8, u8)>>,
    name: bool,
}

fn random() -> impl Strategy<Value = Random> {
    let items = (
        0u8..3,
        prop::collection::vec(any::<(bool, bool)>(), 0..3),
        prop::collection::vec(any::<(bool, bool, bool)>(), 0..3),
        prop::collection::vec((0u8..7, any::<bool>(), any::<bool>()), 0..5),
        prop::collection::vec((0u8..8, any::<u8>()), 0..5),
        prop::collection::vec((0u8..4, any::<u8>()), 0..4),
    );
    let code = (
        prop::bool::weighted(0.2),
        prop::collection::vec(prop::collection::vec((0u8..12, any::<u8>(), any::<u8>()), 0..8), 1..4),
        any::<bool>(),
    );
    (items, code).prop_map(|((imports, memories, tables, globals, elements, data), (start, functions, name))| Random {
        imports,
        memories,
        tables,
        globals,
        elements,
        data,
        start,
        functions,
        name,
    })
}

fn pick<T>(items: &[T], number: u8) -> Option<(usize, &T)> {
    let index = usize::from(number).checked_rem(items.len())?;
    Some((index, &items[index]))
}

fn wide(is_wide: bool) -> &'static str {
    if is_wide { "i64" } else { "i32" }
}

impl Random {
    /// Text of the module. Functions `f0`, `f1`… are exported, and for each passive segment with a place to go to
    /// `data0` or `elem0`, which trap where it was dropped.
    fn wat(&self) -> String {
        let mut wat = String::from(if self.name { "(module $named" } else { "(module" });
        let all = usize::from(self.imports) + self.functions.len();
        for index in 0..self.imports {
            write!(wat, r#"(import "e" "i{index}" (func))"#).unwrap();
        }
        let export = |wat: &mut String, exported: bool, kind: &str, index: usize| {
            if exported {
                write!(wat, r#"(export "{kind}{index}" ({kind} {index}))"#).unwrap();
            }
        };
        for (index, (is_wide, exported)) in self.memories.iter().enumerate() {
            write!(wat, "(memory {} 1)", wide(*is_wide)).unwrap();
            export(&mut wat, *exported, "memory", index);
        }
        for (index, (of_functions, is_wide, exported)) in self.tables.iter().enumerate() {
            write!(wat, "(table {} 8 {})", wide(*is_wide), if *of_functions { "funcref" } else { "externref" })
                .unwrap();
            export(&mut wat, *exported, "table", index);
        }
        for (index, (ty, mutable, exported)) in self.globals.iter().enumerate() {
            let (ty, value) = match ty {
                0 => ("i32", "i32.const 1".to_owned()),
                1 => ("i64", "i64.const 2".to_owned()),
                2 => ("f32", "f32.const 3".to_owned()),
                3 => ("v128", "v128.const i64x2 4 5".to_owned()),
                4 => ("externref", "ref.null extern".to_owned()),
                5 => ("funcref", "ref.null func".to_owned()),
                _ => ("funcref", format!("ref.func {}", index % all)),
            };
            let ty = if *mutable { format!("(mut {ty})") } else { ty.to_owned() };
            write!(wat, "(global {ty} ({value}))").unwrap();
            export(&mut wat, *exported, "global", index);
        }
        for (index, (encoding, number)) in self.elements.iter().enumerate() {
            let function = usize::from(*number) % all;
            let items = match encoding % 2 {
                0 => format!("func {function} {function}"),
                _ => format!("funcref (ref.func {function}) (ref.null func)"),
            };
            let target = pick(&self.tables, *number).filter(|(_, table)| table.0);
            match (encoding / 2, target) {
                (0, _) => write!(wat, "(elem declare {items})"),
                (1, Some((table, (_, is_wide, _)))) => {
                    write!(wat, "(elem (table {table}) ({}.const {}) {items})", wide(*is_wide), number % 7)
                }
                (_, target) => {
                    if let Some((table, (_, is_wide, _))) = target {
                        let at = wide(*is_wide);
                        write!(wat, r#"(func (export "elem{index}") "#).unwrap();
                        write!(wat, "(table.init {table} {index} ({at}.const 0) (i32.const 0) (i32.const 1)))")
                            .unwrap();
                    }
                    write!(wat, "(elem {items})")
                }
            }
            .unwrap();
        }
        for (index, (encoding, number)) in self.data.iter().enumerate() {
            match (encoding, pick(&self.memories, *number)) {
                (0, Some((memory, (is_wide, _)))) => {
                    write!(wat, r#"(data (memory {memory}) ({}.const {number}) "abc")"#, wide(*is_wide))
                }
                (_, target) => {
                    if let Some((memory, (is_wide, _))) = target {
                        let at = wide(*is_wide);
                        write!(wat, r#"(func (export "data{index}") "#).unwrap();
                        write!(wat, "(memory.init {memory} {index} ({at}.const 0) (i32.const 0) (i32.const 1)))")
                            .unwrap();
                    }
                    wat.push_str(r#"(data "passive")"#);
                    Ok(())
                }
            }
            .unwrap();
        }
        // Probes come behind these in the text, but first in the order of functions: call by name.
        for (index, steps) in self.functions.iter().enumerate() {
            write!(wat, r#"(func $f{index} (export "f{index}") (result i32) (local i32)"#).unwrap();
            let mut open = 0;
            for step in steps {
                self.step(&mut wat, *step, &mut open);
            }
            (0..open).for_each(|_| wat.push_str(" end"));
            wat.push_str(" local.get 0)");
        }
        if self.start && self.imports > 0 {
            wat.push_str("(start 0)");
        }
        wat.push(')');
        wat
    }

    fn step(&self, wat: &mut String, (step, a, b): (u8, u8, u8), open: &mut u32) {
        match step {
            0 | 1 => {
                if let Some((segment, _)) = pick(&self.data, a) {
                    write!(wat, " data.drop {segment}").unwrap();
                }
            }
            2 | 3 => {
                if let Some((segment, _)) = pick(&self.elements, a) {
                    write!(wat, " elem.drop {segment}").unwrap();
                }
            }
            4 => {
                wat.push_str([" block", " loop", " local.get 0 if"][usize::from(a % 3)]);
                *open += 1;
            }
            5 if *open > 0 => {
                wat.push_str(" end");
                *open -= 1;
            }
            6 => {
                if let (Some((to, (is_wide, _))), Some((from, _))) = (pick(&self.memories, a), pick(&self.data, b)) {
                    let at = wide(*is_wide);
                    write!(wat, " {at}.const 9 i32.const 0 i32.const {} memory.init {to} {from}", b % 3).unwrap();
                }
            }
            7 => {
                if let (Some((to, (true, is_wide, _))), Some((from, _))) =
                    (pick(&self.tables, a), pick(&self.elements, b))
                {
                    let at = wide(*is_wide);
                    write!(wat, " {at}.const 3 i32.const 0 i32.const {} table.init {to} {from}", b % 3).unwrap();
                }
            }
            8 => {
                if let Some((table, (true, is_wide, _))) = pick(&self.tables, a) {
                    // Every function here is exported.
                    let function = usize::from(b) % self.functions.len();
                    write!(wat, " {}.const {} ref.func $f{function} table.set {table}", wide(*is_wide), b % 9).unwrap();
                }
            }
            9 => {
                let own = self.globals.iter().enumerate().filter(|(_, global)| global.1).collect::<Vec<_>>();
                match pick(&own, a) {
                    Some((_, (index, (0, ..)))) => write!(wat, " i32.const {b} global.set {index}").unwrap(),
                    Some((_, (index, (5 | 6, ..)))) => {
                        let function = usize::from(b) % self.functions.len();
                        write!(wat, " ref.func $f{function} global.set {index}").unwrap();
                    }
                    _ => {}
                }
            }
            10 if self.imports > 0 => wat.push_str(" call 0"),
            // Opcode and index of drops, as constants.
            _ => wat.push_str(" i32.const 1276 i32.const 1788 i32.add local.set 0"),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn a_random_module_behaves_the_same_and_shows_its_state(random in random()) {
        let wat = random.wat();
        let original = assemble(&wat);
        let (wasm, layout) = exposed_bytes(&original);
        prop_assert_eq!(layout.memories.len(), random.memories.len());
        prop_assert_eq!(layout.tables.len(), random.tables.len());
        prop_assert_eq!(layout.globals.len(), random.globals.iter().filter(|global| global.1).count());
        let module = compiled(&wasm);
        let (plain, guest) = (Guest::new(&compiled(&original)), Guest::new(&module));
        let (mut plain, mut guest) = match (plain, guest) {
            (Ok(plain), Ok(guest)) => (plain, guest),
            (plain, guest) => {
                prop_assert_eq!(plain.err(), guest.err());
                return Ok(());
            }
        };
        prop_assert!(written(&mut guest, &layout));
        prop_assert!(layout.memories.iter().all(|memory| memory.initial.is_some() != (random.start && random.imports > 0)));
        for _ in 0..2 {
            for index in 0..random.functions.len() {
                let name = format!("f{index}");
                prop_assert_eq!(plain.call(&name, &[]), guest.call(&name, &[]));
            }
        }
        // All references that are kept have a number.
        let functions = if layout.functions.is_empty() { Vec::new() } else { guest.functions(FUNCTIONS) };
        prop_assert_eq!(functions.len(), layout.functions.len());
        for (at, (of_functions, ..)) in layout.tables.iter().zip(&random.tables) {
            if *of_functions {
                for entry in guest.functions(&at.name).into_iter().flatten() {
                    prop_assert!(functions.contains(&Some(entry)));
                }
            }
        }
        for at in &layout.globals {
            if let Val::FuncRef(Some(func)) = guest.global(&at.name) {
                let address = guest.address_of(&func);
                prop_assert!(functions.contains(&Some(address)));
            }
        }
        // What is exported has the same contents.
        for (index, (_, exported)) in random.memories.iter().enumerate() {
            if *exported {
                let name = format!("memory{index}");
                prop_assert!(plain.memory(&name) == guest.memory(&name));
            }
        }
        // A passive segment is gone exactly if its flag is up. A segment without a flag is never gone.
        let flags = guest.flags(&layout);
        for (prefix, count) in [("data", random.data.len()), ("elem", random.elements.len())] {
            for index in 0..count {
                let name = format!("{prefix}{index}");
                if guest.instance.get_func(&mut guest.store, &name).is_none() {
                    continue;
                }
                let segment =
                    if prefix == "data" { Segment::Data(index as u32) } else { Segment::Element(index as u32) };
                let position = layout.segments.iter().position(|at| at.segment == segment);
                let dropped = position.is_some_and(|position| flags[position] == 1);
                let gone = guest.call(&name, &[]).is_err();
                prop_assert_eq!(gone, dropped, "{}", &name);
                prop_assert_eq!(plain.call(&name, &[]).is_err(), dropped, "{}", &name);
                let mut fresh = Guest::new(&module).unwrap();
                if let Some(position) = position {
                    fresh.call(DROP, &[position as i32]).unwrap();
                }
                prop_assert_eq!(fresh.call(&name, &[]).is_err(), position.is_some());
            }
        }
    }
}
