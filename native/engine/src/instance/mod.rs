//! Instances: the public handle, which schedules operations and polls the task.
//!
//! Every operation names a ticket. An operation that cannot have its turn at once answers [`Progress::Waiting`]; its owner is
//! woken later, and then repeats the operation with the same ticket. Owners are whatever the embedder wants them to be; this
//! module only keeps them, and makes and drops none of them with the instance locked.

mod request;
mod step;

pub use request::{CallRequest, Caller, FuncName, Response, Slice, StartRequest};
pub use step::{Access, GivenUp, Progress, Request, Step};

use crate::error::{Error, ImportFailure};
use crate::image::Image;
use crate::import::{Answer, ImportInfo, Reply};
use crate::queue::{Entry, Notifications, Ownership, Queue, Resume, Scope, Status, TicketId};
use crate::reaper;
use crate::state::{Contents, Snapshots, View};
use crate::task::{self, Call, Command, LongAccessing, Outcome, Port, Starting, Target, TaskFuture};
use crate::ticker::Running;
use parking_lot::{Mutex, MutexGuard};
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Waker};

/// What is kept with a pending import.
struct Pending {
    /// What the guest has called; none where the instance is only held.
    import: Option<Arc<ImportInfo>>,
    answer: Option<Answer>,
}

enum Task {
    Ready(TaskFuture),
    Polling,
    Gone,
}

/// Long work of the running call.
#[derive(Default)]
enum Work {
    #[default]
    None,
    /// It waits for its background thread: no other thread polls meanwhile.
    Due(TicketId),
    /// It has come to this, which its owner has yet to be told.
    Done(TicketId, Option<Outcome>),
}

struct Inner<O, P> {
    queue: Queue<O, P, Pending>,
    task: Task,
    /// Who is told when the instance is stopped.
    watchers: Vec<O>,
    work: Work,
    /// Where an operation that ends on another thread leaves its result.
    result: Option<(TicketId, Box<dyn Any + Send>)>,
}

impl<O: Clone, P: Copy + PartialEq> Inner<O, P> {
    /// Adds whoever is to be notified now.
    fn notify(&mut self, mut notifications: Notifications<O>) -> Notifications<O> {
        self.forget_cancelled();
        match self.task {
            Task::Gone => {
                let last = self.clear();
                notifications.wake.extend(last.wake);
                notifications.released.extend(last.released);
            }
            _ => notifications.wake.extend(self.queue.wake()),
        }
        notifications
    }

    /// The instance is stopped: everybody is notified.
    fn clear(&mut self) -> Notifications<O> {
        let mut notifications = self.queue.clear();
        notifications.wake.extend(self.watchers.iter().cloned());
        notifications.released.append(&mut self.watchers);
        notifications
    }

    fn is_alive(&self) -> bool {
        !matches!(self.task, Task::Gone)
    }

    /// Work that was cancelled keeps nobody waiting until its thread comes to it, and its result no memory.
    fn forget_cancelled(&mut self) {
        match self.work {
            Work::Due(ticket) if !self.queue.is_running(ticket) => {
                self.work = Work::None;
                self.queue.polling = false;
            }
            Work::Done(ticket, _) if !self.queue.is_running(ticket) => self.work = Work::None,
            _ => {}
        }
        if let Some((ticket, _)) = self.result
            && !self.queue.is_running(ticket)
        {
            reaper::dispose(self.result.take());
        }
    }

    /// What long work of the ticket has come to.
    fn take_done(&mut self, ticket: TicketId) -> Option<Option<Outcome>> {
        match std::mem::take(&mut self.work) {
            Work::Done(done, outcome) if done == ticket => Some(outcome),
            other => {
                self.work = other;
                None
            }
        }
    }
}

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
    image: Arc<Image>,
    port: Arc<Port>,
    inner: Mutex<Inner<O, P>>,
}

