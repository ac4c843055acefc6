//! Holds an instance to its limits, and all instances to the address space that there is.
//!
//! Growth is refused by fixed limits only. A host that cannot deliver ends the call with an error, as a `-1` would let
//! the guest see how much memory its host has.

use crate::config::EngineKind;
use crate::error::{Error, HostFailure, Limit};
use crate::limits::{
    ADDRESS_SPACE_BYTES, MEMORY_BYTES, MEMORY32_BYTES, SMALL_MEMORY_BYTES, SMALL_TABLE_ELEMENTS, TABLE_ELEMENTS,
};
use crate::task::{Pace, yield_once};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use wasmparser::{Parser, Payload};
use wasmtime::ResourceLimiterAsync;

/// What an image declares of memories and tables.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Declared {
    memories: u64,
    /// Bytes that they have at the start, together.
    initial_bytes: u64,
    /// Those of them that may grow to exactly 4 GiB.
    memories_of_4_gib: u64,
    /// Bytes that these have at the start, together.
    initial_bytes_of_4_gib: u64,
    /// Bytes that the largest memory may grow to.
    most_bytes: u64,
    /// Elements that the tables have at the start, together.
    initial_elements: u64,
    /// It throws exceptions, which live on a heap that grows, too.
    has_exceptions: bool,
}

impl Declared {
    /// What a valid module declares. `throws` is whether it throws exceptions even without a tag of its own.
    ///
    /// # Errors
    /// [`Error::InvalidModule`] where it is not valid.
    pub(crate) fn of(module: &[u8], throws: bool) -> Result<Declared, Error> {
        let malformed = |error: wasmparser::Error| Error::InvalidModule(error.to_string());
        let mut declared = Declared { has_exceptions: throws, ..Declared::default() };
        for payload in Parser::new(0).parse_all(module) {
            match payload.map_err(malformed)? {
                Payload::MemorySection(memories) => {
                    for memory in memories {
                        declared.memory(&memory.map_err(malformed)?);
                    }
                }
                Payload::TableSection(tables) => {
                    for table in tables {
                        let initial = table.map_err(malformed)?.ty.initial;
                        declared.initial_elements = declared.initial_elements.saturating_add(initial);
                    }
                }
                Payload::TagSection(_) => declared.has_exceptions = true,
                // All of these come before it.
                Payload::CodeSectionStart { .. } => break,
                _ => {}
            }
        }
        Ok(declared)
    }

    fn memory(&mut self, memory: &wasmparser::MemoryType) {
        let page = 1 << memory.page_size_log2.unwrap_or(16);
        let initial = memory.initial.saturating_mul(page);
        let representable = if memory.memory64 { u64::MAX } else { MEMORY32_BYTES };
        let most = memory.maximum.map_or(representable, |pages| pages.saturating_mul(page));
        self.memories += 1;
        self.initial_bytes = self.initial_bytes.saturating_add(initial);
        self.most_bytes = self.most_bytes.max(most);
        if most == MEMORY32_BYTES {
            self.memories_of_4_gib += 1;
            self.initial_bytes_of_4_gib = self.initial_bytes_of_4_gib.saturating_add(initial);
        }
    }

    /// The kind of engine that the image needs.
    pub(crate) fn engine_kind(&self) -> EngineKind {
        EngineKind { large_memory: self.most_bytes > EngineKind::default().reservation() }
    }

    /// Bytes that count as used from the start to the end.
    ///
    /// Wasmtime asks for the growth of the exceptions' heap, which is no memory of the image, as for that of a memory that
    /// may grow to 4 GiB. Where there can be such a heap, the memories that may be mistaken for it count as full.
    fn fixed_bytes(&self) -> u64 {
        if self.has_exceptions { self.memories_of_4_gib.saturating_mul(MEMORY32_BYTES) } else { 0 }
    }

    /// Whether an instance stays within its limits at the start.
    ///
    /// # Errors
    /// [`Error::Limit`].
    pub(crate) fn check(&self) -> Result<(), Error> {
        let fixed = self.fixed_bytes();
        let not_fixed = self.initial_bytes - if fixed > 0 { self.initial_bytes_of_4_gib } else { 0 };
        if fixed.saturating_add(not_fixed) > MEMORY_BYTES {
            return Err(Error::Limit(Limit::Memory));
        }
        if self.initial_elements > TABLE_ELEMENTS { Err(Error::Limit(Limit::Table)) } else { Ok(()) }
    }

