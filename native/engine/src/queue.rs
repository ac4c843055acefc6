//! The queue of an instance: whose turn it is.
//!
//! An instance runs one operation at a time. Every operation has a ticket, which waits for its turn at a level: the root
//! level belongs to the plain instance, and every pending import opens another level, for the holders of its scope. Only the
//! uppermost level moves. At a level, the running call comes first, then the waiting tickets, then the answer of the import,
//! so that no operation requested within the scope of an import is lost when the answer comes.
//!
//! This file knows no wasm and no BEAM. `P` identifies a process, `O` is what a waiting process is woken through.

use std::collections::VecDeque;
use std::mem;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};

/// Names one operation on one instance.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct TicketId(pub u64);

impl TicketId {
    /// A ticket that nobody has.
    pub fn fresh() -> TicketId {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        TicketId(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

/// One pending import of one instance, and the scope in which the instance may be used until it is answered.
#[derive(Clone, Debug, Default)]
pub struct Scope(Arc<AtomicU8>);

/// How a scope ended. Whether it still is open only the queue knows.
const OPEN: u8 = 0;
const ANSWERED: u8 = 1;
const CANCELLED: u8 = 2;

impl Scope {
    fn end(&self, end: u8) {
        // The first end counts: the scope of an answered import does not end once more with its call.
        let _ = self.0.compare_exchange(OPEN, end, Ordering::AcqRel, Ordering::Acquire);
    }

    /// The import was not answered but abandoned, with its call.
    fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Acquire) == CANCELLED
    }
}

impl PartialEq for Scope {
    fn eq(&self, other: &Scope) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

struct Ticket<O, P> {
    id: TicketId,
    process: P,
    /// Whom to wake. `None` until somebody has to wait.
    owner: Option<O>,
    /// The process will not come back before it is woken.
    waiting: bool,
    /// The process waits for its turn behind an import that waits for its answer: neither would ever come.
    deadlocked: bool,
    /// Raised to make the task abandon the call.
    cancelled: Arc<AtomicBool>,
}

impl<O: Clone, P> Ticket<O, P> {
    /// The owner, if it waits and has not been woken.
    fn wake(&mut self) -> Option<O> {
        if mem::replace(&mut self.waiting, false) { self.owner.clone() } else { None }
    }
}

struct Import<P, I> {
    scope: Scope,
    /// The process that is to answer it.
    responder: Option<P>,
    answered: bool,
    data: I,
}

impl<P, I> Import<P, I> {
    fn is_pending(&self, scope: &Scope) -> bool {
        !self.answered && self.scope == *scope
    }
}

struct Level<O, P, I> {
    /// The import that opened the level; the root level has none.
    import: Option<Import<P, I>>,
    running: Option<Ticket<O, P>>,
    waiting: VecDeque<Ticket<O, P>>,
}

impl<O, P: Copy + PartialEq, I> Level<O, P, I> {
    fn new(import: Option<Import<P, I>>) -> Level<O, P, I> {
        Level { import, running: None, waiting: VecDeque::new() }
    }

    fn is_answered(&self) -> bool {
        self.import.as_ref().is_some_and(|import| import.answered)
    }

    fn is_pending(&self, scope: &Scope) -> bool {
        self.import.as_ref().is_some_and(|import| import.is_pending(scope))
    }

