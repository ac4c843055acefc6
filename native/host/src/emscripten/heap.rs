//! The heap of the guest, and files mapped into it.

use crate::context::{Args, HostCtx, int};
use crate::embedder::Embedder;
use crate::errno::Errno;
use crate::failure::Failure;
use crate::files::Place;
use crate::function::Call::Operation as Do;
use crate::function::{Function, OWN, OWN_FILE, Operation, env};
use crate::guest::{call_export, in_steps, leave_scheduler, with_host};
use crate::limits::{HEAP_SPARE_BYTES, PAGE, STEP_BYTES, WASM_PAGE};
use wasmtime::StoreContextMut;

/// `PROT_WRITE` of `mmap`.
const PROT_WRITE: i32 = 2;
/// `MAP_PRIVATE` of `mmap`.
const MAP_PRIVATE: i32 = 2;

pub(super) const FUNCTIONS: &[Function] = &[
    env("_emscripten_memcpy_js", "ppp:", OWN, Do(Operation::Copy)),
    env("emscripten_memcpy_js", "ppp:", OWN, Do(Operation::Copy)),
    env("emscripten_memcpy_big", "ppp:", OWN, Do(Operation::Copy)),
    // In Emscripten 3.1.6. Nobody looks at what it returns.
    env("emscripten_memcpy_big", "ppp:p", OWN, Do(Operation::Copy)),
    env("emscripten_resize_heap", "p:i", OWN, Do(Operation::ResizeHeap)),
    env("emscripten_get_heap_max", ":p", OWN, Do(Operation::HeapMax)),
    env("_mmap_js", "piiijpp:i", OWN_FILE, Do(Operation::Map)),
    // Up to Emscripten 3.1.41 the offset into the file is as wide as a pointer.
    env("_mmap_js", "piiippp:i", OWN_FILE, Do(Operation::Map)),
    // It returns the address from Emscripten 3.1.12 to 3.1.21.
    env("_mmap_js", "piiipp:p", OWN_FILE, Do(Operation::MapReturning)),
    env("_munmap_js", "ppiiij:i", OWN_FILE, Do(Operation::Unmap)),
    env("_munmap_js", "ppiiip:i", OWN_FILE, Do(Operation::Unmap)),
    env("_msync_js", "ppiiij:i", OWN_FILE, Do(Operation::Sync)),
    env("_msync_js", "ppiiip:i", OWN_FILE, Do(Operation::Sync)),
    // Up to Emscripten 3.1.22: no protection, and no offset.
    env("_msync_js", "ppii:i", OWN_FILE, Do(Operation::Sync)),
];

/// Up to Emscripten 3.1.11 the wanted address comes first.
pub(super) const FUNCTIONS_UNTIL_3_1_15: &[Function] =
    &[env("_mmap_js", "ppiiipp:p", OWN_FILE, Do(Operation::MapBehindAddress))];

/// Copies between places that may overlap.
pub(super) async fn copy<T: Embedder>(store: &mut StoreContextMut<'_, T>, args: Args<'_>) -> wasmtime::Result<u64> {
    let (to, from, size) = (args.pointer(0), args.pointer(1), args.pointer(2));
    with_host(store, |host| {
        host.memory.check(to, size)?;
        host.memory.check(from, size)?;
        host.memory.pay(size.saturating_mul(2))
    })?;
    if size > STEP_BYTES {
        leave_scheduler(store).await;
    }
    let is_backward = to > from;
    let copied = in_steps(store, size, STEP_BYTES, |host, done, count| {
        // What is still to be copied must not be overwritten.
        let start = if is_backward { size - done - count } else { done };
        host.memory.copy(to + start, from + start, count).map(Ok)
    });
    copied.await?.map_or_else(|errno| Ok(int(errno.negative())), |()| Ok(0))
}

/// What the heap may grow to: the image's own limit, or the engine's.
pub(super) fn maximum<T: Embedder>(store: &mut StoreContextMut<'_, T>) -> u64 {
    /// Pages that a pointer of 32 bits can tell the end of.
    const NARROW_PAGES: u64 = 65_535;

    let Some(memory) = store.data().memory() else { return 0 };
    let ty = memory.ty(&*store);
    let most = if ty.is_64() { T::MEMORY_BYTES / WASM_PAGE } else { NARROW_PAGES };
    ty.maximum().map_or(most, |pages| pages.min(most)) * WASM_PAGE
}

/// Grows the memory to at least `wanted` bytes: 1, or 0 where that is more than it may have. By how much more is seen by
/// the guest, so that all hosts do the same: a fifth, then a tenth, then a twentieth.
pub(super) async fn resize<T: Embedder>(store: &mut StoreContextMut<'_, T>, wanted: u64) -> wasmtime::Result<u64> {
    let Some(memory) = store.data().memory() else { return Ok(0) };
    let ty = memory.ty(&*store);
    // An image that is built without growth. Its JavaScript does not let `malloc` fail, unless it is built so that it does,
    // of which the image has no trace.
    if ty.maximum() == Some(ty.minimum()) {
        return Err(Failure::Abort(format!("out of memory: no {wanted} bytes, and the memory cannot grow")).into());
    }
    let maximum = maximum(store);
    if wanted > maximum {
        return Ok(0);
    }
    let size = memory.data_size(&*store) as u64;
    for part in [5, 10, 20] {
        let spare = (size + size / part).min(wanted.saturating_add(HEAP_SPARE_BYTES));
        let new = wanted.max(spare).next_multiple_of(WASM_PAGE).min(maximum);
        if new <= size {
            return Ok(1);
        }
        match memory.grow_async(&mut *store, (new - size) / WASM_PAGE).await {
            Ok(_) => return Ok(1),
            // The host cannot deliver what the limits allow: the guest may not see that.
            Err(error) if T::ends_call(&error) => return Err(error),
            Err(_) => {}
        }
    }
    Ok(0)
}

