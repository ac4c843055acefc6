//! What can go wrong, as values with a stable shape.

use crate::limits::FRAME_NAME_BYTES;
use crate::value::Value;
use hb_wasm64_host::{DecodeError, Failure, FileError};
use hb_wasm64_snapshot::{Code, SnapshotError};
use std::collections::TryReserveError;
use std::sync::Arc;
use thiserror::Error;
use wasmtime::{GcHeapOutOfMemory, Trap, WasmBacktrace};

/// Why an operation on an image or an instance failed.
#[derive(Clone, Debug, Error, PartialEq)]
pub enum Error {
    /// The bytes are no WebAssembly module, or a malformed one.
    #[error("invalid module: {0}")]
    InvalidModule(String),
    /// Valid bytes that cannot run here.
    #[error("unsupported: {0}")]
    Unsupported(String),
    /// An import that is no function, or one function imported with two types.
    #[error("cannot link {kind} {module}.{name}")]
    Link {
        /// First name of the import.
        module: String,
        /// Second name of the import.
        name: String,
        /// What the image wants there: `memory`, `table`, `global`, `tag` or `func`.
        kind: &'static str,
    },
    /// No function of that name or at that table index.
    #[error("unknown function {0}")]
    UnknownFunction(String),
    /// Nothing can be done with a file; the name of the error, as POSIX has it.
    #[error("file: {0}")]
    File(&'static str),
    /// The arguments do not fit the signature.
    #[error("invalid argument {position} for {signature}")]
    InvalidArgs {
        /// Signature of the function, as in `(iI)F`.
        signature: String,
        /// Position of the first argument that does not fit, counted from 1; one past the last where one is missing.
        position: usize,
    },
    /// The guest trapped.
    #[error("trap: {}", .0.message)]
    Trap(Box<TrapInfo>),
    /// The guest threw an exception that nothing in it caught.
    #[error("uncaught exception {tag:?}")]
    Exception {
        /// Name under which the image exports the tag, if it does.
        tag: Option<String>,
        /// What the exception carries.
        values: Vec<Value>,
    },
    /// The program ended itself, with this status.
    #[error("exit: {0}")]
    Exit(i32),
    /// An import was answered with an error, or with results that do not fit.
    #[error("import failed: {0}")]
    ImportFailed(ImportFailure),
    /// A configured limit was hit.
    #[error("limit: {0:?}")]
    Limit(Limit),
    /// An access beyond the linear memory.
    #[error("{size} bytes at {offset} are not within a memory of {memory} bytes")]
    OutOfBounds {
        /// First byte asked for.
        offset: u64,
        /// Bytes asked for.
        size: u64,
        /// Bytes that there are.
        memory: u64,
    },
    /// The call was cancelled, or the call that it was nested in.
    #[error("cancelled")]
    Cancelled,
    /// The operation waits for its turn until its own process has answered an import.
    #[error("the operation would wait for its own process")]
    WouldDeadlock,
    /// The instance has been stopped.
    #[error("stopped")]
    Stopped,
    /// An import was passed that the host does not serve.
    #[error("the host does not serve this import")]
    NotInterceptable,
    /// The answer came too late, or twice.
    #[error("no pending import")]
    NoPendingImport,
    /// Bytes that are not a snapshot, or a damaged one, or one of another image or state: what kind of thing is wrong, and
    /// the same in words.
    #[error("invalid snapshot: {1}")]
    InvalidSnapshot(Code, String),
    /// A state that a snapshot cannot contain.
    #[error("cannot snapshot: {0}")]
    Uncapturable(String),
    /// Bytes are not an image that this node may run as it was compiled.
    #[error("invalid artifact: {0}")]
    InvalidArtifact(String),
    /// The host could not do its part; the guest is not to blame.
    #[error("host: {0}")]
    Host(String),
}

impl From<hb_wasm64_rewrite::Error> for Error {
    fn from(error: hb_wasm64_rewrite::Error) -> Error {
        use hb_wasm64_rewrite::Error as Rewrite;

        let text = error.to_string();
        match error {
            Rewrite::Malformed { .. } => Error::InvalidModule(text),
            Rewrite::TooLarge(_) | Rewrite::ReservedName(_) | Rewrite::MissingExport { .. } => Error::Unsupported(text),
        }
    }
}

/// The limits of [`Error::Limit`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// Bytes of a linear memory.
    Memory,
    /// Elements of a table.
    Table,
    /// Fuel of a call.
    Fuel,
    /// Gas of a call, as the meter of the image counts it.
    Gas,
    /// Bytes of an image.
    Image,
    /// Bytes of a file that is read.
    File,
    /// Instances of the process, which its address space and its memory mappings bound.
    Instances,
}

