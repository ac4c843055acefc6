//! Imports: what an image imports, and who serves each of them.
//!
//! An import stops the guest and goes to Erlang, unless the image is Emscripten's and the import one that the host serves.
//! Such an import can be intercepted: it goes to Erlang first, which serves it or passes.

use crate::error::{Error, ImportFailure};
use crate::task::{Data, suspend};
use crate::value::{Arg, Signature, ValType, Value, coerce_some};
use hb_wasm64_host::Unserved;
use hb_wasm64_host::emscripten::{Binding, Functions, serve};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;
use wasmtime::{AsContextMut, ExternType, Linker, Module};

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

/// Defines every import of `module` in `linker`.
///
/// # Errors
/// [`Error::Link`] for an import that cannot be served.
pub(crate) fn define(
    linker: &mut Linker<Data>,
    module: &Module,
    functions: Option<&Functions>,
) -> Result<Vec<Arc<ImportInfo>>, Error> {
    let mut imports: Vec<Arc<ImportInfo>> = Vec::new();
    let mut modules: HashMap<&str, Arc<str>> = HashMap::new();
    let mut defined: HashMap<(Arc<str>, Arc<str>), Arc<ImportInfo>> = HashMap::new();
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
        let signature_text = signature.to_string();
        let module = modules.entry(import.module()).or_insert_with(|| import.module().into()).clone();
        let name = import.name().into();
        let mut info = ImportInfo { module, name, signature, signature_text, interceptable: false };
        let (params, results): (Vec<_>, Vec<_>) = (ty.params().collect(), ty.results().collect());
        let binding = functions.and_then(|functions| functions.bind(import.module(), import.name(), &params, &results));
        info.interceptable = binding.as_ref().is_some_and(Binding::is_interceptable);
        let info = Arc::new(info);
        imports.push(info.clone());
        // An image may import one function twice, but a name can have one type only.
        match defined.entry((info.module.clone(), info.name.clone())) {
            Entry::Occupied(twin) if twin.get().signature == info.signature => continue,
            Entry::Occupied(_) => return Err(refuse("func")),
            Entry::Vacant(entry) => entry.insert(info.clone()),
        };
        let binding = binding.map(Arc::new);
        linker
            .func_new_async(import.module(), import.name(), ty, move |mut caller, params, results| {
                let (info, binding) = (info.clone(), binding.clone());
                Box::new(async move {
                    let store = caller.as_context_mut();
                    match &binding {
                        Some(binding) => serve(store, binding, &info, params, results).await,
                        None => suspend(store, &info, params, results).await,
                    }
                })
            })
            .map_err(|_| refuse("func"))?;
    }
    Ok(imports)
}
