//! The end of long work that nobody wants any more.

use crate::error::{Result, SnapshotError};
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether long work has been cancelled. It is looked at for every page.
#[derive(Clone, Copy, Debug)]
pub struct Cancellation<'a>(&'a AtomicBool);

impl<'a> Cancellation<'a> {
    /// Work is cancelled once this flag is up.
    pub fn by(flag: &'a AtomicBool) -> Cancellation<'a> {
        Cancellation(flag)
    }

    /// Work that nobody cancels.
    pub fn never() -> Cancellation<'static> {
        static NEVER: AtomicBool = AtomicBool::new(false);
        Cancellation(&NEVER)
    }

    /// # Errors
    /// [`SnapshotError::Cancelled`] once the work has been cancelled.
    pub fn check(self) -> Result<()> {
        if self.0.load(Ordering::Acquire) { Err(SnapshotError::Cancelled) } else { Ok(()) }
    }
}
