//! State: snapshots, restoring, forking, and what moving an instance takes.

use crate::atoms;
use crate::binaries::{allocated, bytes_or_error, copied, ok_bytes};
use crate::handle::{self, Handle};
use crate::jobs;
use crate::loading::Loaded;
use crate::options::{self, Deadline};
use crate::steps::{self, Operation};
use crate::{not_local, terms};
use hb_wasm64_engine::error::Error;
use hb_wasm64_engine::limits::Bounds;
use hb_wasm64_engine::{Instance, Slice, Snapshots, Status, images};
use hb_wasm64_snapshot::{Cancellation, Kind, Output, SnapshotError};
use rustler::env::SavedTerm;
use rustler::{Atom, Binary, Encoder, Env, ListIterator, NifResult, OwnedBinary, OwnedEnv, ResourceArc, Term};
use std::sync::Arc;

/// zstd's own default: the levels above it cost more time than they save on pages.
const LEVEL: i32 = 3;

/// Snapshots up to this size, of all files together, are merged where they are: what comes of them is no more than 160
/// times as large.
const SHORT_MERGE_BYTES: u64 = 64 << 10;

/// Binaries kept alive, not copied, on their way to the task.
struct BinaryList {
    env: OwnedEnv,
    list: SavedTerm,
}

impl BinaryList {
    fn new(list: Term<'_>) -> NifResult<BinaryList> {
        for item in list.decode::<ListIterator<'_>>()? {
            let _: Binary<'_> = item.decode()?;
        }
        let env = OwnedEnv::new();
        let list = env.save(list);
        Ok(BinaryList { env, list })
    }
}

impl hb_wasm64_engine::Files for BinaryList {
    fn with(&self, look: &mut dyn FnMut(&[&[u8]])) {
        self.env.run(|env| {
            let binaries: Vec<Binary<'_>> = self.list.load(env).decode().unwrap_or_default();
            let bytes: Vec<&[u8]> = binaries.iter().map(Binary::as_slice).collect();
            look(&bytes);
        });
    }
}

/// `{ok, Snapshot}`. With a base, a delta.
#[rustler::nif(schedule = "DirtyCpu")]
fn snapshot<'a>(
    env: Env<'a>,
    handle: Term<'a>,
    reference: Term<'a>,
    ticket: u64,
    deadline: Deadline,
    compress: bool,
    base: Term<'a>,
) -> NifResult<Term<'a>> {
    let Some(handle) = handle::decode(handle)? else { return Ok(not_local(env)) };
    let base = if base.is_empty_list() { None } else { Some(Snapshots::whole(BinaryList::new(base)?)) };
    let beside = base.as_ref().map_or(0, Snapshots::work_bytes);
    let operation = Operation::new(env, &handle, reference, ticket).within(deadline);
    let take = move |view: &hb_wasm64_engine::View<'_>| match base {
        None => write(view, Kind::Full, compress),
        Some(base) => base.resolve(view.cancellation(), |base| write(view, Kind::Delta(base), compress)),
    };
    Ok(operation.view(beside, take, ok_bytes))
}

fn write(view: &hb_wasm64_engine::View<'_>, kind: Kind<'_>, compress: bool) -> Result<OwnedBinary, Error> {
    let plan = view.plan(kind)?;
    if compress {
        let mut binary = Growing::new();
        plan.compress(LEVEL, &mut binary)?;
        return binary.finish();
    }
    let mut binary = allocated(plan.size())?;
    plan.write(binary.as_mut_slice())?;
    Ok(binary)
}

/// A binary whose size is not known before.
struct Growing {
    binary: OwnedBinary,
    size: usize,
}

impl Growing {
    fn new() -> Growing {
        Growing { binary: OwnedBinary::new(0), size: 0 }
    }

    fn resize(&mut self, size: usize) -> Result<(), SnapshotError> {
        let no_room = || SnapshotError::Host(format!("no room for a binary of {size} bytes"));
        self.binary.realloc(size).then_some(()).ok_or_else(no_room)
    }

    fn finish(mut self) -> Result<OwnedBinary, Error> {
        self.resize(self.size)?;
        Ok(self.binary)
    }
}

impl Output for Growing {
    fn append(&mut self, bytes: &[u8]) -> Result<(), SnapshotError> {
        let end = self.size.saturating_add(bytes.len());
        if end > self.binary.len() {
            self.resize(end.max(self.size.saturating_add(self.size / 2)))?;
        }
        if let Some(place) = self.binary.as_mut_slice().get_mut(self.size..end) {
            place.copy_from_slice(bytes);
        }
        self.size = end;
        Ok(())
    }

    fn bytes(&mut self) -> &mut [u8] {
        self.binary.as_mut_slice().get_mut(..self.size).unwrap_or_default()
    }
}

/// `{ok, {Memory, SideState | none}}`.
#[rustler::nif(schedule = "DirtyCpu")]
fn read_state<'a>(
    env: Env<'a>,
    handle: Term<'a>,
    reference: Term<'a>,
    ticket: u64,
    deadline: Deadline,
) -> NifResult<Term<'a>> {
    let Some(handle) = handle::decode(handle)? else { return Ok(not_local(env)) };
    let operation = Operation::new(env, &handle, reference, ticket).within(deadline);
    let take = |view: &hb_wasm64_engine::View<'_>| {
        let side_state = view.side_state()?.map(|side_state| copied(&side_state)).transpose()?;
        let mut memory = allocated(view.memory_size())?;
        view.copy_memory(memory.as_mut_slice())?;
        Ok((memory, side_state))
    };
    Ok(operation.view(0, take, |env, (memory, side_state)| match side_state {
        Some(side_state) => (atoms::ok(), (memory.release(env), side_state.release(env))).encode(env),
        None => (atoms::ok(), (memory.release(env), atoms::none())).encode(env),
    }))
}

