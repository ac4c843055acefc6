//! State: snapshots, restoring, forking, and what moving an instance takes.

use crate::atoms;
use crate::handle::{self, Handle};
use crate::loading::Loaded;
use crate::memory::{allocated, bytes_or_error, copied};
use crate::steps::Operation;
use crate::{not_local, terms};
use hb_wasm64_engine::error::Error;
use hb_wasm64_engine::snapshot::Kind;
use hb_wasm64_engine::{Instance, Snapshots, Status, images};
use rustler::env::SavedTerm;
use rustler::{Atom, Binary, Encoder, Env, NifResult, OwnedBinary, OwnedEnv, ResourceArc, Term};
use std::sync::Arc;

/// zstd's own default: the levels above it cost more time than they save on pages.
const LEVEL: i32 = 3;

/// Binaries kept alive, not copied, on their way to the task.
struct Kept {
    env: OwnedEnv,
    list: SavedTerm,
}

impl Kept {
    fn new(list: Term<'_>) -> NifResult<Kept> {
        let _: Vec<Binary<'_>> = list.decode()?;
        let env = OwnedEnv::new();
        let list = env.save(list);
        Ok(Kept { env, list })
    }
}

impl hb_wasm64_engine::Kept for Kept {
    fn with(&self, look: &mut dyn FnMut(&[&[u8]])) {
        self.env.run(|env| {
            let binaries: Vec<Binary<'_>> = self.list.load(env).decode().unwrap_or_default();
            let bytes: Vec<&[u8]> = binaries.iter().map(Binary::as_slice).collect();
            look(&bytes);
        });
    }
}

/// Finds out what a fresh instance of the image is like.
#[rustler::nif(schedule = "DirtyCpu")]
fn survey<'a>(env: Env<'a>, handle: Term<'a>, reference: Term<'a>, ticket: u64) -> NifResult<Term<'a>> {
    let Some(handle) = handle::decode(handle)? else { return Ok(not_local(env)) };
    let operation = Operation::new(env, &handle, reference, ticket, None);
    Ok(operation.step(|it| handle.instance.survey(it.scope(), it.ticket, || it.owner())))
}

/// `{ok, Snapshot}`, or `survey` where that has to be done first. With a base, a delta.
#[rustler::nif(schedule = "DirtyCpu")]
fn snapshot<'a>(
    env: Env<'a>,
    handle: Term<'a>,
    reference: Term<'a>,
    ticket: u64,
    compress: bool,
    base: Term<'a>,
) -> NifResult<Term<'a>> {
    let Some(handle) = handle::decode(handle)? else { return Ok(not_local(env)) };
    if !handle.instance.is_surveyed() {
        return Ok(atoms::survey().to_term(env));
    }
    let base = if base.is_empty_list() { None } else { Some(Kept::new(base)?) };
    let operation = Operation::new(env, &handle, reference, ticket, None);
    let take = move |view: &hb_wasm64_engine::View<'_>| match base {
        None => write(view, Kind::Full, compress),
        Some(base) => Snapshots::whole(base).resolve(|base| write(view, Kind::Delta(base), compress)),
    };
    Ok(operation.view(take, bytes_or_error))
}

fn write(view: &hb_wasm64_engine::View<'_>, kind: Kind<'_>, compress: bool) -> Result<OwnedBinary, Error> {
    let plan = view.plan(kind)?;
    if compress {
        return copied(&plan.compress(LEVEL)?.0);
    }
    let mut binary = allocated(plan.size())?;
    plan.write(binary.as_mut_slice())?;
    Ok(binary)
}

/// `{ok, {Memory, Rest | none}}`, or `survey` where that has to be done first.
#[rustler::nif(schedule = "DirtyCpu")]
fn read_state<'a>(env: Env<'a>, handle: Term<'a>, reference: Term<'a>, ticket: u64) -> NifResult<Term<'a>> {
    let Some(handle) = handle::decode(handle)? else { return Ok(not_local(env)) };
    if !handle.instance.is_surveyed() {
        return Ok(atoms::survey().to_term(env));
    }
    let operation = Operation::new(env, &handle, reference, ticket, None);
    let take = |view: &hb_wasm64_engine::View<'_>| {
        let rest = view.rest()?.map(|rest| copied(&rest)).transpose()?;
        Ok((copied(view.memory())?, rest))
    };
    Ok(operation.view(take, |env, result: Result<_, Error>| match result {
        Ok((memory, Some(rest))) => (atoms::ok(), (memory.release(env), rest.release(env))).encode(env),
        Ok((memory, None)) => (atoms::ok(), (memory.release(env), atoms::none())).encode(env),
        Err(error) => terms::error(env, &error),
    }))
}