impl<O: Clone, P: Copy + PartialEq> Instance<O, P> {
    /// An instance that has yet to be started with [`start`](Self::start).
    pub fn new(image: Arc<Image>) -> Instance<O, P> {
        let port = Arc::new(Port::new());
        let task: TaskFuture = Box::pin(task::run(image.clone(), port.clone()));
        let (queue, task) = (Queue::new(), Task::Ready(task));
        let inner = Inner { queue, task, watchers: Vec::new(), work: Work::None, result: None };
        Instance { image, port, inner: Mutex::new(inner) }
    }

    /// The image.
    pub fn image(&self) -> &Arc<Image> {
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

    /// Instantiates the image, runs its start function and initializes it. The first operation of every instance.
    pub fn start<F: Fn() -> O>(&self, caller: Caller<'_, P, F>, request: StartRequest, slice: Slice) -> Step<O> {
        self.port.bound(request.bounds);
        let turn = Turn { inner: self.inner.lock(), owner: None };
        self.begin(turn, caller, slice, None, |ticket, cancelled| {
            Command::Start(Starting { ticket, cancelled, request })
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
            FuncName::Export(name) => match self.image.func(name) {
                Some(export) => Target::Export(export.clone()),
                None => return self.refuse(caller.ticket, Error::UnknownFunction(name.to_owned())),
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
            Command::Restore(Starting { ticket, cancelled, request }, snapshots)
        })
    }

    /// Starts `other`, a new instance of the same image, in the state of this one.
    pub fn fork<F: Fn() -> O>(&self, caller: Caller<'_, P, F>, other: &Instance<O, P>, slice: Slice) -> Step<O> {
        let port = other.port.clone();
        port.bound(self.port.bounds());
        self.command(caller, slice, None, |ticket, cancelled| {
            Command::Fork(Starting { ticket, cancelled, request: StartRequest::nothing() }, port)
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
        inner.work = Work::None;
        let (mut inner, outcome) = self.poll(inner, Slice::Background);
        if inner.queue.is_running(ticket) {
            inner.work = Work::Done(ticket, outcome);
        }
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

    /// Runs `access` on the linear memory, which is empty where the image has none.
    pub fn access<T: Send + 'static, F: Fn() -> O>(
        &self,
        caller: Caller<'_, P, F>,
        access: impl FnOnce(&mut [u8]) -> T + Send + 'static,
    ) -> Step<O, Access<T>> {
        self.at_once(caller, |slot| Command::Access(Box::new(move |memory| *slot.lock() = Some(Ok(access(memory))))))
    }

    /// Runs `access` on the linear memory, where that may take long as it handles about so many bytes. It should end once
    /// the flag is up that it is given.
    pub fn access_long<T: Send + 'static, F: Fn() -> O>(
        &self,
        caller: Caller<'_, P, F>,
        bytes: u64,
        access: impl FnOnce(&mut Contents<'_, '_>, &AtomicBool) -> Result<T, Error> + Send + 'static,
    ) -> Step<O, Access<T>> {
        self.long(caller, |ticket, slot, cancelled| {
            let access = Box::new(move |contents: &mut Contents<'_, '_>, cancelled: &AtomicBool| {
                *slot.lock() = Some(access(contents, cancelled)?);
                Ok(())
            });
            Command::LongAccess(LongAccessing { ticket, cancelled, bytes }, access)
        })
    }

    /// Runs `look` on all of the state. Refused while a call is in progress, and where a part of it means nothing outside.
    pub fn view<T: Send + 'static, F: Fn() -> O>(
        &self,
        caller: Caller<'_, P, F>,
        look: impl FnOnce(&View<'_>) -> Result<T, Error> + Send + 'static,
    ) -> Step<O, Access<T>> {
        self.long(caller, |ticket, slot, cancelled| {
            let look = Box::new(move |view: &View<'_>| {
                *slot.lock() = Some(look(view)?);
                Ok(())
            });
            Command::View(Starting { ticket, cancelled, request: StartRequest::nothing() }, look)
        })
    }

    /// Sends a command that may take long, or goes on with the one that the ticket has sent, and leaves its result in a slot.
    fn long<T: Send + 'static, F: Fn() -> O>(
        &self,
        caller: Caller<'_, P, F>,
        command: impl FnOnce(TicketId, Arc<Mutex<Option<T>>>, Arc<AtomicBool>) -> Command,
    ) -> Step<O, Access<T>> {
        let ticket = caller.ticket;
        let slot = match &self.inner.lock().result {
            Some((id, slot)) if *id == ticket => slot.downcast_ref::<Arc<Mutex<Option<T>>>>().cloned(),
            _ => None,
        };
        let slot = slot.unwrap_or_default();
        let Step { progress, notifications } =
            self.command(caller, Slice::Long, None, |ticket, cancelled| command(ticket, slot.clone(), cancelled));
        let progress = match progress {
            Progress::Finished(Ok(_)) => slot.lock().take().map_or(Access::Refused(Error::Stopped), Access::Done),
            Progress::Finished(Err(error)) => Access::Refused(error),
            Progress::Waiting => Access::Waiting,
            Progress::Yielded | Progress::Deferred | Progress::Import(_) => Access::Yielded,
            Progress::Long(bytes) => Access::Long(bytes),
        };
        if matches!(progress, Access::Yielded | Access::Long(_)) {
            self.inner.lock().result = Some((ticket, Box::new(slot)));
        }
        Step { progress, notifications }
    }

    /// Runs `look` on what the guest has written to standard output and to error output since the call in progress, or
    /// else the last one, began.
    pub fn output<T: Send + 'static, F: Fn() -> O>(
        &self,
        caller: Caller<'_, P, F>,
        look: impl FnOnce(&[u8], &[u8]) -> T + Send + 'static,
    ) -> Step<O, Access<T>> {
        self.at_once(caller, |slot| {
            Command::Output(Box::new(move |output, errors| *slot.lock() = Some(Ok(look(output, errors)))))
        })
    }

