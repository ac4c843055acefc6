//! Bulk operations with and without comparisons, run.

use super::precheck;
use crate::Error;
use crate::testing::{metered, unmetered, validate};
use std::borrow::Cow;
use std::fmt::Write;
use wasmtime::{Instance, Module, Ref, Store, Trap, Val, ValType};

/// What the tables of a module may have together here.
const TABLE_ELEMENTS: u64 = 1_000;

/// Enough for everything that fails, and for next to nothing else.
const LITTLE: u64 = 100;

fn prechecked(wat: &str) -> Vec<u8> {
    let wasm = wat::parse_str(wat).unwrap();
    let checked = precheck(&wasm, TABLE_ELEMENTS).unwrap();
    validate(&checked);
    checked.into_owned()
}

/// An instance of a module with or without comparisons.
struct Guest {
    store: Store<()>,
    instance: Instance,
}

impl Guest {
    fn new(module: &Module) -> Guest {
        let mut store = Store::new(module.engine(), ());
        // An engine without fuel refuses this.
        let _ = store.set_fuel(1 << 40);
        let instance = Instance::new(&mut store, module, &[]).unwrap();
        Guest { store, instance }
    }

    fn metered(wat: &str) -> Guest {
        Guest::new(&Module::new(metered(), prechecked(wat)).unwrap())
    }

    /// What a function answers, as text.
    fn call(&mut self, name: &str, args: &[u64]) -> String {
        let func = self.instance.get_func(&mut self.store, name).unwrap();
        let ty = func.ty(&self.store);
        let args: Vec<Val> = ty.params().zip(args).map(|(ty, arg)| value(&ty, *arg)).collect();
        let mut results = vec![Val::I32(0); ty.results().len()];
        match func.call(&mut self.store, &args, &mut results) {
            Ok(()) => results.iter().fold("returns".to_owned(), |text, value| match value {
                Val::I32(value) => format!("{text} {value}"),
                Val::I64(value) => format!("{text} {value}"),
                other => panic!("{other:?}"),
            }),
            Err(error) => format!("traps: {}", error.downcast_ref::<Trap>().unwrap()),
        }
    }

    fn call_with(&mut self, fuel: u64, name: &str, args: &[u64]) -> String {
        self.store.set_fuel(fuel).unwrap();
        self.call(name, args)
    }

    /// The fuel of a call that ends well.
    fn fuel_of(&mut self, name: &str, args: &[u64]) -> u64 {
        let outcome = self.call_with(1 << 40, name, args);
        assert!(outcome.starts_with("returns"), "{name} {args:?} {outcome}");
        (1 << 40) - self.store.get_fuel().unwrap()
    }

    /// All that the operations can change.
    fn state(&mut self) -> String {
        let names: Vec<String> =
            self.instance.exports(&mut self.store).map(|export| export.name().to_owned()).collect();
        let mut state = String::new();
        for name in names {
            if let Some(memory) = self.instance.get_memory(&mut self.store, &name) {
                let data = memory.data(&self.store);
                let digest =
                    data.iter().fold(0_u64, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3));
                write!(state, "{name} {} {digest:x}; ", data.len()).unwrap();
            }
            if let Some(table) = self.instance.get_table(&mut self.store, &name) {
                write!(state, "{name} ").unwrap();
                for index in 0..table.size(&self.store) {
                    let is_null =
                        matches!(table.get(&mut self.store, index), Some(Ref::Func(None) | Ref::Extern(None)));
                    state.push(if is_null { '-' } else { 'f' });
                }
            }
        }
        state
    }
}

fn value(ty: &ValType, arg: u64) -> Val {
    match ty {
        ValType::I64 => Val::I64(arg.cast_signed()),
        _ => Val::I32((arg as u32).cast_signed()),
    }
}