/// `{ok, Snapshot}`: a whole snapshot and its deltas as one; or `{wait, Job}`, and the same in a message.
#[rustler::nif(schedule = "DirtyCpu")]
fn merge<'a>(env: Env<'a>, reference: Term<'a>, deadline: Deadline, chain: Term<'a>) -> NifResult<Term<'a>> {
    if deadline.is_over() {
        return Ok(steps::timeout(env));
    }
    let snapshots = Snapshots::whole(BinaryList::new(chain)?);
    let bytes = snapshots.bytes();
    let merge =
        move |cancellation: Cancellation<'_>| snapshots.merge(cancellation, allocated, OwnedBinary::as_mut_slice);
    if bytes <= SHORT_MERGE_BYTES {
        return Ok(bytes_or_error(env, merge(Cancellation::never())));
    }
    Ok(jobs::run(env, reference, bytes, move |cancelled| merge(Cancellation::by(cancelled)), ok_bytes))
}

/// Starts the instance afresh in the state of snapshots: `whole` ones, or `raw` memory and the state beside it.
#[rustler::nif(schedule = "DirtyCpu")]
fn restore<'a>(
    env: Env<'a>,
    handle: Term<'a>,
    reference: Term<'a>,
    ticket: u64,
    deadline: Deadline,
    state: (Atom, Term<'a>),
    options: Term<'a>,
) -> NifResult<Term<'a>> {
    let Some(handle) = handle::decode(handle)? else { return Ok(not_local(env)) };
    let (form, snapshots) = state;
    let files = BinaryList::new(snapshots)?;
    let snapshots = if form == atoms::raw() { Snapshots::raw(files) } else { Snapshots::whole(files) };
    let request = options::start(options)?;
    if let Some(refused) = options::refused(env, options, &request) {
        return Ok(refused);
    }
    let operation = Operation::new(env, &handle, reference, ticket).within(deadline);
    Ok(operation.step(|it| handle.instance.restore(it.caller(), snapshots, request, Slice::Long)))
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
fn fork<'a>(
    env: Env<'a>,
    handle: Term<'a>,
    reference: Term<'a>,
    ticket: u64,
    deadline: Deadline,
    other: Term<'a>,
) -> NifResult<Term<'a>> {
    let (Some(handle), Some(other)) = (handle::decode(handle)?, handle::decode(other)?) else {
        return Ok(not_local(env));
    };
    let operation = Operation::new(env, &handle, reference, ticket).within(deadline);
    Ok(operation.step(|it| handle.instance.fork(it.caller(), &other.instance, Slice::Long)))
}

/// Starts another instance as the options say, which finds the linear memory of this one.
#[rustler::nif(schedule = "DirtyCpu")]
fn renew<'a>(
    env: Env<'a>,
    handle: Term<'a>,
    reference: Term<'a>,
    ticket: u64,
    deadline: Deadline,
    other: Term<'a>,
    options: Term<'a>,
) -> NifResult<Term<'a>> {
    let (Some(handle), Some(other)) = (handle::decode(handle)?, handle::decode(other)?) else {
        return Ok(not_local(env));
    };
    let request = options::start(options)?;
    if let Some(refused) = options::refused(env, options, &request) {
        return Ok(refused);
    }
    let operation = Operation::new(env, &handle, reference, ticket).within(deadline);
    Ok(operation.step(|it| handle.instance.renew(it.caller(), &other.instance, request, Slice::Long)))
}

/// `{ok, Scope, Ticket}`: the instance is nobody else's until the ticket is cancelled or the process ends.
#[rustler::nif]
fn hold<'a>(env: Env<'a>, handle: Term<'a>, reference: Term<'a>, ticket: u64) -> NifResult<Term<'a>> {
    let Some(handle) = handle::decode(handle)? else { return Ok(not_local(env)) };
    let operation = Operation::new(env, &handle, reference, ticket);
    Ok(operation.hold())
}

/// `{ok, Hash, Options}`: the hash of an instance's image, and the options of its start that bound it.
#[rustler::nif]
fn origin<'a>(env: Env<'a>, handle: Term<'a>) -> NifResult<Term<'a>> {
    let Some(handle) = handle::decode(handle)? else { return Ok(not_local(env)) };
    if handle.instance.status() == Status::Stopped {
        return Ok(terms::error(env, &Error::Stopped));
    }
    let Bounds { memory, table } = handle.instance.own_bounds();
    let bounds = [(atoms::memory(), memory), (atoms::table(), table)];
    let set = bounds.into_iter().filter(|(_, bound)| *bound < u64::MAX);
    let options = set.fold(Term::map_new(env), |map, (key, bound)| map.map_put(key, bound).unwrap_or(map));
    Ok((atoms::ok(), terms::binary(env, handle.instance.image().hash()), options).encode(env))
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
