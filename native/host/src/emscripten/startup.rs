//! What Emscripten's loader does before calls of a guest.

use crate::abi::Abi;
use crate::context::int;
use crate::embedder::Embedder;
use crate::failure::Failure;
use crate::guest::{call_export, leave_scheduler, with_host};
use crate::program::Initialize;
use wasmtime::StoreContextMut;

/// Initializes a program that has been instantiated.
///
/// # Errors
/// Those of the guest; [`Failure::Exit`] where `main` returns another status than 0.
pub(crate) async fn initialize<T: Embedder>(
    store: &mut StoreContextMut<'_, T>,
    initialize: Initialize,
) -> wasmtime::Result<()> {
    if initialize == Initialize::Nothing {
        return Ok(());
    }
    call_export(store, "emscripten_stack_init", &[]).await?;
    set_stack_limits(store).await?;
    first(store, &["__wasm_call_ctors", "_initialize"], &[]).await?;
    if initialize == Initialize::Constructors && runs_main(store) {
        return run_main(store).await;
    }
    if initialize == Initialize::Main {
        match main(store).await {
            Err(error) if matches!(error.downcast_ref(), Some(Failure::Exit(0))) => {}
            Err(error) => return Err(error),
            Ok(0) => {}
            Ok(status) => return Err(Failure::Exit(status).into()),
        }
    }
    Ok(())
}

/// Whether `main` belongs to the start of a process, as with AO's loader in its first three formats.
fn runs_main<T: Embedder>(store: &mut StoreContextMut<'_, T>) -> bool {
    store.data().abi() <= Abi::Until3_1_58 && ["handle", "main"].iter().all(|name| T::export(store, name).is_some())
}

/// Runs `main` as JavaScript does there: its status does not matter, and in the second format its arguments stay on the
/// stack. Later calls have their stack below.
async fn run_main<T: Embedder>(store: &mut StoreContextMut<'_, T>) -> wasmtime::Result<()> {
    let has_arguments = store.data().abi() < Abi::Until3_1_58 && T::export(store, "emscripten_stack_init").is_some();
    let arguments = if has_arguments { push_arguments(store).await? } else { [0, 0] };
    match first(store, &["main"], &arguments).await {
        Err(error) if matches!(error.downcast_ref(), Some(Failure::Exit(_))) => Ok(()),
        result => result.map(drop),
    }
}

/// Puts the vector of arguments on the guest's stack, and below it the name of the program and each argument.
async fn push_arguments<T: Embedder>(store: &mut StoreContextMut<'_, T>) -> wasmtime::Result<[u64; 2]> {
    let pointer = store.data().width().bytes();
    let (count, _) = sizes(store).await?;
    let Some(vector) = first(store, &["stackAlloc"], &[(count + 1) * pointer]).await? else { return Ok([0, 0]) };
    let (mut place, mut position) = (vector, 0);
    for _ in 0..count {
        let size = with_host(store, |host| Ok(host.state.program.arguments().at(position).map_or(0, <[u8]>::len)))?;
        let Some(text) = first(store, &["stackAlloc"], &[size as u64]).await? else { return Ok([0, 0]) };
        with_host(store, |host| {
            host.memory.put(text, host.state.program.arguments().at(position).unwrap_or_default())?;
            host.memory.put_pointer(place, text)
        })?;
        place = place.saturating_add(pointer);
        position += size;
    }
    with_host(store, |host| host.memory.put_pointer(place, 0))?;
    Ok([count, vector])
}

/// How many arguments there are, and how many bytes they have with their NULs. Where that is much the guest goes on where
/// it may take long.
async fn sizes<T: Embedder>(store: &mut StoreContextMut<'_, T>) -> wasmtime::Result<(u64, u64)> {
    /// A fraction of a millisecond.
    const MUCH: u64 = 64 << 10;

    let (count, bytes) = with_host(store, |host| {
        let arguments = host.state.program.arguments();
        Ok((arguments.count(), arguments.bytes()))
    })?;
    if bytes + 8 * count > MUCH {
        leave_scheduler(store).await;
    }
    Ok((count, bytes))
}

/// Tells code that looks after the stack (`STACK_OVERFLOW_CHECK=2`) where that begins and ends, if there is such code.
async fn set_stack_limits<T: Embedder>(store: &mut StoreContextMut<'_, T>) -> wasmtime::Result<()> {
    if T::export(store, "__set_stack_limits").is_none() {
        return Ok(());
    }
    let base = call_export(store, "emscripten_stack_get_base", &[]).await?;
    let end = call_export(store, "emscripten_stack_get_end", &[]).await?;
    if let Some((base, end)) = base.zip(end) {
        call_export(store, "__set_stack_limits", &[base, end]).await?;
    }
    Ok(())
}

/// Runs `main` with the name of the program for its one argument, and gives what it returns.
async fn main<T: Embedder>(store: &mut StoreContextMut<'_, T>) -> wasmtime::Result<i32> {
    if let Some(status) = first(store, &["_start", "__main_void"], &[]).await? {
        return Ok(status as i32);
    }
    let before = stack(store).await?;
    let (count, bytes) = sizes(store).await?;
    // The vector of arguments with its end, and the texts.
    let vector_bytes = 8 * (count + 1);
    let space = vector_bytes + bytes;
    let mut arguments = [int(0), 0];
    if let Some(vector) = first(store, &["_emscripten_stack_alloc", "stackAlloc"], &[space]).await? {
        with_host(store, |host| {
            let text = vector.saturating_add(vector_bytes);
            host.state.program.arguments().put(&mut host.memory, vector, text)?;
            let end = vector.saturating_add(count * host.memory.width().bytes());
            host.memory.put_pointer(end, 0)
        })?;
        // No more than a program can be given.
        arguments = [count, vector];
    }
    let status = first(store, &["main", "__main_argc_argv"], &arguments).await;
    // Also where it has ended the program in the middle.
    if let Some(before) = before {
        first(store, &["_emscripten_stack_restore", "stackRestore"], &[before]).await?;
    }
    Ok(status?.unwrap_or_default() as i32)
}

/// Where the guest's stack ends now, if it tells.
async fn stack<T: Embedder>(store: &mut StoreContextMut<'_, T>) -> wasmtime::Result<Option<u64>> {
    first(store, &["emscripten_stack_get_current", "stackSave"], &[]).await
}

/// Calls the first of these exports that there is.
async fn first<T: Embedder>(
    store: &mut StoreContextMut<'_, T>,
    names: &[&str],
    args: &[u64],
) -> wasmtime::Result<Option<u64>> {
    for name in names {
        if let Some(result) = call_export(store, name, args).await? {
            return Ok(Some(result));
        }
    }
    Ok(None)
}
