//! The heap of the guest, and files mapped into it.

use super::abi::Kind::{Own, OwnOfFiles};
use super::abi::{Args, Fault, Function, Host, PAGE, int};
use super::files::Errno;
use super::serve::{call_export, guest_memory, with_host};
use crate::error::HostFailure;
use crate::limits::MEMORY_BYTES;
use crate::task::Data;
use wasmtime::StoreContextMut;

/// The heap grows by a fifth at a time, and by no more than this beyond what is asked for.
const MOST_SPARE: u64 = 96 << 20;

/// `PROT_WRITE` of `mmap`.
const PROT_WRITE: i32 = 2;
/// `MAP_PRIVATE` of `mmap`.
const MAP_PRIVATE: i32 = 2;

pub(crate) const FUNCTIONS: &[Function] = &[
    Function::env("_emscripten_memcpy_js", "ppp:", Own, copy),
    Function::env("emscripten_memcpy_js", "ppp:", Own, copy),
    Function::env("emscripten_memcpy_big", "ppp:", Own, copy),
    // Up to Emscripten 3.1.41 the offset into the file is as wide as a pointer.
    Function::env("_munmap_js", "ppiiij:i", OwnOfFiles, unmap),
    Function::env("_munmap_js", "ppiiip:i", OwnOfFiles, unmap),
    Function::env("_msync_js", "ppiiij:i", OwnOfFiles, unmap),
    Function::env("_msync_js", "ppiiip:i", OwnOfFiles, unmap),
];

/// What works on more than the bytes of the memory.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Operation {
    ResizeHeap,
    HeapMax,
    Map,
}

pub(crate) const OPERATIONS: &[Function<Operation>] = &[
    Function::env("emscripten_resize_heap", "p:i", Own, Operation::ResizeHeap),
    Function::env("emscripten_get_heap_max", ":p", Own, Operation::HeapMax),
    Function::env("_mmap_js", "piiijpp:i", OwnOfFiles, Operation::Map),
    Function::env("_mmap_js", "piiippp:i", OwnOfFiles, Operation::Map),
];

fn copy(host: &mut Host<'_>, args: Args<'_>) -> Result<u64, Fault> {
    host.memory.copy(args.pointer(0), args.pointer(1), args.pointer(2))?;
    Ok(0)
}

/// Writes a shared mapping back to its file; the library frees the memory.
fn unmap(host: &mut Host<'_>, args: Args<'_>) -> Result<u64, Fault> {
    let (address, size, protection, flags) = (args.pointer(0), args.pointer(1), args.int(2), args.int(3));
    if protection & PROT_WRITE == 0 || flags & MAP_PRIVATE != 0 {
        return Ok(0);
    }
    let written = match (host.memory.get(address, size), u64::try_from(args.wide(5))) {
        (Ok(bytes), Ok(offset)) => host.state.files.write_mapping(args.int(4), offset, bytes, host.now),
        (Err(_), _) => Err(Errno::FAULT),
        (_, Err(_)) => Err(Errno::INVAL),
    };
    Ok(int(written.map_or_else(Errno::negative, |()| 0)))
}

pub(crate) async fn serve(
    store: &mut StoreContextMut<'_, Data>,
    operation: Operation,
    args: &[u64],
) -> wasmtime::Result<u64> {
    match operation {
        Operation::ResizeHeap => resize_heap(store, Args(args).pointer(0)).await,
        Operation::HeapMax => Ok(heap_max(store)),
        Operation::Map => map(store, Args(args)).await,
    }
}

/// What the heap may grow to: the image's own limit, or the engine's.
fn heap_max(store: &mut StoreContextMut<'_, Data>) -> u64 {
    /// Pages that a pointer of 32 bits can tell the end of.
    const NARROW_PAGES: u64 = 65_535;

    let Some(memory) = guest_memory(store) else { return 0 };
    let ty = memory.ty(&*store);
    let most = if ty.is_64() { MEMORY_BYTES / PAGE } else { NARROW_PAGES };
    ty.maximum().map_or(most, |pages| pages.min(most)) * PAGE
}

/// Grows the memory to at least `wanted` bytes: 1, or 0 where that is more than it may have. By how much more is seen by
/// the guest, so that all hosts do the same: a fifth, then a tenth, then a twentieth.
async fn resize_heap(store: &mut StoreContextMut<'_, Data>, wanted: u64) -> wasmtime::Result<u64> {
    let Some(memory) = guest_memory(store) else { return Ok(0) };
    let ty = memory.ty(&*store);
    // An image that is built without growth. Its JavaScript does not let `malloc` fail, unless it is built so that it does,
    // of which the image has no trace.
    if ty.maximum() == Some(ty.minimum()) {
        return Err(HostFailure::Abort(format!("out of memory: no {wanted} bytes, and the memory cannot grow")).into());
    }
    let maximum = heap_max(store);
    if wanted > maximum {
        return Ok(0);
    }
    let size = memory.data_size(&*store) as u64;
    for part in [5, 10, 20] {
        let spare = (size + size / part).min(wanted.saturating_add(MOST_SPARE));
        let new = wanted.max(spare).next_multiple_of(PAGE).min(maximum);
        if new <= size {
            return Ok(1);
        }
        match memory.grow_async(&mut *store, (new - size) / PAGE).await {
            Ok(_) => return Ok(1),
            // The host cannot deliver what the limits allow: the guest may not see that.
            Err(error) if error.is::<HostFailure>() => return Err(error),
            Err(_) => {}
        }
    }
    Ok(0)
}

/// Maps a file: allocates in the guest's heap and copies what the file holds there.
async fn map(store: &mut StoreContextMut<'_, Data>, args: Args<'_>) -> wasmtime::Result<u64> {
    let (size, protection, flags, descriptor) = (args.pointer(0), args.int(1), args.int(2), args.int(3));
    let (offset, allocated, place) = (args.wide(4), args.pointer(5), args.pointer(6));
    let shared_write = protection & PROT_WRITE != 0 && flags & MAP_PRIVATE == 0;
    let allowed = with_host(store, |host| Ok(host.state.files.can_map(descriptor, shared_write)))?;
    let offset = match (allowed, u64::try_from(offset)) {
        (Err(errno), _) => return Ok(int(errno.negative())),
        (_, Err(_)) => return Ok(int(Errno::INVAL.negative())),
        (Ok(()), Ok(offset)) => offset,
    };
    let whole = size.checked_next_multiple_of(PAGE).unwrap_or(u64::MAX);
    let address = call_export(store, "emscripten_builtin_memalign", &[PAGE, whole]).await?;
    let Some(address) = address.filter(|address| *address != 0) else { return Ok(int(Errno::NOMEM.negative())) };
    with_host(store, |host| {
        let bytes = host.memory.get_mut(address, whole)?;
        bytes.fill(0);
        let contents = bytes.get_mut(..size as usize).unwrap_or_default();
        let read = host.state.files.read_mapping(descriptor, offset, contents);
        if let Err(errno) = read {
            return Ok(int(errno.negative()));
        }
        host.memory.put_i32(allocated, 1)?;
        host.memory.put_pointer(place, address)?;
        Ok(0)
    })
}
