//! Linear memory: sizes, reads and writes.

use crate::atoms;
use crate::binaries::{PIECE_BYTES, allocated, bytes_or_error, copied, copied_unless, ok_bytes};
use crate::handle;
use crate::options::Deadline;
use crate::source::Source;
use crate::steps::Operation;
use crate::{not_local, terms};
use hb_wasm64_engine::error::Error;
use hb_wasm64_engine::{Contents, Slice};
use hb_wasm64_snapshot::Cancellation;
use rustler::{Encoder, Env, NifResult, OwnedBinary, Term};
use std::sync::atomic::AtomicBool;

/// `{ok, Bytes}`.
#[rustler::nif]
fn memory_size<'a>(env: Env<'a>, handle: Term<'a>, reference: Term<'a>, ticket: u64) -> NifResult<Term<'a>> {
    let Some(handle) = handle::decode(handle)? else { return Ok(not_local(env)) };
    let operation = Operation::new(env, &handle, reference, ticket);
    Ok(operation.access(|memory| memory.len(), |env, size| (atoms::ok(), size).encode(env)))
}

/// `{ok, {Output, ErrorOutput}}`: what the guest has written to its terminals in the last call.
#[rustler::nif(schedule = "DirtyCpu")]
fn output<'a>(
    env: Env<'a>,
    handle: Term<'a>,
    reference: Term<'a>,
    ticket: u64,
    deadline: Deadline,
) -> NifResult<Term<'a>> {
    let Some(handle) = handle::decode(handle)? else { return Ok(not_local(env)) };
    Ok(Operation::new(env, &handle, reference, ticket).within(deadline).output())
}

/// `{ok, Binary}`, for reads that take well under a millisecond.
#[rustler::nif]
fn read<'a>(
    env: Env<'a>,
    handle: Term<'a>,
    reference: Term<'a>,
    ticket: u64,
    offset: u64,
    size: u64,
) -> NifResult<Term<'a>> {
    let Some(handle) = handle::decode(handle)? else { return Ok(not_local(env)) };
    let operation = Operation::new(env, &handle, reference, ticket);
    let copy = move |memory: &mut [u8]| within(memory, offset, size).and_then(|bytes| copied(bytes));
    Ok(operation.access(copy, bytes_or_error))
}

/// `{ok, Binary}`, for reads of any size.
#[rustler::nif(schedule = "DirtyCpu")]
fn read_dirty<'a>(
    env: Env<'a>,
    handle: Term<'a>,
    reference: Term<'a>,
    ticket: u64,
    deadline: Deadline,
    offset: u64,
    size: u64,
) -> NifResult<Term<'a>> {
    let Some(handle) = handle::decode(handle)? else { return Ok(not_local(env)) };
    let operation = Operation::new(env, &handle, reference, ticket).within(deadline);
    let copy = move |memory: &mut Contents<'_, '_>, cancelled: &AtomicBool| {
        within(memory.bytes(), offset, size).and_then(|bytes| copied_unless(bytes, Cancellation::by(cancelled)))
    };
    Ok(operation.access_long(size, copy, ok_bytes))
}

/// All of the memory: `{ok, Binary}`.
#[rustler::nif(schedule = "DirtyCpu")]
fn read_all<'a>(
    env: Env<'a>,
    handle: Term<'a>,
    reference: Term<'a>,
    ticket: u64,
    deadline: Deadline,
) -> NifResult<Term<'a>> {
    let Some(handle) = handle::decode(handle)? else { return Ok(not_local(env)) };
    let operation = Operation::new(env, &handle, reference, ticket).within(deadline);
    let copy = |memory: &mut Contents<'_, '_>, cancelled: &AtomicBool| {
        let mut binary = allocated(memory.bytes().len())?;
        memory.copy_to(binary.as_mut_slice(), Cancellation::by(cancelled))?;
        Ok(binary)
    };
    Ok(operation.access_long(handle.instance.memory_bytes(), copy, ok_bytes))
}

/// `ok`, for writes that take well under a millisecond.
#[rustler::nif]
fn write<'a>(
    env: Env<'a>,
    handle: Term<'a>,
    reference: Term<'a>,
    ticket: u64,
    offset: u64,
    binary: Term<'a>,
) -> NifResult<Term<'a>> {
    let Some(handle) = handle::decode(handle)? else { return Ok(not_local(env)) };
    let operation = Operation::new(env, &handle, reference, ticket);
    let source = Source::new(binary)?;
    let copy = move |memory: &mut [u8]| {
        source.with(|bytes| within(memory, offset, bytes.len() as u64).map(|place| place.copy_from_slice(bytes)))
    };
    Ok(operation.access(copy, ok_or_error))
}

/// `ok`, for writes of any size. Once begun they are finished, whoever still waits for that.
#[rustler::nif(schedule = "DirtyCpu")]
fn write_dirty<'a>(
    env: Env<'a>,
    handle: Term<'a>,
    reference: Term<'a>,
    ticket: u64,
    deadline: Deadline,
    offset: u64,
    binary: Term<'a>,
) -> NifResult<Term<'a>> {
    let Some(handle) = handle::decode(handle)? else { return Ok(not_local(env)) };
    let operation = Operation::new(env, &handle, reference, ticket).within(deadline);
    let source = Source::new(binary)?;
    let bytes = source.size();
    let copy = move |memory: &mut Contents<'_, '_>, _: &AtomicBool| {
        source
            .with(|bytes| within(memory.bytes(), offset, bytes.len() as u64).map(|place| place.copy_from_slice(bytes)))
    };
    Ok(operation.access_long(bytes, copy, |env, ()| atoms::ok().to_term(env)))
}

