//! Records of Rust's `log` on their way to Erlang's `logger`.
//!
//! A record may be made anywhere, also on a scheduler, from where nothing can be sent without an environment. So it goes
//! to a thread of its own first, over a channel that never blocks: a flood of records is cut off, not waited for. That
//! thread sends one record at a time, and the next when Erlang has passed it on: so what waits is bounded by the channel,
//! and a record is sent again where the process that was to pass it on has been replaced.

use crate::atoms;
use log::{Level, LevelFilter, Log, Metadata, Record};
use once_cell::sync::OnceCell;
use parking_lot::{Condvar, Mutex, MutexGuard};
use rustler::{Atom, Encoder, Error, LocalPid, NifResult, OwnedEnv};
use std::sync::mpsc::{self, SyncSender, sync_channel};
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
static RECEIVER: Mutex<Receiver> = Mutex::new(Receiver { pid: None, generation: 0, passed_on: 0 });
static RECEIVER_CHANGED: Condvar = Condvar::new();

/// The process that passes records on.
struct Receiver {
    pid: Option<LocalPid>,
    /// How many there have been.
    generation: u64,
    /// The number of the last record that has been passed on.
    passed_on: u64,
}

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

/// Sends records to `pid` from now on, beginning with one that has been sent to another and not been passed on.
pub fn send_to(pid: LocalPid) {
    let mut receiver = RECEIVER.lock();
    receiver.pid = Some(pid);
    receiver.generation += 1;
    RECEIVER_CHANGED.notify_all();
}

/// The record with this number has been passed on.
pub fn passed_on(number: u64) {
    let mut receiver = RECEIVER.lock();
    receiver.passed_on = receiver.passed_on.max(number);
    RECEIVER_CHANGED.notify_all();
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
        // The compiler and the runtime below have much to say that concerns nobody who runs a node; whoever sends an image
        // with a damaged section of names would write a warning into the log of the node each time.
        metadata.target().starts_with("hb_wasm64") || metadata.level() == Level::Error
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

fn forward(entries: &mpsc::Receiver<Entry>) {
    let mut env = OwnedEnv::new();
    for (number, entry) in (1..).zip(entries) {
        let level = match entry.level {
            Level::Error => atoms::error(),
            Level::Warn => atoms::warning(),
            Level::Info => atoms::info(),
            Level::Debug | Level::Trace => atoms::debug(),
        };
        let message = (atoms::log(), number, level, entry.target.as_str(), entry.text.as_str());
        let mut sent_to = 0;
        let mut receiver = RECEIVER.lock();
        while receiver.passed_on < number {
            match receiver.pid {
                Some(pid) if receiver.generation != sent_to => {
                    sent_to = receiver.generation;
                    // A process that is gone will be replaced, and the next one asks for what it has not passed on.
                    let _ = MutexGuard::unlocked(&mut receiver, || env.send_and_clear(&pid, |env| message.encode(env)));
                }
                _ => RECEIVER_CHANGED.wait(&mut receiver),
            }
        }
    }
}
