//! What images built with Emscripten find in their host, seen from Rust. What real ones do with it is tested from Erlang.

// Helpers of tests are tests, too; `clippy.toml` excepts only what is marked as one.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

use hb_wasm64_engine::LinkedImage;
use hb_wasm64_engine::error::Error;
use hb_wasm64_engine::image::hash;
use hb_wasm64_engine::value::{Arg, Value};
use hb_wasm64_engine::{
    Access, CallOptions, CallRequest, Caller, FuncName, Given, Initialize, Instance, Progress, Response, Runtime,
    Slice, StartRequest, TicketId,
};
use std::sync::Arc;

type Guest = Instance<(), ()>;

fn caller(ticket: TicketId) -> Caller<'static, (), impl Fn()> {
    Caller { scope: None, ticket, process: (), owner: || () }
}

fn image(wat: &str) -> Result<Arc<LinkedImage>, Error> {
    let bytes = wat::parse_str(wat).unwrap();
    LinkedImage::compile(hash(&bytes), &bytes).map(Arc::new)
}

fn start(wat: &str, initialize: Initialize) -> Result<Guest, Error> {
    let guest = Guest::new(image(wat)?);
    let ticket = TicketId::fresh();
    let mut progress =
        guest.start(caller(ticket), StartRequest { initialize, ..StartRequest::default() }, Slice::Long).progress;
    while let Progress::Yielded | Progress::Deferred = progress {
        progress = guest.resume(caller(ticket), Slice::Long, None).progress;
    }
    match progress {
        Progress::Finished(result) | Progress::Measured(result, _) => result.map(|_| guest),
        other => panic!("{other:?}"),
    }
}

fn guest(wat: &str) -> Guest {
    start(wat, Initialize::default()).unwrap()
}

/// Calls a function; imports that reach Erlang are answered with 77.
fn call(guest: &Guest, name: &str, args: &[i128]) -> Result<Vec<Value>, Error> {
    call_with(guest, CallRequest { func: FuncName::Export(name), ..request(args) })
}

fn request(args: &[i128]) -> CallRequest<'static> {
    let args = args.iter().map(|n| Arg::Int(*n)).collect();
    CallRequest { func: FuncName::Entry(0), args, options: CallOptions::default() }
}

fn with_fuel(fuel: u64) -> CallOptions {
    CallOptions { fuel: Some(fuel), ..CallOptions::default() }
}

fn call_with(guest: &Guest, request: CallRequest<'_>) -> Result<Vec<Value>, Error> {
    let ticket = TicketId::fresh();
    let mut progress = guest.call(caller(ticket), request, Slice::Long, Some(())).progress;
    loop {
        match progress {
            Progress::Finished(result) | Progress::Measured(result, _) => return result,
            Progress::Yielded | Progress::Deferred => {}
            Progress::Import(asked) => {
                drop(guest.respond(&asked.scope, Response::Results(&[Arg::Int(77)])).unwrap());
            }
            Progress::Waiting => panic!("nobody else is there"),
            Progress::Long(_) => panic!("a call is not for a background thread"),
        }
        progress = guest.resume(caller(ticket), Slice::Long, Some(())).progress;
    }
}

/// A module with what Emscripten's library has: a stack pointer at 1000 that can be read and set, and `setThrew`, which
/// counts in `threw`. `PTR` is the type of a pointer, `TABLE` what comes before the limits of the table.
fn module(pointer: &str, table: &str, rest: &str) -> String {
    r#"(module
        (import "env" "_emscripten_throw_longjmp" (func $longjmp))
        (import "env" "invoke_vi" (func $invoke_vi (param PTR i32)))
        (import "env" "invoke_ij" (func $invoke_ij (param PTR i64) (result i32)))
        (import "env" "invoke_d" (func $invoke_d (param PTR) (result f64)))
        (import "env" "unknown" (func $unknown (param i32) (result i32)))
        (memory (export "memory") MEMORY 1)
        (table $t (export "__indirect_function_table") TABLE 10 funcref)
        (global $sp (mut PTR) (PTR.const 1000))
        (global $threw (mut i32) (i32.const 0))
        (func $nothing (param i32))
        (func $jump (param i32) (global.set $sp (PTR.const 500)) (call $longjmp))
        (func $trap (param i32) unreachable)
        (func $sum (param i64) (result i32) (i32.add (i32.wrap_i64 (local.get 0)) (i32.const 1)))
        (func $half (result f64) (f64.const 0.5))
        (func $jump_d (result f64) (call $longjmp) (f64.const 1))
        (func $ask (param i32) (drop (call $unknown (local.get 0))))
        (func $deep (param i32) (call $invoke_vi (PTR.const 1) (i32.const 0)) (call $longjmp))
        (func $spin (param i32) (loop (br 0)))
        (elem (table $t) (OFFSET 0) func
            $nothing $jump $trap $sum $half $jump_d $ask $deep $spin)
        (func (export "setThrew") (param PTR i32) (global.set $threw (i32.add (global.get $threw) (i32.const 1))))
        (func (export "emscripten_stack_get_current") (result PTR) (global.get $sp))
        (func (export "_emscripten_stack_restore") (param PTR) (global.set $sp (local.get 0)))
        (func (export "threw") (result i32) (global.get $threw))
        (func (export "vi") (param PTR) (result i32)
            (call $invoke_vi (local.get 0) (i32.const 0)) (global.get $threw))
        (func (export "ij") (param PTR i64) (result i32) (call $invoke_ij (local.get 0) (local.get 1)))
        (func (export "d") (param PTR) (result f64) (call $invoke_d (local.get 0)))
        (func (export "jump") (call $jump (i32.const 0)))
        REST)"#
        .replace("REST", rest)
        .replace("MEMORY", if pointer == "i64" { "i64" } else { "" })
        .replace("OFFSET", if table == "i64" { "i64.const" } else { "i32.const" })
        .replace("TABLE", if table == "i64" { "i64" } else { "" })
        .replace("PTR", pointer)
}