/// A module with every operation on memories and tables of these widths.
fn operations(one: &str, two: &str) -> String {
    let narrow = if one == "i64" && two == "i64" { "i64" } else { "i32" };
    format!(
        r#"(module
            (memory $m1 (export "m1") {one} 1 3) (memory $m2 (export "m2") {two} 2 2)
            (table $t1 (export "t1") {one} 8 12 funcref) (table $t2 (export "t2") {two} 10 900 funcref)
            (data $d "0123456789abcdefghij") (data $active (memory $m1) ({one}.const 0) "active")
            (elem $e func $f $f $f $f $f) (elem $on (table $t1) ({one}.const 0) func $f $f)
            (func $f)
            (func (export "fill") (param {one} i32 {one}) (memory.fill $m1 (local.get 0) (local.get 1) (local.get 2)))
            (func (export "copy") (param {one} {one} {one}) (memory.copy $m1 $m1 (local.get 0) (local.get 1) (local.get 2)))
            (func (export "copy_to_2") (param {two} {one} {narrow})
                (memory.copy $m2 $m1 (local.get 0) (local.get 1) (local.get 2)))
            (func (export "init") (param {one} i32 i32) (memory.init $m1 $d (local.get 0) (local.get 1) (local.get 2)))
            (func (export "init_active") (param {one} i32 i32)
                (memory.init $m1 $active (local.get 0) (local.get 1) (local.get 2)))
            (func (export "table_fill") (param {one} i32 {one}) (local i32)
                (table.fill $t1 (local.get 0) (ref.func $f) (local.get 2)))
            (func (export "table_copy") (param {one} {one} {one})
                (table.copy $t1 $t1 (local.get 0) (local.get 1) (local.get 2)))
            (func (export "table_copy_to_2") (param {two} {one} {narrow})
                (table.copy $t2 $t1 (local.get 0) (local.get 1) (local.get 2)))
            (func (export "table_init") (param {one} i32 i32)
                (table.init $t1 $e (local.get 0) (local.get 1) (local.get 2)))
            (func (export "table_init_on") (param {one} i32 i32)
                (table.init $t1 $on (local.get 0) (local.get 1) (local.get 2)))
            (func (export "grow") (param {one} i32 {one}) (result {one})
                (table.grow $t1 (ref.null func) (local.get 2)))
            (func (export "grow_2") (param i32 i32 {two}) (result {two})
                (table.grow $t2 (ref.func $f) (local.get 2)))
            (func (export "drop") (param i32 i32 i32) (data.drop $d) (elem.drop $e)))"#
    )
}

const OPERATIONS: [&str; 12] = [
    "fill",
    "copy",
    "copy_to_2",
    "init",
    "init_active",
    "table_fill",
    "table_copy",
    "table_copy_to_2",
    "table_init",
    "table_init_on",
    "grow",
    "grow_2",
];

#[test]
fn every_operation_does_what_it_does_without_fuel_and_fails_for_next_to_none() {
    let positions = [0, 1, 4, 8, 65_535, 65_536, u64::from(u32::MAX), 1 << 32, u64::MAX];
    let lengths = [0, 1, 4, 5, 20, 21, 65_536, 65_537, 1 << 31, u64::from(u32::MAX), (1 << 32) + 1, u64::MAX];
    for (one, two) in [("i32", "i32"), ("i32", "i64"), ("i64", "i32"), ("i64", "i64")] {
        let wat = operations(one, two);
        let plain = Module::new(unmetered(), wat::parse_str(&wat).unwrap()).unwrap();
        let checked = Module::new(metered(), prechecked(&wat)).unwrap();
        for (operation, drops) in OPERATIONS.into_iter().flat_map(|name| [(name, false), (name, true)]) {
            let guest = |module: &Module| {
                let mut guest = Guest::new(module);
                if drops {
                    guest.call("drop", &[0, 0, 0]);
                }
                guest
            };
            let (mut original, mut metered) = (guest(&plain), guest(&checked));
            for (at, start) in positions.into_iter().flat_map(|at| positions.map(|start| (at, start))) {
                for length in lengths {
                    let args = [at, start, length];
                    let case = format!("{one} {two} {operation} {args:?} {drops}");
                    let expected = original.call(operation, &args);
                    let is_failure = expected.starts_with("traps") || expected == "returns -1";
                    let fuel = if is_failure { LITTLE } else { 1 << 40 };
                    assert_eq!(metered.call_with(fuel, operation, &args), expected, "{case}");
                }
            }
            assert_eq!(metered.state(), original.state(), "{one} {two} {operation} {drops}");
        }
    }
}

