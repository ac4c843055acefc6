//! Calls of a guest: outermost ones, and those made while an import waits.

use super::uncaught::{failed, uncaught};
use super::{Call, Data, Target, gas, unless_cancelled};
use crate::error::{Error, TrapInfo};
use crate::limits::NESTED_CALLS;
use crate::queue::TicketId;
use crate::ticker::SLICE_TICKS;
use crate::value::{self, Signature, Value};
use hb_wasm64_host::{Embedder, Random, Stream};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use wasmtime::{AsContextMut, Func, Global, Ref, RootScope, StoreContextMut, Val};

/// What the caller has chosen for a call.
#[derive(Clone, Debug)]
pub struct CallOptions {
    /// Fuel that the call may use; `None` is no limit. It also comes out of the fuel of the call that it is nested in.
    pub fuel: Option<u64>,
    /// What the guest's clock shows all the while, in milliseconds since 1970. `None` is that of the call it is nested in,
    /// or else 0.
    pub time: Option<u64>,
    /// What random bytes are made of as long as the call lasts; `None`: those of the start, or of the call it is nested in.
    pub seed: Option<Vec<u8>>,
    /// Whether what is printed is to be [taken](crate::Instance::take_printed) meanwhile.
    pub stream: bool,
    /// Modules whose imports are intercepted: they go to the responder before the host serves them. Of those in
    /// [`Image::interceptable_modules`](crate::image::Image::interceptable_modules).
    pub intercept: Vec<Arc<str>>,
    /// Gas that an image with a meter may use. In a nested call it is a part of what the call around it has.
    pub gas: Option<i64>,
    /// Whether an outermost call begins as if no gas had been used.
    pub refill: bool,
    /// Whether the caller wants to know what the call has used.
    pub usage: bool,
}

impl Default for CallOptions {
    fn default() -> CallOptions {
        CallOptions {
            fuel: None,
            time: None,
            seed: None,
            stream: false,
            intercept: Vec::new(),
            gas: None,
            refill: true,
            usage: false,
        }
    }
}

/// What a call has used, whether it has returned or failed. It is the same on every node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// Fuel, that of the calls nested in it included. All that there was where the call has ended for lack of it. The
    /// processor does not tell it of a trap: there it is `None`.
    pub fuel: Option<u64>,
    /// Gas, the same, where the image has a meter.
    pub gas: Option<i64>,
}

/// Calls a function. `usage` is set where the caller wants to know it, and the call has begun.
pub(super) async fn call(
    store: &mut StoreContextMut<'_, Data>,
    call: Call,
    usage: &mut Option<Usage>,
) -> Result<Vec<Value>, Error> {
    let outer = Frame::of(store.data());
    if outer.depth >= NESTED_CALLS {
        let message = format!("calls are nested in imports more than {NESTED_CALLS} deep");
        return Err(Error::Trap(Box::new(TrapInfo { code: "stack_overflow", message, backtrace: Vec::new() })));
    }
    let (func, signature) = resolve(store, &call.target)?;
    let args = value::coerce_all(&call.args, &signature.params)
        .map_err(|position| Error::InvalidArgs { signature: signature.to_string(), position })?;

    let host = |error: wasmtime::Error| Error::from_call(&error);
    let fuel = if outer.depth == 0 { u64::MAX } else { store.get_fuel().map_err(host)? };
    let stack = stack_pointer(store).map(|global| (global, global.get(&mut *store)));
    let exceptions = store.data().host.as_ref().map(|host| host.mark()).unwrap_or_default();
    let budget = call.options.fuel.unwrap_or(u64::MAX).min(fuel);
    store.set_fuel(budget).map_err(host)?;
    store.set_epoch_deadline(SLICE_TICKS);
    let now = call.options.time.unwrap_or(outer.now);
    let is_asked = call.options.usage;
    let gas = gas::begin(store, &call.options, outer.depth > 0);
    let inner = Frame {
        depth: outer.depth + 1,
        ticket: call.ticket,
        stub: call.stub,
        now,
        guest_calls: outer.guest_calls,
        intercept: call.options.intercept,
    };
    inner.enter(store.data_mut());
    if outer.depth == 0
        && let Some(host) = &mut store.data_mut().host
    {
        host.clear_output();
    }

    let seed = call.options.seed.filter(|_| store.data().image.uses_random());
    let random = seed.map(|seed| store.data_mut().state_mut().replace_random(Some(Random::new(&seed))));

    let stream = stream_to(store.data_mut(), call.options.stream);

    let result = invoke(store, func, &args, signature.results.len(), &call.cancelled).await;

    outer.enter(store.data_mut());
    if let Some(before) = stream {
        store.data_mut().state_mut().stream_to(before);
    }
    if let Some(before) = random {
        store.data_mut().state_mut().replace_random(before);
    }
    let left = store.get_fuel().map_err(host)?;
    // What ended in the middle has left its frames behind, and the exceptions that it was handling.
    if let (Err(_), Some(host)) = (&result, &mut store.data_mut().host) {
        host.back_to(exceptions);
    }
    if let (Err(_), Some((global, value))) = (&result, stack) {
        global.set(&mut *store, value).map_err(host)?;
    }
    let gas = gas.map(|gas| gas.end(store));
    let used = budget.saturating_sub(left);
    store.set_fuel(fuel.saturating_sub(used)).map_err(host)?;
    if is_asked {
        let fuel = Some(used).filter(|_| !hides_fuel(&result));
        *usage = Some(Usage { fuel, gas });
    }
    result
}

