//! How to tell which runtime an image was built for.

use crate::runtime::Runtime;
use crate::{assemblyscript, emscripten, wasi};

impl Runtime {
    /// By what an image imports: the names of modules and functions. `None` where it expects nothing that is served here.
    ///
    /// What Emscripten builds to run without its JavaScript is an image of WASI.
    pub fn of(imports: &[(&str, &str)]) -> Option<Runtime> {
        if emscripten::is_emscripten(imports.iter().copied()) {
            Some(Runtime::Emscripten)
        } else if imports.iter().any(|(module, _)| wasi::MODULES.contains(module)) {
            Some(Runtime::Wasi)
        } else {
            assemblyscript::is_assemblyscript(imports).then_some(Runtime::AssemblyScript)
        }
    }
}
