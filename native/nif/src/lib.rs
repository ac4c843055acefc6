//! The NIF of `hb_wasm64`: decodes terms, makes one call of the engine, encodes what came of it.
//!
//! What may take longer than a fraction of a millisecond runs on the dirty CPU schedulers; where that depends on the
//! size of something there are two of a kind, and Erlang decides.

#![deny(missing_docs)]

mod artifact;
mod atoms;
mod binaries;
mod call_async;
mod files;
mod handle;
mod jobs;
mod loading;
mod logger;
mod memory;
mod messenger;
mod options;
mod source;
mod state;
mod steps;
mod terms;

use crate::handle::Handle;
use crate::loading::{Asker, Found, Loaded};
use crate::options::Deadline;
use crate::steps::Operation;
use hb_wasm64_engine::error::{Error, ImportFailure};
use hb_wasm64_engine::image::Image;
use hb_wasm64_engine::limits::{self, Setting};
use hb_wasm64_engine::{CallRequest, FuncName, GivenUp, Instance, Notifications, Response, Slice, Status, TicketId};
use hb_wasm64_engine::{Runtime, SLICES, Standard, Unserved, set_slice};
use rustler::{Atom, Binary, Encoder, Env, LocalPid, NifResult, ResourceArc, Term};
use std::sync::Arc;

fn load(_env: Env<'_>, _info: Term<'_>) -> bool {
    logger::install();
    true
}

/// `{ok, Image}`, or `hash` where the binary has to be hashed to tell.
#[rustler::nif]
fn find_image<'a>(env: Env<'a>, binary: Binary<'a>) -> Term<'a> {
    match loading::recall(&binary) {
        Some(image) => (atoms::ok(), ResourceArc::new(Loaded(image))).encode(env),
        None => atoms::hash().to_term(env),
    }
}

/// `{ok, Image} | {wait, Asker}`; in the second case a message `{hb_wasm64, Reference, {image, Result}}` follows.
#[rustler::nif(schedule = "DirtyCpu")]
fn load_image<'a>(env: Env<'a>, reference: Term<'a>, binary: Term<'a>, is_whole: bool) -> NifResult<Term<'a>> {
    Ok(match loading::load(env, reference, binary, is_whole)? {
        Ok(Found::Image(image)) => (atoms::ok(), ResourceArc::new(Loaded(image))).encode(env),
        Ok(Found::Waiting(asker)) => (atoms::wait(), asker).encode(env),
        Err(error) => terms::error(env, &error),
    })
}

/// Ends the wait for an image. `true`: no message will come; `false`: it is in the mailbox.
#[rustler::nif]
fn forget_image(asker: ResourceArc<Asker>) -> bool {
    asker.give_up()
}

/// A handle of an instance that has yet to be started.
#[rustler::nif]
fn new_instance<'a>(env: Env<'a>, image: ResourceArc<Loaded>) -> Term<'a> {
    let instance = Arc::new(Instance::new(image.0.clone()));
    ResourceArc::new(Handle { instance, scope: None }).encode(env)
}

/// The first slice of the start of an instance.
#[rustler::nif]
fn start<'a>(env: Env<'a>, handle: Term<'a>, reference: Term<'a>, options: Term<'a>) -> NifResult<Term<'a>> {
    start_in(env, handle, reference, options, Slice::Short)
}

/// The same with options that say what the program is given, which can be large.
#[rustler::nif(schedule = "DirtyCpu")]
fn start_dirty<'a>(env: Env<'a>, handle: Term<'a>, reference: Term<'a>, options: Term<'a>) -> NifResult<Term<'a>> {
    start_in(env, handle, reference, options, Slice::Long)
}

fn start_in<'a>(
    env: Env<'a>,
    handle: Term<'a>,
    reference: Term<'a>,
    options: Term<'a>,
    slice: Slice,
) -> NifResult<Term<'a>> {
    let Some(handle) = handle::decode(handle)? else { return Ok(not_local(env)) };
    let request = options::start(options)?;
    if let Some(refused) = options::refused(env, options, &request) {
        return Ok(refused);
    }
    let operation = Operation::new(env, &handle, reference, 0);
    Ok(operation.step(|it| handle.instance.start(it.caller(), request, slice)))
}

