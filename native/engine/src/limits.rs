//! What a guest may grow to.
//!
//! Growth is refused by these limits only. A host that cannot deliver ends the call with an error, as a `-1` would let
//! the guest see how much memory its host has.

use crate::error::{HostFailure, Limit};
use crate::task::{Pace, yield_once};
use std::sync::Arc;
use wasmtime::ResourceLimiterAsync;

/// Bytes that one linear memory may have.
pub(crate) const MEMORY_BYTES: usize = 16 << 30;

/// Elements that one table may have.
const TABLE_ELEMENTS: usize = 10_000_000;

/// Memory that one instruction (`memory.fill`, `memory.copy`) may have to walk through while a normal scheduler waits.
const SMALL_MEMORY_BYTES: usize = 16 << 20;

/// The same for `table.fill` and its like.
const SMALL_TABLE_ELEMENTS: usize = 1 << 20;

/// The limits of one instance, and what came of them.
pub(crate) struct Limits {
    /// The limit that refused growth last. Tells why an instance could not start.
    pub(crate) refused: Option<Limit>,
    /// Growth was within all limits, so that a failure is the host's.
    granted: bool,
    pace: Arc<Pace>,
}

impl Limits {
    pub(crate) fn new(pace: Arc<Pace>) -> Limits {
        Limits { refused: None, granted: false, pace }
    }

    async fn grow(&mut self, desired: usize, limit: usize, maximum: Option<usize>, kind: Limit, small: usize) -> bool {
        if desired > limit {
            self.refused = Some(kind);
            self.granted = false;
            return false;
        }
        self.granted = maximum.is_none_or(|maximum| desired <= maximum);
        // From here on a single instruction can take long: go on where that hurts nobody.
        if desired > small && self.pace.now_large() {
            yield_once().await;
        }
        true
    }

    /// Wasmtime also reports sizes here that overflow, without asking for them first: those are refused by the standard.
    fn failed(&mut self, error: &wasmtime::Error) -> wasmtime::Result<()> {
        let overflow = format!("{error:#}").contains("overflow");
        if std::mem::take(&mut self.granted) && !overflow { Err(HostFailure::OutOfMemory.into()) } else { Ok(()) }
    }
}

#[async_trait::async_trait]
impl ResourceLimiterAsync for Limits {
    async fn memory_growing(&mut self, _: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        Ok(self.grow(desired, MEMORY_BYTES, maximum, Limit::Memory, SMALL_MEMORY_BYTES).await)
    }

    fn memory_grow_failed(&mut self, error: wasmtime::Error) -> wasmtime::Result<()> {
        self.failed(&error)
    }

    async fn table_growing(&mut self, _: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        Ok(self.grow(desired, TABLE_ELEMENTS, maximum, Limit::Table, SMALL_TABLE_ELEMENTS).await)
    }

    fn table_grow_failed(&mut self, error: wasmtime::Error) -> wasmtime::Result<()> {
        self.failed(&error)
    }
}
