//! The task: an async function that owns the store of an instance.
//!
//! It waits for commands, one at a time, and leaves at most one outcome each time it stops. Whoever polls it is the only
//! one to touch the store; see `instance` for who may poll.

mod ask;
mod call;
mod command;
mod contents;
mod embedder;
mod gas;
mod link;
mod port;
mod start;
mod uncaught;

pub(crate) use ask::suspend;
pub use call::{CallOptions, Usage};
pub use command::StartRequest;
pub(crate) use command::{Call, Command, LongAccessing, Outcome, Starting, Target};
pub use contents::Contents;
pub use link::LinkedImage;
pub(crate) use port::Port;
use start::{fork, renew, restore, start, view};

use crate::declared::AddressSpace;
use crate::error::{Error, Limit};
use crate::limiter::Limiter;
use crate::queue::TicketId;
use crate::reaper;
use crate::state;
use crate::ticker::SLICE_TICKS;
use hb_wasm64_host::State;
use hb_wasm64_rewrite::meter::GAS;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use wasmtime::{AsContextMut, Memory, Store, StoreContextMut};

pub(crate) type TaskFuture = Pin<Box<dyn Future<Output = ()> + Send>>;

/// What the store holds besides the instance.
pub(crate) struct Data {
    port: Arc<Port>,
    image: Arc<LinkedImage>,
    limiter: Limiter,
    /// That of the memories, once there are some.
    address_space: Option<AddressSpace>,
    instance: Option<wasmtime::Instance>,
    memory: Option<Memory>,
    /// Calls that are in progress, each nested in an import of the one before.
    depth: usize,
    /// The innermost of them.
    ticket: TicketId,
    /// Whether its imports are answered with zeros.
    stub: bool,
    /// What its clock shows, in milliseconds since 1970.
    now: u64,
    /// Modules whose imports are intercepted, of those that have interceptable ones.
    intercept: Vec<Arc<str>>,
    /// Functions of the host that call the guest, each within a call of the one before.
    guest_calls: usize,
    /// What a guest with a meter may use.
    gas_limit: i64,
    /// The state of the host, once there is some.
    host: Option<Box<State>>,
}

/// The task itself. Its future is dropped to end it.
pub(crate) async fn run(image: Arc<LinkedImage>, port: Arc<Port>) {
    let mut store = new_store(&image, &port);
    loop {
        let command = port.next().await;
        if let Some(other) = port.take_over() {
            store = other;
        }
        let (ticket, result) = match command {
            Command::View(starting, look) => {
                (starting.ticket, view(&image, store.as_context_mut(), &starting, look).await)
            }
            Command::Fork(starting, other) => {
                let result = fork(store.as_context_mut(), &other, &starting).await;
                (starting.ticket, result.and_then(|forked| other.hand_over(forked)))
            }
            Command::Renew(starting, other) => {
                let result = renew(store.as_context_mut(), &other, &starting).await;
                (starting.ticket, result.and_then(|renewed| other.hand_over(renewed)))
            }
            Command::Restore(starting, snapshots) => {
                let (ticket, cancelled) = (starting.ticket, starting.cancelled.clone());
                let result = match restore(&image, &port, starting, snapshots).await {
                    // Whoever raises the flag first decides: who gives up is told that nothing has changed.
                    Ok(restored) if cancelled.swap(true, Ordering::AcqRel) => {
                        reaper::dispose(restored);
                        Err(Error::Cancelled)
                    }
                    Ok(restored) => {
                        reaper::dispose(std::mem::replace(&mut store, restored));
                        Ok(())
                    }
                    Err(error) => Err(error),
                };
                (ticket, result)
            }
            command => {
                serve(store.as_context_mut(), command).await;
                continue;
            }
        };
        publish_size(&mut store.as_context_mut());
        port.stop_with(Outcome::Finished(ticket, result.map(|()| Vec::new())));
    }
}

fn new_store(image: &Arc<LinkedImage>, port: &Arc<Port>) -> Store<Data> {
    let data = Data {
        limiter: Limiter::new(
            port.pace.clone(),
            image.declared(),
            image.layout().functions.len() as u64,
            port.bounds(),
        ),
        address_space: None,
        port: port.clone(),
        image: image.clone(),
        instance: None,
        memory: None,
        depth: 0,
        ticket: TicketId::default(),
        stub: true,
        now: 0,
        intercept: Vec::new(),
        guest_calls: 0,
        gas_limit: GAS,
        host: None,
    };
    let mut store = Store::new(image.pre().module().engine(), data);
    store.limiter_async(|data| &mut data.limiter);
    store.epoch_deadline_async_yield_and_update(SLICE_TICKS);
    store
}

/// Does what a command asks for, in the root of the task or inside an import.
async fn serve(mut store: StoreContextMut<'_, Data>, command: Command) {
    let mut usage = None;
    let (ticket, result) = match command {
        Command::Start(starting) => {
            let started = start(&mut store, &starting).await;
            (starting.ticket, started.map(|()| Vec::new()))
        }
        Command::Call(call) => (call.ticket, call::call(&mut store, call, &mut usage).await),
        Command::Grow(bytes, ticket) => (ticket, grow(&mut store, bytes).await.map(|()| Vec::new())),
        Command::Access(access) => {
            return match store.data().memory {
                Some(memory) => access(memory.data_mut(&mut store)),
                None => access(&mut []),
            };
        }
        Command::LongAccess(work, access) => {
            let port = store.data().port.clone();
            let result = port.background(work.ticket, &work.cancelled, work.bytes).await;
            let result = result.and_then(|()| access(&mut contents::contents(&mut store), &work.cancelled));
            (work.ticket, result.map(|()| Vec::new()))
        }
        Command::Output(look) => {
            return match &store.data().host {
                Some(host) => {
                    let (output, errors) = host.output();
                    look(output, errors)
                }
                None => look(&[], &[]),
            };
        }
        // `run` serves these, where no call is in progress.
        Command::View(starting, _)
        | Command::Restore(starting, _)
        | Command::Fork(starting, _)
        | Command::Renew(starting, _) => (starting.ticket, Err(in_progress())),
        // Only `suspend` waits for answers; `instance` sends none elsewhere.
        Command::Answer(_) => return,
    };
    publish_size(&mut store);
    store.data().port.stop_with(match usage {
        None => Outcome::Finished(ticket, result),
        Some(usage) => Outcome::Measured(ticket, result, usage),
    });
}

fn in_progress() -> Error {
    Error::Uncapturable("a call is in progress".into())
}

fn publish_size(store: &mut StoreContextMut<'_, Data>) {
    if let Some(memory) = store.data().memory {
        let bytes = memory.data_size(&store) as u64;
        store.data().port.memory_bytes.store(bytes, Ordering::Relaxed);
    }
    if let Some(used) = gas::used_so_far(store) {
        store.data().port.gas_used.store(used, Ordering::Relaxed);
    }
}

/// Polls `future` until it is ready or `cancelled` is up, whichever comes first.
async fn unless_cancelled<T>(cancelled: &AtomicBool, future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    poll_fn(|cx| if cancelled.load(Ordering::Acquire) { Poll::Ready(None) } else { future.as_mut().poll(cx).map(Some) })
        .await
}

async fn grow(store: &mut StoreContextMut<'_, Data>, bytes: u64) -> Result<(), Error> {
    match store.data().memory {
        Some(memory) => state::grow_memory(store, &memory, bytes).await,
        None if bytes == 0 => Ok(()),
        None => Err(Error::Limit(Limit::Memory)),
    }
}
