//! A module from practice.

use std::path::Path;
use std::time::Instant;

use wasmtime::Module;

use crate::support::{engine, lowered, not_run};

#[test]
fn aos_image_lowers_and_compiles() {
    let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data/aos-2-pure-xs.wasm"));
    let Ok(wasm) = std::fs::read(path) else {
        not_run("aos_image_lowers_and_compiles", &format!("there is no {}", path.display()));
        return;
    };
    let start = Instant::now();
    let lowered_only = hb_wasm64_rewrite::lower::lower(&wasm).expect("the module lowers");
    println!("lowered {} bytes to {} in {:?}", wasm.len(), lowered_only.len(), start.elapsed());
    Module::new(engine(), lowered(&wasm)).expect("the lowered module compiles");
}
