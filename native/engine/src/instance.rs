//! The face of an instance: who may do what with it, and when.
//!
//! Every operation names a ticket. An operation that cannot have its turn at once answers [`Progress::Waiting`]; its
//! owner is later in the news as one to wake, and then repeats the operation with the same ticket. Owners are whatever
//! the embedder wants them to be; this file only keeps them.

use crate::emscripten::Initialize;
use crate::error::{Error, ImportFailure};
use crate::image::Image;
use crate::import::{Answer, ImportInfo, Reply};
use crate::reaper;
use crate::state::{self, Snapshots, View};
use crate::task::{self, Call, Command, Outcome, Port, Starting, Target, TaskFuture};
use crate::ticker::Running;
use crate::turns::{Entry, News, Scope, Status, TicketId, Turns};
use crate::value::{Arg, Value};
use parking_lot::{Mutex, MutexGuard};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Waker};

/// Where the polling thread stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Thread {
    /// On a thread that must not be held up: large instances yield instead of running there.
    Scheduler,
    /// On a thread that may run a whole slice.
    Worker,
}

/// How far an operation has come.
#[derive(Debug)]
pub enum Progress {
    /// It is over.
    Finished(Result<Vec<Value>, Error>),
    /// The guest waits for an answer to this import.
    Import(Request),
    /// The slice is over: poll again.
    Yielded,
    /// It is somebody else's turn: the owner will be woken.
    Waiting,
}

/// An import on its way to whoever answers it.
#[derive(Debug)]
pub struct Request {
    /// Names the import when it is answered, and is the scope in which the instance may be used meanwhile.
    pub scope: Scope,
    /// What is called.
    pub import: Arc<ImportInfo>,
    /// With what.
    pub args: Vec<Value>,
}

/// What an operation gives: its own progress, and news for owners.
#[derive(Debug)]
pub struct Step<O, P = Progress> {
    /// How far the operation has come.
    pub progress: P,
    /// Whom else to tell.
    pub news: News<O>,
}

impl<O, P> Step<O, P> {
    fn quiet(progress: P) -> Step<O, P> {
        Step { progress, news: News::default() }
    }
}

/// What to call, and how.
pub struct CallRequest<'a> {
    /// Export or table entry.
    pub func: FuncName<'a>,
    /// Arguments, unchecked.
    pub args: Vec<Arg>,
    /// Fuel that the call may use; `None` is no limit.
    pub fuel: Option<u64>,
    /// What the guest's clock shows all the while, in milliseconds since 1970. `None` is that of the call it is nested in,
    /// or else 0.
    pub time: Option<u64>,
    /// Modules whose imports go to the responder though the host could serve them.
    pub asked_first: Vec<&'a str>,
}

/// How to start an instance.
#[derive(Clone, Copy, Debug, Default)]
pub struct StartRequest {
    /// Fuel that the start function and what is initialized may use; `None` is no limit.
    pub fuel: Option<u64>,
    /// What of a program runs.
    pub initialize: Initialize,
    /// What its clock shows meanwhile, in milliseconds since 1970. The start function of the module has no clock.
    pub time: u64,
}

impl StartRequest {
    /// A start in which nothing of a program runs.
    pub(crate) fn nothing() -> StartRequest {
        StartRequest { initialize: Initialize::Nothing, ..StartRequest::default() }
    }
}

