//! A thread that drops what is expensive to drop.
//!
//! Unmapping a memory, unwinding a suspended fiber or freeing compiled code takes longer than a destructor on a
//! scheduler may. Whoever holds such a thing sends it here instead.

use once_cell::sync::Lazy;
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Sender, channel};
use std::thread;

type Remains = Box<dyn Any + Send>;

static REAPER: Lazy<Option<Sender<Remains>>> = Lazy::new(|| {
    let (sender, receiver) = channel::<Remains>();
    let reap = move || {
        for remains in receiver {
            // A destructor that panics must not end the thread that all others depend on.
            if catch_unwind(AssertUnwindSafe(|| drop(remains))).is_err() {
                log::error!("a destructor panicked in the reaper");
            }
        }
    };
    match thread::Builder::new().name("hb_wasm64_reaper".into()).spawn(reap) {
        Ok(_) => Some(sender),
        Err(error) => {
            log::error!("no reaper thread, instances are dropped where they end: {error}");
            None
        }
    }
});

/// Drops `remains` on the reaper thread. Never waits.
pub(crate) fn dispose(remains: impl Any + Send) {
    if let Some(reaper) = &*REAPER {
        // The receiver lives as long as the process, so that sending cannot fail.
        let _ = reaper.send(Box::new(remains));
    }
}

/// Waits until everything disposed of before is gone. Not for schedulers.
pub fn drain() {
    let (sender, receiver) = channel::<()>();
    struct Signal(Sender<()>);
    impl Drop for Signal {
        fn drop(&mut self) {
            let _ = self.0.send(());
        }
    }
    dispose(Signal(sender));
    let _ = receiver.recv();
}
