//! The names of the time zone, in memory that the guest allocates.

use crate::context::Args;
use crate::embedder::Embedder;
use crate::guest::{call_export, with_host};
use wasmtime::StoreContextMut;

/// Where to write: the offset in seconds, whether there is summer time, and pointers to the names without and with it,
/// which the guest's `malloc` gives. Where those are there, all of it is: up to Emscripten 3.1.29 images ask each time,
/// and JavaScript answers once.
pub(crate) async fn zone_names<T: Embedder>(
    store: &mut StoreContextMut<'_, T>,
    args: Args<'_>,
) -> wasmtime::Result<u64> {
    /// What JavaScript calls UTC.
    const ZONE: &[u8] = b"Coordinated Universal Time\0";

    let (offset, daylight, names) = (args.pointer(0), args.pointer(1), args.pointer(2));
    if with_host(store, |host| host.memory.pointer(names))? != 0 {
        return Ok(0);
    }
    let mut addresses = [0; 2];
    for address in &mut addresses {
        *address = call_export(store, "malloc", &[ZONE.len() as u64]).await?.unwrap_or_default();
    }
    with_host(store, |host| {
        let memory = &mut host.memory;
        memory.put_pointer(offset, 0)?;
        memory.put_i32(daylight, 0)?;
        for address in addresses.into_iter().filter(|address| *address != 0) {
            memory.put(address, ZONE)?;
        }
        // As JavaScript has it where the two do not differ: the one that is made first comes last.
        let [first, second] = addresses;
        memory.put_pointer(names, second)?;
        memory.put_pointer(names.saturating_add(memory.width().bytes()), first)?;
        Ok(0)
    })
}
