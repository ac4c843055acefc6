//! Does on a thread of its own what the thread at hand cannot: a process that is exiting may still be finishing a slice,
//! and sends nothing any more; and in the callback of a monitor no other monitor can be ended.

use once_cell::sync::Lazy;
use std::sync::mpsc::{Sender, channel};
use std::thread;

type Errand = Box<dyn FnOnce() + Send>;

static MESSENGER: Lazy<Option<Sender<Errand>>> = Lazy::new(|| {
    let (sender, receiver) = channel::<Errand>();
    let run = move || receiver.into_iter().for_each(|errand| errand());
    match thread::Builder::new().name("hb_wasm64_send".into()).spawn(run) {
        Ok(_) => Some(sender),
        Err(error) => {
            log::error!("no messenger thread: {error}");
            None
        }
    }
});

/// Has the thread run `errand`. Never waits.
pub fn send(errand: impl FnOnce() + Send + 'static) {
    if let Some(messenger) = &*MESSENGER {
        // The receiver lives as long as the process, so that sending cannot fail.
        let _ = messenger.send(Box::new(errand));
    }
}
