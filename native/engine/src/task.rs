//! The task: an async function that owns the store of an instance.
//!
//! A state is never put into the store that is there: it goes into a fresh one, which then takes the place of the old
//! one. So a snapshot that is refused half way leaves the instance as it was.
//!
//! It waits for commands, one at a time, and leaves at most one outcome each time it stops. Whoever polls it is the only
//! one to touch the store; see `instance` for who may poll.

use crate::config;
use crate::emscripten::{self, Initialize};
use crate::error::{Error, HostFailure, ImportFailure, Limit, TrapInfo};
use crate::image::{FuncExport, Image};
use crate::import::{Answer, ImportInfo, Reply};
use crate::limits::Limits;
use crate::reaper;
use crate::state::{self, Fresh, Outline, Snapshots};
use crate::ticker::SLICE_TICKS;
use crate::turns::TicketId;
use crate::value::{self, Arg, Signature, Value};
use parking_lot::Mutex;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::Poll;
use wasmtime::{AsContextMut, Func, Global, Memory, Ref, RootScope, Store, StoreContextMut, Tag, Val};

/// Fuel of constructors that run only to find out what they do: a bound for those of images that are started without.
const SURVEY_FUEL: u64 = 1 << 28;

/// Calls that may be nested in each other's imports.
const NESTED_CALLS: usize = 64;

pub(crate) type TaskFuture = Pin<Box<dyn Future<Output = ()> + Send>>;

/// What is done with a linear memory.
type Access = Box<dyn FnOnce(&mut [u8]) + Send>;

