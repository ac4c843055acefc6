//! Functions that are more than work on the memory and the state.

use super::{exceptions, heap, time};
use crate::context::{Args, int};
use crate::embedder::Embedder;
use crate::function::Operation;
use crate::guest::{call_export, with_host};
use crate::wasi;
use wasmtime::StoreContextMut;

/// Does what calls the guest, or takes long.
pub(crate) async fn operate<T: Embedder>(
    store: &mut StoreContextMut<'_, T>,
    operation: Operation,
    args: &[u64],
) -> wasmtime::Result<u64> {
    let first = Args(args).pointer(0);
    match operation {
        Operation::BeginCatch => exceptions::begin_catch(store, first).await,
        Operation::EndCatch => exceptions::end_catch(store).await,
        Operation::FindMatchingCatch => {
            let (exception, ty) = exceptions::find_matching_catch(store, args).await?;
            set_temp_ret(store, ty as i32).await?;
            Ok(exception)
        }
        Operation::ExceptionPointer => exceptions::pointer(store, first).await,
        Operation::CurrentPrimary => exceptions::current_primary(store).await,
        Operation::AllocateException => exceptions::allocate(store, first).await,
        Operation::FreeException => exceptions::free(store, first).await,
        Operation::AddReference => exceptions::add_reference(store, first).await,
        Operation::DropReference => exceptions::drop_reference(store, first).await,
        Operation::Copy => heap::copy(store, Args(args)).await,
        Operation::ResizeHeap => heap::resize(store, first).await,
        Operation::HeapMax => Ok(heap::maximum(store)),
        Operation::Map => heap::map(store, Args(args)).await,
        Operation::MapReturning => heap::map_returning(store, Args(args)).await,
        Operation::MapBehindAddress => heap::map_behind_address(store, Args(args)).await,
        Operation::Unmap => heap::write_back(store, Args(args), true).await,
        Operation::Sync => heap::write_back(store, Args(args), false).await,
        Operation::ListDirectory => wasi::list_directory(store, Args(args)).await,
        Operation::RandomBytes => wasi::random_bytes(store, Args(args)).await,
        Operation::ZoneNames => time::zone_names(store, Args(args)).await,
    }
}

/// Passes the guest the upper half of a result.
pub(crate) async fn set_temp_ret<T: Embedder>(store: &mut StoreContextMut<'_, T>, half: i32) -> wasmtime::Result<()> {
    for name in ["setTempRet0", "_emscripten_tempret_set"] {
        if call_export(store, name, &[int(half)]).await?.is_some() {
            return Ok(());
        }
    }
    with_host(store, |host| {
        host.state.temp_ret = half;
        Ok(())
    })
}
