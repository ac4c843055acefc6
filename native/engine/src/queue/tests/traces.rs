//! Random traces of processes that keep to the protocol: whatever they do, nobody waits for ever, is woken for nothing, or is
//! told wrongly whether a message is on its way.

use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;

type Traced = Queue<TicketId, u8, ()>;

/// Processes that request operations and answer imports. Drivers of calls with another responder come after them.
const PROCESSES: u8 = 4;

#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    /// Waits to be woken.
    Waiting,
    /// Is to come back, for its first turn.
    Woken,
    /// Is to resume its call.
    Resuming,
    /// Answers the import of its own call.
    Answering,
}

#[derive(Debug)]
struct Operation {
    process: u8,
    scope: Option<Scope>,
    /// A call, and who answers its imports; otherwise a single step.
    call: Option<Option<u8>>,
    began: bool,
    state: State,
}

#[derive(Default)]
struct World {
    operations: BTreeMap<u64, Operation>,
    /// The operation that is polled.
    polled: Option<TicketId>,
    imports: Vec<Asked>,
    /// Calls whose imports their driver answers.
    drivers_own: Vec<u64>,
    drivers: u8,
}

/// An import.
#[derive(Clone)]
struct Asked {
    scope: Scope,
    responder: u8,
    ticket: TicketId,
}

fn run(world: &mut World, queue: &mut Traced, wake: Vec<TicketId>) {
    for ticket in wake.into_iter().chain(queue.wake()) {
        // Tickets that ended together are woken, too.
        let Some(operation) = world.operations.get_mut(&ticket.0) else { continue };
        assert_eq!(operation.state, State::Waiting, "woken, though it does not wait");
        operation.state = if operation.began { State::Resuming } else { State::Woken };
    }
}

impl World {
    fn is_blocked(&self, process: u8) -> bool {
        self.operations.values().any(|it| it.process == process && it.state != State::Answering)
    }

    fn enter(&mut self, queue: &mut Traced, ticket: TicketId) {
        let Some(operation) = self.operations.get_mut(&ticket.0) else { return };
        let (scope, process) = (operation.scope.clone(), operation.process);
        match queue.enter(scope.as_ref(), ticket, process, Some(ticket)) {
            Entry::Now(owner) => {
                if operation.call.is_some() {
                    operation.began = true;
                    queue.begin(ticket, process, owner);
                }
                queue.polling = true;
                self.polled = Some(ticket);
            }
            Entry::Queued => operation.state = State::Waiting,
            Entry::NeedsOwner => panic!("it has an owner"),
            Entry::Cancelled(_) | Entry::Deadlock(_) => {
                self.operations.remove(&ticket.0);
                run(self, queue, Vec::new());
            }
        }
    }

    fn start(&mut self, queue: &mut Traced, process: u8, choice: u8) {
        if self.is_blocked(process) {
            return;
        }
        let scope = self.imports.get(usize::from(choice >> 4)).map(|import| import.scope.clone());
        let (process, call) = match choice % 4 {
            0 => (process, None),
            1 => (process, Some(Some(process))),
            2 => (process, Some(None)),
            _ => {
                self.drivers += 1;
                (PROCESSES + self.drivers, Some(Some(process)))
            }
        };
        let ticket = TicketId::fresh();
        self.operations.insert(ticket.0, Operation { process, scope, call, began: false, state: State::Woken });
        self.enter(queue, ticket);
    }

    /// The poll ends with an import of the call, the end of its slice, or the end of the operation.
    fn end_poll(&mut self, queue: &mut Traced, how: u8) {
        let Some(ticket) = self.polled.take() else { return };
        queue.polling = false;
        let Some(operation) = self.operations.get_mut(&ticket.0) else { return run(self, queue, Vec::new()) };
        let mut wake = Vec::new();
        match (operation.call, how % 4) {
            (Some(Some(responder)), 0 | 1) if queue.is_running(ticket) => {
                let own = responder == operation.process;
                let (scope, doomed) = queue.suspend(ticket, Some(responder), ()).expect("the call runs");
                wake = doomed;
                self.imports.push(Asked { scope, responder, ticket });
                operation.state = if own { State::Answering } else { State::Waiting };
                if own {
                    self.drivers_own.push(ticket.0);
                }
                assert_eq!(queue.own(ticket, !own, Some(ticket)), Ownership::Known);
            }
            (Some(_), 2) if queue.is_running(ticket) => {
                operation.state = State::Resuming;
                assert_eq!(queue.own(ticket, false, Some(ticket)), Ownership::Known);
            }
            (call, _) => {
                assert!(call.is_none() || queue.finish(ticket).is_some() || !queue.is_running(ticket));
                self.operations.remove(&ticket.0);
            }
        }
        run(self, queue, wake);
    }

