//! Imports that nobody serves: what the guest is told.
//!
//! Where an import belongs to a protocol that has error numbers, a zero would say that something was done which was not:
//! programs wait for it, or loop. So they are told, in the protocol's own way, that there is nobody. Only where no
//! protocol is known the answer is zeros.

use crate::value::{Signature, ValType, Value};

/// `EBADF` of WASI: no descriptor is open. Programs that look for theirs stop at the first that is not, and those that
/// write go on without.
const BADF: i32 = 8;

/// `ENOSYS` of WASI, which Emscripten's library has as well.
const NOSYS: i32 = 52;

/// What an import answers that nobody serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unserved {
    /// Zeros, and null references.
    Zeros,
    /// This as its result, where that is one `i32`; else zeros.
    Error(i32),
    /// It does not return: the call ends, with its argument as the program's status.
    Exit,
}

impl Unserved {
    /// What the import of these names answers.
    pub fn of(module: &str, name: &str) -> Unserved {
        match module {
            "wasi_snapshot_preview1" | "wasi_unstable" => match name {
                "proc_exit" => Unserved::Exit,
                // The one exception: AOS asks for the time as it starts, ignores a failure, and shows in its results
                // (`os.clock`) whether there was one. A clock that is not written is what it has always been given.
                "clock_time_get" => Unserved::Zeros,
                name if name.starts_with("fd_") => Unserved::Error(BADF),
                _ => Unserved::Error(NOSYS),
            },
            // System calls of Linux, as Emscripten's library makes them: errors are negative.
            "env" if name.starts_with("__syscall") => Unserved::Error(-NOSYS),
            _ => Unserved::Zeros,
        }
    }

    /// The results of an import of this type, or the status with which the program ends.
    pub(crate) fn answer(self, signature: &Signature, first: Option<&Value>) -> Result<Vec<Value>, i32> {
        match (self, &*signature.results, first) {
            (Unserved::Error(number), [ValType::I32], _) => Ok(vec![Value::I32(number)]),
            (Unserved::Exit, [], Some(Value::I32(status))) if signature.params.len() == 1 => Err(*status),
            (_, results, _) => Ok(results.iter().map(|ty| ty.zero()).collect()),
        }
    }
}
