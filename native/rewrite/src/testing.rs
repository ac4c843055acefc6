//! What the tests share: the engine that runs what was rewritten.

use std::sync::OnceLock;
use wasmparser::{Validator, WasmFeatures};
use wasmtime::{Collector, Config, Engine};

/// The proposals that modules of the tests use.
fn features() -> WasmFeatures {
    WasmFeatures::MUTABLE_GLOBAL
        | WasmFeatures::SATURATING_FLOAT_TO_INT
        | WasmFeatures::SIGN_EXTENSION
        | WasmFeatures::REFERENCE_TYPES
        | WasmFeatures::MULTI_VALUE
        | WasmFeatures::BULK_MEMORY
        | WasmFeatures::SIMD
        | WasmFeatures::TAIL_CALL
        | WasmFeatures::FLOATS
        | WasmFeatures::MULTI_MEMORY
        | WasmFeatures::MEMORY64
        | WasmFeatures::EXTENDED_CONST
        | WasmFeatures::EXCEPTIONS
        | WasmFeatures::GC_TYPES
}

pub(crate) fn validate(wasm: &[u8]) {
    Validator::new_with_features(features()).validate_all(wasm).unwrap();
}

fn engine(is_metered: bool) -> Engine {
    let mut config = Config::new();
    config.wasm_features(WasmFeatures::all().difference(features()), false);
    config.wasm_features(features(), true);
    config.collector(Collector::DeferredReferenceCounting);
    config.consume_fuel(is_metered);
    Engine::new(&config).unwrap()
}

/// An engine that counts fuel.
pub(crate) fn metered() -> &'static Engine {
    static ENGINE: OnceLock<Engine> = OnceLock::new();
    ENGINE.get_or_init(|| engine(true))
}

/// The same without fuel.
pub(crate) fn unmetered() -> &'static Engine {
    static ENGINE: OnceLock<Engine> = OnceLock::new();
    ENGINE.get_or_init(|| engine(false))
}
