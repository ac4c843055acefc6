//! What takes a function of the guest's own C library.

use super::abi::Kind::{Open, Own};
use super::abi::{Args, Function, int};
use super::files::Errno;
use super::serve::{call_export, with_host};
use crate::task::Data;
use wasmtime::StoreContextMut;

#[derive(Clone, Copy, Debug)]
pub(crate) enum Operation {
    /// `tzset`, as it is up to Emscripten 3.1.54.
    ZoneNames,
    /// `getentropy`, which later images have themselves, on top of `random_get`.
    Entropy,
}

pub(crate) const OPERATIONS: &[Function<Operation>] = &[
    Function::env("_tzset_js", "ppp:", Own, Operation::ZoneNames),
    Function::env("getentropy", "pp:i", Open, Operation::Entropy),
];

pub(crate) async fn serve(
    store: &mut StoreContextMut<'_, Data>,
    operation: Operation,
    args: &[u64],
) -> wasmtime::Result<u64> {
    match operation {
        Operation::ZoneNames => zone_names(store, Args(args)).await,
        Operation::Entropy => entropy(store).await,
    }
}

/// Where to write: the offset in seconds, whether there is summer time, and pointers to the names without and with it,
/// which the guest's `malloc` gives. Where those are there, all of it is: up to Emscripten 3.1.29 images ask each time,
/// and JavaScript answers once.
async fn zone_names(store: &mut StoreContextMut<'_, Data>, args: Args<'_>) -> wasmtime::Result<u64> {
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

/// There is no randomness: fails as on a system without it.
async fn entropy(store: &mut StoreContextMut<'_, Data>) -> wasmtime::Result<u64> {
    if let Some(errno) = call_export(store, "__errno_location", &[]).await? {
        with_host(store, |host| host.memory.put_i32(errno, Errno::NOSYS.positive()))?;
    }
    Ok(int(-1))
}
