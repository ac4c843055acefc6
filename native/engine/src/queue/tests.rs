use super::*;

/// Owners are the names of processes here.
type Names = Queue<&'static str, &'static str, &'static str>;

fn enter(queue: &mut Names, scope: Option<&Scope>, id: TicketId, process: &'static str) -> bool {
    matches!(queue.enter(scope, id, process, Some(process)), Entry::Now(_))
}

fn call(queue: &mut Names, scope: Option<&Scope>) -> TicketId {
    let id = TicketId::fresh();
    assert_eq!(queue.enter(scope, id, "caller", None), Entry::Now(None));
    queue.begin(id, "caller", None);
    id
}

fn suspend(queue: &mut Names, id: TicketId, import: &'static str) -> Scope {
    queue.suspend(id, Some("responder"), import).unwrap().0
}

#[test]
fn tickets_act_in_the_order_in_which_they_came() {
    let mut queue = Names::new();
    let first = call(&mut queue, None);
    let (second, third) = (TicketId::fresh(), TicketId::fresh());
    assert!(!enter(&mut queue, None, second, "second"));
    assert!(!enter(&mut queue, None, third, "third"));
    assert_eq!(queue.wake(), None);
    assert!(queue.finish(first).is_some());
    assert_eq!(queue.wake(), Some("second"));
    assert_eq!(queue.wake(), None, "nobody is woken twice");
    assert!(!enter(&mut queue, None, third, "third"), "waking one lets no other pass");
    assert_eq!(queue.enter(None, second, "second", None), Entry::Now(Some("second")));
    assert_eq!(queue.wake(), Some("third"));
}

#[test]
fn only_the_scope_of_the_innermost_import_moves() {
    let mut queue = Names::new();
    let outer = call(&mut queue, None);
    let scope = suspend(&mut queue, outer, "outer");
    assert!(!enter(&mut queue, None, TicketId::fresh(), "plain"));
    assert!(enter(&mut queue, Some(&scope), TicketId::fresh(), "reader"));
    let inner = call(&mut queue, Some(&scope));
    let nested = suspend(&mut queue, inner, "inner");
    assert!(!enter(&mut queue, Some(&scope), TicketId::fresh(), "late"));
    assert!(enter(&mut queue, Some(&nested), TicketId::fresh(), "reader"));
}

#[test]
fn an_answer_waits_for_what_was_asked_before_it() {
    let mut queue = Names::new();
    let outer = call(&mut queue, None);
    assert_eq!(queue.own(outer, true, Some("driver")), Ownership::Known);
    let scope = suspend(&mut queue, outer, "import");
    let nested = call(&mut queue, Some(&scope));
    queue.answered(&scope);
    assert_eq!(queue.resume(outer), Resume::Waits);
    assert!(queue.finish(nested).is_some());
    assert_eq!(queue.wake(), Some("driver"));
    assert_eq!(queue.resume(outer), Resume::Now(Some("import")));
    assert_eq!(queue.resume(outer), Resume::Now(None));
}

#[test]
fn an_answered_scope_is_the_plain_instance() {
    let mut queue = Names::new();
    let outer = call(&mut queue, None);
    let scope = suspend(&mut queue, outer, "import");
    queue.answered(&scope);
    assert!(queue.pending(&scope).is_none());
    let late = TicketId::fresh();
    assert!(!enter(&mut queue, Some(&scope), late, "late"));
    assert_eq!(queue.resume(outer), Resume::Now(Some("import")));
    assert!(queue.finish(outer).is_some());
    assert_eq!(queue.wake(), Some("late"));
    assert!(enter(&mut queue, Some(&scope), late, "late"));
}

