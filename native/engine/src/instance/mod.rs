//! Instances: the public handle, which schedules operations and polls the task.
//!
//! Every operation names a ticket. An operation that cannot have its turn at once answers [`Progress::Waiting`]; its owner is
//! woken later, and then repeats the operation with the same ticket. Owners are whatever the embedder wants them to be; this
//! module only keeps them, and makes and drops none of them with the instance locked.

mod access;
mod inner;
mod request;
mod step;

pub use request::{CallRequest, Caller, FuncName, Response, Slice};
pub use step::{Access, GivenUp, Progress, Request, Step};

use crate::error::{Error, ImportFailure};
use crate::import::Reply;
use crate::limits::Bounds;
use crate::queue::{Entry, Notifications, Ownership, Queue, Resume, Scope, Status, TicketId};
use crate::reaper;
use crate::state::Snapshots;
use crate::task::{self, Call, Command, LinkedImage, Outcome, Port, StartRequest, Starting, Target, TaskFuture};
use crate::ticker::Running;
use inner::{Inner, Pending, Task, Work};
use parking_lot::{Mutex, MutexGuard};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Waker};

/// The turn of an operation, with the instance locked.
struct Turn<'a, O, P> {
    inner: MutexGuard<'a, Inner<O, P>>,
    owner: Option<O>,
}

/// A request that has no turn.
enum NoTurn<O> {
    Waiting,
    Refused(Error, Notifications<O>),
}

impl<O> NoTurn<O> {
    fn step<P>(self, waiting: P, refused: impl FnOnce(Error) -> P) -> Step<O, P> {
        match self {
            NoTurn::Waiting => Step::quiet(waiting),
            NoTurn::Refused(error, notifications) => Step { progress: refused(error), notifications },
        }
    }
}

/// A running or runnable copy of an image.
///
/// `P` identifies a process; `O` is the owner of an operation, through which its process is woken.
pub struct Instance<O, P> {
    image: Arc<LinkedImage>,
    port: Arc<Port>,
    inner: Mutex<Inner<O, P>>,
}

impl<O: Clone, P: Copy + PartialEq> Instance<O, P> {
    /// An instance that has yet to be started with [`start`](Self::start).
    pub fn new(image: Arc<LinkedImage>) -> Instance<O, P> {
        let port = Arc::new(Port::new());
        let task: TaskFuture = Box::pin(task::run(image.clone(), port.clone()));
        let (queue, task) = (Queue::new(), Task::Ready(task));
        let inner = Inner { queue, task, watchers: Vec::new(), work: Work::None, result: None };
        Instance { image, port, inner: Mutex::new(inner) }
    }

    /// The image.
    pub fn image(&self) -> &Arc<LinkedImage> {
        &self.image
    }

    /// What the instance is doing.
    pub fn status(&self) -> Status {
        let inner = self.inner.lock();
        if inner.is_alive() { inner.queue.status() } else { Status::Stopped }
    }

    /// Size of the linear memory when the guest last stopped, in bytes.
    pub fn memory_bytes(&self) -> u64 {
        self.port.memory_bytes.load(Ordering::Relaxed)
    }

    /// What it had used of its gas then, if the image has a meter.
    pub fn gas_used(&self) -> Option<i64> {
        self.image.is_metered().then(|| self.port.gas_used.load(Ordering::Relaxed))
    }

    /// Instantiates the image, runs its start function and initializes it. The first operation of every instance.
    pub fn start<F: Fn() -> O>(&self, caller: Caller<'_, P, F>, request: StartRequest, slice: Slice) -> Step<O> {
        self.port.bound(request.bounds);
        let turn = Turn { inner: self.inner.lock(), owner: None };
        self.begin(turn, caller, slice, None, |ticket, cancelled| {
            Command::Start(Starting { ticket, cancelled, request, beside: 0 })
        })
    }