/// Has what the guest prints go to the stream of the instance, or not; and where it went before, unless there is nothing to
/// change.
pub(super) fn stream_to(data: &mut Data, is_wanted: bool) -> Option<Option<Arc<Stream>>> {
    data.image.runtime()?;
    if !is_wanted && !data.host.as_ref().is_some_and(|host| host.is_streamed()) {
        return None;
    }
    let stream = is_wanted.then(|| data.port.stream.clone());
    if let Some(stream) = &stream {
        // A call that was cut short may have left something.
        drop(stream.take());
    }
    Some(data.state_mut().stream_to(stream))
}

/// Whether a call has ended at an instruction of the guest that does not write down before what fuel has been used: any that
/// traps, other than `unreachable` and those in which the host has ended the program.
fn hides_fuel(result: &Result<Vec<Value>, Error>) -> bool {
    matches!(result, Err(Error::Trap(info)) if !["unreachable", "abort"].contains(&info.code))
}

/// What belongs to the innermost call.
struct Frame {
    depth: usize,
    ticket: TicketId,
    stub: bool,
    now: u64,
    /// A call that is cancelled ends without counting down.
    guest_calls: usize,
    intercept: Vec<Arc<str>>,
}

impl Frame {
    fn of(data: &Data) -> Frame {
        let Data { depth, ticket, stub, now, guest_calls, .. } = *data;
        // Outside of all calls nothing has a clock.
        let now = if depth == 0 { 0 } else { now };
        Frame { depth, ticket, stub, now, guest_calls, intercept: data.intercept.clone() }
    }

    fn enter(self, data: &mut Data) {
        let Frame { depth, ticket, stub, now, guest_calls, intercept } = self;
        (data.depth, data.ticket, data.stub, data.now) = (depth, ticket, stub, now);
        (data.guest_calls, data.intercept) = (guest_calls, intercept);
    }
}

/// The global that points to the end of the guest's own stack.
pub(super) fn stack_pointer(store: &mut StoreContextMut<'_, Data>) -> Option<Global> {
    let (instance, image) = (store.data().instance?, store.data().image.clone());
    instance.get_module_export(&mut *store, image.stack_pointer()?).and_then(wasmtime::Extern::into_global)
}

/// Calls `func` on a fiber of its own. References made for it are forgotten with it.
async fn invoke(
    store: &mut StoreContextMut<'_, Data>,
    func: Func,
    args: &[Value],
    results: usize,
    cancelled: &AtomicBool,
) -> Result<Vec<Value>, Error> {
    let mut scope = RootScope::new(&mut *store);
    let mut vals = vec![Val::I32(0); results];
    let call = async {
        let mut params = Vec::with_capacity(args.len());
        for arg in args {
            params.push(value::to_val(&mut scope, *arg).await?);
        }
        func.call_async(&mut scope, &params, &mut vals).await
    };
    match unless_cancelled(cancelled, call).await {
        Some(Ok(())) => Ok(vals.iter().map(|val| value::from_val(&mut scope, val)).collect()),
        Some(Err(error)) => Err(failed(&mut scope.as_context_mut(), &error)),
        None => {
            drop(uncaught(&mut scope.as_context_mut()));
            Err(Error::Cancelled)
        }
    }
}

fn resolve(store: &mut StoreContextMut<'_, Data>, target: &Target) -> Result<(Func, Arc<Signature>), Error> {
    let instance = store.data().instance.ok_or(Error::Stopped)?;
    match target {
        Target::Export(export) => {
            let func = instance.get_module_export(&mut *store, &export.index).and_then(wasmtime::Extern::into_func);
            // The image has found the export already.
            func.map(|func| (func, export.signature.clone()))
                .ok_or_else(|| Error::Host("an export of the image is missing".into()))
        }
        Target::Entry(index) => {
            let unknown = || Error::UnknownFunction(index.to_string());
            let image = store.data().image.clone();
            let table = image.table().and_then(|export| instance.get_module_export(&mut *store, export));
            let table = table.and_then(wasmtime::Extern::into_table).ok_or_else(unknown)?;
            let Some(Ref::Func(Some(func))) = table.get(&mut *store, *index) else { return Err(unknown()) };
            let signature =
                Signature::of(&func.ty(&mut *store)).ok_or_else(|| Error::cannot_cross(&index.to_string()))?;
            Ok((func, Arc::new(signature)))
        }
    }
}