#[test]
fn a_cancelled_call_takes_along_what_is_nested_in_it_and_nobody_waits_for_ever() {
    let mut queue = Names::new();
    let outer = call(&mut queue, None);
    let scope = suspend(&mut queue, outer, "outer");
    let inner = call(&mut queue, Some(&scope));
    assert_eq!(queue.own(inner, true, Some("inner driver")), Ownership::Known);
    let nested = suspend(&mut queue, inner, "inner");
    let reader = TicketId::fresh();
    assert!(!enter(&mut queue, Some(&scope), reader, "reader"));
    let ended = queue.cancel(|id, _| id == outer);
    assert_eq!(ended.wake, ["inner driver", "reader"]);
    assert_eq!(ended.released, ["inner driver", "reader"]);
    assert!(!queue.is_running(inner));
    assert!(queue.pending(&nested).is_none());
    for scope in [scope, nested] {
        assert_eq!(queue.enter(Some(&scope), reader, "reader", None), Entry::Cancelled(None));
    }
    assert!(enter(&mut queue, None, TicketId::fresh(), "next"));
}

#[test]
fn a_waiting_ticket_can_be_cancelled_without_touching_the_call_in_progress() {
    let mut queue = Names::new();
    let first = call(&mut queue, None);
    let second = TicketId::fresh();
    assert!(!enter(&mut queue, None, second, "second"));
    assert_eq!(queue.cancel(|_, owner| owner == Some(&"second")).released, vec!["second"]);
    assert!(queue.is_running(first));
    assert!(queue.finish(first).is_some());
    assert_eq!(queue.wake(), None);
}

#[test]
fn every_owner_is_given_back_once_when_the_queue_is_cleared() {
    let mut queue = Names::new();
    let outer = call(&mut queue, None);
    assert_eq!(queue.own(outer, false, Some("driver")), Ownership::Known);
    suspend(&mut queue, outer, "import");
    assert!(!enter(&mut queue, None, TicketId::fresh(), "reader"));
    let ended = queue.clear();
    assert_eq!((ended.wake, ended.released), (vec!["reader"], vec!["driver", "reader"]));
    assert_eq!(queue.status(), Status::Idle);
}

#[test]
fn a_process_that_owes_an_answer_uses_the_scope_of_that_import() {
    let mut queue = Names::new();
    let outer = call(&mut queue, None);
    let scope = suspend(&mut queue, outer, "import");
    assert!(enter(&mut queue, None, TicketId::fresh(), "responder"));
    let nested = call(&mut queue, Some(&scope));
    assert_eq!(queue.enter(None, TicketId::fresh(), "responder", Some("responder")), Entry::Queued);
    assert!(queue.finish(nested).is_some());
    assert_eq!(queue.wake(), Some("responder"), "it waits in the scope, not behind the import");
}

#[test]
fn a_process_that_would_wait_for_its_own_answer_is_told() {
    let mut queue = Names::new();
    let outer = call(&mut queue, None);
    let early = TicketId::fresh();
    assert!(!enter(&mut queue, None, early, "responder"));
    assert!(!enter(&mut queue, None, TicketId::fresh(), "other"));
    let (scope, wake) = queue.suspend(outer, Some("responder"), "import").unwrap();
    assert_eq!(wake, ["responder"], "it waited before the import came");
    assert_eq!(queue.enter(None, early, "responder", None), Entry::Deadlock(Some("responder")));
    let nested = call(&mut queue, Some(&scope));
    let _inner = suspend(&mut queue, nested, "inner");
    let behind = queue.enter(Some(&scope), TicketId::fresh(), "responder", Some("responder"));
    assert_eq!(behind, Entry::Deadlock(Some("responder")), "the scope waits for the inner import");
    assert_eq!(queue.enter(Some(&scope), TicketId::fresh(), "other", Some("other")), Entry::Queued);
}

#[test]
fn a_driver_that_owes_an_answer_to_a_call_nested_in_its_own_is_told() {
    let mut queue = Names::new();
    let outer = TicketId::fresh();
    assert_eq!(queue.enter(None, outer, "driver", None), Entry::Now(None));
    queue.begin(outer, "driver", None);
    let (scope, _) = queue.suspend(outer, Some("driver"), "import").unwrap();
    let nested = call(&mut queue, Some(&scope));
    queue.answered(&scope);
    assert_eq!(queue.own(outer, false, Some("driver")), Ownership::Known);
    assert_eq!(queue.resume(outer), Resume::Waits);
    let (_, wake) = queue.suspend(nested, Some("driver"), "inner").unwrap();
    assert_eq!(wake, ["driver"]);
    assert_eq!(queue.resume(outer), Resume::Deadlock);
}

mod traces;
