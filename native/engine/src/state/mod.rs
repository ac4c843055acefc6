//! The state of an instance: read out, put into a fresh instance, copied from one to another.
//!
//! What a module keeps to itself is reached through the exports that `expose` has added. References to functions are stored
//! as the numbers of the functions; the table of all functions that a reference can lead to is one of those exports.

mod items;
mod pages;
mod snapshots;

use items::Items;
pub(crate) use items::grow_memory;
use pages::{put_pages, put_raw};
pub use snapshots::{Files, Snapshots};

use crate::error::{Error, Limit};
use crate::image::{Fresh, Image};
use hb_wasm64_host::State;
use hb_wasm64_snapshot::{self as snapshot, Cancellation, Entries, Kind, PAGE, Plan, Skeleton, room};
use std::ops::Range;
use std::sync::Arc;
use wasmtime::{Instance, Memory, StoreContextMut};

/// What is around an instance in its store, as far as its state is concerned.
pub(crate) trait Surroundings: Send + 'static {
    fn image(&self) -> &Arc<Image>;

    /// # Errors
    /// [`Error::Stopped`] before it has been started.
    fn instance(&self) -> Result<Instance, Error>;

    /// The memory that callers read and write.
    fn memory(&self) -> Option<Memory>;

    fn host(&self) -> Option<&State>;

    fn set_host(&mut self, host: State);
}

/// The state of an instance at one moment, between two calls.
pub struct View<'a> {
    image: &'a Image,
    skeleton: Skeleton,
    memories: &'a [snapshot::Memory<'a>],
    linear: Option<usize>,
    cancellation: Cancellation<'a>,
}

impl View<'_> {
    /// Bytes of the linear memory that callers read and write; 0 where the image has none.
    pub fn memory_size(&self) -> usize {
        self.linear_memory().bytes.len()
    }

    /// Copies that memory, as the guest sees it.
    ///
    /// # Errors
    /// [`Error::Cancelled`].
    pub fn copy_memory(&self, out: &mut [u8]) -> Result<(), Error> {
        let memory = self.linear_memory();
        pages::copy(memory.bytes, out, memory.candidates, self.cancellation)
    }

    fn linear_memory(&self) -> snapshot::Memory<'_> {
        let found = self.linear.and_then(|linear| self.memories.get(linear));
        found.copied().unwrap_or(snapshot::Memory { bytes: &[], candidates: &[] })
    }

    /// The state beside the linear memory, as a partial snapshot; none where it is as in a fresh instance. Partial
    /// snapshots are without the first memory: where callers read and write another one, or none, this is a whole snapshot.
    ///
    /// # Errors
    /// [`Error::InvalidSnapshot`] where the state is larger than snapshots can be; [`Error::Host`] where there is no room
    /// for it; [`Error::Cancelled`].
    pub fn side_state(&self) -> Result<Option<Vec<u8>>, Error> {
        let first = (!self.memories.is_empty()).then_some(0);
        let plan = self.plan(if self.linear == first { Kind::Partial } else { Kind::Full })?;
        let mut bytes = room::zeros(plan.size())?;
        plan.write(&mut bytes)?;
        Ok(Some(bytes).filter(|bytes| self.image.fresh().is_none_or(|fresh| fresh.partial != *bytes)))
    }

    /// The state on its way to becoming a snapshot.
    ///
    /// # Errors
    /// [`Error::InvalidSnapshot`] where the base of a delta belongs to another image; [`Error::Host`] where there is no room
    /// for the plan; [`Error::Cancelled`].
    pub fn plan<'s>(&'s self, kind: Kind<'s>) -> Result<Plan<'s>, Error> {
        let plan = Plan::new(self.image.hash(), &self.skeleton, self.memories, kind, self.cancellation);
        plan.map_err(Error::from)
    }

    /// Whether the work has been cancelled.
    pub fn cancellation(&self) -> Cancellation<'_> {
        self.cancellation
    }
}

/// What a fresh instance has to become before its memories are filled.
pub(crate) enum Outline {
    /// This, with memories of its sizes.
    State(Skeleton),
    /// The same, from a snapshot: tables that are as in a fresh instance are not in it.
    Snapshot(Arc<Skeleton>),
    /// A fresh instance whose linear memory has at least so many bytes.
    Memory(u64),
}

