//! Imports: what an image asks of its host, and how each import is served.
//!
//! Today every import stops the guest and goes to Erlang. [`define`] is the seam where one may be served natively.

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
    /// First name.
    pub module: Arc<str>,
    /// Second name.
    pub name: Arc<str>,
    /// Type.
    pub signature: Signature,
    /// The same as text.
    pub signature_text: String,
}

/// What the guest is told: results of the right types, or that there are none.
pub(crate) type Answer = Result<Vec<Value>, ImportFailure>;

impl ImportInfo {
    /// Makes an answer of whatever was given as results. Surplus is dropped.
    pub(crate) fn answer(&self, results: &[Arg]) -> Answer {
        coerce_some(results, &self.signature.results).map_err(|position| ImportFailure::InvalidResults {
            module: self.module.clone(),
            name: self.name.clone(),
            signature: self.signature_text.clone(),
            position,
        })
    }
}

/// Defines every import of `module` in `linker`.
///
/// # Errors
/// [`Error::Link`] for an import that cannot be served.
pub(crate) fn define(linker: &mut Linker<Data>, module: &Module) -> Result<Vec<Arc<ImportInfo>>, Error> {
    let mut imports: Vec<Arc<ImportInfo>> = Vec::new();
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
        let (module, name) = (import.module().into(), import.name().into());
        let info = Arc::new(ImportInfo { module, name, signature, signature_text });
        imports.push(info.clone());
        // An image may import one function twice, but a name can have one type only.
        match defined.entry((info.module.clone(), info.name.clone())) {
            Entry::Occupied(twin) if twin.get().signature == info.signature => continue,
            Entry::Occupied(_) => return Err(refuse("func")),
            Entry::Vacant(entry) => entry.insert(info.clone()),
        };
        linker
            .func_new_async(import.module(), import.name(), ty, move |mut caller, params, results| {
                let info = info.clone();
                Box::new(async move { suspend(caller.as_context_mut(), &info, params, results).await })
            })
            .map_err(|_| refuse("func"))?;
    }
    Ok(imports)
}
