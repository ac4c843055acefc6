//! Does on a thread of its own what the thread at hand cannot: a process that is exiting may still be finishing a slice,
//! and sends nothing any more; and in the callback of a monitor no other monitor can be ended.

use crate::handle::Owner;
use once_cell::sync::Lazy;
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::thread;

enum Errand {
    Wake(Arc<Owner>),
    Demonitor(Arc<Owner>),
}

static MESSENGER: Lazy<Option<Sender<Errand>>> = Lazy::new(|| {
    let (sender, receiver) = channel();
    let run = move || {
        for errand in receiver {
            match errand {
                Errand::Wake(owner) => owner.wake_from_outside(),
                Errand::Demonitor(owner) => owner.demonitor(None),
            }
        }
    };
    match thread::Builder::new().name("hb_wasm64_send".into()).spawn(run) {
        Ok(_) => Some(sender),
        Err(error) => {
            log::error!("no messenger thread: {error}");
            None
        }
    }
});

/// Wakes an owner. Never waits.
pub fn wake(owner: Arc<Owner>) {
    send(Errand::Wake(owner));
}

/// Ends the monitor of an owner. Never waits.
pub fn demonitor(owner: Arc<Owner>) {
    send(Errand::Demonitor(owner));
}

fn send(errand: Errand) {
    if let Some(messenger) = &*MESSENGER {
        // The receiver lives as long as the process, so that sending cannot fail.
        let _ = messenger.send(errand);
    }
}