    /// Whether its import waits for an answer of the process.
    fn is_owed_by(&self, process: P) -> bool {
        self.import.as_ref().is_some_and(|import| !import.answered && import.responder == Some(process))
    }
}

/// Processes to notify of what has happened in a queue.
#[derive(Debug)]
pub struct Notifications<O> {
    /// Their turn has come, or the operation they waited for has ended.
    pub wake: Vec<O>,
    /// Their operation is over: they need not be monitored any longer.
    pub released: Vec<O>,
}

impl<O> Default for Notifications<O> {
    fn default() -> Notifications<O> {
        Notifications { wake: Vec::new(), released: Vec::new() }
    }
}

impl<O: Clone> Notifications<O> {
    fn end<P>(&mut self, mut ticket: Ticket<O, P>) {
        self.wake.extend(ticket.wake());
        self.released.extend(ticket.owner);
    }
}

/// The answer to a request for a turn.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Entry<O> {
    /// It is its turn. The owner, if it has one.
    Now(Option<O>),
    /// It waits for its turn.
    Queued,
    /// It has to wait, and has no owner to wake.
    NeedsOwner,
    /// Its scope was cancelled with its call.
    Cancelled(Option<O>),
    /// It would wait for an answer that its own process owes.
    Deadlock(Option<O>),
}

impl<O: Clone, P, I> Level<O, P, I> {
    /// Ends the level and everything in it. Processes that wait learn of it when they come back.
    fn abandon(self, notifications: &mut Notifications<O>) {
        if let Some(import) = &self.import {
            import.scope.end(CANCELLED);
        }
        for ticket in self.running.into_iter().chain(self.waiting) {
            ticket.cancelled.store(true, Ordering::Release);
            notifications.end(ticket);
        }
    }
}

/// The queue of one instance. `I` is kept with each pending import.
pub(crate) struct Queue<O, P, I> {
    root: Level<O, P, I>,
    nested: Vec<Level<O, P, I>>,
    /// Some thread polls the task.
    pub(crate) polling: bool,
    /// The newest ticket that has waited: a newer one does not wait yet, and need not be looked for.
    newest: TicketId,
}

impl<O: Clone, P: Copy + PartialEq, I> Queue<O, P, I> {
    pub(crate) fn new() -> Queue<O, P, I> {
        Queue { root: Level::new(None), nested: Vec::new(), polling: false, newest: TicketId::default() }
    }

    fn top(&mut self) -> &mut Level<O, P, I> {
        self.nested.last_mut().unwrap_or(&mut self.root)
    }

    /// The level right below the uppermost one.
    fn below_top(&mut self) -> Option<&mut Level<O, P, I>> {
        match self.nested.len() {
            0 => None,
            1 => Some(&mut self.root),
            n => self.nested.get_mut(n - 2),
        }
    }

    fn levels(&mut self) -> impl Iterator<Item = &mut Level<O, P, I>> {
        std::iter::once(&mut self.root).chain(&mut self.nested)
    }

    /// How many levels are below that of `scope`; 0 where its import has been answered.
    fn depth(&self, scope: Option<&Scope>) -> usize {
        let Some(scope) = scope else { return 0 };
        self.nested.iter().position(|level| level.is_pending(scope)).map_or(0, |index| index + 1)
    }

    /// Requests the turn of a ticket. Without a scope it is that of the innermost import that waits for an answer of the
    /// process, if there is one. A ticket that has to wait is queued with its owner.
    pub(crate) fn enter(&mut self, scope: Option<&Scope>, id: TicketId, process: P, owner: Option<O>) -> Entry<O> {
        if id <= self.newest
            && let Some(entry) = self.reenter(id)
        {
            return entry;
        }
        if scope.is_some_and(Scope::is_cancelled) {
            return Entry::Cancelled(owner);
        }
        let depth = match scope {
            Some(scope) => self.depth(Some(scope)),
            None => self.nested.iter().rposition(|level| level.is_owed_by(process)).map_or(0, |index| index + 1),
        };
        let (polling, is_top) = (self.polling, depth == self.nested.len());
        let (level, above) = match depth.checked_sub(1) {
            None => (Some(&mut self.root), self.nested.as_slice()),
            Some(index) => {
                let (below, above) = self.nested.split_at_mut(index + 1);
                (below.last_mut(), &*above)
            }
        };
        let Some(level) = level else { return Entry::Cancelled(owner) };
        if is_top && !polling && level.running.is_none() && level.waiting.is_empty() {
            return Entry::Now(owner);
        }
        if above.iter().any(|level| level.is_owed_by(process)) {
            return Entry::Deadlock(owner);
        }
        if owner.is_none() {
            return Entry::NeedsOwner;
        }
        let cancelled = Arc::default();
        level.waiting.push_back(Ticket { id, process, owner, waiting: true, deadlocked: false, cancelled });
        self.newest = self.newest.max(id);
        Entry::Queued
    }

    /// The same for a ticket that waits already: it keeps its place, also when its import has been answered meanwhile.
    fn reenter(&mut self, id: TicketId) -> Option<Entry<O>> {
        let (polling, top) = (self.polling, self.nested.len());
        for (depth, level) in self.levels().enumerate() {
            let Some(place) = level.waiting.iter().position(|ticket| ticket.id == id) else { continue };
            let ticket = level.waiting.get_mut(place)?;
            if ticket.deadlocked {
                return Some(Entry::Deadlock(level.waiting.remove(place).and_then(|ticket| ticket.owner)));
            }
            if place == 0 && depth == top && !polling && level.running.is_none() {
                return Some(Entry::Now(level.waiting.pop_front().and_then(|ticket| ticket.owner)));
            }
            ticket.waiting = true;
            return Some(Entry::Queued);
        }
        None
    }

