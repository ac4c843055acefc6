//! `invoke_*`, `longjmp` and thrown C++ exceptions as instructions of the module itself.
//!
//! Emscripten leaves unwinding to its host: code that may throw calls `invoke_*`, which calls an entry of the table and
//! catches what is thrown there; the functions that throw are imports, too. A host function that calls back into the guest
//! requires a stack of its own for each call, and a trap that passes through it a backtrace for each level. The final
//! exception handling proposal has instructions for both, so these imports become functions of the module:
//!
//! ```text
//! (func $invoke_SIG (param $index ptr) (param $args…) (result R)
//!   (local $stack ptr)
//!   (local.set $stack (call $emscripten_stack_get_current))
//!   block $caught
//!     try_table (result R) (catch $longjmp $caught) (catch $throw $caught)
//!       (call_indirect (type SIG) $args… $index)
//!     end
//!     return
//!   end
//!   (call $_emscripten_stack_restore (local.get $stack))
//!   (call $setThrew 1 0)
//!   zero)
//!
//! (func $_emscripten_throw_longjmp throw $longjmp)
//!
//! (func $__cxa_throw (param …) (call $the_import (local.get …)) throw $throw)
//! ```
//!
//! Nothing else is caught: traps, the end of fuel, failed imports and exceptions with tags of the module's own pass
//! through, as they pass through Emscripten's JavaScript. An import that throws is still called, before its function
//! throws: the host notes the exception.
//!
//! The functions come last, so that no index changes meaning; whatever named one of the imports names its function
//! instead. The imports stay, unused or called by their functions alone.

mod names;
mod replacements;
mod time;

use crate::Error;
use crate::body::Splice;
use crate::edits::Edits;
use crate::module::Module;
use names::Names;
use replacements::Replacements;
use serde_derive::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::HashMap;
use wasmparser::{FunctionBody, Operator};

/// The module of the imports that Emscripten's runtime serves.
const ENV: &str = "env";

/// What a tag that [`unwind`] adds stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Thrown {
    /// `longjmp`.
    Longjmp,
    /// `throw` of C++.
    Exception,
}

impl Thrown {
    /// The name that LLVM has for this tag.
    pub fn name(self) -> &'static str {
        match self {
            Thrown::Longjmp => "__c_longjmp",
            Thrown::Exception => "__cpp_exception",
        }
    }
}

/// A module that unwinds by itself.
#[derive(Debug)]
pub struct Unwound<'a> {
    /// The module.
    pub module: Cow<'a, [u8]>,
    /// What is known of it.
    pub facts: Facts,
}

/// What is known of a module, as Emscripten sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// The tags that were added, by index. They have no parameters.
    pub tags: Vec<(u32, Thrown)>,
    /// Index of the default memory: the export called `memory`, else the first exported memory, else memory 0.
    pub memory: u32,
    /// Whether pointers have 64 bits: whether the default memory has 64-bit addresses.
    pub is_64_bit: bool,
    /// Index of the global that holds the stack pointer, where an exported function of Emscripten's returns it.
    pub stack_pointer: Option<u32>,
    /// Whether the module contains code that catches C++ exceptions.
    pub can_catch: bool,
    /// The imports in the place of which functions of the module are, by index and in their order.
    pub replaced: Vec<u32>,
    /// Whether the code makes 64 bits of a time that its host gives in 32: it was built by Emscripten 3.1.16 or later then.
    pub extends_time: bool,
}

/// Rewrites the imports that unwind.
///
/// The module must be valid, without legacy exception handling. A module without such imports is returned as it is.
///
/// # Errors
/// [`Error::MissingExport`] where an `invoke_*` of Emscripten's requires an export that the module lacks: served by the
/// host it would not call what it is to call. [`Error::TooLarge`] where the result would exceed a limit of validation, and
/// [`Error::Malformed`].
pub fn unwind(wasm: &[u8]) -> Result<Unwound<'_>, Error> {
    run(&Module::parse(wasm)?)
}

pub(crate) fn run<'a>(module: &Module<'a>) -> Result<Unwound<'a>, Error> {
    let names = Names::of(module);
    let mut replacements = Replacements::new(module, &names);
    // A module without code of its own has nothing to unwind.
    for function in 0..if module.bodies.is_empty() { 0 } else { module.imports.len() as u32 } {
        replacements.replace(function)?;
    }
    let (edits, tags) = replacements.finish()?;
    let mut replaced: Vec<u32> = edits.moved.keys().copied().collect();
    replaced.sort_unstable();
    let rewritten = if edits.moved.is_empty() { Cow::Borrowed(module.wasm) } else { redirect_calls(module, edits)? };
    let facts = Facts {
        tags,
        memory: names.memory,
        is_64_bit: names.is_64_bit,
        stack_pointer: names.stack_pointer(module),
        can_catch: names.can_catch(module),
        replaced,
        extends_time: time::is_extended(module)?,
    };
    Ok(Unwound { module: rewritten, facts })
}

/// The module with these edits, in whose code other functions take the place of those that have moved.
fn redirect_calls<'a>(module: &Module<'a>, mut edits: Edits) -> Result<Cow<'a, [u8]>, Error> {
    for (position, body) in module.bodies.iter().enumerate() {
        if let Some(redirected) = redirect(module.wasm, body, &edits.moved)? {
            edits.replace_body(position, redirected)?;
        }
    }
    edits.apply(module)
}

/// The body of a function that names other functions than before, or nothing where it names none of those.
fn redirect(wasm: &[u8], body: &FunctionBody<'_>, moved: &HashMap<u32, u32>) -> Result<Option<Vec<u8>>, Error> {
    let mut output = None;
    let mut operators = body.get_operators_reader()?;
    while !operators.eof() {
        let start = operators.original_position();
        let operator = operators.read()?;
        let (Operator::Call { function_index }
        | Operator::ReturnCall { function_index }
        | Operator::RefFunc { function_index }) = operator
        else {
            continue;
        };
        let Some(function) = moved.get(&function_index) else { continue };
        let output = output.get_or_insert_with(|| Splice::new(wasm, body.range().start, Vec::new()));
        output.replace(&(start..operators.original_position()))?;
        match operator {
            Operator::Call { .. } => output.sink().call(*function),
            Operator::ReturnCall { .. } => output.sink().return_call(*function),
            _ => output.sink().ref_func(*function),
        };
    }
    output.map(|output| output.finish(body.range().end)).transpose()
}
