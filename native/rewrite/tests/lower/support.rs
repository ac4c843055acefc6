//! What the tests share: validation before and after, and running a module.

use std::fmt::Write;
use std::sync::OnceLock;

use hb_wasm64_rewrite::lower::lower;
use wasmparser::{Validator, WasmFeatures};
use wasmtime::{Collector, Config, Engine, Instance, Module, Store, Tag, ThrownException, Val};

/// Says that a test was not run, and why, where it is counted: what a test prints is shown only if it fails.
pub fn not_run(test: &str, why: &str) {
    use std::io::Write;
    writeln!(std::io::stderr(), "NOT RUN: 1, {why} ({test})").expect("standard error is there");
}

/// An engine that refuses legacy instructions.
pub fn engine() -> &'static Engine {
    static ENGINE: OnceLock<Engine> = OnceLock::new();
    ENGINE.get_or_init(|| {
        let mut config = Config::new();
        config
            .wasm_exceptions(true)
            .wasm_function_references(true)
            .wasm_gc(true)
            .wasm_memory64(true)
            .wasm_multi_memory(true)
            .wasm_tail_call(true)
            .collector(Collector::DeferredReferenceCounting);
        Engine::new(&config).expect("the engine starts")
    })
}

pub fn validate(wasm: &[u8], legacy: bool) -> Result<(), wasmparser::Error> {
    let mut features = WasmFeatures::all();
    features.set(WasmFeatures::LEGACY_EXCEPTIONS, legacy);
    Validator::new_with_features(features).validate_all(wasm).map(drop)
}

/// Lowers a valid module, which must come out valid without legacy instructions.
pub fn lowered(wasm: &[u8]) -> Vec<u8> {
    validate(wasm, true).expect("the original is valid");
    let lowered = lower(wasm).expect("the module lowers");
    validate(&lowered, false).expect("the lowered module is valid without legacy instructions");
    lowered.into_owned()
}

pub fn assemble(wat: &str) -> Vec<u8> {
    wat::parse_str(wat).expect("the text is well formed")
}

/// Calls the export `run` of a lowered module and describes what happens: `returns`, `throws` or `traps` with the
/// values, then the export `trace` if there is one. An exception is described when its tag is exported.
pub fn run(lowered: &[u8], args: &[i32]) -> String {
    let module = Module::new(engine(), lowered).expect("the lowered module compiles");
    call(&module, args)
}

/// [`run`] for a module that is compiled.
pub fn call(module: &Module, args: &[i32]) -> String {
    let mut store = Store::new(engine(), ());
    let instance = Instance::new(&mut store, module, &[]).expect("the module instantiates");
    let run = instance.get_func(&mut store, "run").expect("the module exports run");
    let args: Vec<Val> = args.iter().map(|&arg| Val::I32(arg)).collect();
    let mut results = vec![Val::I32(0); run.ty(&store).results().len()];
    let mut description = match run.call(&mut store, &args, &mut results) {
        Ok(()) => format!("returns{}", values(results)),
        Err(error) if error.is::<ThrownException>() => describe_exception(&mut store, instance),
        Err(_) => "traps".to_owned(),
    };
    if let Some(trace) = instance.get_global(&mut store, "trace") {
        let trace = trace.get(&mut store);
        write!(description, ", trace{}", values([trace])).expect("strings take everything");
    }
    description
}

fn describe_exception(store: &mut Store<()>, instance: Instance) -> String {
    let exception = store.take_pending_exception().expect("the exception is pending");
    let tag = exception.tag(&mut *store).expect("the exception has a tag");
    let tags: Vec<(String, Tag)> = instance
        .exports(&mut *store)
        .filter_map(|export| Some((export.name().to_owned(), export.into_extern().into_tag()?)))
        .collect();
    let Some((name, _)) = tags.iter().find(|(_, candidate)| Tag::eq(candidate, &tag, &*store)) else {
        return "throws".to_owned();
    };
    let fields: Vec<Val> = exception.fields(&mut *store).expect("the exception has fields").collect();
    format!("throws {name}{}", values(fields))
}

fn values(values: impl IntoIterator<Item = Val>) -> String {
    values.into_iter().fold(String::new(), |text, value| match value {
        Val::I32(value) => format!("{text} {value}"),
        Val::I64(value) => format!("{text} {value}"),
        other => panic!("{other:?} is not among the types that are compared"),
    })
}
