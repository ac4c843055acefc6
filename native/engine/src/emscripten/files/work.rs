//! What the file system has taken of its host while it served a program.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// What a step along a path is counted as, in bytes.
pub(super) const STEP: u64 = 64;

/// What a descriptor that is passed over is counted as.
pub(super) const DESCRIPTOR: u64 = 8;

/// Bytes that were looked at, and whether the host could not deliver. Looking does not change the file system, so this
/// is counted on a shared reference.
#[derive(Debug, Default)]
pub(super) struct Work {
    bytes: AtomicU64,
    is_short: AtomicBool,
}

impl Work {
    pub(super) fn add(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(super) fn take(&mut self) -> u64 {
        std::mem::take(self.bytes.get_mut())
    }

    pub(super) fn note_shortage(&self) {
        self.is_short.store(true, Ordering::Relaxed);
    }

    pub(super) fn take_shortage(&mut self) -> bool {
        std::mem::take(self.is_short.get_mut())
    }
}

/// A copy has done nothing yet.
impl Clone for Work {
    fn clone(&self) -> Work {
        Work::default()
    }
}
