//! Whose turn it is.
//!
//! An instance runs one thing at a time, and whoever wants something of it takes a ticket. Tickets wait in lanes: lane 0
//! is the plain instance, and every pending import opens a further lane above, for those who hold its scope. Only the
//! uppermost lane moves. In a lane, the call in progress comes before the tickets in line, and the answer of the import
//! after them, so that nothing asked within the scope of an import is lost when the answer comes.
//!
//! This file knows no wasm and no BEAM: `O` is whatever names the one who waits.

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

/// How a scope stands. Only its end is remembered: whether it still is open the lanes know.
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

struct Ticket<O> {
    id: TicketId,
    /// Who to wake. `None` until somebody has to wait.
    owner: Option<O>,
    /// The owner will not come back before it is woken.
    waiting: bool,
    /// Raised to make the task abandon the call.
    cancelled: Arc<AtomicBool>,
}

struct Lane<O, I> {
    /// The import that opened the lane; the root lane has none.
    import: Option<(Scope, I)>,
    answered: bool,
    active: Option<Ticket<O>>,
    line: VecDeque<Ticket<O>>,
}

impl<O, I> Lane<O, I> {
    fn new(import: Option<(Scope, I)>) -> Lane<O, I> {
        Lane { import, answered: false, active: None, line: VecDeque::new() }
    }

    fn is(&self, scope: &Scope) -> bool {
        self.import.as_ref().is_some_and(|(import, _)| import == scope)
    }
}

/// Owners that an operation has news for.
#[derive(Debug)]
pub struct News<O> {
    /// Their turn has come, or what they waited for is gone: wake them.
    pub wake: Vec<O>,
    /// Their ticket is spent: whatever was set up to watch them can go.
    pub spent: Vec<O>,
}

impl<O> Default for News<O> {
    fn default() -> News<O> {
        News { wake: Vec::new(), spent: Vec::new() }
    }
}

impl<O: Clone> News<O> {
    fn spend(&mut self, ticket: Ticket<O>) {
        if ticket.waiting {
            self.wake.extend(ticket.owner.clone());
        }
        self.spent.extend(ticket.owner);
    }
}

/// What becomes of a ticket that asks for its turn.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Entry<O> {
    /// It may act. Its owner, if it stood in line before.
    Now(Option<O>),
    /// It stands in line.
    InLine,
    /// Its scope went with a call that was cancelled.
    Cancelled,
}

impl<O: Clone, I> Lane<O, I> {
    /// Ends the lane and everything in it. Those who wait learn of it when they come back.
    fn abandon(self, news: &mut News<O>) {
        if let Some((scope, _)) = &self.import {
            scope.end(CANCELLED);
        }
        for ticket in self.active.into_iter().chain(self.line) {
            ticket.cancelled.store(true, Ordering::Release);
            news.spend(ticket);
        }
    }
}

/// The lanes of one instance. `O` names an owner, `I` describes an import.
pub(crate) struct Turns<O, I> {
    root: Lane<O, I>,
    scopes: Vec<Lane<O, I>>,
    /// Somebody polls the task right now.
    pub(crate) polling: bool,
    /// The newest ticket that has stood in line: a newer one does not yet, and need not be looked for.
    newest: TicketId,
}

impl<O: Clone, I> Turns<O, I> {
    pub(crate) fn new() -> Turns<O, I> {
        Turns { root: Lane::new(None), scopes: Vec::new(), polling: false, newest: TicketId::default() }
    }

    fn top(&mut self) -> &mut Lane<O, I> {
        self.scopes.last_mut().unwrap_or(&mut self.root)
    }

    /// The lane right below the uppermost one.
    fn below_top(&mut self) -> Option<&mut Lane<O, I>> {
        match self.scopes.len() {
            0 => None,
            1 => Some(&mut self.root),
            n => self.scopes.get_mut(n - 2),
        }
    }

    fn lanes(&mut self) -> impl Iterator<Item = &mut Lane<O, I>> {
        std::iter::once(&mut self.root).chain(&mut self.scopes)
    }

    /// The lane of `scope`, or lane 0 where the import has been answered.
    fn lane(&mut self, scope: Option<&Scope>) -> &mut Lane<O, I> {
        let open = |lane: &&mut Lane<O, I>| scope.is_some_and(|scope| lane.is(scope)) && !lane.answered;
        match self.scopes.iter_mut().find(open) {
            Some(lane) => lane,
            None => &mut self.root,
        }
    }