const SHAPES: [(&str, &str); 3] = [("i32", "i32"), ("i64", "i32"), ("i64", "i64")];

fn threw(guest: &Guest) -> Result<Vec<Value>, Error> {
    call(guest, "threw", &[])
}

fn stack(guest: &Guest) -> i64 {
    match call(guest, "emscripten_stack_get_current", &[]).unwrap().as_slice() {
        [Value::I32(n)] => i64::from(*n),
        [Value::I64(n)] => *n,
        other => panic!("{other:?}"),
    }
}

#[test]
fn invoke_calls_an_entry_of_the_table_and_gives_what_it_gives() {
    for (pointer, table) in SHAPES {
        let guest = guest(&module(pointer, table, ""));
        assert_eq!(call(&guest, "vi", &[0]), Ok(vec![Value::I32(0)]), "{pointer} {table}");
        assert_eq!(call(&guest, "ij", &[3, 41]), Ok(vec![Value::I32(42)]));
        assert_eq!(call(&guest, "d", &[4]), Ok(vec![Value::F64(0.5f64.to_bits())]));
    }
}

#[test]
fn invoke_catches_a_longjmp_and_puts_the_stack_back() {
    for (pointer, table) in SHAPES {
        let guest = guest(&module(pointer, table, ""));
        assert_eq!(call(&guest, "vi", &[1]), Ok(vec![Value::I32(1)]));
        assert_eq!(stack(&guest), 1000);
        assert_eq!(call(&guest, "d", &[5]), Ok(vec![Value::F64(0)]), "a function that jumps gives zero");
        assert_eq!(
            call(&guest, "vi", &[7]),
            Ok(vec![Value::I32(4)]),
            "the inner one is caught inside, the outer outside"
        );
    }
}

#[test]
fn a_longjmp_that_nobody_catches_is_an_exception_and_the_stack_is_put_back() {
    for (pointer, table) in SHAPES {
        let guest = guest(&module(pointer, table, ""));
        let expected = Error::Exception { tag: Some("__c_longjmp".into()), values: Vec::new() };
        assert_eq!(call(&guest, "jump", &[]), Err(expected));
        assert_eq!(stack(&guest), 1000);
        assert_eq!(threw(&guest), Ok(vec![Value::I32(0)]));
    }
}

#[test]
fn invoke_catches_nothing_else() {
    for (pointer, table) in SHAPES {
        let guest = guest(&module(pointer, table, ""));
        let trap = |entry: i128| match call(&guest, "vi", &[entry]) {
            Err(Error::Trap(info)) => info.code,
            other => panic!("{other:?}"),
        };
        assert_eq!(trap(2), "unreachable");
        assert_eq!(trap(3), "bad_signature");
        assert_eq!(trap(9), "indirect_call_to_null");
        assert!(["table_out_of_bounds", "unreachable"].contains(&trap(10)));
        if pointer == "i64" {
            assert!(["table_out_of_bounds", "unreachable"].contains(&trap(1 << 32)), "a number is not cut to 32 bits");
        }
        let spent = CallRequest { func: FuncName::Export("vi"), options: with_fuel(100_000), ..request(&[8]) };
        assert!(matches!(call_with(&guest, spent), Err(Error::Limit(_))));
        assert_eq!(threw(&guest), Ok(vec![Value::I32(0)]));
        assert_eq!(stack(&guest), 1000);
    }
}

#[test]
fn an_import_in_an_invoke_goes_to_erlang_and_its_failure_is_not_caught() {
    let guest = guest(&module("i64", "i32", ""));
    assert_eq!(call(&guest, "vi", &[6]), Ok(vec![Value::I32(0)]));

    let ticket = TicketId::fresh();
    let request = CallRequest { func: FuncName::Export("vi"), ..request(&[6]) };
    let progress = guest.call(caller(ticket), request, Slice::Long, Some(())).progress;
    let Progress::Import(asked) = progress else { panic!("{progress:?}") };
    assert_eq!(guest.respond(&asked.scope, Response::Pass).err(), Some(Error::NotInterceptable));
    let refused = hb_wasm64_engine::error::ImportFailure::Refused(Arc::from([1]));
    drop(guest.respond(&asked.scope, Response::Failed(refused.clone())).unwrap());
    let progress = guest.resume(caller(ticket), Slice::Long, Some(())).progress;
    assert!(matches!(progress, Progress::Finished(Err(Error::ImportFailed(failure))) if failure == refused));
    assert_eq!(threw(&guest), Ok(vec![Value::I32(0)]));
}

/// Why an image is refused.
fn refused(wat: &str) -> String {
    match image(wat) {
        Err(Error::Unsupported(text)) => text,
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("it is not refused"),
    }
}