/// Makes the binary all of the memory, with zeros behind it. A longer one is `{error, {out_of_bounds, _}}`. Once begun it is
/// finished, whoever still waits for that.
#[rustler::nif(schedule = "DirtyCpu")]
fn write_all<'a>(
    env: Env<'a>,
    handle: Term<'a>,
    reference: Term<'a>,
    ticket: u64,
    deadline: Deadline,
    binary: Term<'a>,
) -> NifResult<Term<'a>> {
    let Some(handle) = handle::decode(handle)? else { return Ok(not_local(env)) };
    let operation = Operation::new(env, &handle, reference, ticket).within(deadline);
    let source = Source::new(binary)?;
    let bytes = source.size().max(handle.instance.memory_bytes());
    let copy = move |memory: &mut Contents<'_, '_>, _: &AtomicBool| source.with(|bytes| memory.overwrite(bytes));
    Ok(operation.access_long(bytes, copy, |env, ()| atoms::ok().to_term(env)))
}

/// `{ok, Binary}` up to the NUL, or `more` for a string of more than `max` bytes.
#[rustler::nif]
fn read_string<'a>(
    env: Env<'a>,
    handle: Term<'a>,
    reference: Term<'a>,
    ticket: u64,
    offset: u64,
    max: u64,
) -> NifResult<Term<'a>> {
    let Some(handle) = handle::decode(handle)? else { return Ok(not_local(env)) };
    let operation = Operation::new(env, &handle, reference, ticket);
    let copy = move |memory: &mut [u8]| {
        let end = memory.len() as u64;
        let rest = within(memory, offset, end.saturating_sub(offset))?;
        let seen = within_reach(rest, max);
        match memchr::memchr(0, seen) {
            Some(length) => copied(&rest[..length]).map(Some),
            None if seen.len() < rest.len() => Ok(None),
            None => Err(unterminated(offset, end)),
        }
    };
    Ok(operation.access(copy, |env, result| match result {
        Ok(string) => string_or_more(env, string),
        Err(error) => terms::error(env, &error),
    }))
}

/// The same for a string of any size.
#[rustler::nif(schedule = "DirtyCpu")]
fn read_string_dirty<'a>(
    env: Env<'a>,
    handle: Term<'a>,
    reference: Term<'a>,
    ticket: u64,
    deadline: Deadline,
    offset: u64,
    max: u64,
) -> NifResult<Term<'a>> {
    let Some(handle) = handle::decode(handle)? else { return Ok(not_local(env)) };
    let operation = Operation::new(env, &handle, reference, ticket).within(deadline);
    let copy = move |memory: &mut Contents<'_, '_>, cancelled: &AtomicBool| {
        let cancellation = Cancellation::by(cancelled);
        let memory = memory.bytes();
        let end = memory.len() as u64;
        let rest = within(memory, offset, end.saturating_sub(offset))?;
        let seen = within_reach(rest, max);
        for (number, piece) in seen.chunks(PIECE_BYTES).enumerate() {
            cancellation.check()?;
            if let Some(length) = memchr::memchr(0, piece) {
                return copied_unless(&rest[..number * PIECE_BYTES + length], cancellation).map(Some);
            }
        }
        if seen.len() < rest.len() { Ok(None) } else { Err(unterminated(offset, end)) }
    };
    Ok(operation.access_long(handle.instance.memory_bytes().min(max), copy, string_or_more))
}

/// The bytes in which a string of at most `max` bytes ends: the NUL comes right behind the longest.
fn within_reach(bytes: &[u8], max: u64) -> &[u8] {
    &bytes[..bytes.len().min(usize::try_from(max).unwrap_or(usize::MAX).saturating_add(1))]
}

fn string_or_more(env: Env<'_>, string: Option<OwnedBinary>) -> Term<'_> {
    string.map_or_else(|| atoms::more().to_term(env), |bytes| ok_bytes(env, bytes))
}

/// A string that does not end within the memory.
fn unterminated(offset: u64, memory: u64) -> Error {
    Error::OutOfBounds { offset, size: (memory - offset) + 1, memory }
}

/// Grows the memory to at least so many bytes.
#[rustler::nif(schedule = "DirtyCpu")]
fn grow<'a>(
    env: Env<'a>,
    handle: Term<'a>,
    reference: Term<'a>,
    ticket: u64,
    deadline: Deadline,
    bytes: u64,
) -> NifResult<Term<'a>> {
    let Some(handle) = handle::decode(handle)? else { return Ok(not_local(env)) };
    let operation = Operation::new(env, &handle, reference, ticket).within(deadline);
    Ok(operation.step(|it| handle.instance.grow(it.caller(), bytes, Slice::Long)))
}

fn ok_or_error(env: Env<'_>, result: Result<(), Error>) -> Term<'_> {
    match result {
        Ok(()) => atoms::ok().to_term(env),
        Err(error) => terms::error(env, &error),
    }
}

fn within(memory: &mut [u8], offset: u64, size: u64) -> Result<&mut [u8], Error> {
    let length = memory.len() as u64;
    let range = usize::try_from(offset).ok().zip(offset.checked_add(size).and_then(|end| usize::try_from(end).ok()));
    range.and_then(|(start, end)| memory.get_mut(start..end)).ok_or(Error::OutOfBounds { offset, size, memory: length })
}
