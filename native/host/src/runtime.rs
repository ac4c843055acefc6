//! Which runtime an image was built for.

use crate::emscripten;

/// What an image expects of its host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Runtime {
    /// Emscripten's JavaScript.
    Emscripten,
    /// WASI preview 1.
    Wasi,
}

impl Runtime {
    /// By what an image imports: the names of modules and functions. `None` where it expects nothing that is served here.
    pub fn of<'a>(imports: impl IntoIterator<Item = (&'a str, &'a str)>) -> Option<Runtime> {
        emscripten::is_emscripten(imports).then_some(Runtime::Emscripten)
    }
}
