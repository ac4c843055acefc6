//! The linear memory that callers read and write, for work on all of it.

use super::Data;
use crate::error::Error;
use crate::state;
use hb_wasm64_host::{Embedder, State};
use hb_wasm64_snapshot::Cancellation;
use wasmtime::StoreContextMut;

/// The linear memory of an instance.
pub struct Contents<'a, 's> {
    store: &'a mut StoreContextMut<'s, Data>,
}

pub(super) fn contents<'a, 's>(store: &'a mut StoreContextMut<'s, Data>) -> Contents<'a, 's> {
    Contents { store }
}

impl Contents<'_, '_> {
    /// Its bytes, none where the image has no such memory.
    pub fn bytes(&mut self) -> &mut [u8] {
        match self.store.data().memory {
            Some(memory) => memory.data_mut(&mut *self.store),
            None => &mut [],
        }
    }

    /// Copies all of it to `out`, which is as large. Pages that nobody has touched are not read.
    ///
    /// # Errors
    /// [`Error::Host`] where there is no room to find out which these are; [`Error::Cancelled`].
    pub fn copy_to(&mut self, out: &mut [u8], cancellation: Cancellation<'_>) -> Result<(), Error> {
        state::copy_linear(self.store, out, cancellation)
    }

    /// What the host has of the instance: its files.
    ///
    /// # Errors
    /// [`Error::Unsupported`] where the image has no host.
    pub fn host(&mut self) -> Result<&mut State, Error> {
        if self.store.data().image.runtime().is_none() {
            return Err(Error::Unsupported("an image that imports nothing of WASI or Emscripten has no files".into()));
        }
        Ok(self.store.data_mut().state_mut())
    }

    /// Makes `raw` all of it, with zeros behind. What is zeros already is not written, and what nobody has touched is not
    /// looked at.
    ///
    /// # Errors
    /// [`Error::OutOfBounds`] where it is smaller; [`Error::Host`] where there is no room to find out what was touched. It
    /// is as it was then.
    pub fn overwrite(&mut self, raw: &[u8]) -> Result<(), Error> {
        let (size, memory) = (raw.len() as u64, self.bytes().len() as u64);
        if size > memory {
            return Err(Error::OutOfBounds { offset: 0, size, memory });
        }
        state::overwrite_linear(self.store, raw)
    }
}
