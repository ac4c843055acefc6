//! Operations of a process on an instance, and what Erlang is told of each step.
//!
//! `{ok, Results} | {error, Reason}` ends an operation, with what it has used behind that where the call asks for it. `{import, Ticket, Request}`, `{yielded, Ticket}` and
//! `{wait, Ticket}` do not: the ticket names the operation in the calls that go on with it. After `wait` a message
//! `{hb_wasm64, Reference, turn}` comes, and the operation is to be repeated: then its turn has come, or a background thread
//! has done what takes long of it.

use crate::atoms;
use crate::binaries::copied;
use crate::handle::{Handle, Owner, notify, notify_from_outside};
use crate::options::Deadline;
use crate::terms;
use hb_wasm64_engine::error::Error;
use hb_wasm64_engine::value::Value;
use hb_wasm64_engine::{Access, Caller, Contents, GivenUp, Progress, Request, Step, TicketId, Usage, View, background};
use rustler::{Encoder, Env, LocalPid, NifResult, OwnedBinary, ResourceArc, Term};
use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

/// One step of an operation of the calling process.
pub struct Operation<'a, 'h> {
    env: Env<'a>,
    handle: &'h ResourceArc<Handle>,
    reference: Term<'a>,
    ticket: TicketId,
    deadline: Deadline,
    /// An owner was made in this step.
    is_owned: Cell<bool>,
}

impl<'a, 'h> Operation<'a, 'h> {
    /// A step of the operation of a ticket; 0 stands for a new one.
    pub fn new(env: Env<'a>, handle: &'h ResourceArc<Handle>, reference: Term<'a>, ticket: u64) -> Operation<'a, 'h> {
        let ticket = if ticket == 0 { TicketId::fresh() } else { TicketId(ticket) };
        Operation { env, handle, reference, ticket, deadline: Deadline::default(), is_owned: Cell::new(false) }
    }

    /// The same on a scheduler for which it may have waited long: after the deadline the step is not taken, the operation is
    /// over, and the term is `{error, timeout}`.
    pub fn within(self, deadline: Deadline) -> Operation<'a, 'h> {
        Operation { deadline, ..self }
    }

