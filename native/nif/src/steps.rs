//! Operations of a process on an instance, and what Erlang is told of each step.
//!
//! `{ok, Results} | {error, Reason}` ends an operation. `{import, Ticket, Request}`, `{yielded, Ticket}` and
//! `{wait, Ticket}` do not: the ticket names the operation in the calls that go on with it. After `wait` a message
//! `{hb_wasm64, Reference, turn}` comes, and the operation is to be repeated: then its turn has come, or a background thread
//! has done what takes long of it.

use crate::atoms;
use crate::handle::{Handle, Owner, Responder, tell, tell_from_outside};
use crate::memory::copied;
use crate::terms;
use hb_wasm64_engine::error::Error;
use hb_wasm64_engine::{Access, Contents, Progress, Request, Scope, Step, TicketId, View, background};
use rustler::{Encoder, Env, LocalPid, NifResult, OwnedBinary, ResourceArc, Term};
use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

/// One step of an operation.
pub struct Operation<'a, 'h> {
    env: Env<'a>,
    handle: &'h ResourceArc<Handle>,
    reference: Term<'a>,
    pub ticket: TicketId,
    scope: Option<Scope>,
    responder: Option<Responder>,
    /// The process is exiting, so that its death will not be noticed any more.
    exiting: Cell<bool>,
}

impl<'a, 'h> Operation<'a, 'h> {
    pub fn new(
        env: Env<'a>,
        handle: &'h ResourceArc<Handle>,
        reference: Term<'a>,
        ticket: u64,
        responder: Option<Responder>,
    ) -> Operation<'a, 'h> {
        let ticket = if ticket == 0 { TicketId::fresh() } else { TicketId(ticket) };
        // Who drives a call, owes the answer to its import and uses the plain handle would wait for itself for ever.
        let own = Responder { pid: env.pid(), drives: true };
        let scope = handle.scope.clone().or_else(|| handle.instance.scope_of(&own));
        Operation { env, handle, reference, ticket, scope, responder, exiting: Cell::new(false) }
    }

    /// The import in whose scope the operation stands.
    pub fn scope(&self) -> Option<&Scope> {
        self.scope.as_ref()
    }

    /// The calling process, watched from now on.
    pub fn owner(&self) -> Arc<Owner> {
        let owner = Owner::watch(self.env, self.handle, self.reference);
        self.exiting.set(!owner.is_watched());
        owner
    }

