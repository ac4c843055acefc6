//! From bytes with the right seal to a module.

use crate::sealed::{Refused, Sealed};
use std::fs::File;
use wasmtime::{Engine, Module};

/// Code whose seal is right.
pub enum Verified<'a> {
    /// In memory.
    Bytes(Sealed<'a>),
    /// In a file that nobody changes: see [`Directory`](crate::Directory).
    File(File),
}

impl Verified<'_> {
    /// The module. That of a file is mapped from it.
    ///
    /// # Errors
    /// [`Refused::Incompatible`] where it was compiled by another version of the engine, with other settings, or for another
    /// processor.
    pub fn module(self, engine: &Engine) -> Result<Module, Refused> {
        load(self, engine).map_err(|error| Refused::Incompatible(format!("{error:#}")))
    }
}

#[allow(unsafe_code)]
fn load(code: Verified<'_>, engine: &Engine) -> wasmtime::Result<Module> {
    match code {
        // SAFETY: whoever has the key has made these bytes of a module that it had compiled, as their seal says.
        Verified::Bytes(sealed) => unsafe { Module::deserialize(engine, sealed.code) },
        // SAFETY: the same. The file belongs to this process's user, and nobody else may write it; this library writes a file
        // once, before it has its name.
        Verified::File(file) => unsafe { Module::deserialize_open_file(engine, file) },
    }
}