    /// Asks for the ticket's turn. If it has not come, the ticket stands in line afterwards, with `owner` to wake.
    pub(crate) fn enter(&mut self, scope: Option<&Scope>, id: TicketId, owner: impl FnOnce() -> O) -> Entry<O> {
        let (polling, top) = (self.polling, self.scopes.len());
        if id <= self.newest {
            // A ticket that stands in line keeps its place, also when its import has been answered meanwhile.
            for (index, lane) in self.lanes().enumerate() {
                let Some(place) = lane.line.iter().position(|ticket| ticket.id == id) else { continue };
                if place == 0 && index == top && !polling && lane.active.is_none() {
                    return Entry::Now(lane.line.pop_front().and_then(|ticket| ticket.owner));
                }
                if let Some(ticket) = lane.line.get_mut(place) {
                    ticket.waiting = true;
                }
                return Entry::InLine;
            }
        }
        if scope.is_some_and(Scope::is_cancelled) {
            return Entry::Cancelled;
        }
        let uppermost = match (scope, self.scopes.last()) {
            (_, None) => true,
            (Some(scope), Some(lane)) => !lane.answered && lane.is(scope),
            (None, Some(_)) => false,
        };
        let lane = self.lane(scope);
        if uppermost && !polling && lane.active.is_none() && lane.line.is_empty() {
            return Entry::Now(None);
        }
        lane.line.push_back(Ticket { id, owner: Some(owner()), waiting: true, cancelled: Arc::default() });
        self.newest = self.newest.max(id);
        Entry::InLine
    }

    /// Makes the ticket, whose turn it is, the call in progress. Gives the flag that will cancel it.
    pub(crate) fn begin(&mut self, id: TicketId, owner: Option<O>) -> Arc<AtomicBool> {
        let cancelled = Arc::<AtomicBool>::default();
        self.top().active = Some(Ticket { id, owner, waiting: false, cancelled: cancelled.clone() });
        cancelled
    }

    /// Whether the call of the ticket is in progress at all.
    pub(crate) fn has_active(&mut self, id: TicketId) -> bool {
        self.active(id).is_some()
    }

    fn active(&mut self, id: TicketId) -> Option<&mut Ticket<O>> {
        self.lanes().filter_map(|lane| lane.active.as_mut()).find(|ticket| ticket.id == id)
    }

    /// Whether the guest would go on with the call of the ticket if it were polled.
    pub(crate) fn may_resume(&mut self, id: TicketId) -> bool {
        let is = |ticket: &Option<Ticket<O>>| ticket.as_ref().is_some_and(|ticket| ticket.id == id);
        !self.polling && is(&self.top().active)
    }

    /// Takes the scope away from the uppermost import, if its answer is in and its owner is the ticket.
    pub(crate) fn take_answered(&mut self, id: TicketId) -> Option<I> {
        let top = self.scopes.last()?;
        if self.polling || !top.answered || top.active.is_some() || !top.line.is_empty() {
            return None;
        }
        if self.below_top()?.active.as_ref().is_none_or(|ticket| ticket.id != id) {
            return None;
        }
        self.scopes.pop()?.import.map(|(_, import)| import)
    }

    /// Opens the scope of an import that the call of the ticket waits for. `None`: there is no such call any more.
    pub(crate) fn suspend(&mut self, id: TicketId, import: I) -> Option<Scope> {
        if self.top().active.as_ref().is_none_or(|ticket| ticket.id != id) {
            return None;
        }
        let scope = Scope::default();
        self.scopes.push(Lane::new(Some((scope.clone(), import))));
        Some(scope)
    }

    /// The import of `scope`, while it waits for an answer.
    pub(crate) fn pending(&mut self, scope: &Scope) -> Option<&mut I> {
        let lane = self.scopes.iter_mut().find(|lane| lane.is(scope) && !lane.answered)?;
        lane.import.as_mut().map(|(_, import)| import)
    }

    /// The innermost import that waits for an answer, if `wanted` says yes to it.
    pub(crate) fn innermost(&self, wanted: impl FnOnce(&I) -> bool) -> Option<Scope> {
        let lane = self.scopes.last().filter(|lane| !lane.answered)?;
        lane.import.as_ref().filter(|(_, import)| wanted(import)).map(|(scope, _)| scope.clone())
    }

    /// Notes that the answer of `scope` is in. From now on its holders are ordinary callers.
    pub(crate) fn answered(&mut self, scope: &Scope) {
        scope.end(ANSWERED);
        if let Some(lane) = self.scopes.iter_mut().find(|lane| lane.is(scope)) {
            lane.answered = true;
        }
    }

