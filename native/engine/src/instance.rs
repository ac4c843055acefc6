//! The face of an instance: who may do what with it, and when.
//!
//! Every operation names a ticket. An operation that cannot have its turn at once answers [`Progress::Waiting`]; its
//! owner is later in the news as one to wake, and then repeats the operation with the same ticket. Owners are whatever
//! the embedder wants them to be; this file only keeps them.

use crate::emscripten::Initialize;
use crate::error::{Error, ImportFailure};
use crate::image::Image;
use crate::import::{Answer, ImportInfo, Reply};
use crate::limits::Bounds;
use crate::reaper;
use crate::state::{Contents, Snapshots, View};
use crate::task::{self, Call, Command, LongAccessing, Outcome, Port, Starting, Target, TaskFuture};
use crate::ticker::Running;
use crate::turns::{Entry, News, Scope, Status, TicketId, Turns};
use crate::value::{Arg, Value};
use parking_lot::{Mutex, MutexGuard};
use std::any::Any;
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
    /// On a thread for long work, see [`background`](crate::background).
    Background,
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
    /// What comes next handles about so many bytes and takes long: [`work`](Instance::work) is to be called on a background
    /// thread. It wakes the owner, who then repeats the operation.
    Long(u64),
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
    /// What the instance may have, from then on.
    pub bounds: Bounds,
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

/// Long work of the call in progress.
#[derive(Default)]
enum Work {
    #[default]
    None,
    /// It waits for its background thread: nobody else polls meanwhile.
    Due(TicketId),
    /// It came to this, which its owner has yet to be told.
    Done(TicketId, Option<Outcome>),
}

struct Inner<O, R> {
    turns: Turns<O, Pending<R>>,
    task: Task,
    /// Who is told when the instance is stopped.
    watchers: Vec<O>,
    work: Work,
    /// Where an operation that ended on another thread has left its result.
    result: Option<(TicketId, Box<dyn Any + Send>)>,
}

impl<O: Clone, R> Inner<O, R> {
    /// Adds whoever should hear of what has just happened.
    fn tell(&mut self, mut news: News<O>) -> News<O> {
        self.forget_cancelled();
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

    /// Work that was cancelled keeps nobody waiting until its thread comes to it, and its result no memory.
    fn forget_cancelled(&mut self) {
        match self.work {
            Work::Due(ticket) if !self.turns.has_active(ticket) => {
                self.work = Work::None;
                self.turns.polling = false;
            }
            Work::Done(ticket, _) if !self.turns.has_active(ticket) => self.work = Work::None,
            _ => {}
        }
        if let Some((ticket, _)) = self.result
            && !self.turns.has_active(ticket)
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
        let (turns, task) = (Turns::new(), Task::Ready(task));
        let inner = Inner { turns, task, watchers: Vec::new(), work: Work::None, result: None };
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
        self.port.bound(request.bounds);
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
        self.port.bound(request.bounds);
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
        port.bound(self.port.bounds());
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
        if inner.turns.has_active(ticket) {
            return self.go_on(inner, ticket, thread, responder);
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
            return self.advance(inner, ticket, thread, responder);
        }
        self.go_on(inner, ticket, thread, responder)
    }

    /// Goes on with the call in progress, unless somebody else does.
    fn go_on(
        &self,
        mut inner: MutexGuard<'_, Inner<O, R>>,
        ticket: TicketId,
        thread: Thread,
        responder: Option<R>,
    ) -> Step<O> {
        if inner.turns.may_resume(ticket) {
            return self.advance(inner, ticket, thread, responder);
        }
        let progress = if inner.turns.has_active(ticket) {
            inner.turns.await_turn(ticket);
            Progress::Waiting
        } else {
            Progress::Finished(Err(Error::Cancelled))
        };
        Step { progress, news: inner.tell(News::default()) }
    }

    /// Does long work of a call in progress on this thread. Whoever is to be woken stands in the news.
    pub fn work(&self, ticket: TicketId) -> News<O> {
        let mut inner = self.inner.lock();
        if !matches!(inner.work, Work::Due(due) if due == ticket) || !inner.turns.has_active(ticket) {
            return inner.tell(News::default());
        }
        inner.work = Work::None;
        let (mut inner, outcome) = self.poll(inner, Thread::Background);
        if inner.turns.has_active(ticket) {
            inner.work = Work::Done(ticket, outcome);
        }
        inner.tell(News::default())
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

    /// Runs `access` on the linear memory, where that may take long as it handles about so many bytes. It should end once
    /// the flag is up that it is given.
    pub fn access_long<T: Send + 'static>(
        &self,
        scope: Option<&Scope>,
        ticket: TicketId,
        owner: impl FnOnce() -> O,
        bytes: u64,
        access: impl FnOnce(&mut Contents<'_, '_>, &AtomicBool) -> Result<T, Error> + Send + 'static,
    ) -> Step<O, Access<T>> {
        self.long(scope, ticket, owner, |slot, cancelled| {
            let access = Box::new(move |contents: &mut Contents<'_, '_>, cancelled: &AtomicBool| {
                *slot.lock() = Some(access(contents, cancelled)?);
                Ok(())
            });
            Command::LongAccess(LongAccessing { ticket, cancelled, bytes }, access)
        })
    }

    /// Runs `look` on all of the state. Refused while a call is in progress, and where a part of it means nothing outside.
    pub fn view<T: Send + 'static>(
        &self,
        scope: Option<&Scope>,
        ticket: TicketId,
        owner: impl FnOnce() -> O,
        look: impl FnOnce(&View<'_>) -> Result<T, Error> + Send + 'static,
    ) -> Step<O, Access<T>> {
        self.long(scope, ticket, owner, |slot, cancelled| {
            let look = Box::new(move |view: &View<'_>| {
                *slot.lock() = Some(look(view)?);
                Ok(())
            });
            Command::View(Starting { ticket, cancelled, request: StartRequest::nothing() }, look)
        })
    }

