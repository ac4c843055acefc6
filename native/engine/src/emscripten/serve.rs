//! One call of a function of the host, and what such functions do with the guest.

use super::abi::{Args, Fault, Host, Kind, Memory};
use super::exceptions::{self, set_temp_ret};
use super::files::GivenUp;
use super::link::{Native, Service};
use super::{library, memory};
use crate::error::HostFailure;
use crate::import::ImportInfo;
use crate::task::{self, Asked, Data};
use std::sync::Arc;
use wasmtime::{AsContextMut, StoreContextMut, Trap, Val, ValType};

impl Fault {
    fn into_error(self) -> wasmtime::Error {
        match self {
            Fault::Exit(status) => HostFailure::Exit(status).into(),
            Fault::Abort(message) => HostFailure::Abort(message).into(),
            Fault::OutOfBounds => HostFailure::OutOfBounds(None).into(),
            Fault::OutOfMemory => HostFailure::OutOfMemory.into(),
            Fault::OutOfFuel => Trap::OutOfFuel.into(),
        }
    }
}

/// The body of an import that the host serves. Somebody else is asked first where the call wants that and it is safe:
/// descriptors that the file system knows are its own, those on terminals apart.
pub(crate) async fn serve(
    mut store: StoreContextMut<'_, Data>,
    native: &Native,
    import: &Arc<ImportInfo>,
    params: &[Val],
    results: &mut [Val],
) -> wasmtime::Result<()> {
    let args = native.args(params);
    // Without a state there are the terminals and nothing else yet.
    let is_own_descriptor = |store: &StoreContextMut<'_, Data>| {
        let descriptor = Args(&args).int(0);
        native.kind == Kind::OfDescriptor
            && store
                .data()
                .host
                .as_ref()
                .is_some_and(|host| host.files.is_open(descriptor) && host.files.terminal(descriptor).is_err())
    };
    if native.kind.is_open()
        && store.data().is_asked_first(&import.module)
        && !is_own_descriptor(&store)
        && let Asked::Answered = task::ask(store.as_context_mut(), import, params, results).await?
    {
        return Ok(());
    }
    if native.kind.is_of_files() {
        task::leave_scheduler(&store).await;
    }
    let value = match native.service {
        Service::Plain(function) => with_host(&mut store, |host| function(host, Args(&args))),
        Service::Exceptions(operation) => exceptions::serve(&mut store, operation, &args).await,
        Service::Library(operation) => library::serve(&mut store, operation, &args).await,
        Service::Memory(operation) => memory::serve(&mut store, operation, &args).await,
    };
    let value = value.map_err(|error| told_of(import, error))?;
    if native.is_halved() {
        set_temp_ret(&mut store, (value >> 32) as i32).await?;
    }
    if let (Some(result), Some(value)) = (results.first_mut(), native.result(value)) {
        *result = value;
    }
    Ok(())
}

/// An error that says which import was given an address outside of the memory.
fn told_of(import: &ImportInfo, error: wasmtime::Error) -> wasmtime::Error {
    match error.downcast_ref() {
        // One that has a name already is of an import further in.
        Some(HostFailure::OutOfBounds(None)) => {
            HostFailure::OutOfBounds(Some(format!("{}.{}", import.module, import.name))).into()
        }
        _ => error,
    }
}

/// What work of the host costs, in bytes for a unit of fuel.
const BYTES_PER_FUEL: u64 = 8;

/// The memory of the guest.
pub(crate) fn guest_memory(store: &StoreContextMut<'_, Data>) -> Option<wasmtime::Memory> {
    store.data().memory()
}

/// Lets `work` see the memory of the guest and the state of the host. What it reads, writes and looks at takes fuel, before
/// it does; where that is not enough the call ends, whatever `work` makes of it.
pub(crate) fn with_host<T>(
    store: &mut StoreContextMut<'_, Data>,
    work: impl FnOnce(&mut Host<'_>) -> Result<T, Fault>,
) -> wasmtime::Result<T> {
    let width = store.data().image().width();
    let fuel = store.get_fuel()?;
    let budget = fuel.saturating_mul(BYTES_PER_FUEL).saturating_add(BYTES_PER_FUEL - 1);
    let (bytes, data) = match guest_memory(store) {
        Some(memory) => memory.data_and_store_mut(&mut *store),
        None => (&mut [][..], store.data_mut()),
    };
    let state = data.host.get_or_insert_default();
    state.files.begin_work(budget);
    let mut host = Host { memory: Memory::new(bytes, width, budget), now: data.now, state };
    let result = work(&mut host);
    let used = host.memory.used().saturating_add(host.state.files.paid());
    let given_up = host.state.files.given_up();
    let left = if host.memory.is_spent() || given_up == Some(GivenUp::Spent) {
        None
    } else {
        fuel.checked_sub(used / BYTES_PER_FUEL)
    };
    if given_up == Some(GivenUp::NoRoom) {
        return Err(Fault::OutOfMemory.into_error());
    }
    if used >= BYTES_PER_FUEL || left.is_none() {
        store.set_fuel(left.unwrap_or(0))?;
    }
    let Some(_) = left else { return Err(Fault::OutOfFuel.into_error()) };
    result.map_err(Fault::into_error)
}

/// Calls of the guest by functions of the host that may be within each other: each has a stack of its own.
const MOST_CALLS: usize = 16;

/// Calls an export of the guest with these integers: its result, 0 where it has none. `None` without such an export.
pub(crate) async fn call_export(
    store: &mut StoreContextMut<'_, Data>,
    name: &str,
    args: &[u64],
) -> wasmtime::Result<Option<u64>> {
    let image = store.data().image().clone();
    let instance = store.data().instance().ok();
    let func = image.func(name).zip(instance).and_then(|(export, instance)| {
        instance.get_module_export(&mut *store, &export.index).and_then(wasmtime::Extern::into_func)
    });
    let Some(func) = func else { return Ok(None) };
    let ty = func.ty(&*store);
    let param = |(arg, ty): (&u64, ValType)| match ty {
        ValType::I32 => Some(Val::I32(*arg as i32)),
        ValType::I64 => Some(Val::I64(*arg as i64)),
        _ => None,
    };
    let params: Option<Vec<Val>> = args.iter().zip(ty.params()).map(param).collect();
    let Some(params) = params.filter(|params| params.len() == ty.params().len()) else { return Ok(None) };
    if store.data().host_depth >= MOST_CALLS {
        return Err(HostFailure::TooDeep.into());
    }
    store.data_mut().host_depth += 1;
    let mut results = vec![Val::I32(0); ty.results().len()];
    let result = func.call_async(&mut *store, &params, &mut results).await;
    store.data_mut().host_depth -= 1;
    result?;
    Ok(Some(match results.first() {
        Some(Val::I32(value)) => u64::from(*value as u32),
        Some(Val::I64(value)) => *value as u64,
        _ => 0,
    }))
}