/// What is known about a trap.
#[derive(Clone, Debug, PartialEq)]
pub struct TrapInfo {
    /// Stable name of the kind of trap, as in `memory_out_of_bounds`.
    pub code: &'static str,
    /// The same in words.
    pub message: String,
    /// Frames of the guest, innermost first.
    pub backtrace: Vec<Frame>,
}

/// One frame of a [`TrapInfo`].
#[derive(Clone, Debug, PartialEq)]
pub struct Frame {
    /// Index of the function in the module.
    pub function: u32,
    /// Its name, where the module carries names.
    pub name: Option<String>,
    /// Offset of the instruction from the start of the module that was compiled, in bytes.
    pub offset: Option<usize>,
}

/// Why an import counts as failed.
#[derive(Clone, Debug, Error, PartialEq)]
pub enum ImportFailure {
    /// The one who answers said so; the bytes are whatever it gave as reason, unread.
    #[error("refused")]
    Refused(Arc<[u8]>),
    /// The results do not fit the signature of the import.
    #[error("result {position} of {module}.{name} does not fit {signature}")]
    InvalidResults {
        /// First name of the import.
        module: Arc<str>,
        /// Second name of the import.
        name: Arc<str>,
        /// Signature of the import.
        signature: String,
        /// Position of the first result that is missing or does not fit, counted from 1.
        position: usize,
    },
}

/// A limit that ends the call, as wasmtime carries it through the guest's frames.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("limit: {0:?}")]
pub(crate) struct LimitReached(pub(crate) Limit);

/// The code of the trap that ends a call which another host would have let go on.
const OUT_OF_HOST_MEMORY: &str = "out_of_host_memory";

impl From<SnapshotError> for Error {
    fn from(error: SnapshotError) -> Error {
        match error {
            SnapshotError::Host(text) => Error::Host(text),
            SnapshotError::Cancelled => Error::Cancelled,
            error => Error::InvalidSnapshot(error.code(), error.to_string()),
        }
    }
}

impl From<DecodeError> for Error {
    fn from(error: DecodeError) -> Error {
        match error {
            DecodeError::Invalid(text) => Error::malformed_snapshot(text),
            DecodeError::NoRoom => Error::Host("no room for the state of the host".into()),
        }
    }
}

impl From<FileError> for Error {
    fn from(error: FileError) -> Error {
        match error {
            FileError::Posix(name) => Error::File(name),
            FileError::NoRoom => Error::Host("no room for a file".into()),
        }
    }
}

impl From<TryReserveError> for Error {
    fn from(_: TryReserveError) -> Error {
        Error::Host("no room in memory".into())
    }
}

impl Error {
    /// A snapshot breaks a rule, or its state is one that no instance of its image can be in.
    pub(crate) fn malformed_snapshot(text: &str) -> Error {
        Error::InvalidSnapshot(Code::Malformed, text.into())
    }

    /// A function with a parameter or result that only guests have.
    pub(crate) fn cannot_cross(function: &str) -> Error {
        Error::Unsupported(format!("the function {function} has a parameter or result of a type that only guests have"))
    }

    /// Whether it is about what this host could do at the time, and not about the guest.
    pub(crate) fn is_of_host(&self) -> bool {
        match self {
            Error::Host(_) | Error::Limit(Limit::Instances) => true,
            Error::Trap(info) => info.code == OUT_OF_HOST_MEMORY,
            _ => false,
        }
    }