    /// The calling process, for the engine.
    pub fn caller(&self) -> Caller<'_, LocalPid, impl Fn() -> Arc<Owner>> {
        let owner = || {
            self.is_owned.set(true);
            Owner::monitor(self.env, self.handle, self.reference)
        };
        Caller { scope: self.handle.scope.as_ref(), ticket: self.ticket, process: self.env.pid(), owner }
    }

    fn late(&self) -> Option<Term<'a>> {
        if !self.deadline.is_over() {
            return None;
        }
        let (notifications, given_up) = self.handle.instance.give_up(self.ticket);
        notify(self.env, notifications);
        // What is done in time keeps its result.
        (given_up != GivenUp::TooLate).then(|| timeout(self.env))
    }

    /// Takes a step of a call and reports the time it took.
    pub fn step(self, step: impl FnOnce(&Self) -> Step<Arc<Owner>>) -> Term<'a> {
        if let Some(late) = self.late() {
            return late;
        }
        let began = Instant::now();
        let Step { progress, notifications } = step(&self);
        notify(self.env, notifications);
        let term = self.encode(progress);
        report(self.env, began.elapsed());
        term
    }

    fn encode(&self, progress: Progress) -> Term<'a> {
        let env = self.env;
        let ticket = self.ticket.0;
        let term = match progress {
            Progress::Finished(Ok(values)) => return (atoms::ok(), terms::values(env, &values)).encode(env),
            Progress::Finished(Err(error)) => return terms::error(env, &error),
            Progress::Measured(result, usage) => return self.measured(result, usage),
            Progress::Import(request) => (atoms::import(), ticket, self.request(&request)).encode(env),
            Progress::Yielded => (atoms::yielded(), ticket).encode(env),
            Progress::Deferred => (atoms::deferred(), ticket).encode(env),
            Progress::Waiting => (atoms::wait(), ticket).encode(env),
            Progress::Long(bytes) => return self.hand_over(bytes),
        };
        self.abandon_if_exiting(term)
    }

    /// `{ok, Results, Usage} | {error, Reason, Usage}`.
    fn measured(&self, result: Result<Vec<Value>, Error>, usage: Usage) -> Term<'a> {
        let env = self.env;
        let usage = terms::usage(env, usage);
        match result {
            Ok(values) => (atoms::ok(), terms::values(env, &values), usage).encode(env),
            Err(error) => (atoms::error(), terms::reason(env, &error), usage).encode(env),
        }
    }

    /// Lets a background thread go on with the operation. It wakes the process like a turn that comes.
    fn hand_over(&self, bytes: u64) -> Term<'a> {
        let (instance, ticket) = (self.handle.instance.clone(), self.ticket);
        let worker = instance.clone();
        match background::spawn(bytes, move || notify_from_outside(worker.work(ticket))) {
            Ok(()) => self.abandon_if_exiting((atoms::wait(), ticket.0).encode(self.env)),
            Err(error) => {
                notify(self.env, instance.cancel(ticket).0);
                terms::error(self.env, &error)
            }
        }
    }

    /// A process can be killed while it is on a dirty scheduler. If that was before its owner had a place in the queue, its
    /// monitor either could not be made or has fired for nobody; afterwards the monitor ends the operation.
    fn abandon_if_exiting(&self, term: Term<'a>) -> Term<'a> {
        if self.is_owned.get() && !self.env.pid().is_alive(self.env) {
            notify(self.env, self.handle.instance.cancel(self.ticket).0);
        }
        term
    }

    fn request(&self, request: &Request) -> Term<'a> {
        let env = self.env;
        let scoped = Handle { instance: self.handle.instance.clone(), scope: Some(request.scope.clone()) };
        let import = &request.import;
        let request = terms::map(
            env,
            [
                (atoms::instance(), ResourceArc::new(scoped).encode(env)),
                (atoms::module(), terms::chars(env, &import.module)),
                (atoms::func(), terms::chars(env, &import.name)),
                (atoms::args(), terms::values(env, &request.args)),
                (atoms::func_sig(), terms::chars(env, &import.signature_text)),
            ],
        );
        if !import.interceptable {
            return request;
        }
        request.map_put(atoms::interceptable(), true).unwrap_or(request)
    }

    /// Runs a closure on the linear memory and encodes what it gives.
    pub fn access<R: Send + 'static>(
        self,
        access: impl FnOnce(&mut [u8]) -> R + Send + 'static,
        encode: impl FnOnce(Env<'a>, R) -> Term<'a>,
    ) -> Term<'a> {
        self.at_once(|it| it.handle.instance.access(it.caller(), access), encode)
    }

    /// `{ok, {Output, ErrorOutput}}`: what the guest has written to its terminals.
    pub fn output(self) -> Term<'a> {
        let copy = |output: &[u8], errors: &[u8]| (copied(output), copied(errors));
        let encode = |env: Env<'a>, copies| match copies {
            (Ok(output), Ok(errors)) => {
                let output: OwnedBinary = output;
                let errors: OwnedBinary = errors;
                (atoms::ok(), (output.release(env), errors.release(env))).encode(env)
            }
            (Err(error), _) | (_, Err(error)) => terms::error(env, &error),
        };
        self.at_once(|it| it.handle.instance.output(it.caller(), copy), encode)
    }

    /// Runs a closure on the linear memory that handles about so many bytes, and encodes what it returns.
    pub fn access_long<R: Send + 'static>(
        self,
        bytes: u64,
        access: impl FnOnce(&mut Contents<'_, '_>, &AtomicBool) -> Result<R, Error> + Send + 'static,
        encode: impl FnOnce(Env<'a>, R) -> Term<'a>,
    ) -> Term<'a> {
        self.at_once(|it| it.handle.instance.access_long(it.caller(), bytes, access), encode)
    }

    /// Runs a closure on all of the state and encodes what it returns.
    pub fn view<R: Send + 'static>(
        self,
        beside: u64,
        look: impl FnOnce(&View<'_>) -> Result<R, Error> + Send + 'static,
        encode: impl FnOnce(Env<'a>, R) -> Term<'a>,
    ) -> Term<'a> {
        self.at_once(|it| it.handle.instance.view(it.caller(), beside, look), encode)
    }

    /// Reserves the instance: `{ok, Scope, Ticket}`.
    pub fn hold(self) -> Term<'a> {
        let (instance, ticket) = (self.handle.instance.clone(), self.ticket.0);
        let held = |env, scope| {
            let scoped = ResourceArc::new(Handle { instance, scope: Some(scope) });
            (atoms::ok(), scoped, ticket).encode(env)
        };
        self.at_once(|it| it.handle.instance.hold(it.caller()), held)
    }

    /// Takes a step of what has one result.
    fn at_once<R>(
        self,
        step: impl FnOnce(&Self) -> Step<Arc<Owner>, Access<R>>,
        encode: impl FnOnce(Env<'a>, R) -> Term<'a>,
    ) -> Term<'a> {
        if let Some(late) = self.late() {
            return late;
        }
        let began = Instant::now();
        let Step { progress, notifications } = step(&self);
        notify(self.env, notifications);
        let term = match progress {
            Access::Done(value) => self.abandon_if_exiting(encode(self.env, value)),
            Access::Waiting => self.abandon_if_exiting((atoms::wait(), self.ticket.0).encode(self.env)),
            Access::Yielded => self.abandon_if_exiting((atoms::yielded(), self.ticket.0).encode(self.env)),
            Access::Long(bytes) => self.hand_over(bytes),
            Access::Refused(error) => terms::error(self.env, &error),
        };
        report(self.env, began.elapsed());
        term
    }
}

/// The process that answers the imports of a call. An atom stands for none.
pub fn responder(term: Term<'_>) -> NifResult<Option<LocalPid>> {
    if term.is_atom() { Ok(None) } else { term.decode().map(Some) }
}

/// `{error, timeout}`.
pub fn timeout(env: Env<'_>) -> Term<'_> {
    (atoms::error(), atoms::timeout()).encode(env)
}

/// Names that are not UTF-8 are in no module.
pub fn unknown_function<'a>(env: Env<'a>, name: &[u8]) -> Term<'a> {
    let reason = (atoms::unknown_function(), terms::binary(env, name));
    (atoms::error(), reason).encode(env)
}

/// Tells a normal scheduler how much of a process's millisecond has been used.
fn report(env: Env<'_>, elapsed: Duration) {
    let percent = elapsed.as_micros() / 10;
    if percent > 0 {
        rustler::schedule::consume_timeslice(env, percent.min(100) as i32);
    }
}