    /// A process answers an import, and resumes the call if it drives that itself. Imports of its own calls it answers from
    /// within, so in reverse order.
    fn answer(&mut self, queue: &mut Traced, index: usize) {
        let Some(Asked { scope, responder, ticket }) = self.imports.get(index).cloned() else { return };
        if self.is_blocked(responder) {
            return;
        }
        let last = self.operations.iter_mut().rev().find(|(_, it)| it.process == responder);
        let own = self.drivers_own.contains(&ticket.0);
        match last {
            Some((id, operation)) if own && *id == ticket.0 => operation.state = State::Resuming,
            _ if own => return,
            _ => {}
        }
        // It may have been cancelled meanwhile, which its driver learns when it resumes the call.
        if queue.pending(&scope).is_some() {
            queue.answered(&scope);
            run(self, queue, Vec::new());
        }
    }

    fn come_back(&mut self, queue: &mut Traced, index: usize) {
        let ready = |(_, it): &(&u64, &Operation)| matches!(it.state, State::Woken | State::Resuming);
        let Some((id, state)) = self.operations.iter().filter(ready).map(|(id, it)| (*id, it.state)).nth(index) else {
            return;
        };
        let ticket = TicketId(id);
        if self.polled == Some(ticket) {
            return;
        }
        if state == State::Woken {
            return self.enter(queue, ticket);
        }
        match queue.resume(ticket) {
            Resume::Now(_) => {
                queue.polling = true;
                self.polled = Some(ticket);
            }
            Resume::Waits => {
                if let Some(operation) = self.operations.get_mut(&id) {
                    operation.state = State::Waiting;
                }
                run(self, queue, Vec::new());
            }
            Resume::Ended | Resume::Deadlock => self.cancel(queue, ticket),
        }
    }

    fn cancel(&mut self, queue: &mut Traced, ticket: TicketId) {
        let Some(operation) = self.operations.remove(&ticket.0) else { return };
        assert_eq!(queue.is_waiting(ticket), operation.state == State::Waiting, "whether a message is on its way");
        let ended = queue.cancel(|id, _| id == ticket);
        assert!(ended.released.len() >= usize::from(operation.state == State::Waiting));
        run(self, queue, ended.wake);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn nobody_waits_for_ever(trace in prop::collection::vec((0_u8..8, 0..PROCESSES, any::<u8>()), 0..120)) {
        let (mut world, mut queue) = (World::default(), Traced::new());
        for (action, process, choice) in trace {
            match action {
                0 | 1 => world.start(&mut queue, process, choice),
                2 | 3 => world.end_poll(&mut queue, choice),
                4 => world.answer(&mut queue, usize::from(choice) % world.imports.len().max(1)),
                5 | 6 => world.come_back(&mut queue, usize::from(choice) % 4),
                _ => {
                    let ids: Vec<u64> = world.operations.keys().copied().collect();
                    let chosen = ids.get(usize::from(choice) % ids.len().max(1)).map(|id| TicketId(*id));
                    // What is polled is cancelled by others than its driver.
                    if let Some(ticket) = chosen.filter(|ticket| world.polled != Some(*ticket) && choice > 128) {
                        world.cancel(&mut queue, ticket);
                    }
                }
            }
        }
        // From here on everybody does what it can, and every call ends.
        for _ in 0..1_000 {
            world.end_poll(&mut queue, 3);
            world.come_back(&mut queue, 0);
            world.end_poll(&mut queue, 3);
            for index in (0..world.imports.len()).rev() {
                world.answer(&mut queue, index);
            }
            if world.operations.is_empty() {
                break;
            }
        }
        prop_assert!(world.operations.is_empty(), "{:?} wait for ever", world.operations);
        prop_assert_eq!(queue.status(), Status::Idle);
    }
}
