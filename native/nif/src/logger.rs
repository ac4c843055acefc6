//! Records of Rust's `log` on their way to Erlang's `logger`.
//!
//! A record may be made anywhere, also on a scheduler, from where nothing can be sent without an environment. So it goes
//! to a thread of its own first, over a channel that never blocks: a flood of records is cut off, not waited for.

use crate::atoms;
use log::{Level, LevelFilter, Log, Metadata, Record};
use once_cell::sync::OnceCell;
use parking_lot::Mutex;
use rustler::{Atom, Encoder, Error, LocalPid, NifResult, OwnedEnv};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

/// Records that may wait for the thread.
const QUEUE: usize = 1024;

struct Entry {
    level: Level,
    target: String,
    text: String,
}

struct Forwarder(SyncSender<Entry>);

static FORWARDER: OnceCell<Forwarder> = OnceCell::new();
static RECEIVER: Mutex<Option<LocalPid>> = Mutex::new(None);

/// Becomes the logger of this library. Doing so again does nothing.
pub fn install() {
    let (sender, receiver) = sync_channel(QUEUE);
    if FORWARDER.set(Forwarder(sender)).is_err() {
        return;
    }
    let forwarding = thread::Builder::new().name("hb_wasm64_log".into()).spawn(move || forward(&receiver));
    if let (Ok(_), Some(forwarder)) = (forwarding, FORWARDER.get())
        && log::set_logger(forwarder).is_ok()
    {
        log::set_max_level(LevelFilter::Warn);
    }
}

/// Sends records to `pid` from now on.
pub fn send_to(pid: LocalPid, level: Atom) -> NifResult<Atom> {
    *RECEIVER.lock() = Some(pid);
    set_level(level)
}

pub fn set_level(level: Atom) -> NifResult<Atom> {
    let levels = [
        (atoms::off(), LevelFilter::Off),
        (atoms::error(), LevelFilter::Error),
        (atoms::warning(), LevelFilter::Warn),
        (atoms::info(), LevelFilter::Info),
        (atoms::debug(), LevelFilter::Debug),
    ];
    let (_, filter) = levels.into_iter().find(|(atom, _)| *atom == level).ok_or(Error::BadArg)?;
    log::set_max_level(filter);
    Ok(atoms::ok())
}

impl Log for Forwarder {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        // The compiler and the runtime below have much to say that concerns nobody who runs a node.
        metadata.target().starts_with("hb_wasm64") || metadata.level() <= Level::Warn
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            let (target, text) = (record.target().to_owned(), record.args().to_string());
            // Full means that there is more to read already than anybody will.
            let _ = self.0.try_send(Entry { level: record.level(), target, text });
        }
    }

    fn flush(&self) {}
}

fn forward(entries: &Receiver<Entry>) {
    let mut env = OwnedEnv::new();
    for entry in entries {
        let Some(pid) = *RECEIVER.lock() else { continue };
        let level = match entry.level {
            Level::Error => atoms::error(),
            Level::Warn => atoms::warning(),
            Level::Info => atoms::info(),
            Level::Debug | Level::Trace => atoms::debug(),
        };
        let message = (atoms::log(), level, entry.target.as_str(), entry.text.as_str());
        // A receiver that is gone will be replaced by the next start.
        let _ = env.send_and_clear(&pid, |env| message.encode(env));
    }
}
