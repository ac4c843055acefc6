//! From bytes with the right seal to a module.

use crate::sealed::{Refused, Sealed, SealedFile};
use std::fs::File;
use wasmtime::{Engine, Module};

impl Sealed<'_> {
    /// The module. It has a copy of the code: what happens to these bytes, or to a file that they were read from, is nothing to it.
    ///
    /// # Errors
    /// [`Refused::Incompatible`] where it was compiled by another version of the engine, with other settings, or for another
    /// processor.
    pub fn module(&self, engine: &Engine) -> Result<Module, Refused> {
        of_bytes(self.code, engine).map_err(|error| Refused::Incompatible(format!("{error:#}")))
    }
}

impl SealedFile {
    /// The module, which is mapped from the copy.
    ///
    /// # Errors
    /// As of [`Sealed::module`].
    pub fn module(self, engine: &Engine) -> Result<Module, Refused> {
        of_file(self.file, engine).map_err(|error| Refused::Incompatible(format!("{error:#}")))
    }
}

#[allow(unsafe_code)]
fn of_bytes(code: &[u8], engine: &Engine) -> wasmtime::Result<Module> {
    // SAFETY: whoever has the key has made these bytes of a module that it had compiled, as their seal says.
    unsafe { Module::deserialize(engine, code) }
}

#[allow(unsafe_code)]
fn of_file(file: File, engine: &Engine) -> wasmtime::Result<Module> {
    // SAFETY: the same; and the file is memory that nobody can change any more.
    unsafe { Module::deserialize_open_file(engine, file) }
}