/// The first slice of a call. The ticket is 0, or that of a call whose turn has come. `Func` is a binary or a table index.
#[rustler::nif]
#[allow(clippy::too_many_arguments)]
fn call<'a>(
    env: Env<'a>,
    handle: Term<'a>,
    reference: Term<'a>,
    ticket: u64,
    func: Term<'a>,
    arguments: Term<'a>,
    options: Term<'a>,
    responder: Term<'a>,
) -> NifResult<Term<'a>> {
    let Some(handle) = handle::decode(handle)? else { return Ok(not_local(env)) };
    let responder = steps::responder(responder)?;
    let options = match options::call(options, handle.instance.image())? {
        Ok(options) => options,
        Err(error) => return Ok(terms::error(env, &error)),
    };
    let args = terms::args(arguments)?;
    let name: Binary;
    let func = match func.decode::<u64>() {
        Ok(index) => FuncName::Entry(index),
        Err(_) => {
            name = func.decode()?;
            match std::str::from_utf8(&name) {
                Ok(name) => FuncName::Export(name),
                Err(_) => return Ok(steps::unknown_function(env, &name)),
            }
        }
    };
    let operation = Operation::new(env, &handle, reference, ticket);
    let request = CallRequest { func, args, options };
    Ok(operation.step(|it| handle.instance.call(it.caller(), request, Slice::Short, responder)))
}

/// A further slice of a start, a call or a growth.
#[rustler::nif(schedule = "DirtyCpu")]
fn resume<'a>(
    env: Env<'a>,
    handle: Term<'a>,
    reference: Term<'a>,
    ticket: u64,
    deadline: Deadline,
    responder: Term<'a>,
) -> NifResult<Term<'a>> {
    let Some(handle) = handle::decode(handle)? else { return Ok(not_local(env)) };
    let responder = steps::responder(responder)?;
    let operation = Operation::new(env, &handle, reference, ticket).within(deadline);
    Ok(operation.step(|it| handle.instance.resume(it.caller(), Slice::Long, responder)))
}

/// Answers the import that the caller's own call waits for, and goes on with that call for a slice.
///
/// The answer is a list of results, a binary with the reason of a failure, or an atom to leave it to the engine.
#[rustler::nif]
fn answer<'a>(
    env: Env<'a>,
    handle: Term<'a>,
    reference: Term<'a>,
    ticket: u64,
    scope: Term<'a>,
    given: Term<'a>,
) -> NifResult<Term<'a>> {
    let Some(handle) = handle::decode(handle)? else { return Ok(not_local(env)) };
    match give(scope, given)? {
        Ok(notifications) => handle::notify(env, notifications),
        Err(Error::NotInterceptable) => return Ok(terms::error(env, &Error::NotInterceptable)),
        // Answered by another process already: the call goes on with that answer.
        Err(_) => {}
    }
    let operation = Operation::new(env, &handle, reference, ticket);
    Ok(operation.step(|it| handle.instance.resume(it.caller(), Slice::Short, Some(env.pid()))))
}

/// Answers an import of a call that another process drives.
#[rustler::nif]
fn respond<'a>(env: Env<'a>, scope: Term<'a>, given: Term<'a>) -> NifResult<Term<'a>> {
    respond_now(env, scope, given)
}

/// The same for a reason that takes long to copy.
#[rustler::nif(schedule = "DirtyCpu")]
fn respond_dirty<'a>(env: Env<'a>, scope: Term<'a>, given: Term<'a>) -> NifResult<Term<'a>> {
    respond_now(env, scope, given)
}

fn respond_now<'a>(env: Env<'a>, scope: Term<'a>, given: Term<'a>) -> NifResult<Term<'a>> {
    Ok(match give(scope, given)? {
        Ok(notifications) => {
            handle::notify(env, notifications);
            atoms::ok().to_term(env)
        }
        Err(error) => terms::error(env, &error),
    })
}

type Given = Result<Notifications<Arc<handle::Owner>>, Error>;

fn give(scope: Term<'_>, answer: Term<'_>) -> NifResult<Given> {
    let Some(handle) = handle::decode(scope)? else { return Ok(Err(Error::NoPendingImport)) };
    let Some(import) = &handle.scope else { return Ok(Err(Error::NoPendingImport)) };
    if answer.is_atom() {
        return Ok(handle.instance.respond(import, Response::Pass));
    }
    Ok(match answer.decode::<Binary>() {
        Ok(reason) => {
            let failure = ImportFailure::Refused(Arc::from(reason.as_slice()));
            handle.instance.respond(import, Response::Failed(failure))
        }
        Err(_) => handle.instance.respond(import, Response::Results(&terms::args(answer)?)),
    })
}