    /// Makes the ticket, whose turn it is, that of the running call. Returns the flag that cancels the call.
    pub(crate) fn begin(&mut self, id: TicketId, process: P, owner: Option<O>) -> Arc<AtomicBool> {
        let cancelled = Arc::<AtomicBool>::default();
        let flag = cancelled.clone();
        self.top().running = Some(Ticket { id, process, owner, waiting: false, deadlocked: false, cancelled });
        flag
    }

    /// Whether the call of the ticket runs, or waits for an import.
    pub(crate) fn is_running(&mut self, id: TicketId) -> bool {
        self.running(id).is_some()
    }

    fn running(&mut self, id: TicketId) -> Option<&mut Ticket<O, P>> {
        self.levels().filter_map(|level| level.running.as_mut()).find(|ticket| ticket.id == id)
    }

    /// Requests the next slice of the call of a ticket.
    pub(crate) fn resume(&mut self, id: TicketId) -> Resume<I> {
        let is = |ticket: &Option<Ticket<O, P>>| ticket.as_ref().is_some_and(|ticket| ticket.id == id);
        if !self.polling && is(&self.top().running) {
            return Resume::Now(None);
        }
        if let Some(import) = self.take_answered(id) {
            return Resume::Now(Some(import));
        }
        let Some(depth) = self.levels().position(|level| is(&level.running)) else { return Resume::Ended };
        let above = self.nested.split_off(depth);
        let turn = match &mut self.top().running {
            Some(ticket) if ticket.deadlocked || above.iter().any(|level| level.is_owed_by(ticket.process)) => {
                Resume::Deadlock
            }
            Some(ticket) => {
                ticket.waiting = true;
                Resume::Waits
            }
            None => Resume::Ended,
        };
        self.nested.extend(above);
        turn
    }

    /// Closes the scope of the uppermost import, if it has been answered and the call of the ticket waits for it.
    fn take_answered(&mut self, id: TicketId) -> Option<I> {
        let top = self.nested.last()?;
        if self.polling || !top.is_answered() || top.running.is_some() || !top.waiting.is_empty() {
            return None;
        }
        if self.below_top()?.running.as_ref().is_none_or(|ticket| ticket.id != id) {
            return None;
        }
        self.nested.pop()?.import.map(|import| import.data)
    }

    /// Opens the scope of an import that the call of the ticket waits for. `None`: there is no such call any more.
    ///
    /// A responder that waits for a turn would do so until it has answered, which it cannot do while it waits: such tickets
    /// are told when they come back. Their owners are to be woken.
    pub(crate) fn suspend(&mut self, id: TicketId, responder: Option<P>, data: I) -> Option<(Scope, Vec<O>)> {
        if self.top().running.as_ref().is_none_or(|ticket| ticket.id != id) {
            return None;
        }
        let mut wake = Vec::new();
        for ticket in self.levels().flat_map(|level| level.waiting.iter_mut().chain(&mut level.running)) {
            if ticket.waiting && responder == Some(ticket.process) {
                ticket.deadlocked = true;
                wake.extend(ticket.wake());
            }
        }
        let scope = Scope::default();
        self.nested.push(Level::new(Some(Import { scope: scope.clone(), responder, answered: false, data })));
        Some((scope, wake))
    }

    /// The import of `scope`, while it waits for an answer.
    pub(crate) fn pending(&mut self, scope: &Scope) -> Option<&mut I> {
        let imports = self.nested.iter_mut().filter_map(|level| level.import.as_mut());
        imports.into_iter().find(|import| import.is_pending(scope)).map(|import| &mut import.data)
    }

    /// Notes that the import of `scope` has been answered. From now on its holders are ordinary callers.
    pub(crate) fn answered(&mut self, scope: &Scope) {
        scope.end(ANSWERED);
        let imports = self.nested.iter_mut().filter_map(|level| level.import.as_mut());
        if let Some(import) = imports.into_iter().find(|import| import.scope == *scope) {
            import.answered = true;
        }
    }

