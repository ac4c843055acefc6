//! How to tell which runtime an image was built for.

use crate::abi::Imported;
use crate::runtime::Runtime;
use crate::{assemblyscript, emscripten, wasi};

impl Runtime {
    /// By the functions that an image imports. `None` where it expects nothing that is served here.
    ///
    /// What Emscripten builds to run without its JavaScript is an image of WASI.
    pub fn of(imports: &[Imported<'_>]) -> Option<Runtime> {
        if emscripten::is_emscripten(imports.iter().map(|import| (import.module, import.name))) {
            Some(Runtime::Emscripten)
        } else if imports.iter().any(|import| wasi::MODULES.contains(&import.module)) {
            Some(Runtime::Wasi)
        } else {
            assemblyscript::is_assemblyscript(imports).then_some(Runtime::AssemblyScript)
        }
    }
}
