//! Where an instance may be run, and how it makes way for others.

use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;

/// How the instance may be run: what its size and its thread allow.
#[derive(Default)]
pub(crate) struct Pace {
    /// The guest runs on a normal scheduler right now.
    pub(crate) on_scheduler: AtomicBool,
    /// The task is polled on a background thread right now.
    pub(crate) in_background: AtomicBool,
    /// One instruction of the guest can take long.
    pub(crate) large: AtomicBool,
}

impl Pace {
    /// Notes that the instance has become large; whether it should leave the thread that it is on.
    pub(crate) fn now_large(&self) -> bool {
        self.large.store(true, Ordering::Relaxed);
        self.on_scheduler.load(Ordering::Relaxed)
    }
}

/// Stops the task once without an outcome.
pub(crate) async fn yield_once() {
    let mut yielded = false;
    poll_fn(|_| if std::mem::replace(&mut yielded, true) { Poll::Ready(()) } else { Poll::Pending }).await;
}
