//! C++ exceptions in Emscripten's scheme: the host keeps which are thrown and caught, the guest's library their types
//! and how many refer to them.
//!
//! Each exception lies in the guest's memory behind a header of the library's (`__cxa_exception` in Emscripten's
//! `cxa_exception.h`), of which the host writes the type, the destructor, the address that a handler is given, and whether
//! it is caught or thrown again.

use crate::context::{Args, HostCtx, int};
use crate::embedder::Embedder;
use crate::failure::Fault;
use crate::function::Call::{self, Plain};
use crate::function::{Function, OWN, Operation, env};
use crate::guest::{call_export, call_table, with_host};
use crate::memory::{Memory, Width};
use wasmtime::StoreContextMut;

/// Begins the names of functions that have any number of parameters, the type of a clause each.
pub(super) const FIND_MATCHING_CATCH: &str = "__cxa_find_matching_catch";

/// What throws, in an image that can catch.
pub(super) const THROW: &str = "__cxa_throw";

/// Those that throw note what; the throwing is done by code that is added to the image.
pub(super) const FUNCTIONS: &[Function] = &[
    env(THROW, "ppp:", OWN, Plain(throw)),
    env("__cxa_rethrow", ":", OWN, Plain(rethrow)),
    env("__cxa_rethrow_primary_exception", "p:", OWN, Plain(rethrow_primary)),
    env("__resumeException", "p:", OWN, Plain(resume)),
    env("__cxa_uncaught_exceptions", ":i", OWN, Plain(uncaught)),
    env("__cxa_current_exception_type", ":p", OWN, Plain(current_type)),
    env("__cxa_call_unexpected", "p:", OWN, Plain(unexpected)),
    env("llvm_eh_typeid_for", "p:i", OWN, Plain(type_id)),
    env("llvm_eh_typeid_for", "p:p", OWN, Plain(type_id)),
    env("__cxa_begin_catch", "p:p", OWN, Call::Operation(Operation::BeginCatch)),
    env("__cxa_end_catch", ":", OWN, Call::Operation(Operation::EndCatch)),
    env("__cxa_get_exception_ptr", "p:p", OWN, Call::Operation(Operation::ExceptionPointer)),
    env("__cxa_current_primary_exception", ":p", OWN, Call::Operation(Operation::CurrentPrimary)),
    // Up to Emscripten 3.1.27, and up to 3.1.35: later libraries do this themselves.
    env("__cxa_allocate_exception", "p:p", OWN, Call::Operation(Operation::AllocateException)),
    env("__cxa_free_exception", "p:", OWN, Call::Operation(Operation::FreeException)),
    env("__cxa_increment_exception_refcount", "p:", OWN, Call::Operation(Operation::AddReference)),
    env("__cxa_decrement_exception_refcount", "p:", OWN, Call::Operation(Operation::DropReference)),
];

/// [`THROW`] in an image that is built without catching.
pub(super) const THROW_FOR_GOOD: Call = Plain(throw_for_good);

