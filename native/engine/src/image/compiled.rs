//! The stages of an image that take long, and what they leave: code, and what is known of it, which can be kept for later.

use super::stack;
use super::validate::{refuse_other_formats, validate};
use crate::config::{self, EngineKind};
use crate::declared::Declared;
use crate::error::Error;
use crate::limits;
use hb_wasm64_rewrite::expose::Layout;
use hb_wasm64_rewrite::meter::Meter;
use hb_wasm64_rewrite::unwind::Facts;
use hb_wasm64_rewrite::{Options, Rewritten, rewrite};
use serde_derive::{Deserialize, Serialize};
use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use wasmtime::{Engine, Module};

/// Whether anybody still waits for an image. It only ever goes up.
pub(crate) type Abandoned = Arc<AtomicBool>;

/// A module that has been rewritten and compiled.
pub(crate) struct Compiled {
    pub(crate) module: Module,
    pub(crate) known: Known,
}

/// What is known of it, and does not show in the code.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Known {
    pub(super) facts: Facts,
    pub(super) meter: Option<Meter>,
    pub(super) layout: Layout,
    pub(super) declared: Declared,
    /// The global that holds the stack pointer of a program for WASI, where nothing else tells which it is.
    pub(super) stack_pointer: Option<u32>,
    /// Whether no function is too complex to be optimized.
    is_simple: bool,
}

impl Compiled {
    /// Validates, rewrites and compiles a module, for as long as it is not abandoned.
    ///
    /// # Errors
    /// [`Error::InvalidModule`] or [`Error::Unsupported`]; [`Error::Host`] where the compiler fails; [`Error::Cancelled`].
    pub(crate) fn new(bytes: &[u8], abandoned: &Abandoned) -> Result<Compiled, Error> {
        let go_on = || if abandoned.load(Ordering::Relaxed) { Err(Error::Cancelled) } else { Ok(()) };
        let (known, rewritten) = Known::of(bytes, &go_on)?;
        go_on()?;
        let module = Module::new(known.engine()?, &rewritten).map_err(|error| compiler_error(&error))?;
        Ok(Compiled { module, known })
    }
}

impl Known {
    /// What is known of a module once it has been validated and rewritten, and what it is then.
    ///
    /// # Errors
    /// [`Error::InvalidModule`] or [`Error::Unsupported`], and those of `go_on`.
    pub(crate) fn of<'a>(
        bytes: &'a [u8],
        go_on: &dyn Fn() -> Result<(), Error>,
    ) -> Result<(Known, Cow<'a, [u8]>), Error> {
        refuse_other_formats(bytes)?;
        let is_simple = validate(bytes, &go_on)?;
        go_on()?;
        let Rewritten { module: rewritten, facts, meter, layout } =
            rewrite(bytes, Options { table_elements: limits::TABLE_ELEMENTS })?;
        // Of the image itself: the table of functions that is added is not its own.
        let declared = Declared::of(bytes, !facts.tags.is_empty())?;
        let stack_pointer = if facts.stack_pointer.is_none() { stack::stack_pointer(bytes) } else { None };
        Ok((Known { facts, meter, layout, declared, stack_pointer, is_simple }, rewritten))
    }

    /// The engine that compiles and runs it.
    ///
    /// # Errors
    /// [`Error::Host`] where there can be none.
    pub(crate) fn engine(&self) -> Result<&'static Engine, Error> {
        config::engine(EngineKind { complex_code: !self.is_simple, ..self.declared.engine_kind() })
    }
}

/// A bound of the compiler is one of every node; what else goes wrong there is this node's.
fn compiler_error(error: &wasmtime::Error) -> Error {
    let text = format!("{error:#}");
    if let Some((_, bound)) = text.split_once("Unsupported feature: ") {
        return Error::Unsupported(bound.into());
    }
    match ["Code for function is too large", "Implementation limit exceeded"]
        .iter()
        .find(|bound| text.contains(**bound))
    {
        Some(_) => Error::Unsupported("a function is too large to be compiled".into()),
        None => Error::Host(format!("compiler: {text}")),
    }
}