#[test]
fn invoke_without_what_it_takes_is_refused() {
    for (pointer, table) in SHAPES {
        let whole = module(pointer, table, "");
        for name in ["setThrew", "emscripten_stack_get_current", "_emscripten_stack_restore"] {
            let text = refused(&whole.replace(name, "other"));
            assert_eq!(text, format!("the import env.invoke_vi requires the export {name}"));
        }
        let text = refused(
            &whole
                .replace("__indirect_function_table", "t")
                .replace("(global $sp (mut", "(table 1 funcref) (global $sp (mut"),
        );
        assert_eq!(text, "the import env.invoke_vi requires the export __indirect_function_table");
    }
    let import = r#"(module (import "env" "invoke_jj" (func $invoke_jj (param i32 i32 i32) (result i32)))"#;
    let text = refused(&module("i32", "i32", "").replacen("(module", import, 1));
    assert_eq!(text, "the import env.invoke_jj requires the export dynCall_jj");
}

#[test]
fn an_export_of_another_type_is_not_what_invoke_takes() {
    let text = refused(&module("i64", "i32", "").replace("\"setThrew\") (param i64", "\"setThrew\") (param i32"));
    assert_eq!(text, "the import env.invoke_vi requires the export setThrew");
}

#[test]
fn invoke_of_another_type_than_its_name_says_is_an_import_like_others() {
    for (name, params) in
        [("i", "f32"), ("ii", "i32 f64"), ("ij", "i32 i32"), ("i%", "i32"), ("", "i32"), ("vi", "i32 i32")]
    {
        let wat = format!(
            r#"(module (import "env" "invoke_{name}" (func $invoke (param {params}) (result i32)))
                (func (export "run") (param {params}) (result i32) {} (call $invoke)))"#,
            (0..params.split(' ').count()).map(|index| format!("(local.get {index}) ")).collect::<String>(),
        );
        let args = vec![0; params.split(' ').count()];
        assert_eq!(call(&guest(&wat), "run", &args), Ok(vec![Value::I32(77)]), "{name}");
    }
}

#[test]
fn invoke_of_a_signature_that_the_module_passes_in_halves_takes_the_twin_that_does() {
    let rest = r#"(func (export "dynCall_jj") (param i32 i32 i32) (result i32)
            (i32.add (local.get 0) (i32.add (local.get 1) (local.get 2))))
        (func (export "jj") (result i32) (call $invoke_jj (i32.const 100) (i32.const 20) (i32.const 3)))"#;
    let import = r#"(module (import "env" "invoke_jj" (func $invoke_jj (param i32 i32 i32) (result i32)))"#;
    let guest = guest(&module("i32", "i32", rest).replacen("(module", import, 1));
    assert_eq!(call(&guest, "jj", &[]), Ok(vec![Value::I32(123)]));
}

#[test]
fn exceptions_of_the_module_pass_through_invoke() {
    let rest = r#"(tag $own (export "own") (param i32))
        (func $throw (param i32) (throw $own (i32.const 9)))
        (func (export "pass") (call $invoke_vi (i64.const 9) (i32.const 0)))
        (elem (table $t) (i32.const 9) func $throw)"#;
    let guest = guest(&module("i64", "i32", rest));
    let expected = Error::Exception { tag: Some("own".into()), values: vec![Value::I32(9)] };
    assert_eq!(call(&guest, "pass", &[]), Err(expected));
    assert_eq!(call(&guest, "vi", &[1]), Ok(vec![Value::I32(1)]), "and longjmp has a tag of its own");
}

#[test]
fn what_names_an_import_that_unwinds_names_its_function() {
    let rest = r#"(export "again" (func $invoke_vi)) (export "away" (func $longjmp))
        (elem declare func $longjmp)
        (elem (table $t) (i32.const 9) func $longjmp)
        (type $plain (func))
        (func (export "through_the_table") (call_indirect (type $plain) (i32.const 9)))"#;
    let guest = guest(&module("i64", "i32", rest));
    call(&guest, "again", &[1, 0]).unwrap();
    assert_eq!(threw(&guest), Ok(vec![Value::I32(1)]));
    let jump = Err(Error::Exception { tag: Some("__c_longjmp".into()), values: Vec::new() });
    assert_eq!(call(&guest, "away", &[]), jump);
    assert_eq!(call(&guest, "through_the_table", &[]), jump);
}

#[test]
fn a_million_jumps_leave_nothing_behind() {
    let rest = r#"(func (export "many") (param i32)
        (loop
            (call $invoke_vi (i64.const 1) (i32.const 0))
            (br_if 0 (local.tee 0 (i32.sub (local.get 0) (i32.const 1))))))"#;
    let guest = guest(&module("i64", "i32", rest));
    call(&guest, "many", &[1_000_000]).unwrap();
    assert_eq!(threw(&guest), Ok(vec![Value::I32(1_000_000)]));
    assert_eq!(guest.memory_bytes(), 65_536);
}

#[test]
fn a_description_shows_the_imports_and_exports_that_the_module_has() {
    let image = image(&module("i64", "i32", "")).unwrap();
    let names: Vec<&str> = image.imports().iter().map(|import| &*import.name).collect();
    assert_eq!(names, ["_emscripten_throw_longjmp", "invoke_vi", "invoke_ij", "invoke_d", "unknown"]);
    assert!(image.exports().iter().all(|export| export.kind != "tag" && !export.name.contains("hb_wasm64")));
    assert_eq!(image.runtime(), Some(Runtime::Emscripten));
}

