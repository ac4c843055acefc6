//! Snapshots to be read, and what they make of a fresh instance.

use super::items::Items;
use super::pages::put_raw;
use super::{ENTRY_BYTES, Outline, Surroundings};
use crate::error::{Error, Limit};
use crate::image::Image;
use crate::limits::{MEMORY_BYTES, TABLE_ELEMENTS};
use hb_wasm64_host::{Runtime, State};
use hb_wasm64_snapshot::{self as snapshot, Cancellation, Code, PAGE, Resolved, Snapshot, SnapshotError, room};
use wasmtime::StoreContextMut;

/// The files of snapshots, which are kept somewhere else while they are needed.
pub trait Files: Send {
    /// Lets `look` see them.
    fn with(&self, look: &mut dyn FnMut(&[&[u8]]));
}

/// Snapshots to be read: a chain of them, or the raw linear memory and the state beside it.
pub struct Snapshots {
    files: Box<dyn Files>,
    raw: bool,
}

/// What snapshots hold.
struct Given<'a> {
    raw: Option<&'a [u8]>,
    state: Option<Resolved<'a>>,
}

impl Snapshots {
    /// A whole snapshot, and any number of deltas, each against the one before.
    pub fn whole(files: impl Files + 'static) -> Snapshots {
        Snapshots { files: Box::new(files), raw: false }
    }

    /// The bytes of the linear memory, and the state beside it unless that is as in a fresh instance.
    pub fn raw(files: impl Files + 'static) -> Snapshots {
        Snapshots { files: Box::new(files), raw: true }
    }

