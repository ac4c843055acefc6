//! Steps of operations.

use crate::error::Error;
use crate::import::ImportInfo;
use crate::queue::{Notifications, Scope};
use crate::task::Usage;
use crate::value::Value;
use std::sync::Arc;

/// The result of a step: how far the operation has come, and whom to notify.
#[derive(Debug)]
pub struct Step<O, P = Progress> {
    /// How far the operation has come.
    pub progress: P,
    /// Whom else to notify.
    pub notifications: Notifications<O>,
}

impl<O, P> Step<O, P> {
    pub(super) fn quiet(progress: P) -> Step<O, P> {
        Step { progress, notifications: Notifications::default() }
    }
}

/// How far an operation has come.
#[derive(Debug)]
pub enum Progress {
    /// It is over.
    Finished(Result<Vec<Value>, Error>),
    /// It is over, and has used this, as its caller wants to know.
    Measured(Result<Vec<Value>, Error>, Usage),
    /// The guest waits for the answer to this import.
    Import(Request),
    /// The slice is over: resume it.
    Yielded,
    /// Its turn has come, but the instance is too large for a short slice: resume it in a long one.
    Deferred,
    /// It waits for its turn: the owner will be woken.
    Waiting,
    /// What comes next handles about so many bytes and takes long: [`work`](super::Instance::work) is to be called on a
    /// background thread. It wakes the owner, who then repeats the operation.
    Long(u64),
}

/// What has become of an operation that was given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GivenUp {
    /// It has ended, and its owner is not woken any more.
    Unwoken,
    /// It has ended; its owner has been woken, or is about to be.
    Woken,
    /// It is done: its owner has been woken, or is about to be, and finds the result when it repeats the operation.
    TooLate,
}

/// How an access has come out.
#[derive(Debug, PartialEq)]
pub enum Access<R> {
    /// The closure returned this.
    Done(R),
    /// It waits for its turn: the owner will be woken.
    Waiting,
    /// The slice is over: repeat it.
    Yielded,
    /// What comes next handles about so many bytes and takes long, see [`Progress::Long`].
    Long(u64),
    /// The instance was stopped, the scope was cancelled, or the access is not possible.
    Refused(Error),
}

/// An import on its way to the process that answers it.
#[derive(Debug)]
pub struct Request {
    /// Names the import when it is answered, and is the scope in which the instance may be used meanwhile.
    pub scope: Scope,
    /// The imported function.
    pub import: Arc<ImportInfo>,
    /// Its arguments.
    pub args: Vec<Value>,
}