#[test]
fn what_succeeds_is_charged_by_its_length_and_before_it_works() {
    for (one, two) in [("i32", "i64"), ("i64", "i32")] {
        let mut guest = Guest::metered(&operations(one, two));
        for operation in ["fill", "copy", "copy_to_2", "init"] {
            let fuel = guest.fuel_of(operation, &[3, 0, 0]);
            assert!(fuel < LITTLE, "{operation} {fuel}");
            assert_eq!(guest.fuel_of(operation, &[9, 1, 19]), fuel + 19, "{operation}");
        }
        for operation in ["table_fill", "table_copy", "table_copy_to_2", "table_init"] {
            let fuel = guest.fuel_of(operation, &[1, 0, 0]);
            assert_eq!(guest.fuel_of(operation, &[2, 1, 4]), fuel + 4, "{operation}");
        }
        let fuel = guest.fuel_of("grow_2", &[0, 0, 0]);
        assert_eq!(guest.fuel_of("grow_2", &[0, 0, 300]), fuel + 300);
        let before = guest.state();
        assert_eq!(guest.call_with(60_000, "fill", &[0, 7, 65_000]), format!("traps: {}", Trap::OutOfFuel));
        assert_eq!(guest.call_with(400, "grow_2", &[0, 0, 500]), format!("traps: {}", Trap::OutOfFuel));
        assert_eq!(guest.state(), before);
    }
}

#[test]
fn growth_that_is_refused_again_and_again_costs_next_to_nothing() {
    for width in ["i32", "i64"] {
        let mut guest = Guest::metered(&format!(
            r#"(module (table $t {width} 1 10 externref) (table $u {width} 1 externref)
                (func (export "refused") (param {width} {width}) (result {width} {width})
                    (drop (table.grow $t (ref.null extern) (local.get 0)))
                    (table.grow $t (ref.null extern) (local.get 0))
                    (table.grow $u (ref.null extern) (local.get 1)))
                (func (export "constant") (result {width})
                    (table.grow $t (ref.null extern) ({width}.const 100))))"#
        ));
        for (declared, any) in
            [(10, TABLE_ELEMENTS), (10, TABLE_ELEMENTS - 1), (11, u64::MAX), (u64::MAX, 1 << 31), (u64::MAX, u64::MAX)]
        {
            assert_eq!(guest.call_with(LITTLE, "refused", &[declared, any]), "returns -1 -1");
        }
        // Each of the tables has one entry.
        assert_eq!(guest.call_with(2_000, "refused", &[u64::MAX, TABLE_ELEMENTS - 2]), "returns -1 1");
        assert_eq!(guest.call_with(LITTLE / 2, "constant", &[]), "returns -1");
    }
}

#[test]
fn a_memory_of_4_gib_is_filled_up_to_its_last_byte() {
    let mut guest = Guest::metered(
        r#"(module (memory 65536)
            (func (export "fill") (param i32 i32) (memory.fill (local.get 0) (i32.const 1) (local.get 1)))
            (func (export "last") (result i32) (i32.load8_u (i32.const -1))))"#,
    );
    assert_eq!(guest.call_with(1_000, "fill", &[0xffff_fffe, 3]), format!("traps: {}", Trap::MemoryOutOfBounds));
    assert_eq!(guest.call("last", &[]), "returns 0");
    assert_eq!(guest.call_with(1_000, "fill", &[0xffff_fff0, 16]), "returns");
    assert_eq!(guest.call("last", &[]), "returns 1");
    assert_eq!(guest.call_with(1_000, "fill", &[0xffff_ffff, 1]), "returns");
}