    /// Gives `look` the state that the snapshots make together.
    ///
    /// # Errors
    /// [`Error::InvalidSnapshot`]; [`Error::Host`] where there is no room; [`Error::Cancelled`]; those of `look`.
    pub fn resolve<T>(
        &self,
        cancellation: Cancellation<'_>,
        look: impl FnOnce(&Resolved<'_>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        self.with(cancellation, |given| match given.state {
            Some(state) => look(&state),
            None => Err(SnapshotError::NoSnapshot.into()),
        })
    }

    /// The snapshots as one whole snapshot, in a buffer of its size that `room` makes.
    ///
    /// # Errors
    /// [`Error::InvalidSnapshot`]; [`Error::Limit`] where no instance has memories of such sizes; those of `room`;
    /// [`Error::Cancelled`].
    pub fn merge<B>(
        &self,
        cancellation: Cancellation<'_>,
        room: impl FnOnce(usize) -> Result<B, Error>,
        bytes: impl FnOnce(&mut B) -> &mut [u8],
    ) -> Result<B, Error> {
        self.resolve(cancellation, |state| {
            if state.skeleton().memories.iter().any(|bytes| *bytes > MEMORY_BYTES) {
                return Err(Error::Limit(Limit::Memory));
            }
            let mut merged = room(state.merged_size()?)?;
            state.merge_into(bytes(&mut merged))?;
            Ok(merged)
        })
    }

    /// Bytes of all of them together.
    pub fn bytes(&self) -> u64 {
        let mut bytes = 0;
        self.files.with(&mut |parts| bytes = parts.iter().map(|part| part.len() as u64).sum());
        bytes
    }

    /// Bytes that are handled to read them, with pages decompressed.
    pub fn work_bytes(&self) -> u64 {
        let mut bytes = 0;
        self.files.with(&mut |parts| {
            let (raw, chain) = if self.raw { parts.split_at(parts.len().min(1)) } else { (&[][..], parts) };
            let raw: u64 = raw.iter().map(|part| part.len() as u64).sum();
            bytes = chain.iter().map(|part| snapshot::work_bytes(part)).fold(raw, u64::saturating_add);
        });
        bytes
    }

    fn with<T>(
        &self,
        cancellation: Cancellation<'_>,
        look: impl FnOnce(Given<'_>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let (mut look, mut result) = (Some(look), None);
        self.files.with(&mut |parts| {
            if let Some(look) = look.take() {
                result = Some(self.given(parts, cancellation).and_then(look));
            }
        });
        result.unwrap_or_else(|| Err(SnapshotError::NoSnapshot.into()))
    }

    fn given<'a>(&self, parts: &[&'a [u8]], cancellation: Cancellation<'a>) -> Result<Given<'a>, Error> {
        let (raw, chain) = match parts {
            [raw, chain @ ..] if self.raw => (Some(*raw), chain),
            chain => (None, chain),
        };
        if raw.is_some() && chain.is_empty() {
            return Ok(Given { raw, state: None });
        }
        let limits = snapshot::Limits { table_entries: TABLE_ELEMENTS };
        let mut parsed = room::empty(chain.len())?;
        for bytes in chain {
            cancellation.check()?;
            parsed.push(Snapshot::parse(bytes, &limits)?);
        }
        let state = snapshot::resolve(&parsed, cancellation)?;
        let first = state.skeleton().memories.first().copied().unwrap_or_default();
        match raw {
            Some(raw) if state.is_partial() && first != raw.len() as u64 => Err(other_memory()),
            None if state.is_partial() => Err(SnapshotError::MemoryElsewhere.into()),
            _ => Ok(Given { raw, state: Some(state) }),
        }
    }

    /// What is to be made of an instance of `image` before its memories are filled, and how many bytes these are.
    pub(crate) fn outline(&self, image: &Image, cancellation: Cancellation<'_>) -> Result<(Outline, u64), Error> {
        self.with(cancellation, |given| {
            let raw = given.raw.map_or(0, |raw| raw.len() as u64);
            let Some(state) = given.state else { return Ok((Outline::Memory(raw), raw)) };
            if state.image() != image.hash() {
                return Err(SnapshotError::OtherImage.into());
            }
            let pages: usize = (0..state.skeleton().memories.len()).map(|memory| state.page_count(memory)).sum();
            let entries: u64 = state.skeleton().tables.iter().map(|(_, entries)| entries.len()).sum();
            let bytes = raw + (pages * PAGE) as u64 + entries * ENTRY_BYTES;
            Ok((Outline::Snapshot(state.skeleton().clone()), bytes))
        })
    }

    /// Fills the memories of an instance that has been made as the outline says.
    pub(crate) fn put_memories(
        &self,
        store: &mut StoreContextMut<'_, impl Surroundings>,
        cancellation: Cancellation<'_>,
    ) -> Result<(), Error> {
        self.with(cancellation, |given| {
            let items = Items::of(store)?;
            // Raw memory alone goes into an instance that has been initialized, so that everything else is as the image has it.
            let is_initialized = given.state.is_none() && items.image.runtime().is_some();
            for index in 0..items.memories.len() {
                let (memory, initial) = items.memory_mut(store, index, is_initialized)?;
                match (given.raw, &given.state) {
                    (Some(raw), None) if Some(index) == items.linear => put_raw(memory, raw, &initial, cancellation)?,
                    (Some(raw), Some(state)) if state.is_partial() && index == 0 => {
                        put_raw(memory, raw, &initial, cancellation)?;
                    }
                    (_, Some(state)) => state.restore_into(index, memory, &initial).map_err(Error::from)?,
                    // Only the linear memory was asked for.
                    (_, None) => {}
                }
            }
            if let (Some(state), Some(runtime)) = (&given.state, items.image.runtime()) {
                put_host(store, runtime, state, items.memories.len())?;
            }
            // The sizes agree already where the state is without the memory.
            let is_whole = given.state.is_some_and(|state| !state.is_partial());
            let memory = items.linear_memory().map_or(&[][..], |memory| memory.data(&*store));
            match given.raw {
                Some(raw) if is_whole => same(memory, raw, cancellation),
                _ => Ok(()),
            }
        })
    }
}

/// Compares the raw memory with the one in the snapshot beside it.
fn same(memory: &[u8], raw: &[u8], cancellation: Cancellation<'_>) -> Result<(), Error> {
    const PIECE: usize = 1 << 20;

    for (memory, raw) in memory.chunks(PIECE).zip(raw.chunks(PIECE)) {
        cancellation.check()?;
        if memory != raw {
            return Err(other_memory());
        }
    }
    if memory.len() == raw.len() { Ok(()) } else { Err(other_memory()) }
}

fn other_memory() -> Error {
    Error::InvalidSnapshot(Code::OtherMemory, "the state beside another memory".into())
}

/// Gives the host the state that is the memory of this index, if there is one.
fn put_host(
    store: &mut StoreContextMut<'_, impl Surroundings>,
    runtime: Runtime,
    state: &Resolved<'_>,
    index: usize,
) -> Result<(), Error> {
    let Some(size) = state.skeleton().memories.get(index).copied() else { return Ok(()) };
    let mut bytes = State::room(size, state.page_count(index))?;
    state.restore_into(index, &mut bytes, &[]).map_err(Error::from)?;
    let host = State::decode(runtime, &bytes)?;
    store.data_mut().set_host(host);
    Ok(())
}
