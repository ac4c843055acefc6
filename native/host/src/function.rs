//! The functions that programs import: all that is known of each is a row.

use crate::context::{Args, HostCtx, int};
use crate::errno::Errno;
use crate::failure::Fault;

/// The module of the imports that Emscripten's runtime serves.
pub(crate) const ENV: &str = "env";

/// A function of the host.
///
/// `shape` is its type: a letter for each parameter, a colon, and a letter for the result or none. `i` is an `i32`, `j` an
/// `i64` (which images with legalized 64-bit integers pass as two `i32`, the lower half first), `p` a pointer or size, `d`
/// an `f64`.
pub(crate) struct Function {
    pub(crate) module: &'static str,
    pub(crate) name: &'static str,
    pub(crate) shape: &'static str,
    pub(crate) flags: Flags,
    pub(crate) call: Call,
}

/// A function of the module that most are in.
pub(crate) const fn env(name: &'static str, shape: &'static str, flags: Flags, call: Call) -> Function {
    Function { module: ENV, name, shape, flags, call }
}

/// What a function does, and how its result is passed.
#[derive(Clone, Copy)]
pub(crate) enum Call {
    /// It works on the guest's memory and the host's state. The result is bits, as [`Args`] has them.
    Plain(fn(&mut HostCtx<'_>, Args<'_>) -> Result<u64, Fault>),
    /// The same; the result is an `i32`, or the negative number of an error.
    Syscall(fn(&mut HostCtx<'_>, Args<'_>) -> Result<i32, Errno>),
    /// The same; the result is 0, or the number of an error.
    Wasi(fn(&mut HostCtx<'_>, Args<'_>) -> Result<(), Errno>),
    /// The same; the result is an `i32`, or -1 and the number of an error in `errno`.
    Library(fn(&mut HostCtx<'_>, Args<'_>) -> Result<i32, Errno>),
    /// It calls the guest, or takes long.
    Operation(Operation),
}

impl Call {
    /// Does it where it works on nothing else: the bits of the result, or what `errno` becomes beside a result of -1. `None`
    /// for an [`Operation`].
    pub(crate) fn run(&self, host: &mut HostCtx<'_>, args: Args<'_>) -> Option<Result<Result<u64, Errno>, Fault>> {
        Some(match self {
            Call::Plain(function) => function(host, args).map(Ok),
            Call::Syscall(function) => Ok(Ok(int(function(host, args).unwrap_or_else(Errno::negative)))),
            Call::Wasi(function) => Ok(Ok(int(function(host, args).map_or_else(Errno::positive, |()| 0)))),
            Call::Library(function) => Ok(function(host, args).map(int)),
            Call::Operation(_) => return None,
        })
    }
}

/// What is more than a function on the memory and the state.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Operation {
    BeginCatch,
    EndCatch,
    FindMatchingCatch,
    ExceptionPointer,
    CurrentPrimary,
    AllocateException,
    FreeException,
    AddReference,
    DropReference,
    Copy,
    ResizeHeap,
    HeapMax,
    Map,
    /// The same, which returns the address: from Emscripten 3.1.12 to 3.1.21.
    MapReturning,
    /// The same with the wanted address in front, which does not count: up to 3.1.11.
    MapBehindAddress,
    Unmap,
    Sync,
    /// `fd_readdir`.
    ListDirectory,
    /// `random_get`.
    RandomBytes,
    /// `tzset`, as it is up to Emscripten 3.1.54.
    ZoneNames,
}

/// Who may serve a function in the place of the host, and how long it takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Flags {
    /// Whether it may be intercepted. Not what throws, allocates, or keeps something for another function of the host.
    pub(crate) interceptable: bool,
    /// What decides how long it takes.
    pub(crate) work: Work,
    /// Whether its first argument is the descriptor that it works on. Then it is intercepted only where that is not a file
    /// of the host. Where a path starts at a descriptor, that does not count.
    pub(crate) on_descriptor: bool,
}

/// What decides how long a function takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Work {
    /// Nothing: it never takes long.
    Short,
    /// How much there is in all files.
    Files,
    /// That, and how much is moved: the second argument is an array of parts, the third how many there are.
    Parts,
    /// Something else: it may take long.
    Any,
}

/// Nobody else may serve it.
pub(crate) const OWN: Flags = Flags { interceptable: false, work: Work::Short, on_descriptor: false };
/// Nobody else may serve it, and it reaches files or moves as much as it is told to.
pub(crate) const OWN_FILE: Flags = Flags { work: Work::Any, ..OWN };
/// It may be intercepted.
pub(crate) const OPEN: Flags = Flags { interceptable: true, ..OWN };
/// It may be intercepted, and reaches files.
pub(crate) const FILE: Flags = Flags { work: Work::Files, ..OPEN };
/// The same for a descriptor.
pub(crate) const DESCRIPTOR: Flags = Flags { on_descriptor: true, ..FILE };
/// The same for one that reads or writes in parts.
pub(crate) const PARTS: Flags = Flags { work: Work::Parts, ..DESCRIPTOR };
/// It may be intercepted, and makes as much as it is told to.
pub(crate) const LONG: Flags = Flags { work: Work::Any, ..OPEN };
