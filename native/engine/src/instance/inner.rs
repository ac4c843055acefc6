//! What an instance guards with its lock: the queue, and the place of the task while no thread polls it.

use crate::import::{Answer, ImportInfo};
use crate::queue::{Notifications, Queue, TicketId};
use crate::reaper;
use crate::task::{Outcome, TaskFuture};
use std::any::Any;
use std::sync::Arc;

/// What is kept with a pending import.
pub(super) struct Pending {
    /// What the guest has called; none where the instance is only held.
    pub(super) import: Option<Arc<ImportInfo>>,
    pub(super) answer: Option<Answer>,
}

pub(super) enum Task {
    Ready(TaskFuture),
    Polling,
    Gone,
}

/// Long work of the running call.
#[derive(Default)]
pub(super) enum Work {
    #[default]
    None,
    /// It waits for its background thread: no other thread polls meanwhile.
    Due(TicketId),
    /// It is being done.
    Active(TicketId),
    /// It has come to this, which its owner has yet to be told.
    Done(TicketId, Option<Outcome>),
}

pub(super) struct Inner<O, P> {
    pub(super) queue: Queue<O, P, Pending>,
    pub(super) task: Task,
    /// Who is told when the instance is stopped.
    pub(super) watchers: Vec<O>,
    pub(super) work: Work,
    /// Where an operation that ends on another thread leaves its result.
    pub(super) result: Option<(TicketId, Box<dyn Any + Send>)>,
}

impl<O: Clone, P: Copy + PartialEq> Inner<O, P> {
    /// Adds whoever is to be notified now.
    pub(super) fn notify(&mut self, mut notifications: Notifications<O>) -> Notifications<O> {
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
    pub(super) fn clear(&mut self) -> Notifications<O> {
        let mut notifications = self.queue.clear();
        notifications.wake.extend(self.watchers.iter().cloned());
        notifications.released.append(&mut self.watchers);
        notifications
    }

    pub(super) fn is_alive(&self) -> bool {
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
    pub(super) fn take_done(&mut self, ticket: TicketId) -> Option<Option<Outcome>> {
        match std::mem::take(&mut self.work) {
            Work::Done(done, outcome) if done == ticket => Some(outcome),
            other => {
                self.work = other;
                None
            }
        }
    }
}