/// Maps a file, and writes where: 0, or the negative number of an error.
pub(super) async fn map<T: Embedder>(store: &mut StoreContextMut<'_, T>, args: Args<'_>) -> wasmtime::Result<u64> {
    match map_file(store, args).await? {
        Ok(address) => with_host(store, |host| host.memory.put_pointer(args.pointer(6), address).map(|()| 0)),
        Err(errno) => Ok(int(errno.negative())),
    }
}

/// Maps a file: the address, or the negative number of an error.
pub(super) async fn map_returning<T: Embedder>(
    store: &mut StoreContextMut<'_, T>,
    args: Args<'_>,
) -> wasmtime::Result<u64> {
    Ok(map_file(store, args).await?.unwrap_or_else(|errno| int(errno.negative())))
}

/// The same behind the address that the program wants. It gets another one.
pub(super) async fn map_behind_address<T: Embedder>(
    store: &mut StoreContextMut<'_, T>,
    args: Args<'_>,
) -> wasmtime::Result<u64> {
    map_returning(store, Args(args.0.get(1..).unwrap_or_default())).await
}

/// Allocates in the guest's heap and copies what the file holds there: the address.
async fn map_file<T: Embedder>(
    store: &mut StoreContextMut<'_, T>,
    args: Args<'_>,
) -> wasmtime::Result<Result<u64, Errno>> {
    let (size, protection, flags, descriptor) = (args.pointer(0), args.int(1), args.int(2), args.int(3));
    let (offset, allocated) = (args.wide(4), args.pointer(5));
    let shared = protection & PROT_WRITE != 0 && flags & MAP_PRIVATE == 0;
    // From here on it is about the file: while the guest allocates it may do anything with its descriptor.
    let place = match with_host(store, |host| Ok(host.state.files.to_map(descriptor, offset, shared)))? {
        Ok(place) => place,
        Err(errno) => return Ok(Err(errno)),
    };
    let whole = size.checked_next_multiple_of(WASM_PAGE).unwrap_or(u64::MAX);
    let address = call_export(store, "emscripten_builtin_memalign", &[WASM_PAGE, whole]).await?;
    let Some(address) = address.filter(|address| *address != 0) else { return Ok(Err(Errno::NOMEM)) };
    with_host(store, |host| {
        host.memory.check(address, whole)?;
        host.memory.pay(whole)
    })?;
    let copied = in_steps(store, whole, STEP_BYTES, |host, done, count| {
        let bytes = host.memory.room(address + done, count)?;
        clear(bytes);
        let contents = bytes.get_mut(..size.saturating_sub(done).min(count) as usize).unwrap_or_default();
        Ok(host.state.files.read_mapped(place.behind(done), contents))
    });
    if let Err(errno) = copied.await? {
        return Ok(Err(errno));
    }
    with_host(store, |host| {
        host.memory.put_i32(allocated, 1)?;
        let mapped = if shared { host.state.files.map(address, size, place) } else { Ok(()) };
        Ok(mapped.map(|()| address))
    })
}

/// Makes bytes zeros, and leaves alone those that are, so that memory which was never written takes nothing.
fn clear(bytes: &mut [u8]) {
    for page in bytes.chunks_mut(PAGE).filter(|page| page.iter().fold(0, |all, byte| all | byte) != 0) {
        page.fill(0);
    }
}

/// Writes a shared mapping back to its file, and forgets it where it ends; the library frees the memory.
pub(super) async fn write_back<T: Embedder>(
    store: &mut StoreContextMut<'_, T>,
    args: Args<'_>,
    ends: bool,
) -> wasmtime::Result<u64> {
    let (address, size) = (args.pointer(0), args.pointer(1));
    let begun = with_host(store, |host| {
        let (place, size) = match host.state.files.mapped(address) {
            Some((place, left)) => (place, size.min(left)),
            None => match unknown_mapping(host, args) {
                Ok(Some(place)) => (place, size),
                Ok(None) => return Ok(Ok(None)),
                Err(errno) => return Ok(Err(errno)),
            },
        };
        if host.memory.check(address, size).is_err() {
            return Ok(Err(Errno::FAULT));
        }
        host.memory.pay(size)?;
        Ok(host.state.files.within_file(place, size).map(|size| Some((place, size))))
    })?;
    let written = match begun {
        Ok(Some((place, size))) => {
            let written = in_steps(store, size, STEP_BYTES, |host, done, count| {
                let bytes = host.memory.room(address + done, count)?;
                Ok(host.state.files.write_mapped(place.behind(done), bytes, host.now))
            });
            written.await?
        }
        Ok(None) => Ok(()),
        Err(errno) => Err(errno),
    };
    with_host(store, |host| {
        if ends {
            host.state.files.unmap(address);
        }
        Ok(int(written.map_or_else(Errno::negative, |()| 0)))
    })
}

/// The place of a mapping that the host does not know, if it is to be written back: one of a state that was saved when
/// the library's record, with the descriptor, was all that there was.
fn unknown_mapping(host: &HostCtx<'_>, args: Args<'_>) -> Result<Option<Place>, Errno> {
    /// With the descriptor and the offset.
    const ALL: usize = 6;

    let (address, size, protection, flags) = (args.pointer(0), args.pointer(1), args.int(2), args.int(3));
    if args.0.len() < ALL || protection & PROT_WRITE == 0 || flags & MAP_PRIVATE != 0 {
        return Ok(None);
    }
    host.memory.check(address, size)?;
    host.state.files.to_map(args.int(4), args.wide(5), true).map(Some)
}