/// `{ok, Snapshot}`: a whole snapshot and its deltas as one.
#[rustler::nif(schedule = "DirtyCpu")]
fn merge<'a>(env: Env<'a>, chain: Term<'a>) -> NifResult<Term<'a>> {
    let merged = Snapshots::whole(Kept::new(chain)?).merge();
    Ok(bytes_or_error(env, merged.and_then(|bytes| copied(&bytes))))
}

/// Starts the instance afresh in the state of snapshots: `whole` ones, or `raw` memory and a snapshot of the rest.
#[rustler::nif(schedule = "DirtyCpu")]
fn restore<'a>(
    env: Env<'a>,
    handle: Term<'a>,
    reference: Term<'a>,
    ticket: u64,
    form: Atom,
    snapshots: Term<'a>,
    request: Term<'a>,
) -> NifResult<Term<'a>> {
    let Some(handle) = handle::decode(handle)? else { return Ok(not_local(env)) };
    let kept = Kept::new(snapshots)?;
    let snapshots = if form == atoms::raw() { Snapshots::raw(kept) } else { Snapshots::whole(kept) };
    let request = crate::start_request(request)?;
    let operation = Operation::new(env, &handle, reference, ticket, None);
    Ok(operation.step(|it| handle.instance.restore(it.scope(), it.ticket, snapshots, request, || it.owner())))
}

/// An instance of the same image that has yet to be started.
#[rustler::nif]
fn new_sibling<'a>(env: Env<'a>, handle: Term<'a>) -> NifResult<Term<'a>> {
    let Some(handle) = handle::decode(handle)? else { return Ok(not_local(env)) };
    let instance = Arc::new(Instance::new(handle.instance.image().clone()));
    Ok((atoms::ok(), ResourceArc::new(Handle { instance, scope: None })).encode(env))
}

/// Starts another instance in the state of this one.
#[rustler::nif(schedule = "DirtyCpu")]
fn fork<'a>(env: Env<'a>, handle: Term<'a>, reference: Term<'a>, ticket: u64, other: Term<'a>) -> NifResult<Term<'a>> {
    let (Some(handle), Some(other)) = (handle::decode(handle)?, handle::decode(other)?) else {
        return Ok(not_local(env));
    };
    let operation = Operation::new(env, &handle, reference, ticket, None);
    Ok(operation.step(|it| handle.instance.fork(it.scope(), it.ticket, &other.instance, || it.owner())))
}

/// `{ok, Scope, Ticket}`: the instance is nobody else's until the ticket is cancelled or the process ends.
#[rustler::nif]
fn hold<'a>(env: Env<'a>, handle: Term<'a>, reference: Term<'a>, ticket: u64) -> NifResult<Term<'a>> {
    let Some(handle) = handle::decode(handle)? else { return Ok(not_local(env)) };
    let operation = Operation::new(env, &handle, reference, ticket, None);
    Ok(operation.hold())
}

/// `{ok, Binary}`: the image of an instance.
#[rustler::nif(schedule = "DirtyCpu")]
fn image_bytes<'a>(env: Env<'a>, handle: Term<'a>) -> NifResult<Term<'a>> {
    let Some(handle) = handle::decode(handle)? else { return Ok(not_local(env)) };
    if handle.instance.status() == Status::Stopped {
        return Ok(terms::error(env, &Error::Stopped));
    }
    Ok(bytes_or_error(env, copied(handle.instance.image().source())))
}

/// `{ok, Image} | not_found`: an image by its hash.
#[rustler::nif]
fn find_hash<'a>(env: Env<'a>, hash: Binary<'a>) -> Term<'a> {
    match hash.as_slice().try_into().ok().and_then(|hash| images::cached(&hash)) {
        Some(image) => (atoms::ok(), ResourceArc::new(Loaded(image))).encode(env),
        None => atoms::not_found().to_term(env),
    }
}
