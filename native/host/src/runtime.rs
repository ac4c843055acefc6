//! Which runtime an image was built for.

/// What an image expects of its host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Runtime {
    /// Emscripten's JavaScript.
    Emscripten,
    /// WASI preview 1, or the snapshot before it.
    Wasi,
    /// AssemblyScript's, without WASI.
    AssemblyScript,
}
