//! What a task is told to do, and what it tells when it stops.

use super::{CallOptions, Contents, Port, Usage};
use crate::error::Error;
use crate::image::FuncExport;
use crate::import::{Answer, ImportInfo};
use crate::limits::Bounds;
use crate::queue::TicketId;
use crate::state::{Snapshots, View};
use crate::value::{Arg, Value};
use hb_wasm64_host::{Given, Initialize};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// What is done with a linear memory.
type Access = Box<dyn FnOnce(&mut [u8]) + Send>;

/// The same for what may take long: it ends early once the flag is up.
type LongAccess = Box<dyn FnOnce(&mut Contents<'_, '_>, &AtomicBool) -> Result<(), Error> + Send>;

/// What is done with all of the state.
type Look = Box<dyn FnOnce(&View<'_>) -> Result<(), Error> + Send>;

/// What is done with standard output and error output.
type Output = Box<dyn FnOnce(&[u8], &[u8]) + Send>;

/// One command, and what comes of it.
pub(crate) enum Command {
    /// Instantiate the image, run its start function and initialize it so far.
    Start(Starting),
    /// Let a closure see all of the state. What a fresh instance of the image is like is found out first.
    View(Starting, Look),
    /// Start afresh, in the state that snapshots hold.
    Restore(Starting, Snapshots),
    /// Start another instance in the state of this one. The port is the other's.
    Fork(Starting, Arc<Port>),
    /// Start another instance as the request says, which finds the linear memory of this one.
    Renew(Starting, Arc<Port>),
    /// Call a function.
    Call(Call),
    /// Let a closure see the linear memory, empty where there is none.
    Access(Access),
    /// Let a closure see the linear memory for work on so many bytes at most.
    LongAccess(LongAccessing, LongAccess),
    /// Let a closure see what the guest has written to its terminals.
    Output(Output),
    /// Grow the linear memory to at least so many bytes.
    Grow(u64, TicketId),
    /// Results for the innermost pending import.
    Answer(Answer),
}

/// Work on the linear memory that may take long.
pub(crate) struct LongAccessing {
    pub(crate) ticket: TicketId,
    pub(crate) cancelled: Arc<AtomicBool>,
    /// Bytes that it handles, as far as the caller can tell.
    pub(crate) bytes: u64,
}

/// How to start an instance.
#[derive(Clone, Debug, Default)]
pub struct StartRequest {
    /// Fuel that the start function and what is initialized may use; `None` is no limit.
    pub fuel: Option<u64>,
    /// Gas of an image with a meter, that of the module's start function apart; `None` is the default limit.
    pub gas: Option<i64>,
    /// What of a program runs.
    pub initialize: Initialize,
    /// What the program is given, which has been [checked](Given::check).
    pub given: Given,
    /// Whether what it prints is to be [taken](crate::Instance::take_printed) meanwhile.
    pub stream: bool,
    /// What its clock shows meanwhile, in milliseconds since 1970. The start function of the module has no clock.
    pub time: u64,
    /// What the instance may have, from then on.
    pub bounds: Bounds,
}

impl StartRequest {
    /// A start in which nothing of a program runs.
    pub(crate) fn nothing() -> StartRequest {
        StartRequest { initialize: Initialize::Nothing, ..StartRequest::default() }
    }
}

/// What a start needs.
pub(crate) struct Starting {
    pub(crate) ticket: TicketId,
    pub(crate) cancelled: Arc<AtomicBool>,
    pub(crate) request: StartRequest,
    /// Bytes that are handled beside the state of the instance.
    pub(crate) beside: u64,
}

/// A call on its way in.
pub(crate) struct Call {
    pub(crate) ticket: TicketId,
    pub(crate) cancelled: Arc<AtomicBool>,
    pub(crate) target: Target,
    pub(crate) args: Vec<Arg>,
    pub(crate) options: CallOptions,
    /// Whether imports are answered with zeros right away.
    pub(crate) stub: bool,
}

/// What a call calls.
#[derive(Clone)]
pub(crate) enum Target {
    Export(FuncExport),
    /// An entry of the image's function table.
    Entry(u64),
}

/// Why the task stopped. Where it leaves none it was out of its slice.
pub(crate) enum Outcome {
    /// The start, call or growth of the ticket is over.
    Finished(TicketId, Result<Vec<Value>, Error>),
    /// The same of a call that was asked what it uses.
    Measured(TicketId, Result<Vec<Value>, Error>, Usage),
    /// The call of the ticket waits for an answer.
    Import(TicketId, Arc<ImportInfo>, Vec<Value>),
    /// What the operation of the ticket does next takes long, as it handles so many bytes: it is for a background thread.
    Long(TicketId, u64),
}