    /// Calls a function, as far as it gets in one slice. Without a responder, imports are answered with zeros.
    pub fn call<F: Fn() -> O>(
        &self,
        caller: Caller<'_, P, F>,
        request: CallRequest<'_>,
        slice: Slice,
        responder: Option<P>,
    ) -> Step<O> {
        let target = match request.func {
            FuncName::Entry(index) => Target::Entry(index),
            FuncName::Export(name) => match self.image.find_func(name) {
                Ok(export) => Target::Export(export.clone()),
                Err(error) => return self.refuse(caller.ticket, error),
            },
        };
        let (CallRequest { args, options, .. }, stub) = (request, responder.is_none());
        self.command(caller, slice, responder, |ticket, cancelled| {
            Command::Call(Call { ticket, cancelled, target, args, options, stub })
        })
    }

    /// Grows the linear memory to at least `bytes`.
    pub fn grow<F: Fn() -> O>(&self, caller: Caller<'_, P, F>, bytes: u64, slice: Slice) -> Step<O> {
        self.command(caller, slice, None, |ticket, _| Command::Grow(bytes, ticket))
    }

    /// Starts the instance afresh, in the state that snapshots hold. Until that is done it is as it was. Only where they are
    /// no more than raw memory anything of a program runs, and has a clock.
    pub fn restore<F: Fn() -> O>(
        &self,
        caller: Caller<'_, P, F>,
        snapshots: Snapshots,
        request: StartRequest,
        slice: Slice,
    ) -> Step<O> {
        self.port.bound(request.bounds);
        self.command(caller, slice, None, |ticket, cancelled| {
            Command::Restore(Starting { ticket, cancelled, request, beside: 0 }, snapshots)
        })
    }

    /// What whoever started the instance has bounded it by.
    pub fn own_bounds(&self) -> Bounds {
        self.port.own_bounds()
    }

    /// Starts `other`, a new instance of the same image, in the state of this one.
    pub fn fork<F: Fn() -> O>(&self, caller: Caller<'_, P, F>, other: &Instance<O, P>, slice: Slice) -> Step<O> {
        let port = other.port.clone();
        port.bound(self.own_bounds());
        self.command(caller, slice, None, |ticket, cancelled| {
            Command::Fork(Starting { ticket, cancelled, request: StartRequest::nothing(), beside: 0 }, port)
        })
    }

    /// Starts `other`, a new instance of the same image, as the request says; then it finds the linear memory of this one.
    pub fn renew<F: Fn() -> O>(
        &self,
        caller: Caller<'_, P, F>,
        other: &Instance<O, P>,
        request: StartRequest,
        slice: Slice,
    ) -> Step<O> {
        let port = other.port.clone();
        port.bound(request.bounds);
        self.command(caller, slice, None, |ticket, cancelled| {
            Command::Renew(Starting { ticket, cancelled, request, beside: 0 }, port)
        })
    }

    fn command<F: Fn() -> O>(
        &self,
        caller: Caller<'_, P, F>,
        slice: Slice,
        responder: Option<P>,
        command: impl FnOnce(TicketId, Arc<AtomicBool>) -> Command,
    ) -> Step<O> {
        let mut inner = self.inner.lock();
        if inner.queue.is_running(caller.ticket) {
            return self.go_on(inner, &caller, slice, responder);
        }
        drop(inner);
        match self.enter(&caller) {
            Ok(turn) => self.begin(turn, caller, slice, responder, command),
            Err(none) => none.step(Progress::Waiting, |error| Progress::Finished(Err(error))),
        }
    }

