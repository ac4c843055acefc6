//! Which modules are images: valid ones, of the proposals that are on, within the limits.

use crate::complexity::Complexity;
use crate::config;
use crate::error::Error;
use crate::limits;
use wasmparser::{
    FuncValidator, FuncValidatorAllocations, FunctionBody, OperatorsReader, Parser, Payload, TypeRef, ValidPayload,
    Validator, ValidatorResources, WasmFeatures,
};

/// Names formats that are known and no modules.
///
/// # Errors
/// [`Error::Unsupported`].
pub(super) fn refuse_other_formats(bytes: &[u8]) -> Result<(), Error> {
    let unsupported = |text: &str| Err(Error::Unsupported(text.into()));
    let text = bytes.trim_ascii_start();
    match bytes {
        [0, b'a', b's', b'm', _, _, 1, 0, ..] => unsupported("a component; only core modules run here"),
        [0, b'a', b'o', b't', ..] => unsupported("an AOT file of WAMR; give the WebAssembly module instead"),
        [0x7f, b'E', b'L', b'F', ..] => unsupported("native code; give the WebAssembly module instead"),
        _ if text.starts_with(b"(") => unsupported("WebAssembly text; assemble it first"),
        _ => Ok(()),
    }
}

/// Whether all functions of a valid module are simple enough to be optimized.
///
/// A module that is valid with every proposal there is, but not with ours, is unsupported rather than invalid.
pub(super) fn validate(bytes: &[u8], go_on: &impl Fn() -> Result<(), Error>) -> Result<bool, Error> {
    let ours = config::features() | WasmFeatures::LEGACY_EXCEPTIONS;
    match validate_with(ours, bytes, go_on)? {
        Ok(is_simple) => refuse_items(bytes).map(|()| is_simple),
        Err(error) => {
            let text = format!("{} (at offset {})", error.message(), error.offset());
            match validate_with(WasmFeatures::all(), bytes, go_on)? {
                Ok(_) => Err(Error::Unsupported(text)),
                Err(_) => Err(Error::InvalidModule(text)),
            }
        }
    }
}

/// Validates a module with some proposals, one function after the other as long as `go_on` says so. Whether all of them are
/// simple enough to be optimized.
fn validate_with(
    features: WasmFeatures,
    bytes: &[u8],
    go_on: &impl Fn() -> Result<(), Error>,
) -> Result<Result<bool, wasmparser::Error>, Error> {
    let mut validator = Validator::new_with_features(features);
    let mut parser = Parser::new(0);
    parser.set_features(features);
    let mut functions = Vec::new();
    for payload in parser.parse_all(bytes) {
        match payload.and_then(|payload| validator.payload(&payload)) {
            Ok(ValidPayload::Func(function, body)) => functions.push((function, body)),
            Ok(_) => {}
            Err(error) => return Ok(Err(error)),
        }
    }
    let (mut allocations, mut complexity) = (FuncValidatorAllocations::default(), Complexity::default());
    let mut is_simple = true;
    for (function, body) in functions {
        go_on()?;
        let index = function.index;
        let mut validator = function.into_validator(allocations);
        let named = |error| match error {
            Error::Unsupported(text) => Error::Unsupported(format!("function {index} is {text}")),
            other => other,
        };
        if let Err(error) = validate_function(&mut validator, &body, &mut complexity).map_err(named)? {
            return Ok(Err(error));
        }
        is_simple &= !complexity.is_too_much_to_optimize();
        allocations = validator.into_allocations();
    }
    Ok(Ok(is_simple))
}

fn validate_function(
    validator: &mut FuncValidator<ValidatorResources>,
    body: &FunctionBody<'_>,
    complexity: &mut Complexity,
) -> Result<Result<(), wasmparser::Error>, Error> {
    let mut reader = body.get_binary_reader();
    reader.set_features(*validator.features());
    if let Err(error) = validator.read_locals(&mut reader) {
        return Ok(Err(error));
    }
    complexity.begin(validator.len_locals());
    let mut operators = OperatorsReader::new(reader);
    while !operators.eof() {
        let (operator, offset) = match operators.read_with_offset() {
            Ok(read) => read,
            Err(error) => return Ok(Err(error)),
        };
        // Validation, too, takes as long as there are values to move.
        complexity.read(&operator, operator.operator_arity(validator))?;
        if let Err(error) = validator.op(offset, &operator) {
            return Ok(Err(error));
        }
    }
    Ok(operators.finish())
}

/// The validator accepts imports of an exact function type, whatever the features are; the compiler does not. Long names
/// would be built anew for each request and each error that has them, and all of them for each description.
fn refuse_items(bytes: &[u8]) -> Result<(), Error> {
    let malformed = |error: wasmparser::Error| Error::InvalidModule(error.to_string());
    let mut names = Names::default();
    for payload in Parser::new(0).parse_all(bytes) {
        match payload.map_err(malformed)? {
            Payload::ImportSection(imports) => {
                for import in imports.into_imports() {
                    let import = import.map_err(malformed)?;
                    if matches!(import.ty, TypeRef::FuncExact(_)) {
                        return Err(Error::Unsupported("an import of an exact function type".into()));
                    }
                    names.add("import", import.module)?;
                    names.add("import", import.name)?;
                }
            }
            Payload::MemorySection(memories) => {
                for memory in memories {
                    if memory.map_err(malformed)?.shared {
                        return Err(Error::Unsupported("a memory that threads share".into()));
                    }
                }
            }
            Payload::ExportSection(exports) => {
                for export in exports {
                    names.add("export", export.map_err(malformed)?.name)?;
                }
            }
            // All of these come before it.
            Payload::CodeSectionStart { .. } => break,
            _ => {}
        }
    }
    Ok(())
}

/// The names of imports and exports, which are bounded.
#[derive(Default)]
struct Names {
    bytes: usize,
}

impl Names {
    fn add(&mut self, of: &str, name: &str) -> Result<(), Error> {
        let (bytes, most) = (name.len(), limits::NAME_BYTES);
        if bytes > most {
            return Err(Error::Unsupported(format!("the name of an {of} has {bytes} bytes; the most are {most}")));
        }
        self.bytes = self.bytes.saturating_add(bytes);
        let most = limits::NAMES_BYTES;
        let text = || format!("the names of imports and exports have more than {most} bytes together");
        if self.bytes > most { Err(Error::Unsupported(text())) } else { Ok(()) }
    }
}