const STARTING: &str = r#"(module
    (import "env" "_abort_js" (func $abort))
    (import "env" "exit" (func $exit (param i32)))
    (memory (export "memory") 1)
    (global $steps (mut i32) (i32.const 0))
    (func $step (param i32)
        (global.set $steps (i32.add (i32.mul (global.get $steps) (i32.const 10)) (local.get 0))))
    (func (export "emscripten_stack_init") (call $step (i32.const 1)))
    (func (export "__wasm_call_ctors") (call $step (i32.const 2)))
    (func (export "main") (param i32 i32) (result i32) (call $step (i32.const 3)) MAIN)
    (func (export "steps") (result i32) (global.get $steps)))"#;

fn steps(initialize: Initialize, main: &str) -> Result<Vec<Value>, Error> {
    start(&STARTING.replace("MAIN", main), initialize).and_then(|guest| call(&guest, "steps", &[]))
}

#[test]
fn a_program_starts_with_its_stack_and_its_constructors_and_main_on_demand() {
    let zero = "(i32.const 0)";
    assert_eq!(steps(Initialize::Constructors, zero), Ok(vec![Value::I32(12)]));
    assert_eq!(steps(Initialize::Nothing, zero), Ok(vec![Value::I32(0)]));
    assert_eq!(steps(Initialize::Main, zero), Ok(vec![Value::I32(123)]));
}

#[test]
fn a_program_has_the_time_of_its_start_and_the_start_function_none() {
    let wat = r#"(module
        (import "env" "emscripten_date_now" (func $now (result f64)))
        (memory (export "memory") 1)
        (global $begun (mut f64) (f64.const -1)) (global $made (mut f64) (f64.const 0)) (global $ran (mut f64) (f64.const 0))
        (func $begin (global.set $begun (call $now)))
        (start $begin)
        (func (export "__wasm_call_ctors") (global.set $made (call $now)))
        (func (export "main") (param i32 i32) (result i32) (global.set $ran (call $now)) (i32.const 0))
        (func (export "begun") (result f64) (global.get $begun))
        (func (export "made") (result f64) (global.get $made))
        (func (export "ran") (result f64) (global.get $ran))
        (func (export "now") (result f64) (call $now)))"#;
    let guest = Guest::new(image(wat).unwrap());
    let request = StartRequest { initialize: Initialize::Main, time: 5, ..StartRequest::default() };
    let progress = guest.start(caller(TicketId::fresh()), request, Slice::Long).progress;
    assert!(matches!(progress, Progress::Finished(Ok(_))), "{progress:?}");
    for (name, time) in [("begun", 0f64), ("made", 5.0), ("ran", 5.0)] {
        assert_eq!(call(&guest, name, &[]), Ok(vec![Value::F64(time.to_bits())]), "{name}");
    }
    assert_eq!(call(&guest, "now", &[]), Ok(vec![Value::F64(0)]), "and it ends with the start");
}

#[test]
fn main_has_the_arguments_that_the_start_gives() {
    let wat = r#"(module
        (import "env" "emscripten_date_now" (func $now (result f64)))
        (memory (export "memory") 1)
        (global $stack (mut i32) (i32.const 65536))
        (global $count (mut i32) (i32.const 0)) (global $seen (mut i32) (i32.const 0))
        (func (export "stackSave") (result i32) (global.get $stack))
        (func (export "stackRestore") (param i32) (global.set $stack (local.get 0)))
        (func (export "stackAlloc") (param i32) (result i32)
            (global.set $stack (i32.and (i32.sub (global.get $stack) (local.get 0)) (i32.const -16)))
            (global.get $stack))
        (func (export "main") (param i32 i32) (result i32)
            (global.set $count (local.get 0))
            ;; The first letters of each, and the end of the vector.
            (global.set $seen (i32.add
                (i32.load8_u (i32.load (local.get 1)))
                (i32.add (i32.mul (i32.const 1000) (i32.load8_u (i32.load offset=4 (local.get 1))))
                    (i32.mul (i32.const 1000000) (i32.load offset=12 (local.get 1))))))
            (i32.load8_u (i32.load offset=8 (local.get 1))))
        (func (export "count") (result i32) (global.get $count))
        (func (export "seen") (result i32) (global.get $seen)))"#;
    let guest = Guest::new(image(wat).unwrap());
    let given = Given { args: Some(vec![b"abc".to_vec(), Vec::new()]), ..Given::default() };
    let request = StartRequest { initialize: Initialize::Main, given, ..StartRequest::default() };
    let progress = guest.start(caller(TicketId::fresh()), request, Slice::Long).progress;
    assert!(matches!(progress, Progress::Finished(Ok(_))), "{progress:?}");
    assert_eq!(call(&guest, "count", &[]), Ok(vec![Value::I32(3)]));
    let seen = i32::from(b'.') + 1000 * i32::from(b'a');
    assert_eq!(call(&guest, "seen", &[]), Ok(vec![Value::I32(seen)]));
    assert_eq!(call(&guest, "stackSave", &[]), Ok(vec![Value::I32(65536)]));
}

#[test]
fn main_may_end_the_program_and_its_status_tells_whether_it_started() {
    assert_eq!(steps(Initialize::Main, "(call $exit (i32.const 0)) (i32.const 5)"), Ok(vec![Value::I32(123)]));
    assert_eq!(steps(Initialize::Main, "(call $exit (i32.const 4)) (i32.const 0)"), Err(Error::Exit(4)));
    assert_eq!(steps(Initialize::Main, "(i32.const 6)"), Err(Error::Exit(6)));
    let Err(Error::Trap(trap)) = steps(Initialize::Main, "(call $abort) (i32.const 0)") else { panic!() };
    assert_eq!((trap.code, trap.message.as_str()), ("abort", "aborted: native code called abort()"));
}

