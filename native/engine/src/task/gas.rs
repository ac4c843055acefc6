//! Gas: what an image with a meter may use, and has used.
//!
//! The guest counts down what is left (see [`hb_wasm64_rewrite::meter`]). What has been used is the limit less that. It is
//! state, and the limit is not: between calls the limit is always [`GAS`].

use super::{CallOptions, Data};
use crate::error::{Limit, LimitReached};
use crate::import::MeterFunction;
use hb_wasm64_rewrite::meter::GAS;
use wasmtime::{Global, StoreContextMut, Val};

/// The gas of a call in progress.
pub(super) struct Gas {
    global: Global,
    /// What had been used before it.
    before: i64,
    /// The limit of the call around it.
    outer_limit: i64,
}

/// Gives a call its gas. `None` where the image has no meter.
pub(super) fn begin(store: &mut StoreContextMut<'_, Data>, options: &CallOptions, is_nested: bool) -> Option<Gas> {
    begin_with(store, options.gas, options.refill, is_nested)
}

/// Gives what runs at a start its gas.
pub(super) fn begin_start(store: &mut StoreContextMut<'_, Data>, gas: Option<i64>) -> Option<Gas> {
    begin_with(store, gas, false, false)
}

fn begin_with(store: &mut StoreContextMut<'_, Data>, gas: Option<i64>, refill: bool, is_nested: bool) -> Option<Gas> {
    let global = global(store)?;
    let outer_limit = store.data().gas_limit;
    let used = used(store, &global);
    let (before, limit) = if is_nested {
        (used, gas.map_or(outer_limit, |gas| outer_limit.min(used.saturating_add(gas))))
    } else {
        (if refill { 0 } else { used }, gas.unwrap_or(GAS))
    };
    set(store, &global, limit, before);
    Some(Gas { global, before, outer_limit })
}

impl Gas {
    /// Ends the call, and returns what it has used.
    pub(super) fn end(self, store: &mut StoreContextMut<'_, Data>) -> i64 {
        let used = used(store, &self.global);
        set(store, &self.global, self.outer_limit, used);
        used.saturating_sub(self.before)
    }
}

/// What has been used since the gas was refilled last. `None` where the image has no meter.
pub(super) fn used_so_far(store: &mut StoreContextMut<'_, Data>) -> Option<i64> {
    let global = global(store)?;
    Some(used(store, &global))
}

/// The body of an import of a meter.
///
/// # Errors
/// [`LimitReached`] where it is the one that ends the call.
pub(super) fn serve(
    store: &mut StoreContextMut<'_, Data>,
    function: MeterFunction,
    results: &mut [Val],
) -> wasmtime::Result<()> {
    if function == MeterFunction::OutOfGas {
        return Err(LimitReached(Limit::Gas).into());
    }
    let used = used_so_far(store).unwrap_or_default();
    if let Some(result) = results.first_mut() {
        *result = match function {
            MeterFunction::UsedI32 => Val::I32(used as i32),
            MeterFunction::UsedI64 => Val::I64(used),
            _ => Val::F64((used as f64).to_bits()),
        };
    }
    Ok(())
}

fn global(store: &mut StoreContextMut<'_, Data>) -> Option<Global> {
    let data = store.data();
    data.image.meter()?;
    let (instance, image) = (data.instance?, data.image.clone());
    instance.get_module_export(&mut *store, &image.meter()?.export).and_then(wasmtime::Extern::into_global)
}

fn used(store: &mut StoreContextMut<'_, Data>, global: &Global) -> i64 {
    let left = global.get(&mut *store).i64().unwrap_or(GAS);
    store.data().gas_limit.saturating_sub(left)
}

fn set(store: &mut StoreContextMut<'_, Data>, global: &Global, limit: i64, used: i64) {
    store.data_mut().gas_limit = limit;
    // Of this type, and mutable.
    let _ = global.set(&mut *store, Val::I64(limit.saturating_sub(used)));
}
