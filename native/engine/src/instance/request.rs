//! Requests to an instance.

use crate::error::ImportFailure;
use crate::queue::{Scope, TicketId};
use crate::task::CallOptions;
use crate::value::Arg;

/// A process that requests an operation.
pub struct Caller<'a, P, F> {
    /// The import in whose scope the operation is requested. `None`: the process uses the plain handle.
    pub scope: Option<&'a Scope>,
    /// Names the operation.
    pub ticket: TicketId,
    /// The process.
    pub process: P,
    /// Makes the owner of the operation, when it has to wait or takes more than one step. Called with no lock held: when the
    /// process dies in between, ending the operation is up to the one that takes the step.
    pub owner: F,
}

/// How long a step may hold up its thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slice {
    /// Well under a millisecond, or a time slice of a small guest: larger instances run nothing in it.
    Short,
    /// A time slice of any guest, and whatever cannot be interrupted.
    Long,
    /// As long as it takes, on a thread for long work: see [`background`](crate::background).
    Background,
}

/// A call of a function.
pub struct CallRequest<'a> {
    /// Export or table entry.
    pub func: FuncName<'a>,
    /// Arguments, unchecked.
    pub args: Vec<Arg>,
    /// What the caller has chosen.
    pub options: CallOptions,
}

/// The answer to an import.
#[derive(Debug)]
pub enum Response<'a> {
    /// The guest gets these results, if they fit.
    Results(&'a [Arg]),
    /// The host serves it, as if it had not been intercepted.
    Pass,
    /// The import ends the innermost call.
    Failed(ImportFailure),
}

/// A function of an instance.
#[derive(Clone, Copy, Debug)]
pub enum FuncName<'a> {
    /// An export.
    Export(&'a str),
    /// An entry of the function table.
    Entry(u64),
}