/// An instance whose state is being read: where it is, and which pages have to be looked at.
pub(crate) struct Reading {
    items: Items,
    candidates: Vec<Vec<Range<usize>>>,
    entries: u64,
}

impl Reading {
    pub(crate) fn new(store: &mut StoreContextMut<'_, impl Surroundings>) -> Result<Reading, Error> {
        let items = Items::of(store)?;
        let candidates = items.candidates(store)?;
        let entries = items.entries(store);
        Ok(Reading { items, candidates, entries })
    }

    /// Bytes that have to be looked at, roughly.
    pub(crate) fn bytes(&self) -> u64 {
        let ranges = self.candidates.iter().flatten();
        ranges.map(|range| range.len() as u64).sum::<u64>() + self.entries * ENTRY_BYTES
    }

    /// Bytes of the memory that callers read and write.
    pub(crate) fn linear_size(&self, store: &StoreContextMut<'_, impl Surroundings>) -> u64 {
        self.items.linear_memory().map_or(0, |memory| memory.data_size(store) as u64)
    }

    /// Reads out the state and lets `look` see it.
    ///
    /// # Errors
    /// [`Error::Uncapturable`] where a part of it means nothing outside of this instance; [`Error::Cancelled`]; those of
    /// `look`.
    pub(crate) fn view<T>(
        &self,
        store: &mut StoreContextMut<'_, impl Surroundings>,
        cancellation: Cancellation<'_>,
        look: impl FnOnce(&View<'_>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let mut skeleton = self.items.skeleton(store, cancellation)?;
        if let Some(fresh) = self.items.image.fresh() {
            skeleton.tables.retain(|table| !fresh.tables.contains(table));
        }
        self.items.look(store, skeleton, &self.candidates, cancellation, look)
    }
}

/// What reading an entry of a table costs, in bytes of a memory that are read in that time.
const ENTRY_BYTES: u64 = 64;

/// Bytes that finding out which pages of all memories to look at costs: the kernel keeps a word for each page.
pub(crate) fn lookup_bytes(store: &mut StoreContextMut<'_, impl Surroundings>) -> Result<u64, Error> {
    const PAGES_BYTES: u64 = 64;

    let items = Items::of(store)?;
    let bytes = items.memories.iter().map(|memory| memory.data_size(&*store) as u64).sum::<u64>();
    Ok(bytes / PAGES_BYTES)
}

/// The tables of an instance.
///
/// # Errors
/// [`Error::Uncapturable`] where an entry means nothing outside of this instance; [`Error::Cancelled`].
pub(crate) fn tables(
    store: &mut StoreContextMut<'_, impl Surroundings>,
    cancellation: Cancellation<'_>,
) -> Result<Vec<(u32, Entries)>, Error> {
    Ok(Items::of(store)?.skeleton(store, cancellation)?.tables)
}

/// What an instance is like that has been started and initialized, with tables that were like these before the latter.
pub(crate) fn fresh(
    store: &mut StoreContextMut<'_, impl Surroundings>,
    tables: Vec<(u32, Entries)>,
    cancellation: Cancellation<'_>,
) -> Result<Fresh, Error> {
    let Reading { items, candidates, .. } = Reading::new(store)?;
    let mut skeleton = items.skeleton(store, cancellation)?;
    skeleton.tables.retain(|table| !tables.contains(table));
    let partial = items.look(store, skeleton, &candidates, cancellation, |view| view.side_state())?.unwrap_or_default();
    Ok(Fresh { tables, partial })
}

/// Everything but the contents of memories, tables as they are.
pub(crate) fn skeleton(
    store: &mut StoreContextMut<'_, impl Surroundings>,
    cancellation: Cancellation<'_>,
) -> Result<Skeleton, Error> {
    Items::of(store)?.skeleton(store, cancellation)
}

/// Makes a fresh instance what the outline says.
///
/// # Errors
/// [`Error::InvalidSnapshot`] where the image has no such state, [`Error::Limit`] where it is too large,
/// [`Error::Cancelled`].
pub(crate) async fn put(
    store: &mut StoreContextMut<'_, impl Surroundings>,
    outline: &Outline,
    cancellation: Cancellation<'_>,
) -> Result<(), Error> {
    let items = Items::of(store)?;
    match outline {
        Outline::State(skeleton) => items.put_skeleton(store, skeleton, cancellation).await,
        Outline::Snapshot(skeleton) => {
            let fresh = items.skeleton(store, cancellation)?;
            items.put_skeleton(store, skeleton, cancellation).await?;
            // A state that no instance can be in would make another snapshot than the one it came from.
            let mut now = items.skeleton(store, cancellation)?;
            now.tables.retain(|table| !fresh.tables.contains(table));
            // What the host keeps comes with the memories, and is checked there.
            now.memories.truncate(items.memories.len());
            now.memories.extend(skeleton.memories.get(items.memories.len()..).unwrap_or_default());
            let is_there = now == **skeleton;
            is_there.then_some(()).ok_or_else(|| invalid("a state that no instance of this image can be in"))
        }
        Outline::Memory(bytes) => match items.linear_memory() {
            Some(memory) => grow_memory(store, memory, *bytes).await,
            None if *bytes == 0 => Ok(()),
            None => Err(Error::Limit(Limit::Memory)),
        },
    }
}

/// Copies what memories hold to an instance with memories of the same sizes.
///
/// # Errors
/// [`Error::Host`] where there is no room to find out what to copy; [`Error::Cancelled`].
pub(crate) fn copy_memories(
    reading: &Reading,
    from: &mut StoreContextMut<'_, impl Surroundings>,
    to: &mut StoreContextMut<'_, impl Surroundings>,
    cancellation: Cancellation<'_>,
) -> Result<(), Error> {
    let target = Items::of(to)?;
    for (index, memory) in reading.items.memories(from, &reading.candidates).enumerate() {
        let (bytes, initial) = target.memory_mut(to, index, false)?;
        for range in memory.candidates {
            let (start, end) = (range.start / PAGE * PAGE, range.end.min(memory.bytes.len()));
            let pages = memory.bytes.get(start..end).unwrap_or_default();
            put_pages(bytes.get_mut(start..end).unwrap_or_default(), pages, start, &initial, cancellation)?;
        }
    }
    Ok(())
}

/// Copies the linear memory to that of an instance of the same image, which is as large or larger, with zeros behind.
///
/// # Errors
/// [`Error::Host`] where there is no room to find out what to copy; [`Error::Cancelled`].
pub(crate) fn copy_linear_memory(
    reading: &Reading,
    from: &mut StoreContextMut<'_, impl Surroundings>,
    to: &mut StoreContextMut<'_, impl Surroundings>,
    cancellation: Cancellation<'_>,
) -> Result<(), Error> {
    let target = Items::of(to)?;
    let Some(index) = target.linear else { return Ok(()) };
    let Some(memory) = reading.items.memories(from, &reading.candidates).nth(index) else { return Ok(()) };
    let (bytes, initial) = target.memory_mut(to, index, true)?;
    pages::put_memory(bytes, memory.bytes, memory.candidates, &initial, cancellation)
}

/// Copies all of the linear memory to `out`, which is as large. Pages that nobody has touched are not read.
///
/// # Errors
/// [`Error::Host`] where there is no room to find out which these are; [`Error::Cancelled`].
pub(crate) fn copy_linear(
    store: &mut StoreContextMut<'_, impl Surroundings>,
    out: &mut [u8],
    cancellation: Cancellation<'_>,
) -> Result<(), Error> {
    let items = Items::of(store)?;
    let Some(index) = items.linear else { return Ok(()) };
    let (memory, initial) = items.memory_mut(store, index, true)?;
    pages::copy(memory, out, &initial, cancellation)
}

/// Makes `raw` all of the linear memory, which is as large or larger, with zeros behind. What is zeros already is not
/// written, and what nobody has touched is not looked at.
///
/// # Errors
/// [`Error::Host`] where there is no room to find out what was touched. The memory is as it was then.
pub(crate) fn overwrite_linear(store: &mut StoreContextMut<'_, impl Surroundings>, raw: &[u8]) -> Result<(), Error> {
    let items = Items::of(store)?;
    let Some(index) = items.linear else { return Ok(()) };
    let (memory, initial) = items.memory_mut(store, index, true)?;
    // Half of it would be worse than all of it.
    put_raw(memory, raw, &initial, Cancellation::never())
}

fn invalid(text: &str) -> Error {
    Error::malformed_snapshot(text)
}
