//! What functions of the host do with the guest: its memory, and calls of its exports.

use crate::context::HostCtx;
use crate::embedder::Embedder;
use crate::errno::Errno;
use crate::failure::{Failure, Fault};
use crate::files::GivenUp;
use crate::limits::{BYTES_PER_FUEL, GUEST_CALLS};
use crate::memory::Memory;
use wasmtime::{AsContextMut, Func, StoreContextMut, Val, ValType};

/// Lets `work` see the memory of the guest and the state of the host. What it reads, writes and looks at takes fuel, before
/// it does; where that is not enough the call ends, whatever `work` makes of it.
pub(crate) fn with_host<T: Embedder, R>(
    store: &mut StoreContextMut<'_, T>,
    work: impl FnOnce(&mut HostCtx<'_>) -> Result<R, Fault>,
) -> wasmtime::Result<R> {
    let (width, abi) = (store.data().width(), store.data().abi());
    let program = store.data().state().map(|state| &state.program);
    let slept = program.map_or(0, |program| program.awake / 1_000_000);
    let own = program.and_then(|program| program.clock).map(|clock| clock.next);
    let now = own.unwrap_or_else(|| store.data().now()).max(slept);
    let fuel = store.get_fuel()?;
    let budget = fuel.saturating_mul(BYTES_PER_FUEL).saturating_add(BYTES_PER_FUEL - 1);
    let (bytes, data) = match store.data().memory() {
        Some(memory) => memory.data_and_store_mut(&mut *store),
        None => (&mut [][..], store.data_mut()),
    };
    let state = data.state_mut();
    state.files.begin_work(budget);
    let mut host = HostCtx { memory: Memory::new(bytes, width, budget), now, state, abi };
    let result = work(&mut host);
    let stamps = host.state.files.stamps();
    if let Some(clock) = &mut host.state.program.clock {
        clock.tick(stamps);
    }
    let used = host.memory.used().saturating_add(host.state.files.paid());
    let given_up = host.state.files.given_up();
    if given_up == Some(GivenUp::NoRoom) {
        return Err(Fault::OutOfMemory.into_error());
    }
    let is_spent = host.memory.is_spent() || given_up == Some(GivenUp::Spent);
    let left = fuel.checked_sub(used / BYTES_PER_FUEL).filter(|_| !is_spent);
    if left != Some(fuel) {
        store.set_fuel(left.unwrap_or(0))?;
    }
    match left {
        Some(_) => result.map_err(Fault::into_error),
        None => Err(Fault::OutOfFuel.into_error()),
    }
}

/// The same for what may read lazy files: where a part of one is wanted that nobody knows, somebody outside is asked, and the
/// work is done again. Without an answer it fails.
pub(crate) async fn with_files<T: Embedder, R>(
    store: &mut StoreContextMut<'_, T>,
    mut work: impl FnMut(&mut HostCtx<'_>) -> Result<R, Fault>,
) -> wasmtime::Result<R> {
    loop {
        let result = with_host(store, &mut work)?;
        let Some((path, wanted)) = store.data().state().and_then(|state| state.files.wanted()) else {
            return Ok(result);
        };
        T::want_file(store.as_context_mut(), &path, wanted.bytes.clone()).await?;
        if !store.data().state().is_some_and(|state| state.files.is_known(&wanted)) {
            return Ok(result);
        }
    }
}

/// Waits until the guest runs where it may take long: what follows does.
pub(crate) async fn leave_scheduler<T: Embedder>(store: &StoreContextMut<'_, T>) {
    if store.data().is_on_scheduler() {
        T::pause().await;
    }
}

/// Does `step` for all of `size` bytes (how many were done before, and how many are next), with a pause after each `most`,
/// until it fails.
pub(crate) async fn in_steps<T: Embedder>(
    store: &mut StoreContextMut<'_, T>,
    size: u64,
    most: u64,
    mut step: impl FnMut(&mut HostCtx<'_>, u64, u64) -> Result<Result<(), Errno>, Fault>,
) -> wasmtime::Result<Result<(), Errno>> {
    let mut done = 0;
    while done < size {
        if done > 0 {
            T::pause().await;
        }
        let count = (size - done).min(most);
        if let Err(errno) = with_host(store, |host| step(host, done, count))? {
            return Ok(Err(errno));
        }
        done += count;
    }
    Ok(Ok(()))
}

/// Calls an export of the guest with these integers: its result, 0 where it has none. `None` without such an export.
pub(crate) async fn call_export<T: Embedder>(
    store: &mut StoreContextMut<'_, T>,
    name: &str,
    args: &[u64],
) -> wasmtime::Result<Option<u64>> {
    match T::export(store, name) {
        Some(func) => call(store, func, args).await,
        None => Ok(None),
    }
}

/// Calls what the table has at a place, as [`call_export`] does.
pub(crate) async fn call_table<T: Embedder>(
    store: &mut StoreContextMut<'_, T>,
    index: u64,
    args: &[u64],
) -> wasmtime::Result<Option<u64>> {
    match T::table_entry(store, index) {
        Some(func) => call(store, func, args).await,
        None => Ok(None),
    }
}

async fn call<T: Embedder>(
    store: &mut StoreContextMut<'_, T>,
    func: Func,
    args: &[u64],
) -> wasmtime::Result<Option<u64>> {
    let ty = func.ty(store.as_context_mut());
    let param = |(arg, ty): (&u64, ValType)| match ty {
        ValType::I32 => Some(Val::I32(*arg as i32)),
        ValType::I64 => Some(Val::I64(*arg as i64)),
        _ => None,
    };
    let params: Option<Vec<Val>> = args.iter().zip(ty.params()).map(param).collect();
    let Some(params) = params.filter(|params| params.len() == ty.params().len()) else { return Ok(None) };
    if *store.data_mut().guest_calls() >= GUEST_CALLS {
        return Err(Failure::TooDeep.into());
    }
    *store.data_mut().guest_calls() += 1;
    let mut results = vec![Val::I32(0); ty.results().len()];
    let result = func.call_async(&mut *store, &params, &mut results).await;
    *store.data_mut().guest_calls() -= 1;
    result?;
    Ok(Some(match results.first() {
        Some(Val::I32(value)) => u64::from(*value as u32),
        Some(Val::I64(value)) => *value as u64,
        _ => 0,
    }))
}
