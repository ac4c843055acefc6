//! C++ exceptions in Emscripten's scheme: the host keeps which are thrown and caught, the guest's library their types
//! and how many refer to them.
//!
//! Each exception lies in the guest's memory behind a header of the library's (`__cxa_exception` in Emscripten's
//! `cxa_exception.h`), of which the host writes the type, the destructor, the address that a handler is given, and whether
//! it is caught or thrown again.

use super::abi::Kind::Own;
use super::abi::{Args, Fault, Function, Host, Memory, Width, int};
use super::files::DecodeError;
use super::serve::{call_export, with_host};
use super::sink::Sink;
use crate::task::Data;
use wasmtime::StoreContextMut;

/// Exceptions that may be caught at a time, each in a handler of the one before.
const MOST_CAUGHT: usize = 100_000;

/// What is thrown and caught.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Exceptions {
    /// The exception that was thrown last and is on its way; 0 where there is none.
    last: u64,
    /// The ones that handlers are at work on, the innermost last.
    caught: Vec<u64>,
    /// How many are thrown and not caught yet.
    uncaught: i32,
}

impl Exceptions {
    /// The exception that nobody has caught.
    pub(crate) fn last(&self) -> u64 {
        self.last
    }

    /// Where they stand before a call.
    pub(crate) fn mark(&self) -> Mark {
        Mark { last: self.last, caught: self.caught.len(), uncaught: self.uncaught }
    }

    /// Forgets what a call has left that ended in the middle.
    pub(crate) fn back_to(&mut self, mark: Mark) {
        self.caught.truncate(mark.caught);
        (self.last, self.uncaught) = (mark.last, mark.uncaught);
    }

    pub(crate) fn encoded_size(&self) -> usize {
        12 + 8 * self.caught.len()
    }

    pub(crate) fn encode(&self, into: &mut impl Sink) {
        into.put(&self.last.to_le_bytes());
        into.put(&self.uncaught.to_le_bytes());
        self.caught.iter().for_each(|pointer| into.put(&pointer.to_le_bytes()));
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Exceptions, DecodeError> {
        const WRONG: &str = "the exceptions of the host are cut off";
        let (last, rest) = bytes.split_first_chunk().ok_or(WRONG)?;
        let (uncaught, rest) = rest.split_first_chunk().ok_or(WRONG)?;
        if rest.len() / 8 > MOST_CAUGHT {
            return Err("more exceptions are caught than can be".into());
        }
        let mut caught = Vec::new();
        caught.try_reserve_exact(rest.len() / 8).map_err(|_| DecodeError::NoRoom)?;
        for bytes in rest.chunks(8) {
            caught.push(u64::from_le_bytes(bytes.try_into().map_err(|_| WRONG)?));
        }
        Ok(Exceptions { last: u64::from_le_bytes(*last), uncaught: i32::from_le_bytes(*uncaught), caught })
    }

    fn catch(&mut self, pointer: u64) -> Result<(), Fault> {
        if self.caught.len() >= MOST_CAUGHT {
            return Err(Fault::Abort("too many exceptions are caught".into()));
        }
        self.caught.try_reserve(1).map_err(|_| Fault::OutOfMemory)?;
        self.caught.push(pointer);
        Ok(())
    }
}

/// See [`Exceptions::mark`].
#[derive(Clone, Copy, Default)]
pub(crate) struct Mark {
    last: u64,
    caught: usize,
    uncaught: i32,
}

/// What needs the guest's help.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Operation {
    BeginCatch,
    EndCatch,
    FindMatchingCatch,
    GetExceptionPointer,
    CurrentPrimary,
}

pub(crate) const OPERATIONS: &[Function<Operation>] = &[
    Function::env("__cxa_begin_catch", "p:p", Own, Operation::BeginCatch),
    Function::env("__cxa_end_catch", ":", Own, Operation::EndCatch),
    Function::env("__cxa_get_exception_ptr", "p:p", Own, Operation::GetExceptionPointer),
    Function::env("__cxa_current_primary_exception", ":p", Own, Operation::CurrentPrimary),
];

/// Begins the names of functions that take a clause's type each and any number of them.
pub(crate) const FIND_MATCHING_CATCH: &str = "__cxa_find_matching_catch";

/// What the host does by itself. Those that throw note what; the throwing is done by [`hb_wasm64_rewrite::unwind`].
pub(crate) const FUNCTIONS: &[Function] = &[
    Function::env("__cxa_throw", "ppp:", Own, throw),
    Function::env("__cxa_rethrow", ":", Own, rethrow),
    Function::env("__cxa_rethrow_primary_exception", "p:", Own, rethrow_primary),
    Function::env("__resumeException", "p:", Own, resume),
    Function::env("__cxa_uncaught_exceptions", ":i", Own, uncaught),
    Function::env("__cxa_current_exception_type", ":p", Own, current_type),
    Function::env("__cxa_call_unexpected", "p:", Own, unexpected),
    Function::env("llvm_eh_typeid_for", "p:i", Own, type_id),
    Function::env("llvm_eh_typeid_for", "p:p", Own, type_id),
];

