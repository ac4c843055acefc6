//! The way into a task and out of it, for whoever polls it.

use super::{Command, Data, Outcome, unless_cancelled};
use crate::background::SHORT_BYTES;
use crate::error::Error;
use crate::limits::Bounds;
use crate::pace::{Pace, yield_once};
use crate::queue::TicketId;
use crate::reaper;
use hb_wasm64_host::Stream;
use parking_lot::Mutex;
use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::task::Poll;
use wasmtime::Store;

/// Where commands go in and outcomes come out.
pub(crate) struct Port {
    slot: Mutex<Slot>,
    /// A store to go on with, from the next command on.
    handover: Mutex<Handover>,
    /// The node's, when the instance was made.
    node: Bounds,
    /// Those that whoever started it has asked for.
    own: Mutex<Bounds>,
    pub(crate) pace: Arc<Pace>,
    /// What is printed in calls whose caller wants it at once.
    pub(crate) stream: Arc<Stream>,
    /// Size of the linear memory when the guest last stopped.
    pub(crate) memory_bytes: AtomicU64,
    /// What it had used of its gas then, where it has a meter.
    pub(crate) gas_used: AtomicI64,
}

/// The store that another instance has made for this one.
#[derive(Default)]
enum Handover {
    #[default]
    Empty,
    Ready(Store<Data>),
    /// The instance is gone, and takes none.
    Closed,
}

#[derive(Default)]
struct Slot {
    command: Option<Command>,
    outcome: Option<Outcome>,
}

impl Port {
    pub(crate) fn new() -> Port {
        Port {
            slot: Mutex::default(),
            handover: Mutex::default(),
            node: Bounds::of_node(),
            own: Mutex::default(),
            pace: Arc::default(),
            stream: Arc::default(),
            memory_bytes: AtomicU64::new(0),
            gas_used: AtomicI64::new(0),
        }
    }

    /// What the instance may have.
    pub(crate) fn bounds(&self) -> Bounds {
        self.node.min(self.own_bounds())
    }

    /// What it may have on any node.
    pub(crate) fn own_bounds(&self) -> Bounds {
        *self.own.lock()
    }

    /// Holds the instance to these, too. Those that it has been held to stay.
    pub(crate) fn bound(&self, bounds: Bounds) {
        let mut own = self.own.lock();
        *own = own.min(bounds);
    }

    /// Leaves a command for the next poll, in place of one that was never taken.
    pub(crate) fn send(&self, command: Command) {
        self.slot.lock().command = Some(command);
    }

    /// Leaves a store for the instance to go on with.
    pub(super) fn hand_over(&self, store: Store<Data>) -> Result<(), Error> {
        let mut handover = self.handover.lock();
        if matches!(*handover, Handover::Closed) {
            drop(handover);
            reaper::dispose(store);
            return Err(Error::Stopped);
        }
        *handover = Handover::Ready(store);
        Ok(())
    }

    /// The instance is gone: what was left for it goes, too, and nothing more is taken.
    pub(crate) fn close(&self) {
        if let Handover::Ready(store) = std::mem::replace(&mut *self.handover.lock(), Handover::Closed) {
            reaper::dispose(store);
        }
    }

    pub(super) fn take_over(&self) -> Option<Store<Data>> {
        let mut handover = self.handover.lock();
        match std::mem::take(&mut *handover) {
            Handover::Ready(store) => Some(store),
            other => {
                *handover = other;
                None
            }
        }
    }

    pub(crate) fn outcome(&self) -> Option<Outcome> {
        self.slot.lock().outcome.take()
    }

    pub(super) fn stop_with(&self, outcome: Outcome) {
        self.slot.lock().outcome = Some(outcome);
    }

    /// Goes on on a background thread if what comes next handles so many bytes that it takes long.
    ///
    /// # Errors
    /// [`Error::Cancelled`] where the operation of the ticket has been cancelled meanwhile.
    pub(super) async fn background(&self, ticket: TicketId, cancelled: &AtomicBool, bytes: u64) -> Result<(), Error> {
        if bytes <= SHORT_BYTES || self.pace.in_background.load(Ordering::Relaxed) {
            return if cancelled.load(Ordering::Acquire) { Err(Error::Cancelled) } else { Ok(()) };
        }
        self.stop_with(Outcome::Long(ticket, bytes));
        unless_cancelled(cancelled, yield_once()).await.ok_or(Error::Cancelled)
    }

    pub(super) async fn next(&self) -> Command {
        poll_fn(|_| match self.slot.lock().command.take() {
            Some(command) => Poll::Ready(command),
            None => Poll::Pending,
        })
        .await
    }
}