#[test]
fn constructors_end_when_their_fuel_does() {
    let spin = STARTING.replace("(call $step (i32.const 2))", "(loop (br 0))").replace("MAIN", "(i32.const 0)");
    let guest = Guest::new(image(&spin).unwrap());
    let ticket = TicketId::fresh();
    let mut progress = guest
        .start(caller(ticket), StartRequest { fuel: Some(1_000_000), ..StartRequest::default() }, Slice::Long)
        .progress;
    while let Progress::Yielded | Progress::Deferred = progress {
        progress = guest.resume(caller(ticket), Slice::Long, None).progress;
    }
    assert!(matches!(progress, Progress::Finished(Err(Error::Limit(_)))), "{progress:?}");
}

#[test]
fn an_image_that_runs_without_javascript_is_one_of_wasi() {
    let standalone = image(
        r#"(module
            (import "env" "_emscripten_system" (func (param i32) (result i32)))
            (import "env" "exit" (func (param i32)))
            (import "env" "__syscall_openat" (func (param i32 i32 i32 i32) (result i32)))
            (import "wasi_snapshot_preview1" "fd_write" (func (param i32 i32 i32 i32) (result i32)))
            (memory (export "memory") 1))"#,
    );
    let standalone = standalone.unwrap();
    assert_eq!(standalone.runtime(), Some(Runtime::Wasi));
    // The rest of the runtime is not there: a program may have such a function of its own.
    let served: Vec<bool> = standalone.imports().iter().map(|import| import.interceptable).collect();
    assert_eq!(served, [false, false, true, true]);
}

#[test]
fn an_import_of_another_type_than_emscriptens_goes_to_erlang() {
    let wat = r#"(module
        (import "env" "_abort_js" (func))
        (import "env" "exit" (func $exit (param i64) (result i32)))
        (memory (export "memory") 1)
        (func (export "run") (result i32) (call $exit (i64.const 1))))"#;
    assert_eq!(call(&guest(wat), "run", &[]), Ok(vec![Value::I32(77)]));
}

#[test]
fn a_heap_grows_as_emscriptens_does_and_no_further_than_the_image_allows() {
    let wat = r#"(module
        (import "env" "emscripten_resize_heap" (func $resize (param i32) (result i32)))
        (import "env" "emscripten_get_heap_max" (func $max (result i32)))
        (memory (export "memory") 16 32)
        (func (export "resize") (param i32) (result i32) (call $resize (local.get 0)))
        (func (export "max") (result i32) (call $max)))"#;
    let guest = guest(wat);
    let page = 65_536;
    assert_eq!(call(&guest, "max", &[]), Ok(vec![Value::I32(32 * page)]));
    assert_eq!(call(&guest, "resize", &[i128::from(16 * page + 1)]), Ok(vec![Value::I32(1)]));
    assert_eq!(guest.memory_bytes(), 20 * page as u64, "a fifth more, in whole pages");
    assert_eq!(call(&guest, "resize", &[i128::from(30 * page)]), Ok(vec![Value::I32(1)]));
    assert_eq!(guest.memory_bytes(), 30 * page as u64);
    assert_eq!(call(&guest, "resize", &[i128::from(33 * page)]), Ok(vec![Value::I32(0)]));
    assert_eq!(call(&guest, "resize", &[0xffff_ffff]), Ok(vec![Value::I32(0)]));
}

#[test]
fn functions_of_the_host_and_the_guest_do_not_call_each_other_without_end() {
    let wat = r#"(module
        (import "env" "__cxa_get_exception_ptr" (func $get (param i32) (result i32)))
        (memory (export "memory") 1)
        (func (export "__cxa_is_pointer_type") (param i32) (result i32) (call $get (i32.const 1000)))
        (func (export "run") (result i32) (call $get (i32.const 1000))))"#;
    let guest = guest(wat);
    for _ in 0..3 {
        let Err(Error::Trap(trap)) = call(&guest, "run", &[]) else { panic!() };
        assert_eq!(trap.code, "stack_overflow");
    }
}

#[test]
fn calls_that_are_cancelled_in_a_function_of_the_host_count_no_longer() {
    let wat = r#"(module
        (import "env" "__cxa_get_exception_ptr" (func $get (param i32) (result i32)))
        (memory (export "memory") 1)
        (func (export "__cxa_is_pointer_type") (param i32) (result i32)
            (loop (br_if 0 (i32.load (i32.const 8)))) (i32.const 0))
        (func (export "spin") (result i32) (i32.store (i32.const 8) (i32.const 1)) (call $get (i32.const 1000)))
        (func (export "run") (result i32) (i32.store (i32.const 8) (i32.const 0)) (call $get (i32.const 1000))))"#;
    let guest = guest(wat);
    for _ in 0..20 {
        let ticket = TicketId::fresh();
        let request = CallRequest { func: FuncName::Export("spin"), ..request(&[]) };
        let progress = guest.call(caller(ticket), request, Slice::Long, Some(())).progress;
        assert!(matches!(progress, Progress::Yielded), "{progress:?}");
        drop(guest.cancel(ticket));
    }
    assert_eq!(call(&guest, "run", &[]), Ok(vec![Value::I32(1000)]));
}

