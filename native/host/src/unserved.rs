//! Imports that nobody serves: what the guest is told.
//!
//! Where an import belongs to a protocol that has error numbers, a zero would say that something was done which was not:
//! programs wait for it, or loop. So they are told, in the protocol's own way, that there is nobody. Only where no
//! protocol is known the answer is zeros. Functions of Emscripten's library that have no error numbers end the call: what they
//! should have done would be missing.

use crate::emscripten;
use crate::errno::Errno;

/// What an import answers that nobody serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unserved {
    /// Zeros, and null references.
    Zeros,
    /// This as its result, where that is one `i32`; else zeros.
    Error(i32),
    /// It does not return: the call ends, with its argument as the program's status.
    Exit,
    /// The call ends: it is a function of Emscripten's library, which has no error that would say so.
    Unsupported,
}

/// `EAI_FAIL` of musl.
const EAI_FAIL: i32 = -4;

impl Unserved {
    /// Whether an import of these names that the host does not serve is known, and has nobody else to serve it by itself.
    pub fn is_known(module: &str, name: &str) -> bool {
        Unserved::of(module, name) != Unserved::Zeros || Unserved::is_of_wasi(module)
    }

    fn is_of_wasi(module: &str) -> bool {
        matches!(module, "wasi_snapshot_preview1" | "wasi_unstable")
    }

    /// What the import of these names answers.
    pub fn of(module: &str, name: &str) -> Unserved {
        match module {
            "wasi_snapshot_preview1" | "wasi_unstable" => match name {
                "proc_exit" => Unserved::Exit,
                // The one exception: AOS asks for the time as it starts, ignores a failure, and shows in its results
                // (`os.clock`) whether there was one. A clock that is not written is what it has always been given.
                "clock_time_get" => Unserved::Zeros,
                // No descriptor is open. Programs that look for theirs stop at the first that is not, and those that write
                // go on without.
                name if name.starts_with("fd_") => Unserved::Error(Errno::BADF.positive()),
                _ => Unserved::Error(Errno::NOSYS.positive()),
            },
            // System calls of Linux, as Emscripten's library makes them: errors are negative.
            "env" if name.starts_with("__syscall") => Unserved::Error(Errno::NOSYS.negative()),
            // A name cannot be found out; there is no such error as that nobody tells.
            "env" if ["getaddrinfo", "getnameinfo"].contains(&name) => Unserved::Error(EAI_FAIL),
            "env" if emscripten::is_of_library(name) => Unserved::Unsupported,
            _ => Unserved::Zeros,
        }
    }
}
