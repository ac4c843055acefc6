//! Instances: started, and started in the state of another one or of snapshots.
//!
//! A state is never put into the store that is there: it goes into a fresh one, which then takes the place of the old
//! one. So a snapshot that is refused half way leaves the instance as it was.

use super::call::{stack_pointer, stream_to};
use super::uncaught::{failed, uncaught};
use super::{Data, LinkedImage, Port, StartRequest, Starting, gas, new_store, publish_size, unless_cancelled};
use crate::error::{Error, Limit};
use crate::image::Fresh;
use crate::limits::SURVEY_FUEL;
use crate::reaper;
use crate::state::{self, Outline, Reading, Snapshots, View};
use crate::ticker::SLICE_TICKS;
use hb_wasm64_host::{self as host, Embedder, Initialize, Runtime, State};
use hb_wasm64_snapshot::Cancellation;
use std::sync::Arc;
use wasmtime::{AsContextMut, Store, StoreContextMut};

/// A store with a fresh instance.
async fn fresh(image: &Arc<LinkedImage>, port: &Arc<Port>, starting: &Starting) -> Result<Store<Data>, Error> {
    let mut store = new_store(image, port);
    let started = start(&mut store.as_context_mut(), starting).await;
    done(store, started)
}

/// The store if nothing has gone wrong with it.
fn done(mut store: Store<Data>, result: Result<(), Error>) -> Result<Store<Data>, Error> {
    match result {
        Ok(()) => {
            publish_size(&mut store.as_context_mut());
            Ok(store)
        }
        Err(error) => {
            reaper::dispose(store);
            Err(error)
        }
    }
}