    /// Takes a step of a call and reports the time it took.
    pub fn step(self, step: impl FnOnce(&Self) -> Step<Arc<Owner>>) -> Term<'a> {
        let began = Instant::now();
        let Step { progress, news } = step(&self);
        tell(self.env, news);
        let term = self.encode(progress);
        report(self.env, began.elapsed());
        term
    }

    fn encode(&self, progress: Progress) -> Term<'a> {
        let env = self.env;
        let ticket = self.ticket.0;
        let (term, waits) = match progress {
            Progress::Finished(Ok(values)) => return (atoms::ok(), terms::values(env, &values)).encode(env),
            Progress::Finished(Err(error)) => return terms::error(env, &error),
            Progress::Import(request) => {
                let request = self.request(&request);
                ((atoms::import(), ticket, request).encode(env), !self.responder.is_some_and(|it| it.drives))
            }
            Progress::Yielded => ((atoms::yielded(), ticket).encode(env), false),
            Progress::Waiting => return self.abandon_if_exiting((atoms::wait(), ticket).encode(env)),
            Progress::Long(bytes) => return self.hand_over(bytes),
        };
        self.keep(term, waits)
    }

    /// Keeps the operation for a later step.
    fn keep(&self, term: Term<'a>, waits: bool) -> Term<'a> {
        let env = self.env;
        match self.handle.instance.own(self.ticket, waits, || self.owner()) {
            Ok(news) => tell(env, news),
            Err(error) => return terms::error(env, &error),
        }
        self.abandon_if_exiting(term)
    }

    /// Lets a background thread go on with the operation. It wakes the process like a turn that comes.
    fn hand_over(&self, bytes: u64) -> Term<'a> {
        let (instance, ticket) = (self.handle.instance.clone(), self.ticket);
        match instance.own(ticket, true, || self.owner()) {
            Ok(news) => tell(self.env, news),
            Err(error) => return terms::error(self.env, &error),
        }
        let worker = instance.clone();
        match background::spawn(bytes, move || tell_from_outside(worker.work(ticket))) {
            Ok(()) => self.abandon_if_exiting((atoms::wait(), ticket.0).encode(self.env)),
            Err(error) => {
                tell(self.env, instance.cancel(ticket).0);
                terms::error(self.env, &error)
            }
        }
    }

    fn abandon_if_exiting(&self, term: Term<'a>) -> Term<'a> {
        if self.exiting.get() {
            tell(self.env, self.handle.instance.cancel(self.ticket).0);
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
        if !import.is_native {
            return request;
        }
        request.map_put(atoms::native(), true).unwrap_or(request)
    }

    /// Runs a closure on the linear memory and encodes what it gives.
    pub fn access<R: Send + 'static>(
        self,
        access: impl FnOnce(&mut [u8]) -> R + Send + 'static,
        encode: impl FnOnce(Env<'a>, R) -> Term<'a>,
    ) -> Term<'a> {
        self.at_once(|it| it.handle.instance.access(it.scope(), it.ticket, || it.owner(), access), encode)
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
        self.at_once(|it| it.handle.instance.output(it.scope(), it.ticket, || it.owner(), copy), encode)
    }

    /// Runs a closure on the linear memory that handles about so many bytes, and encodes what it returns.
    pub fn access_long<R: Send + 'static>(
        self,
        bytes: u64,
        access: impl FnOnce(&mut Contents<'_, '_>, &AtomicBool) -> Result<R, Error> + Send + 'static,
        encode: impl FnOnce(Env<'a>, R) -> Term<'a>,
    ) -> Term<'a> {
        self.at_once(|it| it.handle.instance.access_long(it.scope(), it.ticket, || it.owner(), bytes, access), encode)
    }

    /// Runs a closure on all of the state and encodes what it returns.
    pub fn view<R: Send + 'static>(
        self,
        look: impl FnOnce(&View<'_>) -> Result<R, Error> + Send + 'static,
        encode: impl FnOnce(Env<'a>, R) -> Term<'a>,
    ) -> Term<'a> {
        self.at_once(|it| it.handle.instance.view(it.scope(), it.ticket, || it.owner(), look), encode)
    }

    /// Reserves the instance: `{ok, Scope, Ticket}`.
    pub fn hold(self) -> Term<'a> {
        let (instance, ticket) = (self.handle.instance.clone(), self.ticket.0);
        let held = |env, scope| {
            let scoped = ResourceArc::new(Handle { instance, scope: Some(scope) });
            (atoms::ok(), scoped, ticket).encode(env)
        };
        self.at_once(|it| it.handle.instance.hold(it.scope(), it.ticket, || it.owner()), held)
    }

    /// Takes a step of what has one result.
    fn at_once<R>(
        self,
        step: impl FnOnce(&Self) -> Step<Arc<Owner>, Access<R>>,
        encode: impl FnOnce(Env<'a>, R) -> Term<'a>,
    ) -> Term<'a> {
        let began = Instant::now();
        let Step { progress, news } = step(&self);
        tell(self.env, news);
        let term = match progress {
            Access::Done(value) => self.abandon_if_exiting(encode(self.env, value)),
            Access::Waiting => self.abandon_if_exiting((atoms::wait(), self.ticket.0).encode(self.env)),
            Access::Yielded => self.keep((atoms::yielded(), self.ticket.0).encode(self.env), false),
            Access::Long(bytes) => self.hand_over(bytes),
            Access::Refused(error) => terms::error(self.env, &error),
        };
        report(self.env, began.elapsed());
        term
    }
}

/// Who answers the imports of a call that the calling process drives: a process, or nobody, which an atom stands for.
pub fn responder(term: Term<'_>) -> NifResult<Option<Responder>> {
    if term.is_atom() {
        return Ok(None);
    }
    let pid: LocalPid = term.decode()?;
    Ok(Some(Responder { pid, drives: pid == term.get_env().pid() }))
}

/// A name that is no text cannot be one of a module's.
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