#[test]
fn work_of_the_host_takes_fuel() {
    let wat = r#"(module
        (import "env" "_emscripten_memcpy_js" (func $copy (param i32 i32 i32)))
        (memory (export "memory") 40)
        (func (export "run") (loop (call $copy (i32.const 0) (i32.const 1) (i32.const 2000000)) (br 0))))"#;
    let spent = CallRequest { func: FuncName::Export("run"), options: with_fuel(10_000_000), ..request(&[]) };
    assert!(matches!(call_with(&guest(wat), spent), Err(Error::Limit(_))));
}

#[test]
fn a_message_of_an_assertion_is_cut() {
    let wat = r#"(module
        (import "env" "_abort_js" (func))
        (import "env" "__assert_fail" (func $fail (param i32 i32 i32 i32)))
        (memory (export "memory") 40)
        (func (export "run")
            (memory.fill (i32.const 16) (i32.const 255) (i32.const 2000000))
            (call $fail (i32.const 16) (i32.const 16) (i32.const 7) (i32.const 0))))"#;
    let Err(Error::Trap(trap)) = call(&guest(wat), "run", &[]) else { panic!() };
    assert_eq!(trap.code, "abort");
    assert!(trap.message.len() < 10_000 && trap.message.ends_with(":7, unknown function"), "{}", trap.message.len());
}

#[test]
fn exceptions_of_a_call_that_failed_are_forgotten() {
    let wat = r#"(module
        (import "env" "__cxa_throw" (func $throw (param i32 i32 i32)))
        (import "env" "__cxa_begin_catch" (func $catch (param i32) (result i32)))
        (import "env" "__cxa_find_matching_catch_2" (func (result i32)))
        (import "env" "__cxa_uncaught_exceptions" (func $uncaught (result i32)))
        (memory (export "memory") 1)
        (func (export "throw") (call $throw (i32.const 1000) (i32.const 8) (i32.const 0)))
        (func (export "trap") (drop (call $catch (i32.const 1000))) unreachable)
        (func (export "uncaught") (result i32) (call $uncaught)))"#;
    let guest = guest(wat);
    let expected = Error::Exception { tag: Some("__cpp_exception".into()), values: vec![Value::I32(1000)] };
    assert_eq!(call(&guest, "throw", &[]), Err(expected));
    assert_eq!(call(&guest, "uncaught", &[]), Ok(vec![Value::I32(0)]));
    for _ in 0..1000 {
        assert!(matches!(call(&guest, "trap", &[]), Err(Error::Trap(trap)) if trap.code == "unreachable"));
    }
    assert_eq!(call(&guest, "uncaught", &[]), Ok(vec![Value::I32(0)]));
}

#[test]
fn a_standalone_image_that_tells_of_growth_is_not_emscriptens() {
    let growing = r#"(module
        (import "env" "emscripten_notify_memory_growth" (func (param i32)))
        (import "wasi_snapshot_preview1" "fd_write" (func (param i32 i32 i32 i32) (result i32)))
        (memory (export "memory") 1))"#;
    assert_ne!(image(growing).unwrap().runtime(), Some(Runtime::Emscripten));
}

#[test]
fn a_program_that_ends_in_main_leaves_its_stack_as_it_was() {
    let main = "(global.set $sp (i32.const 500)) (call $exit (i32.const 0)) (i32.const 0)";
    let stack = r#"(global $sp (mut i32) (i32.const 1000))
        (func (export "emscripten_stack_get_current") (result i32) (global.get $sp))
        (func (export "_emscripten_stack_restore") (param i32) (global.set $sp (local.get 0)))
        (func (export "steps")"#;
    let wat = STARTING.replace("MAIN", main).replace("(func (export \"steps\")", stack);
    let guest = start(&wat, Initialize::Main).unwrap();
    assert_eq!(stack_of(&guest), Ok(vec![Value::I32(1000)]));
}

fn stack_of(guest: &Guest) -> Result<Vec<Value>, Error> {
    call(guest, "emscripten_stack_get_current", &[])
}

#[test]
fn a_heap_of_32_bits_ends_where_pointers_do() {
    let wat = r#"(module
        (import "env" "emscripten_get_heap_max" (func $max (result i32)))
        (memory (export "memory") 1)
        (func (export "max") (result i32) (call $max)))"#;
    assert_eq!(call(&guest(wat), "max", &[]), Ok(vec![Value::I32(-65_536)]));
}

#[test]
fn a_module_without_code_of_its_own_is_left_as_it_is() {
    let wat = r#"(module (import "env" "_emscripten_throw_longjmp" (func $jump)) (export "jump" (func $jump)))"#;
    assert_eq!(call(&guest(wat), "jump", &[]), Ok(vec![]));
}

#[test]
fn what_unwinds_has_the_types_of_emscripten_or_is_something_else() {
    let wat = r#"(module
        (import "env" "_emscripten_throw_longjmp" (func $jump (param i32) (result i32)))
        (import "env" "__resumeException" (func $resume (param f32)))
        (memory (export "memory") 1)
        (func (export "jump") (result i32) (call $jump (i32.const 1)))
        (func (export "resume") (call $resume (f32.const 1))))"#;
    let guest = guest(wat);
    assert_eq!(call(&guest, "jump", &[]), Ok(vec![Value::I32(77)]));
    assert_eq!(call(&guest, "resume", &[]), Ok(vec![]));
}

#[test]
fn nothing_is_thrown_again_where_there_is_no_exception() {
    let wat = r#"(module
        (import "env" "__cxa_rethrow_primary_exception" (func $rethrow (param i32)))
        (import "env" "__cxa_find_matching_catch_2" (func (result i32)))
        (memory (export "memory") 1)
        (func (export "rethrow") (call $rethrow (i32.const 0))))"#;
    assert_eq!(call(&guest(wat), "rethrow", &[]), Ok(vec![]));
}

