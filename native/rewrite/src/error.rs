//! Why a module cannot be rewritten.

use std::convert::Infallible;
use thiserror::Error;
use wasm_encoder::reencode;

/// Why a module cannot be rewritten.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum Error {
    /// The module is not well formed. Does not occur for a module that passes validation.
    #[error("{message} (at offset {offset:#x})")]
    Malformed {
        /// What is wrong.
        message: String,
        /// The position in the module where it was found.
        offset: usize,
    },
    /// The module is valid, but what a pass adds to it would exceed a limit of validation.
    #[error("the module is too close to a validation limit to be instrumented: {0}")]
    TooLarge(String),
    /// The module exports something under a name that [`expose`](crate::expose) reserves.
    #[error("the export {0:?}: its name is reserved")]
    ReservedName(String),
    /// The module imports an `invoke_*` function of Emscripten without exporting what replaces it.
    #[error("the import env.{import} requires the export {export}")]
    MissingExport {
        /// Name of the import.
        import: String,
        /// Name of an export that it requires.
        export: String,
    },
}

impl Error {
    pub(crate) fn malformed(message: impl Into<String>, offset: usize) -> Error {
        Error::Malformed { message: message.into(), offset }
    }

    pub(crate) fn from_reencode(error: reencode::Error<Infallible>, offset: usize) -> Error {
        match error {
            reencode::Error::ParseError(error) => error.into(),
            other => Error::malformed(other.to_string(), offset),
        }
    }
}

impl From<wasmparser::Error> for Error {
    fn from(error: wasmparser::Error) -> Error {
        Error::malformed(error.message(), error.offset())
    }
}
