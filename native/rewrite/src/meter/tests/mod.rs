//! Modules with a meter, run with it as a part of them and with a host that counts as AO's loader does.

mod random;

use super::{GAS, Meter, Metered, meter};
use crate::expose::{Exposed, expose};
use crate::testing::{unmetered, validate};
use std::borrow::Cow;
use wasmparser::{Parser, Payload};
use wasmtime::{Caller, ExternType, Instance, Linker, Module, Store, Val};

/// How a call has ended.
#[derive(Clone, Debug, PartialEq)]
enum End {
    Returned(Vec<i64>),
    OutOfGas,
    Trapped(String),
    Threw,
}

/// What the host has been told.
#[derive(Default)]
struct Host {
    /// What JavaScript's numbers are.
    used: f64,
    limit: f64,
    /// The guest's notes.
    notes: Vec<i32>,
}

/// A call as the guest's surroundings see it: its end, its notes, and the gas that it has used.
type Seen = (End, Vec<i32>, i64);

/// An instance whose import of the meter counts, or only ends the call.
struct Guest {
    store: Store<Host>,
    instance: Instance,
    /// The export of the global, where the meter is in the module.
    global: Option<String>,
}

fn out_of_gas() -> wasmtime::Error {
    wasmtime::Error::msg("out of gas!")
}

impl Guest {
    /// The module as it is. The host adds first and compares then.
    fn counted(wasm: &[u8]) -> Guest {
        Guest::new(wasm, None, |host, amount| {
            host.used += amount;
            if host.used > host.limit { Err(out_of_gas()) } else { Ok(()) }
        })
    }

    /// The module with its meter inside.
    fn metered(wasm: &[u8]) -> Guest {
        let Metered { module, meter } = meter(wasm).unwrap();
        validate(&module);
        let Exposed { module, layout } = expose(&module, &[]).unwrap();
        validate(&module);
        let index = meter.unwrap().global;
        let name = layout.globals.into_iter().find(|at| at.index == index).unwrap().name;
        Guest::new(&module, Some(name), |_, _| Err(out_of_gas()))
    }

    fn new(wasm: &[u8], global: Option<String>, gas: fn(&mut Host, f64) -> wasmtime::Result<()>) -> Guest {
        let module = Module::new(unmetered(), wasm).unwrap();
        let mut store = Store::new(unmetered(), Host::default());
        let mut linker = Linker::new(unmetered());
        for import in module.imports() {
            let ExternType::Func(ty) = import.ty() else { panic!("imports are functions") };
            let is_meter = import.module() == super::MODULE;
            let serve = move |mut caller: Caller<'_, Host>, params: &[Val], _: &mut [Val]| match params {
                [Val::I32(amount)] if is_meter => gas(caller.data_mut(), f64::from(*amount)),
                [Val::I64(amount)] if is_meter => gas(caller.data_mut(), *amount as f64),
                [Val::I32(note)] => {
                    caller.data_mut().notes.push(*note);
                    Ok(())
                }
                other => panic!("{other:?}"),
            };
            // A module may import one function twice.
            drop(linker.func_new(import.module(), import.name(), ty, serve));
        }
        let instance = linker.instantiate(&mut store, &module).unwrap();
        Guest { store, instance, global }
    }

    /// Calls a function with as much gas as that.
    fn call(&mut self, name: &str, args: &[i32], limit: i64) -> Seen {
        *self.store.data_mut() = Host { limit: limit as f64, ..Host::default() };
        let global = self.global.as_ref().map(|name| self.instance.get_global(&mut self.store, name).unwrap());
        if let Some(global) = &global {
            global.set(&mut self.store, Val::I64(limit)).unwrap();
        }
        let func = self.instance.get_func(&mut self.store, name).unwrap();
        let args: Vec<Val> = args.iter().map(|arg| Val::I32(*arg)).collect();
        let mut results = vec![Val::I32(0); func.ty(&self.store).results().len()];
        let end = match func.call(&mut self.store, &args, &mut results) {
            Ok(()) => End::Returned(results.iter().map(number).collect()),
            Err(error) => match error.downcast_ref::<wasmtime::Trap>() {
                Some(trap) => End::Trapped(trap.to_string()),
                None if error.is::<wasmtime::ThrownException>() => End::Threw,
                None if error.root_cause().to_string() == "out of gas!" => End::OutOfGas,
                None => panic!("{error:?}"),
            },
        };
        let used = match &global {
            Some(global) => limit - global.get(&mut self.store).unwrap_i64(),
            None => self.store.data().used as i64,
        };
        (end, std::mem::take(&mut self.store.data_mut().notes), used)
    }
}

