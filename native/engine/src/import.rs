//! Imports: what an image asks of its host, and how each import is served.
//!
//! An import stops the guest and goes to Erlang, unless the image is Emscripten's and the import one that its host serves.

use crate::emscripten::{self, Natives};
use crate::error::{Error, ImportFailure};
use crate::task::{Data, suspend};
use crate::value::{Arg, Signature, Value, coerce_some};
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
    /// Whether the engine's own host serves it where nobody else does.
    pub is_native: bool,
}

/// What becomes of an import that was asked for.
pub(crate) enum Reply {
    /// The guest is told these, which have the right types.
    Results(Vec<Value>),
    /// The engine's own host serves it.
    LeftToHost,
}

/// The same, or that there is none.
pub(crate) type Answer = Result<Reply, ImportFailure>;

impl ImportInfo {
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
    natives: Option<&Natives>,
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
        let mut info = ImportInfo { module, name, signature, signature_text, is_native: false };
        let native = natives.and_then(|natives| natives.serve(&info));
        info.is_native = native.as_ref().is_some_and(|native| native.kind.is_open());
        let info = Arc::new(info);
        imports.push(info.clone());
        // An image may import one function twice, but a name can have one type only.
        match defined.entry((info.module.clone(), info.name.clone())) {
            Entry::Occupied(twin) if twin.get().signature == info.signature => continue,
            Entry::Occupied(_) => return Err(refuse("func")),
            Entry::Vacant(entry) => entry.insert(info.clone()),
        };
        let native = native.map(Arc::new);
        linker
            .func_new_async(import.module(), import.name(), ty, move |mut caller, params, results| {
                let (info, native) = (info.clone(), native.clone());
                Box::new(async move {
                    let store = caller.as_context_mut();
                    match &native {
                        Some(native) => emscripten::serve(store, native, &info, params, results).await,
                        None => suspend(store, &info, params, results).await,
                    }
                })
            })
            .map_err(|_| refuse("func"))?;
    }
    Ok(imports)
}