/// Ends an operation by its ticket. `true` to an owner that waits: it will not be woken; `false`: its message is here or
/// on its way; `done`: so it is, and the operation is over: its result is there when it is repeated.
#[rustler::nif]
fn cancel<'a>(env: Env<'a>, handle: Term<'a>, ticket: u64) -> NifResult<Atom> {
    let Some(handle) = handle::decode(handle)? else { return Ok(rustler::types::atom::true_()) };
    let (notifications, given_up) = handle.instance.give_up(TicketId(ticket));
    handle::notify(env, notifications);
    Ok(match given_up {
        GivenUp::Unwoken => rustler::types::atom::true_(),
        GivenUp::Woken => rustler::types::atom::false_(),
        GivenUp::TooLate => atoms::done(),
    })
}

/// Ends an instance.
#[rustler::nif]
fn stop<'a>(env: Env<'a>, handle: Term<'a>) -> NifResult<Term<'a>> {
    let Some(handle) = handle::decode(handle)? else { return Ok(not_local(env)) };
    handle::notify(env, handle.instance.stop());
    Ok(atoms::ok().to_term(env))
}

/// Has the calling process told when the instance is stopped: `{hb_wasm64, Reference, turn}`. Until then the instance
/// lives, or as long as the process does.
#[rustler::nif]
fn watch<'a>(env: Env<'a>, handle: Term<'a>, reference: Term<'a>) -> NifResult<Term<'a>> {
    let Some(handle) = handle::decode(handle)? else { return Ok(not_local(env)) };
    let owner = handle::Owner::monitor(env, &handle, reference);
    // The end of a process that is exiting already is not noticed, and what waits for it would wait for ever.
    let watched = if owner.is_monitored() { handle.instance.watch(owner.clone()) } else { Ok(()) };
    Ok(match watched {
        Ok(()) => atoms::ok().to_term(env),
        Err(error) => {
            owner.demonitor(Some(env));
            terms::error(env, &error)
        }
    })
}

/// `{ok, idle | running | suspended}`.
#[rustler::nif]
fn status<'a>(env: Env<'a>, handle: Term<'a>) -> NifResult<Term<'a>> {
    let Some(handle) = handle::decode(handle)? else { return Ok(not_local(env)) };
    Ok(match status_atom(&handle) {
        Some(status) => (atoms::ok(), status).encode(env),
        None => terms::error(env, &Error::Stopped),
    })
}

fn status_atom(handle: &Handle) -> Option<Atom> {
    match handle.instance.status() {
        Status::Stopped => None,
        Status::Idle => Some(atoms::idle()),
        Status::Running => Some(atoms::running()),
        Status::Suspended => Some(atoms::suspended()),
    }
}

/// `{ok, [{stdout | stderr, Binary}]}`: what has been printed since this was asked before, of a call with the option `stream`.
#[rustler::nif(schedule = "DirtyCpu")]
fn take_printed<'a>(env: Env<'a>, handle: Term<'a>) -> NifResult<Term<'a>> {
    let Some(handle) = handle::decode(handle)? else { return Ok(not_local(env)) };
    let parts = handle.instance.take_printed().into_iter().map(|(to, bytes)| {
        let to = match to {
            Standard::Output => atoms::stdout(),
            Standard::Errors => atoms::stderr(),
        };
        Ok((to, binaries::copied(&bytes)?.release(env)))
    });
    Ok(match parts.collect::<Result<Vec<_>, Error>>() {
        Ok(parts) => (atoms::ok(), parts).encode(env),
        Err(error) => terms::error(env, &error),
    })
}

/// `emscripten`, `wasi`, `assemblyscript` or `none`: the host that serves imports of the instance's image.
#[rustler::nif]
fn host<'a>(env: Env<'a>, handle: Term<'a>) -> NifResult<Term<'a>> {
    let Some(handle) = handle::decode(handle)? else { return Ok(not_local(env)) };
    let host = match handle.instance.image().runtime() {
        Some(Runtime::Emscripten) => atoms::emscripten(),
        Some(Runtime::Wasi) => atoms::wasi(),
        Some(Runtime::AssemblyScript) => atoms::assemblyscript(),
        None => atoms::none(),
    };
    Ok((atoms::ok(), host).encode(env))
}

/// What an import answers that nobody serves: the number of an error, `exit` where it does not return, `unsupported` where it
/// cannot say so, else `zeros`.
#[rustler::nif]
fn unserved<'a>(env: Env<'a>, module: Binary<'a>, func: Binary<'a>) -> Term<'a> {
    // Names that are not UTF-8 are of no protocol.
    let (module, func) = (std::str::from_utf8(&module), std::str::from_utf8(&func));
    match Unserved::of(module.unwrap_or_default(), func.unwrap_or_default()) {
        Unserved::Error(number) => number.encode(env),
        Unserved::Exit => atoms::exit().to_term(env),
        Unserved::Unsupported => atoms::unsupported().to_term(env),
        Unserved::Zeros => atoms::zeros().to_term(env),
    }
}