/// Lets `look` see the state, as soon as it is known what a fresh instance of the image is like.
pub(super) async fn view(
    image: &Arc<LinkedImage>,
    mut store: StoreContextMut<'_, Data>,
    starting: &Starting,
    look: impl FnOnce(&View<'_>) -> Result<(), Error>,
) -> Result<(), Error> {
    let port = store.data().port.clone();
    survey(image, &port, starting).await?;
    let reading = read(&port, &mut store, starting).await?;
    reading.view(&mut store, Cancellation::by(&starting.cancelled), look)
}

/// Finds out where the state is, and goes where it can be read.
async fn read(port: &Port, store: &mut StoreContextMut<'_, Data>, starting: &Starting) -> Result<Reading, Error> {
    let lookup = state::lookup_bytes(store)?;
    port.background(starting.ticket, &starting.cancelled, lookup).await?;
    let reading = Reading::new(store)?;
    let bytes = reading.bytes().saturating_add(starting.beside);
    port.background(starting.ticket, &starting.cancelled, bytes).await?;
    Ok(reading)
}

/// Finds out what a fresh instance of the image is like, unless that is known.
async fn survey(image: &Arc<LinkedImage>, own: &Port, starting: &Starting) -> Result<(), Error> {
    if image.fresh().is_none() {
        let port = Arc::new(Port::new());
        let cancellation = Cancellation::by(&starting.cancelled);
        // Snapshots go into instances that nothing has initialized, and tell how a state differs from one that has been,
        // at the beginning of time: whatever another time has made of an instance is a difference like others.
        let mut store = fresh(image, &port, starting).await?;
        let context = &mut store.as_context_mut();
        let found = match state::tables(context, cancellation) {
            Ok(tables) => {
                context.set_fuel(SURVEY_FUEL).map_err(|error| Error::from_call(&error))?;
                match initialize(context, starting, Initialize::Constructors).await {
                    Ok(()) => match read(own, context, starting).await {
                        Ok(_) => state::fresh(context, tables, cancellation),
                        Err(error) => Err(error),
                    },
                    // What this host, its operator, or nobody any more, does not allow now may be had another time.
                    Err(Error::Limit(limit @ (Limit::Memory | Limit::Table))) => Err(Error::Limit(limit)),
                    Err(error) if error == Error::Cancelled || error.is_of_host() => Err(error),
                    Err(_) => Ok(Fresh::unknown(tables)),
                }
            }
            Err(error) => Err(error),
        };
        reaper::dispose(store);
        image.set_fresh(found?);
    }
    Ok(())
}

pub(super) async fn restore(
    image: &Arc<LinkedImage>,
    port: &Arc<Port>,
    mut starting: Starting,
    snapshots: Snapshots,
) -> Result<Store<Data>, Error> {
    let cancelled = starting.cancelled.clone();
    let cancellation = Cancellation::by(&cancelled);
    // What is not a snapshot is refused before anything is started.
    let work = snapshots.work_bytes();
    port.background(starting.ticket, &cancelled, work).await?;
    let (outline, bytes) = snapshots.outline(image, cancellation)?;
    if !matches!(outline, Outline::Memory(_)) {
        starting.request = StartRequest { fuel: starting.request.fuel, ..StartRequest::nothing() };
    }
    let mut store = fresh(image, port, &starting).await?;
    let mut context = store.as_context_mut();
    let mut result = port.background(starting.ticket, &cancelled, bytes.max(work)).await;
    if result.is_ok() {
        result = put(&mut context, &outline, &starting).await;
    }
    if result.is_ok() {
        result = snapshots.put_memories(&mut context, cancellation);
    }
    done(store, result)
}

pub(super) async fn fork(
    mut from: StoreContextMut<'_, Data>,
    other: &Arc<Port>,
    starting: &Starting,
) -> Result<Store<Data>, Error> {
    let port = from.data().port.clone();
    let cancellation = Cancellation::by(&starting.cancelled);
    let reading = read(&port, &mut from, starting).await?;
    let outline = Outline::State(state::skeleton(&mut from, cancellation)?);
    let image = from.data().image.clone();
    let mut store = fresh(&image, other, starting).await?;
    let mut context = store.as_context_mut();
    let put = async {
        // The start function of the module may have taken several slices.
        port.background(starting.ticket, &starting.cancelled, reading.bytes()).await?;
        put(&mut context, &outline, starting).await?;
        state::copy_memories(&reading, &mut from, &mut context, cancellation)?;
        context.data_mut().host = from.data().host.as_ref().map(|host| host.copy().map(Box::new)).transpose()?;
        Ok(())
    };
    let result = put.await;
    done(store, result)
}

/// Another instance that is started as the request says, and then finds the linear memory of this one: what AO's loader does
/// with a memory that it is given.
pub(super) async fn renew(
    mut from: StoreContextMut<'_, Data>,
    other: &Arc<Port>,
    starting: &Starting,
) -> Result<Store<Data>, Error> {
    let port = from.data().port.clone();
    let cancellation = Cancellation::by(&starting.cancelled);
    let image = from.data().image.clone();
    let mut store = fresh(&image, other, starting).await?;
    let mut context = store.as_context_mut();
    let put = async {
        let reading = read(&port, &mut from, starting).await?;
        put(&mut context, &Outline::Memory(reading.linear_size(&from)), starting).await?;
        state::copy_linear_memory(&reading, &mut from, &mut context, cancellation)
    };
    let result = put.await;
    done(store, result)
}

/// Whoever polls next for somebody else must find nothing left to do of what was cancelled.
async fn put(store: &mut StoreContextMut<'_, Data>, outline: &Outline, starting: &Starting) -> Result<(), Error> {
    let cancellation = Cancellation::by(&starting.cancelled);
    let put = state::put(store, outline, cancellation);
    unless_cancelled(&starting.cancelled, put).await.unwrap_or(Err(Error::Cancelled))
}

pub(super) async fn start(store: &mut StoreContextMut<'_, Data>, starting: &Starting) -> Result<(), Error> {
    let StartRequest { fuel, initialize, .. } = starting.request;
    let mut given = starting.request.given.clone();
    let image = store.data().image.clone();
    image.declared().check(store.data().port.bounds())?;
    let address_space = image.declared().reserve()?;
    // What a program cannot see is no state.
    given.seed = given.seed.filter(|_| image.uses_random());
    let data = store.data_mut();
    (data.address_space, data.depth) = (Some(address_space), 1);
    if let Some(runtime) = image.runtime().filter(|_| !given.is_empty()) {
        data.host = Some(Box::new(State::given(runtime, given)));
    }
    store.set_epoch_deadline(SLICE_TICKS);
    store.set_fuel(fuel.unwrap_or(u64::MAX)).map_err(|error| Error::from_call(&error))?;
    let result = unless_cancelled(&starting.cancelled, image.pre().instantiate_async(&mut *store)).await;
    store.data_mut().depth = 0;
    let instance = match result {
        None => return Err(Error::Cancelled),
        Some(Ok(instance)) => instance,
        Some(Err(error)) => return Err(failed(store, &error)),
    };
    let memory = image.memory().and_then(|export| instance.get_module_export(&mut *store, export));
    let data = store.data_mut();
    data.instance = Some(instance);
    data.memory = memory.and_then(wasmtime::Extern::into_memory);
    let gas = gas::begin_start(store, starting.request.gas);
    self::initialize(store, starting, initialize).await?;
    if let Some(gas) = gas {
        gas.end(store);
    }
    // What the host does from here on is nobody's fuel.
    store.set_fuel(u64::MAX).map_err(|error| Error::from_call(&error))
}

/// Does what the host does with a program that has been instantiated.
async fn initialize(
    store: &mut StoreContextMut<'_, Data>,
    starting: &Starting,
    initialize: Initialize,
) -> Result<(), Error> {
    let Some(runtime) = store.data().image.runtime() else { return Ok(()) };
    let stack = stack_pointer(store).map(|global| (global, global.get(&mut *store)));
    let data = store.data_mut();
    // The start function of the module runs in every instance, whatever state that is to have, and has no clock.
    (data.depth, data.now) = (1, starting.request.time);
    let stream = stream_to(data, starting.request.stream);
    let result = unless_cancelled(&starting.cancelled, host::initialize(store, runtime, initialize)).await;
    store.data_mut().depth = 0;
    if let Some(before) = stream {
        store.data_mut().state_mut().stream_to(before);
    }
    match result {
        Some(Ok(())) => {
            // A program that has ended in the middle of `_start` has left its frames behind.
            if let Some((global, value)) = stack.filter(|_| runtime == Runtime::Wasi) {
                global.set(&mut *store, value).map_err(|error| Error::from_call(&error))?;
            }
            Ok(())
        }
        Some(Err(error)) => Err(failed(store, &error)),
        None => {
            drop(uncaught(store));
            Err(Error::Cancelled)
        }
    }
}
