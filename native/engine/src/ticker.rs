//! The clock of the time slices: a thread that ticks while some guest runs, and sleeps otherwise.

use crate::config;
use once_cell::sync::Lazy;
use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread::{self, Thread};
use std::time::Duration;
use wasmtime::Engine;

/// Length of a slice unless somebody says otherwise, in microseconds.
const SLICE_MICROSECONDS: u64 = 1000;

/// The slices that can be set, in microseconds. Below, switching takes longer than running; above, callers wait for long.
pub const SLICES: RangeInclusive<u64> = 100..=100_000;

/// Ticks in a slice, the one that it begins in included: a slice lasts from half its length to a whole one. With one tick
/// as long as a slice it could end at once, and short calls would be cut up for nothing.
pub(crate) const SLICE_TICKS: u64 = 2;

/// Ticks without any guest after which the thread sleeps. Waking it costs a system call, so that it stays up over the
/// short pauses between the calls of a busy node.
const IDLE_TICKS: u32 = 100;

static SLICE: AtomicU64 = AtomicU64::new(SLICE_MICROSECONDS);
static RUNNING: AtomicUsize = AtomicUsize::new(0);
static ASLEEP: AtomicBool = AtomicBool::new(false);
static THREAD: Lazy<Option<Thread>> =
    Lazy::new(|| match thread::Builder::new().name("hb_wasm64_ticker".into()).spawn(tick) {
        Ok(handle) => Some(handle.thread().clone()),
        Err(error) => {
            log::error!("no ticker thread, guests run without time slices: {error}");
            None
        }
    });

/// Says that a guest runs, as long as it lives.
pub(crate) struct Running(());

impl Running {
    pub(crate) fn start() -> Running {
        RUNNING.fetch_add(1, Ordering::SeqCst);
        if let Some(thread) = &*THREAD
            && ASLEEP.load(Ordering::SeqCst)
        {
            thread.unpark();
        }
        Running(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        RUNNING.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Sets how long a guest runs at a time, in microseconds, from the next tick on. No result depends on it.
pub fn set_slice(microseconds: u64) {
    SLICE.store(microseconds.clamp(*SLICES.start(), *SLICES.end()), Ordering::Relaxed);
}

fn tick() {
    let mut idle = 0;
    loop {
        thread::sleep(Duration::from_micros(SLICE.load(Ordering::Relaxed) / SLICE_TICKS));
        config::engines().for_each(Engine::increment_epoch);
        idle = if RUNNING.load(Ordering::SeqCst) == 0 { idle + 1 } else { 0 };
        if idle < IDLE_TICKS {
            continue;
        }
        // The flag goes up before the count is read once more: a guest that starts in between sees one or the other.
        ASLEEP.store(true, Ordering::SeqCst);
        while RUNNING.load(Ordering::SeqCst) == 0 {
            thread::park();
        }
        ASLEEP.store(false, Ordering::SeqCst);
        idle = 0;
    }
}