    /// Ends the call of the ticket. `None`: there is none, it has been cancelled.
    pub(crate) fn finish(&mut self, id: TicketId) -> Option<News<O>> {
        let ticket = self.top().active.take_if(|ticket| ticket.id == id)?;
        let mut news = News::default();
        news.spent.extend(ticket.owner);
        Some(news)
    }

    /// Notes that the driver of a call in progress will not come back before it is woken.
    pub(crate) fn await_turn(&mut self, id: TicketId) {
        if let Some(ticket) = self.active(id) {
            ticket.waiting = true;
        }
    }

    /// Says who owns a call in progress, and whether it waits to be woken. `false`: there is no such call any more, and
    /// nobody will be woken for it.
    pub(crate) fn own(&mut self, id: TicketId, waiting: bool, owner: impl FnOnce() -> O) -> bool {
        let Some(ticket) = self.active(id) else { return false };
        ticket.waiting = waiting;
        ticket.owner.get_or_insert_with(owner);
        true
    }

    /// Whether the owner of a ticket waits and has not been woken.
    pub(crate) fn is_waiting(&mut self, id: TicketId) -> bool {
        let mut tickets = self.lanes().flat_map(|lane| lane.active.iter().chain(&lane.line));
        tickets.any(|ticket| ticket.id == id && ticket.waiting)
    }

    /// Removes the one ticket that is wanted, from the line or from the call that it drives. A call takes along everything
    /// nested in it.
    pub(crate) fn cancel(&mut self, wanted: impl Fn(TicketId, Option<&O>) -> bool) -> News<O> {
        let mut news = News::default();
        let matches = |ticket: &Ticket<O>| wanted(ticket.id, ticket.owner.as_ref());
        let Some(depth) = self.lanes().position(|lane| lane.active.as_ref().is_some_and(&matches)) else {
            for lane in self.lanes() {
                if let Some(place) = lane.line.iter().position(&matches) {
                    news.spent.extend(lane.line.remove(place).and_then(|ticket| ticket.owner));
                    break;
                }
            }
            return news;
        };
        let above = self.scopes.split_off(depth);
        if let Some(ticket) = self.top().active.take() {
            ticket.cancelled.store(true, Ordering::Release);
            news.spent.extend(ticket.owner);
        }
        for lane in above {
            lane.abandon(&mut news);
        }
        news
    }

    /// Empties all lanes.
    pub(crate) fn clear(&mut self) -> News<O> {
        let scopes = mem::take(&mut self.scopes);
        let root = mem::replace(&mut self.root, Lane::new(None));
        let mut news = News::default();
        for lane in std::iter::once(root).chain(scopes) {
            lane.abandon(&mut news);
        }
        news
    }

    /// The one whose turn has come and who does not know it yet.
    pub(crate) fn wake(&mut self) -> Option<O> {
        if self.polling {
            return None;
        }
        let top = self.top();
        let ticket = if top.active.is_some() {
            top.active.as_mut()
        } else if !top.line.is_empty() {
            top.line.front_mut()
        } else if top.answered {
            self.below_top()?.active.as_mut()
        } else {
            None
        }?;
        if mem::replace(&mut ticket.waiting, false) { ticket.owner.clone() } else { None }
    }

    /// Whether a call is in progress, and whether it waits for an import.
    pub(crate) fn status(&self) -> Status {
        match (&self.root.active, self.scopes.last()) {
            (None, _) => Status::Idle,
            (Some(_), Some(lane)) if lane.active.is_none() => Status::Suspended,
            (Some(_), _) => Status::Running,
        }
    }
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
mod tests {
    use super::*;

    type Lanes = Turns<&'static str, &'static str>;

    fn enter(turns: &mut Lanes, scope: Option<&Scope>, id: TicketId, owner: &'static str) -> bool {
        matches!(turns.enter(scope, id, || owner), Entry::Now(_))
    }

    fn call(turns: &mut Lanes, scope: Option<&Scope>) -> TicketId {
        let id = TicketId::fresh();
        assert!(enter(turns, scope, id, "caller"));
        turns.begin(id, None);
        id
    }

