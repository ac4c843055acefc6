//! What ends a call of a guest in a function of the host.

use crate::errno::Errno;
use thiserror::Error;
use wasmtime::Trap;

/// Why a function of the host ended the call, as wasmtime carries it through the guest's frames. Fuel that runs out is
/// wasmtime's own [`Trap::OutOfFuel`].
#[derive(Debug, Error, PartialEq, Eq)]
pub enum Failure {
    /// This computer has no room for what the guest may have.
    #[error("the host has no memory left for the guest")]
    OutOfMemory,
    /// The program ended itself with this status.
    #[error("the program ended itself with the status {0}")]
    Exit(i32),
    /// The program gave up, and why.
    #[error("aborted: {0}")]
    Abort(String),
    /// Nobody serves an import that the program cannot do without: its names.
    #[error("nobody serves {0}, a function of Emscripten's library")]
    Unserved(String),
    /// An address outside of the memory; of an import, where it was one.
    #[error("{} was given an address outside of the memory", .0.as_deref().unwrap_or("a function of the host"))]
    OutOfBounds(Option<String>),
    /// The host calls the guest, which calls the host, too deep.
    #[error("functions of the host and of the guest call each other too deep")]
    TooDeep,
}

/// The same within a function that sees the guest's memory and the host's state only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The program ended itself with this status.
    Exit(i32),
    /// The program gave up, and why.
    Abort(String),
    /// An address outside of the memory.
    OutOfBounds,
    /// The call cannot pay for what is asked.
    OutOfFuel,
    /// This computer has no room for it.
    OutOfMemory,
}

impl Fault {
    pub(crate) fn into_error(self) -> wasmtime::Error {
        match self {
            Fault::Exit(status) => Failure::Exit(status).into(),
            Fault::Abort(message) => Failure::Abort(message).into(),
            Fault::OutOfBounds => Failure::OutOfBounds(None).into(),
            Fault::OutOfMemory => Failure::OutOfMemory.into(),
            Fault::OutOfFuel => Trap::OutOfFuel.into(),
        }
    }
}

impl From<Fault> for Errno {
    /// A program is told of a wrong address as of a wrong argument. What else ends the call has been noted elsewhere, and
    /// does so whatever is made of this.
    fn from(_: Fault) -> Errno {
        Errno::FAULT
    }
}
