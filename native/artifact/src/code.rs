//! From bytes with the right seal to a module.

use crate::sealed::{Refused, Sealed};
use wasmtime::{Engine, Module};

impl Sealed<'_> {
    /// The module. It has a copy of the code: what happens to these bytes, or to a file that they were read from, is nothing to it.
    ///
    /// # Errors
    /// [`Refused::Incompatible`] where it was compiled by another version of the engine, with other settings, or for another
    /// processor.
    pub fn module(&self, engine: &Engine) -> Result<Module, Refused> {
        load(self, engine).map_err(|error| Refused::Incompatible(format!("{error:#}")))
    }
}

#[allow(unsafe_code)]
fn load(sealed: &Sealed<'_>, engine: &Engine) -> wasmtime::Result<Module> {
    // SAFETY: whoever has the key has made these bytes of a module that it had compiled, as their seal says.
    unsafe { Module::deserialize(engine, sealed.code) }
}