/// Whether a call gives its thread back before it is done.
fn yields(wat: &str, name: &str) -> bool {
    let guest = guest(wat);
    let ticket = TicketId::fresh();
    let request = CallRequest { func: FuncName::Export(name), ..request(&[]) };
    match guest.call(caller(ticket), request, Slice::Short, Some(())).progress {
        Progress::Finished(Ok(_)) => false,
        Progress::Yielded => true,
        other => panic!("{other:?}"),
    }
}

#[test]
fn only_what_moves_much_leaves_the_scheduler() {
    let wat = r#"(module
        (import "env" "_abort_js" (func))
        (import "env" "__syscall_openat" (func $open (param i32 i32 i32 i32) (result i32)))
        (import "wasi_snapshot_preview1" "clock_time_get" (func $clock (param i32 i64 i32) (result i32)))
        (import "wasi_snapshot_preview1" "environ_sizes_get" (func $environ (param i32 i32) (result i32)))
        (import "wasi_snapshot_preview1" "args_sizes_get" (func $args (param i32 i32) (result i32)))
        (import "wasi_snapshot_preview1" "sched_yield" (func $yield (result i32)))
        (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
        (memory (export "memory") 2)
        (data (i32.const 24) "/a")
        (func (export "clock") (drop (call $clock (i32.const 0) (i64.const 0) (i32.const 8))))
        (func (export "environ") (drop (call $environ (i32.const 8) (i32.const 8))))
        (func (export "args") (drop (call $args (i32.const 8) (i32.const 8))))
        (func (export "yield") (drop (call $yield)))
        (func $part (param $bytes i32)
            (i32.store (i32.const 16) (i32.const 65536)) (i32.store (i32.const 20) (local.get $bytes)))
        (func $print (param $parts i32) (drop (call $write (i32.const 1) (i32.const 16) (local.get $parts) (i32.const 8))))
        (func (export "print little") (call $part (i32.const 65536)) (call $print (i32.const 1)))
        (func (export "print much") (call $part (i32.const 65537)) (call $print (i32.const 1)))
        (func (export "print in many parts") (call $print (i32.const 17)))
        ;; A file of so many times 64 KiB.
        (func $file (param $count i32) (local $fd i32)
            (memory.fill (i32.const 65536) (i32.const 7) (i32.const 65536))
            (i32.store (i32.const 8) (i32.const 0x1b6))
            (local.set $fd (call $open (i32.const -100) (i32.const 24) (i32.const 0x42) (i32.const 8)))
            (call $part (i32.const 65536))
            (loop $next
                (drop (call $write (local.get $fd) (i32.const 16) (i32.const 1) (i32.const 8)))
                (br_if $next (local.tee $count (i32.sub (local.get $count) (i32.const 1))))))
        (func (export "a small file") (call $file (i32.const 1)))
        (func (export "a large file") (call $file (i32.const 70))))"#;
    for name in ["clock", "environ", "args", "yield", "print little", "a small file"] {
        assert!(!yields(wat, name), "{name}");
    }
    for name in ["print much", "print in many parts", "a large file"] {
        assert!(yields(wat, name), "{name}");
    }
}

fn trap(guest: &Guest, name: &str) -> (&'static str, String) {
    match call(guest, name, &[]) {
        Err(Error::Trap(trap)) => (trap.code, trap.message),
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_ends_a_call_says_which_import_it_was() {
    let wat = r#"(module
        (import "env" "_gmtime_js" (func $gmtime (param i64 i32)))
        (import "env" "__cxa_begin_catch" (func $catch (param i32) (result i32)))
        (import "env" "__cxa_end_catch" (func $end))
        (import "env" "__cxa_rethrow" (func $rethrow))
        (import "env" "_emscripten_memcpy_js" (func $copy (param i32 i32 i32)))
        (memory (export "memory") 1)
        (func (export "__cxa_increment_exception_refcount") (param i32) (call $copy (i32.const -1) (i32.const 0) (i32.const 9)))
        (func (export "gmtime") (call $gmtime (i64.const 0) (i32.const -4)))
        (func (export "catch") (drop (call $catch (i32.const 70000))))
        (func (export "inner") (drop (call $catch (i32.const 1000))))
        (func (export "end") (call $end))
        (func (export "rethrow") (call $rethrow)))"#;
    let guest = guest(wat);
    let outside =
        |import: &str| ("memory_out_of_bounds", format!("env.{import} was given an address outside of the memory"));
    assert_eq!(trap(&guest, "gmtime"), outside("_gmtime_js"));
    assert_eq!(trap(&guest, "catch"), outside("__cxa_begin_catch"));
    assert_eq!(trap(&guest, "inner"), outside("_emscripten_memcpy_js"));
    assert_eq!(trap(&guest, "end"), ("abort", "aborted: __cxa_end_catch: no exception is caught".into()));
    let rethrow = "aborted: __cxa_rethrow: there is no exception to throw again";
    assert_eq!(trap(&guest, "rethrow"), ("abort", rethrow.into()));
}

#[test]
fn what_javascript_aborts_for_ends_the_call_and_says_so() {
    let wat = r#"(module
        (import "env" "__cxa_call_unexpected" (func $unexpected (param i32)))
        (import "env" "__handle_stack_overflow" (func $overflow (param i32)))
        (memory (export "memory") 1)
        (func (export "unexpected") (call $unexpected (i32.const 8)))
        (func (export "overflow") (call $overflow (i32.const -16))))"#;
    let guest = guest(wat);
    let (code, message) = trap(&guest, "unexpected");
    assert!(code == "abort" && message.contains("__cxa_call_unexpected"), "{message}");
    assert_eq!(
        trap(&guest, "overflow"),
        ("abort", "aborted: stack overflow: the stack pointer would be 0xfffffff0".into())
    );
}