fn number(value: &Val) -> i64 {
    match value {
        Val::I32(number) => (*number).into(),
        Val::I64(number) => *number,
        Val::F64(bits) => *bits as i64,
        other => panic!("{other:?}"),
    }
}

fn assemble(wat: &str) -> Vec<u8> {
    let wasm = wat::parse_str(wat).unwrap_or_else(|error| panic!("{error}\n{wat}"));
    validate(&wasm);
    wasm
}

/// How the call of `f` ends with each of these limits, the same for both.
fn ends(fields: &str, limits: &[i64]) -> Vec<(End, i64)> {
    let wasm = assemble(&format!("(module {fields})"));
    let (mut counted, mut metered) = (Guest::counted(&wasm), Guest::metered(&wasm));
    let end = |limit: &i64| {
        let seen = metered.call("f", &[], *limit);
        assert_eq!(seen, counted.call("f", &[], *limit), "with {limit}: {fields}");
        (seen.0, seen.2)
    };
    limits.iter().map(end).collect()
}

const USE: &str = r#"(import "metering" "usegas" (func $use (param i32)))"#;
const USE64: &str = r#"(import "metering" "usegas" (func $use (param i64)))"#;

#[test]
fn a_call_ends_at_the_block_that_exceeds_the_limit_and_this_is_counted() {
    let f = format!(
        r#"{USE} (func (export "f") (result i32)
            (call $use (i32.const 10)) (call $use (i32.const 0)) (call $use (i32.const 20)) (i32.const 7))"#
    );
    let returned = || End::Returned(vec![7]);
    assert_eq!(
        ends(&f, &[0, 9, 10, 29, 30, 31]),
        [
            (End::OutOfGas, 10),
            (End::OutOfGas, 10),
            (End::OutOfGas, 30),
            (End::OutOfGas, 30),
            (returned(), 30),
            (returned(), 30)
        ]
    );
}