/// What becomes of an import.
#[derive(Debug)]
pub enum Response<'a> {
    /// The guest is given these, if they fit.
    Results(&'a [Arg]),
    /// It is served by the engine's own host, as if nobody had been asked.
    LeaveToHost,
    /// It ends the innermost call.
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

/// One pending import, as long as its scope is open.
struct Pending<R> {
    /// What the guest has called; none where the instance is only held.
    import: Option<Arc<ImportInfo>>,
    answer: Option<Answer>,
    responder: Option<R>,
}

enum Task {
    Ready(TaskFuture),
    Polling,
    Gone,
}

struct Inner<O, R> {
    turns: Turns<O, Pending<R>>,
    task: Task,
    /// Who is told when the instance is stopped.
    watchers: Vec<O>,
}

impl<O: Clone, R> Inner<O, R> {
    /// Adds whoever should hear of what has just happened.
    fn tell(&mut self, mut news: News<O>) -> News<O> {
        match self.task {
            Task::Gone => {
                let last = self.clear();
                news.wake.extend(last.wake);
                news.spent.extend(last.spent);
            }
            _ => news.wake.extend(self.turns.wake()),
        }
        news
    }

    /// Everybody is told that the instance is stopped.
    fn clear(&mut self) -> News<O> {
        let mut news = self.turns.clear();
        news.wake.extend(self.watchers.iter().cloned());
        news.spent.append(&mut self.watchers);
        news
    }

    fn running(&self) -> bool {
        !matches!(self.task, Task::Gone)
    }
}

/// A running or runnable copy of an image.
///
/// `O` is an owner of operations, `R` one who answers imports.
pub struct Instance<O, R> {
    image: Arc<Image>,
    port: Arc<Port>,
    inner: Mutex<Inner<O, R>>,
}

impl<O: Clone, R: PartialEq> Instance<O, R> {
    /// An instance that has yet to be started with [`start`](Self::start).
    pub fn new(image: Arc<Image>) -> Instance<O, R> {
        let port = Arc::new(Port::new());
        let task: TaskFuture = Box::pin(task::run(image.clone(), port.clone()));
        let inner = Inner { turns: Turns::new(), task: Task::Ready(task), watchers: Vec::new() };
        Instance { image, port, inner: Mutex::new(inner) }
    }

    /// The image.
    pub fn image(&self) -> &Arc<Image> {
        &self.image
    }

    /// What the instance is doing.
    pub fn status(&self) -> Status {
        let inner = self.inner.lock();
        if inner.running() { inner.turns.status() } else { Status::Stopped }
    }

    /// Size of the linear memory when the guest last stopped, in bytes.
    pub fn memory_bytes(&self) -> u64 {
        self.port.memory_bytes.load(Ordering::Relaxed)
    }

    /// Instantiates the image, runs its start function and initializes it. The first operation of every instance.
    pub fn start(&self, ticket: TicketId, request: StartRequest, thread: Thread) -> Step<O> {
        let mut inner = self.inner.lock();
        let cancelled = inner.turns.begin(ticket, None);
        self.port.send(Command::Start(Starting { ticket, cancelled, request }));
        self.advance(inner, ticket, thread, None)
    }

    /// Calls a function, as far as it gets in one slice. Without a responder, imports are answered with zeros.
    pub fn call(
        &self,
        scope: Option<&Scope>,
        ticket: TicketId,
        request: CallRequest<'_>,
        thread: Thread,
        responder: Option<R>,
        owner: impl FnOnce() -> O,
    ) -> Step<O> {
        let target = match request.func {
            FuncName::Entry(index) => Target::Entry(index),
            FuncName::Export(name) => match self.image.func(name) {
                Some(export) => Target::Export(export.clone()),
                None => return self.refuse(ticket, Error::UnknownFunction(name.to_owned())),
            },
        };
        let (CallRequest { args, fuel, time, asked_first, .. }, stub) = (request, responder.is_none());
        // Few of the named modules, if any, have imports that the host could serve.
        let is_named = |module: &&Arc<str>| asked_first.contains(&&***module);
        let asked_first = self.image.native_modules().iter().filter(is_named).cloned().collect();
        self.command(scope, ticket, thread, responder, owner, |ticket, cancelled| {
            Command::Call(Call { ticket, cancelled, target, args, fuel, time, asked_first, stub })
        })
    }

    /// Grows the linear memory to at least `bytes`.
    pub fn grow(
        &self,
        scope: Option<&Scope>,
        ticket: TicketId,
        bytes: u64,
        thread: Thread,
        owner: impl FnOnce() -> O,
    ) -> Step<O> {
        self.command(scope, ticket, thread, None, owner, |ticket, _| Command::Grow(bytes, ticket))
    }

    /// Finds out what a fresh instance of the image is like, which [`view`](Self::view) has to know.
    pub fn survey(&self, scope: Option<&Scope>, ticket: TicketId, owner: impl FnOnce() -> O) -> Step<O> {
        self.command(scope, ticket, Thread::Worker, None, owner, |ticket, cancelled| {
            Command::Survey(Starting { ticket, cancelled, request: StartRequest::nothing() })
        })
    }

    /// Starts the instance afresh, in the state that snapshots hold. Until that is done it is as it was. Only where they are
    /// no more than raw memory anything of a program runs, and has a clock.
    pub fn restore(
        &self,
        scope: Option<&Scope>,
        ticket: TicketId,
        snapshots: Snapshots,
        request: StartRequest,
        owner: impl FnOnce() -> O,
    ) -> Step<O> {
        self.command(scope, ticket, Thread::Worker, None, owner, |ticket, cancelled| {
            Command::Restore(Starting { ticket, cancelled, request }, snapshots)
        })
    }

    /// Starts `other`, a new instance of the same image, in the state of this one.
    pub fn fork(
        &self,
        scope: Option<&Scope>,
        ticket: TicketId,
        other: &Instance<O, R>,
        owner: impl FnOnce() -> O,
    ) -> Step<O> {
        let port = other.port.clone();
        self.command(scope, ticket, Thread::Worker, None, owner, |ticket, cancelled| {
            Command::Fork(Starting { ticket, cancelled, request: StartRequest::nothing() }, port)
        })
    }

    fn command(
        &self,
        scope: Option<&Scope>,
        ticket: TicketId,
        thread: Thread,
        responder: Option<R>,
        owner: impl FnOnce() -> O,
        command: impl FnOnce(TicketId, Arc<AtomicBool>) -> Command,
    ) -> Step<O> {
        let mut inner = self.inner.lock();
        if !inner.running() {
            return Step::quiet(Progress::Finished(Err(Error::Stopped)));
        }
        let owner = match inner.turns.enter(scope, ticket, owner) {
            Entry::Now(owner) => owner,
            Entry::InLine => return Step::quiet(Progress::Waiting),
            Entry::Cancelled => return Step::quiet(Progress::Finished(Err(Error::Cancelled))),
        };
        let cancelled = inner.turns.begin(ticket, owner);
        self.port.send(command(ticket, cancelled));
        self.advance(inner, ticket, thread, responder)
    }

    /// An operation that ends before it has begun; its ticket may stand in line already.
    fn refuse(&self, ticket: TicketId, error: Error) -> Step<O> {
        let (news, _) = self.cancel(ticket);
        let error = if self.status() == Status::Stopped { Error::Stopped } else { error };
        Step { progress: Progress::Finished(Err(error)), news }
    }

    /// Gives a call its next slice.
    pub fn resume(&self, ticket: TicketId, thread: Thread, responder: Option<R>) -> Step<O> {
        let mut inner = self.inner.lock();
        if !inner.running() {
            return Step::quiet(Progress::Finished(Err(Error::Stopped)));
        }
        if let Some(pending) = inner.turns.take_answered(ticket) {
            // An import is marked as answered and given its answer in one step.
            let answer = pending.answer.unwrap_or_else(|| Err(ImportFailure::Refused(Arc::from([]))));
            self.port.send(Command::Answer(answer));
        } else if !inner.turns.may_resume(ticket) {
            let progress = if inner.turns.has_active(ticket) {
                inner.turns.await_turn(ticket);
                Progress::Waiting
            } else {
                Progress::Finished(Err(Error::Cancelled))
            };
            return Step { progress, news: inner.tell(News::default()) };
        }
        self.advance(inner, ticket, thread, responder)
    }

    /// Answers an import. Its call goes on when its owner resumes it; the owner is given to wake if it waits for that.
    ///
    /// # Errors
    /// [`Error::NoPendingImport`] where there is nothing to answer any more; [`Error::NotNative`] where an import is left
    /// to the host that this does not serve: it still waits for an answer.
    pub fn respond(&self, scope: &Scope, response: Response<'_>) -> Result<News<O>, Error> {
        let mut inner = self.inner.lock();
        let pending = inner.turns.pending(scope).ok_or(Error::NoPendingImport)?;
        let import = pending.import.clone().ok_or(Error::NoPendingImport)?;
        pending.answer = Some(match response {
            Response::Results(results) => import.answer(results),
            Response::Failed(failure) => Err(failure),
            Response::LeaveToHost if import.is_native => Ok(Reply::LeftToHost),
            Response::LeaveToHost => return Err(Error::NotNative),
        });
        inner.turns.answered(scope);
        Ok(inner.tell(News::default()))
    }

    /// Runs `access` on the linear memory, which is empty where the image has none.
    pub fn access<T: Send + 'static>(
        &self,
        scope: Option<&Scope>,
        ticket: TicketId,
        owner: impl FnOnce() -> O,
        access: impl FnOnce(&mut [u8]) -> T + Send + 'static,
    ) -> Step<O, Access<T>> {
        self.at_once(scope, ticket, owner, |slot| {
            Command::Access(Box::new(move |memory| *slot.lock() = Some(Ok(access(memory)))))
        })
    }

    /// Whether [`view`](Self::view) can be had without a [`survey`](Self::survey).
    pub fn is_surveyed(&self) -> bool {
        self.image.fresh().is_some()
    }

    /// Runs `look` on all of the state. Refused while a call is in progress, and where a part of it means nothing outside.
    pub fn view<T: Send + 'static>(
        &self,
        scope: Option<&Scope>,
        ticket: TicketId,
        owner: impl FnOnce() -> O,
        look: impl FnOnce(&View<'_>) -> T + Send + 'static,
    ) -> Step<O, Access<T>> {
        self.at_once(scope, ticket, owner, |slot| {
            Command::Inspect(Box::new(move |store| {
                *slot.lock() = Some(store.and_then(|store| state::view(store, look)));
            }))
        })
    }

    /// Lets `look` see what the guest has written to standard output and to error output since the call in progress, or
    /// else the last one, began.
    pub fn output<T: Send + 'static>(
        &self,
        scope: Option<&Scope>,
        ticket: TicketId,
        owner: impl FnOnce() -> O,
        look: impl FnOnce(&[u8], &[u8]) -> T + Send + 'static,
    ) -> Step<O, Access<T>> {
        self.at_once(scope, ticket, owner, |slot| {
            Command::Output(Box::new(move |output, errors| *slot.lock() = Some(Ok(look(output, errors)))))
        })
    }

    /// Sends a command that is done in one poll and leaves its result in a slot.
    fn at_once<T: Send + 'static>(
        &self,
        scope: Option<&Scope>,
        ticket: TicketId,
        owner: impl FnOnce() -> O,
        command: impl FnOnce(Arc<Mutex<Option<Result<T, Error>>>>) -> Command,
    ) -> Step<O, Access<T>> {
        let mut inner = self.inner.lock();
        if !inner.running() {
            return Step::quiet(Access::Refused(Error::Stopped));
        }
        let owner = match inner.turns.enter(scope, ticket, owner) {
            Entry::Now(owner) => owner,
            Entry::InLine => return Step::quiet(Access::Waiting),
            Entry::Cancelled => return Step::quiet(Access::Refused(Error::Cancelled)),
        };
        let slot = Arc::default();
        self.port.send(command(Arc::clone(&slot)));
        let (mut inner, _) = self.poll(inner, Thread::Worker);
        let mut news = inner.tell(News::default());
        news.spent.extend(owner);
        drop(inner);
        let progress = match slot.lock().take() {
            Some(Ok(value)) => Access::Done(value),
            Some(Err(error)) => Access::Refused(error),
            None => Access::Refused(Error::Stopped),
        };
        Step { progress, news }
    }

    /// Reserves the instance: until the ticket is cancelled it moves only in the scope that this gives.
    pub fn hold(&self, scope: Option<&Scope>, ticket: TicketId, owner: impl Fn() -> O) -> Step<O, Access<Scope>> {
        let mut inner = self.inner.lock();
        if !inner.running() {
            return Step::quiet(Access::Refused(Error::Stopped));
        }
        let known = match inner.turns.enter(scope, ticket, &owner) {
            Entry::Now(known) => known,
            Entry::InLine => return Step::quiet(Access::Waiting),
            Entry::Cancelled => return Step::quiet(Access::Refused(Error::Cancelled)),
        };
        inner.turns.begin(ticket, known);
        inner.turns.own(ticket, false, owner);
        let held = inner.turns.suspend(ticket, Pending { import: None, answer: None, responder: None });
        Step::quiet(held.map_or(Access::Refused(Error::Cancelled), Access::Done))
    }

    /// Says who drives the call of a ticket, and whether the driver waits to be woken when its import is answered.
    ///
    /// # Errors
    /// [`Error::Stopped`] or [`Error::Cancelled`] where the call has come to that since the step that it took: then nobody
    /// is woken for it.
    pub fn own(&self, ticket: TicketId, waiting: bool, owner: impl FnOnce() -> O) -> Result<News<O>, Error> {
        let mut inner = self.inner.lock();
        if !inner.running() {
            return Err(Error::Stopped);
        }
        if inner.turns.own(ticket, waiting, owner) { Ok(inner.tell(News::default())) } else { Err(Error::Cancelled) }
    }

    /// The innermost pending import, if it is the business of `responder` to answer it.
    ///
    /// Whoever owes an answer and uses the plain instance meanwhile would wait for itself; this is the scope it meant.
    pub fn scope_of(&self, responder: &R) -> Option<Scope> {
        self.inner.lock().turns.innermost(|pending| pending.responder.as_ref() == Some(responder))
    }

    /// Ends an operation, wherever it stands.
    ///
    /// `true`: its owner was waiting and is not woken any more. `false`, to an owner that was waiting: it has been woken,
    /// or whoever is about to wake it has been told.
    pub fn cancel(&self, ticket: TicketId) -> (News<O>, bool) {
        let mut inner = self.inner.lock();
        let waiting = inner.turns.is_waiting(ticket);
        let news = inner.turns.cancel(|id, _| id == ticket);
        (inner.tell(news), waiting)
    }

    /// Ends the operations of an owner.
    pub fn cancel_owned(&self, wanted: impl Fn(&O) -> bool) -> News<O> {
        let mut inner = self.inner.lock();
        let mut news = inner.turns.cancel(|_, owner| owner.is_some_and(&wanted));
        news.spent.extend(inner.watchers.extract_if(.., |owner| wanted(owner)));
        inner.tell(news)
    }

    /// Ends the instance and everything in it. Stopping twice does no harm.
    pub fn stop(&self) -> News<O> {
        self.port.close();
        let mut inner = self.inner.lock();
        if let Task::Ready(task) = std::mem::replace(&mut inner.task, Task::Gone) {
            reaper::dispose(task);
        }
        inner.clear()
    }

    /// Has an owner told when the instance is stopped: it is in the news then, as one to wake.
    ///
    /// # Errors
    /// [`Error::Stopped`]
    pub fn watch(&self, owner: O) -> Result<(), Error> {
        let mut inner = self.inner.lock();
        if !inner.running() {
            return Err(Error::Stopped);
        }
        inner.watchers.push(owner);
        Ok(())
    }

    /// Polls on behalf of a call and says how far it came.
    fn advance(
        &self,
        inner: MutexGuard<'_, Inner<O, R>>,
        ticket: TicketId,
        thread: Thread,
        responder: Option<R>,
    ) -> Step<O> {
        if thread == Thread::Scheduler && self.port.pace.large.load(Ordering::Relaxed) {
            return Step::quiet(Progress::Yielded);
        }
        let (mut inner, outcome) = self.poll(inner, thread);
        let mut news = News::default();
        let progress = match outcome {
            _ if !inner.running() => Progress::Finished(Err(Error::Stopped)),
            // The outcome of a call that was cancelled while it ran is nobody's business any more.
            _ if !inner.turns.has_active(ticket) => Progress::Finished(Err(Error::Cancelled)),
            Some(Outcome::Finished(id, result)) if id == ticket => {
                news = inner.turns.finish(id).unwrap_or_default();
                Progress::Finished(result)
            }
            Some(Outcome::Import(id, import, args)) if id == ticket => {
                let pending = Pending { import: Some(import.clone()), answer: None, responder };
                match inner.turns.suspend(id, pending) {
                    Some(scope) => Progress::Import(Request { scope, import, args }),
                    None => Progress::Finished(Err(Error::Cancelled)),
                }
            }
            _ => Progress::Yielded,
        };
        Step { progress, news: inner.tell(news) }
    }

    /// Polls the task once, with nothing locked meanwhile.
    fn poll<'a>(
        &'a self,
        mut inner: MutexGuard<'a, Inner<O, R>>,
        thread: Thread,
    ) -> (MutexGuard<'a, Inner<O, R>>, Option<Outcome>) {
        let mut task = match std::mem::replace(&mut inner.task, Task::Polling) {
            Task::Ready(task) => task,
            other => {
                inner.task = other;
                return (inner, None);
            }
        };
        inner.turns.polling = true;
        drop(inner);

        self.port.pace.on_scheduler.store(thread == Thread::Scheduler, Ordering::Relaxed);
        let running = Running::start();
        let mut context = Context::from_waker(Waker::noop());
        let alive = catch_unwind(AssertUnwindSafe(|| task.as_mut().poll(&mut context).is_pending()));
        drop(running);
        let outcome = self.port.outcome();

        let mut inner = self.inner.lock();
        inner.turns.polling = false;
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

/// How an access has come out.
#[derive(Debug, PartialEq)]
pub enum Access<R> {
    /// This is what the closure gave.
    Done(R),
    /// It is somebody else's turn: the owner will be woken.
    Waiting,
    /// The instance has been stopped, or the scope cancelled, or what was asked for cannot be had.
    Refused(Error),
}

impl<O, R> Drop for Instance<O, R> {
    fn drop(&mut self) {
        self.port.close();
        if let Task::Ready(task) = std::mem::replace(&mut self.inner.get_mut().task, Task::Gone) {
            reaper::dispose(task);
        }
    }
}