/// `__cxa_throw` of an image that is built without catching: as with Emscripten's JavaScript that ends the program, even
/// where an `invoke_*` could catch a `longjmp`.
fn throw_for_good(_: &mut HostCtx<'_>, _: Args<'_>) -> Result<u64, Fault> {
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
        Ok(Header { at: exception.checked_sub(Header::size(width)).ok_or(Fault::OutOfBounds)?, width })
    }

    fn size(width: Width) -> u64 {
        match width {
            Width::Narrow => 24,
            Width::Wide => 48,
        }
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

fn throw(host: &mut HostCtx<'_>, args: Args<'_>) -> Result<u64, Fault> {
    let (exception, ty, destructor) = (args.pointer(0), args.pointer(1), args.pointer(2));
    let header = Header::of(&host.memory, exception)?;
    host.memory.put_pointer(header.adjusted(), 0)?;
    host.memory.put_pointer(header.ty(), ty)?;
    host.memory.put_pointer(header.destructor(), destructor)?;
    host.state.exceptions.last = exception;
    host.state.exceptions.uncaught = host.state.exceptions.uncaught.wrapping_add(1);
    Ok(0)
}

fn rethrow(host: &mut HostCtx<'_>, _: Args<'_>) -> Result<u64, Fault> {
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

fn rethrow_primary(host: &mut HostCtx<'_>, args: Args<'_>) -> Result<u64, Fault> {
    let exception = args.pointer(0);
    let header = Header::of(&host.memory, exception)?;
    host.state.exceptions.catch(exception)?;
    host.memory.put_u8(header.rethrown(), 1)?;
    rethrow(host, args)
}

fn resume(host: &mut HostCtx<'_>, args: Args<'_>) -> Result<u64, Fault> {
    if host.state.exceptions.last == 0 {
        host.state.exceptions.last = args.pointer(0);
    }
    Ok(0)
}

fn uncaught(host: &mut HostCtx<'_>, _: Args<'_>) -> Result<u64, Fault> {
    Ok(int(host.state.exceptions.uncaught))
}

fn current_type(host: &mut HostCtx<'_>, _: Args<'_>) -> Result<u64, Fault> {
    match host.state.exceptions.caught.last() {
        None => Ok(0),
        Some(exception) => host.memory.pointer(Header::of(&host.memory, *exception)?.ty()),
    }
}

/// Where a function throws what its specification does not allow.
fn unexpected(_: &mut HostCtx<'_>, _: Args<'_>) -> Result<u64, Fault> {
    Err(Fault::Abort("__cxa_call_unexpected: a function threw what it promises not to throw".into()))
}

/// Types are told apart by their addresses.
fn type_id(_: &mut HostCtx<'_>, args: Args<'_>) -> Result<u64, Fault> {
    Ok(args.pointer(0))
}

/// Makes an exception one that is caught: a pointer to what the handler gets.
pub(super) async fn begin_catch<T: Embedder>(
    store: &mut StoreContextMut<'_, T>,
    exception: u64,
) -> wasmtime::Result<u64> {
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
    add_reference(store, exception).await?;
    // Since Emscripten 3.1.65 the library itself tells. Where it exports no more than what it imports, this comes back
    // as `Operation::ExceptionPointer`.
    match call_export(store, "__cxa_get_exception_ptr", &[exception]).await? {
        Some(pointer) => Ok(pointer),
        None => pointer(store, exception).await,
    }
}

pub(super) async fn end_catch<T: Embedder>(store: &mut StoreContextMut<'_, T>) -> wasmtime::Result<u64> {
    call_export(store, "setThrew", &[0, 0]).await?;
    let exception = with_host(store, |host| {
        host.state.exceptions.caught.pop().ok_or_else(|| Fault::Abort("__cxa_end_catch: no exception is caught".into()))
    })?;
    drop_reference(store, exception).await?;
    with_host(store, |host| {
        host.state.exceptions.last = 0;
        Ok(0)
    })
}

/// What a handler is given: a pointer that was thrown itself, or the address of the object, as the handler's type sees it.
/// Libraries that leave this to the host export what tells whether a type is a pointer's.
pub(super) async fn pointer<T: Embedder>(store: &mut StoreContextMut<'_, T>, exception: u64) -> wasmtime::Result<u64> {
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

/// The exception on its way, and the first of the clauses that catches it; its own type where none does.
pub(super) async fn find_matching_catch<T: Embedder>(
    store: &mut StoreContextMut<'_, T>,
    clauses: &[u64],
) -> wasmtime::Result<(u64, u64)> {
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
    Ok((exception, found))
}

/// The exception that is handled, with one reference more.
pub(super) async fn current_primary<T: Embedder>(store: &mut StoreContextMut<'_, T>) -> wasmtime::Result<u64> {
    let exception = with_host(store, |host| Ok(host.state.exceptions.caught.last().copied()))?;
    if let Some(exception) = exception {
        add_reference(store, exception).await?;
    }
    Ok(exception.unwrap_or(0))
}

/// Makes room for an exception behind an empty header: its address.
pub(super) async fn allocate<T: Embedder>(store: &mut StoreContextMut<'_, T>, size: u64) -> wasmtime::Result<u64> {
    let header = Header::size(store.data().width());
    let at = call_export(store, "malloc", &[size.saturating_add(header)]).await?.unwrap_or_default();
    with_host(store, |host| {
        if at == 0 {
            return Err(Fault::Abort("out of memory: there is no room for an exception".into()));
        }
        host.memory.get_mut(at, header)?.fill(0);
        Ok(at.saturating_add(header))
    })
}

pub(super) async fn free<T: Embedder>(store: &mut StoreContextMut<'_, T>, exception: u64) -> wasmtime::Result<u64> {
    let at = with_host(store, |host| Header::of(&host.memory, exception).map(|header| header.at))?;
    call_export(store, "free", &[at]).await?;
    Ok(0)
}

/// Counts one who refers to an exception more: the library does, or leaves that to its host.
pub(super) async fn add_reference<T: Embedder>(
    store: &mut StoreContextMut<'_, T>,
    exception: u64,
) -> wasmtime::Result<u64> {
    if exception != 0 && call_export(store, "__cxa_increment_exception_refcount", &[exception]).await?.is_none() {
        with_host(store, |host| {
            let count = Header::of(&host.memory, exception)?.at;
            let new = host.memory.i32(count)?.wrapping_add(1);
            host.memory.put_i32(count, new)
        })?;
    }
    Ok(0)
}

/// The same for one less. Without any, the exception is destroyed, unless it is on its way again.
pub(super) async fn drop_reference<T: Embedder>(
    store: &mut StoreContextMut<'_, T>,
    exception: u64,
) -> wasmtime::Result<u64> {
    if exception == 0 || call_export(store, "__cxa_decrement_exception_refcount", &[exception]).await?.is_some() {
        return Ok(0);
    }
    let destructor = with_host(store, |host| {
        let header = Header::of(&host.memory, exception)?;
        let count = host.memory.i32(header.at)?;
        host.memory.put_i32(header.at, count.wrapping_sub(1))?;
        let is_last = count == 1 && host.memory.u8(header.rethrown())? == 0;
        if is_last { host.memory.pointer(header.destructor()).map(Some) } else { Ok(None) }
    })?;
    if let Some(destructor) = destructor {
        if destructor != 0 {
            call_table(store, destructor, &[exception]).await?;
        }
        free(store, exception).await?;
    }
    Ok(0)
}