#[test]
fn amounts_of_every_kind_are_counted_as_javascript_counts_them() {
    let limits = [0, 1, 100, GAS];
    for amount in [0, 1, -1, 100, i32::MAX, i32::MIN] {
        ends(&format!(r#"{USE} (func (export "f") (call $use (i32.const {amount})))"#), &limits);
    }
    for amount in [0, 1, -1, 1 << 32, (1 << 32) + 1, -(1 << 53), GAS, GAS + 1] {
        ends(&format!(r#"{USE64} (func (export "f") (call $use (i64.const {amount})))"#), &limits);
    }
    // Beyond what floats represent only the end is the same.
    for amount in [i64::MAX, i64::MIN, 1 << 62, -(1 << 62)] {
        let f = format!(
            r#"(module {USE64} (func (export "f") (param i32) (result i32)
                loop
                    (call $use (i64.const {amount}))
                    (br_if 0 (local.tee 0 (i32.sub (local.get 0) (i32.const 1))))
                end
                (i32.const 1)))"#
        );
        let wasm = assemble(&f);
        let (mut counted, mut metered) = (Guest::counted(&wasm), Guest::metered(&wasm));
        for limit in limits {
            for rounds in [1, 2, 9] {
                assert_eq!(metered.call("f", &[rounds], limit).0, counted.call("f", &[rounds], limit).0, "{amount}");
            }
        }
    }
}

#[test]
fn the_import_is_replaced_wherever_it_is_named() {
    let fields = format!(
        r#"{USE} (import "host" "note" (func $note (param i32)))
        (table $t (export "table") 2 funcref) (elem (i32.const 0) $use) (elem declare func $use)
        (global $g (export "global") funcref (ref.func $use)) (export "usegas" (func $use)) (type $ty (func (param i32)))
        (func $tail (param i32) (return_call $use (local.get 0)))
        (func (export "f")
            (call $use (i32.const 1))
            (call $use (i32.add (i32.const 1) (i32.const 1)))
            (call_indirect (type $ty) (i32.const 4) (i32.const 0))
            (table.set $t (i32.const 1) (ref.func $use))
            (call_indirect (type $ty) (i32.const 8) (i32.const 1))
            (call $tail (i32.const 16))
            (call $note (i32.const 5))
            (i32.const 32) (call $use (i32.const 64)) (call $use))"#
    );
    let limits: Vec<i64> = (0..130).collect();
    let ends = ends(&fields, &limits);
    assert_eq!(ends[126], (End::OutOfGas, 127));
    assert_eq!(ends[127], (End::Returned(vec![]), 127));
    // Called from outside it counts, too.
    let wasm = assemble(&format!("(module {fields})"));
    let (mut counted, mut metered) = (Guest::counted(&wasm), Guest::metered(&wasm));
    for amount in [5, 6] {
        assert_eq!(metered.call("usegas", &[amount], 5), counted.call("usegas", &[amount], 5));
    }
}

#[test]
fn all_imports_of_the_meter_count_together() {
    let both = r#"(import "metering" "usegas" (func $a (param i32))) (import "metering" "usegas" (func $b (param i32)))
        (func (export "f") (call $a (i32.const 1)) (call $b (i32.const 2)))"#;
    assert_eq!(ends(both, &[2, 3]), [(End::OutOfGas, 3), (End::Returned(vec![]), 3)]);
    let wasm = assemble(&format!("(module {both})"));
    assert_eq!(meter(&wasm).unwrap().meter, Some(Meter { global: 0, imports: vec![0, 1] }));
}

#[test]
fn a_branch_to_the_label_of_the_function_returns() {
    let fields = format!(
        r#"{USE} (func (export "f") (result i32 i64)
            (call $use (i32.const 1))
            block
                (call $use (i32.const 2))
                (i32.const 3) (i64.const 4)
                (br 1)
            end
            unreachable)"#
    );
    assert_eq!(ends(&fields, &[2, 3]), [(End::OutOfGas, 3), (End::Returned(vec![3, 4]), 3)]);
}

#[test]
fn what_the_end_of_gas_passes_through_does_not_catch_it() {
    let fields = format!(
        r#"{USE} (func $g (call $use (i32.const 5)))
        (func (export "f") (result i32)
            (block (try_table (catch_all 0) (call $use (i32.const 1)) (call $g)) (return (i32.const 1)))
            (i32.const 2))"#
    );
    assert_eq!(ends(&fields, &[0, 5, 6]), [(End::OutOfGas, 1), (End::OutOfGas, 6), (End::Returned(vec![1]), 6)]);
}

#[test]
fn a_module_without_a_meter_is_left_alone() {
    for fields in [
        "",
        r#"(import "metering" "usegas" (func (param f64)))"#,
        r#"(import "metering" "usegas" (func (param i32) (result i32)))"#,
        r#"(import "metering" "usegas" (func (param i32 i32)))"#,
        r#"(import "metering" "used" (func (param i32)))"#,
        r#"(import "env" "usegas" (func (param i32)))"#,
    ] {
        let wasm = assemble(&format!("(module {fields} (func))"));
        let metered = meter(&wasm).unwrap();
        assert!(matches!(metered.module, Cow::Borrowed(same) if same == wasm), "{fields}");
        assert_eq!(metered.meter, None);
    }
}

#[test]
fn a_function_with_very_many_blocks_calls_the_meter() {
    let most = super::sites::MOST_SITES;
    for (calls, is_inline) in [(most, true), (most + 1, false)] {
        let wasm = with_body(&[0x41, 1, 0x10, 0].repeat(calls));
        validate(&wasm);
        let (mut counted, mut metered) = (Guest::counted(&wasm), Guest::metered(&wasm));
        let calls = calls as i64;
        for limit in [calls, calls - 1, 3] {
            assert_eq!(metered.call("f", &[], limit), counted.call("f", &[], limit));
        }
        assert_eq!(metered.call("f", &[], calls).0, End::Returned(vec![]));
        assert_eq!(meter(&wasm).unwrap().module.len() > 3 * wasm.len(), is_inline);
    }
}

#[test]
fn a_function_that_would_be_too_large_calls_the_meter() {
    let mut code = [0x41, 1, 0x10, 0].repeat(10);
    // No instruction, as many as there is room for in a function.
    code.resize(7_654_300, 0x01);
    let wasm = with_body(&code);
    let metered = meter(&wasm).unwrap();
    assert!(metered.meter.is_some() && metered.module.len() < wasm.len() + 200);
    validate(&metered.module);
}

/// A module whose function `f` has this code, and where `usegas` is function 0.
fn with_body(code: &[u8]) -> Vec<u8> {
    use wasm_encoder::*;
    let mut module = wasm_encoder::Module::new();
    let mut types = TypeSection::new();
    types.ty().function([ValType::I32], []);
    types.ty().function([], []);
    let mut imports = ImportSection::new();
    imports.import(super::MODULE, super::NAME, EntityType::Function(0));
    let mut functions = FunctionSection::new();
    functions.function(1);
    let mut exports = ExportSection::new();
    exports.export("f", ExportKind::Func, 1);
    let mut function = Function::new([]);
    function.raw(code.iter().copied());
    function.instruction(&Instruction::End);
    let mut bodies = CodeSection::new();
    bodies.function(&function);
    module.section(&types).section(&imports).section(&functions).section(&exports).section(&bodies);
    module.finish()
}

#[test]
fn damaged_modules_are_errors_or_pass() {
    let wasm = assemble(&format!(
        r#"(module {USE} (table 1 funcref) (elem (i32.const 0) $use)
            (func (export "f") (result i32 i32)
                (block (loop (call $use (i32.const 300)) (br 1)))
                (call $use (i32.const -1)) (i32.const 1) (i32.const 2)))"#
    ));
    for length in 0..wasm.len() {
        drop(meter(&wasm[..length]));
    }
    for position in 8..wasm.len() {
        for byte in [0, 1, 0x7f, 0x80, 0xff] {
            let mut wasm = wasm.clone();
            wasm[position] = byte;
            drop(meter(&wasm));
        }
    }
}

#[test]
fn the_bytes_are_those_of_the_page_above() {
    let wasm = assemble(&format!(r#"(module {USE} (func (call $use (i32.const 17))))"#));
    let metered = meter(&wasm).unwrap().module.into_owned();
    let mut text = String::new();
    for payload in Parser::new(0).parse_all(&metered) {
        if let Payload::CodeSectionEntry(body) = payload.unwrap() {
            text = body.get_operators_reader().unwrap().into_iter().map(|it| format!("{:?}\n", it.unwrap())).collect();
            break;
        }
    }
    let names: Vec<&str> = text.lines().map(|line| line.split([' ', '{']).next().unwrap()).collect();
    assert_eq!(
        names,
        [
            "Block",
            "Block",
            "GlobalGet",
            "I64Const",
            "I64Sub",
            "LocalTee",
            "GlobalSet",
            "LocalGet",
            "I64Const",
            "I64LtS",
            "BrIf",
            "End",
            "Return",
            "End",
            "I32Const",
            "Call",
            "Unreachable",
            "End"
        ]
    );
}