    /// The error of a call that ended with `error`, uncaught exceptions apart: those live in the store.
    pub(crate) fn from_call(error: &wasmtime::Error) -> Error {
        if let Some(failure) = error.downcast_ref::<ImportFailure>() {
            return Error::ImportFailed(failure.clone());
        }
        if let Some(LimitReached(limit)) = error.downcast_ref() {
            return Error::Limit(*limit);
        }
        if let Some(failure) = error.downcast_ref::<Failure>() {
            return match failure {
                Failure::OutOfMemory => Error::trap(OUT_OF_HOST_MEMORY, failure, error),
                Failure::Exit(status) => Error::Exit(*status),
                Failure::Unserved(_) => Error::Unsupported(failure.to_string()),
                Failure::Abort(_) => Error::trap("abort", failure, error),
                Failure::TooDeep => Error::trap("stack_overflow", failure, error),
                Failure::OutOfBounds(_) => Error::trap("memory_out_of_bounds", failure, error),
            };
        }
        match error.downcast_ref::<Trap>() {
            Some(Trap::OutOfFuel) => Error::Limit(Limit::Fuel),
            Some(trap) => Error::trap(trap_code(*trap), trap, error),
            None if error.is::<GcHeapOutOfMemory<()>>() => {
                Error::trap("heap_exhausted", &"the heap of objects and exceptions is full", error)
            }
            None => Error::Host(format!("{error:#}")),
        }
    }

    fn trap(code: &'static str, message: &dyn std::fmt::Display, error: &wasmtime::Error) -> Error {
        let backtrace = error.downcast_ref::<WasmBacktrace>().map_or_else(Vec::new, |backtrace| {
            let frame = |frame: &wasmtime::FrameInfo| Frame {
                function: frame.func_index(),
                name: frame.func_name().map(|name| beginning(name, FRAME_NAME_BYTES).to_owned()),
                offset: frame.module_offset(),
            };
            backtrace.frames().iter().map(frame).collect()
        });
        let message = message.to_string();
        let message = message.strip_prefix("wasm trap: ").unwrap_or(&message).to_owned();
        Error::Trap(Box::new(TrapInfo { code, message, backtrace }))
    }
}

/// As much of a text as fits into so many bytes.
fn beginning(text: &str, most: usize) -> &str {
    text.get(..text.floor_char_boundary(most)).unwrap_or_default()
}

fn trap_code(trap: Trap) -> &'static str {
    match trap {
        Trap::StackOverflow => "stack_overflow",
        Trap::MemoryOutOfBounds => "memory_out_of_bounds",
        Trap::HeapMisaligned => "heap_misaligned",
        Trap::TableOutOfBounds => "table_out_of_bounds",
        Trap::IndirectCallToNull => "indirect_call_to_null",
        Trap::BadSignature => "bad_signature",
        Trap::IntegerOverflow => "integer_overflow",
        Trap::IntegerDivisionByZero => "integer_division_by_zero",
        Trap::BadConversionToInteger => "bad_conversion_to_integer",
        Trap::UnreachableCodeReached => "unreachable",
        Trap::Interrupt => "interrupt",
        Trap::NullReference => "null_reference",
        Trap::AllocationTooLarge => "allocation_too_large",
        Trap::ArrayOutOfBounds => "array_out_of_bounds",
        Trap::CastFailure => "cast_failure",
        Trap::AtomicWaitNonSharedMemory => "atomic_wait_non_shared_memory",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trap_is_named_by_its_code_and_told_without_the_prefix_of_the_engine() {
        let error = Error::from_call(&wasmtime::Error::from(Trap::IntegerOverflow));
        let Error::Trap(info) = error else { panic!("{error:?}") };
        assert_eq!((info.code, info.message.as_str()), ("integer_overflow", "integer overflow"));
    }

    #[test]
    fn a_long_text_is_cut_off_between_two_characters() {
        assert_eq!(beginning("short", 256), "short");
        assert_eq!(beginning("ééé", 3), "é");
        assert_eq!(beginning("", 0), "");
    }

    #[test]
    fn spent_fuel_is_a_limit_and_no_trap() {
        assert_eq!(Error::from_call(&wasmtime::Error::from(Trap::OutOfFuel)), Error::Limit(Limit::Fuel));
    }
}