    /// Ends the call of the ticket. `None`: there is none, it has been cancelled.
    pub(crate) fn finish(&mut self, id: TicketId) -> Option<Notifications<O>> {
        let ticket = self.top().running.take_if(|ticket| ticket.id == id)?;
        let mut notifications = Notifications::default();
        notifications.released.extend(ticket.owner);
        Some(notifications)
    }

    /// Notes whether the driver of a running call waits to be woken, and its owner where none is known.
    pub(crate) fn own(&mut self, id: TicketId, waiting: bool, owner: Option<O>) -> Ownership<O> {
        let Some(ticket) = self.running(id) else { return Ownership::Ended(owner) };
        if ticket.owner.is_none() {
            if owner.is_none() {
                return Ownership::Unknown;
            }
            ticket.owner = owner;
        }
        ticket.waiting = waiting;
        Ownership::Known
    }

    /// Whether the owner of a ticket waits and has not been woken.
    pub(crate) fn is_waiting(&mut self, id: TicketId) -> bool {
        let mut tickets = self.levels().flat_map(|level| level.running.iter().chain(&level.waiting));
        tickets.any(|ticket| ticket.id == id && ticket.waiting)
    }

    /// Raises the flag that cancels a running call. `false`: it was up already, as its task has passed the point of no return.
    pub(crate) fn raise(&mut self, id: TicketId) -> bool {
        self.running(id).is_some_and(|ticket| !ticket.cancelled.swap(true, Ordering::AcqRel))
    }

    /// Removes the first ticket that is wanted: one that waits, or that of a running call together with everything nested
    /// in it.
    pub(crate) fn cancel(&mut self, wanted: impl Fn(TicketId, Option<&O>) -> bool) -> Notifications<O> {
        let mut notifications = Notifications::default();
        let matches = |ticket: &Ticket<O, P>| wanted(ticket.id, ticket.owner.as_ref());
        let Some(depth) = self.levels().position(|level| level.running.as_ref().is_some_and(&matches)) else {
            for level in self.levels() {
                if let Some(place) = level.waiting.iter().position(&matches) {
                    notifications.released.extend(level.waiting.remove(place).and_then(|ticket| ticket.owner));
                    break;
                }
            }
            return notifications;
        };
        let above = self.nested.split_off(depth);
        if let Some(ticket) = self.top().running.take() {
            ticket.cancelled.store(true, Ordering::Release);
            notifications.released.extend(ticket.owner);
        }
        for level in above {
            level.abandon(&mut notifications);
        }
        notifications
    }

    /// Ends everything.
    pub(crate) fn clear(&mut self) -> Notifications<O> {
        let nested = mem::take(&mut self.nested);
        let root = mem::replace(&mut self.root, Level::new(None));
        let mut notifications = Notifications::default();
        for level in std::iter::once(root).chain(nested) {
            level.abandon(&mut notifications);
        }
        notifications
    }

    /// The process whose turn has come and who does not know it yet.
    pub(crate) fn wake(&mut self) -> Option<O> {
        if self.polling {
            return None;
        }
        let top = self.top();
        let ticket = if top.running.is_some() {
            top.running.as_mut()
        } else if !top.waiting.is_empty() {
            top.waiting.front_mut()
        } else if top.is_answered() {
            self.below_top()?.running.as_mut()
        } else {
            None
        };
        ticket?.wake()
    }

    /// Whether a call is in progress, and whether it waits for an import.
    pub(crate) fn status(&self) -> Status {
        match (&self.root.running, self.nested.last()) {
            (None, _) => Status::Idle,
            (Some(_), Some(level)) if level.running.is_none() => Status::Suspended,
            (Some(_), _) => Status::Running,
        }
    }
}

/// What is known of the driver of a call.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Ownership<O> {
    /// Its owner.
    Known,
    /// Not yet its owner.
    Unknown,
    /// The call has been cancelled: its driver will not be woken for it.
    Ended(Option<O>),
}

/// The answer to a request for the next slice of a call.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Resume<I> {
    /// It goes on: with the answer of this import, if it has waited for one.
    Now(Option<I>),
    /// It waits for its turn.
    Waits,
    /// It would wait for an answer that its own process owes.
    Deadlock,
    /// There is no such call any more.
    Ended,
}

/// What an instance is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Nothing.
    Idle,
    /// A call is in progress.
    Running,
    /// A call waits for the answer of an import.
    Suspended,
    /// It has been stopped, or could not start.
    Stopped,
}

#[cfg(test)]
mod tests;