    /// Reserves the address space of the memories of one more instance.
    ///
    /// # Errors
    /// [`Error::Limit`] where the instances there are have all of it.
    pub(crate) fn reserve(&self) -> Result<AddressSpace, Error> {
        AddressSpace::reserve(self.memories.saturating_mul(self.engine_kind().reservation()))
            .ok_or(Error::Limit(Limit::Instances))
    }
}

static RESERVED: AtomicU64 = AtomicU64::new(0);

/// Address space of one instance, as long as it lives.
#[derive(Debug)]
pub(crate) struct AddressSpace(u64);

impl AddressSpace {
    fn reserve(bytes: u64) -> Option<AddressSpace> {
        let more = |reserved: u64| reserved.checked_add(bytes).filter(|sum| *sum <= ADDRESS_SPACE_BYTES);
        RESERVED.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).ok()?;
        Some(AddressSpace(bytes))
    }
}

impl Drop for AddressSpace {
    fn drop(&mut self) {
        RESERVED.fetch_sub(self.0, Ordering::Relaxed);
    }
}

/// What the memories or the tables of an instance have together.
struct Total {
    used: u64,
    most: u64,
    /// What was granted last. A host that cannot deliver reports it at once, before anything else is asked for.
    granted: u64,
}

impl Total {
    fn new(used: u64, most: u64) -> Total {
        Total { used, most, granted: 0 }
    }

    fn grant(&mut self, more: u64) -> bool {
        let is_granted = more <= self.most.saturating_sub(self.used);
        self.granted = if is_granted { more } else { 0 };
        self.used += self.granted;
        is_granted
    }

    fn take_back(&mut self) {
        self.used -= std::mem::take(&mut self.granted);
    }
}

/// Holds one instance to its limits.
pub(crate) struct Limiter {
    memory: Total,
    /// The maximum of memories whose growth does not count.
    fixed: Option<u64>,
    table: Total,
    pace: Arc<Pace>,
}

impl Limiter {
    /// For an instance of an image that declares this, with a table of `own_elements` beside the declared ones.
    pub(crate) fn new(pace: Arc<Pace>, declared: &Declared, own_elements: u64) -> Limiter {
        Limiter {
            memory: Total::new(declared.fixed_bytes(), MEMORY_BYTES),
            fixed: declared.has_exceptions.then_some(MEMORY32_BYTES),
            table: Total::new(0, TABLE_ELEMENTS.saturating_add(own_elements)),
            pace,
        }
    }

    /// From here on a single instruction can take long: goes on where that hurts nobody.
    async fn slow_down(&self) {
        if self.pace.now_large() {
            yield_once().await;
        }
    }
}

#[async_trait::async_trait]
impl ResourceLimiterAsync for Limiter {
    async fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let counts = self.fixed.is_none_or(|fixed| maximum.map(|maximum| maximum as u64) != Some(fixed));
        let more = if counts { desired.saturating_sub(current) as u64 } else { 0 };
        let granted = maximum.is_none_or(|maximum| desired <= maximum) && self.memory.grant(more);
        if granted && desired > SMALL_MEMORY_BYTES {
            self.slow_down().await;
        }
        Ok(granted)
    }

    /// Wasmtime asks above for every growth of a memory, and what the image does not allow has been refused there: this
    /// is about the host.
    fn memory_grow_failed(&mut self, error: wasmtime::Error) -> wasmtime::Result<()> {
        log::warn!("no memory for a guest: {error:#}");
        self.memory.take_back();
        Err(HostFailure::OutOfMemory.into())
    }

    async fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let more = desired.saturating_sub(current) as u64;
        let granted = maximum.is_none_or(|maximum| desired <= maximum) && self.table.grant(more);
        if granted && desired > SMALL_TABLE_ELEMENTS {
            self.slow_down().await;
        }
        Ok(granted)
    }

    /// Wasmtime reports here only what no machine can count, without asking above; the standard refuses that. A table that
    /// the host has no room for ends the call by itself.
    fn table_grow_failed(&mut self, _: wasmtime::Error) -> wasmtime::Result<()> {
        Ok(())
    }
}