/// `__cxa_throw` of an image that is built without catching: as with Emscripten's JavaScript that ends the program, even
/// where an `invoke_*` could catch a `longjmp`.
pub(crate) fn throw_for_good(_: &mut Host<'_>, _: Args<'_>) -> Result<u64, Fault> {
    Err(Fault::Abort("a C++ exception was thrown, and catching is not compiled in".into()))
}

/// The header of an exception.
struct Header {
    at: u64,
    width: Width,
}

impl Header {
    fn of(memory: &Memory<'_>, exception: u64) -> Result<Header, Fault> {
        let width = memory.width();
        let size = match width {
            Width::Narrow => 24,
            Width::Wide => 48,
        };
        Ok(Header { at: exception.checked_sub(size).ok_or(Fault::OutOfBounds)?, width })
    }

    /// Address of a field that lies behind so many pointers.
    fn behind(&self, pointers: u64) -> u64 {
        self.at.saturating_add(pointers * self.width.bytes())
    }

    fn ty(&self) -> u64 {
        self.behind(1)
    }

    fn destructor(&self) -> u64 {
        self.behind(2)
    }

    fn caught(&self) -> u64 {
        self.behind(3)
    }

    fn rethrown(&self) -> u64 {
        self.behind(3) + 1
    }

    fn adjusted(&self) -> u64 {
        self.behind(4)
    }
}

fn throw(host: &mut Host<'_>, args: Args<'_>) -> Result<u64, Fault> {
    let (exception, ty, destructor) = (args.pointer(0), args.pointer(1), args.pointer(2));
    let header = Header::of(&host.memory, exception)?;
    host.memory.put_pointer(header.adjusted(), 0)?;
    host.memory.put_pointer(header.ty(), ty)?;
    host.memory.put_pointer(header.destructor(), destructor)?;
    host.state.exceptions.last = exception;
    host.state.exceptions.uncaught = host.state.exceptions.uncaught.wrapping_add(1);
    Ok(0)
}

fn rethrow(host: &mut Host<'_>, _: Args<'_>) -> Result<u64, Fault> {
    let exceptions = &mut host.state.exceptions;
    let exception = exceptions
        .caught
        .pop()
        .ok_or_else(|| Fault::Abort("__cxa_rethrow: there is no exception to throw again".into()))?;
    let header = Header::of(&host.memory, exception)?;
    if host.memory.u8(header.rethrown())? == 0 {
        // It is caught once more than the handler that ends now takes back.
        exceptions.catch(exception)?;
        host.memory.put_u8(header.rethrown(), 1)?;
        host.memory.put_u8(header.caught(), 0)?;
        exceptions.uncaught = exceptions.uncaught.wrapping_add(1);
    }
    host.state.exceptions.last = exception;
    Ok(0)
}

fn rethrow_primary(host: &mut Host<'_>, args: Args<'_>) -> Result<u64, Fault> {
    let exception = args.pointer(0);
    let header = Header::of(&host.memory, exception)?;
    host.state.exceptions.catch(exception)?;
    host.memory.put_u8(header.rethrown(), 1)?;
    rethrow(host, args)
}

fn resume(host: &mut Host<'_>, args: Args<'_>) -> Result<u64, Fault> {
    if host.state.exceptions.last == 0 {
        host.state.exceptions.last = args.pointer(0);
    }
    Ok(0)
}

fn uncaught(host: &mut Host<'_>, _: Args<'_>) -> Result<u64, Fault> {
    Ok(int(host.state.exceptions.uncaught))
}

fn current_type(host: &mut Host<'_>, _: Args<'_>) -> Result<u64, Fault> {
    match host.state.exceptions.caught.last() {
        None => Ok(0),
        Some(exception) => host.memory.pointer(Header::of(&host.memory, *exception)?.ty()),
    }
}

/// Where a function throws what its specification does not allow.
fn unexpected(_: &mut Host<'_>, _: Args<'_>) -> Result<u64, Fault> {
    Err(Fault::Abort("__cxa_call_unexpected: a function threw what it promises not to throw".into()))
}

/// Types are told apart by their addresses.
fn type_id(_: &mut Host<'_>, args: Args<'_>) -> Result<u64, Fault> {
    Ok(args.pointer(0))
}