    /// Sends a command that may take long, or goes on with the one that the ticket has sent, and leaves its result in a slot.
    fn long<T: Send + 'static>(
        &self,
        scope: Option<&Scope>,
        ticket: TicketId,
        owner: impl FnOnce() -> O,
        command: impl FnOnce(Arc<Mutex<Option<T>>>, Arc<AtomicBool>) -> Command,
    ) -> Step<O, Access<T>> {
        let slot = match &self.inner.lock().result {
            Some((id, slot)) if *id == ticket => slot.downcast_ref::<Arc<Mutex<Option<T>>>>().cloned(),
            _ => None,
        };
        let slot = slot.unwrap_or_default();
        let Step { progress, news } =
            self.command(scope, ticket, Thread::Worker, None, owner, |_, cancelled| command(slot.clone(), cancelled));
        let progress = match progress {
            Progress::Finished(Ok(_)) => slot.lock().take().map_or(Access::Refused(Error::Stopped), Access::Done),
            Progress::Finished(Err(error)) => Access::Refused(error),
            Progress::Waiting => Access::Waiting,
            Progress::Yielded | Progress::Import(_) => Access::Yielded,
            Progress::Long(bytes) => Access::Long(bytes),
        };
        if matches!(progress, Access::Yielded | Access::Long(_)) {
            self.inner.lock().result = Some((ticket, Box::new(slot)));
        }
        Step { progress, news }
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

    /// Ends an operation whose owner has waited for long enough.
    pub fn give_up(&self, ticket: TicketId) -> (News<O>, GivenUp) {
        let mut inner = self.inner.lock();
        if matches!(inner.work, Work::Done(done, _) if done == ticket) && inner.turns.has_active(ticket) {
            return (News::default(), GivenUp::TooLate);
        }
        drop(inner);
        let (news, waiting) = self.cancel(ticket);
        (news, if waiting { GivenUp::Unwoken } else { GivenUp::Woken })
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
        mut inner: MutexGuard<'_, Inner<O, R>>,
        ticket: TicketId,
        thread: Thread,
        responder: Option<R>,
    ) -> Step<O> {
        let (mut inner, outcome) = match inner.take_done(ticket) {
            Some(outcome) => (inner, outcome),
            None if thread == Thread::Scheduler && self.port.pace.large.load(Ordering::Relaxed) => {
                return Step::quiet(Progress::Yielded);
            }
            None => self.poll(inner, thread),
        };
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
            Some(Outcome::Long(id, bytes)) if id == ticket => {
                inner.work = Work::Due(id);
                inner.turns.polling = true;
                Progress::Long(bytes)
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
        self.port.pace.in_background.store(thread == Thread::Background, Ordering::Relaxed);
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
    /// This is what the closure gave.
    Done(R),
    /// It is somebody else's turn: the owner will be woken.
    Waiting,
    /// The slice is over: ask again.
    Yielded,
    /// What comes next handles about so many bytes and takes long, see [`Progress::Long`].
    Long(u64),
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
