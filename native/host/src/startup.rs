//! What is done with a program before calls of it.

use crate::embedder::Embedder;
use crate::program::Initialize;
use crate::runtime::Runtime;
use crate::{emscripten, wasi};
use wasmtime::StoreContextMut;

/// Initializes a program that has been instantiated.
///
/// # Errors
/// Those of the guest; [`Failure::Exit`](crate::Failure::Exit) where `main` returns another status than 0.
pub async fn initialize<T: Embedder>(
    store: &mut StoreContextMut<'_, T>,
    runtime: Runtime,
    initialize: Initialize,
) -> wasmtime::Result<()> {
    match runtime {
        Runtime::Emscripten => emscripten::initialize(store, initialize).await,
        Runtime::Wasi | Runtime::AssemblyScript => wasi::initialize(store, initialize).await,
    }
}