    #[test]
    fn tickets_act_in_the_order_in_which_they_came() {
        let mut turns = Lanes::new();
        let first = call(&mut turns, None);
        let (second, third) = (TicketId::fresh(), TicketId::fresh());
        assert!(!enter(&mut turns, None, second, "second"));
        assert!(!enter(&mut turns, None, third, "third"));
        assert_eq!(turns.wake(), None);
        assert!(turns.finish(first).is_some());
        assert_eq!(turns.wake(), Some("second"));
        assert_eq!(turns.wake(), None, "nobody is woken twice");
        assert!(!enter(&mut turns, None, third, "third"), "waking one lets no other pass");
        assert_eq!(turns.enter(None, second, || "nobody"), Entry::Now(Some("second")));
        assert_eq!(turns.wake(), Some("third"));
    }

    #[test]
    fn only_the_scope_of_the_innermost_import_moves() {
        let mut turns = Lanes::new();
        let outer = call(&mut turns, None);
        let scope = turns.suspend(outer, "outer").unwrap();
        assert!(!enter(&mut turns, None, TicketId::fresh(), "plain"));
        assert!(enter(&mut turns, Some(&scope), TicketId::fresh(), "reader"));
        let inner = call(&mut turns, Some(&scope));
        let nested = turns.suspend(inner, "inner").unwrap();
        assert!(!enter(&mut turns, Some(&scope), TicketId::fresh(), "late"));
        assert!(enter(&mut turns, Some(&nested), TicketId::fresh(), "reader"));
    }

    #[test]
    fn an_answer_waits_for_what_was_asked_before_it() {
        let mut turns = Lanes::new();
        let outer = call(&mut turns, None);
        turns.own(outer, true, || "driver");
        let scope = turns.suspend(outer, "import").unwrap();
        let nested = call(&mut turns, Some(&scope));
        turns.answered(&scope);
        assert_eq!(turns.take_answered(outer), None);
        assert!(turns.finish(nested).is_some());
        assert_eq!(turns.wake(), Some("driver"));
        assert_eq!(turns.take_answered(outer), Some("import"));
        assert!(turns.may_resume(outer));
    }

    #[test]
    fn an_answered_scope_is_the_plain_instance() {
        let mut turns = Lanes::new();
        let outer = call(&mut turns, None);
        let scope = turns.suspend(outer, "import").unwrap();
        turns.answered(&scope);
        assert!(turns.pending(&scope).is_none());
        let late = TicketId::fresh();
        assert!(!enter(&mut turns, Some(&scope), late, "late"));
        assert!(turns.take_answered(outer).is_some());
        assert!(turns.finish(outer).is_some());
        assert_eq!(turns.wake(), Some("late"));
        assert!(enter(&mut turns, Some(&scope), late, "late"));
    }

    #[test]
    fn a_cancelled_call_takes_along_what_is_nested_in_it_and_nobody_waits_for_ever() {
        let mut turns = Lanes::new();
        let outer = call(&mut turns, None);
        let scope = turns.suspend(outer, "outer").unwrap();
        let inner = call(&mut turns, Some(&scope));
        turns.own(inner, true, || "inner driver");
        let nested = turns.suspend(inner, "inner").unwrap();
        let reader = TicketId::fresh();
        assert!(!enter(&mut turns, Some(&scope), reader, "reader"));
        let news = turns.cancel(|id, _| id == outer);
        assert_eq!(news.wake, ["inner driver", "reader"]);
        assert_eq!(news.spent, ["inner driver", "reader"]);
        assert!(!turns.has_active(inner));
        assert!(turns.pending(&nested).is_none());
        for scope in [scope, nested] {
            assert_eq!(turns.enter(Some(&scope), reader, || "reader"), Entry::Cancelled);
        }
        assert!(enter(&mut turns, None, TicketId::fresh(), "next"));
    }

    #[test]
    fn a_ticket_in_line_can_be_cancelled_without_touching_the_call_in_progress() {
        let mut turns = Lanes::new();
        let first = call(&mut turns, None);
        let second = TicketId::fresh();
        assert!(!enter(&mut turns, None, second, "second"));
        assert_eq!(turns.cancel(|_, owner| owner == Some(&"second")).spent, vec!["second"]);
        assert!(turns.has_active(first));
        assert!(turns.finish(first).is_some());
        assert_eq!(turns.wake(), None);
    }

    #[test]
    fn every_owner_is_given_back_once_when_the_lanes_are_cleared() {
        let mut turns = Lanes::new();
        let outer = call(&mut turns, None);
        turns.own(outer, false, || "driver");
        turns.suspend(outer, "import").unwrap();
        assert!(!enter(&mut turns, None, TicketId::fresh(), "reader"));
        let news = turns.clear();
        assert_eq!((news.wake, news.spent), (vec!["reader"], vec!["driver", "reader"]));
        assert_eq!(turns.status(), Status::Idle);
    }
}
