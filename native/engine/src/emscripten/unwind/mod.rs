//! `invoke_*`, `longjmp` and thrown C++ exceptions as instructions of the module itself.
//!
//! Emscripten leaves unwinding to its host: code that may throw calls `invoke_*`, which calls an entry of the table and
//! catches what is thrown there; what throws are imports, too. A host function that calls back into the guest costs a
//! stack of its own for each call, and a trap passed on through it a backtrace for each level. The final exception
//! handling proposal says the same in instructions, so these imports become functions of the module:
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
//! through, as they pass through Emscripten's JavaScript. What a throwing import has to note it still notes, as a
//! function of the host that is called first.
//!
//! The functions come last, so that no index changes meaning; whatever named one of the imports names its function
//! instead. The imports stay, unused or called by their functions alone.

mod additions;
mod reencode;
mod survey;

use super::abi::Width;
use crate::error::Error;
use crate::task::Data;
use crate::value::Value;
use additions::Additions;
use std::borrow::Cow;
use survey::Survey;
use wasm_encoder::Module;
use wasm_encoder::reencode::Reencode;
use wasmparser::Parser;

/// The module whose functions Emscripten's runtime gives.
pub(crate) const ENV: &str = "env";

/// What is thrown, by the names that LLVM gives these tags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Thrown {
    /// By `longjmp`.
    Longjmp,
    /// By `throw` of C++.
    Exception,
}

impl Thrown {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Thrown::Longjmp => "__c_longjmp",
            Thrown::Exception => "__cpp_exception",
        }
    }

    /// What was thrown, as a pointer of the image's width: tags carry nothing, as the host has it.
    pub(crate) fn value(self, data: &Data) -> Option<Value> {
        if self == Thrown::Longjmp {
            return None;
        }
        let exception = data.host.as_ref().map_or(0, |host| host.exceptions.last());
        Some(match data.image().width() {
            Width::Narrow => Value::I32(exception as i32),
            Width::Wide => Value::I64(exception as i64),
        })
    }
}

/// A module whose unwinding is its own.
pub(crate) struct Unwound<'a> {
    pub(crate) module: Cow<'a, [u8]>,
    /// The tags that were added, by index.
    pub(crate) tags: Vec<(u32, Thrown)>,
    /// The memory that callers read and write, by index.
    pub(crate) memory: u32,
    /// How wide pointers are.
    pub(crate) width: Width,
    /// The global that is the pointer of the guest's own stack, where an export tells it.
    pub(crate) stack_pointer: Option<u32>,
    /// Whether catching of C++ exceptions is compiled in.
    pub(crate) can_catch: bool,
}

/// Rewrites the imports that unwind. The module must be valid, and without legacy exception handling. One without such
/// imports comes out byte for byte.
///
/// # Errors
/// [`Error::Unsupported`] where the module lacks what an `invoke_*` takes: answered by anybody else it would not call what
/// it is to call. [`Error::InvalidModule`] where the module is not well formed.
pub(crate) fn unwind(wasm: &[u8]) -> Result<Unwound<'_>, Error> {
    let survey = Survey::of(wasm).map_err(|error| Error::InvalidModule(error.to_string()))?;
    let mut additions = Additions::new(&survey);
    // A module without code of its own has nothing to unwind.
    for import in survey.imports.iter().filter(|_| !survey.bodies.is_empty()) {
        additions.replace(&survey, import)?;
    }
    let unchanged = Unwound {
        module: Cow::Borrowed(wasm),
        tags: additions.tags.clone(),
        memory: survey.memory(),
        width: survey.width(),
        stack_pointer: survey.stack_pointer(),
        can_catch: additions.can_catch,
    };
    if additions.functions.is_empty() {
        return Ok(unchanged);
    }
    let mut module = Module::new();
    additions
        .parse_core_module(&mut module, Parser::new(0), wasm)
        .map_err(|error| Error::InvalidModule(error.to_string()))?;
    Ok(Unwound { module: Cow::Owned(module.finish()), ..unchanged })
}