/// What is done with all of the state.
type Inspect = Box<dyn FnOnce(Result<&mut StoreContextMut<'_, Data>, Error>) + Send>;

/// What is done with standard output and error output.
type Output = Box<dyn FnOnce(&[u8], &[u8]) + Send>;

/// One command, and what comes of it.
pub(crate) enum Command {
    /// Instantiate the image, run its start function and initialize it so far.
    Start(Starting, Initialize),
    /// Find out what a fresh instance of the image is like, unless that is known.
    Survey(Starting),
    /// Start afresh, in the state that snapshots hold.
    Restore(Starting, Snapshots),
    /// Start another instance in the state of this one. The port is the other's.
    Fork(Starting, Arc<Port>),
    /// Call a function.
    Call(Call),
    /// Let a closure see the linear memory, empty where there is none.
    Access(Access),
    /// Let a closure see the store, or why it may not.
    Inspect(Inspect),
    /// Let a closure see what the guest has written to its terminals.
    Output(Output),
    /// Grow the linear memory to at least so many bytes.
    Grow(u64, TicketId),
    /// Results for the innermost pending import.
    Answer(Answer),
}

/// What a start needs.
pub(crate) struct Starting {
    pub(crate) ticket: TicketId,
    pub(crate) cancelled: Arc<AtomicBool>,
    /// Fuel that the start function and the constructors may use; `None` is no limit.
    pub(crate) fuel: Option<u64>,
}

/// A call on its way in.
pub(crate) struct Call {
    pub(crate) ticket: TicketId,
    pub(crate) cancelled: Arc<AtomicBool>,
    pub(crate) target: Target,
    pub(crate) args: Vec<Arg>,
    /// Fuel that the call may use; `None` is no limit.
    pub(crate) fuel: Option<u64>,
    /// What its clock shows, in milliseconds since 1970; `None` is that of the call it is nested in, or 0.
    pub(crate) time: Option<u64>,
    /// Modules whose imports are asked for before the host serves them.
    pub(crate) asked_first: Option<Arc<[Box<str>]>>,
    /// Whether imports are answered with zeros right away.
    pub(crate) stub: bool,
}

/// What a call calls.
#[derive(Clone)]
pub(crate) enum Target {
    Export(FuncExport),
    /// An entry of the image's function table.
    Entry(u64),
}

/// Why the task stopped. Where it leaves none it was out of its slice.
pub(crate) enum Outcome {
    /// The start, call or growth of the ticket is over.
    Finished(TicketId, Result<Vec<Value>, Error>),
    /// The call of the ticket waits for an answer.
    Import(TicketId, Arc<ImportInfo>, Vec<Value>),
}

/// How the instance may be run: what its size and its thread allow.
#[derive(Default)]
pub(crate) struct Pace {
    /// The guest runs on a normal scheduler right now.
    pub(crate) on_scheduler: AtomicBool,
    /// One instruction of the guest can take long.
    pub(crate) large: AtomicBool,
}

impl Pace {
    /// Notes that the instance has become large; whether it should leave the thread that it is on.
    pub(crate) fn now_large(&self) -> bool {
        self.large.store(true, Ordering::Relaxed);
        self.on_scheduler.load(Ordering::Relaxed)
    }
}

/// Where commands go in and outcomes come out.
pub(crate) struct Port {
    slot: Mutex<Slot>,
    /// A store to go on with, from the next command on.
    seed: Mutex<Seed>,
    pub(crate) pace: Arc<Pace>,
    /// Size of the linear memory when the guest last stopped.
    pub(crate) memory_bytes: AtomicU64,
}

/// What becomes of an instance that is started from another's state.
#[derive(Default)]
enum Seed {
    #[default]
    None,
    Planted(Store<Data>),
    /// The instance is gone.
    Barren,
}

#[derive(Default)]
struct Slot {
    command: Option<Command>,
    outcome: Option<Outcome>,
}

impl Port {
    pub(crate) fn new() -> Port {
        Port { slot: Mutex::default(), seed: Mutex::default(), pace: Arc::default(), memory_bytes: AtomicU64::new(0) }
    }

    /// Leaves a command for the next poll, in place of one that was never taken.
    pub(crate) fn send(&self, command: Command) {
        self.slot.lock().command = Some(command);
    }

    /// Leaves a store for the instance to go on with.
    fn plant(&self, store: Store<Data>) -> Result<(), Error> {
        let mut seed = self.seed.lock();
        if matches!(*seed, Seed::Barren) {
            drop(seed);
            reaper::dispose(store);
            return Err(Error::Stopped);
        }
        *seed = Seed::Planted(store);
        Ok(())
    }

    /// The instance is gone: what was left for it goes, too, and nothing more is taken.
    pub(crate) fn close(&self) {
        if let Seed::Planted(store) = std::mem::replace(&mut *self.seed.lock(), Seed::Barren) {
            reaper::dispose(store);
        }
    }

    fn take_seed(&self) -> Option<Store<Data>> {
        let mut seed = self.seed.lock();
        match std::mem::take(&mut *seed) {
            Seed::Planted(store) => Some(store),
            other => {
                *seed = other;
                None
            }
        }
    }

    pub(crate) fn outcome(&self) -> Option<Outcome> {
        self.slot.lock().outcome.take()
    }

    fn stop_with(&self, outcome: Outcome) {
        self.slot.lock().outcome = Some(outcome);
    }

    async fn next(&self) -> Command {
        poll_fn(|_| match self.slot.lock().command.take() {
            Some(command) => Poll::Ready(command),
            None => Poll::Pending,
        })
        .await
    }
}

/// What the store holds besides the instance.
pub(crate) struct Data {
    port: Arc<Port>,
    image: Arc<Image>,
    limits: Limits,
    instance: Option<wasmtime::Instance>,
    memory: Option<Memory>,
    /// Calls that are in progress, each nested in an import of the one before.
    depth: usize,
    /// The innermost of them.
    ticket: TicketId,
    /// Whether its imports are answered with zeros.
    stub: bool,
    /// What its clock shows, in milliseconds since 1970.
    pub(crate) now: u64,
    /// Modules whose imports are asked for before the host serves them.
    asked_first: Option<Arc<[Box<str>]>>,
    /// Functions of the host that call the guest, each in one that the one before has called.
    pub(crate) host_depth: usize,
    /// The state of Emscripten's host, once there is some.
    pub(crate) host: Option<Box<emscripten::State>>,
}

impl Data {
    /// Whether the imports of a module are to be asked for, though the host could serve them.
    pub(crate) fn is_asked_first(&self, module: &str) -> bool {
        !self.stub && self.asked_first.iter().flat_map(|asked| asked.iter()).any(|asked| **asked == *module)
    }

    pub(crate) fn image(&self) -> &Arc<Image> {
        &self.image
    }

    /// The memory that callers read and write.
    pub(crate) fn memory(&self) -> Option<Memory> {
        self.memory
    }

    /// # Errors
    /// [`Error::Stopped`] before it has been started.
    pub(crate) fn instance(&self) -> Result<wasmtime::Instance, Error> {
        self.instance.ok_or(Error::Stopped)
    }
}

/// Stops the task once without an outcome.
pub(crate) async fn yield_once() {
    let mut yielded = false;
    poll_fn(|_| if std::mem::replace(&mut yielded, true) { Poll::Ready(()) } else { Poll::Pending }).await;
}

/// Lets the task go on where nobody minds how long that takes.
pub(crate) async fn leave_scheduler(store: &StoreContextMut<'_, Data>) {
    let pace = store.data().port.pace.clone();
    if pace.on_scheduler.load(Ordering::Relaxed) {
        yield_once().await;
    }
}

/// The task itself. Its future is dropped to end it.
pub(crate) async fn run(image: Arc<Image>, port: Arc<Port>) {
    let Ok(mut store) = new_store(&image, &port) else { return };
    loop {
        let command = port.next().await;
        if let Some(seed) = port.take_seed() {
            store = seed;
        }
        let (ticket, result) = match command {
            Command::Survey(starting) => (starting.ticket, survey(&image, &starting).await),
            Command::Fork(starting, other) => {
                let result = fork(store.as_context_mut(), &other, &starting).await;
                (starting.ticket, result.and_then(|forked| other.plant(forked)))
            }
            Command::Restore(starting, snapshots) => {
                let result = restore(&image, &port, &starting, snapshots).await;
                (starting.ticket, result.map(|restored| reaper::dispose(std::mem::replace(&mut store, restored))))
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

fn new_store(image: &Arc<Image>, port: &Arc<Port>) -> Result<Store<Data>, Error> {
    let data = Data {
        limits: Limits::new(port.pace.clone()),
        port: port.clone(),
        image: image.clone(),
        instance: None,
        memory: None,
        depth: 0,
        ticket: TicketId::default(),
        stub: true,
        now: 0,
        asked_first: None,
        host_depth: 0,
        host: None,
    };
    let mut store = Store::new(config::engine()?, data);
    store.limiter_async(|data| &mut data.limits);
    store.epoch_deadline_async_yield_and_update(SLICE_TICKS);
    Ok(store)
}

/// A store with a fresh instance.
async fn fresh(
    image: &Arc<Image>,
    port: &Arc<Port>,
    starting: &Starting,
    initialize: Initialize,
) -> Result<Store<Data>, Error> {
    let mut store = new_store(image, port)?;
    let started = start(&mut store.as_context_mut(), starting, initialize).await;
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

async fn survey(image: &Arc<Image>, starting: &Starting) -> Result<(), Error> {
    if image.fresh().is_none() {
        let port = Arc::new(Port::new());
        // Snapshots go into instances that nothing has initialized, and tell how a state differs from one that has been.
        let mut store = fresh(image, &port, starting, Initialize::Nothing).await?;
        let context = &mut store.as_context_mut();
        let found = match state::tables(context) {
            Ok(tables) => {
                context.set_fuel(SURVEY_FUEL).map_err(|error| Error::from_call(&error))?;
                match initialize(context, starting, Initialize::Constructors).await {
                    Ok(()) => state::fresh(context, tables),
                    Err(error @ (Error::Cancelled | Error::Host(_) | Error::Limit(Limit::Instances))) => Err(error),
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

async fn restore(
    image: &Arc<Image>,
    port: &Arc<Port>,
    starting: &Starting,
    snapshots: Snapshots,
) -> Result<Store<Data>, Error> {
    // What is no snapshot is refused before anything is started.
    let outline = snapshots.outline(image)?;
    let initialize = match outline {
        Outline::Memory(_) => Initialize::Constructors,
        Outline::State(_) | Outline::Snapshot(_) => Initialize::Nothing,
    };
    let mut store = fresh(image, port, starting, initialize).await?;
    let mut context = store.as_context_mut();
    let mut result = put(&mut context, &outline, starting).await;
    if result.is_ok() {
        result = snapshots.put_memories(&mut context);
    }
    done(store, result)
}

async fn fork(
    mut from: StoreContextMut<'_, Data>,
    other: &Arc<Port>,
    starting: &Starting,
) -> Result<Store<Data>, Error> {
    let outline = Outline::State(state::rest(&mut from)?);
    let image = from.data().image.clone();
    let mut store = fresh(&image, other, starting, Initialize::Nothing).await?;
    let mut context = store.as_context_mut();
    let mut result = put(&mut context, &outline, starting).await;
    if result.is_ok() {
        result = state::copy_memories(&mut from, &mut context);
    }
    context.data_mut().host.clone_from(&from.data().host);
    done(store, result)
}

/// Whoever polls next for somebody else must find nothing left to do of what was cancelled.
async fn put(store: &mut StoreContextMut<'_, Data>, outline: &Outline, starting: &Starting) -> Result<(), Error> {
    unless_cancelled(&starting.cancelled, state::put(store, outline)).await.unwrap_or(Err(Error::Cancelled))
}

/// Does what a command asks for, in the root of the task or inside an import.
async fn serve(mut store: StoreContextMut<'_, Data>, command: Command) {
    let (ticket, result) = match command {
        Command::Start(starting, initialize) => {
            let started = start(&mut store, &starting, initialize).await;
            (starting.ticket, started.map(|()| Vec::new()))
        }
        Command::Call(call) => (call.ticket, self::call(&mut store, call).await),
        Command::Grow(bytes, ticket) => (ticket, grow(&mut store, bytes).await.map(|()| Vec::new())),
        Command::Access(access) => {
            return match store.data().memory {
                Some(memory) => access(memory.data_mut(&mut store)),
                None => access(&mut []),
            };
        }
        Command::Inspect(inspect) if store.data().depth > 0 => return inspect(Err(in_progress())),
        Command::Inspect(inspect) => return inspect(Ok(&mut store)),
        Command::Output(look) => {
            return match &store.data().host {
                Some(host) => {
                    let (output, errors) = host.files.output();
                    look(output, errors)
                }
                None => look(&[], &[]),
            };
        }
        // `run` serves these, where no call is in progress.
        Command::Survey(starting) | Command::Restore(starting, _) | Command::Fork(starting, _) => {
            (starting.ticket, Err(in_progress()))
        }
        // Only `suspend` waits for answers; `instance` sends none elsewhere.
        Command::Answer(_) => return,
    };
    publish_size(&mut store);
    store.data().port.stop_with(Outcome::Finished(ticket, result));
}

fn in_progress() -> Error {
    Error::Uncapturable("a call is in progress".into())
}

fn publish_size(store: &mut StoreContextMut<'_, Data>) {
    if let Some(memory) = store.data().memory {
        let bytes = memory.data_size(&store) as u64;
        store.data().port.memory_bytes.store(bytes, Ordering::Relaxed);
    }
}

/// Polls `future` until it is ready or `cancelled` is up, whichever comes first.
async fn unless_cancelled<T>(cancelled: &AtomicBool, future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    poll_fn(|cx| if cancelled.load(Ordering::Acquire) { Poll::Ready(None) } else { future.as_mut().poll(cx).map(Some) })
        .await
}

async fn start(
    store: &mut StoreContextMut<'_, Data>,
    starting: &Starting,
    initialize: Initialize,
) -> Result<(), Error> {
    let image = store.data().image.clone();
    store.data_mut().depth = 1;
    store.set_epoch_deadline(SLICE_TICKS);
    store.set_fuel(starting.fuel.unwrap_or(u64::MAX)).map_err(|error| Error::from_call(&error))?;
    let result = unless_cancelled(&starting.cancelled, image.pre().instantiate_async(&mut *store)).await;
    store.data_mut().depth = 0;
    let instance = match result {
        None => return Err(Error::Cancelled),
        Some(Ok(instance)) => instance,
        Some(Err(error)) => {
            let refused = store.data().limits.refused;
            return Err(uncaught(store).unwrap_or_else(|| instantiation_error(&error, refused)));
        }
    };
    let memory = image.memory().and_then(|export| instance.get_module_export(&mut *store, export));
    let data = store.data_mut();
    data.instance = Some(instance);
    data.memory = memory.and_then(wasmtime::Extern::into_memory);
    self::initialize(store, starting, initialize).await?;
    // What the host does from here on is nobody's fuel.
    store.set_fuel(u64::MAX).map_err(|error| Error::from_call(&error))
}

/// Does what Emscripten's loader does with a program that has been instantiated.
async fn initialize(
    store: &mut StoreContextMut<'_, Data>,
    starting: &Starting,
    initialize: Initialize,
) -> Result<(), Error> {
    if !store.data().image.is_emscripten() {
        return Ok(());
    }
    store.data_mut().depth = 1;
    let result = unless_cancelled(&starting.cancelled, emscripten::initialize(store, initialize)).await;
    store.data_mut().depth = 0;
    match result {
        Some(Ok(())) => Ok(()),
        Some(Err(error)) => Err(uncaught(store).unwrap_or_else(|| Error::from_call(&error))),
        None => {
            drop(uncaught(store));
            Err(Error::Cancelled)
        }
    }
}

/// An instantiation that ends without a trap has met a limit, or the host's bounds: address space or mappings.
fn instantiation_error(error: &wasmtime::Error, refused: Option<Limit>) -> Error {
    match (Error::from_call(error), refused) {
        (Error::Host(_), Some(limit)) => Error::Limit(limit),
        (Error::Host(text), None) => {
            log::warn!("cannot instantiate: {text}");
            Error::Limit(Limit::Instances)
        }
        (other, _) => other,
    }
}

async fn call(store: &mut StoreContextMut<'_, Data>, call: Call) -> Result<Vec<Value>, Error> {
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
    let exceptions = store.data().host.as_ref().map(|host| host.exceptions.mark()).unwrap_or_default();
    let budget = call.fuel.unwrap_or(u64::MAX).min(fuel);
    store.set_fuel(budget).map_err(host)?;
    store.set_epoch_deadline(SLICE_TICKS);
    let now = call.time.unwrap_or(outer.now);
    let inner = Frame {
        depth: outer.depth + 1,
        ticket: call.ticket,
        stub: call.stub,
        now,
        host_depth: outer.host_depth,
        asked_first: call.asked_first,
    };
    inner.enter(store.data_mut());
    if outer.depth == 0
        && let Some(host) = &mut store.data_mut().host
    {
        host.files.clear_output();
    }

    let result = invoke(store, func, &args, signature.results.len(), &call.cancelled).await;

    outer.enter(store.data_mut());
    let left = store.get_fuel().map_err(host)?;
    // What ended in the middle has left its frames behind, and the exceptions that it was handling.
    if let (Err(_), Some(host)) = (&result, &mut store.data_mut().host) {
        host.exceptions.back_to(exceptions);
    }
    if let (Err(_), Some((global, value))) = (&result, stack) {
        global.set(&mut *store, value).map_err(host)?;
    }
    store.set_fuel(fuel.saturating_sub(budget.saturating_sub(left))).map_err(host)?;
    result
}

/// What belongs to the innermost call.
struct Frame {
    depth: usize,
    ticket: TicketId,
    stub: bool,
    now: u64,
    /// A call that is cancelled ends without counting down.
    host_depth: usize,
    asked_first: Option<Arc<[Box<str>]>>,
}

impl Frame {
    fn of(data: &Data) -> Frame {
        let Data { depth, ticket, stub, now, host_depth, .. } = *data;
        // Outside of all calls nothing has a clock.
        let now = if depth == 0 { 0 } else { now };
        Frame { depth, ticket, stub, now, host_depth, asked_first: data.asked_first.clone() }
    }

    fn enter(self, data: &mut Data) {
        let Frame { depth, ticket, stub, now, host_depth, asked_first } = self;
        (data.depth, data.ticket, data.stub, data.now) = (depth, ticket, stub, now);
        (data.host_depth, data.asked_first) = (host_depth, asked_first);
    }
}

/// The global that points to the end of the guest's own stack.
fn stack_pointer(store: &mut StoreContextMut<'_, Data>) -> Option<Global> {
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
        Some(Err(error)) => Err(uncaught(&mut scope.as_context_mut()).unwrap_or_else(|| Error::from_call(&error))),
        None => {
            drop(uncaught(&mut scope.as_context_mut()));
            Err(Error::Cancelled)
        }
    }
}

/// The exception that left the guest last, if one did.
fn uncaught(store: &mut StoreContextMut<'_, Data>) -> Option<Error> {
    let mut scope = RootScope::new(&mut *store);
    let exception = scope.as_context_mut().take_pending_exception()?;
    let fields: Vec<Val> = exception.fields(&mut scope).map(Iterator::collect).unwrap_or_default();
    let mut values: Vec<Value> = fields.iter().map(|val| value::from_val(&mut scope, val)).collect();
    let tag = exception.tag(&mut scope).ok();
    let store = &mut scope.as_context_mut();
    let tag = tag.and_then(|tag| match thrown(store, &tag) {
        Some(thrown) => {
            values.extend(thrown.value(store.data()));
            Some(thrown.name().to_owned())
        }
        None => tag_name(store, &tag),
    });
    Some(Error::Exception { tag, values })
}

/// What a tag means that Emscripten's scheme throws with.
fn thrown(store: &mut StoreContextMut<'_, Data>, tag: &Tag) -> Option<emscripten::Thrown> {
    let (instance, image) = (store.data().instance?, store.data().image.clone());
    let mut tags = image.thrown().iter();
    let found = tags.find(|(export, _)| match instance.get_module_export(&mut *store, export) {
        Some(wasmtime::Extern::Tag(known)) => Tag::eq(&known, tag, &*store),
        _ => false,
    });
    found.map(|(_, thrown)| *thrown)
}

/// The name under which the image exports a tag.
fn tag_name(store: &mut StoreContextMut<'_, Data>, tag: &Tag) -> Option<String> {
    let (instance, image) = (store.data().instance?, store.data().image.clone());
    let mut names = image.exports().iter().filter(|export| export.kind == "tag").map(|export| &export.name);
    let found =
        names.find(|name| instance.get_tag(&mut *store, name).is_some_and(|exported| Tag::eq(&exported, tag, &*store)));
    found.cloned()
}

fn resolve(store: &mut StoreContextMut<'_, Data>, target: &Target) -> Result<(Func, Arc<Signature>), Error> {
    let instance = store.data().instance()?;
    match target {
        Target::Export(export) => {
            let func = instance.get_module_export(&mut *store, &export.index).and_then(wasmtime::Extern::into_func);
            // The image has found the export already.
            func.map(|func| (func, export.signature.clone())).ok_or(Error::Stopped)
        }
        Target::Entry(index) => {
            let unknown = || Error::UnknownFunction(index.to_string());
            let image = store.data().image.clone();
            let table = image.table().and_then(|export| instance.get_module_export(&mut *store, export));
            let table = table.and_then(wasmtime::Extern::into_table).ok_or_else(unknown)?;
            let Some(Ref::Func(Some(func))) = table.get(&mut *store, *index) else { return Err(unknown()) };
            let signature = Signature::of(&func.ty(&mut *store)).ok_or_else(unknown)?;
            Ok((func, Arc::new(signature)))
        }
    }
}

async fn grow(store: &mut StoreContextMut<'_, Data>, bytes: u64) -> Result<(), Error> {
    match store.data().memory {
        Some(memory) => state::grow_memory(store, &memory, bytes).await,
        None if bytes == 0 => Ok(()),
        None => Err(Error::Limit(Limit::Memory)),
    }
}

/// The body of an import that the host does not serve.
pub(crate) async fn suspend(
    store: StoreContextMut<'_, Data>,
    import: &Arc<ImportInfo>,
    params: &[Val],
    results: &mut [Val],
) -> wasmtime::Result<()> {
    match ask(store, import, params, results).await? {
        Asked::Answered => Ok(()),
        // `instance` takes such an answer for imports only that the host serves.
        Asked::LeftToHost => Err(HostFailure::Import(ImportFailure::Refused(Arc::from([]))).into()),
    }
}

/// How an import was answered.
pub(crate) enum Asked {
    /// With results, which the guest has.
    Answered,
    /// The host is to serve it.
    LeftToHost,
}

/// Stops the task until the answer to an import comes, and serves what the one who answers asks for.
pub(crate) async fn ask(
    mut store: StoreContextMut<'_, Data>,
    import: &Arc<ImportInfo>,
    params: &[Val],
    results: &mut [Val],
) -> wasmtime::Result<Asked> {
    let answer = if store.data().stub {
        Ok(Reply::Results(import.signature.results.iter().map(|ty| ty.zero()).collect()))
    } else {
        let args = params.iter().map(|val| value::from_val(&mut store, val)).collect();
        publish_size(&mut store);
        let data = store.data();
        let port = data.port.clone();
        port.stop_with(Outcome::Import(data.ticket, import.clone(), args));
        let answer = loop {
            match port.next().await {
                Command::Answer(answer) => break answer,
                command => Box::pin(serve(store.as_context_mut(), command)).await,
            }
        };
        // Only who really stopped has a new slice: a loop of imports answered at once would never come to the end of one.
        store.set_epoch_deadline(SLICE_TICKS);
        answer
    };
    let Reply::Results(values) = answer.map_err(HostFailure::Import)? else { return Ok(Asked::LeftToHost) };
    for (result, value) in results.iter_mut().zip(values) {
        *result = value::to_val(&mut store, value).await?;
    }
    Ok(Asked::Answered)
}