    /// Requests a turn.
    fn enter<F: Fn() -> O>(&self, caller: &Caller<'_, P, F>) -> Result<Turn<'_, O, P>, NoTurn<O>> {
        let mut owner = None;
        loop {
            let mut inner = self.inner.lock();
            let refused = |inner: &mut Inner<O, P>, error, owner: Option<O>| {
                let released = owner.into_iter().collect();
                NoTurn::Refused(error, inner.notify(Notifications { released, ..Notifications::default() }))
            };
            if !inner.is_alive() {
                return Err(refused(&mut inner, Error::Stopped, owner));
            }
            let known = owner.take();
            return match inner.queue.enter(caller.scope, caller.ticket, caller.process, known) {
                Entry::Now(owner) => Ok(Turn { inner, owner }),
                Entry::Queued => Err(NoTurn::Waiting),
                Entry::NeedsOwner => {
                    drop(inner);
                    owner = Some((caller.owner)());
                    continue;
                }
                Entry::Cancelled(owner) => Err(refused(&mut inner, Error::Cancelled, owner)),
                Entry::Deadlock(owner) => Err(refused(&mut inner, Error::WouldDeadlock, owner)),
            };
        }
    }

    fn begin<F: Fn() -> O>(
        &self,
        turn: Turn<'_, O, P>,
        caller: Caller<'_, P, F>,
        slice: Slice,
        responder: Option<P>,
        command: impl FnOnce(TicketId, Arc<AtomicBool>) -> Command,
    ) -> Step<O> {
        let Turn { mut inner, owner } = turn;
        let cancelled = inner.queue.begin(caller.ticket, caller.process, owner);
        self.port.send(command(caller.ticket, cancelled));
        self.advance(inner, &caller, slice, responder)
    }

    /// An operation that ends before it has begun; its ticket may wait already.
    fn refuse(&self, ticket: TicketId, error: Error) -> Step<O> {
        let (notifications, _) = self.cancel(ticket);
        let error = if self.status() == Status::Stopped { Error::Stopped } else { error };
        Step { progress: Progress::Finished(Err(error)), notifications }
    }

    /// Runs the next slice of a call.
    pub fn resume<F: Fn() -> O>(&self, caller: Caller<'_, P, F>, slice: Slice, responder: Option<P>) -> Step<O> {
        let inner = self.inner.lock();
        if !inner.is_alive() {
            return Step::quiet(Progress::Finished(Err(Error::Stopped)));
        }
        self.go_on(inner, &caller, slice, responder)
    }

    /// Goes on with a running call, unless another thread does.
    fn go_on<F: Fn() -> O>(
        &self,
        mut inner: MutexGuard<'_, Inner<O, P>>,
        caller: &Caller<'_, P, F>,
        slice: Slice,
        responder: Option<P>,
    ) -> Step<O> {
        let (progress, notifications) = match inner.queue.resume(caller.ticket) {
            Resume::Now(pending) => {
                if let Some(pending) = pending {
                    // An import is marked as answered and given its answer in one step.
                    let answer = pending.answer.unwrap_or_else(|| Err(ImportFailure::Refused(Arc::from([]))));
                    self.port.send(Command::Answer(answer));
                }
                return self.advance(inner, caller, slice, responder);
            }
            Resume::Waits => (Progress::Waiting, Notifications::default()),
            Resume::Ended => (Progress::Finished(Err(Error::Cancelled)), Notifications::default()),
            Resume::Deadlock => {
                let notifications = inner.queue.cancel(|id, _| id == caller.ticket);
                (Progress::Finished(Err(Error::WouldDeadlock)), notifications)
            }
        };
        Step { progress, notifications: inner.notify(notifications) }
    }

    /// Does long work of a running call on this thread.
    pub fn work(&self, ticket: TicketId) -> Notifications<O> {
        let mut inner = self.inner.lock();
        if !matches!(inner.work, Work::Due(due) if due == ticket) || !inner.queue.is_running(ticket) {
            return inner.notify(Notifications::default());
        }
        inner.work = Work::Active(ticket);
        let (mut inner, outcome) = self.poll(inner, Slice::Background);
        inner.work = if inner.queue.is_running(ticket) { Work::Done(ticket, outcome) } else { Work::None };
        inner.notify(Notifications::default())
    }

    /// Answers an import. Its call goes on when its driver resumes it, which is woken if it waits for that.
    ///
    /// # Errors
    /// [`Error::NoPendingImport`] where there is nothing to answer any more; [`Error::NotInterceptable`] where an import is
    /// passed that the host does not serve: it still waits for an answer.
    pub fn respond(&self, scope: &Scope, response: Response<'_>) -> Result<Notifications<O>, Error> {
        let mut inner = self.inner.lock();
        let pending = inner.queue.pending(scope).ok_or(Error::NoPendingImport)?;
        let import = pending.import.clone().ok_or(Error::NoPendingImport)?;
        pending.answer = Some(match response {
            Response::Results(results) => import.answer(results),
            Response::Failed(failure) => Err(failure),
            Response::Pass if import.interceptable => Ok(Reply::Pass),
            Response::Pass => return Err(Error::NotInterceptable),
        });
        inner.queue.answered(scope);
        Ok(inner.notify(Notifications::default()))
    }

    /// Ends an operation, wherever it stands.
    ///
    /// `true`: its owner was waiting and is not woken any more. `false`, to an owner that was waiting: it has been woken,
    /// or the thread that is about to wake it has been told to.
    pub fn cancel(&self, ticket: TicketId) -> (Notifications<O>, bool) {
        let mut inner = self.inner.lock();
        let waiting = inner.queue.is_waiting(ticket);
        let notifications = inner.queue.cancel(|id, _| id == ticket);
        (inner.notify(notifications), waiting)
    }

    /// Ends an operation whose owner has waited for long enough.
    pub fn give_up(&self, ticket: TicketId) -> (Notifications<O>, GivenUp) {
        let mut inner = self.inner.lock();
        let too_late = match inner.work {
            Work::Done(done, _) if done == ticket => inner.queue.is_running(ticket),
            Work::Active(active) if active == ticket => inner.queue.is_running(ticket) && !inner.queue.raise(ticket),
            _ => false,
        };
        if too_late {
            return (Notifications::default(), GivenUp::TooLate);
        }
        drop(inner);
        let (notifications, waiting) = self.cancel(ticket);
        (notifications, if waiting { GivenUp::Unwoken } else { GivenUp::Woken })
    }

    /// Ends the operation of an owner.
    pub fn cancel_owned(&self, wanted: impl Fn(&O) -> bool) -> Notifications<O> {
        let mut inner = self.inner.lock();
        let mut notifications = inner.queue.cancel(|_, owner| owner.is_some_and(&wanted));
        notifications.released.extend(inner.watchers.extract_if(.., |owner| wanted(owner)));
        inner.notify(notifications)
    }

    /// Ends the instance and everything in it. Stopping twice does no harm.
    pub fn stop(&self) -> Notifications<O> {
        self.port.close();
        let mut inner = self.inner.lock();
        if let Task::Ready(task) = std::mem::replace(&mut inner.task, Task::Gone) {
            reaper::dispose(task);
        }
        inner.clear()
    }

    /// Has an owner notified when the instance is stopped: it is woken then.
    ///
    /// # Errors
    /// [`Error::Stopped`]
    pub fn watch(&self, owner: O) -> Result<(), Error> {
        let mut inner = self.inner.lock();
        if !inner.is_alive() {
            return Err(Error::Stopped);
        }
        inner.watchers.push(owner);
        Ok(())
    }

    /// Polls on behalf of a call and says how far it came.
    fn advance<F: Fn() -> O>(
        &self,
        mut inner: MutexGuard<'_, Inner<O, P>>,
        caller: &Caller<'_, P, F>,
        slice: Slice,
        responder: Option<P>,
    ) -> Step<O> {
        let finished = |error| Progress::Finished(Err(error));
        let (mut inner, outcome) = match inner.take_done(caller.ticket) {
            Some(outcome) => (inner, outcome),
            None if slice == Slice::Short && self.port.pace.large.load(Ordering::Relaxed) => {
                return self.leave(inner, caller, false, Vec::new(), Progress::Deferred, finished);
            }
            None => self.poll(inner, slice),
        };
        let mut notifications = Notifications::default();
        let progress = match outcome {
            _ if !inner.is_alive() => finished(Error::Stopped),
            // The outcome of a call that was cancelled while it ran is nobody's business any more.
            _ if !inner.queue.is_running(caller.ticket) => finished(Error::Cancelled),
            Some(Outcome::Finished(id, result)) if id == caller.ticket => {
                notifications = inner.queue.finish(id).unwrap_or_default();
                Progress::Finished(result)
            }
            Some(Outcome::Measured(id, result, usage)) if id == caller.ticket => {
                notifications = inner.queue.finish(id).unwrap_or_default();
                Progress::Measured(result, usage)
            }
            Some(Outcome::Import(id, import, args)) if id == caller.ticket => {
                let pending = Pending { import: Some(import.clone()), answer: None };
                match inner.queue.suspend(id, responder, pending) {
                    Some((scope, wake)) => {
                        // Another process answers: the driver waits for that.
                        let waiting = responder != Some(caller.process);
                        let progress = Progress::Import(Request { scope, import, args });
                        return self.leave(inner, caller, waiting, wake, progress, finished);
                    }
                    None => finished(Error::Cancelled),
                }
            }
            Some(Outcome::Long(id, bytes)) if id == caller.ticket => {
                inner.work = Work::Due(id);
                inner.queue.polling = true;
                return self.leave(inner, caller, true, Vec::new(), Progress::Long(bytes), finished);
            }
            _ => return self.leave(inner, caller, false, Vec::new(), Progress::Yielded, finished),
        };
        Step { progress, notifications: inner.notify(notifications) }
    }

    /// Leaves an operation that goes on in a later step, with an owner to monitor and to wake. `refused`: it was stopped or
    /// cancelled since the step that it took, and nobody is woken for it.
    fn leave<'a, F: Fn() -> O, Q>(
        &'a self,
        mut inner: MutexGuard<'a, Inner<O, P>>,
        caller: &Caller<'_, P, F>,
        waiting: bool,
        wake: Vec<O>,
        progress: Q,
        refused: impl FnOnce(Error) -> Q,
    ) -> Step<O, Q> {
        let mut notifications = Notifications { wake, released: Vec::new() };
        let mut owner = None;
        loop {
            let progress = match inner.queue.own(caller.ticket, waiting, owner.take()) {
                Ownership::Known => progress,
                Ownership::Unknown => {
                    drop(inner);
                    owner = Some((caller.owner)());
                    inner = self.inner.lock();
                    continue;
                }
                Ownership::Ended(owner) => {
                    notifications.released.extend(owner);
                    refused(if inner.is_alive() { Error::Cancelled } else { Error::Stopped })
                }
            };
            return Step { progress, notifications: inner.notify(notifications) };
        }
    }

