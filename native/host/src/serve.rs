//! One call of a function of the host.

use crate::bind::Binding;
use crate::context::{Args, HostCtx, int};
use crate::embedder::{Embedder, Intercepted};
use crate::emscripten::{operate, set_temp_ret};
use crate::errno::Errno;
use crate::failure::{Failure, Fault};
use crate::function::{Call, Flags, Work};
use crate::guest::{call_export, leave_scheduler, with_files, with_host};
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
    if is_intercepted(store.data(), binding, import, Args(&args))
        && T::intercept(store.as_context_mut(), import, params, results).await? == Intercepted::Answered
    {
        return Ok(());
    }
    if takes_long(&store, binding, Args(&args)) {
        leave_scheduler(&store).await;
    }
    let value = match binding.call {
        Call::Operation(operation) => operate(&mut store, operation, &args).await.map(Ok),
        call => with_files(&mut store, |host| run(call, host, Args(&args))).await,
    };
    let value = match value.map_err(|error| name(binding, error))? {
        Ok(value) => value,
        Err(errno) => set_errno(&mut store, errno).await.map(|()| int(-1))?,
    };
    // What prints may take long, so this looks at nothing else.
    let is_short = binding.flags.work == Work::Short;
    let stream = store.data().state().filter(|_| !is_short).and_then(|state| state.files.stream());
    if stream.is_some_and(|stream| stream.is_full()) {
        T::pause().await;
    }
    if binding.is_halved() {
        set_temp_ret(&mut store, (value >> 32) as i32).await?;
    }
    set_result(binding, value, results);
    Ok(())
}

/// Does the same where nobody has to be waited for, as with most calls: without a future that could wait. `None` where
/// somebody may have to be; then nothing has been done.
pub fn serve_at_once<T: Embedder>(
    mut store: StoreContextMut<'_, T>,
    binding: &Binding,
    import: &T::Import,
    params: &[Val],
    results: &mut [Val],
) -> Option<wasmtime::Result<()>> {
    let args = binding.args(params);
    let is_other = matches!(binding.call, Call::Library(_) | Call::Operation(_)) || binding.is_halved();
    let data = store.data();
    if is_other
        || is_intercepted(data, binding, import, Args(&args))
        || data.state().is_some_and(|state| state.files.may_wait())
        || data.is_on_scheduler() && takes_long(&store, binding, Args(&args))
    {
        return None;
    }
    let value = with_host(&mut store, |host| run(binding.call, host, Args(&args)));
    Some(match value {
        Ok(value) => {
            set_result(binding, value.unwrap_or_else(|_| int(-1)), results);
            Ok(())
        }
        Err(error) => Err(name(binding, error)),
    })
}

/// Whether somebody outside is asked first.
fn is_intercepted<T: Embedder>(data: &T, binding: &Binding, import: &T::Import, args: Args<'_>) -> bool {
    let Flags { interceptable, on_descriptor, .. } = binding.flags;
    // Without a state there is nothing yet but what a program finds open.
    let is_own_descriptor = || on_descriptor && data.state().is_some_and(|state| state.files.has_opened(args.int(0)));
    interceptable && data.is_intercepted(import) && !is_own_descriptor()
}

/// Does what is no operation.
fn run(call: Call, host: &mut HostCtx<'_>, args: Args<'_>) -> Result<Result<u64, Errno>, Fault> {
    call.run(host, args).unwrap_or(Ok(Err(Errno::NOSYS)))
}

fn set_result(binding: &Binding, value: u64, results: &mut [Val]) {
    if let (Some(result), Some(value)) = (results.first_mut(), binding.result(value)) {
        *result = value;
    }
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
