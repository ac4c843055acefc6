//! Snapshots to be read, and what they make of a fresh instance.

use super::items::Items;
use super::pages::put_raw;
use super::{Outline, invalid};
use crate::emscripten;
use crate::error::Error;
use crate::image::Image;
use crate::snapshot::{self, Resolved, Snapshot, SnapshotError};
use crate::task::Data;
use wasmtime::StoreContextMut;

/// Table entries that a snapshot may have, whatever its image allows: the limit of a table.
const TABLE_ENTRIES: u64 = 10_000_000;

/// Bytes that are kept somewhere else while they are needed.
pub trait Kept: Send {
    /// Lets `look` see them.
    fn with(&self, look: &mut dyn FnMut(&[&[u8]]));
}

/// Snapshots to be read: a chain of them, or the raw linear memory and the rest of the state.
pub struct Snapshots {
    kept: Box<dyn Kept>,
    raw: bool,
}

/// What snapshots hold.
struct Given<'a> {
    raw: Option<&'a [u8]>,
    state: Option<Resolved<'a>>,
}

impl Snapshots {
    /// A whole snapshot, and any number of deltas, each against the one before.
    pub fn whole(kept: impl Kept + 'static) -> Snapshots {
        Snapshots { kept: Box::new(kept), raw: false }
    }

    /// The bytes of the linear memory, and the rest of the state unless that is as in a fresh instance.
    pub fn raw(kept: impl Kept + 'static) -> Snapshots {
        Snapshots { kept: Box::new(kept), raw: true }
    }

    /// Gives `look` the state that the snapshots make together.
    ///
    /// # Errors
    /// [`Error::InvalidSnapshot`], and those of `look`.
    pub fn resolve<T>(&self, look: impl FnOnce(&Resolved<'_>) -> Result<T, Error>) -> Result<T, Error> {
        self.with(|given| match given.state {
            Some(state) => look(&state),
            None => Err(SnapshotError::NoSnapshot.into()),
        })
    }

    /// The snapshots as one whole snapshot.
    ///
    /// # Errors
    /// [`Error::InvalidSnapshot`].
    pub fn merge(&self) -> Result<Vec<u8>, Error> {
        self.resolve(|state| {
            let mut merged = vec![0; state.merged_size()?];
            state.merge_into(&mut merged)?;
            Ok(merged)
        })
    }

    fn with<T>(&self, look: impl FnOnce(Given<'_>) -> Result<T, Error>) -> Result<T, Error> {
        let (mut look, mut result) = (Some(look), None);
        self.kept.with(&mut |parts| {
            if let Some(look) = look.take() {
                result = Some(self.given(parts).and_then(look));
            }
        });
        result.unwrap_or_else(|| Err(SnapshotError::NoSnapshot.into()))
    }

    fn given<'a>(&self, parts: &[&'a [u8]]) -> Result<Given<'a>, Error> {
        let (raw, chain) = match parts {
            [raw, chain @ ..] if self.raw => (Some(*raw), chain),
            chain => (None, chain),
        };
        if raw.is_some() && chain.is_empty() {
            return Ok(Given { raw, state: None });
        }
        let limits = snapshot::Limits { table_entries: TABLE_ENTRIES };
        let parsed: Result<Vec<_>, _> = chain.iter().map(|bytes| Snapshot::parse(bytes, &limits)).collect();
        let state = snapshot::resolve(&parsed?)?;
        let first = state.rest().memories.first().copied().unwrap_or_default();
        match raw {
            Some(raw) if state.is_partial() && first != raw.len() as u64 => {
                Err(invalid("the rest of a state with another memory"))
            }
            None if state.is_partial() => Err(SnapshotError::MemoryElsewhere.into()),
            _ => Ok(Given { raw, state: Some(state) }),
        }
    }

    /// What is to be made of an instance of `image` before its memories are filled.
    pub(crate) fn outline(&self, image: &Image) -> Result<Outline, Error> {
        self.with(|given| match given {
            Given { state: Some(state), .. } if state.image() != image.hash() => Err(SnapshotError::OtherImage.into()),
            Given { state: Some(state), .. } => Ok(Outline::Snapshot(state.rest().clone())),
            Given { raw, state: None } => Ok(Outline::Memory(raw.map_or(0, |raw| raw.len() as u64))),
        })
    }

    /// Fills the memories of an instance that has been made as the outline says.
    pub(crate) fn put_memories(&self, store: &mut StoreContextMut<'_, Data>) -> Result<(), Error> {
        self.with(|given| {
            let items = Items::of(store)?;
            // Raw memory alone goes into an instance that has been initialized, so that the rest is as the image has it.
            let is_initialized = given.state.is_none() && items.image.is_emscripten();
            for index in 0..items.memories.len() {
                let (memory, initial) = items.memory_mut(store, index, is_initialized)?;
                match (given.raw, &given.state) {
                    (Some(raw), None) if Some(index) == items.linear => put_raw(memory, raw, &initial),
                    (Some(raw), Some(state)) if state.is_partial() && index == 0 => put_raw(memory, raw, &initial),
                    (_, Some(state)) => state.restore_into(index, memory, &initial).map_err(Error::from)?,
                    // Only the linear memory was asked for.
                    (_, None) => {}
                }
            }
            if let Some(state) = given.state.as_ref().filter(|_| items.has_host) {
                put_host(store, state, items.memories.len())?;
            }
            // The sizes agree already where the state is without the memory.
            let is_whole = given.state.is_some_and(|state| !state.is_partial());
            let memory = items.linear_memory().map_or(&[][..], |memory| memory.data(&*store));
            match given.raw {
                Some(raw) if is_whole && memory != raw => Err(invalid("the rest of a state with another memory")),
                _ => Ok(()),
            }
        })
    }
}

/// Gives the host the state that is the memory of this index.
fn put_host(store: &mut StoreContextMut<'_, Data>, state: &Resolved<'_>, index: usize) -> Result<(), Error> {
    let size = state.rest().memories.get(index).copied().unwrap_or_default();
    let mut bytes = emscripten::State::room(size, state.page_count(index))?;
    state.restore_into(index, &mut bytes, &[]).map_err(Error::from)?;
    let host = emscripten::State::decode(&bytes).map_err(invalid)?;
    store.data_mut().host = Some(Box::new(host));
    Ok(())
}
