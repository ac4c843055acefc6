//! Legacy exception handling rewritten to the final proposal.
//!
//! WebAssembly has had two designs of exception handling. Toolchains still emit the legacy one (`try`, `catch`,
//! `catch_all`, `delegate`, `rethrow`); the compiler accepts only the final one (`try_table`, `throw_ref`, `exnref`).
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
//! Function bodies without legacy instructions, and all instructions that name no label, are copied as they are. No
//! index changes meaning: block types that the module lacks are appended to the types, and new locals come after the
//! existing ones. The label names in a `name` section no longer match.
//!
//! # Limits
//!
//! The limits of validation apply to the result: a function close to them (50,000 locals, 10,000 clauses on one `try`,
//! 1,000 values in a tag, 7,654,321 bytes) may be refused.

mod function;
mod output;
mod plan;
mod types;

use crate::Error;
use crate::edits::Edits;
use crate::module::Module;
use plan::Plan;
use std::borrow::Cow;
use types::Types;

/// Rewrites the legacy exception handling instructions of a module.
///
/// The module must be valid, with the legacy instructions allowed; the result for any other is unspecified. A module
/// without legacy instructions is returned as it is.
///
/// # Errors
/// [`Error::TooLarge`] where the result would exceed a limit of validation, and [`Error::Malformed`].
pub fn lower(wasm: &[u8]) -> Result<Cow<'_, [u8]>, Error> {
    run(&Module::parse(wasm)?)
}

pub(crate) fn run<'a>(module: &Module<'a>) -> Result<Cow<'a, [u8]>, Error> {
    let plans = module.bodies.iter().map(Plan::of).collect::<Result<Vec<_>, _>>()?;
    if plans.iter().all(Option::is_none) {
        return Ok(Cow::Borrowed(module.wasm));
    }
    let mut types = Types::of(module)?;
    let mut edits = Edits::default();
    for (position, (body, plan)) in module.bodies.iter().zip(&plans).enumerate() {
        let Some(plan) = plan else { continue };
        let ty = module.type_of_body(position);
        let ty = ty.ok_or_else(|| Error::malformed("the function has no type", body.range().start))?;
        edits.replace_body(position, function::lower(module.wasm, body, plan, ty.params().len(), &mut types)?)?;
    }
    edits.types = types.into_added();
    edits.apply(module)
}
