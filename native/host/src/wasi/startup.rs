//! What WASI says of the start of a program.

use crate::embedder::Embedder;
use crate::failure::Failure;
use crate::guest::call_export;
use crate::program::Initialize;
use wasmtime::StoreContextMut;

/// Initializes a program that has been instantiated: a reactor has `_initialize`, which runs before anything else, a
/// command `_start`, which is all of it.
///
/// # Errors
/// Those of the guest; [`Failure::Exit`] where the program ends with another status than 0.
pub(crate) async fn initialize<T: Embedder>(
    store: &mut StoreContextMut<'_, T>,
    initialize: Initialize,
) -> wasmtime::Result<()> {
    if initialize == Initialize::Nothing {
        return Ok(());
    }
    call_export(store, "_initialize", &[]).await?;
    if initialize == Initialize::Main
        && let Err(error) = call_export(store, "_start", &[]).await
        && !matches!(error.downcast_ref(), Some(Failure::Exit(0)))
    {
        return Err(error);
    }
    Ok(())
}
