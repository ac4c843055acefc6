//! One call of a function of the host.

use crate::bind::Binding;
use crate::context::{Args, int};
use crate::embedder::{Embedder, Intercepted};
use crate::emscripten::{operate, set_temp_ret};
use crate::errno::Errno;
use crate::failure::Failure;
use crate::function::{Call, Work};
use crate::guest::{call_export, with_files, with_host};
use crate::limits::{SHORT_PARTS, SHORT_PARTS_BYTES};
use wasmtime::{AsContextMut, StoreContextMut, Val};

/// The body of an import that the host serves. It is intercepted where the call wants that and it is safe: not on
/// descriptors that the program has opened here.
///
/// # Errors
/// A [`Failure`], [`wasmtime::Trap::OutOfFuel`], and those of functions of the guest and of the embedder.
pub async fn serve<T: Embedder>(
    mut store: StoreContextMut<'_, T>,
    binding: &Binding,
    import: &T::Import,
    params: &[Val],
    results: &mut [Val],
) -> wasmtime::Result<()> {
    let args = binding.args(params);
    let flags = binding.flags;
    // Without a state there is nothing yet but what a program finds open.
    let is_own_descriptor =
        |data: &T| flags.on_descriptor && data.state().is_some_and(|state| state.files.has_opened(Args(&args).int(0)));
    if flags.interceptable
        && store.data().is_intercepted(import)
        && !is_own_descriptor(store.data())
        && T::intercept(store.as_context_mut(), import, params, results).await? == Intercepted::Answered
    {
        return Ok(());
    }
    if takes_long(&store, binding, Args(&args)) {
        T::leave_scheduler(&store).await;
    }
    let value = match binding.call {
        Call::Plain(function) => with_host(&mut store, |host| function(host, Args(&args))),
        Call::Syscall(function) => {
            with_files(&mut store, |host| Ok(int(function(host, Args(&args)).unwrap_or_else(Errno::negative)))).await
        }
        Call::Wasi(function) => {
            with_files(&mut store, |host| Ok(int(function(host, Args(&args)).map_or_else(Errno::positive, |()| 0))))
                .await
        }
        Call::Library(function) => match with_host(&mut store, |host| Ok(function(host, Args(&args))))? {
            Ok(value) => Ok(int(value)),
            Err(errno) => set_errno(&mut store, errno).await.map(|()| int(-1)),
        },
        Call::Operation(operation) => operate(&mut store, operation, &args).await,
    };
    let value = value.map_err(|error| name(binding, error))?;
    // What prints may take long, so this looks at nothing else.
    let stream = store.data().state().filter(|_| flags.work != Work::Short).and_then(|state| state.files.stream());
    if stream.is_some_and(|stream| stream.is_full()) {
        T::pause().await;
    }
    if binding.is_halved() {
        set_temp_ret(&mut store, (value >> 32) as i32).await?;
    }
    if let (Some(result), Some(value)) = (results.first_mut(), binding.result(value)) {
        *result = value;
    }
    Ok(())
}

/// Whether a function may take longer than a scheduler has time for.
fn takes_long<T: Embedder>(store: &StoreContextMut<'_, T>, binding: &Binding, args: Args<'_>) -> bool {
    let are_small = || store.data().state().is_none_or(|state| state.files.are_small());
    match binding.flags.work {
        Work::Short => false,
        Work::Files => matches!(binding.call, Call::Operation(_)) || !are_small(),
        Work::Parts => !are_small() || parts_bytes(store, args).is_none_or(|bytes| bytes > SHORT_PARTS_BYTES),
        Work::Any => true,
    }
}

/// How many bytes the parts of a read or write have together. `None` where that is not known at a glance.
fn parts_bytes<T: Embedder>(store: &StoreContextMut<'_, T>, args: Args<'_>) -> Option<u64> {
    let width = store.data().width().bytes() as usize;
    let (at, count) = (usize::try_from(args.pointer(1)).ok()?, args.pointer(2));
    let count = usize::try_from(Some(count).filter(|count| *count <= SHORT_PARTS)?).ok()?;
    let parts = store.data().memory()?.data(store).get(at..at.checked_add(2 * width * count)?)?;
    parts.chunks_exact(2 * width).try_fold(0_u64, |all, part| {
        let mut size = [0; 8];
        size.get_mut(..width)?.copy_from_slice(part.get(width..)?);
        all.checked_add(u64::from_le_bytes(size))
    })
}

/// Sets C's `errno`, if the guest says where it is.
async fn set_errno<T: Embedder>(store: &mut StoreContextMut<'_, T>, errno: Errno) -> wasmtime::Result<()> {
    match call_export(store, "__errno_location", &[]).await? {
        Some(at) => with_host(store, |host| host.memory.put_i32(at, errno.positive())),
        None => Ok(()),
    }
}

/// An error that says which import was given an address outside of the memory.
fn name(binding: &Binding, error: wasmtime::Error) -> wasmtime::Error {
    match error.downcast_ref() {
        // One that has a name already is of an import further in.
        Some(Failure::OutOfBounds(None)) => Failure::OutOfBounds(Some(binding.name.to_string())).into(),
        _ => error,
    }
}
