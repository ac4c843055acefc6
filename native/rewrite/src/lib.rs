//! WebAssembly modules rewritten for `hb_wasm64`: bytes to bytes.
//!
//! Six passes, in the order in which [`rewrite`] runs them:
//!
//! | pass | requires | afterwards |
//! |---|---|---|
//! | [`restore`](restore::restore) | a valid module, which may use legacy exception handling | imports and exports of AO's first module format have their names |
//! | [`lower`] | the same | legacy exception handling is expressed by the final proposal |
//! | [`precheck`] | no legacy exception handling | bulk operations that cannot succeed fail before they are charged |
//! | [`unwind`] | the same | what Emscripten leaves to its host (`invoke_*`, `longjmp`, C++ exceptions) is done by the module itself |
//! | [`meter`] | the same | what a meter (`metering.usegas`) counts is a global of the module |
//! | [`expose`] | the same | all mutable state is exported, under names of the module or reserved ones |
//!
//! All of them guarantee:
//!
//! - The result is valid and does what the original does. Where a pass says otherwise, it says so.
//! - The result is a function of the module and of the parameters: the same bytes on every machine.
//! - No index changes meaning: what is added comes at the end of its section, and new locals behind a function's own.
//! - A module that needs nothing is returned as it is, byte for byte.
//! - Code that needs nothing is copied as it is. Where code moves, custom sections that hold positions in it are left out:
//!   debug information, linking and relocation data, references to source maps, and code metadata such as branch hints.
//! - No input makes a pass panic. A module that is not valid is refused or rewritten into one that is not valid either.

#![deny(missing_docs)]

mod body;
mod edits;
mod error;
pub mod expose;
pub mod lower;
pub mod meter;
mod module;
pub mod precheck;
pub mod restore;
#[cfg(test)]
mod testing;
pub mod unwind;

pub use error::Error;
pub use module::Segment;

use expose::{Exposed, Layout};
use meter::{Meter, Metered};
use module::Module;
use std::borrow::Cow;
use unwind::{Facts, Unwound};

/// What the passes need to know beside the module.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// The number of entries that the tables of an instance may have together.
    pub table_elements: u64,
}

/// A module that has been through all passes.
#[derive(Debug)]
pub struct Rewritten<'a> {
    /// The module.
    pub module: Cow<'a, [u8]>,
    /// What is known of it, as Emscripten sees it. Its tags are exported under [`expose::tag_name`].
    pub facts: Facts,
    /// Its gas meter, if it has one.
    pub meter: Option<Meter>,
    /// Where its state is.
    pub layout: Layout,
}

/// Runs all passes. The module must be valid; it may use the legacy exception handling proposal.
///
/// # Errors
/// Those of the passes.
pub fn rewrite(wasm: &[u8], options: Options) -> Result<Rewritten<'_>, Error> {
    let module = Module::parse(wasm)?;
    let restored = changed(restore::run(&module)?);
    let module = current(&restored, module)?;
    let lowered = changed(lower::run(&module)?);
    let module = current(&lowered, module)?;
    let prechecked = changed(precheck::run(&module, options.table_elements)?);
    let module = current(&prechecked, module)?;
    let Unwound { module: unwound, facts } = unwind::run(&module)?;
    let unwound = changed(unwound);
    let module = current(&unwound, module)?;
    let Metered { module: metered, meter } = meter::run(&module)?;
    let metered = changed(metered);
    let module = current(&metered, module)?;
    let tags: Vec<u32> = facts.tags.iter().map(|(tag, _)| *tag).collect();
    let Exposed { module: exposed, layout } = expose::run(&module, &tags)?;
    let last = changed(exposed).or(metered).or(unwound).or(prechecked).or(lowered).or(restored);
    Ok(Rewritten { module: last.map_or(Cow::Borrowed(wasm), Cow::Owned), facts, meter, layout })
}

/// The result of a pass, where it has changed the module.
fn changed(result: Cow<'_, [u8]>) -> Option<Vec<u8>> {
    match result {
        Cow::Owned(module) => Some(module),
        Cow::Borrowed(_) => None,
    }
}

/// The module after a pass.
fn current<'a>(changed: &'a Option<Vec<u8>>, before: Module<'a>) -> Result<Module<'a>, Error> {
    changed.as_ref().map_or(Ok(before), |wasm| Module::parse(wasm))
}
