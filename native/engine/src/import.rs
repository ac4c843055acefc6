//! Imports: what an image imports, and who serves each of them.
//!
//! A meter's are instructions of the module; only the end of its gas, and a question, come to the engine. They cannot be
//! intercepted.
//!
//! Any other import stops the guest and goes to Erlang, unless it is one that the host serves, for images of Emscripten and of
//! WASI.
//! Such an import can be intercepted: it goes to Erlang first, which serves it or passes.

use crate::error::{Error, ImportFailure};
use crate::value::{Arg, Signature, ValType, Value, coerce_some};
use hb_wasm64_host::{Binding, Failure, Functions, Imported, Unserved};
use hb_wasm64_rewrite::expose;
use hb_wasm64_rewrite::meter::Meter;
use std::collections::HashMap;
use std::sync::Arc;
use wasmtime::{ExternType, FuncType, Module};

/// One imported function.
#[derive(Debug)]
pub struct ImportInfo {
    /// First name: the same `Arc` for all imports from one module of an image.
    pub module: Arc<str>,
    /// Second name.
    pub name: Arc<str>,
    /// Type.
    pub signature: Signature,
    /// The same as text.
    pub signature_text: String,
    /// Whether the host serves it, and it can be intercepted.
    pub interceptable: bool,
    /// Who serves it.
    pub served: Served,
}

/// Who serves an import, as callers see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Served {
    /// The host of the engine.
    Host,
    /// The image itself, in which instructions take its place.
    Image,
    /// Whoever answers imports in Erlang; without one it returns zeros.
    Erlang,
    /// The same; without one it fails, as it is a function of a runtime that the host knows and does not serve.
    Nobody,
}

/// An import, and what is needed to define it.
pub(crate) struct Import {
    pub(crate) info: Arc<ImportInfo>,
    pub(crate) ty: FuncType,
    pub(crate) server: Server,
}

/// Who serves an import.
#[derive(Clone)]
pub(crate) enum Server {
    Host(Arc<Binding>),
    Meter(MeterFunction),
    Erlang,
}

/// A function of a meter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MeterFunction {
    /// Ends the call: the module calls it only where its gas is used up.
    OutOfGas,
    /// Returns what has been used, as a number of this type.
    UsedI32,
    UsedI64,
    UsedF64,
}

impl MeterFunction {
    /// The function by which programs of AO ask what has been used, in images with a meter.
    fn used(module: &str, name: &str, params: &[wasmtime::ValType], results: &[wasmtime::ValType]) -> Option<Self> {
        match (module, name, params, results) {
            ("env", "metering_gasUsed", [], [wasmtime::ValType::I32]) => Some(MeterFunction::UsedI32),
            ("env", "metering_gasUsed", [], [wasmtime::ValType::I64]) => Some(MeterFunction::UsedI64),
            ("env", "metering_gasUsed", [], [wasmtime::ValType::F64]) => Some(MeterFunction::UsedF64),
            _ => None,
        }
    }
}

/// What becomes of an import that went to Erlang.
pub(crate) enum Reply {
    /// It has these results, which have the right types.
    Results(Vec<Value>),
    /// The host serves it.
    Pass,
}

/// The reply, or why the import failed.
pub(crate) type Answer = Result<Reply, ImportFailure>;

/// The first name of requests for a part of a lazy file; the second is its path.
pub(crate) const FILE: &str = "hb_wasm64:file";

impl ImportInfo {
    /// A request for a part of a lazy file: its arguments are an offset and how many bytes.
    pub(crate) fn of_file(path: &[u8]) -> ImportInfo {
        let signature = Signature { params: Box::new([ValType::I64, ValType::I64]), results: Box::new([]) };
        ImportInfo {
            module: FILE.into(),
            name: String::from_utf8_lossy(path).into(),
            signature_text: signature.to_string(),
            signature,
            interceptable: false,
            served: Served::Erlang,
        }
    }

