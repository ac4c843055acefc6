//! Imports: what an image imports, and who serves each of them.
//!
//! An import stops the guest and goes to Erlang, unless it is one that the host serves, for images of Emscripten and of WASI.
//! Such an import can be intercepted: it goes to Erlang first, which serves it or passes.

use crate::error::{Error, ImportFailure};
use crate::value::{Arg, Signature, ValType, Value, coerce_some};
use hb_wasm64_host::{Binding, Functions, Unserved};
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
}

/// An import, and what is needed to define it.
pub(crate) struct Import {
    pub(crate) info: Arc<ImportInfo>,
    pub(crate) ty: FuncType,
    pub(crate) binding: Option<Arc<Binding>>,
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

impl ImportInfo {
    /// The results where nobody serves it, or the status with which the program ends.
    pub(crate) fn unserved(&self, first: Option<&Value>) -> Result<Vec<Value>, i32> {
        match (Unserved::of(&self.module, &self.name), &*self.signature.results, first) {
            (Unserved::Error(number), [ValType::I32], _) => Ok(vec![Value::I32(number)]),
            (Unserved::Exit, [], Some(Value::I32(status))) if self.signature.params.len() == 1 => Err(*status),
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

/// The imports of a module, each with the function of the host that serves it, if one does.
///
/// # Errors
/// [`Error::Link`] for an import that cannot be served.
pub(crate) fn all(module: &Module, functions: Option<&Functions>) -> Result<Vec<Import>, Error> {
    let mut imports: Vec<Import> = Vec::new();
    let mut modules: HashMap<&str, Arc<str>> = HashMap::new();
    let mut types: HashMap<(&str, &str), Signature> = HashMap::new();
    for import in module.imports() {
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
        let binding = functions.and_then(|functions| functions.bind(import.module(), import.name(), &params, &results));
        let info = ImportInfo {
            module: modules.entry(import.module()).or_insert_with(|| import.module().into()).clone(),
            name: import.name().into(),
            signature_text: signature.to_string(),
            signature,
            interceptable: binding.as_ref().is_some_and(Binding::is_interceptable),
        };
        imports.push(Import { info: Arc::new(info), ty, binding: binding.map(Arc::new) });
    }
    Ok(imports)
}