/// Imports and exports, of an image together, of which a description is made where it is asked for.
const SHORT_LISTS: usize = 10_000;

/// What one of them costs, in bytes that are copied in that time.
const LISTED_BYTES: u64 = 4 << 10;

/// `{ok, Description}`: what there is to know about an instance. Where the lists of its image are long `{wait, Job}`, and the
/// same in a message.
#[rustler::nif(schedule = "DirtyCpu")]
fn describe<'a>(env: Env<'a>, handle: Term<'a>, reference: Term<'a>, deadline: Deadline) -> NifResult<Term<'a>> {
    let Some(handle) = handle::decode(handle)? else { return Ok(not_local(env)) };
    if deadline.is_over() {
        return Ok(steps::timeout(env));
    }
    let Some(status) = status_atom(&handle) else { return Ok(terms::error(env, &Error::Stopped)) };
    let (image, memory) = (handle.instance.image().clone(), handle.instance.memory_bytes());
    let gas = handle.instance.gas_used();
    let lists = image.imports().len() + image.exports().len();
    if lists <= SHORT_LISTS {
        return Ok(description(env, &image, memory, gas, status));
    }
    let bytes = lists as u64 * LISTED_BYTES;
    Ok(jobs::run(env, reference, bytes, |_| Ok(()), move |env, ()| description(env, &image, memory, gas, status)))
}

fn description<'a>(env: Env<'a>, image: &Image, memory: u64, gas: Option<i64>, status: Atom) -> Term<'a> {
    let description = terms::map(
        env,
        [
            (atoms::imports(), terms::imports(env, image)),
            (atoms::served(), terms::served(env, image)),
            (atoms::exports(), terms::exports(env, image)),
            (atoms::image(), terms::binary(env, image.hash())),
            (atoms::mode(), atoms::wasm().to_term(env)),
            (atoms::memory(), memory.encode(env)),
            (atoms::status(), status.to_term(env)),
        ],
    );
    let metered = gas.and_then(|gas| description.map_put(atoms::gas_used(), gas).ok());
    (atoms::ok(), metered.unwrap_or(description)).encode(env)
}

/// The time that deadlines are compared with, in nanoseconds.
#[rustler::nif]
fn now() -> i64 {
    options::now()
}

/// Sends the records of Rust's `log` to a process: `{log, Number, Level, Target, Text}`, the next one after [`logged`].
#[rustler::nif]
fn log_to(pid: LocalPid) -> Atom {
    logger::send_to(pid);
    atoms::ok()
}

/// The record with this number has been passed on.
#[rustler::nif]
fn logged(number: u64) -> Atom {
    logger::passed_on(number);
    atoms::ok()
}

/// Sets the level from which on records are sent.
#[rustler::nif]
fn log_level(level: Atom) -> NifResult<Atom> {
    logger::set_level(level)
}

/// How long a guest runs at a time, in microseconds: `ok`, or `false` where that is too short or too long.
#[rustler::nif]
fn time_slice(microseconds: u64) -> Atom {
    if !SLICES.contains(&microseconds) {
        return rustler::types::atom::false_();
    }
    set_slice(microseconds);
    atoms::ok()
}

/// Sets what the operator of the node may set, for what starts from then on: `ok`, or `false` where it is out of range.
#[rustler::nif]
fn set_limit(limit: Atom, value: u64) -> NifResult<Atom> {
    Ok(if setting(limit)?.set(value) { atoms::ok() } else { rustler::types::atom::false_() })
}

/// Whether the operator of the node has set a limit to less than what it is by itself.
#[rustler::nif]
fn is_lowered(limit: Atom) -> NifResult<bool> {
    Ok(setting(limit)?.is_lowered())
}

fn setting(limit: Atom) -> NifResult<&'static Setting> {
    match limit {
        limit if limit == atoms::memory() => Ok(&limits::NODE_MEMORY_BYTES),
        limit if limit == atoms::table() => Ok(&limits::NODE_TABLE_ELEMENTS),
        limit if limit == atoms::image() => Ok(&limits::NODE_IMAGE_BYTES),
        limit if limit == atoms::cached_images() => Ok(&limits::CACHED_IMAGES),
        limit if limit == atoms::cached_bytes() => Ok(&limits::CACHED_BYTES),
        _ => Err(rustler::Error::BadArg),
    }
}

fn not_local(env: Env<'_>) -> Term<'_> {
    (atoms::error(), atoms::not_local()).encode(env)
}

rustler::init!("hb_wasm64_nif", load = load);