    /// The results where nobody serves it, or how that ends the call.
    pub(crate) fn unserved(&self, first: Option<&Value>) -> Result<Vec<Value>, Failure> {
        match (Unserved::of(&self.module, &self.name), &*self.signature.results, first) {
            (Unserved::Error(number), [ValType::I32], _) => Ok(vec![Value::I32(number)]),
            (Unserved::Exit, [], Some(Value::I32(status))) if self.signature.params.len() == 1 => {
                Err(Failure::Exit(*status))
            }
            (Unserved::Unsupported, ..) => Err(Failure::Unserved(format!("{}.{}", self.module, self.name))),
            (_, results, _) => Ok(results.iter().map(|ty| ty.zero()).collect()),
        }
    }

    /// Makes an answer of whatever was given as results. Surplus is dropped.
    pub(crate) fn answer(&self, results: &[Arg]) -> Answer {
        coerce_some(results, &self.signature.results).map(Reply::Results).map_err(|position| {
            ImportFailure::InvalidResults {
                module: self.module.clone(),
                name: self.name.clone(),
                signature: self.signature_text.clone(),
                position,
            }
        })
    }
}

/// The imports of a module, each with the function of the host that serves it, if one does. Functions of the module have taken the
/// place of some.
///
/// # Errors
/// [`Error::Link`] for an import that cannot be served.
pub(crate) fn all(
    module: &Module,
    functions: Option<&Functions>,
    meter: Option<&Meter>,
    replaced: &[u32],
) -> Result<Vec<Import>, Error> {
    let mut imports: Vec<Import> = Vec::new();
    let mut modules: HashMap<&str, Arc<str>> = HashMap::new();
    let mut types: HashMap<(&str, &str), Signature> = HashMap::new();
    // All imports are functions, or this fails: so their indices are those of functions.
    for (index, import) in (0..).zip(module.imports()) {
        if import.module().starts_with(expose::RESERVED) {
            let text = format!("an import of {}, which names what is the library's own", import.module());
            return Err(Error::Unsupported(text));
        }
        let refuse = |kind| Error::Link { module: import.module().into(), name: import.name().into(), kind };
        let ty = match import.ty() {
            ExternType::Func(ty) => ty,
            ExternType::Memory(_) => return Err(refuse("memory")),
            ExternType::Table(_) => return Err(refuse("table")),
            ExternType::Global(_) => return Err(refuse("global")),
            ExternType::Tag(_) => return Err(refuse("tag")),
        };
        let signature = Signature::of(&ty).ok_or_else(|| refuse("func"))?;
        // An image may import one function twice, but a name can have one type only.
        if *types.entry((import.module(), import.name())).or_insert_with(|| signature.clone()) != signature {
            return Err(refuse("func"));
        }
        let (params, results): (Vec<_>, Vec<_>) = (ty.params().collect(), ty.results().collect());
        let used = || MeterFunction::used(import.module(), import.name(), &params, &results);
        let of_meter =
            meter.and_then(|meter| if meter.imports.contains(&index) { Some(MeterFunction::OutOfGas) } else { used() });
        let binding = functions.and_then(|functions| functions.bind(import.module(), import.name(), &params, &results));
        let server = match (of_meter, binding) {
            (Some(function), _) => Server::Meter(function),
            (None, Some(binding)) => Server::Host(Arc::new(binding)),
            (None, None) => Server::Erlang,
        };
        let info = ImportInfo {
            module: modules.entry(import.module()).or_insert_with(|| import.module().into()).clone(),
            name: import.name().into(),
            signature_text: signature.to_string(),
            signature,
            interceptable: matches!(&server, Server::Host(binding) if binding.is_interceptable()),
            served: match &server {
                Server::Host(_) => Served::Host,
                Server::Meter(_) => Served::Image,
                Server::Erlang if replaced.contains(&index) => Served::Image,
                Server::Erlang if Unserved::is_known(import.module(), import.name()) => Served::Nobody,
                Server::Erlang => Served::Erlang,
            },
        };
        imports.push(Import { info: Arc::new(info), ty, server });
    }
    Ok(imports)
}

/// The functions that a module imports.
pub(crate) fn imported(module: &Module) -> Vec<Imported<'_>> {
    let functions = module.imports().filter_map(|import| match import.ty() {
        ExternType::Func(ty) => Some((import.module(), import.name(), ty)),
        _ => None,
    });
    functions
        .map(|(module, name, ty)| Imported {
            module,
            name,
            params: ty.params().collect(),
            results: ty.results().collect(),
        })
        .collect()
}