/// Does what needs the guest's help.
pub(crate) async fn serve(
    store: &mut StoreContextMut<'_, Data>,
    operation: Operation,
    args: &[u64],
) -> wasmtime::Result<u64> {
    let first = Args(args).pointer(0);
    match operation {
        Operation::BeginCatch => begin_catch(store, first).await,
        Operation::EndCatch => end_catch(store).await,
        Operation::FindMatchingCatch => find_matching_catch(store, args).await,
        Operation::GetExceptionPointer => exception_pointer(store, first).await,
        Operation::CurrentPrimary => {
            let exception = with_host(store, |host| Ok(host.state.exceptions.caught.last().copied()))?;
            if let Some(exception) = exception {
                call_export(store, "__cxa_increment_exception_refcount", &[exception]).await?;
            }
            Ok(exception.unwrap_or(0))
        }
    }
}

async fn begin_catch(store: &mut StoreContextMut<'_, Data>, exception: u64) -> wasmtime::Result<u64> {
    with_host(store, |host| {
        let header = Header::of(&host.memory, exception)?;
        let exceptions = &mut host.state.exceptions;
        if host.memory.u8(header.caught())? == 0 {
            host.memory.put_u8(header.caught(), 1)?;
            exceptions.uncaught = exceptions.uncaught.wrapping_sub(1);
        }
        host.memory.put_u8(header.rethrown(), 0)?;
        exceptions.catch(exception)
    })?;
    call_export(store, "__cxa_increment_exception_refcount", &[exception]).await?;
    // Since Emscripten 3.1.65 the library itself tells. Where it exports no more than what it imports, this comes back
    // as `Operation::GetExceptionPointer`.
    match call_export(store, "__cxa_get_exception_ptr", &[exception]).await? {
        Some(pointer) => Ok(pointer),
        None => exception_pointer(store, exception).await,
    }
}

async fn end_catch(store: &mut StoreContextMut<'_, Data>) -> wasmtime::Result<u64> {
    call_export(store, "setThrew", &[0, 0]).await?;
    let exception = with_host(store, |host| {
        host.state.exceptions.caught.pop().ok_or_else(|| Fault::Abort("__cxa_end_catch: no exception is caught".into()))
    })?;
    call_export(store, "__cxa_decrement_exception_refcount", &[exception]).await?;
    with_host(store, |host| {
        host.state.exceptions.last = 0;
        Ok(0)
    })
}

/// What a handler is given: a pointer that was thrown itself, or the address of the object, as the handler's type sees it.
/// Libraries that leave this to the host export what tells whether a type is a pointer's.
async fn exception_pointer(store: &mut StoreContextMut<'_, Data>, exception: u64) -> wasmtime::Result<u64> {
    let ty = with_host(store, |host| host.memory.pointer(Header::of(&host.memory, exception)?.ty()))?;
    let is_pointer = call_export(store, "__cxa_is_pointer_type", &[ty]).await?.is_some_and(|is| is as u32 != 0);
    with_host(store, |host| {
        if is_pointer {
            return host.memory.pointer(exception);
        }
        let adjusted = host.memory.pointer(Header::of(&host.memory, exception)?.adjusted())?;
        Ok(if adjusted == 0 { exception } else { adjusted })
    })
}

/// The exception on its way, with the first of the clauses that catches it (its own type where none does) as the upper
/// half of the result.
async fn find_matching_catch(store: &mut StoreContextMut<'_, Data>, clauses: &[u64]) -> wasmtime::Result<u64> {
    let (exception, ty, adjusted) = with_host(store, |host| {
        let exception = host.state.exceptions.last;
        if exception == 0 {
            return Ok((0, 0, 0));
        }
        let header = Header::of(&host.memory, exception)?;
        host.memory.put_pointer(header.adjusted(), exception)?;
        Ok((exception, host.memory.pointer(header.ty())?, header.adjusted()))
    })?;
    let mut found = ty;
    // A foreign exception has no type, and no clause for it but the one that catches all.
    if ty != 0 {
        for clause in clauses {
            if *clause == 0 || *clause == ty {
                break;
            }
            let fits = call_export(store, "__cxa_can_catch", &[*clause, ty, adjusted]).await?;
            if fits.is_some_and(|fits| fits as u32 != 0) {
                found = *clause;
                break;
            }
        }
    }
    set_temp_ret(store, found as i32).await?;
    Ok(exception)
}

/// Hands the guest the upper half of a result.
pub(crate) async fn set_temp_ret(store: &mut StoreContextMut<'_, Data>, half: i32) -> wasmtime::Result<()> {
    for name in ["setTempRet0", "_emscripten_tempret_set"] {
        if call_export(store, name, &[int(half)]).await?.is_some() {
            return Ok(());
        }
    }
    with_host(store, |host| {
        host.state.temp_ret = half;
        Ok(())
    })
}
