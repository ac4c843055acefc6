//! Legacy exception handling rewritten to the final proposal.
//!
//! WebAssembly had two designs of exception handling. Toolchains still emit the legacy one (`try`, `catch`,
//! `catch_all`, `delegate`, `rethrow`); the compiler takes only the final one (`try_table`, `throw_ref`, `exnref`).
//! [`lower`] turns the first into the second; `throw` is the same instruction in both.
//!
//! # Shape of the result
//!
//! A `try` of type `P -> R` with clauses becomes a `try_table` whose clauses leave one block each, with the clause's
//! code behind the end of its block:
//!
//! ```text
//! block P -> R                        ;; the label of the `try`
//!   block P -> params of tag 2
//!     block P -> params of tag 1
//!       try_table P -> R (catch 1 0) (catch 2 1)
//!         ..body..
//!       end
//!       br 2
//!     end
//!     ..clause 1..
//!     br 1
//!   end
//!   ..clause 2..
//! end
//! ```
//!
//! A clause that some `rethrow` names catches by `catch_ref` and keeps the exception in a local added behind the
//! function's own; the `rethrow` is then a `throw_ref` of that local. Nested clauses take successive locals and clauses
//! that are not nested share them.
//!
//! A `try` closed by `delegate` passes every exception to the construct that the delegate's label leads to, over the
//! handlers in between. It becomes a `try_table` with the one clause `catch_all_ref` to a *landing*: a block around the
//! whole body of the target, behind whose end the exception is thrown again, now met by exactly the target's own
//! clauses.
//!
//! ```text
//! try_table P -> R ..clauses of the target..
//!   block P -> exnref                 ;; the landing
//!     ..body of the target..
//!     br <label of the target>
//!   end
//!   throw_ref
//! end
//! ```
//!
//! When the target is the function's caller the landing encloses the body of the function. A delegate with no handler
//! to pass over is a plain block.
//!
//! # What stays the same
//!
//! Function bodies without legacy instructions, all instructions that name no label, and all sections but types, code
//! and some custom ones are copied as they are. No index changes meaning: block types that the module lacks are
//! appended to the types, and new locals come after the existing ones. The label names in a `name` section are the one
//! thing that no longer matches.
//!
//! # Limits
//!
//! The limits of validation apply to the result: a function close to them (50,000 locals, 10,000 clauses on one `try`,
//! 1,000 values in a tag, 7,654,321 bytes) may lower to one that is refused.

mod module;
mod output;
mod plan;
mod rewrite;
mod types;

pub(crate) use module::holds_code_positions;

use std::borrow::Cow;
use std::convert::Infallible;

use wasm_encoder::reencode;

/// Why a module could not be lowered.
///
/// Does not occur for modules that pass validation, unless the result would be of excessive size.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message} (at offset {offset:#x})")]
pub struct LowerError {
    message: String,
    offset: usize,
}

impl LowerError {
    fn new(message: impl Into<String>, offset: usize) -> Self {
        Self { message: message.into(), offset }
    }

    fn from_reencode(error: reencode::Error<Infallible>, offset: usize) -> Self {
        match error {
            reencode::Error::ParseError(error) => error.into(),
            other => Self::new(other.to_string(), offset),
        }
    }

    /// What is wrong.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The position in the module where it was found.
    pub fn offset(&self) -> usize {
        self.offset
    }
}

impl From<wasmparser::Error> for LowerError {
    fn from(error: wasmparser::Error) -> Self {
        Self::new(error.message(), error.offset())
    }
}

/// Rewrites the legacy exception handling instructions of a core module.
///
/// The module must have been validated with the legacy instructions allowed. What is returned for any other is
/// unspecified; it may be a module that does not validate.
///
/// A module without legacy instructions is returned as it is. From one that is rewritten the custom sections that hold
/// positions in code are left out, because the positions would be wrong: debug information, linking and relocation
/// data, references to source maps, and code metadata such as branch hints.
///
/// # Errors
///
/// When the module is not well formed, and when the result would be of excessive size.
pub fn lower(wasm: &[u8]) -> Result<Cow<'_, [u8]>, LowerError> {
    let module = module::Module::parse(wasm)?;
    Ok(match module.lower()? {
        Some(lowered) => Cow::Owned(lowered),
        None => Cow::Borrowed(wasm),
    })
}