    /// Sends a command that is done in one poll, on whatever thread, and leaves its result in a slot.
    fn at_once<T: Send + 'static, F: Fn() -> O>(
        &self,
        caller: Caller<'_, P, F>,
        command: impl FnOnce(Arc<Mutex<Option<Result<T, Error>>>>) -> Command,
    ) -> Step<O, Access<T>> {
        let Turn { inner, owner } = match self.enter(&caller) {
            Ok(turn) => turn,
            Err(none) => return none.step(Access::Waiting, Access::Refused),
        };
        let slot = Arc::default();
        self.port.send(command(Arc::clone(&slot)));
        let (mut inner, _) = self.poll(inner, Slice::Long);
        let mut notifications = inner.notify(Notifications::default());
        notifications.released.extend(owner);
        drop(inner);
        let progress = match slot.lock().take() {
            Some(Ok(value)) => Access::Done(value),
            Some(Err(error)) => Access::Refused(error),
            None => Access::Refused(Error::Stopped),
        };
        Step { progress, notifications }
    }

    /// Reserves the instance: until the ticket is cancelled it is used only in the scope that this returns.
    pub fn hold<F: Fn() -> O>(&self, caller: Caller<'_, P, F>) -> Step<O, Access<Scope>> {
        let Turn { mut inner, owner } = match self.enter(&caller) {
            Ok(turn) => turn,
            Err(none) => return none.step(Access::Waiting, Access::Refused),
        };
        inner.queue.begin(caller.ticket, caller.process, owner);
        let held = inner.queue.suspend(caller.ticket, None, Pending { import: None, answer: None });
        match held {
            Some((scope, wake)) => self.leave(inner, &caller, false, wake, Access::Done(scope), Access::Refused),
            None => Step::quiet(Access::Refused(Error::Cancelled)),
        }
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
        if matches!(inner.work, Work::Done(done, _) if done == ticket) && inner.queue.is_running(ticket) {
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
