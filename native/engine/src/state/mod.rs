//! The state of an instance: read out, put into a fresh instance, copied from one to another.
//!
//! What a module keeps to itself is reached through the exports that `expose` has added. References to functions are told
//! by the numbers of the functions; the table of all functions that a reference can lead to is one of those exports.

mod exports;
mod items;
mod pages;
mod snapshots;

pub(crate) use exports::StateExports;
use items::Items;
pub(crate) use items::grow_memory;
use pages::put_pages;
pub use snapshots::{Kept, Snapshots};

use crate::error::{Error, Limit};
use crate::image::Image;
use crate::snapshot::{self, Entries, Kind, PAGE, Plan, Rest, SnapshotError};
use crate::task::Data;
use wasmtime::StoreContextMut;

/// The state of an instance at one moment, between two calls.
pub struct View<'a> {
    image: &'a Image,
    rest: Rest,
    memories: &'a [snapshot::Memory<'a>],
    linear: Option<usize>,
}

impl View<'_> {
    /// The linear memory that callers read and write, as the guest sees it; empty where the image has none.
    pub fn memory(&self) -> &[u8] {
        self.linear.and_then(|linear| self.memories.get(linear)).map_or(&[], |memory| memory.bytes)
    }

    /// What there is beside the linear memory, as a partial snapshot; none where it is as in a fresh instance. Partial
    /// snapshots are without the first memory: where callers read and write another one, or none, this is a whole snapshot.
    ///
    /// # Errors
    /// [`Error::InvalidSnapshot`] where the state is larger than snapshots can be.
    pub fn rest(&self) -> Result<Option<Vec<u8>>, Error> {
        let first = (!self.memories.is_empty()).then_some(0);
        let plan = self.plan(if self.linear == first { Kind::Partial } else { Kind::Full })?;
        let mut bytes = vec![0; plan.size()];
        plan.write(&mut bytes)?;
        Ok(Some(bytes).filter(|bytes| self.image.fresh().is_none_or(|fresh| fresh.partial != *bytes)))
    }

    /// The state on its way to becoming a snapshot.
    ///
    /// # Errors
    /// [`Error::InvalidSnapshot`] where the base of a delta is none of this image's.
    pub fn plan<'s>(&'s self, kind: Kind<'s>) -> Result<Plan<'s>, Error> {
        Plan::new(self.image.hash(), &self.rest, self.memories, kind).map_err(Error::from)
    }
}

impl From<SnapshotError> for Error {
    fn from(error: SnapshotError) -> Error {
        match error {
            SnapshotError::Host(text) => Error::Host(text),
            error => Error::InvalidSnapshot(error.to_string()),
        }
    }
}

fn invalid(text: &str) -> Error {
    Error::InvalidSnapshot(text.into())
}

/// What a fresh instance has to become before its memories are filled.
pub(crate) enum Outline {
    /// This, with memories of its sizes.
    State(Rest),
    /// The same, from a snapshot: tables that are as in a fresh instance are not in it.
    Snapshot(Rest),
    /// A fresh instance whose linear memory has at least so many bytes.
    Memory(u64),
}

/// What a fresh instance of an image is like.
pub(crate) struct Fresh {
    tables: Vec<(u32, Entries)>,
    /// Its partial snapshot.
    partial: Vec<u8>,
}

impl Fresh {
    /// Where constructors fail: no state is as after a start.
    pub(crate) fn unknown(tables: Vec<(u32, Entries)>) -> Fresh {
        Fresh { tables, partial: Vec::new() }
    }
}

/// Reads out the state and lets `look` see it.
///
/// # Errors
/// [`Error::Uncapturable`] where a part of it means nothing outside of this instance.
pub(crate) fn view<T>(store: &mut StoreContextMut<'_, Data>, look: impl FnOnce(&View<'_>) -> T) -> Result<T, Error> {
    let items = Items::of(store)?;
    let mut rest = items.rest(store)?;
    if let Some(fresh) = items.image.fresh() {
        rest.tables.retain(|table| !fresh.tables.contains(table));
    }
    items.look(store, rest, look)
}

/// The tables of an instance.
///
/// # Errors
/// As [`view`].
pub(crate) fn tables(store: &mut StoreContextMut<'_, Data>) -> Result<Vec<(u32, Entries)>, Error> {
    Ok(Items::of(store)?.rest(store)?.tables)
}

/// What an instance is like that has been started and initialized, with tables that were like these before the latter.
pub(crate) fn fresh(store: &mut StoreContextMut<'_, Data>, tables: Vec<(u32, Entries)>) -> Result<Fresh, Error> {
    let items = Items::of(store)?;
    let mut rest = items.rest(store)?;
    rest.tables.retain(|table| !tables.contains(table));
    let partial = items.look(store, rest, |view| view.rest())??.unwrap_or_default();
    Ok(Fresh { tables, partial })
}

/// Everything but the contents of memories, tables as they are.
pub(crate) fn rest(store: &mut StoreContextMut<'_, Data>) -> Result<Rest, Error> {
    Items::of(store)?.rest(store)
}

/// Makes a fresh instance what the outline says.
///
/// # Errors
/// [`Error::InvalidSnapshot`] where the image has no such state, [`Error::Limit`] where it is too large.
pub(crate) async fn put(store: &mut StoreContextMut<'_, Data>, outline: &Outline) -> Result<(), Error> {
    let items = Items::of(store)?;
    match outline {
        Outline::State(rest) => items.put_rest(store, rest).await,
        Outline::Snapshot(rest) => {
            let fresh = items.rest(store)?;
            items.put_rest(store, rest).await?;
            // A state that no instance can be in would make another snapshot than the one it came from.
            let mut now = items.rest(store)?;
            now.tables.retain(|table| !fresh.tables.contains(table));
            // What the host keeps comes with the memories, and is checked there.
            now.memories.truncate(items.memories.len());
            now.memories.extend(rest.memories.get(items.memories.len()..).unwrap_or_default());
            if now == *rest { Ok(()) } else { Err(invalid("a state that no instance of this image can be in")) }
        }
        Outline::Memory(bytes) => match items.linear_memory() {
            Some(memory) => grow_memory(store, memory, *bytes).await,
            None if *bytes == 0 => Ok(()),
            None => Err(Error::Limit(Limit::Memory)),
        },
    }
}

/// Copies what memories hold to an instance with memories of the same sizes.
pub(crate) fn copy_memories(
    from: &mut StoreContextMut<'_, Data>,
    to: &mut StoreContextMut<'_, Data>,
) -> Result<(), Error> {
    let (source, target) = (Items::of(from)?, Items::of(to)?);
    let candidates = source.candidates(from);
    for (index, memory) in source.memories(from, &candidates).enumerate() {
        let (bytes, initial) = target.memory_mut(to, index, false)?;
        for range in memory.candidates {
            let (start, end) = (range.start / PAGE * PAGE, range.end.min(memory.bytes.len()));
            let pages = memory.bytes.get(start..end).unwrap_or_default();
            put_pages(bytes.get_mut(start..end).unwrap_or_default(), pages, start, &initial);
        }
    }
    Ok(())
}
