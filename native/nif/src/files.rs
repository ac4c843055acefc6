//! Files of instances.

use crate::atoms;
use crate::binaries::{PIECE_BYTES, allocated, ok_bytes};
use crate::handle;
use crate::not_local;
use crate::options::Deadline;
use crate::source::Source;
use crate::steps::Operation;
use crate::terms;
use hb_wasm64_engine::error::{Error, Limit};
use hb_wasm64_engine::{Contents, FileKind};
use hb_wasm64_snapshot::Cancellation;
use rustler::{Encoder, Env, NifResult, Term};
use std::sync::atomic::AtomicBool;

/// What a file of any size counts as that is read or listed: enough that a scheduler does not wait for it.
const UNKNOWN_BYTES: u64 = 16 << 20;

/// `ok`: the file has these contents, with their time in milliseconds since 1970.
#[rustler::nif(schedule = "DirtyCpu")]
fn put_file<'a>(
    env: Env<'a>,
    handle: Term<'a>,
    reference: Term<'a>,
    ticket: u64,
    deadline: Deadline,
    path: Term<'a>,
    contents: (Term<'a>, u64),
) -> NifResult<Term<'a>> {
    let Some(handle) = handle::decode(handle)? else { return Ok(not_local(env)) };
    let operation = Operation::new(env, &handle, reference, ticket).within(deadline);
    let (contents, time) = contents;
    let (path, contents) = (Source::new(path)?, Source::new(contents)?);
    let bytes = contents.size();
    let put = move |instance: &mut Contents<'_, '_>, _: &AtomicBool| {
        let host = instance.host()?;
        path.with(|path| contents.with(|contents| Ok(host.put_file(path, contents, time)?)))
    };
    Ok(operation.access_long(bytes, put, |env, ()| atoms::ok().to_term(env)))
}

/// `ok`: the file has so many bytes, of which none is known yet, with their time in milliseconds since 1970.
#[rustler::nif(schedule = "DirtyCpu")]
fn put_lazy_file<'a>(
    env: Env<'a>,
    handle: Term<'a>,
    reference: Term<'a>,
    ticket: u64,
    deadline: Deadline,
    path: Term<'a>,
    size: (u64, u64),
) -> NifResult<Term<'a>> {
    let Some(handle) = handle::decode(handle)? else { return Ok(not_local(env)) };
    let operation = Operation::new(env, &handle, reference, ticket).within(deadline);
    let (path, (size, time)) = (Source::new(path)?, size);
    let put = move |instance: &mut Contents<'_, '_>, _: &AtomicBool| {
        let host = instance.host()?;
        path.with(|path| Ok(host.put_lazy_file(path, size, time)?))
    };
    Ok(operation.access_long(0, put, |env, ()| atoms::ok().to_term(env)))
}

/// `ok`: a lazy file has these bytes from an offset on.
#[rustler::nif(schedule = "DirtyCpu")]
fn fill_file<'a>(
    env: Env<'a>,
    handle: Term<'a>,
    reference: Term<'a>,
    ticket: u64,
    deadline: Deadline,
    path: Term<'a>,
    part: (u64, Term<'a>),
) -> NifResult<Term<'a>> {
    let Some(handle) = handle::decode(handle)? else { return Ok(not_local(env)) };
    let operation = Operation::new(env, &handle, reference, ticket).within(deadline);
    let (offset, bytes) = part;
    let (path, bytes) = (Source::new(path)?, Source::new(bytes)?);
    let size = bytes.size();
    let fill = move |instance: &mut Contents<'_, '_>, _: &AtomicBool| {
        let host = instance.host()?;
        path.with(|path| bytes.with(|bytes| Ok(host.fill_file(path, offset, bytes)?)))
    };
    Ok(operation.access_long(size, fill, |env, ()| atoms::ok().to_term(env)))
}

/// `{ok, Binary}` of a file of at most so many bytes.
#[rustler::nif(schedule = "DirtyCpu")]
fn read_file<'a>(
    env: Env<'a>,
    handle: Term<'a>,
    reference: Term<'a>,
    ticket: u64,
    deadline: Deadline,
    path: (Term<'a>, u64),
) -> NifResult<Term<'a>> {
    let Some(handle) = handle::decode(handle)? else { return Ok(not_local(env)) };
    let operation = Operation::new(env, &handle, reference, ticket).within(deadline);
    let (path, most) = (Source::new(path.0)?, path.1);
    let read = move |instance: &mut Contents<'_, '_>, cancelled: &AtomicBool| {
        let (host, cancellation) = (instance.host()?, Cancellation::by(cancelled));
        path.with(|path| {
            let size = Some(host.file_size(path)?).filter(|size| *size <= most);
            let size = size.and_then(|size| usize::try_from(size).ok()).ok_or(Error::Limit(Limit::File))?;
            let mut binary = allocated(size)?;
            let mut offset = 0;
            for piece in binary.as_mut_slice().chunks_mut(PIECE_BYTES) {
                cancellation.check()?;
                offset += host.read_file(path, offset, piece)? as u64;
            }
            Ok(binary)
        })
    };
    Ok(operation.access_long(UNKNOWN_BYTES, read, ok_bytes))
}

/// `{ok, [{Name, {file, Bytes} | directory | link | device}]}`, by name.
#[rustler::nif(schedule = "DirtyCpu")]
fn list_files<'a>(
    env: Env<'a>,
    handle: Term<'a>,
    reference: Term<'a>,
    ticket: u64,
    deadline: Deadline,
    path: Term<'a>,
) -> NifResult<Term<'a>> {
    let Some(handle) = handle::decode(handle)? else { return Ok(not_local(env)) };
    let operation = Operation::new(env, &handle, reference, ticket).within(deadline);
    let path = Source::new(path)?;
    let list = move |instance: &mut Contents<'_, '_>, _: &AtomicBool| {
        let host = instance.host()?;
        path.with(|path| Ok(host.list_files(path)?))
    };
    Ok(operation.access_long(UNKNOWN_BYTES, list, |env, files| {
        let entry = |(name, kind): &(std::sync::Arc<[u8]>, FileKind)| {
            let kind = match kind {
                FileKind::File(bytes) => (atoms::file(), bytes).encode(env),
                FileKind::Directory => atoms::directory().to_term(env),
                FileKind::Link => atoms::link().to_term(env),
                FileKind::Device => atoms::device().to_term(env),
            };
            (terms::binary(env, name), kind).encode(env)
        };
        (atoms::ok(), files.iter().map(entry).collect::<Vec<_>>()).encode(env)
    }))
}

/// `ok`: the file, link, device or empty directory is gone. `time` is in milliseconds since 1970.
#[rustler::nif(schedule = "DirtyCpu")]
fn remove_file<'a>(
    env: Env<'a>,
    handle: Term<'a>,
    reference: Term<'a>,
    ticket: u64,
    deadline: Deadline,
    path: Term<'a>,
    time: u64,
) -> NifResult<Term<'a>> {
    let Some(handle) = handle::decode(handle)? else { return Ok(not_local(env)) };
    let operation = Operation::new(env, &handle, reference, ticket).within(deadline);
    let path = Source::new(path)?;
    let remove = move |instance: &mut Contents<'_, '_>, _: &AtomicBool| {
        let host = instance.host()?;
        path.with(|path| Ok(host.remove_file(path, time)?))
    };
    Ok(operation.access_long(0, remove, |env, ()| atoms::ok().to_term(env)))
}