#[test]
fn code_that_looks_after_the_stack_is_told_its_limits_before_anything_runs() {
    for pointer in ["i32", "i64"] {
        let wat = r#"(module
            (import "env" "_abort_js" (func))
            (memory (export "memory") MEMORY 1)
            (global $base (mut PTR) (PTR.const 0))
            (global $limits (mut PTR) (PTR.const 0))
            (global $seen (mut PTR) (PTR.const 0))
            (func (export "emscripten_stack_init") (global.set $base (PTR.const 9000)))
            (func (export "emscripten_stack_get_base") (result PTR) (global.get $base))
            (func (export "emscripten_stack_get_end") (result PTR) (PTR.const 16))
            (func (export "__set_stack_limits") (param PTR PTR)
                (global.set $limits (PTR.sub (local.get 0) (local.get 1))))
            (func (export "__wasm_call_ctors") (global.set $seen (global.get $limits)))
            (func (export "seen") (result PTR) (global.get $seen)))"#
            .replace("MEMORY", if pointer == "i64" { "i64" } else { "" })
            .replace("PTR", pointer);
        let expected = if pointer == "i64" { Value::I64(8984) } else { Value::I32(8984) };
        assert_eq!(call(&guest(&wat), "seen", &[]), Ok(vec![expected]));
    }
}

#[test]
fn a_text_is_printed_as_far_as_is_said() {
    let wat = r#"(module
        (import "env" "emscripten_outn" (func $out (param i32 i32)))
        (import "env" "emscripten_errn" (func $err (param i32 i32)))
        (memory (export "memory") 1)
        (data (i32.const 8) "hello world\00behind")
        (func (export "run")
            (call $out (i32.const 8) (i32.const 5))
            (call $err (i32.const 14) (i32.const 100))))"#;
    let guest = guest(wat);
    assert_eq!(call(&guest, "run", &[]), Ok(vec![]));
    let said = guest.output(caller(TicketId::fresh()), |out, err| (out.to_vec(), err.to_vec()));
    assert_eq!(said.progress, Access::Done((b"hello\n".to_vec(), b"world\n".to_vec())));
}

#[test]
fn a_memory_that_cannot_grow_ends_the_call_as_with_javascript() {
    let wat = |limits: &str| {
        r#"(module
            (import "env" "emscripten_resize_heap" (func $resize (param i32) (result i32)))
            (memory (export "memory") LIMITS)
            (func (export "resize") (result i32) (call $resize (i32.const 196608))))"#
            .replace("LIMITS", limits)
    };
    let (code, message) = trap(&guest(&wat("2 2")), "resize");
    assert!(code == "abort" && message.contains("out of memory") && message.contains("196608"), "{message}");
    let growing = guest(&wat("2 3"));
    assert_eq!(call(&growing, "resize", &[]), Ok(vec![Value::I32(1)]));
    let full = guest(&wat("1 2"));
    for _ in 0..2 {
        assert_eq!(call(&full, "resize", &[]), Ok(vec![Value::I32(0)]), "growth is there, and has an end");
    }
}

/// A copy that takes long lets others have their turn, and what overlaps comes out as if it had been copied at once.
#[test]
fn a_long_copy_pauses() {
    const MIB: usize = 1 << 20;
    const SIZE: usize = 130 * MIB;
    let guest = guest(
        r#"(module
            (import "env" "_emscripten_memcpy_js" (func $copy (param i32 i32 i32)))
            (memory (export "memory") 2112)
            (func (export "copy") (param i32 i32 i32)
                (call $copy (local.get 0) (local.get 1) (local.get 2))))"#,
    );
    let number = |place: usize| ((place / 4) as u32).to_le_bytes();
    for (to, from) in [(MIB, 0), (0, MIB), (8, 0)] {
        let filled = guest.access(caller(TicketId::fresh()), move |memory| {
            memory.chunks_exact_mut(4).enumerate().for_each(|(at, bytes)| bytes.copy_from_slice(&number(4 * at)));
        });
        assert!(matches!(filled.progress, Access::Done(())));

        let ticket = TicketId::fresh();
        let args = [to, from, SIZE].map(|number| number as i128);
        let call = CallRequest { func: FuncName::Export("copy"), ..request(&args) };
        let mut progress = guest.call(caller(ticket), call, Slice::Long, None).progress;
        let mut pauses = 0;
        while let Progress::Yielded | Progress::Deferred = progress {
            pauses += 1;
            progress = guest.resume(caller(ticket), Slice::Long, None).progress;
        }
        assert!(matches!(progress, Progress::Finished(Ok(_))), "{progress:?}");
        assert!(pauses >= 2, "{pauses} pauses for {SIZE} bytes");

        let wrong = guest.access(caller(TicketId::fresh()), move |memory| {
            let source = |place: usize| if (to..to + SIZE).contains(&place) { place - to + from } else { place };
            (0..memory.len()).step_by(4).find(|place| memory[*place..place + 4] != number(source(*place)))
        });
        assert!(matches!(wrong.progress, Access::Done(None)), "{to} {from}: {:?}", wrong.progress);
    }
}