    /// Polls the task once, with nothing locked meanwhile.
    fn poll<'a>(
        &'a self,
        mut inner: MutexGuard<'a, Inner<O, P>>,
        slice: Slice,
    ) -> (MutexGuard<'a, Inner<O, P>>, Option<Outcome>) {
        let mut task = match std::mem::replace(&mut inner.task, Task::Polling) {
            Task::Ready(task) => task,
            other => {
                inner.task = other;
                return (inner, None);
            }
        };
        inner.queue.polling = true;
        drop(inner);

        self.port.pace.on_scheduler.store(slice == Slice::Short, Ordering::Relaxed);
        self.port.pace.in_background.store(slice == Slice::Background, Ordering::Relaxed);
        let running = Running::start();
        let mut context = Context::from_waker(Waker::noop());
        let alive = catch_unwind(AssertUnwindSafe(|| task.as_mut().poll(&mut context).is_pending()));
        drop(running);
        let outcome = self.port.outcome();

        let mut inner = self.inner.lock();
        inner.queue.polling = false;
        match alive {
            Ok(true) if matches!(inner.task, Task::Polling) => inner.task = Task::Ready(task),
            // Stopped meanwhile.
            Ok(true) => reaper::dispose(task),
            Ok(false) | Err(_) => {
                log::error!("the task of an instance broke down; the instance is stopped");
                inner.task = Task::Gone;
                reaper::dispose(task);
            }
        }
        (inner, outcome)
    }
}

impl<O, P> Drop for Instance<O, P> {
    fn drop(&mut self) {
        self.port.close();
        if let Task::Ready(task) = std::mem::replace(&mut self.inner.get_mut().task, Task::Gone) {
            reaper::dispose(task);
        }
    }
}