#[test]
fn a_small_constant_length_needs_no_comparison_and_a_large_one_does() {
    let of = |length: i64| {
        format!(
            r#"(module (memory i64 1)
                (func (export "run") (param i64) (memory.fill (local.get 0) (i32.const 1) (i64.const {length}))))"#
        )
    };
    for length in [0, 1, 127, 128] {
        let wasm = wat::parse_str(of(length)).unwrap();
        assert!(matches!(precheck(&wasm, TABLE_ELEMENTS), Ok(Cow::Borrowed(_))), "{length}");
    }
    for length in [0, 1, 127, 128, 129, 1_000, i64::MAX, -1] {
        let mut guest = Guest::metered(&of(length));
        let expected = format!("traps: {}", Trap::MemoryOutOfBounds);
        assert_eq!(guest.call_with(LITTLE, "run", &[70_000]), expected, "{length}");
    }
}

#[test]
fn operations_anywhere_in_a_function_keep_its_locals_and_labels() {
    let mut guest = Guest::metered(
        r#"(module (memory 1) (table $e 2 exnref) (table $x 2 externref) (func $never (param i32) (result i32)
                (unreachable) (memory.fill) (block (br 1 (local.get 0)) (table.fill $e)) (i32.const 1))
            (func (export "run") (param $n i32) (result i32) (local $a i32) (local $b f64) (local $c i64)
                (local.set $a (i32.const 5)) (local.set $c (i64.const 6))
                (block $out
                    (loop $again
                        (memory.fill (local.get $n) (i32.const 7) (local.get $n))
                        (table.fill $x (i32.const 0) (ref.null extern) (local.get $a) (i32.sub (i32.const 4)))
                        (table.fill $e (i32.const 0) (ref.null exn) (local.get $a) (i32.sub (i32.const 3)))
                        (br_if $out (i32.gt_u (local.get $n) (i32.const 100)))
                        (local.set $n (i32.add (local.get $n) (local.get $n)))
                        (br $again)))
                (drop (table.grow $e (ref.null exn) (local.get $a)))
                (i32.add (i32.add (local.get $a) (i32.wrap_i64 (local.get $c)))
                    (i32.add (i32.load8_u (i32.const 250)) (table.size $e)))))"#,
    );
    assert_eq!(guest.call("run", &[1]), "returns 25");
}

#[test]
fn a_module_without_such_operations_comes_out_byte_for_byte() {
    let wasm = wat::parse_str(
        r#"(module (memory 1) (table 1 funcref) (data $d "x")
            (func (export "run") (param f32) (result i32) (data.drop $d)
                (memory.grow (i32.trunc_sat_f32_s (local.get 0)))))"#,
    )
    .unwrap();
    assert!(matches!(precheck(&wasm, TABLE_ELEMENTS), Ok(Cow::Borrowed(same)) if same == wasm));
}

#[test]
fn a_function_that_is_as_large_as_it_may_be_is_refused_with_the_reason() {
    let locals = format!("(local {})", "i64 ".repeat(49_998));
    let wat = format!("(module (memory 1) (func {locals} (memory.fill (i32.const 0) (i32.const 0) (i32.const 129))))");
    let error = precheck(&wat::parse_str(wat).unwrap(), TABLE_ELEMENTS).unwrap_err();
    assert!(matches!(&error, Error::TooLarge(text) if text.contains("locals")), "{error}");

    let fills = "(memory.fill (i32.const 0) (i32.const 0) (local.get 0))".repeat(700_000);
    let wat = format!("(module (memory 1) (func (param i32) {fills}))");
    let error = precheck(&wat::parse_str(wat).unwrap(), TABLE_ELEMENTS).unwrap_err();
    assert!(matches!(&error, Error::TooLarge(text) if text.contains("bytes")), "{error}");
}
